/* Flows over channels and clocks, and chunks of them: what is there when, and what is not. */
#include <asx/shard/flow/chunk.h>
#include <asx/shard/flow/pace.h>

#include "flow_fixture.h"

namespace
{

/* Sends the numbers 0, 1, ... at the given instants after the start. */
struct sender {
    asx_mpsc_sender tx;
    asx_mpsc_receiver rx;
    numbers at;
    body run;

    sender(asx_cx *cx, numbers instants) : at(std::move(instants))
    {
        const asx_mpsc_options options = { 16, sizeof(uint64_t), nullptr, "test" };
        REQUIRE(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_OK);
        const asx_instant start = asx_now(cx);
        run = [this, start](asx_cx *c) {
            ASX_HOLD(c, tx);
            for (uint64_t i = 0; i < at.size(); i++) {
                ASX_TRY(asx_sleep_until(c, start + at[i]));
                ASX_TRY(asx_mpsc_send(c, tx, &i));
            }
            return asx_ok(0);
        };
    }

    asx_flow *flow(asx_cx *cx) const
    {
        return asx_flow_of_mpsc(cx, rx, sizeof(uint64_t), nullptr);
    }
};

numbers chunk_of(asx_cx *cx, asx_flow *flow)
{
    alignas(8) char memory[8 + 8 * 8];
    numbers got;
    if (asx_flow_is(asx_flow_next(cx, flow, memory), ASX_FLOW_ITEM)) {
        const asx_flow_chunk *const chunk = reinterpret_cast<asx_flow_chunk *>(memory);
        const uint64_t *const items = reinterpret_cast<const uint64_t *>(memory + 8);
        got.assign(items, items + chunk->count);
    }
    return got;
}

} // namespace

TEST_CASE("flow: throttle lets the first of each window pass", "[flow]")
{
    run_body([](asx_cx *cx) {
        sender s(cx, { 0, 10, 99, 100, 150, 350, 351 });
        ASX_SCOPE(cx, scope, ASX_FAIL_FAST) {
            go(scope, s.run);
            CHECK(rest_of(cx, asx_flow_throttle(s.flow(cx), 100)) == numbers{ 0, 3, 5 });
        }
        return asx_ok(0);
    });
}

TEST_CASE("flow: debounce lets the latest pass after a quiet time, and at the end", "[flow]")
{
    run_body([](asx_cx *cx) {
        sender s(cx, { 0, 50, 100, 300, 600, 610 });
        numbers got;
        ASX_SCOPE(cx, scope, ASX_FAIL_FAST) {
            go(scope, s.run);
            asx_flow *const flow = asx_flow_debounce(s.flow(cx), 100);
            const asx_instant start = asx_now(cx);
            uint64_t item;
            for (const auto &[value, at] :
                 { std::pair<uint64_t, uint64_t>{ 2, 200 }, { 3, 400 }, { 5, 610 } }) {
                REQUIRE(asx_flow_is(asx_flow_next(cx, flow, &item), ASX_FLOW_ITEM));
                CHECK(item == value);
                CHECK(asx_now(cx) - start == at);
            }
            CHECK(rest_of(cx, flow).empty());
        }
        return asx_ok(0);
    });
}

TEST_CASE("flow: a timeout is an error in the flow, which goes on", "[flow]")
{
    run_body([](asx_cx *cx) {
        sender s(cx, { 10, 250 });
        ASX_SCOPE(cx, scope, ASX_FAIL_FAST) {
            go(scope, s.run);
            asx_flow *const flow = asx_flow_timeout(s.flow(cx), 100);
            uint64_t item;
            CHECK(asx_flow_is(asx_flow_next(cx, flow, &item), ASX_FLOW_ITEM));
            CHECK(asx_is_err(asx_flow_next(cx, flow, &item), ASX_E(TIMED_OUT)));
            CHECK(asx_is_err(asx_flow_next(cx, flow, &item), ASX_E(TIMED_OUT)));
            CHECK(rest_of(cx, flow) == numbers{ 1 });
        }
        return asx_ok(0);
    });
}

TEST_CASE("flow: chunks are full but for the last, ready chunks are what is there", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers items = counted(8);
        asx_flow *flow = asx_flow_chunks(flow_of(cx, items), 3);
        CHECK(chunk_of(cx, flow) == numbers{ 0, 1, 2 });
        CHECK(chunk_of(cx, flow) == numbers{ 3, 4, 5 });
        CHECK(chunk_of(cx, flow) == numbers{ 6, 7 });
        CHECK(chunk_of(cx, flow).empty());
        asx_flow_close(cx, flow);
        sender s(cx, { 0, 0, 0, 50, 60, 60 });
        ASX_SCOPE(cx, scope, ASX_FAIL_FAST) {
            go(scope, s.run);
            ASX_TRY(asx_sleep(cx, 10));
            flow = asx_flow_ready_chunks(s.flow(cx), 8);
            CHECK(chunk_of(cx, flow) == numbers{ 0, 1, 2 });
            ASX_TRY(asx_sleep(cx, 100));
            CHECK(chunk_of(cx, flow) == numbers{ 3, 4, 5 });
            CHECK(chunk_of(cx, flow).empty());
            asx_flow_close(cx, flow);
        }
        return asx_ok(0);
    });
}

TEST_CASE("flow: items of an unfinished chunk are dropped once", "[flow]")
{
    drops().clear();
    const numbers items = counted(5);
    run_body([&](asx_cx *cx) {
        asx_flow *const flow =
            asx_flow_chunks(asx_flow_take(flow_of(cx, items, drop_counted), 4), 3);
        const void *chunk;
        CHECK(asx_flow_is(asx_flow_peek(cx, flow, &chunk), ASX_FLOW_ITEM));
        asx_flow_close(cx, flow);
        return asx_ok(0);
    });
    CHECK(drops() == std::map<uint64_t, int>{ { 0, 1 }, { 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 } });
}

TEST_CASE("flow: a broadcast that lagged says so in the flow and goes on", "[flow]")
{
    run_body([](asx_cx *cx) {
        asx_broadcast_sender tx;
        asx_broadcast_receiver rx;
        const asx_broadcast_options options = { 4, sizeof(uint64_t), "test" };
        REQUIRE(asx_broadcast_open(cx, &options, &tx) == ASX_OK);
        REQUIRE(asx_broadcast_subscribe(cx, tx, &rx) == ASX_OK);
        for (uint64_t i = 0; i < 10; i++) {
            CHECK(asx_is_ok(asx_broadcast_send(cx, tx, &i)));
        }
        asx_broadcast_sender_close(cx, tx);
        uint64_t lagged = 0, item;
        asx_flow *const flow = asx_flow_map(
            asx_flow_of_broadcast(cx, rx, sizeof(uint64_t), &lagged), number_shape, twice, nullptr);
        CHECK(asx_is_err(asx_flow_next(cx, flow, &item), ASX_E(LAGGED)));
        CHECK(lagged == 6);
        CHECK(rest_of(cx, flow) == numbers{ 12, 14, 16, 18 });
        return asx_ok(0);
    });
}

TEST_CASE("flow: a watch gives the value of now, then the latest", "[flow]")
{
    run_body([](asx_cx *cx) {
        asx_watch_sender tx;
        asx_watch_receiver rx;
        uint64_t value = 7, item;
        REQUIRE(asx_watch_open(cx, sizeof(value), &value, "test", &tx, &rx) == ASX_OK);
        asx_flow *const flow = asx_flow_of_watch(cx, rx, sizeof(value));
        CHECK(asx_flow_is(asx_flow_next(cx, flow, &item), ASX_FLOW_ITEM));
        CHECK(item == 7);
        CHECK(asx_flow_is(asx_flow_next_until(cx, flow, &item, asx_now(cx) + 5), ASX_FLOW_LATE));
        for (value = 8; value < 10; value++) {
            CHECK(asx_watch_set(cx, tx, &value) == ASX_OK);
        }
        asx_watch_sender_close(cx, tx);
        CHECK(rest_of(cx, flow) == numbers{ 9 });
        return asx_ok(0);
    });
}
