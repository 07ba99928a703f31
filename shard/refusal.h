/* Refusals: which limit of a region's stood behind an AT_CAPACITY, and how full it was.
 *
 * Model.  Whoever was refused asks at once, from the same task and before it waits for anything:
 *         the shard keeps the last one. Nothing is allocated for it.
 * Owner.  A value. */
#ifndef ASX_SHARD_REFUSAL_H
#define ASX_SHARD_REFUSAL_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef enum asx_limit {                     /* of asx_region_limits */
                         ASX_LIMIT_NONE = 0, /* nothing has been refused */
                         ASX_LIMIT_TASKS,
                         ASX_LIMIT_ARRIVALS, /* of tasks, at once */
                         ASX_LIMIT_CHILDREN,
                         ASX_LIMIT_OBLIGATIONS,
                         ASX_LIMIT_HEAP, /* bytes */
} asx_limit;

typedef struct asx_refusal {
    asx_limit which;
    uint64_t limit, live;
    asx_handle region; /* whose limit it is */
    asx_instant at_ns;
} asx_refusal;

const char *asx_limit_name(asx_limit which);

/* Of the cx's shard, the last one. Of asx_alloc's NULL without a limit that was met: NONE. */
asx_refusal asx_refusal_last(const asx_cx *cx);

/* "tasks: 8 of at most 8". Cut to `cap`, which is not 0. */
const char *asx_refusal_text(const asx_refusal *refusal, char *buf, size_t cap);

ASX_END_DECLS

#endif
