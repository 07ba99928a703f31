/* Regions: the owner of tasks, child regions, obligations, finalizers and a heap.
 *
 * Model.  OPEN -> CLOSING -> DRAINING -> FINALIZING -> CLOSED, never backwards, never skipped
 *         (REG-2). Closing in mode JOIN first seals the region: members go on, outsiders are
 *         refused, until nothing lives.
 * Owner.  The home shard. A pointer is valid until the region is CLOSED; a handle for ever (it goes
 *         STALE).
 * Rule.   CLOSED means: no live task, child, obligation, operation or byte in the whole subtree. */
#ifndef ASX_SHARD_REGION_H
#define ASX_SHARD_REGION_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/list.h>
#include <asx/shard/cx.h>
#include <asx/shard/resource.h>

ASX_BEGIN_DECLS

typedef enum asx_region_state {
    ASX_REGION_OPEN = 0,
    ASX_REGION_CLOSING,
    ASX_REGION_DRAINING,
    ASX_REGION_FINALIZING,
    ASX_REGION_CLOSED,
} asx_region_state;

typedef enum asx_close_mode {
    ASX_CLOSE_JOIN = 0, /* seal, let what lives finish */
    ASX_CLOSE_CANCEL,   /* cancel what lives */
} asx_close_mode;

typedef enum asx_policy {
    ASX_FAIL_FAST = 0, /* Err or Panicked of a child cancels its siblings */
    ASX_COLLECT_ALL,   /* every child runs to its own end */
    ASX_ESCALATE,      /* as FAIL_FAST, and the parent's policy judges the failure too (POL-5) */
} asx_policy;

/* What a policy answers to the end of one child, the mildest first (POL-1). */
typedef enum asx_policy_action {
    ASX_POLICY_CONTINUE = 0,
    ASX_POLICY_CANCEL_SIBLINGS, /* with FAIL_FAST */
    ASX_POLICY_ESCALATE, /* and the parent region judges the outcome as a child's of its own */
} asx_policy_action;

/* A policy of one's own. decide() is asked once for each completed child, in the order of
 * completion, on the shard's loop: it must not suspend, and a worse outcome must never get a milder
 * answer. A panic in it is folded in, and cancels the siblings (POL-7). */
typedef struct asx_policy_rule asx_policy_rule;
typedef asx_policy_action asx_policy_fn(const asx_policy_rule *rule, asx_outcome child,
                                        uint64_t spawn_seq);
struct asx_policy_rule {
    asx_policy_fn *decide;
};

/* What happens to code that exceeds its cleanup budget (FIN-4, CKP-6). */
typedef enum asx_overrun {
    ASX_OVERRUN_INHERIT = 0,
    ASX_OVERRUN_SOFT,
    ASX_OVERRUN_BOUNDED_LOG,
    ASX_OVERRUN_BOUNDED_PANIC,
} asx_overrun;

typedef struct asx_region_limits { /* 0: none */
    uint32_t tasks_max;
    uint32_t children_max;
    uint32_t obligations_max;
    /* Tasks admitted a second, in the long run, up to a thousand million; and how many of them at
     * once after a pause (0: one). */
    uint32_t arrivals_per_s, arrivals_burst;
    size_t heap_bytes_max;
} asx_region_limits;

typedef struct asx_region_options { /* zero-filled: FAIL_FAST, inherited budget, no limits */
    asx_policy policy;
    const asx_policy_rule *rule; /* instead of `policy`; outlives the region */
    asx_overrun overrun;
    asx_region_limits limits;
    const asx_budget *budget;       /* met with the parent's; NULL: the parent's */
    const asx_resources *resources; /* the same, and outlives the region */
    uint32_t caps;                  /* 0: those of the cx */
    const char *label;              /* diagnostic, outlives the region */
} asx_region_options;

const char *asx_region_state_name(asx_region_state state);
const char *asx_policy_name(asx_policy policy);

/* Opens a child of the cx's region.
 * owns    the caller must see to its closing; it also closes with its parent
 * errors  REGION_CLOSED, AT_CAPACITY, NO_CAPABILITY, NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_region_open(asx_cx *cx, const asx_region_options *options,
                                      asx_region **region);

/* Begins closing; idempotent (REG-7). With a reason, in any state before CLOSED, the reason is
 * strengthened into the recorded one and propagated. Retains `reason`. */
void asx_region_close_begin(asx_region *region, asx_close_mode mode, const asx_reason *reason);

/* Cancels the subtree with a fresh reason of `kind` (REG-11). message may be NULL. */
void asx_region_cancel(asx_region *region, asx_cancel_kind kind, const char *message);

/* Called once when the region is CLOSED, with its scope value (POL-4); the region's memory is gone.
 * Memory of the caller's; runs on the shard, must not suspend. */
typedef struct asx_region_waiter asx_region_waiter;
typedef void asx_region_closed_fn(asx_region_waiter *waiter, asx_outcome value);
struct asx_region_waiter {
    asx_list _link;
    asx_region_closed_fn *fn;
    asx_region_closed_fn *ending; /* NULL, or called just before the region's memory goes */
};
void asx_region_on_closed(asx_region *region, asx_region_waiter *waiter);
void asx_region_off_closed(asx_region_waiter *waiter);

/* Waits until the region named by `handle` is CLOSED and returns its scope value. A cancel point.
 * errors  STALE, WRONG_KIND, WRONG_SHARD; WOULD_DEADLOCK for a region that contains the caller
 * (REG-16) */
ASX_NODISCARD asx_outcome asx_region_close_wait(asx_cx *cx, asx_handle handle);

/* A function of the region run once in FINALIZING, LIFO, masked, on the finalizer budget (FIN-*).
 * Memory of the finalizer record comes from the region's heap.
 * errors  REGION_CLOSED (not OPEN: the caller cleans up itself), NO_MEMORY */
typedef asx_outcome asx_finalizer_fn(asx_cx *cx, void *arg);
ASX_NODISCARD asx_err asx_region_finalizer_add(asx_region *region, asx_finalizer_fn *fn, void *arg);

/* What the region may use up, its ancestors on this shard met. */
asx_resources asx_region_resources(const asx_region *region);
/* The same without what has been used of processor time and I/O. */
asx_resources asx_region_resources_left(const asx_region *region);

/* Look at */
asx_handle asx_region_handle(const asx_region *region);
asx_region_state asx_region_state_of(const asx_region *region);
const asx_reason *asx_region_reason(const asx_region *region);
uint32_t asx_region_task_count(const asx_region *region);
uint32_t asx_region_child_count(const asx_region *region);
uint32_t asx_region_obligation_count(const asx_region *region);
size_t asx_region_heap_bytes(const asx_region *region);
/* Memory of this region, whoever asks; NULL at its limit. */
void *asx_region_alloc(asx_region *region, size_t size);
void asx_region_free(asx_region *region, void *ptr, size_t size);
asx_err asx_region_lookup(asx_shard *shard, asx_handle handle, asx_region **region);

ASX_END_DECLS

#endif
