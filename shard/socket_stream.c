#include <asx/shard/base/assert.h>
#include <asx/shard/op.h>
#include <asx/shard/region.h>
#include <asx/shard/shard.h>
#include <asx/shard/socket_stream.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

typedef struct socket_stream {
    asx_stream stream;
    asx_region *region;
    asx_driver *driver;
    asx_region_waiter region_end;
    char *buf; /* NULL before the first read */
    int32_t fd;
} socket_stream;

static const asx_stream_ops socket_ops;

static socket_stream *socket_of(asx_stream *stream)
{
    asx_assert(stream->ops == &socket_ops);
    return asx_container_of(stream, socket_stream, stream);
}

/* What the several ways of a peer to be gone have in common. */
static asx_outcome peer_outcome(asx_outcome outcome)
{
    if (outcome.severity == ASX_SEVERITY_ERR &&
        asx_err_domain_of(outcome.err) == ASX_ERR_DOMAIN_ERRNO) {
        switch (asx_err_code(outcome.err)) {
        case ECONNRESET:
        case ECONNABORTED:
        case EPIPE:
        case ENOTCONN:
            return asx_fail(ASX_E(DISCONNECTED));
        default:
            break;
        }
    }
    return outcome;
}

static asx_outcome socket_read(asx_cx *cx, asx_stream *stream, asx_instant deadline_ns,
                               asx_view *data)
{
    socket_stream *const self = socket_of(stream);
    asx_op op = { .code = ASX_OP_RECV, .fd = self->fd };
    if (!self->buf) {
        self->buf = asx_region_alloc(self->region, ASX_SOCKET_STREAM_BYTES);
        if (!self->buf) {
            return asx_fail(ASX_E(NO_MEMORY));
        }
    }
    struct iovec iov = { .iov_base = self->buf, .iov_len = ASX_SOCKET_STREAM_BYTES };
    op.iov = &iov;
    op.iov_count = 1;
    const asx_outcome outcome = asx_op_await_until(cx, &op, deadline_ns);
    if (!asx_is_ok(outcome)) {
        return peer_outcome(outcome);
    }
    asx_assert(outcome.value <= ASX_SOCKET_STREAM_BYTES);
    *data = asx_view_of(self->buf, outcome.value);
    return outcome;
}

/* One gathered send; what it took is counted also when it failed. */
static asx_outcome send_some(asx_cx *cx, socket_stream *self, asx_instant deadline_ns,
                             struct iovec *iov, uint32_t count, size_t total)
{
    asx_op op = { .code = count == 1 ? ASX_OP_SEND : ASX_OP_SENDV, .fd = self->fd };
    op.iov = iov;
    op.iov_count = count;
    const asx_outcome outcome = asx_op_await_until(cx, &op, deadline_ns);
    self->stream.bytes_out += op.result;
    if (asx_is_ok(outcome) && outcome.value < total) {
        return asx_fail(ASX_E(DISCONNECTED));
    }
    return peer_outcome(outcome);
}

#define SEND_BYTES_MAX (1u << 30) /* of one operation: its result is 32 bits wide */

static asx_outcome socket_writev(asx_cx *cx, asx_stream *stream, asx_instant deadline_ns,
                                 const asx_view *pieces, uint32_t count)
{
    socket_stream *const self = socket_of(stream);
    struct iovec iov[ASX_OP_IOV_MAX];
    uint32_t at = 0;
    size_t skip = 0;
    while (at < count) {
        uint32_t n = 0;
        size_t total = 0;
        while (at < count && n < ASX_OP_IOV_MAX && total < SEND_BYTES_MAX) {
            size_t len = pieces[at].len - skip;
            len = len < SEND_BYTES_MAX - total ? len : SEND_BYTES_MAX - total;
            if (len > 0) {
                const char *const from = pieces[at].ptr + skip;
                memcpy(&iov[n].iov_base, &from, sizeof(from));
                iov[n++].iov_len = len;
                total += len;
                skip += len;
            }
            if (skip == pieces[at].len) {
                at++;
                skip = 0;
            }
        }
        if (n > 0) {
            ASX_TRY(send_some(cx, self, deadline_ns, iov, n, total));
        }
    }
    return asx_ok(0);
}

static asx_outcome socket_shutdown_write(asx_cx *cx, asx_stream *stream, asx_instant deadline_ns)
{
    asx_op op = { .code = ASX_OP_SHUTDOWN, .fd = socket_of(stream)->fd, .arg = SHUT_WR };
    return peer_outcome(asx_op_await_until(cx, &op, deadline_ns));
}

static void socket_free(socket_stream *self)
{
    asx_region_off_closed(&self->region_end);
    if (self->buf) {
        asx_region_free(self->region, self->buf, ASX_SOCKET_STREAM_BYTES);
    }
    asx_region_free(self->region, self, sizeof(*self));
}

static void socket_drop(asx_stream *stream)
{
    socket_stream *const self = socket_of(stream);
    self->driver->ops->close_now(self->driver, self->fd);
    socket_free(self);
}

static void socket_close(asx_cx *cx, asx_stream *stream)
{
    socket_stream *const self = socket_of(stream);
    asx_op op = { .code = ASX_OP_CLOSE, .fd = self->fd };
    asx_outcome outcome = asx_ok(0);
    ASX_MASK(cx, 1) {
        outcome = asx_op_await(cx, &op);
    }
    /* Refused or cut short before the driver did anything: the descriptor is still ours. */
    if (outcome.severity == ASX_SEVERITY_CANCELLED || asx_is_err(outcome, ASX_E(NO_CAPABILITY))) {
        self->driver->ops->close_now(self->driver, self->fd);
    }
    socket_free(self);
}

static const asx_stream_ops socket_ops = {
    .kind = "socket",
    .read = socket_read,
    .writev = socket_writev,
    .shutdown_write = socket_shutdown_write,
    .close = socket_close,
    .drop = socket_drop,
};

/* The region gives its memory back: no task is left that could be inside a call. */
static void socket_region_ending(asx_region_waiter *waiter, asx_outcome value)
{
    socket_stream *const self = asx_container_of(waiter, socket_stream, region_end);
    (void)value;
    asx_region_off_closed(waiter);
    self->driver->ops->close_now(self->driver, self->fd);
}

asx_err asx_socket_adopt(asx_cx *cx, asx_region *region, int32_t fd, asx_stream **stream)
{
    asx_region *const home = region ? region : asxi_cx_region(cx);
    asx_driver *const driver = asx_shard_driver(asx_shard_of(cx));
    socket_stream *const self = home ? asx_region_alloc(home, sizeof(*self)) : NULL;
    if (!self) {
        driver->ops->close_now(driver, fd);
        return home ? ASX_E(NO_MEMORY) : ASX_E(REGION_CLOSED);
    }
    memset(self, 0, sizeof(*self));
    self->stream.ops = &socket_ops;
    self->region = home;
    self->driver = driver;
    self->fd = fd;
    self->region_end.fn = socket_region_ending;
    self->region_end.ending = socket_region_ending;
    asx_region_on_closed(home, &self->region_end);
    *stream = &self->stream;
    return ASX_OK;
}

asx_outcome asx_socket_connect(asx_cx *cx, asx_region *region, const asx_addr *addr,
                               asx_instant deadline_ns, asx_stream **stream)
{
    asx_driver *const driver = asx_shard_driver(asx_shard_of(cx));
    asx_addr peer = *addr;
    int32_t fd;
    asx_err err = asx_cx_require(cx, ASX_CAP_NET);
    if (err) {
        return asx_fail(err);
    }
    err = driver->ops->socket(driver, (asx_addr_family)addr->family, false, NULL, &fd);
    if (err) {
        return asx_fail(err);
    }
    asx_op op = { .code = ASX_OP_CONNECT, .fd = fd };
    op.addr = &peer;
    const asx_outcome outcome = asx_op_await_until(cx, &op, deadline_ns);
    if (!asx_is_ok(outcome)) {
        driver->ops->close_now(driver, fd);
        return outcome;
    }
    err = asx_socket_adopt(cx, region, fd, stream);
    return err ? asx_fail(err) : asx_ok(0);
}

int32_t asx_socket_stream_fd(asx_stream *stream)
{
    return socket_of(stream)->fd;
}
