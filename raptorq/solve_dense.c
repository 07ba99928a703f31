#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include "solve_internal.h"

#include <string.h>

static inline void xor_words(uint64_t *restrict dst, const uint64_t *restrict src, uint32_t words)
{
    for (uint32_t i = 0; i < words; i += 2) {
        dst[i] ^= src[i];
        dst[i + 1] ^= src[i + 1];
    }
}

static inline void flip(uint64_t *bits, uint32_t i)
{
    bits[i / 64] ^= UINT64_C(1) << (i % 64);
}

static inline bool test(const uint64_t *bits, uint32_t i)
{
    return (bits[i / 64] >> (i % 64)) & 1;
}

/* What the row asks of the inactive symbols once its pivots are replaced by their own sums. */
static void row_bits(const asxi_solver *solver, uint32_t row, uint32_t self, uint64_t *bits)
{
    memset(bits, 0, solver->words * sizeof(*bits));
    const uint32_t end = solver->row_start[row + 1];
    for (uint32_t i = solver->row_start[row]; i < end; i++) {
        const uint32_t place = solver->place[solver->columns[i]];
        if (place >= solver->pivots) {
            flip(bits, place - solver->pivots);
        } else if (place != self) {
            xor_words(bits, solver->bits + (size_t)place * solver->words, solver->words);
        }
    }
}

/* Reduces the row by the basis and keeps it if one of the first `limit` columns is left; false when
 * only later ones are. */
static bool insert(asxi_solver *solver, uint32_t row, uint32_t limit)
{
    const uint32_t words = solver->words, k = solver->rank;
    uint64_t *bits = solver->basis + (size_t)k * words;
    uint64_t *used = solver->used + (size_t)k * words;
    row_bits(solver, row, UINT32_MAX, bits);
    memset(used, 0, words * sizeof(*used));
    for (uint32_t j = 0; j < k; j++) {
        if (test(bits, solver->basis_pivot[j])) {
            xor_words(bits, solver->basis + (size_t)j * words, words);
            flip(used, j);
        }
    }
    for (uint32_t i = 0; i < words; i++) {
        if (bits[i] != 0) {
            const uint32_t pivot = i * 64 + (uint32_t)__builtin_ctzll(bits[i]);
            if (pivot >= limit) {
                return false;
            }
            solver->basis_pivot[k] = (uint16_t)pivot;
            solver->basis_row[k] = row;
            solver->is_pivot[pivot] = 1;
            solver->rank++;
            return true;
        }
    }
    return true;
}

/* Ones in the columns from `first` on. */
static uint32_t weigh(const asxi_solver *solver, uint32_t row, uint32_t first, uint64_t *bits)
{
    uint32_t ones = 0;
    row_bits(solver, row, UINT32_MAX, bits);
    for (uint32_t i = first / 64; i < solver->words; i++) {
        const uint64_t mask = i == first / 64 ? ~UINT64_C(0) << (first % 64) : ~UINT64_C(0);
        ones += (uint32_t)__builtin_popcountll(bits[i] & mask);
    }
    return ones;
}

/* The rows that no pivot uses: ascending, or by ones from column `first` on, then ascending. */
static void order_rows(asxi_solver *solver, bool by_weight, uint32_t first)
{
    uint32_t n = 0, *at = solver->weight_at;
    const uint32_t weights = solver->words * 64 + 1;
    memset(at, 0, weights * sizeof(*at));
    for (uint32_t r = 0; r < solver->rows; r++) {
        if (!solver->taken[r]) {
            const uint32_t w = by_weight ? weigh(solver, r, first, solver->basis) : 0;
            solver->weight[n++] = (uint16_t)w;
            at[w]++;
        }
    }
    solver->order_len = n;
    for (uint32_t w = 0, begin = 0; w < weights; w++) {
        const uint32_t count = at[w];
        at[w] = begin;
        begin += count;
    }
    n = 0;
    for (uint32_t r = 0; r < solver->rows; r++) {
        if (!solver->taken[r]) {
            solver->order[at[solver->weight[n++]]++] = r;
        }
    }
}

/* Surplus rows are never looked at: with full rank there is nothing left to learn. */
static void insert_in_order(asxi_solver *solver)
{
    const uint32_t u = solver->inactive_count;
    for (uint32_t i = 0; i < solver->order_len && solver->rank < u; i++) {
        insert(solver, solver->order[i], u);
        solver->stats.dense_rows++;
    }
}

/* Eliminates the columns in front of the cut, then the few behind it by the rows that were left.
 * False when a column in front has no pivot: then the cut was no cut. */
static bool insert_by_cut(asxi_solver *solver)
{
    enum { HELD = 4 };
    const uint32_t u = solver->inactive_count;
    const uint32_t n = solver->rows - solver->pivots;
    /* what the binary rows cannot reach, HDPC rows must solve: these columns wait as well */
    const uint32_t held = HELD + (u > n ? u - n : 0);
    if (held >= u) {
        return false;
    }
    const uint32_t cut = u - held;
    order_rows(solver, true, cut);
    uint32_t aside = 0;
    for (uint32_t i = 0; i < solver->order_len; i++) {
        if (solver->rank == cut || !insert(solver, solver->order[i], cut)) {
            solver->order[aside++] = solver->order[i];
        }
        solver->stats.dense_rows++;
    }
    if (solver->rank < cut) {
        return false;
    }
    for (uint32_t i = 0; i < aside && solver->rank < u; i++) {
        insert(solver, solver->order[i], u);
    }
    return true;
}

static void insert_all(asxi_solver *solver)
{
    if (solver->policy == ASX_RQ_POLICY_SCHUR && !insert_by_cut(solver)) {
        solver->policy = ASX_RQ_POLICY_BASELINE;
        solver->stats.policy = ASX_RQ_POLICY_BASELINE;
        solver->stats.reason = ASX_RQ_REASON_NO_PIVOT;
        solver->stats.dense_rows = 0;
        solver->rank = 0;
        memset(solver->is_pivot, 0, solver->inactive_count);
    }
    if (solver->policy != ASX_RQ_POLICY_SCHUR) {
        order_rows(solver, solver->policy == ASX_RQ_POLICY_SUPPORT, 0);
        insert_in_order(solver);
    }
}

/* The HDPC rows over the inactive columns, by the recurrence over all columns. */
static void hdpc_rows(asxi_solver *solver, uint8_t *rows, size_t len)
{
    const asx_rq_param *param = solver->param;
    const asx_rq_kernel *kernel = asx_rq_kernel_get();
    const uint32_t last = param->k_prime + param->s - 1;
    uint8_t *w = rows + param->h * len;
    uint64_t *unit = (uint64_t *)(void *)(w + len);
    memset(rows, 0, param->h * len + len + len / 8);
    for (uint32_t c = 0; c <= last; c++) {
        const uint32_t place = solver->place[c];
        const bool is_pivot = place < solver->pivots;
        if (!is_pivot) {
            flip(unit, place - solver->pivots);
        }
        const uint64_t *bits = is_pivot ? solver->bits + (size_t)place * solver->words : unit;
        if (c == last) {
            for (size_t i = 0; i < len; i++) {
                w[i] = asx_gf_mul(w[i], 2) ^ test(bits, (uint32_t)i);
            }
        } else {
            kernel->hdpc_bits(w, rows + solver->pairs[2 * c] * len,
                              rows + solver->pairs[2 * c + 1] * len, bits, len);
        }
        if (!is_pivot) {
            flip(unit, place - solver->pivots);
        }
    }
    for (uint32_t h = 0; h < param->h; h++) {
        kernel->muladd_row(rows + h * len, w, asx_gf_exp(h), len);
        rows[h * len + solver->place[last + 1 + h] - solver->pivots] ^= 1;
    }
}

/* Takes the binary pivots out of the HDPC rows and records the factors. */
static void reduce_hdpc(asxi_solver *solver, uint8_t *rows, size_t len)
{
    const asx_rq_kernel *kernel = asx_rq_kernel_get();
    const uint32_t h_count = solver->param->h;
    uint8_t *bytes = rows + h_count * len; /* the recurrence is over: its row is free */
    for (uint32_t k = 0; k < solver->rank; k++) {
        const uint64_t *basis = solver->basis + (size_t)k * solver->words;
        for (size_t i = 0; i < len; i++) {
            bytes[i] = test(basis, (uint32_t)i);
        }
        for (uint32_t h = 0; h < h_count; h++) {
            const uint8_t factor = rows[h * len + solver->basis_pivot[k]];
            kernel->muladd_row(rows + h * len, bytes, factor, len);
            solver->lambda[h * solver->rank + k] = factor;
        }
    }
}

/* Gauss-Jordan on the free columns of the HDPC rows; returns how many could be solved. */
static uint32_t invert_free(asxi_solver *solver, const uint8_t *rows, size_t len)
{
    enum { MAX = 16 };
    const uint32_t h_count = solver->param->h, q = solver->free_count;
    uint8_t a[MAX][2 * MAX] = { { 0 } }; /* free columns, then the identity over rows */
    asx_assert_le(h_count, MAX);
    for (uint32_t h = 0; h < h_count; h++) {
        for (uint32_t f = 0; f < q; f++) {
            a[h][f] = rows[h * len + solver->free[f]];
        }
        a[h][MAX + h] = 1;
    }
    for (uint32_t f = 0; f < q; f++) {
        uint32_t pivot = f;
        while (pivot < h_count && a[pivot][f] == 0) {
            pivot++;
        }
        if (pivot == h_count) {
            return f;
        }
        const uint8_t inverse = asx_gf_inv(a[pivot][f]);
        for (uint32_t i = 0; i < 2 * MAX; i++) {
            const uint8_t x = a[pivot][i];
            a[pivot][i] = a[f][i];
            a[f][i] = asx_gf_mul(x, inverse);
        }
        for (uint32_t h = 0; h < h_count; h++) {
            const uint8_t factor = a[h][f];
            for (uint32_t i = 0; h != f && factor != 0 && i < 2 * MAX; i++) {
                a[h][i] ^= asx_gf_mul(a[f][i], factor);
            }
        }
    }
    /* The rows past the free columns are zero on the left: what they say on the right must hold. */
    for (uint32_t h = 0; h < h_count; h++) {
        memcpy(solver->inverse + h * h_count, &a[h][MAX], h_count);
    }
    return q;
}

static asx_err solve_free(asxi_solver *solver)
{
    const asx_rq_param *param = solver->param;
    const size_t len = asx_align_up(solver->inactive_count, 64);
    solver->pairs = asxi_solver_get(solver, 2 * (size_t)(param->k_prime + param->s));
    solver->lambda = asxi_solver_get(solver, (size_t)param->h * (solver->rank + 1));
    solver->inverse = asxi_solver_get(solver, (size_t)param->h * param->h);
    uint8_t *rows = asxi_solver_get(solver, (param->h + 1) * len + len / 8 + 64);
    if (solver->pairs == NULL || solver->lambda == NULL || solver->inverse == NULL ||
        rows == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    asxi_rq_hdpc_pairs(param, solver->pairs);
    hdpc_rows(solver, rows, len);
    reduce_hdpc(solver, rows, len);
    const uint32_t solved = invert_free(solver, rows, len);
    solver->stats.deficit = solver->free_count - solved;
    return solved == solver->free_count ? ASX_OK : ASX_RQ_E(RANK);
}

asx_err asxi_solve_dense(asxi_solver *solver)
{
    const uint32_t u = solver->inactive_count;
    const size_t row = solver->words * sizeof(uint64_t);
    solver->bits = asxi_solver_get(solver, (solver->pivots + 1) * row);
    solver->basis = asxi_solver_get(solver, (u + 1) * row);
    solver->used = asxi_solver_get(solver, (u + 1) * row);
    solver->basis_row = asxi_solver_get(solver, (u + 1) * sizeof(uint32_t));
    solver->basis_pivot = asxi_solver_get(solver, (u + 1) * sizeof(uint16_t));
    solver->is_pivot = asxi_solver_get(solver, u + 1);
    solver->free = asxi_solver_get(solver, (u + 1) * sizeof(uint16_t));
    solver->order = asxi_solver_get(solver, (solver->rows - solver->pivots) * sizeof(uint32_t));
    solver->weight = asxi_solver_get(solver, (solver->rows - solver->pivots) * sizeof(uint16_t));
    solver->weight_at = asxi_solver_get(solver, (solver->words * 64 + 1) * sizeof(uint32_t));
    if (solver->bits == NULL || solver->basis == NULL || solver->used == NULL ||
        solver->basis_row == NULL || solver->basis_pivot == NULL || solver->is_pivot == NULL ||
        solver->free == NULL || solver->order == NULL || solver->weight == NULL ||
        solver->weight_at == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    memset(solver->is_pivot, 0, u);
    for (uint32_t i = 0; i < solver->pivots; i++) {
        row_bits(solver, solver->pivot_row[i], i, solver->bits + (size_t)i * solver->words);
    }
    insert_all(solver);
    for (uint32_t i = 0; i < u; i++) {
        if (!solver->is_pivot[i]) {
            solver->free[solver->free_count++] = (uint16_t)i;
        }
    }
    solver->stats.dense_rank = solver->rank;
    solver->stats.hdpc_used = solver->free_count;
    if (solver->free_count > solver->param->h) {
        solver->stats.deficit = solver->free_count - solver->param->h;
        return ASX_RQ_E(RANK);
    }
    return solver->free_count > 0 ? solve_free(solver) : ASX_OK;
}
