/* Sessions: a requester always learns what became of its request. Intervals: every tick is told
 * when it was due. */
#include <asx/shard/interval.h>
#include <asx/shard/sync/session.h>

#include "sync_fixture.h"

namespace
{

struct session {
    asx_session_client client;
    asx_session_server server;

    explicit session(asx_cx *cx, uint32_t reply_size = sizeof(uint64_t))
    {
        const asx_session_options options = { 4, sizeof(uint64_t), reply_size, "test" };
        REQUIRE(asx_session_open(cx, &options, &client, &server) == ASX_OK);
    }
};

enum way { REPLY, DECLINE, FORGET, PANIC, HANG, HAND_ON };

/* Handles one request. */
asx_outcome handle_one(asx_cx *cx, const session &s, way how, asx_handle other = {})
{
    uint64_t request[512];
    asx_reply reply;
    ASX_TRY(asx_session_next_until(cx, s.server, request, &reply, ASX_TIME_NEVER));
    ASX_TRY(asx_sleep(cx, 5));
    uint64_t answer[512] = { request[0] * 2 };
    switch (how) {
    case REPLY:
        CHECK(asx_reply_send(cx, reply, answer) == ASX_OK);
        CHECK(asx_reply_send(cx, reply, answer) == ASX_E(STALE));
        break;
    case DECLINE:
        asx_reply_decline(cx, reply, 77);
        break;
    case FORGET:
        break;
    case PANIC:
        asx_panic("while handling");
    case HANG:
        return asx_sleep(cx, asx_s(1000));
    case HAND_ON:
        CHECK(asx_reply_transfer(cx, reply, other) == ASX_OK);
        break;
    }
    return asx_ok(0);
}

asx_outcome ask(asx_cx *cx, const session &s, uint64_t value, uint64_t *answer,
                uint64_t *refusal = nullptr, asx_instant deadline_ns = ASX_TIME_NEVER)
{
    return asx_session_request_until(cx, s.client, &value, answer, refusal, deadline_ns);
}

} // namespace

TEST_CASE("session: whatever the handler does, the requester is told", "[sync]")
{
    const asx_err told[] = { ASX_OK, ASX_E(REFUSED), ASX_E(PEER_LOST), ASX_E(PEER_PANICKED),
                             ASX_E(PEER_CANCELLED) };
    for (uint32_t reply_size : { 8u, 4096u }) {
        for (int how = REPLY; how <= HANG; how++) {
            run_body(
                [&](asx_cx *cx) {
                    session s(cx, reply_size);
                    body handler = [&](asx_cx *h) {
                        return handle_one(h, s, static_cast<way>(how));
                    };
                    uint64_t answer[512] = {}, refusal = 0;
                    ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
                        const asx_handle task = go(scope, handler);
                        body canceller = [&](asx_cx *c) {
                            ASX_TRY(asx_sleep(c, 50));
                            asx_task_cancel(c, task, ASX_CANCEL_USER, "the handler");
                            return asx_ok(0);
                        };
                        go(scope, canceller);
                        const asx_outcome outcome = ask(cx, s, 21, answer, &refusal);
                        CHECK((asx_is_ok(outcome) ? ASX_OK : outcome.err) == told[how]);
                        ASX_TRY(asx_sleep(cx, 100));
                    }
                    CHECK(answer[0] == (how == REPLY ? 42 : 0));
                    CHECK(refusal == (how == DECLINE ? 77 : 0));
                    return asx_ok(0);
                },
                1, ASX_LEAK_LOG);
        }
    }
}

TEST_CASE("session: a requester that leaves makes the reply moot, and no more", "[sync]")
{
    run_body([](asx_cx *cx) {
        session s(cx);
        bool moot = false;
        asx_err sent = ASX_OK;
        body handler = [&](asx_cx *h) {
            uint64_t request;
            asx_reply reply;
            ASX_TRY(asx_session_next_until(h, s.server, &request, &reply, ASX_TIME_NEVER));
            CHECK(!asx_reply_is_moot(h, reply));
            ASX_TRY(asx_sleep(h, 20));
            moot = asx_reply_is_moot(h, reply);
            sent = asx_reply_send(h, reply, &request);
            return asx_ok(0);
        };
        body requester = [&](asx_cx *r) {
            uint64_t answer;
            return ask(r, s, 1, &answer);
        };
        ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
            go(scope, handler);
            const asx_handle task = go(scope, requester);
            ASX_TRY(asx_sleep(cx, 5));
            asx_task_cancel(cx, task, ASX_CANCEL_USER, "the requester");
        }
        CHECK(moot);
        CHECK(sent == ASX_E(DISCONNECTED));
        return asx_ok(0);
    });
}

TEST_CASE("session: what expired in the queue is not delivered; what was queued when the server "
          "went is told",
          "[sync]")
{
    run_body([](asx_cx *cx) {
        session s(cx);
        int handled = 0;
        std::vector<asx_err> told;
        body expires = [&](asx_cx *r) {
            uint64_t answer;
            told.push_back(ask(r, s, 1, &answer, nullptr, asx_now(r) + 5).err);
            return asx_ok(0);
        };
        body waits = [&](asx_cx *r) {
            uint64_t answer;
            told.push_back(ask(r, s, 2, &answer).err);
            return asx_ok(0);
        };
        body handler = [&](asx_cx *h) {
            uint64_t request;
            asx_reply reply;
            ASX_TRY(asx_sleep(h, 10));
            CHECK(asx_is_err(asx_session_next_until(h, s.server, &request, &reply, asx_now(h) + 5),
                             ASX_E(TIMED_OUT)));
            handled++;
            ASX_TRY(asx_sleep(h, 10));
            asx_session_server_close(h, s.server);
            return asx_ok(0);
        };
        ASX_SCOPE(cx, scope, ASX_FAIL_FAST) {
            go(scope, expires);
            go(scope, handler);
            ASX_TRY(asx_sleep(cx, 18));
            go(scope, waits);
        }
        CHECK(handled == 1);
        CHECK(told == std::vector<asx_err>{ ASX_E(TIMED_OUT), ASX_E(DISCONNECTED) });
        return asx_ok(0);
    });
}

TEST_CASE("session: a reply may be owed by another task of the region", "[sync]")
{
    run_body(
        [](asx_cx *cx) {
            session s(cx);
            uint64_t answer = 0;
            const asx_instant began = asx_now(cx);
            ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
                body idle = [&](asx_cx *i) { return asx_sleep(i, 40); };
                const asx_handle other = go(scope, idle);
                body handler = [&](asx_cx *h) { return handle_one(h, s, HAND_ON, other); };
                go(scope, handler);
                const asx_outcome outcome = ask(cx, s, 1, &answer);
                CHECK(asx_is_err(outcome, ASX_E(PEER_LOST))); /* the other forgot it */
                CHECK(asx_now(cx) - began == 40);
            }
            return asx_ok(0);
        },
        1, ASX_LEAK_LOG);
}

TEST_CASE("interval: what a stalled consumer gets by each rule", "[time]")
{
    run_body([](asx_cx *cx) {
        asx_interval interval;
        asx_instant at = 0;
        CHECK(asx_interval_init(&interval, 0, 0, ASX_MISSED_BURST) == ASX_E(INVALID_ARGUMENT));
        const asx_duration period = asx_ms(100);
        for (asx_missed missed : { ASX_MISSED_BURST, ASX_MISSED_DELAY, ASX_MISSED_SKIP }) {
            for (asx_duration stall : { asx_ms(350), asx_ms(300) }) {
                const asx_instant start = asx_now(cx);
                REQUIRE(asx_interval_init(&interval, start, period, missed) == ASX_OK);
                ASX_TRY(asx_interval_tick(cx, &interval, &at));
                CHECK(at == start);
                ASX_TRY(asx_sleep(cx, stall));
                std::vector<asx_duration> due, when;
                for (int i = 0; i < 4; i++) {
                    ASX_TRY(asx_interval_tick(cx, &interval, &at));
                    due.push_back((at - start) / ASX_NS_PER_MS);
                    when.push_back((asx_now(cx) - start) / ASX_NS_PER_MS);
                }
                const asx_duration s = stall / ASX_NS_PER_MS;
                using list = std::vector<asx_duration>;
                if (missed == ASX_MISSED_BURST) {
                    CHECK(due == list{ 100, 200, 300, 400 });
                    CHECK(when == list{ s, s, s, 400 });
                } else if (missed == ASX_MISSED_DELAY) {
                    CHECK(due == list{ 100, s + 100, s + 200, s + 300 });
                } else {
                    CHECK(due == list{ 100, 400, 500, 600 });
                }
            }
        }
        return asx_ok(0);
    });
}

TEST_CASE("interval: a cancelled tick has consumed nothing", "[time]")
{
    run_body([](asx_cx *cx) {
        asx_interval interval;
        REQUIRE(asx_interval_init(&interval, asx_now(cx) + 50, 100, ASX_MISSED_BURST) == ASX_OK);
        const asx_instant due = interval.next_ns;
        body ticker = [&](asx_cx *t) { return asx_interval_tick(t, &interval, nullptr); };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle task = go(s, ticker);
            ASX_TRY(asx_sleep(cx, 10));
            asx_task_cancel(cx, task, ASX_CANCEL_USER, "waiting");
        }
        CHECK(interval.next_ns == due);
        return asx_ok(0);
    });
}
