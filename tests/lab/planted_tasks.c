/* Stories of tasks and regions: who ends whom, when, and in which order. */
#include <asx/shard/combine/branch.h>
#include <asx/shard/limb.h>
#include <asx/shard/scope.h>

#include "planted.h"

asx_outcome planted_yields(asx_cx *cx, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        ASX_TRY(asx_yield(cx));
    }
    return asx_ok(times);
}

asx_handle planted_spawn(asx_cx *cx, asx_task_fn *fn, void *arg)
{
    asx_handle handle;
    must(!asx_spawn(cx, NULL, fn, arg, 0, NULL, &handle));
    return handle;
}

typedef struct stage {
    asx_handle target;
    asx_region *region;
    uint32_t ran, disturbed;
} stage;

static stage at; /* of the run: a task that outlives the program's frame still finds it */

static asx_outcome runs(asx_cx *cx, void *arg)
{
    return planted_yields(cx, *(const uint32_t *)arg);
}

static uint32_t once = 1, twice = 2, often = 400;

static asx_outcome owns_a_scope(asx_cx *cx, void *arg)
{
    (void)arg;
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        (void)ASX_SPAWN(s, runs, &often);
    }
    return asx_ok(0);
}

asx_outcome planted_down(asx_cx *cx, void *arg)
{
    asx_outcome value = asx_ok(0);
    const uint32_t none = 0;
    (void)arg;
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
        (void)ASX_SPAWN(s, owns_a_scope, &none);
        ASX_TRY(planted_yields(cx, 2));
        asx_scope_cancel(s, ASX_CANCEL_USER, "enough");
    }
    return asx_ok(0);
}

static asx_outcome cleans_up(asx_cx *cx, void *arg)
{
    (void)arg;
    const asx_outcome outcome = asx_sleep(cx, asx_s(1));
    ASX_MASK(cx, 20) {
        (void)planted_yields(cx, 4);
    }
    return outcome;
}

static asx_outcome opens_below(asx_cx *cx, void *arg)
{
    asx_region *inner;
    const uint32_t none = 0;
    (void)arg;
    must(!asx_region_open(cx, NULL, &inner));
    must(!asx_spawn(cx, inner, cleans_up, &none, sizeof(none), NULL, NULL));
    asx_region_close_begin(inner, ASX_CLOSE_JOIN, NULL);
    return asx_ok(0);
}

/* The outer region has no task of its own any more when it is cancelled. */
asx_outcome planted_early(asx_cx *cx, void *arg)
{
    (void)arg;
    at = (stage){ 0 };
    must(!asx_region_open(cx, NULL, &at.region));
    must(!asx_spawn(cx, at.region, opens_below, NULL, 0, NULL, NULL));
    at.target = asx_region_handle(at.region);
    ASX_TRY(planted_yields(cx, 3));
    asx_region_cancel(at.region, ASX_CANCEL_USER, "enough");
    planted_ignore(asx_region_close_wait(cx, at.target));
    return asx_ok(0);
}

/* Its tasks take their time to end. */
asx_outcome planted_handed_up(asx_cx *cx, void *arg)
{
    asx_region *region;
    (void)arg;
    must(!asx_region_open(cx, NULL, &region));
    must(!asx_spawn(cx, region, cleans_up, NULL, 0, NULL, NULL));
    const asx_handle handle = asx_region_handle(region);
    ASX_TRY(planted_yields(cx, 2));
    asx_region_cancel(region, ASX_CANCEL_USER, "enough");
    planted_ignore(asx_region_close_wait(cx, handle));
    return planted_yields(cx, 6);
}

asx_outcome planted_cancel_lane(asx_cx *cx, void *arg)
{
    asx_outcome value = asx_ok(0);
    const uint32_t none = 0;
    (void)arg;
    const asx_handle plain = planted_spawn(cx, runs, &often);
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
        for (uint32_t i = 0; i < 40; i++) {
            (void)ASX_SPAWN(s, cleans_up, &none);
        }
        ASX_TRY(asx_sleep(cx, 1000));
        asx_scope_cancel(s, ASX_CANCEL_USER, "enough");
    }
    return asx_join(cx, plain);
}

static asx_outcome timed(asx_cx *cx, void *arg)
{
    (void)arg;
    return planted_yields(cx, often);
}

asx_outcome planted_timed_lane(asx_cx *cx, void *arg)
{
    const asx_budget soon =
        ASX_BUDGET_INIT(asx_now(cx) + asx_ms(50), ASX_POLLS_UNLIMITED, ASX_COST_UNLIMITED, 128);
    const asx_spawn_options options = { .budget = &soon };
    asx_handle handles[3];
    (void)arg;
    for (uint32_t i = 0; i < 2; i++) {
        must(!asx_spawn(cx, NULL, timed, NULL, 0, &options, &handles[i]));
    }
    handles[2] = planted_spawn(cx, runs, &twice);
    for (uint32_t i = 0; i < 3; i++) {
        ASX_TRY(asx_join(cx, handles[i]));
    }
    return asx_ok(0);
}

static asx_outcome sleeps_without(asx_cx *cx, void *arg)
{
    (void)arg;
    must(!asx_is_ok(asx_sleep(cx, 1000)));
    return asx_ok(0);
}

static asx_outcome asks_for_more(asx_cx *cx, void *arg)
{
    const asx_spawn_options more = { .caps = ASX_CAP_SPAWN | ASX_CAP_TIME };
    asx_handle child;
    (void)arg;
    must(!asx_spawn(cx, NULL, sleeps_without, NULL, 0, &more, &child));
    return asx_join(cx, child);
}

asx_outcome planted_caps(asx_cx *cx, void *arg)
{
    const asx_spawn_options few = { .caps = ASX_CAP_SPAWN };
    asx_handle child;
    (void)arg;
    must(!asx_spawn(cx, NULL, asks_for_more, NULL, 0, &few, &child));
    return asx_join(cx, child);
}

static asx_outcome takes_longer(asx_cx *cx, void *arg)
{
    const asx_budget later =
        ASX_BUDGET_INIT(asx_now(cx) + asx_ms(100), ASX_POLLS_UNLIMITED, ASX_COST_UNLIMITED, 128);
    const asx_region_options options = { .budget = &later };
    asx_region *inner;
    (void)arg;
    must(!asx_region_open(cx, &options, &inner));
    asx_region_close_begin(inner, ASX_CLOSE_JOIN, NULL);
    return asx_yield(cx);
}

asx_outcome planted_deadline(asx_cx *cx, void *arg)
{
    const asx_budget soon =
        ASX_BUDGET_INIT(asx_now(cx) + asx_ms(10), ASX_POLLS_UNLIMITED, ASX_COST_UNLIMITED, 128);
    const asx_region_options options = { .budget = &soon };
    asx_region *outer;
    (void)arg;
    must(!asx_region_open(cx, &options, &outer));
    must(!asx_spawn(cx, outer, takes_longer, NULL, 0, NULL, NULL));
    const asx_handle handle = asx_region_handle(outer);
    asx_region_close_begin(outer, ASX_CLOSE_JOIN, NULL);
    return asx_region_close_wait(cx, handle);
}

static asx_outcome finalizes(asx_cx *cx, void *arg)
{
    (void)arg;
    at.ran++;
    return asx_yield(cx);
}

static asx_outcome cuts(asx_cx *cx, void *arg)
{
    asx_region *region;
    (void)arg;
    ASX_TRY(planted_yields(cx, 3));
    if (!asx_region_lookup(asx_shard_of(cx), at.target, &region)) {
        asx_region_cancel(region, ASX_CANCEL_USER, "enough");
    }
    return asx_ok(0);
}

asx_outcome planted_finalizers(asx_cx *cx, void *arg)
{
    (void)arg;
    at = (stage){ 0 };
    must(!asx_region_open(cx, NULL, &at.region));
    for (uint32_t i = 0; i < 2; i++) {
        must(!asx_region_finalizer_add(at.region, finalizes, NULL));
    }
    must(!asx_spawn(cx, at.region, runs, &twice, 0, NULL, NULL));
    at.target = asx_region_handle(at.region);
    const asx_handle cutter = planted_spawn(cx, cuts, NULL);
    asx_region_close_begin(at.region, ASX_CLOSE_JOIN, NULL);
    planted_ignore(asx_region_close_wait(cx, at.target));
    ASX_TRY(asx_join(cx, cutter));
    must(at.ran == 2);
    return asx_ok(0);
}

asx_outcome planted_sleeps(asx_cx *cx, void *arg)
{
    (void)arg;
    for (uint32_t i = 1; i < 4; i++) {
        const asx_instant from_ns = asx_now(cx);
        ASX_TRY(asx_sleep(cx, i * 1000));
        must(asx_now(cx) >= from_ns + i * 1000);
    }
    return asx_ok(0);
}

static asx_outcome runs_in_turn(asx_cx *cx, void *arg)
{
    const uint32_t *const place = arg;
    (void)cx;
    must(at.ran == *place);
    at.ran++;
    return asx_ok(0);
}

asx_outcome planted_edf(asx_cx *cx, void *arg)
{
    static uint32_t places[3] = { 2, 0, 1 };
    asx_handle handles[3];
    (void)arg;
    at = (stage){ 0 };
    for (uint32_t i = 0; i < 3; i++) {
        const asx_budget budget = ASX_BUDGET_INIT(asx_now(cx) + asx_ms(10 + places[i]),
                                                  ASX_POLLS_UNLIMITED, ASX_COST_UNLIMITED, 128);
        const asx_spawn_options options = { .budget = &budget };
        must(!asx_spawn(cx, NULL, runs_in_turn, &places[i], 0, &options, &handles[i]));
    }
    for (uint32_t i = 0; i < 3; i++) {
        ASX_TRY(asx_join(cx, handles[i]));
    }
    return asx_ok(0);
}

asx_outcome planted_join(asx_cx *cx, void *arg)
{
    const asx_branch branches[3] = { { .fn = runs, .arg = &once },
                                     { .fn = runs, .arg = &twice },
                                     { .fn = runs, .arg = &twice } };
    (void)arg;
    return asx_join_all(cx, branches, 3, NULL);
}

asx_outcome planted_race(asx_cx *cx, void *arg)
{
    const asx_branch branches[3] = { { .fn = runs, .arg = &twice },
                                     { .fn = runs, .arg = &often },
                                     { .fn = cleans_up } };
    uint32_t winner;
    (void)arg;
    must(asx_is_ok(asx_race(cx, branches, 3, &winner)));
    return asx_ok(0);
}

static void is_masked_inside(asx_cx *cx)
{
    ASX_MASK(cx, 2) {
        at.disturbed += !asx_is_ok(planted_yields(cx, 5));
    }
}

static asx_outcome is_masked(asx_cx *cx, void *arg)
{
    (void)arg;
    ASX_MASK(cx, 50) {
        is_masked_inside(cx);
    }
    return asx_ok(0);
}

/* Long enough for everybody who wants it to stop. */
static asx_outcome sleeps_masked(asx_cx *cx, void *arg)
{
    (void)arg;
    ASX_MASK(cx, 50) {
        planted_ignore(asx_sleep(cx, 1000));
    }
    return asx_ok(0);
}

static asx_outcome cancels(asx_cx *cx, void *arg)
{
    const asx_cancel_kind *const kind = arg;
    ASX_TRY(planted_yields(cx, 2));
    asx_task_cancel(cx, at.target, *kind, "not needed");
    return asx_ok(0);
}

static asx_cancel_kind user = ASX_CANCEL_USER, shutdown = ASX_CANCEL_SHUTDOWN;

static asx_outcome with_cancel(asx_cx *cx, asx_task_fn *fn, bool both)
{
    at = (stage){ 0 };
    at.target = planted_spawn(cx, fn, NULL);
    const asx_handle mild = planted_spawn(cx, cancels, &user);
    if (both) {
        const asx_handle strong = planted_spawn(cx, cancels, &shutdown);
        ASX_TRY(asx_join(cx, strong));
    }
    ASX_TRY(asx_join(cx, mild));
    planted_ignore(asx_join(cx, at.target));
    return asx_ok(0);
}

asx_outcome planted_masks(asx_cx *cx, void *arg)
{
    (void)arg;
    const asx_outcome outcome = with_cancel(cx, is_masked, false);
    must(at.disturbed == 0);
    return outcome;
}

asx_outcome planted_weak(asx_cx *cx, void *arg)
{
    (void)arg;
    return with_cancel(cx, sleeps_masked, true);
}

static asx_outcome spawns_late(asx_cx *cx, void *arg)
{
    (void)arg;
    const asx_outcome outcome = planted_yields(cx, 4);
    if (!asx_is_ok(outcome)) {
        must(asx_spawn(cx, NULL, runs, &once, 0, NULL, NULL) != ASX_OK);
    }
    return outcome;
}

asx_outcome planted_late(asx_cx *cx, void *arg)
{
    asx_outcome value = asx_ok(0);
    const uint32_t none = 0;
    (void)arg;
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
        (void)ASX_SPAWN(s, spawns_late, &none);
        ASX_TRY(planted_yields(cx, 2));
        asx_scope_cancel(s, ASX_CANCEL_USER, "enough");
    }
    must(value.severity != ASX_SEVERITY_PANICKED);
    return asx_ok(0);
}

asx_outcome planted_stale(asx_cx *cx, void *arg)
{
    (void)arg;
    at = (stage){ 0 };
    at.target = planted_spawn(cx, runs, &once);
    const asx_handle canceller = planted_spawn(cx, cancels, &user);
    planted_ignore(asx_join(cx, at.target));
    const asx_handle next = planted_spawn(cx, runs, &twice); /* in the same slot */
    must(asx_is_ok(asx_join(cx, next)));
    return asx_join(cx, canceller);
}

asx_outcome planted_orphan(asx_cx *cx, void *arg)
{
    asx_handle limb;
    (void)arg;
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        must(!asx_spawn_on(&s->cx, 1, runs, &once, 0, NULL, &limb));
    }
    return asx_ok(0);
}

static asx_outcome sleeps_long(asx_cx *cx, void *arg)
{
    (void)arg;
    return asx_sleep(cx, asx_s(1));
}

asx_outcome planted_unheard(asx_cx *cx, void *arg)
{
    (void)arg;
    return with_cancel(cx, sleeps_long, false);
}

static bool steps_thrice(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    uint32_t *const steps = frame;
    *outcome = asx_ok(0);
    return ++*steps == 3 || !asx_is_ok(asx_yield(cx));
}

asx_outcome planted_step(asx_cx *cx, void *arg)
{
    asx_handle task;
    (void)arg;
    must(!asx_spawn_poll(cx, NULL, steps_thrice, NULL, sizeof(uint32_t), NULL, &task, NULL));
    return asx_join(cx, task);
}

static asx_outcome reaches_home(asx_cx *cx, void *arg)
{
    (void)cx;
    (void)arg;
    if (ASXI_PLANTED(FOREIGN_HANDS)) {
        asx_region_cancel(at.region, ASX_CANCEL_USER, "over there");
    }
    return asx_ok(0);
}

asx_outcome planted_foreign(asx_cx *cx, void *arg)
{
    asx_handle limb;
    (void)arg;
    at = (stage){ 0 };
    must(!asx_region_open(cx, NULL, &at.region));
    must(!asx_spawn(cx, at.region, sleeps_long, NULL, 0, NULL, NULL));
    const asx_handle handle = asx_region_handle(at.region);
    must(!asx_spawn_on(cx, 1, reaches_home, NULL, 0, NULL, &limb));
    ASX_TRY(asx_join_limb(cx, limb));
    asx_region *region;
    if (!asx_region_lookup(asx_shard_of(cx), handle, &region)) {
        asx_region_close_begin(region, ASX_CLOSE_JOIN, NULL);
        planted_ignore(asx_region_close_wait(cx, handle));
    }
    return asx_ok(0);
}
