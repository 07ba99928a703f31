/* The epoll driver's own record, and the seam between epoll.c (slots, park, reap) and epoll_op.c
 * (one attempt per operation).
 *
 * States of an op beyond those of reactor_internal.h:
 *   WAITING  in its slot's `ops`, until the slot is ready in the op's direction */
#ifndef ASX_REACTOR_EPOLL_INTERNAL_H
#define ASX_REACTOR_EPOLL_INTERNAL_H

#include "reactor_internal.h"

#include <sys/epoll.h>

enum {
    EPOLL_OP_WAITING = ASXI_OP_DRIVER,
};

/* Directions; an op waits for one, POLL for what it asked. */
enum {
    EPOLL_DIR_IN = 1u << 0,
    EPOLL_DIR_OUT = 1u << 1,
};

#define EPOLL_EVENTS 256
#define EPOLL_BLOCK_LOG2 8u
#define EPOLL_BLOCK (1u << EPOLL_BLOCK_LOG2)
#define EPOLL_SENDFILE_VISIT (1u << 20)

/* One descriptor. Small: each shard has one for every descriptor of the process, whoever it is that
 * serves it. Zero-filled is one of which nothing is known. */
typedef struct epoll_slot {
    asx_list *ops;       /* WAITING, oldest first */
    asx_list run;        /* in `ready` or in `starved`, or in neither */
    uint16_t generation; /* of events: one that was made for an earlier owner of fd is dropped */
    uint16_t watched;    /* EPOLLIN and so on, as registered; 0: not in the set */
    uint16_t revents;    /* what edges said since POLL last looked */
    uint8_t ready;       /* EPOLL_DIR_*: an edge came and no EAGAIN since */
    bool hung_up : 1;    /* read to the end: no other edge will come */
    bool known : 1;      /* closes through the driver, so its registration may outlive an op */
    bool nonblocking : 1;
} epoll_slot;
static_assert(sizeof(epoll_slot) == 32, "a part of what an idle connection costs");

typedef struct asxi_epoll {
    asxi_reactor reactor;
    int epoll_fd;
    epoll_slot **blocks; /* by fd >> EPOLL_BLOCK_LOG2; blocks never move */
    uint32_t block_count;
    asx_list ready;   /* slots to visit */
    asx_list starved; /* slots whose receive waits for a buffer */
    asxi_rbuf_pool bufs;
    struct epoll_event events[EPOLL_EVENTS];
} asxi_epoll;

ASX_INLINE asxi_epoll *asxi_epoll_of(asx_driver *driver)
{
    return asx_container_of(driver, asxi_epoll, reactor.driver);
}

typedef enum epoll_try {
    EPOLL_TRY_DONE,    /* err and result are in the op */
    EPOLL_TRY_AGAIN,   /* not ready */
    EPOLL_TRY_PARTIAL, /* something moved, and more may move at once */
} epoll_try;

/* epoll_op.c: the direction an op waits for. */
unsigned asxi_epoll_op_dir(const asx_op *op);
/* One attempt at anything but ACCEPT, a multishot RECV and POLL. Leaves what was moved in
 * op->result, and at the end the error in op->err. */
epoll_try asxi_epoll_op_try(asxi_epoll *epoll, asx_op *op);
/* True when READ and WRITE may block for the disk: the pool's work. */
bool asxi_epoll_file_is_disk(int32_t fd);
/* One datum for a multishot: its descriptor or its byte count, or -errno. */
int32_t asxi_epoll_accept(asxi_epoll *epoll, asx_op *op);
int32_t asxi_epoll_recv(asxi_epoll *epoll, asx_op *op, asx_rbuf *rbuf);

#endif
