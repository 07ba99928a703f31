/* Obligations: resolved exactly once, by their holder, and judged by the audit when they were not.
 * */
#include "kernel_fixture.h"

static asx_permit reserve(asx_cx *cx)
{
    asx_obligation_options options{};
    options.kind = ASX_OBLIGATION_LEASE;
    options.what = "lease";
    asx_permit permit{};
    CHECK(asx_obligation_reserve(cx, &options, &permit) == ASX_OK);
    return permit;
}

TEST_CASE("obligation: a permit resolves once, and only for its holder", "[obligation]")
{
    auto run = run_kernel(TASK {
        static asx_permit shared;
        asx_permit one = reserve(cx);
        const asx_permit copy = one;
        CHECK(asx_obligation_commit(cx, one) == ASX_OK);
        CHECK(asx_obligation_commit(cx, one) == ASX_E(STALE));
        CHECK(asx_obligation_abort(cx, copy) == ASX_E(STALE));
        shared = reserve(cx); /* reuses the slot: the old permit stays stale */
        CHECK(asx_obligation_commit(cx, one) == ASX_E(STALE));
        asx_handle other;
        REQUIRE(asx_spawn(
                    cx, nullptr,
                    TASK {
                        CHECK(asx_obligation_commit(cx, shared) == ASX_E(TOKEN_MISMATCH));
                        ASX_TRY(asx_sleep(cx, 10));
                        CHECK(asx_obligation_commit(cx, shared) == ASX_OK);
                        return asx_ok(0);
                    },
                    nullptr, 0, nullptr, &other) == ASX_OK);
        ASX_TRY(asx_sleep(cx, 5));
        CHECK(asx_obligation_transfer(cx, shared, other) == ASX_OK);
        CHECK(asx_obligation_commit(cx, shared) == ASX_E(TOKEN_MISMATCH));
        return asx_join(cx, other);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
    CHECK(run.stats.obligations_committed == 2);
}

enum class ending { ok, err, acknowledged, unnoticed, panic, abandoned, never };

static asx_outcome holder(asx_cx *cx, void *arg)
{
    const ending how = *static_cast<ending *>(arg);
    (void)reserve(cx);
    switch (how) {
    case ending::ok:
        return asx_ok(3);
    case ending::err:
        return asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, 1));
    case ending::acknowledged:
        return asx_sleep(cx, asx_s(1));
    case ending::unnoticed: {
        ASX_MASK(cx, 10) {
            ignored(asx_sleep(cx, asx_s(1)));
        }
        return asx_ok(3);
    }
    case ending::panic:
        asx_panic("holding");
    case ending::abandoned:
        for (;;) { /* heeds nothing, until the region's policy ends it */
            ignored(asx_sleep(cx, asx_s(1)));
        }
    case ending::never:
        break;
    }
    return asx_ok(0);
}

TEST_CASE("obligation: what the audit makes of every ending under every response", "[obligation]")
{
    for (const asx_leak_response response :
         { ASX_LEAK_PANIC, ASX_LEAK_LOG, ASX_LEAK_SILENT, ASX_LEAK_RECOVER }) {
        for (const ending how : { ending::ok, ending::err, ending::acknowledged, ending::unnoticed,
                                  ending::panic, ending::abandoned, ending::never }) {
            CAPTURE(response, (int)how);
            static asx_outcome joined;
            static ending shared;
            static int cause;
            shared = how;
            auto run = run_kernel(
                TASK {
                    asx_region_options options{};
                    options.policy = ASX_COLLECT_ALL;
                    options.overrun = ASX_OVERRUN_BOUNDED_PANIC;
                    asx_region *region = nullptr;
                    REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
                    const asx_handle closing = asx_region_handle(region);
                    {
                        asx_handle task;
                        REQUIRE(asx_spawn(cx, region, holder, &shared, sizeof(shared), nullptr,
                                          &task) == ASX_OK);
                        if (shared != ending::never) {
                            ASX_TRY(asx_sleep(cx, 5));
                        }
                        asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
                        joined = asx_join(cx, task);
                        cause = joined.severity == ASX_SEVERITY_PANICKED ? joined.panic->cause : -1;
                    }
                    asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
                    asx_region *gone;
                    CHECK(asx_region_lookup(asx_shard_of(cx), closing, &gone) == ASX_E(STALE));
                    return asx_ok(0);
                },
                nullptr, 1, response);
            const bool leaks = how == ending::ok || how == ending::err || how == ending::unnoticed;
            CHECK(run.stats.obligations_leaked == (leaks ? 1u : 0u));
            CHECK(run.stats.obligations_aborted == (leaks || how == ending::never ? 0u : 1u));
            const size_t lines =
                (leaks && response != ASX_LEAK_SILENT ? 1u : 0u) + (how == ending::abandoned);
            CHECK(run.lines.size() == lines);
            if (how == ending::panic) {
                CHECK(cause == ASX_PANIC_EXPLICIT);
            } else if (how == ending::abandoned) {
                CHECK(cause == ASX_PANIC_ABANDONED);
            } else if (leaks && response == ASX_LEAK_PANIC) {
                CHECK(cause == ASX_PANIC_LEAK);
            } else if (how == ending::ok) {
                CHECK(asx_is_ok(joined));
            } else if (how == ending::err) {
                CHECK(joined.severity == ASX_SEVERITY_ERR);
            } else {
                CHECK(joined.severity == ASX_SEVERITY_CANCELLED);
            }
        }
    }
}

TEST_CASE("obligation: a region at its limit refuses, and counts nothing for it", "[obligation]")
{
    run_kernel(TASK {
        asx_region_options options{};
        options.limits.obligations_max = 2;
        asx_region *region = nullptr;
        REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
        REQUIRE(asx_spawn(
                    cx, region,
                    TASK {
                        const asx_permit a = reserve(cx), b = reserve(cx);
                        asx_obligation_options options{};
                        asx_permit c;
                        CHECK(asx_obligation_reserve(cx, &options, &c) == ASX_E(AT_CAPACITY));
                        CHECK(asx_obligation_commit(cx, a) == ASX_OK);
                        CHECK(asx_obligation_reserve(cx, &options, &c) == ASX_OK);
                        CHECK(asx_obligation_abort(cx, b) == ASX_OK);
                        CHECK(asx_obligation_abort(cx, c) == ASX_OK);
                        return asx_ok(0);
                    },
                    nullptr, 0, nullptr, nullptr) == ASX_OK);
        const asx_handle handle = asx_region_handle(region);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        CHECK(asx_is_ok(asx_region_close_wait(cx, handle)));
        return asx_ok(0);
    });
}

TEST_CASE("obligation: from the threshold on, the response is the escalated one", "[obligation]")
{
    const asx_leak_response bases[] = { ASX_LEAK_LOG, ASX_LEAK_SILENT, ASX_LEAK_RECOVER };
    for (const asx_leak_response base : bases) {
        for (const uint32_t threshold : { 1u, 3u, 5u }) {
            CAPTURE(base, threshold);
            kernel_setup setup;
            setup.shard.leak_response = base;
            setup.shard.leak_threshold = threshold;
            setup.shard.leak_escalation = ASX_LEAK_PANIC;
            static uint32_t panicked_from;
            panicked_from = 0;
            const auto run = run_kernel_with(
                setup, TASK {
                    asx_outcome value;
                    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                        for (uint32_t i = 1; i <= 5; i++) {
                            ending how = ending::ok;
                            const asx_handle task = ASX_SPAWN(s, holder, &how);
                            const asx_outcome joined = asx_join(cx, task);
                            if (joined.severity == ASX_SEVERITY_PANICKED) {
                                CHECK(joined.panic->cause == ASX_PANIC_LEAK);
                                panicked_from = panicked_from ? panicked_from : i;
                            } else {
                                CHECK(asx_is_ok(joined));
                                CHECK(panicked_from == 0);
                            }
                        }
                    }
                    return asx_ok(0);
                });
            CHECK(panicked_from == threshold);
            CHECK(run.stats.obligations_leaked == 5);
        }
    }
}

TEST_CASE("obligation: what guards a resource is told how it ended, once, whoever ended it",
          "[obligation]")
{
    for (const asx_leak_response response : { ASX_LEAK_LOG, ASX_LEAK_RECOVER }) {
        static std::vector<asx_settlement> told;
        told.clear();
        run_kernel(
            TASK {
                asx_outcome value;
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                    for (int how = 0; how < 2; how++) {
                        const asx_handle task = asx_scope_spawn(
                            s,
                            TASK {
                                asx_obligation_options options{};
                                options.kind = ASX_OBLIGATION_SEMAPHORE_PERMIT;
                                options.settle = [](void *, uint64_t, asx_settlement how) {
                                    told.push_back(how);
                                };
                                asx_permit permit;
                                REQUIRE(asx_obligation_reserve(cx, &options, &permit) == ASX_OK);
                                ASX_TRY(asx_sleep(cx, asx_ms(5)));
                                return asx_ok(0);
                            },
                            nullptr, 0, nullptr);
                        ASX_TRY(asx_sleep(cx, asx_ms(1)));
                        if (how == 0) {
                            asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
                        }
                        ignored(asx_join(cx, task));
                    }
                }
                return asx_ok(0);
            },
            nullptr, 1, response);
        REQUIRE(told.size() == 2);
        CHECK(told[0] == ASX_SETTLED_CANCEL);
        CHECK(told[1] == (response == ASX_LEAK_RECOVER ? ASX_SETTLED_RECOVERED : ASX_SETTLED_LEAK));
    }
}

static void expect_balance(const asx_cx *cx)
{
    const asx_shard_stats stats = stats_of(cx);
    REQUIRE(stats.obligations_reserved == stats.obligations_committed + stats.obligations_aborted +
                                              stats.obligations_leaked + stats.obligations_pending);
}

TEST_CASE("obligation: the ledger balances after every step of many tasks", "[obligation]")
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        run_kernel(
            TASK {
                asx_outcome value;
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                    for (int i = 0; i < 8; i++) {
                        const asx_handle task = asx_scope_spawn(
                            s,
                            TASK {
                                asx_permit held[4];
                                for (asx_permit &permit : held) {
                                    permit = reserve(cx);
                                    expect_balance(cx);
                                    ASX_TRY(asx_sleep(cx, asx_random_below(cx, 1000)));
                                }
                                for (asx_permit &permit : held) {
                                    const uint64_t how = asx_random_below(cx, 3);
                                    if (how < 2) {
                                        CHECK((how ? asx_obligation_commit(cx, permit)
                                                   : asx_obligation_abort(cx, permit)) == ASX_OK);
                                    }
                                    expect_balance(cx);
                                }
                                return asx_ok(0);
                            },
                            nullptr, 0, nullptr);
                        if (i % 3 == 0) {
                            ASX_TRY(asx_sleep(cx, 300));
                            asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
                        }
                        expect_balance(cx);
                    }
                }
                return asx_ok(0);
            },
            nullptr, seed, ASX_LEAK_LOG);
    }
}

TEST_CASE("obligation: a transfer goes to a live task of the same region only", "[obligation]")
{
    run_kernel(TASK {
        const asx_permit permit = reserve(cx);
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            const asx_handle elsewhere = asx_scope_spawn(
                s, TASK { return asx_ok(0); }, nullptr, 0, nullptr);
            CHECK(asx_obligation_transfer(cx, permit, elsewhere) == ASX_E(TASK_NOT_OWNED));
        }
        asx_handle done;
        REQUIRE(asx_spawn(
                    cx, nullptr, TASK { return asx_ok(0); }, nullptr, 0, nullptr, &done) == ASX_OK);
        ASX_TRY(asx_sleep(cx, 1));
        CHECK(asx_obligation_transfer(cx, permit, done) == ASX_E(TASK_NOT_OWNED));
        CHECK(asx_is_ok(asx_join(cx, done)));
        CHECK(asx_obligation_transfer(cx, permit, done) == ASX_E(STALE));
        CHECK(asx_obligation_commit(cx, permit) == ASX_OK);
        return asx_ok(0);
    });
}
