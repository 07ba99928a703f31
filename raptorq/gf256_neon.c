/* NEON: the nibble look-ups by tbl. */
#include "gf256_internal.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#define VEC_BYTES 16
#define VEC_MANY 10
#define VEC_TARGET
#define KERNEL asxi_gf_neon
#define KERNEL_NAME "neon"

typedef uint8x16_t vec;
typedef struct {
    vec low, high;
} vec_factor;

static inline vec_factor factor_load(uint8_t c)
{
    return (vec_factor){ vld1q_u8(asxi_gf_nibble[c]), vld1q_u8(asxi_gf_nibble[c] + 16) };
}

static inline vec factor_apply(vec_factor f, vec v)
{
    return veorq_u8(vqtbl1q_u8(f.low, vandq_u8(v, vdupq_n_u8(15))),
                    vqtbl1q_u8(f.high, vshrq_n_u8(v, 4)));
}

static inline vec vec_double(vec v)
{
    const uint8x16_t carry = vcltzq_s8(vreinterpretq_s8_u8(v));
    return veorq_u8(vshlq_n_u8(v, 1), vandq_u8(carry, vdupq_n_u8(0x1D)));
}

#include "gf256_template_internal.h"

#endif
