#include <asx/raptorq/plan.h>
#include <asx/raptorq/tuple.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include "plan_internal.h"

#include <stdlib.h>

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
    PLACE(fed, plan->pivots + plan->rank);
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

/* The next fed number of a program, moving *op behind its operation; false at the end. */
static bool next_fed(const uint16_t **op, const uint16_t *end, uint32_t *number)
{
    while (*op < end) {
        const uint16_t *at = *op;
        const bool is_fed = (at[0] & ASX_RQ_GATHER_FED) != 0;
        *op = at + (at[0] & ASX_RQ_GATHER_COUNT) + (is_fed ? 4 : 2);
        if (is_fed) {
            *number = at[2] | (uint32_t)at[3] << 16;
            return true;
        }
    }
    return false;
}

bool asxi_rq_plan_list_fed(asx_rq_plan *plan)
{
    const uint16_t *op = plan->forward;
    uint32_t number, n = 0;
    plan->fed_count = 0;
    while (next_fed(&op, plan->forward + plan->forward_len, &number)) {
        if (plan->fed_count == plan->pivots + plan->rank) {
            return false;
        }
        plan->fed[plan->fed_count++] = number;
    }
    op = plan->backward;
    while (next_fed(&op, plan->backward + plan->backward_len, &number)) {
        if (n == plan->fed_count || plan->fed[n] != number) {
            return false;
        }
        n++;
    }
    return true;
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

static uint64_t count_ops(const uint16_t *op, const uint16_t *end)
{
    uint64_t n = 0;
    while (op < end) {
        op += (op[0] & ASX_RQ_GATHER_COUNT) + ((op[0] & ASX_RQ_GATHER_FED) != 0 ? 4 : 2);
        n++;
    }
    return n;
}

asx_rq_plan_cost asx_rq_plan_cost_get(const asx_rq_plan *plan)
{
    asx_rq_plan_cost cost = { .sums = plan->stats.sums,
                              .stores =
                                  count_ops(plan->forward, plan->forward + plan->forward_len) +
                                  count_ops(plan->backward, plan->backward + plan->backward_len) };
    if (plan->free > 0) {
        /* each column: doubled, added to, and added to one sum; then the two matrices */
        const uint64_t columns = plan->hdpc.columns, h = plan->h;
        const uint64_t matrices = h * plan->rank + (uint64_t)plan->free * h;
        cost.sums += 2 * columns + matrices;
        cost.products = columns + matrices;
        cost.stores += columns + h + plan->free;
    }
    return cost;
}
