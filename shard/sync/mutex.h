/* Mutexes: one holder, handed on in order of arrival, held across waits if need be.
 *
 * Model.  Locking hands out a guard, a LEASE of the task that locked. Unlocking hands the lock to
 *         the oldest waiter. A holder that panics, or leaks its guard, poisons: everybody gets
 *         POISONED until someone has repaired the data and says so; a cancelled holder does not
 *         (SYN-6).
 * Owner.  The region it was opened in; the value names it and may be copied. What it protects is
 *         the user's.
 * Far.    The value works on every shard, with the REMOTE capability: home has the lock and the
 *         line, and a guard whose holder ends goes home with how it ended. What cannot wait for
 *         home's answer is refused over there: try_lock with WRONG_SHARD, is_poisoned with false,
 *         stats with zeros.
 * Note.   Tasks of one shard never run at the same time: a mutex is for what must hold across a
 *         suspension. */
#ifndef ASX_SHARD_SYNC_MUTEX_H
#define ASX_SHARD_SYNC_MUTEX_H

#include <asx/shard/base/decls.h>
#include <asx/shard/obligation.h>
#include <asx/shard/sync/waits.h>

ASX_BEGIN_DECLS

typedef struct asx_mutex {
    asx_handle _object;
} asx_mutex;

typedef struct asx_mutex_guard {
    asx_permit _obligation;
} asx_mutex_guard;

typedef struct asx_lock_stats {
    uint64_t acquired;
    asx_waits waits; /* for some of them */
} asx_lock_stats;

/* what    for people; outlives the mutex
 * errors  REGION_CLOSED, NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_mutex_open(asx_cx *cx, const char *what, asx_mutex *mutex);
/* Waiters get CLOSED; the guard that is out may still be unlocked. */
void asx_mutex_close(asx_cx *cx, asx_mutex mutex);

/* cancel  the lock is not held, and the next in line was served
 * errors  POISONED, WOULD_DEADLOCK (this task holds it), CLOSED, TIMED_OUT, STALE, AT_CAPACITY
 *         (obligations of the region) */
ASX_NODISCARD asx_outcome asx_mutex_lock_until(asx_cx *cx, asx_mutex mutex, asx_instant deadline_ns,
                                               asx_mutex_guard *guard);
/* errors  LOCKED, also when somebody waits; POISONED, WOULD_DEADLOCK, CLOSED, STALE, AT_CAPACITY */
ASX_NODISCARD asx_err asx_mutex_try_lock(asx_cx *cx, asx_mutex mutex, asx_mutex_guard *guard);
/* A settled guard is left alone. */
void asx_mutex_unlock(asx_cx *cx, asx_mutex_guard guard);

bool asx_mutex_is_poisoned(asx_cx *cx, asx_mutex mutex);
/* The data is whole again. */
void asx_mutex_clear_poison(asx_cx *cx, asx_mutex mutex);

/* All zero for a stale mutex. */
asx_lock_stats asx_mutex_stats(asx_cx *cx, asx_mutex mutex);

ASX_NODISCARD ASX_INLINE asx_outcome asx_mutex_lock(asx_cx *cx, asx_mutex mutex,
                                                    asx_mutex_guard *guard)
{
    return asx_mutex_lock_until(cx, mutex, ASX_TIME_NEVER, guard);
}

ASX_END_DECLS

#endif
