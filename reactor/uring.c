#include "uring.h"

#include <asx/shard/base/assert.h>
#include <asx/shard/base/atomic.h>

#include "socket.h"
#include "uring_internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the packaged header. */
#define SETUP_NO_SQARRAY (1U << 16) /* Linux 6.6 */

/* What to ask for, best first; EINVAL takes the next. */
static const unsigned setup_ladder[] = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
        SETUP_NO_SQARRAY,
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
};

_Static_assert(asx_array_count(setup_ladder) == ASX_DRIVER_SETUP_RUNGS, "as the header says");

static struct io_uring_params params_of(const asx_driver_config *config, unsigned flags)
{
    const uint32_t sq = config->sq_entries ? config->sq_entries : ASX_DRIVER_SQ_ENTRIES;
    return (struct io_uring_params){
        .flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL,
        .cq_entries = config->cq_entries ? config->cq_entries : 4 * sq,
    };
}

/* The library of this vintage believes in the index array: give it one of its own where the kernel
 * has none, and fill it so that entry i is entry i in either case. */
static asx_err ring_index(asxi_uring *uring, bool no_array)
{
    struct io_uring_sq *const sq = &uring->ring.sq;
    const unsigned entries = uring->ring.sq.ring_entries;
    if (no_array) {
        uring->no_array = calloc(entries, sizeof(unsigned));
        if (!uring->no_array) {
            return asx_err_errno(ENOMEM);
        }
        sq->array = uring->no_array;
    }
    for (unsigned i = 0; i < entries; i++) {
        sq->array[i] = i;
    }
    return ASX_OK;
}

static asx_err ring_map(asxi_uring *uring, int fd, struct io_uring_params *params)
{
    const int rc = io_uring_queue_mmap(fd, params, &uring->ring);
    if (rc < 0) {
        close(fd);
        return asx_err_errno(-rc);
    }
    uring->ring.features = params->features;
    const asx_err err = ring_index(uring, params->flags & SETUP_NO_SQARRAY);
    if (err) {
        io_uring_queue_exit(&uring->ring);
        return err;
    }
    uring->ring_fd_registered = io_uring_register_ring_fd(&uring->ring) == 1;
    return ASX_OK;
}

static asx_err ring_open(asxi_uring *uring, const asx_driver_config *config)
{
    const uint32_t entries = config->sq_entries ? config->sq_entries : ASX_DRIVER_SQ_ENTRIES;
    int errnum = EINVAL;
    asx_assert_lt(config->setup_rung, ASX_DRIVER_SETUP_RUNGS);
    for (size_t i = config->setup_rung; i < asx_array_count(setup_ladder) && errnum == EINVAL;
         i++) {
        struct io_uring_params params = params_of(config, setup_ladder[i]);
        const long fd = syscall(SYS_io_uring_setup, entries, &params);
        if (fd >= 0) {
            return ring_map(uring, (int)fd, &params);
        }
        errnum = errno;
    }
    return asx_err_errno(errnum);
}

static void ring_close(asxi_uring *uring)
{
    io_uring_queue_exit(&uring->ring);
    free(uring->no_array);
}

/* Publishes the prepared entries and returns how many the kernel has not taken yet. */
static unsigned sq_flush(asxi_uring *uring)
{
    struct io_uring_sq *const sq = &uring->ring.sq;
    asx_store_release(sq->ktail, sq->sqe_tail); /* read by the kernel in the enter that follows */
    sq->sqe_head = sq->sqe_tail;
    return sq->sqe_tail - asx_load_acquire(sq->khead);
}

static int enter(asxi_uring *uring, unsigned wait_count, struct io_uring_getevents_arg *arg)
{
    const unsigned submit_count = sq_flush(uring);
    unsigned flags = IORING_ENTER_GETEVENTS | (arg ? IORING_ENTER_EXT_ARG : 0);
    flags |= uring->ring_fd_registered ? IORING_ENTER_REGISTERED_RING : 0;
    uring->reactor.stats.syscalls++;
    const long rc = syscall(SYS_io_uring_enter, uring->ring.enter_ring_fd, submit_count, wait_count,
                            flags, arg, arg ? sizeof(*arg) : 0);
    return rc < 0 ? -errno : (int)rc;
}

static struct io_uring_sqe *sqe_take(asxi_uring *uring)
{
    struct io_uring_sq *const sq = &uring->ring.sq;
    if (sq->sqe_tail - asx_load_acquire(sq->khead) >= sq->ring_entries) {
        return NULL;
    }
    return &sq->sqes[sq->sqe_tail++ & sq->ring_mask];
}

struct io_uring_sqe *asxi_uring_sqe(asxi_uring *uring)
{
    struct io_uring_sqe *sqe = sqe_take(uring);
    if (asx_unlikely(!sqe)) {
        enter(uring, 0, NULL);
        sqe = sqe_take(uring);
    }
    return sqe;
}

void asxi_uring_queue(asxi_uring *uring, asx_op *op)
{
    /* Behind what is pending: operations on one descriptor keep their order. */
    struct io_uring_sqe *const sqe = asx_list_empty(&uring->pending) ? asxi_uring_sqe(uring) : NULL;
    if (asx_unlikely(!sqe)) {
        op->_state = URING_OP_PENDING;
        asx_list_push_back(&uring->pending, &op->_link);
        return;
    }
    op->_state = URING_OP_KERNEL;
    asxi_uring_op_prepare(op, sqe);
}

static bool cancel_queue(asxi_uring *uring, asx_op *op)
{
    struct io_uring_sqe *const sqe = asxi_uring_sqe(uring);
    if (!sqe) {
        return false;
    }
    io_uring_prep_cancel64(sqe, (uintptr_t)op, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = URING_DATA_CANCEL;
    return true;
}

static bool wake_arm(asxi_uring *uring)
{
    struct io_uring_sqe *const sqe = asxi_uring_sqe(uring);
    if (!sqe) {
        return false;
    }
    io_uring_prep_poll_multishot(sqe, uring->reactor.wake_fd, POLLIN);
    sqe->user_data = URING_DATA_WAKE;
    return true;
}

/* Everything that waits for a submission entry, oldest first. */
static void backlog_flush(asxi_uring *uring)
{
    for (asx_list *node; (node = asx_list_first(&uring->pending)) != NULL;) {
        struct io_uring_sqe *const sqe = asxi_uring_sqe(uring);
        if (!sqe) {
            return;
        }
        asx_list_unlink(node);
        asx_op *const op = asx_container_of(node, asx_op, _link);
        op->_state = URING_OP_KERNEL;
        asxi_uring_op_prepare(op, sqe);
    }
    for (asx_list *node; (node = asx_list_first(&uring->cancels)) != NULL;) {
        if (!cancel_queue(uring, asx_container_of(node, asx_op, _link))) {
            return;
        }
        asx_list_unlink(node);
    }
    if (!uring->wake_armed) {
        uring->wake_armed = wake_arm(uring);
    }
}

static void uring_submit(asx_driver *driver, asx_op *op)
{
    asxi_uring *const uring = asxi_uring_of(driver);
    asxi_op_begin(&uring->reactor, op);
    if (asxi_uring_op_start(uring, op)) {
        asxi_uring_queue(uring, op);
    }
}

static void uring_cancel(asx_driver *driver, asx_op *op)
{
    asxi_uring *const uring = asxi_uring_of(driver);
    if (!(op->flags & ASX_OP_SUBMITTED) || (op->flags & ASX_OP_CANCELLING)) {
        return;
    }
    op->flags |= ASX_OP_CANCELLING;
    switch (op->_state) {
    case ASXI_OP_LOCAL:
        break;
    case ASXI_OP_BLOCKING:
        asxi_op_unblock(&uring->reactor, op);
        break;
    case URING_OP_PENDING:
    case URING_OP_STARVED:
        asx_list_unlink(&op->_link);
        asxi_uring_op_drop(uring, op, asx_err_errno(ECANCELED));
        break;
    case URING_OP_KERNEL:
        if (!cancel_queue(uring, op)) {
            asx_list_push_back(&uring->cancels, &op->_link);
        }
        break;
    default:
        asx_unreachable();
    }
}

/* A busy turn's sends go to the kernel together, with the wait: entering once for all of them costs
 * an eighth to a fifth less than calling for each. When little is going on, now is sooner. */
static asx_err uring_send_now(asx_driver *driver, int32_t fd, const struct iovec *iov,
                              uint32_t count, bool last, uint32_t *sent)
{
    if (!last && asxi_uring_of(driver)->reaped > URING_QUIET_REAP) {
        *sent = 0;
        return ASX_OK;
    }
    return asxi_driver_send_now(driver, fd, iov, count, last, sent);
}

static asx_err uring_sendfile_now(asx_driver *driver, int32_t fd, const struct iovec *head,
                                  int32_t file_fd, uint64_t offset, uint32_t length, uint32_t *sent)
{
    asxi_uring *const uring = asxi_uring_of(driver);
    return asxi_sendfile_now(&uring->reactor, fd, !asxi_uring_nonblocking(uring, fd), head, file_fd,
                             offset, length, sent);
}

static asx_err uring_send_kept_now(asx_driver *driver, int32_t fd, const struct iovec *head,
                                   asx_kept *kept, uint32_t length, uint32_t *sent)
{
    asxi_uring *const uring = asxi_uring_of(driver);
    return asxi_send_kept_now(&uring->reactor, fd, !asxi_uring_nonblocking(uring, fd), head, kept,
                              length, sent);
}

static bool cq_peek(asxi_uring *uring)
{
    const struct io_uring_cq *const cq = &uring->ring.cq;
    return *cq->khead !=
           asx_load_acquire(cq->ktail); /* pairs with the kernel's store of the tail */
}

static unsigned cqe_handle(asxi_uring *uring, const struct io_uring_cqe *cqe)
{
    const uint64_t data = cqe->user_data;
    const uint32_t flags = cqe->flags;
    const int32_t res = cqe->res;
    /* Given back before done() runs, which may enter the kernel for a submission entry. */
    io_uring_cq_advance(&uring->ring, 1);
    if (data == URING_DATA_WAKE) {
        uring->wake_armed = flags & IORING_CQE_F_MORE;
        asxi_wake_seen(&uring->reactor);
        return 0;
    }
    if (data == URING_DATA_CANCEL) {
        return 0; /* ENOENT, EALREADY: the op completes by itself */
    }
    asx_op *const op = (asx_op *)(uintptr_t)data;
    asx_debug_assert(op->_state == URING_OP_KERNEL);
    if (!(flags & IORING_CQE_F_MORE)) {
        asx_list_unlink(&op->_link); /* from `cancels`: too late to ask */
    }
    asxi_uring_op_finish(uring, op, res, flags);
    return 1;
}

static unsigned uring_reap(asx_driver *driver, unsigned limit)
{
    asxi_uring *const uring = asxi_uring_of(driver);
    unsigned count = asxi_reactor_reap(&uring->reactor, limit);
    const struct io_uring_cq *const cq = &uring->ring.cq;
    /* Only what is here now: completions that done() brings about are the next turn's. */
    unsigned here = asx_load_acquire(cq->ktail) - *cq->khead;
    while (here > 0 && count < limit) {
        const struct io_uring_cqe *const cqe = &cq->cqes[*cq->khead & cq->ring_mask];
        count += cqe_handle(uring, cqe);
        here--;
    }
    uring->reaped = count;
    return count;
}

static bool uring_ready(asx_driver *driver)
{
    asxi_uring *const uring = asxi_uring_of(driver);
    return cq_peek(uring) || asxi_reactor_ready(&uring->reactor);
}

/* Entries to hand over, completions that wait for this thread to come in, or some that found the
 * queue full. */
static bool kernel_wanted(const asxi_uring *uring)
{
    const struct io_uring_sq *const sq = &uring->ring.sq;
    return sq->sqe_tail != asx_load_acquire(sq->khead) ||
           asx_load_relaxed(sq->kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static void uring_park(asx_driver *driver, asx_instant until)
{
    asxi_uring *const uring = asxi_uring_of(driver);
    uring->reactor.turn++;
    asxi_uring_buf_flush(uring);
    backlog_flush(uring);
    asx_duration wait = 0;
    if (!uring_ready(driver) && until > 0) {
        wait =
            until == ASX_TIME_NEVER ? ASXI_PARK_MAX : asx_time_sub(until, asxi_driver_now(driver));
        wait = wait < ASXI_PARK_MAX ? wait : ASXI_PARK_MAX;
    }
    if (wait == 0) {
        if (kernel_wanted(uring)) {
            enter(uring, 0, NULL);
        }
        return;
    }
    struct __kernel_timespec ts = {
        .tv_sec = 0,
        .tv_nsec = (long long)wait,
    };
    struct io_uring_getevents_arg arg = { .ts = (uintptr_t)&ts };
    const int rc = enter(uring, 1, &arg);
    if (rc == -ETIME && wait >= ASXI_QUIET_PARK && uring->buf_lent == 0) {
        /* The kernel fills buffers only while this thread is in it. */
        asxi_rbuf_pool_trim(&uring->bufs);
    }
}

static void uring_buf_return(asx_driver *driver, asx_rbuf *rbuf)
{
    asxi_uring_buf_return(asxi_uring_of(driver), rbuf);
}

static asx_err uring_listen(asx_driver *driver, const asx_addr *addr,
                            const asx_listen_options *options, int32_t *fd)
{
    const asx_err err = asx_socket_listen(addr, options, false, fd);
    if (!err) {
        asxi_uring_nonblocking_set(asxi_uring_of(driver), *fd, false);
    }
    return err;
}

static asx_err uring_socket(asx_driver *driver, asx_addr_family family, bool datagram,
                            const asx_addr *local, int32_t *fd)
{
    const asx_err err = asx_socket_open(family, datagram, local, false, fd);
    if (!err) {
        asxi_uring_nonblocking_set(asxi_uring_of(driver), *fd, false);
    }
    return err;
}

static asx_err uring_accept_now(asx_driver *driver, int32_t fd, int32_t *connection)
{
    asxi_uring *const uring = asxi_uring_of(driver);
    const asx_err err = asxi_accept_now(&uring->reactor, fd, connection);
    if (!err) {
        asxi_uring_nonblocking_set(uring, *connection, true);
    }
    return err;
}

static void uring_close_now(asx_driver *driver, int32_t fd)
{
    asxi_uring_nonblocking_set(asxi_uring_of(driver), fd, false);
    close(fd);
}

static void uring_destroy(asx_driver *driver)
{
    asxi_uring *const uring = asxi_uring_of(driver);
    asx_assert_eq(uring->reactor.stats.in_flight, 0);
    ring_close(uring);
    asxi_uring_buf_deinit(uring);
    asxi_uring_aux_deinit(uring);
    free(uring->nonblocking);
    asxi_reactor_deinit(&uring->reactor);
    free(uring);
}

static const asx_driver_ops uring_ops = {
    .kind = ASX_DRIVER_URING,
    .now = asxi_driver_now,
    .submit = uring_submit,
    .send_now = uring_send_now,
    .sendfile_now = uring_sendfile_now,
    .send_kept_now = uring_send_kept_now,
    .cancel = uring_cancel,
    .reap = uring_reap,
    .park = uring_park,
    .ready = uring_ready,
    .wake = asxi_driver_wake,
    .buf_return = uring_buf_return,
    .listen = uring_listen,
    .socket = uring_socket,
    .name = asxi_driver_name,
    .accept_now = uring_accept_now,
    .turn_away = asxi_driver_turn_away,
    .close_now = uring_close_now,
    .entropy = asxi_driver_entropy,
    .choose = NULL,
    .stats = asxi_driver_stats,
    .destroy = uring_destroy,
};

asx_err asx_uring_create(const asx_driver_config *config, asx_driver **driver)
{
    asxi_uring *const uring = calloc(1, sizeof(*uring));
    if (!uring) {
        return asx_err_errno(ENOMEM);
    }
    asx_list_init(&uring->pending);
    asx_list_init(&uring->starved);
    asx_list_init(&uring->cancels);
    asx_err err = ring_open(uring, config);
    if (err) {
        goto undo_alloc;
    }
    err = asxi_uring_buf_init(uring, config);
    if (err) {
        goto undo_ring;
    }
    err = asxi_reactor_init(&uring->reactor, &uring_ops, config);
    if (err) {
        goto undo_buf;
    }
    uring->wake_armed = wake_arm(uring);
    *driver = &uring->reactor.driver;
    return ASX_OK;
undo_buf:
    asxi_uring_buf_deinit(uring);
undo_ring:
    ring_close(uring);
undo_alloc:
    free(uring);
    return err;
}
