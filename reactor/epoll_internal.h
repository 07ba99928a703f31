/* The epoll driver's own record, and the seams between epoll.c (submit, park, reap),
 * epoll_slot.c (what is known of each descriptor) and epoll_op.c (one attempt per operation).
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
#define EPOLL_QUIET_REAP 8u /* completions up to which a turn sends at once */
#define EPOLL_SEND_LATER_MAX 16384u
#define EPOLL_SENDFILE_VISIT (1u << 20)

/* One descriptor that this shard has to do with: zero-filled, nothing is known of it. Slots are
 * found by number, since each shard has an entry for every descriptor of the process. */
typedef struct epoll_slot {
    asx_list *ops; /* WAITING, oldest first */
    asx_list run;  /* in `ready`, in `starved` or in `unused`, or in none */
    union {
        struct {
            uint16_t generation; /* of events: one made for an earlier owner of fd is dropped */
            uint16_t watched;    /* EPOLLIN and so on, as registered; 0: not in the set */
        };
        uint32_t number; /* unused */
    };
    uint16_t revents; /* what edges said since POLL last looked */
    uint8_t ready;    /* EPOLL_DIR_*: an edge came and no EAGAIN since */
    bool hung_up : 1; /* read to the end: no other edge will come */
    bool known : 1;   /* closes through the driver, so its registration may outlive an op */
    bool nonblocking : 1;
} epoll_slot;
static_assert(sizeof(epoll_slot) == 32, "a part of what an idle connection costs");

typedef struct asxi_epoll {
    asxi_reactor reactor;
    int epoll_fd;
    uint32_t **blocks; /* by fd >> EPOLL_BLOCK_LOG2: slot numbers, 0 for none */
    uint32_t block_count;
    uint32_t chunk_count;
    epoll_slot **chunks; /* by (number - 1) >> EPOLL_BLOCK_LOG2; slots never move */
    asx_list unused;     /* slots of no descriptor */
    uint16_t generation; /* the last one given out */
    asx_list ready;      /* slots to visit */
    asx_list starved;    /* slots whose receive waits for a buffer */
    asxi_rbuf_pool bufs;
    uint32_t reaped; /* by the last reap: how busy this turn is */
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

/* epoll_slot.c: NULL when nothing is known of the descriptor. */
epoll_slot *asxi_epoll_slot_find(const asxi_epoll *epoll, int32_t fd);
/* Makes one if need be. NULL when memory is short. */
epoll_slot *asxi_epoll_slot_of(asxi_epoll *epoll, int32_t fd);
/* The descriptor is being closed, or its number has come back from the kernel: nothing known of it
 * is true any more. What still waits on it ends. */
void asxi_epoll_slot_forget(asxi_epoll *epoll, epoll_slot *slot);
/* The same, and the slot is another's from now on: the descriptor is gone, or nobody's here. */
void asxi_epoll_slot_give_up(asxi_epoll *epoll, epoll_slot *slot, int32_t fd);
void asxi_epoll_slots_deinit(asxi_epoll *epoll);

/* The direction an op waits for. A mask and no switch: it is asked several times an event. */
ASX_INLINE unsigned asxi_epoll_op_dir(const asx_op *op)
{
    const uint32_t in = 1u << ASX_OP_ACCEPT | 1u << ASX_OP_RECV | 1u << ASX_OP_RECVFROM |
                        1u << ASX_OP_READ | 1u << ASX_OP_POLL;
    const uint32_t out = ~in | 1u << ASX_OP_POLL;
    return (in >> op->code & 1u ? EPOLL_DIR_IN : 0u) | (out >> op->code & 1u ? EPOLL_DIR_OUT : 0u);
}

/* epoll_op.c: one attempt at anything but ACCEPT, a multishot RECV and POLL. Leaves what was moved
 * in op->result, and at the end the error in op->err. */
epoll_try asxi_epoll_op_try(asxi_epoll *epoll, asx_op *op);
/* True when READ and WRITE may block for the disk: the pool's work. */
bool asxi_epoll_file_is_disk(int32_t fd);
/* One datum for a multishot: its descriptor or its byte count, or -errno. */
int32_t asxi_epoll_accept(asxi_epoll *epoll, asx_op *op);
int32_t asxi_epoll_recv(asxi_epoll *epoll, asx_op *op, asx_rbuf *rbuf);

#endif
