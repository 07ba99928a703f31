/* Bulkheads: at most so many calls at once, at most so many that wait (CMB-18).
 *
 * Owner.  The region it was opened in; the value is copied freely.
 * Cancel. While queued: the place is given up. While running: fn sees it; the slot is given back
 *         when fn's task is through with it, panics and abandonment included. */
#ifndef ASX_SHARD_COMBINE_BULKHEAD_H
#define ASX_SHARD_COMBINE_BULKHEAD_H

#include <asx/shard/base/decls.h>
#include <asx/shard/sync/semaphore.h>
#include <asx/shard/task.h>

ASX_BEGIN_DECLS

typedef struct asx_bulkhead_options { /* zero-filled fields are the defaults */
    uint32_t concurrent_max;          /* in weights; 0: 10 */
    uint32_t queue_max;               /* 0: 100 */
    bool no_queue;                    /* who does not fit is refused */
    asx_duration queue_timeout_ns;    /* 0: 5 s */
    const char *what;                 /* for people; outlives the bulkhead */
} asx_bulkhead_options;

typedef struct asx_bulkhead {
    asx_bulkhead_options _options;
    asx_semaphore _slots;
    uint32_t _queued;
} asx_bulkhead;

/* bulkhead  memory of the caller's that outlives its calls
 * errors    as asx_semaphore_open */
ASX_NODISCARD asx_err asx_bulkhead_open(asx_cx *cx, const asx_bulkhead_options *options,
                                        asx_bulkhead *bulkhead);

/* Calls fn in this task once `weight` fits, in order of arrival. What is granted in the turn of the
 * timeout wins.
 * waited_ns  how long it queued; NULL allowed
 * errors     FULL (weight above concurrent_max, or no queue), QUEUE_FULL, QUEUE_TIMEOUT, CLOSED,
 *            and what fn answers */
ASX_NODISCARD asx_outcome asx_bulkhead_call(asx_cx *cx, asx_bulkhead *bulkhead, uint32_t weight,
                                            asx_task_fn *fn, void *arg, asx_duration *waited_ns);

ASX_END_DECLS

#endif
