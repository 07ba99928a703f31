#include <asx/raptorq/net/receiver.h>
#include <asx/raptorq/object.h>
#include <asx/shard/base/assert.h>

#include <string.h>

enum {
    BLOCKS_MAX = 255,
    VERIFY_MAX = 8, /* spare equations that must hold: what finds a forged symbol early */
};

struct asx_rq_receiver {
    asx_rq_receiver_config config;
    bool is_released;
    asx_rq_receiver_state state;
    asx_err err;
    asx_rq_frame frame; /* the last one heard */
    asx_rq_need_state answer;
    bool is_answer_due, is_work_due;
    bool is_taken;           /* the last datagram heard changed what is held */
    asx_rq_offer_body offer; /* of our object */
    uint8_t object_id[ASX_RQ_OBJECT_ID_SIZE];
    asx_rq_tagger *tagger;  /* of our object; NULL without a key */
    asx_rq_tagger *foreign; /* of the last OFFER, while it is answered and not ours */
    asx_rq_cache *cache;
    asx_rq_receiver_object *object;
    void *target;
    uint32_t window;
    uint32_t next[BLOCKS_MAX]; /* of each block: no number from here on was seen */
    asx_rq_receiver_stats stats;
};

const char *asx_rq_receiver_state_name(asx_rq_receiver_state state)
{
    switch (state) {
    case ASX_RQ_RECEIVER_WAITING:
        return "waiting";
    case ASX_RQ_RECEIVER_OPENING:
        return "opening";
    case ASX_RQ_RECEIVER_RECEIVING:
        return "receiving";
    case ASX_RQ_RECEIVER_WHOLE:
        return "whole";
    case ASX_RQ_RECEIVER_DONE:
        return "done";
    case ASX_RQ_RECEIVER_FAILED:
        return "failed";
    }
    return "?";
}

asx_err asx_rq_receiver_create(asx_rq_receiver **result, const asx_rq_receiver_config *config)
{
    asx_rq_receiver *r = asx_rq_alloc_get(NULL, sizeof(*r));
    if (r == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    memset(r, 0, sizeof(*r));
    r->config = *config;
    if (config->size_max == 0) {
        r->config.size_max = ASX_RQ_RECEIVER_SIZE_MAX;
    }
    if (config->memory_max == 0) {
        r->config.memory_max = ASX_RQ_RECEIVER_MEMORY_MAX;
    }
    *result = r;
    return ASX_OK;
}

void asx_rq_receiver_destroy(asx_rq_receiver *r)
{
    if (r == NULL) {
        return;
    }
    asx_rq_receiver_object_destroy(r->object);
    if (r->cache != NULL) {
        asx_rq_cache_destroy(r->cache);
    }
    asx_rq_tagger_destroy(r->tagger);
    asx_rq_tagger_destroy(r->foreign);
    asx_rq_alloc_put(NULL, r, sizeof(*r));
}

asx_rq_receiver_state asx_rq_receiver_state_of(const asx_rq_receiver *r)
{
    return r->state;
}

bool asx_rq_receiver_took(const asx_rq_receiver *r)
{
    return r->is_taken;
}

bool asx_rq_receiver_released(const asx_rq_receiver *r)
{
    return r->is_released;
}

asx_err asx_rq_receiver_err(const asx_rq_receiver *r)
{
    return r->err;
}

const asx_rq_receiver_stats *asx_rq_receiver_stats_get(const asx_rq_receiver *r)
{
    return &r->stats;
}

asx_rq_receiver_gap asx_rq_receiver_gap_of(const asx_rq_receiver *r)
{
    asx_rq_receiver_gap gap = { 0 };
    for (uint32_t i = 0; r->object != NULL && i < r->offer.oti.blocks; i++) {
        const asx_rq_progress progress = asx_rq_receiver_object_progress(r->object, i);
        if (!progress.is_done) {
            return (asx_rq_receiver_gap){
                .sbn = i, .k = progress.k, .have = progress.have, .need = progress.need
            };
        }
    }
    return gap;
}

static void fail(asx_rq_receiver *r, asx_err err)
{
    r->state = ASX_RQ_RECEIVER_FAILED;
    r->err = err;
}

/* Is this control record by somebody who has the key? */
static bool is_true_record(asx_rq_receiver *r, asx_rq_tagger *tagger)
{
    const asx_rq_frame *frame = &r->frame;
    if (r->config.keys == NULL) {
        return true;
    }
    if (frame->is_tagged &&
        asx_rq_tagger_record_check(tagger, frame->signed_bytes, frame->signed_len, frame->tag)) {
        return true;
    }
    r->stats.forged++;
    return false;
}

/* The first OFFER that holds is the object that we take, from whoever knows the key. */
static void begin(asx_rq_receiver *r, asx_rq_tagger *tagger)
{
    r->offer = r->frame.offer;
    memcpy(r->object_id, r->frame.object_id, sizeof(r->object_id));
    r->tagger = tagger;
    r->stats.size = r->offer.size;
    r->stats.blocks = r->offer.oti.blocks;
    if (r->offer.size > r->config.size_max) {
        fail(r, ASX_RQ_E(TOO_LARGE));
        r->answer = ASX_RQ_NEED_REFUSED;
        return;
    }
    r->state = ASX_RQ_RECEIVER_OPENING;
    r->is_work_due = true;
    r->is_taken = true;
}

static asx_rq_need_state answer_of(const asx_rq_receiver *r)
{
    switch (r->state) {
    case ASX_RQ_RECEIVER_WAITING:
    case ASX_RQ_RECEIVER_OPENING:
    case ASX_RQ_RECEIVER_RECEIVING:
        return ASX_RQ_NEED_RECEIVING;
    case ASX_RQ_RECEIVER_WHOLE:
        return ASX_RQ_NEED_FINISHING;
    case ASX_RQ_RECEIVER_DONE:
        return ASX_RQ_NEED_DONE;
    case ASX_RQ_RECEIVER_FAILED:
        break;
    }
    return r->answer; /* as it was decided when it failed */
}

static void hear_offer(asx_rq_receiver *r)
{
    const bool is_ours = r->state != ASX_RQ_RECEIVER_WAITING &&
                         memcmp(r->frame.object_id, r->object_id, sizeof(r->object_id)) == 0;
    uint8_t id[ASX_RQ_OBJECT_ID_SIZE];
    asx_rq_object_id(id, &r->frame.offer, r->config.digest);
    if (memcmp(id, r->frame.object_id, sizeof(id)) != 0) {
        r->stats.malformed[ASX_RQ_FRAME_BODY]++;
        return;
    }
    asx_rq_tagger *tagger = r->tagger;
    if (!is_ours) {
        tagger = NULL;
        if (r->config.keys != NULL && asx_rq_tagger_create(&tagger, r->config.keys, id) != ASX_OK) {
            return; /* out of memory: as if it had been lost */
        }
    }
    if (!is_true_record(r, tagger)) {
        asx_rq_tagger_destroy(is_ours ? NULL : tagger);
        return;
    }
    r->stats.offers++;
    r->is_answer_due = r->frame.offer.wants_answer;
    if (r->state == ASX_RQ_RECEIVER_WAITING) {
        begin(r, tagger);
    } else if (!is_ours) {
        r->stats.foreign++;
        r->foreign = tagger;
    }
}

static void count(asx_rq_receiver *r, asx_err err)
{
    if (err == ASX_OK || err == ASX_RQ_E(DONE)) {
        r->stats.symbols++;
    } else if (err == ASX_RQ_E(DUPLICATE)) {
        r->stats.duplicates++;
    } else if (err == ASX_RQ_E(CONFLICT)) {
        r->stats.conflicts++;
    } else if (err == ASX_RQ_E(FULL) || err == ASX_RQ_E(BLOCKS_BUSY) ||
               err == ASX_RQ_E(NO_MEMORY)) {
        r->stats.refused++;
    } else if (err == ASX_RQ_E(CORRUPT)) {
        fail(r, err);
        r->answer = ASX_RQ_NEED_FAILED;
    } else {
        r->stats.invalid++;
    }
}

static void take_symbol(asx_rq_receiver *r)
{
    const asx_rq_symbol_body *symbol = &r->frame.symbol;
    const uint32_t last =
        symbol->esi + (uint32_t)((symbol->len - 1) / r->offer.oti.symbol_size) + 1;
    const asx_err err = asx_rq_receiver_object_feed(r->object, symbol->sbn, symbol->esi,
                                                    symbol->bytes, symbol->len);
    count(r, err);
    r->is_taken = err == ASX_OK;
    if (err == ASX_OK && last > r->next[symbol->sbn]) {
        r->next[symbol->sbn] = last;
    }
    const asx_rq_progress progress = asx_rq_receiver_object_progress(r->object, symbol->sbn);
    r->stats.blocks_done += progress.is_done && err == ASX_OK;
    const uint64_t bytes = r->stats.symbols * r->offer.oti.symbol_size;
    r->stats.done_bytes = bytes < r->offer.size ? bytes : r->offer.size;
    if (r->state == ASX_RQ_RECEIVER_RECEIVING && asx_rq_receiver_object_done(r->object)) {
        r->state = ASX_RQ_RECEIVER_WHOLE;
        r->stats.done_bytes = r->offer.size;
    }
}

static bool is_ours(const asx_rq_receiver *r)
{
    return r->state != ASX_RQ_RECEIVER_WAITING &&
           memcmp(r->frame.object_id, r->object_id, sizeof(r->object_id)) == 0;
}

static void hear_symbol(asx_rq_receiver *r)
{
    const asx_rq_symbol_body *symbol = &r->frame.symbol;
    if (!is_ours(r) || r->state == ASX_RQ_RECEIVER_FAILED) {
        r->stats.foreign++;
        return;
    }
    if (symbol->sbn >= r->offer.oti.blocks ||
        symbol->len > (size_t)(ASX_RQ_ESI_MAX + 1 - symbol->esi) * r->offer.oti.symbol_size) {
        r->stats.invalid++;
        return;
    }
    const uint32_t k = asx_rq_oti_block(&r->offer.oti, symbol->sbn).k;
    if (r->config.keys != NULL &&
        (!r->frame.is_tagged ||
         !asx_rq_tagger_symbol_check(r->tagger, symbol, symbol->esi >= k, r->frame.tag))) {
        r->stats.forged++;
        return;
    }
    if (r->state != ASX_RQ_RECEIVER_RECEIVING) {
        r->stats.symbols++; /* late */
        return;
    }
    const asx_rq_progress progress = asx_rq_receiver_object_progress(r->object, symbol->sbn);
    const uint64_t symbols = symbol->len / r->offer.oti.symbol_size + 1;
    if (!progress.is_done && progress.have + symbols >= k) {
        r->is_work_due = true; /* may decode */
        return;
    }
    take_symbol(r);
}

bool asx_rq_receiver_hear(asx_rq_receiver *r, const uint8_t *bytes, size_t len)
{
    asx_assert(!r->is_work_due);
    r->is_answer_due = false;
    r->is_taken = false;
    asx_rq_tagger_destroy(r->foreign);
    r->foreign = NULL;
    r->stats.datagrams++;
    r->stats.bytes += len;
    const asx_rq_frame_fault fault = asx_rq_frame_decode(&r->frame, bytes, len);
    if (fault != ASX_RQ_FRAME_OK) {
        r->stats.malformed[fault]++;
        return false;
    }
    switch (r->frame.kind) {
    case ASX_RQ_FRAME_SYMBOL:
        hear_symbol(r);
        break;
    case ASX_RQ_FRAME_OFFER:
        hear_offer(r);
        break;
    case ASX_RQ_FRAME_BYE:
        if (!is_ours(r)) {
            r->stats.foreign++;
        } else if (is_true_record(r, r->tagger)) {
            r->is_released |= r->state == ASX_RQ_RECEIVER_DONE;
        }
        break;
    case ASX_RQ_FRAME_NEED:
        r->stats.foreign++; /* from another receiver */
        break;
    }
    return r->is_work_due;
}

/* Bytes that one block in progress may take beside its place in the target: repair symbols as many
 * as the decoder holds, and the work of one solve. */
static uint64_t block_memory(const asx_rq_receiver *r)
{
    const uint64_t k = asx_rq_oti_block(&r->offer.oti, 0).k;
    return (k + (k / 20 > 128 ? k / 20 : 128)) * r->offer.oti.symbol_size;
}

static asx_err open_object(asx_rq_receiver *r)
{
    const uint64_t each = block_memory(r);
    if (2 * each > r->config.memory_max) {
        return ASX_RQ_E(TOO_LARGE);
    }
    /* One block's worth is left for solving. */
    const uint64_t room = r->config.memory_max / each - 1;
    r->window = (uint32_t)(room < BLOCKS_MAX ? room : BLOCKS_MAX);
    asx_err err = r->config.open(r->config.arg, r->offer.size, &r->target);
    if (err == ASX_OK) {
        err = asx_rq_cache_create(&r->cache, 8, 0, NULL);
    }
    if (err != ASX_OK) {
        return err;
    }
    const asx_rq_object_config config = { .cache = r->cache,
                                          .blocks_max = r->window,
                                          .verify_max = VERIFY_MAX };
    return asx_rq_receiver_object_create(&r->object, &r->offer.oti, r->target, &config, NULL, NULL);
}

void asx_rq_receiver_work(asx_rq_receiver *r)
{
    asx_assert(r->is_work_due);
    r->is_work_due = false;
    if (r->state == ASX_RQ_RECEIVER_RECEIVING) {
        take_symbol(r);
        return;
    }
    asx_assert_eq(r->state, ASX_RQ_RECEIVER_OPENING);
    const asx_err err =
        r->offer.size > 0 ? open_object(r) : r->config.open(r->config.arg, 0, &r->target);
    if (err != ASX_OK) {
        fail(r, err);
        r->answer = ASX_RQ_NEED_REFUSED;
        return;
    }
    r->state = r->offer.size > 0 ? ASX_RQ_RECEIVER_RECEIVING : ASX_RQ_RECEIVER_WHOLE;
}

static void fill_need(const asx_rq_receiver *r, asx_rq_need_body *need)
{
    need->state = answer_of(r);
    need->window = r->window;
    need->received = r->stats.symbols;
    need->done = r->stats.blocks_done;
    if (r->state != ASX_RQ_RECEIVER_RECEIVING) {
        return;
    }
    for (uint32_t i = 0; i < r->offer.oti.blocks && need->count < ASX_RQ_NEEDS_MAX; i++) {
        const asx_rq_progress progress = asx_rq_receiver_object_progress(r->object, i);
        if (!progress.is_done) {
            need->entries[need->count++] =
                (asx_rq_need_entry){ .sbn = i, .need = progress.need, .next = r->next[i] };
        }
    }
}

size_t asx_rq_receiver_answer(asx_rq_receiver *r, uint8_t *out)
{
    if (!r->is_answer_due) {
        return 0;
    }
    r->is_answer_due = false;
    const bool ours = is_ours(r);
    asx_rq_tagger *tagger = ours ? r->tagger : r->foreign;
    asx_rq_frame frame = { .kind = ASX_RQ_FRAME_NEED, .is_tagged = tagger != NULL };
    memcpy(frame.object_id, r->frame.object_id, sizeof(frame.object_id));
    frame.need.session = r->frame.offer.session;
    frame.need.probe = r->frame.offer.probe;
    if (ours) {
        fill_need(r, &frame.need);
    } else {
        frame.need.state = ASX_RQ_NEED_BUSY;
    }
    size_t len = asx_rq_frame_encode(&frame, out);
    if (tagger != NULL) {
        asx_rq_tagger_record(tagger, out, len, out + len);
        len += ASX_RQ_FRAME_TAG;
    }
    asx_assert_le(len, ASX_RQ_FRAME_SIZE(0));
    r->stats.answers++;
    return len;
}

asx_err asx_rq_receiver_finish(const asx_rq_receiver *r)
{
    uint8_t digest[ASX_RQ_DIGEST_SIZE];
    asx_assert_eq(r->state, ASX_RQ_RECEIVER_WHOLE);
    r->config.digest(r->offer.size > 0 ? r->target : "", r->offer.size, digest);
    if (memcmp(digest, r->offer.digest, sizeof(digest)) != 0) {
        return ASX_RQ_E(CORRUPT);
    }
    return r->config.store(r->config.arg);
}

void asx_rq_receiver_settle(asx_rq_receiver *r, asx_err err)
{
    asx_assert_eq(r->state, ASX_RQ_RECEIVER_WHOLE);
    if (err != ASX_OK) {
        fail(r, err);
        r->answer = ASX_RQ_NEED_FAILED;
        return;
    }
    r->state = ASX_RQ_RECEIVER_DONE;
}
