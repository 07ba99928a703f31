/* The recorder of a run: every event passes here once, is stamped, hashed, kept and told.
 *
 * Model.  The hashes are continued at emission, so that a short memory of events changes none of
 *         them. Lamport clocks tick for each shard, and a message carries its sender's.
 * Owner.  The world. */
#ifndef ASX_LAB_RECORDER_INTERNAL_H
#define ASX_LAB_RECORDER_INTERNAL_H

#include <asx/lab/check.h>
#include <asx/lab/lab.h>
#include <asx/lab/oracle.h>

#include "array_internal.h"

#define ASXI_WORLD_SHARD 0xffffu /* events of the run itself */

typedef struct asxi_ring_clock {
    uint64_t ring;  /* its identity + 1; 0: unused */
    uint64_t *sent; /* Lamport time of each message, by sequence */
} asxi_ring_clock;

typedef struct asxi_recorder {
    const asx_instant *now_ns;
    asx_lab_listener *listeners;
    asx_lab_steer *steer;     /* touched by each event; may be NULL */
    asx_lab_check *check;     /* NULL: unchecked */
    asx_lab_oracles *oracles; /* with it, or NULL */
    asx_lab_event *events;
    uint32_t capacity, ring_capacity;
    bool muted; /* tearing down: nothing of it is the run's */
    uint64_t total;
    uint64_t trace_hash, schedule_hash;
    uint64_t moves; /* events other than those of a task that only yields */
    uint64_t step;
    uint64_t lamport[ASX_LAB_SHARDS_MAX + 1];
    uint64_t by_kind[ASX_TRACE_KIND_END];
    uint64_t strengthened;
    asxi_ring_clock *clocks; /* [to][from] */
    asxi_array rows;         /* of the schedule */
    uint32_t rows_max;       /* 0: none are kept */
    bool rows_truncated;
} asxi_recorder;

void asxi_recorder_init(asxi_recorder *recorder, const asx_lab_config *config,
                        const asx_instant *now_ns);
void asxi_recorder_emit(asxi_recorder *recorder, uint32_t shard, asx_trace_kind kind,
                        const uint64_t *words, uint32_t count);
/* It is this shard's turn; ASX_LAB_NO_TURN: nobody's. */
void asxi_recorder_turn(asxi_recorder *recorder, uint32_t shard);
/* Moves what is kept into the report. */
void asxi_recorder_report(asxi_recorder *recorder, asx_lab_report *report);
void asxi_recorder_deinit(asxi_recorder *recorder);

#endif
