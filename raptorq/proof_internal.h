/* What makes a proof (proof.c) and what checks one (proof_check.c) share. */
#ifndef ASX_RAPTORQ_PROOF_INTERNAL_H
#define ASX_RAPTORQ_PROOF_INTERNAL_H

#include <asx/raptorq/proof.h>

/* Adds one symbol, its bytes from scratch[8] on, to the order-free digests. */
void asxi_proof_fold(asx_rq_proof *proof, uint32_t esi, bool is_listed, asx_rq_digest_fn *digest,
                     uint8_t *scratch);

/* How many of `count` columns are listed. */
static inline uint32_t asxi_proof_columns(uint32_t count)
{
    return count < ASX_RQ_PROOF_COLUMNS ? count : ASX_RQ_PROOF_COLUMNS;
}

#endif
