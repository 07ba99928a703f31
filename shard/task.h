/* Tasks: fibers and poll tasks, spawned into a region, joined, cancelled (TSK-*, SPN-*, JON-*).
 *
 * Model.  CREATED -> RUNNING -> [CANCEL_REQUESTED -> CANCELLING -> FINALIZING ->] COMPLETED. A
 *         fiber is plain C on its own stack; a poll task is a step function with a frame in the
 *         region heap.
 * Owner.  The region, from before spawn returns until the task is reaped. Losing a handle means
 *         nothing.
 * Rule.   A cancelled task ends Cancelled whether or not it noticed; what it returned is its late
 *         result. */
#ifndef ASX_SHARD_TASK_H
#define ASX_SHARD_TASK_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

typedef enum asx_task_state {
    ASX_TASK_CREATED = 0,
    ASX_TASK_RUNNING,
    ASX_TASK_CANCEL_REQUESTED,
    ASX_TASK_CANCELLING,
    ASX_TASK_FINALIZING,
    ASX_TASK_COMPLETED,
} asx_task_state;

/* Whether a task may go from the one to the other in one step, or stay (TSK-2). */
bool asx_task_edge_allowed(asx_task_state from, asx_task_state to);

typedef asx_outcome asx_task_fn(asx_cx *cx, void *arg);

/* In an expression: 0, if `fn` is a body and `arg` says the type of what it points to. */
#define ASX_REQUIRE_BODY(fn, arg)                                                         \
    (ASX_REQUIRE_TYPE(ASX_SAME_TYPE(&*(fn), asx_task_fn *),                               \
                      "a body is asx_outcome fn(asx_cx *cx, void *arg)") +                \
     ASX_REQUIRE_TYPE(!ASX_SAME_TYPE(*(arg), void) && !ASX_SAME_TYPE(*(arg), const void), \
                      "a pointer to void does not say how much there is to copy"))

/* One step. True: done, with *outcome set; false: waiting to be notified. May be called spuriously.
 */
typedef bool asx_step_fn(asx_cx *cx, void *frame, asx_outcome *outcome);
/* Runs once when the task's argument or frame goes, also when the body never ran. Must not suspend.
 */
typedef void asx_drop_fn(void *arg);

typedef struct asx_spawn_options { /* zero-filled fields are the defaults */
    const asx_budget *budget;      /* met with the region's; NULL: the region's */
    int priority;  /* 1..255 asks for exactly this, also lower than the region's; 0: by budget */
    uint32_t caps; /* intersected with the cx's; 0: all of the cx's */
    size_t stack_bytes; /* fibers; 0: 64 KiB */
    asx_drop_fn *drop;
    const char *label;    /* diagnostic, outlives the task */
    bool detached_result; /* not joinable: the record goes at completion (TSK-10) */
    /* Poll tasks: a step may be run by another shard that has nothing to do, with a cx of that
     * shard; never two at once. From one step to the next the task then keeps its frame, which
     * nobody else touches, and nothing that belongs to a shard: no memory of a region's, no lock,
     * wait or local channel. What it spawns where it is, it waits for there. */
    bool sendable;
} asx_spawn_options;

const char *asx_task_state_name(asx_task_state state);

/* asx_spawn and asx_spawn_poll, below, as far as they are known where they are called: without
 * options, and a copy or a frame; and of any kind. */
ASX_NODISCARD asx_err asx_spawn_bare(asx_cx *cx, asx_region *region, asx_task_fn *fn,
                                     const void *arg, asx_handle *task);
ASX_NODISCARD asx_err asx_spawn_any(asx_cx *cx, asx_region *region, asx_task_fn *fn,
                                    const void *arg, size_t arg_size,
                                    const asx_spawn_options *options, asx_handle *task);
ASX_NODISCARD asx_err asx_spawn_poll_bare(asx_cx *cx, asx_region *region, asx_step_fn *step,
                                          asx_handle *task);
ASX_NODISCARD asx_err asx_spawn_poll_any(asx_cx *cx, asx_region *region, asx_step_fn *step,
                                         const void *init, size_t frame_size,
                                         const asx_spawn_options *options, asx_handle *task,
                                         void **frame);

/* Waits for a task of the same region, an ancestor's or a descendant's, and returns its outcome.
 * cancel  the child is untouched and joinable again
 * errors  STALE, ALREADY_JOINED, WOULD_DEADLOCK (oneself); a null handle answers REGION_CLOSED */
ASX_NODISCARD asx_outcome asx_join(asx_cx *cx, asx_handle task);
/* As asx_join, masked: does not leave before the task is terminal. `late` (NULL allowed) receives
 * what a cancelled body returned itself, Ok or Err; its severity is Cancelled when there is
 * nothing. */
asx_outcome asx_join_drained(asx_cx *cx, asx_handle task, asx_outcome *late);

/* Requests cancellation of one task, not of its region (JON-4). Stale handles are ignored and
 * counted. */
void asx_task_cancel(asx_cx *cx, asx_handle task, asx_cancel_kind kind, const char *message);

/* From a poll task's step: runs a fiber that was just spawned, and has not run yet, until it first
 * suspends or ends, before the step goes on; without a pass through the lanes. Anything else is
 * left to the scheduler. */
void asx_task_run_now(asx_cx *cx, asx_handle task);

/* For a fiber that does one piece of work after another: makes it and its region what a fresh pair
 * would be (new handles, an empty heap, the region's whole budget), without ending and spawning.
 * cx is the fiber's own. False, and nothing is changed, unless the fiber is all that the region
 * holds: no other task, child, operation, obligation, finalizer, cleanup entry or mask, no failure
 * and no cancel request. Whoever waits for the region to close goes on waiting. */
ASX_NODISCARD bool asx_task_renew(asx_cx *cx);

/* For poll tasks and callbacks on the shard: makes the task runnable once (WAK-*). */
void asx_task_notify(asx_task *task);
asx_task *asx_task_of(const asx_cx *cx);
/* The task will be notified when the clock reaches `at_ns`; ASX_TIME_NEVER takes it back. */
void asx_task_wake_at(asx_cx *cx, asx_instant at_ns);
/* What a parked poll task waits for, for people; a string that outlives the task. */
void asx_task_waits_for(asx_cx *cx, const char *what);

ASX_END_DECLS

/* Spawns a fiber into `region` (NULL: the cx's). `arg_size` bytes at `arg` are copied; 0 passes the
 * pointer. errors  REGION_CLOSED, AT_CAPACITY, NO_CAPABILITY, NO_MEMORY, NO_SLOTS; then drop has
 * run */
ASX_NODISCARD ASX_INLINE asx_err asx_spawn(asx_cx *cx, asx_region *region, asx_task_fn *fn,
                                           const void *arg, size_t arg_size,
                                           const asx_spawn_options *options, asx_handle *task)
{
    return options == NULL && arg_size == 0
               ? asx_spawn_bare(cx, region, fn, arg, task)
               : asx_spawn_any(cx, region, fn, arg, arg_size, options, task);
}

/* Spawns a poll task whose frame of `frame_size` bytes starts as a copy of `init` (NULL: zeroed).
 * *frame, when not NULL, is where it lives. */
ASX_NODISCARD ASX_INLINE asx_err asx_spawn_poll(asx_cx *cx, asx_region *region, asx_step_fn *step,
                                                const void *init, size_t frame_size,
                                                const asx_spawn_options *options, asx_handle *task,
                                                void **frame)
{
    return options == NULL && frame_size == 0 && frame == NULL
               ? asx_spawn_poll_bare(cx, region, step, task)
               : asx_spawn_poll_any(cx, region, step, init, frame_size, options, task, frame);
}

#endif
