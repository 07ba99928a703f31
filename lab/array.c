#include "array_internal.h"

#include <stdlib.h>
#include <string.h>

void *asxi_lab_alloc(size_t count, size_t size)
{
    void *const memory = calloc(count ? count : 1, size);
    asx_assert(memory);
    return memory;
}

void asxi_lab_free(void *memory)
{
    free(memory);
}

void asxi_array_init(asxi_array *array, size_t size)
{
    asx_assert_lt(0, size);
    *array = (asxi_array){ ._size = size };
}

void asxi_array_deinit(asxi_array *array)
{
    free(array->_data);
    *array = (asxi_array){ ._size = array->_size };
}

static void reserve(asxi_array *array, uint32_t count)
{
    asx_assert_lt(0, array->_size);
    if (count <= array->_cap) {
        return;
    }
    asx_assert_le(count, UINT32_MAX / 2);
    const uint32_t cap = count < 8 ? 8 : count + count / 2;
    array->_data = realloc(array->_data, array->_size * cap);
    asx_assert(array->_data);
    array->_cap = cap;
}

void *asxi_array_push(asxi_array *array)
{
    reserve(array, array->count + 1);
    void *const item = array->_data + array->_size * array->count++;
    memset(item, 0, array->_size);
    return item;
}

void asxi_array_append(asxi_array *array, const void *items, uint32_t count)
{
    if (count == 0) {
        return;
    }
    asx_assert_lt(count, UINT32_MAX / 2);
    reserve(array, array->count + count);
    memcpy(array->_data + array->_size * array->count, items, array->_size * count);
    array->count += count;
}

void asxi_array_cut(asxi_array *array, uint32_t count)
{
    asx_assert_le(count, array->count);
    array->count = count;
}
