/* What heap.c and heap_trim.c both know of a heap's chunks and lists. */
#ifndef ASX_SHARD_HEAP_INTERNAL_H
#define ASX_SHARD_HEAP_INTERNAL_H

#include <asx/shard/heap.h>

/* A chunk that is cut by the bump pointer. What was cut off it is allocated, or in a free list, or
 * lost: skipped for an alignment, or left over when the next chunk was taken. */
struct asx_heap_chunk {
    asx_heap_chunk *older;
    size_t len;
    size_t lost;
    size_t _zero;
};

enum {
    SMALL_CLASSES = ASX_HEAP_SMALL_MAX / 16,
    LARGE_CLASSES = 10, /* 1.5, 2, 3, 4 ... 24, 32 KiB */
    CLASSES = SMALL_CLASSES + LARGE_CLASSES,
    /* Small requests touch one page; what outgrows four of them is served 64 KiB at a time. */
    SMALL_CHUNKS = 4,
};

static inline size_t large_size(unsigned class_)
{
    const unsigned log = class_ / 2 + 10;
    return class_ % 2 == 0 ? (size_t)3 << (log - 1) : (size_t)1 << (log + 1);
}

/* The size of the blocks on the list `index` of a heap's heads. */
static inline size_t list_size(unsigned index)
{
    return index < SMALL_CLASSES ? ((size_t)index + 1) * 16 : large_size(index - SMALL_CLASSES);
}

#endif
