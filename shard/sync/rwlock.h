/* Read-write locks: many readers or one writer, and neither starves.
 *
 * Model.  A new reader queues while a writer holds or waits. On release whoever came first goes
 *         first: the readers older than the first writer enter together, else one writer. After
 *         ASX_RWLOCK_WRITER_RUN_MAX writers in a row with readers waiting, the oldest reader enters
 *         (SYN-7..SYN-9). Only a write guard poisons.
 * Owner.  The region it was opened in; the value names it and may be copied.
 * Far.    The value works on every shard, with the REMOTE capability: home has the lock and its
 *         lines. What cannot wait for home's answer is refused over there: try_read and try_write
 *         with WRONG_SHARD, stats with zeros. */
#ifndef ASX_SHARD_SYNC_RWLOCK_H
#define ASX_SHARD_SYNC_RWLOCK_H

#include <asx/shard/base/decls.h>
#include <asx/shard/obligation.h>
#include <asx/shard/sync/mutex.h>

ASX_BEGIN_DECLS

#define ASX_RWLOCK_WRITER_RUN_MAX 16u

typedef struct asx_rwlock {
    asx_handle _object;
} asx_rwlock;

/* Of a reader or of a writer; a LEASE. */
typedef struct asx_rwlock_guard {
    asx_permit _obligation;
} asx_rwlock_guard;

/* what    for people; outlives the lock
 * errors  REGION_CLOSED, NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_rwlock_open(asx_cx *cx, const char *what, asx_rwlock *rwlock);
void asx_rwlock_close(asx_cx *cx, asx_rwlock rwlock);

/* cancel  the lock is not held
 * errors  POISONED, CLOSED, TIMED_OUT, STALE, AT_CAPACITY (obligations of the region);
 *         WOULD_DEADLOCK: this task is the writer */
ASX_NODISCARD asx_outcome asx_rwlock_read_until(asx_cx *cx, asx_rwlock rwlock,
                                                asx_instant deadline_ns, asx_rwlock_guard *guard);
ASX_NODISCARD asx_outcome asx_rwlock_write_until(asx_cx *cx, asx_rwlock rwlock,
                                                 asx_instant deadline_ns, asx_rwlock_guard *guard);
/* errors  LOCKED, also when somebody waits who comes first; and as above */
ASX_NODISCARD asx_err asx_rwlock_try_read(asx_cx *cx, asx_rwlock rwlock, asx_rwlock_guard *guard);
ASX_NODISCARD asx_err asx_rwlock_try_write(asx_cx *cx, asx_rwlock rwlock, asx_rwlock_guard *guard);
/* A settled guard is left alone. */
void asx_rwlock_unlock(asx_cx *cx, asx_rwlock_guard guard);
/* A writer becomes a reader, without a moment in which another writer could enter.
 * errors  STALE, TOKEN_MISMATCH, TYPE_MISMATCH: not a write guard; nothing has changed */
ASX_NODISCARD asx_err asx_rwlock_downgrade(asx_cx *cx, asx_rwlock_guard *guard);

void asx_rwlock_clear_poison(asx_cx *cx, asx_rwlock rwlock);
asx_lock_stats asx_rwlock_stats(asx_cx *cx, asx_rwlock rwlock);

ASX_NODISCARD ASX_INLINE asx_outcome asx_rwlock_read(asx_cx *cx, asx_rwlock rwlock,
                                                     asx_rwlock_guard *guard)
{
    return asx_rwlock_read_until(cx, rwlock, ASX_TIME_NEVER, guard);
}

ASX_NODISCARD ASX_INLINE asx_outcome asx_rwlock_write(asx_cx *cx, asx_rwlock rwlock,
                                                      asx_rwlock_guard *guard)
{
    return asx_rwlock_write_until(cx, rwlock, ASX_TIME_NEVER, guard);
}

ASX_END_DECLS

#endif
