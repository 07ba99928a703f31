/* broadcast and watch: slow receivers are told what they missed, and nobody misses the latest. */
#include <asx/shard/sync/broadcast.h>
#include <asx/shard/sync/watch.h>

#include "sync_fixture.h"

namespace
{

asx_broadcast_sender open_broadcast(asx_cx *cx, uint32_t capacity)
{
    asx_broadcast_sender tx;
    const asx_broadcast_options options = { capacity, sizeof(uint64_t), "test" };
    REQUIRE(asx_broadcast_open(cx, &options, &tx) == ASX_OK);
    return tx;
}

uint64_t sent_to(asx_cx *cx, asx_broadcast_sender tx, uint64_t value)
{
    const asx_outcome outcome = asx_broadcast_send(cx, tx, &value);
    return asx_is_ok(outcome) ? outcome.value : 0;
}

} // namespace

TEST_CASE("broadcast: a slow receiver is told once what it missed, then reads on to the end",
          "[sync]")
{
    run_body([](asx_cx *cx) {
        const asx_broadcast_sender tx = open_broadcast(cx, 2);
        asx_broadcast_receiver rx;
        uint64_t value = 0, missed = 0;
        CHECK(asx_is_err(asx_broadcast_send(cx, tx, &value), ASX_E(CLOSED)));
        REQUIRE(asx_broadcast_subscribe(cx, tx, &rx) == ASX_OK);
        for (uint64_t i = 1; i <= 5; i++) {
            CHECK(sent_to(cx, tx, i) == 1);
        }
        asx_broadcast_sender_close(cx, tx);
        CHECK(asx_is_err(asx_broadcast_recv(cx, rx, &value, &missed), ASX_E(LAGGED)));
        CHECK(missed == 3);
        for (uint64_t want : { 4, 5 }) {
            CHECK(asx_is_ok(asx_broadcast_recv(cx, rx, &value, &missed)));
            CHECK(value == want);
        }
        CHECK(asx_is_err(asx_broadcast_recv(cx, rx, &value, &missed), ASX_E(CLOSED)));
        return asx_ok(0);
    });
}

TEST_CASE("broadcast: subscribing starts now, a clone starts where its origin stands", "[sync]")
{
    run_body([](asx_cx *cx) {
        const asx_broadcast_sender tx = open_broadcast(cx, 8);
        asx_broadcast_receiver a, b, c;
        uint64_t value = 0;
        REQUIRE(asx_broadcast_subscribe(cx, tx, &a) == ASX_OK);
        CHECK(sent_to(cx, tx, 1) == 1);
        REQUIRE(asx_broadcast_subscribe(cx, tx, &b) == ASX_OK);
        REQUIRE(asx_broadcast_receiver_clone(cx, a, &c) == ASX_OK);
        CHECK(sent_to(cx, tx, 2) == 3);
        CHECK(asx_broadcast_try_recv(cx, b, &value, nullptr) == ASX_OK);
        CHECK(value == 2);
        CHECK(asx_broadcast_try_recv(cx, c, &value, nullptr) == ASX_OK);
        CHECK(value == 1);
        for (asx_broadcast_receiver rx : { a, b, c }) {
            asx_broadcast_receiver_close(cx, rx);
        }
        REQUIRE(asx_broadcast_subscribe(cx, tx, &a) == ASX_OK); /* the ring was cleared */
        CHECK(asx_broadcast_try_recv(cx, a, &value, nullptr) == ASX_E(EMPTY));
        return asx_ok(0);
    });
}

TEST_CASE("broadcast: a cancelled receive does not move the cursor, and all waiters are woken",
          "[sync]")
{
    run_body([](asx_cx *cx) {
        const asx_broadcast_sender tx = open_broadcast(cx, 4);
        asx_broadcast_receiver rx[3];
        std::vector<uint64_t> got(3);
        std::vector<body> receivers;
        asx_handle tasks[3];
        for (size_t i = 0; i < 3; i++) {
            REQUIRE(asx_broadcast_subscribe(cx, tx, &rx[i]) == ASX_OK);
            receivers.push_back(
                [&, i](asx_cx *r) { return asx_broadcast_recv(r, rx[i], &got[i], nullptr); });
        }
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            for (size_t i = 0; i < 3; i++) {
                tasks[i] = go(s, receivers[i]);
            }
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(sent_to(cx, tx, 7) == 3);
            asx_task_cancel(cx, tasks[1], ASX_CANCEL_USER, "with the item");
        }
        CHECK(got == std::vector<uint64_t>{ 7, 0, 7 });
        CHECK(asx_broadcast_try_recv(cx, rx[1], &got[1], nullptr) == ASX_OK);
        CHECK(got[1] == 7);
        return asx_ok(0);
    });
}

TEST_CASE("broadcast: closing an end wakes who waits through it", "[sync]")
{
    run_body([](asx_cx *cx) {
        const asx_broadcast_sender tx = open_broadcast(cx, 4);
        asx_broadcast_receiver rx;
        REQUIRE(asx_broadcast_subscribe(cx, tx, &rx) == ASX_OK);
        body receiver = [&](asx_cx *r) {
            uint64_t value;
            CHECK(asx_is_err(asx_broadcast_recv(r, rx, &value, nullptr), ASX_E(STALE)));
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            go(s, receiver);
            ASX_TRY(asx_sleep(cx, 1));
            asx_broadcast_receiver_close(cx, rx);
        }
        return asx_ok(0);
    });
}

TEST_CASE("watch: two sets and a close are one change, the latest value, then CLOSED", "[sync]")
{
    run_body([](asx_cx *cx) {
        asx_watch_sender tx;
        asx_watch_receiver rx;
        uint64_t value = 1;
        REQUIRE(asx_watch_open(cx, sizeof(value), &value, "test", &tx, &rx) == ASX_OK);
        CHECK(!asx_watch_has_changed(cx, rx));
        for (value = 2; value <= 3; value++) {
            CHECK(asx_watch_set(cx, tx, &value) == ASX_OK);
        }
        asx_watch_sender_close(cx, tx);
        CHECK(*static_cast<const uint64_t *>(asx_watch_borrow(cx, rx)) == 3);
        CHECK(asx_is_ok(asx_watch_changed(cx, rx)));
        CHECK(*static_cast<const uint64_t *>(asx_watch_borrow(cx, rx)) == 3);
        CHECK(asx_is_err(asx_watch_changed(cx, rx), ASX_E(CLOSED)));
        return asx_ok(0);
    });
}

TEST_CASE("watch: every waiter sees the change, a cancelled one has not seen it", "[sync]")
{
    run_body([](asx_cx *cx) {
        asx_watch_sender tx;
        asx_watch_receiver a, b;
        uint64_t value = 1;
        REQUIRE(asx_watch_open(cx, sizeof(value), &value, "test", &tx, &a) == ASX_OK);
        REQUIRE(asx_watch_receiver_clone(cx, a, &b) == ASX_OK);
        body on_a = [&](asx_cx *r) { return asx_watch_changed(r, a); };
        body on_b = [&](asx_cx *r) { return asx_watch_changed(r, b); };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle first = go(s, on_a), second = go(s, on_b);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(asx_watch_modify(
                      cx, tx, [](void *v, void *) { *static_cast<uint64_t *>(v) += 8; }, nullptr) ==
                  ASX_OK);
            asx_task_cancel(cx, second, ASX_CANCEL_USER, "with the change");
            CHECK(asx_is_ok(asx_join(cx, first)));
            CHECK(asx_join(cx, second).severity == ASX_SEVERITY_CANCELLED);
        }
        CHECK(!asx_watch_has_changed(cx, a));
        CHECK(asx_watch_has_changed(cx, b));
        CHECK(*static_cast<const uint64_t *>(asx_watch_borrow_and_mark(cx, b)) == 9);
        CHECK(!asx_watch_has_changed(cx, b));
        return asx_ok(0);
    });
}
