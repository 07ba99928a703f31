/* SSSE3: products by two table look-ups of nibbles (pshufb). */
#include "gf256_internal.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define VEC_BYTES 16
#define VEC_MANY 4
#define VEC_TARGET __attribute__((target("ssse3")))
#define KERNEL asxi_gf_ssse3
#define KERNEL_NAME "ssse3"

typedef __m128i vec;
typedef struct {
    vec low, high;
} vec_factor;

#define INLINE VEC_TARGET static inline __attribute__((always_inline))

INLINE vec_factor factor_load(uint8_t c)
{
    const __m128i *table = (const __m128i *)(const void *)asxi_gf_nibble[c];
    return (vec_factor){ _mm_loadu_si128(table), _mm_loadu_si128(table + 1) };
}

INLINE vec factor_apply(vec_factor f, vec v)
{
    const vec mask = _mm_set1_epi8(15);
    const vec low = _mm_shuffle_epi8(f.low, _mm_and_si128(v, mask));
    const vec high = _mm_shuffle_epi8(f.high, _mm_and_si128(_mm_srli_epi64(v, 4), mask));
    return _mm_xor_si128(low, high);
}

INLINE vec vec_double(vec v)
{
    const vec carry = _mm_cmpgt_epi8(_mm_setzero_si128(), v);
    return _mm_xor_si128(_mm_add_epi8(v, v), _mm_and_si128(carry, _mm_set1_epi8(0x1D)));
}

#include "gf256_template_internal.h"

#endif
