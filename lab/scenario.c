#include <asx/shard/base/assert.h>

#include "near_internal.h"
#include "scenario_internal.h"

#include <string.h>

static void widened(asx_lab_config *config)
{
    config->widen_ready = true;
}

static void pressed(asx_lab_config *config)
{
    config->ring_pressure = true;
    config->ring_capacity = 8;
}

static void spinning(asx_lab_config *config)
{
    config->spin_limit = 100;
}

static const asx_lab_scenario scenarios[] = {
    { "cancel", "a region is cancelled while its tasks sleep, yield and hold permits", 1, 1,
      asxi_story_cancel, NULL, false },
    { "day", "sleeps for a day of virtual time", 1, 1, asxi_story_day, NULL, false },
    { "deadline", "budgets run out while tasks wait", 1, 1, asxi_story_deadline, NULL, false },
    { "empty", "does nothing", 1, 1, asxi_story_empty, NULL, false },
    { "entropy", "draws random numbers on every shard", 3, 1, asxi_story_entropy, NULL, false },
    { "fail-fast", "one child fails, and takes its siblings along", 1, 1, asxi_story_fail_fast,
      widened, false },
    { "fan", "many tasks, joined in order", 1, 1, asxi_story_fan, widened, false },
    { "finalizers", "finalizers run innermost first, once", 1, 1, asxi_story_finalizers, NULL,
      false },
    { "jobs", "blocking jobs, some of them cancelled", 2, 1, asxi_story_jobs, NULL, false },
    { "limb-cancel", "children on other shards are cancelled at any moment of their lives", 3, 1,
      asxi_story_limb_cancel, NULL, false },
    { "limb-tree", "limbs that have limbs", 4, 1, asxi_story_limb_tree, NULL, false },
    { "limbs", "children on every shard bring their values home", 3, 1, asxi_story_limbs, NULL,
      false },
    { "mask", "cancellation waits for masked stretches", 1, 1, asxi_story_mask, NULL, false },
    { "panic", "a task panics, and only its region hears of it", 1, 1, asxi_story_panic, NULL,
      false },
    { "permits", "reserved, committed, aborted and handed over", 1, 1, asxi_story_permits, NULL,
      false },
    { "polls", "poll tasks that wake each other", 1, 1, asxi_story_polls, widened, false },
    { "posts", "functions posted to every shard, through rings that may be full", 3, 1,
      asxi_story_posts, pressed, false },
    { "race", "the first of several wins, the others are drained", 1, 1, asxi_story_race, widened,
      false },
    { "scopes", "nested scopes, left by every path", 1, 1, asxi_story_scopes, NULL, false },
    { "spin", "yields until a deadline, beside a sleeper", 1, 1, asxi_story_spin, spinning, false },
    { "storm", "work on every shard that withstands whatever chaos does to it", 3, 1,
      asxi_story_storm, NULL, true },
    { "timeout", "work that is in time, and work that is not", 1, 1, asxi_story_timeout, NULL,
      false },
    { "timers", "many sleeps of equal and different lengths", 2, 1, asxi_story_timers, NULL,
      false },
    { "token-ring", "a token that goes round the shards", 5, 1, asxi_story_token_ring, NULL,
      false },
    { "tree", "regions below regions, closed from below and above", 1, 1, asxi_story_tree, NULL,
      false },
};

const asx_lab_scenario *asx_lab_scenario_list(uint32_t *count)
{
    *count = asx_array_count(scenarios);
    return scenarios;
}

const asx_lab_scenario *asx_lab_scenario_find(const char *name)
{
    return asx_lab_scenario_among(NULL, name);
}

const asx_lab_scenario *asx_lab_scenario_among(const asx_lab_scenario *more, const char *name)
{
    for (size_t i = 0; i < asx_array_count(scenarios); i++) {
        if (strcmp(scenarios[i].name, name) == 0) {
            return &scenarios[i];
        }
    }
    while (more && more->name && strcmp(more->name, name) != 0) {
        more++;
    }
    return more && more->name ? more : NULL;
}

const char *asx_lab_scenario_nearest(const asx_lab_scenario *more, const char *name)
{
    const char *nearest = scenarios[0].name;
    for (size_t i = 1; i < asx_array_count(scenarios); i++) {
        if (asxi_name_distance(name, scenarios[i].name) < asxi_name_distance(name, nearest)) {
            nearest = scenarios[i].name;
        }
    }
    for (; more && more->name; more++) {
        if (asxi_name_distance(name, more->name) < asxi_name_distance(name, nearest)) {
            nearest = more->name;
        }
    }
    return nearest;
}

asx_lab_config asx_lab_scenario_config(const asx_lab_scenario *scenario, uint64_t seed,
                                       uint32_t shards)
{
    asx_lab_config config = { .seed = seed, .shards = shards ? shards : scenario->shards };
    if (scenario->configure) {
        scenario->configure(&config);
    }
    return config;
}
