/* Runs one task tree on one shard in virtual time, and checks that nothing is left. */
#ifndef ASX_TESTS_SHARD_KERNEL_FIXTURE_H
#define ASX_TESTS_SHARD_KERNEL_FIXTURE_H

#include <asx/lab/vdriver.h>
#include <asx/shard/combine/bracket.h>
#include <asx/shard/combine/branch.h>
#include <asx/shard/event.h>
#include <asx/shard/obligation.h>
#include <asx/shard/op.h>
#include <asx/shard/scope.h>
#include <asx/shard/shard.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

struct kernel_run {
    asx_outcome outcome;
    uint64_t severity;
    uint32_t cancel_kind = 99;
    std::string panic;
    int panic_cause = -1;
    asx_shard_stats stats;
    std::vector<std::string> lines;
    asx_instant end_ns;
};

static inline void kernel_line(void *arg, asx_shard *, const char *text)
{
    static_cast<kernel_run *>(arg)->lines.emplace_back(text);
}

/* Zero-filled fields are the defaults, but for the seeds and the leak response. */
struct kernel_setup {
    asx_shard_config shard{};
    asx_vdriver_config driver{};

    kernel_setup()
    {
        shard.seed = 1;
        driver.seed = 1;
        shard.leak_response = ASX_LEAK_PANIC;
    }
};

static inline kernel_run run_kernel_with(const kernel_setup &setup, asx_task_fn *fn,
                                         void *arg = nullptr)
{
    kernel_run run{};
    asx_shard_config config = setup.shard;
    REQUIRE(asx_vdriver_create(&setup.driver, &config.driver) == ASX_OK);
    config.diagnostic = kernel_line;
    config.diagnostic_arg = &run;
    asx_shard *shard = nullptr;
    REQUIRE(asx_shard_create(&config, &shard) == ASX_OK);
    run.outcome = asx_shard_run(shard, fn, arg);
    run.severity = run.outcome.severity;
    if (run.severity == ASX_SEVERITY_CANCELLED && run.outcome.reason) {
        run.cancel_kind = run.outcome.reason->kind;
    }
    if (run.severity == ASX_SEVERITY_PANICKED && run.outcome.panic) {
        run.panic = run.outcome.panic->message;
        run.panic_cause = run.outcome.panic->cause;
    }
    run.end_ns = asx_shard_now(shard);
    asx_shard_stats_read(shard, &run.stats);
    CHECK(run.stats.streak_exceeded == 0);
    CHECK(run.stats.tasks_live == 0);
    CHECK(run.stats.regions_live == 0);
    CHECK(run.stats.obligations_pending == 0);
    CHECK(run.stats.ops_in_flight == 0);
    CHECK(run.stats.timers_armed == 0);
    CHECK(run.stats.stacks_live == 0);
    CHECK(run.stats.spawned == run.stats.completed);
    CHECK(run.stats.regions_opened == run.stats.regions_closed);
    CHECK(run.stats.obligations_reserved == run.stats.obligations_committed +
                                                run.stats.obligations_aborted +
                                                run.stats.obligations_leaked);
    asx_shard_destroy(shard);
    return run;
}

static inline kernel_run run_kernel(asx_task_fn *fn, void *arg = nullptr, uint64_t seed = 1,
                                    asx_leak_response leak = ASX_LEAK_PANIC, bool shuffle = true,
                                    asx_duration cancel_delay_ns = 0, uint32_t cancel_loses_ppm = 0)
{
    kernel_setup setup;
    setup.driver.seed = seed;
    setup.driver.shuffle = shuffle;
    setup.driver.cancel_delay_ns = cancel_delay_ns;
    setup.driver.cancel_loses_ppm = cancel_loses_ppm;
    setup.shard.seed = seed;
    setup.shard.leak_response = leak;
    return run_kernel_with(setup, fn, arg);
}

static inline asx_shard_stats stats_of(const asx_cx *cx)
{
    asx_shard_stats stats;
    asx_shard_stats_read(asx_shard_of(cx), &stats);
    return stats;
}

/* For calls whose answer the case does not turn on. */
template <class T> static inline void ignored(T)
{
}

#define TASK [](ASX_UNUSED asx_cx * cx, ASX_UNUSED void *arg) -> asx_outcome

/* A task that sleeps for the asx_duration it is given. */
static inline asx_outcome sleeper(asx_cx *cx, void *arg)
{
    return asx_sleep(cx, *static_cast<asx_duration *>(arg));
}

/* A task of `region`, nullptr: of the caller's, that people know by its label. */
static inline asx_handle start_named(asx_cx *cx, asx_task_fn *fn, void *arg, const char *label,
                                     asx_region *region = nullptr)
{
    asx_handle task{};
    asx_spawn_options options{};
    options.label = label;
    REQUIRE(asx_spawn(cx, region, fn, arg, 0, &options, &task) == ASX_OK);
    return task;
}

static inline void cancel_and_join(asx_cx *cx, asx_handle task)
{
    asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
    ignored(asx_join(cx, task));
}

#endif
