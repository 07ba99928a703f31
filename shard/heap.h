/* Region heap: bump allocation with LIFO reuse by size, reclaimed whole.
 *
 * Model.   Chunks of 4 KiB, then 64 KiB, cut by a bump pointer. A freed block goes on the list of
 *          its class (16 B steps to 1 KiB, then half powers of two to 32 KiB) and is the next one
 *          out. Larger blocks have a chunk of their own. The list heads live in the first chunk,
 *          and are cleared by the first free: until then _free is a table that is empty for ever.
 * Owner.   A region, on its shard. No chunk is taken before the first allocation.
 * Bounds.  alloc and free O(1); reset O(chunks + occupied reference slots).
 * Refs.    A raw pointer is valid until the reset and may not cross a wait, a task or a shard; an
 *          asx_heapref may, and fails once its slot was freed or the heap was reset.
 * Poison.  Under ASan what is not allocated is poisoned; debug builds overwrite freed blocks. */
#ifndef ASX_SHARD_HEAP_H
#define ASX_SHARD_HEAP_H

#include <asx/shard/base/assert.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>
#include <asx/shard/chunk.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if ASX_ASAN
#include <sanitizer/asan_interface.h>
#endif

ASX_BEGIN_DECLS

enum {
    ASX_HEAP_SMALL_MAX = 1024,  /* 16 B classes up to here */
    ASX_HEAP_LARGE_MAX = 32768, /* half powers of two up to here; above, a chunk of its own */
    ASX_HEAP_ALIGN_MAX = 4096,
};

typedef struct asx_heap_chunk asx_heap_chunk;
typedef struct asx_heap_huge asx_heap_huge;
typedef struct asx_heap_refs asx_heap_refs;

/* Fields without an underscore may be read. A block takes a unit of 16 B or more: neither half of
 * _room runs over before a heap holds 64 GiB, which is its limit. */
typedef struct asx_heap {
    char *_at, *_end;        /* what is left of the newest chunk */
    void **_free;            /* list heads, to pop from: _heads, once something was freed */
    void **_heads;           /* list heads, in the first chunk; NULL before it is there */
    uint64_t _room;          /* units free << 32 | blocks free: one subtraction counts both */
    uint64_t _room_max;      /* what _room is with nothing lent; 0: closed */
    asx_heap_chunk *_chunks; /* newest first */
    asx_heap_huge *_huge;    /* blocks with a chunk of their own */
    asx_heap_refs *_refs;    /* NULL before the first reference */
    asx_chunk_source *_source;
    uint64_t region_id; /* in every reference; 0 until asx_heap_name */
    uint32_t _chunk_count;
    uint32_t _ref_generation; /* highest generation before the last reset */
    bool closed;
} asx_heap;

/* bytes_max  0: no limit but 64 GiB; counts blocks rounded up to their class */
void asx_heap_init(asx_heap *heap, asx_chunk_source *source, size_t bytes_max);

/* Gives the heap the id of its region, which its references carry: unique for ever. */
void asx_heap_name(asx_heap *heap, uint64_t region_id);

/* As asx_heap_alloc.
 *
 * align    a power of two, at most ASX_HEAP_ALIGN_MAX */
ASX_NODISCARD void *asx_heap_alloc_aligned(asx_heap *heap, size_t size, size_t align);

/* Why an allocation of `size` returned NULL.
 *
 * errors   AT_CAPACITY at bytes_max, NO_MEMORY otherwise */
ASX_NODISCARD asx_err asx_heap_why(const asx_heap *heap, size_t size);

/* Runs the destructors in ascending slot order, ends every reference and returns every chunk. The
 * heap is as after asx_heap_init, but for its counters, its id and its generations. */
void asx_heap_reset(asx_heap *heap);

/* Ends every reference, in ascending slot order, and leaves the blocks of the heap alone. Where a
 * destructor does not return, a second call goes on behind it. */
void asx_heap_refs_end(asx_heap *heap);

/* Resets, for good: allocation fails and references fail with REGION_CLOSED until the next init. */
void asx_heap_close(asx_heap *heap);

/* Returns the chunks in which nothing is allocated, of a heap of which less than half is. O(blocks
 * on the free lists), a tenth of a microsecond for each: for idle time. How many bytes they had. */
size_t asx_heap_trim(asx_heap *heap);

/* Asserts what must hold between two calls. O(blocks on the free lists). */
void asx_heap_check(const asx_heap *heap);

/* A plain value; all zero names nothing. */
typedef struct asx_heapref {
    uint64_t region_id;
    uint32_t slot;
    uint32_t generation;
    uint32_t type; /* chosen by the user, compared at each get */
    uint32_t _zero;
} asx_heapref;

/* Runs when the reference ends, on the shard; must not suspend, nor create references. The memory
 * of `object` is still valid. */
typedef void asx_heapref_destructor(void *object, size_t size);

/* Makes `object` reachable by reference.
 *
 * object      from this heap; its memory moves to the reference: asx_heapref_free frees it
 * destructor  may be NULL
 * errors      NO_MEMORY, NO_SLOTS, REGION_CLOSED: nothing has happened */
ASX_NODISCARD asx_err asx_heapref_create(asx_heap *heap, void *object, size_t size, uint32_t type,
                                         asx_heapref_destructor *destructor, asx_heapref *out);

/* lends    *object, until the next wait or the end of the reference
 * errors   WRONG_REGION, REGION_CLOSED, STALE, TYPE_MISMATCH; checked in this order */
ASX_NODISCARD asx_err asx_heapref_get(const asx_heap *heap, asx_heapref ref, uint32_t type,
                                      void **object);

/* Ends the reference early: runs its destructor, frees its memory, reuses its slot LIFO.
 *
 * errors   as asx_heapref_get: nothing has happened */
ASX_NODISCARD asx_err asx_heapref_free(asx_heap *heap, asx_heapref ref);

void *asx_heap_alloc_slow(asx_heap *heap, size_t size);
void asx_heap_free_slow(asx_heap *heap, void *block, size_t size);

ASX_END_DECLS

#if ASX_ASAN
#define ASX_HEAP_POISON(addr, size) ASAN_POISON_MEMORY_REGION((addr), (size))
#define ASX_HEAP_UNPOISON(addr, size) ASAN_UNPOISON_MEMORY_REGION((addr), (size))
#else
#define ASX_HEAP_POISON(addr, size) ((void)(addr), (void)(size))
#define ASX_HEAP_UNPOISON(addr, size) ((void)(addr), (void)(size))
#endif

/* References were made since the last reset, and not all of them were ended by it. */
ASX_INLINE bool asx_heap_has_refs(const asx_heap *heap)
{
    return heap->_refs != NULL;
}

/* One block of `rounded` bytes, as _room counts it. */
ASX_INLINE uint64_t asx_heap_weight(size_t rounded)
{
    return ((uint64_t)rounded / 16 << 32) + 1;
}

/* Blocks lent. */
ASX_INLINE uint64_t asx_heap_live(const asx_heap *heap)
{
    return (uint32_t)(heap->_room_max - heap->_room);
}

/* What they take, each rounded up to its class. */
ASX_INLINE uint64_t asx_heap_bytes(const asx_heap *heap)
{
    return ((heap->_room_max - heap->_room) >> 32) * 16;
}

/* The most that they may be. */
ASX_INLINE uint64_t asx_heap_bytes_max(const asx_heap *heap)
{
    return (heap->_room_max >> 32) * 16;
}

/* `size` bytes, 16-aligned, uninitialised; NULL at the limit or without memory (asx_heap_why).
 * Zero bytes is a valid block of one class. */
ASX_NODISCARD ASX_INLINE void *asx_heap_alloc(asx_heap *heap, size_t size)
{
    /* Zero wraps around, and goes the slow way. */
    if (asx_unlikely(size - 1 >= ASX_HEAP_SMALL_MAX)) {
        return asx_heap_alloc_slow(heap, size);
    }
    const unsigned class_ = (unsigned)((size - 1) >> 4);
    const size_t rounded = ((size_t)class_ + 1) * 16;
    const uint64_t weight = asx_heap_weight(rounded);
    const uint64_t room = heap->_room;
    if (asx_unlikely(room < weight)) {
        return NULL;
    }
    void **const list = &heap->_free[class_];
    void *block = *list;
    if (block != NULL) {
        ASX_HEAP_UNPOISON(block, size < sizeof(void *) ? sizeof(void *) : size);
        *list = *(void **)block;
    } else if (asx_likely((size_t)(heap->_end - heap->_at) >= rounded)) {
        block = heap->_at;
        heap->_at += rounded;
        ASX_HEAP_UNPOISON(block, size);
    } else {
        return asx_heap_alloc_slow(heap, size);
    }
    heap->_room = room - weight;
    return block;
}

/* size     as given to the allocation */
ASX_INLINE void asx_heap_free(asx_heap *heap, void *block, size_t size)
{
    void **const heads = heap->_heads;
    if (asx_unlikely(size - 1 >= ASX_HEAP_SMALL_MAX) || asx_unlikely(heap->_free != heads)) {
        asx_heap_free_slow(heap, block, size);
        return;
    }
    const unsigned class_ = (unsigned)((size - 1) >> 4);
    const size_t rounded = ((size_t)class_ + 1) * 16;
    asx_debug_assert(asx_heap_bytes(heap) >= rounded);
    ASX_HEAP_UNPOISON(block, rounded);
#ifdef ASX_DEBUG
    __builtin_memset(block, 0xdd, rounded);
#endif
    heap->_room += asx_heap_weight(rounded);
    *(void **)block = heads[class_];
    heads[class_] = block;
    ASX_HEAP_POISON(block, rounded);
}

#endif
