/* What a channel or a lock counts of those that waited for it: each wait that was granted, with its
 * length, and none that gave up. */
#include <asx/shard/sync/barrier.h>
#include <asx/shard/sync/broadcast.h>
#include <asx/shard/sync/latch.h>
#include <asx/shard/sync/mpsc.h>
#include <asx/shard/sync/notify.h>
#include <asx/shard/sync/once.h>
#include <asx/shard/sync/semaphore.h>
#include <asx/shard/sync/session.h>
#include <asx/shard/sync/watch.h>

#include "sync_fixture.h"

namespace
{

/* `waiter` enters at 0; at 5 another one comes, which gives up at 7; `giver` serves at 10. */
void wait_and_serve(asx_cx *cx, body waiter, body quitter, body giver)
{
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        go(s, waiter);
        const asx_outcome five = asx_sleep(cx, 5);
        go(s, quitter);
        const asx_outcome ten = asx_sleep(cx, 5);
        REQUIRE((asx_is_ok(five) && asx_is_ok(ten)));
        const asx_outcome given = giver(cx);
        REQUIRE(asx_is_ok(given));
    }
}

void check_one(asx_waits waits)
{
    CHECK(waits.granted == 1);
    CHECK(waits.waited_ns == 10);
    CHECK(waits.waiting == 0);
}

} // namespace

TEST_CASE("waits: each lock counts the wait that was granted, and not the one that gave up",
          "[sync]")
{
    run_body([](asx_cx *cx) {
        asx_semaphore semaphore;
        asx_notify notify;
        asx_latch latch;
        asx_barrier barrier;
        asx_once once;
        asx_semaphore_permit permit;
        REQUIRE(asx_semaphore_open(cx, 0, "test", &semaphore) == ASX_OK);
        REQUIRE(asx_notify_open(cx, "test", &notify) == ASX_OK);
        REQUIRE(asx_latch_open(cx, 1, "test", &latch) == ASX_OK);
        REQUIRE(asx_barrier_open(cx, 2, "test", &barrier) == ASX_OK);
        REQUIRE(asx_once_open(cx, "test", &once) == ASX_OK);
        using wait_fn = std::function<asx_outcome(asx_cx *, asx_instant)>;
        const auto serve = [cx](const wait_fn &wait, const body &giver) {
            wait_and_serve(
                cx, [&](asx_cx *w) { return wait(w, ASX_TIME_NEVER); },
                [&](asx_cx *q) { return wait(q, asx_now(q) + 2); }, giver);
        };
        serve(
            [&](asx_cx *w, asx_instant until) {
                return asx_semaphore_acquire_until(w, semaphore, 1, until, &permit);
            },
            [&](asx_cx *g) {
                CHECK(asx_semaphore_waits(g, semaphore).waiting == 1);
                asx_semaphore_add(g, semaphore, 1);
                return asx_ok(0);
            });
        serve([&](asx_cx *w, asx_instant until) { return asx_notify_wait_until(w, notify, until); },
              [&](asx_cx *g) {
                  asx_notify_one(g, notify);
                  return asx_ok(0);
              });
        serve([&](asx_cx *w, asx_instant until) { return asx_latch_wait_until(w, latch, until); },
              [&](asx_cx *g) {
                  asx_latch_done(g, latch, 1);
                  return asx_ok(0);
              });
        serve([&](asx_cx *w, asx_instant until) { return asx_once_wait_until(w, once, until); },
              [&](asx_cx *g) {
                  CHECK(asx_once_set(g, once, 7) == ASX_OK);
                  return asx_ok(0);
              });
        check_one(asx_semaphore_waits(cx, semaphore));
        check_one(asx_notify_waits(cx, notify));
        check_one(asx_latch_waits(cx, latch));
        check_one(asx_once_waits(cx, once));
        body party = [&](asx_cx *p) { return asx_barrier_wait_until(p, barrier, ASX_TIME_NEVER); };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            go(s, party);
            ASX_TRY(asx_sleep(cx, 10));
            ASX_TRY(party(cx));
        }
        check_one(asx_barrier_waits(cx, barrier));
        return asx_ok(0);
    });
}

TEST_CASE("waits: each channel counts the wait that was granted, and not the one that gave up",
          "[sync]")
{
    run_body([](asx_cx *cx) {
        uint64_t item = 0, zero = 0;
        asx_mpsc_sender tx;
        asx_mpsc_receiver rx;
        asx_watch_sender set;
        asx_watch_receiver watch;
        asx_broadcast_sender all;
        asx_broadcast_receiver one;
        const asx_mpsc_options mpsc = { 1, sizeof(item), nullptr, "test" };
        const asx_broadcast_options broadcast = { 1, sizeof(item), "test" };
        REQUIRE(asx_mpsc_open(cx, &mpsc, &tx, &rx) == ASX_OK);
        REQUIRE(asx_watch_open(cx, sizeof(item), &zero, "test", &set, &watch) == ASX_OK);
        REQUIRE(asx_broadcast_open(cx, &broadcast, &all) == ASX_OK);
        REQUIRE(asx_broadcast_subscribe(cx, all, &one) == ASX_OK);
        REQUIRE(asx_mpsc_try_send(cx, tx, &zero) == ASX_OK);
        wait_and_serve(
            cx, [&](asx_cx *w) { return asx_mpsc_send(w, tx, &zero); },
            [&](asx_cx *q) { return asx_mpsc_send_until(q, tx, &zero, asx_now(q) + 2); },
            [&](asx_cx *g) { return asx_mpsc_recv(g, rx, &item); });
        check_one(asx_mpsc_waits(cx, rx));
        wait_and_serve(
            cx, [&](asx_cx *w) { return asx_watch_changed(w, watch); },
            [&](asx_cx *q) { return asx_watch_changed_until(q, watch, asx_now(q) + 2); },
            [&](asx_cx *g) {
                CHECK(asx_watch_set(g, set, &zero) == ASX_OK);
                return asx_ok(0);
            });
        check_one(asx_watch_waits(cx, watch));
        wait_and_serve(
            cx, [&](asx_cx *w) { return asx_broadcast_recv(w, one, &item, nullptr); },
            [&](asx_cx *q) {
                return asx_broadcast_recv_until(q, one, &item, nullptr, asx_now(q) + 2);
            },
            [&](asx_cx *g) { return asx_broadcast_send(g, all, &zero); });
        check_one(asx_broadcast_waits(cx, one));
        asx_broadcast_receiver_close(cx, one);
        CHECK(asx_broadcast_waits(cx, one).granted == 0);
        return asx_ok(0);
    });
}
