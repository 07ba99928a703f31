/* The scheduler's bounds: whatever floods a lane, the others are served in time, and any number of
 * wake-ups is one dispatch. */
#include "lab_world.h"

#include <algorithm>

static int others_before;
static bool ready_ran;

static bool endless(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    int *const left = static_cast<int *>(frame);
    if (!ready_ran) {
        others_before++;
    }
    if ((*left)-- > 0) {
        asx_task_notify(asx_task_of(cx));
        return false;
    }
    *outcome = asx_ok(0);
    return true;
}

static bool ready_step(asx_cx *, void *, asx_outcome *outcome)
{
    ready_ran = true;
    *outcome = asx_ok(0);
    return true;
}

static asx_outcome flood(asx_cx *cx, void *arg)
{
    const int priority = *static_cast<int *>(arg);
    asx_spawn_options options{};
    options.priority = priority;
    others_before = 0;
    ready_ran = false;
    const int laps = 400;
    for (int i = 0; i < 3; i++) {
        REQUIRE(asx_spawn_poll(cx, nullptr, endless, &laps, sizeof(laps), &options, nullptr,
                               nullptr) == ASX_OK);
    }
    options.priority = 5;
    asx_handle task;
    REQUIRE(asx_spawn_poll(cx, nullptr, ready_step, nullptr, 0, &options, &task, nullptr) ==
            ASX_OK);
    return asx_join(cx, task);
}

TEST_CASE("sched: a low priority under a flood of high ones runs after at most 64", "[sched]")
{
    int priority = 200;
    run_kernel(flood, &priority);
    CHECK(ready_ran);
    CHECK(others_before <= 65);
    CHECK(others_before > 3);
}

static bool cleans_forever(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    int *const left = static_cast<int *>(frame);
    if (asx_is_cancelled(cx)) {
        others_before += !ready_ran;
        if ((*left)-- > 0) {
            asx_task_notify(asx_task_of(cx));
            return false;
        }
        *outcome = asx_ok(0);
        return true;
    }
    return false;
}

TEST_CASE("sched: cancel work yields to other work after its streak", "[sched]")
{
    auto body = TASK
    {
        others_before = 0;
        ready_ran = false;
        const int laps = 100;
        asx_handle tasks[3];
        for (asx_handle &task : tasks) {
            REQUIRE(asx_spawn_poll(cx, nullptr, cleans_forever, &laps, sizeof(laps), nullptr, &task,
                                   nullptr) == ASX_OK);
        }
        ASX_TRY(asx_yield(cx));
        for (const asx_handle &task : tasks) {
            asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
        }
        asx_handle ready;
        REQUIRE(asx_spawn_poll(cx, nullptr, ready_step, nullptr, 0, nullptr, &ready, nullptr) ==
                ASX_OK);
        ASX_TRY(asx_join(cx, ready));
        CHECK(others_before == 16);
        return asx_ok(0);
    };
    run_kernel(body, nullptr, 1, ASX_LEAK_PANIC, false);
}

static std::string order;

static bool append_step(asx_cx *, void *frame, asx_outcome *outcome)
{
    order += *static_cast<char *>(frame);
    *outcome = asx_ok(0);
    return true;
}

TEST_CASE("sched: the earlier deadline first, then the higher priority, then the older", "[sched]")
{
    run_kernel(
        TASK {
            order.clear();
            struct {
                char name;
                asx_duration in_ns;
                int priority;
            } const wanted[] = { { 'f', asx_s(200), 250 }, { 'd', asx_ms(9), 7 },
                                 { 'e', asx_ms(9), 7 },    { 'b', asx_ms(5), 1 },
                                 { 'c', asx_ms(9), 9 },    { 'a', asx_ms(1), 1 } };
            for (const auto &each : wanted) {
                asx_budget budget = ASX_BUDGET_UNLIMITED;
                budget.deadline_ns = asx_now(cx) + each.in_ns;
                asx_spawn_options options{};
                options.budget = &budget;
                options.priority = each.priority;
                REQUIRE(asx_spawn_poll(cx, nullptr, append_step, &each.name, 1, &options, nullptr,
                                       nullptr) == ASX_OK);
            }
            ASX_TRY(asx_sleep(cx, asx_ms(20)));
            CHECK(order == "abcdef");
            return asx_ok(0);
        },
        nullptr, 1, ASX_LEAK_PANIC, false);
}

TEST_CASE("sched: a million wake-ups of a queued task are one dispatch", "[sched]")
{
    auto body = TASK
    {
        static int steps;
        steps = 0;
        asx_handle task;
        REQUIRE(asx_spawn_poll(
                    cx, nullptr,
                    [](asx_cx *cx, void *frame, asx_outcome *outcome) -> bool {
                        *static_cast<asx_task **>(frame) = asx_task_of(cx);
                        *outcome = asx_ok(0);
                        if (++steps == 2) {
                            asx_task_notify(asx_task_of(cx)); /* during a step: one more */
                        }
                        return steps == 3;
                    },
                    nullptr, sizeof(asx_task *), nullptr, &task, &arg) == ASX_OK);
        ASX_TRY(asx_yield(cx));
        CHECK(steps == 1);
        for (int i = 0; i < 1000000; i++) {
            asx_task_notify(*static_cast<asx_task **>(arg));
        }
        ASX_TRY(asx_join(cx, task));
        CHECK(steps == 3);
        return asx_ok(0);
    };
    run_kernel(body, nullptr, 1, ASX_LEAK_PANIC, false);
}

/* Floods the cancel lane from `region` (NULL: the tasks alone are cancelled), then counts what runs
 * before one ready task. */
static asx_outcome cancel_flood(asx_cx *cx, asx_region *region)
{
    others_before = 0;
    ready_ran = false;
    const int laps = 200;
    asx_handle tasks[3];
    for (asx_handle &task : tasks) {
        REQUIRE(asx_spawn_poll(cx, region, cleans_forever, &laps, sizeof(laps), nullptr, &task,
                               nullptr) == ASX_OK);
    }
    ASX_TRY(asx_yield(cx));
    if (region) {
        asx_region_cancel(region, ASX_CANCEL_USER, nullptr);
    } else {
        for (const asx_handle &task : tasks) {
            asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
        }
    }
    asx_handle ready;
    REQUIRE(asx_spawn_poll(cx, nullptr, ready_step, nullptr, 0, nullptr, &ready, nullptr) ==
            ASX_OK);
    return asx_join(cx, ready);
}

TEST_CASE("sched: the cancel streak is exactly what was configured, and twice that in a drain",
          "[sched]")
{
    for (const uint32_t each : { 0u, 1u, 2u, 16u, 33u, 64u }) {
        static uint32_t limit;
        limit = each;
        for (static int drain = 0; drain < 2; drain++) {
            CAPTURE(limit, drain);
            kernel_setup setup;
            setup.shard.cancel_streak = limit;
            const auto run = run_kernel_with(
                setup, TASK {
                    asx_region *region = nullptr;
                    if (drain) {
                        REQUIRE(asx_region_open(cx, nullptr, &region) == ASX_OK);
                    }
                    ASX_TRY(cancel_flood(cx, region));
                    CHECK(others_before == (int)(limit ? limit : 16) * (drain ? 2 : 1));
                    return asx_ok(0);
                });
            CHECK(run.severity == ASX_SEVERITY_OK);
            CHECK(run.stats.streak_exceeded == 0);
            CHECK(run.stats.cancel_streak_most == (limit ? limit : 16) * (drain ? 2u : 1u));
        }
    }
}

TEST_CASE("sched: without other work the cancel lane runs on, and what comes then waits no longer",
          "[sched]")
{
    run_kernel_with(
        kernel_setup(), TASK {
            others_before = 0;
            ready_ran = false;
            const int laps = 1000;
            asx_handle task;
            REQUIRE(asx_spawn_poll(cx, nullptr, cleans_forever, &laps, sizeof(laps), nullptr, &task,
                                   nullptr) == ASX_OK);
            ASX_TRY(asx_yield(cx));
            asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
            ASX_TRY(asx_sleep(cx, 1)); /* alone, for as long as it likes */
            CHECK(others_before > 300);
            return asx_ok(0);
        });
}

static bool timed_forever(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    return endless(cx, frame, outcome);
}

TEST_CASE("sched: ready work is served behind six timed dispatches, and with all lanes full within "
          "seven streaks",
          "[sched]")
{
    for (static int with_cancel = 0; with_cancel < 2; with_cancel++) {
        CAPTURE(with_cancel);
        run_kernel_with(
            kernel_setup(), TASK {
                others_before = 0;
                ready_ran = false;
                const int laps = 400;
                asx_budget budget = ASX_BUDGET_UNLIMITED;
                budget.deadline_ns = asx_now(cx) + asx_ms(5);
                asx_spawn_options options{};
                options.budget = &budget;
                asx_handle cleaner{}, ready;
                if (with_cancel) {
                    REQUIRE(asx_spawn_poll(cx, nullptr, cleans_forever, &laps, sizeof(laps),
                                           nullptr, &cleaner, nullptr) == ASX_OK);
                    ASX_TRY(asx_yield(cx));
                    asx_task_cancel(cx, cleaner, ASX_CANCEL_USER, nullptr);
                }
                for (int i = 0; i < 3; i++) {
                    REQUIRE(asx_spawn_poll(cx, nullptr, timed_forever, &laps, sizeof(laps),
                                           &options, nullptr, nullptr) == ASX_OK);
                }
                REQUIRE(asx_spawn_poll(cx, nullptr, ready_step, nullptr, 0, nullptr, &ready,
                                       nullptr) == ASX_OK);
                ASX_TRY(asx_join(cx, ready));
                CHECK(others_before == (with_cancel ? 6 + 7 * 16 : 6));
                return asx_ok(0);
            });
    }
}

TEST_CASE("sched: a task queued ready and then cancelled runs once, and from the cancel lane",
          "[sched]")
{
    run_kernel_with(
        kernel_setup(), TASK {
            order.clear();
            const char names[] = "xyz";
            asx_handle tasks[3];
            for (int i = 0; i < 3; i++) {
                REQUIRE(asx_spawn_poll(
                            cx, nullptr,
                            [](asx_cx *cx, void *frame, asx_outcome *outcome) -> bool {
                                char *const name = static_cast<char *>(frame);
                                if (*name >= 'a') { /* the first step, uncancelled */
                                    *name = (char)(*name - 'a' + 'A');
                                    return false;
                                }
                                order += *name;
                                order += asx_is_cancelled(cx) ? '!' : '.';
                                *outcome = asx_ok(0);
                                return true;
                            },
                            &names[i], 1, nullptr, &tasks[i], nullptr) == ASX_OK);
            }
            ASX_TRY(asx_yield(cx));
            for (const asx_handle &task : tasks) {
                asx_task_wake(asx_shard_of(cx), task);
            }
            const asx_shard_stats queued = stats_of(cx);
            CHECK(queued.ready_queued == 3);
            asx_task_cancel(cx, tasks[2], ASX_CANCEL_USER, nullptr);
            CHECK(stats_of(cx).ready_queued == 2);
            CHECK(stats_of(cx).cancel_queued == 1);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(order == "Z!X.Y.");
            return asx_ok(0);
        });
}

static std::string order_of(uint64_t seed)
{
    run_kernel(
        TASK {
            order.clear();
            for (char name = 'a'; name <= 'p'; name++) {
                asx_spawn_options options{};
                options.priority = name < 'i' ? 50 : 60;
                REQUIRE(asx_spawn_poll(cx, nullptr, append_step, &name, 1, &options, nullptr,
                                       nullptr) == ASX_OK);
            }
            return asx_sleep(cx, 1);
        },
        nullptr, seed);
    return order;
}

TEST_CASE("sched: one seed is one order, another permutes equals only", "[sched]")
{
    const std::string first = order_of(1), second = order_of(2);
    CHECK(order_of(1) == first);
    CHECK(first != second);
    for (std::string each : { first, second }) {
        REQUIRE(each.size() == 16);
        std::string high = each.substr(0, 8), low = each.substr(8);
        std::sort(high.begin(), high.end());
        std::sort(low.begin(), low.end());
        CHECK(high == "ijklmnop");
        CHECK(low == "abcdefgh");
    }
}

static lab_world *the_world;

static bool burns_a_millisecond(asx_cx *cx, void *, asx_outcome *outcome)
{
    order += (char)('a' + stats_of(cx).turns % 26);
    the_world->clock_ns += asx_ms(1);
    *outcome = asx_ok(0);
    return true;
}

/* The longest run of dispatches in one turn, of those that `order` tells. */
static size_t longest_turn(size_t from)
{
    size_t longest = 0, length = 0;
    for (size_t i = from; i < order.size(); i++) {
        length = i > from && order[i] == order[i - 1] ? length + 1 : 1;
        longest = length > longest ? length : longest;
    }
    return longest;
}

TEST_CASE("sched: a turn ends when its time is spent, however few tasks it has run", "[sched]")
{
    lab_world world(1, 1);
    the_world = &world;
    order.clear();
    world.run(TASK {
        asx_spawn_options options{};
        options.detached_result = true;
        for (uint64_t i = 0; i < 500; i++) { /* short ones first: looking at the clock gets rare */
            REQUIRE(asx_spawn_poll(
                        cx, nullptr,
                        [](asx_cx *, void *, asx_outcome *outcome) -> bool {
                            *outcome = asx_ok(0);
                            return true;
                        },
                        nullptr, 0, &options, nullptr, nullptr) == ASX_OK);
        }
        for (int i = 0; i < 100; i++) {
            REQUIRE(asx_spawn_poll(cx, nullptr, burns_a_millisecond, nullptr, 0, &options, nullptr,
                                   nullptr) == ASX_OK);
        }
        ASX_TRY(asx_sleep(cx, asx_s(1)));
        const asx_shard_stats stats = stats_of(cx);
        uint64_t steps = 0, long_steps = 0;
        for (unsigned k = 0; k < ASX_SHARD_STEP_BUCKETS; k++) {
            steps += stats.step_buckets[k];
            long_steps += k >= 6 ? stats.step_buckets[k] : 0; /* above 256 us */
        }
        CHECK(stats.slices_spent > 2);
        CHECK(stats.parks > 0);
        CHECK((steps > 0 && steps <= stats.dispatches));
        CHECK((long_steps >= 30 && long_steps <= 400)); /* some share a look with short ones */
        CHECK(stats.step_ns_sum >= 30 * ASX_NS_PER_MS);
        CHECK(stats.step_ns_sum <= 100 * ASX_NS_PER_MS);
        return asx_ok(0);
    });
    REQUIRE(order.size() == 100);
    CHECK(longest_turn(0) <= 64);
    CHECK(longest_turn(65) <= 8); /* it has learnt by then, with short ones still in between */
}

TEST_CASE("sched: a fiber that only checkpoints gives way when the turn's time is spent", "[sched]")
{
    lab_world world(1, 1);
    the_world = &world;
    world.run(TASK {
        static bool stop;
        static asx_duration late_ns;
        stop = false;
        asx_handle spinner;
        REQUIRE(asx_spawn(
                    cx, nullptr,
                    TASK {
                        for (int i = 0; i < 1000 && !stop; i++) {
                            the_world->clock_ns += asx_ms(1) / 10;
                            ASX_TRY(asx_checkpoint(cx));
                        }
                        return asx_ok(0);
                    },
                    nullptr, 0, nullptr, &spinner) == ASX_OK);
        const asx_instant due = asx_now(cx) + asx_ms(1);
        ASX_TRY(asx_sleep_until(cx, due));
        late_ns = the_world->clock_ns - due;
        stop = true;
        CHECK(late_ns < asx_ms(7)); /* the rest of one slice, its equal's, and both overshoots */
        return asx_join(cx, spinner);
    });
}

TEST_CASE("sched: a deadline at this very instant comes, even where something is always runnable",
          "[sched]")
{
    lab_world world(1, 1);
    the_world = &world;
    world.run(TASK {
        static uint64_t turn, turns_left;
        static bool waits;
        turn = 0;
        turns_left = 60;
        waits = true;
        asx_handle busy;
        REQUIRE(asx_spawn_poll(
                    cx, nullptr,
                    [](asx_cx *cx, void *, asx_outcome *outcome) -> bool {
                        if (stats_of(cx).turns != turn) {
                            turn = stats_of(cx).turns;
                            turns_left--;
                            the_world->clock_ns += asx_ms(1);
                        }
                        asx_task_notify(asx_task_of(cx));
                        *outcome = asx_ok(0);
                        return !waits || turns_left == 0;
                    },
                    nullptr, 0, nullptr, &busy, nullptr) == ASX_OK);
        asx_event never{};
        const asx_instant due = asx_now(cx) + asx_ms(10);
        CHECK(asx_is_err(asx_event_wait(cx, &never, "nothing", due), ASX_E(TIMED_OUT)));
        CHECK(turns_left > 40);
        waits = false;
        return asx_join(cx, busy);
    });
}
