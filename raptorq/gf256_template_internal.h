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

#define HDPC_SUMS_MAX 16

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

/* A constant width leaves only the chunks it needs. */
RQ_INLINE void gather_op(const size_t width, uint8_t *slab, uint32_t target, const uint16_t *rows,
                         uint32_t count, const uint8_t *fed, size_t exact)
{
    size_t at = 0;
    for (; at + VEC_MANY * VEC_BYTES <= width; at += VEC_MANY * VEC_BYTES) {
        gather_chunk(VEC_MANY, slab, width, at, target, rows, count, fed, exact);
    }
#if VEC_MANY > 8
    for (; at + 8 * VEC_BYTES <= width; at += 8 * VEC_BYTES) {
        gather_chunk(8, slab, width, at, target, rows, count, fed, exact);
    }
#endif
    for (; at + 4 * VEC_BYTES <= width; at += 4 * VEC_BYTES) {
        gather_chunk(4, slab, width, at, target, rows, count, fed, exact);
    }
    for (; at + 2 * VEC_BYTES <= width; at += 2 * VEC_BYTES) {
        gather_chunk(2, slab, width, at, target, rows, count, fed, exact);
    }
    for (; at < width; at += VEC_BYTES) {
        gather_chunk(1, slab, width, at, target, rows, count, fed, exact);
    }
}

/* Fetches the symbol that the program asks for some operations later. */
RQ_INLINE void fetch_ahead(const asx_rq_feed *feed, uint32_t index)
{
    enum { AHEAD = 8 };
    if (index + AHEAD < feed->order_len) {
        const uint8_t *coming = asx_rq_feed_at(feed, feed->order[index + AHEAD]);
        for (size_t at = 0; coming != NULL && at < feed->exact; at += 64) {
            __builtin_prefetch(coming + at);
        }
    }
}

RQ_INLINE void gather_program(const uint16_t *op, const uint16_t *end, uint8_t *slab,
                              const size_t width, const asx_rq_feed *feed)
{
    const uint8_t *packed = feed->packed;
    const size_t exact = packed != NULL ? width : feed->exact;
    uint32_t index = 0;
    while (op < end) {
        const uint32_t count = op[0] & ASX_RQ_GATHER_COUNT;
        const bool is_fed = (op[0] & ASX_RQ_GATHER_FED) != 0;
        const uint32_t target = op[1];
        const uint8_t *fed = NULL;
        op += 2;
        if (is_fed && packed != NULL) {
            fed = packed;
            packed += width;
            op += 2;
        } else if (is_fed) {
            fed = asx_rq_feed_at(feed, op[0] | (uint32_t)op[1] << 16);
            fetch_ahead(feed, index++);
            op += 2;
        }
        gather_op(width, slab, target, op, count, fed, exact);
        op += count;
    }
}

RQ_FN void gather(const uint16_t *op, const uint16_t *end, uint8_t *slab, size_t width,
                  const asx_rq_feed *feed)
{
    switch (width) {
    case 64:
        gather_program(op, end, slab, 64, feed);
        break;
    case 128:
        gather_program(op, end, slab, 128, feed);
        break;
    case 256:
        gather_program(op, end, slab, 256, feed);
        break;
    default:
        gather_program(op, end, slab, width, feed);
        break;
    }
}

RQ_INLINE void sum_chunk(const int n, const bool past, uint8_t *dst, size_t len,
                         const uint8_t *slab, const size_t width, size_t offset,
                         const uint16_t *rows, uint32_t count)
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
        if (past) {
            store_past(dst + at, sum[v]);
        } else {
            store_part(dst + at, sum[v], bytes_left(len, at));
        }
    }
}

RQ_INLINE void sum_row(const bool past, uint8_t *dst, const size_t len, const uint8_t *slab,
                       const size_t width, const uint16_t *rows, uint32_t count)
{
    size_t at = 0;
    for (; at + 4 * VEC_BYTES <= len; at += 4 * VEC_BYTES) {
        sum_chunk(4, past, dst, len, slab, width, at, rows, count);
    }
    for (; at + 2 * VEC_BYTES <= len; at += 2 * VEC_BYTES) {
        sum_chunk(2, past, dst, len, slab, width, at, rows, count);
    }
    for (; at < len; at += VEC_BYTES) {
        sum_chunk(1, past, dst, len, slab, width, at, rows, count);
    }
}

RQ_FN void sum(uint8_t *dst, size_t len, const uint8_t *slab, size_t width, const uint16_t *rows,
               uint32_t count)
{
    sum_row(false, dst, len, slab, width, rows, count);
}

RQ_INLINE void sum_rows(const asx_rq_sums *s, const size_t len, const size_t width)
{
    const uint16_t *entry = s->list;
    const bool past =
        s->is_last_use && len % 64 == 0 && s->out_stride % 64 == 0 && (uintptr_t)s->out % 64 == 0;
    for (uint32_t i = 0; i < s->count; i++, entry += 1 + entry[0]) {
        uint8_t *dst = s->out + (s->out_row != NULL ? s->out_row[i] : i) * s->out_stride;
        if (past) {
            sum_row(true, dst, len, s->slab, width, entry + 1, entry[0]);
        } else {
            sum_row(false, dst, len, s->slab, width, entry + 1, entry[0]);
        }
    }
    if (past) {
        settle();
    }
}

RQ_FN void sum_each(const asx_rq_sums *sums, size_t len)
{
    if (len == 128 && sums->width == 128) {
        sum_rows(sums, 128, 128);
    } else if (len == 256 && sums->width == 256) {
        sum_rows(sums, 256, 256);
    } else {
        sum_rows(sums, len, sums->width);
    }
}

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

/* One step of the recurrence, without the sums. */
RQ_INLINE void hdpc_step(const int n, vec *w, uint32_t row, const uint8_t *column, size_t width)
{
    RQ_UNROLL
    for (int v = 0; v < n; v++) {
        w[v] = vec_double(w[v]);
    }
    if (row != ASX_RQ_ROW_NONE) {
        const uint8_t *source = column + row * width;
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            w[v] ^= load(source + (size_t)v * VEC_BYTES);
        }
    }
}

RQ_INLINE void add_to(const int n, uint8_t *dst, const vec *w)
{
    RQ_UNROLL
    for (int v = 0; v < n; v++) {
        const size_t at = (size_t)v * VEC_BYTES;
        store(dst + at, load(dst + at) ^ w[v]);
    }
}

/* What the last column adds: alpha^row of it to each sum. */
RQ_INLINE void hdpc_last(const int n, const asx_rq_hdpc *hdpc, vec *w, uint8_t *column,
                         size_t width)
{
    for (uint32_t h = 0; h < hdpc->sums; h++) {
        add_to(n, column + h * width, w);
        RQ_UNROLL
        for (int v = 0; v < n; v++) {
            w[v] = vec_double(w[v]);
        }
    }
}

RQ_INLINE void hdpc_chunk(const int n, const asx_rq_hdpc *hdpc, const uint8_t *slab, size_t width,
                          size_t offset, uint8_t *sums)
{
    vec w[2] = { 0 };
    const uint32_t last = hdpc->columns - 1;
    for (uint32_t j = 0; j < last; j++) {
        hdpc_step(n, w, hdpc->row[j], slab + offset, width);
        add_to(n, sums + hdpc->pairs[2 * j] * width + offset, w);
        add_to(n, sums + hdpc->pairs[2 * j + 1] * width + offset, w);
    }
    hdpc_step(n, w, hdpc->row[last], slab + offset, width);
    hdpc_last(n, hdpc, w, sums + offset, width);
}

/* With many columns each pair of sums comes often: adding to one sum for the pair halves the
 * stores, which are what this pass waits for. */
RQ_INLINE void hdpc_paired_chunk(const int n, const asx_rq_hdpc *hdpc, const uint8_t *slab,
                                 size_t width, size_t offset, uint8_t *sums)
{
    enum { PAIRS = HDPC_SUMS_MAX * (HDPC_SUMS_MAX - 1) / 2 };
    uint8_t paired[PAIRS * 2 * VEC_BYTES] __attribute__((aligned(64)));
    const size_t size = (size_t)n * VEC_BYTES;
    memset(paired, 0, hdpc->sums * (hdpc->sums - 1) / 2 * size);
    vec w[2] = { 0 };
    const uint32_t last = hdpc->columns - 1;
    for (uint32_t j = 0; j < last; j++) {
        hdpc_step(n, w, hdpc->row[j], slab + offset, width);
        const uint32_t a = hdpc->pairs[2 * j], b = hdpc->pairs[2 * j + 1];
        const uint32_t high = a > b ? a : b, low = a > b ? b : a;
        add_to(n, paired + (high * (high - 1) / 2 + low) * size, w);
    }
    const uint8_t *pair = paired;
    for (uint32_t high = 1; high < hdpc->sums; high++) {
        for (uint32_t low = 0; low < high; low++, pair += size) {
            vec both[2];
            RQ_UNROLL
            for (int v = 0; v < n; v++) {
                both[v] = load(pair + (size_t)v * VEC_BYTES);
            }
            add_to(n, sums + high * width + offset, both);
            add_to(n, sums + low * width + offset, both);
        }
    }
    hdpc_step(n, w, hdpc->row[last], slab + offset, width);
    hdpc_last(n, hdpc, w, sums + offset, width);
}

RQ_FN void hdpc(const asx_rq_hdpc *hdpc_rows, const uint8_t *slab, size_t width, uint8_t *sums)
{
    const uint32_t count = hdpc_rows->sums;
    asx_assert_le(count, HDPC_SUMS_MAX);
    memset(sums, 0, count * width);
    const bool many = hdpc_rows->columns > 2 * count * (count - 1);
    size_t at = 0;
    for (; at + 2 * VEC_BYTES <= width; at += 2 * VEC_BYTES) {
        if (many) {
            hdpc_paired_chunk(2, hdpc_rows, slab, width, at, sums);
        } else {
            hdpc_chunk(2, hdpc_rows, slab, width, at, sums);
        }
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
