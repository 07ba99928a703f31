/* Channels: nothing is lost or doubled, whoever is cancelled when; nobody overtakes; and each side
 * learns that the other has gone. */
#include <asx/shard/sync/mpsc.h>

#include "sync_fixture.h"

#include <algorithm>

namespace
{

ASX_MPSC_TYPE(numbers, uint64_t)

int dropped;

void count_drop(void *)
{
    dropped++;
}

struct channel {
    asx_mpsc_sender tx;
    asx_mpsc_receiver rx;

    channel(asx_cx *cx, uint32_t capacity, asx_drop_fn *drop = nullptr)
    {
        const asx_mpsc_options options = { capacity, sizeof(uint64_t), drop, "test" };
        REQUIRE(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_OK);
    }
};

asx_outcome send(asx_cx *cx, asx_mpsc_sender tx, uint64_t value)
{
    return asx_mpsc_send(cx, tx, &value);
}

uint64_t next(asx_cx *cx, asx_mpsc_receiver rx)
{
    uint64_t value = 0;
    return asx_is_ok(asx_mpsc_recv(cx, rx, &value)) ? value : UINT64_MAX;
}

} // namespace

TEST_CASE("mpsc: items arrive in commit order, and the end of the senders ends the receiver",
          "[sync]")
{
    run_body([](asx_cx *cx) {
        numbers_sender tx;
        numbers_receiver rx;
        REQUIRE(numbers_open(cx, 4, &tx, &rx) == ASX_OK);
        body produce = [&](asx_cx *c) {
            ASX_HOLD(c, tx);
            for (uint64_t i = 0; i < 100; i++) {
                ASX_TRY(numbers_send(c, tx, i));
            }
            return asx_ok(0);
        };
        uint64_t seen = 0, value = 0;
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, produce);
            while (asx_is_ok(numbers_recv(cx, rx, &value))) {
                CHECK(value == seen);
                seen++;
            }
        }
        CHECK(seen == 100);
        CHECK(asx_is_err(numbers_recv(cx, rx, &value), ASX_E(DISCONNECTED)));
        return asx_ok(0);
    });
}

TEST_CASE("mpsc: impossible capacities and sizes are refused", "[sync]")
{
    run_body([](asx_cx *cx) {
        asx_mpsc_sender tx;
        asx_mpsc_receiver rx;
        for (const asx_mpsc_options &options :
             { asx_mpsc_options{ 0, 8, nullptr, "-" }, asx_mpsc_options{ 1, 0, nullptr, "-" },
               asx_mpsc_options{ ASX_MPSC_CAPACITY_MAX + 1, 8, nullptr, "-" },
               asx_mpsc_options{ 1, ASX_MPSC_ITEM_MAX + 1, nullptr, "-" } }) {
            CHECK(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_E(INVALID_ARGUMENT));
        }
        return asx_ok(0);
    });
}

TEST_CASE("mpsc: a held permit fills the slot, and aborting it serves the one that waits", "[sync]")
{
    run_body([](asx_cx *cx) {
        channel c(cx, 1);
        asx_mpsc_permit mine, none;
        const uint64_t value = 7;
        REQUIRE(asx_is_ok(asx_mpsc_reserve(cx, c.tx, &mine)));
        body waiter = [&](asx_cx *w) {
            asx_mpsc_permit permit;
            ASX_TRY(asx_mpsc_reserve(w, c.tx, &permit));
            CHECK(asx_mpsc_permit_send(w, permit, &value) == ASX_OK);
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, waiter);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(asx_mpsc_try_send(cx, c.tx, &value) == ASX_E(FULL));
            CHECK(asx_mpsc_try_reserve(cx, c.tx, &none) == ASX_E(FULL));
            CHECK(asx_mpsc_used(cx, c.rx) == 1);
            asx_mpsc_permit_abort(cx, mine);
            asx_mpsc_permit_abort(cx, mine); /* settled: no effect */
            /* The slot is the waiter's already: nobody overtakes. */
            CHECK(asx_mpsc_try_send(cx, c.tx, &value) == ASX_E(FULL));
            CHECK(next(cx, c.rx) == 7);
        }
        CHECK(asx_mpsc_permit_send(cx, mine, &value) == ASX_E(STALE));
        return asx_ok(0);
    });
}

TEST_CASE("mpsc: sending through a permit after the receiver went gives the item back", "[sync]")
{
    run_body([](asx_cx *cx) {
        channel c(cx, 1);
        asx_mpsc_permit permit;
        const uint64_t value = 7;
        REQUIRE(asx_is_ok(asx_mpsc_reserve(cx, c.tx, &permit)));
        asx_mpsc_receiver_close(cx, c.rx);
        CHECK(asx_mpsc_permit_send(cx, permit, &value) == ASX_E(DISCONNECTED));
        CHECK(asx_is_err(send(cx, c.tx, 1), ASX_E(DISCONNECTED)));
        CHECK(stats_of(cx).obligations_aborted == 1);
        return asx_ok(0);
    });
}

TEST_CASE("mpsc: a permit counts as a sender: the receiver waits for it", "[sync]")
{
    run_body([](asx_cx *cx) {
        channel c(cx, 2);
        body holder = [&](asx_cx *h) {
            asx_mpsc_permit permit;
            const uint64_t value = 9;
            ASX_TRY(asx_mpsc_reserve(h, c.tx, &permit));
            asx_mpsc_sender_close(h, c.tx);
            ASX_TRY(asx_sleep(h, asx_ms(5)));
            CHECK(asx_mpsc_permit_send(h, permit, &value) == ASX_OK);
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, holder);
            CHECK(next(cx, c.rx) == 9);
            CHECK(asx_now(cx) >= asx_ms(5));
            uint64_t value;
            CHECK(asx_is_err(asx_mpsc_recv(cx, c.rx, &value), ASX_E(DISCONNECTED)));
        }
        return asx_ok(0);
    });
}

TEST_CASE("mpsc: waiters are served in order, also when the head or a middle one is cancelled",
          "[sync]")
{
    for (unsigned victim = 0; victim < 4; victim++) {
        run_body([&](asx_cx *cx) {
            channel c(cx, 1);
            std::vector<uint64_t> got;
            asx_handle tasks[4];
            std::vector<body> waiters;
            for (uint64_t i = 0; i < 4; i++) {
                waiters.push_back([&, i](asx_cx *w) { return send(w, c.tx, i); });
            }
            REQUIRE(asx_is_ok(send(cx, c.tx, 100)));
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                for (unsigned i = 0; i < 4; i++) {
                    tasks[i] = go(s, waiters[i]);
                    ASX_TRY(asx_sleep(cx, 1)); /* in this order */
                }
                asx_task_cancel(cx, tasks[victim], ASX_CANCEL_USER, "the victim");
                for (int i = 0; i < 4; i++) {
                    got.push_back(next(cx, c.rx));
                }
            }
            std::vector<uint64_t> want = { 100, 0, 1, 2, 3 };
            want.erase(std::find(want.begin(), want.end(), victim));
            CHECK(got == want);
            return asx_ok(0);
        });
    }
}

TEST_CASE("mpsc: a slot granted to a task that is cancelled in the same turn goes to the next",
          "[sync]")
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_body(
            [](asx_cx *cx) {
                channel c(cx, 1);
                body first = [&](asx_cx *w) { return send(w, c.tx, 1); };
                body second = [&](asx_cx *w) { return send(w, c.tx, 2); };
                REQUIRE(asx_is_ok(send(cx, c.tx, 0)));
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                    const asx_handle a = go(s, first);
                    ASX_TRY(asx_sleep(cx, 1));
                    go(s, second);
                    ASX_TRY(asx_sleep(cx, 1));
                    CHECK(next(cx, c.rx) == 0); /* grants the slot to `first` */
                    asx_task_cancel(cx, a, ASX_CANCEL_USER, "after the grant");
                    CHECK(next(cx, c.rx) == 2);
                    CHECK(asx_mpsc_used(cx, c.rx) == 0);
                }
                return asx_ok(0);
            },
            seed);
    }
}

TEST_CASE("mpsc: an item and a cancel in one turn: CANCELLED, and the next receive gets the item",
          "[sync]")
{
    run_body([](asx_cx *cx) {
        channel c(cx, 2);
        uint64_t seen = 0;
        body receiver = [&](asx_cx *r) {
            const asx_outcome outcome = asx_mpsc_recv(r, c.rx, &seen);
            CHECK(outcome.severity == ASX_SEVERITY_CANCELLED);
            return outcome;
        };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle task = go(s, receiver);
            ASX_TRY(asx_sleep(cx, 1));
            REQUIRE(asx_is_ok(send(cx, c.tx, 5)));
            asx_task_cancel(cx, task, ASX_CANCEL_USER, "with the item");
        }
        CHECK(seen == 0);
        CHECK(next(cx, c.rx) == 5);
        return asx_ok(0);
    });
}

TEST_CASE("mpsc: deadlines leave no trace, and what is there at the deadline wins", "[sync]")
{
    run_body([](asx_cx *cx) {
        channel c(cx, 1);
        uint64_t value = 3;
        CHECK(
            asx_is_err(asx_mpsc_recv_until(cx, c.rx, &value, asx_now(cx) + 10), ASX_E(TIMED_OUT)));
        REQUIRE(asx_is_ok(send(cx, c.tx, 1)));
        CHECK(
            asx_is_err(asx_mpsc_send_until(cx, c.tx, &value, asx_now(cx) + 10), ASX_E(TIMED_OUT)));
        CHECK(asx_mpsc_used(cx, c.rx) == 1);
        CHECK(next(cx, c.rx) == 1);
        const asx_instant at_ns = asx_now(cx) + 100;
        body late = [&](asx_cx *t) {
            ASX_TRY(asx_sleep_until(t, at_ns));
            return send(t, c.tx, 4);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, late);
            CHECK(asx_is_ok(asx_mpsc_recv_until(cx, c.rx, &value, at_ns)));
        }
        CHECK(value == 4);
        return asx_ok(0);
    });
}

TEST_CASE("mpsc: evicting takes the oldest that matches, and never a reserved slot", "[sync]")
{
    run_body([](asx_cx *cx) {
        channel c(cx, 3);
        uint64_t gone = 0, value = 10;
        asx_mpsc_match_fn *const odd = [](const void *item, void *) {
            return *static_cast<const uint64_t *>(item) % 2 == 1;
        };
        CHECK(asx_mpsc_send_evict(cx, c.tx, &value, nullptr, nullptr, &gone).value == 0);
        for (uint64_t i : { 12, 13 }) {
            REQUIRE(asx_is_ok(send(cx, c.tx, i)));
        }
        value = 14;
        CHECK(asx_mpsc_send_evict(cx, c.tx, &value, odd, nullptr, &gone).value == 1);
        CHECK(gone == 13);
        CHECK(asx_is_err(asx_mpsc_send_evict(cx, c.tx, &value, odd, nullptr, &gone), ASX_E(FULL)));
        for (uint64_t want : { 10, 12, 14 }) {
            CHECK(next(cx, c.rx) == want);
        }
        asx_mpsc_permit permits[3];
        for (asx_mpsc_permit &permit : permits) {
            REQUIRE(asx_mpsc_try_reserve(cx, c.tx, &permit) == ASX_OK);
        }
        CHECK(asx_is_err(asx_mpsc_send_evict(cx, c.tx, &value, nullptr, nullptr, &gone),
                         ASX_E(FULL)));
        for (asx_mpsc_permit permit : permits) {
            asx_mpsc_permit_abort(cx, permit);
        }
        return asx_ok(0);
    });
}

TEST_CASE("mpsc: stopping fails new reserves and delivers what was promised", "[sync]")
{
    run_body([](asx_cx *cx) {
        channel c(cx, 3);
        asx_mpsc_permit permit;
        const uint64_t value = 2;
        REQUIRE(asx_is_ok(send(cx, c.tx, 1)));
        REQUIRE(asx_is_ok(asx_mpsc_reserve(cx, c.tx, &permit)));
        asx_mpsc_stop(cx, c.rx);
        CHECK(asx_is_err(send(cx, c.tx, 9), ASX_E(DISCONNECTED)));
        CHECK(next(cx, c.rx) == 1);
        CHECK(asx_mpsc_permit_send(cx, permit, &value) == ASX_OK);
        CHECK(next(cx, c.rx) == 2);
        uint64_t none;
        CHECK(asx_mpsc_try_recv(cx, c.rx, &none) == ASX_E(DISCONNECTED));
        return asx_ok(0);
    });
}

TEST_CASE("mpsc: recv_many takes what is there and serves one sender a slot", "[sync]")
{
    run_body([](asx_cx *cx) {
        channel c(cx, 4);
        uint64_t items[8];
        std::vector<body> senders;
        for (uint64_t i = 0; i < 6; i++) {
            senders.push_back([&, i](asx_cx *t) { return send(t, c.tx, i); });
        }
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            for (body &each : senders) {
                go(s, each);
                ASX_TRY(asx_sleep(cx, 1));
            }
            CHECK(asx_mpsc_recv_many(cx, c.rx, items, 0).value == 0);
            CHECK(asx_mpsc_recv_many(cx, c.rx, items, 8).value == 4);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(asx_mpsc_recv_many(cx, c.rx, items + 4, 4).value == 2);
        }
        CHECK(std::is_sorted(items, items + 4));
        CHECK(items[4] + items[5] == 4 + 5); /* granted together, committed in either order */
        asx_mpsc_sender_close(cx, c.tx);
        CHECK(asx_mpsc_recv_many(cx, c.rx, items, 8).value == 0);
        return asx_ok(0);
    });
}

TEST_CASE("mpsc: what nobody received is dropped once, with the receiver or with the region",
          "[sync]")
{
    dropped = 0;
    run_body([](asx_cx *cx) {
        channel c(cx, 4, count_drop);
        REQUIRE(asx_is_ok(send(cx, c.tx, 1)));
        REQUIRE(asx_is_ok(send(cx, c.tx, 2)));
        asx_mpsc_receiver_close(cx, c.rx);
        CHECK(dropped == 2);
        channel left(cx, 4, count_drop);
        REQUIRE(asx_is_ok(send(cx, left.tx, 3)));
        return asx_ok(0);
    });
    CHECK(dropped == 3);
}

TEST_CASE("mpsc: the end of its region wakes those outside that wait for it, and ends go stale",
          "[sync]")
{
    run_body([](asx_cx *cx) {
        asx_mpsc_receiver rx{};
        asx_mpsc_sender tx{};
        asx_outcome seen = asx_ok(0);
        body outsider = [&](asx_cx *o) {
            uint64_t value;
            seen = asx_mpsc_recv(o, rx, &value);
            return asx_ok(0);
        };
        body owner = [&](asx_cx *o) {
            ASX_SCOPE(o, inner, ASX_FAIL_FAST) {
                channel c(&inner->cx, 1);
                rx = c.rx;
                tx = c.tx;
                ASX_TRY(asx_sleep(o, asx_ms(1)));
            }
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, owner);
            ASX_TRY(asx_sleep(cx, 1));
            go(s, outsider);
        }
        CHECK(asx_is_err(seen, ASX_E(DISCONNECTED)));
        CHECK(asx_is_err(send(cx, tx, 1), ASX_E(STALE)));
        return asx_ok(0);
    });
}

TEST_CASE("mpsc: a holder's panic, cancel or leak settles its permit and closes what it held",
          "[sync]")
{
    for (int way = 0; way < 3; way++) {
        kernel_run run = run_body(
            [way](asx_cx *cx) {
                channel c(cx, 1);
                asx_mpsc_sender clone;
                REQUIRE(asx_mpsc_sender_clone(cx, c.tx, &clone) == ASX_OK);
                asx_mpsc_sender_close(cx, c.tx);
                body holder = [&](asx_cx *h) {
                    ASX_HOLD(h, clone);
                    asx_mpsc_permit permit;
                    ASX_TRY(asx_mpsc_reserve(h, clone, &permit));
                    if (way == 0) {
                        asx_panic("with a permit");
                    }
                    ASX_TRY(asx_sleep(h, way == 1 ? asx_s(9) : 1));
                    return asx_ok(0);
                };
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                    const asx_handle task = go(s, holder);
                    ASX_TRY(asx_sleep(cx, 10));
                    if (way == 1) {
                        asx_task_cancel(cx, task, ASX_CANCEL_USER, "holding");
                    }
                    uint64_t none;
                    CHECK(asx_is_err(asx_mpsc_recv(cx, c.rx, &none), ASX_E(DISCONNECTED)));
                }
                CHECK(asx_mpsc_used(cx, c.rx) == 0);
                return asx_ok(0);
            },
            1, ASX_LEAK_LOG);
        CHECK(run.stats.obligations_leaked == (way == 2 ? 1u : 0u));
        CHECK(run.stats.obligations_aborted == (way == 2 ? 0u : 1u));
    }
}

TEST_CASE("mpsc: random senders under random cancels lose and double nothing", "[sync]")
{
    for (uint64_t seed = 1; seed <= 400; seed++) {
        std::vector<uint64_t> sent, got;
        run_body(
            [&](asx_cx *cx) {
                channel c(cx, 1 + static_cast<uint32_t>(asx_random_below(cx, 4)));
                std::vector<body> senders;
                std::vector<asx_handle> tasks;
                for (uint64_t who = 0; who < 6; who++) {
                    senders.push_back([&, who](asx_cx *t) {
                        for (uint64_t i = 0; i < 8; i++) {
                            const uint64_t item = who * 100 + i;
                            if (asx_random_below(t, 2)) {
                                ASX_TRY(send(t, c.tx, item));
                            } else {
                                asx_mpsc_permit permit;
                                ASX_TRY(asx_mpsc_reserve(t, c.tx, &permit));
                                if (asx_random_below(t, 4) == 0) {
                                    asx_mpsc_permit_abort(t, permit);
                                    continue;
                                }
                                if (asx_mpsc_permit_send(t, permit, &item) != ASX_OK) {
                                    continue;
                                }
                            }
                            sent.push_back(item);
                            ASX_TRY(asx_sleep(t, asx_random_below(t, 3)));
                        }
                        return asx_ok(0);
                    });
                }
                body receiver = [&](asx_cx *t) {
                    uint64_t item;
                    while (asx_is_ok(asx_mpsc_recv(t, c.rx, &item))) {
                        got.push_back(item);
                    }
                    return asx_ok(0);
                };
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                    const asx_handle r = go(s, receiver);
                    for (body &each : senders) {
                        tasks.push_back(go(s, each));
                    }
                    for (int i = 0; i < 3; i++) {
                        ASX_TRY(asx_sleep(cx, asx_random_below(cx, 20)));
                        asx_task_cancel(cx, tasks[asx_random_below(cx, tasks.size())],
                                        ASX_CANCEL_USER, "at random");
                    }
                    for (asx_handle task : tasks) {
                        (void)asx_join(cx, task).severity;
                    }
                    if (asx_random_below(cx, 2)) {
                        asx_task_cancel(cx, r, ASX_CANCEL_USER, "the receiver");
                    }
                    asx_mpsc_sender_close(cx, c.tx);
                }
                uint64_t item;
                while (asx_mpsc_try_recv(cx, c.rx, &item) == ASX_OK) {
                    got.push_back(item);
                }
                return asx_ok(0);
            },
            seed);
        /* Commit order is delivery order: the lists are equal, not only as sets. */
        REQUIRE(got == sent);
    }
}
