#include <asx/shard/base/assert.h>
#include <asx/shard/base/prng.h>

#include "array_internal.h"
#include "table_internal.h"

#include <string.h>

void asxi_table_deinit(asxi_table *table)
{
    asxi_lab_free(table->_slots);
    *table = (asxi_table){ 0 };
}

void asxi_table_clear(asxi_table *table)
{
    if (table->_cap) {
        memset(table->_slots, 0, sizeof(*table->_slots) * table->_cap);
    }
    table->count = 0;
}

/* The slot of `key`, or the free one where it would stand. */
static asxi_table_slot *slot_of(asxi_table_slot *slots, uint32_t cap, uint64_t key)
{
    uint32_t at = (uint32_t)asx_mix64(key) & (cap - 1);
    while (slots[at].used && slots[at].key != key) {
        at = (at + 1) & (cap - 1);
    }
    return &slots[at];
}

static void grow(asxi_table *table)
{
    asx_assert_lt(table->_cap, UINT32_MAX / 2);
    const uint32_t cap = table->_cap ? table->_cap * 2 : 16;
    asxi_table_slot *const slots = asxi_lab_alloc(cap, sizeof(*slots));
    for (uint32_t i = 0; i < table->_cap; i++) {
        if (table->_slots[i].used) {
            *slot_of(slots, cap, table->_slots[i].key) = table->_slots[i];
        }
    }
    asxi_lab_free(table->_slots);
    table->_slots = slots;
    table->_cap = cap;
}

uint32_t *asxi_table_at(asxi_table *table, uint64_t key)
{
    if (table->count >= table->_cap / 2) {
        grow(table);
    }
    asxi_table_slot *const slot = slot_of(table->_slots, table->_cap, key);
    if (!slot->used) {
        *slot = (asxi_table_slot){ .key = key, .used = 1 };
        table->count++;
    }
    return &slot->value;
}

uint32_t *asxi_table_find(const asxi_table *table, uint64_t key)
{
    if (table->count == 0) {
        return NULL;
    }
    asxi_table_slot *const slot = slot_of(table->_slots, table->_cap, key);
    return slot->used ? &slot->value : NULL;
}
