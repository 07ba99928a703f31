#include "static_file.h"

#include <asx/proto/http_date.h>
#include <asx/proto/http_status.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/op.h>
#include <asx/shard/shard.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INDEX "index.html"
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) /* not to wait on a FIFO */

typedef enum coding { CODING_NONE, CODING_BR, CODING_GZIP } coding;

static const char *const coding_suffix[] = { "", ".br", ".gz" };
static const char *const coding_name[] = { "", "br", "gzip" };

/* What the pool's thread is asked, and what it found. */
typedef struct lookup {
    asx_op op;
    int32_t dir_fd;
    bool accepts[3];
    int32_t fd; /* -1 when errnum tells why */
    int errnum;
    coding coding;
    bool is_dir; /* a directory without the slash at its end */
    bool has_variants;
    struct stat st;
    size_t path_len;
    char *path; /* room for INDEX and a suffix behind it */
} lookup;

/* Without openat2: every component but the last is a directory, and nothing is a link. */
static int open_by_component(int dir_fd, const char *path)
{
    char name[256];
    int fd = dir_fd;
    for (;;) {
        const size_t len = strcspn(path, "/");
        const bool last = path[len] == '\0';
        if (len == 0 || len >= sizeof(name)) {
            errno = len == 0 && last && fd == dir_fd ? EISDIR : len == 0 ? ENOENT : ENAMETOOLONG;
            break;
        }
        memcpy(name, path, len);
        name[len] = '\0';
        const int next = openat(fd, name, OPEN_FLAGS | O_NOFOLLOW | (last ? 0 : O_DIRECTORY));
        const int errnum = errno;
        if (fd != dir_fd) {
            close(fd);
        }
        if (next < 0 || last) {
            errno = errnum == ELOOP ? ENOENT : errnum;
            return next;
        }
        fd = next;
        path += len + 1;
        if (*path == '\0') {
            return fd; /* "dir/": the directory itself */
        }
    }
    const int errnum = errno;
    if (fd != dir_fd) {
        close(fd);
    }
    errno = errnum;
    return -1;
}

static int open_beneath(int dir_fd, const char *path)
{
    const struct open_how how = {
        .flags = OPEN_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    const char *const name = path[0] == '\0' ? "." : path;
    const long fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
    /* A seccomp filter that does not know the call answers ENOSYS or EPERM. */
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        return path[0] == '\0' ? dup(dir_fd) : open_by_component(dir_fd, path);
    }
    return (int)fd;
}

/* Opens `path` and looks at it. True for a regular file. */
static bool open_file(lookup *self, const char *path)
{
    self->fd = open_beneath(self->dir_fd, path);
    if (self->fd < 0) {
        self->errnum = errno;
        return false;
    }
    self->errnum = fstat(self->fd, &self->st) == 0 ? 0 : errno;
    if (self->errnum == 0 && S_ISREG(self->st.st_mode)) {
        return true;
    }
    if (self->errnum == 0) {
        self->errnum = S_ISDIR(self->st.st_mode) ? EISDIR : ENOENT;
    }
    close(self->fd);
    self->fd = -1;
    return false;
}

/* NAME.br or NAME.gz beside a file that is there; never instead of one that is not. */
static void prefer_variant(lookup *self)
{
    const struct stat plain = self->st;
    const int32_t plain_fd = self->fd;
    for (unsigned c = CODING_BR; c <= CODING_GZIP; c++) {
        memcpy(self->path + self->path_len, coding_suffix[c], strlen(coding_suffix[c]) + 1);
        if (open_file(self, self->path)) {
            self->has_variants = true;
            if (self->accepts[c]) {
                self->coding = (coding)c;
                close(plain_fd);
                break;
            }
            close(self->fd);
        }
        self->st = plain;
        self->fd = plain_fd;
        self->errnum = 0;
    }
    self->path[self->path_len] = '\0';
}

/* On a thread of the blocking pool: touches nothing but the lookup. */
static void lookup_run(asx_op *op)
{
    lookup *const self = asx_container_of(op, lookup, op);
    bool found = open_file(self, self->path);
    if (!found && self->errnum == EISDIR) {
        const bool slash = self->path_len == 0 || self->path[self->path_len - 1] == '/';
        if (!slash) {
            self->is_dir = true;
        } else {
            memcpy(self->path + self->path_len, INDEX, sizeof(INDEX));
            self->path_len += sizeof(INDEX) - 1;
            found = open_file(self, self->path);
        }
    }
    if (found) {
        prefer_variant(self);
    }
    op->err = ASX_OK;
    op->result = 0;
}

static asx_outcome reply_status(asx_cx *cx, asx_http_exchange *x, unsigned status)
{
    char body[64];
    const asx_view phrase = asx_http_status_phrase(status);
    const int len = snprintf(body, sizeof(body), "%u %.*s\n", status, (int)phrase.len, phrase.ptr);
    return asx_http_reply(cx, x, status, "text/plain; charset=utf-8",
                          asx_view_of(body, (size_t)len));
}

static unsigned errno_status(int errnum)
{
    switch (errnum) {
    case EACCES:
    case EPERM:
        return 403;
    case ENAMETOOLONG:
        return 414;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return 503;
    case EIO:
        return 500;
    default:
        return 404; /* ENOENT, ENOTDIR, ELOOP, and EXDEV: it leads out of the root */
    }
}

/* No name that begins with a dot: neither hidden files nor what is left of a climb. */
static bool path_is_hidden(asx_view path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '.' && (i == 0 || path.ptr[i - 1] == '/')) {
            return true;
        }
    }
    return false;
}

static asx_outcome reply_slash(asx_cx *cx, asx_http_exchange *x)
{
    const asx_view path = asx_http_path(x), query = asx_http_query(x);
    const asx_err err = asx_http_header_addf(x, "Location", "%.*s/%s%.*s", (int)path.len, path.ptr,
                                             query.len ? "?" : "", (int)query.len, query.ptr);
    return err ? reply_status(cx, x, 404) : reply_status(cx, x, 301);
}

/* The entity tag changes with the content as far as the file system tells. */
static asx_view etag_of(const lookup *self, char *buf, size_t cap)
{
    const uint64_t mtime_ns =
        (uint64_t)self->st.st_mtim.tv_sec * ASX_NS_PER_S + (uint64_t)self->st.st_mtim.tv_nsec;
    const int len =
        snprintf(buf, cap, "\"%" PRIx64 "-%" PRIx64 "%s%s\"", mtime_ns, (uint64_t)self->st.st_size,
                 self->coding ? "-" : "", coding_name[self->coding]);
    return asx_view_of(buf, (size_t)len);
}

typedef struct conditions {
    asx_view etag;
    int64_t modified_s, now_s;
} conditions;

static bool dated(const asx_http_exchange *x, asx_header_id id, int64_t now_s, int64_t *at_s)
{
    asx_view value;
    return asx_http_header_known(x, id, &value) && asx_http_date_parse(value, now_s, at_s);
}

/* RFC 9110, 13.2.2: 200, 304 or 412. */
static unsigned evaluate(const asx_http_exchange *x, const conditions *c)
{
    asx_view value;
    int64_t at_s;
    if (asx_http_header_known(x, ASX_HEADER_IF_MATCH, &value)) {
        if (!asx_static_etag_listed(value, c->etag)) {
            return 412;
        }
    } else if (dated(x, ASX_HEADER_IF_UNMODIFIED_SINCE, c->now_s, &at_s) && c->modified_s > at_s) {
        return 412;
    }
    if (asx_http_header_known(x, ASX_HEADER_IF_NONE_MATCH, &value)) {
        return asx_static_etag_listed(value, c->etag) ? 304 : 200;
    }
    if (dated(x, ASX_HEADER_IF_MODIFIED_SINCE, c->now_s, &at_s) && c->modified_s <= at_s) {
        return 304;
    }
    return 200;
}

/* The range asked for counts, unless If-Range names another version: strongly compared. */
static asx_range_verdict range_asked(const asx_http_exchange *x, const conditions *c, uint64_t size,
                                     uint64_t *first, uint64_t *length)
{
    asx_view value, version;
    int64_t at_s;
    if (!asx_http_header_known(x, ASX_HEADER_RANGE, &value)) {
        return ASX_RANGE_NONE;
    }
    if (asx_http_header_known(x, ASX_HEADER_IF_RANGE, &version)) {
        const bool is_tag = version.len > 0 && (version.ptr[0] == '"' || version.ptr[0] == 'W');
        const bool same =
            is_tag ? asx_view_eq(version, c->etag)
                   : asx_http_date_parse(version, c->now_s, &at_s) && at_s == c->modified_s;
        if (!same) {
            return ASX_RANGE_NONE;
        }
    }
    return asx_static_range(value, size, first, length);
}

static asx_err headers_add(asx_http_exchange *x, const lookup *self, const conditions *c)
{
    char date[ASX_HTTP_DATE_LEN];
    asx_http_date_format(c->modified_s, date);
    asx_err err = asx_http_header_add(x, "ETag", c->etag);
    if (!err) {
        err = asx_http_header_add(x, "Last-Modified", asx_view_of(date, sizeof(date)));
    }
    if (!err && self->has_variants) {
        err = asx_http_header_add(x, "Vary", asx_view_str("Accept-Encoding"));
    }
    if (!err && self->coding) {
        err = asx_http_header_add(x, "Content-Encoding", asx_view_str(coding_name[self->coding]));
    }
    return err ? err : asx_http_header_add(x, "Accept-Ranges", asx_view_str("bytes"));
}

static asx_outcome send_file(asx_cx *cx, asx_http_exchange *x, const lookup *self, unsigned status,
                             uint64_t first, uint64_t length)
{
    const asx_view name = asx_view_of(self->path, self->path_len);
    ASX_TRY(asx_http_begin(cx, x, status, asx_static_mime(name), length));
    if (asx_http_method_of(x) != ASX_HTTP_HEAD && length > 0) {
        ASX_TRY(asx_http_write_file(cx, x, self->fd, first, length));
    }
    return asx_http_end(cx, x);
}

static asx_outcome reply_found(asx_cx *cx, asx_http_exchange *x, const asx_static_root *root,
                               const lookup *self)
{
    char tag[64];
    const uint64_t size = (uint64_t)self->st.st_size;
    uint64_t first = 0, length = size;
    const conditions c = {
        .etag = etag_of(self, tag, sizeof(tag)),
        .modified_s = self->st.st_mtim.tv_sec,
        .now_s = (int64_t)((root->epoch_unix_ns + asx_now(cx)) / ASX_NS_PER_S),
    };
    const unsigned status = evaluate(x, &c);
    if (status == 412) {
        return reply_status(cx, x, status);
    }
    asx_err err = headers_add(x, self, &c);
    if (err) {
        return asx_fail(err);
    }
    if (status == 304) {
        return asx_http_reply(cx, x, status, NULL, asx_view_of(NULL, 0));
    }
    switch (range_asked(x, &c, size, &first, &length)) {
    case ASX_RANGE_NONE:
        return send_file(cx, x, self, 200, 0, size);
    case ASX_RANGE_ONE:
        err = asx_http_header_addf(x, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                                   first, first + length - 1, size);
        return err ? asx_fail(err) : send_file(cx, x, self, 206, first, length);
    case ASX_RANGE_UNSATISFIABLE:
        break;
    }
    err = asx_http_header_addf(x, "Content-Range", "bytes */%" PRIu64, size);
    return err ? asx_fail(err) : reply_status(cx, x, 416);
}

/* Closed also when the handler panics or its stack is abandoned. */
typedef struct open_fd {
    asx_defer defer;
    int32_t fd;
} open_fd;

static void open_fd_close(asx_cx *cx, asx_defer *defer)
{
    asx_driver *const driver = asx_shard_driver(asx_shard_of(cx));
    driver->ops->close_now(driver, asx_container_of(defer, open_fd, defer)->fd);
}

asx_outcome asx_static_reply(asx_cx *cx, asx_http_exchange *x, const asx_static_root *root,
                             asx_view path)
{
    asx_view accepted;
    if (path_is_hidden(path) || (path.len > 0 && path.ptr[0] == '/')) {
        return reply_status(cx, x, 404);
    }
    const size_t cap = path.len + sizeof(INDEX) + 4;
    lookup *const self = asx_calloc(cx, sizeof(*self));
    char *const buf = asx_alloc(cx, cap);
    open_fd *const held = asx_calloc(cx, sizeof(*held));
    if (!self || !buf || !held) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    memcpy(buf, path.ptr, path.len);
    buf[path.len] = '\0';
    *self = (lookup){ .dir_fd = root->dir_fd, .fd = -1, .path = buf, .path_len = path.len };
    if (asx_http_header_known(x, ASX_HEADER_ACCEPT_ENCODING, &accepted)) {
        self->accepts[CODING_BR] = asx_static_accepts(accepted, "br");
        self->accepts[CODING_GZIP] = asx_static_accepts(accepted, "gzip");
    }
    self->op.code = ASX_OP_TASK;
    self->op.work = lookup_run;
    ASX_TRY(asx_op_await(cx, &self->op));
    if (self->fd < 0) {
        return self->is_dir ? reply_slash(cx, x) : reply_status(cx, x, errno_status(self->errnum));
    }
    held->fd = self->fd;
    asx_defer_push(cx, &held->defer, open_fd_close);
    return reply_found(cx, x, root, self);
}
