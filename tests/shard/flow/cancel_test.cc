/* A pull that is cancelled has consumed nothing: tasks that pull are cancelled again and again, at
 * any instant, in the middle of any operator, and others go on where they stopped. What they get
 * together is what a plain vector says. */
#include <asx/shard/base/prng.h>
#include <asx/shard/flow/buffered.h>
#include <asx/shard/flow/chunk.h>
#include <asx/shard/flow/merge.h>
#include <asx/shard/flow/pace.h>

#include "flow_fixture.h"

namespace
{

constexpr uint64_t SENT = 60;

asx_outcome add_1_later(asx_cx *cx, void *in, void *out, void *arg)
{
    const uint64_t value = *static_cast<uint64_t *>(in);
    ASX_TRY(asx_sleep(cx, *static_cast<uint64_t *>(arg) + value % 7));
    *static_cast<uint64_t *>(out) = value + 1;
    return asx_ok(0);
}

/* Pairs and chunks of one back to numbers. */
void second_of_pair(void *in, void *out, void *)
{
    *static_cast<uint64_t *>(out) = static_cast<uint64_t *>(in)[1];
}

void only_of_chunk(void *in, void *out, void *)
{
    *static_cast<uint64_t *>(out) = static_cast<uint64_t *>(in)[1];
}

struct plan {
    asx_flow *flow;
    numbers model;
    bool ordered = true;
};

void cut(numbers &model, size_t first, size_t count)
{
    const size_t begin = std::min(first, model.size());
    const size_t end = begin + std::min(count, model.size() - begin);
    model =
        numbers(model.begin() + static_cast<long>(begin), model.begin() + static_cast<long>(end));
}

void add_1(numbers &model)
{
    for (uint64_t &item : model) {
        item++;
    }
}

/* One more operator. `extra` and `delay` outlive the flow. */
void grow(asx_cx *cx, plan &p, uint64_t which, const numbers &extra, uint64_t &delay)
{
    switch (which) {
    case 0:
        p.flow = asx_flow_map(p.flow, number_shape, twice, nullptr);
        for (uint64_t &item : p.model) {
            item *= 2;
        }
        break;
    case 1:
        p.flow = asx_flow_then(p.flow, number_shape, add_1_later, &delay);
        add_1(p.model);
        break;
    case 2:
        p.flow = asx_flow_filter(p.flow, is_even, nullptr);
        p.model.erase(std::remove_if(p.model.begin(), p.model.end(),
                                     [](uint64_t item) { return item % 2 != 0; }),
                      p.model.end());
        break;
    case 3:
        p.flow = asx_flow_skip(p.flow, 3);
        cut(p.model, 3, SIZE_MAX);
        break;
    case 4:
        p.flow = asx_flow_take(p.flow, 40);
        cut(p.model, 0, 40);
        break;
    case 5:
        p.flow = asx_flow_buffered(cx, p.flow, number_shape, 4, add_1_later, &delay);
        add_1(p.model);
        break;
    case 6:
        p.flow = asx_flow_chain(cx, p.flow, flow_of(cx, extra));
        p.model.insert(p.model.end(), extra.begin(), extra.end());
        break;
    case 7:
        p.flow = asx_flow_map(asx_flow_zip(cx, flow_of(cx, extra), p.flow), number_shape,
                              second_of_pair, nullptr);
        cut(p.model, 0, extra.size());
        break;
    case 8:
        p.flow = asx_flow_map(asx_flow_enumerate(p.flow), number_shape, second_of_pair, nullptr);
        break;
    case 9:
        p.flow = asx_flow_map(asx_flow_chunks(p.flow, 1), number_shape, only_of_chunk, nullptr);
        break;
    case 10:
        p.flow = asx_flow_timeout(p.flow, 1000000);
        break;
    default:
        break;
    }
}

/* The last one may change the order. */
void finish(asx_cx *cx, plan &p, uint64_t which, const numbers &extra, uint64_t &delay)
{
    if (which == 0) {
        p.flow = asx_flow_unordered(cx, p.flow, number_shape, 3, add_1_later, &delay);
        add_1(p.model);
        p.ordered = false;
    } else if (which == 1) {
        asx_flow *const flows[] = { p.flow, flow_of(cx, extra) };
        p.flow = asx_flow_merge(cx, flows, 2);
        p.model.insert(p.model.end(), extra.begin(), extra.end());
        p.ordered = false;
    }
}

/* Pulls to the end with tasks that are cancelled after a random while. */
numbers pull_disturbed(asx_cx *cx, asx_flow *flow, int &cancelled)
{
    numbers got;
    bool over = false;
    body puller = [&](asx_cx *c) {
        uint64_t item;
        for (;;) {
            const asx_outcome step = asx_flow_next(c, flow, &item);
            if (!asx_flow_is(step, ASX_FLOW_ITEM)) {
                over = asx_is_ok(step);
                return step;
            }
            got.push_back(item);
        }
    };
    while (!over) {
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle task = go(s, puller);
            ignored(asx_sleep(cx, 1 + asx_random_below(cx, 60)));
            asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
            const asx_outcome ended = asx_join(cx, task);
            cancelled += ended.severity == ASX_SEVERITY_CANCELLED;
            REQUIRE(ended.severity != ASX_SEVERITY_ERR);
        }
    }
    return got;
}

int disturbed_run(uint64_t seed)
{
    int cancelled = 0;
    const numbers extra = { 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009,
                            1010, 1011, 1012, 1013, 1014, 1015, 1016, 1017, 1018, 1019 };
    run_body(
        [&](asx_cx *cx) {
            asx_mpsc_sender tx;
            asx_mpsc_receiver rx;
            const asx_mpsc_options options = { 4, sizeof(uint64_t), nullptr, "test" };
            REQUIRE(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_OK);
            body produce = [&](asx_cx *c) {
                ASX_HOLD(c, tx);
                for (uint64_t i = 0; i < SENT; i++) {
                    ASX_TRY(asx_sleep(c, asx_random_below(c, 20)));
                    if (!asx_is_ok(asx_mpsc_send(c, tx, &i))) {
                        break; /* the flow has ended early */
                    }
                }
                return asx_ok(0);
            };
            uint64_t delay = asx_random_below(cx, 30);
            plan p = { asx_flow_of_mpsc(cx, rx, sizeof(uint64_t), nullptr), counted(SENT) };
            for (uint64_t stages = 1 + asx_random_below(cx, 5); stages > 0; stages--) {
                grow(cx, p, asx_random_below(cx, 11), extra, delay);
            }
            finish(cx, p, asx_random_below(cx, 4), extra, delay);
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                go(s, produce);
                numbers got = pull_disturbed(cx, p.flow, cancelled);
                asx_flow_close(cx, p.flow);
                if (!p.ordered) {
                    std::sort(got.begin(), got.end());
                    std::sort(p.model.begin(), p.model.end());
                }
                CHECK(got == p.model);
            }
            CHECK(stats_of(cx).tasks_live == 1);
            return asx_ok(0);
        },
        seed);
    return cancelled;
}

} // namespace

TEST_CASE("flow: random flows pulled by tasks that are cancelled lose and double nothing", "[flow]")
{
    int cancelled = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        INFO("seed " << seed);
        cancelled += disturbed_run(seed);
    }
    CHECK(cancelled > 1000); /* or nothing was disturbed */
}

TEST_CASE("flow: forward hands back what was not sent", "[flow]")
{
    run_body([](asx_cx *cx) {
        const numbers items = counted(10);
        asx_mpsc_sender tx;
        asx_mpsc_receiver rx;
        const asx_mpsc_options options = { 3, sizeof(uint64_t), nullptr, "test" };
        REQUIRE(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_OK);
        asx_flow *const flow = flow_of(cx, items);
        body forward = [&](asx_cx *c) { return asx_flow_forward(c, flow, tx); };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle task = go(s, forward);
            ASX_TRY(asx_sleep(cx, 10));
            asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
            CHECK(asx_join(cx, task).severity == ASX_SEVERITY_CANCELLED);
        }
        uint64_t item;
        for (uint64_t i = 0; i < 3; i++) {
            CHECK(asx_mpsc_try_recv(cx, rx, &item) == ASX_OK);
            CHECK(item == i);
        }
        asx_mpsc_receiver_close(cx, rx);
        CHECK(asx_is_err(asx_flow_forward(cx, flow, tx), ASX_E(DISCONNECTED)));
        asx_mpsc_sender_close(cx, tx);
        CHECK(rest_of(cx, flow) == numbers{ 3, 4, 5, 6, 7, 8, 9 });
        return asx_ok(0);
    });
}
