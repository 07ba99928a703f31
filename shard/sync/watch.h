/* watch: the latest value, and who has seen it.
 *
 * Model.  One value, one sender, a version that grows with each set. A receiver waits until the
 *         version is not the one it has seen; intermediate values may be skipped, the latest never
 *         (CH-40, CH-41).
 * Owner.  The region it was opened in. The value is plain data.
 * Far.    asx_watch_export makes a value that another shard turns into a receiver of its own: there
 *         is a copy there, which home keeps up to date, one value under way at a time. The sender
 *         stays where the watch was opened.
 * Cancel. A cancelled wait has marked nothing as seen. */
#ifndef ASX_SHARD_SYNC_WATCH_H
#define ASX_SHARD_SYNC_WATCH_H

#include <asx/shard/base/decls.h>
#include <asx/shard/sync/end.h>
#include <asx/shard/sync/waits.h>

ASX_BEGIN_DECLS

#define ASX_WATCH_VALUE_MAX 65536u

typedef struct asx_watch_sender {
    asx_handle _end;
} asx_watch_sender;

typedef struct asx_watch_receiver {
    asx_handle _end;
} asx_watch_receiver;

/* `initial` is copied, and counts as seen by the receiver.
 * value_size  1..ASX_WATCH_VALUE_MAX
 * what        for people; outlives the channel
 * errors      INVALID_ARGUMENT, REGION_CLOSED, NO_MEMORY, NO_SLOTS */
ASX_NODISCARD asx_err asx_watch_open(asx_cx *cx, uint32_t value_size, const void *initial,
                                     const char *what, asx_watch_sender *sender,
                                     asx_watch_receiver *receiver);

/* Never waits; works without receivers. errors  STALE */
ASX_NODISCARD asx_err asx_watch_set(asx_cx *cx, asx_watch_sender sender, const void *value);
/* Changes the value in place; fn must not suspend. errors  STALE */
typedef void asx_watch_modify_fn(void *value, void *arg);
ASX_NODISCARD asx_err asx_watch_modify(asx_cx *cx, asx_watch_sender sender, asx_watch_modify_fn *fn,
                                       void *arg);

/* A receiver that has seen the current value. errors  STALE, NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_watch_subscribe(asx_cx *cx, asx_watch_sender sender,
                                          asx_watch_receiver *receiver);
/* A receiver that has seen what `receiver` has. */
ASX_NODISCARD asx_err asx_watch_receiver_clone(asx_cx *cx, asx_watch_receiver receiver,
                                               asx_watch_receiver *clone);

/* A receiver for another shard, that has seen what `receiver` has: a plain value to put into the
 * argument of asx_spawn_on or into a message. */
typedef struct asx_watch_far {
    asx_handle _link;
    const char *_what;
    uint32_t _value_size;
} asx_watch_far;

/* errors  STALE, NO_SLOTS, NO_MEMORY; WRONG_SHARD for a receiver that is far itself */
ASX_NODISCARD asx_err asx_watch_export(asx_cx *cx, asx_watch_receiver receiver, asx_watch_far *far);
/* On the shard that shall receive, once: a receiver in the cx's region. Waits for the value.
 * cancel  there is no receiver, and `far` is used up
 * errors  CLOSED (the watch has gone), TIMED_OUT, NO_CAPABILITY (REMOTE), REGION_CLOSED, NO_SLOTS,
 *         NO_MEMORY; STALE at home */
ASX_NODISCARD asx_outcome asx_watch_import(asx_cx *cx, const asx_watch_far *far,
                                           asx_instant deadline_ns, asx_watch_receiver *receiver);
/* For a value that will not be imported. */
ASX_INLINE void asx_watch_far_abandon(asx_cx *cx, const asx_watch_far *far)
{
    asx_end_close(cx, far->_link);
}

/* Waits until there is a value that was not seen, and marks it as seen.
 * errors  CLOSED (the sender went, and its last value was seen), TIMED_OUT, STALE */
ASX_NODISCARD asx_outcome asx_watch_changed_until(asx_cx *cx, asx_watch_receiver receiver,
                                                  asx_instant deadline_ns);

ASX_NODISCARD ASX_INLINE asx_outcome asx_watch_changed(asx_cx *cx, asx_watch_receiver receiver)
{
    return asx_watch_changed_until(cx, receiver, ASX_TIME_NEVER);
}

/* The current value, valid until the next wait or set, whichever is first; NULL for a stale end.
 * Marks nothing, or marks it as seen. */
const void *asx_watch_borrow(asx_cx *cx, asx_watch_receiver receiver);
const void *asx_watch_borrow_and_mark(asx_cx *cx, asx_watch_receiver receiver);
bool asx_watch_has_changed(asx_cx *cx, asx_watch_receiver receiver);

ASX_INLINE void asx_watch_sender_close(asx_cx *cx, asx_watch_sender sender)
{
    asx_end_close(cx, sender._end);
}

ASX_INLINE void asx_watch_receiver_close(asx_cx *cx, asx_watch_receiver receiver)
{
    asx_end_close(cx, receiver._end);
}

/* Of all receivers of the value. */
ASX_INLINE asx_waits asx_watch_waits(asx_cx *cx, asx_watch_receiver receiver)
{
    return asx_waits_of(cx, receiver._end);
}

ASX_END_DECLS

#endif
