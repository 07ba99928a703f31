/* Random task trees: whatever a script spawns, nests, cancels, masks, leaks, panics, sends to other
 * shards and leaves in flight, every shard ends quiescent: no task, region, obligation, operation
 * or byte is left.
 *
 * A script is drawn from its seed while it runs, and virtual time makes it one run a seed. The seed
 * of a failure is printed; ASX_TREE_SEED=<seed> runs that one alone, ASX_TREE_COUNT=<n> runs n, and
 * both n from there. The last case plays scripts on threads of their own, for ThreadSanitizer. */
#include <asx/reactor/epoll.h>
#include <asx/shard/base/prng.h>

#include "lab_world.h"

#include <cstdlib>
#include <cstring>
#include <thread>

namespace
{
struct world {
    asx_prng prng;
    uint32_t tasks_left;
    uint32_t handle_count, limb_count;
    asx_handle handles[256];
    asx_handle limbs[64];
    bool live; /* over a kernel's driver */
};
thread_local world the_world; /* one run at a time on each thread */

void world_reset(uint64_t seed, uint32_t tasks)
{
    asx_prng_init(&the_world.prng, seed);
    the_world.tasks_left = tasks;
    the_world.handle_count = the_world.limb_count = 0;
}

uint64_t draw(uint64_t n)
{
    return asx_prng_below(&the_world.prng, n);
}

struct node {
    uint32_t depth;
    uint32_t mood; /* 0: calm, 1: fails at times, 2: panics at times */
};

asx_outcome node_body(asx_cx *cx, void *arg);

void remember(asx_handle handle)
{
    the_world.handles[the_world.handle_count++ % asx_array_count(the_world.handles)] = handle;
}

asx_handle some_handle()
{
    const uint32_t known = the_world.handle_count < asx_array_count(the_world.handles)
                               ? the_world.handle_count
                               : (uint32_t)asx_array_count(the_world.handles);
    return known == 0 ? asx_handle{} : the_world.handles[draw(known)];
}

/* The argument of some spawns goes with a bang. */
void node_drop(void *arg)
{
    node *const self = static_cast<node *>(arg);
    if (self->mood == 2 && draw(8) == 0) {
        asx_panic("destructor at depth %u", self->depth);
    }
}

struct stepper {
    uint32_t steps;
    bool has_op;
    asx_op op;
};

void op_work(asx_op *op)
{
    op->result = 17;
}

bool stepper_step(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    stepper *const self = static_cast<stepper *>(frame);
    const asx_outcome seen = asx_checkpoint(cx);
    if (!asx_is_ok(seen)) {
        *outcome = seen;
        return true;
    }
    if (self->has_op && !asx_op_in_flight(&self->op) && self->op.work == nullptr) {
        self->op.code = ASX_OP_TASK;
        self->op.arg = (uint32_t)draw(5000000);
        self->op.work = op_work;
        const asx_err err = asx_op_start(cx, &self->op, nullptr);
        if (err) {
            *outcome = asx_fail(err);
            return true;
        }
    }
    if (self->steps == 0) {
        if (draw(16) == 0) {
            asx_panic("step");
        }
        *outcome = asx_ok(0);
        return true;
    }
    self->steps--;
    asx_task_wake_at(cx, asx_now(cx) + 1 + draw(3000000));
    return false;
}

void spawn_some(asx_cx *cx, asx_region *region, uint32_t depth)
{
    if (the_world.tasks_left == 0 || depth > 5) {
        return;
    }
    the_world.tasks_left--;
    asx_budget budget = ASX_BUDGET_UNLIMITED;
    asx_spawn_options options{};
    if (draw(6) == 0) {
        budget.deadline_ns = asx_now(cx) + draw(20000000);
        budget.poll_quota = draw(2) ? (uint32_t)draw(6) : ASX_POLLS_UNLIMITED;
        options.budget = &budget;
    }
    options.priority = draw(4) == 0 ? (int)(1 + draw(255)) : 0;
    options.detached_result = draw(4) == 0;
    asx_handle handle{};
    asx_err err;
    if (draw(4) == 0) {
        stepper frame{};
        frame.steps = (uint32_t)draw(5);
        frame.has_op = draw(3) == 0;
        err = asx_spawn_poll(cx, region, stepper_step, &frame, sizeof(frame), &options, &handle,
                             nullptr);
    } else {
        const node child = { depth + 1, (uint32_t)draw(3) };
        options.drop = draw(3) == 0 ? node_drop : nullptr;
        err = asx_spawn(cx, region, node_body, &child, sizeof(child), &options, &handle);
    }
    if (!err) {
        remember(handle);
    }
}

struct kept_defer {
    asx_defer defer;
    bool panics;
};

void defer_run(asx_cx *cx, asx_defer *defer)
{
    kept_defer *const self = asx_container_of(defer, kept_defer, defer);
    if (draw(2)) {
        ignored(asx_sleep(cx, draw(2000000)));
    }
    if (self->panics) {
        asx_panic("cleanup");
    }
}

asx_outcome masked_part(asx_cx *cx)
{
    ASX_MASK(cx, 1 + (uint32_t)draw(4)) {
        for (uint64_t i = draw(5); i > 0; i--) {
            ASX_TRY(asx_sleep(cx, draw(1000000)));
        }
    }
    return asx_ok(0);
}

void hold_something(asx_cx *cx)
{
    asx_obligation_options options{};
    options.kind = (asx_obligation_kind)draw(3);
    options.what = "held";
    asx_permit permit;
    if (asx_obligation_reserve(cx, &options, &permit)) {
        return;
    }
    const uint64_t end = draw(4);
    if (end == 0) {
        return; /* left to the audit */
    }
    if (end == 1 && !asx_is_ok(asx_sleep(cx, draw(1000000)))) {
        return;
    }
    if (end == 2) {
        asx_obligation_abort(cx, permit);
    } else {
        asx_obligation_commit(cx, permit);
    }
}

asx_outcome do_op(asx_cx *cx)
{
    /* Left in flight when the body ends: in the task's own region, which outlives it. */
    if (draw(3) == 0 && !cx->_is_scope) {
        asx_op *const op = static_cast<asx_op *>(asx_calloc(cx, sizeof(asx_op)));
        if (op) {
            op->code = draw(4) == 0 && !the_world.live ? ASX_OP_POLL : ASX_OP_TASK;
            op->arg = (uint32_t)draw(10000000);
            op->work = op_work;
            ignored(asx_op_start(cx, op, nullptr));
        }
        return asx_ok(0);
    }
    asx_op op{};
    op.code = ASX_OP_TASK;
    op.arg = (uint32_t)draw(10000000);
    op.work = op_work;
    return asx_op_await_until(cx, &op, draw(2) ? ASX_TIME_NEVER : asx_now(cx) + draw(10000000));
}

asx_outcome finalize(asx_cx *cx, void *)
{
    if (draw(2)) {
        /* At times longer than the finalizer may take; not where real time would pass. */
        ignored(asx_sleep(cx, draw(3) || the_world.live ? draw(5000000) : asx_s(30)));
    }
    if (draw(8) == 0) {
        asx_panic("finalizer");
    }
    return asx_ok(0);
}

asx_outcome branch_body(asx_cx *cx, void *)
{
    ASX_TRY(asx_sleep(cx, draw(5000000)));
    if (draw(8) == 0) {
        asx_panic("branch");
    }
    return draw(3) == 0 ? asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, 3)) : asx_ok(1);
}

asx_outcome combine(asx_cx *cx)
{
    const asx_branch branches[3] = { { branch_body, nullptr, nullptr, "a", nullptr },
                                     { branch_body, nullptr, nullptr, "b", nullptr },
                                     { branch_body, nullptr, nullptr, "c", nullptr } };
    const uint32_t count = 1 + (uint32_t)draw(3);
    switch (draw(3)) {
    case 0:
        return asx_race(cx, branches, count, nullptr);
    case 1:
        return asx_join_all(cx, branches, count, nullptr);
    default:
        return asx_timeout(cx, draw(5000000), branch_body, nullptr, nullptr);
    }
}

asx_outcome act(asx_cx *cx, const node *self);

asx_outcome join_limb_body(asx_cx *cx, void *arg)
{
    return asx_join_limb(cx, *static_cast<asx_handle *>(arg));
}

/* A limb on some shard, or what becomes of one. */
asx_outcome far_away(asx_cx *cx, const node *self)
{
    const uint32_t shards = asx_cx_shard_count(cx);
    asx_handle limb{};
    if (shards == 1) {
        return asx_checkpoint(cx);
    }
    if (the_world.limb_count > 0 && draw(2)) {
        const uint32_t known = (uint32_t)asx_array_count(the_world.limbs);
        const uint32_t held = the_world.limb_count < known ? the_world.limb_count : known;
        limb = the_world.limbs[draw(held)];
        if (draw(2)) {
            asx_limb_cancel(cx, limb, (asx_cancel_kind)draw(ASX_CANCEL_KIND_COUNT), "far");
            return asx_ok(0);
        }
        ignored(asx_timeout(cx, draw(5000000), join_limb_body, &limb, nullptr));
        return asx_ok(0);
    }
    if (the_world.tasks_left == 0 || self->depth > 5) {
        return asx_ok(0);
    }
    the_world.tasks_left--;
    const node child = { self->depth + 1, (uint32_t)draw(3) };
    asx_spawn_options options{};
    options.drop = draw(3) == 0 ? node_drop : nullptr;
    const asx_err err =
        asx_spawn_on(cx, (uint32_t)draw(shards), node_body, &child, sizeof(child), &options, &limb);
    if (!err) {
        the_world.limbs[the_world.limb_count++ % asx_array_count(the_world.limbs)] = limb;
    }
    return err ? asx_fail(err) : asx_ok(0);
}

asx_outcome nested(asx_cx *cx, const node *self)
{
    const node inner = { self->depth + 1, self->mood };
    ASX_SCOPE(cx, s, (asx_policy)draw(3)) {
        for (uint64_t i = draw(4); i > 0; i--) {
            spawn_some(&s->cx, nullptr, inner.depth);
        }
        if (draw(4) == 0) {
            ignored(far_away(&s->cx, &inner));
        }
        if (draw(3) == 0 && asx_scope_region(s)) {
            ignored(asx_region_finalizer_add(asx_scope_region(s), finalize, nullptr));
        }
        for (uint64_t i = draw(3); i > 0; i--) {
            ASX_TRY(act(draw(2) ? &s->cx : cx, &inner));
        }
        if (draw(5) == 0) {
            asx_scope_cancel(s, (asx_cancel_kind)draw(ASX_CANCEL_KIND_COUNT), "scripted");
        }
        if (draw(5) == 0) {
            break;
        }
    }
    return asx_ok(0);
}

asx_outcome join_body(asx_cx *cx, void *arg)
{
    return asx_join(cx, *static_cast<asx_handle *>(arg));
}

asx_outcome act(asx_cx *cx, const node *self)
{
    asx_handle target;
    switch (draw(17)) {
    case 0:
    case 1:
        return asx_sleep(cx, draw(4000000));
    case 16:
        ignored(far_away(cx, self));
        return asx_ok(0);
    case 2:
        return asx_yield(cx);
    case 3:
    case 4:
    case 5:
        spawn_some(cx, nullptr, self->depth);
        return asx_ok(0);
    case 6:
    case 7:
        return self->depth < 5 ? nested(cx, self) : asx_checkpoint(cx);
    case 8:
        return masked_part(cx);
    case 9:
        hold_something(cx);
        return asx_ok(0);
    case 10: {
        kept_defer *const kept = static_cast<kept_defer *>(asx_calloc(cx, sizeof(kept_defer)));
        if (kept && !cx->_is_scope) {
            kept->panics = draw(6) == 0;
            asx_defer_push(cx, &kept->defer, defer_run);
        }
        return asx_ok(0);
    }
    case 11:
        return do_op(cx);
    case 12:
        asx_task_cancel(cx, some_handle(), (asx_cancel_kind)draw(ASX_CANCEL_KIND_COUNT), nullptr);
        return asx_ok(0);
    case 13:
        /* Two tasks that join each other wait for ever: not a fault of the kernel's. */
        target = some_handle();
        ignored(asx_timeout(cx, draw(5000000), join_body, &target, nullptr));
        return asx_ok(0);
    case 14:
        ignored(combine(cx));
        return asx_ok(0);
    default:
        if (self->mood == 1 && draw(4) == 0) {
            return asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, 9));
        }
        if (self->mood == 2 && draw(4) == 0) {
            asx_panic("scripted panic at depth %u", self->depth);
        }
        return asx_checkpoint(cx);
    }
}

asx_outcome node_body(asx_cx *cx, void *arg)
{
    const node self = *static_cast<node *>(arg);
    const bool stubborn = draw(8) == 0; /* goes on although it is cancelled */
    for (uint64_t i = 1 + draw(6); i > 0; i--) {
        const asx_outcome done = act(cx, &self);
        if (!asx_is_ok(done) && !stubborn) {
            return done;
        }
    }
    return asx_ok(self.depth);
}

asx_outcome root_body(asx_cx *cx, void *arg)
{
    const node *const self = static_cast<node *>(arg);
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        for (uint64_t i = 6 + draw(20); i > 0; i--) {
            spawn_some(&s->cx, nullptr, 0);
            ignored(act(draw(2) ? cx : &s->cx, self));
        }
    }
    return asx_ok(0);
}

void run_tree(uint64_t seed, asx_shard_stats *sum)
{
    INFO("replay: ASX_TREE_SEED=" << seed << " build/tests/shard/shard_test '[tree]'");
    world_reset(seed, 0);
    the_world.tasks_left = 20 + (uint32_t)draw(60);
    static const asx_leak_response responses[] = { ASX_LEAK_LOG, ASX_LEAK_PANIC, ASX_LEAK_SILENT,
                                                   ASX_LEAK_RECOVER };
    const asx_leak_response response = responses[draw(4)];
    const asx_duration cancel_delay_ns = draw(3) * draw(3000000);
    node root = { 0, 1 };
    const kernel_run run =
        run_kernel(root_body, &root, seed, response, true, cancel_delay_ns, 300000);
    sum->spawned += run.stats.spawned;
    sum->cancelled += run.stats.cancelled;
    sum->panicked += run.stats.panicked;
    sum->obligations_leaked += run.stats.obligations_leaked;
    sum->overruns += run.stats.overruns;
    sum->abandoned += run.stats.abandoned;
    sum->ops_settled += run.stats.ops_settled;
}

struct Seeds {
    uint64_t first, count;
};

/* From 1 as many as usual, or as the environment asks for. */
Seeds seeds(uint64_t usual)
{
    const char *const first = getenv("ASX_TREE_SEED");
    const char *const count = getenv("ASX_TREE_COUNT");
    return { first ? strtoull(first, nullptr, 10) : 1, count   ? strtoull(count, nullptr, 10)
                                                       : first ? 1
                                                               : usual };
}
} // namespace

TEST_CASE("tree: every random script ends quiescent", "[tree]")
{
    /* ThreadSanitizer pays dearly for each fiber it has not seen. */
    const auto [first, count] = seeds(ASX_TSAN ? 2000 : 10000);
    asx_shard_stats sum{};
    for (uint64_t seed = first; seed < first + count; seed++) {
        run_tree(seed, &sum);
    }
    if (count < 100) {
        return;
    }
    /* The scripts do what they are for. */
    CAPTURE(sum.spawned, sum.cancelled, sum.panicked, sum.obligations_leaked, sum.overruns,
            sum.abandoned, sum.ops_settled);
    CHECK(sum.spawned > 20 * count);
    CHECK(sum.cancelled > 2 * count);
    CHECK(sum.panicked > count / 4);
    CHECK(sum.obligations_leaked > count / 16);
    CHECK(sum.ops_settled > count);
    if (count >= 1000) {
        CHECK(sum.abandoned > 0);
    }
}

TEST_CASE("tree: every random script over two or three shards ends quiescent on all of them",
          "[tree]")
{
    const auto [first, count] = seeds(ASX_TSAN ? 300 : 2000);
    asx_shard_stats sum{};
    for (uint64_t seed = first; seed < first + count; seed++) {
        INFO("replay: ASX_TREE_SEED=" << seed << " build/tests/shard/shard_test '[tree]'");
        world_reset(seed, 60);
        node root = { 0, 1 };
        lab_world world(2 + (uint32_t)(seed % 2), seed, seed % 5 == 0 ? 8 : 64);
        world.leaks = true;
        world.run(root_body, &root);
        sum.spawned += world.sum.spawned;
        sum.messages_received += world.sum.messages_received;
        sum.cancelled += world.sum.cancelled;
        sum.panicked += world.sum.panicked;
    }
    CAPTURE(sum.spawned, sum.messages_received, sum.cancelled, sum.panicked);
    if (count >= 100) {
        CHECK(sum.spawned > 20 * count);
        CHECK(sum.messages_received > 10 * count);
        CHECK(sum.cancelled > 2 * count);
        CHECK(sum.panicked > count / 4);
    }
}

namespace
{
struct live_seat {
    asx_mesh *mesh;
    uint32_t index;
    uint64_t seed;
    asx_shard_stats stats;
};

asx_outcome live_root(asx_cx *cx, void *)
{
    node root = { 0, 1 };
    const asx_outcome ended = root_body(cx, &root);
    asx_shard_shutdown(asx_shard_of(cx), "the script is over");
    return ended;
}

void say_nothing(void *, asx_shard *, const char *)
{
}

/* One shard on its own thread. Catch's assertions are not for two threads: only the kernel's. */
void live_run(live_seat *seat)
{
    asx_driver_config driver_config{};
    asx_shard_config config{};
    world_reset(seat->seed * 8 + seat->index, 30);
    the_world.live = true;
    asx_assert(asx_epoll_create(&driver_config, &config.driver) == ASX_OK);
    config.index = seat->index;
    config.mesh = seat->mesh;
    config.seed = seat->seed;
    config.diagnostic = say_nothing;
    asx_shard *shard = nullptr;
    asx_assert(asx_shard_create(&config, &shard) == ASX_OK);
    if (seat->index == 0) {
        asx_assert(asx_shard_start(shard, live_root, nullptr, 0) == ASX_OK);
    }
    asx_shard_serve(shard);
    asx_shard_stats_read(shard, &seat->stats);
    asx_shard_destroy(shard); /* asserts that no byte is left */
    the_world.live = false;
}
} // namespace

TEST_CASE("tree: scripts on threads of their own end quiescent too", "[tree][live][threads]")
{
    const uint64_t scripts = ASX_TSAN ? 15 : 30;
    asx_shard_stats sum{};
    for (uint64_t seed = 1; seed <= scripts; seed++) {
        const uint32_t count = 2 + (uint32_t)(seed % 2);
        asx_mesh *const mesh = asx_mesh_create(count, 64);
        REQUIRE(mesh != nullptr);
        std::vector<live_seat> seats(count);
        std::vector<std::thread> threads;
        for (uint32_t i = 0; i < count; i++) {
            seats[i] = { mesh, i, seed, {} };
            threads.emplace_back(live_run, &seats[i]);
        }
        for (std::thread &thread : threads) {
            thread.join();
        }
        asx_mesh_destroy(mesh);
        for (const live_seat &seat : seats) {
            CAPTURE(seed, seat.index);
            CHECK(seat.stats.tasks_live == 0);
            CHECK(seat.stats.regions_live == 0);
            CHECK(seat.stats.obligations_pending == 0);
            CHECK(seat.stats.ops_in_flight == 0);
            CHECK(seat.stats.timers_armed == 0);
            CHECK(seat.stats.spawned == seat.stats.completed);
            sum.spawned += seat.stats.spawned;
            sum.messages_received += seat.stats.messages_received;
        }
    }
    CHECK(sum.spawned > 20 * scripts);
    CHECK(sum.messages_received > 5 * scripts);
}
