/* Scanners: the first byte that a target, a value or a name may not hold.
 *
 * A variant defines, before including this, one of ASXI_SCAN_{PLAIN,SWAR,SSE2,AVX2}. Vector
 * scanners look at 32 bytes a step and never outside [base, end): near the end they load the last
 * 32 bytes of the buffer and shift what is already known out, since most heads are shorter than
 * a few vectors and would otherwise spend their time in a byte loop. */
#ifndef ASX_PROTO_HTTP1_SCAN_INTERNAL_H
#define ASX_PROTO_HTTP1_SCAN_INTERNAL_H

#include <asx/shard/base/bits.h>
#include <asx/shard/base/decls.h>

#include "header_internal.h"

#if defined(ASXI_SCAN_SSE2) || defined(ASXI_SCAN_AVX2)
#define ASXI_SCAN_VECTOR 1
#include <immintrin.h>
#else
#define ASXI_SCAN_VECTOR 0
#endif

/* Between a target's bytes and the one that ends or spoils it: SP, controls, '#', >= 0x7f. */
ASX_INLINE bool asxi_target_stop(uint8_t c)
{
    return c <= 0x20 || c >= 0x7f || c == '#';
}

ASX_INLINE bool asxi_value_stop(uint8_t c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

/* Names are short, and the vector variants check the known ones by comparing: a table is enough. */
ASX_INLINE const char *asxi_scan_name(const char *p, const char *end)
{
    while (p < end && asxi_tchar[(uint8_t)*p]) {
        p++;
    }
    return p;
}

#if ASXI_SCAN_VECTOR

/* One bit a byte, lowest first. */
typedef struct asxi_block {
    uint32_t colon, value_stop;
} asxi_block;

#ifdef ASXI_SCAN_AVX2
ASX_INLINE uint32_t asxi_bits_value(__m256i v)
{
    const __m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
    const __m256i tab = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\t'));
    const __m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(_mm256_andnot_si256(tab, low), del));
}

ASX_INLINE uint32_t asxi_load_value(const char *p)
{
    return asxi_bits_value(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

ASX_INLINE uint32_t asxi_load_target(const char *p)
{
    const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
    /* Signed: bytes >= 0x80 are below SP too. */
    const __m256i good = _mm256_cmpgt_epi8(v, _mm256_set1_epi8(0x20));
    const __m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));
    const __m256i hash = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('#'));
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_andnot_si256(_mm256_or_si256(del, hash), good));
}

ASX_INLINE asxi_block asxi_load_block(const char *p)
{
    const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
    asxi_block block;
    block.colon = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(':')));
    block.value_stop = asxi_bits_value(v);
    return block;
}
#else
ASX_INLINE uint32_t asxi_bits16_value(__m128i v)
{
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    const __m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));
    const __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

ASX_INLINE uint32_t asxi_bits16_target(__m128i v)
{
    const __m128i good = _mm_cmpgt_epi8(v, _mm_set1_epi8(0x20));
    const __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
    const __m128i hash = _mm_cmpeq_epi8(v, _mm_set1_epi8('#'));
    return 0xffffu ^ (uint32_t)_mm_movemask_epi8(_mm_andnot_si128(_mm_or_si128(del, hash), good));
}

ASX_INLINE __m128i asxi_load16(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

ASX_INLINE uint32_t asxi_load_value(const char *p)
{
    return asxi_bits16_value(asxi_load16(p)) | asxi_bits16_value(asxi_load16(p + 16)) << 16;
}

ASX_INLINE uint32_t asxi_load_target(const char *p)
{
    return asxi_bits16_target(asxi_load16(p)) | asxi_bits16_target(asxi_load16(p + 16)) << 16;
}

ASX_INLINE asxi_block asxi_load_block(const char *p)
{
    const __m128i a = asxi_load16(p), b = asxi_load16(p + 16), colon = _mm_set1_epi8(':');
    asxi_block block;
    block.colon = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, colon)) |
                  (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(b, colon)) << 16;
    block.value_stop = asxi_bits16_value(a) | asxi_bits16_value(b) << 16;
    return block;
}
#endif

#define ASXI_SCAN_BODY(load, stop)                                \
    while (end - p >= 32) {                                       \
        const uint32_t bits = load(p);                            \
        if (bits) {                                               \
            return p + __builtin_ctz(bits);                       \
        }                                                         \
        p += 32;                                                  \
    }                                                             \
    if (p < end && end - base >= 32) {                            \
        const uint32_t bits = load(end - 32) >> (32 - (end - p)); \
        return bits ? p + __builtin_ctz(bits) : end;              \
    }                                                             \
    while (p < end && !stop((uint8_t)*p)) {                       \
        p++;                                                      \
    }                                                             \
    return p

#elif defined(ASXI_SCAN_SWAR)

#define ASXI_ONES UINT64_C(0x0101010101010101)
#define ASXI_HIGH UINT64_C(0x8080808080808080)

/* High bits of bytes that are zero, or below n <= 0x80. A borrow can set bits above a true one,
 * never below: the lowest is exact, and only that is used. */
ASX_INLINE uint64_t asxi_swar_zero(uint64_t w)
{
    return (w - ASXI_ONES) & ~w & ASXI_HIGH;
}

ASX_INLINE uint64_t asxi_swar_below(uint64_t w, uint8_t n)
{
    return (w - ASXI_ONES * n) & ~w & ASXI_HIGH;
}

ASX_INLINE uint64_t asxi_load_value(const char *p)
{
    const uint64_t w = asx_load_u64(p);
    return asxi_swar_below(w, 0x20) | asxi_swar_zero(w ^ ASXI_ONES * 0x7f);
}

ASX_INLINE uint64_t asxi_load_target(const char *p)
{
    const uint64_t w = asx_load_u64(p);
    return asxi_swar_below(w, 0x21) | (w & ASXI_HIGH) | asxi_swar_zero(w ^ ASXI_ONES * 0x7f) |
           asxi_swar_zero(w ^ ASXI_ONES * '#');
}

/* HTAB is among the hits of asxi_load_value: the byte itself decides, and the scan goes on. */
#define ASXI_SCAN_BODY(load, stop)                 \
    (void)base;                                    \
    while (end - p >= 8) {                         \
        const uint64_t bits = load(p);             \
        p += bits ? __builtin_ctzll(bits) / 8 : 8; \
        if (bits) {                                \
            if (stop((uint8_t)*p)) {               \
                return p;                          \
            }                                      \
            p++;                                   \
        }                                          \
    }                                              \
    while (p < end && !stop((uint8_t)*p)) {        \
        p++;                                       \
    }                                              \
    return p

#else

#define ASXI_SCAN_BODY(load, stop)          \
    (void)base;                             \
    while (p < end && !stop((uint8_t)*p)) { \
        p++;                                \
    }                                       \
    return p

#endif

ASX_INLINE const char *asxi_scan_target(const char *base, const char *p, const char *end)
{
    ASXI_SCAN_BODY(asxi_load_target, asxi_target_stop);
}

ASX_INLINE const char *asxi_scan_value(const char *base, const char *p, const char *end)
{
    ASXI_SCAN_BODY(asxi_load_value, asxi_value_stop);
}

#endif
