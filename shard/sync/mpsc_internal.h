/* The two sides of a channel: its home, and the far object that stands for it on another shard.
 *
 *   far                              home
 *   import      ──ATTACH──>          the peer learns the far end
 *   WANT(n)     ──>                  stands in the line of the reservers, like a fiber, and is
 *                                    served at the end of a turn
 *               <──GRANT(k)──        k <= n slots are reserved: credits
 *   ITEM        ──>                  one credit spent: queued, cannot fail
 *               <──RECALL──          somebody waits here while credits may lie idle there
 *   RETURN(k)   ──>                  free again
 *               <──STOPPED──         reserves fail from now on
 *               <──GONE──            nobody will receive
 *   DETACH      ──>                  whatever credits are out come back
 *
 * A far object asks before it has spent what it has, and for twice as much after it had to wait, up
 * to half the channel. queued + reserved <= capacity holds with reserved = permits + credits out
 * (XSH-6). Both rings are FIFO, so that at DETACH every item sent before it has been queued. */
#ifndef ASX_SHARD_SYNC_MPSC_INTERNAL_H
#define ASX_SHARD_SYNC_MPSC_INTERNAL_H

#include <asx/shard/sync/mpsc.h>

#include "link_internal.h"

#include <string.h>

enum { ASXI_MPSC_SENDER = 1, ASXI_MPSC_RECEIVER, ASXI_MPSC_LINK };
/* The tag of a baton in the receivers' line that is handed its item; others are told of one. */
enum { ASXI_MPSC_DELIVERY = 1 };

/* Of an item that was delivered and may come back. */
typedef struct asxi_mpsc_mark {
    uint64_t number; /* in order of the queue */
    uint32_t attempts;
    uint32_t _zero;
} asxi_mpsc_mark;

/* What deliveries need beside the queue. */
typedef struct asxi_mpsc_book {
    uint64_t next;          /* number */
    uint32_t returned;      /* the first of those queued: they came back */
    asxi_mpsc_mark marks[]; /* of these, by slot */
} asxi_mpsc_book;

enum {
    ASXI_MPSC_WANT = ASXI_LINK_OPS, /* to home: arg32 slots */
    ASXI_MPSC_RETURN,               /* to home: arg32 credits */
    ASXI_MPSC_GRANT,                /* arg32 credits */
    ASXI_MPSC_RECALL,
    ASXI_MPSC_STOPPED,
};

typedef struct asxi_mpsc {
    asxi_object object;
    char *items; /* a ring of `capacity`, in the region's heap */
    asx_drop_fn *drop;
    const char *what;
    asxi_link *links;
    asxi_mpsc_book *book;      /* NULL: nothing was ever delivered */
    const asxi_far_ops *calls; /* what other shards may call it for; NULL: nothing */
    uint32_t capacity, item_size;
    uint32_t head, queued;
    uint32_t reserved; /* permits and deliveries out, slots granted to waiters that have not run
                          yet, credits */
    uint32_t senders;
    bool stopped; /* no more reserves */
    bool receiver_gone;
    asxi_line reservers;
    asxi_line receiver;    /* the task that receives, when it waits */
    asx_turn_end turn_end; /* linked: another shard waits, and there is room */
} asxi_mpsc;

_Static_assert(sizeof(asxi_mpsc) <= ASXI_OBJECT_BYTES, "an mpsc fits a record");

extern const asxi_object_type asxi_mpsc_type;
extern const asxi_object_type asxi_mpsc_far_type;

/* Where the nth of those queued stands. */
static inline uint32_t asxi_mpsc_index(const asxi_mpsc *self, uint32_t nth)
{
    const uint32_t at = self->head + nth;
    return at - (at >= self->capacity ? self->capacity : 0);
}

static inline asxi_mpsc *asxi_mpsc_of(asxi_object *object)
{
    return asx_container_of(object, asxi_mpsc, object);
}

static inline char *asxi_mpsc_slot_at(const asxi_mpsc *self, uint32_t nth)
{
    return self->items + (size_t)asxi_mpsc_index(self, nth) * self->item_size;
}

/* Most items are one word. */
static inline void asxi_mpsc_item_copy(const asxi_mpsc *self, void *target, const void *source)
{
    if (asx_likely(self->item_size == sizeof(uint64_t))) {
        memcpy(target, source, sizeof(uint64_t));
    } else {
        memcpy(target, source, self->item_size);
    }
}

static inline bool asxi_mpsc_has_room(const asxi_mpsc *self)
{
    return self->queued + self->reserved < self->capacity;
}

/* mpsc.c */
void asxi_mpsc_item_pop(asxi_mpsc *self, void *item);
void asxi_mpsc_item_move(asxi_mpsc *self, uint32_t from, uint32_t to);
void asxi_mpsc_item_set(asxi_mpsc *self, uint32_t nth, const void *item);
/* Nothing can arrive any more (CH-4). */
bool asxi_mpsc_is_over(const asxi_mpsc *self);
/* Something is queued, and somebody may wait for it. */
void asxi_mpsc_serve(asxi_mpsc *self);
void asxi_mpsc_item_push(asxi_mpsc *self, const void *item);
/* `count` reserved slots come back unused. */
void asxi_mpsc_slots_return(asxi_mpsc *self, uint32_t count);
/* Reserves `count` slots, if that many are free and nobody waits for them. */
bool asxi_mpsc_slots_take(asxi_mpsc *self, uint32_t count);
void asxi_mpsc_sender_gone(asxi_mpsc *self);

/* mpsc_send.c */
/* Without waiting. errors: FULL, DISCONNECTED */
asx_err asxi_mpsc_slot_try(asxi_mpsc *self);
/* A reserved slot becomes `item`. */
void asxi_mpsc_slot_fill(asxi_mpsc *self, const void *item);
/* The channel behind a sender of this shard. */
asxi_mpsc *asxi_mpsc_of_sender(asx_cx *cx, asx_mpsc_sender sender);

/* delivery.c */
void asxi_mpsc_book_close(asxi_mpsc *self);
/* Hands the first item to the baton of a delivery, and tells it. */
void asxi_mpsc_deliver(asxi_mpsc *self, asxi_baton *baton);
/* For holders on other shards: as asxi_far_ops has them. */
asx_err asxi_mpsc_far_deliver(asxi_mpsc *self, asxi_baton *baton, asxi_line **line);
void asxi_mpsc_far_undelivered(asxi_mpsc *self, const asx_msg *msg);
void asxi_mpsc_far_lost(asxi_baton *baton);

/* mpsc_peer.c */
void asxi_mpsc_message(asxi_end *end, const asx_msg *msg);
void asxi_mpsc_link_close(asxi_mpsc *home, const asxi_end *end);
/* Somebody waits for a slot: credits that lie idle on other shards are asked back, but not by who
 * has them for itself. */
void asxi_mpsc_recall(asxi_mpsc *home);
/* The channel was stopped, or its receiver went. */
void asxi_mpsc_peers_tell(asxi_mpsc *home);

/* mpsc_far.c: what asx_mpsc_* does for a sender of another shard's channel. */
asx_outcome asxi_mpsc_far_slot_wait(asx_cx *cx, asxi_object *object, asx_instant deadline_ns);
asx_err asxi_mpsc_far_slot_try(asxi_object *object);
bool asxi_mpsc_far_listens(asxi_object *object);
void asxi_mpsc_far_item_push(asxi_object *object, const void *item);
void asxi_mpsc_far_slot_return(asxi_object *object);
asx_err asxi_mpsc_far_clone(asxi_object *object, asx_handle *clone);
const char *asxi_mpsc_far_what(asxi_object *object);

#endif
