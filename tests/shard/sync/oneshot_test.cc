/* oneshot: a reply that was sent is received, whatever else happens in that turn; and silence is
 * always told. */
#include <asx/shard/sync/oneshot.h>

#include "sync_fixture.h"

namespace
{

int dropped;

struct pair {
    asx_oneshot_sender tx;
    asx_oneshot_receiver rx;

    explicit pair(asx_cx *cx)
    {
        const asx_oneshot_options options = { sizeof(uint64_t), [](void *) { dropped++; }, "test" };
        REQUIRE(asx_oneshot_open(cx, &options, &tx, &rx) == ASX_OK);
    }
};

const uint64_t answer = 42;

} // namespace

TEST_CASE("oneshot: the value arrives once, and after that was taken", "[sync]")
{
    run_body([](asx_cx *cx) {
        pair p(cx);
        uint64_t got = 0;
        CHECK(asx_oneshot_try_recv(cx, p.rx, &got) == ASX_E(EMPTY));
        body sender = [&](asx_cx *s) {
            ASX_TRY(asx_sleep(s, 5));
            CHECK(asx_oneshot_send(s, p.tx, &answer) == ASX_OK);
            CHECK(asx_oneshot_send(s, p.tx, &answer) == ASX_E(DISCONNECTED));
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, sender);
            CHECK(asx_is_ok(asx_oneshot_recv(cx, p.rx, &got)));
        }
        CHECK(got == 42);
        CHECK(asx_is_err(asx_oneshot_recv(cx, p.rx, &got), ASX_E(ALREADY_TAKEN)));
        return asx_ok(0);
    });
}

TEST_CASE("oneshot: a value and a cancel in one turn give the value", "[sync]")
{
    run_body([](asx_cx *cx) {
        pair p(cx);
        uint64_t got = 0;
        body receiver = [&](asx_cx *r) {
            const asx_outcome outcome = asx_oneshot_recv(r, p.rx, &got);
            CHECK(asx_is_ok(outcome));
            return outcome;
        };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle task = go(s, receiver);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(asx_oneshot_send(cx, p.tx, &answer) == ASX_OK);
            asx_task_cancel(cx, task, ASX_CANCEL_USER, "with the value");
        }
        CHECK(got == 42);
        return asx_ok(0);
    });
}

TEST_CASE("oneshot: a cancelled receive leaves the value to the next", "[sync]")
{
    run_body([](asx_cx *cx) {
        pair p(cx);
        uint64_t got = 0;
        body receiver = [&](asx_cx *r) { return asx_oneshot_recv(r, p.rx, &got); };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle task = go(s, receiver);
            ASX_TRY(asx_sleep(cx, 1));
            asx_task_cancel(cx, task, ASX_CANCEL_USER, "before the value");
            CHECK(asx_join(cx, task).severity == ASX_SEVERITY_CANCELLED);
            CHECK(asx_oneshot_send(cx, p.tx, &answer) == ASX_OK);
        }
        CHECK(got == 0);
        CHECK(asx_oneshot_try_recv(cx, p.rx, &got) == ASX_OK);
        CHECK(got == 42);
        return asx_ok(0);
    });
}

TEST_CASE("oneshot: a closed sender, an aborted and a lost permit all tell CLOSED", "[sync]")
{
    for (int way = 0; way < 4; way++) {
        run_body(
            [way](asx_cx *cx) {
                pair p(cx);
                uint64_t got;
                body sender = [&](asx_cx *s) {
                    asx_oneshot_permit permit;
                    ASX_HOLD(s, p.tx);
                    if (way > 0) {
                        ASX_TRY(asx_oneshot_reserve(s, p.tx, &permit));
                        CHECK(asx_is_err(asx_oneshot_reserve(s, p.tx, &permit),
                                         ASX_E(ALREADY_RESERVED)));
                    }
                    ASX_TRY(asx_sleep(s, 1));
                    if (way == 1) {
                        asx_oneshot_permit_abort(s, permit);
                    } else if (way == 2) {
                        asx_panic("with the permit");
                    }
                    return asx_ok(0); /* way 3: leaks it */
                };
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                    go(s, sender);
                    CHECK(asx_is_err(asx_oneshot_recv(cx, p.rx, &got), ASX_E(CLOSED)));
                }
                CHECK(asx_oneshot_try_recv(cx, p.rx, &got) == ASX_E(CLOSED));
                return asx_ok(0);
            },
            1, ASX_LEAK_LOG);
    }
}

TEST_CASE("oneshot: without a receiver the value comes back, and the sender can wait for that",
          "[sync]")
{
    dropped = 0;
    run_body([](asx_cx *cx) {
        pair p(cx), q(cx);
        asx_oneshot_permit permit;
        body watcher = [&](asx_cx *w) { return asx_oneshot_closed_until(w, p.tx, ASX_TIME_NEVER); };
        REQUIRE(asx_is_ok(asx_oneshot_reserve(cx, p.tx, &permit)));
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            const asx_handle task = go(s, watcher);
            ASX_TRY(asx_sleep(cx, 1));
            asx_oneshot_receiver_close(cx, p.rx);
            CHECK(asx_is_ok(asx_join(cx, task)));
        }
        CHECK(asx_oneshot_permit_send(cx, permit, &answer) == ASX_E(DISCONNECTED));
        CHECK(dropped == 0);
        CHECK(asx_is_err(asx_oneshot_closed_until(cx, q.tx, asx_now(cx) + 5), ASX_E(TIMED_OUT)));
        CHECK(asx_oneshot_send(cx, q.tx, &answer) == ASX_OK);
        asx_oneshot_receiver_close(cx, q.rx);
        CHECK(dropped == 1);
        return asx_ok(0);
    });
}
