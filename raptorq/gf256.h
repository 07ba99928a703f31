/* Kernels over GF(2^8): sums, products and linear combinations of byte rows.
 *
 * Model.   Polynomial 0x11D, generator 2. A kernel is one table of functions for one instruction
 *          set; all tables give equal bytes for every length and alignment.
 * Rows.    A slab is rows of `width` bytes one after the other, width a multiple of 64, start
 *          aligned to 64. Row numbers have 16 bits. Sums are kept in registers over all sources
 *          and stored once: that form is several times faster than adding row to row.
 * Choice.  Once, at the first call: the best the processor has, or what ASX_GF256 names (plain,
 *          ssse3, avx2, avx512, neon); an unknown or unsupported name is ignored.
 */
#ifndef ASX_RAPTORQ_GF256_H
#define ASX_RAPTORQ_GF256_H

#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

/* Where a gather finds the symbols that are no row of the slab: two runs of equally spaced symbols,
 * the second from number `split` on; from number `end` on they are zero. */
typedef struct asx_rq_feed {
    const uint8_t *first;
    size_t first_stride;
    const uint8_t *second;
    size_t second_stride;
    uint32_t split, end;
    uint32_t exact; /* bytes that may be read at each; the row's other bytes are taken as zero */
    /* When set, whole rows of the slab's width, one for each fed operation in the program's order:
     * then nothing above counts. */
    const uint8_t *packed;
    /* When set, the numbers that the program asks for, in its order: they are fetched ahead. */
    const uint32_t *order;
    uint32_t order_len;
} asx_rq_feed;

/* Where symbol `number` is; NULL when it is zero. */
ASX_INLINE const uint8_t *asx_rq_feed_at(const asx_rq_feed *feed, uint32_t number)
{
    if (number < feed->split) {
        return feed->first + number * feed->first_stride;
    }
    return number < feed->end ? feed->second + (number - feed->split) * feed->second_stride : NULL;
}

/* A gather program is a run of 16-bit words, an operation being
 *   [count | ASX_RQ_GATHER_FED] [target row] ([feed low] [feed high])? [source row]{count}
 * and setting the target to the sum of its sources and of the fed symbol, if any. */
#define ASX_RQ_GATHER_FED 0x8000u
#define ASX_RQ_GATHER_COUNT 0x7FFFu

#define ASX_RQ_ROW_NONE 0xFFFFu

/* The HDPC rows of the constraint matrix as their recurrence over columns, left to right:
 * w = 2 w + column, added to two of the sums. */
typedef struct asx_rq_hdpc {
    uint32_t columns;     /* K' + S */
    uint32_t sums;        /* H */
    const uint16_t *row;  /* slab row of each column, or ASX_RQ_ROW_NONE for zero */
    const uint8_t *pairs; /* two sums for each column but the last */
} asx_rq_hdpc;

/* Many sums of slab rows. */
typedef struct asx_rq_sums {
    const uint16_t *list; /* for each output: how many rows, then the rows */
    uint32_t count;       /* outputs */
    const uint8_t *slab;
    size_t width;
    uint8_t *out;
    size_t out_stride;
    const uint16_t *out_row; /* which row output i is; NULL: i */
    bool is_last_use;        /* the outputs are not read soon: keep them out of the caches */
} asx_rq_sums;

/* A matrix times rows, the rows being spaced equally in memory. */
typedef struct asx_rq_product {
    uint32_t outputs, inputs;
    const uint8_t *factors; /* of input j in output i: factors[i * factor_stride + j] */
    size_t factor_stride;
    const uint8_t *in;
    size_t in_stride;
    const uint16_t *in_row; /* which row input j is; NULL: j */
    uint8_t *out;
    size_t out_stride;
    const uint16_t *out_row; /* which row output i is; NULL: i */
    bool add;                /* to what the outputs hold */
} asx_rq_product;

typedef struct asx_rq_kernel {
    const char *name;
    bool has_fast_product; /* one takes the time of a sum */
    void (*xor_row)(uint8_t *dst, const uint8_t *src, size_t len);
    void (*mul_row)(uint8_t *dst, const uint8_t *src, uint8_t factor, size_t len);
    void (*muladd_row)(uint8_t *dst, const uint8_t *src, uint8_t factor, size_t len);
    /* Runs a gather program over one slab. */
    void (*gather)(const uint16_t *op, const uint16_t *end, uint8_t *slab, size_t width,
                   const asx_rq_feed *feed);
    /* dst = sum of the rows, exactly len bytes written, len <= width */
    void (*sum)(uint8_t *dst, size_t len, const uint8_t *slab, size_t width, const uint16_t *rows,
                uint32_t count);
    /* The same for each output of a list. */
    void (*sum_each)(const asx_rq_sums *sums, size_t len);
    /* Each output is the sum of factor times input; exactly len bytes are read and written. */
    void (*product)(const asx_rq_product *product, size_t len);
    /* sums[i] = HDPC row i times the slab; sums are `hdpc->sums` rows of `width` */
    void (*hdpc)(const asx_rq_hdpc *hdpc, const uint8_t *slab, size_t width, uint8_t *sums);
    /* w = 2 w + bits, a += w, b += w; len a multiple of 64, bits one bit for each byte */
    void (*hdpc_bits)(uint8_t *w, uint8_t *a, uint8_t *b, const uint64_t *bits, size_t len);
} asx_rq_kernel;

/* The kernel of this process. */
const asx_rq_kernel *asx_rq_kernel_get(void);
const char *asx_rq_kernel_name(void);

/* The kernel of that name, or NULL when this build or processor lacks it; NULL asks for the best.
 */
const asx_rq_kernel *asx_rq_kernel_find(const char *name);

uint8_t asx_gf_mul(uint8_t a, uint8_t b);
uint8_t asx_gf_exp(uint32_t power);

/* a != 0 */
uint8_t asx_gf_inv(uint8_t a);

ASX_END_DECLS

#endif
