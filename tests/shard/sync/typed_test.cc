/* Channels of one type: each wrapper does what its function does, without a cast. */
#include <asx/shard/sync/typed.h>

#include "sync_fixture.h"

namespace
{

struct point {
    int x, y;
};

ASX_ONESHOT_TYPE(answer, point)
ASX_BROADCAST_TYPE(news, point)
ASX_WATCH_TYPE(setting, point)
ASX_SESSION_TYPE(sum, point, int)

} // namespace

TEST_CASE("typed: a oneshot carries one value, once", "[typed]")
{
    run_body([](asx_cx *cx) {
        answer_sender tx;
        answer_receiver rx;
        point got = {};
        REQUIRE(answer_open(cx, &tx, &rx) == ASX_OK);
        CHECK(answer_try_recv(cx, rx, &got) == ASX_E(EMPTY));
        CHECK(answer_send(cx, tx, point{ 3, 4 }) == ASX_OK);
        CHECK(asx_is_ok(answer_recv(cx, rx, &got)));
        CHECK(got.x + 10 * got.y == 43);
        CHECK(asx_is_err(answer_recv(cx, rx, &got), ASX_E(ALREADY_TAKEN)));
        return asx_ok(0);
    });
}

TEST_CASE("typed: a broadcast reaches all, and tells the late how many they missed", "[typed]")
{
    run_body([](asx_cx *cx) {
        news_sender tx;
        news_receiver early, late;
        point got = {};
        uint64_t lagged = 0;
        REQUIRE(news_open(cx, 2, &tx) == ASX_OK);
        REQUIRE(news_subscribe(cx, tx, &early) == ASX_OK);
        REQUIRE(news_subscribe(cx, tx, &late) == ASX_OK);
        for (int i = 0; i < 3; i++) {
            CHECK(news_send(cx, tx, point{ i, 2 * i }).value == 2);
            CHECK(asx_is_ok(news_recv(cx, early, &got, nullptr)));
            CHECK(got.y == 2 * i);
        }
        CHECK(news_try_recv(cx, early, &got, nullptr) == ASX_E(EMPTY));
        CHECK(news_try_recv(cx, late, &got, &lagged) == ASX_E(LAGGED));
        CHECK(lagged == 1);
        CHECK(news_try_recv(cx, late, &got, &lagged) == ASX_OK);
        CHECK(got.x == 1);
        return asx_ok(0);
    });
}

TEST_CASE("typed: a watch shows the newest value", "[typed]")
{
    run_body([](asx_cx *cx) {
        setting_sender tx;
        setting_receiver rx, other;
        REQUIRE(setting_open(cx, point{ 1, 1 }, &tx, &rx) == ASX_OK);
        CHECK(setting_borrow(cx, rx)->x == 1);
        CHECK(setting_set(cx, tx, point{ 2, 2 }) == ASX_OK);
        REQUIRE(setting_subscribe(cx, tx, &other) == ASX_OK);
        CHECK(setting_set(cx, tx, point{ 3, 3 }) == ASX_OK);
        for (setting_receiver each : { rx, other }) {
            CHECK(asx_is_ok(setting_changed(cx, each)));
            CHECK(setting_borrow(cx, each)->y == 3);
        }
        return asx_ok(0);
    });
}

TEST_CASE("typed: a session answers each request, or declines it", "[typed]")
{
    run_body([](asx_cx *cx) {
        sum_client client;
        sum_server server;
        REQUIRE(sum_open(cx, 4, &client, &server) == ASX_OK);
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            body serve = [&](asx_cx *inner) {
                for (int i = 0; i < 2; i++) {
                    point asked = {};
                    sum_debt debt;
                    ASX_TRY(sum_next(inner, server, &asked, &debt));
                    if (asked.x < 0) {
                        sum_decline(inner, debt, 9);
                    } else {
                        CHECK(sum_reply(inner, debt, asked.x + asked.y) == ASX_OK);
                    }
                }
                return asx_ok(0);
            };
            go(s, serve);
            int total = 0;
            uint64_t refusal = 0;
            CHECK(asx_is_ok(sum_request(cx, client, point{ 40, 2 }, &total, &refusal)));
            CHECK(total == 42);
            CHECK(asx_is_err(sum_request(cx, client, point{ -1, 2 }, &total, &refusal),
                             ASX_E(REFUSED)));
            CHECK(refusal == 9);
        }
        return asx_ok(0);
    });
}
