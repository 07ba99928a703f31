#include <asx/raptorq/tuple.h>
#include <asx/shard/base/assert.h>

#include "solve_internal.h"

#include <string.h>

/* The LDPC rows of 5.3.3.3: three rows for each LT column, an identity, two inactive columns. */
static void build_ldpc(asxi_solver *solver)
{
    const asx_rq_param *param = solver->param;
    const uint32_t s = param->s;
    uint32_t *start = solver->row_start;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t c = 0, step = 1, row = 0; c < param->b; c++) {
            uint32_t r = row;
            for (int i = 0; i < 3; i++) {
                if (pass == 0) {
                    start[r + 1]++;
                } else {
                    solver->columns[start[r]++] = (uint16_t)c;
                }
                r += step;
                r = r >= s ? r - s : r;
            }
            row++;
            if (row == s) {
                row = 0;
                step++;
                asx_assert_lt(step, s); /* three distinct rows */
            }
        }
        if (pass == 0) {
            for (uint32_t r = 0; r < s; r++) {
                start[r + 1] += start[r] + 3;
            }
        }
    }
    /* Filling moved each start to where the row's last three columns go. */
    for (uint32_t r = s; r-- > 0;) {
        uint16_t *end = solver->columns + start[r];
        end[0] = (uint16_t)(param->b + r);
        end[1] = (uint16_t)(param->w + r % param->p);
        end[2] = (uint16_t)(param->w + (r + 1) % param->p);
    }
    for (uint32_t r = s; r-- > 0;) {
        start[r + 1] = start[r] + 3;
    }
    start[0] = 0;
}

static void build_received(asxi_solver *solver)
{
    const uint32_t s = solver->param->s;
    uint32_t at = solver->row_start[s];
    for (uint32_t i = 0; i < solver->received->count; i++) {
        uint32_t lt_count;
        at += asx_rq_support(solver->param, solver->received->isi[i], solver->columns + at,
                             &lt_count);
        solver->row_v[i] = (uint8_t)lt_count;
        solver->row_start[s + i + 1] = at;
    }
}

/* How many of the row's columns are below W. */
static uint32_t row_v(const asxi_solver *solver, uint32_t row)
{
    const uint32_t s = solver->param->s;
    return row < s ? solver->row_start[row + 1] - solver->row_start[row] - 2
                   : solver->row_v[row - s];
}

static void build_columns(asxi_solver *solver)
{
    const uint32_t w = solver->param->w;
    uint32_t *start = solver->column_start;
    for (uint32_t r = 0; r < solver->rows; r++) {
        const uint16_t *columns = solver->columns + solver->row_start[r];
        const uint32_t n = row_v(solver, r);
        uint32_t sum = 0;
        for (uint32_t i = 0; i < n; i++) {
            start[columns[i] + 1]++;
            sum ^= columns[i];
        }
        solver->count[r] = (uint16_t)n;
        solver->sum[r] = (uint16_t)sum;
    }
    for (uint32_t c = 0; c < w; c++) {
        start[c + 1] += start[c];
    }
    const uint32_t total = start[w];
    for (uint32_t r = solver->rows; r-- > 0;) {
        const uint16_t *columns = solver->columns + solver->row_start[r];
        for (uint32_t i = row_v(solver, r); i-- > 0;) {
            solver->column_rows[--start[columns[i] + 1]] = r;
        }
    }
    /* start[c + 1] came down to where column c begins */
    memmove(start, start + 1, w * sizeof(*start));
    start[w] = total;
}

/* Takes a column out of V. */
static void drop(asxi_solver *solver, uint32_t column)
{
    const uint32_t end = solver->column_start[column + 1];
    for (uint32_t i = solver->column_start[column]; i < end; i++) {
        const uint32_t row = solver->column_rows[i];
        const uint32_t count = --solver->count[row];
        solver->sum[row] ^= (uint16_t)column;
        if (count == 1) {
            solver->ones[solver->ones_len++] = row;
        } else if (count == 2) {
            solver->twos[solver->twos_len++] = row;
        }
    }
    solver->in_v--;
}

static void choose(asxi_solver *solver, uint32_t row, uint32_t column)
{
    asx_debug_assert(!solver->taken[row] && solver->place[column] == ASXI_NOT_PLACED);
    solver->taken[row] = 1;
    solver->pivot_row[solver->pivots] = row;
    solver->place[column] = (uint16_t)solver->pivots++;
    drop(solver, column);
}

static void inactivate(asxi_solver *solver, uint32_t column)
{
    solver->place[column] = ASXI_INACTIVE;
    solver->inactive[solver->inactive_count++] = (uint16_t)column;
    drop(solver, column);
}

static uint32_t root_of(asxi_solver *solver, uint32_t column)
{
    uint16_t *parent = solver->parent;
    while (parent[column] != column) {
        parent[column] = parent[parent[column]];
        column = parent[column];
    }
    return column;
}

static void heap_push(asxi_solver *solver, uint64_t entry)
{
    uint64_t *heap = solver->heap;
    uint32_t i = solver->heap_len++;
    while (i > 0 && heap[(i - 1) / 2] < entry) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = entry;
}

static uint64_t heap_pop(asxi_solver *solver)
{
    uint64_t *heap = solver->heap;
    const uint64_t top = heap[0], entry = heap[--solver->heap_len];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child + 1 < solver->heap_len && heap[child + 1] > heap[child]) {
            child++;
        }
        if (child >= solver->heap_len || heap[child] <= entry) {
            break;
        }
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = entry;
    return top;
}

/* The first of the row's columns that is still in V; there is one. */
static uint32_t first_in_v(const asxi_solver *solver, uint32_t row)
{
    const uint16_t *columns = solver->columns + solver->row_start[row];
    while (solver->place[*columns] != ASXI_NOT_PLACED) {
        columns++;
    }
    return *columns;
}

/* Adds the rows that came down to two columns as edges. Between two choices with two columns,
 * peeling removes whole components: hence joining is all that is ever needed. */
static void join_twos(asxi_solver *solver)
{
    for (uint32_t i = 0; i < solver->twos_len; i++) {
        const uint32_t row = solver->twos[i];
        if (solver->count[row] != 2 || solver->taken[row]) {
            continue;
        }
        const uint32_t column = first_in_v(solver, row);
        uint32_t a = root_of(solver, column);
        uint32_t b = root_of(solver, solver->sum[row] ^ column);
        if (a == b) {
            continue;
        }
        if (solver->members[a] < solver->members[b]) {
            const uint32_t swap = a;
            a = b;
            b = swap;
        }
        solver->parent[b] = (uint16_t)a;
        solver->members[a] = (uint16_t)(solver->members[a] + solver->members[b]);
        const uint32_t edge = solver->edge[a] < solver->edge[b] ? solver->edge[a] : solver->edge[b];
        solver->edge[a] = edge < row ? edge : row;
        heap_push(solver, (uint64_t)solver->members[a] << 32 | a);
    }
    solver->twos_len = 0;
}

/* A row of the largest component, or `rows` when no row has exactly two columns left. */
static uint32_t largest_component(asxi_solver *solver)
{
    while (solver->heap_len > 0) {
        const uint64_t top = heap_pop(solver);
        const uint32_t root = (uint32_t)top;
        if (solver->parent[root] == root && solver->members[root] == top >> 32 &&
            solver->place[root] == ASXI_NOT_PLACED) {
            return solver->edge[root];
        }
    }
    return solver->rows;
}

static uint32_t support(const asxi_solver *solver, uint32_t column)
{
    return solver->column_start[column + 1] - solver->column_start[column];
}

/* Least ones in V, then least ones at the start, then the lowest row. */
static uint32_t least_row(const asxi_solver *solver)
{
    uint32_t best = solver->rows, best_count = UINT32_MAX, best_length = UINT32_MAX;
    for (uint32_t r = 0; r < solver->rows; r++) {
        const uint32_t count = solver->count[r];
        if (count == 0 || count > best_count || solver->taken[r]) {
            continue;
        }
        const uint32_t length = solver->row_start[r + 1] - solver->row_start[r];
        if (count < best_count || length < best_length) {
            best = r;
            best_count = count;
            best_length = length;
        }
    }
    return best;
}

/* Chooses a row with two or more columns left: one of them becomes the pivot, the others inactive.
 * The pivot is the column in the fewest rows. */
static void choose_wide(asxi_solver *solver, uint32_t row)
{
    const uint16_t *columns = solver->columns + solver->row_start[row];
    const uint32_t n = row_v(solver, row);
    uint32_t pivot = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t column = columns[i];
        if (solver->place[column] != ASXI_NOT_PLACED) {
            continue;
        }
        if (pivot == UINT32_MAX) {
            pivot = column;
        } else if (support(solver, column) < support(solver, pivot)) {
            inactivate(solver, pivot);
            pivot = column;
        } else {
            inactivate(solver, column);
        }
    }
    choose(solver, row, pivot);
}

/* Inactivates the column of V that is in the most rows, the lowest of several. */
static void inactivate_widest(asxi_solver *solver)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t c = 0; c < solver->param->w; c++) {
        if (solver->place[c] == ASXI_NOT_PLACED &&
            (best == UINT32_MAX || support(solver, c) > support(solver, best))) {
            best = c;
        }
    }
    inactivate(solver, best);
}

static asx_err choose_next(asxi_solver *solver)
{
    if (solver->ones_len > 0) {
        const uint32_t row = solver->ones[--solver->ones_len];
        if (solver->count[row] == 1 && !solver->taken[row]) {
            choose(solver, row, solver->sum[row]);
            solver->stats.peeled++;
        }
        return ASX_OK;
    }
    if (solver->policy == ASX_RQ_POLICY_SUPPORT) {
        solver->twos_len = 0;
        inactivate_widest(solver);
        return ASX_OK;
    }
    join_twos(solver);
    uint32_t row = largest_component(solver);
    if (row == solver->rows) {
        row = least_row(solver);
    }
    if (row == solver->rows && solver->in_v > solver->param->h) {
        solver->stats.deficit = solver->in_v - solver->param->h;
        return ASX_RQ_E(RANK);
    }
    if (row == solver->rows) {
        /* Columns that no binary row reaches any more: only HDPC rows can solve them. */
        for (uint32_t c = 0; c < solver->param->w; c++) {
            if (solver->place[c] == ASXI_NOT_PLACED) {
                inactivate(solver, c);
            }
        }
        return ASX_OK;
    }
    choose_wide(solver, row);
    return ASX_OK;
}

/* The dense part costs the cube of its columns, and each choice of a wide row a look at all rows.
 * Of symbols that nobody chose, for every K', source, repair or both, it has up to 2.3 P columns;
 * who sends symbols of the highest degrees alone can make nearly every column one. */
static uint32_t inactive_max(const asx_rq_param *param)
{
    return 4 * param->p + 64;
}

asx_err asxi_solve_sparse(asxi_solver *solver)
{
    const asx_rq_param *param = solver->param;
    build_ldpc(solver);
    build_received(solver);
    build_columns(solver);

    for (uint32_t c = 0; c < param->w; c++) {
        solver->place[c] = ASXI_NOT_PLACED;
        solver->parent[c] = (uint16_t)c;
        solver->members[c] = 1;
        solver->edge[c] = UINT32_MAX;
    }
    for (uint32_t c = param->w; c < param->l; c++) {
        solver->place[c] = ASXI_INACTIVE;
        solver->inactive[solver->inactive_count++] = (uint16_t)c;
    }
    solver->in_v = param->w;
    for (uint32_t r = solver->rows; r-- > 0;) {
        if (solver->count[r] == 1) {
            solver->ones[solver->ones_len++] = r;
        } else if (solver->count[r] == 2) {
            solver->twos[solver->twos_len++] = r;
        }
    }
    while (solver->in_v > 0) {
        const asx_err err = choose_next(solver);
        if (err != ASX_OK) {
            return err;
        }
        if (solver->inactive_count > inactive_max(param)) {
            return ASX_RQ_E(OVER_BUDGET);
        }
    }
    asx_assert_eq(solver->pivots + solver->inactive_count, param->l);
    for (uint32_t i = 0; i < solver->inactive_count; i++) {
        solver->place[solver->inactive[i]] = (uint16_t)(solver->pivots + i);
    }
    return ASX_OK;
}
