/* Resources: what a region may use up beside its budget, planned from the top down (BUD-11).
 *
 * Model.  Five dimensions, each stated or not; one that is not stated does not limit. A region's
 *         own are met with its ancestors': the minimum of each. Who plans a child names the
 *         dimensions that it cannot do without, and is refused where they are not stated, or are
 *         used up.
 * Kept.   Memory bounds the heap of each region below, cleanup its finalizers. The time of tasks'
 *         steps, by the shard's clock, and the bytes of their operations are counted for each
 *         region above them that states a budget, the innermost 8 of them; one that has used more
 *         is cancelled with COST_BUDGET. Another shard's limb counts for itself, from what was left
 *         when it was made; a task that is lent counts nowhere while it is away. Artifacts are the
 *         program's: it alone knows what one is. Time stands still within a turn of the lab's.
 * Owner.  A value. */
#ifndef ASX_SHARD_RESOURCE_H
#define ASX_SHARD_RESOURCE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>

#include <stdint.h>

ASX_BEGIN_DECLS

typedef enum asx_resource {
    ASX_RESOURCE_MEMORY = 0,
    ASX_RESOURCE_CPU,
    ASX_RESOURCE_IO,
    ASX_RESOURCE_ARTIFACT,
    ASX_RESOURCE_CLEANUP,
} asx_resource;
#define ASX_RESOURCE_COUNT 5u

#define ASX_RESOURCE_UNSTATED UINT64_MAX

typedef struct asx_resources {
    uint64_t memory_bytes, cpu_ns, io_bytes, artifact_bytes;
    uint64_t cleanup_polls, cleanup_ns; /* one dimension: of each finalizer */
} asx_resources;

/* Nothing stated: the unit of meet. */
static const asx_resources ASX_RESOURCES_UNSTATED = {
    ASX_RESOURCE_UNSTATED, ASX_RESOURCE_UNSTATED, ASX_RESOURCE_UNSTATED,
    ASX_RESOURCE_UNSTATED, ASX_RESOURCE_UNSTATED, ASX_RESOURCE_UNSTATED,
};

const char *asx_resource_name(asx_resource resource);

asx_resources asx_resources_meet(asx_resources a, asx_resources b);

/* What a child gets that asks for `wanted` under `parent`.
 *
 * required  a bit for each dimension, 1u << asx_resource
 * which     of an error: the first such dimension
 * errors    MISSING_REQUIRED: the parent does not state it; EXHAUSTED: it has none left */
ASX_NODISCARD asx_err asx_resources_plan(const asx_resources *parent, const asx_resources *wanted,
                                         uint32_t required, asx_resources *child,
                                         asx_resource *which);

ASX_END_DECLS

#endif
