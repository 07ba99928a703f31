#include <asx/raptorq/alloc.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include "scratch_internal.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
    HUGE_PAGE = 2 << 20,
    /* Below, rounding up would waste more than half. From here on, what a stripe needs collides in
     * the second-level cache when its small pages happen to lie badly. */
    HUGE_FROM = 1 << 20,
};

static void *heap_get(size_t size)
{
    const size_t align = size >= HUGE_FROM ? HUGE_PAGE : ASX_CACHE_LINE;
    const size_t rounded = asx_align_up(size, align);
    void *block = aligned_alloc(align, rounded);
    if (block != NULL && align == HUGE_PAGE) {
        /* A hint: a kernel without transparent huge pages refuses, and nothing is lost. */
        (void)madvise(block, rounded, MADV_HUGEPAGE);
    }
    return block;
}

void *asx_rq_alloc_get(const asx_rq_alloc *alloc, size_t size)
{
    asx_assert(size > 0);
    return alloc != NULL ? alloc->get(alloc->self, size) : heap_get(size);
}

void asx_rq_alloc_put(const asx_rq_alloc *alloc, void *block, size_t size)
{
    if (block == NULL) {
        return;
    }
    if (alloc != NULL) {
        alloc->put(alloc->self, block, size);
    } else {
        free(block);
    }
}

bool asxi_scratch_grow(const asx_rq_alloc *alloc, asxi_scratch *scratch, size_t size)
{
    if (scratch->cap < size) {
        asxi_scratch_free(alloc, scratch);
        scratch->at = asx_rq_alloc_get(alloc, size);
        scratch->cap = scratch->at != NULL ? size : 0;
    }
    return scratch->at != NULL;
}

void asxi_scratch_free(const asx_rq_alloc *alloc, asxi_scratch *scratch)
{
    asx_rq_alloc_put(alloc, scratch->at, scratch->cap);
    *scratch = (asxi_scratch){ 0 };
}
