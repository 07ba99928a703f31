/* Outcomes as values: the join is a lattice, and no fold depends on who finished first. */
#include <asx/shard/base/prng.h>
#include <asx/shard/cancel.h>
#include <asx/shard/outcome.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace
{
/* One of each severity, and two that tie. */
struct samples {
    const asx_reason *user =
        asx_reason_create(ASX_CANCEL_USER, asx_handle{}, asx_handle{}, 1, nullptr, nullptr);
    const asx_reason *shutdown =
        asx_reason_create(ASX_CANCEL_SHUTDOWN, asx_handle{}, asx_handle{}, 2, nullptr, nullptr);
    asx_panic_info *p = asx_panic_info_create(ASX_PANIC_EXPLICIT, "f", 1, "p");
    asx_panic_info *q = asx_panic_info_create(ASX_PANIC_ASSERT, "f", 1, "q");
    std::vector<asx_outcome> all = { asx_ok(1),       asx_ok(2),           asx_fail(1),
                                     asx_fail(2),     asx_cancelled(user), asx_cancelled(shutdown),
                                     asx_panicked(p), asx_panicked(q) };

    ~samples()
    {
        asx_reason_release(user);
        asx_reason_release(shutdown);
        asx_panic_info_release(p);
        asx_panic_info_release(q);
    }
};

bool same(asx_outcome a, asx_outcome b)
{
    return a.severity == b.severity && a.value == b.value;
}
} // namespace

TEST_CASE("outcome: join over all pairs takes the worse, and the left of equals but for reasons",
          "[outcome]")
{
    samples s;
    for (const asx_outcome &a : s.all) {
        for (const asx_outcome &b : s.all) {
            const asx_outcome joined = asx_outcome_join(a, b);
            asx_outcome want = b.severity > a.severity ? b : a;
            if (a.severity == ASX_SEVERITY_CANCELLED && b.severity == ASX_SEVERITY_CANCELLED) {
                want = asx_cancelled(asx_reason_strengthen(a.reason, b.reason));
            }
            CHECK(same(joined, want));
            CHECK(same(asx_outcome_join(a, a), a));
            CHECK(asx_outcome_join(b, a).severity == joined.severity);
        }
    }
}

TEST_CASE("outcome: join is associative over all triples, values included", "[outcome]")
{
    samples s;
    for (const asx_outcome &a : s.all) {
        for (const asx_outcome &b : s.all) {
            for (const asx_outcome &c : s.all) {
                CHECK(same(asx_outcome_join(asx_outcome_join(a, b), c),
                           asx_outcome_join(a, asx_outcome_join(b, c))));
            }
        }
    }
}

TEST_CASE("outcome: the aggregate names the lowest index of what decided, and counts the failures",
          "[outcome]")
{
    samples s;
    const asx_outcome mixed[] = { asx_fail(7), asx_cancelled(s.user), asx_panicked(s.p),
                                  asx_panicked(s.q), asx_fail(8) };
    asx_aggregate sum = asx_outcome_aggregate(mixed, 5);
    CHECK(same(sum.outcome, mixed[2]));
    CHECK(sum.index == 2);
    CHECK(sum.failures == 2);
    sum = asx_outcome_aggregate(mixed, 2);
    CHECK(same(sum.outcome, mixed[1]));
    sum = asx_outcome_aggregate(mixed, 1);
    CHECK(asx_is_err(sum.outcome, 7));
    CHECK(sum.index == 0);
    CHECK(sum.failures == 1);
    const asx_outcome errors[] = { asx_ok(3), asx_fail(5), asx_fail(4) };
    sum = asx_outcome_aggregate(errors, 3);
    CHECK(asx_is_err(sum.outcome, 5));
    CHECK(sum.index == 1);
    CHECK(sum.failures == 2);
    const asx_outcome reasons[] = { asx_cancelled(s.user), asx_ok(1), asx_cancelled(s.shutdown) };
    sum = asx_outcome_aggregate(reasons, 3);
    CHECK(sum.outcome.reason == s.shutdown);
    CHECK(asx_is_ok(asx_outcome_aggregate(nullptr, 0).outcome));
}

TEST_CASE("outcome: a long panic message is cut and marked, an empty one is named", "[outcome]")
{
    const std::string text(10240, 'x');
    asx_panic_info *info = asx_panic_info_create(ASX_PANIC_EXPLICIT, "f", 1, text.c_str());
    REQUIRE(info);
    CHECK(info->cut);
    CHECK(std::string(info->message).size() == ASX_PANIC_MESSAGE_MAX - 1);
    asx_panic_info_release(info);
    info = asx_panic_info_create(ASX_PANIC_EXPLICIT, "f", 1, "");
    REQUIRE(info);
    CHECK(std::string(info->message) == "unknown panic");
    CHECK_FALSE(info->cut);
    CHECK(asx_outcome_http_status(asx_panicked(info)) == 500);
    asx_panic_info_release(info);
}

TEST_CASE("outcome: each case has its status for HTTP", "[outcome]")
{
    CHECK(asx_outcome_http_status(asx_ok(0)) == 200);
    CHECK(asx_outcome_http_status(asx_fail(ASX_ERR(ASX_ERR_DOMAIN_HTTP, 418))) == 418);
    CHECK(asx_outcome_http_status(asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, 1))) == 500);
    for (const asx_err err : { ASX_E(OVERLOADED), ASX_E(AT_CAPACITY), ASX_E(NO_MEMORY),
                               ASX_E(NO_STACK), ASX_E(NO_SLOTS) }) {
        CHECK(asx_outcome_http_status(asx_fail(err)) == 503);
    }
    CHECK(asx_outcome_http_status(asx_fail(ASX_E(STALE))) == 500);
    CHECK(asx_outcome_http_status(asx_cancelled(nullptr)) == 499);
    samples s;
    CHECK(asx_outcome_http_status(asx_cancelled(s.user)) == 499);
    CHECK(asx_outcome_http_status(asx_panicked(s.p)) == 500);
}
