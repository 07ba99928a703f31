/* A plan: the solution of a block's equations as programs over rows, without any symbol bytes.
 *
 * Model.   Which operations solve A C = D depends on K' and on which symbols were received, never
 *          on their bytes. The solver works on bits and leaves a plan; running it over a slab
 *          (replay.h) computes C. A plan is immutable after the solve, counted, and may be shared
 *          by threads.
 * Shape.   Pivot columns take rows 0..pivots-1 of the slab in the order they were chosen, inactive
 *          columns the rows after them. `forward` computes every pivot with the inactive symbols
 *          taken as zero, then the right-hand sides of the dense binary rows in the inactive rows;
 *          the HDPC part finds the `free` inactive symbols that the binary rows leave open;
 *          `backward` finds the other inactive symbols and computes every pivot again.
 * Bounds.  About 20 row operations and 80 bytes a symbol.
 * Source.  RFC 6330, 5.4.2, with the second half of phase 1 and phases 3 to 5 replaced by the
 *          second pass over the original, sparse rows.
 */
#ifndef ASX_RAPTORQ_PLAN_H
#define ASX_RAPTORQ_PLAN_H

#include <asx/raptorq/alloc.h>
#include <asx/raptorq/gf256.h>
#include <asx/raptorq/param.h>
#include <asx/shard/base/decls.h>

#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

/* Which equivalent operations are chosen; never the verdict, never a byte. */
typedef enum asx_rq_policy {
    ASX_RQ_POLICY_AUTO = 0,     /* chosen by the features of the matrix */
    ASX_RQ_POLICY_BASELINE = 1, /* least ones in V, largest component; dense rows in order */
    ASX_RQ_POLICY_SUPPORT = 2,  /* inactivate the column with the largest support; dense rows with
                                 * the fewest ones first */
    ASX_RQ_POLICY_SCHUR = 3,    /* hold back the last inactive columns, eliminate the others by the
                                 * rows with the fewest ones across the cut, then the rest */
} asx_rq_policy;

/* Why the policy that ran was the one. */
typedef enum asx_rq_policy_reason {
    ASX_RQ_REASON_ASKED = 0,    /* not left to the solver */
    ASX_RQ_REASON_GATE = 1,     /* the dense part is too small for another */
    ASX_RQ_REASON_BUDGET = 2,   /* too many entries to look at, or columns to inactivate */
    ASX_RQ_REASON_LOSS = 3,     /* the smallest loss */
    ASX_RQ_REASON_NO_PIVOT = 4, /* a column in front of the cut had none: baseline instead */
} asx_rq_policy_reason;

const char *asx_rq_policy_name(asx_rq_policy policy);
const char *asx_rq_policy_reason_name(asx_rq_policy_reason reason);

/* Of the matrix after phase 1, in thousandths. */
typedef struct asx_rq_features {
    uint32_t density;  /* of the rows left over, in inactive columns */
    uint32_t empty;    /* inactive columns that are in none of these rows */
    uint32_t inactive; /* columns, of L */
    uint32_t surplus;  /* received rows beyond K', of K' */
} asx_rq_features;

/* What the solve did; equal on every host and kernel. */
typedef struct asx_rq_solve_stats {
    uint32_t rows;       /* received rows with padding, without LDPC and HDPC */
    uint32_t peeled;     /* pivots found with one column left */
    uint32_t pivots;     /* all pivots of phase 1 */
    uint32_t inactive;   /* columns solved densely */
    uint32_t dense_rows; /* binary rows looked at in phase 2 */
    uint32_t dense_rank; /* of them independent */
    uint32_t hdpc_used;  /* inactive columns that needed an HDPC row */
    uint32_t deficit;    /* rank missing when not decodable, at least */
    uint32_t surplus;    /* received rows that no pivot uses */
    uint32_t sums;       /* row additions of both gather programs */
    asx_rq_policy policy;
    asx_rq_policy_reason reason;
    asx_rq_features features; /* when the solver chose */
    uint32_t loss[3];         /* of each policy, from the baseline on */
} asx_rq_solve_stats;

typedef struct asx_rq_plan asx_rq_plan;

/* The equations of a block: one received row for each entry. */
typedef struct asx_rq_rows {
    const uint32_t *isi;  /* distinct */
    const uint32_t *feed; /* number of its symbol at replay, or ASX_RQ_FEED_ZERO */
    uint32_t count;
} asx_rq_rows;

#define ASX_RQ_FEED_ZERO 0xFFFFFFFFu

/* Solves; *plan is set on success only, stats always (may be NULL).
 *
 * owns    the caller holds one reference of *plan
 * errors  TOO_FEW, RANK, NO_MEMORY; OVER_BUDGET: rows that nobody draws at random, whose dense part
 *         is many times as large as any that is
 */
ASX_NODISCARD asx_err asx_rq_plan_solve(asx_rq_plan **plan, const asx_rq_param *param,
                                        const asx_rq_rows *rows, asx_rq_policy policy,
                                        const asx_rq_alloc *alloc, asx_rq_solve_stats *stats);

/* The plan of an encoder: rows are the source symbols 0..K'-1, fed by their own number. It depends
 * on K' alone: symbols from K on are to be fed as zero. */
ASX_NODISCARD asx_err asx_rq_plan_encode(asx_rq_plan **plan, const asx_rq_param *param,
                                         const asx_rq_alloc *alloc);

asx_rq_plan *asx_rq_plan_ref(asx_rq_plan *plan);
void asx_rq_plan_unref(asx_rq_plan *plan);

/* Bytes the plan holds. */
size_t asx_rq_plan_size(const asx_rq_plan *plan);
const asx_rq_solve_stats *asx_rq_plan_stats(const asx_rq_plan *plan);

/* What one replay does, in rows: each is as many bytes as the block has in one symbol. */
typedef struct asx_rq_plan_cost {
    uint64_t sums;     /* rows added to another, each read once */
    uint64_t products; /* rows multiplied by a factor */
    uint64_t stores;   /* rows written */
} asx_rq_plan_cost;

asx_rq_plan_cost asx_rq_plan_cost_get(const asx_rq_plan *plan);

/* Serialised form: equal bytes on every host. `save` writes asx_rq_plan_save_size() bytes; `load`
 * checks structure and checksum, so that running a loaded plan stays inside its slab: what it
 * computes is only as true as who saved it.
 *
 * errors  BAD_PLAN, NO_MEMORY
 */
size_t asx_rq_plan_save_size(const asx_rq_plan *plan);
void asx_rq_plan_save(const asx_rq_plan *plan, uint8_t *out);
ASX_NODISCARD asx_err asx_rq_plan_load(asx_rq_plan **plan, const uint8_t *bytes, size_t len,
                                       const asx_rq_alloc *alloc);

ASX_END_DECLS

#endif
