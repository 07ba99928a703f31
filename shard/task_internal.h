/* The task record: who may touch which field when.
 *
 * Everything here belongs to the home shard's thread. Fields are grouped by the event that touches
 * them, so that a dispatch of a task that holds nothing stays within three cache lines. */
#ifndef ASX_SHARD_TASK_INTERNAL_H
#define ASX_SHARD_TASK_INTERNAL_H

#include <asx/shard/base/list.h>
#include <asx/shard/driver.h>
#include <asx/shard/fiber.h>
#include <asx/shard/handle.h>
#include <asx/shard/task.h>
#include <asx/shard/timer.h>

typedef enum asxi_wake {
    ASXI_WAKE_IDLE = 0,
    ASXI_WAKE_QUEUED,
    ASXI_WAKE_POLLING,
    ASXI_WAKE_POLLING_NOTIFIED,
} asxi_wake;

typedef enum asxi_lane {
    ASXI_LANE_NONE = 0,
    ASXI_LANE_CANCEL,
    ASXI_LANE_TIMED,
    ASXI_LANE_READY
} asxi_lane;

enum {
    ASXI_TASK_POLL = 1u << 0,      /* a step function, not a fiber */
    ASXI_TASK_JOINABLE = 1u << 1,  /* the record outlives completion until joined */
    ASXI_TASK_ENDING = 1u << 2,    /* the body is over; cleanup, operations, audit remain */
    ASXI_TASK_STARTED = 1u << 3,   /* dispatched at least once */
    ASXI_TASK_ACKED = 1u << 4,     /* cancellation was noticed (decides the audit, OBL-9) */
    ASXI_TASK_FINALIZER = 1u << 5, /* kernel-made; masked for life; not a member for close */
    ASXI_TASK_PANICKED = 1u << 6,  /* the stack is not run again */
    ASXI_TASK_JOINED = 1u << 7,
    ASXI_TASK_COST_OUT = 1u << 8, /* sticky: a charge was larger than what remained */
    ASXI_TASK_OVERRUN = 1u << 9,  /* the overrun diagnostic was given */
    ASXI_TASK_SENDABLE = 1u << 10,
    ASXI_TASK_YIELDED = 1u << 11,  /* goes behind its equals at the end of this step */
    ASXI_TASK_DONE = 1u << 12,     /* the fiber switched away for the last time */
    ASXI_TASK_HAS_LATE = 1u << 13, /* `late` holds what a cancelled body returned itself */
    ASXI_TASK_SLEEPING =
        1u << 15, /* its timer is the wait's resource, not a deadline: fires on time */
};

/* One wait of one fiber, on its stack. Resolved by whoever holds the resource, through
 * asxi_wait_resolve. */
typedef struct asxi_wait asxi_wait;
struct asxi_wait {
    asx_list link; /* in the resource's queue */
    asx_task *task;
    uintptr_t value; /* what the resolver granted */
    uint64_t object; /* trace identity of what is waited for; traced builds only */
    /* Takes the wait out of its resource when its task is abandoned while parked; NULL: the link
     * is all there is. */
    void (*leave)(asxi_wait *wait);
    bool resolved;
    uint8_t object_kind; /* asx_handle_kind */
};

typedef struct asxi_joiner {
    asxi_wait wait;
    asxi_wait *group; /* not NULL: several joiners resolve this one wait, the first of them does */
    struct asxi_joiner *next;
    asx_task *target;    /* until told */
    asx_outcome outcome; /* a reference, from the completion on */
    asx_outcome late;    /* Cancelled without a reason: there is none */
    bool told;
} asxi_joiner;

struct asx_task {
    asx_slot slot;

    /* Every enqueue and dispatch */
    asx_list run; /* in a lane's list; TIMED: heap links */
    uint64_t run_seq;
    uint32_t timed_index; /* in the TIMED heap */
    uint8_t state;        /* asx_task_state */
    uint8_t wake;         /* asxi_wake */
    uint8_t lane;         /* asxi_lane: where it is queued */
    uint8_t kernel_masks;
    uint32_t flags;
    asx_cx cx; /* the base context: task, owner region, shard, capabilities */
    asx_budget budget;

    /* The body */
    union {
        asx_task_fn *fn;
        asx_step_fn *step;
    };
    void *arg; /* argument copy or frame, in the region heap; or the caller's when arg_size is 0 */
    uint32_t arg_size;
    uint32_t stack_bytes;
    asx_drop_fn *drop;
    asx_fiber fiber; /* live from the first dispatch of a fiber, or of a poll task's finisher */

    /* Ownership */
    asx_list sibling; /* in region->tasks, by spawn_seq */
    uint64_t spawn_seq;
    const char *label;

    /* Cancellation */
    const asx_reason *reason; /* a reference; set in states 2..4 and kept to the end */
    uint32_t cleanup_polls;   /* of the pending cleanup budget (state 2) */
    uint8_t cleanup_priority;
    uint8_t mask_depth;
    uint16_t slice_checkpoints;
    asx_mask *masks;   /* innermost first, on the task's stack */
    asx_defer *defers; /* cleanup entries, innermost first */

    /* Waiting */
    asxi_wait *parked;     /* the wait it is suspended in */
    asx_timer timer;       /* of the current wait, or the poll task's wake_at */
    asx_instant wake_at;   /* poll tasks: the wanted instant; the timer may be armed earlier */
    const char *waits_for; /* diagnostic */
    asx_instant waits_since;
    bool timed_out;
    asx_list late_link; /* in shard->late_expiries */

    /* Resources */
    asx_list ops;         /* operations in flight */
    asx_list obligations; /* reserved */

    /* The end */
    asx_outcome outcome;
    asx_outcome late;
    asxi_joiner *joiners; /* FIFO */

    uint64_t entropy; /* state of the task's SplitMix64 stream */
    uint64_t checkpoints;
    asx_instant checkpoint_at;
    const char *checkpoint_note;
    asx_instant spawned_at;
    struct asxi_dead_fiber *dead; /* stacks that panicked: kept until nothing can write into them */
    asx_outcome lent;             /* what was handed to the task last: keeps its payload alive */
};

/* A stack that is not run again, remembered in the frame of the finisher that came after it. */
typedef struct asxi_dead_fiber {
    asx_fiber fiber;
    struct asxi_dead_fiber *older;
} asxi_dead_fiber;

/* spawn.c */
asx_err asxi_task_create(asx_cx *cx, asx_region *region, const asx_spawn_options *options,
                         uint32_t flags, asx_task **out);
void asxi_task_start(asx_task *task);

/* task.c */
void asxi_task_dispatch(asx_shard *shard, asx_task *task);
void asxi_task_request_cancel(asx_task *task, const asx_reason *reason);
void asxi_task_op_settled(asx_task *task);
asx_outcome asxi_task_lend(asx_task *task, asx_outcome outcome);
void asxi_task_reap(asx_task *task);
void asxi_task_abandon(asx_task *task);
void asxi_task_step_panicked(asx_shard *shard, asx_task *task);

/* join.c */
void asxi_joiner_append(asx_task *task, asxi_joiner *joiner);
asx_outcome asxi_task_late(const asx_task *task);
void asxi_task_tell_joiners(asx_task *task);

/* sched.c */
void asxi_sched_enqueue(asx_shard *shard, asx_task *task);
void asxi_sched_remove(asx_shard *shard, asx_task *task);
asx_task *asxi_sched_pick(asx_shard *shard);

/* wait.c */
typedef enum asxi_woken { ASXI_WOKEN = 0, ASXI_WOKEN_CANCELLED, ASXI_WOKEN_TIMEOUT } asxi_woken;

/* True when CANCELLED must be answered now: evaluates the budget, spends masks, acknowledges
 * (CKP-1). */
bool asxi_observe_cancel(asx_cx *cx);
asx_outcome asxi_cancelled(asx_cx *cx);
/* Parks the running fiber until the wait is resolved, cancelled, or `deadline_ns` has passed. */
asxi_woken asxi_wait_park(asx_cx *cx, asxi_wait *wait, const char *what, asx_instant deadline_ns);
/* The same, observing nothing but its resolution. */
void asxi_wait_park_masked(asx_cx *cx, asxi_wait *wait, const char *what);
void asxi_wait_init(asxi_wait *wait, asx_cx *cx);
/* For a task that will not run again where it is parked. */
void asxi_wait_abandon(asx_task *task);
void asxi_wait_resolve(asxi_wait *wait, uintptr_t value);
void asxi_task_switch_out(asx_task *task);
void asxi_task_timer_fired(asx_timer *timer);

static inline bool asxi_task_is_cancelling(const asx_task *task)
{
    return task->state >= ASX_TASK_CANCEL_REQUESTED && task->state <= ASX_TASK_FINALIZING;
}

#endif
