/* Several flows and several tasks: order where it is promised, nothing lost or doubled by a pull
 * that was cancelled, and no task left. */
#include <asx/shard/flow/buffered.h>
#include <asx/shard/flow/merge.h>

#include "flow_fixture.h"

namespace
{

struct work {
    int now = 0, most = 0, begun = 0;
};

int results_dropped;

void count_result(void *)
{
    results_dropped++;
}

/* Later items are quicker. */
asx_outcome square(asx_cx *cx, void *in, void *out, void *arg)
{
    work *const seen = static_cast<work *>(arg);
    const uint64_t value = *static_cast<uint64_t *>(in);
    seen->begun++;
    seen->most = std::max(seen->most, ++seen->now);
    const asx_outcome slept = asx_sleep(cx, 100 - 7 * (value % 10));
    seen->now--;
    ASX_TRY(slept);
    *static_cast<uint64_t *>(out) = value * value;
    return asx_ok(0);
}

asx_outcome refuse_5(asx_cx *cx, void *in, void *out, void *arg)
{
    const uint64_t value = *static_cast<uint64_t *>(in);
    ASX_TRY(square(cx, in, out, arg));
    return value == 5 ? asx_fail(ASX_E(REFUSED)) : asx_ok(0);
}

asx_outcome panic_at_5(asx_cx *cx, void *in, void *out, void *arg)
{
    if (*static_cast<uint64_t *>(in) == 5) {
        asx_panic("five");
    }
    return square(cx, in, out, arg);
}

asx_outcome add_slowly(asx_cx *cx, void *item, void *arg)
{
    ASX_TRY(asx_sleep(cx, 10));
    *static_cast<uint64_t *>(arg) += *static_cast<uint64_t *>(item);
    return asx_ok(0);
}

asx_outcome fail_at_3(asx_cx *cx, void *item, void *arg)
{
    if (*static_cast<uint64_t *>(item) == 3) {
        return asx_fail(ASX_E(REFUSED));
    }
    return add_slowly(cx, item, arg);
}

asx_outcome fail_while_panicking(asx_cx *cx, void *item, void *)
{
    if (*static_cast<uint64_t *>(item) == 3) {
        return asx_fail(ASX_E(REFUSED));
    }
    if (!asx_is_ok(asx_sleep(cx, 1000))) {
        asx_panic("while draining");
    }
    return asx_ok(0);
}

numbers squares(uint64_t count)
{
    numbers made;
    for (uint64_t i = 0; i < count; i++) {
        made.push_back(i * i);
    }
    return made;
}

asx_flow *ticking(asx_cx *cx, asx_instant start_ns, asx_duration period_ns, uint64_t count)
{
    asx_interval interval;
    REQUIRE(asx_interval_init(&interval, start_ns, period_ns, ASX_MISSED_BURST) == ASX_OK);
    return asx_flow_take(asx_flow_of_interval(cx, &interval), count);
}

} // namespace

TEST_CASE("flow: chain asks the second after the end of the first", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers a = { 1, 2 }, b = { 3 }, none;
        CHECK(rest_of(cx, asx_flow_chain(cx, flow_of(cx, a), flow_of(cx, b))) ==
              numbers{ 1, 2, 3 });
        CHECK(rest_of(cx, asx_flow_chain(cx, flow_of(cx, none), flow_of(cx, b))) == b);
        return asx_ok(0);
    });
}

TEST_CASE("flow: zip ends with the shorter, and drops the longer's extra item once", "[flow]")
{
    for (bool longer_left : { true, false }) {
        drops().clear();
        run_body([longer_left](asx_cx *cx) {
            const numbers a = { 10, 11, 12 }, b = { 20, 21 };
            asx_flow *const zip = asx_flow_zip(cx, flow_of(cx, longer_left ? a : b, drop_counted),
                                               flow_of(cx, longer_left ? b : a, drop_counted));
            uint64_t pair[2];
            for (uint64_t i = 0; i < 2; i++) {
                REQUIRE(asx_flow_is(asx_flow_next(cx, zip, pair), ASX_FLOW_ITEM));
                CHECK(std::min(pair[0], pair[1]) == 10 + i);
                CHECK(std::max(pair[0], pair[1]) == 20 + i);
            }
            CHECK(asx_flow_is(asx_flow_next(cx, zip, pair), ASX_FLOW_END));
            CHECK(drops() ==
                  (longer_left ? std::map<uint64_t, int>{ { 12, 1 } } : std::map<uint64_t, int>{}));
            asx_flow_close(cx, zip);
            CHECK(drops() == std::map<uint64_t, int>{ { 12, 1 } });
            return asx_ok(0);
        });
    }
}

TEST_CASE("flow: merge takes turns, leaves out what has ended, and ends with the last", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers a = { 1, 2, 3 }, b = { 11 }, c = { 21, 22 };
        asx_flow *const flows[] = { flow_of(cx, a), flow_of(cx, b), flow_of(cx, c) };
        CHECK(rest_of(cx, asx_flow_merge(cx, flows, 3)) == numbers{ 1, 11, 21, 2, 22, 3 });
        return asx_ok(0);
    });
}

TEST_CASE("flow: merge waits for whichever is first", "[flow]")
{
    run_body([](asx_cx *cx) {
        const asx_instant now = asx_now(cx);
        asx_flow *const flows[] = { ticking(cx, now + 10, 20, 3), ticking(cx, now + 15, 10, 3) };
        numbers got = rest_of(cx, asx_flow_merge(cx, flows, 2));
        for (uint64_t &at : got) {
            at -= now;
        }
        CHECK(got == numbers{ 10, 15, 25, 30, 35, 50 });
        return asx_ok(0);
    });
}

TEST_CASE("flow: closing a merge that waits leaves no task", "[flow]")
{
    run_body([](asx_cx *cx) {
        asx_flow *const flows[] = { ticking(cx, asx_now(cx), 1000000, 9),
                                    ticking(cx, asx_now(cx) + 5000000, 1, 9) };
        asx_flow *const merge = asx_flow_merge(cx, flows, 2);
        uint64_t item;
        CHECK(asx_flow_is(asx_flow_next(cx, merge, &item), ASX_FLOW_ITEM));
        CHECK(asx_flow_is(asx_flow_next_until(cx, merge, &item, asx_now(cx) + 10), ASX_FLOW_LATE));
        CHECK(stats_of(cx).tasks_live == 3);
        asx_flow_close(cx, merge);
        CHECK(stats_of(cx).tasks_live == 1);
        return asx_ok(0);
    });
}

TEST_CASE("flow: buffered keeps the order and its width, unordered is as quick as it can", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers items = counted(10);
        for (uint32_t width : { 1, 3, 8, 32 }) {
            work seen;
            CHECK(rest_of(cx, asx_flow_buffered(cx, flow_of(cx, items), number_shape, width, square,
                                                &seen)) == squares(10));
            CHECK(seen.most == std::min<int>(static_cast<int>(width), 10));
            CHECK(seen.begun == 10);
        }
        work seen;
        const asx_instant begin = asx_now(cx);
        numbers got = rest_of(
            cx, asx_flow_unordered(cx, flow_of(cx, items), number_shape, 10, square, &seen));
        CHECK(asx_now(cx) - begin == 100);
        const numbers ordered = squares(10);
        CHECK(got == numbers(ordered.rbegin(), ordered.rend()));
        return asx_ok(0);
    });
}

TEST_CASE("flow: buffered starts what arrives while it waits for a result", "[flow]")
{
    run_body([](asx_cx *cx) {
        work seen;
        const asx_instant begin = asx_now(cx);
        asx_flow *const flow =
            asx_flow_unordered(cx, ticking(cx, begin, 10, 4), number_shape, 8, square, &seen);
        CHECK(rest_of(cx, flow).size() == 4);
        CHECK(seen.most == 4);
        return asx_ok(0);
    });
}

TEST_CASE("flow: early close of buffered(8) leaves no task and drops every item once", "[flow]")
{
    const numbers items = counted(20);
    drops().clear();
    run_body([&](asx_cx *cx) {
        work seen;
        const asx_flow_shape shape = { sizeof(uint64_t), count_result };
        results_dropped = 0;
        asx_flow *const flow =
            asx_flow_buffered(cx, flow_of(cx, items, drop_counted), shape, 8, square, &seen);
        uint64_t item;
        REQUIRE(asx_flow_is(asx_flow_next(cx, flow, &item), ASX_FLOW_ITEM));
        REQUIRE(asx_flow_is(asx_flow_next(cx, flow, &item), ASX_FLOW_ITEM));
        CHECK(stats_of(cx).tasks_live == 2); /* 8 has begun */
        asx_flow_close(cx, flow);
        CHECK(stats_of(cx).tasks_live == 1);
        CHECK(seen.now == 0);
        return asx_ok(0);
    });
    CHECK(results_dropped == 6); /* of 2 to 7 */
    std::map<uint64_t, int> rest;
    for (uint64_t i = 8; i < 20; i++) {
        rest[i] = 1;
    }
    CHECK(drops() == rest);
}

TEST_CASE("flow: buffered tells an error in its place, try_buffered ends with it", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers items = counted(20);
        for (bool tries : { false, true }) {
            work seen;
            asx_flow *const source = flow_of(cx, items);
            asx_flow *const flow =
                tries ? asx_flow_try_buffered(cx, source, number_shape, 4, refuse_5, &seen)
                      : asx_flow_buffered(cx, source, number_shape, 4, refuse_5, &seen);
            uint64_t item = 0;
            for (uint64_t i = 0; i < 5; i++) {
                CHECK(asx_flow_is(asx_flow_next(cx, flow, &item), ASX_FLOW_ITEM));
                CHECK(item == i * i);
            }
            CHECK(asx_is_err(asx_flow_next(cx, flow, &item), ASX_E(REFUSED)));
            CHECK(
                asx_flow_is(asx_flow_next(cx, flow, &item), tries ? ASX_FLOW_END : ASX_FLOW_ITEM));
            if (tries) {
                CHECK(stats_of(cx).tasks_live == 1);
                CHECK(seen.now == 0);
            } else {
                CHECK(item == 36);
            }
            asx_flow_close(cx, flow);
        }
        return asx_ok(0);
    });
}

TEST_CASE("flow: a panic in buffered is told in its place", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers items = counted(8);
        work seen;
        asx_flow *const flow =
            asx_flow_buffered(cx, flow_of(cx, items), number_shape, 4, panic_at_5, &seen);
        uint64_t item = 0;
        for (uint64_t i = 0; i < 8; i++) {
            const asx_outcome step = asx_flow_next(cx, flow, &item);
            if (i == 5) {
                REQUIRE(step.severity == ASX_SEVERITY_PANICKED);
                CHECK(std::string(step.panic->message).find("five") != std::string::npos);
            } else {
                CHECK(asx_flow_is(step, ASX_FLOW_ITEM));
                CHECK(item == i * i);
            }
        }
        asx_flow_close(cx, flow);
        return asx_ok(0);
    });
}

TEST_CASE("flow: for_each_concurrent does all at once, and stops at the first failure", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers items = counted(100);
        uint64_t sum = 0;
        const asx_instant begin = asx_now(cx);
        CHECK(
            asx_is_ok(asx_flow_for_each_concurrent(cx, flow_of(cx, items), 50, add_slowly, &sum)));
        CHECK(sum == 4950);
        CHECK(asx_now(cx) - begin == 20);
        sum = 0;
        CHECK(asx_is_err(asx_flow_for_each_concurrent(cx, flow_of(cx, items), 2, fail_at_3, &sum),
                         ASX_E(REFUSED)));
        CHECK(sum < 10);
        CHECK(asx_flow_for_each_concurrent(cx, flow_of(cx, items), 4, fail_while_panicking, nullptr)
                  .severity == ASX_SEVERITY_PANICKED);
        CHECK(stats_of(cx).tasks_live == 1);
        return asx_ok(0);
    });
}
