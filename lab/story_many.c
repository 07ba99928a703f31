/* Stories of several shards, and of what runs beside them. */
#include <asx/shard/limb.h>
#include <asx/shard/op.h>
#include <asx/shard/scope.h>
#include <asx/shard/shard.h>

#include "scenario_internal.h"

static void work(asx_op *op)
{
    ++*(uint32_t *)op->work_arg;
    op->result = 7;
}

static asx_outcome job(asx_cx *cx, void *arg)
{
    uint32_t *const done = *(uint32_t **)arg;
    asx_op op = { .code = ASX_OP_TASK, .arg = 500000 * (1 + (uint32_t)asx_random_below(cx, 4)) };
    op.work = work;
    op.work_arg = done;
    return asx_op_await(cx, &op);
}

asx_outcome asxi_story_jobs(asx_cx *cx, void *arg)
{
    uint32_t done = 0, *const at = &done;
    asx_outcome value = asx_ok(0);
    (void)arg;
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
        for (uint32_t i = 0; i < 8; i++) {
            (void)ASX_SPAWN(s, job, &at);
        }
        ASX_TRY(asx_sleep(cx, asx_ms(1)));
        asx_scope_cancel(s, ASX_CANCEL_USER, "the rest is not needed");
    }
    must(done <= 8);
    return asx_ok(done);
}

static asx_outcome doubles(asx_cx *cx, void *arg)
{
    const uint32_t value = *(const uint32_t *)arg;
    ASX_TRY(asx_sleep(cx, value * 1000));
    return asx_ok(2 * value);
}

asx_outcome asxi_story_limbs(asx_cx *cx, void *arg)
{
    asx_handle limbs[12];
    (void)arg;
    for (uint32_t i = 0; i < 12; i++) {
        must(asx_spawn_on(cx, i % asx_cx_shard_count(cx), doubles, &i, sizeof(i), NULL,
                          &limbs[i]) == ASX_OK);
    }
    for (uint32_t i = 12; i-- > 0;) {
        const asx_outcome outcome = asx_join_limb(cx, limbs[i]);
        must(asx_is_ok(outcome) && outcome.value == 2 * i);
    }
    return asx_ok(0);
}

static asx_outcome grows(asx_cx *cx, void *arg)
{
    const uint32_t depth = *(const uint32_t *)arg;
    const uint32_t below = depth - 1, count = asx_cx_shard_count(cx);
    asx_handle limbs[2];
    uintptr_t sum = 1;
    if (depth == 0) {
        return asx_ok(1);
    }
    for (uint32_t i = 0; i < 2; i++) {
        must(asx_spawn_on(cx, (asx_cx_shard_index(cx) + 1 + i) % count, grows, &below,
                          sizeof(below), NULL, &limbs[i]) == ASX_OK);
    }
    for (uint32_t i = 0; i < 2; i++) {
        const asx_outcome outcome = asx_join_limb(cx, limbs[i]);
        ASX_TRY(outcome);
        sum += outcome.value;
    }
    return asx_ok(sum);
}

asx_outcome asxi_story_limb_tree(asx_cx *cx, void *arg)
{
    const uint32_t depth = 3;
    (void)arg;
    asx_handle limb;
    must(asx_spawn_on(cx, 0, grows, &depth, sizeof(depth), NULL, &limb) == ASX_OK);
    const asx_outcome outcome = asx_join_limb(cx, limb);
    must(asx_is_ok(outcome) && outcome.value == 15);
    return outcome;
}

asx_outcome asxi_story_limb_cancel(asx_cx *cx, void *arg)
{
    const uint32_t count = asx_cx_shard_count(cx), far = 1000000;
    asx_handle limbs[9];
    (void)arg;
    for (uint32_t i = 0; i < 9; i++) {
        must(asx_spawn_on(cx, i % count, doubles, &far, sizeof(far), NULL, &limbs[i]) == ASX_OK);
        for (uint32_t k = 0; k < i / 3; k++) {
            ASX_TRY(asx_yield(cx));
        }
        asx_limb_cancel(cx, limbs[i], ASX_CANCEL_USER, "not needed");
    }
    for (uint32_t i = 0; i < 9; i++) {
        must(asx_join_limb(cx, limbs[i]).severity == ASX_SEVERITY_CANCELLED);
    }
    must(asx_now(cx) < asx_ms(500));
    return asx_ok(0);
}

typedef struct counter {
    uint32_t posted;
    asx_handle waiter;
} counter;

/* Posts change what all shards can see: in a run, and only there, that is one thread. */
static void count_post(asx_shard *shard, void *arg)
{
    counter *const self = arg;
    if (++self->posted == 30) {
        asx_task_wake(shard, self->waiter);
    }
}

static asx_outcome posts(asx_cx *cx, void *arg)
{
    counter *const self = *(counter **)arg;
    for (uint32_t i = 0; i < 10; i++) {
        must(asx_shard_post(cx, i % asx_cx_shard_count(cx), count_post, self) == ASX_OK);
    }
    return asx_ok(0);
}

asx_outcome asxi_story_posts(asx_cx *cx, void *arg)
{
    /* Not on the stack: a run that is torn down in the middle still hands out what was posted. */
    static counter self;
    counter *const at = &self;
    asx_handle limbs[3];
    (void)arg;
    self = (counter){ .waiter = asx_cx_task(cx) };
    for (uint32_t i = 0; i < 3; i++) {
        must(asx_spawn_on(cx, i % asx_cx_shard_count(cx), posts, &at, sizeof(at), NULL,
                          &limbs[i]) == ASX_OK);
    }
    for (uint32_t i = 0; i < 3; i++) {
        ASX_TRY(asx_join_limb(cx, limbs[i]));
    }
    while (self.posted < 30) {
        ASX_TRY(asx_sleep(cx, 1000));
    }
    return asx_ok(0);
}

static asx_outcome passes(asx_cx *cx, void *arg)
{
    const uint32_t left = *(const uint32_t *)arg;
    const uint32_t fewer = left - 1;
    asx_handle next;
    if (left == 0) {
        return asx_ok(0);
    }
    must(asx_spawn_on(cx, (asx_cx_shard_index(cx) + 1) % asx_cx_shard_count(cx), passes, &fewer,
                      sizeof(fewer), NULL, &next) == ASX_OK);
    const asx_outcome outcome = asx_join_limb(cx, next);
    return asx_is_ok(outcome) ? asx_ok(outcome.value + 1) : outcome;
}

asx_outcome asxi_story_token_ring(asx_cx *cx, void *arg)
{
    const uint32_t left = 20;
    asx_handle limb;
    (void)arg;
    must(asx_spawn_on(cx, 0, passes, &left, sizeof(left), NULL, &limb) == ASX_OK);
    const asx_outcome outcome = asx_join_limb(cx, limb);
    must(asx_is_ok(outcome) && outcome.value == 20);
    return asx_ok(0);
}

static asx_outcome draws(asx_cx *cx, void *arg)
{
    uint64_t sum = 0;
    (void)arg;
    for (uint32_t i = 0; i < 8; i++) {
        sum += asx_random_u64(cx);
        asx_trace_mark(cx, 3, sum);
        ASX_TRY(asx_yield(cx));
    }
    return asx_ok((uintptr_t)sum);
}

asx_outcome asxi_story_entropy(asx_cx *cx, void *arg)
{
    asx_handle limbs[3];
    (void)arg;
    for (uint32_t i = 0; i < 3; i++) {
        must(asx_spawn_on(cx, i % asx_cx_shard_count(cx), draws, NULL, 0, NULL, &limbs[i]) ==
             ASX_OK);
    }
    for (uint32_t i = 0; i < 3; i++) {
        ASX_TRY(asx_join_limb(cx, limbs[i]));
    }
    return draws(cx, NULL);
}

static asx_outcome toils(asx_cx *cx, void *arg)
{
    const uint32_t times = *(const uint32_t *)arg;
    for (uint32_t i = 0; i < times; i++) {
        ASX_TRY(i % 2 ? asx_yield(cx) : asx_sleep(cx, 1 + asx_random_below(cx, 50000)));
    }
    return asx_ok(times);
}

/* Whatever becomes of its limbs is fine, as long as each ends and none is left. */
asx_outcome asxi_story_storm(asx_cx *cx, void *arg)
{
    asx_handle limbs[8];
    const uint32_t times = 12;
    uint32_t started = 0;
    (void)arg;
    for (uint32_t i = 0; i < 8; i++) {
        started += asx_spawn_on(cx, i % asx_cx_shard_count(cx), toils, &times, sizeof(times), NULL,
                                &limbs[started]) == ASX_OK;
    }
    for (uint32_t i = 0; i < started; i++) {
        const asx_outcome outcome = asx_join_limb(cx, limbs[i]);
        must(!asx_is_ok(outcome) || outcome.value == times);
    }
    return asx_ok(started);
}
