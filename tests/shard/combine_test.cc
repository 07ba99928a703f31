/* Combinators: at stake is that nothing of a call is left when it returns, whatever path it took,
 * that losers are drained and never hide a panic, and that who wins is the rule's choice alone. */
#include <asx/shard/base/prng.h>

#include "kernel_fixture.h"

#include <algorithm>

namespace
{
const asx_err user_error = ASX_ERR(ASX_ERR_DOMAIN_USER, 3);

/* A branch: sleeps, perhaps masked, then ends in its own way. */
struct branch_plan {
    asx_duration after_ns;
    asx_severity ends;
    uintptr_t value;
    bool masked;
    bool panics_when_cancelled;
    asx_severity seen;    /* of its sleep */
    uint32_t cancel_kind; /* when that was cancelled */
};

asx_outcome run_plan(asx_cx *cx, void *arg)
{
    branch_plan *const plan = static_cast<branch_plan *>(arg);
    asx_outcome slept = asx_ok(0);
    if (plan->masked) {
        ASX_MASK(cx, 100) {
            slept = asx_sleep(cx, plan->after_ns);
        }
    } else {
        slept = asx_sleep(cx, plan->after_ns);
    }
    plan->seen = (asx_severity)slept.severity;
    if (slept.severity == ASX_SEVERITY_CANCELLED) {
        plan->cancel_kind = slept.reason->kind;
        if (plan->panics_when_cancelled) {
            asx_panic("loser");
        }
        return slept;
    }
    switch (plan->ends) {
    case ASX_SEVERITY_OK:
        return asx_ok(plan->value);
    case ASX_SEVERITY_ERR:
        return asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, (uint32_t)plan->value));
    case ASX_SEVERITY_CANCELLED:
        return asx_cancelled(nullptr);
    case ASX_SEVERITY_PANICKED:
        break;
    }
    asx_panic("branch %u", (unsigned)plan->value);
}

branch_plan ends_ok(asx_duration after_ns, uintptr_t value = 0)
{
    branch_plan plan{};
    plan.after_ns = after_ns;
    plan.value = value;
    return plan;
}

asx_branch branch_of(branch_plan *plan)
{
    asx_branch branch{};
    branch.fn = run_plan;
    branch.arg = plan;
    return branch;
}

/* What a combinator may change for the time of its call only. */
struct counts {
    uint64_t tasks, regions, timers, obligations, ops, heap;
    bool operator==(const counts &other) const
    {
        return tasks == other.tasks && regions == other.regions && timers == other.timers &&
               obligations == other.obligations && ops == other.ops;
    }
};

counts count_all(const asx_cx *cx)
{
    const asx_shard_stats stats = stats_of(cx);
    return { stats.tasks_live,          stats.regions_live,  stats.timers_armed,
             stats.obligations_pending, stats.ops_in_flight, stats.heap_bytes_live };
}
} // namespace

TEST_CASE("join_all: waits for all, cancels nobody, and leaves every outcome readable", "[combine]")
{
    run_kernel(TASK {
        branch_plan plans[3] = { ends_ok(asx_ms(30), 7), ends_ok(asx_ms(10), 4),
                                 ends_ok(asx_ms(20), 9) };
        plans[1].ends = ASX_SEVERITY_ERR;
        asx_branch branches[3];
        for (int i = 0; i < 3; i++) {
            branches[i] = branch_of(&plans[i]);
        }
        asx_outcome each[3];
        const asx_instant begin = asx_now(cx);
        const counts before = count_all(cx);
        const asx_outcome all = asx_join_all(cx, branches, 3, each);
        CHECK(asx_is_err(all, ASX_ERR(ASX_ERR_DOMAIN_USER, 4)));
        CHECK(asx_now(cx) - begin == asx_ms(30));
        CHECK(count_all(cx) == before);
        CHECK(each[0].value == 7);
        CHECK(each[1].severity == ASX_SEVERITY_ERR);
        CHECK(each[2].value == 9);
        CHECK(plans[0].seen == ASX_SEVERITY_OK);
        CHECK(asx_is_ok(asx_join_all(cx, branches, 0, nullptr)));
        return asx_ok(0);
    });
}

TEST_CASE("join_all: over all triples of endings the worst wins, the lowest index among equals",
          "[combine]")
{
    run_kernel(TASK {
        asx_prng prng;
        asx_prng_init(&prng, 5);
        for (unsigned code = 0; code < 64; code++) {
            branch_plan plans[3];
            asx_branch branches[3];
            unsigned worst = 0;
            for (unsigned i = 0; i < 3; i++) {
                plans[i] = ends_ok(asx_prng_below(&prng, 5), i + 1);
                plans[i].ends = (asx_severity)(code >> (2 * i) & 3);
                branches[i] = branch_of(&plans[i]);
                worst = std::max(worst, (unsigned)plans[i].ends);
            }
            unsigned first = 0;
            while (plans[first].ends != (asx_severity)worst) {
                first++;
            }
            CAPTURE(code, worst, first);
            const counts before = count_all(cx);
            const asx_outcome all = asx_join_all(cx, branches, 3, nullptr);
            CHECK(all.severity == worst);
            if (worst == ASX_SEVERITY_ERR) {
                CHECK(all.err == ASX_ERR(ASX_ERR_DOMAIN_USER, first + 1));
            } else if (worst == ASX_SEVERITY_PANICKED) {
                CHECK(std::string(all.panic->message) == "branch " + std::to_string(first + 1));
            }
            CHECK(count_all(cx) == before);
        }
        return asx_ok(0);
    });
}

TEST_CASE("race: the first of any kind wins, losers get RACE_LOST and are drained", "[combine]")
{
    run_kernel(TASK {
        for (const asx_severity ends :
             { ASX_SEVERITY_OK, ASX_SEVERITY_ERR, ASX_SEVERITY_CANCELLED, ASX_SEVERITY_PANICKED }) {
            branch_plan plans[3] = { ends_ok(asx_s(5)), ends_ok(asx_ms(10), 6), ends_ok(asx_s(9)) };
            plans[1].ends = ends;
            asx_branch branches[3];
            for (int i = 0; i < 3; i++) {
                branches[i] = branch_of(&plans[i]);
            }
            uint32_t winner = 99;
            const asx_instant begin = asx_now(cx);
            const counts before = count_all(cx);
            const asx_outcome won = asx_race(cx, branches, 3, &winner);
            CHECK(won.severity == ends);
            CHECK(winner == 1);
            CHECK(asx_now(cx) - begin == asx_ms(10));
            CHECK(count_all(cx) == before);
            for (int i : { 0, 2 }) {
                CHECK(plans[i].seen == ASX_SEVERITY_CANCELLED);
                CHECK(plans[i].cancel_kind == ASX_CANCEL_RACE_LOST);
            }
        }
        return asx_ok(0);
    });
}

static asx_outcome tie(asx_cx *cx, void *)
{
    branch_plan plans[3] = { ends_ok(asx_ms(1), 1), ends_ok(asx_ms(1), 2), ends_ok(asx_ms(1), 3) };
    asx_branch branches[3];
    for (int i = 0; i < 3; i++) {
        branches[i] = branch_of(&plans[i]);
    }
    uint32_t winner = 99;
    const asx_outcome won = asx_race(cx, branches, 3, &winner);
    CHECK(won.value == winner + 1);
    return won;
}

TEST_CASE(
    "race: of several ready at once the lowest index wins, and where equals are shuffled, each "
    "now and then, as the seed says",
    "[combine]")
{
    CHECK(run_kernel_with(kernel_setup(), tie).outcome.value == 1);
    int wins[3] = {};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        const uintptr_t won = run_kernel(tie, nullptr, seed).outcome.value;
        CHECK(won == run_kernel(tie, nullptr, seed).outcome.value);
        wins[won - 1]++;
    }
    CHECK(wins[0] > 0);
    CHECK(wins[1] > 0);
    CHECK(wins[2] > 0);
}

TEST_CASE("race: values that nobody receives are dropped, also where the caller is cancelled or a "
          "panic overrides",
          "[combine]")
{
    for (static int how = 0; how < 2; how++) {
        CAPTURE(how);
        static uintptr_t dropped;
        dropped = 0;
        run_kernel(TASK {
            asx_outcome value;
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                const asx_handle task = asx_scope_spawn(
                    s,
                    TASK {
                        branch_plan plans[2] = { ends_ok(asx_ms(50), 1), ends_ok(asx_ms(60), 20) };
                        asx_branch branches[2];
                        for (int i = 0; i < 2; i++) {
                            plans[i].masked = true;
                            branches[i] = branch_of(&plans[i]);
                            branches[i].drop_value = [](uintptr_t value) { dropped += value; };
                        }
                        if (how == 1) {
                            plans[1].ends = ASX_SEVERITY_PANICKED;
                        }
                        return asx_race(cx, branches, 2, nullptr);
                    },
                    nullptr, 0, nullptr);
                ASX_TRY(asx_sleep(cx, asx_ms(10)));
                if (how == 0) {
                    asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
                }
                CHECK(asx_join(cx, task).severity ==
                      (how == 0 ? ASX_SEVERITY_CANCELLED : ASX_SEVERITY_PANICKED));
            }
            return asx_ok(0);
        });
        CHECK(dropped == (how == 0 ? 21 : 1));
    }
}

TEST_CASE("race: a loser's panic overrides the winner, its mask delays the return, its late value "
          "is dropped",
          "[combine]")
{
    run_kernel(TASK {
        static uintptr_t dropped;
        branch_plan plans[3] = { ends_ok(asx_ms(1), 1), ends_ok(asx_s(10), 22),
                                 ends_ok(asx_s(20)) };
        plans[1].masked = true;
        asx_branch branches[3];
        for (int i = 0; i < 3; i++) {
            branches[i] = branch_of(&plans[i]);
            branches[i].drop_value = [](uintptr_t value) { dropped += value; };
        }
        dropped = 0;
        asx_instant begin = asx_now(cx);
        asx_outcome won = asx_race(cx, branches, 2, nullptr);
        CHECK(asx_is_ok(won));
        CHECK(asx_now(cx) - begin == asx_s(10));
        CHECK(dropped == 22);
        plans[1].masked = false;
        plans[1].panics_when_cancelled = plans[2].panics_when_cancelled = true;
        begin = asx_now(cx);
        won = asx_race(cx, branches, 3, nullptr);
        REQUIRE(won.severity == ASX_SEVERITY_PANICKED);
        CHECK(std::string(won.panic->message) == "loser");
        CHECK(asx_now(cx) - begin == asx_ms(1));
        return asx_ok(0);
    });
}

TEST_CASE("race: of nothing ends only by cancellation", "[combine]")
{
    run_kernel(TASK {
        bool late = false;
        const asx_instant begin = asx_now(cx);
        const asx_outcome ended = asx_timeout(
            cx, asx_s(7), TASK { return asx_race(cx, nullptr, 0, nullptr); }, nullptr, &late);
        CHECK(asx_is_err(ended, ASX_E(TIMED_OUT)));
        CHECK(asx_now(cx) - begin == asx_s(7));
        CHECK_FALSE(late);
        return asx_ok(0);
    });
}

TEST_CASE("timeout: a body that ends exactly at the deadline wins, one instant later loses, late "
          "values and all",
          "[combine]")
{
    run_kernel(TASK {
        bool late = true;
        branch_plan plan = ends_ok(asx_ms(10), 5);
        asx_outcome ended = asx_timeout(cx, asx_ms(10), run_plan, &plan, &late);
        CHECK(asx_is_ok(ended));
        CHECK(ended.value == 5);
        CHECK_FALSE(late);
        plan = ends_ok(asx_ms(10) + 1, 5);
        ended = asx_timeout(cx, asx_ms(10), run_plan, &plan, &late);
        CHECK(asx_is_err(ended, ASX_E(TIMED_OUT)));
        CHECK_FALSE(late);
        CHECK((plan.cancel_kind == ASX_CANCEL_TIMEOUT || plan.cancel_kind == ASX_CANCEL_DEADLINE));
        plan.masked = true;
        ended = asx_timeout(cx, asx_ms(10), run_plan, &plan, &late);
        CHECK(asx_is_ok(ended));
        CHECK(ended.value == 5);
        CHECK(late);
        plan.ends = ASX_SEVERITY_ERR;
        ended = asx_timeout(cx, asx_ms(10), run_plan, &plan, &late);
        CHECK(asx_is_err(ended, ASX_ERR(ASX_ERR_DOMAIN_USER, 5)));
        CHECK(late);
        plan.ends = ASX_SEVERITY_PANICKED;
        ended = asx_timeout(cx, asx_ms(10), run_plan, &plan, &late);
        CHECK(ended.severity == ASX_SEVERITY_PANICKED);
        CHECK(late);
        return asx_ok(0);
    });
}

TEST_CASE("timeout: a masked body keeps the caller, whose own cancellation is then what is told",
          "[combine]")
{
    run_kernel(TASK {
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            const asx_instant begin = asx_now(cx);
            const asx_handle caller = asx_scope_spawn(
                s,
                TASK {
                    branch_plan plan = ends_ok(asx_s(10), 5);
                    plan.masked = true;
                    const asx_instant begin = asx_now(cx);
                    const asx_outcome ended = asx_timeout(cx, asx_ms(10), run_plan, &plan, nullptr);
                    CHECK(asx_now(cx) - begin == asx_s(10));
                    CHECK(asx_is_ok(ended)); /* surfaced; the cancel shows at the next checkpoint */
                    CHECK(asx_checkpoint(cx).severity == ASX_SEVERITY_CANCELLED);
                    return ended;
                },
                nullptr, 0, nullptr);
            ASX_TRY(asx_sleep(cx, asx_s(1)));
            asx_task_cancel(cx, caller, ASX_CANCEL_USER, nullptr);
            CHECK(asx_join(cx, caller).severity == ASX_SEVERITY_CANCELLED);
            CHECK(asx_now(cx) - begin == asx_s(10));
        }
        return asx_ok(0);
    });
}

TEST_CASE("timeout: nested ones act as the earlier, and one behind the inherited deadline is inert",
          "[combine]")
{
    run_kernel(TASK {
        static asx_duration inner_ns;
        for (const asx_duration inner : { asx_ms(5), asx_ms(50) }) {
            inner_ns = inner;
            const asx_instant begin = asx_now(cx);
            const asx_outcome ended = asx_timeout(
                cx, asx_ms(20),
                TASK {
                    branch_plan plan = ends_ok(asx_s(1));
                    return asx_timeout(cx, inner_ns, run_plan, &plan, nullptr);
                },
                nullptr, nullptr);
            CHECK(asx_is_err(ended, ASX_E(TIMED_OUT)));
            CHECK(asx_now(cx) - begin == (inner < asx_ms(20) ? inner : asx_ms(20)));
        }
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            asx_budget budget = ASX_BUDGET_UNLIMITED;
            budget.deadline_ns = asx_now(cx) + asx_ms(3);
            asx_spawn_options options{};
            options.budget = &budget;
            const asx_handle task = asx_scope_spawn(
                s,
                TASK {
                    branch_plan plan = ends_ok(asx_s(1));
                    const asx_outcome ended = asx_timeout(cx, asx_ms(30), run_plan, &plan, nullptr);
                    CHECK(ended.severity == ASX_SEVERITY_CANCELLED);
                    CHECK(asx_reason_root(ended.reason)->kind == ASX_CANCEL_DEADLINE);
                    return ended;
                },
                nullptr, 0, &options);
            const asx_outcome joined = asx_join(cx, task);
            REQUIRE(joined.severity == ASX_SEVERITY_CANCELLED);
            CHECK(joined.reason->kind == ASX_CANCEL_DEADLINE);
        }
        return asx_ok(0);
    });
}

TEST_CASE("timeout: of zero gives its body what is there at once", "[combine]")
{
    run_kernel(TASK {
        asx_outcome ended = asx_timeout(
            cx, 0, TASK { return asx_ok(8); }, nullptr, nullptr);
        CHECK(ended.value == 8);
        branch_plan plan = ends_ok(asx_ms(1));
        const asx_instant begin = asx_now(cx);
        ended = asx_timeout(cx, 0, run_plan, &plan, nullptr);
        CHECK(asx_is_err(ended, ASX_E(TIMED_OUT)));
        CHECK(asx_now(cx) == begin);
        plan = ends_ok(asx_s(3), 4);
        ended = asx_timeout(cx, ASX_TIME_NEVER, run_plan, &plan, nullptr);
        CHECK(ended.value == 4);
        return asx_ok(0);
    });
}

namespace
{
struct bracket_story {
    bool acquire_waits, use_waits, use_fails, use_panics, release_waits, release_panics;
    int acquired, used, released;
};

asx_outcome story_acquire(asx_cx *cx, void *arg)
{
    bracket_story *const story = static_cast<bracket_story *>(arg);
    if (story->acquire_waits) {
        ASX_TRY(asx_sleep(cx, asx_ms(10)));
    }
    story->acquired++;
    return asx_ok(1234);
}

asx_outcome story_use(asx_cx *cx, uintptr_t resource, void *arg)
{
    bracket_story *const story = static_cast<bracket_story *>(arg);
    CHECK(resource == 1234);
    story->used++;
    if (story->use_waits) {
        ASX_TRY(asx_sleep(cx, asx_ms(10)));
    }
    if (story->use_panics) {
        asx_panic("use");
    }
    return story->use_fails ? asx_fail(user_error) : asx_ok(55);
}

void story_release(asx_cx *cx, uintptr_t resource, void *arg)
{
    bracket_story *const story = static_cast<bracket_story *>(arg);
    CHECK(resource == 1234);
    if (story->release_waits) { /* on input and output, whatever has been cancelled */
        asx_op op{};
        op.code = ASX_OP_TASK;
        op.arg = (uint32_t)asx_ms(20);
        op.work = [](asx_op *op) { op->result = 3; };
        CHECK(asx_is_ok(asx_op_await(cx, &op)));
    }
    story->released++;
    if (story->release_panics) {
        asx_panic("release");
    }
}
} // namespace

TEST_CASE("bracket: release runs exactly once for each acquire, on every path", "[combine]")
{
    for (unsigned bits = 0; bits < 64; bits++) {
        for (const asx_duration cancel_at : { 0u, 5000000u, 15000000u, 25000000u, 100000000u }) {
            static asx_duration cancel_ns;
            cancel_ns = cancel_at;
            CAPTURE(bits, cancel_ns);
            bracket_story story{};
            story.acquire_waits = bits & 1;
            story.use_waits = bits & 2;
            story.use_fails = bits & 4;
            story.use_panics = bits & 8;
            story.release_waits = bits & 16;
            story.release_panics = bits & 32;
            auto run = run_kernel(
                TASK {
                    bracket_story *const story = static_cast<bracket_story *>(arg);
                    asx_outcome value;
                    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                        const asx_handle task = asx_scope_spawn(
                            s,
                            TASK {
                                static const asx_bracket bracket = { story_acquire, story_use,
                                                                     story_release };
                                return asx_bracket_run(cx, &bracket, arg);
                            },
                            story, 0, nullptr);
                        ASX_TRY(asx_sleep(cx, cancel_ns));
                        asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
                        const asx_outcome joined = asx_join(cx, task);
                        const bool panics = story->used && story->use_panics &&
                                            joined.severity == ASX_SEVERITY_PANICKED;
                        CHECK((panics || story->release_panics || joined.severity < 3));
                        if (story->released && story->release_panics) {
                            REQUIRE(joined.severity == ASX_SEVERITY_PANICKED);
                            CHECK((std::string(joined.panic->message) == "release" || panics));
                        }
                    }
                    return asx_ok(0);
                },
                &story);
            CHECK(story.released == story.acquired);
            CHECK(story.used == story.acquired);
        }
    }
}

namespace
{
struct random_call {
    asx_prng prng;
    uint32_t calls;
};
random_call the_call;

uint64_t draw(uint64_t n)
{
    return asx_prng_below(&the_call.prng, n);
}

asx_outcome random_combinator(asx_cx *cx, unsigned depth);

struct random_branch {
    unsigned depth;
};

asx_outcome random_body(asx_cx *cx, void *arg)
{
    const unsigned depth = static_cast<random_branch *>(arg)->depth;
    switch (draw(7)) {
    case 0:
        return asx_ok(draw(9));
    case 1:
        return asx_fail(user_error);
    case 2:
        if (draw(3) == 0) {
            asx_panic("random");
        }
        return asx_yield(cx);
    case 3:
        if (depth < 2) {
            return random_combinator(cx, depth + 1);
        }
        return asx_sleep(cx, draw(4));
    case 4: {
        asx_outcome slept = asx_ok(0);
        ASX_MASK(cx, 1 + (uint32_t)draw(3)) {
            slept = asx_sleep(cx, draw(2000));
        }
        return slept;
    }
    default:
        return asx_sleep(cx, draw(4000));
    }
}

asx_outcome random_combinator(asx_cx *cx, unsigned depth)
{
    random_branch arg = { depth };
    asx_branch branches[4];
    const uint32_t count = 1 + (uint32_t)draw(4);
    for (asx_branch &branch : branches) {
        branch = asx_branch{};
        branch.fn = random_body;
        branch.arg = &arg;
    }
    the_call.calls++;
    switch (draw(4)) {
    case 0:
        return asx_join_all(cx, branches, count, nullptr);
    case 1:
        return asx_race(cx, branches, count, nullptr);
    case 2:
        return asx_timeout(cx, draw(3000), random_body, &arg, nullptr);
    default:
        bracket_story story{};
        story.use_waits = draw(2);
        static const asx_bracket bracket = { story_acquire, story_use, story_release };
        const asx_outcome ended = asx_bracket_run(cx, &bracket, &story);
        CHECK(story.released == story.acquired);
        return ended;
    }
}
} // namespace

TEST_CASE("combine: after every call, on every path, what lives is what lived before", "[combine]")
{
    the_call.calls = 0;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        INFO("seed " << seed);
        asx_prng_init(&the_call.prng, seed);
        run_kernel(
            TASK {
                asx_outcome value;
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                    const asx_handle task = asx_scope_spawn(
                        s,
                        TASK {
                            counts before = count_all(cx);
                            const asx_outcome ended = random_combinator(cx, 0);
                            before.timers = count_all(cx).timers; /* the canceller's comes, goes */
                            CHECK(count_all(cx) == before);
                            return ended;
                        },
                        nullptr, 0, nullptr);
                    ASX_TRY(asx_sleep(cx, draw(6000)));
                    asx_task_cancel(cx, task, (asx_cancel_kind)draw(ASX_CANCEL_KIND_COUNT),
                                    nullptr);
                }
                return asx_ok(0);
            },
            nullptr, seed);
    }
    CHECK(the_call.calls > 2000);
}

TEST_CASE("combine: where no scope can be opened the call is refused, and nothing is left",
          "[combine]")
{
    run_kernel(TASK {
        asx_region_options options{};
        options.limits.children_max = 1;
        asx_region *region = nullptr, *child = nullptr;
        REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
        asx_cx inner = *cx;
        inner._region = region;
        REQUIRE(asx_region_open(&inner, nullptr, &child) == ASX_OK);
        const counts before = count_all(cx);
        branch_plan plan = ends_ok(1);
        const asx_branch branch = branch_of(&plan);
        CHECK(asx_is_err(asx_join_all(&inner, &branch, 1, nullptr), ASX_E(AT_CAPACITY)));
        CHECK(asx_is_err(asx_race(&inner, &branch, 1, nullptr), ASX_E(AT_CAPACITY)));
        CHECK(asx_is_err(asx_timeout(&inner, 1, run_plan, &plan, nullptr), ASX_E(AT_CAPACITY)));
        CHECK(count_all(cx) == before);
        asx_region_close_begin(child, ASX_CLOSE_JOIN, nullptr);
        const asx_handle handle = asx_region_handle(region);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        CHECK(asx_is_err(asx_region_close_wait(cx, handle), ASX_E(STALE))); /* it was empty */
        return asx_ok(0);
    });
}

TEST_CASE("bracket: a release that overruns is judged by its region's policy", "[combine]")
{
    for (const asx_overrun each :
         { ASX_OVERRUN_SOFT, ASX_OVERRUN_BOUNDED_LOG, ASX_OVERRUN_BOUNDED_PANIC }) {
        static asx_overrun policy;
        policy = each;
        CAPTURE(policy);
        const auto run = run_kernel(TASK {
            asx_region_options options{};
            options.overrun = policy;
            options.policy = ASX_COLLECT_ALL;
            asx_region *region = nullptr;
            REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
            static int released;
            released = 0;
            REQUIRE(asx_spawn(
                        cx, region,
                        TASK {
                            static const asx_bracket bracket = {
                                [](asx_cx *, void *) -> asx_outcome { return asx_ok(1); },
                                [](asx_cx *cx, uintptr_t, void *) -> asx_outcome {
                                    return asx_sleep(cx, asx_s(1));
                                },
                                [](asx_cx *cx, uintptr_t, void *) {
                                    for (int i = 0; i < 80; i++) { /* fifty is what it has */
                                        ignored(asx_yield(cx));
                                    }
                                    released++;
                                }
                            };
                            return asx_bracket_run(cx, &bracket, nullptr);
                        },
                        nullptr, 0, nullptr, nullptr) == ASX_OK);
            ASX_TRY(asx_sleep(cx, asx_ms(1)));
            const asx_handle handle = asx_region_handle(region);
            asx_region_cancel(region, ASX_CANCEL_SHUTDOWN, nullptr);
            const asx_outcome value = asx_region_close_wait(cx, handle);
            if (policy == ASX_OVERRUN_BOUNDED_PANIC) {
                REQUIRE(value.severity == ASX_SEVERITY_PANICKED);
                CHECK(value.panic->cause == ASX_PANIC_ABANDONED);
                CHECK(released == 0);
            } else {
                CHECK(value.severity == ASX_SEVERITY_CANCELLED);
                CHECK(released == 1);
            }
            return asx_ok(0);
        });
        CHECK(run.stats.overruns == 1);
    }
}

TEST_CASE("race: unbiased, each of three that are ready at once wins in some run, and replays",
          "[combine]")
{
    static uint32_t winner;
    const auto tied = TASK
    {
        const asx_branch branches[] = {
            { [](asx_cx *, void *) { return asx_ok(0); }, nullptr, nullptr, "a", nullptr },
            { [](asx_cx *, void *) { return asx_ok(1); }, nullptr, nullptr, "b", nullptr },
            { [](asx_cx *, void *) { return asx_ok(2); }, nullptr, nullptr, "c", nullptr },
        };
        const asx_outcome won = asx_race_unbiased(cx, branches, 3, &winner);
        CHECK(won.value == winner);
        return asx_ok(winner);
    };
    unsigned wins[3] = { 0, 0, 0 };
    for (uint64_t seed = 1; seed <= 60; seed++) {
        const uint64_t first = run_kernel(tied, nullptr, seed).outcome.value;
        REQUIRE(first < 3);
        wins[first]++;
        CHECK(run_kernel(tied, nullptr, seed).outcome.value == first);
    }
    CHECK(wins[0] > 5);
    CHECK(wins[1] > 5);
    CHECK(wins[2] > 5);
}

TEST_CASE("race: unbiased wants the capability that it draws with", "[combine]")
{
    run_kernel(TASK {
        asx_cx poor;
        REQUIRE(asx_cx_restrict(cx, ASX_CAP_ALL & ~(uint32_t)ASX_CAP_RANDOM, &poor) == ASX_OK);
        CHECK(asx_random_below(&poor, 3) == 0);
        const asx_outcome refused = asx_race_unbiased(&poor, nullptr, 0, nullptr);
        CHECK(refused.severity == ASX_SEVERITY_ERR);
        CHECK(refused.err == ASX_E(NO_CAPABILITY));
        return asx_ok(0);
    });
}
