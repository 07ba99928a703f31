/* A table from 64-bit keys to 32-bit values, for those who look at runs from outside.
 *
 * Model.   Open addressing, linear probing, at most half full; nothing is ever removed. Nobody
 *          iterates over it, so the order of its slots is seen by no one.
 * Owner.   Whoever embeds it; zero-filled is empty. */
#ifndef ASX_LAB_TABLE_INTERNAL_H
#define ASX_LAB_TABLE_INTERNAL_H

#include <asx/shard/base/decls.h>

#include <stddef.h>
#include <stdint.h>

ASX_EXTERN_C_BEGIN

typedef struct asxi_table_slot {
    uint64_t key;
    uint32_t value;
    uint32_t used;
} asxi_table_slot;

typedef struct asxi_table {
    asxi_table_slot *_slots;
    uint32_t _cap; /* a power of two, or 0 */
    uint32_t count;
} asxi_table;

void asxi_table_deinit(asxi_table *table);
/* Empties it and keeps its memory. */
void asxi_table_clear(asxi_table *table);

/* The value of `key`, which starts as 0. Good until the next call of this. */
uint32_t *asxi_table_at(asxi_table *table, uint64_t key);
/* The same, without making one: NULL. */
uint32_t *asxi_table_find(const asxi_table *table, uint64_t key);

ASX_EXTERN_C_END

#endif
