/* A shard: one pinned thread with its scheduler, timer wheel, heap, driver and ends of the mesh.
 *
 * Model.  The turn (asx_shard_turn): rings, completions, timers, tasks by lane, submit. The loop
 *         repeats turns and parks when nothing is runnable. In the lab the turn is called by the
 *         lab's loop instead.
 * Owner.  The thread that runs it. */
#ifndef ASX_SHARD_SHARD_H
#define ASX_SHARD_SHARD_H

#include <asx/shard/base/decls.h>
#include <asx/shard/driver.h>
#include <asx/shard/mesh.h>
#include <asx/shard/region.h>
#include <asx/shard/task.h>
#include <asx/shard/timer.h>
#include <asx/shard/trace.h>

ASX_BEGIN_DECLS

/* What a leaked obligation does to its holder (OBL-11). */
typedef enum asx_leak_response {
    ASX_LEAK_LOG = 0,
    ASX_LEAK_PANIC,
    ASX_LEAK_SILENT,
    ASX_LEAK_RECOVER,
} asx_leak_response;

/* A line for people: overruns, leaks, exhausted masks, stalls. Called on the shard. */
typedef void asx_diagnostic_fn(void *arg, asx_shard *shard, const char *text);

typedef struct asx_shard_config { /* zero-filled fields are the defaults */
    uint32_t index;
    asx_mesh *mesh;     /* NULL: a lone shard */
    asx_driver *driver; /* owned by the shard from here on */
    uint64_t seed;      /* of the entropy streams; 0: drawn from the driver */
    size_t heap_bytes_max;
    size_t stack_pool_max;      /* fibers; 0: no limit but memory */
    uint32_t cancel_streak;     /* 0: 16 */
    bool keep_cleanups;         /* what cancelled tasks needed: see cleanup.h */
    uint32_t turn_dispatch_max; /* tasks run in one turn; 0: 128 */
    asx_trace_sink *trace;      /* NULL: nobody listens; builds with ASX_TRACE=1 only */
    asx_timer_shape timers;     /* how deadlines are moved; zero-filled: exact */
    asx_duration slice_ns;      /* of one turn's dispatches; 0: 2 ms */
    asx_duration edf_horizon_ns;
    asx_leak_response leak_response;
    uint32_t leak_threshold; /* 0: no escalation; else from the n-th leak on, leak_escalation */
    asx_leak_response leak_escalation;
    asx_diagnostic_fn *diagnostic;
    void *diagnostic_arg;
} asx_shard_config;

/* Upper bounds of a step's time: 4^k * 250 ns, the last one is +Inf. */
#define ASX_SHARD_STEP_BUCKETS 13u
#define ASX_SHARD_STEP_FIRST_NS 250u

typedef struct asx_shard_stats {
    uint64_t turns, dispatches, polls_fibers, polls_steps;
    uint64_t spawned, completed, cancelled, panicked;
    uint64_t regions_opened, regions_closed;
    uint64_t obligations_reserved, obligations_committed, obligations_aborted, obligations_leaked;
    uint64_t ops_started, ops_settled;
    uint64_t messages_sent, messages_received, messages_stale;
    uint64_t admissions_refused; /* at a limit of a region's */
    uint64_t parks;              /* turns behind which nothing was runnable */
    uint64_t slices_spent;       /* turns that ended because their time was up */
    uint64_t cancel_streak_most; /* dispatches of cancelled tasks in a row, while others waited */
    /* Of tasks' steps: those of one turn in ASX_STEP_SAMPLE_TURNS, and of long turns. Several that
     * ran between two looks at the clock count with their mean. */
    uint64_t step_ns_sum, step_buckets[ASX_SHARD_STEP_BUCKETS];
    uint64_t wakes_stale, streak_exceeded, overruns, abandoned, stalls;
    uint64_t deadline_warnings, deadlines_missed, futurelocks;
    uint64_t tasks_lent;     /* sendable tasks that left for another shard */
    uint64_t tasks_hosted;   /* that came from one */
    uint64_t tasks_returned; /* of those, that went home before their end */
    uint64_t tasks_live, regions_live, obligations_pending, ops_in_flight, timers_armed;
    uint64_t ready_queued, cancel_queued, timed_queued;
    uint64_t heap_bytes_live, chunk_bytes_held, global_allocs, stacks_live, stacks_pooled;
    uint64_t quiet_steps; /* ways through what is kept for reuse, to give some of it back */
} asx_shard_stats;

/* Creates a shard on the thread that will run it, with an open root region.
 * owns    config->driver, also when it fails
 * errors  NO_MEMORY */
ASX_NODISCARD asx_err asx_shard_create(const asx_shard_config *config, asx_shard **shard);

/* Runs `fn(cx, arg)` as the first task of the root region, and turns until the root region is
 * CLOSED: the root closes in mode JOIN when fn returned Ok, CANCEL otherwise. Returns fn's outcome,
 * payload lent until the shard is destroyed. */
asx_outcome asx_shard_run(asx_shard *shard, asx_task_fn *fn, void *arg);

/* Spawns `fn` as a task of the root region; `arg_size` bytes at `arg` are copied, 0 passes the
 * pointer. Before asx_shard_serve, from the shard's thread. */
ASX_NODISCARD asx_err asx_shard_start(asx_shard *shard, asx_task_fn *fn, void *arg,
                                      size_t arg_size);

/* Turns until the root region is CLOSED, for shards that only serve others (limbs). */
void asx_shard_serve(asx_shard *shard);

/* One turn. True while something is runnable. */
bool asx_shard_turn(asx_shard *shard);
/* Submits, and parks until the next deadline, completion or message. */
void asx_shard_park(asx_shard *shard);

asx_region *asx_shard_root(asx_shard *shard);
asx_shard *asx_shard_of(const asx_cx *cx);
asx_driver *asx_shard_driver(const asx_shard *shard);
uint32_t asx_shard_index(const asx_shard *shard);
asx_instant asx_shard_now(const asx_shard *shard);
/* When the first timer is due; ASX_TIME_NEVER when none is armed. */
asx_instant asx_shard_next_due(const asx_shard *shard);
void asx_shard_stats_read(asx_shard *shard, asx_shard_stats *stats);

/* Something at the end of each turn, before the driver submits: gathered writes, say. */
typedef struct asx_turn_end asx_turn_end;
typedef void asx_turn_end_fn(asx_turn_end *hook);
struct asx_turn_end {
    asx_list _link;
    asx_turn_end_fn *fn;
};
/* Runs hook->fn once, at the end of this turn; linking twice is one run. */
void asx_shard_turn_end_link(asx_shard *shard, asx_turn_end *hook);

/* The root region is CLOSED. Checks that nothing is left, and frees everything, driver included. */
void asx_shard_destroy(asx_shard *shard);

ASX_END_DECLS

#endif
