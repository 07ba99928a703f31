/* Flows: each operator is what it is for a vector, items are dropped once or handed out once, and
 * an error stands in its place. */
#include <asx/shard/pipe.h>

#include "flow_fixture.h"

#include <cstring>
#include <random>

namespace
{

bool halve_even(void *in, void *out, void *)
{
    const uint64_t value = *static_cast<uint64_t *>(in);
    *static_cast<uint64_t *>(out) = value / 2;
    return value % 2 == 0;
}

/* The sum so far, until it passes 20. */
bool sum_to_20(void *in, void *out, void *arg)
{
    uint64_t *const sum = static_cast<uint64_t *>(arg);
    *sum += *static_cast<uint64_t *>(in);
    *static_cast<uint64_t *>(out) = *sum;
    return *sum <= 20;
}

void note(const void *item, void *arg)
{
    static_cast<numbers *>(arg)->push_back(*static_cast<const uint64_t *>(item));
}

void append(void *item, void *arg)
{
    note(item, arg);
}

asx_outcome slow_square(asx_cx *cx, void *in, void *out, void *)
{
    const uint64_t value = *static_cast<uint64_t *>(in);
    ASX_TRY(asx_sleep(cx, 10));
    *static_cast<uint64_t *>(out) = value * value;
    return value == 3 ? asx_fail(ASX_E(REFUSED)) : asx_ok(0);
}

bool count_and_refuse(const void *, void *arg)
{
    ++*static_cast<uint64_t *>(arg);
    return false;
}

struct asked {
    uint64_t times;
};

asx_outcome count_asked(asx_cx *, void *item, asx_instant, void *arg)
{
    *static_cast<uint64_t *>(item) = static_cast<asked *>(arg)->times++;
    return asx_ok(ASX_FLOW_ITEM);
}

} // namespace

TEST_CASE("flow: operators on one flow do what they do to a vector", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers ten = counted(10);
        uint64_t sum = 0, limit = 4;
        numbers seen;
        CHECK(rest_of(cx, flow_of(cx, ten)) == ten);
        CHECK(rest_of(cx, asx_flow_map(flow_of(cx, ten), number_shape, twice, nullptr)) ==
              numbers{ 0, 2, 4, 6, 8, 10, 12, 14, 16, 18 });
        CHECK(rest_of(cx, asx_flow_filter(flow_of(cx, ten), is_even, nullptr)) ==
              numbers{ 0, 2, 4, 6, 8 });
        CHECK(rest_of(cx, asx_flow_filter_map(flow_of(cx, ten), number_shape, halve_even,
                                              nullptr)) == numbers{ 0, 1, 2, 3, 4 });
        CHECK(rest_of(cx, asx_flow_scan(flow_of(cx, ten), number_shape, sum_to_20, &sum)) ==
              numbers{ 0, 1, 3, 6, 10, 15 });
        CHECK(rest_of(cx, asx_flow_take(flow_of(cx, ten), 3)) == numbers{ 0, 1, 2 });
        CHECK(rest_of(cx, asx_flow_take(flow_of(cx, ten), 30)) == ten);
        CHECK(rest_of(cx, asx_flow_skip(flow_of(cx, ten), 7)) == numbers{ 7, 8, 9 });
        CHECK(rest_of(cx, asx_flow_skip(flow_of(cx, ten), 70)).empty());
        CHECK(rest_of(cx, asx_flow_take_while(flow_of(cx, ten), below_arg, &limit)) ==
              numbers{ 0, 1, 2, 3 });
        CHECK(rest_of(cx, asx_flow_skip_while(flow_of(cx, ten), below_arg, &limit)) ==
              numbers{ 4, 5, 6, 7, 8, 9 });
        CHECK(rest_of(cx, asx_flow_inspect(flow_of(cx, ten), note, &seen)) == ten);
        CHECK(seen == ten);
        return asx_ok(0);
    });
}

TEST_CASE("flow: enumerate counts from 0, in front of the item", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers items = { 7, 8, 9 };
        asx_flow *const flow = asx_flow_enumerate(flow_of(cx, items));
        uint64_t pair[2];
        REQUIRE(asx_flow_item_size(flow) == sizeof(pair));
        for (uint64_t i = 0; i < 3; i++) {
            REQUIRE(asx_flow_is(asx_flow_next(cx, flow, pair), ASX_FLOW_ITEM));
            CHECK(pair[0] == i);
            CHECK(pair[1] == items[i]);
        }
        CHECK(asx_flow_is(asx_flow_next(cx, flow, pair), ASX_FLOW_END));
        asx_flow_close(cx, flow);
        return asx_ok(0);
    });
}

TEST_CASE("flow: take 0 ends without asking its source, and take n asks n times", "[flow]")
{
    run_body([](asx_cx *cx) {
        for (uint64_t n : { 0, 1, 5 }) {
            asked source = { 0 };
            asx_flow *const endless =
                asx_flow_of_fn(cx, count_asked, &source, sizeof(uint64_t), nullptr);
            CHECK(rest_of(cx, asx_flow_take(endless, n)) == counted(n));
            CHECK(source.times == n);
        }
        return asx_ok(0);
    });
}

TEST_CASE("flow: an error stands in its place, and the flow goes on behind it", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers items = counted(6);
        asx_flow *const flow =
            asx_flow_then(flow_of(cx, items), number_shape, slow_square, nullptr);
        numbers got;
        CHECK(asx_is_err(asx_flow_for_each(cx, flow, append, &got), ASX_E(REFUSED)));
        CHECK(got == numbers{ 0, 1, 4 });
        CHECK(asx_is_ok(asx_flow_for_each(cx, flow, append, &got)));
        CHECK(got == numbers{ 0, 1, 4, 16, 25 });
        asx_flow_close(cx, flow);
        return asx_ok(0);
    });
}

TEST_CASE("flow: a peeked item is the next one", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers items = { 4, 5 };
        asx_flow *const flow = flow_of(cx, items);
        const void *item;
        for (int i = 0; i < 2; i++) {
            REQUIRE(asx_flow_is(asx_flow_peek(cx, flow, &item), ASX_FLOW_ITEM));
            CHECK(*static_cast<const uint64_t *>(item) == 4);
        }
        CHECK(rest_of(cx, flow) == items);
        return asx_ok(0);
    });
}

TEST_CASE("flow: items that nobody got are dropped once, by close or with the region", "[flow]")
{
    const numbers items = counted(8);
    for (bool close : { true, false }) {
        drops().clear();
        run_body([&](asx_cx *cx) {
            uint64_t pair[2];
            asx_flow *const evens =
                asx_flow_filter(flow_of(cx, items, drop_counted), is_even, nullptr);
            asx_flow *const flow = asx_flow_enumerate(evens);
            const void *peeked;
            REQUIRE(asx_flow_is(asx_flow_next(cx, flow, pair), ASX_FLOW_ITEM));
            REQUIRE(asx_flow_is(asx_flow_next(cx, flow, pair), ASX_FLOW_ITEM));
            REQUIRE(asx_flow_is(asx_flow_peek(cx, flow, &peeked), ASX_FLOW_ITEM));
            CHECK(drops() == std::map<uint64_t, int>{ { 1, 1 }, { 3, 1 } });
            if (close) {
                asx_flow_close(cx, flow);
            }
            return asx_ok(0);
        });
        CHECK(drops() == std::map<uint64_t, int>{
                             { 1, 1 }, { 3, 1 }, { 4, 1 }, { 5, 1 }, { 6, 1 }, { 7, 1 } });
    }
}

TEST_CASE("flow: what could not be made answers when it is pulled", "[flow]")
{
    run_body([](asx_cx *cx) {
        uint64_t item;
        asx_flow *const none = asx_flow_take(asx_flow_enumerate(nullptr), 3);
        CHECK(asx_is_err(asx_flow_next(cx, none, &item), ASX_E(NO_MEMORY)));
        asx_flow_close(cx, none);
        return asx_ok(0);
    });
}

TEST_CASE("flow: a chain that outgrows its region is closed as a whole", "[flow]")
{
    drops().clear();
    const numbers items = counted(3);
    run_body([&](asx_cx *cx) {
        asx_region_options options = {};
        options.limits.heap_bytes_max = 4096;
        asx_region *region;
        asx_handle task;
        REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
        const asx_handle handle = asx_region_handle(region);
        body grow = [&](asx_cx *c) {
            asx_flow *flow = flow_of(c, items, drop_counted);
            for (int i = 0; i < 100; i++) {
                flow = asx_flow_take(flow, 3);
            }
            uint64_t item;
            CHECK(asx_is_err(asx_flow_next(c, flow, &item), ASX_E(NO_MEMORY)));
            CHECK(drops().empty());
            asx_flow_close(c, flow);
            return asx_ok(0);
        };
        REQUIRE(asx_spawn(cx, region, body_run, &grow, 0, nullptr, &task) == ASX_OK);
        CHECK(asx_is_ok(asx_join(cx, task)));
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        return asx_region_close_wait(cx, handle);
    });
    CHECK(drops() == std::map<uint64_t, int>{ { 0, 1 }, { 1, 1 }, { 2, 1 } });
}

TEST_CASE("flow: sinks", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers items = counted(100);
        asx_flow_list list = {};
        asx_flow *flow = flow_of(cx, items);
        CHECK(asx_flow_collect(cx, flow, &list).value == 100);
        CHECK(memcmp(list.items, items.data(), 800) == 0);
        asx_flow_list_free(&list);
        asx_flow_close(cx, flow);

        numbers folded;
        flow = flow_of(cx, items);
        CHECK(asx_is_ok(asx_flow_fold(cx, flow, append, &folded)));
        CHECK(folded == items);
        asx_flow_close(cx, flow);

        uint64_t count = 0, limit = 50;
        flow = flow_of(cx, items);
        CHECK(asx_is_ok(asx_flow_count(cx, flow, &count)));
        CHECK(count == 100);
        asx_flow_close(cx, flow);

        flow = flow_of(cx, items);
        CHECK(asx_flow_all(cx, flow, below_arg, &limit).value == 0);
        CHECK(rest_of(cx, flow).front() == 51); /* it stopped behind the one that failed */
        flow = flow_of(cx, items);
        CHECK(asx_flow_any(cx, flow, below_arg, &limit).value == 1);
        CHECK(rest_of(cx, flow).front() == 1);
        limit = 0;
        flow = flow_of(cx, items);
        CHECK(asx_flow_any(cx, flow, below_arg, &limit).value == 0);
        asx_flow_close(cx, flow);
        limit = 100;
        flow = flow_of(cx, items);
        CHECK(asx_flow_all(cx, flow, below_arg, &limit).value == 1);
        asx_flow_close(cx, flow);
        return asx_ok(0);
    });
}

TEST_CASE("flow: an operator that only skips lets the others run", "[flow]")
{
    body skips = [](asx_cx *cx) {
        const numbers odd(10 * ASX_FLOW_IDLE_MAX, 1);
        uint64_t tested = 0;
        numbers ran;
        body other = [&](asx_cx *c) {
            for (int i = 0; i < 4; i++) {
                ran.push_back(tested);
                ASX_TRY(asx_yield(c));
            }
            return asx_ok(0);
        };
        asx_flow *const flow = asx_flow_filter(flow_of(cx, odd), count_and_refuse, &tested);
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, other);
            CHECK(rest_of(cx, flow).empty());
        }
        CHECK(ran == numbers{ 1024, 2048, 3072, 4096 });
        return asx_ok(0);
    };
    run_kernel(body_run, &skips, 1, ASX_LEAK_PANIC, false);
}

TEST_CASE("flow: the bytes of a stream come once and in order, whatever cuts the pulls short",
          "[flow]")
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        run_body(
            [seed](asx_cx *cx) {
                std::mt19937_64 rand(seed);
                std::string sent, got;
                asx_stream *near = nullptr, *far = nullptr;
                CHECK(asx_flow_of_stream(cx, near, 0) == nullptr);
                REQUIRE(asx_pipe_create(cx, nullptr, 1 + rand() % 300, &near, &far) == ASX_OK);
                const uint32_t piece_max = uint32_t(1 + rand() % 100);
                asx_flow *const flow = asx_flow_of_stream(cx, far, piece_max);
                ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                    body write = [&](asx_cx *w) {
                        for (int i = 0; i < 30; i++) {
                            const std::string part(rand() % 200, char('a' + i % 26));
                            sent += part;
                            ASX_TRY(
                                asx_stream_write(w, near, asx_view_of(part.data(), part.size())));
                            ASX_TRY(asx_sleep(w, rand() % 3));
                        }
                        return asx_stream_shutdown_write(w, near);
                    };
                    go(s, write);
                    std::vector<char> item(sizeof(asx_flow_piece) + piece_max);
                    auto *const piece = reinterpret_cast<asx_flow_piece *>(item.data());
                    for (;;) {
                        const asx_outcome step =
                            asx_flow_next_until(cx, flow, piece, asx_now(cx) + rand() % 3);
                        REQUIRE(asx_is_ok(step));
                        if (step.value == ASX_FLOW_END) {
                            break;
                        }
                        if (step.value == ASX_FLOW_ITEM) {
                            CHECK((piece->len >= 1 && piece->len <= piece_max));
                            got.append(piece->bytes, piece->len);
                        }
                    }
                }
                CHECK(got == sent);
                asx_flow_close(cx, flow);
                asx_stream_close(cx, near);
                asx_stream_close(cx, far);
                return asx_ok(0);
            },
            seed);
    }
}
