/* The tables behind the kernels, and the kernels by instruction set. */
#ifndef ASX_RAPTORQ_GF256_INTERNAL_H
#define ASX_RAPTORQ_GF256_INTERNAL_H

#include <asx/raptorq/gf256.h>

extern const uint8_t asxi_gf_exp[510]; /* long enough for a sum of two logarithms */
extern const uint8_t asxi_gf_log[256]; /* entry 0 is never read */
extern const uint8_t asxi_gf_nibble[256][32];
extern const uint64_t asxi_gf_matrix[256];

extern const asx_rq_kernel asxi_gf_plain;
#if defined(__x86_64__)
extern const asx_rq_kernel asxi_gf_ssse3;
extern const asx_rq_kernel asxi_gf_avx2;
extern const asx_rq_kernel asxi_gf_avx512;
#elif defined(__aarch64__)
extern const asx_rq_kernel asxi_gf_neon;
#endif

#endif
