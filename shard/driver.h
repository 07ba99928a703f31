/* A driver: a shard's queue to the outside. shard/ declares it; uring, epoll, dpdk and lab fill it
 * in.
 *
 * Model.  Everything that could differ between two runs enters here: the clock, completions,
 *         wake-ups, entropy, the choice among equals. Work goes out as operations (asx_op) and
 *         comes back as completions; nothing above this line calls the operating system on a
 *         shard's thread.
 * Owner.  One shard. Every call is on its thread, except wake(), which any thread may call.
 * Rule.   An operation is the kernel's obligation until its terminal completion: the driver calls
 *         done(op) exactly once with op->more == false, whatever happens, also after cancel().
 *         Until then the op and the memory it names stay where they are. So user_data may be the
 *         op's address: no stale completion can exist. done() is only called inside reap().
 *
 *  operation  io_uring                 epoll                      lab               dpdk
 *  ACCEPT     multishot accept         EPOLLIN + accept4          virtual listener  SYN queue
 *  CONNECT    connect                  non-blocking + EPOLLOUT    virtual SYN       active open
 *  RECV       multishot recv out of    EPOLLIN + read into the    bytes due now,    lends mbuf data
 *             a provided-buffer ring   same pool of buffers       cut by a choice
 *  SEND(V)    send, sendmsg WAITALL    send at submit, EPOLLOUT   short by a choice reference
 *  slices RECVFROM   recvmsg                  EPOLLIN + recvmsg          datagram queue    UDP ring
 *  SENDTO     sendmsg                  sendmsg, EPOLLOUT          loss, delay       UDP ring
 *  SHUTDOWN   shutdown at submit       shutdown at submit         FIN               FIN
 *  CLOSE      close                    close at submit            close             close
 *  OPEN STAT READ WRITE FSYNC          blocking pool              virtual disk      blocking pool
 *             the opcode of that name
 *  SENDFILE   sendfile, poll_add; read sendfile, EPOLLOUT         copies            copies
 *             + send of what is not in
 *             memory
 *  POLL       poll_add                 EPOLLIN/EPOLLOUT once      virtual readiness as epoll
 *  TASK       blocking pool + wake     blocking pool + eventfd    runs at a choice  blocking pool
 *  cancel     async_cancel by          removed from the set,      completion is     removed, or its
 *             user_data                completes ECANCELED        chosen            real result
 *  now        CLOCK_MONOTONIC          CLOCK_MONOTONIC            virtual           TSC
 *  park       one enter that submits   epoll_wait                 next choice       poll, back off
 *             and waits
 *  wake       eventfd, armed read      eventfd                    a choice          a word it polls
 *  choose     NULL: always 0           NULL: always 0             recorded choice   NULL
 *  send_now   sendmsg when quiet, or 0 the same                   virtual send      NULL
 *  sendfile_now  sendfile              sendfile                   NULL              NULL
 *  send_kept_now tee, splice           tee, splice                NULL              NULL
 *  accept_now poll, accept4            poll, accept4              virtual listener  SYN queue
 *  turn_away  the same with a spare descriptor, then close        a reset           a reset
 *
 * Callers wait for their sends before SHUTDOWN and CLOSE. OPEN is relative to fd when fd > 0. While
 * an op is in flight, err and result are the driver's scratch space.
 *
 * In the lab, N shards share one thread: park() returns to the lab's loop instead of blocking,
 * which is why the turn (asx_shard_turn) is a function of its own and the shard's loop only repeats
 * it. */
#ifndef ASX_SHARD_DRIVER_H
#define ASX_SHARD_DRIVER_H

#include <asx/shard/base/addr.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>
#include <asx/shard/base/list.h>
#include <asx/shard/base/time.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

ASX_BEGIN_DECLS

typedef struct asx_driver asx_driver;
typedef struct asx_op asx_op;
typedef struct asx_kept asx_kept; /* kept.h */

typedef enum asx_op_code {
    ASX_OP_NONE = 0,
    ASX_OP_ACCEPT,  /* fd; multishot. result: the new descriptor. peer in *addr if set (not io_uring
                       multishot) */
    ASX_OP_CONNECT, /* fd, addr */
    ASX_OP_RECV,    /* fd. multishot when flags has MULTI: buf/result lent per completion; 0 = end.
                       Without MULTI: into iov[0] */
    ASX_OP_SEND,    /* fd, iov[0]; completes when all is sent or on error; result: bytes sent */
    ASX_OP_SENDV,   /* fd, iov, iov_count <= ASX_OP_IOV_MAX; as SEND */
    ASX_OP_RECVFROM, /* fd, iov[0]; *addr filled; result: bytes */
    ASX_OP_SENDTO,   /* fd, iov[0], *addr */
    ASX_OP_SHUTDOWN, /* fd, arg: SHUT_RD/WR/RDWR */
    ASX_OP_CLOSE,    /* fd */
    ASX_OP_OPEN,     /* path, arg: open(2) flags, mode; result: descriptor */
    ASX_OP_STAT, /* path (fd = directory or AT_FDCWD), or fd itself when path is empty; *stat filled
                  */
    ASX_OP_READ, /* fd, iov[0], offset (UINT64_MAX: the file's own); result: bytes */
    ASX_OP_WRITE,    /* fd, iov[0], offset */
    ASX_OP_FSYNC,    /* fd */
    ASX_OP_SENDFILE, /* fd = socket, file_fd, offset, length; result: bytes sent, possibly short */
    ASX_OP_POLL,     /* fd, arg: POLLIN/POLLOUT; result: revents */
    ASX_OP_TASK, /* work(op) on the blocking pool; cancelled only while queued; result set by work
                  */
} asx_op_code;

enum {
    ASX_OP_MULTI = 1u << 0,      /* RECV: stays armed, lends a pool buffer per completion */
    ASX_OP_SUBMITTED = 1u << 1,  /* the driver's: between submit and the terminal completion */
    ASX_OP_CANCELLING = 1u << 2, /* the driver's: cancel() was called */
    ASX_OP_AWAITED = 1u << 3,    /* the kernel's: a fiber waits for the completion */
};

#define ASX_OP_IOV_MAX 64u /* entries of one SENDV */

/* A buffer of the driver's receive pool, lent with a RECV completion until ops->buf_return(). */
typedef struct asx_rbuf {
    char *data;
    uint32_t cap;
    uint32_t id; /* the driver's */
} asx_rbuf;

typedef void asx_op_fn(asx_op *op);

/* The caller's memory, embedded in whoever waits. Zero-filled is idle. The arguments may be changed
 * only while idle. done() runs on the shard inside reap, must not suspend, and may submit the op
 * again once it is idle. */
struct asx_op {
    uint8_t code;   /* asx_op_code */
    uint8_t flags;  /* ASX_OP_* */
    uint8_t _state; /* the driver's */
    bool more;      /* at done(): the op stays in flight (multishot) */
    int32_t fd;
    uint32_t result; /* at done(), when err is 0 */
    union {
        uint32_t iov_count;
        uint32_t arg; /* flags of OPEN, SHUTDOWN's how, POLL's events */
    };
    asx_err err; /* at done(): errno domain (ECANCELED after a cancel that took effect) */
    asx_op_fn *done;
    union {
        struct iovec *iov; /* memory of the caller's until done */
        uint32_t mode;     /* OPEN */
        asx_rbuf *rbuf;    /* at done() of a multishot RECV with result > 0 */
    };
    union {
        struct {
            uint64_t offset;
            int32_t file_fd;
            uint32_t length;
        };
        asx_addr *addr;
        struct {
            void *keep; /* RECV: its owner's, which nobody else looks at */
            uint32_t keep_words[2];
        };
        struct {
            const char *path;
            struct stat *stat; /* struct stat filled by STAT */
        };
        struct {
            asx_op_fn
                *work; /* TASK: runs on a pool thread; may touch only what op's owner lent it */
            void *work_arg;
        };
    };
    asx_list _link;     /* the driver's, while it queues the op itself */
    asx_list _inflight; /* the kernel's: the holder's operations in flight */
    union {
        asx_op_fn *_then;          /* the kernel's: what the holder wants to hear */
        struct asxi_wait *_waiter; /* AWAITED: what is resolved instead */
    };
    struct asx_task *_holder;
};

/* Where a choice is made; the lab records them (index 0 is what production does). Numbers are part
 * of recorded runs: append only. */
typedef enum asx_choice_site {
    ASX_CHOICE_READY = 1, /* which of the equals of one lane and priority; object: shard */
    ASX_CHOICE_RACE,      /* which of several ready branches */
    ASX_CHOICE_SHARD,     /* which shard takes the next turn */
    ASX_CHOICE_RINGVIS,   /* how many of the messages in a ring are hidden; object: ring */
    ASX_CHOICE_RINGSPACE, /* how many of the free slots are hidden from the sender; object: ring */
    ASX_CHOICE_RINGORD,   /* rotation of the order in which rings are drained; object: shard */
    ASX_CHOICE_CQBATCH,  /* how many of the due completions wait for the next reap; object: shard */
    ASX_CHOICE_CQORD,    /* which unrelated due completion is first; object: shard */
    ASX_CHOICE_TIMEIO,   /* timer or completion first at one instant; object: shard */
    ASX_CHOICE_WAKEPICK, /* which waiter, where the contract leaves it open; object: lock, notify */
    ASX_CHOICE_IORES,    /* full, short, would block, an error; object: op */
    ASX_CHOICE_LATENCY,  /* bucket of the latency model; object: op */
    ASX_CHOICE_DOORBELL, /* now, coalesced, or at the next instant; object: from << 32 | to */
    ASX_CHOICE_SPURIOUS, /* a wake without a cause; object: task */
    ASX_CHOICE_FAULT,    /* inject a fault; object: point */
    ASX_CHOICE_CANCELPT, /* cancel at this await point; object: point */
    ASX_CHOICE_ALLOC,    /* the allocation fails; object: count */
    ASX_CHOICE_ACCEPT,   /* which shard gets a new connection; object: listener */
    ASX_CHOICE_POOL,     /* which blocking job completes next; object: pool */
    ASX_CHOICE_SKEW,     /* a clock jump; object: shard */
    ASX_CHOICE_MIGRATE,  /* whether an asked shard gives tasks away; object: shard */
    ASX_CHOICE_SITE_COUNT
} asx_choice_site;

typedef enum asx_driver_kind {
    ASX_DRIVER_URING,
    ASX_DRIVER_EPOLL,
    ASX_DRIVER_LAB,
    ASX_DRIVER_DPDK,
} asx_driver_kind;

const char *asx_driver_kind_name(asx_driver_kind kind);
const char *asx_op_code_name(asx_op_code code);

/* What a listening socket should be. */
typedef struct asx_listen_options {
    uint32_t backlog;   /* 0: the driver's default, 4096 */
    bool reuse_port;    /* one listener a shard; the kernel spreads connections */
    bool nodelay;       /* inherited by accepted sockets */
    uint32_t unix_mode; /* permission bits of a Unix socket's path; 0: 0660 */
} asx_listen_options;

typedef struct asx_driver_stats {
    uint64_t submitted;   /* operations */
    uint64_t completed;   /* completions, multishot ones each */
    uint64_t in_flight;   /* operations without terminal completion */
    uint64_t syscalls;    /* enters or epoll_waits and direct calls */
    uint64_t buf_starved; /* receives that found no buffer */
    uint64_t wakes;       /* doorbells that arrived */
} asx_driver_stats;

typedef struct asx_driver_ops {
    asx_driver_kind kind;

    /* Instant of the engine's epoch clock (TM-1), one epoch for the process. */
    asx_instant (*now)(asx_driver *driver);

    /* Queues the op. Cannot fail: what cannot be queued completes with an error in the next reap.
     */
    void (*submit)(asx_driver *driver, asx_op *op);

    /* Hands over what the transport takes of iov[0..count) at once, without an op; `sent` may be
     * short, 0 included. `last`: the write side is shut behind it if all was taken, so that the end
     * travels with the bytes. No SEND may be in flight on fd. NULL: the driver only knows ops.
     * errors  the errno; nothing was sent */
    asx_err (*send_now)(asx_driver *driver, int32_t fd, const struct iovec *iov, uint32_t count,
                        bool last, uint32_t *sent);

    /* The same for head[0] (may be NULL) and then `length` bytes of a file: what of it is in memory
     * already, without a copy. NULL: the driver only knows ops. */
    asx_err (*sendfile_now)(asx_driver *driver, int32_t fd, const struct iovec *head,
                            int32_t file_fd, uint64_t offset, uint32_t length, uint32_t *sent);

    /* The same for head[0] (may be NULL) and then the first `length` of the bytes kept; 0 sent also
     * when they cannot be held. NULL: the driver only knows ops. */
    asx_err (*send_kept_now)(asx_driver *driver, int32_t fd, const struct iovec *head,
                             asx_kept *kept, uint32_t length, uint32_t *sent);

    /* Asks the op to end. It still completes once: with its real result, or with ECANCELED. */
    void (*cancel)(asx_driver *driver, asx_op *op);

    /* Calls done() for at most `limit` completions that are here; never blocks. Returns how many.
     */
    unsigned (*reap)(asx_driver *driver, unsigned limit);

    /* Submits everything queued, and blocks until a completion, a wake() or `until` (NEVER: until
     * one of the others), at most 250 ms. until <= now: submits and returns. */
    void (*park)(asx_driver *driver, asx_instant until);

    /* True when reap() would find something without entering the kernel. */
    bool (*ready)(asx_driver *driver);

    /* Ends a present or the next park() of this driver. Any thread. */
    void (*wake)(asx_driver *driver);

    /* Gives a lent receive buffer back. */
    void (*buf_return)(asx_driver *driver, asx_rbuf *rbuf);

    /* Descriptors without suspension. A bound, listening socket; a socket ready for CONNECT or
     * datagrams (bound to *local when given). errors  the errno */
    asx_err (*listen)(asx_driver *driver, const asx_addr *addr, const asx_listen_options *options,
                      int32_t *fd);
    asx_err (*socket)(asx_driver *driver, asx_addr_family family, bool datagram,
                      const asx_addr *local, int32_t *fd);
    /* Local or remote address of a socket. */
    asx_err (*name)(asx_driver *driver, int32_t fd, bool remote, asx_addr *addr);
    /* The first connection that waits at a listening socket, on which no ACCEPT is in flight.
     * errors  EAGAIN: none waits; the errno */
    asx_err (*accept_now)(asx_driver *driver, int32_t fd, int32_t *connection);
    /* Closes the first connection that waits, when no descriptor is left to accept it with. False:
     * none waits, or that could not be done either. */
    bool (*turn_away)(asx_driver *driver, int32_t fd);
    /* Closes without an op: for undo paths, where no operation is in flight on fd. */
    void (*close_now)(asx_driver *driver, int32_t fd);

    /* Fills `bytes` with entropy (live: the OS; lab: the seed). */
    void (*entropy)(asx_driver *driver, void *bytes, uint32_t len);

    /* Picks one of n >= 1 equals; 0 is what production does. NULL: always 0. */
    uint32_t (*choose)(asx_driver *driver, uint32_t site, uint32_t n, uint64_t object);

    void (*stats)(asx_driver *driver, asx_driver_stats *stats);

    /* No operation is in flight; frees the driver. On the shard's thread. */
    void (*destroy)(asx_driver *driver);
} asx_driver_ops;

/* First member of every driver. */
struct asx_driver {
    const asx_driver_ops *ops;
};

ASX_END_DECLS

#endif
