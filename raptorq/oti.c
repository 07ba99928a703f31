#include <asx/raptorq/oti.h>
#include <asx/raptorq/table.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include <stdbool.h>

static uint64_t div_ceil(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

uint64_t asx_rq_oti_symbols(const asx_rq_oti *oti)
{
    return div_ceil(oti->size, oti->symbol_size);
}

asx_err asx_rq_oti_check(const asx_rq_oti *oti)
{
    const bool in_range = oti->size > 0 && oti->size <= ASX_RQ_OBJECT_MAX && oti->symbol_size > 0 &&
                          oti->symbol_size <= 65535 && oti->blocks > 0 && oti->blocks <= 255 &&
                          oti->sub_blocks > 0 && oti->sub_blocks <= 65535 && oti->alignment > 0 &&
                          oti->alignment <= 255;
    if (!in_range || oti->symbol_size % oti->alignment != 0 ||
        oti->sub_blocks > oti->symbol_size / oti->alignment) {
        return ASX_RQ_E(BAD_OTI);
    }
    const uint64_t symbols = asx_rq_oti_symbols(oti);
    if (symbols < oti->blocks || div_ceil(symbols, oti->blocks) > ASX_RQ_K_MAX) {
        return ASX_RQ_E(BAD_OTI);
    }
    return ASX_OK;
}

void asx_rq_oti_encode(const asx_rq_oti *oti, uint8_t bytes[ASX_RQ_OTI_SIZE])
{
    asx_store_be64(bytes, oti->size << 24 | oti->symbol_size); /* F 40, reserved 8, T 16 */
    bytes[8] = (uint8_t)oti->blocks;
    asx_store_be16(bytes + 9, (uint16_t)oti->sub_blocks);
    bytes[11] = (uint8_t)oti->alignment;
}

asx_err asx_rq_oti_decode(asx_rq_oti *oti, const uint8_t bytes[ASX_RQ_OTI_SIZE])
{
    const uint64_t common = asx_load_be64(bytes);
    oti->size = common >> 24;
    oti->symbol_size = common & 0xFFFF;
    oti->blocks = bytes[8];
    oti->sub_blocks = asx_load_be16(bytes + 9);
    oti->alignment = bytes[11];
    return asx_rq_oti_check(oti);
}

/* KL(n): the largest K' of the table whose block fits the working memory in n sub-blocks. */
static uint32_t symbols_fitting(const asx_rq_oti *oti, uint32_t n, uint64_t working_memory)
{
    const uint64_t sub_symbol =
        oti->alignment * div_ceil(oti->symbol_size, (uint64_t)oti->alignment * n);
    const uint64_t limit = working_memory / sub_symbol;
    uint32_t best = 0;
    for (uint32_t i = 0; i < ASX_RQ_TABLE_ROWS && asx_rq_table[i].k_prime <= limit; i++) {
        best = asx_rq_table[i].k_prime;
    }
    return best;
}

asx_err asx_rq_oti_derive(asx_rq_oti *oti, uint64_t size, uint32_t payload_max, uint32_t alignment,
                          uint32_t sub_symbol_min, uint64_t working_memory)
{
    if (size == 0 || size > ASX_RQ_OBJECT_MAX) {
        return ASX_RQ_E(TOO_LARGE);
    }
    if (alignment == 0 || alignment > 255 || payload_max < alignment || payload_max > 65535 ||
        sub_symbol_min == 0) {
        return ASX_RQ_E(SYMBOL_SIZE);
    }
    oti->size = size;
    oti->alignment = alignment;
    oti->symbol_size = payload_max / alignment * alignment;
    const uint64_t symbols = asx_rq_oti_symbols(oti);
    const uint32_t n_max = oti->symbol_size / alignment / sub_symbol_min;
    if (n_max == 0) {
        return ASX_RQ_E(SYMBOL_SIZE);
    }
    const uint32_t fitting = symbols_fitting(oti, n_max, working_memory);
    if (fitting == 0) {
        return ASX_RQ_E(WORKING_MEMORY);
    }
    const uint64_t blocks = div_ceil(symbols, fitting);
    if (blocks > 255) {
        return fitting < ASX_RQ_K_MAX ? ASX_RQ_E(WORKING_MEMORY) : ASX_RQ_E(TOO_LARGE);
    }
    oti->blocks = (uint32_t)blocks;
    const uint64_t largest = div_ceil(symbols, blocks);
    oti->sub_blocks = 1;
    while (largest > symbols_fitting(oti, oti->sub_blocks, working_memory)) {
        oti->sub_blocks++;
        asx_assert_le(oti->sub_blocks, n_max); /* n_max fits, by the choice of `blocks` */
    }
    return ASX_OK;
}

asx_err asx_rq_oti_by_block(asx_rq_oti *oti, uint64_t size, uint32_t symbol_size,
                            uint64_t block_size)
{
    if (symbol_size == 0 || symbol_size > 65535) {
        return ASX_RQ_E(SYMBOL_SIZE);
    }
    *oti =
        (asx_rq_oti){ .size = size, .symbol_size = symbol_size, .sub_blocks = 1, .alignment = 1 };
    uint64_t k = block_size / symbol_size;
    k = k < 1 ? 1 : k > ASX_RQ_K_MAX ? ASX_RQ_K_MAX : k;
    const uint64_t blocks = div_ceil(asx_rq_oti_symbols(oti), k);
    oti->blocks = (uint32_t)(blocks < 255 ? blocks : 255);
    return asx_rq_oti_check(oti) == ASX_OK ? ASX_OK : ASX_RQ_E(TOO_LARGE);
}

asx_rq_extent asx_rq_oti_block(const asx_rq_oti *oti, uint32_t sbn)
{
    asx_assert_lt(sbn, oti->blocks);
    const uint64_t symbols = asx_rq_oti_symbols(oti);
    const uint64_t small = symbols / oti->blocks, larger = symbols % oti->blocks;
    const uint64_t before = sbn * small + (sbn < larger ? sbn : larger);
    asx_rq_extent extent;
    extent.k = (uint32_t)(small + (sbn < larger));
    extent.offset = before * oti->symbol_size;
    const uint64_t full = (uint64_t)extent.k * oti->symbol_size;
    const uint64_t left = oti->size - extent.offset;
    extent.size = left < full ? left : full;
    return extent;
}

void asx_rq_payload_id_encode(uint8_t bytes[ASX_RQ_PAYLOAD_ID_SIZE], uint32_t sbn, uint32_t esi)
{
    asx_assert_lt(sbn, 256);
    asx_assert_le(esi, ASX_RQ_ESI_MAX);
    asx_store_be32(bytes, sbn << 24 | esi);
}

void asx_rq_payload_id_decode(const uint8_t bytes[ASX_RQ_PAYLOAD_ID_SIZE], uint32_t *sbn,
                              uint32_t *esi)
{
    const uint32_t id = asx_load_be32(bytes);
    *sbn = id >> 24;
    *esi = id & ASX_RQ_ESI_MAX;
}
