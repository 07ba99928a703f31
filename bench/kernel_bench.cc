/* The kernel's hot paths, each inside a running shard in virtual time: what a task, a switch, a
 * cancellation, a scope and an obligation cost on top of the machine. */
#include <asx/shard/obligation.h>
#include <asx/shard/scope.h>

#include "in_shard.h"

#define TASK [](asx_cx * cx, void *arg) -> asx_outcome

static asx_outcome nothing(asx_cx *, void *)
{
    return asx_ok(0);
}

static bool nothing_step(asx_cx *, void *, asx_outcome *outcome)
{
    *outcome = asx_ok(0);
    return true;
}

template <bool Poll> static asx_outcome spawn_join(asx_cx *cx, void *arg)
{
    auto &state = *static_cast<benchmark::State *>(arg);
    for (auto _ : state) {
        asx_handle task;
        const asx_err err =
            Poll ? asx_spawn_poll(cx, nullptr, nothing_step, nullptr, 0, nullptr, &task, nullptr)
                 : asx_spawn(cx, nullptr, nothing, nullptr, 0, nullptr, &task);
        if (err) {
            return asx_fail(err);
        }
        benchmark::DoNotOptimize(asx_join(cx, task));
    }
    return asx_ok(0);
}

static const int batch = 64;

/* The joiner's own two switches are shared by a batch. */
template <bool Poll> static asx_outcome spawn_join_batch(asx_cx *cx, void *arg)
{
    auto &state = *static_cast<benchmark::State *>(arg);
    for (auto _ : state) {
        asx_handle tasks[batch];
        for (asx_handle &task : tasks) {
            const asx_err err = Poll ? asx_spawn_poll(cx, nullptr, nothing_step, nullptr, 0,
                                                      nullptr, &task, nullptr)
                                     : asx_spawn(cx, nullptr, nothing, nullptr, 0, nullptr, &task);
            if (err) {
                return asx_fail(err);
            }
        }
        for (int i = batch; i-- > 0;) {
            benchmark::DoNotOptimize(asx_join(cx, tasks[i]));
        }
    }
    state.SetItemsProcessed((int64_t)state.iterations() * batch);
    return asx_ok(0);
}

static void spawn_join_fiber(benchmark::State &state)
{
    in_shard(spawn_join<false>, state);
}
BENCHMARK(spawn_join_fiber);

static void spawn_join_poll(benchmark::State &state)
{
    in_shard(spawn_join<true>, state);
}
BENCHMARK(spawn_join_poll);

static void spawn_join_64_fibers(benchmark::State &state)
{
    in_shard(spawn_join_batch<false>, state);
}
BENCHMARK(spawn_join_64_fibers);

static void spawn_join_64_polls(benchmark::State &state)
{
    in_shard(spawn_join_batch<true>, state);
}
BENCHMARK(spawn_join_64_polls);

static void yield_alone(benchmark::State &state)
{
    in_shard(
        TASK {
            for (auto _ : *static_cast<benchmark::State *>(arg)) {
                benchmark::DoNotOptimize(asx_yield(cx));
            }
            return asx_ok(0);
        },
        state);
}
BENCHMARK(yield_alone);

static void scope_open_close(benchmark::State &state)
{
    in_shard(
        TASK {
            for (auto _ : *static_cast<benchmark::State *>(arg)) {
                ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                    benchmark::DoNotOptimize(s);
                }
            }
            return asx_ok(0);
        },
        state);
}
BENCHMARK(scope_open_close);

static void region_open_close(benchmark::State &state)
{
    in_shard(
        TASK {
            for (auto _ : *static_cast<benchmark::State *>(arg)) {
                asx_region *region;
                const asx_err err = asx_region_open(cx, nullptr, &region);
                if (err) {
                    return asx_fail(err);
                }
                asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
            }
            return asx_ok(0);
        },
        state);
}
BENCHMARK(region_open_close);

static void obligation_reserve_commit(benchmark::State &state)
{
    in_shard(
        TASK {
            asx_obligation_options options{};
            options.kind = ASX_OBLIGATION_LEASE;
            for (auto _ : *static_cast<benchmark::State *>(arg)) {
                asx_permit permit;
                if (asx_obligation_reserve(cx, &options, &permit)) {
                    return asx_fail(ASX_E(NO_SLOTS));
                }
                asx_obligation_commit(cx, permit);
            }
            return asx_ok(0);
        },
        state);
}
BENCHMARK(obligation_reserve_commit);

static asx_outcome sleep_long(asx_cx *cx, void *)
{
    return asx_sleep(cx, asx_s(1000000));
}

static bool wait_step(asx_cx *cx, void *, asx_outcome *outcome)
{
    *outcome = asx_checkpoint(cx);
    return outcome->severity == ASX_SEVERITY_CANCELLED;
}

/* A fiber that owns 99 tasks: fibers parked in a sleep, or poll tasks that wait to be woken. */
template <bool Poll> static asx_outcome branch(asx_cx *cx, void *)
{
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        for (int i = 0; i < 99; i++) {
            asx_handle task;
            const asx_err err =
                Poll ? asx_spawn_poll(&s->cx, nullptr, wait_step, nullptr, 0, nullptr, &task,
                                      nullptr)
                     : asx_spawn(&s->cx, nullptr, sleep_long, nullptr, 0, nullptr, &task);
            if (err) {
                return asx_fail(err);
            }
        }
    }
    return asx_ok(0);
}

/* From the request to the last task reaped. */
template <bool Poll> static asx_outcome cancel_tree(asx_cx *cx, void *arg)
{
    auto &bench = *static_cast<benchmark::State *>(arg);
    for (auto _ : bench) {
        bench.PauseTiming();
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            for (int i = 0; i < 100; i++) {
                asx_scope_spawn(s, branch<Poll>, nullptr, 0, nullptr);
            }
            if (asx_sleep(cx, 1).severity != ASX_SEVERITY_OK) {
                abort();
            }
            bench.ResumeTiming();
            asx_scope_cancel(s, ASX_CANCEL_USER, nullptr);
        }
    }
    bench.SetItemsProcessed((int64_t)bench.iterations() * 10000);
    return asx_ok(0);
}

static void cancel_tree_10000_fibers(benchmark::State &state)
{
    in_shard(cancel_tree<false>, state);
}
BENCHMARK(cancel_tree_10000_fibers);

static void cancel_tree_10000_polls(benchmark::State &state)
{
    in_shard(cancel_tree<true>, state);
}
BENCHMARK(cancel_tree_10000_polls);

BENCHMARK_MAIN();
