/* The lab: run a program under a seed and a configuration, and get the same run every time.
 *
 * Model.   N shards of the unchanged kernel on one thread, over virtual time. Which shard goes
 *          next, how many messages it sees, what a device answers and when: each is a choice, made
 *          by the configured source and written down, so that a run is its seed, or its list of
 *          choices, and nothing else.
 * Limits.  What is explored is the sequentially consistent interleavings of turns; the order of
 *          memory inside ring.h is tested elsewhere.
 * Owner.   One thread. Runs may follow one another in a process; they may not be nested. */
#ifndef ASX_LAB_LAB_H
#define ASX_LAB_LAB_H

#include <asx/lab/chaos.h>
#include <asx/lab/choice.h>
#include <asx/lab/event.h>
#include <asx/lab/footprint.h>
#include <asx/lab/report.h>
#include <asx/shard/shard.h>

#include <stdio.h>

ASX_BEGIN_DECLS

struct asx_vnet_config;
struct asx_vdisk_config;

#define ASX_LAB_SHARDS_MAX 64u
#define ASX_LAB_UNLIMITED UINT64_MAX
#define ASX_LAB_TURN_PRODUCTION UINT32_MAX

/* Who chooses. */
typedef enum asx_lab_mode {
    ASX_LAB_RANDOM = 0, /* uniformly, from the seed */
    ASX_LAB_DEFAULT,    /* what production would do */
    ASX_LAB_FORCED,     /* `choices`, to the letter; the first question that differs ends the run */
    ASX_LAB_LENIENT,    /* `choices` where they fit, and 0 */
    ASX_LAB_BYTES,      /* `bytes`, then 0: for fuzzers */
    ASX_LAB_STEERED,    /* `steer`: strategies of the explorer */
} asx_lab_mode;

/* Hears a run as it happens. May not call the kernel. */
typedef struct asx_lab_listener asx_lab_listener;
struct asx_lab_listener {
    void (*hear)(asx_lab_listener *self, const asx_lab_event *event); /* may be NULL */
    void (*hear_row)(asx_lab_listener *self, const asx_lab_row *row); /* may be NULL */
    bool stop; /* set by itself: the run ends after this step */
    asx_lab_listener *next;
};

/* A strategy at the wheel. */
typedef struct asx_lab_steer asx_lab_steer;
struct asx_lab_steer {
    /* Before each step: which of n >= 1 runnable shards; [0] is what production would do. */
    uint32_t (*turn)(asx_lab_steer *self, const uint32_t *shards, uint32_t n);
    /* Within it: one of n >= 2. */
    uint32_t (*value)(asx_lab_steer *self, uint32_t site, uint32_t n, uint64_t object);
    /* What the current step read or wrote. May be NULL. */
    void (*touch)(asx_lab_steer *self, const asx_lab_access *access);
    /* The run ends here. May be NULL. */
    bool (*stopped)(asx_lab_steer *self);
};

typedef struct asx_lab_config { /* zero-filled fields are the defaults */
    uint64_t seed;              /* 0: 42 */
    uint64_t entropy_seed;      /* of what programs draw; 0: the seed */
    uint64_t chaos_seed;        /* of faults; 0: derived from the seed */
    uint32_t shards;            /* 0: 1 */
    asx_lab_mode mode;

    /* What may differ */
    bool widen_ready;        /* which of the equals of a lane runs is a choice */
    bool ring_pressure;      /* whether a ring is full for its sender is a choice */
    uint32_t turn_budget;    /* dispatches of a turn; 0: 1 */
    uint32_t cancel_streak;  /* 0: 16 */
    uint32_t ring_capacity;  /* messages; 0: 64 */
    uint32_t ring_delay_max; /* turns for which a message may stay hidden; 0: 8 */
    bool keep_on_leak;       /* a leaked obligation is a line instead of a panic */

    /* Time */
    asx_instant start_ns;          /* virtual time begins here */
    asx_duration max_vtime_ns;     /* 0: no limit */
    bool no_auto_advance;          /* nothing runnable ends the run, whatever is due later */
    asx_duration dispatch_cost_ns; /* what each dispatch adds to the clock */
    uint64_t spin_limit;           /* steps of tasks that only yield, until time jumps; 0: 1,000 */
    const asx_duration *clock_offset_ns; /* a shard; NULL: none */
    const int32_t *clock_skew_ppm;       /* a shard; NULL: none */

    /* Devices; lent for the run. NULL: none */
    const struct asx_vnet_config *net;
    const struct asx_vdisk_config *disk;

    /* Faults */
    asx_chaos_config chaos;

    /* Bounds */
    uint64_t max_steps;    /* 0: 100,000; reaching it is a failure */
    size_t heap_bytes_max; /* of each shard; 0: none */

    /* Choices given; lent for the run */
    const asx_lab_choice *choices;
    size_t choice_count;
    asx_lab_feed *feed; /* FORCED: instead of `choices` */
    const uint8_t *bytes;
    size_t bytes_len;
    asx_lab_steer *steer;

    /* What is kept: changes no run */
    uint32_t trace_capacity; /* events in the report; 0: 65,536 */
    asx_lab_listener *listeners;
    bool unrecorded;          /* keep no list of choices */
    bool unchecked;           /* do not check the protocol of the trace (check.h, oracle.h) */
    const char *oracles;      /* names of those asked, "finalizer,task_leak"; NULL: all */
    bool fingerprint;         /* take the class of the run: a microsecond an event */
    bool keep_schedule;       /* keep the rows of a schedule */
    uint32_t choice_rows_max; /* 0: 100 MiB */
    asx_lab_full choice_full;
    uint64_t snapshot_every; /* steps between two hashes of the state in the trace; 0: never */
    asx_diagnostic_fn *diagnostic; /* lines of the kernel, for people */
    void *diagnostic_arg;
} asx_lab_config;

/* The same with every default filled in. */
asx_lab_config asx_lab_config_fill(const asx_lab_config *config);

/* Of every field that can change a run, in a fixed order, after a schema number. */
uint64_t asx_lab_config_hash(const asx_lab_config *config);

/* Of the records and layouts that runs are made of: runs of equal builds may be compared. */
uint64_t asx_lab_build_id(void);

/* Why this cannot be run, or NULL. A field that would have no effect is refused. */
const char *asx_lab_config_refused(const asx_lab_config *config);

/* Runs `app(cx, arg)` as the first task of shard 0 until nothing can happen any more. The root
 * region closes in mode JOIN when app returned Ok, CANCEL otherwise. True when the run passed:
 * quiescent, and no violation.
 *
 * report  filled, to be given to asx_lab_report_deinit in either case
 * asserts the configuration is not refused */
bool asx_lab_run(const asx_lab_config *config, asx_task_fn *app, void *arg, asx_lab_report *report);

const char *asx_lab_mode_name(asx_lab_mode mode);

ASX_END_DECLS

#endif
