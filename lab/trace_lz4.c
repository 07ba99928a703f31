/* The only file that knows LZ4. */
#include "trace_internal.h"

#include <lz4.h>

static_assert(ASX_LAB_TRACE_CHUNK_MAX <= LZ4_MAX_INPUT_SIZE, "a chunk is one block");

size_t asxi_trace_pack(const void *raw, size_t len, void *stored, size_t cap)
{
    const int got = LZ4_compress_default(raw, stored, (int)len, (int)cap);
    return got > 0 ? (size_t)got : 0;
}

bool asxi_trace_unpack(const void *stored, size_t stored_len, void *raw, size_t raw_len)
{
    return LZ4_decompress_safe(stored, raw, (int)stored_len, (int)raw_len) == (int)raw_len;
}
