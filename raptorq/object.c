#include <asx/raptorq/object.h>
#include <asx/shard/base/assert.h>

#include <string.h>

enum { BLOCKS = 256, BLOCKS_MAX_DEFAULT = 4 };

static asx_err block_of(asx_rq_block *block, const asx_rq_oti *oti, uint32_t k)
{
    return asx_rq_block_init(block, k, oti->symbol_size, oti->sub_blocks, oti->alignment);
}

struct asx_rq_sender_object {
    asx_rq_oti oti;
    const uint8_t *source;
    asx_rq_object_config config;
    asx_rq_alloc alloc;
    asx_rq_encoder *encoder; /* of block `sbn`, or of its shape */
    uint32_t sbn, k;
};

static void config_copy(asx_rq_object_config *to, asx_rq_alloc *alloc,
                        const asx_rq_object_config *from)
{
    if (from != NULL) {
        *to = *from;
        if (from->alloc != NULL) {
            *alloc = *from->alloc;
            to->alloc = alloc;
        }
    }
}

asx_err asx_rq_sender_object_create(asx_rq_sender_object **result, const asx_rq_oti *oti,
                                    const void *source, const asx_rq_object_config *config)
{
    const asx_err err = asx_rq_oti_check(oti);
    if (err != ASX_OK) {
        return err;
    }
    asx_rq_sender_object *sender =
        asx_rq_alloc_get(config != NULL ? config->alloc : NULL, sizeof(*sender));
    if (sender == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    *sender = (asx_rq_sender_object){ .oti = *oti, .source = source, .sbn = BLOCKS };
    config_copy(&sender->config, &sender->alloc, config);
    *result = sender;
    return ASX_OK;
}

void asx_rq_sender_object_destroy(asx_rq_sender_object *sender)
{
    if (sender != NULL) {
        const asx_rq_alloc alloc = sender->alloc;
        const asx_rq_alloc *ptr = sender->config.alloc != NULL ? &alloc : NULL;
        asx_rq_encoder_destroy(sender->encoder);
        asx_rq_alloc_put(ptr, sender, sizeof(*sender));
    }
}

/* Makes the sender's encoder that of block `sbn`. */
static asx_err turn_to(asx_rq_sender_object *sender, uint32_t sbn)
{
    const asx_rq_extent extent = asx_rq_oti_block(&sender->oti, sbn);
    asx_err err = ASX_OK;
    sender->sbn = BLOCKS;
    if (sender->encoder == NULL || sender->k != extent.k) {
        asx_rq_block block;
        asx_rq_plan *plan = NULL;
        asx_rq_encoder_destroy(sender->encoder);
        sender->encoder = NULL;
        err = block_of(&block, &sender->oti, extent.k);
        asx_assert_eq(err, ASX_OK); /* the check of the OTI covers every block */
        if (sender->config.cache != NULL) {
            err = asx_rq_cache_encode(sender->config.cache, &plan, &block.param,
                                      sender->config.alloc);
        }
        if (err == ASX_OK) {
            err = asx_rq_encoder_create(&sender->encoder, &block, plan, sender->config.alloc);
        }
        asx_rq_plan_unref(plan);
        sender->k = extent.k;
    }
    if (err == ASX_OK) {
        err = asx_rq_encoder_load(sender->encoder, sender->source + extent.offset,
                                  (size_t)extent.size);
    }
    if (err == ASX_OK) {
        sender->sbn = sbn;
    }
    return err;
}

asx_err asx_rq_sender_object_symbol(asx_rq_sender_object *sender, uint32_t sbn, uint32_t esi,
                                    void *symbol)
{
    if (sbn >= sender->oti.blocks) {
        return ASX_RQ_E(BAD_SBN);
    }
    asx_err err = sbn != sender->sbn ? turn_to(sender, sbn) : ASX_OK;
    if (err == ASX_OK && esi >= sender->k && esi <= ASX_RQ_ESI_MAX) {
        err = asx_rq_encoder_prepare(sender->encoder, sender->config.executor);
    }
    return err == ASX_OK ? asx_rq_encoder_symbol(sender->encoder, esi, symbol) : err;
}

typedef struct slot {
    asx_rq_decoder *decoder;
    uint8_t *output; /* of the receiver's own, when the target cannot be decoded into */
    bool is_done;
} slot;

struct asx_rq_receiver_object {
    asx_rq_oti oti;
    uint8_t *target;
    asx_rq_object_config config;
    asx_rq_alloc alloc;
    asx_rq_block_fn *fn;
    void *arg;
    uint8_t *padded; /* one symbol: the object's last, with its zeros */
    uint32_t busy, done;
    slot slots[BLOCKS];
};

asx_err asx_rq_receiver_object_create(asx_rq_receiver_object **result, const asx_rq_oti *oti,
                                      void *target, const asx_rq_object_config *config,
                                      asx_rq_block_fn *fn, void *arg)
{
    const asx_err err = asx_rq_oti_check(oti);
    if (err != ASX_OK) {
        return err;
    }
    const asx_rq_alloc *alloc = config != NULL ? config->alloc : NULL;
    asx_rq_receiver_object *receiver = asx_rq_alloc_get(alloc, sizeof(*receiver));
    uint8_t *padded = asx_rq_alloc_get(alloc, oti->symbol_size);
    if (receiver == NULL || padded == NULL) {
        asx_rq_alloc_put(alloc, receiver, sizeof(*receiver));
        asx_rq_alloc_put(alloc, padded, oti->symbol_size);
        return ASX_RQ_E(NO_MEMORY);
    }
    memset(receiver, 0, sizeof(*receiver));
    receiver->oti = *oti;
    receiver->target = target;
    receiver->fn = fn;
    receiver->arg = arg;
    receiver->padded = padded;
    config_copy(&receiver->config, &receiver->alloc, config);
    if (receiver->config.blocks_max == 0) {
        receiver->config.blocks_max = BLOCKS_MAX_DEFAULT;
    }
    *result = receiver;
    return ASX_OK;
}

static size_t full_size(const asx_rq_receiver_object *receiver, uint32_t k)
{
    return (size_t)k * receiver->oti.symbol_size;
}

static void slot_close(asx_rq_receiver_object *receiver, uint32_t sbn)
{
    slot *at = &receiver->slots[sbn];
    if (at->decoder != NULL) {
        const asx_rq_extent extent = asx_rq_oti_block(&receiver->oti, sbn);
        asx_rq_decoder_destroy(at->decoder);
        asx_rq_alloc_put(receiver->config.alloc, at->output, full_size(receiver, extent.k));
        at->decoder = NULL;
        at->output = NULL;
        receiver->busy--;
    }
}

void asx_rq_receiver_object_destroy(asx_rq_receiver_object *receiver)
{
    if (receiver == NULL) {
        return;
    }
    for (uint32_t sbn = 0; sbn < receiver->oti.blocks; sbn++) {
        slot_close(receiver, sbn);
    }
    asx_assert_eq(receiver->busy, 0);
    const asx_rq_alloc alloc = receiver->alloc;
    const asx_rq_alloc *ptr = receiver->config.alloc != NULL ? &alloc : NULL;
    asx_rq_alloc_put(ptr, receiver->padded, receiver->oti.symbol_size);
    asx_rq_alloc_put(ptr, receiver, sizeof(*receiver));
}

/* Whole blocks are decoded where they belong; the short last one needs room for its zeros. */
static asx_err slot_open(asx_rq_receiver_object *receiver, uint32_t sbn)
{
    slot *at = &receiver->slots[sbn];
    const asx_rq_extent extent = asx_rq_oti_block(&receiver->oti, sbn);
    const size_t full = full_size(receiver, extent.k);
    if (receiver->busy >= receiver->config.blocks_max) {
        return ASX_RQ_E(BLOCKS_BUSY);
    }
    asx_rq_block block;
    asx_err err = block_of(&block, &receiver->oti, extent.k);
    asx_assert_eq(err, ASX_OK);
    const bool in_place = receiver->target != NULL && extent.size == full;
    uint8_t *output = in_place ? NULL : asx_rq_alloc_get(receiver->config.alloc, full);
    if (!in_place && output == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    const asx_rq_decoder_config config = { .cache = receiver->config.cache,
                                           .alloc = receiver->config.alloc,
                                           .verify_max = receiver->config.verify_max };
    err = asx_rq_decoder_create(&at->decoder, &block,
                                in_place ? receiver->target + extent.offset : output, &config);
    if (err != ASX_OK) {
        at->decoder = NULL;
        asx_rq_alloc_put(receiver->config.alloc, output, full);
        return err;
    }
    at->output = output;
    receiver->busy++;
    return ASX_OK;
}

static void deliver(asx_rq_receiver_object *receiver, uint32_t sbn)
{
    slot *at = &receiver->slots[sbn];
    const asx_rq_extent extent = asx_rq_oti_block(&receiver->oti, sbn);
    const uint8_t *bytes = at->output;
    if (at->output == NULL) {
        bytes = receiver->target + extent.offset;
    } else if (receiver->target != NULL) {
        memcpy(receiver->target + extent.offset, at->output, (size_t)extent.size);
    }
    at->is_done = true;
    receiver->done++;
    if (receiver->fn != NULL) {
        receiver->fn(receiver->arg, sbn, extent.offset, bytes, (size_t)extent.size);
    }
    slot_close(receiver, sbn);
}

/* The symbol of a packet at `bytes`, padded when it is the object's last and came short; NULL when
 * it is neither whole nor that one. */
static const uint8_t *whole_symbol(asx_rq_receiver_object *receiver, uint32_t sbn, uint32_t esi,
                                   const uint8_t *bytes, size_t left)
{
    const size_t size = receiver->oti.symbol_size;
    if (left >= size) {
        return bytes;
    }
    const asx_rq_extent extent = asx_rq_oti_block(&receiver->oti, sbn);
    const size_t missing = full_size(receiver, extent.k) - (size_t)extent.size;
    if (esi != extent.k - 1 || receiver->oti.sub_blocks > 1 || left < size - missing) {
        return NULL;
    }
    memcpy(receiver->padded, bytes, left);
    memset(receiver->padded + left, 0, size - left);
    return receiver->padded;
}

static asx_err feed_all(asx_rq_receiver_object *receiver, uint32_t sbn, uint32_t esi,
                        const uint8_t *bytes, size_t len)
{
    const size_t size = receiver->oti.symbol_size;
    const uint32_t k = asx_rq_oti_block(&receiver->oti, sbn).k;
    const bool is_source = esi < k;
    asx_err err = ASX_OK;
    for (size_t at = 0; at < len; at += size, esi++) {
        const uint8_t *symbol = whole_symbol(receiver, sbn, esi, bytes + at, len - at);
        if (symbol == NULL || (esi < k) != is_source) {
            return ASX_RQ_E(BAD_SIZE);
        }
        const asx_err one = asx_rq_decoder_feed(receiver->slots[sbn].decoder, esi, symbol, size);
        err = one != ASX_OK ? one : err;
    }
    return err;
}

asx_err asx_rq_receiver_object_feed(asx_rq_receiver_object *receiver, uint32_t sbn, uint32_t esi,
                                    const void *bytes, size_t len)
{
    if (sbn >= receiver->oti.blocks) {
        return ASX_RQ_E(BAD_SBN);
    }
    if (esi > ASX_RQ_ESI_MAX) {
        return ASX_RQ_E(BAD_ESI);
    }
    slot *at = &receiver->slots[sbn];
    if (at->is_done) {
        return ASX_RQ_E(DONE);
    }
    if (len == 0) {
        return ASX_RQ_E(BAD_SIZE);
    }
    asx_err err = at->decoder == NULL ? slot_open(receiver, sbn) : ASX_OK;
    if (err != ASX_OK) {
        return err;
    }
    err = feed_all(receiver, sbn, esi, bytes, len);
    if (!asx_rq_decoder_ready(at->decoder)) {
        return err;
    }
    const asx_err attempt = asx_rq_decoder_attempt(at->decoder, receiver->config.executor);
    if (attempt == ASX_OK) {
        deliver(receiver, sbn);
    } else if (!asx_rq_err_retry(attempt)) {
        err = attempt;
    }
    return err;
}

bool asx_rq_receiver_object_done(const asx_rq_receiver_object *receiver)
{
    return receiver->done == receiver->oti.blocks;
}

asx_rq_progress asx_rq_receiver_object_progress(const asx_rq_receiver_object *receiver,
                                                uint32_t sbn)
{
    const slot *at = &receiver->slots[sbn];
    asx_rq_progress progress = { .k = asx_rq_oti_block(&receiver->oti, sbn).k,
                                 .is_done = at->is_done };
    if (at->is_done) {
        progress.have = progress.k;
        return progress;
    }
    if (at->decoder != NULL) {
        const asx_rq_decoder_stats *stats = asx_rq_decoder_stats_get(at->decoder);
        progress.have = stats->sources + stats->repairs;
    }
    /* with K held and not decoded, the rank is short: at least one more */
    progress.need = progress.have < progress.k ? progress.k - progress.have : 1;
    return progress;
}

const asx_rq_decoder *asx_rq_receiver_object_decoder(const asx_rq_receiver_object *receiver,
                                                     uint32_t sbn)
{
    asx_assert_lt(sbn, receiver->oti.blocks);
    return receiver->slots[sbn].decoder;
}
