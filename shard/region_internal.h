/* The region record. Everything belongs to the home shard's thread. */
#ifndef ASX_SHARD_REGION_INTERNAL_H
#define ASX_SHARD_REGION_INTERNAL_H

#include <asx/shard/base/list.h>
#include <asx/shard/handle.h>
#include <asx/shard/heap.h>
#include <asx/shard/region.h>
#include <asx/shard/timer.h>

typedef struct asxi_finalizer {
    struct asxi_finalizer *below;
    asx_finalizer_fn *fn;
    void *arg;
    asx_task *task;    /* while it runs */
    asx_timer overdue; /* its time limit; the task's own timer is its waits' */
    uint32_t number;   /* in the region, from 1, in the order of adding */
} asxi_finalizer;

/* The far half of a limb: whom to tell (XSH-1). */
typedef struct asxi_limb_home {
    uint32_t shard;   /* the parent's */
    bool cancelled;   /* a guest's: home asked it to stop */
    asx_handle proxy; /* the parent's record of this limb */
} asxi_limb_home;

struct asxi_wait;

struct asx_region {
    asx_slot slot;
    /* Side by side: zero, all four, where whoever asks is admitted and nothing is counted. */
    uint8_t state;  /* asx_region_state */
    bool sealed;    /* mode JOIN was asked; members only */
    bool limited;   /* how many tasks it admits, or how fast */
    bool cancelled; /* mode CANCEL was asked */
    uint8_t policy;
    uint8_t overrun; /* never INHERIT */
    bool is_scope;   /* its outcome goes to the opener and is not folded into the parent */
    bool is_limb;
    bool judges;   /* has a rule, or is a limb: asked about each task that ends */
    bool is_guest; /* a limb of one borrowed task (migrate.c) */
    bool counted_draining;
    bool raised_fail_fast; /* the cancellation is this region's own policy's */
    bool escalated;        /* a failure was handed to the parent */
    bool warned_finalizers;
    bool has_resources; /* it or an ancestor */
    uint32_t caps;
    uint32_t live_children;
    uint32_t credits; /* spawns accepted whose task is not visible yet, far calls being left */
    uint32_t obligations;
    uint32_t ops; /* operations in flight of its tasks */
    uint32_t finalizer_count;
    asx_shard *shard;
    asx_region *parent;
    struct asx_scope *scope; /* scopes: told before the record goes */
    asx_task *owner;         /* scopes: the task in whose block it is; woken when the scope fails */
    asx_list advance;        /* in shard->advancing while a walk postpones it */
    asx_list sibling;        /* in parent->children */
    asx_list children;       /* by handle order of creation */
    asx_list tasks;          /* records, also of completed joinable tasks */
    asx_list waiters;
    asxi_finalizer *finalizers; /* innermost first */
    asx_task *finalizer_task;
    const asx_reason *reason; /* a reference */
    const asx_policy_rule *rule;
    asx_budget budget;
    asx_region_limits limits;
    asx_instant arrivals_at;        /* when the next task is due by the limit; the past: any time */
    const asx_resources *resources; /* its own; NULL: none */
    uint64_t cpu_used_ns, io_used_bytes; /* counted where it states how much there is */
    asx_outcome outcome;                 /* ⊔ so far, a reference on its payload */
    uint64_t outcome_seq;                /* spawn_seq of what decided it */
    asx_outcome first_failure;
    uint64_t spawn_seq; /* next */
    uint64_t past_seqs; /* of those before it: no task that lives; finalizers' and limbs' too */
    uint64_t child_seq;
    uint64_t entropy;
    const char *label;
    asx_instant opened_at;
    asxi_limb_home home;
    struct asxi_limb *limbs;     /* children on other shards (limb.c) */
    struct asxi_object *objects; /* channels and locks opened here (sync/object.c) */
    asx_heap heap;
};

/* Not yet COMPLETED, finalizers excluded. */
static inline uint32_t asxi_region_live_tasks(const asx_region *region)
{
    return (uint32_t)(region->spawn_seq - region->past_seqs);
}

/* region.c */
asx_err asxi_region_create(asx_shard *shard, asx_region *parent, const asx_region_options *options,
                           uint32_t caps, asx_region **region);
asx_err asxi_region_admit_limited(asx_region *region, const asx_region *spawner);
void asxi_region_arrival_undo(asx_region *region);
/* The same for what is no task: a child region, a finalizer, a channel. */
asx_err asxi_region_admit_part(const asx_region *region, const asx_region *spawner);
bool asxi_region_contains(const asx_region *outer, const asx_region *inner);

/* scope.c: the region's record is about to go. */
void asxi_scope_region_closing(struct asx_scope *scope);

/* policy.c */
void asxi_region_fold(asx_region *region, asx_outcome outcome, uint64_t seq);
/* A child is over, a task or a limb: the region's policy is asked. */
void asxi_region_judge(asx_region *region, asx_outcome outcome, uint64_t seq, asx_handle origin);
/* A task ended that is still counted, with a failure or in a region that `judges`. */
void asxi_region_task_judge(asx_region *region, const asx_task *task);
/* With what it closes, lent. */
asx_outcome asxi_region_value(const asx_region *region);

/* finalizer.c: begins the innermost one. False: it is gone without having run. */
bool asxi_region_finalizer_start(asx_region *region);
void asxi_region_finalizer_done(asx_region *region, asx_task *task);

/* close.c */
void asxi_region_advance(asx_region *region);
/* Runs a user's destructor in the midst of the kernel's work: a panic in it ends the destructor,
 * and becomes the outcome of `region` (NULL: it is gone), behind those of its tasks (PAN-5). */
void asxi_region_drop(asx_shard *shard, asx_region *region, asx_drop_fn *fn, void *arg);
/* Whose close a parked task waits for by asx_region_close_wait; NULL: it waits for something else.
 */
const asx_region *asxi_close_wait_target(struct asxi_wait *wait);

/* Whoever asks: nothing is counted, nobody is shut out. */
static inline bool asxi_region_admits_all(const asx_region *region)
{
    uint32_t narrowed;
    _Static_assert(ASX_REGION_OPEN == 0 &&
                       offsetof(asx_region, cancelled) == offsetof(asx_region, state) + 3,
                   "the state is asked for with what narrows it, as one");
    __builtin_memcpy(&narrowed, &region->state, sizeof(narrowed));
    return narrowed == 0;
}

/* OK when `spawner` (NULL: an outsider) may add a task now (REG-4, REG-5). It has arrived: where
 * none comes of it, asxi_region_arrival_undo. */
static inline asx_err asxi_region_admit(asx_region *region, const asx_region *spawner)
{
    return asx_likely(asxi_region_admits_all(region)) ? ASX_OK
                                                      : asxi_region_admit_limited(region, spawner);
}

/* Why the scope of a scope's cx fails; NULL: it does not. */
static inline const asx_reason *asxi_cx_failure(const asx_cx *cx)
{
    return cx->_region_gone ? cx->_closed_reason : cx->_region->reason;
}

#endif
