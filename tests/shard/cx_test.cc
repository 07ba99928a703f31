/* Contexts: no operation adds a capability, and an effect without its bit has no effect at all. */
#include <asx/shard/limb.h>

#include "kernel_fixture.h"

namespace
{
const asx_cap all_caps[] = { ASX_CAP_SPAWN, ASX_CAP_TIME,    ASX_CAP_RANDOM,   ASX_CAP_NET,
                             ASX_CAP_FS,    ASX_CAP_PROCESS, ASX_CAP_BLOCKING, ASX_CAP_REMOTE };

asx_outcome nothing(asx_cx *, void *)
{
    return asx_ok(0);
}

/* Tries the effect of one capability; what it answered. */
asx_err effect_of(asx_cx *cx, asx_cap cap)
{
    asx_op op{};
    asx_outcome done = asx_ok(0);
    switch (cap) {
    case ASX_CAP_SPAWN: {
        asx_region *region = nullptr;
        const asx_err opened = asx_region_open(cx, nullptr, &region);
        if (!opened) {
            asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        }
        const asx_err spawned = asx_spawn(cx, nullptr, nothing, nullptr, 0, nullptr, nullptr);
        CHECK(spawned == opened);
        return spawned;
    }
    case ASX_CAP_TIME:
        CHECK((asx_now(cx) == 0) == !(cx->_caps & ASX_CAP_TIME));
        done = asx_sleep(cx, 1);
        break;
    case ASX_CAP_RANDOM:
        CHECK((asx_random_u64(cx) == 0) == !(cx->_caps & ASX_CAP_RANDOM));
        return asx_cx_require(cx, cap);
    case ASX_CAP_NET:
        op.code = ASX_OP_POLL;
        done = asx_op_await_until(cx, &op, asx_shard_now(asx_shard_of(cx)) + 1);
        return done.err == ASX_E(TIMED_OUT) ? ASX_OK : done.err;
    case ASX_CAP_FS:
        op.code = ASX_OP_FSYNC;
        done = asx_op_await(cx, &op);
        return done.err == ASX_E(NO_CAPABILITY) ? done.err : ASX_OK;
    case ASX_CAP_BLOCKING:
        op.code = ASX_OP_TASK;
        op.work = [](asx_op *) {};
        done = asx_op_await(cx, &op);
        break;
    case ASX_CAP_REMOTE:
        return asx_spawn_on(cx, 0, nothing, nullptr, 0, nullptr, nullptr) == ASX_E(NO_CAPABILITY)
                   ? ASX_E(NO_CAPABILITY)
                   : ASX_OK;
    case ASX_CAP_PROCESS:
        return asx_cx_require(cx, cap);
    }
    return done.severity == ASX_SEVERITY_ERR ? done.err : ASX_OK;
}
} // namespace

TEST_CASE("cx: each effect needs its own bit, and no nesting of restrictions brings one back",
          "[cx]")
{
    run_kernel(TASK {
        for (const asx_cap cap : all_caps) {
            CAPTURE(asx_cap_name(cap));
            CHECK(effect_of(cx, cap) == ASX_OK);
            asx_cx without, again, none, wide;
            REQUIRE(asx_cx_restrict(cx, ASX_CAP_ALL & ~(uint32_t)cap, &without) == ASX_OK);
            const uint64_t ops = stats_of(cx).ops_started, spawned = stats_of(cx).spawned;
            CHECK(effect_of(&without, cap) == ASX_E(NO_CAPABILITY));
            CHECK(stats_of(cx).ops_started == ops);
            CHECK(stats_of(cx).spawned == spawned);
            REQUIRE(asx_cx_restrict(&without, ASX_CAP_ALL, &again) == ASX_OK);
            CHECK(effect_of(&again, cap) == ASX_E(NO_CAPABILITY));
            REQUIRE(asx_cx_restrict(cx, 0, &none) == ASX_OK);
            REQUIRE(asx_cx_restrict(&none, ASX_CAP_ALL, &wide) == ASX_OK);
            CHECK(asx_cx_require(&wide, cap) == ASX_E(NO_CAPABILITY));
            CHECK(effect_of(cx, cap) == ASX_OK); /* leaving restores */
        }
        return asx_ok(0);
    });
}

TEST_CASE("cx: a child of a restricted task cannot regain what that lacks", "[cx]")
{
    run_kernel(TASK {
        asx_cx poor;
        REQUIRE(asx_cx_restrict(cx, ASX_CAP_SPAWN | ASX_CAP_TIME, &poor) == ASX_OK);
        asx_spawn_options options{};
        options.caps = ASX_CAP_ALL;
        asx_handle task;
        REQUIRE(asx_spawn(
                    &poor, nullptr,
                    TASK {
                        CHECK(asx_cx_require(cx, ASX_CAP_TIME) == ASX_OK);
                        CHECK(asx_cx_require(cx, ASX_CAP_NET) == ASX_E(NO_CAPABILITY));
                        asx_spawn_options options{};
                        options.caps = ASX_CAP_NET | ASX_CAP_TIME;
                        asx_handle grandchild;
                        REQUIRE(asx_spawn(
                                    cx, nullptr,
                                    TASK {
                                        CHECK(asx_cx_require(cx, ASX_CAP_TIME) == ASX_OK);
                                        CHECK(asx_cx_require(cx, ASX_CAP_SPAWN) ==
                                              ASX_E(NO_CAPABILITY));
                                        CHECK(asx_cx_require(cx, ASX_CAP_NET) ==
                                              ASX_E(NO_CAPABILITY));
                                        return asx_ok(0);
                                    },
                                    nullptr, 0, &options, &grandchild) == ASX_OK);
                        return asx_join(cx, grandchild);
                    },
                    nullptr, 0, &options, &task) == ASX_OK);
        return asx_join(cx, task);
    });
}

TEST_CASE("cx: thirty-two restrictions nest, the next is refused", "[cx]")
{
    run_kernel(TASK {
        asx_cx nested[ASX_RESTRICT_DEPTH_MAX + 1];
        nested[0] = *cx;
        for (uint32_t i = 0; i < ASX_RESTRICT_DEPTH_MAX; i++) {
            REQUIRE(asx_cx_restrict(&nested[i], ASX_CAP_ALL, &nested[i + 1]) == ASX_OK);
        }
        asx_cx beyond;
        CHECK(asx_cx_restrict(&nested[ASX_RESTRICT_DEPTH_MAX], ASX_CAP_ALL, &beyond) ==
              ASX_E(AT_CAPACITY));
        CHECK(asx_is_ok(asx_sleep(&nested[ASX_RESTRICT_DEPTH_MAX], 1)));
        return asx_ok(0);
    });
}

TEST_CASE("cx: that of another task is refused by every call, and nothing happens", "[cx]")
{
    run_kernel(TASK {
        static asx_cx *foreign;
        foreign = cx;
        asx_handle task;
        REQUIRE(asx_spawn(
                    cx, nullptr,
                    TASK {
                        const uint64_t spawned = stats_of(cx).spawned;
                        asx_obligation_options options{};
                        asx_permit permit;
                        CHECK(asx_is_err(asx_checkpoint(foreign), ASX_E(WRONG_TASK)));
                        CHECK(asx_is_err(asx_yield(foreign), ASX_E(WRONG_TASK)));
                        CHECK(asx_is_err(asx_sleep(foreign, 1), ASX_E(WRONG_TASK)));
                        CHECK(asx_is_err(asx_join(foreign, asx_cx_task(cx)), ASX_E(WRONG_TASK)));
                        CHECK(asx_spawn(foreign, nullptr, nothing, nullptr, 0, nullptr, nullptr) ==
                              ASX_E(WRONG_TASK));
                        CHECK(asx_obligation_reserve(foreign, &options, &permit) ==
                              ASX_E(WRONG_TASK));
                        CHECK(asx_random_u64(foreign) == 0);
                        CHECK(stats_of(cx).spawned == spawned);
                        return asx_ok(0);
                    },
                    nullptr, 0, nullptr, &task) == ASX_OK);
        return asx_join(cx, task);
    });
}

TEST_CASE("cx: one without a runtime can do nothing", "[cx]")
{
    const asx_cx detached{};
    for (const asx_cap cap : all_caps) {
        CHECK(asx_cx_require(&detached, cap) == ASX_E(RUNTIME_UNAVAILABLE));
    }
}

TEST_CASE("cx: a task that may not look at the clock is still ended by its deadline", "[cx]")
{
    run_kernel(TASK {
        asx_budget budget = ASX_BUDGET_UNLIMITED;
        budget.deadline_ns = asx_now(cx) + asx_ms(7);
        asx_spawn_options options{};
        options.budget = &budget;
        options.caps = ASX_CAP_ALL & ~(uint32_t)ASX_CAP_TIME;
        asx_handle task;
        REQUIRE(asx_spawn(
                    cx, nullptr,
                    TASK {
                        CHECK(asx_now(cx) == 0);
                        CHECK(asx_is_err(asx_sleep(cx, 1), ASX_E(NO_CAPABILITY)));
                        asx_event never{};
                        return asx_event_wait(cx, &never, "nothing", ASX_TIME_NEVER);
                    },
                    nullptr, 0, &options, &task) == ASX_OK);
        const asx_outcome joined = asx_join(cx, task);
        REQUIRE(joined.severity == ASX_SEVERITY_CANCELLED);
        CHECK(joined.reason->kind == ASX_CANCEL_DEADLINE);
        return asx_ok(0);
    });
}

TEST_CASE("cx: draws below n are unbiased where most of the range has to be rejected, and are the "
          "seed's",
          "[cx]")
{
    static std::vector<uint64_t> first;
    first.clear();
    for (int round = 0; round < 2; round++) {
        run_kernel(
            TASK {
                const uint64_t third = UINT64_C(1) << 62;
                uint64_t counts[3] = {};
                for (int i = 0; i < 30000; i++) {
                    const uint64_t drawn = asx_random_below(cx, 3 * third);
                    REQUIRE(drawn < 3 * third);
                    counts[drawn / third]++;
                    if (first.size() < 30000) {
                        first.push_back(drawn);
                    } else if (drawn != first[(size_t)i]) {
                        FAIL("another run of the seed drew another number");
                    }
                }
                for (const uint64_t count : counts) { /* seven standard deviations */
                    CHECK(count > 9430);
                    CHECK(count < 10570);
                }
                CHECK(asx_random_below(cx, 1) == 0);
                return asx_ok(0);
            },
            nullptr, 99);
    }
}
