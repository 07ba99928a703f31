/* The task record: who may touch which field when.
 *
 * Everything here belongs to the home shard's thread. The record is four cache lines, and an idle
 * poll task is nothing more: what only running code needs stands in asxi_body. Fields share memory
 * where the states that use them exclude each other; each union says which state holds which.
 *
 * A free record is clean: all but what spawning writes is as the next task needs it, which is less
 * to store than to clear. Hence who ends a life leaves nothing held behind, no name and no
 * argument. */
#ifndef ASX_SHARD_TASK_INTERNAL_H
#define ASX_SHARD_TASK_INTERNAL_H

#include <asx/shard/base/list.h>
#include <asx/shard/driver.h>
#include <asx/shard/fiber.h>
#include <asx/shard/handle.h>
#include <asx/shard/task.h>
#include <asx/shard/timer.h>

#include "planted_internal.h"
#include "region_internal.h"

typedef enum asxi_wake {
    ASXI_WAKE_IDLE = 0,
    ASXI_WAKE_QUEUED,
    ASXI_WAKE_POLLING,
    ASXI_WAKE_POLLING_NOTIFIED,
    ASXI_WAKE_AWAY, /* another shard runs it (migrate.c) */
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
    ASXI_TASK_COST_OUT = 1u << 8,  /* sticky: a charge was larger than what remained */
    ASXI_TASK_OVERRUN = 1u << 9,   /* the overrun diagnostic was given */
    ASXI_TASK_SENDABLE = 1u << 10,
    ASXI_TASK_LENT = 1u << 11, /* `lent` or `outgrown` holds a reference, or there is a trail */
    ASXI_TASK_ON_FIBER =
        1u << 7,               /* it has a stack: a started fiber, or a finisher of either kind */
    ASXI_TASK_DONE = 1u << 12, /* the fiber switched away for the last time */
    ASXI_TASK_HAS_LATE = 1u << 13,  /* `late` holds what a cancelled body returned itself */
    ASXI_TASK_TIMED_OUT = 1u << 14, /* the deadline of the wait it is parked in has passed */
    ASXI_TASK_SLEEPING =
        1u << 15, /* its timer is the wait's resource, not a deadline: fires on time */
    ASXI_TASK_SEEDED = 1u << 16,       /* its random stream has begun */
    ASXI_TASK_HAS_DROP = 1u << 17,     /* `arg` is an asxi_drop_note */
    ASXI_TASK_BODY_HEAP = 1u << 18,    /* `body` stands in the region's heap, not on the stack */
    ASXI_TASK_REASON_LENT = 1u << 19,  /* its code was handed `reason`: it must not dangle */
    ASXI_TASK_TIMELY = 1u << 20,       /* it was queued with a deadline, or cancelled */
    ASXI_TASK_WARNED = 1u << 21,       /* about its deadline, by the watch */
    ASXI_TASK_MISSED = 1u << 22,       /* it was counted as past its deadline */
    ASXI_TASK_FUTURELOCKED = 1u << 23, /* it was reported for what it holds while idle */
    ASXI_TASK_GUEST = 1u << 24,        /* its frame and its handle are another shard's */
    ASXI_TASK_MOVED = 1u << 25,        /* it came from another shard, and has not run since */
    ASXI_TASK_WOKEN = 1u << 26,        /* AWAY: a wake-up waits for the borrower's answer */
    ASXI_TASK_WAKES = 1u << 27,        /* `wake_at` is set */
    ASXI_TASK_CHARGED = 1u << 28,      /* somebody above it pays for its steps */
};

/* One wait of one fiber, on its stack. Resolved by whoever holds the resource, through
 * asxi_wait_resolve. */
typedef struct asxi_wait asxi_wait;
struct asxi_wait {
    asx_list link;      /* in the resource's queue */
    asx_list late_link; /* in shard->late_expiries */
    asx_task *task;
    uintptr_t value;      /* what the resolver granted */
    uint64_t object;      /* trace identity of what is waited for; traced builds only */
    const void *resource; /* obligations whose object it is may hold it up; NULL: nobody knows */
    /* Takes the wait out of its resource when its task is abandoned while parked; NULL: the link
     * is all there is. */
    void (*leave)(asxi_wait *wait);
    bool resolved;
    bool in_tree;        /* for a task or a region, which has an explanation of its own */
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

/* The messages of the last checkpoints that left one. */
#define ASXI_TRAIL_COUNT 8u
#define ASXI_TRAIL_ENTRY_MAX 64u
typedef struct asxi_trail {
    uint32_t count; /* ever */
    char entries[ASXI_TRAIL_COUNT][ASXI_TRAIL_ENTRY_MAX + 1];
} asxi_trail;

/* What a task's code needs while it runs: at the top of a fiber's stack; in the region's heap for
 * the few poll tasks that mask, defer, reserve, draw or checkpoint, from the first time on. */
typedef struct asxi_body {
    /* A life without incidents touches these only: one line. */
    const char *label; /* ON_FIBER: the record's two are here */
    const char *waits_for;
    asxi_wait *parked;
    asx_mask *masks;              /* innermost first, on the task's stack */
    asx_defer *defers;            /* cleanup entries, innermost first */
    asx_list *obligations;        /* reserved, oldest first */
    struct asxi_dead_fiber *dead; /* stacks that panicked: kept until nothing can write into them */
    struct asxi_trail *trail;     /* in the region's heap; NULL before the first message */

    asx_outcome lent;           /* what was handed to the task last: keeps its payload alive */
    const asx_reason *outgrown; /* a reference: the task's reason before, handed to its code */
    uint64_t entropy;           /* state of the task's SplitMix64 stream, once SEEDED */
    uint64_t checkpoints;
    asx_instant checkpoint_at;
    uint16_t mask_depth;
    uint16_t cleanup_masked, cleanup_gap, cleanup_gap_max; /* cleanup.c's */
} asxi_body;

/* In front of an argument that somebody must be told to drop. */
typedef struct asxi_drop_note {
    asx_drop_fn *drop;
    void *arg; /* the copy behind the note, or the caller's memory */
} asxi_drop_note;

struct asx_task {
    asx_slot slot;

    /* Every enqueue and dispatch */
    union {
        asx_list run;           /* QUEUED: in a lane's list */
        uint32_t timed_index;   /* QUEUED in the TIMED heap */
        asx_instant idle_since; /* IDLE: when it left the processor */
        asx_handle far;         /* AWAY: its guest's region; null before the borrower's answer */
    };
    uint64_t run_seq;
    union {
        struct {
            uint32_t flags;
            uint8_t state; /* asx_task_state */
            uint8_t wake;  /* asxi_wake */
            uint8_t lane;  /* asxi_lane: where it is queued, or was last */
            uint8_t kernel_masks;
        };
        uint64_t condition; /* the five of them as one: see asxi_condition */
    };
    union {
        struct { /* until ENDING */
            union {
                asx_task_fn *fn;
                asx_step_fn *step;
            };
            asx_instant wake_at; /* WAKES: the wanted instant; the timer may be armed earlier */
        };
        asx_outcome outcome; /* from ENDING on: a reference */
    };

    asx_cx cx; /* the base context: task, owner region, shard, capabilities */
    asx_budget budget;
    const asx_reason *reason; /* a reference; set in states 2..4 and kept to the end */

    asx_list sibling; /* in region->tasks, by spawn_seq */
    uint64_t spawn_seq;
    asxi_joiner *joiners; /* FIFO */
    void *arg;         /* argument copy or frame, in the region heap; or the caller's, or a note */
    uint32_t arg_size; /* of the block in the region heap; 0: there is none */
    union {
        uint16_t stack_kib;         /* fibers, before the first dispatch */
        uint16_t slice_checkpoints; /* afterwards: since it last suspended */
    };
    uint16_t cleanup_polls; /* of the pending cleanup budget (state 2) */
    asx_list *ops;          /* operations in flight, oldest first */
    asxi_body *body;        /* NULL: its code has not run, or needed nothing of it yet */

    union {
        asx_timer timer; /* of the current wait, or the poll task's wake_at */
        struct {         /* from COMPLETED on */
            asx_list _unlinked;
            asx_outcome late; /* with HAS_LATE: Ok or Err, so it holds no reference */
        };
    };
    union {
        /* ON_FIBER: in the record, so that a dispatch need not read the stack to find the stack. */
        asx_fiber fiber;
        struct { /* else; read them by asxi_task_label and asxi_task_waits_for */
            const char *label;
            const char *waits_for; /* diagnostic */
        };
    };
    asx_instant spawned_at;
};

#if !ASX_ASAN && !ASX_TSAN
/* One page holds sixteen, and a dispatch of a task that holds nothing stays within three lines. */
_Static_assert(sizeof(asx_task) == 256, "an idle poll task's share of 512 bytes a connection");
_Static_assert(offsetof(asx_task, cx) == 64, "the first line: what the lanes touch");
_Static_assert(offsetof(asx_task, sibling) == 128, "the second: what a dispatch reads");
_Static_assert(offsetof(asx_task, timer) == 192, "the third: what ends with the task");
#endif
_Static_assert(offsetof(asx_timer, at_ns) == sizeof(asx_list), "late leaves the timer disarmed");

/* What `condition` is when they are these, and nothing masks it. Who reads it waits for stores to
 * single ones of the five that were not long ago: ask for a flag first that says there were none.
 */
ASX_INLINE uint64_t asxi_condition(uint32_t flags, asx_task_state state, asxi_wake wake,
                                   asxi_lane lane)
{
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "flags are the lowest bits");
    return flags | (uint64_t)state << 32 | (uint64_t)wake << 40 | (uint64_t)lane << 48;
}

ASX_INLINE void asxi_task_state_set(asx_task *task, asx_task_state state)
{
    asx_debug_assert(asx_task_edge_allowed((asx_task_state)task->state, state));
    task->state = (uint8_t)state;
}

/* A stack that is not run again, remembered in the frame of the finisher that came after it. */
typedef struct asxi_dead_fiber {
    asx_fiber fiber;
    struct asxi_dead_fiber *older;
} asxi_dead_fiber;

/* Between the random streams of siblings (SPN-5). */
#define ASXI_STREAM_STRIDE UINT64_C(0x9E3779B97F4A7C15)

/* cancel.c: of each kind (CXL-1) */
extern const asx_budget asxi_cleanup_budgets[ASX_CANCEL_KIND_COUNT];

/* spawn.c */
asx_err asxi_task_create(asx_cx *cx, asx_region *region, const asx_spawn_options *options,
                         uint32_t flags, asx_task **out);
void asxi_task_start(asx_task *task);
/* Undoes asxi_task_create for a task that never became visible to anybody. */
void asxi_task_uncreate(asx_task *task);
/* Gives the task its argument: `size` bytes copied from `init` (NULL: zeroed) into the region's
 * heap, or `pointer` when size is 0. errors  NO_MEMORY: nothing has happened */
ASX_NODISCARD asx_err asxi_task_arg_put(asx_task *task, const void *init, size_t size,
                                        const void *pointer, asx_drop_fn *drop);

/* task.c */
void asxi_task_request_cancel(asx_task *task, const asx_reason *reason);

/* body.c */
asx_outcome asxi_task_lend_payload(asx_task *task, asx_outcome outcome);
asxi_body *asxi_task_body_create(asx_task *task);

/* ending.c */
/* Of a completed task. */
void asxi_task_payloads_release(asx_task *task);

/* dispatch.c */
/* Runs tasks until the lanes are empty or the turn has none left. */
void asxi_task_dispatch_some(asx_shard *shard);
void asxi_task_op_settled(asx_task *task);
void asxi_task_abandon(asx_task *task);
void asxi_task_step_panicked(asx_shard *shard, asx_task *task);
/* Ends a poll task whose last step was not run by this record; takes over the reference. */
void asxi_task_end_away(asx_task *task, asx_outcome outcome);

/* deadline.c: it is past its deadline; counted once. */
void asxi_deadline_missed(asx_task *task);
/* A TIMELY task's body is over, its outcome not yet final. */
void asxi_deadline_task_ended(asx_task *task);

/* futurelock.c: how long a waiting task has not run. */
asx_duration asxi_task_idle(const asx_task *task);

/* trail.c: the newest message, or NULL; all that are kept, oldest first, cut to `size`. */
const char *asxi_trail_last(const asx_task *task);
void asxi_trail_print(const asx_task *task, char *text, size_t size);

/* join.c */
/* Whom a parked task joins; NULL: it waits for something else. */
const asx_task *asxi_join_target(asxi_wait *wait);
void asxi_joiner_append(asx_task *task, asxi_joiner *joiner);
void asxi_joiner_remove(asx_task *task, asxi_joiner *joiner);
asx_outcome asxi_task_late(const asx_task *task);
void asxi_task_tell_joiners(asx_task *task);

/* sched.c */
void asxi_sched_enqueue(asx_shard *shard, asx_task *task);
/* asxi_sched_enqueue, of an idle task that was just cancelled. */
void asxi_sched_push_cancelled(asx_shard *shard, asx_task *task);
/* Out of its lane, to be run or queued anew. */
void asxi_sched_take(asx_shard *shard, asx_task *task);
/* asxi_sched_pick when the stretch is not a plain one. */
asx_task *asxi_sched_pick_other(asx_shard *shard);

/* wait.c */
typedef enum asxi_woken { ASXI_WOKEN = 0, ASXI_WOKEN_CANCELLED, ASXI_WOKEN_TIMEOUT } asxi_woken;

/* True when CANCELLED must be answered now: evaluates the budget, spends masks, acknowledges
 * (CKP-1). */
bool asxi_observe_cancel_slow(asx_cx *cx);
static inline bool asxi_observe_cancel(asx_cx *cx)
{
    const asx_task *const task = cx->_task;
    /* Nothing was asked of it, or of its scope, and nothing of its budget can have run out. */
    const bool asked = cx->_is_scope && asxi_cx_failure(cx) != NULL;
    const bool undisturbed = task->state == ASX_TASK_RUNNING && !asked &&
                             task->budget.deadline_ns == ASX_TIME_NEVER &&
                             task->budget.cost_quota > 0 && !(task->flags & ASXI_TASK_COST_OUT);
    return asx_unlikely(!undisturbed) && asxi_observe_cancel_slow(cx);
}
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

/* The argument as the body sees it. */
static inline void *asxi_task_arg(const asx_task *task)
{
    return asx_unlikely(task->flags & ASXI_TASK_HAS_DROP) ? ((asxi_drop_note *)task->arg)->arg
                                                          : task->arg;
}

/* The body, made now where there is none; NULL without memory, never for a fiber that runs. */
static inline asxi_body *asxi_task_body(asx_task *task)
{
    return asx_likely(task->body != NULL) ? task->body : asxi_task_body_create(task);
}

/* Hands an outcome to the task's code: its payload lives until the next one, or the task's end. */
static inline asx_outcome asxi_task_lend(asx_task *task, asx_outcome outcome)
{
    return asx_likely(outcome.severity < ASX_SEVERITY_CANCELLED)
               ? outcome
               : asxi_task_lend_payload(task, outcome);
}

/* When a poll task wants to be woken. */
static inline asx_instant asxi_task_wake_at(const asx_task *task)
{
    return task->flags & ASXI_TASK_WAKES ? task->wake_at : ASX_TIME_NEVER;
}

static inline const char *asxi_task_label(const asx_task *task)
{
    return task->flags & ASXI_TASK_ON_FIBER ? task->body->label : task->label;
}

static inline const char *asxi_task_waits_for(const asx_task *task)
{
    return task->flags & ASXI_TASK_ON_FIBER ? task->body->waits_for : task->waits_for;
}

static inline void asxi_task_waits_for_set(asx_task *task, const char *what)
{
    if (task->flags & ASXI_TASK_ON_FIBER) {
        task->body->waits_for = what;
    } else {
        task->waits_for = what;
    }
}

static inline bool asxi_task_is_cancelling(const asx_task *task)
{
    return task->state >= ASX_TASK_CANCEL_REQUESTED && task->state <= ASX_TASK_FINALIZING;
}

#endif
