/* Deliveries: items of an mpsc that are received for good only when their receiver says so.
 *
 * Model.  Who takes an item owes an answer, an ACK obligation: commit, and the item is its own;
 *         abort, and it goes back to where it stood, in front of all that was queued behind it. A
 *         holder that is cancelled, panics or forgets gives it back as well. The slot stays taken
 *         until then, so that an item can always come back; nothing is over before all is answered.
 *         Who takes one is told how often it was delivered. Several tasks may wait for items, and
 *         get them in the order in which they began to wait.
 * Owner.  The holder has a copy; what the item refers to is the holder's until it is given back. An
 *         item that comes back when nobody receives any more is dropped.
 * Far.    The receiver's value takes items on every shard, with the REMOTE capability: home has the
 *         queue and the line, and a holder's end is told to home.
 * Cancel. No item is held. */
#ifndef ASX_SHARD_SYNC_DELIVERY_H
#define ASX_SHARD_SYNC_DELIVERY_H

#include <asx/shard/base/decls.h>
#include <asx/shard/sync/mpsc.h>

ASX_BEGIN_DECLS

typedef struct asx_delivery {
    asx_permit _obligation;
    uint32_t attempt; /* 1: the first */
} asx_delivery;

/* Waits for the next item and copies it to `item`; the caller owes `delivery`.
 * item_size  the channel's
 * errors     DISCONNECTED (no sender, permit or unanswered delivery left, and everything received),
 *            TIMED_OUT, STALE, AT_CAPACITY, NO_MEMORY; INVALID_ARGUMENT: of another size */
ASX_NODISCARD asx_outcome asx_delivery_next_until(asx_cx *cx, asx_mpsc_receiver receiver,
                                                  void *item, uint32_t item_size,
                                                  asx_instant deadline_ns, asx_delivery *delivery);

/* The item was received. A settled delivery is left alone. */
void asx_delivery_commit(asx_cx *cx, asx_delivery delivery);
/* It goes back. Likewise. */
void asx_delivery_abort(asx_cx *cx, asx_delivery delivery);
/* errors  as asx_obligation_transfer */
ASX_NODISCARD asx_err asx_delivery_transfer(asx_cx *cx, asx_delivery delivery, asx_handle task);

ASX_NODISCARD ASX_INLINE asx_outcome asx_delivery_next(asx_cx *cx, asx_mpsc_receiver receiver,
                                                       void *item, uint32_t item_size,
                                                       asx_delivery *delivery)
{
    return asx_delivery_next_until(cx, receiver, item, item_size, ASX_TIME_NEVER, delivery);
}

ASX_END_DECLS

/* The same of a channel that ASX_MPSC_TYPE(name, type) has made. */
#define ASX_DELIVERY_TYPE(name, type)                                             \
    ASX_NODISCARD ASX_UNUSED static inline asx_outcome name##_next(               \
        asx_cx *cx, name##_receiver receiver, type *item, asx_delivery *delivery) \
    {                                                                             \
        const asx_mpsc_receiver end = { receiver._end };                          \
        return asx_delivery_next(cx, end, item, sizeof(type), delivery);          \
    }

#endif
