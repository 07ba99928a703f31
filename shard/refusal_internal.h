/* How a limit refuses, from the inside. */
#ifndef ASX_SHARD_REFUSAL_INTERNAL_H
#define ASX_SHARD_REFUSAL_INTERNAL_H

#include <asx/shard/refusal.h>

#include "region_internal.h"

/* AT_CAPACITY, counted, kept for who asks, and now and then told. */
ASX_COLD asx_err asxi_refuse(asx_region *region, asx_limit which, uint64_t limit, uint64_t live);
/* Why the region's heap had no `size` bytes. errors  AT_CAPACITY, NO_MEMORY */
ASX_COLD asx_err asxi_heap_refuse(asx_region *region, size_t size);

/* Memory of the region's, or NULL and why kept. */
ASX_INLINE void *asxi_region_take(asx_region *region, size_t size)
{
    void *const block = asx_heap_alloc(&region->heap, size);
    if (asx_unlikely(!block)) {
        asxi_heap_refuse(region, size);
    }
    return block;
}

#endif
