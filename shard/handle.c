#include <asx/shard/base/bits.h>
#include <asx/shard/handle.h>

#include <assert.h>
#include <stdio.h>

static_assert(sizeof(asx_handle) == 16, "two registers");
static_assert(sizeof(asx_slot) == 16, "records keep 16-byte alignment behind it");
static_assert(offsetof(asx_slot, generation) == 4, "asx_handle_free adds to the upper half");
static_assert(offsetof(asx_slot, kind) == offsetof(asx_handle, kind), "a slot reads as a handle");
static_assert(offsetof(asx_handle, kind) == 10 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "a handle's home: shard, then kind, in the low bits of its second word");
static_assert(offsetof(asx_slot, shard) == 8 && offsetof(asx_handle, shard) == 8, "word for word");

enum { PAGE_DIRECTORY_FIRST = 64 };

void asx_handle_table_init(asx_handle_table *table, asx_handle_kind kind, uint16_t shard,
                           size_t record_size, asx_chunk_source *source, uint32_t count_max)
{
    asx_assert_ne(kind, ASX_HANDLE_NONE);
    asx_assert(record_size >= sizeof(asx_slot) && record_size <= (1u << 20));
    asx_assert(count_max <= ASX_SLOT_FREE);
    const size_t size = asx_handle_record_bytes(record_size);
    *table = (asx_handle_table){
        ._page_shift = asx_handle_page_shift(size), /* untouched pages cost address space only */
        .record_size = (uint32_t)size,
        .count_max = count_max,
        .shard = shard,
        .kind = (uint8_t)kind,
        ._home = (uint32_t)kind << 16 | shard,
        ._source = source,
    };
}

static size_t page_bytes(const asx_handle_table *table)
{
    return (size_t)table->record_size << table->_page_shift;
}

asx_err asx_handle_lookup_why(const asx_handle_table *table, asx_handle handle)
{
    if (handle.kind != table->kind) {
        return ASX_E(WRONG_KIND);
    }
    return handle.shard != table->shard ? ASX_E(WRONG_SHARD) : ASX_E(STALE);
}

static bool directory_grow(asx_handle_table *table)
{
    const size_t old_len = table->_page_cap * sizeof(char *);
    const uint32_t cap = table->_page_cap == 0 ? PAGE_DIRECTORY_FIRST : table->_page_cap * 2;
    size_t got;
    char **const pages = asx_chunk_acquire(table->_source, cap * sizeof(char *), &got);
    if (pages == NULL) {
        return false;
    }
    if (table->_page_cap > 0) {
        memcpy(pages, table->_pages, old_len);
        asx_chunk_release(table->_source, table->_pages, old_len);
    }
    table->_pages = pages;
    table->_page_cap = cap;
    return true;
}

static bool page_add(asx_handle_table *table)
{
    if (table->_page_count == table->_page_cap && !directory_grow(table)) {
        return false;
    }
    size_t got;
    char *const page = asx_chunk_acquire(table->_source, page_bytes(table), &got);
    if (page == NULL) {
        return false;
    }
    table->_pages[table->_page_count++] = page;
    return true;
}

void *asx_handle_alloc_slow(asx_handle_table *table, asx_handle *out)
{
    asx_assert(table->_free == NULL);
    if (table->touched == table->count_max) {
        return NULL;
    }
    if (table->touched >> table->_page_shift == table->_page_count && !page_add(table)) {
        return NULL;
    }
    asx_slot *const slot = asx_handle_at(table, table->touched);
    *slot = (asx_slot){
        .index = table->touched,
        .generation = 1,
        .shard = table->shard,
        .kind = table->kind,
    };
    table->touched++;
    table->allocated++;
    if (out) {
        *out = asx_handle_of(slot);
    }
    return slot;
}

asx_err asx_handle_table_why(const asx_handle_table *table)
{
    return table->_free == NULL && table->touched == table->count_max ? ASX_E(NO_SLOTS)
                                                                      : ASX_E(NO_MEMORY);
}

void *asx_handle_next_live(const asx_handle_table *table, uint32_t *cursor)
{
    for (uint32_t at = *cursor; at < table->touched; at++) {
        asx_slot *const slot = asx_handle_at(table, at);
        if (asx_slot_live(slot)) {
            *cursor = at + 1;
            return slot;
        }
    }
    *cursor = table->touched;
    return NULL;
}

void asx_handle_table_deinit(asx_handle_table *table)
{
    asx_assert_eq(asx_handle_table_live(table), 0);
    for (uint32_t i = 0; i < table->_page_count; i++) {
        asx_chunk_release(table->_source, table->_pages[i], page_bytes(table));
    }
    if (table->_page_cap > 0) {
        asx_chunk_release(table->_source, table->_pages, table->_page_cap * sizeof(char *));
    }
    *table = (asx_handle_table){ .kind = table->kind };
}

const char *asx_handle_kind_name(asx_handle_kind kind)
{
    switch (kind) {
    case ASX_HANDLE_NONE:
        return "NONE";
#define X(number, name, letter) \
    case ASX_HANDLE_##name:     \
        return #name;
        ASX_HANDLE_KIND_LIST(X)
#undef X
    }
    return "UNKNOWN";
}

const char *asx_handle_text(asx_handle handle, char *buf, size_t cap)
{
    static const char letters[] = { '-',
#define X(number, name, letter) letter,
                                    ASX_HANDLE_KIND_LIST(X)
#undef X
    };
    asx_assert_le(ASX_HANDLE_TEXT_LEN, cap);
    if (asx_handle_is_null(handle)) {
        snprintf(buf, cap, "-");
    } else {
        asx_assert_lt(handle.kind, sizeof(letters));
        snprintf(buf, cap, "%c%u.%u.%u", letters[handle.kind], handle.shard, handle.index,
                 handle.generation);
    }
    return buf;
}

/* Takes `before` and a number of at most `max` off the text; false: it begins in another way. */
static bool number_take(const char **at, const char *end, char before, uint64_t max,
                        uint64_t *number)
{
    if (*at == end || *(*at)++ != before || *at == end) {
        return false;
    }
    const char *const begin = *at;
    *number = 0;
    while (*at < end && **at >= '0' && **at <= '9' && *number <= max) {
        *number = *number * 10 + (uint64_t)(*(*at)++ - '0');
    }
    return *at > begin && *number <= max && (*begin != '0' || *at == begin + 1);
}

asx_err asx_handle_parse(const char *text, size_t len, asx_handle *handle)
{
    static const char letters[] = {
#define X(number, name, letter) [number] = letter,
        ASX_HANDLE_KIND_LIST(X)
#undef X
    };
    uint64_t shard = 0, index = 0, generation = 0;
    uint8_t kind = 1;
    *handle = (asx_handle){ 0 };
    if (len == 1 && text[0] == '-') {
        return ASX_OK;
    }
    while (kind < sizeof(letters) && len > 0 && letters[kind] != text[0]) {
        kind++;
    }
    if (kind == sizeof(letters) || len == 0) {
        return ASX_E(INVALID_ARGUMENT);
    }
    /* The letter stands where the others have their full stop. */
    const char *at = text, *const end = text + len;
    if (!number_take(&at, end, text[0], UINT16_MAX, &shard) ||
        !number_take(&at, end, '.', UINT32_MAX, &index) ||
        !number_take(&at, end, '.', UINT32_MAX, &generation) || at != end || generation == 0) {
        return ASX_E(INVALID_ARGUMENT);
    }
    *handle = (asx_handle){ .index = (uint32_t)index,
                            .generation = (uint32_t)generation,
                            .shard = (uint16_t)shard,
                            .kind = kind };
    return ASX_OK;
}

void asx_handle_encode(asx_handle handle, uint8_t wire[12])
{
    memcpy(wire, &handle.index, 4);
    memcpy(wire + 4, &handle.generation, 4);
    memcpy(wire + 8, &handle.shard, 2);
    wire[10] = handle.kind;
    wire[11] = 0;
}

asx_err asx_handle_decode(const uint8_t wire[12], asx_handle_kind kind, asx_handle *out)
{
    asx_handle handle = { .kind = wire[10] };
    memcpy(&handle.index, wire, 4);
    memcpy(&handle.generation, wire + 4, 4);
    memcpy(&handle.shard, wire + 8, 2);
    if (handle.kind != kind) {
        return ASX_E(WRONG_KIND);
    }
    if (wire[11] != 0 || handle.generation == 0) {
        return ASX_E(INVALID_ARGUMENT);
    }
    *out = handle;
    return ASX_OK;
}
