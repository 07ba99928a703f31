/* An HTTP/1.1 client: calls over kept connections, bodies streamed both ways.
 *
 * Model.  A call is one request and its response. begin sends the request and returns with the
 *         response's head; read gives the body piece by piece; end gives the connection back to the
 *         pool, or closes it when anything of the exchange was left undone.
 * Pool.   Per client, keyed by scheme, host and port: at most per_host_max connections, waiters in
 *         the order they came. A kept connection is read once before it is used again: one that the
 *         peer has closed, or that has said something unasked, is not used.
 * Owner.  The client, its connections included, is memory of its region, which must outlive the
 *         regions of its calls. A call is memory of the cx's region and ends with it.
 * Cancel. A call that is cancelled, or times out, closes its connection.
 * Source. RFC 9110, RFC 9112.
 */
#ifndef ASX_PROTO_CLIENT_H
#define ASX_PROTO_CLIENT_H

#include <asx/proto/http1_parse.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/view.h>
#include <asx/shard/stream.h>

ASX_BEGIN_DECLS

typedef struct asx_http_client asx_http_client;
typedef struct asx_http_call asx_http_call;

/* Opens the stream of a new connection, in `region`. host is as in the URL, brackets included. */
typedef asx_outcome asx_http_connect_fn(asx_cx *cx, void *arg, asx_region *region, bool secure,
                                        asx_view host, uint32_t port, asx_instant deadline_ns,
                                        asx_stream **stream);

typedef struct asx_http_client_config { /* zero-filled fields are the defaults */
    asx_http1_limits limits;          /* all zero: the parser's defaults, with any length of body */
    asx_duration connect_timeout_ns;  /* 10 s */
    asx_duration idle_timeout_ns;     /* 30 s; looked at whenever the pool is used */
    asx_duration continue_timeout_ns; /* 1 s, then the body is sent without having been asked for */
    uint32_t per_host_max;            /* 32 connections; more calls wait */
    uint32_t idle_max;                /* 256 kept in all */
    asx_http_connect_fn *connect;     /* NULL: TCP to numeric addresses and "localhost", no TLS */
    void *connect_arg;
} asx_http_client_config;

typedef struct asx_http_client_stats {
    uint64_t calls, connects, reuses, stale, retries;
    uint32_t open, idle, waiting;
} asx_http_client_stats;

/* The next piece of a request's body: Ok, empty at its end; lent until the next call. */
typedef asx_outcome asx_http_body_fn(asx_cx *cx, void *arg, asx_view *data);

typedef struct asx_http_request { /* zero-filled fields are the defaults */
    asx_view url;                 /* http://host[:port][/path][?query] */
    asx_view method;              /* empty: GET */
    const asx_header_field
        *fields; /* name and value count; lengths and Connection are the client's */
    uint32_t field_count;
    asx_view body;
    asx_http_body_fn *next; /* instead of `body`: streams it */
    void *next_arg;
    uint64_t length;         /* with next: Content-Length, or ASX_HTTP_BODY_CHUNKED */
    asx_duration timeout_ns; /* of the whole call, reading included; 0: the cx's alone */
    bool expect_continue;    /* asks before a body is sent */
    bool close;              /* says that no other request will follow */
    asx_http1_error
        *fault; /* NULL, or receives what was wrong with the response; outlives the call */
} asx_http_request;
#define ASX_HTTP_BODY_CHUNKED UINT64_MAX

/* region  NULL: the cx's
 * errors  NO_MEMORY, REGION_CLOSED */
ASX_NODISCARD asx_err asx_http_client_create(asx_cx *cx, asx_region *region,
                                             const asx_http_client_config *config,
                                             asx_http_client **client);

/* Sends a request and waits for the head of its final response; 1xx are passed over, at most 8. A
 * request without body callback and of an idempotent method is sent once more, on a new connection,
 * when a kept one turns out to be closed before a byte of the response.
 *
 * owns    *call is the caller's to end
 * cancel  CANCELLED: the request may have been seen by the peer
 * errors  INVALID_ARGUMENT (URL, method, fields), UNSUPPORTED (https, a name without resolver),
 *         TIMED_OUT, the errno of connect; DISCONNECTED: closed before the head was whole; http
 *         502: not HTTP, *fault says what; TOO_LONG, END_OF_STREAM: the body callback gave more, or
 *         less, than `length`; what the body callback failed with */
ASX_NODISCARD asx_outcome asx_http_call_begin(asx_cx *cx, asx_http_client *client,
                                              const asx_http_request *request,
                                              asx_http_call **call);

/* The response's head, lent until the call ends. */
const asx_http1_head *asx_http_call_head(const asx_http_call *call);
unsigned asx_http_call_status(const asx_http_call *call);
/* First field of this name (any ASCII case); false when there is none. */
bool asx_http_call_header(const asx_http_call *call, const char *name, asx_view *value);

/* The next piece of the body: Ok(n) with n = data->len > 0; Ok(0) at its end. Trailers are dropped.
 *
 * lends   data, until the next read
 * errors  DISCONNECTED: cut short; http 502: bad framing or above the limits; TIMED_OUT */
ASX_NODISCARD asx_outcome asx_http_call_read(asx_cx *cx, asx_http_call *call, asx_view *data);

/* Ends the call: views of it end. Not a cancel point. */
void asx_http_call_end(asx_cx *cx, asx_http_call *call);

asx_http_client_stats asx_http_client_stats_of(const asx_http_client *client);

/* Closes what is kept. asserts  no call is left */
void asx_http_client_destroy(asx_http_client *client);

ASX_END_DECLS

#endif
