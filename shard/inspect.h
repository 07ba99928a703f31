/* Inspection: a read-only walk over the regions and tasks of a shard, for people and oracles.
 *
 * Model.  Depth first from the root: a region, its tasks by spawn order, its child regions by the
 *         order in which they were opened. What a node says is the kernel's own record, so it is
 *         true at this instant and costs nothing until somebody looks.
 * Owner.  The shard's thread, between two steps of its tasks or inside one; nothing may be spawned,
 *         cancelled or closed by the visitor.
 * Bounds. At most `nodes_max` visits; O(depth) work between two of them; no allocation.
 */
#ifndef ASX_SHARD_INSPECT_H
#define ASX_SHARD_INSPECT_H

#include <asx/shard/base/decls.h>
#include <asx/shard/region.h>
#include <asx/shard/task.h>

ASX_BEGIN_DECLS

typedef enum asx_inspect_kind {
    ASX_INSPECT_REGION,
    ASX_INSPECT_TASK,
} asx_inspect_kind;

/* All pointers are lent during the visit. */
typedef struct asx_inspect_node {
    asx_inspect_kind kind;
    uint32_t depth; /* of regions above it */
    asx_handle handle;
    const char *state; /* "OPEN", "RUNNING", ... */
    const char *label; /* never NULL */
    const char *form;  /* "fiber" or "poll"; the policy of a region */
    asx_duration age_ns;
    asx_outcome outcome;      /* so far; Ok while nothing failed */
    const asx_reason *reason; /* of its cancellation; NULL when there is none */
    uint32_t obligations;     /* held by the task; counted by the region */
    uint32_t ops;             /* operations in flight */
    uint64_t heap_bytes;      /* regions */
    uint32_t tasks, children; /* regions: alive */
    const char *waits_for;    /* tasks; NULL: it does not wait */
    asx_duration waits_ns;    /* since when */
    asx_duration due_ns;      /* tasks: of its timer; ASX_TIME_NEVER: none is armed */
    uint64_t waits_object;    /* trace identity of what it waits for; traced builds only */
    uint8_t waits_kind;       /* asx_handle_kind of that */
    const char *lane;         /* tasks: "ready", "cancel", "timed"; NULL: in none */
    const char *note;         /* the task's last checkpoint message, or NULL */
    bool futurelocked;        /* tasks: reported for holding obligations while it does not run */
} asx_inspect_node;

typedef void asx_inspect_fn(void *arg, const asx_inspect_node *node);

const char *asx_inspect_kind_name(asx_inspect_kind kind);

/* Returns how many regions and tasks are alive, visited or not. */
uint64_t asx_inspect(asx_shard *shard, uint64_t nodes_max, asx_inspect_fn *visit, void *arg);

ASX_END_DECLS

#endif
