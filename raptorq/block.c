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

/* How wide stripes cut a sub-symbol: in pairs, of which the last shares what is left. They are so
 * few that otherwise one thread of two would have nothing to do for a third of the time. */
typedef struct cutting {
    uint32_t whole; /* stripes of full width, first */
    uint32_t part;  /* bytes of the one behind them, and of what follows at most */
    uint32_t count;
} cutting;

static cutting cut_of(uint32_t size, uint32_t width)
{
    const uint32_t run = width == WIDE && size > WIDE ? 2 * WIDE : width;
    const uint32_t rest = size % run;
    const uint32_t whole = (size - rest) / width;
    const uint32_t part = run > width ? (uint32_t)asx_align_up(rest / 2, 64) : width;
    return (cutting){ .whole = whole, .part = part, .count = whole + (rest > 0) + (rest > part) };
}

/* Where a stripe begins; the one after the last, where the sub-symbol ends. */
static uint32_t cut_begin(const cutting *cut, uint32_t size, uint32_t width, uint32_t stripe)
{
    if (stripe == cut->count) {
        return size;
    }
    return stripe <= cut->whole ? stripe * width : cut->whole * width + cut->part;
}

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
        block->large_count * cut_of(block->large_size, block->width).count +
        (sub_blocks - block->large_count) * cut_of(block->small_size, block->width).count;
    return ASX_OK;
}

asx_rq_stripe asx_rq_block_stripe(const asx_rq_block *block, uint32_t index)
{
    asx_assert_lt(index, block->stripes);
    const uint32_t width = block->width;
    uint32_t size = block->large_size;
    cutting cut = cut_of(size, width);
    uint32_t sub_offset = 0, row_offset = 0, at = index;
    if (at >= cut.count * block->large_count) {
        at -= cut.count * block->large_count;
        sub_offset = block->large_count * size;
        row_offset = block->large_count * (uint32_t)asx_align_up(size, 64);
        size = block->small_size;
        cut = cut_of(size, width);
    }
    sub_offset += at / cut.count * size;
    row_offset += at / cut.count * (uint32_t)asx_align_up(size, 64);
    const uint32_t begin = cut_begin(&cut, size, width, at % cut.count);
    const uint32_t exact = cut_begin(&cut, size, width, at % cut.count + 1) - begin;
    return (asx_rq_stripe){ .symbol_offset = sub_offset + begin,
                            .source_offset = (size_t)block->param.k * sub_offset + begin,
                            .source_stride = size,
                            .exact = exact,
                            .width = (uint32_t)asx_align_up(exact, 64),
                            .slab_offset =
                                (size_t)(block->param.l + block->param.h) * (row_offset + begin) };
}

size_t asx_rq_block_slab_size(const asx_rq_block *block)
{
    const size_t row =
        block->large_count * asx_align_up(block->large_size, 64) +
        (block->sub_blocks - block->large_count) * asx_align_up(block->small_size, 64);
    return (block->param.l + block->param.h) * row;
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
