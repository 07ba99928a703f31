#include <asx/raptorq/tuple.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include "solve_internal.h"

#include <string.h>

/* One block for phase 1 and a second one for phase 2, whose size only phase 1 can tell. */
void *asxi_solver_get(asxi_solver *solver, size_t size)
{
    size = asx_align_up(size, ASX_CACHE_LINE);
    if (size > solver->arena_cap - solver->arena_len) {
        return NULL;
    }
    void *block = solver->arena + solver->arena_len;
    solver->arena_len += size;
    return block;
}

typedef struct field {
    void *at; /* the pointer to set */
    size_t size;
    bool zero;
} field;

/* Sizes, allocates and sets the arrays of phase 1, with room for phase 2 behind them. */
static bool allocate(asxi_solver *solver)
{
    const asx_rq_param *param = solver->param;
    const size_t rows = solver->rows, w = param->w, l = param->l;
    const size_t received = solver->received->count;
    const size_t entries = 3 * (size_t)param->b + 3 * param->s + ASX_RQ_SUPPORT_MAX * received;
    const field fields[] = {
        { &solver->row_start, (rows + 1) * 4, true },
        { &solver->column_start, (w + 2) * 4, true },
        { &solver->taken, rows, true },
        { &solver->seen, l, true },
        { &solver->row_v, received, false },
        { &solver->columns, entries * 2, false },
        { &solver->column_rows, entries * 4, false },
        { &solver->count, rows * 2, false },
        { &solver->sum, rows * 2, false },
        { &solver->place, l * 2, false },
        { &solver->pivot_row, l * 4, false },
        { &solver->inactive, l * 2, false },
        { &solver->ones, rows * 4, false },
        { &solver->twos, rows * 4, false },
        { &solver->parent, w * 2, false },
        { &solver->members, w * 2, false },
        { &solver->edge, w * 4, false },
        { &solver->heap, w * 8, false },
    };
    size_t size = 0;
    for (size_t i = 0; i < asx_array_count(fields); i++) {
        size += asx_align_up(fields[i].size, ASX_CACHE_LINE);
    }
    solver->arena = asx_rq_alloc_get(solver->alloc, size);
    if (solver->arena == NULL) {
        return false;
    }
    solver->arena_cap = size;
    for (size_t i = 0; i < asx_array_count(fields); i++) {
        void *block = asxi_solver_get(solver, fields[i].size);
        memcpy(fields[i].at, &block, sizeof(block));
        if (fields[i].zero) {
            memset(block, 0, fields[i].size);
        }
    }
    return true;
}

static size_t dense_size(const asxi_solver *solver)
{
    const size_t u = solver->inactive_count, words = solver->words;
    const size_t h = solver->param->h, l = solver->param->l;
    const size_t order = (solver->rows - solver->pivots) * (4 + 2) + (words * 64 + 1) * 4;
    return order + (solver->pivots + 1 + 2 * (u + 1)) * words * 8 + (u + 1) * (4 + 2 + 1 + 2) +
           2 * l + h * (u + 1) + h * h + (h + 2) * (u + 64) + 4096;
}

static uint16_t *put_feed(const asxi_solver *solver, uint32_t row, uint16_t *op, uint16_t **next)
{
    const uint32_t s = solver->param->s;
    const uint32_t feed = row < s ? ASX_RQ_FEED_ZERO : solver->received->feed[row - s];
    op[0] = 0;
    if (feed != ASX_RQ_FEED_ZERO) {
        op[0] = ASX_RQ_GATHER_FED;
        op[2] = (uint16_t)feed;
        op[3] = (uint16_t)(feed >> 16);
    }
    *next = op + (feed != ASX_RQ_FEED_ZERO ? 4 : 2);
    return op;
}

/* Appends the operation that sets slab row `target` from matrix row `row`: its symbol, and its
 * columns whose slab row is below `limit`, the target's own excepted. */
static uint16_t *put_row(const asxi_solver *solver, uint16_t *out, uint32_t row, uint32_t target,
                         uint32_t limit)
{
    uint16_t *next;
    uint16_t *op = put_feed(solver, row, out, &next);
    op[1] = (uint16_t)target;
    const uint32_t end = solver->row_start[row + 1];
    for (uint32_t i = solver->row_start[row]; i < end; i++) {
        const uint32_t place = solver->place[solver->columns[i]];
        if (place < limit && place != target) {
            *next++ = (uint16_t)place;
            op[0]++;
        }
    }
    return next;
}

/* Appends the slab rows of the set bits to the operation that ends at `next`. */
static uint16_t *put_bits(uint16_t *op, uint16_t *next, const uint64_t *bits, uint32_t words,
                          const uint16_t *row_of_bit)
{
    for (uint32_t i = 0; i < words; i++) {
        for (uint64_t left = bits[i]; left != 0; left &= left - 1) {
            *next++ = row_of_bit[i * 64 + (uint32_t)__builtin_ctzll(left)];
            op[0]++;
        }
    }
    return next;
}

static uint16_t *write_forward(const asxi_solver *solver, const uint16_t *dense_row, uint16_t *out)
{
    for (uint32_t i = 0; i < solver->pivots; i++) {
        out = put_row(solver, out, solver->pivot_row[i], i, solver->pivots);
    }
    for (uint32_t k = 0; k < solver->rank; k++) {
        uint16_t *op = out;
        out = put_row(solver, out, solver->basis_row[k], dense_row[k], solver->pivots);
        out = put_bits(op, out, solver->used + (size_t)k * solver->words, solver->words, dense_row);
    }
    return out;
}

static uint16_t *write_backward(const asxi_solver *solver, const uint16_t *inactive_row,
                                uint16_t *out)
{
    for (uint32_t k = solver->rank; k-- > 0;) {
        /* The row's own pivot bit stands for its right-hand side, which is in that slab row. */
        uint16_t *op = out;
        op[0] = 0;
        op[1] = inactive_row[solver->basis_pivot[k]];
        out = put_bits(op, op + 2, solver->basis + (size_t)k * solver->words, solver->words,
                       inactive_row);
    }
    for (uint32_t i = 0; i < solver->pivots; i++) {
        out = put_row(solver, out, solver->pivot_row[i], i, UINT32_MAX);
    }
    return out;
}

static size_t count_bits(const uint64_t *bits, size_t words)
{
    size_t n = 0;
    for (size_t i = 0; i < words; i++) {
        n += (size_t)__builtin_popcountll(bits[i]);
    }
    return n;
}

static uint32_t count_sums(const uint16_t *op, const uint16_t *end)
{
    uint32_t sums = 0;
    while (op < end) {
        const uint32_t count = op[0] & ASX_RQ_GATHER_COUNT;
        const bool fed = (op[0] & ASX_RQ_GATHER_FED) != 0;
        sums += count + fed;
        op += count + (fed ? 4 : 2);
    }
    return sums;
}

static void write_hdpc(const asxi_solver *solver, asx_rq_plan *plan)
{
    const uint32_t columns = plan->hdpc.columns, h = solver->param->h;
    if (plan->free == 0) {
        return;
    }
    for (uint32_t f = 0; f < plan->free; f++) {
        plan->free_row[f] = (uint16_t)(solver->pivots + solver->free[f]);
    }
    for (uint32_t c = 0; c < columns; c++) {
        const uint32_t place = solver->place[c];
        plan->hdpc_row[c] = (uint16_t)(place < solver->pivots ? place : ASX_RQ_ROW_NONE);
    }
    memcpy(plan->pairs, solver->pairs, 2 * (size_t)columns);
    memcpy(plan->lambda, solver->lambda, (size_t)h * plan->rank);
    memcpy(plan->inverse, solver->inverse, (size_t)h * h);
}

static void list_spare(asxi_solver *solver, asx_rq_plan *plan)
{
    for (uint32_t k = 0; k < solver->rank; k++) {
        solver->taken[solver->basis_row[k]] = 1;
    }
    for (uint32_t r = solver->rows;
         r-- > solver->param->s && plan->spare_count < asx_array_count(plan->spare);) {
        if (!solver->taken[r]) {
            plan->spare[plan->spare_count++] = r - solver->param->s;
        }
    }
}

/* Where write_plan() writes before it knows the sizes. */
typedef struct scratch {
    uint16_t *forward, *backward;
    uint16_t *inactive_row; /* slab row of each bit */
    uint16_t *dense_row;
} scratch;

static asx_err write_programs(asxi_solver *solver, const scratch *at, asx_rq_plan **result)
{
    for (uint32_t i = 0; i < solver->words * 64; i++) {
        at->inactive_row[i] = (uint16_t)(solver->pivots + i);
    }
    for (uint32_t k = 0; k < solver->rank; k++) {
        at->dense_row[k] = at->inactive_row[solver->basis_pivot[k]];
    }
    const uint16_t *forward_end = write_forward(solver, at->dense_row, at->forward);
    const uint16_t *backward_end = write_backward(solver, at->inactive_row, at->backward);
    const size_t forward_len = (size_t)(forward_end - at->forward);
    const size_t backward_len = (size_t)(backward_end - at->backward);
    asx_assert(forward_end <= at->backward);
    asx_assert(backward_end <= at->inactive_row);
    solver->stats.sums =
        count_sums(at->forward, forward_end) + count_sums(at->backward, backward_end);

    asx_rq_plan *plan =
        asxi_rq_plan_create(solver->param, solver->pivots, solver->rank, (uint32_t)forward_len,
                            (uint32_t)backward_len, solver->alloc);
    if (plan == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    memcpy(plan->row_of, solver->place, solver->param->l * sizeof(uint16_t));
    memcpy(plan->forward, at->forward, forward_len * sizeof(uint16_t));
    memcpy(plan->backward, at->backward, backward_len * sizeof(uint16_t));
    memcpy(plan->dense_row, at->dense_row, solver->rank * sizeof(uint16_t));
    write_hdpc(solver, plan);
    list_spare(solver, plan);
    plan->stats = solver->stats;
    const bool in_order = asxi_rq_plan_list_fed(plan);
    asx_assert(in_order);
    *result = plan;
    return ASX_OK;
}

static asx_err write_plan(asxi_solver *solver, asx_rq_plan **plan)
{
    const size_t entries = solver->row_start[solver->rows];
    const size_t dense = (size_t)solver->rank * solver->words;
    const size_t ops = 4 * ((size_t)solver->pivots + solver->rank);
    const size_t forward_cap = entries + ops + count_bits(solver->used, dense);
    const size_t backward_cap = entries + ops + count_bits(solver->basis, dense);
    const size_t bit_count = solver->words * 64u;
    const size_t size = (forward_cap + backward_cap + 2 * bit_count) * sizeof(uint16_t);
    uint16_t *block = asx_rq_alloc_get(solver->alloc, size);
    if (block == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    const scratch at = { .forward = block,
                         .backward = block + forward_cap,
                         .inactive_row = block + forward_cap + backward_cap,
                         .dense_row = block + forward_cap + backward_cap + bit_count };
    const asx_err err = write_programs(solver, &at, plan);
    asx_rq_alloc_put(solver->alloc, block, size);
    return err;
}

/* Phase 1 again, by the policy that its features asked for; where that would make the dense part
 * too large, the first one stands. */
static asx_err solve_again(asxi_solver *solver)
{
    asxi_solver again = { .param = solver->param,
                          .received = solver->received,
                          .policy = solver->policy,
                          .rows = solver->rows,
                          .alloc = solver->alloc,
                          .stats = solver->stats };
    again.stats.peeled = 0;
    if (!allocate(&again)) {
        return ASX_RQ_E(NO_MEMORY);
    }
    if (asxi_solve_sparse(&again) == ASX_OK) {
        asx_rq_alloc_put(solver->alloc, solver->arena, solver->arena_cap);
        *solver = again;
        return ASX_OK;
    }
    asx_rq_alloc_put(again.alloc, again.arena, again.arena_cap);
    solver->policy = ASX_RQ_POLICY_BASELINE;
    solver->stats.reason = ASX_RQ_REASON_BUDGET;
    solver->stats.features = (asx_rq_features){ 0 };
    memset(solver->stats.loss, 0, sizeof(solver->stats.loss));
    return ASX_OK;
}

static asx_err solve_sparse(asxi_solver *solver, asx_rq_policy policy)
{
    solver->policy = policy != ASX_RQ_POLICY_AUTO ? policy : ASX_RQ_POLICY_BASELINE;
    asx_err err = asxi_solve_sparse(solver);
    if (err == ASX_OK && policy == ASX_RQ_POLICY_AUTO) {
        solver->policy = asxi_policy_decide(solver);
        if (solver->policy == ASX_RQ_POLICY_SUPPORT) {
            err = solve_again(solver);
        }
    }
    solver->stats.policy = solver->policy;
    solver->stats.pivots = solver->pivots;
    solver->stats.inactive = solver->inactive_count;
    return err;
}

static asx_err solve(asxi_solver *solver, asx_rq_policy policy, asx_rq_plan **plan)
{
    const asx_err sparse_err = solve_sparse(solver, policy);
    if (sparse_err != ASX_OK) {
        return sparse_err;
    }
    const uint32_t u = solver->inactive_count;
    solver->words = (uint32_t)asx_align_up(asx_div_ceil(u, 64), 2);

    asxi_solver dense = *solver;
    dense.arena_cap = dense_size(solver);
    dense.arena_len = 0;
    dense.arena = asx_rq_alloc_get(solver->alloc, dense.arena_cap);
    if (dense.arena == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    asx_err err = asxi_solve_dense(&dense);
    dense.stats.surplus = solver->rows - solver->pivots - dense.rank;
    if (err == ASX_OK) {
        err = write_plan(&dense, plan);
    }
    solver->stats = dense.stats;
    asx_rq_alloc_put(solver->alloc, dense.arena, dense.arena_cap);
    return err;
}

asx_err asx_rq_plan_solve(asx_rq_plan **plan, const asx_rq_param *param, const asx_rq_rows *rows,
                          asx_rq_policy policy, const asx_rq_alloc *alloc,
                          asx_rq_solve_stats *stats)
{
    asxi_solver solver = {
        .param = param, .received = rows, .rows = param->s + rows->count, .alloc = alloc
    };
    solver.stats.rows = rows->count;
    asx_err err = ASX_RQ_E(TOO_FEW);
    if (rows->count < param->k_prime) {
        solver.stats.deficit = param->k_prime - rows->count;
    } else if (!allocate(&solver)) {
        err = ASX_RQ_E(NO_MEMORY);
    } else {
        err = solve(&solver, policy, plan);
        asx_rq_alloc_put(alloc, solver.arena, solver.arena_cap);
    }
    if (stats != NULL) {
        *stats = solver.stats;
    }
    return err;
}
