/* Select: one case is committed, the others hold nothing; and nobody waits for ever behind a busy
 * neighbour. */
#include <asx/shard/sync/select.h>

#include "sync_fixture.h"

namespace
{

struct channel {
    asx_mpsc_sender tx;
    asx_mpsc_receiver rx;

    explicit channel(asx_cx *cx, uint32_t capacity = 1)
    {
        const asx_mpsc_options options = { capacity, sizeof(uint64_t), nullptr, "test" };
        REQUIRE(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_OK);
    }
};

void put(asx_cx *cx, const channel &c, uint64_t value)
{
    REQUIRE(asx_mpsc_try_send(cx, c.tx, &value) == ASX_OK);
}

} // namespace

TEST_CASE("select: no case, or too many, is a mistake", "[combine]")
{
    run_body([](asx_cx *cx) {
        asx_select select{};
        asx_select_case cases[ASX_SELECT_MAX + 1];
        CHECK(asx_is_err(asx_select_wait(cx, &select, cases, 0), ASX_E(INVALID_ARGUMENT)));
        CHECK(asx_is_err(asx_select_wait(cx, &select, cases, ASX_SELECT_MAX + 1),
                         ASX_E(INVALID_ARGUMENT)));
        return asx_ok(0);
    });
}

TEST_CASE("select: a case that is ready in every round is chosen within as many rounds as there "
          "are cases",
          "[combine]")
{
    run_body([](asx_cx *cx) {
        channel a(cx, 8), b(cx, 8), c(cx, 8);
        uint64_t value;
        asx_select select{}, biased{};
        biased.biased = true;
        std::vector<uint64_t> fair, first;
        for (int i = 0; i < 6; i++) {
            put(cx, a, 1);
            put(cx, b, 2);
            put(cx, c, 3);
        }
        for (int i = 0; i < 6; i++) {
            asx_select_case cases[] = { asx_case_recv(a.rx, &value), asx_case_recv(b.rx, &value),
                                        asx_case_recv(c.rx, &value) };
            fair.push_back(asx_select_wait(cx, i < 3 ? &select : &biased, cases, 3).value);
        }
        CHECK(fair == std::vector<uint64_t>{ 0, 1, 2, 0, 0, 0 });
        return asx_ok(0);
    });
}

TEST_CASE("select: every kind of case wakes it, and the others are untouched", "[combine]")
{
    for (uint32_t which = 0; which < 9; which++) {
        run_body([which](asx_cx *cx) {
            channel in(cx), out(cx);
            asx_oneshot_sender once_tx;
            asx_oneshot_receiver once_rx;
            const asx_oneshot_options once = { sizeof(uint64_t), nullptr, "-" };
            REQUIRE(asx_oneshot_open(cx, &once, &once_tx, &once_rx) == ASX_OK);
            asx_broadcast_sender all_tx;
            asx_broadcast_receiver all_rx;
            const asx_broadcast_options all = { 4, sizeof(uint64_t), "-" };
            REQUIRE(asx_broadcast_open(cx, &all, &all_tx) == ASX_OK);
            REQUIRE(asx_broadcast_subscribe(cx, all_tx, &all_rx) == ASX_OK);
            asx_watch_sender watch_tx;
            asx_watch_receiver watch_rx;
            uint64_t zero = 0;
            REQUIRE(asx_watch_open(cx, 8, &zero, "-", &watch_tx, &watch_rx) == ASX_OK);
            asx_notify notify;
            REQUIRE(asx_notify_open(cx, "-", &notify) == ASX_OK);
            asx_semaphore semaphore;
            REQUIRE(asx_semaphore_open(cx, 0, "-", &semaphore) == ASX_OK);
            put(cx, out, 1); /* full */
            body ends = [&](asx_cx *e) {
                ASX_TRY(asx_sleep(e, which == 8 ? 10 : 1000));
                return asx_ok(55);
            };
            body wakes = [&](asx_cx *w) {
                uint64_t value = 9;
                ASX_TRY(asx_sleep(w, 10));
                switch (which) {
                case 0:
                    return asx_mpsc_send(w, in.tx, &value);
                case 1:
                    return asx_mpsc_recv(w, out.rx, &value);
                case 2:
                    return asx_fail(asx_oneshot_send(w, once_tx, &value));
                case 3:
                    return asx_broadcast_send(w, all_tx, &value);
                case 4:
                    return asx_fail(asx_watch_set(w, watch_tx, &value));
                case 5:
                    asx_notify_one(w, notify);
                    return asx_ok(0);
                case 6:
                    asx_semaphore_add(w, semaphore, 2);
                    return asx_ok(0);
                default:
                    return asx_ok(0);
                }
            };
            uint64_t a = 0, b = 7, c = 0, d = 0, lagged = 0;
            asx_semaphore_permit permit{};
            asx_select select{};
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                const asx_handle task = go(s, ends);
                go(s, wakes);
                asx_select_case cases[] = {
                    asx_case_recv(in.rx, &a),
                    asx_case_send(out.tx, &b),
                    asx_case_oneshot(once_rx, &c),
                    asx_case_broadcast(all_rx, &d, &lagged),
                    asx_case_watch(watch_rx),
                    asx_case_notify(notify),
                    asx_case_acquire(semaphore, 2, &permit),
                    asx_case_at(which == 7 ? asx_now(cx) + 10 : ASX_TIME_NEVER),
                    asx_case_join(task),
                };
                const asx_outcome outcome = asx_select_wait(cx, &select, cases, 9);
                CHECK(asx_is_ok(outcome));
                CHECK(outcome.value == which);
                CHECK(asx_is_ok(cases[which].outcome));
                CHECK(a + c + d == (which == 0 || which == 2 || which == 3 ? 9 : 0));
                CHECK(asx_mpsc_used(cx, out.rx) == 1);
                if (which == 6) {
                    CHECK(asx_semaphore_available(cx, semaphore) == 0);
                    asx_semaphore_release(cx, permit);
                }
                if (which == 8) {
                    CHECK(cases[8].outcome.value == 55);
                }
                /* What a loser could have taken is still there for somebody else. */
                asx_notify_one(cx, notify);
                CHECK(asx_is_ok(asx_notify_wait_until(cx, notify, asx_now(cx))));
            }
            return asx_ok(0);
        });
    }
}

TEST_CASE("select: a closed channel is an answer", "[combine]")
{
    run_body([](asx_cx *cx) {
        channel c(cx);
        uint64_t value;
        asx_select select{};
        body closer = [&](asx_cx *t) {
            ASX_TRY(asx_sleep(t, 5));
            asx_mpsc_sender_close(t, c.tx);
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, closer);
            asx_select_case cases[] = { asx_case_recv(c.rx, &value), asx_case_at(asx_s(1000)) };
            CHECK(asx_select_wait(cx, &select, cases, 2).value == 0);
            CHECK(asx_is_err(cases[0].outcome, ASX_E(DISCONNECTED)));
        }
        return asx_ok(0);
    });
}

TEST_CASE("select: random cancels lose no item and no permit", "[combine]")
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        std::vector<uint64_t> sent, got;
        run_body(
            [&](asx_cx *cx) {
                channel a(cx, 2), b(cx, 2);
                asx_semaphore semaphore;
                REQUIRE(asx_semaphore_open(cx, 1, "-", &semaphore) == ASX_OK);
                std::vector<body> senders, takers;
                for (uint64_t who = 0; who < 3; who++) {
                    senders.push_back([&, who](asx_cx *t) {
                        asx_select select{};
                        for (uint64_t i = 0; i < 6; i++) {
                            const uint64_t item = who * 100 + i;
                            asx_select_case cases[] = { asx_case_send(a.tx, &item),
                                                        asx_case_send(b.tx, &item) };
                            ASX_TRY(asx_select_wait(t, &select, cases, 2));
                            sent.push_back(item);
                            ASX_TRY(asx_sleep(t, asx_random_below(t, 3)));
                        }
                        return asx_ok(0);
                    });
                    takers.push_back([&](asx_cx *t) {
                        asx_select select{};
                        for (int i = 0; i < 8; i++) {
                            asx_semaphore_permit permit;
                            asx_select_case cases[] = {
                                asx_case_acquire(semaphore, 1, &permit),
                                asx_case_at(asx_now(t) + 1 + asx_random_below(t, 4)),
                            };
                            const asx_outcome outcome = asx_select_wait(t, &select, cases, 2);
                            ASX_TRY(outcome);
                            if (outcome.value == 0) {
                                ASX_TRY(asx_sleep(t, asx_random_below(t, 3)));
                                asx_semaphore_release(t, permit);
                            }
                        }
                        return asx_ok(0);
                    });
                }
                body receiver = [&](asx_cx *t) {
                    asx_select select{};
                    for (;;) {
                        uint64_t item;
                        asx_select_case cases[] = { asx_case_recv(a.rx, &item),
                                                    asx_case_recv(b.rx, &item) };
                        const asx_outcome outcome = asx_select_wait(t, &select, cases, 2);
                        ASX_TRY(outcome);
                        if (!asx_is_ok(cases[outcome.value].outcome)) {
                            return asx_ok(0);
                        }
                        got.push_back(item);
                    }
                };
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                    std::vector<asx_handle> tasks;
                    const asx_handle r = go(s, receiver);
                    for (size_t i = 0; i < 3; i++) {
                        tasks.push_back(go(s, senders[i]));
                        tasks.push_back(go(s, takers[i]));
                    }
                    for (int i = 0; i < 3; i++) {
                        ASX_TRY(asx_sleep(cx, asx_random_below(cx, 9)));
                        asx_task_cancel(cx, tasks[asx_random_below(cx, tasks.size())],
                                        ASX_CANCEL_USER, "at random");
                    }
                    for (asx_handle task : tasks) {
                        (void)asx_join(cx, task).severity;
                    }
                    asx_task_cancel(cx, r, ASX_CANCEL_USER, "the end");
                }
                uint64_t item;
                while (asx_mpsc_try_recv(cx, a.rx, &item) == ASX_OK ||
                       asx_mpsc_try_recv(cx, b.rx, &item) == ASX_OK) {
                    got.push_back(item);
                }
                CHECK(asx_semaphore_available(cx, semaphore) == 1);
                return asx_ok(0);
            },
            seed);
        std::sort(sent.begin(), sent.end());
        std::sort(got.begin(), got.end());
        REQUIRE(got == sent);
    }
}
