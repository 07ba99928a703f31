/* Notify, barrier, latch, once: no wake-up is lost, none goes to two. */
#include <asx/shard/sync/barrier.h>
#include <asx/shard/sync/latch.h>
#include <asx/shard/sync/notify.h>
#include <asx/shard/sync/once.h>

#include "sync_fixture.h"

TEST_CASE("notify: three before any wait let three waits pass; all stores nothing", "[sync]")
{
    run_body([](asx_cx *cx) {
        asx_notify notify;
        REQUIRE(asx_notify_open(cx, "test", &notify) == ASX_OK);
        asx_notify_all(cx, notify);
        for (int i = 0; i < 3; i++) {
            asx_notify_one(cx, notify);
        }
        for (int i = 0; i < 3; i++) {
            CHECK(asx_is_ok(asx_notify_wait_until(cx, notify, asx_now(cx))));
        }
        CHECK(asx_is_err(asx_notify_wait_until(cx, notify, asx_now(cx) + 5), ASX_E(TIMED_OUT)));
        return asx_ok(0);
    });
}

TEST_CASE("notify: one that a cancelled task was given reaches the next, or is stored", "[sync]")
{
    for (bool with_next : { true, false }) {
        run_body([with_next](asx_cx *cx) {
            asx_notify notify;
            int woken = 0;
            REQUIRE(asx_notify_open(cx, "test", &notify) == ASX_OK);
            body waiter = [&](asx_cx *t) {
                ASX_TRY(asx_notify_wait_until(t, notify, ASX_TIME_NEVER));
                woken++;
                return asx_ok(0);
            };
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                const asx_handle first = go(s, waiter);
                ASX_TRY(asx_sleep(cx, 1));
                if (with_next) {
                    go(s, waiter);
                    ASX_TRY(asx_sleep(cx, 1));
                }
                asx_notify_one(cx, notify);
                asx_task_cancel(cx, first, ASX_CANCEL_USER, "in the same turn");
                ASX_TRY(asx_sleep(cx, 1));
            }
            CHECK(woken == (with_next ? 1 : 0));
            if (!with_next) {
                CHECK(asx_is_ok(asx_notify_wait_until(cx, notify, asx_now(cx))));
            }
            return asx_ok(0);
        });
    }
}

TEST_CASE("notify: all wakes those that wait now; a predicate sees every change", "[sync]")
{
    run_body([](asx_cx *cx) {
        asx_notify notify;
        int value = 0, woken = 0;
        REQUIRE(asx_notify_open(cx, "test", &notify) == ASX_OK);
        body waiter = [&](asx_cx *t) {
            ASX_TRY(asx_notify_wait_until(t, notify, ASX_TIME_NEVER));
            woken++;
            return asx_ok(0);
        };
        body watcher = [&](asx_cx *t) {
            return asx_notify_wait_for(
                t, notify, [](void *v) { return *static_cast<int *>(v) == 3; }, &value,
                ASX_TIME_NEVER);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, waiter);
            go(s, waiter);
            const asx_handle watch = go(s, watcher);
            ASX_TRY(asx_sleep(cx, 1));
            asx_notify_all(cx, notify);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(woken == 2);
            value = 3;
            asx_notify_one(cx, notify);
            CHECK(asx_is_ok(asx_join(cx, watch)));
            /* The watcher did not consume it. */
            CHECK(asx_is_ok(asx_notify_wait_until(cx, notify, asx_now(cx))));
        }
        return asx_ok(0);
    });
}

TEST_CASE("barrier: the last arrival leads; a cancelled one takes its arrival back", "[sync]")
{
    run_body([](asx_cx *cx) {
        asx_barrier barrier, none;
        int leaders = 0, passed = 0;
        CHECK(asx_barrier_open(cx, 0, "-", &none) == ASX_E(INVALID_ARGUMENT));
        REQUIRE(asx_barrier_open(cx, 3, "test", &barrier) == ASX_OK);
        body party = [&](asx_cx *t) {
            const asx_outcome outcome = asx_barrier_wait_until(t, barrier, ASX_TIME_NEVER);
            ASX_TRY(outcome);
            leaders += outcome.value == 1;
            passed++;
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle first = go(s, party);
            go(s, party);
            ASX_TRY(asx_sleep(cx, 1));
            asx_task_cancel(cx, first, ASX_CANCEL_USER, "before the trip");
            ASX_TRY(asx_sleep(cx, 1));
            go(s, party);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(passed == 0);
            go(s, party);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(passed == 3);
            CHECK(leaders == 1);
        }
        return asx_ok(0);
    });
}

TEST_CASE("barrier: a cancel in the turn of the trip comes too late", "[sync]")
{
    run_body([](asx_cx *cx) {
        asx_barrier barrier;
        REQUIRE(asx_barrier_open(cx, 2, "test", &barrier) == ASX_OK);
        body party = [&](asx_cx *t) {
            const asx_outcome outcome = asx_barrier_wait_until(t, barrier, ASX_TIME_NEVER);
            CHECK(asx_is_ok(outcome));
            CHECK(outcome.value == 0);
            return outcome;
        };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle task = go(s, party);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(asx_barrier_wait_until(cx, barrier, ASX_TIME_NEVER).value == 1);
            asx_task_cancel(cx, task, ASX_CANCEL_USER, "after the trip");
        }
        return asx_ok(0);
    });
}

TEST_CASE("latch: opens when everybody is done, for good", "[sync]")
{
    run_body([](asx_cx *cx) {
        asx_latch latch;
        REQUIRE(asx_latch_open(cx, 1, "test", &latch) == ASX_OK);
        CHECK(asx_latch_add(cx, latch, 2) == ASX_OK);
        body worker = [&](asx_cx *t) {
            ASX_TRY(asx_sleep(t, 5));
            asx_latch_done(t, latch, 1);
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            for (int i = 0; i < 3; i++) {
                go(s, worker);
            }
            CHECK(asx_is_err(asx_latch_wait_until(cx, latch, asx_now(cx) + 1), ASX_E(TIMED_OUT)));
            CHECK(asx_is_ok(asx_latch_wait_until(cx, latch, ASX_TIME_NEVER)));
        }
        asx_latch_done(cx, latch, 9);
        CHECK(asx_is_ok(asx_latch_wait_until(cx, latch, ASX_TIME_NEVER)));
        CHECK(asx_latch_add(cx, latch, 1) == ASX_E(ALREADY_SET));
        return asx_ok(0);
    });
}

namespace
{

struct making {
    asx_once once;
    int made, failures; /* how the first ones fail: cancelled, panicked, err */
};

asx_outcome make_value(asx_cx *cx, void *arg)
{
    making *const m = static_cast<making *>(arg);
    m->made++;
    if (m->failures > 0) {
        const int way = m->failures--;
        if (way == 1) {
            return asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, 5));
        }
        if (way == 2) {
            asx_panic("while making");
        }
        return asx_sleep(cx, asx_s(9)); /* and is cancelled */
    }
    ASX_TRY(asx_sleep(cx, 5));
    uintptr_t none;
    CHECK(!asx_once_peek(cx, m->once, &none));
    CHECK(asx_once_set(cx, m->once, 1) == ASX_E(BUSY));
    CHECK(asx_is_err(asx_once_get_until(cx, m->once, make_value, m, ASX_TIME_NEVER),
                     ASX_E(WOULD_DEADLOCK)));
    return asx_ok(77);
}

} // namespace

TEST_CASE("once: ten callers, one initialiser", "[sync]")
{
    run_body([](asx_cx *cx) {
        making m = {};
        int got = 0;
        REQUIRE(asx_once_open(cx, "test", &m.once) == ASX_OK);
        body caller = [&](asx_cx *t) {
            got += asx_once_get_until(t, m.once, make_value, &m, ASX_TIME_NEVER).value == 77;
            return asx_ok(0);
        };
        body waiter = [&](asx_cx *t) {
            got += asx_once_wait_until(t, m.once, ASX_TIME_NEVER).value == 77;
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            for (int i = 0; i < 10; i++) {
                go(s, i % 4 == 3 ? waiter : caller);
            }
        }
        CHECK(got == 10);
        CHECK(m.made == 1);
        CHECK(asx_once_set(cx, m.once, 1) == ASX_E(ALREADY_SET));
        return asx_ok(0);
    });
}

TEST_CASE("once: when the initialiser fails, panics or is cancelled, a waiter takes over", "[sync]")
{
    for (int failures = 1; failures <= 3; failures++) {
        run_body([failures](asx_cx *cx) {
            making m = {};
            m.failures = failures;
            int got = 0;
            REQUIRE(asx_once_open(cx, "test", &m.once) == ASX_OK);
            body caller = [&](asx_cx *t) {
                const asx_outcome outcome =
                    asx_once_get_until(t, m.once, make_value, &m, ASX_TIME_NEVER);
                got += asx_is_ok(outcome) && outcome.value == 77;
                return asx_ok(0);
            };
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                const asx_handle first = go(s, caller);
                ASX_TRY(asx_sleep(cx, 1));
                for (int i = 0; i < 4; i++) {
                    go(s, caller);
                }
                ASX_TRY(asx_sleep(cx, 1));
                asx_task_cancel(cx, first, ASX_CANCEL_USER, "the initialiser");
            }
            CHECK(m.made == 1 + failures);
            CHECK(got == 5 - failures);
            return asx_ok(0);
        });
    }
}
