/* Independence of steps: sets of accesses, and whether two of them commute.
 *
 * Model.   A step (one turn of one shard) touches the union of what its events touched. Steps
 *          commute unless they share a resource that either writes; ASX_LAB_RES_GLOBAL is shared
 *          with every access there is, and a step that touches nothing commutes with all.
 * Owner.   The caller: sets are arrays, normalised in place.
 * Source.  Mazurkiewicz, 1987. */
#ifndef ASX_LAB_INDEPENDENCE_H
#define ASX_LAB_INDEPENDENCE_H

#include <asx/lab/footprint.h>

ASX_BEGIN_DECLS

/* A set: ordered by resource and object, one entry each. Lent by whoever holds the array. */
typedef struct asx_accesses {
    const asx_lab_access *at;
    uint32_t count;
} asx_accesses;

/* Orders the accesses and merges those of one resource, where a write outweighs reads. Returns how
 * many are left. */
uint32_t asx_accesses_normalise(asx_lab_access *accesses, uint32_t count);

/* Both sets normalised. The first access of `a` that conflicts, NULL: they commute. */
const asx_lab_access *asx_accesses_conflict(asx_accesses a, asx_accesses b);

ASX_END_DECLS

/* A key for tables. Two resources may, rarely, get one: that makes steps look dependent, which
 * costs search and never soundness. */
ASX_INLINE uint64_t asx_access_key(const asx_lab_access *access)
{
    return access->object ^ ((uint64_t)access->resource * UINT64_C(0x9E3779B97F4A7C15));
}

#endif
