/* AVX-512 with GFNI: a product is one affine transform, as cheap as a sum. */
#include "gf256_internal.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define VEC_BYTES 64
#define VEC_MANY 10
#define VEC_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,gfni")))
#define KERNEL asxi_gf_avx512
#define KERNEL_NAME "avx512"
#define VEC_FAST_PRODUCT true

typedef __m512i vec;
typedef __m512i vec_factor;

#define INLINE VEC_TARGET static inline __attribute__((always_inline))

INLINE vec_factor factor_load(uint8_t c)
{
    return _mm512_set1_epi64((long long)asxi_gf_matrix[c]);
}

INLINE vec factor_apply(vec_factor f, vec v)
{
    return _mm512_gf2p8affine_epi64_epi8(v, f, 0);
}

INLINE vec vec_double(vec v)
{
    return factor_apply(factor_load(2), v);
}

#define VEC_STREAM
INLINE void store_past(uint8_t *p, vec v)
{
    _mm512_stream_si512((void *)p, v);
}

/* Such stores are not ordered with what tells another thread that they are done. */
INLINE void settle(void)
{
    _mm_sfence();
}

#include "gf256_template_internal.h"

#endif
