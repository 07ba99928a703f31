/* mpsc: a bounded FIFO from many senders to one receiver, in two phases.
 *
 * Model.  `capacity` slots; queued + reserved <= capacity. reserve waits for a slot and returns a
 *         permit; sending through the permit cannot fail for lack of room and cannot wait. Items
 *         are delivered in the order in which they were committed (CH-1..CH-7).
 * Owner.  The region it was opened in. Items are copied in and out; `drop` is called for those that
 *         nobody received.
 * Far.    asx_mpsc_export makes a value that another shard turns into a sender of its own. Its
 *         slots are credits that the home shard granted, so reserve and commit mean the same; only
 *         an item already under way when the receiver goes cannot come back: it is dropped there
 *         (XSH-6).
 * Cancel. A cancelled reserve or recv has had no effect: no slot is taken, no item lost. */
#ifndef ASX_SHARD_SYNC_MPSC_H
#define ASX_SHARD_SYNC_MPSC_H

#include <asx/shard/base/decls.h>
#include <asx/shard/obligation.h>
#include <asx/shard/sync/end.h>
#include <asx/shard/sync/waits.h>
#include <asx/shard/task.h>

ASX_BEGIN_DECLS

#define ASX_MPSC_CAPACITY_MAX (1u << 24)
#define ASX_MPSC_ITEM_MAX 4096u /* bytes; send a pointer to what is larger */

typedef struct asx_mpsc_sender {
    asx_handle _end;
} asx_mpsc_sender;

typedef struct asx_mpsc_receiver {
    asx_handle _end;
} asx_mpsc_receiver;

/* A reserved slot, a SEND_PERMIT of the task that reserved it. */
typedef struct asx_mpsc_permit {
    asx_permit _obligation;
    asx_handle _channel;
} asx_mpsc_permit;

typedef struct asx_mpsc_options {
    uint32_t capacity;  /* 1..ASX_MPSC_CAPACITY_MAX */
    uint32_t item_size; /* 1..ASX_MPSC_ITEM_MAX */
    asx_drop_fn *drop;  /* called with a pointer to an item nobody received; NULL: nothing to do */
    const char *what;   /* for people; outlives the channel */
} asx_mpsc_options;

/* Opens a channel in the cx's region.
 * errors  INVALID_ARGUMENT, REGION_CLOSED, NO_MEMORY, NO_SLOTS */
ASX_NODISCARD asx_err asx_mpsc_open(asx_cx *cx, const asx_mpsc_options *options,
                                    asx_mpsc_sender *sender, asx_mpsc_receiver *receiver);

/* One more sender; each is closed on its own.
 * errors  STALE, NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_mpsc_sender_clone(asx_cx *cx, asx_mpsc_sender sender,
                                            asx_mpsc_sender *clone);

/* Waits for a slot, in FIFO order.
 * cancel  no slot is held
 * errors  DISCONNECTED (receiver gone, or stopped), TIMED_OUT, STALE, AT_CAPACITY (obligations of
 *         the region) */
ASX_NODISCARD asx_outcome asx_mpsc_reserve_until(asx_cx *cx, asx_mpsc_sender sender,
                                                 asx_instant deadline_ns, asx_mpsc_permit *permit);
/* errors  FULL, also when somebody waits; DISCONNECTED, STALE, AT_CAPACITY */
ASX_NODISCARD asx_err asx_mpsc_try_reserve(asx_cx *cx, asx_mpsc_sender sender,
                                           asx_mpsc_permit *permit);

/* Commits: `item` is queued behind everything committed before.
 * errors  DISCONNECTED: nobody will receive it, the item stays the caller's and the permit is
 *         settled as aborted; STALE, TOKEN_MISMATCH */
ASX_NODISCARD asx_err asx_mpsc_permit_send(asx_cx *cx, asx_mpsc_permit permit, const void *item);
/* Gives the slot to the next that waits; a settled permit is left alone. */
void asx_mpsc_permit_abort(asx_cx *cx, asx_mpsc_permit permit);

/* reserve and send in one call, without a permit in between.
 * cancel  nothing was sent
 * errors  DISCONNECTED, TIMED_OUT, STALE: the item stays the caller's */
ASX_NODISCARD asx_outcome asx_mpsc_send_until(asx_cx *cx, asx_mpsc_sender sender, const void *item,
                                              asx_instant deadline_ns);
/* errors  FULL, also when somebody waits; DISCONNECTED, STALE */
ASX_NODISCARD asx_err asx_mpsc_try_send(asx_cx *cx, asx_mpsc_sender sender, const void *item);

/* Sends without waiting; when the channel is full, takes out the oldest queued item that `match`
 * accepts (NULL: any) and copies it to `evicted`. Ok(1): one was evicted, Ok(0): there was room.
 * errors  FULL: nothing queued matches, or the slot is owed to a waiter; DISCONNECTED, STALE;
 *         WRONG_SHARD: full, and the queue is another shard's */
typedef bool asx_mpsc_match_fn(const void *item, void *arg);
ASX_NODISCARD asx_outcome asx_mpsc_send_evict(asx_cx *cx, asx_mpsc_sender sender, const void *item,
                                              asx_mpsc_match_fn *match, void *arg, void *evicted);

/* Waits for the next item and copies it to `item`. One task at a time receives.
 * cancel  the item, if any, stays queued
 * errors  DISCONNECTED (no sender and no permit left, and everything received), TIMED_OUT, STALE */
ASX_NODISCARD asx_outcome asx_mpsc_recv_until(asx_cx *cx, asx_mpsc_receiver receiver, void *item,
                                              asx_instant deadline_ns);
/* errors  EMPTY, DISCONNECTED, STALE */
ASX_NODISCARD asx_err asx_mpsc_try_recv(asx_cx *cx, asx_mpsc_receiver receiver, void *item);
/* Waits for one item and takes up to `limit`: Ok(count), 0 when limit is 0 or all is over. */
ASX_NODISCARD asx_outcome asx_mpsc_recv_many(asx_cx *cx, asx_mpsc_receiver receiver, void *items,
                                             uint32_t limit);

/* New reserves fail; what is queued or reserved is still delivered (CH-6). */
void asx_mpsc_stop(asx_cx *cx, asx_mpsc_receiver receiver);

/* A sender for another shard, as a plain value to put into the argument of asx_spawn_on or into a
 * message. It counts as a sender until it was imported and that sender was closed, or until
 * asx_mpsc_far_abandon. */
typedef struct asx_mpsc_far {
    asx_handle _peer;
    asx_drop_fn *_drop;
    const char *_what;
    uint32_t _item_size, _capacity;
} asx_mpsc_far;

/* errors  STALE, NO_SLOTS, NO_MEMORY; WRONG_SHARD for a sender that is far itself */
ASX_NODISCARD asx_err asx_mpsc_export(asx_cx *cx, asx_mpsc_sender sender, asx_mpsc_far *far);
/* On the shard that shall send, once: a sender in the cx's region.
 * errors  NO_CAPABILITY (REMOTE), REGION_CLOSED, NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_mpsc_import(asx_cx *cx, const asx_mpsc_far *far, asx_mpsc_sender *sender);
/* At home, for a value that will not be imported. */
void asx_mpsc_far_abandon(asx_cx *cx, const asx_mpsc_far *far);

/* queued + reserved, 0 for a stale end. */
uint32_t asx_mpsc_used(asx_cx *cx, asx_mpsc_receiver receiver);

/* A closed sender no longer keeps the channel alive; a closed receiver drops what is queued and
 * tells all senders. Stale ends are left alone. */
ASX_INLINE void asx_mpsc_sender_close(asx_cx *cx, asx_mpsc_sender sender)
{
    asx_end_close(cx, sender._end);
}

ASX_INLINE void asx_mpsc_receiver_close(asx_cx *cx, asx_mpsc_receiver receiver)
{
    asx_end_close(cx, receiver._end);
}

ASX_NODISCARD ASX_INLINE asx_outcome asx_mpsc_reserve(asx_cx *cx, asx_mpsc_sender sender,
                                                      asx_mpsc_permit *permit)
{
    return asx_mpsc_reserve_until(cx, sender, ASX_TIME_NEVER, permit);
}

ASX_NODISCARD ASX_INLINE asx_outcome asx_mpsc_send(asx_cx *cx, asx_mpsc_sender sender,
                                                   const void *item)
{
    return asx_mpsc_send_until(cx, sender, item, ASX_TIME_NEVER);
}

ASX_NODISCARD ASX_INLINE asx_outcome asx_mpsc_recv(asx_cx *cx, asx_mpsc_receiver receiver,
                                                   void *item)
{
    return asx_mpsc_recv_until(cx, receiver, item, ASX_TIME_NEVER);
}

/* Of senders that waited for a slot, and of the receiver. */
ASX_INLINE asx_waits asx_mpsc_waits(asx_cx *cx, asx_mpsc_receiver receiver)
{
    return asx_waits_of(cx, receiver._end);
}

ASX_END_DECLS

/* The same for items of one type, so that nobody casts:
 *     ASX_MPSC_TYPE(jobs, struct job)
 *     jobs_sender tx; jobs_receiver rx;
 *     jobs_open(cx, 64, &tx, &rx);  jobs_send(cx, tx, job);  jobs_recv(cx, rx, &job); */
#define ASX_MPSC_TYPE(name, type)                                                                 \
    typedef struct name##_sender {                                                                \
        asx_handle _end;                                                                          \
    } name##_sender;                                                                              \
    typedef struct name##_receiver {                                                              \
        asx_handle _end;                                                                          \
    } name##_receiver;                                                                            \
    typedef struct name##_permit {                                                                \
        asx_mpsc_permit _permit;                                                                  \
    } name##_permit;                                                                              \
    ASX_NODISCARD ASX_UNUSED static inline asx_err name##_open(                                   \
        asx_cx *cx, uint32_t capacity, name##_sender *sender, name##_receiver *receiver)          \
    {                                                                                             \
        asx_mpsc_sender s;                                                                        \
        asx_mpsc_receiver r;                                                                      \
        const asx_mpsc_options options = { capacity, sizeof(type), NULL, #name };                 \
        const asx_err err = asx_mpsc_open(cx, &options, &s, &r);                                  \
        sender->_end = s._end;                                                                    \
        receiver->_end = r._end;                                                                  \
        return err;                                                                               \
    }                                                                                             \
    ASX_NODISCARD ASX_UNUSED static inline asx_err name##_clone(asx_cx *cx, name##_sender sender, \
                                                                name##_sender *clone)             \
    {                                                                                             \
        const asx_mpsc_sender s = { sender._end };                                                \
        asx_mpsc_sender c;                                                                        \
        const asx_err err = asx_mpsc_sender_clone(cx, s, &c);                                     \
        clone->_end = c._end;                                                                     \
        return err;                                                                               \
    }                                                                                             \
    ASX_NODISCARD ASX_UNUSED static inline asx_outcome name##_reserve(                            \
        asx_cx *cx, name##_sender sender, name##_permit *permit)                                  \
    {                                                                                             \
        const asx_mpsc_sender end = { sender._end };                                              \
        return asx_mpsc_reserve(cx, end, &permit->_permit);                                       \
    }                                                                                             \
    ASX_NODISCARD ASX_UNUSED static inline asx_err name##_permit_send(                            \
        asx_cx *cx, name##_permit permit, type item)                                              \
    {                                                                                             \
        return asx_mpsc_permit_send(cx, permit._permit, &item);                                   \
    }                                                                                             \
    ASX_UNUSED static inline void name##_permit_abort(asx_cx *cx, name##_permit permit)           \
    {                                                                                             \
        asx_mpsc_permit_abort(cx, permit._permit);                                                \
    }                                                                                             \
    ASX_NODISCARD ASX_UNUSED static inline asx_outcome name##_send(                               \
        asx_cx *cx, name##_sender sender, type item)                                              \
    {                                                                                             \
        const asx_mpsc_sender end = { sender._end };                                              \
        return asx_mpsc_send(cx, end, &item);                                                     \
    }                                                                                             \
    ASX_NODISCARD ASX_UNUSED static inline asx_err name##_try_send(                               \
        asx_cx *cx, name##_sender sender, type item)                                              \
    {                                                                                             \
        const asx_mpsc_sender end = { sender._end };                                              \
        return asx_mpsc_try_send(cx, end, &item);                                                 \
    }                                                                                             \
    ASX_NODISCARD ASX_UNUSED static inline asx_outcome name##_recv(                               \
        asx_cx *cx, name##_receiver receiver, type *item)                                         \
    {                                                                                             \
        const asx_mpsc_receiver end = { receiver._end };                                          \
        return asx_mpsc_recv(cx, end, item);                                                      \
    }                                                                                             \
    ASX_NODISCARD ASX_UNUSED static inline asx_err name##_try_recv(                               \
        asx_cx *cx, name##_receiver receiver, type *item)                                         \
    {                                                                                             \
        const asx_mpsc_receiver end = { receiver._end };                                          \
        return asx_mpsc_try_recv(cx, end, item);                                                  \
    }

#endif
