/* The decoder of one source block.
 *
 * Model.   Source symbols are copied to their place in the caller's output, repair symbols to a
 *          store of the decoder's. An attempt first decides on bits whether the block can be
 *          decoded, and touches symbol bytes only when it can. With few source symbols lost the
 *          encoding plan is replayed on what is there, and the lost symbols are the unknowns of a
 *          small dense system; otherwise the received rows are solved for a plan of their own.
 *          Both are exact: they fail only where the received rows are dependent.
 * Owner.   One thread at a time; the executor may use more inside an attempt.
 * Bounds.  At most K + repair_max symbols are held. An attempt takes up to one slab more.
 */
#ifndef ASX_RAPTORQ_DECODER_H
#define ASX_RAPTORQ_DECODER_H

#include <asx/raptorq/block.h>
#include <asx/raptorq/cache.h>
#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_rq_decoder asx_rq_decoder;

typedef struct asx_rq_decoder_config {
    asx_rq_cache *cache;       /* of plans, lent while the decoder lives; may be NULL */
    const asx_rq_alloc *alloc; /* may be NULL */
    uint32_t repair_max;       /* repair symbols held; 0: K + max(128, K / 20), at most K + 8192 */
    uint32_t verify_max;       /* equations no pivot used that are checked; at most 8 */
    uint32_t few_max;          /* lost symbols up to which the small system is used; 0: by K */
    asx_rq_policy policy;
    bool cache_solved; /* keep solved plans too: pays when many blocks lose the same packets */
} asx_rq_decoder_config;

#define ASX_RQ_DECODER_COLUMNS 256 /* that the statistics list */

typedef enum asx_rq_method {
    ASX_RQ_METHOD_NONE = 0,  /* not decoded, or nothing was lost */
    ASX_RQ_METHOD_FEW = 1,   /* small system over the lost symbols */
    ASX_RQ_METHOD_SOLVE = 2, /* plan for the received rows */
} asx_rq_method;

typedef struct asx_rq_decoder_stats {
    uint64_t accepted, duplicates, conflicts, rejected;
    uint32_t attempts;
    uint32_t sources, repairs; /* usable now */
    uint32_t verified;         /* equations checked */
    asx_rq_method method;
    asx_rq_solve_stats solve; /* of the last attempt, zero when METHOD_SOLVE was not tried; after a
                               * failure by METHOD_FEW its deficit */
    /* The first `solve.pivots` and `solve.inactive` columns, when it succeeded. */
    uint16_t pivot_column[ASX_RQ_DECODER_COLUMNS];
    uint16_t inactive_column[ASX_RQ_DECODER_COLUMNS];
} asx_rq_decoder_stats;

/* output  K T bytes in the layout of the block's source, lent until destroy; its content counts
 *         only after a successful attempt
 * config  may be NULL
 *
 * errors  NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_decoder_create(asx_rq_decoder **decoder, const asx_rq_block *block,
                                            void *output, const asx_rq_decoder_config *config);
void asx_rq_decoder_destroy(asx_rq_decoder *decoder);

/* Forgets every symbol and begins another block of the same shape. */
void asx_rq_decoder_reset(asx_rq_decoder *decoder, void *output);

/* Takes in one symbol of exactly T bytes; copied.
 *
 * errors  BAD_ESI, BAD_SIZE, DONE, FULL; DUPLICATE (same bytes, no harm); CONFLICT (other bytes:
 *         neither is used from then on)
 */
ASX_NODISCARD asx_err asx_rq_decoder_feed(asx_rq_decoder *decoder, uint32_t esi, const void *symbol,
                                          size_t len);

/* Are there K usable symbols? Then an attempt is worth its while. */
bool asx_rq_decoder_ready(const asx_rq_decoder *decoder);

/* Decodes into the output. A second call after success does nothing; a second call with nothing fed
 * since a failure returns that failure again.
 *
 * errors  TOO_FEW, RANK: feed more. CORRUPT: a spare equation does not hold, the output holds
 *         received source symbols only. OVER_BUDGET: symbols chosen so that solving them costs
 *         without bound; others beside them may still decode. NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_decoder_attempt(asx_rq_decoder *decoder,
                                             const asx_rq_executor *executor);

bool asx_rq_decoder_done(const asx_rq_decoder *decoder);

/* Is source symbol `esi` there, received or decoded? */
bool asx_rq_decoder_has(const asx_rq_decoder *decoder, uint32_t esi);

const asx_rq_decoder_stats *asx_rq_decoder_stats_get(const asx_rq_decoder *decoder);

ASX_END_DECLS

#endif
