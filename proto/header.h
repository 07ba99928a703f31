/* Header fields: known names as small integers, the grammar of names and values, and the list
 * syntax that most field values share.
 *
 * Model.   A known name is found by a perfect hash over length, first, third and last byte, and one
 *          compare that ignores ASCII case; everything else is ASX_HEADER_OTHER.
 * Owner.   Nobody: all functions are pure, views point into the caller's bytes.
 * Bounds.  Each function is linear in its input.
 * Source.  RFC 9110 section 5 (fields), 5.6.1 (lists), 5.6.2 (tokens), 6.5.1 (trailers).
 */
#ifndef ASX_PROTO_HEADER_H
#define ASX_PROTO_HEADER_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/view.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

/* What a name means to whoever moves messages on. */
#define ASX_HEADER_HOP 1u        /* ends at the next hop: removed on forwarding (RFC 9110, 7.6.1) */
#define ASX_HEADER_NO_TRAILER 2u /* frames, routes, authenticates or steers caches: no trailer */
#define ASX_HEADER_PINNED 4u     /* may not be named by Connection: framing and security */

/* X(id, text, flags): the text in lower case. */
#define ASX_HEADER_LIST(X)                                                     \
    X(ACCEPT, "accept", 0)                                                     \
    X(ACCEPT_CHARSET, "accept-charset", 0)                                     \
    X(ACCEPT_ENCODING, "accept-encoding", 0)                                   \
    X(ACCEPT_LANGUAGE, "accept-language", 0)                                   \
    X(ACCEPT_RANGES, "accept-ranges", 0)                                       \
    X(ACCESS_CONTROL_ALLOW_CREDENTIALS, "access-control-allow-credentials", 4) \
    X(ACCESS_CONTROL_ALLOW_HEADERS, "access-control-allow-headers", 4)         \
    X(ACCESS_CONTROL_ALLOW_METHODS, "access-control-allow-methods", 4)         \
    X(ACCESS_CONTROL_ALLOW_ORIGIN, "access-control-allow-origin", 4)           \
    X(ACCESS_CONTROL_EXPOSE_HEADERS, "access-control-expose-headers", 4)       \
    X(ACCESS_CONTROL_MAX_AGE, "access-control-max-age", 0)                     \
    X(ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers", 4)     \
    X(ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method", 4)       \
    X(AGE, "age", 2)                                                           \
    X(ALLOW, "allow", 0)                                                       \
    X(ALT_SVC, "alt-svc", 0)                                                   \
    X(AUTHORIZATION, "authorization", 6)                                       \
    X(CACHE_CONTROL, "cache-control", 6)                                       \
    X(CONNECTION, "connection", 3)                                             \
    X(CONTENT_DISPOSITION, "content-disposition", 0)                           \
    X(CONTENT_ENCODING, "content-encoding", 6)                                 \
    X(CONTENT_LANGUAGE, "content-language", 0)                                 \
    X(CONTENT_LENGTH, "content-length", 6)                                     \
    X(CONTENT_LOCATION, "content-location", 0)                                 \
    X(CONTENT_RANGE, "content-range", 6)                                       \
    X(CONTENT_SECURITY_POLICY, "content-security-policy", 4)                   \
    X(CONTENT_TYPE, "content-type", 6)                                         \
    X(COOKIE, "cookie", 6)                                                     \
    X(DATE, "date", 2)                                                         \
    X(DNT, "dnt", 0)                                                           \
    X(EARLY_DATA, "early-data", 4)                                             \
    X(ETAG, "etag", 0)                                                         \
    X(EXPECT, "expect", 6)                                                     \
    X(EXPIRES, "expires", 2)                                                   \
    X(FORWARDED, "forwarded", 6)                                               \
    X(FROM, "from", 0)                                                         \
    X(GRPC_ENCODING, "grpc-encoding", 0)                                       \
    X(GRPC_MESSAGE, "grpc-message", 0)                                         \
    X(GRPC_STATUS, "grpc-status", 0)                                           \
    X(GRPC_TIMEOUT, "grpc-timeout", 0)                                         \
    X(HOST, "host", 6)                                                         \
    X(HTTP2_SETTINGS, "http2-settings", 3)                                     \
    X(IF_MATCH, "if-match", 2)                                                 \
    X(IF_MODIFIED_SINCE, "if-modified-since", 2)                               \
    X(IF_NONE_MATCH, "if-none-match", 2)                                       \
    X(IF_RANGE, "if-range", 2)                                                 \
    X(IF_UNMODIFIED_SINCE, "if-unmodified-since", 2)                           \
    X(KEEP_ALIVE, "keep-alive", 3)                                             \
    X(LAST_MODIFIED, "last-modified", 0)                                       \
    X(LINK, "link", 0)                                                         \
    X(LOCATION, "location", 2)                                                 \
    X(MAX_FORWARDS, "max-forwards", 6)                                         \
    X(ORIGIN, "origin", 6)                                                     \
    X(PRAGMA, "pragma", 2)                                                     \
    X(PRIORITY, "priority", 0)                                                 \
    X(PROXY_AUTHENTICATE, "proxy-authenticate", 3)                             \
    X(PROXY_AUTHENTICATION_INFO, "proxy-authentication-info", 3)               \
    X(PROXY_AUTHORIZATION, "proxy-authorization", 3)                           \
    X(PROXY_CONNECTION, "proxy-connection", 3)                                 \
    X(RANGE, "range", 6)                                                       \
    X(REFERER, "referer", 0)                                                   \
    X(REFERRER_POLICY, "referrer-policy", 4)                                   \
    X(RETRY_AFTER, "retry-after", 2)                                           \
    X(SEC_CH_UA, "sec-ch-ua", 0)                                               \
    X(SEC_CH_UA_MOBILE, "sec-ch-ua-mobile", 0)                                 \
    X(SEC_CH_UA_PLATFORM, "sec-ch-ua-platform", 0)                             \
    X(SEC_FETCH_DEST, "sec-fetch-dest", 4)                                     \
    X(SEC_FETCH_MODE, "sec-fetch-mode", 4)                                     \
    X(SEC_FETCH_SITE, "sec-fetch-site", 4)                                     \
    X(SEC_FETCH_USER, "sec-fetch-user", 4)                                     \
    X(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept", 6)                         \
    X(SEC_WEBSOCKET_EXTENSIONS, "sec-websocket-extensions", 6)                 \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key", 6)                               \
    X(SEC_WEBSOCKET_PROTOCOL, "sec-websocket-protocol", 6)                     \
    X(SEC_WEBSOCKET_VERSION, "sec-websocket-version", 6)                       \
    X(SERVER, "server", 0)                                                     \
    X(SET_COOKIE, "set-cookie", 6)                                             \
    X(STRICT_TRANSPORT_SECURITY, "strict-transport-security", 4)               \
    X(TE, "te", 3)                                                             \
    X(TRACEPARENT, "traceparent", 0)                                           \
    X(TRACESTATE, "tracestate", 0)                                             \
    X(TRAILER, "trailer", 2)                                                   \
    X(TRANSFER_ENCODING, "transfer-encoding", 7)                               \
    X(UPGRADE, "upgrade", 3)                                                   \
    X(UPGRADE_INSECURE_REQUESTS, "upgrade-insecure-requests", 0)               \
    X(USER_AGENT, "user-agent", 0)                                             \
    X(VARY, "vary", 2)                                                         \
    X(VIA, "via", 0)                                                           \
    X(WARNING, "warning", 2)                                                   \
    X(WWW_AUTHENTICATE, "www-authenticate", 6)                                 \
    X(X_CONTENT_TYPE_OPTIONS, "x-content-type-options", 4)                     \
    X(X_FORWARDED_FOR, "x-forwarded-for", 6)                                   \
    X(X_FORWARDED_HOST, "x-forwarded-host", 6)                                 \
    X(X_FORWARDED_PROTO, "x-forwarded-proto", 6)                               \
    X(X_FRAME_OPTIONS, "x-frame-options", 4)                                   \
    X(X_REAL_IP, "x-real-ip", 6)                                               \
    X(X_REQUEST_ID, "x-request-id", 0)                                         \
    X(X_REQUESTED_WITH, "x-requested-with", 0)

typedef enum asx_header_id {
    ASX_HEADER_OTHER = 0,
#define X(id, text, flags) ASX_HEADER_##id,
    ASX_HEADER_LIST(X)
#undef X
        ASX_HEADER_ID_COUNT,
} asx_header_id;

/* One field line. The name keeps the case it had on the wire; the value is trimmed of SP and HTAB
 * at both ends and may carry bytes >= 0x80. */
typedef struct asx_header_field {
    asx_view name, value;
    uint32_t id; /* asx_header_id */
} asx_header_field;

/* Which known name this is, whatever its case; ASX_HEADER_OTHER when none. */
asx_header_id asx_header_lookup(asx_view name);

/* The lower-case text of a known id, "" for ASX_HEADER_OTHER. */
const char *asx_header_id_name(asx_header_id id);

/* ASX_HEADER_HOP, _NO_TRAILER, _PINNED of a known id; 0 for ASX_HEADER_OTHER. */
uint32_t asx_header_flags(asx_header_id id);

/* 1*tchar */
bool asx_header_name_check(asx_view name);
/* No control bytes but HTAB, no SP or HTAB at either end; bytes >= 0x80 pass. */
bool asx_header_value_check(asx_view value);

/* The first field with this id at or after `index`, or NULL. */
const asx_header_field *asx_header_find(const asx_header_field *fields, size_t count,
                                        asx_header_id id);
/* The same for a name without an id; compares without case. */
const asx_header_field *asx_header_find_name(const asx_header_field *fields, size_t count,
                                             asx_view name);

/* Takes the next element off the front of a comma list: trimmed, quoted strings kept whole, empty
 * elements skipped. False at the end.
 *
 * rest  the list; on return, what follows the element */
bool asx_header_list_next(asx_view *rest, asx_view *element);
/* Whether a comma list of tokens holds `token`, without case. */
bool asx_header_list_has(asx_view list, asx_view token);

/* Whether `name` is a hop-by-hop field of a message whose Connection values are among `fields`:
 * known as one, or named by Connection and not pinned. */
bool asx_header_is_hop(const asx_header_field *fields, size_t count, const asx_header_field *field);

/* 1*DIGIT up to 2^63-1: false on anything else. */
bool asx_header_parse_u63(asx_view value, uint64_t *out);

ASX_END_DECLS

#endif
