/* The HDPC rows, by their recurrence over the columns.
 * A part of gf256_template_internal.h, which says what stands around it; no guard either. */

#define HDPC_SUMS_MAX 16

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
