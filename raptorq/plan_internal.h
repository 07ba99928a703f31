/* The plan's fields, for the solver that writes them and the replay that runs them. */
#ifndef ASX_RAPTORQ_PLAN_INTERNAL_H
#define ASX_RAPTORQ_PLAN_INTERNAL_H

#include <asx/raptorq/plan.h>

#include <stdbool.h>

struct asx_rq_plan {
    uint32_t refs;
    uint32_t k_prime, l, h;
    uint32_t pivots, inactive;
    uint32_t rank;        /* inactive columns solved by binary rows */
    uint32_t free;        /* the others: 0, or HDPC rows are needed */
    uint32_t forward_len; /* words */
    uint32_t backward_len;
    uint32_t spare_count; /* received rows that the solution does not rest on, the last first */
    uint32_t spare[8];
    asx_rq_solve_stats stats;
    asx_rq_hdpc hdpc;

    /* All in the block's tail, in this order; `fed` is the last. */
    uint16_t *row_of;  /* slab row of each column, L of them */
    uint16_t *forward; /* gather programs */
    uint16_t *backward;
    uint16_t *dense_row; /* slab row of each dense equation's right-hand side, `rank` */
    uint16_t *free_row;  /* slab row of each free column, `free` */
    uint16_t *hdpc_row;  /* when free > 0: K' + S */
    uint8_t *pairs;      /* when free > 0: 2 (K' + S) */
    uint8_t *lambda;     /* when free > 0: H x rank, what HDPC rows need of the dense ones */
    uint8_t *inverse;    /* when free > 0: H x H. Times the HDPC right-hand sides: the free
                          * columns, then what must be zero */

    /* Numbers of the symbols that `forward` asks for, in order; `backward` asks for a first part of
     * the same. Follows from the programs and is not saved. */
    uint32_t *fed;
    uint32_t fed_count;

    size_t size; /* of the block */
    asx_rq_alloc alloc;
    int has_alloc;
};

/* A plan with its arrays placed and unset; the four counts and two lengths decide the size. */
asx_rq_plan *asxi_rq_plan_create(const asx_rq_param *param, uint32_t pivots, uint32_t rank,
                                 uint32_t forward_len, uint32_t backward_len,
                                 const asx_rq_alloc *alloc);

/* Sets `fed` from the programs; false when they do not ask in the same order. */
bool asxi_rq_plan_list_fed(asx_rq_plan *plan);

/* The two sums that each HDPC column but the last is added to. */
void asxi_rq_hdpc_pairs(const asx_rq_param *param, uint8_t *pairs);

#endif
