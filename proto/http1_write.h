/* HTTP/1.1 on the wire, write side: heads, chunk framing, and the account of a declared length.
 *
 * Model.   A writer appends to the caller's storage and remembers its first failure, so that a head
 *          is written line after line and asked about once. The fields that frame a message are
 *          written by their own calls and refused as plain fields: no message can carry both
 *          lengths, or one twice.
 * Owner.   The caller owns the storage; nothing is allocated.
 * Bounds.  Linear in what is written.
 * Source.  RFC 9112.
 */
#ifndef ASX_PROTO_HTTP1_WRITE_H
#define ASX_PROTO_HTTP1_WRITE_H

#include <asx/proto/header.h>
#include <asx/proto/http1_parse.h>
#include <asx/proto/http_date.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>
#include <asx/shard/base/view.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_http1_writer {
    char *buf;
    size_t cap, len; /* len bytes are written; valid while err is ASX_OK */
    asx_err err;     /* the first failure: TOO_LONG, or INVALID_ARGUMENT */
    bool _framed, _bodiless;
} asx_http1_writer;

void asx_http1_writer_init(asx_http1_writer *writer, char *buf, size_t cap);

/* Begins a response; `reason` empty means the registered phrase. status in 100..999. */
void asx_http1_write_status(asx_http1_writer *writer, uint32_t status, asx_view reason);
/* Begins a request: a token, and a target without spaces, controls and fragment. */
void asx_http1_write_request(asx_http1_writer *writer, asx_view method, asx_view target);

/* One field. Refused: a name that is not a token, CR, LF, NUL and other controls in the value, and
 * Content-Length, Transfer-Encoding and Connection, which have calls of their own. */
void asx_http1_write_field(asx_http1_writer *writer, asx_view name, asx_view value);
void asx_http1_write_field_u64(asx_http1_writer *writer, asx_view name, uint64_t value);
/* date  as asx_http_date_format writes it: made once a second by the caller, not once a response */
void asx_http1_write_date(asx_http1_writer *writer, const char date[ASX_HTTP_DATE_LEN]);

/* The framing: at most one of the two, and neither in 1xx and 204 (INVALID_ARGUMENT). */
void asx_http1_write_length(asx_http1_writer *writer, uint64_t content_length);
void asx_http1_write_chunked(asx_http1_writer *writer);
/* "Connection: " and the value, without check of what it says: close, keep-alive, upgrade */
void asx_http1_write_connection(asx_http1_writer *writer, asx_view value);
/* The empty line. The head is buf[0..len) if this returns ASX_OK. */
ASX_NODISCARD asx_err asx_http1_write_end(asx_http1_writer *writer);

/* The same in one call. */
typedef struct asx_http1_response {
    uint32_t status;
    asx_view reason; /* empty: the registered phrase */
    const asx_header_field *fields;
    size_t field_count;
    const char *date;          /* ASX_HTTP_DATE_LEN bytes, or NULL for none */
    asx_http1_framing framing; /* NONE: Content-Length 0 unless the status has no body */
    uint64_t content_length;   /* for FRAMING_LENGTH */
    bool head;                 /* answers HEAD: lengths are told, no body follows */
    bool keep_alive;           /* false writes Connection: close */
    uint8_t version_minor;     /* of the request: 1.0 is told keep-alive, and gets no chunks */
} asx_http1_response;

/* errors  TOO_LONG: `cap` is too small; INVALID_ARGUMENT: a name or value was refused, or chunks
 *         for a 1.0 client */
ASX_NODISCARD asx_err asx_http1_write_response(const asx_http1_response *response, char *buf,
                                               size_t cap, size_t *len);

/* A head that is the same but for its date and length: made once, then copied and patched. */
#define ASX_HTTP1_FROZEN_CAP 512
typedef struct asx_http1_frozen {
    char bytes[ASX_HTTP1_FROZEN_CAP]; /* ends with "Content-Length: " */
    uint32_t len;
    uint32_t _date_at;
} asx_http1_frozen;

/* Freezes status and fields; date and Content-Length are added. The connection is kept alive.
 * errors  as asx_http1_write_response; a status without a body is INVALID_ARGUMENT */
ASX_NODISCARD asx_err asx_http1_frozen_init(asx_http1_frozen *frozen, uint32_t status,
                                            const asx_header_field *fields, size_t field_count);
/* Writes the head; returns its length, or 0 when `cap` is too small (len + 32 suffices). */
ASX_NODISCARD size_t asx_http1_frozen_write(const asx_http1_frozen *frozen,
                                            const char date[ASX_HTTP_DATE_LEN],
                                            uint64_t content_length, char *buf, size_t cap);

/* Chunk framing: the bytes before a chunk of `len` > 0; its data and ASX_HTTP1_CRLF follow. */
#define ASX_HTTP1_CHUNK_HEAD_MAX 18 /* 16 digits and CRLF */
ASX_NODISCARD size_t asx_http1_chunk_head(uint64_t len, char buf[ASX_HTTP1_CHUNK_HEAD_MAX]);
#define ASX_HTTP1_CRLF "\r\n"
#define ASX_HTTP1_LAST_CHUNK "0\r\n\r\n" /* without trailers */
/* The last chunk with trailers. errors  as asx_http1_write_field; a field that may not be a trailer
 * is INVALID_ARGUMENT */
ASX_NODISCARD asx_err asx_http1_write_trailers(const asx_header_field *fields, size_t field_count,
                                               char *buf, size_t cap, size_t *len);

/* Holds a sender to what its head declared. */
typedef struct asx_http1_output {
    uint64_t left; /* of a declared length; UINT64_MAX for the other framings */
    uint8_t framing;
} asx_http1_output;

void asx_http1_output_init(asx_http1_output *output, asx_http1_framing framing,
                           uint64_t content_length);
/* Counts bytes about to be sent: false when they exceed the declaration, and nothing is counted. */
ASX_NODISCARD bool asx_http1_output_take(asx_http1_output *output, uint64_t len);
/* Whether the body may end here. */
ASX_NODISCARD bool asx_http1_output_is_whole(const asx_http1_output *output);

ASX_END_DECLS

#endif
