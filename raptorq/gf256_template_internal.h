/* The kernels, written once over vectors; included by one file for each instruction set, which
 * defines:
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

/* One chunk of one operation: `n` vectors at `offset` of every row. n is a constant where this is
 * called, so that the sums live in registers. */
RQ_INLINE void gather_chunk(const int n, uint8_t *slab, size_t width, size_t offset,
                            uint32_t target, const uint16_t *rows, uint32_t count,
                            const uint8_t *fed, size_t exact)
{
    vec sum[VEC_MANY];
    if (fed == NULL) {
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            sum[v] = (vec){ 0 };
        }
    } else if (asx_likely(offset + (size_t)n * VEC_BYTES <= exact)) {
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            sum[v] = load(fed + offset + (size_t)v * VEC_BYTES);
        }
    } else {
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            const size_t at = offset + (size_t)v * VEC_BYTES;
            sum[v] = load_part(fed + at, bytes_left(exact, at));
        }
    }
    const uint8_t *column = slab + offset;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *source = column + rows[i] * width;
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            sum[v] ^= load(source + (size_t)v * VEC_BYTES);
        }
    }
    uint8_t *dst = slab + target * width + offset;
    RQ_UNROLL
    for (int v = 0; v < n; v++) {
        store(dst + (size_t)v * VEC_BYTES, sum[v]);
    }
}

RQ_FN void gather(const uint16_t *op, const uint16_t *end, uint8_t *slab, size_t width,
                  const asx_rq_feed *feed)
{
    while (op < end) {
        const uint32_t count = op[0] & ASX_RQ_GATHER_COUNT;
        const bool is_fed = (op[0] & ASX_RQ_GATHER_FED) != 0;
        const uint32_t target = op[1];
        const uint8_t *fed = NULL;
        op += 2;
        if (is_fed) {
            const uint32_t number = op[0] | (uint32_t)op[1] << 16;
            if (asx_likely(number < feed->split)) {
                fed = feed->first + number * feed->first_stride;
            } else if (number < feed->end) {
                fed = feed->second + (number - feed->split) * feed->second_stride;
            }
            op += 2;
        }
        const size_t exact = feed->exact;
        size_t at = 0;
        for (; at + VEC_MANY * VEC_BYTES <= width; at += VEC_MANY * VEC_BYTES) {
            gather_chunk(VEC_MANY, slab, width, at, target, op, count, fed, exact);
        }
#if VEC_MANY > 5
        for (; at + 5 * VEC_BYTES <= width; at += 5 * VEC_BYTES) {
            gather_chunk(5, slab, width, at, target, op, count, fed, exact);
        }
#endif
        for (; at + 4 * VEC_BYTES <= width; at += 4 * VEC_BYTES) {
            gather_chunk(4, slab, width, at, target, op, count, fed, exact);
        }
        for (; at + 2 * VEC_BYTES <= width; at += 2 * VEC_BYTES) {
            gather_chunk(2, slab, width, at, target, op, count, fed, exact);
        }
        for (; at < width; at += VEC_BYTES) {
            gather_chunk(1, slab, width, at, target, op, count, fed, exact);
        }
        op += count;
    }
}

RQ_INLINE void sum_chunk(const int n, uint8_t *dst, size_t len, const uint8_t *slab, size_t width,
                         size_t offset, const uint16_t *rows, uint32_t count)
{
    vec sum[4] = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *source = slab + rows[i] * width + offset;
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            sum[v] ^= load(source + (size_t)v * VEC_BYTES);
        }
    }
    RQ_UNROLL
    for (int v = 0; v < n; v++) {
        const size_t at = offset + (size_t)v * VEC_BYTES;
        store_part(dst + at, sum[v], bytes_left(len, at));
    }
}

RQ_FN void sum(uint8_t *dst, size_t len, const uint8_t *slab, size_t width, const uint16_t *rows,
               uint32_t count)
{
    size_t at = 0;
    for (; at + 4 * VEC_BYTES <= len; at += 4 * VEC_BYTES) {
        sum_chunk(4, dst, len, slab, width, at, rows, count);
    }
    for (; at < len; at += VEC_BYTES) {
        sum_chunk(1, dst, len, slab, width, at, rows, count);
    }
}

RQ_INLINE void combine_chunk(const int n, uint8_t *dst, size_t len, const uint8_t *slab,
                             size_t width, size_t offset, const uint16_t *rows,
                             const uint8_t *factors, uint32_t count, bool add)
{
    vec sum[4];
    RQ_UNROLL
    for (int v = 0; v < n; v++) {
        const size_t at = offset + (size_t)v * VEC_BYTES;
        sum[v] = add ? load_part(dst + at, bytes_left(len, at)) : (vec){ 0 };
    }
    for (uint32_t i = 0; i < count; i++) {
        if (factors[i] == 0) {
            continue;
        }
        const vec_factor f = factor_load(factors[i]);
        const uint8_t *source = slab + (rows != NULL ? rows[i] : i) * width + offset;
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            sum[v] ^= factor_apply(f, load(source + (size_t)v * VEC_BYTES));
        }
    }
    RQ_UNROLL
    for (int v = 0; v < n; v++) {
        const size_t at = offset + (size_t)v * VEC_BYTES;
        store_part(dst + at, sum[v], bytes_left(len, at));
    }
}

RQ_FN void combine(uint8_t *dst, size_t len, const uint8_t *slab, size_t width,
                   const uint16_t *rows, const uint8_t *factors, uint32_t count, int add)
{
    size_t at = 0;
    for (; at + 4 * VEC_BYTES <= len; at += 4 * VEC_BYTES) {
        combine_chunk(4, dst, len, slab, width, at, rows, factors, count, add != 0);
    }
    for (; at < len; at += VEC_BYTES) {
        combine_chunk(1, dst, len, slab, width, at, rows, factors, count, add != 0);
    }
}

RQ_INLINE void hdpc_chunk(const int n, const asx_rq_hdpc *hdpc, const uint8_t *slab, size_t width,
                          size_t offset, uint8_t *sums)
{
    vec w[4] = { 0 };
    const uint32_t last = hdpc->columns - 1;
    for (uint32_t j = 0; j < hdpc->columns; j++) {
        const uint32_t row = hdpc->row[j];
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            w[v] = vec_double(w[v]);
        }
        if (row != ASX_RQ_ROW_NONE) {
            const uint8_t *source = slab + row * width + offset;
            RQ_UNROLL
            for (int v = 0; v < n; v++) {
                w[v] ^= load(source + (size_t)v * VEC_BYTES);
            }
        }
        if (j == last) {
            break;
        }
        uint8_t *a = sums + hdpc->pairs[2 * j] * width + offset;
        uint8_t *b = sums + hdpc->pairs[2 * j + 1] * width + offset;
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            const size_t at = (size_t)v * VEC_BYTES;
            store(a + at, load(a + at) ^ w[v]);
            store(b + at, load(b + at) ^ w[v]);
        }
    }
    for (uint32_t h = 0; h < hdpc->sums; h++) {
        uint8_t *a = sums + h * width + offset;
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            const size_t at = (size_t)v * VEC_BYTES;
            store(a + at, load(a + at) ^ w[v]);
            w[v] = vec_double(w[v]);
        }
    }
}

RQ_FN void hdpc(const asx_rq_hdpc *hdpc_rows, const uint8_t *slab, size_t width, uint8_t *sums)
{
    memset(sums, 0, hdpc_rows->sums * width);
    size_t at = 0;
    for (; at + 4 * VEC_BYTES <= width; at += 4 * VEC_BYTES) {
        hdpc_chunk(4, hdpc_rows, slab, width, at, sums);
    }
    for (; at < width; at += VEC_BYTES) {
        hdpc_chunk(1, hdpc_rows, slab, width, at, sums);
    }
}

RQ_FN void hdpc_bits(uint8_t *w, uint8_t *a, uint8_t *b, const uint64_t *bits, size_t len)
{
    uint8_t bytes[64];
    for (size_t at = 0; at < len; at += 64) {
        const uint64_t word = bits[at / 64];
        for (size_t i = 0; i < 8; i++) {
            /* bit k of the byte becomes the lowest bit of byte k */
            const uint64_t spread =
                ((((word >> (8 * i)) & 255) * UINT64_C(0x8040201008040201) >> 7) &
                 UINT64_C(0x0101010101010101));
            memcpy(bytes + 8 * i, &(uint64_t){ __builtin_bswap64(spread) }, 8);
        }
        for (size_t i = 0; i < 64; i += VEC_BYTES) {
            const vec next = vec_double(load(w + at + i)) ^ load(bytes + i);
            store(w + at + i, next);
            store(a + at + i, load(a + at + i) ^ next);
            store(b + at + i, load(b + at + i) ^ next);
        }
    }
}

const asx_rq_kernel KERNEL = { .name = KERNEL_NAME,
                               .xor_row = xor_row,
                               .mul_row = mul_row,
                               .muladd_row = muladd_row,
                               .gather = gather,
                               .sum = sum,
                               .combine = combine,
                               .hdpc = hdpc,
                               .hdpc_bits = hdpc_bits };
