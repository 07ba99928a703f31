#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include "sender_internal.h"

#include <string.h>

static asx_err shape(asx_rq_oti *oti, const asx_rq_sender_config *config)
{
    if (config->symbol_size == 0 || config->symbol_size > ASX_RQ_FRAME_SYMBOL_MAX) {
        return ASX_RQ_E(SYMBOL_SIZE);
    }
    if (config->size == 0) {
        return ASX_OK;
    }
    return asx_rq_oti_by_block(oti, config->size, config->symbol_size, config->block_size);
}

/* n raised by permille, rounded up */
static uint32_t scaled(uint32_t n, uint32_t permille)
{
    return (uint32_t)asx_div_ceil((uint64_t)n * permille, 1000);
}

static void blocks_init(asx_rq_sender *s)
{
    for (uint32_t i = 0; i < s->offer.oti.blocks; i++) {
        asxi_send_block *block = &s->blocks[i];
        block->k = asx_rq_oti_block(&s->offer.oti, i).k;
        block->need = block->k;
        block->left = block->k + scaled(block->k, s->config.overhead_permille);
        if (s->config.is_fresh && !s->config.has_feedback) {
            block->next = block->k + (uint32_t)(asx_load_u32(&s->config.session) >> 9);
        }
        block->covered = block->next;
    }
}

static asx_err object_create(asx_rq_sender *s)
{
    asx_err err = asx_rq_cache_create(&s->cache, 4, 0, NULL);
    if (err != ASX_OK) {
        return err;
    }
    const asx_rq_object_config config = { .cache = s->cache };
    return asx_rq_sender_object_create(&s->object, &s->offer.oti, s->config.source, &config);
}

asx_err asx_rq_sender_create(asx_rq_sender **result, const asx_rq_sender_config *config)
{
    asx_rq_oti oti = { 0 };
    asx_err err = shape(&oti, config);
    if (err != ASX_OK) {
        return err;
    }
    asx_rq_sender *s = asx_rq_alloc_get(NULL, sizeof(*s));
    if (s == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    memset(s, 0, sizeof(*s));
    s->config = *config;
    s->offer = (asx_rq_offer_body){ .session = config->session,
                                    .wants_answer = config->has_feedback,
                                    .size = config->size,
                                    .oti = oti };
    config->digest(config->size > 0 ? config->source : "", config->size, s->offer.digest);
    asx_rq_object_id(s->object_id, &s->offer, config->digest);
    s->window = config->window > 0 ? config->window : ASX_RQ_SENDER_WINDOW;
    if (config->silence_ns == 0) {
        s->config.silence_ns = ASX_RQ_SENDER_SILENCE_NS;
    }
    s->pace = (asx_rq_pace){ .rate = config->rate, .burst_ns = ASX_RQ_SENDER_BURST_NS };
    s->prepared = NO_BLOCK;
    s->offers_left = OFFERS_FIRST;
    s->rounds_left = config->rounds;
    s->state = config->has_feedback ? OFFERING : SENDING;
    s->srtt_ns = ASX_RQ_SENDER_PROBE_NS_MIN;
    s->stats.blocks = oti.blocks;
    blocks_init(s);
    s->scratch = asx_rq_alloc_get(NULL, config->symbol_size);
    err = s->scratch == NULL ? ASX_RQ_E(NO_MEMORY) : ASX_OK;
    if (err == ASX_OK && config->keys != NULL) {
        err = asx_rq_tagger_create(&s->tagger, config->keys, s->object_id);
    }
    if (err == ASX_OK && config->size > 0) {
        err = object_create(s);
    }
    if (err != ASX_OK) {
        asx_rq_sender_destroy(s);
        return err;
    }
    *result = s;
    return ASX_OK;
}

void asx_rq_sender_destroy(asx_rq_sender *s)
{
    if (s == NULL) {
        return;
    }
    asx_rq_sender_object_destroy(s->object);
    if (s->cache != NULL) {
        asx_rq_cache_destroy(s->cache);
    }
    asx_rq_tagger_destroy(s->tagger);
    asx_rq_alloc_put(NULL, s->scratch, s->config.symbol_size);
    asx_rq_alloc_put(NULL, s, sizeof(*s));
}

size_t asx_rq_sender_frame_size(const asx_rq_sender *s)
{
    return ASX_RQ_FRAME_SIZE(s->config.symbol_size);
}

asx_err asx_rq_sender_err(const asx_rq_sender *s)
{
    return s->err;
}

asx_rq_need_state asx_rq_sender_peer(const asx_rq_sender *s)
{
    return s->peer;
}

const asx_rq_sender_stats *asx_rq_sender_stats_get(const asx_rq_sender *s)
{
    return &s->stats;
}

asx_rq_step asxi_sender_fail(asx_rq_sender *s, asx_err err)
{
    s->state = FAILED;
    s->err = err;
    return ASX_RQ_STEP_FAILED;
}

static asx_rq_frame frame_of(const asx_rq_sender *s, asx_rq_frame_kind kind)
{
    asx_rq_frame frame = { .kind = kind, .is_tagged = s->tagger != NULL };
    memcpy(frame.object_id, s->object_id, sizeof(frame.object_id));
    return frame;
}

static asx_rq_step sent(asx_rq_sender *s, asx_instant now_ns, size_t len)
{
    s->stats.datagrams++;
    s->stats.bytes += len;
    asx_rq_pace_spend(&s->pace, now_ns, len);
    return ASX_RQ_STEP_SEND;
}

static asx_rq_step send_record(asx_rq_sender *s, asx_instant now_ns, const asx_rq_frame *frame,
                               uint8_t *out, size_t *len)
{
    *len = asx_rq_frame_encode(frame, out);
    if (s->tagger != NULL) {
        asx_rq_tagger_record(s->tagger, out, *len, out + *len);
        *len += ASX_RQ_FRAME_TAG;
    }
    return sent(s, now_ns, *len);
}

/* Every OFFER is a probe: what was sent so far is remembered under its number. */
static asx_rq_step send_offer(asx_rq_sender *s, asx_instant now_ns, uint8_t *out, size_t *len)
{
    asx_rq_frame frame = frame_of(s, ASX_RQ_FRAME_OFFER);
    s->probe++;
    s->since_probe = 0;
    s->stats.probes++;
    asxi_snapshot *shot = &s->snapshots[s->probe % SNAPSHOTS];
    shot->probe = s->probe;
    shot->at_ns = now_ns;
    shot->sent = s->stats.sources + s->stats.repairs;
    for (uint32_t i = 0; i < s->offer.oti.blocks; i++) {
        shot->next[i] = s->blocks[i].next;
    }
    s->offer.probe = s->probe;
    frame.offer = s->offer;
    return send_record(s, now_ns, &frame, out, len);
}

static asx_err symbol_bytes(asx_rq_sender *s, uint32_t sbn, uint32_t esi, uint8_t *out)
{
    const asx_rq_extent extent = asx_rq_oti_block(&s->offer.oti, sbn);
    const size_t size = s->config.symbol_size;
    if (esi >= extent.k) {
        return asx_rq_sender_object_symbol(s->object, sbn, esi, out);
    }
    /* One sub-block: a source symbol stands in the object as it is, the last one perhaps short. */
    const uint64_t at = (uint64_t)esi * size;
    const size_t have = extent.size - at < size ? (size_t)(extent.size - at) : size;
    memcpy(out, (const uint8_t *)s->config.source + extent.offset + at, have);
    memset(out + have, 0, size - have);
    return ASX_OK;
}

static asx_rq_step send_symbol(asx_rq_sender *s, asx_instant now_ns, uint32_t sbn, uint8_t *out,
                               size_t *len)
{
    asxi_send_block *block = &s->blocks[sbn];
    const uint32_t esi = block->next;
    const bool is_repair = esi >= block->k;
    s->current = sbn;
    if (esi > ASX_RQ_ESI_MAX) {
        return asxi_sender_fail(s, ASX_RQ_E(BAD_ESI));
    }
    if (is_repair && s->prepared != sbn) {
        return ASX_RQ_STEP_PREPARE;
    }
    uint8_t *bytes = out + ASX_RQ_FRAME_SYMBOL_AT;
    const asx_err err = symbol_bytes(s, sbn, esi, bytes);
    if (err != ASX_OK) {
        return asxi_sender_fail(s, err);
    }
    asx_rq_frame frame = frame_of(s, ASX_RQ_FRAME_SYMBOL);
    frame.symbol = (asx_rq_symbol_body){
        .sbn = sbn, .esi = esi, .bytes = bytes, .len = s->config.symbol_size
    };
    *len = asx_rq_frame_encode(&frame, out);
    if (s->tagger != NULL) {
        asx_rq_tagger_symbol(s->tagger, &frame.symbol, is_repair, out + *len);
        *len += ASX_RQ_FRAME_TAG;
    }
    block->next++;
    s->since_probe++;
    *(is_repair ? &s->stats.repairs : &s->stats.sources) += 1;
    return sent(s, now_ns, *len);
}

void asx_rq_sender_prepare(asx_rq_sender *s)
{
    const asx_err err =
        asx_rq_sender_object_symbol(s->object, s->current, s->blocks[s->current].next, s->scratch);
    if (err != ASX_OK) {
        (void)asxi_sender_fail(s, err);
        return;
    }
    s->prepared = s->current;
}

/* Symbols to send of a block now: what it needs, raised by overhead and loss, without what is under
 * way. */
static uint32_t wanted(const asx_rq_sender *s, const asxi_send_block *block)
{
    const uint32_t raised = scaled(block->need, 1000 + s->config.overhead_permille);
    const uint32_t target =
        (uint32_t)asx_div_ceil((uint64_t)raised * 1000, 1000 - s->stats.loss_permille);
    const uint32_t under_way = block->next - block->covered;
    return block->is_done || target <= under_way ? 0 : target - under_way;
}

uint32_t asxi_sender_pick(const asx_rq_sender *s)
{
    if (s->state != SENDING || s->peer != ASX_RQ_NEED_RECEIVING || s->offer.size == 0) {
        return NO_BLOCK;
    }
    if (wanted(s, &s->blocks[s->current]) > 0) {
        return s->current;
    }
    uint32_t open = 0;
    for (uint32_t i = 0; i < s->offer.oti.blocks && open < s->window; i++) {
        if (wanted(s, &s->blocks[i]) > 0) {
            return i;
        }
        open += !s->blocks[i].is_done;
    }
    return NO_BLOCK;
}

asx_duration asxi_sender_probe_pause(const asx_rq_sender *s, bool is_idle)
{
    const unsigned shift = is_idle ? 1 + (s->misses < 6 ? s->misses : 6) : 0;
    const asx_duration pause_ns = s->srtt_ns << shift;
    return pause_ns < ASX_RQ_SENDER_PROBE_NS_MIN   ? ASX_RQ_SENDER_PROBE_NS_MIN
           : pause_ns > ASX_RQ_SENDER_PROBE_NS_MAX ? ASX_RQ_SENDER_PROBE_NS_MAX
                                                   : pause_ns;
}

static asx_rq_step next_asked(asx_rq_sender *s, asx_instant now_ns, uint8_t *out, size_t *len,
                              asx_instant *until_ns)
{
    if (s->heard_at_ns == 0) {
        s->heard_at_ns = now_ns; /* silence counts from the first OFFER */
    }
    const asx_instant silent_ns = asx_time_add(s->heard_at_ns, s->config.silence_ns);
    if (now_ns >= silent_ns) {
        return asxi_sender_fail(s, ASX_RQ_E(SILENCE));
    }
    const uint32_t sbn = asxi_sender_pick(s);
    const bool is_idle = sbn == NO_BLOCK;
    if (now_ns >= s->probe_at_ns || (is_idle && s->since_probe > 0)) {
        s->probe_at_ns = asx_time_add(now_ns, asxi_sender_probe_pause(s, is_idle));
        s->misses += is_idle;
        return send_offer(s, now_ns, out, len);
    }
    if (is_idle) {
        *until_ns = s->probe_at_ns < silent_ns ? s->probe_at_ns : silent_ns;
        return ASX_RQ_STEP_WAIT;
    }
    return send_symbol(s, now_ns, sbn, out, len);
}

/* Without feedback: goes to the next block that has symbols left in this round. False: all sent. */
static bool advance(asx_rq_sender *s)
{
    while (s->current < s->offer.oti.blocks && s->blocks[s->current].left == 0) {
        s->current++;
        if (s->current == s->offer.oti.blocks && s->rounds_left > 0) {
            s->rounds_left--;
            s->current = 0;
            for (uint32_t i = 0; i < s->offer.oti.blocks; i++) {
                s->blocks[i].left = scaled(s->blocks[i].k, s->config.overhead_permille);
            }
        }
    }
    return s->current < s->offer.oti.blocks;
}

/* The first OFFERs get a head start: symbols that arrive before any of them are lost. */
static asx_rq_step next_unasked(asx_rq_sender *s, asx_instant now_ns, uint8_t *out, size_t *len,
                                asx_instant *until_ns)
{
    if (now_ns < s->probe_at_ns) {
        *until_ns = s->probe_at_ns;
        return ASX_RQ_STEP_WAIT;
    }
    if (s->offers_left > 0 || s->since_probe >= ASX_RQ_SENDER_OFFER_EVERY) {
        const bool is_first = s->stats.sources + s->stats.repairs == 0;
        s->offers_left -= s->offers_left > 0;
        s->probe_at_ns = is_first ? asx_time_add(now_ns, ASX_RQ_SENDER_LEAD_NS) : 0;
        return send_offer(s, now_ns, out, len);
    }
    if (s->state == ENDING) {
        s->state = ENDED;
        return ASX_RQ_STEP_ENDED;
    }
    if (!advance(s)) {
        s->state = ENDING;
        s->offers_left = OFFERS_LAST;
        return next_unasked(s, now_ns, out, len, until_ns);
    }
    asxi_send_block *block = &s->blocks[s->current];
    const uint32_t before = block->next;
    const asx_rq_step step = send_symbol(s, now_ns, s->current, out, len);
    if (block->next != before) {
        block->left--;
        const uint64_t bytes = (s->stats.sources + s->stats.repairs) * s->config.symbol_size;
        s->stats.done_bytes = bytes < s->offer.size ? bytes : s->offer.size;
    }
    return step;
}

asx_rq_step asx_rq_sender_next(asx_rq_sender *s, asx_instant now_ns, uint8_t *out, size_t *len,
                               asx_instant *until_ns)
{
    if (s->state == FAILED) {
        return ASX_RQ_STEP_FAILED;
    }
    if (s->state == ENDED) {
        return ASX_RQ_STEP_ENDED;
    }
    if (!asx_rq_pace_ready(&s->pace, now_ns, until_ns)) {
        return ASX_RQ_STEP_WAIT;
    }
    if (!s->config.has_feedback) {
        return next_unasked(s, now_ns, out, len, until_ns);
    }
    if (s->state != ENDING) {
        return next_asked(s, now_ns, out, len, until_ns);
    }
    if (s->byes_left == 0) {
        s->state = ENDED;
        return ASX_RQ_STEP_ENDED;
    }
    s->byes_left--;
    asx_rq_frame frame = frame_of(s, ASX_RQ_FRAME_BYE);
    frame.bye = s->config.session;
    return send_record(s, now_ns, &frame, out, len);
}
