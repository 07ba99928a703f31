/* Sums of slab rows: a gather program, and sums that leave the slab.
 * A part of gf256_template_internal.h, which says what stands around it; no guard either. */

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
