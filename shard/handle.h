/* Handles: plain values that name a record and fail safely once it is gone, and the tables of
 * records that mint them.
 *
 * Model.   A handle is (kind, shard, index, generation). A table is paged: a record never moves,
 *          begins with its asx_slot, and is reused LIFO under the next generation.
 * Owner.   The table's shard. Handles may be copied, sent and forgotten by anyone.
 * Bounds.  alloc, free, lookup O(1); each_live O(highest index used). A slot that reached the last
 *          generation is retired for ever, so no handle ever names two things.
 * Memory.  Pages come from the shard's chunk source and stay until deinit. */
#ifndef ASX_SHARD_HANDLE_H
#define ASX_SHARD_HANDLE_H

#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>
#include <asx/shard/chunk.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_HANDLE_KIND_LIST(X) \
    X(1, REGION, 'R')           \
    X(2, TASK, 'T')             \
    X(3, OBLIGATION, 'O')       \
    X(4, TIMER, 'I')            \
    X(5, HEAPREF, 'H')          \
    X(6, CHANNEL, 'C')          \
    X(7, LIMB, 'L')             \
    X(8, END, 'E')

typedef enum asx_handle_kind {
    ASX_HANDLE_NONE = 0,
#define X(number, name, letter) ASX_HANDLE_##name = (number),
    ASX_HANDLE_KIND_LIST(X)
#undef X
} asx_handle_kind;

/* All zero is the null handle, which names nothing: live generations start at 1. No field is an
 * array: the compiler would pass it through memory. */
typedef struct asx_handle {
    uint32_t index;
    uint32_t generation;
    uint16_t shard;
    uint8_t kind;  /* asx_handle_kind */
    uint8_t _side; /* which side of a CHANNEL; 0: the record itself */
    uint32_t _zero;
} asx_handle;

/* The head of every record. The body behind it is the owner's; while the slot is free its first
 * word links the free list. */
typedef struct asx_slot {
    uint32_t index;      /* with ASX_SLOT_FREE while it is: then no handle is its */
    uint32_t generation; /* of the live record, or of the next one when free */
    uint16_t shard;
    uint8_t kind;
    uint8_t _zero;
    uint32_t _unused; /* up to whole words */
} asx_slot;

#define ASX_SLOT_FREE (UINT32_C(1) << 31)
#define ASX_SLOT_NEXT (UINT64_C(1) << 32) /* a generation more, in asx_slot_identity */

enum {
    ASX_HANDLE_RECORD_MIN = 32, /* the slot and the free list's link */
    ASX_HANDLE_TEXT_LEN = 32,   /* the longest text form and its end */
    ASX_HANDLE_WIRE_LEN = 12,
};

typedef struct asx_handle_table {
    asx_slot *_free; /* freed records, last freed first */
    char **_pages;   /* directory; each page holds 1 << _page_shift records */
    uint32_t _page_shift;
    uint32_t record_size;
    uint32_t touched;          /* slots ever used: [0, touched) have a valid asx_slot */
    uint32_t count_max;        /* slots it may ever have */
    uint64_t allocated, freed; /* ever; the difference is alive */
    uint32_t retired;          /* slots that used up their generations */
    uint32_t _home;            /* shard and kind as they stand in a handle's second word */
    uint16_t shard;
    uint8_t kind;
    uint32_t _page_count, _page_cap;
    asx_chunk_source *_source;
} asx_handle_table;

/* record_size  bytes a record, its asx_slot included; rounded up to a multiple of 16
 * count_max    at most ASX_SLOT_FREE */
void asx_handle_table_init(asx_handle_table *table, asx_handle_kind kind, uint16_t shard,
                           size_t record_size, asx_chunk_source *source, uint32_t count_max);

ASX_INLINE uint32_t asx_handle_table_live(const asx_handle_table *table)
{
    return (uint32_t)(table->allocated - table->freed);
}

/* Why the last asx_handle_alloc returned NULL. errors: NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_handle_table_why(const asx_handle_table *table);

/* The live record with the lowest index >= *cursor, or NULL; *cursor moves behind it. Freeing and
 * allocating between two calls is allowed; a record made below the cursor is not seen. */
void *asx_handle_next_live(const asx_handle_table *table, uint32_t *cursor);

/* In slot order. The body may free `record`. */
#define asx_handle_each_live(type, record, table)                                \
    for (uint32_t asx_at_##record = 0, asx_once_##record = 1; asx_once_##record; \
         asx_once_##record = 0)                                                  \
        for (type * record;                                                      \
             (record = (type *)asx_handle_next_live((table), &asx_at_##record)) != NULL;)

/* asserts  nothing is live */
void asx_handle_table_deinit(asx_handle_table *table);

const char *asx_handle_kind_name(asx_handle_kind kind);

/* "T2.17.3": kind letter, shard, index, generation; the null handle is "-". Returns `buf`.
 *
 * buf      at least ASX_HANDLE_TEXT_LEN */
const char *asx_handle_text(asx_handle handle, char *buf, size_t cap);
/* Reads such a text, and nothing else.
 *
 * errors   INVALID_ARGUMENT: not one; *handle is null, as for "-" */
ASX_NODISCARD asx_err asx_handle_parse(const char *text, size_t len, asx_handle *handle);

/* The wire form: 12 bytes, little-endian, kind included. */
void asx_handle_encode(asx_handle handle, uint8_t wire[12]);
/* errors   WRONG_KIND when the bytes carry another kind; INVALID_ARGUMENT when they carry no
 *          handle that could have been encoded */
ASX_NODISCARD asx_err asx_handle_decode(const uint8_t wire[12], asx_handle_kind kind,
                                        asx_handle *out);

/* The second word of a handle but for its side. */
#define ASX_HANDLE_HOME_MASK UINT64_C(0xffffff)
/* Why a lookup failed. */
ASX_NODISCARD asx_err asx_handle_lookup_why(const asx_handle_table *table, asx_handle handle);
void *asx_handle_alloc_slow(asx_handle_table *table, asx_handle *out);

ASX_END_DECLS

ASX_INLINE bool asx_handle_is_null(asx_handle handle)
{
    return handle.kind == ASX_HANDLE_NONE;
}

ASX_INLINE bool asx_handle_eq(asx_handle a, asx_handle b)
{
    return a.index == b.index && a.generation == b.generation && a.shard == b.shard &&
           a.kind == b.kind;
}

/* Total order: kind, shard, index, generation. Negative, zero or positive. */
ASX_INLINE int asx_handle_cmp(asx_handle a, asx_handle b)
{
    if (a.kind != b.kind) {
        return a.kind < b.kind ? -1 : 1;
    }
    if (a.shard != b.shard) {
        return a.shard < b.shard ? -1 : 1;
    }
    if (a.index != b.index) {
        return a.index < b.index ? -1 : 1;
    }
    return a.generation == b.generation ? 0 : a.generation < b.generation ? -1 : 1;
}

ASX_INLINE bool asx_slot_live(const asx_slot *slot)
{
    return !(slot->index & ASX_SLOT_FREE);
}

/* Index and generation as one word, always: a load that is wider than the store before it stalls,
 * 10 ns for a free with an alloc right behind it. */
ASX_INLINE uint64_t asx_slot_identity(const asx_slot *slot)
{
    uint64_t identity;
    __builtin_memcpy(&identity, slot, sizeof(identity));
    return identity;
}

ASX_INLINE void asx_slot_stamp(asx_slot *slot, uint64_t identity)
{
    __builtin_memcpy(slot, &identity, sizeof(identity));
}

/* The handle of a live record of any table. */
ASX_INLINE asx_handle asx_handle_of(const void *record)
{
    const asx_slot *const slot = (const asx_slot *)record;
    asx_debug_assert(asx_slot_live(slot));
    /* In whole words: gathered field by field it costs 5 ns in stalls. */
    uint64_t words[2] = { 0, 0 };
    __builtin_memcpy(&words[0], slot, 8);
    __builtin_memcpy(&words[1], &slot->shard, 4);
    asx_handle handle;
    __builtin_memcpy(&handle, words, sizeof(handle));
    return handle;
}

/* What a record of `size` bytes takes on its page. */
ASX_INLINE size_t asx_handle_record_bytes(size_t size)
{
    const size_t least = ASX_HANDLE_RECORD_MIN;
    return asx_align_up(size < least ? least : size, 16);
}

/* log2 of the records on a page. A page is just beyond the pooled chunk sizes, hence exact: pooled
 * ones would waste up to half of themselves on the power of two of records. */
ASX_INLINE uint32_t asx_handle_page_shift(size_t record_size)
{
    return asx_log2_floor(asx_pow2_ceil(ASX_CHUNK_BIG / record_size + 1));
}

ASX_INLINE void *asx_handle_place(const asx_handle_table *table, uint32_t index, uint32_t shift,
                                  size_t record_size)
{
    const uint32_t mask = (UINT32_C(1) << shift) - 1;
    return table->_pages[index >> shift] + (size_t)(index & mask) * record_size;
}

/* The record at `index`, live or not; index < table->touched. */
ASX_INLINE void *asx_handle_at(const asx_handle_table *table, uint32_t index)
{
    return asx_handle_place(table, index, table->_page_shift, table->record_size);
}

/* A record under a fresh handle, or NULL (asx_handle_table_why). Its asx_slot is set; the body is
 * whatever the last user left there.
 *
 * out      may be NULL */
ASX_INLINE void *asx_handle_alloc(asx_handle_table *table, asx_handle *out)
{
    asx_slot *const slot = table->_free;
    if (asx_unlikely(slot == NULL)) {
        return asx_handle_alloc_slow(table, out);
    }
    table->_free = *(asx_slot **)(void *)(slot + 1);
    table->allocated++;
    asx_slot_stamp(slot, asx_slot_identity(slot) - ASX_SLOT_FREE);
    if (out) {
        *out = asx_handle_of(slot);
    }
    return slot;
}

/* asx_handle_free, of a record that the caller has just found alive. */
ASX_INLINE void asx_handle_free_live(asx_handle_table *table, void *record)
{
    asx_slot *const slot = (asx_slot *)record;
    asx_debug_assert(asx_slot_live(slot));
    asx_debug_assert(slot == asx_handle_at(table, slot->index));
    table->freed++;
    const uint64_t identity = asx_slot_identity(slot);
    uint64_t freed;
    if (asx_unlikely(__builtin_add_overflow(identity, ASX_SLOT_NEXT + ASX_SLOT_FREE, &freed))) {
        asx_slot_stamp(slot, identity + ASX_SLOT_FREE);
        table->retired++;
        return;
    }
    asx_slot_stamp(slot, freed);
    *(asx_slot **)(void *)(slot + 1) = table->_free;
    table->_free = slot;
}

/* Ends the record's handle for ever; the record's memory stays with the table. */
ASX_INLINE void asx_handle_free(asx_handle_table *table, void *record)
{
    asx_assert(asx_slot_live((const asx_slot *)record));
    asx_handle_free_live(table, record);
}

ASX_INLINE void *asx_handle_find_in(const asx_handle_table *table, asx_handle handle,
                                    uint32_t shift, size_t record_size)
{
    /* In whole words: a handle travels in two registers. */
    uint64_t words[2];
    __builtin_memcpy(words, &handle, sizeof(words));
    const uint32_t index = (uint32_t)words[0];
    if (asx_likely((words[1] & ASX_HANDLE_HOME_MASK) == table->_home && index < table->touched)) {
        asx_slot *const slot = (asx_slot *)asx_handle_place(table, index, shift, record_size);
        if (asx_likely(asx_slot_identity(slot) == words[0])) {
            return slot;
        }
    }
    return NULL;
}

/* The live record, or NULL. */
ASX_INLINE void *asx_handle_find(const asx_handle_table *table, asx_handle handle)
{
    return asx_handle_find_in(table, handle, table->_page_shift, table->record_size);
}

/* The same, where the size that the table was made with is a constant. */
ASX_INLINE void *asx_handle_find_sized(const asx_handle_table *table, asx_handle handle,
                                       size_t record_size)
{
    const size_t bytes = asx_handle_record_bytes(record_size);
    asx_debug_assert(bytes == table->record_size);
    return asx_handle_find_in(table, handle, asx_handle_page_shift(bytes), bytes);
}

/* errors   WRONG_KIND, WRONG_SHARD (send a message instead), STALE; checked in this order */
ASX_NODISCARD ASX_INLINE asx_err asx_handle_lookup(const asx_handle_table *table, asx_handle handle,
                                                   void **record)
{
    *record = asx_handle_find(table, handle);
    return asx_likely(*record != NULL) ? ASX_OK : asx_handle_lookup_why(table, handle);
}

#endif
