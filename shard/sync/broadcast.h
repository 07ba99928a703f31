/* broadcast: every receiver sees every item, unless it falls behind by more than the capacity.
 *
 * Model.  A ring of `capacity` items and a cursor for each receiver. A sender never waits for a
 *         slow receiver: it overwrites, and the receiver is told once how many it missed
 *         (CH-30..CH-32).
 * Owner.  The region it was opened in. Items are plain data: each receiver gets a copy.
 * Far.    asx_broadcast_export makes a value that another shard turns into a receiver of its own:
 *         there is a ring there, which home fills as the items come. It counts as one receiver,
 *         however many are cloned from it, and they fall behind by themselves; when home has to
 *         leave items out because that shard is slow, they miss what they had not read either.
 *         A sender works on every shard, with the REMOTE capability: there a send waits for home's
 *         answer, and one that is cancelled meanwhile may have been made.
 * Cancel. A cancelled receive has not moved its cursor. */
#ifndef ASX_SHARD_SYNC_BROADCAST_H
#define ASX_SHARD_SYNC_BROADCAST_H

#include <asx/shard/base/decls.h>
#include <asx/shard/sync/end.h>
#include <asx/shard/sync/waits.h>

ASX_BEGIN_DECLS

#define ASX_BROADCAST_CAPACITY_MAX (1u << 20)
#define ASX_BROADCAST_ITEM_MAX 4096u

typedef struct asx_broadcast_sender {
    asx_handle _end;
    uint32_t _item_size;
} asx_broadcast_sender;

typedef struct asx_broadcast_receiver {
    asx_handle _end;
} asx_broadcast_receiver;

typedef struct asx_broadcast_options {
    uint32_t capacity;  /* 1..ASX_BROADCAST_CAPACITY_MAX */
    uint32_t item_size; /* 1..ASX_BROADCAST_ITEM_MAX */
    const char *what;   /* for people; outlives the channel */
} asx_broadcast_options;

/* Opens a channel with one sender and no receiver.
 * errors  INVALID_ARGUMENT, REGION_CLOSED, NO_MEMORY, NO_SLOTS */
ASX_NODISCARD asx_err asx_broadcast_open(asx_cx *cx, const asx_broadcast_options *options,
                                         asx_broadcast_sender *sender);
/* errors  STALE, NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_broadcast_sender_clone(asx_cx *cx, asx_broadcast_sender sender,
                                                 asx_broadcast_sender *clone);
/* A receiver of what is sent from now on. */
ASX_NODISCARD asx_err asx_broadcast_subscribe(asx_cx *cx, asx_broadcast_sender sender,
                                              asx_broadcast_receiver *receiver);
/* A receiver at the same place as `receiver`. */
ASX_NODISCARD asx_err asx_broadcast_receiver_clone(asx_cx *cx, asx_broadcast_receiver receiver,
                                                   asx_broadcast_receiver *clone);

/* Never waits. Ok(number of receivers).
 * cancel  nothing was sent
 * errors  CLOSED (no receiver), STALE */
ASX_NODISCARD asx_outcome asx_broadcast_send(asx_cx *cx, asx_broadcast_sender sender,
                                             const void *item);

/* Copies the next item to `item`.
 * lagged  how many were missed, when the answer is LAGGED; NULL allowed
 * cancel  the cursor has not moved
 * errors  LAGGED: told once, the oldest kept item is next; CLOSED (no sender left, everything
 *         read), TIMED_OUT, STALE */
ASX_NODISCARD asx_outcome asx_broadcast_recv_until(asx_cx *cx, asx_broadcast_receiver receiver,
                                                   void *item, uint64_t *lagged,
                                                   asx_instant deadline_ns);
/* errors  EMPTY, LAGGED, CLOSED, STALE */
ASX_NODISCARD asx_err asx_broadcast_try_recv(asx_cx *cx, asx_broadcast_receiver receiver,
                                             void *item, uint64_t *lagged);

/* A receiver for another shard, at the same place as `receiver`: a plain value to put into the
 * argument of asx_spawn_on or into a message. */
typedef struct asx_broadcast_far {
    asx_handle _link;
    const char *_what;
    uint32_t _capacity, _item_size;
} asx_broadcast_far;

/* errors  STALE, NO_SLOTS, NO_MEMORY; WRONG_SHARD for a receiver that is far itself */
ASX_NODISCARD asx_err asx_broadcast_export(asx_cx *cx, asx_broadcast_receiver receiver,
                                           asx_broadcast_far *far);
/* On the shard that shall receive, once: a receiver in the cx's region.
 * errors  NO_CAPABILITY (REMOTE), REGION_CLOSED, NO_SLOTS, NO_MEMORY; STALE at home */
ASX_NODISCARD asx_err asx_broadcast_import(asx_cx *cx, const asx_broadcast_far *far,
                                           asx_broadcast_receiver *receiver);
/* For a value that will not be imported. */
ASX_INLINE void asx_broadcast_far_abandon(asx_cx *cx, const asx_broadcast_far *far)
{
    asx_end_close(cx, far->_link);
}

ASX_NODISCARD ASX_INLINE asx_outcome asx_broadcast_recv(asx_cx *cx, asx_broadcast_receiver receiver,
                                                        void *item, uint64_t *lagged)
{
    return asx_broadcast_recv_until(cx, receiver, item, lagged, ASX_TIME_NEVER);
}

ASX_INLINE void asx_broadcast_sender_close(asx_cx *cx, asx_broadcast_sender sender)
{
    asx_end_close(cx, sender._end);
}

ASX_INLINE void asx_broadcast_receiver_close(asx_cx *cx, asx_broadcast_receiver receiver)
{
    asx_end_close(cx, receiver._end);
}

/* Of all receivers. */
ASX_INLINE asx_waits asx_broadcast_waits(asx_cx *cx, asx_broadcast_receiver receiver)
{
    return asx_waits_of(cx, receiver._end);
}

ASX_END_DECLS

#endif
