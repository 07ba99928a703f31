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

bool asxi_slots_open(asxi_slots *slots, const asx_rq_alloc *alloc, asxi_scratch *scratch,
                     size_t each, uint32_t jobs, bool is_parallel)
{
    const uint32_t wanted = is_parallel ? jobs : 1;
    const uint32_t count = wanted < ASXI_SLOTS_MAX ? wanted : ASXI_SLOTS_MAX;
    if (!asxi_scratch_grow(alloc, scratch, each * count)) {
        return false;
    }
    *slots = (asxi_slots){ .at = scratch->at,
                           .each = each,
                           .free = UINT64_MAX >> (ASXI_SLOTS_MAX - count) };
    return true;
}

uint8_t *asxi_slots_acquire(asxi_slots *slots)
{
    uint64_t free = __atomic_load_n(&slots->free, __ATOMIC_RELAXED);
    for (;;) {
        if (free == 0) {
            free = __atomic_load_n(&slots->free, __ATOMIC_RELAXED);
            continue;
        }
        /* pairs with the release below: who had the part before has read all of it */
        if (__atomic_compare_exchange_n(&slots->free, &free, free & (free - 1), true,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            return slots->at + (size_t)__builtin_ctzll(free) * slots->each;
        }
    }
}

void asxi_slots_release(asxi_slots *slots, const uint8_t *part)
{
    const size_t index = (size_t)(part - slots->at) / slots->each;
    asx_assert_lt(index, ASXI_SLOTS_MAX);
    /* pairs with the acquire above */
    const uint64_t before = __atomic_fetch_or(&slots->free, UINT64_C(1) << index, __ATOMIC_RELEASE);
    asx_assert_eq(before >> index & 1, 0);
}

void asxi_scratch_free(const asx_rq_alloc *alloc, asxi_scratch *scratch)
{
    asx_rq_alloc_put(alloc, scratch->at, scratch->cap);
    *scratch = (asxi_scratch){ 0 };
}
