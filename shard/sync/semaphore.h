/* Semaphores: n permits, strictly in order of arrival.
 *
 * Model.  acquire(n) is all or nothing; a large request at the head holds back smaller ones behind
 *         it, so that nobody starves (SYN-10, SYN-11). A permit is a SEMAPHORE_PERMIT obligation.
 * Owner.  The region it was opened in; the value names it and may be copied.
 * Far.    The value works on every shard, with the REMOTE capability: home has the permits and the
 *         line. An acquire waits for home's answer; what cannot wait is refused over there:
 *         try_acquire with WRONG_SHARD, available with 0. */
#ifndef ASX_SHARD_SYNC_SEMAPHORE_H
#define ASX_SHARD_SYNC_SEMAPHORE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/obligation.h>
#include <asx/shard/sync/waits.h>

ASX_BEGIN_DECLS

#define ASX_SEMAPHORE_PERMITS_MAX (UINT64_MAX / 2)

typedef struct asx_semaphore {
    asx_handle _object;
} asx_semaphore;

typedef struct asx_semaphore_permit {
    asx_permit _obligation; /* null: of acquire(0), which holds nothing */
} asx_semaphore_permit;

/* what    for people; outlives the semaphore
 * errors  INVALID_ARGUMENT (above ASX_SEMAPHORE_PERMITS_MAX), REGION_CLOSED, NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_semaphore_open(asx_cx *cx, uint64_t permits, const char *what,
                                         asx_semaphore *semaphore);
/* Waiters get CLOSED, and so does whoever comes later; permits out may still be released. */
void asx_semaphore_close(asx_cx *cx, asx_semaphore semaphore);

/* Waits until n permits are there for this task. n above what there is waits for asx_semaphore_add.
 * cancel  nothing is held, and the next that fits was served
 * errors  CLOSED, TIMED_OUT, STALE, AT_CAPACITY (obligations of the region) */
ASX_NODISCARD asx_outcome asx_semaphore_acquire_until(asx_cx *cx, asx_semaphore semaphore,
                                                      uint64_t n, asx_instant deadline_ns,
                                                      asx_semaphore_permit *permit);
/* errors  NO_PERMITS, also when somebody waits; CLOSED, STALE, AT_CAPACITY */
ASX_NODISCARD asx_err asx_semaphore_try_acquire(asx_cx *cx, asx_semaphore semaphore, uint64_t n,
                                                asx_semaphore_permit *permit);
/* Gives the permits back; a settled permit is left alone. */
void asx_semaphore_release(asx_cx *cx, asx_semaphore_permit permit);
/* Settles the permit and keeps its permits out of circulation for good. */
void asx_semaphore_forget(asx_cx *cx, asx_semaphore_permit permit);

/* n more permits, up to ASX_SEMAPHORE_PERMITS_MAX in all; ignored after close. */
void asx_semaphore_add(asx_cx *cx, asx_semaphore semaphore, uint64_t n);
/* Free permits; 0 for a stale or closed semaphore. */
uint64_t asx_semaphore_available(asx_cx *cx, asx_semaphore semaphore);

ASX_NODISCARD ASX_INLINE asx_outcome asx_semaphore_acquire(asx_cx *cx, asx_semaphore semaphore,
                                                           uint64_t n, asx_semaphore_permit *permit)
{
    return asx_semaphore_acquire_until(cx, semaphore, n, ASX_TIME_NEVER, permit);
}

/* Of tasks that waited for permits. */
ASX_INLINE asx_waits asx_semaphore_waits(asx_cx *cx, asx_semaphore semaphore)
{
    return asx_waits_of(cx, semaphore._object);
}

ASX_END_DECLS

#endif
