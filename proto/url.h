/* URLs as HTTP carries them: authorities, absolute targets, paths and queries.
 *
 * Model.   Nothing is decoded twice. A path is decoded once, whole, by asx_url_decode_path, under
 *          a policy that says what becomes of the few sequences that could mean two things.
 * Owner.   Nobody: pure functions over the caller's bytes; decoded text goes where the caller says.
 * Bounds.  Linear in the input; a decoded text is never longer than its source.
 * Source.  RFC 3986; RFC 9110 section 4.2 (http and https).
 */
#ifndef ASX_PROTO_URL_H
#define ASX_PROTO_URL_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/view.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_URL_PORT_NONE UINT32_MAX

/* Splits `host[:port]`: a registered name, an IPv4 address or a bracketed IPv6 address, no
 * userinfo, not empty. Commas are refused though the grammar has them: a list of two hosts is what
 * merging two Host fields would give.
 *
 * host  keeps the brackets; port is ASX_URL_PORT_NONE when absent or empty */
bool asx_url_authority_split(asx_view authority, asx_view *host, uint32_t *port);

/* An absolute target of scheme http or https. */
typedef struct asx_url {
    bool secure; /* https */
    asx_view authority;
    asx_view host;
    uint32_t port;       /* the scheme's own when absent */
    asx_view path_query; /* "" when nothing follows the authority */
} asx_url;

bool asx_url_parse(asx_view text, asx_url *url);

/* Splits at the first '?'; returns whether there was one. */
bool asx_url_query_split(asx_view path_query, asx_view *path, asx_view *query);

typedef enum asx_url_error {
    ASX_URL_OK = 0,
    ASX_URL_BAD_ESCAPE,    /* '%' without two hex digits */
    ASX_URL_NUL,           /* %00 */
    ASX_URL_CONTROL,       /* another control byte, written out or escaped */
    ASX_URL_ENCODED_SLASH, /* %2F, or %5C, where the policy refuses it */
    ASX_URL_BACKSLASH,     /* '\' where the policy refuses it */
    ASX_URL_DOT_SEGMENT,   /* "." or ".." where the policy refuses it */
    ASX_URL_ESCAPES_ROOT,  /* more ".." than segments */
    ASX_URL_NOT_UTF8,      /* where the policy wants UTF-8 */
    ASX_URL_NOT_ABSOLUTE,  /* does not start with '/' */
    ASX_URL_TOO_LONG,      /* does not fit the caller's storage */
} asx_url_error;

const char *asx_url_error_name(asx_url_error error);

/* What becomes of an encoded slash. */
typedef enum asx_url_slash {
    ASX_URL_SLASH_KEEP,   /* stays "%2F" (upper case) inside its segment */
    ASX_URL_SLASH_REFUSE, /* an error */
    ASX_URL_SLASH_DECODE, /* a slash like any other: the path may gain segments */
} asx_url_slash;

/* What becomes of "." and "..", escaped or not. */
typedef enum asx_url_dots {
    ASX_URL_DOTS_RESOLVE, /* as RFC 3986, 5.2.4, but climbing above the root is an error */
    ASX_URL_DOTS_REFUSE,
} asx_url_dots;

/* %00 and controls are always refused. Zero-filled: keep slashes, resolve dots, any bytes. */
typedef struct asx_url_policy {
    asx_url_slash slash;
    asx_url_dots dots;
    bool refuse_backslash; /* for whoever maps paths to files of systems that split there */
    bool require_utf8;
    bool merge_slashes; /* "//" counts as "/" */
} asx_url_policy;

/* Decodes and normalises the path of an origin-form target (without its query).
 *
 * buf, cap  path.len + 1 bytes always suffice; may be path.ptr itself
 * out       in buf; not terminated */
ASX_NODISCARD asx_url_error asx_url_decode_path(asx_view path, const asx_url_policy *policy,
                                                char *buf, size_t cap, asx_view *out);

/* Decodes one component: a query name or value, a path parameter.
 *
 * plus  whether '+' means space, as in forms */
ASX_NODISCARD asx_url_error asx_url_decode(asx_view text, bool plus, char *buf, size_t cap,
                                           asx_view *out);

/* Takes the next name=value pair off a query; empty pairs are skipped. False at the end. Name and
 * value are not decoded yet; a pair without '=' has an empty value. */
bool asx_url_query_next(asx_view *rest, asx_view *name, asx_view *value);

/* Whether the bytes are UTF-8 without surrogates and overlong forms. */
bool asx_url_utf8_check(asx_view text);

ASX_END_DECLS

#endif
