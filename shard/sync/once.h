/* Once: a value made by the first task that needs it.
 *
 * Model.  UNSET -> INITIALISING -> SET. One initialiser at a time; when it fails, is cancelled or
 *         panics, the cell is UNSET again and one of those that wait takes over (SYN-14).
 * Owner.  The region it was opened in; the value names it and may be copied.
 * Far.    The value works on every shard, with the REMOTE capability: home has the cell, and `init`
 *         runs where it was called. There a cancel is seen before the value, and what cannot wait
 *         for home's answer is refused: set with WRONG_SHARD, peek with false. */
#ifndef ASX_SHARD_SYNC_ONCE_H
#define ASX_SHARD_SYNC_ONCE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>
#include <asx/shard/sync/waits.h>

ASX_BEGIN_DECLS

typedef struct asx_once {
    asx_handle _object;
} asx_once;

/* what    for people; outlives the object
 * errors  REGION_CLOSED, NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_once_open(asx_cx *cx, const char *what, asx_once *once);
/* Waiters get CLOSED. */
void asx_once_close(asx_cx *cx, asx_once once);

/* Ok(value): the one that is set, or the one that `init` makes now, as its Ok value. Any other
 * outcome of init is returned to this caller only.
 * errors  WOULD_DEADLOCK (from its own initialiser), CLOSED, TIMED_OUT, STALE */
typedef asx_outcome asx_once_fn(asx_cx *cx, void *arg);
ASX_NODISCARD asx_outcome asx_once_get_until(asx_cx *cx, asx_once once, asx_once_fn *init,
                                             void *arg, asx_instant deadline_ns);
/* Ok(value) once somebody has set it. Looks for the value before cancellation. */
ASX_NODISCARD asx_outcome asx_once_wait_until(asx_cx *cx, asx_once once, asx_instant deadline_ns);

/* errors  ALREADY_SET, BUSY (it is being made), STALE: the value stays the caller's */
ASX_NODISCARD asx_err asx_once_set(asx_cx *cx, asx_once once, uintptr_t value);
/* False while it is not set, or stale. */
bool asx_once_peek(asx_cx *cx, asx_once once, uintptr_t *value);

/* Of tasks that waited for the one that makes the value. */
ASX_INLINE asx_waits asx_once_waits(asx_cx *cx, asx_once once)
{
    return asx_waits_of(cx, once._object);
}

ASX_END_DECLS

#endif
