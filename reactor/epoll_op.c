#include <asx/shard/base/assert.h>

#include "epoll_internal.h"
#include "socket.h"

#include <poll.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static epoll_try done(asx_op *op, int errnum)
{
    op->err = errnum ? asx_err_errno(errnum) : ASX_OK;
    return EPOLL_TRY_DONE;
}

/* What a call that moves bytes once and is then over has answered. */
static epoll_try once(asx_op *op, ssize_t got)
{
    const int errnum = errno;
    if (got >= 0) {
        op->result = (uint32_t)got;
        return done(op, 0);
    }
    return errnum == EAGAIN || errnum == EINTR ? EPOLL_TRY_AGAIN : done(op, errnum);
}

/* What a call that goes on until `total` has answered. */
static epoll_try more(asx_op *op, ssize_t got, size_t total)
{
    const int errnum = errno;
    if (got < 0) {
        return errnum == EAGAIN  ? EPOLL_TRY_AGAIN
               : errnum == EINTR ? EPOLL_TRY_PARTIAL
                                 : done(op, errnum);
    }
    op->result += (uint32_t)got;
    return op->result >= total || got == 0 ? done(op, 0) : EPOLL_TRY_PARTIAL;
}

#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)

static epoll_try try_sendv(asx_op *op)
{
    struct iovec iov[ASX_OP_IOV_MAX];
    asx_assert(op->iov_count <= ASX_OP_IOV_MAX);
    size_t skip = op->result, total = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < op->iov_count; i++) {
        const struct iovec entry = op->iov[i];
        total += entry.iov_len;
        if (skip >= entry.iov_len) {
            skip -= entry.iov_len;
            continue;
        }
        iov[count].iov_base = (char *)entry.iov_base + skip;
        iov[count].iov_len = entry.iov_len - skip;
        skip = 0;
        count++;
    }
    const struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count };
    return more(op, sendmsg(op->fd, &msg, SEND_FLAGS), total);
}

static epoll_try try_send(asx_op *op)
{
    const struct iovec *const iov = op->iov;
    return more(
        op, send(op->fd, (char *)iov->iov_base + op->result, iov->iov_len - op->result, SEND_FLAGS),
        iov->iov_len);
}

static epoll_try try_sendfile(asx_op *op)
{
    off_t offset = (off_t)(op->offset + op->result);
    const size_t left = op->length - op->result;
    return more(op,
                sendfile(op->fd, op->file_fd, &offset,
                         left < EPOLL_SENDFILE_VISIT ? left : EPOLL_SENDFILE_VISIT),
                op->length);
}

/* The first attempt connects; the next comes when the socket is writable and asks how it went.
 * EALREADY and EISCONN would say so too, but not why it failed. */
static epoll_try try_connect(asx_op *op)
{
    if (op->result == 0) {
        struct sockaddr_storage native;
        const socklen_t len = asx_addr_to_native(op->addr, &native);
        op->result = 1;
        if (connect(op->fd, (struct sockaddr *)&native, len) == 0) {
            op->result = 0;
            return done(op, 0);
        }
        const int errnum = errno;
        if (errnum == EINPROGRESS || errnum == EINTR) {
            return EPOLL_TRY_AGAIN;
        }
        /* EAGAIN: a Unix listener whose backlog is full, which no readiness announces. */
        op->result = 0;
        return done(op, errnum);
    }
    struct pollfd pollfd = { .fd = op->fd, .events = POLLOUT };
    if (poll(&pollfd, 1, 0) == 0) {
        return EPOLL_TRY_AGAIN;
    }
    int errnum = 0;
    socklen_t len = sizeof(errnum);
    if (getsockopt(op->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0) {
        errnum = errno;
    }
    op->result = 0;
    return done(op, errnum);
}

static epoll_try try_recvfrom(asx_op *op)
{
    struct sockaddr_storage native;
    socklen_t len = sizeof(native);
    const ssize_t got = recvfrom(op->fd, op->iov->iov_base, op->iov->iov_len, MSG_DONTWAIT,
                                 (struct sockaddr *)&native, &len);
    const epoll_try tried = once(op, got);
    if (got >= 0 && op->addr) {
        asx_addr_from_native(&native, len, op->addr);
    }
    return tried;
}

static epoll_try try_sendto(asx_op *op)
{
    struct sockaddr_storage native;
    const socklen_t len = asx_addr_to_native(op->addr, &native);
    return once(op, sendto(op->fd, op->iov->iov_base, op->iov->iov_len, SEND_FLAGS,
                           (struct sockaddr *)&native, len));
}

/* Pipes and the like: never block, whatever O_NONBLOCK says of a description others may share.
 * Where the kernel cannot promise that, poll() vouches for one call. */
static epoll_try try_transfer(asx_op *op)
{
    const bool reading = op->code == ASX_OP_READ;
    const struct iovec *const iov = op->iov;
    ssize_t got = reading ? preadv2(op->fd, iov, 1, -1, RWF_NOWAIT)
                          : pwritev2(op->fd, iov, 1, -1, RWF_NOWAIT);
    if (got < 0 && (errno == EOPNOTSUPP || errno == ESPIPE || errno == EINVAL)) {
        struct pollfd pollfd = { .fd = op->fd, .events = reading ? POLLIN : POLLOUT };
        if (poll(&pollfd, 1, 0) == 0) {
            return EPOLL_TRY_AGAIN;
        }
        got = reading ? read(op->fd, iov->iov_base, iov->iov_len)
                      : write(op->fd, iov->iov_base, iov->iov_len);
    }
    return once(op, got);
}

epoll_try asxi_epoll_op_try(asxi_epoll *epoll, asx_op *op)
{
    epoll->reactor.stats.syscalls++;
    switch (op->code) {
    case ASX_OP_CONNECT:
        return try_connect(op);
    case ASX_OP_RECV:
        return once(op, recv(op->fd, op->iov->iov_base, op->iov->iov_len, MSG_DONTWAIT));
    case ASX_OP_SEND:
        return try_send(op);
    case ASX_OP_SENDV:
        return try_sendv(op);
    case ASX_OP_RECVFROM:
        return try_recvfrom(op);
    case ASX_OP_SENDTO:
        return try_sendto(op);
    case ASX_OP_SENDFILE:
        return try_sendfile(op);
    case ASX_OP_READ:
    case ASX_OP_WRITE:
        return try_transfer(op);
    default:
        asx_unreachable();
    }
}

bool asxi_epoll_file_is_disk(int32_t fd)
{
    struct stat st;
    return fstat(fd, &st) != 0 || S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode);
}

int32_t asxi_epoll_accept(asxi_epoll *epoll, asx_op *op)
{
    struct sockaddr_storage native;
    socklen_t len = sizeof(native);
    epoll->reactor.stats.syscalls++;
    const int fd = accept4(op->fd, op->addr ? (struct sockaddr *)&native : NULL,
                           op->addr ? &len : NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    const int errnum = errno;
    if (fd >= 0 && op->addr) {
        asx_addr_from_native(&native, len, op->addr);
    }
    return fd >= 0 ? fd : -errnum;
}

int32_t asxi_epoll_recv(asxi_epoll *epoll, asx_op *op, asx_rbuf *rbuf)
{
    epoll->reactor.stats.syscalls++;
    const ssize_t got = recv(op->fd, rbuf->data, rbuf->cap, MSG_DONTWAIT);
    const int errnum = errno;
    return got >= 0 ? (int32_t)got : -errnum;
}
