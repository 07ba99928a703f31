/* Locks: exclusive when they say so, served in order, passed on by whoever leaves, and poisoned by
 * panics but not by cancellation. */
#include <asx/shard/sync/mutex.h>
#include <asx/shard/sync/rwlock.h>
#include <asx/shard/sync/semaphore.h>

#include "sync_fixture.h"

namespace
{

asx_mutex open_mutex(asx_cx *cx)
{
    asx_mutex mutex;
    REQUIRE(asx_mutex_open(cx, "test", &mutex) == ASX_OK);
    return mutex;
}

asx_rwlock open_rwlock(asx_cx *cx)
{
    asx_rwlock rwlock;
    REQUIRE(asx_rwlock_open(cx, "test", &rwlock) == ASX_OK);
    return rwlock;
}

asx_semaphore open_semaphore(asx_cx *cx, uint64_t permits)
{
    asx_semaphore semaphore;
    REQUIRE(asx_semaphore_open(cx, permits, "test", &semaphore) == ASX_OK);
    return semaphore;
}

} // namespace

TEST_CASE("mutex: holders exclude each other across waits, in order of arrival", "[sync]")
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        std::vector<int> order;
        run_body(
            [&](asx_cx *cx) {
                const asx_mutex mutex = open_mutex(cx);
                int inside = 0;
                std::vector<body> tasks;
                for (int i = 0; i < 5; i++) {
                    tasks.push_back([&, i](asx_cx *t) {
                        asx_mutex_guard guard;
                        ASX_TRY(asx_mutex_lock(t, mutex, &guard));
                        CHECK(++inside == 1);
                        order.push_back(i);
                        ASX_TRY(asx_sleep(t, 100));
                        inside--;
                        asx_mutex_unlock(t, guard);
                        asx_mutex_unlock(t, guard); /* settled: no effect */
                        return asx_ok(0);
                    });
                }
                ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                    for (body &task : tasks) {
                        go(s, task);
                        ASX_TRY(asx_sleep(cx, 1));
                    }
                }
                const asx_lock_stats stats = asx_mutex_stats(cx, mutex);
                CHECK(stats.acquired == 5);
                CHECK(stats.waits.granted == 4);
                CHECK(stats.waits.waited_ns == 99 + 198 + 297 + 396);
                return asx_ok(0);
            },
            seed);
        CHECK(order == std::vector<int>{ 0, 1, 2, 3, 4 });
    }
}

TEST_CASE("mutex: trying never overtakes, and locking twice is told, not hung", "[sync]")
{
    run_body([](asx_cx *cx) {
        const asx_mutex mutex = open_mutex(cx);
        asx_mutex_guard mine, none;
        REQUIRE(asx_mutex_try_lock(cx, mutex, &mine) == ASX_OK);
        CHECK(asx_is_err(asx_mutex_lock(cx, mutex, &none), ASX_E(WOULD_DEADLOCK)));
        body waiter = [&](asx_cx *w) {
            asx_mutex_guard guard;
            ASX_TRY(asx_mutex_lock(w, mutex, &guard));
            ASX_TRY(asx_sleep(w, 1));
            asx_mutex_unlock(w, guard);
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, waiter);
            ASX_TRY(asx_sleep(cx, 1));
            asx_mutex_unlock(cx, mine);
            /* Granted to the waiter that has not run yet. */
            CHECK(asx_mutex_try_lock(cx, mutex, &none) == ASX_E(LOCKED));
        }
        CHECK(asx_mutex_try_lock(cx, mutex, &mine) == ASX_OK);
        asx_mutex_unlock(cx, mine);
        return asx_ok(0);
    });
}

TEST_CASE("mutex: cancelled while queued, while granted and while holding: the next is served",
          "[sync]")
{
    for (int when = 0; when < 3; when++) {
        run_body([when](asx_cx *cx) {
            const asx_mutex mutex = open_mutex(cx);
            asx_mutex_guard mine;
            bool second_held = false;
            REQUIRE(asx_mutex_try_lock(cx, mutex, &mine) == ASX_OK);
            body first = [&](asx_cx *t) {
                asx_mutex_guard guard;
                ASX_TRY(asx_mutex_lock(t, mutex, &guard));
                return asx_sleep(t, asx_s(9)); /* the audit releases it */
            };
            body second = [&](asx_cx *t) {
                asx_mutex_guard guard;
                ASX_TRY(asx_mutex_lock(t, mutex, &guard));
                second_held = true;
                asx_mutex_unlock(t, guard);
                return asx_ok(0);
            };
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                const asx_handle victim = go(s, first);
                ASX_TRY(asx_sleep(cx, 1));
                go(s, second);
                ASX_TRY(asx_sleep(cx, 1));
                if (when == 0) {
                    asx_task_cancel(cx, victim, ASX_CANCEL_USER, "queued");
                    ASX_TRY(asx_sleep(cx, 1));
                    CHECK(!second_held);
                }
                asx_mutex_unlock(cx, mine);
                if (when == 2) {
                    ASX_TRY(asx_sleep(cx, 1));
                    CHECK(!second_held);
                }
                if (when > 0) {
                    asx_task_cancel(cx, victim, ASX_CANCEL_USER, "granted or holding");
                }
                ASX_TRY(asx_sleep(cx, 1));
                CHECK(second_held);
                CHECK(!asx_mutex_is_poisoned(cx, mutex));
            }
            return asx_ok(0);
        });
    }
}

TEST_CASE("mutex: a holder's panic or leak poisons, and all behind it are told", "[sync]")
{
    for (bool panics : { true, false }) {
        run_body(
            [panics](asx_cx *cx) {
                const asx_mutex mutex = open_mutex(cx);
                asx_mutex_guard guard;
                int told = 0;
                body holder = [&](asx_cx *t) {
                    asx_mutex_guard mine;
                    ASX_TRY(asx_mutex_lock(t, mutex, &mine));
                    ASX_TRY(asx_sleep(t, 10));
                    if (panics) {
                        asx_panic("holding");
                    }
                    return asx_ok(0);
                };
                body waiter = [&](asx_cx *t) {
                    asx_mutex_guard mine;
                    told += asx_is_err(asx_mutex_lock(t, mutex, &mine), ASX_E(POISONED));
                    return asx_ok(0);
                };
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                    go(s, holder);
                    ASX_TRY(asx_sleep(cx, 1));
                    go(s, waiter);
                    go(s, waiter);
                }
                CHECK(told == 2);
                CHECK(asx_mutex_try_lock(cx, mutex, &guard) == ASX_E(POISONED));
                asx_mutex_clear_poison(cx, mutex);
                CHECK(asx_mutex_try_lock(cx, mutex, &guard) == ASX_OK);
                asx_mutex_unlock(cx, guard);
                return asx_ok(0);
            },
            1, ASX_LEAK_LOG);
    }
}

TEST_CASE("mutex: closing tells the waiters, and the guard that is out stays harmless", "[sync]")
{
    run_body([](asx_cx *cx) {
        const asx_mutex mutex = open_mutex(cx);
        asx_mutex_guard mine;
        REQUIRE(asx_mutex_try_lock(cx, mutex, &mine) == ASX_OK);
        body waiter = [&](asx_cx *t) {
            asx_mutex_guard guard;
            CHECK(asx_is_err(asx_mutex_lock_until(t, mutex, asx_now(t) + 5, &guard),
                             ASX_E(TIMED_OUT)));
            CHECK(asx_is_err(asx_mutex_lock(t, mutex, &guard), ASX_E(CLOSED)));
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, waiter);
            ASX_TRY(asx_sleep(cx, 10));
            asx_mutex_close(cx, mutex);
        }
        CHECK(asx_mutex_try_lock(cx, mutex, &mine) == ASX_E(CLOSED)); /* our guard keeps it */
        asx_mutex_unlock(cx, mine);
        CHECK(asx_mutex_try_lock(cx, mutex, &mine) == ASX_E(STALE));
        return asx_ok(0);
    });
}

TEST_CASE("rwlock: readers share, a waiting writer holds back new readers", "[sync]")
{
    run_body([](asx_cx *cx) {
        const asx_rwlock lock = open_rwlock(cx);
        std::vector<char> order;
        asx_rwlock_guard a, b, none;
        REQUIRE(asx_rwlock_try_read(cx, lock, &a) == ASX_OK);
        REQUIRE(asx_rwlock_try_read(cx, lock, &b) == ASX_OK);
        CHECK(asx_rwlock_try_write(cx, lock, &none) == ASX_E(LOCKED));
        body writer = [&](asx_cx *t) {
            asx_rwlock_guard guard;
            ASX_TRY(asx_rwlock_write(t, lock, &guard));
            order.push_back('w');
            ASX_TRY(asx_sleep(t, 5));
            asx_rwlock_unlock(t, guard);
            return asx_ok(0);
        };
        body reader = [&](asx_cx *t) {
            asx_rwlock_guard guard;
            ASX_TRY(asx_rwlock_read(t, lock, &guard));
            order.push_back('r');
            asx_rwlock_unlock(t, guard);
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, writer);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(asx_rwlock_try_read(cx, lock, &none) == ASX_E(LOCKED));
            go(s, reader);
            ASX_TRY(asx_sleep(cx, 1));
            asx_rwlock_unlock(cx, a);
            asx_rwlock_unlock(cx, b);
        }
        CHECK(order == std::vector<char>{ 'w', 'r' });
        return asx_ok(0);
    });
}

TEST_CASE("rwlock: after sixteen writers in a row the oldest reader enters, and only it", "[sync]")
{
    run_body([](asx_cx *cx) {
        const asx_rwlock lock = open_rwlock(cx);
        std::vector<char> order;
        asx_rwlock_guard mine;
        REQUIRE(asx_rwlock_try_write(cx, lock, &mine) == ASX_OK);
        body writer = [&](asx_cx *t) {
            asx_rwlock_guard guard;
            ASX_TRY(asx_rwlock_write(t, lock, &guard));
            order.push_back('w');
            asx_rwlock_unlock(t, guard);
            return asx_ok(0);
        };
        body reader = [&](asx_cx *t) {
            asx_rwlock_guard guard;
            ASX_TRY(asx_rwlock_read(t, lock, &guard));
            order.push_back('r');
            ASX_TRY(asx_sleep(t, 1));
            asx_rwlock_unlock(t, guard);
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            for (int i = 0; i < 40; i++) { /* all of them older than the readers */
                go(s, writer);
            }
            ASX_TRY(asx_sleep(cx, 1));
            go(s, reader);
            go(s, reader);
            ASX_TRY(asx_sleep(cx, 1));
            asx_rwlock_unlock(cx, mine);
        }
        REQUIRE(order.size() == 42);
        const auto first = std::find(order.begin(), order.end(), 'r') - order.begin();
        const auto second = std::find(order.begin() + first + 1, order.end(), 'r') - order.begin();
        CHECK(first == 16);
        CHECK(second == 33);
        return asx_ok(0);
    });
}

TEST_CASE("rwlock: the last queued writer, cancelled, frees the readers behind it", "[sync]")
{
    run_body([](asx_cx *cx) {
        const asx_rwlock lock = open_rwlock(cx);
        asx_rwlock_guard mine;
        bool entered = false;
        REQUIRE(asx_rwlock_try_read(cx, lock, &mine) == ASX_OK);
        body writer = [&](asx_cx *t) {
            asx_rwlock_guard guard;
            return asx_rwlock_write(t, lock, &guard);
        };
        body reader = [&](asx_cx *t) {
            asx_rwlock_guard guard;
            ASX_TRY(asx_rwlock_read(t, lock, &guard));
            entered = true;
            asx_rwlock_unlock(t, guard);
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle task = go(s, writer);
            ASX_TRY(asx_sleep(cx, 1));
            go(s, reader);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(!entered);
            asx_task_cancel(cx, task, ASX_CANCEL_USER, "the writer");
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(entered);
        }
        asx_rwlock_unlock(cx, mine);
        return asx_ok(0);
    });
}

TEST_CASE("rwlock: downgrading keeps writers out and lets readers in; only writers poison",
          "[sync]")
{
    run_body([](asx_cx *cx) {
        const asx_rwlock lock = open_rwlock(cx);
        asx_rwlock_guard mine, other;
        REQUIRE(asx_rwlock_try_write(cx, lock, &mine) == ASX_OK);
        CHECK(asx_is_err(asx_rwlock_read(cx, lock, &other), ASX_E(WOULD_DEADLOCK)));
        REQUIRE(asx_rwlock_downgrade(cx, &mine) == ASX_OK);
        CHECK(asx_rwlock_downgrade(cx, &mine) == ASX_E(TYPE_MISMATCH));
        CHECK(asx_rwlock_try_write(cx, lock, &other) == ASX_E(LOCKED));
        CHECK(asx_rwlock_try_read(cx, lock, &other) == ASX_OK);
        asx_rwlock_unlock(cx, other);
        asx_rwlock_unlock(cx, mine);
        for (bool writes : { false, true }) {
            body panics = [&](asx_cx *t) {
                asx_rwlock_guard guard;
                ASX_TRY(writes ? asx_rwlock_write(t, lock, &guard)
                               : asx_rwlock_read(t, lock, &guard));
                asx_panic("inside");
            };
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                go(s, panics);
            }
            CHECK(asx_rwlock_try_read(cx, lock, &other) == (writes ? ASX_E(POISONED) : ASX_OK));
            asx_rwlock_unlock(cx, other);
        }
        asx_rwlock_clear_poison(cx, lock);
        CHECK(asx_rwlock_try_write(cx, lock, &other) == ASX_OK);
        asx_rwlock_unlock(cx, other);
        return asx_ok(0);
    });
}

TEST_CASE("semaphore: a large head holds back small ones, and its leaving serves them", "[sync]")
{
    run_body([](asx_cx *cx) {
        const asx_semaphore semaphore = open_semaphore(cx, 2);
        asx_semaphore_permit none;
        bool small_has = false;
        body large = [&](asx_cx *t) {
            asx_semaphore_permit permit;
            return asx_semaphore_acquire(t, semaphore, 3, &permit);
        };
        body small = [&](asx_cx *t) {
            asx_semaphore_permit permit;
            ASX_TRY(asx_semaphore_acquire(t, semaphore, 1, &permit));
            small_has = true;
            asx_semaphore_release(t, permit);
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle head = go(s, large);
            ASX_TRY(asx_sleep(cx, 1));
            go(s, small);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(!small_has);
            CHECK(asx_semaphore_try_acquire(cx, semaphore, 1, &none) == ASX_E(NO_PERMITS));
            asx_task_cancel(cx, head, ASX_CANCEL_USER, "the head");
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(small_has);
        }
        CHECK(asx_semaphore_available(cx, semaphore) == 2);
        return asx_ok(0);
    });
}

TEST_CASE("semaphore: release, forget, add and close do what they say", "[sync]")
{
    run_body([](asx_cx *cx) {
        const asx_semaphore semaphore = open_semaphore(cx, 3);
        asx_semaphore_permit a, b, none;
        REQUIRE(asx_semaphore_try_acquire(cx, semaphore, 2, &a) == ASX_OK);
        REQUIRE(asx_semaphore_try_acquire(cx, semaphore, 1, &b) == ASX_OK);
        CHECK(asx_is_ok(asx_semaphore_acquire(cx, semaphore, 0, &none)));
        asx_semaphore_release(cx, none); /* holds nothing */
        asx_semaphore_release(cx, a);
        asx_semaphore_release(cx, a);
        CHECK(asx_semaphore_available(cx, semaphore) == 2);
        asx_semaphore_forget(cx, b);
        CHECK(asx_semaphore_available(cx, semaphore) == 2);
        asx_semaphore_add(cx, semaphore, UINT64_MAX);
        CHECK(asx_semaphore_available(cx, semaphore) == ASX_SEMAPHORE_PERMITS_MAX);
        REQUIRE(asx_semaphore_try_acquire(cx, semaphore, ASX_SEMAPHORE_PERMITS_MAX, &a) == ASX_OK);
        body waiter = [&](asx_cx *t) {
            asx_semaphore_permit permit;
            CHECK(asx_is_err(asx_semaphore_acquire(t, semaphore, 1, &permit), ASX_E(CLOSED)));
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, waiter);
            ASX_TRY(asx_sleep(cx, 1));
            asx_semaphore_close(cx, semaphore);
        }
        asx_semaphore_release(cx, a);
        CHECK(asx_semaphore_try_acquire(cx, semaphore, 1, &a) == ASX_E(STALE));
        asx_semaphore too_many;
        CHECK(asx_semaphore_open(cx, UINT64_MAX, "-", &too_many) == ASX_E(INVALID_ARGUMENT));
        return asx_ok(0);
    });
}

TEST_CASE("semaphore: random holders under random cancels keep the count", "[sync]")
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        run_body(
            [](asx_cx *cx) {
                const asx_semaphore semaphore = open_semaphore(cx, 3);
                uint64_t held = 0;
                body holder = [&](asx_cx *t) {
                    for (int i = 0; i < 6; i++) {
                        const uint64_t n = 1 + asx_random_below(t, 3);
                        asx_semaphore_permit permit;
                        ASX_TRY(asx_semaphore_acquire(t, semaphore, n, &permit));
                        held += n;
                        CHECK(held <= 3);
                        const asx_outcome slept = asx_sleep(t, asx_random_below(t, 4));
                        held -= n;
                        ASX_TRY(slept); /* the audit releases what a cancelled holder had */
                        asx_semaphore_release(t, permit);
                    }
                    return asx_ok(0);
                };
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                    asx_handle tasks[5];
                    for (asx_handle &task : tasks) {
                        task = go(s, holder);
                    }
                    for (int i = 0; i < 3; i++) {
                        ASX_TRY(asx_sleep(cx, asx_random_below(cx, 9)));
                        asx_task_cancel(cx, tasks[asx_random_below(cx, 5)], ASX_CANCEL_USER, "-");
                    }
                }
                CHECK(asx_semaphore_available(cx, semaphore) == 3);
                return asx_ok(0);
            },
            seed);
    }
}
