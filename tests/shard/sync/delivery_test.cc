/* At stake: an item that somebody has taken and not answered for is never lost and never received
 * twice for good; whoever ends, however, it comes back to where it stood, or is dropped once. */
#include <asx/shard/sync/delivery.h>

#include "../lab_world.h"
#include "sync_fixture.h"

namespace
{

uint32_t dropped;

void item_dropped(void *)
{
    dropped++;
}

struct queue {
    asx_mpsc_sender tx;
    asx_mpsc_receiver rx;

    explicit queue(asx_cx *cx, uint32_t capacity, uint64_t items)
    {
        const asx_mpsc_options options = { capacity, sizeof(uint64_t), item_dropped, "test" };
        REQUIRE(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_OK);
        dropped = 0;
        for (uint64_t i = 1; i <= items; i++) {
            REQUIRE(asx_mpsc_try_send(cx, tx, &i) == ASX_OK);
        }
    }
};

struct taken {
    uint64_t item = 0;
    asx_delivery delivery{};
    asx_outcome outcome;

    taken(asx_cx *cx, const queue &q, asx_instant deadline_ns = ASX_TIME_NEVER)
        : outcome(asx_delivery_next_until(cx, q.rx, &item, sizeof(item), deadline_ns, &delivery))
    {
    }
    bool is(uint64_t number, uint32_t attempt) const
    {
        return asx_is_ok(outcome) && item == number && delivery.attempt == attempt;
    }
};

enum way { COMMIT, ABORT, FORGET, PANIC, HANG, HAND_ON, WAYS };

asx_outcome take_one(asx_cx *cx, const queue &q, way how, asx_handle other = {})
{
    const taken one(cx, q);
    ASX_TRY(one.outcome);
    switch (how) {
    case COMMIT:
        asx_delivery_commit(cx, one.delivery);
        asx_delivery_abort(cx, one.delivery); /* it is settled */
        break;
    case ABORT:
        asx_delivery_abort(cx, one.delivery);
        asx_delivery_commit(cx, one.delivery);
        break;
    case FORGET:
    case WAYS:
        break;
    case PANIC:
        asx_panic("as a holder");
    case HANG:
        return asx_sleep(cx, asx_s(1000));
    case HAND_ON:
        CHECK(asx_delivery_transfer(cx, one.delivery, other) == ASX_OK);
        break;
    }
    return asx_ok(0);
}

} // namespace

TEST_CASE("delivery: what comes back stands where it stood, and is counted", "[sync]")
{
    run_body([](asx_cx *cx) {
        queue q(cx, 5, 4);
        const taken a(cx, q), b(cx, q), c(cx, q);
        CHECK((a.is(1, 1) && b.is(2, 1) && c.is(3, 1)));
        CHECK(asx_mpsc_used(cx, q.rx) == 4);
        uint64_t item = 5;
        CHECK(asx_mpsc_try_send(cx, q.tx, &item) == ASX_OK);
        CHECK(asx_mpsc_try_send(cx, q.tx, &item) == ASX_E(FULL));
        asx_delivery_abort(cx, c.delivery);
        asx_delivery_abort(cx, a.delivery);
        asx_delivery_commit(cx, b.delivery);
        CHECK(asx_mpsc_used(cx, q.rx) == 4);
        const taken again(cx, q), next(cx, q);
        CHECK((again.is(1, 2) && next.is(3, 2)));
        asx_delivery_abort(cx, next.delivery);
        asx_delivery_abort(cx, again.delivery);
        /* Whoever receives without owing gets the same, and so does who evicts. */
        CHECK(asx_mpsc_try_recv(cx, q.rx, &item) == ASX_OK);
        CHECK(item == 1);
        item = 6;
        CHECK(asx_mpsc_try_send(cx, q.tx, &item) == ASX_OK);
        item = 7;
        CHECK(asx_mpsc_try_send(cx, q.tx, &item) == ASX_OK);
        uint64_t evicted = 0;
        CHECK(asx_mpsc_send_evict(cx, q.tx, &item, nullptr, nullptr, &evicted).value == 1);
        CHECK(evicted == 3);
        const taken fourth(cx, q);
        CHECK(fourth.is(4, 1));
        asx_delivery_commit(cx, fourth.delivery);
        uint64_t rest[4];
        CHECK(asx_mpsc_recv_many(cx, q.rx, rest, 4).value == 4);
        CHECK((rest[0] == 5 && rest[3] == 7));
        CHECK(dropped == 0);
        return asx_ok(0);
    });
}

TEST_CASE("delivery: however its holder ends, an item is received or comes back", "[sync]")
{
    for (int how = COMMIT; how < WAYS; how++) {
        for (const bool closes : { false, true }) {
            INFO("way " << how << (closes ? ", closed" : ""));
            run_body(
                [&](asx_cx *cx) {
                    queue q(cx, 1, 1);
                    asx_handle task{};
                    body keeps = [&](asx_cx *c) { return asx_sleep(c, 30); };
                    body holds = [&](asx_cx *c) {
                        ASX_TRY(asx_sleep(c, 1));
                        return take_one(c, q, static_cast<way>(how), task);
                    };
                    ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
                        task = go(scope, keeps);
                        const asx_handle holder = go(scope, holds);
                        ASX_TRY(asx_sleep(cx, 20));
                        if (closes) {
                            asx_mpsc_receiver_close(cx, q.rx);
                        }
                        asx_task_cancel(cx, holder, ASX_CANCEL_USER, "the holder");
                        asx_task_cancel(cx, task, ASX_CANCEL_USER, "whom it was handed to");
                    }
                    if (closes) {
                        CHECK(dropped == (how == COMMIT ? 0 : 1));
                        return asx_ok(0);
                    }
                    CHECK(asx_mpsc_used(cx, q.rx) == (how == COMMIT ? 0 : 1));
                    asx_mpsc_sender_close(cx, q.tx);
                    const taken again(cx, q);
                    if (how == COMMIT) {
                        CHECK(asx_is_err(again.outcome, ASX_E(DISCONNECTED)));
                    } else {
                        CHECK(again.is(1, 2));
                        asx_delivery_commit(cx, again.delivery);
                    }
                    CHECK(dropped == 0);
                    return asx_ok(0);
                },
                1, ASX_LEAK_LOG);
        }
    }
}

TEST_CASE("delivery: those that wait are served in order, and nothing is over before all is "
          "answered",
          "[sync]")
{
    run_body([](asx_cx *cx) {
        queue q(cx, 2, 0);
        std::vector<std::string> said;
        std::vector<asx_handle> tasks;
        body waits = [&](asx_cx *c) {
            const size_t me = said.size(); /* its place in the line */
            said.push_back("waits");
            tasks.push_back(asx_cx_task(c));
            const taken one(c, q);
            said[me] = !asx_is_ok(one.outcome) ? "told" : one.item == 1 ? "first" : "second";
            ASX_TRY(one.outcome);
            const asx_outcome slept = asx_sleep(c, 50);
            asx_delivery_commit(c, one.delivery);
            return slept;
        };
        ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
            for (int i = 0; i < 4; i++) {
                go(scope, waits);
            }
            ASX_TRY(asx_sleep(cx, 1));
            for (uint64_t i = 1; i <= 2; i++) {
                CHECK(asx_mpsc_try_send(cx, q.tx, &i) == ASX_OK);
            }
            /* It was granted the first, and goes before it has run. */
            asx_task_cancel(cx, tasks[0], ASX_CANCEL_USER, "left");
            asx_mpsc_sender_close(cx, q.tx);
            ASX_TRY(asx_sleep(cx, 20));
            CHECK(said == std::vector<std::string>{ "told", "second", "first", "waits" });
            const taken late(cx, q, asx_shard_now(asx_shard_of(cx)));
            CHECK(asx_is_err(late.outcome, ASX_E(TIMED_OUT)));
        }
        CHECK(said[3] == "told");
        return asx_ok(0);
    });
}

TEST_CASE("delivery: what cannot be owed stays queued", "[sync]")
{
    run_body([](asx_cx *cx) {
        queue q(cx, 2, 2);
        uint64_t item = 0;
        asx_delivery none;
        for (const uint32_t size : { 0u, 4u, 16u, ASX_MPSC_ITEM_MAX + 1 }) {
            CHECK(asx_is_err(asx_delivery_next(cx, q.rx, &item, size, &none),
                             ASX_E(INVALID_ARGUMENT)));
        }
        body limited = [&](asx_cx *c) {
            const taken one(c, q);
            const taken two(c, q);
            CHECK(one.is(1, 1));
            CHECK(asx_is_err(two.outcome, ASX_E(AT_CAPACITY)));
            asx_delivery_abort(c, one.delivery);
            return asx_ok(0);
        };
        asx_region_options options{};
        asx_region *region = nullptr;
        asx_handle task{};
        options.limits.obligations_max = 1;
        REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
        REQUIRE(asx_spawn(cx, region, body_run, &limited, 0, nullptr, &task) == ASX_OK);
        ASX_TRY(asx_join(cx, task));
        const asx_handle handle = asx_region_handle(region);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        ASX_TRY(asx_region_close_wait(cx, handle));
        CHECK(asx_mpsc_used(cx, q.rx) == 2);
        const taken one(cx, q), two(cx, q);
        CHECK((one.is(1, 2) && two.is(2, 2)));
        asx_mpsc_receiver_close(cx, q.rx);
        asx_delivery_abort(cx, one.delivery);
        asx_delivery_commit(cx, two.delivery);
        CHECK(dropped == 1);
        const taken gone(cx, q);
        CHECK(asx_is_err(gone.outcome, ASX_E(STALE)));
        return asx_ok(0);
    });
}

namespace
{

constexpr uint64_t far_items = 24;

struct far_state {
    asx_mpsc_receiver rx;
    std::vector<uint64_t> received;
    uint32_t attempts_max = 0;
};
far_state *now;

asx_outcome far_consumer(asx_cx *cx, void *)
{
    for (;;) {
        uint64_t item[5]; /* too large for a message */
        asx_delivery delivery;
        const asx_outcome got = asx_delivery_next(cx, now->rx, item, sizeof(item), &delivery);
        if (!asx_is_ok(got)) {
            return asx_is_err(got, ASX_E(DISCONNECTED)) ? asx_ok(0) : got;
        }
        now->attempts_max = std::max(now->attempts_max, delivery.attempt);
        ASX_TRY(asx_sleep(cx, asx_random_below(cx, 4)));
        switch (asx_random_below(cx, 6)) {
        case 0:
            asx_delivery_abort(cx, delivery);
            break;
        case 1:
            asx_panic("as a far holder");
        default:
            now->received.push_back(item[0]);
            asx_delivery_commit(cx, delivery);
        }
    }
}

/* Another takes the place of one that panicked. */
asx_outcome far_worker(asx_cx *cx, void *)
{
    asx_outcome value = asx_fail(ASX_E(TIMED_OUT));
    while (!asx_is_ok(value)) {
        asx_handle task{};
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            task = asx_scope_spawn(s, far_consumer, nullptr, 0, nullptr);
            value = asx_join(&s->cx, task);
        }
        ASX_TRY(asx_checkpoint(cx));
    }
    return value;
}

asx_outcome far_home(asx_cx *cx, void *)
{
    const asx_mpsc_options options = { 3, 5 * sizeof(uint64_t), item_dropped, "far test" };
    asx_mpsc_sender tx;
    REQUIRE(asx_mpsc_open(cx, &options, &tx, &now->rx) == ASX_OK);
    const uint64_t cancelled = asx_random_below(cx, 2 * far_items);
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        asx_handle limb{};
        for (const uint32_t shard : { 0u, 1u, 2u, 1u, 2u }) {
            REQUIRE(asx_spawn_on(&s->cx, shard, far_worker, nullptr, 0, nullptr, &limb) == ASX_OK);
        }
        for (uint64_t i = 0; i < far_items; i++) {
            const uint64_t item[5] = { i };
            ASX_TRY(asx_mpsc_send(&s->cx, tx, item));
            if (i == cancelled) {
                asx_limb_cancel(cx, limb, ASX_CANCEL_USER, "test");
            }
        }
        asx_mpsc_sender_close(cx, tx);
    }
    return asx_ok(0);
}

} // namespace

TEST_CASE("delivery: holders on several shards receive each item once, whoever panics or leaves",
          "[sync][far]")
{
    uint32_t attempts_max = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        INFO("seed " << seed);
        far_state state;
        now = &state;
        dropped = 0;
        lab_world world(3, seed);
        world.run(far_home);
        std::sort(state.received.begin(), state.received.end());
        REQUIRE(state.received.size() == far_items);
        for (uint64_t i = 0; i < far_items; i++) {
            REQUIRE(state.received[i] == i);
        }
        CHECK(dropped == 0);
        attempts_max = std::max(attempts_max, state.attempts_max);
    }
    CHECK(attempts_max > 2);
}
