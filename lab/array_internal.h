/* A growable array of equal records: the memory of those who look at runs from outside.
 *
 * Owner.   Whoever embeds it. Zero-filled is not ready: set its item size with init.
 * Rule.    A pointer into it is good until the next push. Without memory the process ends: a
 *          search that lost a part of what it saw would report what it did not check. */
#ifndef ASX_LAB_ARRAY_INTERNAL_H
#define ASX_LAB_ARRAY_INTERNAL_H

#include <asx/shard/base/assert.h>
#include <asx/shard/base/decls.h>

#include <stddef.h>
#include <stdint.h>

ASX_EXTERN_C_BEGIN

typedef struct asxi_array {
    char *_data;
    size_t _size; /* of an item */
    uint32_t count;
    uint32_t _cap;
} asxi_array;

/* Zeroed memory for `count` records of `size` bytes, and back. */
void *asxi_lab_alloc(size_t count, size_t size);
void asxi_lab_free(void *memory);

void asxi_array_init(asxi_array *array, size_t size);
void asxi_array_deinit(asxi_array *array);

/* Appends a zeroed record. */
void *asxi_array_push(asxi_array *array);
/* Appends `count` records. */
void asxi_array_append(asxi_array *array, const void *items, uint32_t count);
/* Forgets the records from `count` on. */
void asxi_array_cut(asxi_array *array, uint32_t count);

static inline void *asxi_array_at(const asxi_array *array, uint32_t index)
{
    asx_assert_lt(index, array->count);
    return array->_data + array->_size * index;
}

/* The first record; NULL when there never was one. */
static inline void *asxi_array_items(const asxi_array *array)
{
    return array->_data;
}

ASX_EXTERN_C_END

#endif
