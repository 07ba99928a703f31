/* AVX2: the nibble look-ups of SSSE3 at twice the width. */
#include "gf256_internal.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define VEC_BYTES 32
#define VEC_MANY 10
#define VEC_TARGET __attribute__((target("avx2")))
#define KERNEL asxi_gf_avx2
#define KERNEL_NAME "avx2"

typedef __m256i vec;
typedef struct {
    vec low, high;
} vec_factor;

#define INLINE VEC_TARGET static inline __attribute__((always_inline))

INLINE vec_factor factor_load(uint8_t c)
{
    const __m128i *table = (const __m128i *)(const void *)asxi_gf_nibble[c];
    return (vec_factor){ _mm256_broadcastsi128_si256(_mm_loadu_si128(table)),
                         _mm256_broadcastsi128_si256(_mm_loadu_si128(table + 1)) };
}

INLINE vec factor_apply(vec_factor f, vec v)
{
    const vec mask = _mm256_set1_epi8(15);
    const vec low = _mm256_shuffle_epi8(f.low, _mm256_and_si256(v, mask));
    const vec high = _mm256_shuffle_epi8(f.high, _mm256_and_si256(_mm256_srli_epi64(v, 4), mask));
    return _mm256_xor_si256(low, high);
}

INLINE vec vec_double(vec v)
{
    const vec carry = _mm256_cmpgt_epi8(_mm256_setzero_si256(), v);
    return _mm256_xor_si256(_mm256_add_epi8(v, v), _mm256_and_si256(carry, _mm256_set1_epi8(0x1D)));
}

#include "gf256_template_internal.h"

#endif
