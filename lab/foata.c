#include <asx/lab/foata.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"
#include "table_internal.h"

#include <stdlib.h>
#include <string.h>

/* One more than a layer; 0: there is none. */
typedef struct levels {
    uint32_t write;
    uint32_t read; /* the highest since that write */
} levels;

struct asx_foata {
    asxi_array items;     /* asx_foata_item */
    asxi_array words;     /* uint64_t: their payloads */
    asxi_array resources; /* levels */
    asxi_table index;     /* access key -> index into resources, plus 1 */
    levels global;        /* of accesses to everything */
    levels any;           /* the highest of all */
    uint32_t depth;
};

asx_foata *asx_foata_create(void)
{
    asx_foata *const foata = asxi_lab_alloc(1, sizeof(*foata));
    asxi_array_init(&foata->items, sizeof(asx_foata_item));
    asxi_array_init(&foata->words, sizeof(uint64_t));
    asxi_array_init(&foata->resources, sizeof(levels));
    return foata;
}

void asx_foata_destroy(asx_foata *foata)
{
    if (!foata) {
        return;
    }
    asxi_array_deinit(&foata->items);
    asxi_array_deinit(&foata->words);
    asxi_array_deinit(&foata->resources);
    asxi_table_deinit(&foata->index);
    asxi_lab_free(foata);
}

void asx_foata_clear(asx_foata *foata)
{
    asxi_array_cut(&foata->items, 0);
    asxi_array_cut(&foata->words, 0);
    asxi_array_cut(&foata->resources, 0);
    asxi_table_clear(&foata->index);
    foata->global = foata->any = (levels){ 0 };
    foata->depth = 0;
}

static uint32_t max(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static levels *levels_of(asx_foata *foata, const asx_lab_access *access)
{
    if (access->resource == ASX_LAB_RES_GLOBAL) {
        return &foata->global;
    }
    uint32_t *const at = asxi_table_at(&foata->index, asx_access_key(access));
    if (*at == 0) {
        asxi_array_push(&foata->resources);
        *at = foata->resources.count;
    }
    return asxi_array_at(&foata->resources, *at - 1);
}

/* The layer that an access alone would ask for. */
static uint32_t layer_after(asx_foata *foata, const asx_lab_access *access)
{
    if (access->resource == ASX_LAB_RES_GLOBAL) {
        return access->write ? max(foata->any.write, foata->any.read) : foata->any.write;
    }
    const levels *const last = levels_of(foata, access);
    const uint32_t after_writes = max(last->write, foata->global.write);
    return access->write ? max(after_writes, max(last->read, foata->global.read)) : after_writes;
}

static void raise_levels(levels *at, bool write, uint32_t level)
{
    uint32_t *const mark = write ? &at->write : &at->read;
    *mark = max(*mark, level);
}

static uint32_t place(asx_foata *foata, const asx_lab_access *accesses, uint32_t count)
{
    uint32_t layer = 0;
    for (uint32_t i = 0; i < count; i++) {
        layer = max(layer, layer_after(foata, &accesses[i]));
    }
    for (uint32_t i = 0; i < count; i++) {
        levels *const last = levels_of(foata, &accesses[i]);
        if (accesses[i].write) {
            last->read = 0; /* every read before it lies below its write now */
        }
        raise_levels(last, accesses[i].write, layer + 1);
        raise_levels(&foata->any, accesses[i].write, layer + 1);
    }
    foata->depth = max(foata->depth, layer + 1);
    return layer;
}

static asx_foata_item *push_item(asx_foata *foata, uint16_t kind, const uint64_t key[3],
                                 const asx_lab_access *accesses, uint32_t count)
{
    asx_foata_item *const item = asxi_array_push(&foata->items);
    *item = (asx_foata_item){ .layer = place(foata, accesses, count),
                              .kind = kind,
                              .words_at = foata->words.count,
                              .ordinal = foata->items.count - 1,
                              .key = { key[0], key[1], key[2] } };
    return item;
}

void asx_foata_add_item(asx_foata *foata, uint16_t kind, const uint64_t key[3],
                        const asx_lab_access *accesses, uint32_t count)
{
    push_item(foata, kind, key, accesses, count);
}

/* What an event is, in at most three words; the rest of its payload only orders equals. */
static void key_of(const asx_lab_event *event, uint64_t key[3])
{
    const uint64_t *const w = event->words;
    const uint32_t count = asx_lab_event_count(event);
    for (uint32_t i = 0; i < 3; i++) {
        key[i] = i < count ? w[i] : 0;
    }
    switch (event->kind) {
    case ASX_TRACE_OBL_RESERVE:
    case ASX_TRACE_OBL_COMMIT:
    case ASX_TRACE_OBL_ABORT:
    case ASX_TRACE_OBL_LEAK:
        return;
    case ASX_TRACE_LINK_ADD:
    case ASX_TRACE_LINK_DEL:
        key[2] = w[3];
        return;
    case ASX_TRACE_DOWN:
        key[0] = w[3], key[1] = w[2], key[2] = w[0];
        return;
    case ASX_TRACE_EXIT_SIGNAL:
        key[0] = w[3], key[1] = w[1], key[2] = w[0];
        return;
    case ASX_TRACE_FUTURELOCK:
        key[2] = asx_fnv64_words(ASX_FNV64_EMPTY, w + 2, count - 2);
        return;
    case ASX_TRACE_IO_RESULT:
        key[1] ^= UINT64_C(1) << 63; /* errors are negative: they come first */
        key[2] = 0;
        return;
    case ASX_TRACE_TIMER_ARM:
    case ASX_TRACE_TIMER_FIRE:
    case ASX_TRACE_TIMER_CANCEL:
        key[1] = key[2] = 0;
        return;
    default:
        key[2] = 0;
        return;
    }
}

void asx_foata_add(asx_foata *foata, const asx_lab_event *event)
{
    if (event->kind == ASX_TRACE_CHOICE) {
        return;
    }
    asx_lab_footprint footprint;
    asx_lab_event_footprint(event, &footprint);
    uint64_t key[3];
    key_of(event, key);
    asx_foata_item *const item = push_item(foata, event->kind, key, footprint.at, footprint.count);
    item->word_count = (uint16_t)asx_lab_event_count(event);
    asxi_array_append(&foata->words, event->words, item->word_count);
}

static int compare(const void *a, const void *b, void *words)
{
    const asx_foata_item *const x = a, *const y = b;
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    for (uint32_t i = 0; i < 3; i++) {
        if (x->key[i] != y->key[i]) {
            return x->key[i] < y->key[i] ? -1 : 1;
        }
    }
    const uint64_t *const of_x = (const uint64_t *)words + x->words_at;
    const uint64_t *const of_y = (const uint64_t *)words + y->words_at;
    for (uint32_t i = 0; i < x->word_count && i < y->word_count; i++) {
        if (of_x[i] != of_y[i]) {
            return of_x[i] < of_y[i] ? -1 : 1;
        }
    }
    return (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

/* Moves the items to where their layers begin, in the order of adding. */
static void sort_by_layer(asx_foata *foata, uint32_t *starts)
{
    const uint32_t count = foata->items.count;
    asx_foata_item *const items = asxi_array_items(&foata->items);
    for (uint32_t i = 0; i < count; i++) {
        starts[items[i].layer + 1]++;
    }
    for (uint32_t layer = 0; layer < foata->depth; layer++) {
        starts[layer + 1] += starts[layer];
    }
    asx_foata_item *const sorted = asxi_lab_alloc(count, sizeof(*sorted));
    uint32_t *const next = asxi_lab_alloc(foata->depth + 1, sizeof(*next));
    memcpy(next, starts, sizeof(*next) * (foata->depth + 1));
    for (uint32_t i = 0; i < count; i++) {
        sorted[next[items[i].layer]++] = items[i];
    }
    memcpy(items, sorted, sizeof(*items) * count);
    asxi_lab_free(sorted);
    asxi_lab_free(next);
}

static uint64_t hash_layer(uint64_t hash, const asx_foata_item *items, uint32_t layer,
                           uint32_t count)
{
    const uint32_t head[2] = { layer, count };
    hash = asx_fnv64(hash, head, sizeof(head));
    for (uint32_t i = 0; i < count; i++) {
        hash = asx_fnv64(hash, &items[i].kind, sizeof(items[i].kind));
        hash = asx_fnv64_words(hash, items[i].key, 3);
    }
    return hash;
}

asx_foata_form asx_foata_take(asx_foata *foata)
{
    asx_foata_form form = { .fingerprint = ASX_FNV64_EMPTY,
                            .count = foata->items.count,
                            .depth = foata->depth };
    if (form.count == 0) {
        return form;
    }
    uint32_t *const starts = asxi_lab_alloc(foata->depth + 1, sizeof(*starts));
    sort_by_layer(foata, starts);
    asx_foata_item *const items = asxi_array_items(&foata->items);
    for (uint32_t layer = 0; layer < foata->depth; layer++) {
        const uint32_t count = starts[layer + 1] - starts[layer];
        asx_assert_lt(0, count);
        qsort_r(items + starts[layer], count, sizeof(*items), compare,
                asxi_array_items(&foata->words));
        form.width = max(form.width, count);
        form.fingerprint = hash_layer(form.fingerprint, items + starts[layer], layer, count);
    }
    asxi_lab_free(starts);
    return form;
}

uint64_t asx_foata_fingerprint(const asx_lab_event *events, uint32_t count)
{
    asx_foata *const foata = asx_foata_create();
    for (uint32_t i = 0; i < count; i++) {
        asx_foata_add(foata, &events[i]);
    }
    const uint64_t fingerprint = asx_foata_take(foata).fingerprint;
    asx_foata_destroy(foata);
    return fingerprint;
}

const asx_foata_item *asx_foata_items(const asx_foata *foata, uint32_t *count)
{
    *count = foata->items.count;
    return asxi_array_items(&foata->items);
}

static bool same_item(const asx_foata *a, const asx_foata_item *x, const asx_foata *b,
                      const asx_foata_item *y)
{
    const uint64_t *const of_x = asxi_array_items(&a->words);
    const uint64_t *const of_y = asxi_array_items(&b->words);
    return x->layer == y->layer && x->kind == y->kind && x->word_count == y->word_count &&
           memcmp(x->key, y->key, sizeof(x->key)) == 0 &&
           (x->word_count == 0 ||
            memcmp(of_x + x->words_at, of_y + y->words_at, sizeof(uint64_t) * x->word_count) == 0);
}

uint32_t asx_foata_differs(const asx_foata *a, const asx_foata *b)
{
    uint32_t of_a, of_b, i = 0;
    const asx_foata_item *const x = asx_foata_items(a, &of_a);
    const asx_foata_item *const y = asx_foata_items(b, &of_b);
    while (i < of_a && i < of_b && same_item(a, &x[i], b, &y[i])) {
        i++;
    }
    return i;
}

bool asx_foata_equal(const asx_foata *a, const asx_foata *b)
{
    return a->items.count == b->items.count && asx_foata_differs(a, b) == a->items.count;
}
