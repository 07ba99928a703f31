/* Partition: each lane is what a filter is, and a full one stops the source. */
#include <asx/shard/flow/partition.h>

#include "flow_fixture.h"

namespace
{

numbers every_second(uint64_t first, uint64_t count)
{
    numbers made;
    for (uint64_t i = 0; i < count; i++) {
        made.push_back(first + 2 * i);
    }
    return made;
}

} // namespace

TEST_CASE("flow: a full lane stops the source until it is pulled", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers items = counted(10);
        asx_flow *even, *odd;
        asx_flow_partition(cx, flow_of(cx, items), is_even, nullptr, 2, &even, &odd);
        uint64_t item;
        for (uint64_t i = 0; i < 3; i++) {
            CHECK(asx_flow_is(asx_flow_next(cx, even, &item), ASX_FLOW_ITEM));
            CHECK(item == 2 * i);
        }
        /* 1 and 3 are in the lane, 5 is at the head of the line. */
        CHECK(asx_flow_is(asx_flow_next_until(cx, even, &item, asx_now(cx) + 5), ASX_FLOW_LATE));
        CHECK(asx_flow_is(asx_flow_next(cx, odd, &item), ASX_FLOW_ITEM));
        CHECK(item == 1);
        CHECK(asx_flow_is(asx_flow_next(cx, even, &item), ASX_FLOW_ITEM));
        CHECK(item == 6);
        asx_flow_close(cx, even);
        CHECK(rest_of(cx, odd) == numbers{ 3, 5, 7, 9 });
        return asx_ok(0);
    });
}

TEST_CASE("flow: two tasks pull two lanes, in spite of cancelled pulls", "[flow]")
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        INFO("seed " << seed);
        run_body(
            [](asx_cx *cx) {
                const numbers items = counted(60);
                asx_flow *lanes[2];
                numbers got[2];
                asx_flow_partition(cx, flow_of(cx, items), is_even, nullptr, 3, &lanes[0],
                                   &lanes[1]);
                const auto puller = [&](int side) {
                    return [&, side](asx_cx *c) {
                        uint64_t item;
                        for (;;) {
                            const asx_outcome step = asx_flow_next(c, lanes[side], &item);
                            if (!asx_flow_is(step, ASX_FLOW_ITEM)) {
                                return step;
                            }
                            got[side].push_back(item);
                            ASX_TRY(asx_sleep(c, asx_random_below(c, 10)));
                        }
                    };
                };
                body even = puller(0), odd = puller(1);
                bool over[2] = { false, false };
                while (!over[0] || !over[1]) {
                    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                        const asx_handle tasks[] = { go(s, even), go(s, odd) };
                        ignored(asx_sleep(cx, 1 + asx_random_below(cx, 50)));
                        for (int i = 0; i < 2; i++) {
                            asx_task_cancel(cx, tasks[i], ASX_CANCEL_USER, nullptr);
                            over[i] |= asx_is_ok(asx_join(cx, tasks[i]));
                        }
                    }
                }
                CHECK(got[0] == every_second(0, 30));
                CHECK(got[1] == every_second(1, 30));
                asx_flow_close(cx, lanes[1]);
                asx_flow_close(cx, lanes[0]);
                return asx_ok(0);
            },
            seed);
    }
}

TEST_CASE("flow: the items of a closed lane are dropped once", "[flow]")
{
    drops().clear();
    const numbers items = counted(9);
    run_body([&](asx_cx *cx) {
        asx_flow *even, *odd;
        uint64_t item;
        asx_flow_partition(cx, flow_of(cx, items, drop_counted), is_even, nullptr, 4, &even, &odd);
        for (int i = 0; i < 3; i++) {
            CHECK(asx_flow_is(asx_flow_next(cx, even, &item), ASX_FLOW_ITEM));
        }
        asx_flow_close(cx, odd);
        CHECK(drops() == std::map<uint64_t, int>{ { 1, 1 }, { 3, 1 } });
        CHECK(rest_of(cx, even) == numbers{ 6, 8 });
        return asx_ok(0);
    });
    CHECK(drops() == std::map<uint64_t, int>{ { 1, 1 }, { 3, 1 }, { 5, 1 }, { 7, 1 } });
}
