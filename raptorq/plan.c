#include <asx/raptorq/plan.h>
#include <asx/raptorq/tuple.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include "plan_internal.h"

#include <stdlib.h>

const char *asx_rq_policy_name(asx_rq_policy policy)
{
    switch (policy) {
    case ASX_RQ_POLICY_AUTO:
        return "auto";
    case ASX_RQ_POLICY_BASELINE:
        return "baseline";
    case ASX_RQ_POLICY_SUPPORT:
        return "support";
    }
    return "?";
}

void asxi_rq_hdpc_pairs(const asx_rq_param *param, uint8_t *pairs)
{
    const uint32_t last = param->k_prime + param->s - 1;
    for (uint32_t j = 0; j < last; j++) {
        const uint32_t a = asx_rq_rand(j + 1, 6, param->h);
        const uint32_t b = a + asx_rq_rand(j + 1, 7, param->h - 1) + 1;
        pairs[2 * j] = (uint8_t)a;
        pairs[2 * j + 1] = (uint8_t)(b >= param->h ? b - param->h : b);
    }
    /* never read, but a saved plan has no undefined bytes */
    pairs[2 * last] = 0;
    pairs[2 * last + 1] = 0;
}

/* Places the arrays behind the struct and returns the size of the whole. */
static size_t place(asx_rq_plan *plan, uint8_t *base)
{
    const uint32_t columns = plan->hdpc.columns;
    size_t at = sizeof(*plan);
#define PLACE(field, count)                           \
    do {                                              \
        at = asx_align_up(at, 16);                    \
        plan->field = (void *)((uintptr_t)base + at); \
        at += (count) * sizeof(*plan->field);         \
    } while (0)
    PLACE(row_of, plan->l);
    PLACE(forward, plan->forward_len);
    PLACE(backward, plan->backward_len);
    PLACE(dense_row, plan->rank);
    PLACE(free_row, plan->free);
    PLACE(hdpc_row, plan->free > 0 ? columns : 0);
    PLACE(pairs, plan->free > 0 ? 2 * (size_t)columns : 0);
    PLACE(lambda, plan->free > 0 ? (size_t)plan->h * plan->rank : 0);
    PLACE(inverse, plan->free > 0 ? (size_t)plan->h * plan->h : 0);
#undef PLACE
    plan->hdpc.row = plan->hdpc_row;
    plan->hdpc.pairs = plan->pairs;
    return asx_align_up(at, ASX_CACHE_LINE);
}

asx_rq_plan *asxi_rq_plan_create(const asx_rq_param *param, uint32_t pivots, uint32_t rank,
                                 uint32_t forward_len, uint32_t backward_len,
                                 const asx_rq_alloc *alloc)
{
    asx_rq_plan shape = { .refs = 1,
                          .k_prime = param->k_prime,
                          .l = param->l,
                          .h = param->h,
                          .pivots = pivots,
                          .inactive = param->l - pivots,
                          .rank = rank,
                          .free = param->l - pivots - rank,
                          .forward_len = forward_len,
                          .backward_len = backward_len,
                          .hdpc = { .columns = param->k_prime + param->s, .sums = param->h },
                          .has_alloc = alloc != NULL };
    asx_assert_le(shape.free, param->h);
    if (alloc != NULL) {
        shape.alloc = *alloc;
    }
    shape.size = place(&shape, NULL);
    asx_rq_plan *plan = asx_rq_alloc_get(alloc, shape.size);
    if (plan != NULL) {
        *plan = shape;
        place(plan, (uint8_t *)plan);
    }
    return plan;
}

asx_err asx_rq_plan_encode(asx_rq_plan **plan, const asx_rq_param *param, const asx_rq_alloc *alloc)
{
    const size_t size = param->k_prime * sizeof(uint32_t);
    uint32_t *numbers = asx_rq_alloc_get(alloc, size);
    if (numbers == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    for (uint32_t i = 0; i < param->k_prime; i++) {
        numbers[i] = i;
    }
    const asx_rq_rows rows = { .isi = numbers, .feed = numbers, .count = param->k_prime };
    const asx_err err = asx_rq_plan_solve(plan, param, &rows, ASX_RQ_POLICY_AUTO, alloc, NULL);
    asx_rq_alloc_put(alloc, numbers, size);
    return err;
}

asx_rq_plan *asx_rq_plan_ref(asx_rq_plan *plan)
{
    __atomic_fetch_add(&plan->refs, 1, __ATOMIC_RELAXED);
    return plan;
}

void asx_rq_plan_unref(asx_rq_plan *plan)
{
    /* acquire-release: the last owner must see every other's reads done before it frees */
    if (plan != NULL && __atomic_sub_fetch(&plan->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        const asx_rq_alloc alloc = plan->alloc;
        asx_rq_alloc_put(plan->has_alloc ? &alloc : NULL, plan, plan->size);
    }
}

size_t asx_rq_plan_size(const asx_rq_plan *plan)
{
    return plan->size;
}

const asx_rq_solve_stats *asx_rq_plan_stats(const asx_rq_plan *plan)
{
    return &plan->stats;
}
