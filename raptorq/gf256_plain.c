/* Plain C: the truth that the other kernels are compared with. */
#include "gf256_internal.h"

#define VEC_BYTES 8
#define VEC_MANY 4
#define VEC_TARGET
#define KERNEL asxi_gf_plain
#define KERNEL_NAME "plain"

typedef uint64_t vec;
typedef const uint8_t *vec_factor;

static inline vec_factor factor_load(uint8_t c)
{
    return asxi_gf_nibble[c];
}

static inline vec factor_apply(vec_factor f, vec v)
{
    vec product = 0;
    for (int i = 0; i < 64; i += 8) {
        product |= (uint64_t)(f[(v >> i) & 15] ^ f[16 + ((v >> (i + 4)) & 15)]) << i;
    }
    return product;
}

static inline vec vec_double(vec v)
{
    const uint64_t high = (v >> 7) & UINT64_C(0x0101010101010101);
    return ((v << 1) & UINT64_C(0xFEFEFEFEFEFEFEFE)) ^ (high * 0x1D);
}

#include "gf256_template_internal.h"
