#include <asx/shard/base/assert.h>
#include <asx/shard/base/atomic.h>
#include <asx/shard/base/bits.h>

#include "reactor_internal.h"
#include "socket.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

asx_err asxi_reactor_init(asxi_reactor *reactor, const asx_driver_ops *ops,
                          const asx_driver_config *config)
{
    reactor->driver.ops = ops;
    reactor->turn = 1;
    asx_list_init(&reactor->local);
    asx_list_init(&reactor->inbox.ops);
    reactor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (reactor->wake_fd < 0) {
        return asx_err_errno(errno);
    }
    reactor->blocking = config->blocking;
    if (!reactor->blocking) {
        const asx_err err = asx_blocking_create(NULL, &reactor->blocking);
        if (err) {
            close(reactor->wake_fd);
            return err;
        }
        reactor->blocking_owned = true;
    }
    reactor->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    reactor->way[0] = reactor->way[1] = -1;
    pthread_mutex_init(&reactor->inbox.lock, NULL);
    return ASX_OK;
}

void asxi_reactor_deinit(asxi_reactor *reactor)
{
    asx_assert(asx_list_empty(&reactor->local));
    if (reactor->blocking_owned) {
        asx_blocking_destroy(reactor->blocking);
    }
    asx_assert(asx_list_empty(&reactor->inbox.ops));
    pthread_mutex_destroy(&reactor->inbox.lock);
    close(reactor->wake_fd);
    asxi_kept_way_close(reactor);
    if (reactor->spare_fd >= 0) {
        close(reactor->spare_fd);
    }
}

void asxi_op_begin(asxi_reactor *reactor, asx_op *op)
{
    asx_assert(!(op->flags & ASX_OP_SUBMITTED));
    asx_assert(op->done != NULL);
    asx_debug_assert(!asx_list_linked(&op->_link));
    op->flags = (uint8_t)((op->flags & ~(unsigned)ASX_OP_CANCELLING) | ASX_OP_SUBMITTED);
    op->more = false;
    op->result = 0;
    op->err = 0;
    reactor->stats.submitted++;
    reactor->stats.in_flight++;
}

void asxi_op_complete(asxi_reactor *reactor, asx_op *op, asx_err err, uint32_t result, bool more)
{
    asx_assert(op->flags & ASX_OP_SUBMITTED);
    op->err = err;
    op->result = result;
    op->more = more;
    reactor->stats.completed++;
    if (!more) {
        asx_debug_assert(!asx_list_linked(&op->_link));
        op->flags &= (uint8_t) ~(unsigned)(ASX_OP_SUBMITTED | ASX_OP_CANCELLING);
        op->_state = ASXI_OP_IDLE;
        reactor->stats.in_flight--;
    }
    op->done(op);
}

void asxi_op_lend(asxi_reactor *reactor, asx_op *op, uint32_t result)
{
    const bool was_local = op->_state == ASXI_OP_LOCAL;
    const asx_err ending = op->err;
    asxi_op_complete(reactor, op, ASX_OK, result, true);
    /* What a LOCAL op will end with stays in it meanwhile, whoever made it LOCAL. */
    if (was_local) {
        op->err = ending;
        op->result = 0;
    } else if (op->_state != ASXI_OP_LOCAL) {
        op->result = 0;
    }
}

void asxi_op_defer(asxi_reactor *reactor, asx_op *op, asx_err err, uint32_t result)
{
    asx_assert(op->flags & ASX_OP_SUBMITTED);
    op->err = err;
    op->result = result;
    op->_state = ASXI_OP_LOCAL;
    asx_list_push_back(&reactor->local, &op->_link);
}

static void inbox_drain(asxi_reactor *reactor)
{
    if (asx_load_acquire(&reactor->inbox.count) == 0) {
        return;
    }
    pthread_mutex_lock(&reactor->inbox.lock);
    asx_list_each(node, &reactor->inbox.ops) {
        asx_container_of(node, asx_op, _link)->_state = ASXI_OP_LOCAL;
    }
    asx_list_splice_back(&reactor->local, &reactor->inbox.ops);
    asx_store_relaxed(&reactor->inbox.count, 0);
    pthread_mutex_unlock(&reactor->inbox.lock);
}

unsigned asxi_reactor_reap(asxi_reactor *reactor, unsigned limit)
{
    inbox_drain(reactor);
    /* What done() defers waits for the next reap: `here` holds only what was there before. */
    asx_list here;
    asx_list_init(&here);
    asx_list_splice_back(&here, &reactor->local);
    unsigned count = 0;
    while (count < limit) {
        asx_list *const node = asx_list_pop_front(&here);
        if (!node) {
            break;
        }
        asx_op *const op = asx_container_of(node, asx_op, _link);
        asxi_op_complete(reactor, op, op->err, op->result, false);
        count++;
    }
    asx_list_splice_back(&here, &reactor->local);
    asx_list_splice_back(&reactor->local, &here);
    return count;
}

bool asxi_reactor_ready(asxi_reactor *reactor)
{
    return !asx_list_empty(&reactor->local) || asx_load_acquire(&reactor->inbox.count) != 0;
}

void asxi_op_block(asxi_reactor *reactor, asx_op *op)
{
    op->_state = ASXI_OP_BLOCKING;
    op->err = (asx_err)(uintptr_t)reactor;
    const asx_err err = asxi_blocking_push(reactor->blocking, op);
    if (err) {
        asxi_op_defer(reactor, op, err, 0);
    }
}

void asxi_op_unblock(asxi_reactor *reactor, asx_op *op)
{
    if (asxi_blocking_try_take(reactor->blocking, op)) {
        asxi_op_defer(reactor, op, asx_err_errno(ECANCELED), 0);
    }
}

void asxi_inbox_push(asxi_reactor *reactor, asx_op *op)
{
    pthread_mutex_lock(&reactor->inbox.lock);
    asx_list_push_back(&reactor->inbox.ops, &op->_link);
    /* Published for the acquire loads in reap and ready. */
    asx_store_release(&reactor->inbox.count, reactor->inbox.count + 1);
    /* Rung under the lock: once the shard has seen the op it may destroy the driver, and it cannot
     * see it before the unlock below. */
    asxi_driver_wake(&reactor->driver);
    pthread_mutex_unlock(&reactor->inbox.lock);
}

/* Whoever finds wake_pending set relies on a completion that the shard has not seen yet. The shard
 * clears it before it looks at its inboxes, so what was published before the exchange is seen. */
void asxi_driver_wake(asx_driver *driver)
{
    asxi_reactor *const reactor = asxi_reactor_of(driver);
    if (asx_exchange_seq_cst(&reactor->wake_pending, 1) != 0) {
        return;
    }
    const uint64_t one = 1;
    const ssize_t written = write(reactor->wake_fd, &one, sizeof(one));
    asx_assert(written == (ssize_t)sizeof(one));
}

void asxi_wake_seen(asxi_reactor *reactor)
{
    reactor->stats.wakes++;
    asx_exchange_seq_cst(&reactor->wake_pending, 0);
}

asx_instant asxi_driver_now(asx_driver *driver)
{
    (void)driver; /* the epoch is the host's: one for all drivers of the process */
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (asx_instant)ts.tv_sec * ASX_NS_PER_S + (asx_instant)ts.tv_nsec;
}

void asxi_driver_entropy(asx_driver *driver, void *bytes, uint32_t len)
{
    (void)driver;
    char *at = bytes;
    while (len > 0) {
        const ssize_t got = getrandom(at, len, 0);
        if (got < 0) {
            asx_assert(errno == EINTR);
            continue;
        }
        at += got;
        len -= (uint32_t)got;
    }
}

void asxi_driver_stats(asx_driver *driver, asx_driver_stats *stats)
{
    *stats = asxi_reactor_of(driver)->stats;
}

static size_t iov_bytes(const struct iovec *iov, uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += iov[i].iov_len;
    }
    return bytes;
}

asx_err asxi_driver_send_now(asx_driver *driver, int32_t fd, const struct iovec *iov,
                             uint32_t count, bool last, uint32_t *sent)
{
    struct msghdr msg = { .msg_iovlen = count };
    /* What is held back for more to come leaves with the end: one packet, and one answer to it. */
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (last ? MSG_MORE : 0);
    ssize_t got;
    asx_assert(count <= ASX_OP_IOV_MAX);
    memcpy(&msg.msg_iov, &iov, sizeof(iov)); /* the interface lacks a const: nothing is written */
    asxi_reactor_of(driver)->stats.syscalls++;
    do {
        if (count == 1) {
            got = send(fd, iov->iov_base, iov->iov_len, flags);
        } else {
            got = sendmsg(fd, &msg, flags);
        }
    } while (got < 0 && errno == EINTR);
    const int errnum = errno;
    *sent = got > 0 ? (uint32_t)got : 0;
    if (last && got >= 0 && (size_t)got == iov_bytes(iov, count)) {
        (void)shutdown(fd, SHUT_WR); /* refused, the connection is gone: the close finds out */
    }
    return got >= 0 || errnum == EAGAIN ? ASX_OK : asx_err_errno(errnum);
}

asx_err asxi_driver_name(asx_driver *driver, int32_t fd, bool remote, asx_addr *addr)
{
    (void)driver;
    return asx_socket_name(fd, remote, addr);
}

asx_err asxi_accept_now(asxi_reactor *reactor, int32_t fd, int32_t *connection)
{
    struct pollfd waiting = { .fd = fd, .events = POLLIN };
    /* Asked before each try: the socket may be one that blocks, and what waited may be gone. */
    while (poll(&waiting, 1, 0) > 0) {
        reactor->stats.syscalls += 2;
        const int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (got >= 0) {
            *connection = got;
            return ASX_OK;
        }
        if (errno != ECONNABORTED && errno != EINTR) {
            return asx_err_errno(errno);
        }
    }
    return asx_err_errno(EAGAIN);
}

bool asxi_driver_turn_away(asx_driver *driver, int32_t fd)
{
    asxi_reactor *const reactor = asxi_reactor_of(driver);
    int32_t connection;
    if (reactor->spare_fd < 0) {
        return false;
    }
    close(reactor->spare_fd);
    const bool taken = asxi_accept_now(reactor, fd, &connection) == ASX_OK;
    if (taken) {
        close(connection);
    }
    reactor->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return taken;
}

asx_err asxi_rbuf_pool_init(asxi_rbuf_pool *pool, const asx_driver_config *config)
{
    uint32_t count = config->buf_count ? config->buf_count : ASX_DRIVER_BUF_COUNT;
    count = count < ASX_DRIVER_BUF_COUNT_MAX ? count : ASX_DRIVER_BUF_COUNT_MAX;
    pool->count = (uint32_t)asx_pow2_ceil(count);
    pool->size = (uint32_t)asx_pow2_ceil(config->buf_size ? config->buf_size : ASX_DRIVER_BUF_SIZE);
    const size_t bytes = (size_t)pool->count * pool->size;
    void *const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return asx_err_errno(errno);
    }
    pool->bufs = calloc(pool->count, sizeof(*pool->bufs));
    pool->free = calloc(pool->count, sizeof(*pool->free));
    pool->memory = memory;
    if (!pool->bufs || !pool->free) {
        asxi_rbuf_pool_deinit(pool);
        return asx_err_errno(ENOMEM);
    }
    for (uint32_t i = 0; i < pool->count; i++) {
        pool->bufs[i] = (asx_rbuf){
            .data = pool->memory + (size_t)i * pool->size,
            .cap = pool->size,
            .id = i,
        };
        pool->free[i] = pool->count - 1 - i;
    }
    pool->free_count = pool->count;
    return ASX_OK;
}

void asxi_rbuf_pool_trim(asxi_rbuf_pool *pool)
{
    if (pool->touched) {
        /* A refusal costs memory, nothing else. */
        (void)madvise(pool->memory, (size_t)pool->count * pool->size, MADV_DONTNEED);
        pool->touched = false;
    }
}

void asxi_rbuf_pool_deinit(asxi_rbuf_pool *pool)
{
    if (pool->memory) {
        munmap(pool->memory, (size_t)pool->count * pool->size);
    }
    free(pool->bufs);
    free(pool->free);
    *pool = (asxi_rbuf_pool){ 0 };
}
