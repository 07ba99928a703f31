/* Latches: wait until a count is down to zero. Also wait groups: add more before it is.
 *
 * Model.  Once zero, the latch is open for good: waits return at once, and add is refused.
 * Owner.  The region it was opened in; the value names it and may be copied.
 * Far.    The value works on every shard, with the REMOTE capability, but for add: WRONG_SHARD. */
#ifndef ASX_SHARD_SYNC_LATCH_H
#define ASX_SHARD_SYNC_LATCH_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>
#include <asx/shard/sync/waits.h>

ASX_BEGIN_DECLS

typedef struct asx_latch {
    asx_handle _object;
} asx_latch;

/* count   0: open from the start
 * what    for people; outlives the object
 * errors  REGION_CLOSED, NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_latch_open(asx_cx *cx, uint64_t count, const char *what,
                                     asx_latch *latch);
/* Waiters get CLOSED. */
void asx_latch_close(asx_cx *cx, asx_latch latch);

/* errors  ALREADY_SET (it is open), STALE */
ASX_NODISCARD asx_err asx_latch_add(asx_cx *cx, asx_latch latch, uint64_t count);
/* Counts down, at most to zero. */
void asx_latch_done(asx_cx *cx, asx_latch latch, uint64_t count);

/* errors  CLOSED, TIMED_OUT, STALE */
ASX_NODISCARD asx_outcome asx_latch_wait_until(asx_cx *cx, asx_latch latch,
                                               asx_instant deadline_ns);

/* Of tasks that waited for the latch to open. */
ASX_INLINE asx_waits asx_latch_waits(asx_cx *cx, asx_latch latch)
{
    return asx_waits_of(cx, latch._object);
}

ASX_END_DECLS

#endif
