/* Flows of numbers, and what a plain vector would say. */
#ifndef ASX_TESTS_SHARD_FLOW_FIXTURE_H
#define ASX_TESTS_SHARD_FLOW_FIXTURE_H

#include <asx/shard/flow/map.h>
#include <asx/shard/flow/sink.h>
#include <asx/shard/flow/source.h>

#include "../sync/sync_fixture.h"

#include <map>

using numbers = std::vector<uint64_t>;

static const asx_flow_shape number_shape = { sizeof(uint64_t), nullptr };

static inline numbers counted(uint64_t count)
{
    numbers made;
    for (uint64_t i = 0; i < count; i++) {
        made.push_back(i);
    }
    return made;
}

static inline asx_flow *flow_of(asx_cx *cx, const numbers &items, asx_drop_fn *drop = nullptr)
{
    return asx_flow_of_array(cx, items.data(), items.size(), sizeof(uint64_t), drop);
}

/* All that is left of `flow`, which must end without an error; closes it. */
static inline numbers rest_of(asx_cx *cx, asx_flow *flow)
{
    numbers got;
    uint64_t item;
    asx_outcome step;
    while (asx_flow_is(step = asx_flow_next(cx, flow, &item), ASX_FLOW_ITEM)) {
        got.push_back(item);
    }
    CHECK(asx_flow_is(step, ASX_FLOW_END));
    CHECK(asx_flow_is(asx_flow_next(cx, flow, &item), ASX_FLOW_END));
    asx_flow_close(cx, flow);
    return got;
}

static inline void twice(void *in, void *out, void *)
{
    *static_cast<uint64_t *>(out) = 2 * *static_cast<uint64_t *>(in);
}

static inline bool is_even(const void *item, void *)
{
    return *static_cast<const uint64_t *>(item) % 2 == 0;
}

static inline bool below_arg(const void *item, void *arg)
{
    return *static_cast<const uint64_t *>(item) < *static_cast<uint64_t *>(arg);
}

/* Items that count themselves: made by `owned_array`, dropped by `drop_owned`. */
static inline std::map<uint64_t, int> &drops()
{
    static std::map<uint64_t, int> counts;
    return counts;
}

static inline void drop_counted(void *item)
{
    drops()[*static_cast<uint64_t *>(item)]++;
}

#endif
