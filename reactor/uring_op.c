#include <asx/shard/base/assert.h>

#include "socket.h"
#include "uring_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#if ASX_TSAN
void __sanitizer_syscall_pre_impl_close(long fd); /* GCC ships no header for it */
#endif

static uring_aux *aux_acquire(asxi_uring *uring)
{
    uring_aux *aux = uring->aux_free;
    if (aux) {
        uring->aux_free = aux->next;
        memset(aux, 0, offsetof(uring_aux, addr));
        return aux;
    }
    return calloc(1, sizeof(*aux));
}

static void aux_release(asxi_uring *uring, asx_op *op)
{
    uring_aux *const aux = asxi_uring_aux(op);
    if (!aux) {
        return;
    }
    if (aux->cut_at) {
        *aux->cut_at = aux->cut;
    }
    free(aux->chunk);
    aux->chunk = NULL;
    aux->next = uring->aux_free;
    uring->aux_free = aux;
    op->err = 0;
}

void asxi_uring_aux_deinit(asxi_uring *uring)
{
    while (uring->aux_free) {
        uring_aux *const aux = uring->aux_free;
        uring->aux_free = aux->next;
        free(aux);
    }
}

void asxi_uring_op_drop(asxi_uring *uring, asx_op *op, asx_err err)
{
    const uint32_t moved = op->result;
    aux_release(uring, op);
    asxi_op_defer(&uring->reactor, op, err, moved);
}

void asxi_uring_op_complete(asxi_uring *uring, asx_op *op, asx_err err, uint32_t result)
{
    aux_release(uring, op);
    asxi_op_complete(&uring->reactor, op, err, result, false);
}

static size_t iov_bytes(const asx_op *op)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < op->iov_count; i++) {
        bytes += op->iov[i].iov_len;
    }
    return bytes;
}

/* The kernel takes `msg` as it stands when the entry is handed over. */
static void sendv_point(asx_op *op, uring_aux *aux)
{
    size_t skip = op->result;
    uint32_t first = 0;
    if (aux->cut_at) {
        *aux->cut_at = aux->cut;
        aux->cut_at = NULL;
    }
    while (first < op->iov_count && skip >= op->iov[first].iov_len) {
        skip -= op->iov[first].iov_len;
        first++;
    }
    if (skip > 0) {
        struct iovec *const entry = &op->iov[first];
        aux->cut = *entry;
        aux->cut_at = entry;
        entry->iov_base = (char *)entry->iov_base + skip;
        entry->iov_len -= skip;
    }
    aux->msg.msg_iov = op->iov + first;
    aux->msg.msg_iovlen = op->iov_count - first;
}

static void aux_fill(asx_op *op, uring_aux *aux)
{
    if (op->code == ASX_OP_CONNECT || op->code == ASX_OP_SENDTO) {
        aux->msg.msg_namelen = asx_addr_to_native(op->addr, &aux->addr);
        aux->msg.msg_name = &aux->addr;
    } else if (op->code == ASX_OP_RECVFROM) {
        aux->msg.msg_namelen = sizeof(aux->addr);
        aux->msg.msg_name = &aux->addr;
    }
    if (op->code == ASX_OP_SENDV) {
        sendv_point(op, aux);
    } else if (op->code != ASX_OP_CONNECT) {
        aux->msg.msg_iov = op->iov;
        aux->msg.msg_iovlen = 1;
    }
}

static bool aux_wanted(const asx_op *op)
{
    switch (op->code) {
    case ASX_OP_CONNECT:
    case ASX_OP_SENDV:
    case ASX_OP_RECVFROM:
    case ASX_OP_SENDTO:
    case ASX_OP_STAT:
    case ASX_OP_SENDFILE:
        return true;
    default:
        return false;
    }
}

/* shutdown() of a socket does not block, while its opcode always costs a worker thread. */
static bool shutdown_now(asxi_uring *uring, asx_op *op)
{
    const int rc = shutdown(op->fd, (int)op->arg);
    const asx_err err = rc == 0 ? ASX_OK : asx_err_errno(errno);
    uring->reactor.stats.syscalls++;
    asxi_op_defer(&uring->reactor, op, err, 0);
    return false;
}

bool asxi_uring_op_start(asxi_uring *uring, asx_op *op)
{
    if (op->code == ASX_OP_SHUTDOWN) {
        return shutdown_now(uring, op);
    }
    if (op->code == ASX_OP_TASK) {
        asxi_op_block(&uring->reactor, op);
        return false;
    }
    if (op->code == ASX_OP_CLOSE) {
        asxi_uring_nonblocking_set(uring, op->fd, false);
    }
    if (!aux_wanted(op)) {
        return true;
    }
    uring_aux *const aux = aux_acquire(uring);
    if (!aux) {
        asxi_op_defer(&uring->reactor, op, asx_err_errno(ENOMEM), 0);
        return false;
    }
    op->err = (asx_err)(uintptr_t)aux;
    if (op->code == ASX_OP_SENDFILE) {
        return asxi_uring_sendfile_start(uring, op);
    }
    if (op->code != ASX_OP_STAT) {
        aux_fill(op, aux);
    }
    if (op->code == ASX_OP_SENDV) {
        asx_assert(op->iov_count <= ASX_OP_IOV_MAX);
    }
    return true;
}

static void prepare_send(asx_op *op, struct io_uring_sqe *sqe)
{
    const struct iovec *const iov = op->iov;
    io_uring_prep_send(sqe, op->fd, (char *)iov->iov_base + op->result, iov->iov_len - op->result,
                       URING_SEND_FLAGS);
}

static void prepare_recv(asx_op *op, struct io_uring_sqe *sqe)
{
    if (op->flags & ASX_OP_MULTI) {
        io_uring_prep_recv_multishot(sqe, op->fd, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = URING_BUF_GROUP;
    } else {
        io_uring_prep_recv(sqe, op->fd, op->iov->iov_base, op->iov->iov_len, 0);
    }
}

static void prepare_stat(asx_op *op, struct io_uring_sqe *sqe)
{
    uring_aux *const aux = asxi_uring_aux(op);
    if (op->path && op->path[0] != '\0') {
        io_uring_prep_statx(sqe, asxi_file_dir(op), op->path, 0, STATX_BASIC_STATS, &aux->statx);
    } else {
        io_uring_prep_statx(sqe, op->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &aux->statx);
    }
}

/* TSan follows descriptors by the calls that it sees. Of a close that the kernel makes it is told,
 * or the number's next holder, on another shard, would seem to race with this one. */
static void close_announce(ASX_UNUSED int32_t fd)
{
#if ASX_TSAN
    __sanitizer_syscall_pre_impl_close(fd);
#endif
}

void asxi_uring_op_prepare(asx_op *op, struct io_uring_sqe *sqe)
{
    uring_aux *const aux = asxi_uring_aux(op);
    switch ((asx_op_code)op->code) {
    case ASX_OP_ACCEPT:
        io_uring_prep_multishot_accept(sqe, op->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        break;
    case ASX_OP_CONNECT:
        io_uring_prep_connect(sqe, op->fd, (struct sockaddr *)&aux->addr, aux->msg.msg_namelen);
        break;
    case ASX_OP_RECV:
        prepare_recv(op, sqe);
        break;
    case ASX_OP_SEND:
        prepare_send(op, sqe);
        break;
    case ASX_OP_SENDV:
        io_uring_prep_sendmsg(sqe, op->fd, &aux->msg, URING_SEND_FLAGS);
        break;
    case ASX_OP_RECVFROM:
        io_uring_prep_recvmsg(sqe, op->fd, &aux->msg, 0);
        break;
    case ASX_OP_SENDTO:
        io_uring_prep_sendmsg(sqe, op->fd, &aux->msg, MSG_NOSIGNAL);
        break;
    case ASX_OP_CLOSE:
        close_announce(op->fd);
        io_uring_prep_close(sqe, op->fd);
        break;
    case ASX_OP_OPEN:
        io_uring_prep_openat(sqe, asxi_file_dir(op), op->path, (int)(op->arg | O_CLOEXEC),
                             (mode_t)op->mode);
        break;
    case ASX_OP_STAT:
        prepare_stat(op, sqe);
        break;
    case ASX_OP_READ:
        io_uring_prep_read(sqe, op->fd, op->iov->iov_base, (unsigned)op->iov->iov_len, op->offset);
        break;
    case ASX_OP_WRITE:
        io_uring_prep_write(sqe, op->fd, op->iov->iov_base, (unsigned)op->iov->iov_len, op->offset);
        break;
    case ASX_OP_FSYNC:
        io_uring_prep_fsync(sqe, op->fd, 0);
        break;
    case ASX_OP_SENDFILE:
        asxi_uring_sendfile_prepare(op, sqe);
        break;
    case ASX_OP_POLL:
        io_uring_prep_poll_add(sqe, op->fd, op->arg);
        break;
    case ASX_OP_NONE:
    case ASX_OP_SHUTDOWN:
    case ASX_OP_TASK:
        asx_unreachable();
    }
    sqe->user_data = (uintptr_t)op;
}

static void finish_accept(asxi_uring *uring, asx_op *op, int32_t res, bool armed)
{
    const bool passing = res == -ECONNABORTED || res == -EINTR || res == -EAGAIN;
    if (res < 0 && !passing) {
        asx_assert(!armed);
        asxi_uring_op_complete(uring, op, asx_err_errno(-res), 0);
        return;
    }
    /* Queued before done() runs: it may cancel the op, and the cancellation must come after. */
    if (!armed) {
        if (op->flags & ASX_OP_CANCELLING) {
            asxi_uring_op_drop(uring, op, asx_err_errno(ECANCELED));
        } else {
            asxi_uring_queue(uring, op);
        }
    }
    if (res >= 0) {
        asxi_uring_nonblocking_set(uring, res, true);
        asxi_op_lend(&uring->reactor, op, (uint32_t)res);
    }
}

static void finish_recv_multi(asxi_uring *uring, asx_op *op, int32_t res, uint32_t flags)
{
    const bool armed = flags & IORING_CQE_F_MORE;
    asx_rbuf *const rbuf = flags & IORING_CQE_F_BUFFER ? asxi_uring_buf_lend(uring, flags) : NULL;
    if (res <= 0 && res != -ENOBUFS) {
        asx_assert(!armed);
        if (rbuf) {
            asxi_uring_buf_return(uring, rbuf);
        }
        op->rbuf = NULL;
        asxi_uring_op_complete(uring, op, res < 0 ? asx_err_errno(-res) : ASX_OK, 0);
        return;
    }
    if (!armed) {
        if (op->flags & ASX_OP_CANCELLING) {
            asxi_uring_op_drop(uring, op, asx_err_errno(ECANCELED));
        } else if (res == -ENOBUFS) {
            op->_state = URING_OP_STARVED;
            asx_list_push_back(&uring->starved, &op->_link);
        } else {
            asxi_uring_queue(uring, op);
        }
    }
    if (res > 0) {
        asx_assert(rbuf != NULL);
        op->rbuf = rbuf;
        asxi_op_lend(&uring->reactor, op, (uint32_t)res);
    } else {
        uring->reactor.stats.buf_starved++;
    }
}

/* A send that came back short goes on with the rest; bytes that left are told even in an error. */
static void finish_send(asxi_uring *uring, asx_op *op, int32_t res)
{
    if (res < 0) {
        asxi_uring_op_complete(uring, op, asx_err_errno(-res), op->result);
        return;
    }
    const size_t total = op->code == ASX_OP_SEND ? op->iov->iov_len : iov_bytes(op);
    uring_aux *const aux = asxi_uring_aux(op);
    size_t whole = total;
    if (aux && aux->cut_at) {
        whole += aux->cut.iov_len - aux->cut_at->iov_len;
    }
    op->result += (uint32_t)res;
    if (op->result >= whole || res == 0) {
        asxi_uring_op_complete(uring, op, ASX_OK, op->result);
    } else if (op->flags & ASX_OP_CANCELLING) {
        asxi_uring_op_complete(uring, op, asx_err_errno(ECANCELED), op->result);
    } else {
        if (aux) {
            sendv_point(op, aux);
        }
        asxi_uring_queue(uring, op);
    }
}

static void stat_from_statx(const struct statx *source, struct stat *target)
{
    *target = (struct stat){
        .st_dev = makedev(source->stx_dev_major, source->stx_dev_minor),
        .st_ino = source->stx_ino,
        .st_mode = source->stx_mode,
        .st_nlink = source->stx_nlink,
        .st_uid = source->stx_uid,
        .st_gid = source->stx_gid,
        .st_rdev = makedev(source->stx_rdev_major, source->stx_rdev_minor),
        .st_size = (off_t)source->stx_size,
        .st_blksize = source->stx_blksize,
        .st_blocks = (blkcnt_t)source->stx_blocks,
        .st_atim = { source->stx_atime.tv_sec, source->stx_atime.tv_nsec },
        .st_mtim = { source->stx_mtime.tv_sec, source->stx_mtime.tv_nsec },
        .st_ctim = { source->stx_ctime.tv_sec, source->stx_ctime.tv_nsec },
    };
}

static void finish_once(asxi_uring *uring, asx_op *op, int32_t res)
{
    const uring_aux *const aux = asxi_uring_aux(op);
    if (res >= 0 && op->code == ASX_OP_STAT) {
        stat_from_statx(&aux->statx, op->stat);
    } else if (res >= 0 && op->code == ASX_OP_RECVFROM && op->addr) {
        asx_addr_from_native(&aux->addr, aux->msg.msg_namelen, op->addr);
    }
    asxi_uring_op_complete(uring, op, res < 0 ? asx_err_errno(-res) : ASX_OK,
                           res < 0 ? 0 : (uint32_t)res);
}

/* An inherited descriptor may be O_NONBLOCK, on which the ring answers EAGAIN instead of waiting.
 * True when that was so, is not any more, and the op was queued again. */
static bool blocking_restore(asxi_uring *uring, asx_op *op)
{
    const int flags = fcntl(op->fd, F_GETFL);
    if (flags < 0 || !(flags & O_NONBLOCK) || (op->flags & ASX_OP_CANCELLING) ||
        fcntl(op->fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
        return false;
    }
    asxi_uring_nonblocking_set(uring, op->fd, false);
    asxi_uring_queue(uring, op);
    return true;
}

void asxi_uring_op_finish(asxi_uring *uring, asx_op *op, int32_t res, uint32_t flags)
{
    if (res == -EAGAIN && !(flags & IORING_CQE_F_MORE) && blocking_restore(uring, op)) {
        return;
    }
    switch ((asx_op_code)op->code) {
    case ASX_OP_ACCEPT:
        finish_accept(uring, op, res, flags & IORING_CQE_F_MORE);
        break;
    case ASX_OP_RECV:
        if (op->flags & ASX_OP_MULTI) {
            finish_recv_multi(uring, op, res, flags);
        } else {
            finish_once(uring, op, res);
        }
        break;
    case ASX_OP_SEND:
    case ASX_OP_SENDV:
        finish_send(uring, op, res);
        break;
    case ASX_OP_SENDFILE:
        asxi_uring_sendfile_finish(uring, op, res);
        break;
    case ASX_OP_CONNECT:
    case ASX_OP_RECVFROM:
    case ASX_OP_SENDTO:
    case ASX_OP_CLOSE:
    case ASX_OP_OPEN:
    case ASX_OP_STAT:
    case ASX_OP_READ:
    case ASX_OP_WRITE:
    case ASX_OP_FSYNC:
    case ASX_OP_POLL:
        finish_once(uring, op, res);
        break;
    case ASX_OP_NONE:
    case ASX_OP_SHUTDOWN:
    case ASX_OP_TASK:
        asx_unreachable();
    }
}
