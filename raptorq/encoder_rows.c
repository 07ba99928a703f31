/* Repair symbols of small blocks straight from the source.
 *
 * A repair symbol is a combination of the source symbols with coefficients that depend on K' and
 * on its number alone. Replaying the plan on unit vectors, one byte column a source symbol, gives
 * every intermediate symbol as such a row; a repair symbol's row is the sum of some seven of them.
 * With the rows kept, a few repair symbols cost one product with the source, and so do all the
 * intermediate symbols of the smallest blocks, whose plans do more work than L products. */
#include <asx/raptorq/replay.h>
#include <asx/shard/base/bits.h>

#include "encoder_internal.h"

#include <string.h>

/* A symbol costs K products, all intermediate ones about 20 sums a source symbol and what HDPC
 * takes: measured, the two meet between 30 and 60 symbols for every such K. */
enum { ROWS_K_MAX = 320, ROWS_COUNT_MAX = 24 };

/* Where a product costs no more than a sum: up to here L of them take less time than the plan. */
enum { DIRECT_K_MAX = 12 };

bool asxi_encoder_wants_rows(const asx_rq_encoder *encoder, uint32_t count)
{
    return encoder->block.param.k_prime <= ROWS_K_MAX && count <= ROWS_COUNT_MAX;
}

bool asxi_encoder_is_direct(const asx_rq_encoder *encoder)
{
    return encoder->block.param.k_prime <= DIRECT_K_MAX && encoder->kernel->has_fast_product;
}

static size_t row_width(const asx_rq_encoder *encoder)
{
    return asx_align_up(encoder->block.param.k_prime, 64);
}

asx_err asxi_encoder_units(asx_rq_encoder *encoder)
{
    const asx_rq_param *param = &encoder->block.param;
    const size_t width = row_width(encoder);
    if (encoder->has_units) {
        return ASX_OK;
    }
    const size_t size = param->k_prime * width;
    uint8_t *unit = asx_rq_alloc_get(encoder->alloc_ptr, size);
    asx_err err = ASX_RQ_E(NO_MEMORY);
    if (unit != NULL && asxi_scratch_grow(encoder->alloc_ptr, &encoder->units,
                                          ((size_t)param->l + param->h) * width)) {
        memset(unit, 0, size);
        for (uint32_t i = 0; i < param->k_prime; i++) {
            unit[i * width + i] = 1;
        }
        const asx_rq_feed feed = { .first = unit,
                                   .first_stride = width,
                                   .split = param->k_prime,
                                   .end = param->k_prime,
                                   .exact = (uint32_t)width };
        asx_rq_replay(encoder->plan, encoder->kernel, encoder->units.at, width, &feed, NULL);
        encoder->has_units = true;
        err = ASX_OK;
    }
    asx_rq_alloc_put(encoder->alloc_ptr, unit, size);
    return err;
}

static asx_err make_rows(asx_rq_encoder *encoder, uint32_t esi, uint32_t count)
{
    const asx_rq_param *param = &encoder->block.param;
    const size_t width = row_width(encoder);
    if (encoder->rows_esi == esi && encoder->rows_count == count) {
        return ASX_OK;
    }
    const asx_err err = asxi_encoder_units(encoder);
    encoder->rows_count = 0;
    if (err != ASX_OK) {
        return err;
    }
    if (!asxi_scratch_grow(encoder->alloc_ptr, &encoder->rows, count * width)) {
        return ASX_RQ_E(NO_MEMORY);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint16_t support[ASX_RQ_SUPPORT_MAX];
        const uint32_t len =
            asx_rq_plan_support(encoder->plan, param, asx_rq_isi(param, esi + i), support);
        encoder->kernel->sum(encoder->rows.at + i * width, width, encoder->units.at, width, support,
                             len);
    }
    encoder->rows_esi = esi;
    encoder->rows_count = count;
    return ASX_OK;
}

/* Combinations of one stripe's source, a row of factors each. */
static void combine(const asx_rq_encoder *encoder, const asx_rq_stripe *stripe,
                    asx_rq_product product)
{
    const asx_rq_feed feed = asxi_encoder_feed(encoder, stripe);
    product.factor_stride = row_width(encoder);
    product.inputs = feed.split;
    product.in = feed.first;
    product.in_stride = feed.first_stride;
    encoder->kernel->product(&product, stripe->exact);
    if (feed.split < feed.end) {
        product.inputs = feed.end - feed.split;
        product.factors += feed.split;
        product.in = feed.second;
        product.add = true;
        encoder->kernel->product(&product, stripe->exact);
    }
}

void asxi_encoder_direct(const asx_rq_encoder *encoder, const asx_rq_stripe *stripe, uint8_t *slab)
{
    combine(encoder, stripe,
            (asx_rq_product){ .outputs = encoder->block.param.l,
                              .factors = encoder->units.at,
                              .out = slab,
                              .out_stride = stripe->width });
}

asx_err asxi_encoder_rows(asx_rq_encoder *encoder, uint32_t esi, uint32_t count, uint8_t *symbols)
{
    const asx_rq_block *block = &encoder->block;
    const asx_err err = make_rows(encoder, esi, count);
    if (err != ASX_OK) {
        return err;
    }
    for (uint32_t i = 0; i < block->stripes; i++) {
        const asx_rq_stripe stripe = asx_rq_block_stripe(block, i);
        combine(encoder, &stripe,
                (asx_rq_product){ .outputs = count,
                                  .factors = encoder->rows.at,
                                  .out = symbols + stripe.symbol_offset,
                                  .out_stride = block->symbol_size });
    }
    return ASX_OK;
}
