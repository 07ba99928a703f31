/* Transfer information and payload ids from anyone: what passes the check can be used to the last
 * field, and is written back as it was read. */
#include <asx/raptorq/block.h>
#include <asx/raptorq/oti.h>
#include <asx/raptorq/tuple.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

/* Blocks follow each other without a gap, none is empty or too large, and together they are F. */
static void check_blocks(const asx_rq_oti *oti)
{
    uint64_t at = 0, symbols = 0;
    for (uint32_t sbn = 0; sbn < oti->blocks; sbn++) {
        const asx_rq_extent extent = asx_rq_oti_block(oti, sbn);
        asx_rq_block block;
        require(extent.offset == at && extent.size > 0 && extent.k > 0);
        require(extent.size <= (uint64_t)extent.k * oti->symbol_size);
        require(asx_rq_block_init(&block, extent.k, oti->symbol_size, oti->sub_blocks,
                                  oti->alignment) == ASX_OK);
        at += extent.size;
        symbols += extent.k;
    }
    require(at == oti->size && symbols == asx_rq_oti_symbols(oti));
}

static void check_payload_id(const uint8_t *data, const asx_rq_oti *oti)
{
    uint8_t again[ASX_RQ_PAYLOAD_ID_SIZE];
    uint32_t sbn, esi;
    asx_rq_param param;
    asx_rq_payload_id_decode(data, &sbn, &esi);
    require(sbn < 256 && esi <= ASX_RQ_ESI_MAX);
    asx_rq_payload_id_encode(again, sbn, esi);
    require(memcmp(again, data, sizeof(again)) == 0);
    require(asx_rq_param_init(&param, asx_rq_oti_block(oti, sbn % oti->blocks).k) == ASX_OK);
    require(asx_rq_isi(&param, esi) < UINT32_C(1) << 25);
}

static void check_derived(const uint8_t *data)
{
    uint64_t f = 0, ws = 0;
    uint16_t payload;
    asx_rq_oti oti;
    memcpy(&f, data, 5);
    memcpy(&ws, data + 5, 4);
    memcpy(&payload, data + 9, 2);
    if (asx_rq_oti_derive(&oti, f, payload, data[11], 1 + data[10] % 16, ws) == ASX_OK) {
        require(asx_rq_oti_check(&oti) == ASX_OK && oti.size == f);
    }
    if (asx_rq_oti_by_block(&oti, f, payload, ws) == ASX_OK) {
        require(asx_rq_oti_check(&oti) == ASX_OK && oti.size == f);
        check_blocks(&oti);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    asx_rq_oti oti, again;
    uint8_t bytes[ASX_RQ_OTI_SIZE];
    if (size < ASX_RQ_OTI_SIZE + ASX_RQ_PAYLOAD_ID_SIZE) {
        return 0;
    }
    if (asx_rq_oti_decode(&oti, data) == ASX_OK) {
        asx_rq_oti_encode(&oti, bytes);
        bytes[5] = data[5]; /* reserved, ignored */
        require(memcmp(bytes, data, sizeof(bytes)) == 0);
        require(asx_rq_oti_decode(&again, bytes) == ASX_OK);
        require(memcmp(&oti, &again, sizeof(oti)) == 0);
        check_blocks(&oti);
        check_payload_id(data + ASX_RQ_OTI_SIZE, &oti);
    }
    check_derived(data);
    return 0;
}
