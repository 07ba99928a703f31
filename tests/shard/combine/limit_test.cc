/* Retry, breaker, bulkhead, rate limit: exact counts and instants, in virtual time. */
#include <asx/shard/combine/breaker.h>
#include <asx/shard/combine/bulkhead.h>
#include <asx/shard/combine/ratelimit.h>
#include <asx/shard/combine/retry.h>

#include "../sync/sync_fixture.h"

namespace
{

const asx_err broken = ASX_ERR(ASX_ERR_DOMAIN_USER, 3);

struct script {
    std::vector<int> acts; /* 0 ok, 1 err, 2 panic, 3 hang */
    size_t at = 0;
    asx_duration takes_ns = 0;
};

asx_outcome act(asx_cx *cx, void *arg)
{
    script *const s = static_cast<script *>(arg);
    const int what = s->at < s->acts.size() ? s->acts[s->at] : 0;
    s->at++;
    if (s->takes_ns || what == 3) {
        ASX_TRY(asx_sleep(cx, what == 3 ? asx_s(1000) : s->takes_ns));
    }
    if (what == 2) {
        asx_panic("as told");
    }
    return what == 1 ? asx_fail(broken) : asx_ok(1);
}

} // namespace

TEST_CASE("retry: delays grow, only errors are tried again, and attempts are counted", "[combine]")
{
    run_body([](asx_cx *cx) {
        asx_retry_options options{};
        options.no_jitter = true;
        asx_retry_result result;
        script fails{ { 1, 1, 1, 1 } };
        const asx_instant begin = asx_now(cx);
        CHECK(asx_is_err(asx_retry(cx, act, &fails, &options, &result), broken));
        CHECK(result.attempts == 3);
        CHECK(asx_now(cx) - begin == asx_ms(300));
        CHECK(result.delayed_ns == asx_ms(300));
        script second{ { 1, 0 } };
        CHECK(asx_is_ok(asx_retry(cx, act, &second, &options, &result)));
        CHECK(result.attempts == 2);
        options.retries = [](asx_err, uint32_t, void *) { return false; };
        script refused{ { 1, 0 } };
        CHECK(asx_is_err(asx_retry(cx, act, &refused, &options, &result), broken));
        CHECK(result.attempts == 1);
        CHECK(asx_retry_delay(&options, 1) == asx_ms(100));
        CHECK(asx_retry_delay(&options, 4) == asx_ms(800));
        CHECK(asx_retry_delay(&options, UINT32_MAX) == asx_s(30));
        return asx_ok(0);
    });
}

TEST_CASE("retry: no delay beyond the deadline is slept, and a shared budget runs dry", "[combine]")
{
    run_body([](asx_cx *cx) {
        body tight = [](asx_cx *c) {
            asx_retry_options options{};
            options.no_jitter = true;
            script fails{ { 1, 1, 1 } };
            asx_deadline_tighten(c, asx_ms(150));
            const asx_instant begin = asx_now(c);
            CHECK(asx_is_err(asx_retry(c, act, &fails, &options, nullptr), broken));
            CHECK(asx_now(c) - begin == asx_ms(100));
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, tight);
        }
        asx_retry_budget budget{ 1, 10, 500000, 0 };
        asx_retry_options options{};
        options.budget = &budget;
        asx_retry_result result;
        script fails{ { 1, 1, 1 } };
        CHECK(asx_is_err(asx_retry(cx, act, &fails, &options, &result), broken));
        CHECK(result.attempts == 2);
        CHECK(result.delayed_ns >= asx_ms(100)); /* jitter only adds */
        CHECK(result.delayed_ns <= asx_ms(110));
        script good{};
        CHECK(asx_is_ok(asx_retry(cx, act, &good, &options, &result)));
        CHECK(budget.tokens == 0);
        CHECK(asx_is_ok(asx_retry(cx, act, &good, &options, &result)));
        CHECK(budget.tokens == 1);
        return asx_ok(0);
    });
}

TEST_CASE("breaker: opens after failures in a row, probes after a while, closes after successes",
          "[combine]")
{
    run_body([](asx_cx *cx) {
        asx_breaker breaker;
        asx_breaker_init(&breaker, nullptr);
        asx_duration remaining = 0;
        script s{ { 1, 1, 1, 1, 0, 1, 1, 1, 1, 1 } };
        for (int i = 0; i < 10; i++) {
            (void)asx_breaker_call(cx, &breaker, act, &s, nullptr).severity;
            CHECK(asx_breaker_state_of(&breaker, asx_now(cx)) ==
                  (i < 9 ? ASX_BREAKER_CLOSED : ASX_BREAKER_OPEN));
        }
        ASX_TRY(asx_sleep(cx, asx_s(10)));
        CHECK(asx_is_err(asx_breaker_call(cx, &breaker, act, &s, &remaining), ASX_E(CIRCUIT_OPEN)));
        CHECK(remaining == asx_s(20));
        CHECK(s.at == 10);
        ASX_TRY(asx_sleep(cx, asx_s(20)));
        CHECK(asx_is_ok(asx_breaker_call(cx, &breaker, act, &s, nullptr)));
        CHECK(asx_breaker_state_of(&breaker, asx_now(cx)) == ASX_BREAKER_HALF_OPEN);
        CHECK(asx_is_ok(asx_breaker_call(cx, &breaker, act, &s, nullptr)));
        CHECK(asx_breaker_state_of(&breaker, asx_now(cx)) == ASX_BREAKER_CLOSED);
        return asx_ok(0);
    });
}

TEST_CASE("breaker: one probe at a time; a cancelled one gives it back, a panic is a failure",
          "[combine]")
{
    run_body([](asx_cx *cx) {
        asx_breaker breaker;
        asx_breaker_options options{};
        options.failure_threshold = 1;
        options.is_failure = [](asx_err, void *) { return false; };
        asx_breaker_init(&breaker, &options);
        script panics{ { 2 } }, hangs{ { 3 } }, good{};
        body call_panics = [&](asx_cx *c) {
            return asx_breaker_call(c, &breaker, act, &panics, nullptr);
        };
        body call_hangs = [&](asx_cx *c) {
            return asx_breaker_call(c, &breaker, act, &hangs, nullptr);
        };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            go(s, call_panics);
        }
        CHECK(asx_breaker_state_of(&breaker, asx_now(cx)) == ASX_BREAKER_OPEN);
        ASX_TRY(asx_sleep(cx, asx_s(30)));
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle probe = go(s, call_hangs);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(asx_is_err(asx_breaker_call(cx, &breaker, act, &good, nullptr),
                             ASX_E(CIRCUIT_OPEN)));
            asx_task_cancel(cx, probe, ASX_CANCEL_USER, "the probe");
        }
        CHECK(asx_is_ok(asx_breaker_call(cx, &breaker, act, &good, nullptr)));
        CHECK(asx_breaker_state_of(&breaker, asx_now(cx)) == ASX_BREAKER_HALF_OPEN);
        return asx_ok(0);
    });
}

TEST_CASE("breaker: what an older epoch answers is ignored; a window opens at its minimum",
          "[combine]")
{
    run_body([](asx_cx *cx) {
        asx_breaker breaker;
        asx_breaker_options options{};
        options.failure_threshold = 1;
        options.open_ns = asx_ms(10);
        options.probes_max = 2;
        asx_breaker_init(&breaker, &options);
        script slow{ { 0 }, 0, asx_ms(30) }, bad{ { 1, 1 } }, good{};
        (void)asx_breaker_call(cx, &breaker, act, &bad, nullptr).severity;
        ASX_TRY(asx_sleep(cx, asx_ms(10)));
        body old_probe = [&](asx_cx *c) {
            return asx_breaker_call(c, &breaker, act, &slow, nullptr);
        };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            go(s, old_probe);
            ASX_TRY(asx_sleep(cx, 1));
            (void)asx_breaker_call(cx, &breaker, act, &bad, nullptr).severity; /* opens again */
            ASX_TRY(asx_sleep(cx, asx_ms(10)));
            CHECK(asx_is_ok(asx_breaker_call(cx, &breaker, act, &good, nullptr)));
        }
        /* The old probe succeeded meanwhile, and does not count as the second success. */
        CHECK(asx_breaker_state_of(&breaker, asx_now(cx)) == ASX_BREAKER_HALF_OPEN);
        options = asx_breaker_options{};
        options.failure_threshold = 100;
        options.window = 10;
        options.window_calls_min = 4;
        options.window_failures_ppm = 500000;
        asx_breaker_init(&breaker, &options);
        script half{ { 1, 0, 1, 0 } };
        for (int i = 0; i < 4; i++) {
            CHECK(asx_breaker_state_of(&breaker, asx_now(cx)) == ASX_BREAKER_CLOSED);
            (void)asx_breaker_call(cx, &breaker, act, &half, nullptr).severity;
        }
        CHECK(asx_breaker_state_of(&breaker, asx_now(cx)) == ASX_BREAKER_OPEN);
        return asx_ok(0);
    });
}

TEST_CASE("bulkhead: so many run, so many wait, the others are told at once", "[combine]")
{
    run_body([](asx_cx *cx) {
        asx_bulkhead bulkhead;
        asx_bulkhead_options options{};
        options.concurrent_max = 2;
        options.queue_max = 1;
        options.queue_timeout_ns = asx_ms(50);
        REQUIRE(asx_bulkhead_open(cx, &options, &bulkhead) == ASX_OK);
        script s{ {}, 0, asx_ms(20) };
        asx_duration waited = 0;
        std::vector<asx_err> errors;
        body caller = [&](asx_cx *c) {
            const asx_outcome outcome = asx_bulkhead_call(c, &bulkhead, 1, act, &s, &waited);
            errors.push_back(asx_is_ok(outcome) ? ASX_OK : outcome.err);
            return asx_ok(0);
        };
        CHECK(asx_is_err(asx_bulkhead_call(cx, &bulkhead, 3, act, &s, nullptr), ASX_E(FULL)));
        ASX_SCOPE(cx, scope, ASX_FAIL_FAST) {
            for (int i = 0; i < 4; i++) {
                go(scope, caller);
                ASX_TRY(asx_sleep(cx, 1));
            }
        }
        CHECK(errors == std::vector<asx_err>{ ASX_E(QUEUE_FULL), ASX_OK, ASX_OK, ASX_OK });
        CHECK(waited == asx_ms(20) - 2);
        s.takes_ns = asx_ms(100);
        errors.clear();
        ASX_SCOPE(cx, scope, ASX_FAIL_FAST) {
            for (int i = 0; i < 3; i++) {
                go(scope, caller);
                ASX_TRY(asx_sleep(cx, 1));
            }
        }
        CHECK(errors == std::vector<asx_err>{ ASX_E(QUEUE_TIMEOUT), ASX_OK, ASX_OK });
        s = script{ { 2 } };
        body panics = [&](asx_cx *c) {
            return asx_bulkhead_call(c, &bulkhead, 2, act, &s, nullptr);
        };
        ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
            go(scope, panics);
        }
        CHECK(asx_is_ok(asx_bulkhead_call(cx, &bulkhead, 2, act, &s, nullptr)));
        return asx_ok(0);
    });
}

TEST_CASE("rate limit: a bucket admits floor(rate t) + burst, and loses no fraction", "[combine]")
{
    run_body([](asx_cx *cx) {
        asx_ratelimit limit;
        asx_ratelimit_options options{};
        options.rate = 3;
        options.burst = 2;
        REQUIRE(asx_ratelimit_open(cx, &options, &limit) == ASX_OK);
        const asx_instant begin = asx_now(cx);
        asx_rate_permit permit;
        uint32_t admitted = 0;
        while (asx_now(cx) - begin < asx_s(100)) {
            if (asx_ratelimit_try_acquire(cx, limit, 1, &permit, nullptr) == ASX_OK) {
                asx_rate_permit_commit(cx, permit);
                admitted++;
            } else {
                ASX_TRY(asx_sleep(cx, asx_ms(7)));
            }
        }
        /* The last look was at 99.995 s. */
        CHECK(admitted == 3 * 99995 / 1000 + 2);
        return asx_ok(0);
    });
}

TEST_CASE("rate limit: in order, refunded on abort, and the deadline's own instant still grants",
          "[combine]")
{
    for (asx_ratelimit_algorithm algorithm :
         { ASX_TOKEN_BUCKET, ASX_SLIDING_LOG, ASX_FIXED_WINDOW }) {
        run_body([algorithm](asx_cx *cx) {
            asx_ratelimit limit;
            asx_ratelimit_options options{};
            options.algorithm = algorithm;
            options.rate = 2;
            options.burst = 2;
            REQUIRE(asx_ratelimit_open(cx, &options, &limit) == ASX_OK);
            asx_rate_permit a, b, none;
            asx_duration after = 0;
            CHECK(asx_ratelimit_try_acquire(cx, limit, 3, &none, &after) == ASX_E(RATE_LIMITED));
            CHECK(after == ASX_TIME_NEVER);
            REQUIRE(asx_ratelimit_try_acquire(cx, limit, 1, &a, nullptr) == ASX_OK);
            REQUIRE(asx_ratelimit_try_acquire(cx, limit, 1, &b, nullptr) == ASX_OK);
            CHECK(asx_ratelimit_try_acquire(cx, limit, 1, &none, &after) == ASX_E(RATE_LIMITED));
            CHECK(after == (algorithm == ASX_TOKEN_BUCKET ? asx_ms(500) : asx_s(1)));
            CHECK(asx_is_err(
                asx_ratelimit_acquire_until(cx, limit, 1, asx_now(cx) + after - 1, &none),
                ASX_E(TIMED_OUT)));
            asx_rate_permit_commit(cx, b);
            CHECK(asx_is_ok(asx_ratelimit_acquire_until(cx, limit, 1, asx_now(cx) + 1, &b)));
            asx_rate_permit_commit(cx, b);
            bool woken = false;
            body waiter = [&](asx_cx *w) {
                asx_rate_permit permit;
                ASX_TRY(asx_ratelimit_acquire_until(w, limit, 2, ASX_TIME_NEVER, &permit));
                woken = true;
                asx_rate_permit_commit(w, permit);
                return asx_ok(0);
            };
            ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                if (algorithm == ASX_TOKEN_BUCKET) {
                    ASX_TRY(asx_sleep(cx, asx_ms(500)));
                    go(s, waiter);
                    ASX_TRY(asx_sleep(cx, 1));
                    CHECK(!woken);
                    asx_rate_permit_abort(cx, a); /* the refund is the second token */
                    ASX_TRY(asx_sleep(cx, 1));
                    CHECK(woken);
                } else {
                    asx_rate_permit_commit(cx, a);
                    go(s, waiter);
                }
            }
            CHECK(woken);
            return asx_ok(0);
        });
    }
}
