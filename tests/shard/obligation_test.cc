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

enum class ending { ok, err, acknowledged, unnoticed, panic, never };

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
                                  ending::panic, ending::never }) {
            CAPTURE(response, (int)how);
            static asx_outcome joined;
            static ending shared;
            static int cause;
            shared = how;
            auto run = run_kernel(
                TASK {
                    asx_outcome value;
                    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                        asx_handle task = ASX_SPAWN(s, holder, &shared);
                        if (shared != ending::never) {
                            ASX_TRY(asx_sleep(cx, 5));
                        }
                        asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
                        joined = asx_join(cx, task);
                        cause = joined.severity == ASX_SEVERITY_PANICKED ? joined.panic->cause : -1;
                    }
                    return asx_ok(0);
                },
                nullptr, 1, response);
            const bool leaks = how == ending::ok || how == ending::err || how == ending::unnoticed;
            CHECK(run.stats.obligations_leaked == (leaks ? 1u : 0u));
            CHECK(run.stats.obligations_aborted == (leaks || how == ending::never ? 0u : 1u));
            CHECK(run.lines.size() == (leaks && response != ASX_LEAK_SILENT ? 1u : 0u));
            if (how == ending::panic) {
                CHECK(cause == ASX_PANIC_EXPLICIT);
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
