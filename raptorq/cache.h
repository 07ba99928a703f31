/* Plans by what they depend on: K', and for decoding the set of received symbols.
 *
 * Model.   Least recently used goes first, once entries or bytes pass the limits. A hash finds a
 *          candidate, the whole key decides. Plans are counted: one that is evicted lives on in
 *          whoever uses it.
 * Owner.   One thread at a time; the plans themselves may be shared.
 * Bounds.  Look-up O(entries), entries <= 64 by default.
 */
#ifndef ASX_RAPTORQ_CACHE_H
#define ASX_RAPTORQ_CACHE_H

#include <asx/raptorq/plan.h>
#include <asx/shard/base/decls.h>

#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_CACHE_ENTRIES 64
#define ASX_RQ_CACHE_BYTES ((size_t)64 << 20)

typedef struct asx_rq_cache asx_rq_cache;

typedef struct asx_rq_cache_stats {
    uint64_t hits, misses, evictions;
    uint64_t collisions; /* equal hash, other key */
    uint32_t entries;
    size_t bytes;
} asx_rq_cache_stats;

/* entries_max, bytes_max  0 for the default
 *
 * errors  NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_cache_create(asx_rq_cache **cache, uint32_t entries_max,
                                          size_t bytes_max, const asx_rq_alloc *alloc);
void asx_rq_cache_destroy(asx_rq_cache *cache);

/* The encoding plan of param's K'; solves on a miss. cache may be NULL: always solves.
 *
 * owns    one reference of *plan
 * errors  NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_cache_encode(asx_rq_cache *cache, asx_rq_plan **plan,
                                          const asx_rq_param *param, const asx_rq_alloc *alloc);

/* The decoding plan of these rows in this order; solves on a miss, and keeps only successes.
 *
 * owns    one reference of *plan
 * errors  TOO_FEW, RANK, OVER_BUDGET, NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_cache_decode(asx_rq_cache *cache, asx_rq_plan **plan,
                                          const asx_rq_param *param, const asx_rq_rows *rows,
                                          asx_rq_policy policy, const asx_rq_alloc *alloc,
                                          asx_rq_solve_stats *stats);

asx_rq_cache_stats asx_rq_cache_stats_get(const asx_rq_cache *cache);

ASX_END_DECLS

#endif
