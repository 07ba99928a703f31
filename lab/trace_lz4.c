/* The only file that knows LZ4. Built without it, every chunk is stored as it is, in a file that
 * any build reads, and one that LZ4 made is refused. */
#include "trace_internal.h"

#ifdef ASX_NO_LZ4

size_t asxi_trace_pack(ASX_UNUSED const void *raw, ASX_UNUSED size_t len, ASX_UNUSED void *stored,
                       ASX_UNUSED size_t cap)
{
    return 0;
}

bool asxi_trace_unpack(ASX_UNUSED const void *stored, ASX_UNUSED size_t stored_len,
                       ASX_UNUSED void *raw, ASX_UNUSED size_t raw_len)
{
    return false;
}

#else

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

#endif
