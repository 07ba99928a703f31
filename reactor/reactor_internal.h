/* What the two kernel drivers share: the ledger of operations, completions made without the kernel,
 * the inbox through which the blocking pool answers, the bell, and the receive buffers.
 *
 *  IDLE -> submit -> LOCAL     finished already, done() comes with the next reap
 *                 -> BLOCKING  the pool has it (its own lock says whether queued or running)
 *                 -> others    the driver's own states, from ASXI_OP_DRIVER up
 *  any  -> done(more == false) -> IDLE
 *
 * In flight, op->result counts the bytes moved so far and op->err is the driver's scratch word:
 * both are meaningless to the caller until done(). */
#ifndef ASX_REACTOR_REACTOR_INTERNAL_H
#define ASX_REACTOR_REACTOR_INTERNAL_H

#include <asx/reactor/blocking.h>
#include <asx/reactor/driver_config.h>
#include <asx/shard/driver.h>

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>

enum {
    ASXI_OP_IDLE = 0,
    ASXI_OP_LOCAL,
    ASXI_OP_BLOCKING,
    ASXI_OP_DRIVER,
};

/* The longest park (SCH-13). */
#define ASXI_PARK_MAX (250 * ASX_NS_PER_MS)

/* Receive buffers: one mapping, lent one by one. */
typedef struct asxi_rbuf_pool {
    char *memory;
    asx_rbuf *bufs;
    uint32_t *free; /* a stack of ids: the last one returned is the warmest */
    uint32_t free_count;
    uint32_t count;
    uint32_t size;
    bool touched; /* some buffer was lent since the last trim */
} asxi_rbuf_pool;

/* A park that nothing ended for so long is a quiet one: buffers give their memory back. */
#define ASXI_QUIET_PARK (100 * ASX_NS_PER_MS)

/* Where the pool's threads leave what they finished. */
typedef struct asxi_inbox {
    pthread_mutex_t lock;
    asx_list ops;   /* under the lock */
    uint32_t count; /* a hint read without the lock; its store pairs with the acquire in reap */
} asxi_inbox;

/* A range of a file that was in memory in the turn of that number. */
typedef struct asxi_resident {
    uint64_t turn;
    uint64_t offset, end;
    int32_t file_fd;
} asxi_resident;
#define ASXI_RESIDENT_COUNT 8u /* by the descriptor's low bits */

typedef struct asxi_reactor {
    asx_driver driver;
    asx_driver_stats stats;
    asx_list local; /* LOCAL operations */
    int spare_fd;   /* given up to accept, and turn away, when no descriptor is left; -1: none */
    asx_blocking *blocking;
    bool blocking_owned;
    int wake_fd;           /* eventfd; never read: both drivers watch it edge-triggered */
    uint32_t wake_pending; /* the bell rang and its completion was not seen yet */
    asxi_inbox inbox;
    uint64_t turn; /* parks so far, from 1 */
    asxi_resident resident[ASXI_RESIDENT_COUNT];
    int32_t way[2]; /* kept.c: a pipe, empty between calls; -1: none */
} asxi_reactor;

static_assert(sizeof(asx_err) >= sizeof(void *), "op->err carries a pointer while in flight");

ASX_INLINE asxi_reactor *asxi_reactor_of(asx_driver *driver)
{
    return asx_container_of(driver, asxi_reactor, driver);
}

/* errors  ENOMEM, EMFILE */
ASX_NODISCARD asx_err asxi_reactor_init(asxi_reactor *reactor, const asx_driver_ops *ops,
                                        const asx_driver_config *config);
void asxi_reactor_deinit(asxi_reactor *reactor);

/* Marks the op in flight. asserts: it is idle and has a done(). */
void asxi_op_begin(asxi_reactor *reactor, asx_op *op);

/* Calls done(). more == false ends the op: it may be gone, or submitted again, on return. */
void asxi_op_complete(asxi_reactor *reactor, asx_op *op, asx_err err, uint32_t result, bool more);

/* Calls done() of a multishot op that stays in flight (more == true). done() may cancel it. */
void asxi_op_lend(asxi_reactor *reactor, asx_op *op, uint32_t result);

/* Lets the next reap complete the op. */
void asxi_op_defer(asxi_reactor *reactor, asx_op *op, asx_err err, uint32_t result);

/* Completes what is LOCAL or in the inbox, at most `limit`. Returns how many. */
unsigned asxi_reactor_reap(asxi_reactor *reactor, unsigned limit);

/* Something for asxi_reactor_reap(). */
bool asxi_reactor_ready(asxi_reactor *reactor);

/* Hands the op to the blocking pool; a full pool defers AT_CAPACITY. */
void asxi_op_block(asxi_reactor *reactor, asx_op *op);
/* Takes a BLOCKING op back if it still waits for a thread. */
void asxi_op_unblock(asxi_reactor *reactor, asx_op *op);

/* The bell was seen; pairs with the exchange in wake(). */
void asxi_wake_seen(asxi_reactor *reactor);

/* Entries of the operations table that are the same in both drivers. */
asx_instant asxi_driver_now(asx_driver *driver);
void asxi_driver_wake(asx_driver *driver);
void asxi_driver_entropy(asx_driver *driver, void *bytes, uint32_t len);
void asxi_driver_stats(asx_driver *driver, asx_driver_stats *stats);
asx_err asxi_driver_send_now(asx_driver *driver, int32_t fd, const struct iovec *iov,
                             uint32_t count, bool last, uint32_t *sent);
asx_err asxi_driver_name(asx_driver *driver, int32_t fd, bool remote, asx_addr *addr);
bool asxi_driver_turn_away(asx_driver *driver, int32_t fd);

/* accept_now, for a driver that has to be told of new descriptors. The connection does not block,
 * whatever the listening socket does. */
asx_err asxi_accept_now(asxi_reactor *reactor, int32_t fd, int32_t *connection);

/* The receive pool, count and size already rounded. */
ASX_NODISCARD asx_err asxi_rbuf_pool_init(asxi_rbuf_pool *pool, const asx_driver_config *config);
void asxi_rbuf_pool_deinit(asxi_rbuf_pool *pool);
/* None is lent: the pages go back to the system; the next receives get fresh ones. */
void asxi_rbuf_pool_trim(asxi_rbuf_pool *pool);

/* blocking.c: any thread; the op is BLOCKING. Full: AT_CAPACITY, and the op was not taken. */
ASX_NODISCARD asx_err asxi_blocking_push(asx_blocking *pool, asx_op *op);
/* True: the op was queued, and is the caller's again. */
bool asxi_blocking_try_take(asx_blocking *pool, asx_op *op);
/* Called by the pool's threads; rings the reactor's bell. */
void asxi_inbox_push(asxi_reactor *reactor, asx_op *op);

/* Turns O_NONBLOCK on or off. False: errno says why not. */
bool asxi_nonblocking_set(int32_t fd, bool on);

/* sendfile.c: bytes sent, 0 at the file's end, -EAGAIN when the socket is full, -ENODATA when the
 * range is not in memory, or another -errno. may_block: the socket is not O_NONBLOCK. */
int64_t asxi_sendfile_try(asxi_reactor *reactor, int32_t fd, bool may_block, int32_t file_fd,
                          uint64_t offset, uint32_t length);
/* The operations table's sendfile_now, for a driver that knows whether fd blocks. */
asx_err asxi_sendfile_now(asxi_reactor *reactor, int32_t fd, bool may_block,
                          const struct iovec *head, int32_t file_fd, uint64_t offset,
                          uint32_t length, uint32_t *sent);

/* kept.c: the operations table's send_kept_now, for a driver that knows whether fd blocks. */
asx_err asxi_send_kept_now(asxi_reactor *reactor, int32_t fd, bool may_block,
                           const struct iovec *head, asx_kept *kept, uint32_t length,
                           uint32_t *sent);
void asxi_kept_way_close(asxi_reactor *reactor);

/* file.c: OPEN, STAT, READ, WRITE, FSYNC by their system calls, on a thread that may block.
 * Leaves err and result in the op. */
void asxi_file_run(asx_op *op);
/* The directory that a relative path starts from: fd 0, a zero-filled op, means the working one. */
int asxi_file_dir(const asx_op *op);

#endif
