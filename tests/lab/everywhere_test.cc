/* At stake: a cancellation, or a panic, comes at every await point of a program sooner or later.
 * Each primitive gets a small body whose waits all have a deadline, so that whoever is left alone
 * by a partner still ends; the lab judges every run. */
#include <asx/lab/chaos_everywhere.h>
#include <asx/shard/combine/branch.h>
#include <asx/shard/combine/hedge.h>
#include <asx/shard/combine/quorum.h>
#include <asx/shard/scope.h>
#include <asx/shard/sync/barrier.h>
#include <asx/shard/sync/broadcast.h>
#include <asx/shard/sync/delivery.h>
#include <asx/shard/sync/latch.h>
#include <asx/shard/sync/mpsc.h>
#include <asx/shard/sync/mutex.h>
#include <asx/shard/sync/notify.h>
#include <asx/shard/sync/once.h>
#include <asx/shard/sync/oneshot.h>
#include <asx/shard/sync/rwlock.h>
#include <asx/shard/sync/select.h>
#include <asx/shard/sync/semaphore.h>
#include <asx/shard/sync/session.h>
#include <asx/shard/sync/watch.h>

#include "lab_fixture.h"

#include <functional>

namespace
{

using body = std::function<asx_outcome(asx_cx *)>;

asx_outcome body_run(asx_cx *cx, void *arg)
{
    return (*static_cast<body *>(arg))(cx);
}

void go(asx_scope *scope, body &fn)
{
    (void)asx_scope_spawn(scope, body_run, &fn, 0, nullptr);
}

asx_instant soon(asx_cx *cx)
{
    return asx_shard_now(asx_shard_of(cx)) + asx_ms(10);
}

bool panics; /* who is cancelled in a step panics there, with all that it holds */
uint64_t panicked;

asx_outcome stepped(asx_outcome outcome)
{
    if (panics && outcome.severity == ASX_SEVERITY_CANCELLED) {
        panicked++;
        asx_panic("in the midst of a step");
    }
    return outcome;
}

#define STEP(...) ASX_TRY(stepped(__VA_ARGS__))

/* Runs the body once for each of its await points; at least `least` of them. */
void visit_all(body &fn, uint64_t least, uint64_t seed)
{
    asx_lab_config config = of_shards(1, seed);
    config.widen_ready = true;
    asx_everywhere_report report;
    const bool passed = asx_lab_cancel_everywhere(&config, body_run, &fn, nullptr, &report);
    char *text = nullptr;
    size_t len = 0;
    FILE *const out = open_memstream(&text, &len);
    asx_everywhere_print(&report, out);
    fclose(out);
    INFO(text);
    free(text);
    CHECK(passed);
    CHECK(report.points >= least);
    CHECK(report.runs == report.points + 1);
    CHECK(report.cancelled == report.points);
    asx_everywhere_deinit(&report);
}

void everywhere(body fn, uint64_t least, uint64_t seed = 42)
{
    visit_all(fn, least, seed);
    panicked = 0;
    panics = true;
    visit_all(fn, least, seed);
    panics = false;
    CHECK(panicked >= least / 3);
}

/* Two or three of the same. */
asx_outcome several(asx_cx *cx, body one, int count)
{
    ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
        for (int i = 0; i < count; i++) {
            go(scope, one);
        }
    }
    return asx_ok(0);
}

} // namespace

TEST_CASE("everywhere: mpsc, by permit and in one call", "[everywhere]")
{
    everywhere(
        [](asx_cx *cx) {
            const asx_mpsc_options options = { 1, sizeof(int), nullptr, "test" };
            asx_mpsc_sender tx;
            asx_mpsc_receiver rx;
            REQUIRE(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_OK);
            body sends = [&](asx_cx *c) {
                for (int i = 0; i < 3; i++) {
                    asx_mpsc_permit permit;
                    STEP(asx_mpsc_reserve_until(c, tx, soon(c), &permit));
                    STEP(asx_yield(c));
                    (void)!asx_mpsc_permit_send(c, permit, &i);
                    STEP(asx_mpsc_send_until(c, tx, &i, soon(c)));
                }
                return asx_ok(0);
            };
            body receives = [&](asx_cx *c) {
                int item;
                for (int i = 0; i < 6; i++) {
                    STEP(asx_mpsc_recv_until(c, rx, &item, soon(c)));
                }
                return asx_ok(0);
            };
            ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
                go(scope, sends);
                go(scope, receives);
            }
            return asx_ok(0);
        },
        12);
}

TEST_CASE("everywhere: deliveries, committed, aborted and given up", "[everywhere]")
{
    everywhere(
        [](asx_cx *cx) {
            const asx_mpsc_options options = { 1, sizeof(int), nullptr, "test" };
            asx_mpsc_sender tx;
            asx_mpsc_receiver rx;
            REQUIRE(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_OK);
            int received = 0, sent = 0;
            body sends = [&](asx_cx *c) {
                for (int i = 0; i < 3; i++) {
                    STEP(asx_mpsc_send_until(c, tx, &i, soon(c)));
                    sent++;
                }
                return asx_ok(0);
            };
            body takes = [&](asx_cx *c) {
                for (int i = 0; i < 3; i++) {
                    int item;
                    asx_delivery delivery;
                    STEP(asx_delivery_next_until(c, rx, &item, sizeof(item), soon(c), &delivery));
                    STEP(asx_yield(c));
                    if (delivery.attempt == 1 && item == 1) {
                        asx_delivery_abort(c, delivery);
                    } else {
                        received++;
                        asx_delivery_commit(c, delivery);
                    }
                }
                return asx_ok(0);
            };
            ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
                go(scope, sends);
                go(scope, takes);
                go(scope, takes);
            }
            int item;
            while (asx_mpsc_try_recv(cx, rx, &item) == ASX_OK) {
                received++;
            }
            CHECK(received == sent);
            CHECK(asx_mpsc_used(cx, rx) == 0);
            return asx_ok(0);
        },
        10);
}

TEST_CASE("everywhere: oneshot", "[everywhere]")
{
    everywhere(
        [](asx_cx *cx) {
            const asx_oneshot_options options = { sizeof(int), nullptr, "test" };
            asx_oneshot_sender tx;
            asx_oneshot_receiver rx;
            REQUIRE(asx_oneshot_open(cx, &options, &tx, &rx) == ASX_OK);
            body sends = [&](asx_cx *c) {
                const int value = 7;
                asx_oneshot_permit permit;
                STEP(asx_sleep(c, asx_ms(1)));
                STEP(asx_oneshot_reserve(c, tx, &permit));
                STEP(asx_yield(c));
                (void)!asx_oneshot_permit_send(c, permit, &value);
                return asx_ok(0);
            };
            body receives = [&](asx_cx *c) {
                int value;
                return stepped(asx_oneshot_recv_until(c, rx, &value, soon(c)));
            };
            ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
                go(scope, sends);
                go(scope, receives);
            }
            return asx_ok(0);
        },
        6);
}

TEST_CASE("everywhere: broadcast and watch", "[everywhere]")
{
    everywhere(
        [](asx_cx *cx) {
            const asx_broadcast_options options = { 2, sizeof(int), "test" };
            const int zero = 0;
            asx_broadcast_sender tx;
            asx_broadcast_receiver rx[2];
            asx_watch_sender set;
            asx_watch_receiver seen;
            REQUIRE(asx_broadcast_open(cx, &options, &tx) == ASX_OK);
            REQUIRE(asx_broadcast_subscribe(cx, tx, &rx[0]) == ASX_OK);
            REQUIRE(asx_broadcast_subscribe(cx, tx, &rx[1]) == ASX_OK);
            REQUIRE(asx_watch_open(cx, sizeof(int), &zero, "test", &set, &seen) == ASX_OK);
            body sends = [&](asx_cx *c) {
                for (int i = 1; i <= 3; i++) {
                    STEP(asx_broadcast_send(c, tx, &i));
                    (void)!asx_watch_set(c, set, &i);
                    STEP(asx_sleep(c, asx_ms(1)));
                }
                return asx_ok(0);
            };
            body hears[2];
            for (int which = 0; which < 2; which++) {
                hears[which] = [&rx, &seen, which](asx_cx *c) {
                    int item;
                    uint64_t lagged;
                    for (int i = 0; i < 3; i++) {
                        STEP(asx_broadcast_recv_until(c, rx[which], &item, &lagged, soon(c)));
                        if (which == 0) {
                            STEP(asx_watch_changed_until(c, seen, soon(c)));
                            (void)asx_watch_borrow_and_mark(c, seen);
                        }
                    }
                    return asx_ok(0);
                };
            }
            ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
                go(scope, hears[0]);
                go(scope, hears[1]);
                go(scope, sends);
            }
            return asx_ok(0);
        },
        10);
}

TEST_CASE("everywhere: mutex and rwlock, held across an await", "[everywhere]")
{
    everywhere(
        [](asx_cx *cx) {
            asx_mutex mutex;
            asx_rwlock rwlock;
            REQUIRE(asx_mutex_open(cx, "test", &mutex) == ASX_OK);
            REQUIRE(asx_rwlock_open(cx, "test", &rwlock) == ASX_OK);
            int at = 0;
            body locks = [&](asx_cx *c) {
                const bool writes = at++ % 2 == 0;
                asx_mutex_guard guard;
                asx_rwlock_guard shared;
                STEP(asx_mutex_lock_until(c, mutex, soon(c), &guard));
                const asx_outcome outcome = stepped(asx_yield(c));
                asx_mutex_unlock(c, guard);
                ASX_TRY(outcome);
                STEP(writes ? asx_rwlock_write_until(c, rwlock, soon(c), &shared)
                            : asx_rwlock_read_until(c, rwlock, soon(c), &shared));
                const asx_outcome slept = stepped(asx_sleep(c, 10));
                asx_rwlock_unlock(c, shared);
                return slept;
            };
            return several(cx, locks, 3);
        },
        12);
}

TEST_CASE("everywhere: semaphore, barrier, latch and notify", "[everywhere]")
{
    everywhere(
        [](asx_cx *cx) {
            asx_semaphore semaphore;
            asx_barrier barrier;
            asx_latch latch;
            asx_notify notify;
            REQUIRE(asx_semaphore_open(cx, 2, "test", &semaphore) == ASX_OK);
            REQUIRE(asx_barrier_open(cx, 3, "test", &barrier) == ASX_OK);
            REQUIRE(asx_latch_open(cx, 3, "test", &latch) == ASX_OK);
            REQUIRE(asx_notify_open(cx, "test", &notify) == ASX_OK);
            body meets = [&](asx_cx *c) {
                asx_semaphore_permit permit;
                STEP(asx_semaphore_acquire_until(c, semaphore, 1, soon(c), &permit));
                const asx_outcome slept = stepped(asx_sleep(c, 10));
                asx_semaphore_release(c, permit);
                ASX_TRY(slept);
                const asx_outcome met = stepped(asx_barrier_wait_until(c, barrier, soon(c)));
                asx_latch_done(c, latch, 1);
                ASX_TRY(met);
                STEP(asx_latch_wait_until(c, latch, soon(c)));
                asx_notify_one(c, notify);
                return stepped(asx_notify_wait_until(c, notify, soon(c)));
            };
            return several(cx, meets, 3);
        },
        12);
}

TEST_CASE("everywhere: once, whose first caller is cancelled", "[everywhere]")
{
    everywhere(
        [](asx_cx *cx) {
            asx_once once;
            REQUIRE(asx_once_open(cx, "test", &once) == ASX_OK);
            body gets = [&](asx_cx *c) {
                return stepped(asx_once_get_until(
                    c, once,
                    [](asx_cx *init, void *) -> asx_outcome {
                        ASX_TRY(stepped(asx_sleep(init, 100)));
                        return asx_ok(7);
                    },
                    nullptr, soon(c)));
            };
            return several(cx, gets, 3);
        },
        7);
}

TEST_CASE("everywhere: session, on either side of a request", "[everywhere]")
{
    everywhere(
        [](asx_cx *cx) {
            const asx_session_options options = { 1, sizeof(int), sizeof(int), "test" };
            asx_session_client client;
            asx_session_server server;
            REQUIRE(asx_session_open(cx, &options, &client, &server) == ASX_OK);
            body asks = [&](asx_cx *c) {
                int question = 2, answer;
                return stepped(
                    asx_session_request_until(c, client, &question, &answer, nullptr, soon(c)));
            };
            body serves = [&](asx_cx *c) {
                for (int i = 0; i < 2; i++) {
                    int question;
                    asx_reply reply;
                    STEP(asx_session_next_until(c, server, &question, &reply, soon(c)));
                    STEP(asx_yield(c));
                    (void)!asx_reply_send(c, reply, &question);
                }
                return asx_ok(0);
            };
            ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
                go(scope, asks);
                go(scope, serves);
                go(scope, asks);
            }
            return asx_ok(0);
        },
        9);
}

TEST_CASE("everywhere: race, join_all, quorum, hedge and timeout", "[everywhere]")
{
    const int which = GENERATE(0, 1, 2, 3, 4);
    everywhere(
        [which](asx_cx *cx) -> asx_outcome {
            body naps = [](asx_cx *c) {
                STEP(asx_yield(c));
                STEP(asx_sleep(c, 1000));
                return asx_ok(1);
            };
            const asx_branch branch = { body_run, &naps, nullptr, "naps", nullptr };
            const asx_branch branches[3] = { branch, branch, branch };
            const asx_hedge_options hedge = { 500, false };
            asx_outcome outcome = asx_ok(0);
            switch (which) {
            case 0:
                outcome = asx_race(cx, branches, 3, nullptr);
                break;
            case 1:
                outcome = asx_join_all(cx, branches, 3, nullptr);
                break;
            case 2:
                outcome = asx_quorum(cx, branches, 3, 2, nullptr);
                break;
            case 3:
                outcome = asx_hedge(cx, branches, &hedge, nullptr);
                break;
            default:
                outcome = asx_timeout(cx, 500, body_run, &naps, nullptr);
                break;
            }
            (void)outcome; /* whatever it is, nothing may be left behind */
            return asx_ok(0);
        },
        4);
}

TEST_CASE("everywhere: select over a channel, a notification and a timer", "[everywhere]")
{
    everywhere(
        [](asx_cx *cx) {
            const asx_mpsc_options options = { 1, sizeof(int), nullptr, "test" };
            asx_mpsc_sender tx;
            asx_mpsc_receiver rx;
            asx_notify notify;
            REQUIRE(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_OK);
            REQUIRE(asx_notify_open(cx, "test", &notify) == ASX_OK);
            body selects = [&](asx_cx *c) {
                asx_select select{};
                for (int i = 0; i < 3; i++) {
                    int item;
                    asx_select_case cases[] = { asx_case_recv(rx, &item), asx_case_notify(notify),
                                                asx_case_at(soon(c)) };
                    STEP(asx_select_wait(c, &select, cases, 3));
                }
                return asx_ok(0);
            };
            body sends = [&](asx_cx *c) {
                int item = 1;
                STEP(asx_sleep(c, 10));
                asx_notify_one(c, notify);
                STEP(asx_sleep(c, 10));
                return stepped(asx_mpsc_send_until(c, tx, &item, soon(c)));
            };
            ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
                go(scope, selects);
                go(scope, sends);
            }
            return asx_ok(0);
        },
        6);
}

TEST_CASE("everywhere: what a cancelled task leaves undone is found at its point", "[everywhere]")
{
    /* Counts up, awaits, counts down: whoever is cancelled in between leaves one behind. */
    struct counter {
        int left;
    } counter{};
    asx_everywhere_options options{};
    options.reset = [](void *arg) { static_cast<struct counter *>(arg)->left = 0; };
    options.judge = [](void *arg, asx_lab_report *report) {
        if (static_cast<struct counter *>(arg)->left != 0) {
            asx_lab_report_violate(report, "left", "one is left");
        }
    };
    const asx_lab_config config = of_shards(1);
    asx_task_fn *const app = [](asx_cx *cx, void *arg) -> asx_outcome {
        struct counter *const c = static_cast<struct counter *>(arg);
        ASX_TRY(asx_yield(cx));
        c->left++;
        ASX_TRY(asx_sleep(cx, 5));
        c->left--;
        ASX_TRY(asx_yield(cx));
        return asx_ok(0);
    };
    asx_everywhere_report report;
    CHECK_FALSE(asx_lab_cancel_everywhere(&config, app, &counter, &options, &report));
    CHECK(report.points == 3);
    REQUIRE(report.failure_count == 1);
    CHECK(report.failures[0].point == 2);
    CHECK(report.failures[0].reached);
    CHECK(std::string(report.failures[0].text) == "one is left");
    asx_everywhere_deinit(&report);

    options.which = ASX_EVERYWHERE_FIRST;
    options.n = 1;
    CHECK(asx_lab_cancel_everywhere(&config, app, &counter, &options, &report));
    CHECK(report.runs == 2);
    asx_everywhere_deinit(&report);
    options.which = ASX_EVERYWHERE_EVERY;
    options.n = 2;
    CHECK_FALSE(asx_lab_cancel_everywhere(&config, app, &counter, &options, &report));
    CHECK(report.runs == 2);
    asx_everywhere_deinit(&report);
    options.which = ASX_EVERYWHERE_RANDOM;
    options.n = 20;
    CHECK_FALSE(asx_lab_cancel_everywhere(&config, app, &counter, &options, &report));
    CHECK(report.runs == 21);
    CHECK(report.failure_count < 20);
    asx_everywhere_deinit(&report);
}
