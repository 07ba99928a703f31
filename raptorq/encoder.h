/* The encoder of one source block.
 *
 * Model.   Source symbols come straight from the caller's bytes. The first repair symbol asked for
 *          makes the intermediate symbols, by replaying the plan of K'; every further one is a sum
 *          of some seven rows.
 * Owner.   One thread at a time; the executor may use more inside prepare().
 * Bounds.  Slab of (L + H) T bytes, kept over blocks of the same shape: nothing is allocated after
 *          create, except one symbol's worth of padding there.
 */
#ifndef ASX_RAPTORQ_ENCODER_H
#define ASX_RAPTORQ_ENCODER_H

#include <asx/raptorq/block.h>
#include <asx/raptorq/plan.h>
#include <asx/shard/base/decls.h>

#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_rq_encoder asx_rq_encoder;

/* plan  of asx_rq_plan_encode() for the block's K'; the encoder takes a reference of its own. NULL:
 *       the encoder solves for one when it first needs it
 * owns  nothing of `block`, which is copied
 *
 * errors  NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_encoder_create(asx_rq_encoder **encoder, const asx_rq_block *block,
                                            asx_rq_plan *plan, const asx_rq_alloc *alloc);
void asx_rq_encoder_destroy(asx_rq_encoder *encoder);

/* Begins a block: `source` is lent until the next load or destroy.
 *
 * len  at most K T; what is missing at the end counts as zero
 *
 * errors  BAD_SIZE when a whole symbol or more is missing; NO_MEMORY (short blocks with N > 1)
 */
ASX_NODISCARD asx_err asx_rq_encoder_load(asx_rq_encoder *encoder, const void *source, size_t len);

/* Makes the intermediate symbols now; a second call does nothing.
 *
 * errors  NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_encoder_prepare(asx_rq_encoder *encoder,
                                             const asx_rq_executor *executor);

/* Writes the T bytes of symbol `esi`.
 *
 * errors  BAD_ESI, NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_encoder_symbol(asx_rq_encoder *encoder, uint32_t esi, void *symbol);

ASX_END_DECLS

#endif
