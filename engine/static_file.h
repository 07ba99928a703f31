/* Static files below one directory.
 *
 * Model.  The path is resolved by the kernel below the directory (openat2, RESOLVE_BENEATH), so
 *         that no "..", no absolute link and no magic link leads out of it; where the kernel has no
 *         openat2, component by component without following any link. Opening and looking happen in
 *         the blocking pool, in one visit. Names that begin with a dot are not served.
 * Answers GET and HEAD; ETag and Last-Modified, If-None-Match, If-Modified-Since, If-Match,
 *         If-Unmodified-Since, If-Range; one byte range (several are answered with the whole file);
 *         NAME.br and NAME.gz beside NAME for clients that accept them; index.html of a directory.
 * Source. RFC 9110 sections 13 and 14.
 */
#ifndef ASX_ENGINE_STATIC_FILE_H
#define ASX_ENGINE_STATIC_FILE_H

#include <asx/proto/http.h>

ASX_BEGIN_DECLS

typedef struct asx_static_root {
    int32_t dir_fd;
    uint64_t epoch_unix_ns; /* Unix time at instant 0 of the shard clock */
} asx_static_root;

/* path     decoded, without a leading slash; "" is the directory itself
 * suspends for the disk and for the peer
 * errors   NO_MEMORY, DISCONNECTED; what the file system refused becomes an answer */
ASX_NODISCARD asx_outcome asx_static_reply(asx_cx *cx, asx_http_exchange *x,
                                           const asx_static_root *root, asx_view path);

/* By the name's extension; application/octet-stream when unknown. */
const char *asx_static_mime(asx_view name);

typedef enum asx_range_verdict {
    ASX_RANGE_NONE, /* no range, several, or one that is to be ignored: the whole file */
    ASX_RANGE_ONE,
    ASX_RANGE_UNSATISFIABLE, /* 416 */
} asx_range_verdict;

/* Reads a Range value against a file of `size` bytes. */
asx_range_verdict asx_static_range(asx_view value, uint64_t size, uint64_t *first,
                                   uint64_t *length);

/* Whether Accept-Encoding `value` allows `coding`, q=0 refusing. */
bool asx_static_accepts(asx_view value, const char *coding);

/* Whether If-None-Match or If-Match `value` lists `etag` (with its quotes), weakly compared. */
bool asx_static_etag_listed(asx_view value, asx_view etag);

ASX_END_DECLS

#endif
