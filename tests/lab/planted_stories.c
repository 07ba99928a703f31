#include <asx/shard/base/assert.h>

#include "planted.h"

int asxi_planted;

#define X(name, text) static const char about_##name[] = text;
ASXI_PLANTED_LIST(X)
#undef X

static const planted_story stories[] = {
#define STORY(bug, story, shards) \
    { ASXI_PLANTED_##bug, #bug, about_##bug, planted_##story, shards },
    STORY(ABBA, abba, 1) STORY(BATON_DROPPED, baton, 1) STORY(BELL_SAVED, bell, 2)
        STORY(CANCEL_IN_COMMIT, commit, 1) STORY(CANCEL_NOT_DOWN, down, 1) STORY(
            CANCEL_STARVES, cancel_lane, 1) STORY(CAPS_GROW, caps, 1) STORY(CREDIT_LOST, credit, 2)
            STORY(DEADLINE_LOOSE, deadline, 1) STORY(DOUBLE_FINALIZER, finalizers, 1)
                STORY(DOUBLE_RESOLVE, resolve, 1) STORY(EARLY_SLEEP, sleeps, 1)
                    STORY(EDF_INVERSION, edf, 1) STORY(FINALIZER_ORDER, finalizers, 1) STORY(
                        ITEM_LOST, item, 1) STORY(JOIN_TWICE, join, 1) STORY(MASK_IGNORED, masks, 1)
                        STORY(MUTEX_UNFAIR, fair, 1) STORY(NOTIFY_LOST, notified, 1)
                            STORY(ORPHAN, orphan, 2) STORY(PERMIT_LEAK, permits, 1)
                                STORY(RACE_UNDRAINED, race, 1) STORY(READY_STARVES, timed_lane, 1)
                                    STORY(REGION_EARLY, early, 1) STORY(RING_OVERWRITE, ring, 2)
                                        STORY(SPAWN_LATE, late, 1) STORY(STALE_HANDLE, stale, 1)
                                            STORY(WEAK_REASON, weak, 1)
                                                STORY(WRONG_HOLDER, holder, 1)
#undef STORY
};

_Static_assert(asx_array_count(stories) == ASXI_PLANTED_END - 1, "a story for each bug");

const planted_story *planted_stories(uint32_t *count)
{
    *count = asx_array_count(stories);
    return stories;
}
