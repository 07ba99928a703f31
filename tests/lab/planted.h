/* The small programs that must find the planted bugs, one each. */
#ifndef ASX_TESTS_LAB_PLANTED_H
#define ASX_TESTS_LAB_PLANTED_H

#include <asx/lab/lab.h>
#include <asx/shard/planted_internal.h>

ASX_BEGIN_DECLS

typedef struct planted_story {
    int bug; /* asxi_planted_bug */
    const char *name, *about;
    asx_task_fn *app;
    uint32_t shards;
    uint32_t oracle; /* asx_lab_oracle: who reports it first; PLANTED_UNHEARD: only its story */
} planted_story;

#define PLANTED_UNHEARD UINT32_MAX

/* In the order of the bugs. */
const planted_story *planted_stories(uint32_t *count);

/* What must hold in a story; its failure is the run's. */
#define must(x)                                        \
    do {                                               \
        if (!(x)) {                                    \
            asx_panic("it does not hold that %s", #x); \
        }                                              \
    } while (0)

/* Whatever came of it. */
static inline void planted_ignore(asx_outcome outcome)
{
    (void)outcome;
}

/* Ends with the first that answers Cancelled. */
asx_outcome planted_yields(asx_cx *cx, uint32_t times);
asx_handle planted_spawn(asx_cx *cx, asx_task_fn *fn, void *arg);

#define PLANTED_STORY(name) asx_task_fn planted_##name;
PLANTED_STORY(abba)
PLANTED_STORY(baton)
PLANTED_STORY(bell)
PLANTED_STORY(commit)
PLANTED_STORY(down)
PLANTED_STORY(cancel_lane)
PLANTED_STORY(caps)
PLANTED_STORY(credit)
PLANTED_STORY(deadline)
PLANTED_STORY(dropped)
PLANTED_STORY(finalizers)
PLANTED_STORY(foreign)
PLANTED_STORY(step)
PLANTED_STORY(unheard)
PLANTED_STORY(handed_up)
PLANTED_STORY(self_lock)
PLANTED_STORY(resolve)
PLANTED_STORY(sleeps)
PLANTED_STORY(early)
PLANTED_STORY(edf)
PLANTED_STORY(item)
PLANTED_STORY(join)
PLANTED_STORY(masks)
PLANTED_STORY(fair)
PLANTED_STORY(notified)
PLANTED_STORY(orphan)
PLANTED_STORY(permits)
PLANTED_STORY(race)
PLANTED_STORY(timed_lane)
PLANTED_STORY(ring)
PLANTED_STORY(late)
PLANTED_STORY(stale)
PLANTED_STORY(weak)
PLANTED_STORY(holder)
#undef PLANTED_STORY

ASX_END_DECLS

#endif
