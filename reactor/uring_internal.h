/* The ring's own record, and the seams between its files: uring.c (set-up, submit, reap, park),
 * uring_op.c (one preparation and one completion per operation), uring_sendfile.c, uring_buf.c
 * (receive buffers).
 *
 * States of an op beyond those of reactor_internal.h:
 *   PENDING  no submission entry was free: in `pending`, the kernel has not heard of it
 *   KERNEL   has a submission entry, or has been taken in; one completion without F_MORE will come
 *   STARVED  multishot receive that found no buffer: in `starved` until some are back */
#ifndef ASX_REACTOR_URING_INTERNAL_H
#define ASX_REACTOR_URING_INTERNAL_H

#include "reactor_internal.h"

#include <liburing.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum {
    URING_OP_PENDING = ASXI_OP_DRIVER,
    URING_OP_KERNEL,
    URING_OP_STARVED,
};

/* user_data of completions that belong to no op; ops are aligned, so bit 0 tells them apart. */
#define URING_DATA_WAKE UINT64_C(1)
#define URING_DATA_CANCEL UINT64_C(3)

#define URING_BUF_GROUP 0
#define URING_SENDFILE_CHUNK 65536u
#define URING_QUIET_REAP 8u /* completions up to which a turn sends at once */
#define URING_SEND_FLAGS (MSG_WAITALL | MSG_NOSIGNAL)

/* What the kernel reads or writes beside the op itself, lent to an op while it is in flight;
 * op->err points to it. */
typedef struct uring_aux uring_aux;
struct uring_aux {
    uring_aux *next; /* free list */
    struct msghdr msg;
    struct iovec cut; /* SENDV: the caller's entry that `msg` starts in, as the caller wrote it */
    struct iovec *cut_at;
    uint32_t chunk_len, chunk_sent; /* SENDFILE: what `chunk` holds, and what of it is sent */
    bool polling;                   /* SENDFILE: the socket was full */
    char *chunk;
    union {
        struct sockaddr_storage addr;
        struct statx statx;
    };
};

typedef struct asxi_uring {
    asxi_reactor reactor;
    struct io_uring ring;
    unsigned *no_array; /* stands in for the index array that NO_SQARRAY rings do not have */
    bool ring_fd_registered;
    bool wake_armed;
    asx_list pending; /* ops, PENDING */
    asx_list starved; /* ops, STARVED */
    asx_list cancels; /* ops in KERNEL whose cancellation found no submission entry */
    asxi_rbuf_pool bufs;
    struct io_uring_buf_ring *buf_ring;
    size_t buf_ring_bytes;
    uint32_t buf_returned; /* added to the ring, not yet published */
    uint32_t buf_lent;
    uint32_t reaped; /* by the last reap: how busy this turn is */
    uring_aux *aux_free;
    uint64_t *nonblocking; /* a bit a descriptor: accepted here, and O_NONBLOCK */
    uint32_t nonblocking_words;
} asxi_uring;

ASX_INLINE asxi_uring *asxi_uring_of(asx_driver *driver)
{
    return asx_container_of(driver, asxi_uring, reactor.driver);
}

/* Whether sendfile() on fd is known not to wait. */
ASX_INLINE bool asxi_uring_nonblocking(const asxi_uring *uring, int32_t fd)
{
    const uint32_t word = (uint32_t)fd / 64;
    return word < uring->nonblocking_words && uring->nonblocking[word] >> ((uint32_t)fd % 64) & 1;
}

ASX_INLINE uring_aux *asxi_uring_aux(const asx_op *op)
{
    return (uring_aux *)(uintptr_t)op->err;
}

/* uring.c: a submission entry, entering the kernel for room if need be; NULL when it gives none. */
struct io_uring_sqe *asxi_uring_sqe(asxi_uring *uring);
/* Gives the op a submission entry or leaves it pending. */
void asxi_uring_queue(asxi_uring *uring, asx_op *op);

/* uring_op.c: false when the op was finished instead of queued (deferred). */
bool asxi_uring_op_start(asxi_uring *uring, asx_op *op);
void asxi_uring_op_prepare(asx_op *op, struct io_uring_sqe *sqe);
void asxi_uring_op_finish(asxi_uring *uring, asx_op *op, int32_t res, uint32_t flags);
/* Ends an op with no completion outstanding: its aux returns, and the next reap calls done(). */
void asxi_uring_op_drop(asxi_uring *uring, asx_op *op, asx_err err);
/* Ends an op whose completion is here: done() is called. */
void asxi_uring_op_complete(asxi_uring *uring, asx_op *op, asx_err err, uint32_t result);
void asxi_uring_aux_deinit(asxi_uring *uring);

/* uring_sendfile.c: notes what the driver did to fd; short of memory it stays unknown. */
void asxi_uring_nonblocking_set(asxi_uring *uring, int32_t fd, bool on);
/* The op has its aux. */
bool asxi_uring_sendfile_start(asxi_uring *uring, asx_op *op);
void asxi_uring_sendfile_prepare(asx_op *op, struct io_uring_sqe *sqe);
void asxi_uring_sendfile_finish(asxi_uring *uring, asx_op *op, int32_t res);

/* uring_buf.c */
ASX_NODISCARD asx_err asxi_uring_buf_init(asxi_uring *uring, const asx_driver_config *config);
void asxi_uring_buf_deinit(asxi_uring *uring);
/* The buffer a completion names, lent from here on. */
asx_rbuf *asxi_uring_buf_lend(asxi_uring *uring, uint32_t cqe_flags);
void asxi_uring_buf_return(asxi_uring *uring, asx_rbuf *rbuf);
/* Publishes what was returned, and queues as many starved receives as there are buffers. */
void asxi_uring_buf_flush(asxi_uring *uring);

#endif
