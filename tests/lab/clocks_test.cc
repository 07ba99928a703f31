/* At stake: only a vector may call two events concurrent, and a clock that goes back or wraps
 * orders wrongly ever after. */
#include <asx/lab/clocks.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

TEST_CASE("clocks: Lamport counts grow past what they receive", "[lab]")
{
    asx_lamport a = {}, b = {};
    CHECK(asx_lamport_tick(&a) == 1);
    CHECK(asx_lamport_tick(&a) == 2);
    CHECK(asx_lamport_receive(&b, 2) == 3);
    CHECK(asx_lamport_receive(&b, 1) == 4);
}

TEST_CASE("clocks: vectors tell concurrent from ordered", "[lab]")
{
    uint32_t a[2] = {}, b[2] = {};
    asx_vector_tick(a, 0);
    asx_vector_tick(a, 0);
    asx_vector_tick(b, 1);
    CHECK(asx_vector_compare(a, b, 2) == ASX_VECTOR_CONCURRENT);
    uint32_t joined[2] = { b[0], b[1] };
    asx_vector_join(joined, a, 2);
    CHECK(joined[0] == 2);
    CHECK(joined[1] == 1);
    CHECK(asx_vector_compare(joined, a, 2) == ASX_VECTOR_AFTER);
    CHECK(asx_vector_compare(a, joined, 2) == ASX_VECTOR_BEFORE);
    asx_vector_receive(b, a, 2, 1);
    CHECK(b[0] == 2);
    CHECK(b[1] == 2); /* receiving is an event of its own */
    CHECK(asx_vector_compare(b, b, 2) == ASX_VECTOR_EQUAL);
    CHECK(std::string(asx_vector_order_name(ASX_VECTOR_CONCURRENT)) == "concurrent");
}

TEST_CASE("clocks: hybrids follow the physical clock and never go back", "[lab]")
{
    asx_hybrid clock = {};
    const auto is = [&](asx_hybrid h, uint64_t physical, uint32_t logical) {
        CHECK(h.physical_ns == physical);
        CHECK(h.logical == logical);
        CHECK(clock.physical_ns == physical);
        CHECK(clock.logical == logical);
    };
    is(asx_hybrid_tick(&clock, 100), 100, 0);
    is(asx_hybrid_receive(&clock, 100, { 105, 3 }), 105, 4);
    is(asx_hybrid_tick(&clock, 101), 105, 5);
    is(asx_hybrid_tick(&clock, 110), 110, 0);
    is(asx_hybrid_receive(&clock, 90, { 100, 9 }), 110, 1); /* only ours is the latest */
    is(asx_hybrid_receive(&clock, 90, { 110, 7 }), 110, 8); /* both are */
    is(asx_hybrid_receive(&clock, 120, { 110, 7 }), 120, 0);
}

namespace
{

asx_causal_event causal(uint32_t process, uint64_t seq, uint64_t task = 0,
                        const uint32_t *vector = nullptr)
{
    asx_causal_event e = {};
    e.process = process, e.seq = e.lamport = seq, e.task = task, e.vector = vector;
    return e;
}

asx_causality check(const std::vector<asx_causal_event> &events, uint32_t *index)
{
    return asx_causality_check(events.data(), static_cast<uint32_t>(events.size()), 2, index);
}

} // namespace

TEST_CASE("clocks: the causality checker names the first broken rule", "[lab]")
{
    uint32_t index = 99;
    const uint32_t a1[2] = { 1, 0 }, b1[2] = { 0, 1 }, b2[2] = { 1, 2 };
    CHECK(check({}, &index) == ASX_CAUSALITY_OK);
    CHECK(check({ causal(0, 1), causal(1, 1), causal(0, 2) }, &index) == ASX_CAUSALITY_OK);
    CHECK(check({ causal(0, 2), causal(1, 1), causal(0, 2) }, &index) == ASX_CAUSALITY_CLOCK_BACK);
    CHECK(index == 2);

    CHECK(check({ causal(0, 1, 5, a1), causal(1, 2, 5, b2) }, &index) == ASX_CAUSALITY_OK);
    CHECK(check({ causal(0, 1, 5, a1), causal(1, 1, 5, b1) }, &index) ==
          ASX_CAUSALITY_SAME_TASK_CONCURRENT);
    CHECK(index == 1);

    asx_causal_event send = causal(0, 1, 0, a1), receive = causal(1, 1, 0, b2);
    send.produces = receive.needs = 77;
    CHECK(check({ send, receive }, &index) == ASX_CAUSALITY_OK);
    CHECK(check({ receive, send }, &index) == ASX_CAUSALITY_MISSING_DEPENDENCY);
    CHECK(index == 0);
    receive.vector = b1; /* a receive that does not know of the send */
    CHECK(check({ send, receive }, &index) == ASX_CAUSALITY_MISSING_DEPENDENCY);
    CHECK(std::string(asx_causality_name(ASX_CAUSALITY_MISSING_DEPENDENCY)) ==
          "missing_dependency");
}
