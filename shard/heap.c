#include <asx/shard/base/bits.h>

#include "heap_internal.h"

#include <assert.h>

/* In front of a block that has a chunk of its own. */
struct asx_heap_huge {
    asx_heap_huge *prev, *next;
    void *base;
    size_t len;
};

typedef struct heap_ref_slot {
    void *object;
    size_t size;
    asx_heapref_destructor *destructor;
    uint32_t generation; /* of the live reference, or of the next one when free */
    uint32_t type;
    uint32_t next_free; /* slot + 1; 0: none */
    bool live;
} heap_ref_slot;

enum {
    REF_SEGMENT_FIRST = 16, /* slots in segment 0; each next one doubles */
    REF_SEGMENTS = 20,
};

/* Slots sit in segments that double, so that they never move. */
struct asx_heap_refs {
    heap_ref_slot *segments[REF_SEGMENTS];
    uint32_t touched;    /* slots ever used */
    uint32_t first_free; /* slot + 1; 0: none */
};

static_assert(sizeof(asx_heap) <= 128, "embedded in every region record");
static_assert(sizeof(asx_heap_chunk) % 16 == 0 && sizeof(asx_heap_huge) % 16 == 0,
              "blocks behind them stay 16-aligned");

/* What every heap pops from before its first free. Only the first free of a heap pushes, to its own
 * heads: nothing is ever stored here. */
static void *const free_nothing[CLASSES];

/* So many bytes, in however many blocks. */
static uint64_t room_max(size_t bytes_max)
{
    const uint64_t units = bytes_max / 16;
    const uint64_t most = bytes_max == 0 || units > UINT32_MAX ? UINT32_MAX : units;
    return most << 32 | UINT32_MAX;
}

static bool fits(const asx_heap *heap, size_t rounded)
{
    return rounded / 16 <= UINT32_MAX && asx_heap_weight(rounded) <= heap->_room;
}

void asx_heap_init(asx_heap *heap, asx_chunk_source *source, size_t bytes_max)
{
    /* By field: cleared as a whole it becomes a string instruction, which costs more than a request
     * spends in here. */
    heap->_at = NULL;
    heap->_end = NULL;
    heap->_free = (void **)(uintptr_t)free_nothing;
    heap->_heads = NULL;
    heap->_room = room_max(bytes_max);
    heap->_room_max = heap->_room;
    heap->_chunks = NULL;
    heap->_huge = NULL;
    heap->_refs = NULL;
    heap->_source = source;
    heap->region_id = 0;
    heap->_chunk_count = 0;
    heap->_ref_generation = 0;
    heap->closed = false;
}

void asx_heap_name(asx_heap *heap, uint64_t region_id)
{
    asx_assert_eq(heap->region_id, 0);
    heap->region_id = region_id;
}

/* The class of a size above ASX_HEAP_SMALL_MAX and up to ASX_HEAP_LARGE_MAX: 0 is 1.5 KiB. */
static unsigned large_class(size_t size)
{
    const unsigned log = asx_log2_floor(size - 1); /* 2^log < size <= 2^(log + 1) */
    const bool upper = size > ((size_t)3 << (log - 1));
    return (log - 10) * 2 + (upper ? 1 : 0);
}

static size_t heap_round(size_t size)
{
    if (size <= ASX_HEAP_SMALL_MAX) {
        return size == 0 ? 16 : asx_align_up(size, 16);
    }
    return size <= ASX_HEAP_LARGE_MAX ? large_size(large_class(size)) : asx_align_up(size, 16);
}

/* Makes a new chunk the one that is cut; false without memory. */
static bool heap_grow(asx_heap *heap, size_t need)
{
    const size_t heads = heap->_chunks == NULL ? CLASSES * sizeof(void *) : 0;
    const size_t wanted = sizeof(asx_heap_chunk) + heads + need;
    const bool small = wanted <= ASX_CHUNK_SMALL && heap->_chunk_count < SMALL_CHUNKS;
    size_t len;
    asx_heap_chunk *const chunk =
        asx_chunk_acquire(heap->_source, small ? ASX_CHUNK_SMALL : ASX_CHUNK_BIG, &len);
    if (chunk == NULL) {
        return false;
    }
    asx_assert_le(wanted, len);
    if (heap->_chunks) {
        heap->_chunks->lost += (size_t)(heap->_end - heap->_at);
    }
    *chunk = (asx_heap_chunk){ .older = heap->_chunks, .len = len };
    char *const body = (char *)(chunk + 1);
    if (heads != 0) {
        heap->_heads = (void **)(void *)body;
    }
    heap->_chunks = chunk;
    heap->_chunk_count++;
    heap->_at = body + heads;
    heap->_end = (char *)chunk + len;
    ASX_HEAP_POISON(heap->_at, len - sizeof(asx_heap_chunk) - heads);
    return true;
}

/* `rounded` bytes off the newest chunk, at `align`; counts nothing. */
static void *heap_bump(asx_heap *heap, size_t rounded, size_t align)
{
    asx_assert(align <= ASX_HEAP_ALIGN_MAX && rounded <= ASX_HEAP_LARGE_MAX);
    size_t skip = (size_t)(-(uintptr_t)heap->_at & (align - 1));
    if ((size_t)(heap->_end - heap->_at) < skip + rounded) {
        if (!heap_grow(heap, rounded + align - 16)) {
            return NULL;
        }
        skip = (size_t)(-(uintptr_t)heap->_at & (align - 1));
    }
    heap->_chunks->lost += skip;
    char *const block = heap->_at + skip;
    heap->_at = block + rounded;
    asx_assert(heap->_at <= heap->_end);
    return block;
}

static void *huge_alloc(asx_heap *heap, size_t size, size_t align)
{
    const size_t head = asx_align_up(sizeof(asx_heap_huge), align);
    size_t len;
    char *const base = asx_chunk_acquire(heap->_source, head + size, &len);
    if (base == NULL) {
        return NULL;
    }
    asx_heap_huge *const huge = (asx_heap_huge *)(void *)(base + head) - 1;
    *huge = (asx_heap_huge){ .next = heap->_huge, .base = base, .len = len };
    if (heap->_huge != NULL) {
        heap->_huge->prev = huge;
    }
    heap->_huge = huge;
    return huge + 1;
}

static void huge_free(asx_heap *heap, void *block)
{
    const asx_heap_huge *const huge = (const asx_heap_huge *)block - 1;
    if (huge->prev != NULL) {
        huge->prev->next = huge->next;
    } else {
        asx_assert(heap->_huge == huge);
        heap->_huge = huge->next;
    }
    if (huge->next != NULL) {
        huge->next->prev = huge->prev;
    }
    asx_chunk_release(heap->_source, huge->base, huge->len);
}

/* Where the list of the freed blocks of `rounded` bytes stands in the table of heads. */
static unsigned list_index(size_t rounded)
{
    return rounded <= ASX_HEAP_SMALL_MAX ? (unsigned)(rounded / 16 - 1)
                                         : SMALL_CLASSES + large_class(rounded);
}

/* The last freed block if it happens to be aligned, which is all a reuser in a loop needs. */
static void *free_list_pop(asx_heap *heap, size_t rounded, size_t align)
{
    void **const list = &heap->_free[list_index(rounded)];
    if (*list == NULL || ((uintptr_t)*list & (align - 1)) != 0) {
        return NULL;
    }
    void **const block = *list;
    ASX_HEAP_UNPOISON(block, sizeof(void *));
    *list = *block;
    return block;
}

void *asx_heap_alloc_aligned(asx_heap *heap, size_t size, size_t align)
{
    asx_assert(asx_is_pow2(align) && align <= ASX_HEAP_ALIGN_MAX);
    if (size > PTRDIFF_MAX) {
        return NULL;
    }
    const size_t rounded = heap_round(size);
    const size_t at_least = align < 16 ? 16 : align;
    if (!fits(heap, rounded)) {
        return NULL;
    }
    void *block;
    if (rounded > ASX_HEAP_LARGE_MAX) {
        block = huge_alloc(heap, rounded, at_least);
    } else {
        block = free_list_pop(heap, rounded, at_least);
        if (block == NULL) {
            block = heap_bump(heap, rounded, at_least);
        }
    }
    if (block == NULL) {
        return NULL;
    }
    ASX_HEAP_UNPOISON(block, size);
    heap->_room -= asx_heap_weight(rounded);
    return block;
}

void *asx_heap_alloc_slow(asx_heap *heap, size_t size)
{
    return asx_heap_alloc_aligned(heap, size, 16);
}

asx_err asx_heap_why(const asx_heap *heap, size_t size)
{
    if (size > PTRDIFF_MAX || !fits(heap, heap_round(size))) {
        return ASX_E(AT_CAPACITY);
    }
    return ASX_E(NO_MEMORY);
}

/* From the first free on, what is freed can be popped. */
static void lists_begin(asx_heap *heap)
{
    for (unsigned c = 0; c < CLASSES; c++) {
        heap->_heads[c] = NULL;
    }
    heap->_free = heap->_heads;
}

void asx_heap_free_slow(asx_heap *heap, void *block, size_t size)
{
    const size_t rounded = heap_round(size);
    asx_assert_le(rounded, asx_heap_bytes(heap));
    heap->_room += asx_heap_weight(rounded);
    if (rounded > ASX_HEAP_LARGE_MAX) {
        huge_free(heap, block);
        return;
    }
    if (heap->_free != heap->_heads) {
        lists_begin(heap);
    }
    ASX_HEAP_UNPOISON(block, rounded);
#ifdef ASX_DEBUG
    memset(block, 0xdd, rounded);
#endif
    void **const list = &heap->_free[list_index(rounded)];
    *(void **)block = *list;
    *list = block;
    ASX_HEAP_POISON(block, rounded);
}

/* slot < refs->touched, or the next one, whose segment exists. Segment s begins at slot
 * REF_SEGMENT_FIRST * (2^s - 1). */
static heap_ref_slot *ref_slot(const asx_heap_refs *refs, uint32_t slot)
{
    const unsigned segment = asx_log2_floor(slot / REF_SEGMENT_FIRST + 1);
    const uint32_t begin = REF_SEGMENT_FIRST * ((UINT32_C(1) << segment) - 1);
    return &refs->segments[segment][slot - begin];
}

static void ref_destroy(heap_ref_slot *slot)
{
    asx_assert(slot->live);
    /* First, so that a destructor that looks its own reference up finds it gone. */
    slot->live = false;
    if (slot->destructor != NULL) {
        slot->destructor(slot->object, slot->size);
    }
}

void asx_heap_refs_end(asx_heap *heap)
{
    asx_heap_refs *const refs = heap->_refs;
    if (refs == NULL) {
        return;
    }
    uint32_t highest = heap->_ref_generation;
    for (uint32_t i = 0; i < refs->touched; i++) {
        heap_ref_slot *const slot = ref_slot(refs, i);
        if (slot->live) {
            ref_destroy(slot);
        }
        if (slot->generation > highest) {
            highest = slot->generation;
        }
    }
    /* The slots' memory goes with the chunks; beginning above every generation that was ever given
     * out keeps old references stale all the same. */
    heap->_ref_generation = highest;
    heap->_refs = NULL;
}

void asx_heap_reset(asx_heap *heap)
{
    asx_heap_refs_end(heap);
    while (heap->_huge != NULL) {
        huge_free(heap, heap->_huge + 1);
    }
    asx_heap_chunk *chunk = heap->_chunks;
    while (chunk != NULL) {
        asx_heap_chunk *const older = chunk->older;
        ASX_HEAP_UNPOISON(chunk, chunk->len);
        asx_chunk_release(heap->_source, chunk, chunk->len);
        chunk = older;
    }
    heap->_chunks = NULL;
    heap->_chunk_count = 0;
    heap->_at = NULL;
    heap->_end = NULL;
    heap->_free = (void **)(uintptr_t)free_nothing;
    heap->_heads = NULL;
    heap->_room = heap->_room_max;
}

void asx_heap_close(asx_heap *heap)
{
    if (heap->_chunks != NULL || heap->_huge != NULL || heap->_refs != NULL) {
        asx_heap_reset(heap);
    }
    heap->closed = true;
    heap->_room_max = 0; /* no block is small enough */
    heap->_room = 0;
}

static bool refs_begin(asx_heap *heap)
{
    asx_heap_refs *const refs = heap_bump(heap, asx_align_up(sizeof(asx_heap_refs), 16), 16);
    if (refs == NULL) {
        return false;
    }
    ASX_HEAP_UNPOISON(refs, sizeof(*refs));
    *refs = (asx_heap_refs){ 0 };
    heap->_refs = refs;
    return true;
}

/* Slot memory beyond what the bump pointer can give in one piece has a chunk of its own. */
static heap_ref_slot *ref_segment_create(asx_heap *heap, unsigned segment)
{
    const size_t len = asx_align_up(sizeof(heap_ref_slot) * REF_SEGMENT_FIRST << segment, 16);
    void *const memory =
        len <= ASX_HEAP_LARGE_MAX ? heap_bump(heap, len, 16) : huge_alloc(heap, len, 16);
    if (memory != NULL) {
        ASX_HEAP_UNPOISON(memory, len);
    }
    return memory;
}

/* A slot that is not live, with its generation set; NULL on failure. */
static heap_ref_slot *ref_slot_take(asx_heap *heap, uint32_t *index)
{
    asx_heap_refs *const refs = heap->_refs;
    if (refs->first_free != 0) {
        *index = refs->first_free - 1;
        heap_ref_slot *const slot = ref_slot(refs, *index);
        refs->first_free = slot->next_free;
        return slot;
    }
    const unsigned segment = asx_log2_floor(refs->touched / REF_SEGMENT_FIRST + 1);
    if (segment == REF_SEGMENTS) {
        return NULL;
    }
    if (refs->segments[segment] == NULL) {
        refs->segments[segment] = ref_segment_create(heap, segment);
        if (refs->segments[segment] == NULL) {
            return NULL;
        }
    }
    *index = refs->touched++;
    heap_ref_slot *const slot = ref_slot(refs, *index);
    slot->generation = heap->_ref_generation + 1;
    return slot;
}

asx_err asx_heapref_create(asx_heap *heap, void *object, size_t size, uint32_t type,
                           asx_heapref_destructor *destructor, asx_heapref *out)
{
    if (heap->closed) {
        return ASX_E(REGION_CLOSED);
    }
    if (heap->_ref_generation == UINT32_MAX) {
        return ASX_E(NO_SLOTS);
    }
    if (heap->_refs == NULL && !refs_begin(heap)) {
        return ASX_E(NO_MEMORY);
    }
    uint32_t index;
    heap_ref_slot *const slot = ref_slot_take(heap, &index);
    if (slot == NULL) {
        return ASX_E(NO_MEMORY);
    }
    slot->object = object;
    slot->size = size;
    slot->destructor = destructor;
    slot->type = type;
    slot->live = true;
    *out = (asx_heapref){
        .region_id = heap->region_id,
        .slot = index,
        .generation = slot->generation,
        .type = type,
    };
    return ASX_OK;
}

static asx_err ref_find(const asx_heap *heap, asx_heapref ref, heap_ref_slot **out)
{
    if (ref.region_id != heap->region_id) {
        return ASX_E(WRONG_REGION);
    }
    if (heap->closed) {
        return ASX_E(REGION_CLOSED);
    }
    if (heap->_refs == NULL || ref.slot >= heap->_refs->touched) {
        return ASX_E(STALE);
    }
    heap_ref_slot *const slot = ref_slot(heap->_refs, ref.slot);
    if (!slot->live || slot->generation != ref.generation) {
        return ASX_E(STALE);
    }
    *out = slot;
    return ASX_OK;
}

asx_err asx_heapref_get(const asx_heap *heap, asx_heapref ref, uint32_t type, void **object)
{
    heap_ref_slot *slot;
    const asx_err err = ref_find(heap, ref, &slot);
    if (err != ASX_OK) {
        return err;
    }
    if (slot->type != type || ref.type != type) {
        return ASX_E(TYPE_MISMATCH);
    }
    *object = slot->object;
    return ASX_OK;
}

asx_err asx_heapref_free(asx_heap *heap, asx_heapref ref)
{
    heap_ref_slot *slot;
    const asx_err err = ref_find(heap, ref, &slot);
    if (err != ASX_OK) {
        return err;
    }
    if (slot->type != ref.type) {
        return ASX_E(TYPE_MISMATCH);
    }
    ref_destroy(slot);
    asx_heap_free(heap, slot->object, slot->size);
    /* A slot whose generations are used up is never taken again. */
    if (slot->generation < UINT32_MAX) {
        slot->generation++;
        slot->next_free = heap->_refs->first_free;
        heap->_refs->first_free = ref.slot + 1;
    }
    return ASX_OK;
}

static size_t list_check(void *first)
{
    size_t count = 0;
    for (void **block = first; block != NULL;) {
        asx_assert_eq((uintptr_t)block % 16, 0);
        ASX_HEAP_UNPOISON(block, sizeof(void *));
        void **const next = *block;
        ASX_HEAP_POISON(block, sizeof(void *));
        block = next;
        count++;
    }
    return count;
}

void asx_heap_check(const asx_heap *heap)
{
    asx_assert(heap->_at <= heap->_end);
    asx_assert_eq(asx_heap_live(heap) == 0, asx_heap_bytes(heap) == 0);
    asx_assert_le(asx_heap_live(heap) * 16, asx_heap_bytes(heap));
    asx_assert(heap->_room <= heap->_room_max);
    size_t taken = asx_heap_bytes(heap);
    for (unsigned c = 0; c < CLASSES; c++) {
        taken += list_check(heap->_free[c]) * list_size(c);
    }
    size_t chunks = 0, len = 0;
    for (const asx_heap_chunk *chunk = heap->_chunks; chunk != NULL; chunk = chunk->older) {
        chunks++;
        len += chunk->len;
    }
    for (const asx_heap_huge *huge = heap->_huge; huge != NULL; huge = huge->next) {
        len += huge->len;
    }
    asx_assert_eq(chunks, heap->_chunk_count);
    asx_assert_le(taken, len);
}
