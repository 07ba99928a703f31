/* Barriers: a number of tasks wait for each other, again and again.
 *
 * Model.  The last arrival trips the barrier and alone is the leader; then it begins anew (SYN-12).
 * Owner.  The region it was opened in; the value names it and may be copied.
 * Cancel. Before the trip the arrival is taken back; after it the trip wins.
 * Far.    The value works on every shard, with the REMOTE capability. There the trip wins once the
 *         news of it has arrived. */
#ifndef ASX_SHARD_SYNC_BARRIER_H
#define ASX_SHARD_SYNC_BARRIER_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>
#include <asx/shard/sync/waits.h>

ASX_BEGIN_DECLS

typedef struct asx_barrier {
    asx_handle _object;
} asx_barrier;

/* parties  at least 1
 * what     for people; outlives the object
 * errors   INVALID_ARGUMENT, REGION_CLOSED, NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_barrier_open(asx_cx *cx, uint32_t parties, const char *what,
                                       asx_barrier *barrier);
/* Waiters get CLOSED. */
void asx_barrier_close(asx_cx *cx, asx_barrier barrier);

/* Ok(1) for the leader, Ok(0) for the others.
 * errors  CLOSED, TIMED_OUT, STALE */
ASX_NODISCARD asx_outcome asx_barrier_wait_until(asx_cx *cx, asx_barrier barrier,
                                                 asx_instant deadline_ns);

/* Of arrivals before the last of their round. */
ASX_INLINE asx_waits asx_barrier_waits(asx_cx *cx, asx_barrier barrier)
{
    return asx_waits_of(cx, barrier._object);
}

ASX_END_DECLS

#endif
