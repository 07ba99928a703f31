/* What the oracles keep of a run beyond the checker's table. */
#ifndef ASX_LAB_ORACLE_INTERNAL_H
#define ASX_LAB_ORACLE_INTERNAL_H

#include <asx/lab/oracle.h>

#include "check_internal.h"

#define ASXI_ORACLE_SHARDS 64u

/* What the oracles remember of a shard. */
typedef struct asxi_oracle_shard {
    uint64_t dispatches;
    uint64_t running;                     /* the task dispatched last */
    uint32_t waiting;                     /* queued tasks that are not being cancelled */
    uint32_t plain;                       /* of those, the ones without a deadline */
    uint32_t cancel_streak, other_streak; /* dispatches in a row past those */
    uint16_t kinds[2];                    /* of the last events, the newest first */
    uint64_t finalized;                   /* the region whose finalizer is about to be spawned */
    asxi_array cut;                       /* uint64_t: regions cancelled since the last dispatch */
} asxi_oracle_shard;

struct asx_lab_oracles {
    asx_lab_check *check;
    asxi_entities *entities;
    uint32_t selected, streak_max;
    asx_lab_verdict verdicts[ASX_LAB_ORACLE_COUNT];
    asxi_oracle_shard shards[ASXI_ORACLE_SHARDS];
    asxi_array holders; /* uint64_t: tasks that hold permits, some of them no longer */
};

/* Says that it does not hold, where the oracle was asked. */
void asxi_oracle_fail(asx_lab_oracles *oracles, asx_lab_oracle oracle, const asx_lab_event *event,
                      const char *fmt, ...) ASX_PRINTF(4, 5);

/* The questions, each over one event; they count what they look at. */
void asxi_oracle_task_event(asx_lab_oracles *oracles, const asx_lab_event *event);
void asxi_oracle_sched_event(asx_lab_oracles *oracles, const asx_lab_event *event);
void asxi_oracle_region_event(asx_lab_oracles *oracles, const asx_lab_event *event);
void asxi_oracle_futurelock(asx_lab_oracles *oracles, const asx_lab_event *event, bool stuck);

#endif
