#include <asx/shard/base/assert.h>

#include "planted.h"

int asxi_planted;

#define X(name, text) static const char about_##name[] = text;
ASXI_PLANTED_LIST(X)
#undef X

#define HEARD(bug, story, shards, oracle)                                                       \
    {                                                                                           \
        ASXI_PLANTED_##bug, #bug, about_##bug, planted_##story, shards, ASX_LAB_ORACLE_##oracle \
    }
#define UNHEARD(bug, story, shards)                                                     \
    {                                                                                   \
        ASXI_PLANTED_##bug, #bug, about_##bug, planted_##story, shards, PLANTED_UNHEARD \
    }

static const planted_story stories[] = {
    HEARD(ABBA, abba, 1, FUTURELOCK),
    UNHEARD(BATON_DROPPED, baton, 1),
    HEARD(BELL_SAVED, bell, 2, DOORBELL),
    UNHEARD(CANCEL_IN_COMMIT, commit, 1),
    HEARD(CANCEL_NOT_DOWN, down, 1, CANCELLATION_PROTOCOL),
    HEARD(CANCEL_STARVES, cancel_lane, 1, LANE_FAIRNESS),
    HEARD(CANCEL_UNHEARD, unheard, 1, CANCEL_STUCK),
    HEARD(CANCEL_UPWARDS, down, 1, CANCEL_ORDER),
    HEARD(CAPS_GROW, caps, 1, AMBIENT_AUTHORITY),
    UNHEARD(CREDIT_LOST, credit, 2),
    HEARD(DEADLINE_LOOSE, deadline, 1, DEADLINE_MONOTONE),
    HEARD(DOUBLE_FINALIZER, finalizers, 1, FINALIZER),
    HEARD(DOUBLE_RESOLVE, resolve, 1, OBLIGATION_LINEAR),
    UNHEARD(EARLY_SLEEP, sleeps, 1),
    HEARD(EDF_INVERSION, edf, 1, EDF_ORDER),
    HEARD(FINALIZER_ORDER, finalizers, 1, FINALIZER),
    HEARD(FOREIGN_HANDS, foreign, 2, SHARD_AFFINITY),
    UNHEARD(ITEM_LOST, item, 1),
    UNHEARD(JOIN_TWICE, join, 1),
    UNHEARD(MASK_IGNORED, masks, 1),
    UNHEARD(MUTEX_UNFAIR, fair, 1),
    UNHEARD(NOTIFY_LOST, notified, 1),
    UNHEARD(ORPHAN, orphan, 2),
    HEARD(PERMIT_DROPPED, dropped, 1, OBLIGATION_LEAK),
    UNHEARD(PERMIT_LEAK, permits, 1),
    HEARD(RACE_UNDRAINED, race, 1, LOSER_DRAIN),
    HEARD(READY_STARVES, timed_lane, 1, LANE_FAIRNESS),
    HEARD(REGION_EARLY, early, 1, REGION_TREE),
    HEARD(RING_OVERWRITE, ring, 2, RING_FIFO),
    HEARD(SELF_LOCK, self_lock, 1, FUTURELOCK),
    UNHEARD(SPAWN_LATE, late, 1),
    UNHEARD(STALE_HANDLE, stale, 1),
    HEARD(TASKS_HANDED_UP, handed_up, 1, TASK_LEAK),
    HEARD(WAKE_IN_STEP, step, 1, WAKER_DEDUP),
    HEARD(WEAK_REASON, weak, 1, CANCELLATION_PROTOCOL),
    UNHEARD(WRONG_HOLDER, holder, 1),
};

_Static_assert(asx_array_count(stories) == ASXI_PLANTED_END - 1, "a story for each bug");

const planted_story *planted_stories(uint32_t *count)
{
    *count = asx_array_count(stories);
    return stories;
}
