/* HTTP/1.1 on the wire, read side: request and response heads, and the bytes of their bodies.
 *
 * Model.   Sans-I/O. The caller holds a contiguous buffer that begins at the head and offers it
 *          again, longer, until the verdict is no longer NEED_MORE; the parser keeps how far it
 * got, so that a head costs its length once however it was cut. The verdict depends on the bytes
 *          alone, never on where they were cut.
 * Owner.   The caller: parser, field storage and buffer. All views point into the buffer given to
 *          the call that returned DONE, and live as long as those bytes stay where they are.
 * Bounds.  No allocation. Every limit is in asx_http1_limits.
 * Policy.  One reading of a message or none: whatever two parsers could read differently is an
 *          error, and an error always means: answer its status, then close.
 * Source.  RFC 9110, RFC 9112.
 */
#ifndef ASX_PROTO_HTTP1_PARSE_H
#define ASX_PROTO_HTTP1_PARSE_H

#include <asx/proto/header.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/view.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

/* A request line counts without its CRLF; a header section with the CRLF of each line, without the
 * empty line that ends it; trailers likewise. */
typedef struct asx_http1_limits {
    uint32_t request_line_bytes_max; /* also the status line of a response */
    uint32_t method_bytes_max;
    uint32_t fields_bytes_max;
    uint32_t field_count_max;
    uint32_t chunk_line_bytes_max; /* size and extensions, without CRLF */
    uint32_t chunk_ext_bytes_max;  /* summed over a message */
    uint32_t trailer_bytes_max;
    uint32_t trailer_count_max;
    uint64_t body_bytes_max; /* after de-chunking; UINT64_MAX for routes that stream */
} asx_http1_limits;

#define ASX_HTTP1_LIMITS_DEFAULT                                                                   \
    {                                                                                              \
        .request_line_bytes_max = 8 * 1024, .method_bytes_max = 32, .fields_bytes_max = 64 * 1024, \
        .field_count_max = 100, .chunk_line_bytes_max = 256, .chunk_ext_bytes_max = 4 * 1024,      \
        .trailer_bytes_max = 16 * 1024, .trailer_count_max = 100,                                  \
        .body_bytes_max = UINT64_C(16) * 1048576,                                                  \
    }

extern const asx_http1_limits asx_http1_limits_default;

typedef enum asx_http1_verdict {
    ASX_HTTP1_NEED_MORE, /* a proper prefix: offer the same bytes and more */
    ASX_HTTP1_DONE,      /* the head is whole: `head_len` bytes of it */
    ASX_HTTP1_ERROR,     /* see `error`; asking again gives the same answer */
    ASX_HTTP1_PREFACE,   /* the client speaks HTTP/2 (only when accept_preface); nothing consumed */
} asx_http1_verdict;

/* X(name, status a server answers, text) */
#define ASX_HTTP1_CODE_LIST(X)                                                    \
    X(NONE, 0, "no error")                                                        \
    X(EMPTY_LINES, 400, "more than one empty line before the request")            \
    X(METHOD_INVALID, 400, "method is not a token followed by one space")         \
    X(METHOD_TOO_LONG, 501, "method longer than the limit")                       \
    X(TARGET_EMPTY, 400, "request target is empty")                               \
    X(TARGET_BYTE, 400, "byte not allowed in a request target")                   \
    X(TARGET_FRAGMENT, 400, "fragment in a request target")                       \
    X(TARGET_FORM, 400, "target form does not exist or does not suit the method") \
    X(TARGET_AUTHORITY, 400, "authority of the request target is not valid")      \
    X(REQUEST_LINE_TOO_LONG, 414, "request line longer than the limit")           \
    X(VERSION_MISSING, 400, "request line ends before a version")                 \
    X(VERSION_INVALID, 400, "not an HTTP version")                                \
    X(VERSION_UNSUPPORTED, 505, "HTTP version other than 1.0 and 1.1")            \
    X(STATUS_INVALID, 400, "status code is not three digits from 100")            \
    X(REASON_INVALID, 400, "status code not followed by space or line end")       \
    X(STATUS_LINE_TOO_LONG, 400, "status line longer than the limit")             \
    X(BARE_CR, 400, "CR without LF")                                              \
    X(BARE_LF, 400, "LF without CR")                                              \
    X(CONTROL_BYTE, 400, "control byte in the head")                              \
    X(FIELD_NAME_EMPTY, 400, "field line starts with a colon")                    \
    X(FIELD_NAME_BYTE, 400, "byte not allowed in a field name")                   \
    X(FIELD_NAME_SPACE, 400, "whitespace between field name and colon")           \
    X(FIELD_NO_COLON, 400, "field line without a colon")                          \
    X(FIELD_FOLDED, 400, "line starts with whitespace (folding)")                 \
    X(FIELDS_TOO_LARGE, 431, "header section larger than the limit")              \
    X(FIELDS_TOO_MANY, 431, "more fields than the limit")                         \
    X(HOST_MISSING, 400, "HTTP/1.1 request without Host")                         \
    X(HOST_REPEATED, 400, "more than one Host")                                   \
    X(HOST_INVALID, 400, "Host is not a host with an optional port")              \
    X(HOST_DISAGREES, 400, "Host differs from the authority of the target")       \
    X(LENGTH_INVALID, 400, "Content-Length is not 1*DIGIT up to 2^63-1")          \
    X(LENGTH_REPEATED, 400, "more than one Content-Length")                       \
    X(LENGTH_AND_CHUNKED, 400, "both Content-Length and Transfer-Encoding")       \
    X(CODING_IN_1_0, 400, "Transfer-Encoding in HTTP/1.0")                        \
    X(CODING_REPEATED, 400, "more than one Transfer-Encoding")                    \
    X(CODING_INVALID, 400, "Transfer-Encoding is not the single value chunked")   \
    X(CODING_UNKNOWN, 501, "transfer coding other than chunked")                  \
    X(EXPECT_UNKNOWN, 417, "expectation other than 100-continue")                 \
    X(CHUNK_SIZE_INVALID, 400, "chunk size is not 1 to 16 hex digits")            \
    X(CHUNK_SIZE_TOO_LARGE, 400, "chunk size above 2^63-1")                       \
    X(CHUNK_LINE_TOO_LONG, 400, "chunk line longer than the limit")               \
    X(CHUNK_EXT_INVALID, 400, "byte not allowed after the chunk size")            \
    X(CHUNK_EXT_TOO_LONG, 400, "chunk extensions of the message above the limit") \
    X(CHUNK_END_INVALID, 400, "chunk data not followed by CRLF")                  \
    X(TRAILERS_TOO_LARGE, 431, "trailer section larger than the limit")           \
    X(TRAILERS_TOO_MANY, 431, "more trailers than the limit")                     \
    X(TRAILER_FORBIDDEN, 400, "field that may not stand in a trailer")            \
    X(BODY_TOO_LARGE, 413, "body larger than the limit")                          \
    X(BODY_CUT, 400, "connection ended inside the body")

typedef enum asx_http1_code {
#define X(name, status, text) ASX_HTTP1_CODE_##name,
    ASX_HTTP1_CODE_LIST(X)
#undef X
        ASX_HTTP1_CODE_COUNT,
} asx_http1_code;

typedef struct asx_http1_error {
    uint32_t code;   /* asx_http1_code */
    uint32_t status; /* what a server answers; 502 for a response read by a client */
    uint64_t offset; /* of the byte that decided it: from the head's first byte, or the body's */
} asx_http1_error;

const char *asx_http1_code_name(asx_http1_code code); /* "HOST_MISSING" */
const char *asx_http1_code_text(asx_http1_code code); /* a phrase for people */
uint32_t asx_http1_code_status(asx_http1_code code);
const char *asx_http1_verdict_name(asx_http1_verdict verdict);

#define ASX_HTTP1_METHOD_LIST(X) \
    X(GET)                       \
    X(HEAD)                      \
    X(POST)                      \
    X(PUT)                       \
    X(DELETE)                    \
    X(CONNECT)                   \
    X(OPTIONS)                   \
    X(TRACE)                     \
    X(PATCH)

/* Methods are case-sensitive: "get" is ASX_HTTP_OTHER. */
typedef enum asx_http_method {
    ASX_HTTP_OTHER = 0,
#define X(name) ASX_HTTP_##name,
    ASX_HTTP1_METHOD_LIST(X)
#undef X
        ASX_HTTP_METHOD_COUNT,
} asx_http_method;

const char *asx_http_method_name(asx_http_method method); /* "" for OTHER */
asx_http_method asx_http_method_lookup(asx_view name);

typedef enum asx_http1_target_form {
    ASX_HTTP1_TARGET_ORIGIN,    /* /path?query */
    ASX_HTTP1_TARGET_ABSOLUTE,  /* http://host/path?query */
    ASX_HTTP1_TARGET_AUTHORITY, /* host:port, CONNECT only */
    ASX_HTTP1_TARGET_ASTERISK,  /* *, OPTIONS only */
} asx_http1_target_form;

const char *asx_http1_target_form_name(asx_http1_target_form form);

typedef enum asx_http1_framing {
    ASX_HTTP1_FRAMING_NONE,    /* no body bytes follow */
    ASX_HTTP1_FRAMING_LENGTH,  /* content_length bytes follow, more than 0 */
    ASX_HTTP1_FRAMING_CHUNKED, /* chunks, then trailers */
    ASX_HTTP1_FRAMING_CLOSE,   /* until the peer closes; responses only */
    ASX_HTTP1_FRAMING_TUNNEL,  /* HTTP ends here: 101, or 2xx to CONNECT; responses only */
} asx_http1_framing;

const char *asx_http1_framing_name(asx_http1_framing framing);

/* A head, decoded. Valid after DONE. Views that do not apply are empty. */
typedef struct asx_http1_head {
    asx_header_field *fields; /* the caller's storage; set by init and kept */
    uint32_t field_cap;
    uint32_t field_count;

    uint8_t method;        /* asx_http_method; request */
    uint8_t form;          /* asx_http1_target_form; request */
    uint8_t framing;       /* asx_http1_framing */
    uint8_t version_minor; /* 0 or 1 */
    uint16_t status;       /* response */
    bool keep_alive;       /* the peer's side of it: version and Connection */
    bool expect_continue;  /* asked for, in 1.1, and a body follows */
    bool has_length;       /* a Content-Length was there, 0 included */
    uint64_t content_length;

    asx_view method_name;
    asx_view target;
    asx_view path; /* path with query as the router wants it: "/" for http://host, "*" for asterisk,
                      empty for authority form. Not decoded. */
    asx_view host; /* with port: of the target when it has one, else of Host */
    asx_view upgrade; /* value of Upgrade when Connection names it, in 1.1 */
    asx_view reason;  /* response */

    uint32_t head_len; /* bytes up to and including the empty line, a leading empty line included */
} asx_http1_head;

/* Parser state; fields with _ are its own. Initialised once per head, by init or reset. */
typedef struct asx_http1_parser {
    asx_http1_head head;
    asx_http1_error error;
    const asx_http1_limits *limits;
    bool accept_preface; /* set by the caller after init: recognise the HTTP/2 preface */

    bool _response;
    uint8_t _request_method; /* what the response answers */
    uint8_t _phase;
    uint8_t _connection; /* tokens seen in Connection */
    uint32_t _seen;      /* fields that may stand once */
    const char *_base;   /* where the head stood in the last call: views follow it when it moves */
    uint32_t _line;      /* start of the line not yet parsed */
    uint32_t _scan;      /* bytes verified in the element that was cut, from the head's start */
    uint32_t _colon;     /* where the cut line's name ends, or 0 */
    uint32_t _fields;    /* start of the header section */
    uint32_t _host_at, _length_at, _coding_at; /* offsets of the values, for errors */
    asx_view _upgrade, _host;
    uint8_t _good_host_len; /* the last Host that was valid: most heads bring the same again */
    char _good_host[39];
} asx_http1_parser;

/* Prepares for one request head.
 *
 * limits     outlives the parser
 * fields     storage for field_cap fields; the smaller of field_cap and limits->field_count_max is
 *            the limit
 */
void asx_http1_parser_init_request(asx_http1_parser *parser, const asx_http1_limits *limits,
                                   asx_header_field *fields, uint32_t field_cap);
/* Prepares for one response head.
 *
 * request_method  of the request it answers: HEAD and CONNECT change the framing */
void asx_http1_parser_init_response(asx_http1_parser *parser, const asx_http1_limits *limits,
                                    asx_header_field *fields, uint32_t field_cap,
                                    asx_http_method request_method);
/* Prepares for the next head of the same kind, with the same storage and limits. */
void asx_http1_parser_reset(asx_http1_parser *parser);

/* Parses what is there.
 *
 * ptr, len  the head from its first byte; a later call sees the same bytes and maybe more, and the
 *           buffer may have moved in between
 * lends     views in parser->head point into ptr, valid after DONE
 */
ASX_NODISCARD asx_http1_verdict asx_http1_parse(asx_http1_parser *parser, const char *ptr,
                                                size_t len);

typedef enum asx_http1_event {
    ASX_HTTP1_BODY_NEED_MORE, /* all is consumed, or a trailer line is not whole yet */
    ASX_HTTP1_BODY_DATA,      /* `data`, never empty */
    ASX_HTTP1_BODY_TRAILER,   /* `trailer` */
    ASX_HTTP1_BODY_END,       /* what follows `consumed` belongs to the next message */
    ASX_HTTP1_BODY_ERROR,     /* body->error; the connection must close */
} asx_http1_event;

const char *asx_http1_event_name(asx_http1_event event);

typedef enum asx_http1_trailer_policy {
    ASX_HTTP1_TRAILERS_DROP,   /* forbidden ones vanish */
    ASX_HTTP1_TRAILERS_REFUSE, /* forbidden ones are an error */
} asx_http1_trailer_policy;

/* Decodes the body that follows a head: by length, chunked, or until close. */
typedef struct asx_http1_body {
    asx_http1_error error;
    asx_view data;            /* after DATA: into the bytes of that call */
    asx_header_field trailer; /* after TRAILER: likewise */
    uint64_t received_bytes;  /* body bytes delivered so far */
    uint8_t trailer_policy;   /* asx_http1_trailer_policy, DROP after init; the caller may set it */

    uint8_t _framing, _state, _digits;
    bool _response;
    uint32_t _line_bytes, _ext_bytes, _trailer_bytes, _trailer_count, _scan;
    uint64_t _left;   /* of the body by length, or of the chunk */
    uint64_t _offset; /* bytes consumed so far */
    const asx_http1_limits *_limits;
} asx_http1_body;

/* limits  outlives the body; a Content-Length above body_bytes_max is the first event's error */
void asx_http1_body_init(asx_http1_body *body, const asx_http1_head *head,
                         const asx_http1_limits *limits);
/* The same without a head: `content_length` counts for ASX_HTTP1_FRAMING_LENGTH only. */
void asx_http1_body_init_framing(asx_http1_body *body, asx_http1_framing framing,
                                 uint64_t content_length, const asx_http1_limits *limits);

/* Takes one event off the front of the bytes.
 *
 * consumed  how many bytes are done with. After NEED_MORE the rest (only ever part of a trailer
 *           line, bounded by trailer_bytes_max) must be offered again with more behind it.
 * lends     data and trailer point into ptr */
ASX_NODISCARD asx_http1_event asx_http1_body_next(asx_http1_body *body, const char *ptr, size_t len,
                                                  size_t *consumed);
/* The peer closed its side: END when the framing ends that way or has ended, else ERROR. */
ASX_NODISCARD asx_http1_event asx_http1_body_eof(asx_http1_body *body);

ASX_INLINE bool asx_http1_framing_has_body(asx_http1_framing framing)
{
    return framing == ASX_HTTP1_FRAMING_LENGTH || framing == ASX_HTTP1_FRAMING_CHUNKED ||
           framing == ASX_HTTP1_FRAMING_CLOSE;
}

/* The same parser over different scanners; all give the same result on the same bytes. */
typedef enum asx_http1_variant {
    ASX_HTTP1_PLAIN, /* byte by byte: the truth the others are tested against */
    ASX_HTTP1_SWAR,  /* eight bytes a step in a general register */
    ASX_HTTP1_SSE2,
    ASX_HTTP1_AVX2,
    ASX_HTTP1_VARIANT_COUNT,
} asx_http1_variant;

const char *asx_http1_variant_name(asx_http1_variant variant);
/* Whether this host and build can run it. */
bool asx_http1_variant_has(asx_http1_variant variant);
/* The one that asx_http1_parse uses: the best of this host, found when the program is loaded. */
asx_http1_variant asx_http1_variant_best(void);
/* asserts  asx_http1_variant_has(variant) */
ASX_NODISCARD asx_http1_verdict asx_http1_parse_variant(asx_http1_parser *parser, const char *ptr,
                                                        size_t len, asx_http1_variant variant);

ASX_END_DECLS

#endif
