/* Channels between shards: the capacity holds over all shards together, credits come home, and an
 * item is received, handed back or dropped, exactly once, however the shards take turns. */
#include <asx/shard/sync/mpsc.h>

#include "../lab_world.h"
#include "sync_fixture.h"

#include <algorithm>

namespace
{

struct world_state {
    asx_mpsc_far far[3];
    std::vector<uint64_t> sent, got;
    uint32_t capacity = 1, dropped = 0, used_max = 0;
    uint64_t seed = 0;
    bool cancel = false, close_early = false, stop = false, panic = false;
};
world_state *now;

struct item {
    uint64_t number;
    uint64_t filler[4]; /* too large for a message */
};

void item_dropped(void *)
{
    now->dropped++;
}

asx_outcome producer(asx_cx *cx, void *arg)
{
    const uint32_t who = *static_cast<uint32_t *>(arg);
    asx_mpsc_sender tx;
    REQUIRE(asx_mpsc_import(cx, &now->far[who], &tx) == ASX_OK);
    ASX_HOLD(cx, tx);
    for (uint64_t i = 0; i < 12; i++) {
        const item it = { who * 100 + i, {} };
        if (asx_random_below(cx, 2)) {
            ASX_TRY(asx_mpsc_send(cx, tx, &it));
        } else {
            asx_mpsc_permit permit;
            ASX_TRY(asx_mpsc_reserve(cx, tx, &permit));
            if (asx_random_below(cx, 3) == 0) {
                ASX_TRY(asx_sleep(cx, asx_random_below(cx, 3)));
            }
            if (now->panic && asx_random_below(cx, 20) == 0) {
                asx_panic("with a far permit");
            }
            if (asx_random_below(cx, 4) == 0) {
                asx_mpsc_permit_abort(cx, permit);
                continue;
            }
            if (asx_mpsc_permit_send(cx, permit, &it) != ASX_OK) {
                break;
            }
        }
        now->sent.push_back(it.number);
        if (asx_random_below(cx, 3) == 0) {
            ASX_TRY(asx_sleep(cx, asx_random_below(cx, 4)));
        }
    }
    return asx_ok(0);
}

asx_outcome consumer(asx_cx *cx, void *)
{
    asx_mpsc_sender tx;
    asx_mpsc_receiver rx;
    const asx_mpsc_options options = { now->capacity, sizeof(item), item_dropped, "far test" };
    REQUIRE(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_OK);
    asx_handle limbs[3];
    item it;
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        for (uint32_t i = 0; i < 3; i++) {
            REQUIRE(asx_mpsc_export(cx, tx, &now->far[i]) == ASX_OK);
            REQUIRE(asx_spawn_on(&s->cx, i, producer, &i, sizeof(i), nullptr, &limbs[i]) == ASX_OK);
        }
        asx_mpsc_sender_close(cx, tx);
        for (uint32_t round = 0;; round++) {
            if (!asx_is_ok(asx_mpsc_recv(cx, rx, &it))) {
                break;
            }
            now->got.push_back(it.number);
            now->used_max = std::max(now->used_max, asx_mpsc_used(cx, rx));
            if (now->cancel && round == 4) {
                asx_limb_cancel(cx, limbs[asx_random_below(cx, 3)], ASX_CANCEL_USER, "test");
            }
            if (now->stop && round == 5) {
                asx_mpsc_stop(cx, rx);
            }
            if (now->close_early && round == 6) {
                asx_mpsc_receiver_close(cx, rx);
                break;
            }
            if (asx_random_below(cx, 4) == 0) {
                ASX_TRY(asx_sleep(cx, asx_random_below(cx, 3)));
            }
        }
    }
    return asx_ok(0);
}

void run_world(world_state &state)
{
    now = &state;
    lab_world world(3, state.seed, 8);
    world.run(consumer);
}

} // namespace

TEST_CASE("far mpsc: everything sent is received, in each sender's order, within the capacity",
          "[sync]")
{
    for (uint32_t capacity : { 1u, 2u, 7u, 64u }) {
        for (uint64_t seed = 1; seed <= 60; seed++) {
            world_state state;
            state.seed = seed;
            state.capacity = capacity;
            run_world(state);
            INFO("capacity " << capacity << " seed " << seed);
            CHECK(state.used_max <= capacity);
            for (uint64_t who = 0; who < 3; who++) {
                std::vector<uint64_t> mine;
                std::copy_if(state.got.begin(), state.got.end(), std::back_inserter(mine),
                             [who](uint64_t n) { return n / 100 == who; });
                CHECK(std::is_sorted(mine.begin(), mine.end()));
            }
            std::sort(state.got.begin(), state.got.end());
            std::sort(state.sent.begin(), state.sent.end());
            REQUIRE(state.got == state.sent);
            CHECK(state.dropped == 0);
        }
    }
}

TEST_CASE("far mpsc: cancels and panics of senders give their credits back", "[sync]")
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        world_state state;
        state.seed = seed;
        state.capacity = 1 + seed % 5;
        state.cancel = true;
        state.panic = seed % 2 == 0;
        run_world(state);
        INFO("seed " << seed);
        std::sort(state.got.begin(), state.got.end());
        std::sort(state.sent.begin(), state.sent.end());
        REQUIRE(state.got == state.sent);
    }
}

TEST_CASE("far mpsc: when the receiver goes, each item was received or is dropped, once", "[sync]")
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        world_state state;
        state.seed = seed;
        state.capacity = 1 + seed % 9;
        state.close_early = true;
        run_world(state);
        INFO("seed " << seed);
        REQUIRE(state.got.size() + state.dropped == state.sent.size());
    }
}

TEST_CASE("far mpsc: stopping delivers what far permits were promised", "[sync]")
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        world_state state;
        state.seed = seed;
        state.capacity = 1 + seed % 9;
        state.stop = true;
        run_world(state);
        INFO("seed " << seed);
        std::sort(state.got.begin(), state.got.end());
        std::sort(state.sent.begin(), state.sent.end());
        REQUIRE(state.got == state.sent);
        CHECK(state.got.size() < 36);
    }
}

namespace
{

/* Waits for a slot in a region that closes in the turn of the grant. */
asx_outcome leaver(asx_cx *cx, void *arg)
{
    const uint32_t who = *static_cast<uint32_t *>(arg);
    ASX_SCOPE(cx, outer, ASX_COLLECT_ALL) {
        asx_mpsc_sender tx;
        REQUIRE(asx_mpsc_import(&outer->cx, &now->far[who], &tx) == ASX_OK);
        body waiter = [&](asx_cx *w) {
            const item it = { who, {} };
            ASX_TRY(asx_mpsc_send(w, tx, &it));
            now->sent.push_back(who);
            return asx_ok(0);
        };
        body closer = [&](asx_cx *c) {
            ASX_TRY(asx_sleep(c, asx_random_below(c, 6)));
            asx_mpsc_sender_close(c, tx);
            return asx_ok(0);
        };
        go(outer, waiter);
        go(outer, closer);
        ASX_TRY(asx_sleep(cx, 20));
    }
    return asx_ok(0);
}

asx_outcome slow_consumer(asx_cx *cx, void *)
{
    asx_mpsc_sender tx;
    asx_mpsc_receiver rx;
    const asx_mpsc_options options = { 1, sizeof(item), item_dropped, "far test" };
    REQUIRE(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_OK);
    item it;
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        for (uint32_t i = 0; i < 3; i++) {
            REQUIRE(asx_mpsc_export(cx, tx, &now->far[i]) == ASX_OK);
            REQUIRE(asx_spawn_on(&s->cx, i, leaver, &i, sizeof(i), nullptr, nullptr) == ASX_OK);
        }
        asx_mpsc_sender_close(cx, tx);
        while (asx_is_ok(asx_mpsc_recv(cx, rx, &it))) {
            now->got.push_back(it.number);
            ASX_TRY(asx_sleep(cx, asx_random_below(cx, 3)));
        }
    }
    return asx_ok(0);
}

} // namespace

TEST_CASE("far mpsc: senders that close while a slot is on its way to them give it back", "[sync]")
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        world_state state;
        state.seed = seed;
        now = &state;
        lab_world world(3, state.seed, 8);
        INFO("seed " << seed);
        world.run(slow_consumer); /* the receiver learns that all have gone */
        std::sort(state.got.begin(), state.got.end());
        std::sort(state.sent.begin(), state.sent.end());
        REQUIRE(state.got == state.sent);
    }
}

namespace
{

constexpr uint64_t STREAM = 2000;

asx_outcome stream_producer(asx_cx *cx, void *)
{
    asx_mpsc_sender tx;
    REQUIRE(asx_mpsc_import(cx, &now->far[0], &tx) == ASX_OK);
    ASX_HOLD(cx, tx);
    for (uint64_t i = 0; i < STREAM; i++) {
        ASX_TRY(asx_mpsc_send(cx, tx, &i));
    }
    return asx_ok(0);
}

asx_outcome stream_consumer(asx_cx *cx, void *)
{
    asx_mpsc_sender tx;
    asx_mpsc_receiver rx;
    const asx_mpsc_options options = { now->capacity, sizeof(uint64_t), nullptr, "far test" };
    REQUIRE(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_OK);
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        REQUIRE(asx_mpsc_export(cx, tx, &now->far[0]) == ASX_OK);
        REQUIRE(asx_spawn_on(&s->cx, 1, stream_producer, nullptr, 0, nullptr, nullptr) == ASX_OK);
        asx_mpsc_sender_close(cx, tx);
        for (uint64_t i; asx_is_ok(asx_mpsc_recv(cx, rx, &i));) {
            now->got.push_back(i);
            if (i % 16 == 15) { /* the sender is ahead: it waits for what each turn makes free */
                ASX_TRY(asx_sleep(cx, 1000));
            }
        }
    }
    return asx_ok(0);
}

} // namespace

TEST_CASE("far mpsc: what a turn made free is granted in one message", "[sync]")
{
    uint64_t grants = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        world_state state;
        state.seed = seed;
        state.capacity = 64;
        now = &state;
        lab_world world(2, state.seed, 64);
        INFO("seed " << seed);
        world.run(stream_consumer);
        REQUIRE(state.got.size() == STREAM);
        CHECK(std::is_sorted(state.got.begin(), state.got.end()));
        grants += world.ends[0].messages_sent; /* and what spawning and shutting down takes */
    }
    CHECK(grants < 20 * STREAM / 4);
}
