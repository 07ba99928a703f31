/* Budgets: meet is a bounded semilattice, and what a task may use is paid at dispatch, charged all
 * or nothing, and ends at its deadline, not before. */
#include <asx/shard/base/prng.h>

#include "kernel_fixture.h"
#include "live_fixture.h"

static asx_budget random_budget(asx_prng *prng)
{
    asx_budget b = ASX_BUDGET_UNLIMITED;
    if (asx_prng_below(prng, 2)) {
        b.deadline_ns = asx_prng_below(prng, 5);
    }
    if (asx_prng_below(prng, 2)) {
        b.cost_quota = asx_prng_below(prng, 5);
    }
    if (asx_prng_below(prng, 2)) {
        b.poll_quota = (uint32_t)asx_prng_below(prng, 5);
    }
    b.priority = (uint8_t)asx_prng_below(prng, 4);
    return b;
}

TEST_CASE("budget: meet is associative, commutative, idempotent, with a unit and a zero",
          "[budget]")
{
    asx_prng prng;
    asx_prng_init(&prng, 7);
    for (int i = 0; i < 20000; i++) {
        const asx_budget a = random_budget(&prng), b = random_budget(&prng),
                         c = random_budget(&prng);
        REQUIRE(asx_budget_eq(asx_budget_meet(asx_budget_meet(a, b), c),
                              asx_budget_meet(a, asx_budget_meet(b, c))));
        REQUIRE(asx_budget_eq(asx_budget_meet(a, b), asx_budget_meet(b, a)));
        REQUIRE(asx_budget_eq(asx_budget_meet(a, a), a));
        REQUIRE(asx_budget_eq(asx_budget_meet(a, ASX_BUDGET_UNLIMITED), a));
        REQUIRE(asx_budget_eq(asx_budget_meet(a, ASX_BUDGET_ZERO), ASX_BUDGET_ZERO));
    }
}

struct steps {
    uint32_t ran, undisturbed;
};

static bool count_step(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    steps *const s = *static_cast<steps **>(frame);
    s->ran++;
    if (asx_is_cancelled(cx)) {
        *outcome = asx_checkpoint(cx);
        return true;
    }
    CHECK(asx_is_ok(asx_checkpoint(cx)));
    s->undisturbed++;
    asx_task_notify(asx_task_of(cx));
    return false;
}

TEST_CASE("budget: a quota of k lets k steps run undisturbed, and the next one knows", "[budget]")
{
    for (uint32_t k = 0; k < 5; k++) {
        run_kernel(
            TASK {
                steps s{};
                steps *const shared = &s;
                const uint32_t quota = *static_cast<uint32_t *>(arg);
                asx_budget budget = ASX_BUDGET_UNLIMITED;
                budget.poll_quota = quota;
                asx_spawn_options options{};
                options.budget = &budget;
                asx_handle task;
                REQUIRE(asx_spawn_poll(cx, nullptr, count_step, &shared, sizeof(shared), &options,
                                       &task, nullptr) == ASX_OK);
                const asx_outcome joined = asx_join(cx, task);
                CHECK(joined.severity == ASX_SEVERITY_CANCELLED);
                CHECK(joined.reason->kind == ASX_CANCEL_POLL_QUOTA);
                CHECK(s.undisturbed == quota);
                CHECK(s.ran == quota + 1);
                return asx_ok(0);
            },
            &k);
    }
}

TEST_CASE("budget: a charge is all or nothing, and one too large is remembered", "[budget]")
{
    run_kernel(TASK {
        asx_budget budget = ASX_BUDGET_UNLIMITED;
        budget.cost_quota = 10;
        asx_spawn_options options{};
        options.budget = &budget;
        asx_handle task;
        REQUIRE(asx_spawn(
                    cx, nullptr,
                    TASK {
                        CHECK(asx_charge(cx, 4));
                        CHECK_FALSE(asx_charge(cx, 7));
                        CHECK(asx_cx_budget(cx).cost_quota == 6);
                        const asx_outcome seen = asx_checkpoint(cx);
                        CHECK(seen.severity == ASX_SEVERITY_CANCELLED);
                        CHECK(seen.reason->kind == ASX_CANCEL_COST_BUDGET);
                        return asx_ok(0);
                    },
                    nullptr, 0, &options, &task) == ASX_OK);
        CHECK(asx_join(cx, task).severity == ASX_SEVERITY_CANCELLED);
        CHECK(asx_charge(cx, UINT64_MAX));
        return asx_ok(0);
    });
}

TEST_CASE("budget: a wait that nobody ends is ended by the deadline, and its instant still belongs "
          "to the task",
          "[budget]")
{
    run_kernel(TASK {
        asx_budget budget = ASX_BUDGET_UNLIMITED;
        budget.deadline_ns = asx_now(cx) + asx_ms(5);
        asx_spawn_options options{};
        options.budget = &budget;
        asx_handle stuck, exact;
        REQUIRE(asx_spawn(
                    cx, nullptr,
                    TASK {
                        asx_event never{};
                        return asx_event_wait(cx, &never, "nothing", ASX_TIME_NEVER);
                    },
                    nullptr, 0, &options, &stuck) == ASX_OK);
        REQUIRE(asx_spawn(
                    cx, nullptr, TASK { return asx_sleep(cx, asx_ms(5)); }, nullptr, 0, &options,
                    &exact) == ASX_OK);
        const asx_instant begin = asx_now(cx);
        const asx_outcome joined = asx_join(cx, stuck);
        CHECK(joined.severity == ASX_SEVERITY_CANCELLED);
        CHECK(joined.reason->kind == ASX_CANCEL_DEADLINE);
        CHECK(asx_now(cx) - begin == asx_ms(5));
        CHECK(asx_is_ok(asx_join(cx, exact)));
        return asx_ok(0);
    });
}

TEST_CASE("budget: a child gets the earlier deadline, the smaller quota, and the priority it asks "
          "for",
          "[budget]")
{
    run_kernel(TASK {
        asx_budget outer = ASX_BUDGET_UNLIMITED;
        outer.deadline_ns = asx_now(cx) + asx_s(1);
        outer.poll_quota = 50;
        outer.priority = 200;
        asx_region_options region_options{};
        region_options.budget = &outer;
        asx_region *region = nullptr;
        REQUIRE(asx_region_open(cx, &region_options, &region) == ASX_OK);
        asx_budget wanted = ASX_BUDGET_UNLIMITED;
        wanted.deadline_ns = asx_now(cx) + asx_s(9);
        wanted.poll_quota = 90;
        asx_spawn_options options{};
        options.budget = &wanted;
        options.priority = 3;
        REQUIRE(asx_spawn(
                    cx, region,
                    TASK {
                        const asx_budget mine = asx_cx_budget(cx);
                        CHECK(mine.deadline_ns == asx_now(cx) + asx_s(1));
                        CHECK(mine.poll_quota == 49); /* this dispatch is paid */
                        CHECK(mine.priority == 3);
                        asx_deadline_tighten(cx, asx_s(5));
                        CHECK(asx_remaining(cx) == asx_s(1));
                        return asx_ok(0);
                    },
                    nullptr, 0, &options, nullptr) == ASX_OK);
        const asx_handle handle = asx_region_handle(region);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        CHECK(asx_is_ok(asx_region_close_wait(cx, handle)));
        return asx_ok(0);
    });
}

TEST_CASE("budget: a poll task that asked for no wake-up is woken by its deadline", "[budget]")
{
    run_kernel(TASK {
        asx_budget budget = ASX_BUDGET_UNLIMITED;
        budget.deadline_ns = asx_now(cx) + asx_ms(5);
        asx_spawn_options options{};
        options.budget = &budget;
        asx_handle task;
        REQUIRE(asx_spawn_poll(
                    cx, nullptr,
                    [](asx_cx *cx, void *, asx_outcome *outcome) -> bool {
                        *outcome = asx_checkpoint(cx);
                        return !asx_is_ok(*outcome);
                    },
                    nullptr, 8, &options, &task, nullptr) == ASX_OK);
        CHECK(asx_join(cx, task).severity == ASX_SEVERITY_CANCELLED);
        return asx_ok(0);
    });
}

TEST_CASE("budget: of several conditions at one checkpoint the strongest is the reason", "[budget]")
{
    run_kernel(TASK {
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            asx_budget budget = ASX_BUDGET_UNLIMITED;
            budget.deadline_ns = asx_now(cx) + asx_ms(1);
            budget.cost_quota = 5;
            asx_spawn_options options{};
            options.budget = &budget;
            asx_handle task = asx_scope_spawn(
                s,
                TASK {
                    CHECK(asx_charge(cx, 5)); /* spent to the last, and then the deadline too */
                    ASX_MASK(cx, 1) {
                        ignored(asx_sleep(cx, asx_ms(3)));
                    }
                    return asx_checkpoint(cx);
                },
                nullptr, 0, &options);
            asx_outcome joined = asx_join(cx, task);
            REQUIRE(joined.severity == ASX_SEVERITY_CANCELLED);
            CHECK(joined.reason->kind == ASX_CANCEL_COST_BUDGET);
            budget.cost_quota = ASX_COST_UNLIMITED;
            budget.deadline_ns = asx_now(cx) + asx_ms(1);
            budget.poll_quota = 1;
            task = asx_scope_spawn(
                s,
                TASK {
                    ASX_MASK(cx, 1) {
                        ignored(asx_sleep(cx, asx_ms(3)));
                    }
                    const asx_outcome seen = asx_checkpoint(cx);
                    CHECK(asx_handle_eq(seen.reason->task, asx_cx_task(cx)));
                    CHECK(asx_handle_eq(seen.reason->region, asx_cx_region(cx)));
                    return seen;
                },
                nullptr, 0, &options);
            joined = asx_join(cx, task);
            REQUIRE(joined.severity == ASX_SEVERITY_CANCELLED);
            CHECK(joined.reason->kind == ASX_CANCEL_POLL_QUOTA);
        }
        return asx_ok(0);
    });
}

TEST_CASE("budget: no deadline, no quota is never spent, whatever a task does", "[budget]")
{
    run_kernel(TASK {
        CHECK(asx_remaining(cx) == ASX_TIME_NEVER);
        for (int i = 0; i < 3000; i++) {
            ASX_TRY(asx_yield(cx));
        }
        CHECK(asx_cx_budget(cx).poll_quota == ASX_POLLS_UNLIMITED);
        CHECK(asx_cx_budget(cx).cost_quota == ASX_COST_UNLIMITED);
        return asx_ok(0);
    });
}

TEST_CASE("budget: of a thousand checkpoints in a row each block of them pays one poll", "[budget]")
{
    run_kernel(TASK {
        asx_budget budget = ASX_BUDGET_UNLIMITED;
        budget.poll_quota = 3;
        asx_spawn_options options{};
        options.budget = &budget;
        static int passed;
        passed = 0;
        asx_handle task;
        REQUIRE(asx_spawn(
                    cx, nullptr,
                    TASK {
                        for (;; passed++) {
                            ASX_TRY(asx_checkpoint(cx));
                        }
                    },
                    nullptr, 0, &options, &task) == ASX_OK);
        const asx_outcome joined = asx_join(cx, task);
        REQUIRE(joined.severity == ASX_SEVERITY_CANCELLED);
        CHECK(joined.reason->kind == ASX_CANCEL_POLL_QUOTA);
        CHECK(passed >= 3 * 1023);
        CHECK(passed <= 3 * 1024);
        return asx_ok(0);
    });
}

static asx_outcome quota_of_three(asx_cx *cx, void *)
{
    steps s{};
    steps *const shared = &s;
    asx_budget budget = ASX_BUDGET_UNLIMITED;
    budget.poll_quota = 3;
    asx_spawn_options options{};
    options.budget = &budget;
    asx_handle task;
    asx_assert(asx_spawn_poll(cx, nullptr, count_step, &shared, sizeof(shared), &options, &task,
                              nullptr) == ASX_OK);
    const asx_outcome joined = asx_join(cx, task);
    CHECK(joined.severity == ASX_SEVERITY_CANCELLED);
    CHECK(s.undisturbed == 3);
    CHECK(s.ran == 4);
    asx_budget until = ASX_BUDGET_UNLIMITED;
    until.deadline_ns = asx_now(cx) + asx_ms(5);
    options.budget = &until;
    asx_assert(asx_spawn(
                   cx, nullptr,
                   TASK {
                       asx_event never{};
                       return asx_event_wait(cx, &never, "nothing", ASX_TIME_NEVER);
                   },
                   nullptr, 0, &options, &task) == ASX_OK);
    const asx_outcome late = asx_join(cx, task);
    CHECK(late.severity == ASX_SEVERITY_CANCELLED);
    CHECK(late.reason->kind == ASX_CANCEL_DEADLINE);
    CHECK(asx_now(cx) > until.deadline_ns);
    return asx_ok(0);
}

TEST_CASE("budget: quotas and deadlines hold over the kernel's drivers as in the lab", "[budget]")
{
    run_live(BOTH_CHOICES, quota_of_three);
}
