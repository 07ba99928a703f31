/* Chaos: faults that a seed puts into a run, around the turns of its shards.
 *
 * Model.   Before each turn of a shard, at each operation it submits, each time it looks for room
 *          in a ring and each time a stream moves bytes, keyed draws say which faults come up. Each
 *          that does is a recorded choice of two, "not after all" first: a replay repeats it,
 *          shrinking takes it out, and taking one out moves no other. A kind with rate 0 asks
 *          nothing.
 * Limits.  Faults hit between turns: at a turn budget of one dispatch, which is the default, that
 *          is before every dispatch. Memory fails where a heap asks its shard for a chunk. A late
 *          clock couples shards, so an exhaustive search means less with delay in it. */
#ifndef ASX_LAB_CHAOS_H
#define ASX_LAB_CHAOS_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

/* Numbers are part of recorded runs: append only. */
typedef enum asx_chaos_kind {
    ASX_CHAOS_CANCEL = 0, /* a live task of the shard is cancelled */
    ASX_CHAOS_BUDGET,     /* a live task has used up its polls */
    ASX_CHAOS_DELAY,      /* the clock moves on */
    ASX_CHAOS_STORM,      /* several tasks are woken without a cause */
    ASX_CHAOS_WAKE,       /* one is */
    ASX_CHAOS_ALLOC,      /* a chunk is refused within the turn */
    ASX_CHAOS_RING,       /* a ring looks full to its sender */
    ASX_CHAOS_IO,         /* an operation ends in an error, undone */
    ASX_CHAOS_STALL,      /* a shard takes no turn while others can */
    ASX_CHAOS_JUMP,       /* the clock of one shard leaps, and stays ahead */
    ASX_CHAOS_SHORT,      /* a stream moves fewer bytes than it could */
    ASX_CHAOS_KIND_COUNT
} asx_chaos_kind;

#define ASX_CHAOS_STORM_MAX 10000u

typedef struct asx_chaos_config {       /* zero-filled: off */
    uint32_t ppm[ASX_CHAOS_KIND_COUNT]; /* of turns, operations, looks */
    asx_duration delay_max_ns;          /* 1 ns .. this; 0: no delay */
    uint32_t storm_max;                 /* tasks of one storm; 0: 4 */
    uint32_t stall_max;                 /* steps of one stall; 0: 8 */
    asx_duration jump_max_ns;           /* 1 ns .. this; 0: no jumps */
    bool wide_errors;                   /* I/O: refused, aborted, broken pipe, not connected too */
    bool swarm;                         /* a run leaves out each kind with probability 1/2 */
    asx_instant heal_at_ns;             /* none from then on; 0: never heals */
    uint64_t alloc_nth;                 /* the nth chunk of shard 0 is refused; 0: none */
    uint64_t await_point;               /* 1-based: the task that comes there is cancelled */
} asx_chaos_config;

typedef struct asx_chaos_stats {
    uint64_t points; /* turns, operations and looks at which faults could come up */
    uint64_t injected[ASX_CHAOS_KIND_COUNT];
    uint64_t delay_ns, wakes;
    uint64_t jumped_ns;    /* over all shards */
    uint64_t await_points; /* passed: starts, waits and yields of tasks */
    bool await_hit;        /* the configured one was reached, and its task cancelled */
} asx_chaos_stats;

/* "off", "light", "heavy". False: there is no such preset. */
bool asx_chaos_preset(asx_chaos_config *config, const char *name);

bool asx_chaos_active(const asx_chaos_config *config);
/* Why this means nothing, or NULL. */
const char *asx_chaos_refused(const asx_chaos_config *config);
uint64_t asx_chaos_config_hash(uint64_t hash, const asx_chaos_config *config);

/* "cancel 1%, delay 5% up to 10 ms", or "off"; returns buf. */
const char *asx_chaos_summary(const asx_chaos_config *config, char *buf, size_t cap);
const char *asx_chaos_kind_name(uint32_t kind);
/* "i/o error at operation 17 of shard 0", of the object of an ASX_CHOICE_FAULT; returns buf. */
const char *asx_chaos_fault_text(uint64_t object, char *buf, size_t cap);
/* All kinds together. */
uint64_t asx_chaos_injected(const asx_chaos_stats *stats);

ASX_END_DECLS

#endif
