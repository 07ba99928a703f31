/* Chunks of a heap that is going to live on, and in which nothing is allocated any more.
 *
 * A chunk does not know how much of it is free: the path of every allocation would pay for that. So
 * it is counted here, by a walk over the free lists: once to tell each chunk what of it is free,
 * once to take the blocks of those that are all free off the lists. */
#include "heap_internal.h"

/* By address, with what is free of each. */
typedef struct tally {
    const char *base;
    size_t len, left; /* left: bytes that are neither free nor lost */
} tally;

typedef struct survey {
    tally *chunks;
    size_t count;
    size_t last; /* where the last block was found: the next is often in the same */
} survey;

/* Down the heap of `count` entries from `at`, by base. */
static void sift(tally *chunks, size_t count, size_t at)
{
    const tally moved = chunks[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && chunks[child + 1].base > chunks[child].base;
        if (chunks[child].base <= moved.base) {
            break;
        }
        chunks[at] = chunks[child];
    }
    chunks[at] = moved;
}

static void sort(tally *chunks, size_t count)
{
    for (size_t i = count / 2; i-- > 0;) {
        sift(chunks, count, i);
    }
    for (size_t end = count; end-- > 1;) {
        const tally highest = chunks[0];
        chunks[0] = chunks[end];
        chunks[end] = highest;
        sift(chunks, end, 0);
    }
}

/* The entry of the chunk that begins at, or contains, `at`. */
static tally *find(survey *all, const void *at)
{
    const uintptr_t addr = (uintptr_t)at;
    size_t low = 0, high = all->count;
    const tally *const last = &all->chunks[all->last];
    if (addr - (uintptr_t)last->base < last->len) {
        return &all->chunks[all->last];
    }
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if ((uintptr_t)all->chunks[middle].base <= addr) {
            low = middle;
        } else {
            high = middle;
        }
    }
    asx_assert_lt(addr - (uintptr_t)all->chunks[low].base, all->chunks[low].len);
    all->last = low;
    return &all->chunks[low];
}

/* The oldest holds the list heads, the newest is being cut: both stay. */
static void survey_chunks(const asx_heap *heap, survey *all)
{
    for (const asx_heap_chunk *chunk = heap->_chunks; chunk; chunk = chunk->older) {
        const bool stays = chunk == heap->_chunks || chunk->older == NULL;
        asx_assert_lt(all->count, heap->_chunk_count);
        all->chunks[all->count++] = (tally){
            .base = (const char *)chunk,
            .len = chunk->len,
            .left = stays ? SIZE_MAX : chunk->len - sizeof(*chunk) - chunk->lost,
        };
    }
    sort(all->chunks, all->count);
}

static void list_count(survey *all, void *first, size_t rounded)
{
    for (void **block = first; block;) {
        tally *const chunk = find(all, block);
        asx_assert_le(rounded, chunk->left);
        chunk->left -= rounded;
        ASX_HEAP_UNPOISON(block, sizeof(void *));
        void **const next = *block;
        ASX_HEAP_POISON(block, sizeof(void *));
        block = next;
    }
}

/* The list without the blocks of chunks that are all free, in the same order. */
static void *list_filter(survey *all, void *first)
{
    void *kept = NULL;
    void **link = &kept;
    for (void **block = first; block;) {
        ASX_HEAP_UNPOISON(block, sizeof(void *));
        void **const next = *block;
        if (find(all, block)->left > 0) {
            *link = block;
            if (link != &kept) {
                ASX_HEAP_POISON(link, sizeof(void *));
            }
            link = block;
        }
        block = next;
    }
    *link = NULL;
    if (link != &kept) {
        ASX_HEAP_POISON(link, sizeof(void *));
    }
    return kept;
}

static size_t chunks_release(asx_heap *heap, survey *all)
{
    size_t released = 0;
    asx_heap_chunk **link = &heap->_chunks;
    while (*link) {
        asx_heap_chunk *const chunk = *link;
        if (find(all, chunk)->left > 0) {
            link = &chunk->older;
            continue;
        }
        *link = chunk->older;
        heap->_chunk_count--;
        released += chunk->len;
        ASX_HEAP_UNPOISON(chunk, chunk->len);
        asx_chunk_release(heap->_source, chunk, chunk->len);
    }
    return released;
}

size_t asx_heap_trim(asx_heap *heap)
{
    const size_t held = (size_t)heap->_chunk_count * ASX_CHUNK_BIG;
    if (heap->_chunk_count <= SMALL_CHUNKS + 2 || held / 2 < asx_heap_bytes(heap)) {
        return 0;
    }
    size_t got;
    const size_t wanted = heap->_chunk_count * sizeof(tally);
    survey all = { .chunks = asx_chunk_acquire(heap->_source, wanted, &got) };
    if (!all.chunks) {
        return 0;
    }
    survey_chunks(heap, &all);
    for (unsigned c = 0; c < CLASSES; c++) {
        list_count(&all, heap->_free[c], list_size(c));
    }
    for (unsigned c = 0; c < CLASSES; c++) {
        if (heap->_free[c]) {
            heap->_free[c] = list_filter(&all, heap->_free[c]);
        }
    }
    const size_t released = chunks_release(heap, &all);
    asx_chunk_release(heap->_source, all.chunks, got);
    return released;
}
