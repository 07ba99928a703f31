/* Events: one fiber waits, anything on the shard sets; a set before the wait is kept.
 *
 * Model.  Auto-reset: a wait that returns Ok has consumed the set. At most one fiber waits at a
 *         time.
 * Owner.  Memory of the caller's, zero-filled is unset; the waiter must be gone before the memory
 *         is. */
#ifndef ASX_SHARD_EVENT_H
#define ASX_SHARD_EVENT_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

typedef struct asx_event {
    struct asxi_wait *_waiter;
    bool _set;
} asx_event;

/* Never suspends; callable from completion callbacks. */
void asx_event_set(asx_event *event);

/* Waits until the event is set, and unsets it. what: for people, outlives the wait.
 * cancel  CANCELLED: the set, if any, is kept
 * errors  TIMED_OUT when `deadline_ns` passed first */
ASX_NODISCARD asx_outcome asx_event_wait(asx_cx *cx, asx_event *event, const char *what,
                                         asx_instant deadline_ns);
/* The same, masked and without a deadline: for code that must not leave. */
void asx_event_wait_masked(asx_cx *cx, asx_event *event, const char *what);

ASX_END_DECLS

#endif
