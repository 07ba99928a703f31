#include "epoll.h"

#include <asx/shard/base/assert.h>
#include <asx/shard/base/atomic.h>

#include "epoll_internal.h"
#include "socket.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define WAKE_DATA UINT64_MAX
#define VISIT_STEPS 16 /* attempts on one descriptor before the next has its turn */

/* The driver made `fd`: O_NONBLOCK already, and in nobody's set. */
static void slot_adopt(asxi_epoll *epoll, int32_t fd)
{
    epoll_slot *const slot = asxi_epoll_slot_of(epoll, fd);
    if (slot) {
        asxi_epoll_slot_forget(epoll, slot);
        slot->known = true;
        slot->nonblocking = true;
    }
}

static void slot_run(asxi_epoll *epoll, epoll_slot *slot)
{
    if (!asx_list_linked(&slot->run)) {
        asx_list_push_back(&epoll->ready, &slot->run);
    }
}

/* Adds `events` to what the descriptor is watched for. Changing a registration also makes the
 * kernel report what is true now, so an edge that came before is not lost. */
static int slot_watch(asxi_epoll *epoll, epoll_slot *slot, int32_t fd, uint32_t events)
{
    const uint16_t wanted = (uint16_t)(slot->watched | events | EPOLLRDHUP);
    struct epoll_event event = {
        .events = wanted | EPOLLET,
        .data.u64 = (uint64_t)slot->generation << 32 | (uint32_t)fd,
    };
    epoll->reactor.stats.syscalls++;
    int op = slot->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int rc = epoll_ctl(epoll->epoll_fd, op, fd, &event);
    if (rc != 0 && (errno == ENOENT || errno == EEXIST)) {
        op = op == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        rc = epoll_ctl(epoll->epoll_fd, op, fd, &event);
    }
    if (rc != 0) {
        return errno;
    }
    slot->watched = wanted;
    return 0;
}

/* Somebody else's descriptor is left alone as soon as no op waits for it. */
static void slot_release(asxi_epoll *epoll, epoll_slot *slot, int32_t fd)
{
    if (!slot->known && slot->watched && !slot->ops) {
        epoll_ctl(epoll->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        asxi_epoll_slot_give_up(epoll, slot, fd);
    }
}

static void slot_nonblocking(epoll_slot *slot, int32_t fd)
{
    if (!slot->nonblocking) {
        const int flags = fcntl(fd, F_GETFL);
        if (flags >= 0) {
            fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        }
        slot->nonblocking = true;
    }
}

static void op_wait(epoll_slot *slot, asx_op *op)
{
    op->_state = EPOLL_OP_WAITING;
    asx_list_ring_push_back(&slot->ops, &op->_link);
}

static bool is_multi(const asx_op *op)
{
    return op->code == ASX_OP_ACCEPT || (op->code == ASX_OP_RECV && (op->flags & ASX_OP_MULTI));
}

static uint32_t events_of(unsigned dir)
{
    return (dir & EPOLL_DIR_IN ? EPOLLIN : 0u) | (dir & EPOLL_DIR_OUT ? EPOLLOUT : 0u);
}

static bool slot_has_dir(const epoll_slot *slot, unsigned dir)
{
    for (asx_list *node = slot->ops; node; node = asx_list_ring_next(slot->ops, node)) {
        const asx_op *const op = asx_container_of(node, asx_op, _link);
        if (op->code != ASX_OP_POLL && asxi_epoll_op_dir(op) == dir) {
            return true;
        }
    }
    return false;
}

/* Waits for the op's direction, or ends it when the descriptor cannot be watched. */
static void submit_wait(asxi_epoll *epoll, epoll_slot *slot, asx_op *op)
{
    const unsigned dir = asxi_epoll_op_dir(op);
    if ((slot->watched & events_of(dir)) == 0) {
        const int errnum = slot_watch(epoll, slot, op->fd, events_of(dir));
        if (errnum) {
            asxi_op_defer(&epoll->reactor, op, asx_err_errno(errnum), op->result);
            return;
        }
    }
    slot->known = true;
    op_wait(slot, op);
    if (slot->ready & dir) {
        slot_run(epoll, slot);
    }
}

/* Neither known to be unready, nor an earlier op's. */
static bool is_free(const epoll_slot *slot, unsigned dir)
{
    const bool unready = (slot->watched & events_of(dir)) && !(slot->ready & dir);
    return !unready && !slot_has_dir(slot, dir);
}

/* Tries at once where that may do. */
static void submit_try(asxi_epoll *epoll, epoll_slot *slot, asx_op *op)
{
    const unsigned dir = asxi_epoll_op_dir(op);
    if (is_free(slot, dir)) {
        epoll_try tried = EPOLL_TRY_PARTIAL;
        for (int i = 0; i < VISIT_STEPS && tried == EPOLL_TRY_PARTIAL; i++) {
            tried = asxi_epoll_op_try(epoll, op);
        }
        if (tried == EPOLL_TRY_DONE) {
            asxi_op_defer(&epoll->reactor, op, op->err, op->result);
            return;
        }
        if (tried == EPOLL_TRY_AGAIN) {
            slot->ready &= (uint8_t)~dir;
        } else {
            slot->ready |= (uint8_t)dir;
        }
    }
    submit_wait(epoll, slot, op);
}

/* Left for the next reap: a busy turn's sends come one after the other then, and find the kernel's
 * code and data where the one before has left them. */
static void submit_later(asxi_epoll *epoll, epoll_slot *slot, asx_op *op)
{
    op_wait(slot, op);
    slot->ready |= EPOLL_DIR_OUT;
    slot_run(epoll, slot);
}

static void submit_poll(asxi_epoll *epoll, epoll_slot *slot, asx_op *op)
{
    const int errnum = slot_watch(epoll, slot, op->fd, op->arg);
    if (errnum == EPERM) { /* a file, which is always ready */
        asxi_op_defer(&epoll->reactor, op, ASX_OK, op->arg & (POLLIN | POLLOUT));
    } else if (errnum) {
        asxi_op_defer(&epoll->reactor, op, asx_err_errno(errnum), 0);
    } else {
        op_wait(slot, op);
    }
}

static void submit_close(asxi_epoll *epoll, epoll_slot *slot, asx_op *op)
{
    asxi_epoll_slot_give_up(epoll, slot, op->fd);
    const int rc = close(op->fd);
    asxi_op_defer(&epoll->reactor, op, rc == 0 ? ASX_OK : asx_err_errno(errno), 0);
}

static void submit_shutdown(asxi_epoll *epoll, asx_op *op)
{
    const int rc = shutdown(op->fd, (int)op->arg);
    asxi_op_defer(&epoll->reactor, op, rc == 0 ? ASX_OK : asx_err_errno(errno), 0);
}

static bool is_busy(const asxi_epoll *epoll)
{
    return epoll->reaped > EPOLL_QUIET_REAP;
}

static void submit_fd(asxi_epoll *epoll, asx_op *op)
{
    epoll_slot *const slot = op->fd >= 0 ? asxi_epoll_slot_of(epoll, op->fd) : NULL;
    if (!slot) {
        asxi_op_defer(&epoll->reactor, op, asx_err_errno(op->fd < 0 ? EBADF : ENOMEM), 0);
        return;
    }
    if (op->code == ASX_OP_ACCEPT || op->code == ASX_OP_CONNECT || op->code == ASX_OP_SENDFILE) {
        slot_nonblocking(slot, op->fd);
    }
    if (op->code == ASX_OP_POLL) {
        submit_poll(epoll, slot, op);
    } else if (op->code == ASX_OP_CLOSE) {
        submit_close(epoll, slot, op);
    } else if (is_multi(op)) {
        submit_wait(epoll, slot, op);
    } else if (op->code == ASX_OP_SEND && is_busy(epoll) && slot->known &&
               is_free(slot, EPOLL_DIR_OUT)) {
        submit_later(epoll, slot, op);
    } else {
        submit_try(epoll, slot, op);
    }
}

static void epoll_submit(asx_driver *driver, asx_op *op)
{
    asxi_epoll *const epoll = asxi_epoll_of(driver);
    asxi_op_begin(&epoll->reactor, op);
    switch (op->code) {
    case ASX_OP_TASK:
    case ASX_OP_OPEN:
    case ASX_OP_STAT:
    case ASX_OP_FSYNC:
        asxi_op_block(&epoll->reactor, op);
        break;
    case ASX_OP_READ:
    case ASX_OP_WRITE:
        if (op->offset != UINT64_MAX || asxi_epoll_file_is_disk(op->fd)) {
            asxi_op_block(&epoll->reactor, op);
        } else {
            submit_fd(epoll, op);
        }
        break;
    case ASX_OP_SHUTDOWN:
        submit_shutdown(epoll, op);
        break;
    default:
        submit_fd(epoll, op);
    }
}

static asx_err epoll_send_now(asx_driver *driver, int32_t fd, const struct iovec *iov,
                              uint32_t count, bool last, uint32_t *sent)
{
    if (!last && count == 1 && iov->iov_len <= EPOLL_SEND_LATER_MAX &&
        is_busy(asxi_epoll_of(driver))) {
        *sent = 0;
        return ASX_OK;
    }
    return asxi_driver_send_now(driver, fd, iov, count, last, sent);
}

static asx_err epoll_sendfile_now(asx_driver *driver, int32_t fd, const struct iovec *head,
                                  int32_t file_fd, uint64_t offset, uint32_t length, uint32_t *sent)
{
    return asxi_sendfile_now(asxi_reactor_of(driver), fd, false, head, file_fd, offset, length,
                             sent);
}

static asx_err epoll_send_kept_now(asx_driver *driver, int32_t fd, const struct iovec *head,
                                   asx_kept *kept, uint32_t length, uint32_t *sent)
{
    return asxi_send_kept_now(asxi_reactor_of(driver), fd, false, head, kept, length, sent);
}

static void epoll_cancel(asx_driver *driver, asx_op *op)
{
    asxi_epoll *const epoll = asxi_epoll_of(driver);
    if (!(op->flags & ASX_OP_SUBMITTED) || (op->flags & ASX_OP_CANCELLING)) {
        return;
    }
    op->flags |= ASX_OP_CANCELLING;
    if (op->_state == ASXI_OP_BLOCKING) {
        asxi_op_unblock(&epoll->reactor, op);
    } else if (op->_state == EPOLL_OP_WAITING) {
        epoll_slot *const slot = asxi_epoll_slot_find(epoll, op->fd);
        asx_list_ring_unlink(&slot->ops, &op->_link);
        const uint32_t moved = op->code == ASX_OP_CONNECT ? 0 : op->result;
        asxi_op_defer(&epoll->reactor, op, asx_err_errno(ECANCELED), moved);
        slot_release(epoll, slot, op->fd);
    }
}

static void step_accept(asxi_epoll *epoll, epoll_slot *slot, asx_op *op)
{
    const int32_t got = asxi_epoll_accept(epoll, op);
    if (got >= 0) {
        slot_adopt(epoll, got);
        asxi_op_lend(&epoll->reactor, op, (uint32_t)got);
    } else if (got == -EAGAIN) {
        slot->ready &= (uint8_t)~EPOLL_DIR_IN;
    } else if (got != -ECONNABORTED && got != -EINTR) {
        asx_list_ring_unlink(&slot->ops, &op->_link);
        asxi_op_complete(&epoll->reactor, op, asx_err_errno(-got), 0, false);
    }
}

static void rbuf_free(asxi_epoll *epoll, const asx_rbuf *rbuf)
{
    asxi_rbuf_pool *const pool = &epoll->bufs;
    asx_assert_lt(pool->free_count, pool->count);
    pool->free[pool->free_count++] = rbuf->id;
}

static void step_recv(asxi_epoll *epoll, epoll_slot *slot, asx_op *op)
{
    asxi_rbuf_pool *const pool = &epoll->bufs;
    asx_assert_lt(0, pool->free_count);
    asx_rbuf *const rbuf = &pool->bufs[pool->free[--pool->free_count]];
    pool->touched = true;
    const int32_t got = asxi_epoll_recv(epoll, op, rbuf);
    if (got > 0) {
        /* A short read emptied the socket, and what comes later makes an edge of its own. */
        if ((uint32_t)got < rbuf->cap && !slot->hung_up) {
            slot->ready &= (uint8_t)~EPOLL_DIR_IN;
        }
        op->rbuf = rbuf;
        asxi_op_lend(&epoll->reactor, op, (uint32_t)got);
        return;
    }
    rbuf_free(epoll, rbuf);
    if (got == -EAGAIN) {
        slot->ready &= (uint8_t)~EPOLL_DIR_IN;
    } else if (got != -EINTR) {
        asx_list_ring_unlink(&slot->ops, &op->_link);
        op->rbuf = NULL;
        asxi_op_complete(&epoll->reactor, op, got < 0 ? asx_err_errno(-got) : ASX_OK, 0, false);
    }
}

static void step_try(asxi_epoll *epoll, epoll_slot *slot, asx_op *op)
{
    const epoll_try tried = asxi_epoll_op_try(epoll, op);
    const unsigned dir = asxi_epoll_op_dir(op);
    int errnum = 0;
    if (tried == EPOLL_TRY_AGAIN) {
        slot->ready &= (uint8_t)~dir;
        errnum =
            slot->watched & events_of(dir) ? 0 : slot_watch(epoll, slot, op->fd, events_of(dir));
    }
    if (tried == EPOLL_TRY_DONE || errnum) {
        const asx_err err = errnum ? asx_err_errno(errnum) : op->err;
        asx_list_ring_unlink(&slot->ops, &op->_link);
        asxi_op_complete(&epoll->reactor, op, err, op->result, false);
    }
}

static void step_poll(asxi_epoll *epoll, epoll_slot *slot, asx_op *op)
{
    const uint32_t revents = slot->revents & (op->arg | POLLERR | POLLHUP);
    asx_list_ring_unlink(&slot->ops, &op->_link);
    slot_release(epoll, slot, op->fd);
    asxi_op_complete(&epoll->reactor, op, ASX_OK, revents, false);
}

/* The oldest op that can be tried; *starved tells of a receive that only lacks a buffer. */
static asx_op *slot_next(const asxi_epoll *epoll, const epoll_slot *slot, bool *starved)
{
    unsigned dirs = slot->ready;
    for (asx_list *node = slot->ops; node; node = asx_list_ring_next(slot->ops, node)) {
        asx_op *const op = asx_container_of(node, asx_op, _link);
        if (op->code == ASX_OP_POLL) {
            if (slot->revents & (op->arg | POLLERR | POLLHUP)) {
                return op;
            }
            continue;
        }
        const unsigned dir = asxi_epoll_op_dir(op);
        if (!(dirs & dir)) {
            continue;
        }
        if (op->code != ASX_OP_RECV || !(op->flags & ASX_OP_MULTI) || epoll->bufs.free_count > 0) {
            return op;
        }
        *starved = true;
        dirs &= ~dir;
    }
    return NULL;
}

/* Tries what waits on one descriptor. done() may close it, cancel or add to it: every step starts
 * from the slot anew. Returns how many completed. */
static unsigned slot_visit(asxi_epoll *epoll, epoll_slot *slot)
{
    const uint64_t before = epoll->reactor.stats.completed;
    bool starved = false;
    asx_op *op = slot_next(epoll, slot, &starved);
    for (int i = 0; i < VISIT_STEPS && op; i++) {
        if (op->code == ASX_OP_ACCEPT) {
            step_accept(epoll, slot, op);
        } else if (op->code == ASX_OP_POLL) {
            step_poll(epoll, slot, op);
        } else if (is_multi(op)) {
            step_recv(epoll, slot, op);
        } else {
            step_try(epoll, slot, op);
        }
        starved = false;
        op = slot_next(epoll, slot, &starved);
    }
    if (op) {
        slot_run(epoll, slot);
        return (unsigned)(epoll->reactor.stats.completed - before);
    }
    slot->revents = 0;
    if (starved && !asx_list_linked(&slot->run)) {
        epoll->reactor.stats.buf_starved++;
        asx_list_push_back(&epoll->starved, &slot->run);
    }
    return (unsigned)(epoll->reactor.stats.completed - before);
}

static unsigned epoll_reap(asx_driver *driver, unsigned limit)
{
    asxi_epoll *const epoll = asxi_epoll_of(driver);
    unsigned count = asxi_reactor_reap(&epoll->reactor, limit);
    asx_list here;
    asx_list_init(&here);
    asx_list_splice_back(&here, &epoll->ready);
    while (count < limit) {
        asx_list *const node = asx_list_pop_front(&here);
        if (!node) {
            break;
        }
        count += slot_visit(epoll, asx_container_of(node, epoll_slot, run));
    }
    asx_list_splice_back(&here, &epoll->ready);
    asx_list_splice_back(&epoll->ready, &here);
    epoll->reaped = count;
    return count;
}

static bool epoll_ready(asx_driver *driver)
{
    asxi_epoll *const epoll = asxi_epoll_of(driver);
    return !asx_list_empty(&epoll->ready) || asxi_reactor_ready(&epoll->reactor);
}

static void event_note(asxi_epoll *epoll, const struct epoll_event *event)
{
    if (event->data.u64 == WAKE_DATA) {
        asxi_wake_seen(&epoll->reactor);
        return;
    }
    epoll_slot *const slot = asxi_epoll_slot_find(epoll, (int32_t)(uint32_t)event->data.u64);
    if (!slot || slot->generation != event->data.u64 >> 32) {
        return;
    }
    const uint32_t events = event->events;
    const bool broken = events & (EPOLLERR | EPOLLHUP);
    slot->revents |= (uint16_t)events;
    slot->hung_up = slot->hung_up || broken || events & EPOLLRDHUP;
    if (broken || events & (EPOLLIN | EPOLLRDHUP)) {
        slot->ready |= EPOLL_DIR_IN;
    }
    if (broken || events & EPOLLOUT) {
        slot->ready |= EPOLL_DIR_OUT;
    }
    /* A starved slot stays where it is unless something else could go on. */
    bool starved = false;
    if (slot_next(epoll, slot, &starved)) {
        asx_list_unlink(&slot->run);
        slot_run(epoll, slot);
    } else if (starved) {
        slot_run(epoll, slot);
    }
}

static void epoll_park(asx_driver *driver, asx_instant until)
{
    asxi_epoll *const epoll = asxi_epoll_of(driver);
    asx_duration wait = 0;
    epoll->reactor.turn++;
    if (!epoll_ready(driver) && until > 0) {
        wait =
            until == ASX_TIME_NEVER ? ASXI_PARK_MAX : asx_time_sub(until, asxi_driver_now(driver));
        wait = wait < ASXI_PARK_MAX ? wait : ASXI_PARK_MAX;
    }
    const struct timespec ts = { .tv_nsec = (long)wait };
    epoll->reactor.stats.syscalls++;
    int count = epoll_pwait2(epoll->epoll_fd, epoll->events, EPOLL_EVENTS, &ts, NULL);
    if (count < 0 && errno == ENOSYS) { /* before Linux 5.11: whole milliseconds, rounded up */
        const int wait_ms = (int)((wait + ASX_NS_PER_MS - 1) / ASX_NS_PER_MS);
        count = epoll_wait(epoll->epoll_fd, epoll->events, EPOLL_EVENTS, wait_ms);
    }
    for (int i = 0; i < count; i++) {
        event_note(epoll, &epoll->events[i]);
    }
    if (count == 0 && wait >= ASXI_QUIET_PARK && epoll->bufs.free_count == epoll->bufs.count) {
        asxi_rbuf_pool_trim(&epoll->bufs);
    }
}

static void epoll_buf_return(asx_driver *driver, asx_rbuf *rbuf)
{
    asxi_epoll *const epoll = asxi_epoll_of(driver);
    asx_assert_lt(rbuf->id, epoll->bufs.count);
    asx_assert(&epoll->bufs.bufs[rbuf->id] == rbuf);
    rbuf_free(epoll, rbuf);
    asx_list_splice_back(&epoll->ready, &epoll->starved);
}

static asx_err epoll_listen(asx_driver *driver, const asx_addr *addr,
                            const asx_listen_options *options, int32_t *fd)
{
    const asx_err err = asx_socket_listen(addr, options, true, fd);
    if (!err) {
        slot_adopt(asxi_epoll_of(driver), *fd);
    }
    return err;
}

static asx_err epoll_socket(asx_driver *driver, asx_addr_family family, bool datagram,
                            const asx_addr *local, int32_t *fd)
{
    const asx_err err = asx_socket_open(family, datagram, local, true, fd);
    if (!err) {
        slot_adopt(asxi_epoll_of(driver), *fd);
    }
    return err;
}

static asx_err epoll_accept_now(asx_driver *driver, int32_t fd, int32_t *connection)
{
    asxi_epoll *const epoll = asxi_epoll_of(driver);
    const asx_err err = asxi_accept_now(&epoll->reactor, fd, connection);
    if (!err) {
        slot_adopt(epoll, *connection);
    }
    return err;
}

static void epoll_close_now(asx_driver *driver, int32_t fd)
{
    asxi_epoll *const epoll = asxi_epoll_of(driver);
    epoll_slot *const slot = asxi_epoll_slot_find(epoll, fd);
    if (slot) {
        asxi_epoll_slot_give_up(epoll, slot, fd);
    }
    close(fd);
}

static void epoll_destroy(asx_driver *driver)
{
    asxi_epoll *const epoll = asxi_epoll_of(driver);
    asx_assert_eq(epoll->reactor.stats.in_flight, 0);
    close(epoll->epoll_fd);
    asxi_epoll_slots_deinit(epoll);
    asxi_rbuf_pool_deinit(&epoll->bufs);
    asxi_reactor_deinit(&epoll->reactor);
    free(epoll);
}

static const asx_driver_ops epoll_ops = {
    .kind = ASX_DRIVER_EPOLL,
    .now = asxi_driver_now,
    .submit = epoll_submit,
    .send_now = epoll_send_now,
    .sendfile_now = epoll_sendfile_now,
    .send_kept_now = epoll_send_kept_now,
    .cancel = epoll_cancel,
    .reap = epoll_reap,
    .park = epoll_park,
    .ready = epoll_ready,
    .wake = asxi_driver_wake,
    .buf_return = epoll_buf_return,
    .listen = epoll_listen,
    .socket = epoll_socket,
    .name = asxi_driver_name,
    .accept_now = epoll_accept_now,
    .turn_away = asxi_driver_turn_away,
    .close_now = epoll_close_now,
    .entropy = asxi_driver_entropy,
    .choose = NULL,
    .stats = asxi_driver_stats,
    .destroy = epoll_destroy,
};

static asx_err set_open(asxi_epoll *epoll)
{
    epoll->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll->epoll_fd < 0) {
        return asx_err_errno(errno);
    }
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = WAKE_DATA };
    if (epoll_ctl(epoll->epoll_fd, EPOLL_CTL_ADD, epoll->reactor.wake_fd, &event) != 0) {
        const int errnum = errno;
        close(epoll->epoll_fd);
        return asx_err_errno(errnum);
    }
    return ASX_OK;
}

asx_err asx_epoll_create(const asx_driver_config *config, asx_driver **driver)
{
    asxi_epoll *const epoll = calloc(1, sizeof(*epoll));
    if (!epoll) {
        return asx_err_errno(ENOMEM);
    }
    asx_list_init(&epoll->ready);
    asx_list_init(&epoll->starved);
    asx_list_init(&epoll->unused);
    asx_err err = asxi_rbuf_pool_init(&epoll->bufs, config);
    if (err) {
        goto undo_alloc;
    }
    err = asxi_reactor_init(&epoll->reactor, &epoll_ops, config);
    if (err) {
        goto undo_bufs;
    }
    err = set_open(epoll);
    if (err) {
        goto undo_reactor;
    }
    *driver = &epoll->reactor.driver;
    return ASX_OK;
undo_reactor:
    asxi_reactor_deinit(&epoll->reactor);
undo_bufs:
    asxi_rbuf_pool_deinit(&epoll->bufs);
undo_alloc:
    free(epoll);
    return err;
}
