/* The kernels, written once over vectors: rows and products here, sums of slab rows and the HDPC
 * rows in two parts. Included by one file for each instruction set, which defines:
 *   VEC_BYTES          8, 16, 32 or 64
 *   VEC_MANY           registers a wide chunk may take (10 or 4)
 *   VEC_TARGET         the function attribute that allows the instructions, or nothing
 *   vec_factor         what is held in registers for a factor
 *   factor_load(c)     from a byte; factor_apply(f, v) the product with each byte of v
 *   vec_double(v)      twice each byte
 *   KERNEL, KERNEL_NAME
 * This file is included once a translation unit by design and so has no guard. */
#include <asx/shard/base/assert.h>

#include <stdbool.h>
#include <string.h>

/* Without full unrolling the sums would live in memory. */
#if defined(__clang__)
#define RQ_UNROLL _Pragma("unroll")
#else
#define RQ_UNROLL _Pragma("GCC unroll 16")
#endif

#define RQ_FN VEC_TARGET static
#define RQ_INLINE VEC_TARGET static inline __attribute__((always_inline))

/* Loads at any address, of memory that has other types. */
typedef struct {
    vec v;
} __attribute__((packed, may_alias)) vec_any;

RQ_INLINE vec load(const uint8_t *p)
{
    return ((const vec_any *)p)->v;
}

RQ_INLINE void store(uint8_t *p, vec v)
{
    ((vec_any *)p)->v = v;
}

/* Stores the first `len` bytes of v; len may be 0 or past the vector. */
RQ_INLINE void store_part(uint8_t *p, vec v, size_t len)
{
    if (len >= VEC_BYTES) {
        store(p, v);
    } else if (len > 0) {
        uint8_t buf[VEC_BYTES];
        store(buf, v);
        memcpy(p, buf, len);
    }
}

/* Loads the first `len` bytes and zeros; len may be 0 or past the vector. */
RQ_INLINE vec load_part(const uint8_t *p, size_t len)
{
    if (len >= VEC_BYTES) {
        return load(p);
    }
    uint8_t buf[VEC_BYTES] = { 0 };
    memcpy(buf, p, len);
    return load(buf);
}

/* A kernel whose vectors are whole lines may have stores that go past the caches. */
#if !defined(VEC_STREAM)
RQ_INLINE void store_past(uint8_t *p, vec v)
{
    store(p, v);
}

RQ_INLINE void settle(void)
{
}
#endif

RQ_INLINE size_t bytes_left(size_t exact, size_t offset)
{
    return exact > offset ? exact - offset : 0;
}

RQ_FN void xor_row(uint8_t *dst, const uint8_t *src, size_t len)
{
    size_t i = 0;
    for (; i + VEC_BYTES <= len; i += VEC_BYTES) {
        store(dst + i, load(dst + i) ^ load(src + i));
    }
    for (; i < len; i++) {
        dst[i] ^= src[i];
    }
}

RQ_INLINE uint8_t mul_byte(uint8_t x, uint8_t factor)
{
    const uint8_t *table = asxi_gf_nibble[factor];
    return table[x & 15] ^ table[16 + (x >> 4)];
}

RQ_FN void mul_row(uint8_t *dst, const uint8_t *src, uint8_t factor, size_t len)
{
    if (factor == 0) {
        memset(dst, 0, len);
        return;
    }
    if (factor == 1) {
        memmove(dst, src, len);
        return;
    }
    const vec_factor f = factor_load(factor);
    size_t i = 0;
    for (; i + VEC_BYTES <= len; i += VEC_BYTES) {
        store(dst + i, factor_apply(f, load(src + i)));
    }
    for (; i < len; i++) {
        dst[i] = mul_byte(src[i], factor);
    }
}

RQ_FN void muladd_row(uint8_t *dst, const uint8_t *src, uint8_t factor, size_t len)
{
    if (factor <= 1) {
        if (factor == 1) {
            xor_row(dst, src, len);
        }
        return;
    }
    const vec_factor f = factor_load(factor);
    size_t i = 0;
    for (; i + VEC_BYTES <= len; i += VEC_BYTES) {
        store(dst + i, load(dst + i) ^ factor_apply(f, load(src + i)));
    }
    for (; i < len; i++) {
        dst[i] ^= mul_byte(src[i], factor);
    }
}

#include "gf256_gather_internal.h"

/* `outs` outputs from `first` on, `n` vectors at `at` of each: an input is loaded once for all. */
RQ_INLINE void product_chunk(const int outs, const int n, const bool whole, const asx_rq_product *p,
                             uint32_t first, size_t at, size_t len)
{
    vec sum[4][4];
    uint8_t *out[4];
    const uint8_t *factors[4];
    RQ_UNROLL
    for (int o = 0; o < outs; o++) {
        const uint32_t i = first + (uint32_t)o;
        out[o] = p->out + (p->out_row != NULL ? p->out_row[i] : i) * p->out_stride + at;
        factors[o] = p->factors + i * p->factor_stride;
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            const size_t from = (size_t)v * VEC_BYTES;
            if (!p->add) {
                sum[o][v] = (vec){ 0 };
            } else {
                sum[o][v] = whole ? load(out[o] + from)
                                  : load_part(out[o] + from, bytes_left(len, at + from));
            }
        }
    }
    for (uint32_t j = 0; j < p->inputs; j++) {
        const uint8_t *in = p->in + (p->in_row != NULL ? p->in_row[j] : j) * p->in_stride + at;
        vec x[4];
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            const size_t from = (size_t)v * VEC_BYTES;
            x[v] = whole ? load(in + from) : load_part(in + from, bytes_left(len, at + from));
        }
        RQ_UNROLL
        for (int o = 0; o < outs; o++) {
            const vec_factor f = factor_load(factors[o][j]);
            RQ_UNROLL
            for (int v = 0; v < n; v++) {
                sum[o][v] ^= factor_apply(f, x[v]);
            }
        }
    }
    RQ_UNROLL
    for (int o = 0; o < outs; o++) {
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            const size_t from = (size_t)v * VEC_BYTES;
            if (whole) {
                store(out[o] + from, sum[o][v]);
            } else {
                store_part(out[o] + from, sum[o][v], bytes_left(len, at + from));
            }
        }
    }
}

/* One column of all outputs: while it lasts, the inputs' part stays in the first-level cache. */
RQ_INLINE void product_column(const int n, const bool whole, const asx_rq_product *p, size_t at,
                              size_t len)
{
    uint32_t i = 0;
    for (; i + 4 <= p->outputs; i += 4) {
        product_chunk(4, n, whole, p, i, at, len);
    }
    for (; i + 2 <= p->outputs; i += 2) {
        product_chunk(2, n, whole, p, i, at, len);
    }
    for (; i < p->outputs; i++) {
        product_chunk(1, n, whole, p, i, at, len);
    }
}

RQ_FN void product(const asx_rq_product *p, size_t len)
{
    size_t at = 0;
#if VEC_BYTES == 64
    for (; at + 4 * VEC_BYTES <= len; at += 4 * VEC_BYTES) {
        product_column(4, true, p, at, len);
    }
#endif
    for (; at + 2 * VEC_BYTES <= len; at += 2 * VEC_BYTES) {
        product_column(2, true, p, at, len);
    }
    for (; at + VEC_BYTES <= len; at += VEC_BYTES) {
        product_column(1, true, p, at, len);
    }
    if (at < len) {
        product_column(1, false, p, at, len);
    }
}

#include "gf256_hdpc_internal.h"

#if !defined(VEC_FAST_PRODUCT)
#define VEC_FAST_PRODUCT false
#endif

const asx_rq_kernel KERNEL = { .name = KERNEL_NAME,
                               .has_fast_product = VEC_FAST_PRODUCT,
                               .xor_row = xor_row,
                               .mul_row = mul_row,
                               .muladd_row = muladd_row,
                               .gather = gather,
                               .sum = sum,
                               .sum_each = sum_each,
                               .product = product,
                               .hdpc = hdpc,
                               .hdpc_bits = hdpc_bits };
