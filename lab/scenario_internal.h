/* The programs behind the names. Each is defined in a file of the same subject. */
#ifndef ASX_LAB_SCENARIO_INTERNAL_H
#define ASX_LAB_SCENARIO_INTERNAL_H

#include <asx/lab/scenario.h>

/* What must hold in a story; its failure is the program's. */
#define must(x)                                        \
    do {                                               \
        if (!(x)) {                                    \
            asx_panic("it does not hold that %s", #x); \
        }                                              \
    } while (0)

asx_task_fn asxi_story_empty, asxi_story_day, asxi_story_timers, asxi_story_spin;
asx_task_fn asxi_story_fan, asxi_story_tree, asxi_story_scopes, asxi_story_fail_fast;
asx_task_fn asxi_story_cancel, asxi_story_mask, asxi_story_race, asxi_story_timeout;
asx_task_fn asxi_story_permits, asxi_story_finalizers, asxi_story_jobs, asxi_story_polls;
asx_task_fn asxi_story_limbs, asxi_story_limb_tree, asxi_story_limb_cancel, asxi_story_posts;
asx_task_fn asxi_story_storm, asxi_story_token_ring, asxi_story_deadline, asxi_story_panic,
    asxi_story_entropy;

#endif
