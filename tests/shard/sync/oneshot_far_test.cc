/* A oneshot whose sender lives on another shard: the value arrives once or is dropped once, and the
 * receiver always learns that none will come. */
#include <asx/shard/sync/oneshot.h>

#include "../lab_world.h"
#include "sync_fixture.h"

namespace
{

constexpr uint32_t shards = 3, channels = 6;

struct value {
    uint64_t number;
    uint64_t filler[5]; /* too large for a message */
};

struct state {
    asx_oneshot_far far[channels];
    uint32_t size = sizeof(value);
    uint32_t sent = 0, got = 0, closed = 0, dropped = 0, cancelled = 0, watched = 0;
    bool cancel = false, panic = false, leave = false;
};
state *now;

void value_dropped(void *)
{
    now->dropped++;
}

asx_outcome send_by_permit(asx_cx *cx, asx_oneshot_sender tx, const value *v)
{
    asx_oneshot_permit permit, second;
    ASX_TRY(asx_oneshot_reserve(cx, tx, &permit));
    const asx_outcome again = asx_oneshot_reserve(cx, tx, &second);
    CHECK((asx_is_err(again, ASX_E(ALREADY_RESERVED)) || asx_is_err(again, ASX_E(DISCONNECTED)) ||
           again.severity == ASX_SEVERITY_CANCELLED));
    ASX_TRY(asx_sleep(cx, asx_random_below(cx, 3)));
    if (now->panic && asx_random_below(cx, 3) == 0) {
        asx_panic("with a permit");
    }
    if (asx_random_below(cx, 4) == 0) {
        asx_oneshot_permit_abort(cx, permit);
        return asx_ok(0);
    }
    now->sent += asx_oneshot_permit_send(cx, permit, v) == ASX_OK;
    return asx_ok(0);
}

asx_outcome sender(asx_cx *cx, void *arg)
{
    const uint32_t who = *static_cast<uint32_t *>(arg);
    const value v = { who + 1u, {} };
    asx_oneshot_sender tx;
    const asx_err err = asx_oneshot_import(cx, &now->far[who], &tx);
    if (err) { /* at home it is known already that nobody receives */
        CHECK(err == ASX_E(STALE));
        CHECK(who % shards == 0);
        return asx_ok(0);
    }
    ASX_HOLD(cx, tx);
    ASX_TRY(asx_sleep(cx, asx_random_below(cx, 3)));
    switch (asx_random_below(cx, 4)) {
    case 0:
        return send_by_permit(cx, tx, &v);
    case 1: {
        const asx_outcome gone = asx_oneshot_closed_until(
            cx, tx, asx_shard_now(asx_shard_of(cx)) + asx_random_below(cx, 5));
        now->watched += asx_is_ok(gone);
        return asx_ok(0);
    }
    default:
        now->sent += asx_oneshot_send(cx, tx, &v) == ASX_OK;
        CHECK(asx_oneshot_send(cx, tx, &v) != ASX_OK);
    }
    return asx_ok(0);
}

asx_outcome receive(asx_cx *cx, asx_oneshot_receiver rx, uint32_t who)
{
    value v = {};
    const asx_instant until = asx_shard_now(asx_shard_of(cx)) + asx_random_below(cx, 4);
    const asx_outcome outcome =
        asx_oneshot_recv_until(cx, rx, &v, now->leave ? until : ASX_TIME_NEVER);
    if (asx_is_ok(outcome)) {
        CHECK(v.number == who + 1);
        now->got++;
    }
    now->closed += asx_is_err(outcome, ASX_E(CLOSED));
    now->cancelled += asx_is_err(outcome, ASX_E(TIMED_OUT));
    return asx_ok(0);
}

asx_outcome story(asx_cx *cx, void *)
{
    asx_handle limbs[channels];
    asx_oneshot_receiver rx[channels];
    const asx_oneshot_options options = { now->size, value_dropped, "test" };
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        for (uint32_t i = 0; i < channels; i++) {
            asx_oneshot_sender tx;
            REQUIRE(asx_oneshot_open(cx, &options, &tx, &rx[i]) == ASX_OK);
            REQUIRE(asx_oneshot_export(cx, tx, &now->far[i]) == ASX_OK);
            asx_oneshot_sender_close(cx, tx); /* it has moved: nothing is closed */
            REQUIRE(asx_spawn_on(&s->cx, i % shards, sender, &i, sizeof(i), nullptr, &limbs[i]) ==
                    ASX_OK);
        }
        if (now->cancel) {
            asx_limb_cancel(cx, limbs[asx_random_below(cx, channels)], ASX_CANCEL_USER, "test");
        }
        for (uint32_t i = 0; i < channels; i++) {
            ASX_TRY(receive(cx, rx[i], i));
            asx_oneshot_receiver_close(cx, rx[i]);
        }
    }
    return asx_ok(0);
}

} // namespace

TEST_CASE("far oneshot: the value arrives or is dropped, once, and a lost sender is noticed",
          "[sync]")
{
    uint64_t got = 0, closed = 0, dropped = 0, left = 0, watched = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        INFO("seed " << seed);
        state self;
        now = &self;
        self.size = seed & 1 ? sizeof(value) : sizeof(uint64_t);
        self.cancel = seed & 2;
        self.panic = seed & 4;
        self.leave = seed & 8;
        lab_world world(shards, seed, 8);
        world.run(story);
        CHECK(self.got + self.dropped == self.sent);
        CHECK(self.got + self.closed + self.cancelled == channels);
        if (!self.leave) {
            CHECK(self.dropped == 0);
        }
        got += self.got;
        closed += self.closed;
        dropped += self.dropped;
        left += self.cancelled;
        watched += self.watched;
    }
    CHECK(got > 500);
    CHECK(closed > 200);
    CHECK(dropped > 50);
    CHECK(left > 50);
    CHECK(watched > 0);
}

TEST_CASE("far oneshot: a value that is not imported, or not at home, ends as it should", "[sync]")
{
    state self;
    now = &self;
    lab_world world(2, 1);
    world.run(TASK {
        asx_oneshot_sender tx;
        asx_oneshot_receiver rx;
        asx_oneshot_far far, again;
        uint64_t got = 0;
        const uint64_t seven = 7;
        const asx_oneshot_options options = { sizeof(got), nullptr, "test" };
        REQUIRE(asx_oneshot_open(cx, &options, &tx, &rx) == ASX_OK);
        REQUIRE(asx_oneshot_export(cx, tx, &far) == ASX_OK);
        CHECK(asx_oneshot_export(cx, tx, &again) == ASX_E(STALE));
        CHECK(asx_oneshot_send(cx, tx, &seven) == ASX_E(DISCONNECTED));
        CHECK(asx_oneshot_try_recv(cx, rx, &got) == ASX_E(EMPTY));
        asx_oneshot_far_abandon(cx, &far);
        CHECK(asx_oneshot_try_recv(cx, rx, &got) == ASX_E(CLOSED));
        REQUIRE(asx_oneshot_open(cx, &options, &tx, &rx) == ASX_OK);
        REQUIRE(asx_oneshot_export(cx, tx, &far) == ASX_OK);
        REQUIRE(asx_oneshot_import(cx, &far, &tx) == ASX_OK);
        CHECK(asx_oneshot_import(cx, &far, &tx) == ASX_E(STALE));
        CHECK(asx_oneshot_try_recv(cx, rx, &got) == ASX_E(EMPTY));
        return asx_ok(0);
    });
}
