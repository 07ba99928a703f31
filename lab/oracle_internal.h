/* What the oracles keep of a run beyond the checker's table. */
#ifndef ASX_LAB_ORACLE_INTERNAL_H
#define ASX_LAB_ORACLE_INTERNAL_H

#include <asx/lab/oracle.h>

#include "check_internal.h"

#define ASXI_ORACLE_SHARDS 64u

#define T_TEXT "T%u.%u.%u"
#define T_ARGS(id) (unsigned)((id) >> 56), (unsigned)((id) >> 32 & 0xffffff), (unsigned)(id)

#define ASXI_ORACLE_TIMED 16u /* the last dispatches by deadline that are remembered of a shard */

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
    asxi_array asked;                     /* uint64_t: tasks, likewise */
    struct {
        uint64_t at, deadline_ns; /* in dispatches of the shard */
    } timed[ASXI_ORACLE_TIMED];
    uint32_t timed_count; /* over the run: the next goes to timed[timed_count % ...] */
} asxi_oracle_shard;

struct asx_lab_oracles {
    asx_lab_check *check;
    asxi_entities *entities;
    uint32_t selected, streak_max;
    uint32_t turn;    /* ASX_LAB_NO_TURN: not known */
    uint64_t late_ns; /* by which chaos has moved the clock */
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
/* This one before the checker's table has changed for the others. */
void asxi_oracle_order_event(asx_lab_oracles *oracles, const asx_lab_event *event);
void asxi_oracle_order_end(asx_lab_oracles *oracles);
void asxi_oracle_futurelock(asx_lab_oracles *oracles, const asx_lab_event *event, bool stuck);

static inline asxi_entity *asxi_oracle_task(asx_lab_oracles *self, uint64_t id)
{
    return asxi_entities_find(self->entities, ASXI_ENTITY_TASK, id);
}

static inline asxi_entity *asxi_oracle_region(asx_lab_oracles *self, uint64_t id)
{
    return asxi_entities_find(self->entities, ASXI_ENTITY_REGION, id);
}

static inline asxi_oracle_shard *asxi_oracle_shard_of(asx_lab_oracles *self,
                                                      const asx_lab_event *event)
{
    return &self->shards[event->shard];
}

/* Whether the task that was just spawned may be the one that ran last, begun anew in its slot. */
static inline bool asxi_oracle_renewed(const asxi_oracle_shard *shard, const asxi_entity *task)
{
    return shard->kinds[0] == ASX_TRACE_REGION_CREATE &&
           shard->kinds[1] == ASX_TRACE_REGION_CLOSE_END && shard->running >> 32 == task->id >> 32;
}

#endif
