/* The shard record, and the drawers of the kernel's files. */
#ifndef ASX_SHARD_SHARD_INTERNAL_H
#define ASX_SHARD_SHARD_INTERNAL_H

#include <asx/shard/base/list.h>
#include <asx/shard/chunk.h>
#include <asx/shard/limits.h>
#include <asx/shard/obligation.h>
#include <asx/shard/shard.h>
#include <asx/shard/stack.h>

#include "charge_internal.h"
#include "refusal_internal.h"
#include "region_internal.h"
#include "task_internal.h"

#define ASXI_PRIORITY_COUNT 256u

/* A FIFO a priority, and the bitmap of those that hold something. */
typedef struct asxi_lane_queue {
    uint64_t occupied[ASXI_PRIORITY_COUNT / 64];
    uint32_t words;       /* bit w: occupied[w] is not 0 */
    uint32_t starved_run; /* consecutive picks from above a waiting lower priority (SCH-6) */
    asx_list fifo[ASXI_PRIORITY_COUNT];
} asxi_lane_queue;

typedef struct asxi_sched {
    /* Not NULL: every queued task is of this one priority and in the ready lane, the streaks are
     * zero and the driver does not choose. Then the next task is the first in here, and `occupied`
     * may still name the priority when the last has gone. */
    asx_list *plain;
    uint32_t plain_priority; /* its tasks'; ASXI_PRIORITY_COUNT: plain is NULL */
    uint64_t queued;         /* ever, in all lanes: the next run_seq */
    uint64_t taken;          /* of those, picked or taken out */
    asxi_lane_queue ready;
    asxi_lane_queue cancel;
    asx_task **timed; /* binary heap by (deadline, priority desc, run_seq) */
    uint32_t timed_count, timed_cap;
    uint32_t cancel_count;
    uint64_t requeued; /* taken out to be queued anew */
    uint32_t cancel_streak, timed_streak;
    uint32_t others_waited; /* cancel dispatches since other work has been runnable (SCH-8) */
    uint32_t streak_max;
    bool chooses; /* the driver picks among equals */
} asxi_sched;

struct asx_shard {
    /* Every turn */
    asx_driver *driver;
    asx_trace_sink *trace; /* of trace_internal.h */
    asx_instant now_ns;
    asx_task *running; /* the task whose code is on the processor */
    asx_fiber thread_fiber;
    asxi_sched sched;
    asx_timer_wheel wheel;
    asx_list late_expiries; /* tasks whose deadline is exactly now (TMR-3a) */
    asx_list turn_ends;
    asx_list advancing; /* regions to be advanced once a cancel walk is over */
    asx_mesh *mesh;
    uint32_t index;
    uint32_t turn_dispatch_max;
    uint32_t draining; /* regions past OPEN under a reason (SCH-7) */
    uint32_t pulse;    /* odd: in a turn; written here, read by the stall detector */
    bool in_turn;
    bool slice_over; /* this turn's time is spent: found at a look, by the loop or a checkpoint */
    asx_duration slice_ns;
    asx_instant slice_looked_ns; /* at the clock, last */
    uint32_t slice_gap;        /* dispatches from one look to the next; fewer when they are long */
    uint32_t slice_left;       /* of this stretch; 1 once slice_over is set */
    asx_instant steps_from_ns; /* at the clock, when steps_seen had run; 0: not looked then */
    uint64_t steps_seen;
    uint32_t slice_share;       /* dispatches that the turn has left behind this stretch */
    uint64_t park_exchanged;    /* messages, both ways, when it last had nothing to run */
    asx_duration park_gap_ns;   /* how long it then had to wait, lately */
    asx_instant quiet_since_ns; /* few dispatches since */
    uint64_t quiet_taken;       /* sched.taken then */
    uint32_t quiet_region;      /* regions below this index have been trimmed since */
    bool quiet_due;             /* it was busy before, and has not given anything back since */
    bool walking; /* a cancel walk's regions are being advanced: nested walks only queue theirs */

    asx_chunk_source chunks;
    asx_stack_pool stacks;
    asx_handle_table tasks;
    asx_handle_table regions;
    asx_handle_table obligations;
    uint64_t reserve_seq;

    asx_region *root;
    asx_region_waiter root_waiter;
    asx_outcome root_value;
    bool root_closed;

    void *panic_jump[5]; /* __builtin_setjmp buffer of the dispatch loop: where a poll step's panic
                            lands */
    void **contain_jump; /* where a panic of the callback that runs now lands; NULL: none runs */
    asx_panic_info *contained;
    asx_fiber handoff_dead; /* passed from a dispatch to the finisher it starts */
    bool has_handoff;

    asx_leak_response leak_response, leak_escalation;
    uint32_t leak_threshold;
    asx_duration edf_horizon_ns;
    asx_diagnostic_fn *diagnostic;
    void *diagnostic_arg;
    struct asxi_limbs *limbs;
    struct asxi_stall_slot *stall;         /* NULL: nobody watches */
    struct asxi_deadline_watch *deadlines; /* NULL: nobody watches */
    struct asxi_mail *mail;
    struct asxi_migrate *migrate;   /* made with the first sendable task, here or that we hear of */
    struct asxi_objects *objects;   /* made by the first that is opened */
    struct asxi_cleanups *cleanups; /* NULL: nothing is kept */
    size_t cleanups_bytes;
    uint64_t logical; /* clock */
    asxi_charge charge;
    asx_refusal refusal;         /* the last */
    asx_instant refusal_tell_ns; /* the next is told from then on */
    asx_shard_stats stats;
    uint64_t op_in_flight;
};

/* The shard of this thread: for assertion and fault handlers, which get no context. */
extern __thread asx_shard *asxi_shard_self;

void asxi_diagnose(asx_shard *shard, const char *fmt, ...) ASX_PRINTF(2, 3);

/* quiet.c: nothing is runnable before `until`. Gives something back if it is time; returns until
 * when to park. */
asx_instant asxi_quiet_look(asx_shard *shard, asx_instant until);

/* park.c: until a message, a completion or `until`. */
void asxi_park_idle(asx_shard *shard, asx_instant until);

/* shard.c: true once the turn has used up its slice, after looking at the clock. */
bool asxi_slice_look(asx_shard *shard);
/* The turn ends with the dispatch that runs now, and what that has sent leaves. */
static inline void asxi_slice_end(asx_shard *shard)
{
    shard->slice_over = true;
    shard->slice_left = 1;
}
/* The running task's code stands on the thread's stack. */
static inline bool asxi_in_step(const asx_shard *shard)
{
    return shard->running && !(shard->running->flags & ASXI_TASK_ON_FIBER);
}
/* Once slice_left is 0: false when the turn's dispatches are. */
bool asxi_slice_goes_on(asx_shard *shard);

static inline uint64_t asxi_sched_ready_count(const asxi_sched *sched)
{
    return sched->queued - sched->taken - sched->cancel_count - sched->timed_count;
}

/* A plain stretch, and tasks of this budget belong to it. */
static inline bool asxi_sched_is_plain_for(const asx_shard *shard, const asx_budget *budget)
{
    return shard->sched.plain_priority == budget->priority && budget->deadline_ns == ASX_TIME_NEVER;
}

static inline void asxi_sched_push_plain(asx_shard *shard, asx_task *task)
{
    asx_debug_assert(task->state <= ASX_TASK_RUNNING && task->wake == ASXI_WAKE_QUEUED);
    asx_list *const fifo = shard->sched.plain;
    asx_list *const last = fifo->_prev;
    task->run._prev = last;
    task->run._next = fifo;
    task->run_seq = shard->sched.queued;
    shard->sched.queued++;
    fifo->_prev = &task->run;
    last->_next = &task->run;
}

/* asxi_sched_enqueue, for a task that no lane but READY can be for: neither cancelled nor a
 * finalizer. */
static inline void asxi_sched_push(asx_shard *shard, asx_task *task)
{
    task->wake = ASXI_WAKE_QUEUED;
    if (asx_likely(asxi_sched_is_plain_for(shard, &task->budget))) {
        task->lane = ASXI_LANE_READY;
        asxi_sched_push_plain(shard, task);
    } else {
        asxi_sched_enqueue(shard, task);
    }
}

/* Whatever lane is its. */
ASX_INLINE void asxi_task_queue(asx_shard *shard, asx_task *task)
{
    if (asx_likely(task->state <= ASX_TASK_RUNNING && !(task->flags & ASXI_TASK_FINALIZER))) {
        asxi_sched_push(shard, task);
    } else {
        task->wake = ASXI_WAKE_QUEUED;
        asxi_sched_enqueue(shard, task);
    }
}

/* The next task, in no lane any more, or NULL. */
static inline asx_task *asxi_sched_pick(asx_shard *shard)
{
    asxi_sched *const sched = &shard->sched;
    asx_list *const plain = sched->plain;
    if (asx_unlikely(plain == NULL)) {
        return asxi_sched_pick_other(shard);
    }
    asx_list *const node = plain->_next;
    if (node == plain) {
        return NULL;
    }
    asx_list_drop_front(plain, node);
    sched->taken++;
    return asx_container_of(node, asx_task, run);
}

/* asx_cx_require, without the call where it succeeds. */
static inline asx_err asxi_cx_require(const asx_cx *cx, asx_cap cap)
{
    if (asx_likely(cx->_shard && cx->_task == cx->_shard->running && (cx->_caps & (uint32_t)cap))) {
        return ASX_OK;
    }
    return asx_cx_require(cx, cap);
}

/* A completed task whose record holds references. */
static inline bool asxi_task_has_payloads(const asx_task *task)
{
    asx_debug_assert(!task->reason || task->outcome.severity >= ASX_SEVERITY_CANCELLED);
    return task->outcome.severity >= ASX_SEVERITY_CANCELLED;
}

/* The live task, or NULL. */
static inline asx_task *asxi_task_find(const asx_shard *shard, asx_handle handle)
{
    return (asx_task *)asx_handle_find_sized(&shard->tasks, handle, sizeof(asx_task));
}

/* asxi_task_reap, of one that has none. */
static inline void asxi_task_reap_bare(asx_shard *shard, asx_task *task)
{
    asx_assert(task->state == ASX_TASK_COMPLETED);
    asx_debug_assert(!task->body && !task->ops && !task->joiners && task->arg_size == 0);
    if (task->label) {
        task->label = NULL;
    }
    asx_list_remove(&task->sibling);
    asx_handle_free_live(&shard->tasks, task);
}

/* Ends the record of a completed task. What stays behind is what spawning relies on: nothing held,
 * no name. */
static inline void asxi_task_reap(asx_task *task)
{
    if (asx_unlikely(asxi_task_has_payloads(task))) {
        asxi_task_payloads_release(task);
    }
    asxi_task_reap_bare(task->cx._shard, task);
}

/* panic.c */
void asxi_panic_install(void);
void asxi_panic_thread_enter(asx_shard *shard);
void asxi_panic_thread_leave(asx_shard *shard);
ASX_NORETURN void asxi_panic_overflow(void);

/* overflow.c */
void asxi_overflow_install(void);
void asxi_overflow_thread_enter(void);
void asxi_overflow_thread_leave(void);
/* Runs a user's callback, which must not suspend, on whatever stack this is: a panic in it ends the
 * callback and nothing else. That panic, with one reference, or NULL. */
const asx_panic_info *asxi_contain(asx_shard *shard, asx_drop_fn *fn, void *arg);

/* obligation.c */
void asxi_obligation_audit(asx_task *task, asx_outcome *outcome);
void asxi_obligation_region_audit(asx_region *region);
/* What an obligation of the caller's is for that was made with `settle`.
 * errors  STALE, TOKEN_MISMATCH, TYPE_MISMATCH */
asx_err asxi_obligation_object(asx_cx *cx, asx_permit permit, asx_obligation_fn *settle,
                               void **object);
void asxi_obligation_table_init(asx_shard *shard);

/* op.c */
void asxi_op_cancel_all(asx_task *task);

/* limb.c */
asx_err asxi_limbs_create(asx_shard *shard);
void asxi_limbs_destroy(asx_shard *shard);
void asxi_limb_cancel_all(asx_region *region);
void asxi_limb_reap_all(asx_region *region);
/* What is told of a limb. */
typedef struct asxi_limb_note {
    uint32_t shard;
    asx_handle far; /* null until that shard has answered */
    bool over;
} asxi_limb_note;
/* Returns the next of the region's, or NULL. */
const struct asxi_limb *asxi_limb_note_of(const struct asxi_limb *limb, asxi_limb_note *note);
void asxi_limb_home_closed(asx_region *region, asx_outcome value);

/* cleanup.c: only where the shard keeps them */
typedef struct asxi_cleanups asxi_cleanups;
asx_err asxi_cleanups_create(asx_shard *shard);
void asxi_cleanups_destroy(asx_shard *shard);
void asxi_cleanup_polled(asx_task *task);
/* A cancelled task observed; `masked`: one of its masks took it. */
void asxi_cleanup_observed(asx_task *task, bool masked);
void asxi_cleanup_ended(asx_task *task);

/* sync/object.c */
void asxi_objects_close_all(asx_region *region);
void asxi_objects_destroy(asx_shard *shard);

/* mail.c */
asx_err asxi_mail_create(asx_shard *shard);
void asxi_mail_destroy(asx_shard *shard);
unsigned asxi_mail_drain(asx_shard *shard, unsigned limit);
void asxi_mail_publish(asx_shard *shard);

#endif
