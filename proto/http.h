/* What a handler sees: one exchange, a request and the response to it, whatever the HTTP version.
 *
 * Model.  A handler is a fiber in a region of its own. It reads the body piece by piece, and
 *         answers either with one call (asx_http_reply) or with begin, write..., end. Its outcome
 *         decides what is sent when it answered nothing: Err and Cancelled by
 *         asx_outcome_http_status, Panicked 500 without detail, Ok 200 with no body.
 * Owner.  The connection. All views of the request live until the handler returns; body views until
 *         the next read. Memory for the response: asx_alloc(cx, n), reclaimed whole when the
 *         request's region closes.
 * Cancel. The peer leaving, the request's deadline and shutdown cancel the request's region. */
#ifndef ASX_PROTO_HTTP_H
#define ASX_PROTO_HTTP_H

#include <asx/proto/header.h>
#include <asx/proto/http1_parse.h>
#include <asx/shard/base/addr.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/view.h>
#include <asx/shard/cx.h>
#include <asx/shard/kept.h>

ASX_BEGIN_DECLS

typedef struct asx_http_exchange asx_http_exchange;
typedef asx_outcome asx_http_handler(asx_cx *cx, asx_http_exchange *x);

/* The request */
asx_http_method asx_http_method_of(const asx_http_exchange *x);
asx_view asx_http_method_text(const asx_http_exchange *x);
asx_view asx_http_path(const asx_http_exchange *x);  /* without the query, not decoded */
asx_view asx_http_query(const asx_http_exchange *x); /* behind the '?', or empty */
asx_view asx_http_host(const asx_http_exchange *x);
unsigned asx_http_version_minor(const asx_http_exchange *x);
/* First field of this name (any ASCII case); false when there is none. */
bool asx_http_header(const asx_http_exchange *x, const char *name, asx_view *value);
bool asx_http_header_known(const asx_http_exchange *x, asx_header_id id, asx_view *value);
/* Content-Length, or UINT64_MAX when the body is chunked; 0 without a body. */
uint64_t asx_http_body_length(const asx_http_exchange *x);
/* What the service gave the server (routes, configuration). */
void *asx_http_service_arg(const asx_http_exchange *x);
/* A slot for the router: parameters of the matched pattern and the like. */
void asx_http_route_set(asx_http_exchange *x, const void *route);
const void *asx_http_route(const asx_http_exchange *x);
/* Where the time that it takes is counted, beside the server's figures; outlives the connection. */
typedef struct asx_http_latency asx_http_latency;
void asx_http_latency_set(asx_http_exchange *x, asx_http_latency *latency);

/* The next piece of the body: Ok(1) with data, Ok(0) at its end. Sends 100-continue when first
 * called for a client that waits for it. lends    *data until the next read errors   http 400 (bad
 * framing), 408 (too slow), 413 (too large); DISCONNECTED */
ASX_NODISCARD asx_outcome asx_http_read(asx_cx *cx, asx_http_exchange *x, asx_view *data);

/* The response. Header fields come before reply or begin; names and values are copied.
 * errors   INVALID_ARGUMENT for CR, LF, NUL or a bad name; AT_CAPACITY when they do not fit;
 * WOULD_DEADLOCK never. After the response began: ALREADY_RESOLVED */
ASX_NODISCARD asx_err asx_http_header_add(asx_http_exchange *x, const char *name, asx_view value);
ASX_NODISCARD asx_err asx_http_header_addf(asx_http_exchange *x, const char *name, const char *fmt,
                                           ...) ASX_PRINTF(3, 4);

/* The whole response. A body up to 16 KiB is copied; a larger one must stay until the call returns.
 * suspends when the peer is slow to take it
 * errors   DISCONNECTED, ALREADY_RESOLVED, TIMED_OUT (the write stalled) */
ASX_NODISCARD asx_outcome asx_http_reply(asx_cx *cx, asx_http_exchange *x, unsigned status,
                                         const char *content_type, asx_view body);

/* The same for the first `length` of the bytes kept, which the driver may send without a copy. */
ASX_NODISCARD asx_outcome asx_http_reply_kept(asx_cx *cx, asx_http_exchange *x, unsigned status,
                                              const char *content_type, asx_kept *kept,
                                              size_t length);

/* A response in pieces. length: Content-Length, or ASX_HTTP_CHUNKED. */
#define ASX_HTTP_CHUNKED UINT64_MAX
ASX_NODISCARD asx_outcome asx_http_begin(asx_cx *cx, asx_http_exchange *x, unsigned status,
                                         const char *content_type, uint64_t length);
ASX_NODISCARD asx_outcome asx_http_write(asx_cx *cx, asx_http_exchange *x, asx_view data);
/* `length` bytes of the file from `offset`, without a copy through the program where the driver
 * can. */
ASX_NODISCARD asx_outcome asx_http_write_file(asx_cx *cx, asx_http_exchange *x, int32_t file_fd,
                                              uint64_t offset, uint64_t length);
ASX_NODISCARD asx_outcome asx_http_end(asx_cx *cx, asx_http_exchange *x);

/* Sends what is buffered now, instead of when the handler returns or the buffer is full. */
ASX_NODISCARD asx_outcome asx_http_flush(asx_cx *cx, asx_http_exchange *x);

bool asx_http_response_begun(const asx_http_exchange *x);
unsigned asx_http_status_of(const asx_http_exchange *x);  /* 0 before it began */
uint64_t asx_http_bytes_sent(const asx_http_exchange *x); /* of the body */
asx_instant asx_http_started_at(const asx_http_exchange *x);

ASX_END_DECLS

#endif
