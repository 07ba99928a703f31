/* Stories of one shard: tasks, time, regions, cancellation. */
#include <asx/shard/combine/branch.h>
#include <asx/shard/obligation.h>
#include <asx/shard/op.h>
#include <asx/shard/scope.h>
#include <asx/shard/shard.h>

#include "scenario_internal.h"

asx_outcome asxi_story_empty(asx_cx *cx, void *arg)
{
    (void)cx;
    (void)arg;
    return asx_ok(0);
}

asx_outcome asxi_story_day(asx_cx *cx, void *arg)
{
    (void)arg;
    ASX_TRY(asx_sleep(cx, asx_s(86400)));
    must(asx_now(cx) == asx_s(86400));
    return asx_ok(0);
}

static asx_outcome sleeper(asx_cx *cx, void *arg)
{
    const asx_duration ns = *(const asx_duration *)arg;
    const asx_instant begin_ns = asx_now(cx);
    ASX_TRY(asx_sleep(cx, ns));
    must(asx_now(cx) >= begin_ns + ns);
    return asx_ok(ns);
}

asx_outcome asxi_story_timers(asx_cx *cx, void *arg)
{
    (void)arg;
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        for (uint32_t i = 0; i < 40; i++) {
            const asx_duration ns = i % 4 == 0 ? asx_ms(5) : asx_random_below(cx, asx_ms(9)) + 1;
            (void)ASX_SPAWN(s, sleeper, &ns);
        }
    }
    return asx_ok(asx_now(cx));
}

asx_outcome asxi_story_spin(asx_cx *cx, void *arg)
{
    const asx_instant until_ns = asx_now(cx) + asx_ms(20);
    (void)arg;
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        const asx_duration ns = asx_ms(20);
        (void)ASX_SPAWN(s, sleeper, &ns);
        while (asx_now(cx) < until_ns) {
            ASX_TRY(asx_yield(cx));
        }
    }
    return asx_ok(0);
}

static asx_outcome yielder(asx_cx *cx, void *arg)
{
    const uint32_t times = *(const uint32_t *)arg;
    for (uint32_t i = 0; i < times; i++) {
        asx_trace_mark(cx, 1, i);
        ASX_TRY(asx_yield(cx));
    }
    return asx_ok(times);
}

asx_outcome asxi_story_fan(asx_cx *cx, void *arg)
{
    asx_handle tasks[24];
    (void)arg;
    for (uint32_t i = 0; i < 24; i++) {
        must(asx_spawn(cx, NULL, yielder, &i, sizeof(i), NULL, &tasks[i]) == ASX_OK);
    }
    for (uint32_t i = 0; i < 24; i++) {
        const asx_outcome outcome = asx_join(cx, tasks[i]);
        must(asx_is_ok(outcome) && outcome.value == i);
    }
    return asx_ok(0);
}

static asx_outcome branch_down(asx_cx *cx, void *arg)
{
    const uint32_t depth = *(const uint32_t *)arg;
    const uint32_t below = depth - 1;
    if (depth == 0) {
        return asx_yield(cx);
    }
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        (void)ASX_SPAWN(s, branch_down, &below);
        (void)ASX_SPAWN(s, branch_down, &below);
    }
    return asx_ok(depth);
}

asx_outcome asxi_story_tree(asx_cx *cx, void *arg)
{
    const uint32_t depth = 4;
    (void)arg;
    asx_outcome value = asx_ok(0);
    ASX_SCOPE(cx, whole, ASX_FAIL_FAST) {
        (void)ASX_SPAWN(whole, branch_down, &depth);
    }
    ASX_SCOPE(cx, cut, ASX_COLLECT_ALL, &value) {
        (void)ASX_SPAWN(cut, branch_down, &depth);
        ASX_TRY(asx_yield(cx));
        asx_scope_cancel(cut, ASX_CANCEL_USER, "enough");
    }
    return asx_ok(0);
}

/* Leaves its scope by the path that `arg` names. */
static asx_outcome scope_path(asx_cx *cx, void *arg)
{
    const uint32_t path = *(const uint32_t *)arg;
    const asx_duration ns = asx_ms(1);
    for (uint32_t i = 0; i < 2; i++) {
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            (void)ASX_SPAWN(s, sleeper, &ns);
            if (path == 0) {
                return asx_ok(0);
            }
            if (path == 1) {
                break;
            }
            if (path == 2) {
                continue;
            }
            ASX_TRY(asx_sleep(cx, asx_ms(2)));
        }
    }
    return asx_ok(path);
}

asx_outcome asxi_story_scopes(asx_cx *cx, void *arg)
{
    (void)arg;
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        for (uint32_t path = 0; path < 4; path++) {
            (void)ASX_SPAWN(s, scope_path, &path);
        }
    }
    return asx_ok(0);
}

static asx_outcome fails_third(asx_cx *cx, void *arg)
{
    const uint32_t index = *(const uint32_t *)arg;
    ASX_TRY(asx_sleep(cx, asx_ms(index)));
    return index == 3 ? asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, 3)) : asx_sleep(cx, asx_s(1));
}

asx_outcome asxi_story_fail_fast(asx_cx *cx, void *arg)
{
    asx_outcome value = asx_ok(0);
    (void)arg;
    ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
        for (uint32_t i = 0; i < 6; i++) {
            (void)ASX_SPAWN(s, fails_third, &i);
        }
    }
    must(asx_is_err(value, ASX_ERR(ASX_ERR_DOMAIN_USER, 3)));
    must(asx_now(cx) < asx_ms(10));
    return asx_ok(0);
}

static asx_outcome holder(asx_cx *cx, void *arg)
{
    asx_permit permit;
    const uint32_t index = *(const uint32_t *)arg;
    const asx_obligation_options options = { .kind = ASX_OBLIGATION_LEASE, .what = "held" };
    must(asx_obligation_reserve(cx, &options, &permit) == ASX_OK);
    const asx_outcome outcome = asx_sleep(cx, asx_ms(index));
    if (asx_is_ok(outcome)) {
        must(asx_obligation_commit(cx, permit) == ASX_OK);
    } else {
        must(asx_obligation_abort(cx, permit) == ASX_OK);
    }
    return outcome;
}

asx_outcome asxi_story_cancel(asx_cx *cx, void *arg)
{
    const uint32_t many = 1000;
    asx_outcome value = asx_ok(0);
    (void)arg;
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
        for (uint32_t i = 0; i < 8; i++) {
            (void)ASX_SPAWN(s, holder, &i);
        }
        (void)ASX_SPAWN(s, yielder, &many);
        ASX_TRY(asx_sleep(cx, asx_ms(4)));
        asx_scope_cancel(s, ASX_CANCEL_USER, "the story says so");
    }
    must(value.severity == ASX_SEVERITY_CANCELLED);
    return asx_ok(0);
}

static asx_outcome masked(asx_cx *cx, void *arg)
{
    uint32_t *const done = *(uint32_t **)arg;
    ASX_MASK(cx, 50) {
        for (uint32_t i = 0; i < 10; i++) {
            must(asx_is_ok(asx_yield(cx)));
            ++*done;
        }
    }
    return asx_sleep(cx, asx_s(1));
}

asx_outcome asxi_story_mask(asx_cx *cx, void *arg)
{
    uint32_t done = 0, *const at = &done;
    asx_outcome value = asx_ok(0);
    (void)arg;
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
        (void)ASX_SPAWN(s, masked, &at);
        ASX_TRY(asx_yield(cx));
        asx_scope_cancel(s, ASX_CANCEL_USER, "too early");
    }
    must(done == 10 || done == 0); /* 0: it was cancelled before it began */
    must(value.severity == ASX_SEVERITY_CANCELLED);
    return asx_ok(done);
}

static asx_outcome runner(asx_cx *cx, void *arg)
{
    const uint32_t steps = *(const uint32_t *)arg;
    for (uint32_t i = 0; i < steps; i++) {
        ASX_TRY(asx_yield(cx));
    }
    return asx_ok(steps);
}

asx_outcome asxi_story_race(asx_cx *cx, void *arg)
{
    uint32_t steps[4] = { 3, 3, 3, 50 };
    asx_branch branches[4] = { { .fn = runner } };
    uint32_t winner = 99;
    (void)arg;
    for (uint32_t i = 0; i < 4; i++) {
        branches[i] = (asx_branch){ .fn = runner, .arg = &steps[i] };
    }
    const asx_outcome outcome = asx_race(cx, branches, 4, &winner);
    must(asx_is_ok(outcome) && winner < 4 && outcome.value == steps[winner]);
    return asx_ok(winner);
}

asx_outcome asxi_story_timeout(asx_cx *cx, void *arg)
{
    asx_duration shorter_ns = asx_ms(3), longer_ns = asx_ms(30);
    (void)arg;
    must(asx_is_ok(asx_timeout(cx, asx_ms(10), sleeper, &shorter_ns, NULL)));
    must(asx_now(cx) == asx_ms(3));
    must(!asx_is_ok(asx_timeout(cx, asx_ms(10), sleeper, &longer_ns, NULL)));
    must(asx_now(cx) == asx_ms(13));
    return asx_ok(0);
}

static asx_outcome past_deadline(asx_cx *cx, void *arg)
{
    (void)arg;
    asx_deadline_tighten(cx, asx_ms(2));
    const asx_outcome outcome = asx_sleep(cx, asx_ms(5));
    must(outcome.severity == ASX_SEVERITY_CANCELLED);
    return outcome;
}

asx_outcome asxi_story_deadline(asx_cx *cx, void *arg)
{
    const asx_budget tight = { .deadline_ns = asx_now(cx) + asx_ms(1),
                               .poll_quota = 100,
                               .cost_quota = 100,
                               .priority = 200 };
    const asx_spawn_options options = { .budget = &tight, .label = "tight" };
    const asx_duration ns = asx_ms(4);
    asx_handle late, inside;
    (void)arg;
    must(asx_spawn(cx, NULL, sleeper, &ns, sizeof(ns), &options, &late) == ASX_OK);
    must(asx_spawn(cx, NULL, past_deadline, NULL, 0, NULL, &inside) == ASX_OK);
    must(asx_join(cx, late).severity == ASX_SEVERITY_CANCELLED);
    must(asx_join(cx, inside).severity == ASX_SEVERITY_CANCELLED);
    return asx_ok(0);
}

static asx_outcome heir(asx_cx *cx, void *arg)
{
    const asx_permit *const permit = *(asx_permit **)arg;
    ASX_TRY(asx_sleep(cx, asx_ms(1)));
    must(asx_obligation_commit(cx, *permit) == ASX_OK);
    return asx_ok(0);
}

asx_outcome asxi_story_permits(asx_cx *cx, void *arg)
{
    const asx_obligation_options options = { .kind = ASX_OBLIGATION_ACK, .what = "handed over" };
    asx_permit permit, *const at = &permit;
    asx_handle task;
    (void)arg;
    for (uint32_t i = 0; i < 6; i++) {
        must(asx_obligation_reserve(cx, &options, &permit) == ASX_OK);
        if (i % 3 == 0) {
            must(asx_obligation_commit(cx, permit) == ASX_OK);
        } else if (i % 3 == 1) {
            must(asx_obligation_abort(cx, permit) == ASX_OK);
        } else {
            must(asx_spawn(cx, NULL, heir, &at, sizeof(at), NULL, &task) == ASX_OK);
            must(asx_obligation_transfer(cx, permit, task) == ASX_OK);
            ASX_TRY(asx_join(cx, task));
        }
    }
    return asx_ok(0);
}

static asx_outcome finalizer(asx_cx *cx, void *arg)
{
    uint32_t *const next = arg;
    asx_trace_mark(cx, 2, (*next)++);
    return asx_yield(cx);
}

static asx_outcome leaves_finalizers(asx_cx *cx, void *arg)
{
    uint32_t *const ran = *(uint32_t **)arg;
    asx_region *region;
    must(asx_region_open(cx, NULL, &region) == ASX_OK);
    for (uint32_t i = 0; i < 3; i++) {
        must(asx_region_finalizer_add(region, finalizer, ran) == ASX_OK);
    }
    const asx_handle handle = asx_region_handle(region);
    asx_region_close_begin(region, ASX_CLOSE_JOIN, NULL);
    return asx_region_close_wait(cx, handle);
}

asx_outcome asxi_story_finalizers(asx_cx *cx, void *arg)
{
    uint32_t ran = 0, *const at = &ran;
    asx_handle task;
    (void)arg;
    must(asx_spawn(cx, NULL, leaves_finalizers, &at, sizeof(at), NULL, &task) == ASX_OK);
    ASX_TRY(asx_join(cx, task));
    must(ran == 3);
    return asx_ok(0);
}

static asx_outcome panics(asx_cx *cx, void *arg)
{
    (void)arg;
    ASX_TRY(asx_sleep(cx, asx_ms(1)));
    asx_panic("meant");
}

asx_outcome asxi_story_panic(asx_cx *cx, void *arg)
{
    asx_outcome value = asx_ok(0);
    const uint32_t many = 100000, none = 0;
    (void)arg;
    ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
        (void)ASX_SPAWN(s, panics, &none);
        (void)ASX_SPAWN(s, yielder, &many);
    }
    must(value.severity == ASX_SEVERITY_PANICKED);
    return asx_ok(0);
}

typedef struct ping {
    asx_handle *peers;
    uint32_t self, left;
} ping;

static bool ping_step(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    ping *const p = frame;
    if (p->left == 0) {
        *outcome = asx_ok(p->self);
        return true;
    }
    p->left--;
    asx_task_wake_at(cx, asx_now(cx) + 10 * (p->self + 1));
    asx_task_waits_for(cx, "its turn");
    return false;
}

asx_outcome asxi_story_polls(asx_cx *cx, void *arg)
{
    asx_handle tasks[10];
    (void)arg;
    for (uint32_t i = 0; i < 10; i++) {
        const ping init = { .self = i, .left = 5 };
        must(asx_spawn_poll(cx, NULL, ping_step, &init, sizeof(init), NULL, &tasks[i], NULL) ==
             ASX_OK);
    }
    for (uint32_t i = 0; i < 10; i++) {
        const asx_outcome outcome = asx_join(cx, tasks[i]);
        must(asx_is_ok(outcome) && outcome.value == i);
    }
    return asx_ok(0);
}
