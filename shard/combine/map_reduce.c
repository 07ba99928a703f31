#include <asx/shard/combine/map_reduce.h>

#include "set_internal.h"

typedef struct map_call {
    asx_map_fn *map;
    void *arg;
    uintptr_t input;
} map_call;

static asx_outcome map_run(asx_cx *cx, void *arg)
{
    const map_call *const call = arg;
    return call->map(cx, call->input, call->arg);
}

/* Keeps `width` in flight until all have been started and are terminal. */
static asx_outcome map_all(asxi_set *set, asx_scope *scope, asx_cx *cx, map_call *calls,
                           uint32_t width)
{
    asxi_set_wait_init(set, &scope->cx);
    while (!asxi_set_all_done(set) || set->started < set->count) {
        while (set->started < set->count && set->started - asxi_set_done_count(set) < width) {
            const asx_branch branch = { .fn = map_run, .arg = &calls[set->started] };
            const asx_err err = asxi_set_start_one(set, scope, &branch);
            if (err) {
                asxi_set_drain(set, cx);
                return asx_fail(err);
            }
        }
        if (asxi_set_wait(set, cx, "map_reduce", ASX_TIME_NEVER) != ASXI_WOKEN) {
            asxi_set_cancel_for_caller(set, cx);
            asxi_set_drain(set, cx);
            return asxi_cancelled(cx);
        }
    }
    return asx_ok(0);
}

static asx_outcome fold(const asxi_set *set, asx_cx *cx, asx_outcome so_far, asx_reduce_fn *reduce,
                        void *arg, uintptr_t initial, uintptr_t *partial)
{
    uintptr_t folded = initial;
    asx_outcome worst = asx_ok(0);
    for (uint32_t i = 0; i < set->started; i++) {
        const asx_outcome outcome = set->joiners[i].outcome;
        if (asx_is_ok(outcome)) {
            folded = reduce(folded, outcome.value, arg);
        }
        worst = asx_outcome_join(worst, outcome);
    }
    if (partial) {
        *partial = folded;
    }
    if (worst.severity <= so_far.severity && !asx_is_ok(so_far)) {
        return so_far;
    }
    return asx_is_ok(worst) ? asx_ok(folded) : asxi_task_lend(cx->_task, worst);
}

asx_outcome asx_map_reduce(asx_cx *cx, const uintptr_t *inputs, uint32_t count, asx_map_fn *map,
                           asx_reduce_fn *reduce, void *arg, uintptr_t initial, uint32_t width,
                           uintptr_t *partial)
{
    asxi_set set;
    asx_outcome result = asx_ok(0);
    if (partial) {
        *partial = initial;
    }
    if (count == 0 || width == 0) {
        return asx_fail(count == 0 ? ASX_E(EMPTY) : ASX_E(INVALID_ARGUMENT));
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    const asx_err refused = asxi_set_open(&set, cx, count);
    if (refused) {
        return asx_fail(refused);
    }
    map_call *const calls = asx_alloc(set.home, count * sizeof(map_call));
    if (!calls) {
        asxi_set_close(&set);
        return asx_fail(ASX_E(NO_MEMORY));
    }
    for (uint32_t i = 0; i < count; i++) {
        calls[i] = (map_call){ map, arg, inputs[i] };
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        result = map_all(&set, s, cx, calls, width);
        result = fold(&set, cx, result, reduce, arg, initial, partial);
    }
    asx_free(set.home, calls, count * sizeof(map_call));
    asxi_set_close(&set);
    return result;
}
