/* What regions have used up of the budgets that they state, from the inside. */
#ifndef ASX_SHARD_CHARGE_INTERNAL_H
#define ASX_SHARD_CHARGE_INTERNAL_H

#include <asx/shard/limits.h>

#include "region_internal.h"

/* A dispatch under way that is charged; count 0: it is not, or there is none. Handles: the dispatch
 * may close the regions, from the innermost on. */
typedef struct asxi_charge {
    asx_instant from_ns; /* at the driver's clock */
    uint32_t count;
    asx_handle regions[ASX_CHARGE_DEPTH_MAX];
} asxi_charge;

/* Whether it, or one above it, states how much processor time there is. */
bool asxi_charges_cpu(const asx_region *region);

void asxi_charge_begin(asx_shard *shard, const asx_region *region);
/* Those of the dispatch pay for it up to now, and are cancelled when they have used up more than
 * they had. */
void asxi_charge_end(asx_shard *shard);

ASX_COLD void asxi_charge_io_any(asx_region *region, uint64_t bytes);
/* Bytes that a task of the region has moved. */
ASX_INLINE void asxi_charge_io(asx_region *region, uint64_t bytes)
{
    if (asx_unlikely(region->has_resources)) {
        asxi_charge_io_any(region, bytes);
    }
}

#endif
