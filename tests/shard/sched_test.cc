/* The scheduler's bounds: whatever floods a lane, the others are served in time, and any number of
 * wake-ups is one dispatch. */
#include "kernel_fixture.h"

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
