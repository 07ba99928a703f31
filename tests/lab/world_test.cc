/* At stake: the lab says how a run ended. A run that is called quiescent with something left, or
 * one that is called stuck while something could still happen, would be worse than no lab. */
#include <asx/shard/limb.h>
#include <asx/shard/op.h>
#include <asx/shard/scope.h>

#include "lab_fixture.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <string>
#include <vector>

TEST_CASE("world: a program that does nothing is over at once", "[lab]")
{
    lab_report run(
        of_shards(1), TASK { return asx_ok(7); });
    INFO(run.text());
    CHECK(run.passed);
    CHECK(run.report.termination == ASX_LAB_QUIESCENT);
    CHECK(run.report.dispatches == 1);
    CHECK(run.report.value == 7);
    CHECK(run.report.now_ns == 0);
}

TEST_CASE("world: without a program it is quiescent after 0 dispatches", "[lab]")
{
    const asx_lab_config config = of_shards(3);
    asx_lab_world *world = asx_lab_world_create(&config);
    while (asx_lab_world_step(world)) {
    }
    asx_lab_report report;
    asx_lab_world_finish(world, &report);
    CHECK(report.termination == ASX_LAB_QUIESCENT);
    CHECK(report.dispatches == 0);
    asx_lab_world_destroy(world);
    asx_lab_report_deinit(&report);
}

TEST_CASE("world: a day's sleep is one jump", "[lab]")
{
    const auto begin = std::chrono::steady_clock::now();
    lab_report run(
        of_shards(1), TASK { return asx_sleep(cx, asx_s(86400)); });
    const auto end = std::chrono::steady_clock::now();
    INFO(run.text());
    CHECK(run.passed);
    CHECK(run.report.now_ns == asx_s(86400));
    CHECK(run.report.time_advances == 1);
    CHECK(run.report.timer_fires == 1);
    CHECK(end - begin < std::chrono::milliseconds(500)); /* mostly making and freeing the world */
}

TEST_CASE("world: two tasks that join each other's regions are named as a circle", "[lab]")
{
    static asx_handle first, second;
    lab_report run(
        of_shards(1), TASK {
            asx_spawn_options options{};
            options.label = "first";
            CHECK(asx_spawn(
                      cx, nullptr, TASK { return asx_join(cx, second); }, nullptr, 0, &options,
                      &first) == ASX_OK);
            options.label = "second";
            CHECK(asx_spawn(
                      cx, nullptr, TASK { return asx_join(cx, first); }, nullptr, 0, &options,
                      &second) == ASX_OK);
            return asx_ok(0);
        });
    INFO(run.text());
    CHECK_FALSE(run.passed);
    CHECK(run.report.termination == ASX_LAB_DEADLOCK);
    CHECK(run.violates("wait_cycle", "first -> T"));
    CHECK(run.violates("wait_cycle", "second"));
    CHECK(run.violates("stuck", "first waits for join"));
    CHECK(run.report.steps < 10);
}

TEST_CASE("world: a circle is named without those who only wait for it", "[lab]")
{
    static asx_handle tasks[3];
    lab_report run(
        of_shards(1), TASK {
            static const uint32_t waits_for[] = { 1, 2, 1 };
            static const char *const labels[] = { "outside", "one", "other" };
            for (uint32_t i = 0; i < 3; i++) {
                asx_spawn_options options{};
                options.label = labels[i];
                CHECK(asx_spawn(
                          cx, nullptr,
                          TASK { return asx_join(cx, tasks[*static_cast<uint32_t *>(arg)]); },
                          const_cast<uint32_t *>(&waits_for[i]), 0, &options, &tasks[i]) == ASX_OK);
            }
            return asx_ok(0);
        });
    INFO(run.text());
    CHECK(run.report.termination == ASX_LAB_DEADLOCK);
    CHECK(run.violates("wait_cycle", "one -> T"));
    CHECK(run.violates("wait_cycle", "other -> T"));
    CHECK_FALSE(run.violates("wait_cycle", "outside"));
}

TEST_CASE("world: a circle over two shards is found in the step in which it forms", "[lab]")
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        lab_report run(
            of_shards(2, seed), TASK {
                asx_handle limb;
                CHECK(asx_spawn_on(
                          cx, 1, TASK { return asx_sleep(cx, ASX_TIME_NEVER); }, nullptr, 0,
                          nullptr, &limb) == ASX_OK);
                return asx_join_limb(cx, limb);
            });
        INFO(run.text());
        CHECK(run.report.termination == ASX_LAB_DEADLOCK);
        CHECK(run.violates("stuck", "join of a limb"));
        CHECK(run.report.steps < 60);
    }
}

TEST_CASE("world: an endless exchange reaches the step limit, which is no pass", "[lab]")
{
    asx_lab_config config = of_shards(1);
    config.max_steps = 5000;
    lab_report run(
        config, TASK {
            for (;;) {
                ASX_TRY(asx_sleep(cx, 1000));
            }
        });
    CHECK_FALSE(run.passed);
    CHECK(run.report.termination == ASX_LAB_STEP_LIMIT);
    CHECK(run.report.steps == 5000);
}

TEST_CASE("world: a task that spins on yield until a deadline is helped by one jump", "[lab]")
{
    asx_lab_config config = of_shards(1);
    config.spin_limit = 200;
    lab_report run(
        config, TASK {
            const asx_instant until_ns = asx_now(cx) + asx_s(1);
            asx_deadline_tighten(cx, asx_s(5));
            asx_handle sleeper;
            CHECK(asx_spawn(
                      cx, nullptr, TASK { return asx_sleep(cx, asx_s(1)); }, nullptr, 0, nullptr,
                      &sleeper) == ASX_OK);
            while (asx_now(cx) < until_ns) {
                ASX_TRY(asx_yield(cx));
            }
            return asx_join(cx, sleeper);
        });
    INFO(run.text());
    CHECK(run.passed);
    CHECK(run.report.spin_advances == 1);
    CHECK(run.report.steps < 300);
}

TEST_CASE("world: time has limits, and may stand still", "[lab]")
{
    asx_lab_config config = of_shards(1);
    SECTION("a limit")
    {
        config.max_vtime_ns = asx_s(10);
        lab_report run(
            config, TASK { return asx_sleep(cx, asx_s(11)); });
        CHECK(run.report.termination == ASX_LAB_VTIME_LIMIT);
        CHECK(run.report.now_ns == 0);
    }
    SECTION("no advance")
    {
        config.no_auto_advance = true;
        lab_report run(
            config, TASK { return asx_sleep(cx, 1); });
        CHECK(run.report.termination == ASX_LAB_STOPPED);
    }
    SECTION("a cost")
    {
        config.dispatch_cost_ns = 1000;
        lab_report run(
            config, TASK {
                for (int i = 0; i < 9; i++) {
                    ASX_TRY(asx_yield(cx));
                }
                return asx_ok(asx_now(cx));
            });
        CHECK(run.passed);
        CHECK(run.report.value == 9000);
        CHECK(run.report.now_ns == 10000);
    }
    SECTION("a skewed shard")
    {
        const asx_duration offsets[] = { 0, asx_s(3) };
        config.shards = 2;
        config.clock_offset_ns = offsets;
        lab_report run(
            config, TASK {
                asx_handle limb;
                CHECK(asx_spawn_on(
                          cx, 1, TASK { return asx_ok(asx_now(cx)); }, nullptr, 0, nullptr,
                          &limb) == ASX_OK);
                return asx_join_limb(cx, limb);
            });
        INFO(run.text());
        CHECK(run.report.value >= asx_s(3));
        CHECK(run.report.value < asx_s(4));
    }
}

TEST_CASE("world: timers fire by deadline, and in the order of arming when equal", "[lab]")
{
    static std::string order;
    order.clear();
    lab_report run(
        of_shards(1), TASK {
            const asx_duration sleeps[] = { 50, 20, 20, 30 };
            asx_handle tasks[4];
            for (size_t i = 0; i < 4; i++) {
                struct item {
                    size_t index;
                    asx_duration ns;
                } item = { i, sleeps[i] };
                CHECK(asx_spawn(
                          cx, nullptr,
                          TASK {
                              const struct item *const self = static_cast<struct item *>(arg);
                              const asx_outcome outcome = asx_sleep(cx, self->ns);
                              order += asx_is_ok(outcome) ? char('0' + self->index) : 'x';
                              return outcome;
                          },
                          &item, sizeof(item), nullptr, &tasks[i]) == ASX_OK);
            }
            ASX_TRY(asx_sleep(cx, 25));
            asx_task_cancel(cx, tasks[3], ASX_CANCEL_USER, "never fires");
            (void)asx_join_drained(cx, tasks[3], nullptr);
            ASX_TRY(asx_join(cx, tasks[0]));
            ASX_TRY(asx_join(cx, tasks[1]));
            return asx_join(cx, tasks[2]);
        });
    INFO(run.text());
    CHECK(order == "12x0");
    CHECK(run.report.now_ns == 50);
}

TEST_CASE("world: a timer and a completion of one instant come in either order", "[lab]")
{
    static std::string order;
    std::set<std::string> seen;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        order.clear();
        lab_report run(
            of_shards(1, seed), TASK {
                asx_handle sleeps, works;
                CHECK(asx_spawn(
                          cx, nullptr,
                          TASK {
                              const asx_outcome outcome = asx_sleep(cx, 1000);
                              order += 't';
                              return outcome;
                          },
                          nullptr, 0, nullptr, &sleeps) == ASX_OK);
                CHECK(asx_spawn(
                          cx, nullptr,
                          TASK {
                              asx_op op{};
                              op.code = ASX_OP_TASK;
                              op.arg = 1000;
                              op.work = [](asx_op *) {};
                              const asx_outcome outcome = asx_op_await(cx, &op);
                              order += 'c';
                              return outcome;
                          },
                          nullptr, 0, nullptr, &works) == ASX_OK);
                ASX_TRY(asx_join(cx, sleeps));
                return asx_join(cx, works);
            });
        CHECK(run.passed);
        seen.insert(order);
    }
    CHECK(seen == std::set<std::string>{ "ct", "tc" });
}

TEST_CASE("world: a program's failure is a violation, and so is a leak", "[lab]")
{
    lab_report failed(
        of_shards(1), TASK { return asx_fail(ASX_E(NO_MEMORY)); });
    CHECK_FALSE(failed.passed);
    CHECK(failed.violates("program", "NO_MEMORY"));
    lab_report panicked(
        of_shards(1), TASK { asx_panic("what was thought"); });
    CHECK_FALSE(panicked.passed);
    CHECK(panicked.report.termination == ASX_LAB_QUIESCENT);
    CHECK(panicked.violates("program", "what was thought"));
}

TEST_CASE("world: production's batches are a configuration too", "[lab]")
{
    asx_lab_config config = of_shards(1);
    config.turn_budget = ASX_LAB_TURN_PRODUCTION;
    auto busy = TASK
    {
        asx_handle task[50];
        for (auto &each : task) {
            CHECK(asx_spawn(
                      cx, nullptr, TASK { return asx_yield(cx); }, nullptr, 0, nullptr, &each) ==
                  ASX_OK);
        }
        for (auto &each : task) {
            ASX_TRY(asx_join(cx, each));
        }
        return asx_ok(0);
    };
    lab_report whole(config, busy);
    config.turn_budget = 0;
    lab_report single(config, busy);
    CHECK(whole.passed);
    CHECK(single.passed);
    CHECK(whole.report.dispatches > 100);
    CHECK(whole.report.steps < 10);
    CHECK(single.report.steps >= single.report.dispatches);
}

TEST_CASE("config: what cannot be run is refused, and says why", "[lab]")
{
    asx_lab_config config = of_shards(65);
    CHECK(std::string(asx_lab_config_refused(&config)).find("shards") == 0);
    config = of_shards(2);
    CHECK(asx_lab_config_refused(&config) == nullptr);
    config.ring_capacity = 9;
    CHECK(asx_lab_config_refused(&config) != nullptr);
    config = of_shards(2);
    config.bytes_len = 3;
    CHECK(asx_lab_config_refused(&config) != nullptr);
    config = of_shards(2);
    config.mode = ASX_LAB_STEERED;
    CHECK(asx_lab_config_refused(&config) != nullptr);
}

TEST_CASE("config: its hash heeds what changes a run, and nothing else", "[lab]")
{
    const asx_lab_config plain{};
    const uint64_t hash = asx_lab_config_hash(&plain);
    asx_lab_config filled = asx_lab_config_fill(&plain);
    CHECK(asx_lab_config_hash(&filled) == hash);

    asx_lab_config kept{};
    kept.trace_capacity = 16;
    kept.unrecorded = true;
    kept.choice_rows_max = 3;
    kept.choice_full = ASX_LAB_FULL_DROP;
    CHECK(asx_lab_config_hash(&kept) == hash);

    const int32_t skew[] = { 5 };
    std::vector<asx_lab_config> changed(12);
    changed[0].seed = 43;
    changed[1].entropy_seed = 1;
    changed[2].chaos_seed = 1;
    changed[3].shards = 2;
    changed[4].widen_ready = true;
    changed[5].turn_budget = 2;
    changed[6].ring_delay_max = 1;
    changed[7].max_steps = 1;
    changed[8].dispatch_cost_ns = 1;
    changed[9].clock_skew_ppm = skew;
    changed[10].start_ns = 1;
    changed[11].ring_pressure = true;
    std::vector<uint64_t> hashes{ hash };
    for (const asx_lab_config &each : changed) {
        hashes.push_back(asx_lab_config_hash(&each));
    }
    std::sort(hashes.begin(), hashes.end());
    CHECK(std::unique(hashes.begin(), hashes.end()) == hashes.end());
}
