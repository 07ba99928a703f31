#include <asx/raptorq/encoder.h>
#include <asx/raptorq/replay.h>
#include <asx/shard/base/assert.h>

#include "encoder_internal.h"

#include <string.h>

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
    asxi_scratch_free(ptr, &encoder->slab);
    asxi_scratch_free(ptr, &encoder->work);
    asxi_scratch_free(ptr, &encoder->list);
    asxi_scratch_free(ptr, &encoder->units);
    asxi_scratch_free(ptr, &encoder->rows);
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

asx_rq_feed asxi_encoder_feed(const asx_rq_encoder *encoder, const asx_rq_stripe *stripe)
{
    const uint32_t k = encoder->block.param.k;
    return (asx_rq_feed){
        .first = encoder->source + stripe->source_offset,
        .first_stride = stripe->source_stride,
        .second = encoder->is_short ? encoder->padded + stripe->symbol_offset : NULL,
        .split = encoder->is_short ? k - 1 : k,
        .end = k,
        .exact = stripe->exact,
    };
}

/* The intermediate symbols of one stripe. packed  scratch of L rows, when the block has it */
static void replay_stripe(const asx_rq_encoder *encoder, const asx_rq_stripe *stripe, uint8_t *slab,
                          uint8_t *packed)
{
    if (asxi_encoder_is_direct(encoder)) {
        asxi_encoder_direct(encoder, stripe, slab);
        return;
    }
    const asx_rq_feed feed = asxi_encoder_feed(encoder, stripe);
    asx_rq_replay(encoder->plan, encoder->kernel, slab, stripe->width, &feed,
                  encoder->block.is_packed ? packed : NULL);
}

static void prepare_stripe(void *arg, uint32_t index)
{
    asx_rq_encoder *encoder = arg;
    const asx_rq_stripe stripe = asx_rq_block_stripe(&encoder->block, index);
    uint8_t *packed = encoder->block.is_packed ? asxi_slots_acquire(&encoder->slots) : NULL;
    replay_stripe(encoder, &stripe, encoder->slab.at + stripe.slab_offset, packed);
    if (packed != NULL) {
        asxi_slots_release(&encoder->slots, packed);
    }
}

/* The plan and the memory of a replay over all stripes, whose intermediate symbols are kept or live
 * no longer than their stripe's job. */
static asx_err make_ready(asx_rq_encoder *encoder, bool is_kept, bool is_parallel)
{
    const asx_rq_block *block = &encoder->block;
    const size_t rows = block->param.l + block->param.h;
    const size_t packed = block->is_packed ? (size_t)block->param.l * block->width : 0;
    const size_t part = packed + (is_kept ? 0 : rows * block->width);
    if (encoder->plan == NULL) {
        const asx_err err = asx_rq_plan_encode(&encoder->plan, &block->param, encoder->alloc_ptr);
        if (err != ASX_OK) {
            return err;
        }
    }
    if ((is_kept &&
         !asxi_scratch_grow(encoder->alloc_ptr, &encoder->slab, asx_rq_block_slab_size(block))) ||
        (part > 0 && !asxi_slots_open(&encoder->slots, encoder->alloc_ptr, &encoder->work, part,
                                      block->stripes, is_parallel))) {
        return ASX_RQ_E(NO_MEMORY);
    }
    return asxi_encoder_is_direct(encoder) ? asxi_encoder_units(encoder) : ASX_OK;
}

asx_err asx_rq_encoder_prepare(asx_rq_encoder *encoder, const asx_rq_executor *executor)
{
    asx_assert(encoder->source != NULL);
    if (encoder->is_ready) {
        return ASX_OK;
    }
    const asx_err err = make_ready(encoder, true, executor != NULL);
    if (err == ASX_OK) {
        asx_rq_executor_run(executor, encoder->block.stripes, prepare_stripe, encoder);
        encoder->is_ready = true;
    }
    return err;
}

static void get_source(const asx_rq_encoder *encoder, uint32_t esi, void *symbol)
{
    const asx_rq_block *block = &encoder->block;
    if (encoder->is_short && esi == block->param.k - 1) {
        memcpy(symbol, encoder->padded, block->symbol_size);
    } else {
        asx_rq_block_get(block, encoder->source, esi, symbol);
    }
}

asx_err asx_rq_encoder_symbol(asx_rq_encoder *encoder, uint32_t esi, void *symbol)
{
    const asx_rq_block *block = &encoder->block;
    asx_assert(encoder->source != NULL);
    if (esi > ASX_RQ_ESI_MAX) {
        return ASX_RQ_E(BAD_ESI);
    }
    if (esi < block->param.k) {
        get_source(encoder, esi, symbol);
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
                             encoder->slab.at + stripe.slab_offset, stripe.width, rows, count);
    }
    return ASX_OK;
}

/* Lists the slab rows of each repair symbol once for all stripes. */
static asx_err list_supports(asx_rq_encoder *encoder, uint32_t esi, uint32_t count)
{
    const asx_rq_param *param = &encoder->block.param;
    if (encoder->list_count == count && encoder->list_esi == esi) {
        return ASX_OK;
    }
    encoder->list_count = 0;
    if (!asxi_scratch_grow(encoder->alloc_ptr, &encoder->list,
                           count * (size_t)ASX_RQ_ENTRY_MAX * sizeof(uint16_t))) {
        return ASX_RQ_E(NO_MEMORY);
    }
    uint16_t *at = (uint16_t *)(void *)encoder->list.at;
    for (uint32_t i = 0; i < count; i++) {
        at = asx_rq_plan_entry(encoder->plan, param, asx_rq_isi(param, esi + i), at);
    }
    encoder->list_esi = esi;
    encoder->list_count = count;
    return ASX_OK;
}

typedef struct symbols_job {
    asx_rq_encoder *encoder;
    uint8_t *symbols;
} symbols_job;

static void symbols_stripe(void *arg, uint32_t index)
{
    const symbols_job *job = arg;
    asx_rq_encoder *encoder = job->encoder;
    const asx_rq_stripe stripe = asx_rq_block_stripe(&encoder->block, index);
    uint8_t *part = NULL;
    if (!encoder->is_ready) {
        const asx_rq_param *param = &encoder->block.param;
        part = asxi_slots_acquire(&encoder->slots);
        replay_stripe(encoder, &stripe, part, part + ((size_t)param->l + param->h) * stripe.width);
    }
    const asx_rq_sums sums = { .list = (const uint16_t *)(const void *)encoder->list.at,
                               .count = encoder->list_count,
                               .slab = part != NULL ? part : encoder->slab.at + stripe.slab_offset,
                               .width = stripe.width,
                               .out = job->symbols + stripe.symbol_offset,
                               .out_stride = encoder->block.symbol_size };
    encoder->kernel->sum_each(&sums, stripe.exact);
    if (part != NULL) {
        asxi_slots_release(&encoder->slots, part);
    }
}

static asx_err repair_symbols(asx_rq_encoder *encoder, uint32_t esi, uint32_t count,
                              uint8_t *symbols, const asx_rq_executor *executor)
{
    asx_err err = ASX_OK;
    if (!encoder->is_ready) {
        err = make_ready(encoder, false, executor != NULL);
        if (err == ASX_OK && asxi_encoder_wants_rows(encoder, count)) {
            return asxi_encoder_rows(encoder, esi, count, symbols);
        }
    }
    if (err == ASX_OK) {
        err = list_supports(encoder, esi, count);
    }
    if (err == ASX_OK) {
        symbols_job job = { .encoder = encoder, .symbols = symbols };
        asx_rq_executor_run(executor, encoder->block.stripes, symbols_stripe, &job);
    }
    return err;
}

asx_err asx_rq_encoder_symbols(asx_rq_encoder *encoder, uint32_t esi, uint32_t count, void *symbols,
                               const asx_rq_executor *executor)
{
    const asx_rq_block *block = &encoder->block;
    asx_assert(encoder->source != NULL);
    if (esi > ASX_RQ_ESI_MAX || count > ASX_RQ_ESI_MAX + 1 - esi) {
        return ASX_RQ_E(BAD_ESI);
    }
    uint8_t *at = symbols;
    for (; count > 0 && esi < block->param.k; esi++, count--) {
        get_source(encoder, esi, at);
        at += block->symbol_size;
    }
    return count > 0 ? repair_symbols(encoder, esi, count, at, executor) : ASX_OK;
}
