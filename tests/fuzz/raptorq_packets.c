/* Packets of an object from anyone: the input is transfer information and then packets, of which
 * some are cut from the true stream of an object, some forged. Whatever comes, no byte is read or
 * written out of place; and if only true packets were taken, a finished object is the true one. */
#include <asx/raptorq/object.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_MAX_FUZZED = 20000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool small(const asx_rq_oti *oti)
{
    return oti->size <= SIZE_MAX_FUZZED && asx_rq_oti_symbols(oti) <= 2000;
}

/* Feeds one packet; false when it was forged. */
static bool feed(asx_rq_receiver_object *receiver, asx_rq_sender_object *sender,
                 const asx_rq_oti *oti, const uint8_t *head, const uint8_t *rest, size_t rest_len,
                 uint8_t *symbol)
{
    uint32_t sbn, esi;
    asx_rq_payload_id_decode(head, &sbn, &esi);
    if ((head[4] & 1) != 0) {
        sbn %= oti->blocks;
        esi %= 4000;
    }
    if ((head[4] & 6) == 0) {
        const size_t len = rest_len < head[5] ? rest_len : head[5];
        const asx_err err = asx_rq_receiver_object_feed(receiver, sbn, esi, rest, len);
        return err == ASX_RQ_E(BAD_SBN) || err == ASX_RQ_E(BAD_ESI);
    }
    if (asx_rq_sender_object_symbol(sender, sbn, esi, symbol) == ASX_OK) {
        const asx_err err =
            asx_rq_receiver_object_feed(receiver, sbn, esi, symbol, oti->symbol_size);
        asx_maybe(err == ASX_OK);
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    asx_rq_oti oti;
    if (size < ASX_RQ_OTI_SIZE || asx_rq_oti_decode(&oti, data) != ASX_OK || !small(&oti)) {
        return 0;
    }
    uint8_t back[ASX_RQ_OTI_SIZE];
    asx_rq_oti_encode(&oti, back);
    asx_rq_oti again;
    if (asx_rq_oti_decode(&again, back) != ASX_OK || memcmp(&oti, &again, sizeof(oti)) != 0) {
        abort();
    }
    uint8_t *object = malloc(oti.size), *target = malloc(oti.size);
    uint8_t *symbol = malloc(oti.symbol_size);
    asx_rq_sender_object *sender = NULL;
    asx_rq_receiver_object *receiver = NULL;
    for (size_t i = 0; i < oti.size; i++) {
        object[i] = (uint8_t)(i * 31 + i / 251);
    }
    const asx_rq_object_config config = { .blocks_max = 255, .verify_max = 2 };
    if (asx_rq_sender_object_create(&sender, &oti, object, &config) != ASX_OK ||
        asx_rq_receiver_object_create(&receiver, &oti, target, &config, NULL, NULL) != ASX_OK) {
        abort();
    }
    bool all_true = true;
    int packets = 0;
    for (size_t at = ASX_RQ_OTI_SIZE; at + 6 <= size && packets < 500; at += 6, packets++) {
        all_true &= feed(receiver, sender, &oti, data + at, data + at + 6, size - at - 6, symbol);
    }
    if (all_true && asx_rq_receiver_object_done(receiver) &&
        memcmp(object, target, oti.size) != 0) {
        abort();
    }
    asx_rq_receiver_object_destroy(receiver);
    asx_rq_sender_object_destroy(sender);
    free(object);
    free(target);
    free(symbol);
    return 0;
}
