/* What exploring costs: canonical forms, races, and whole runs of a small world. Items are events,
 * steps, runs. */
#include <asx/lab/explore.h>
#include <asx/lab/explore_world.h>
#include <asx/lab/foata.h>
#include <asx/lab/strategy.h>
#include <asx/shard/base/prng.h>
#include <asx/shard/limb.h>

#include <benchmark/benchmark.h>
#include <vector>

namespace
{

void foata(benchmark::State &state)
{
    const auto count = static_cast<uint32_t>(state.range(0));
    std::vector<asx_lab_event> events(count);
    asx_prng prng;
    asx_prng_init(&prng, 1);
    for (asx_lab_event &event : events) {
        const uint64_t words[3] = { asx_prng_below(&prng, 1000) << 32, UINT64_C(1) << 32, 0 };
        asx_lab_event_init(&event, 0, ASX_TRACE_TASK_DISPATCH, words, 3);
    }
    uint64_t fingerprint = 0;
    for (auto _ : state) {
        fingerprint = asx_foata_fingerprint(events.data(), count);
    }
    state.SetItemsProcessed(state.iterations() * count);
    state.SetLabel(std::to_string(fingerprint));
}

void races(benchmark::State &state)
{
    const uint32_t steps = 10000;
    asx_race_order *order = asx_race_order_create(4);
    uint64_t found = 0;
    for (auto _ : state) {
        asx_prng prng;
        asx_prng_init(&prng, 1);
        asx_race_order_clear(order);
        found = 0;
        for (uint32_t i = 0; i < steps; i++) {
            asx_lab_access access[3] = {};
            for (asx_lab_access &a : access) {
                a.resource = ASX_LAB_RES_TASK;
                a.object = asx_prng_below(&prng, 200);
                a.write = asx_prng_below(&prng, 2);
            }
            asx_race_step step = {};
            step.process = static_cast<uint32_t>(asx_prng_below(&prng, 4));
            step.enabled = 15;
            step.accesses = { access, asx_accesses_normalise(access, 3) };
            asx_race_order_add(order, &step);
            uint32_t count;
            asx_race_each(order, i, &count);
            found += count;
        }
    }
    asx_race_order_destroy(order);
    state.SetItemsProcessed(state.iterations() * steps);
    state.SetLabel(std::to_string(found));
}

asx_outcome echo(asx_cx *, void *arg)
{
    return asx_ok(*static_cast<uint64_t *>(arg));
}

asx_outcome calls(asx_cx *cx, void *)
{
    asx_handle limbs[2];
    for (uint64_t i = 0; i < 2; i++) {
        if (asx_spawn_on(cx, static_cast<uint32_t>(i + 1), echo, &i, sizeof i, nullptr,
                         &limbs[i])) {
            return asx_ok(0);
        }
    }
    const asx_outcome first = asx_join_limb(cx, limbs[0]);
    const asx_outcome second = asx_join_limb(cx, limbs[1]);
    return asx_ok(first.value + second.value);
}

/* Runs of a world of three shards under the strategy, until the iterations are over. */
void world(benchmark::State &state, asx_strategy *strategy)
{
    asx_lab_config config = {};
    config.shards = 3;
    asx_explore_world program;
    asx_explore_world_init(&program, "calls", &config, calls, nullptr);
    asx_explore_config budget = {};
    budget.runs_max = 100;
    uint64_t runs = 0, steps = 0, classes = 0;
    for (auto _ : state) {
        asx_explore_report *report = asx_explore(&program.program, strategy, &budget);
        const asx_explore_coverage c = asx_explore_coverage_of(report);
        runs += c.runs;
        steps += c.steps;
        classes = c.classes;
        asx_explore_report_destroy(report);
    }
    asx_strategy_destroy(strategy);
    state.SetItemsProcessed(static_cast<int64_t>(runs));
    state.counters["steps"] =
        benchmark::Counter(static_cast<double>(steps), benchmark::Counter::kIsRate);
    state.SetLabel(std::to_string(classes));
}

void world_random(benchmark::State &state)
{
    world(state, asx_strategy_random(1));
}

void world_pct(benchmark::State &state)
{
    asx_pct_config config = {};
    config.steps = 10;
    world(state, asx_strategy_pct(&config));
}

} // namespace

BENCHMARK(foata)->Arg(1000)->Arg(100000);
BENCHMARK(races);
BENCHMARK(world_random)->Unit(benchmark::kMillisecond);
BENCHMARK(world_pct)->Unit(benchmark::kMillisecond);

BENCHMARK_MAIN();
