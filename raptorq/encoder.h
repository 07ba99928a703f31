/* The encoder of one source block.
 *
 * Model.   Source symbols come straight from the caller's bytes. The first repair symbol asked for
 *          makes the intermediate symbols, by replaying the plan of K'; every further one is a sum
 *          of some seven rows. When all that a block needs is asked for at once, the intermediate
 *          symbols are never kept: a stripe's are summed while they are in the cache, and a few
 *          symbols of a small block come straight from the source.
 * Owner.   One thread at a time; the executor may use more inside prepare() and symbols().
 * Bounds.  Slab of (L + H) T bytes, or of one stripe's part of it for each thread when only
 *          symbols() is used; for large K a stripe's part of L T bytes for each thread as well.
 *          Memory is kept over blocks of the same shape: after the first one nothing is allocated.
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

/* Writes `count` symbols from `esi` on, each T bytes, one after the other: the way for a sender
 * that knows how many repair symbols the block will need. Intermediate symbols that are there are
 * used.
 *
 * errors  BAD_ESI, NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_encoder_symbols(asx_rq_encoder *encoder, uint32_t esi, uint32_t count,
                                             void *symbols, const asx_rq_executor *executor);

ASX_END_DECLS

#endif
