/* Which of the three ways to solve a matrix is taken, and why.
 *
 * The features are read off the matrix after phase 1, in thousandths, at a bounded cost. Each
 * policy has a loss, a base and a weighted sum of features; the smallest wins, of equal ones the
 * first. Measured over K, losses and overheads: with surplus rows to choose from, taking thin ones
 * for the dense part saves 0.4 of 18 additions a symbol at 5 % surplus and 1.2 to 1.6 at 50 %, for
 * 2 to 6 % more time in the solver; without surplus nothing is gained. Inactivating by support
 * makes the dense part larger and costs phase 1 a second time: it is left for matrices that are far
 * denser than those of received symbols. */
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include "solve_internal.h"

enum {
    CELLS_MAX = 1 << 18, /* matrix entries looked at for the features */
    GATE_INACTIVE = 16,  /* columns of the dense part, at least */
};

const char *asx_rq_policy_name(asx_rq_policy policy)
{
    switch (policy) {
    case ASX_RQ_POLICY_AUTO:
        return "auto";
    case ASX_RQ_POLICY_BASELINE:
        return "baseline";
    case ASX_RQ_POLICY_SUPPORT:
        return "support";
    case ASX_RQ_POLICY_SCHUR:
        return "schur";
    }
    return "?";
}

const char *asx_rq_policy_reason_name(asx_rq_policy_reason reason)
{
    switch (reason) {
    case ASX_RQ_REASON_ASKED:
        return "asked";
    case ASX_RQ_REASON_GATE:
        return "gate";
    case ASX_RQ_REASON_BUDGET:
        return "budget";
    case ASX_RQ_REASON_LOSS:
        return "loss";
    case ASX_RQ_REASON_NO_PIVOT:
        return "no_pivot";
    }
    return "?";
}

static uint32_t per_mille(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (uint32_t)(1000 * part / whole) : 0;
}

/* Counts, in the rows that no pivot uses, the entries in inactive columns; false when there are
 * more entries than may be looked at. */
static bool read_features(asxi_solver *solver, asx_rq_features *features)
{
    const uint32_t u = solver->inactive_count;
    uint8_t *seen = solver->seen;
    uint32_t left = CELLS_MAX, dense_rows = 0, empty = 0;
    uint64_t filled = 0;
    for (uint32_t r = 0; r < solver->rows; r++) {
        if (solver->taken[r]) {
            continue;
        }
        const uint32_t end = solver->row_start[r + 1], len = end - solver->row_start[r];
        if (len > left) {
            return false;
        }
        left -= len;
        dense_rows++;
        for (uint32_t i = solver->row_start[r]; i < end; i++) {
            const uint32_t place = solver->place[solver->columns[i]];
            if (place >= solver->pivots) {
                filled++;
                seen[place - solver->pivots] = 1;
            }
        }
    }
    for (uint32_t i = 0; i < u; i++) {
        empty += !seen[i];
    }
    features->density = per_mille(filled, (uint64_t)dense_rows * u);
    features->empty = per_mille(empty, u);
    features->inactive = per_mille(u, solver->param->l);
    features->surplus =
        per_mille(solver->received->count - solver->param->k_prime, solver->param->k_prime);
    return true;
}

asx_rq_policy asxi_policy_choose(const asx_rq_features *features, uint32_t inactive,
                                 asx_rq_solve_stats *stats)
{
    const asx_rq_features f = *features;
    stats->features = f;
    stats->loss[0] = f.density + 2 * f.surplus;
    stats->loss[1] = 400 + f.density / 4 + f.surplus / 4 + f.empty / 4;
    stats->loss[2] = 60 + f.density + f.surplus / 2;
    stats->reason = ASX_RQ_REASON_GATE;
    if (inactive < GATE_INACTIVE) {
        return ASX_RQ_POLICY_BASELINE;
    }
    stats->reason = ASX_RQ_REASON_LOSS;
    uint32_t best = 0;
    for (uint32_t i = 1; i < asx_array_count(stats->loss); i++) {
        best = stats->loss[i] < stats->loss[best] ? i : best;
    }
    return (asx_rq_policy)(ASX_RQ_POLICY_BASELINE + best);
}

asx_rq_policy asxi_policy_decide(asxi_solver *solver)
{
    asx_rq_features features = { 0 };
    if (!read_features(solver, &features)) {
        solver->stats.reason = ASX_RQ_REASON_BUDGET;
        return ASX_RQ_POLICY_BASELINE;
    }
    return asxi_policy_choose(&features, solver->inactive_count, &solver->stats);
}
