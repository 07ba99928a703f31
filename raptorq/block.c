#include <asx/raptorq/block.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include <string.h>

/* Measured at T = 1280: the smallest blocks want whole symbols, since a stripe costs more than its
 * bytes there; then rows of 256 bytes are best while a stripe's rows are far from filling the
 * second-level cache, and rows of 128 from there on. Narrower ones lose more on each operation than
 * the cache gives back. The kernels know the last two widths. */
enum {
    WHOLE = 1280,
    WIDE = 256,
    NARROW = 128,
    WHOLE_ROWS_MAX = 64,
    WIDE_ROWS_MAX = 640,
    IN_PLACE_ROWS_MAX = 6144, /* up to here the symbols are read where they are */
};

static uint32_t stripe_width(uint32_t rows, uint32_t size)
{
    const uint32_t best = rows <= WHOLE_ROWS_MAX ? WHOLE : rows <= WIDE_ROWS_MAX ? WIDE : NARROW;
    return size < best ? (uint32_t)asx_align_up(size, 64) : best;
}

asx_err asx_rq_block_init(asx_rq_block *block, uint32_t k, uint32_t symbol_size,
                          uint32_t sub_blocks, uint32_t alignment)
{
    const asx_err err = asx_rq_param_init(&block->param, k);
    if (err != ASX_OK) {
        return err;
    }
    if (symbol_size == 0 || symbol_size > 65535 || alignment == 0 || symbol_size % alignment != 0 ||
        sub_blocks == 0 || sub_blocks > symbol_size / alignment) {
        return ASX_RQ_E(SYMBOL_SIZE);
    }
    const uint32_t units = symbol_size / alignment;
    block->symbol_size = symbol_size;
    block->sub_blocks = sub_blocks;
    block->alignment = alignment;
    block->large_count = units % sub_blocks;
    block->large_size = (units / sub_blocks + 1) * alignment;
    block->small_size = units / sub_blocks * alignment;
    if (block->large_count == 0) {
        block->large_count = sub_blocks;
        block->large_size = block->small_size;
    }
    block->width = stripe_width(block->param.l, block->large_size);
    block->is_packed =
        block->param.l > IN_PLACE_ROWS_MAX && block->large_size > 2 * (uint32_t)NARROW;
    block->stripes =
        block->large_count * (uint32_t)asx_div_ceil(block->large_size, block->width) +
        (sub_blocks - block->large_count) * (uint32_t)asx_div_ceil(block->small_size, block->width);
    return ASX_OK;
}

asx_rq_stripe asx_rq_block_stripe(const asx_rq_block *block, uint32_t index)
{
    asx_assert_lt(index, block->stripes);
    const uint32_t width = block->width;
    const uint32_t in_large = (uint32_t)asx_div_ceil(block->large_size, width);
    const uint32_t large_stripes = in_large * block->large_count;
    uint32_t size = block->large_size, sub_offset, part;
    if (index < large_stripes) {
        sub_offset = index / in_large * size;
        part = index % in_large;
    } else {
        const uint32_t in_small = (uint32_t)asx_div_ceil(block->small_size, width);
        size = block->small_size;
        sub_offset =
            block->large_count * block->large_size + (index - large_stripes) / in_small * size;
        part = (index - large_stripes) % in_small;
    }
    asx_rq_stripe stripe;
    const uint32_t left = size - part * width;
    stripe.symbol_offset = sub_offset + part * width;
    stripe.source_offset = (size_t)block->param.k * sub_offset + part * width;
    stripe.source_stride = size;
    stripe.exact = left < width ? left : width;
    stripe.width = (uint32_t)asx_align_up(stripe.exact, 64);
    stripe.slab_offset = (size_t)index * (block->param.l + block->param.h) * width;
    return stripe;
}

size_t asx_rq_block_slab_size(const asx_rq_block *block)
{
    return (size_t)block->stripes * (block->param.l + block->param.h) * block->width;
}

/* Calls for each sub-block: where symbol `esi` lies in the source, where in the symbol. */
static void copy(const asx_rq_block *block, uint8_t *to_source, const uint8_t *from_source,
                 uint32_t esi, uint8_t *to_symbol, const uint8_t *from_symbol)
{
    asx_assert_lt(esi, block->param.k);
    uint32_t at = 0;
    for (uint32_t j = 0; j < block->sub_blocks; j++) {
        const uint32_t size = j < block->large_count ? block->large_size : block->small_size;
        const size_t in_source = (size_t)block->param.k * at + (size_t)esi * size;
        if (to_source != NULL) {
            memcpy(to_source + in_source, from_symbol + at, size);
        } else {
            memcpy(to_symbol + at, from_source + in_source, size);
        }
        at += size;
    }
}

void asx_rq_block_put(const asx_rq_block *block, uint8_t *source, uint32_t esi,
                      const uint8_t *symbol)
{
    copy(block, source, NULL, esi, NULL, symbol);
}

void asx_rq_block_get(const asx_rq_block *block, const uint8_t *source, uint32_t esi,
                      uint8_t *symbol)
{
    copy(block, NULL, source, esi, symbol, NULL);
}

void asx_rq_executor_run(const asx_rq_executor *executor, uint32_t count, asx_rq_job *job,
                         void *arg)
{
    if (executor != NULL && count > 1) {
        executor->run(executor->self, count, job, arg);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        job(arg, i);
    }
}
