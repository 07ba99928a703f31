/* Arithmetic on bits: powers of two, counts, unaligned and big-endian loads and stores. */
#ifndef ASX_SHARD_BASE_BITS_H
#define ASX_SHARD_BASE_BITS_H

#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

ASX_INLINE bool asx_is_pow2(uint64_t x)
{
    return x != 0 && (x & (x - 1)) == 0;
}

/* The smallest power of two >= x; x in 1..2^63. */
ASX_INLINE uint64_t asx_pow2_ceil(uint64_t x)
{
    return x <= 1 ? 1 : UINT64_C(1) << (64 - __builtin_clzll(x - 1));
}

/* floor(log2 x), x > 0 */
ASX_INLINE unsigned asx_log2_floor(uint64_t x)
{
    return 63u - (unsigned)__builtin_clzll(x);
}

/* align is a power of two */
ASX_INLINE size_t asx_align_up(size_t x, size_t align)
{
    return (x + align - 1) & ~(align - 1);
}

ASX_INLINE size_t asx_div_ceil(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

ASX_INLINE uint64_t asx_load_u64(const void *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof(x));
    return x;
}

ASX_INLINE uint32_t asx_load_u32(const void *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof(x));
    return x;
}

ASX_INLINE uint16_t asx_load_be16(const void *p)
{
    uint16_t x;
    memcpy(&x, p, sizeof(x));
    return __builtin_bswap16(x);
}

ASX_INLINE uint32_t asx_load_be32(const void *p)
{
    return __builtin_bswap32(asx_load_u32(p));
}

ASX_INLINE uint64_t asx_load_be64(const void *p)
{
    return __builtin_bswap64(asx_load_u64(p));
}

ASX_INLINE void asx_store_be16(void *p, uint16_t x)
{
    x = __builtin_bswap16(x);
    memcpy(p, &x, sizeof(x));
}

ASX_INLINE void asx_store_be32(void *p, uint32_t x)
{
    x = __builtin_bswap32(x);
    memcpy(p, &x, sizeof(x));
}

ASX_INLINE void asx_store_be64(void *p, uint64_t x)
{
    x = __builtin_bswap64(x);
    memcpy(p, &x, sizeof(x));
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "little-endian hosts only"
#endif

#endif
