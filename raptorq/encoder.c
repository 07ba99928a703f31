#include <asx/raptorq/encoder.h>
#include <asx/raptorq/replay.h>
#include <asx/raptorq/tuple.h>
#include <asx/shard/base/assert.h>

#include <stdbool.h>
#include <string.h>

struct asx_rq_encoder {
    asx_rq_block block;
    asx_rq_plan *plan;
    const asx_rq_kernel *kernel;
    const uint8_t *source;
    uint8_t *slab;     /* NULL until the first prepare */
    uint8_t *padded;   /* the last symbol, or with N > 1 the whole block, with its zeros */
    size_t padded_cap; /* bytes of it */
    bool is_short;     /* the source ends inside the last symbol */
    bool is_ready;     /* the slab holds the intermediate symbols */
    asx_rq_alloc alloc;
    const asx_rq_alloc *alloc_ptr; /* NULL or &alloc */
};

asx_err asx_rq_encoder_create(asx_rq_encoder **result, const asx_rq_block *block, asx_rq_plan *plan,
                              const asx_rq_alloc *alloc)
{
    asx_rq_encoder *encoder = asx_rq_alloc_get(alloc, sizeof(*encoder));
    if (encoder == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    *encoder = (asx_rq_encoder){ .block = *block,
                                 .plan = plan != NULL ? asx_rq_plan_ref(plan) : NULL,
                                 .kernel = asx_rq_kernel_get() };
    if (alloc != NULL) {
        encoder->alloc = *alloc;
        encoder->alloc_ptr = &encoder->alloc;
    }
    *result = encoder;
    return ASX_OK;
}

void asx_rq_encoder_destroy(asx_rq_encoder *encoder)
{
    if (encoder == NULL) {
        return;
    }
    const asx_rq_alloc alloc = encoder->alloc;
    const asx_rq_alloc *ptr = encoder->alloc_ptr != NULL ? &alloc : NULL;
    asx_rq_plan_unref(encoder->plan);
    asx_rq_alloc_put(ptr, encoder->slab, asx_rq_block_slab_size(&encoder->block));
    asx_rq_alloc_put(ptr, encoder->padded, encoder->padded_cap);
    asx_rq_alloc_put(ptr, encoder, sizeof(*encoder));
}

static asx_err pad(asx_rq_encoder *encoder, const uint8_t *source, size_t len)
{
    const asx_rq_block *block = &encoder->block;
    const size_t full = (size_t)block->param.k * block->symbol_size;
    const size_t skipped = block->sub_blocks > 1 ? 0 : full - block->symbol_size;
    if (encoder->padded == NULL) {
        encoder->padded_cap = full - skipped;
        encoder->padded = asx_rq_alloc_get(encoder->alloc_ptr, encoder->padded_cap);
        if (encoder->padded == NULL) {
            return ASX_RQ_E(NO_MEMORY);
        }
    }
    memcpy(encoder->padded, source + skipped, len - skipped);
    memset(encoder->padded + (len - skipped), 0, full - len);
    return ASX_OK;
}

asx_err asx_rq_encoder_load(asx_rq_encoder *encoder, const void *source, size_t len)
{
    const asx_rq_block *block = &encoder->block;
    const size_t full = (size_t)block->param.k * block->symbol_size;
    if (len > full || full - len >= block->symbol_size) {
        return ASX_RQ_E(BAD_SIZE);
    }
    encoder->source = source;
    encoder->is_ready = false;
    encoder->is_short = len < full;
    if (encoder->is_short) {
        const asx_err err = pad(encoder, source, len);
        if (err != ASX_OK) {
            return err;
        }
        if (block->sub_blocks > 1) {
            encoder->source = encoder->padded;
            encoder->is_short = false;
        }
    }
    return ASX_OK;
}

static void prepare_stripe(void *arg, uint32_t index)
{
    const asx_rq_encoder *encoder = arg;
    const asx_rq_stripe stripe = asx_rq_block_stripe(&encoder->block, index);
    const uint32_t k = encoder->block.param.k;
    const asx_rq_feed feed = {
        .first = encoder->source + stripe.source_offset,
        .first_stride = stripe.source_stride,
        .second = encoder->is_short ? encoder->padded + stripe.symbol_offset : NULL,
        .split = encoder->is_short ? k - 1 : k,
        .end = k,
        .exact = stripe.exact,
    };
    asx_rq_replay(encoder->plan, encoder->kernel, encoder->slab + stripe.slab_offset, stripe.width,
                  &feed);
}

asx_err asx_rq_encoder_prepare(asx_rq_encoder *encoder, const asx_rq_executor *executor)
{
    asx_assert(encoder->source != NULL);
    if (encoder->is_ready) {
        return ASX_OK;
    }
    if (encoder->plan == NULL) {
        const asx_err err =
            asx_rq_plan_encode(&encoder->plan, &encoder->block.param, encoder->alloc_ptr);
        if (err != ASX_OK) {
            return err;
        }
    }
    if (encoder->slab == NULL) {
        encoder->slab =
            asx_rq_alloc_get(encoder->alloc_ptr, asx_rq_block_slab_size(&encoder->block));
        if (encoder->slab == NULL) {
            return ASX_RQ_E(NO_MEMORY);
        }
    }
    asx_rq_executor_run(executor, encoder->block.stripes, prepare_stripe, encoder);
    encoder->is_ready = true;
    return ASX_OK;
}

asx_err asx_rq_encoder_symbol(asx_rq_encoder *encoder, uint32_t esi, void *symbol)
{
    const asx_rq_block *block = &encoder->block;
    asx_assert(encoder->source != NULL);
    if (esi > ASX_RQ_ESI_MAX) {
        return ASX_RQ_E(BAD_ESI);
    }
    if (esi < block->param.k) {
        if (encoder->is_short && esi == block->param.k - 1) {
            memcpy(symbol, encoder->padded, block->symbol_size);
        } else {
            asx_rq_block_get(block, encoder->source, esi, symbol);
        }
        return ASX_OK;
    }
    const asx_err err = asx_rq_encoder_prepare(encoder, NULL);
    if (err != ASX_OK) {
        return err;
    }
    uint16_t rows[ASX_RQ_SUPPORT_MAX];
    const uint32_t count =
        asx_rq_plan_support(encoder->plan, &block->param, asx_rq_isi(&block->param, esi), rows);
    for (uint32_t i = 0; i < block->stripes; i++) {
        const asx_rq_stripe stripe = asx_rq_block_stripe(block, i);
        encoder->kernel->sum((uint8_t *)symbol + stripe.symbol_offset, stripe.exact,
                             encoder->slab + stripe.slab_offset, stripe.width, rows, count);
    }
    return ASX_OK;
}
