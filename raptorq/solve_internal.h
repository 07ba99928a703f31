/* The solver's state, shared by its two halves: phase 1 (solve_sparse.c) chooses pivots and
 * inactivates columns; phase 2 (solve_dense.c) solves the inactive ones; solve.c writes the plan.
 *
 * Rows are numbered LDPC first, then received ones; HDPC rows are kept apart and never chosen.
 * The sparse part never fills in: removing a column from a row only lowers the row's count, since
 * what elimination would add lands in inactive columns, which are computed afterwards.
 */
#ifndef ASX_RAPTORQ_SOLVE_INTERNAL_H
#define ASX_RAPTORQ_SOLVE_INTERNAL_H

#include <asx/raptorq/plan.h>

#include "plan_internal.h"

#include <stdbool.h>

typedef struct asxi_solver {
    const asx_rq_param *param;
    const asx_rq_rows *received;
    asx_rq_policy policy;
    uint32_t rows; /* S + received */

    /* Rows by columns, LT and LDPC columns (those of V) before the permanently inactive. */
    uint32_t *row_start; /* rows + 1 */
    uint8_t *row_v;      /* for received rows: how many of the columns are below W */
    uint16_t *columns;
    /* Columns below W by rows. */
    uint32_t *column_start; /* W + 1 */
    uint32_t *column_rows;

    /* Phase 1. */
    uint16_t *count;     /* ones of the row in V */
    uint16_t *sum;       /* XOR of the row's columns in V: with one left, the column itself */
    uint16_t *place;     /* of each column: its slab row, or NOT_PLACED while in V */
    uint32_t *pivot_row; /* row of each pivot, in order; ROW_TAKEN in `taken` */
    uint8_t *taken;      /* row is a pivot's */
    uint16_t *inactive;  /* columns in the order of inactivation; slab row is pivots + index */
    uint32_t pivots, inactive_count;
    uint32_t in_v; /* columns left in V */

    /* Rows with one column left, and rows that came down to two since the last choice. */
    uint32_t *ones, *twos;
    uint32_t ones_len, twos_len;
    /* Components of the graph whose edges are the rows with two columns left. */
    uint16_t *parent;
    uint16_t *members;
    uint32_t *edge; /* lowest row of each root */
    uint64_t *heap; /* members << 32 | root; stale entries are skipped */
    uint32_t heap_len;

    uint8_t *seen; /* one for each column: scratch of the features */

    /* Phase 2: rows of `words` words, one bit for each inactive column. */
    uint32_t words;
    uint64_t *bits;        /* of each pivot: which inactive symbols its own is the sum of */
    uint64_t *basis;       /* independent dense rows, each reduced by the ones before it */
    uint64_t *used;        /* of each: which earlier ones were added */
    uint32_t *basis_row;   /* of each: its matrix row */
    uint16_t *basis_pivot; /* of each: the inactive column it is solved for */
    uint8_t *is_pivot;     /* inactive column has a binary pivot */
    uint32_t rank;
    uint32_t *order; /* rows that no pivot uses, as the policy takes them */
    uint32_t order_len;
    uint16_t *weight;    /* of each row in `order`: ones that the policy counts */
    uint32_t *weight_at; /* where the rows of each weight begin */
    uint16_t *free;      /* inactive columns without a binary pivot */
    uint32_t free_count; /* <= H */
    uint8_t *pairs;      /* HDPC sums of each column */
    uint8_t *lambda;     /* H x rank */
    uint8_t *inverse;    /* free x H */

    asx_rq_solve_stats stats;

    uint8_t *arena; /* everything above */
    size_t arena_len, arena_cap;
    const asx_rq_alloc *alloc;
} asxi_solver;

#define ASXI_NOT_PLACED 0xFFFFu
#define ASXI_INACTIVE 0xFFFEu /* until phase 1 ends and rows are given out */

/* Builds the rows and runs phase 1. On success every column is placed.
 *
 * errors  RANK, OVER_BUDGET
 */
ASX_NODISCARD asx_err asxi_solve_sparse(asxi_solver *solver);

/* What the features of the matrix after phase 1 ask for; writes them to the stats. */
asx_rq_policy asxi_policy_decide(asxi_solver *solver);

/* The same from features, for a dense part of `inactive` columns: arithmetic only. */
asx_rq_policy asxi_policy_choose(const asx_rq_features *features, uint32_t inactive,
                                 asx_rq_solve_stats *stats);

/* errors  RANK, NO_MEMORY */
ASX_NODISCARD asx_err asxi_solve_dense(asxi_solver *solver);

/* Memory that lives as long as the solve; NULL when out of memory. */
void *asxi_solver_get(asxi_solver *solver, size_t size);

#endif
