/* Notify: wakes one task, or all that wait.
 *
 * Model.  notify_one wakes the oldest waiter, or is stored for the next wait; stored ones add up.
 *         notify_all wakes exactly those that wait now and stores nothing (SYN-13).
 * Owner.  The region it was opened in; the value names it and may be copied.
 * Far.    The value works on every shard, with the REMOTE capability, but for wait_for, which is
 *         WRONG_SHARD. A notification counts from when home hears of it.
 * Cancel. A notification of one that was given to a wait which is cancelled goes to the next in
 *         line, or is stored. */
#ifndef ASX_SHARD_SYNC_NOTIFY_H
#define ASX_SHARD_SYNC_NOTIFY_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>
#include <asx/shard/sync/waits.h>

ASX_BEGIN_DECLS

typedef struct asx_notify {
    asx_handle _object;
} asx_notify;

/* what    for people; outlives the object
 * errors  REGION_CLOSED, NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_notify_open(asx_cx *cx, const char *what, asx_notify *notify);
/* Waiters get CLOSED. */
void asx_notify_close(asx_cx *cx, asx_notify notify);

void asx_notify_one(asx_cx *cx, asx_notify notify);
void asx_notify_all(asx_cx *cx, asx_notify notify);

/* errors  CLOSED, TIMED_OUT, STALE */
ASX_NODISCARD asx_outcome asx_notify_wait_until(asx_cx *cx, asx_notify notify,
                                                asx_instant deadline_ns);

/* Waits until holds(arg). It is looked at now and after each notification of any kind; none that
 * comes between a look and the wait is missed, and none is consumed. */
typedef bool asx_notify_holds_fn(void *arg);
ASX_NODISCARD asx_outcome asx_notify_wait_for(asx_cx *cx, asx_notify notify,
                                              asx_notify_holds_fn *holds, void *arg,
                                              asx_instant deadline_ns);

/* Of tasks that waited for a notification. */
ASX_INLINE asx_waits asx_notify_waits(asx_cx *cx, asx_notify notify)
{
    return asx_waits_of(cx, notify._object);
}

ASX_END_DECLS

#endif
