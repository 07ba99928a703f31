#include <asx/raptorq/net/frame.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include <assert.h>
#include <string.h>

/* Offsets in a body. */
enum {
    OFFER_PROBE = 8,
    OFFER_WANTS = 12,
    OFFER_SIZE = 13,
    OFFER_OTI = 21,
    OFFER_DIGEST = OFFER_OTI + ASX_RQ_OTI_SIZE,
    OFFER_END = OFFER_DIGEST + ASX_RQ_DIGEST_SIZE,
    NEED_PROBE = 8,
    NEED_STATE = 12,
    NEED_WINDOW = 13,
    NEED_RECEIVED = 14,
    NEED_DONE = 22,
    NEED_COUNT = 24,
    NEED_ENTRIES = 25,
    NEED_ENTRY = 8,
    BYE_END = 8,
    BLOCKS_MAX = 255,
};

static_assert(OFFER_END <= ASX_RQ_OFFER_BODY, "an OFFER's fields fit in its padding");
static_assert(ASX_RQ_NEED_BODY(0) == NEED_ENTRIES, "the header's sum is this file's");

static const uint8_t magic[3] = { 'a', 'R', 'Q' };
static const char id_domain[16] = "asx-rq object 1";

const char *asx_rq_frame_fault_name(asx_rq_frame_fault fault)
{
    switch (fault) {
    case ASX_RQ_FRAME_OK:
        return "ok";
    case ASX_RQ_FRAME_SHORT:
        return "shorter than a head";
    case ASX_RQ_FRAME_FOREIGN:
        return "not of this protocol";
    case ASX_RQ_FRAME_OTHER:
        return "another version";
    case ASX_RQ_FRAME_LENGTH:
        return "not as long as it says";
    case ASX_RQ_FRAME_BODY:
        return "a body nobody can have meant";
    case ASX_RQ_FRAME_FAULTS:
        break;
    }
    return "?";
}

const char *asx_rq_frame_kind_name(asx_rq_frame_kind kind)
{
    switch (kind) {
    case ASX_RQ_FRAME_SYMBOL:
        return "symbol";
    case ASX_RQ_FRAME_OFFER:
        return "offer";
    case ASX_RQ_FRAME_NEED:
        return "need";
    case ASX_RQ_FRAME_BYE:
        return "bye";
    }
    return "?";
}

const char *asx_rq_need_state_name(asx_rq_need_state state)
{
    switch (state) {
    case ASX_RQ_NEED_RECEIVING:
        return "receiving";
    case ASX_RQ_NEED_FINISHING:
        return "finishing";
    case ASX_RQ_NEED_DONE:
        return "done";
    case ASX_RQ_NEED_BUSY:
        return "busy with another object";
    case ASX_RQ_NEED_REFUSED:
        return "refused";
    case ASX_RQ_NEED_FAILED:
        return "failed";
    }
    return "?";
}

static void store_be24(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 16);
    asx_store_be16(out + 1, (uint16_t)value);
}

static uint32_t load_be24(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 16 | asx_load_be16(bytes + 1);
}

static size_t put_symbol(const asx_rq_symbol_body *symbol, uint8_t *out)
{
    asx_assert(symbol->len > 0 && symbol->len <= ASX_RQ_FRAME_SYMBOL_MAX);
    asx_rq_payload_id_encode(out, symbol->sbn, symbol->esi);
    if (symbol->bytes != out + ASX_RQ_PAYLOAD_ID_SIZE) {
        memcpy(out + ASX_RQ_PAYLOAD_ID_SIZE, symbol->bytes, symbol->len);
    }
    return ASX_RQ_PAYLOAD_ID_SIZE + symbol->len;
}

/* Size, OTI and digest, as an OFFER carries them and as the object's id is made of them. */
static void put_object(const asx_rq_offer_body *offer, uint8_t *out)
{
    asx_store_be64(out, offer->size);
    memset(out + 8, 0, ASX_RQ_OTI_SIZE);
    if (offer->size > 0) {
        asx_assert_eq(offer->oti.size, offer->size);
        asx_rq_oti_encode(&offer->oti, out + 8);
    }
    memcpy(out + 8 + ASX_RQ_OTI_SIZE, offer->digest, ASX_RQ_DIGEST_SIZE);
}

static size_t put_offer(const asx_rq_offer_body *offer, uint8_t *out)
{
    memset(out, 0, ASX_RQ_OFFER_BODY);
    asx_store_be64(out, offer->session);
    asx_store_be32(out + OFFER_PROBE, offer->probe);
    out[OFFER_WANTS] = offer->wants_answer ? 1 : 0;
    put_object(offer, out + OFFER_SIZE);
    return ASX_RQ_OFFER_BODY;
}

static size_t put_need(const asx_rq_need_body *need, uint8_t *out)
{
    asx_assert_le(need->count, ASX_RQ_NEEDS_MAX);
    asx_assert_le(need->done, BLOCKS_MAX);
    asx_store_be64(out, need->session);
    asx_store_be32(out + NEED_PROBE, need->probe);
    out[NEED_STATE] = (uint8_t)need->state;
    out[NEED_WINDOW] = (uint8_t)(need->window < BLOCKS_MAX ? need->window : BLOCKS_MAX);
    asx_store_be64(out + NEED_RECEIVED, need->received);
    asx_store_be16(out + NEED_DONE, (uint16_t)need->done);
    out[NEED_COUNT] = (uint8_t)need->count;
    for (uint32_t i = 0; i < need->count; i++) {
        uint8_t *at = out + NEED_ENTRIES + (size_t)i * NEED_ENTRY;
        at[0] = (uint8_t)need->entries[i].sbn;
        store_be24(at + 1, need->entries[i].need);
        asx_store_be32(at + 4, need->entries[i].next);
    }
    return ASX_RQ_NEED_BODY(need->count);
}

size_t asx_rq_frame_encode(const asx_rq_frame *frame, uint8_t *out)
{
    uint8_t *body = out + ASX_RQ_FRAME_HEAD;
    size_t len = 0;
    switch (frame->kind) {
    case ASX_RQ_FRAME_SYMBOL:
        len = put_symbol(&frame->symbol, body);
        break;
    case ASX_RQ_FRAME_OFFER:
        len = put_offer(&frame->offer, body);
        break;
    case ASX_RQ_FRAME_NEED:
        len = put_need(&frame->need, body);
        break;
    case ASX_RQ_FRAME_BYE:
        asx_store_be64(body, frame->bye);
        len = BYE_END;
        break;
    }
    asx_assert(len > 0);
    memcpy(out, magic, sizeof(magic));
    out[3] = ASX_RQ_FRAME_VERSION;
    out[4] = (uint8_t)frame->kind;
    out[5] = frame->is_tagged ? 1 : 0;
    asx_store_be16(out + 6, (uint16_t)len);
    memcpy(out + 8, frame->object_id, ASX_RQ_OBJECT_ID_SIZE);
    return ASX_RQ_FRAME_HEAD + len;
}

static bool get_symbol(asx_rq_symbol_body *symbol, const uint8_t *body, size_t len)
{
    if (len <= ASX_RQ_PAYLOAD_ID_SIZE) {
        return false;
    }
    asx_rq_payload_id_decode(body, &symbol->sbn, &symbol->esi);
    symbol->bytes = body + ASX_RQ_PAYLOAD_ID_SIZE;
    symbol->len = len - ASX_RQ_PAYLOAD_ID_SIZE;
    return true;
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

static bool get_offer(asx_rq_offer_body *offer, const uint8_t *body, size_t len)
{
    if (len != ASX_RQ_OFFER_BODY || body[OFFER_WANTS] > 1 ||
        !all_zero(body + OFFER_END, len - OFFER_END)) {
        return false;
    }
    *offer = (asx_rq_offer_body){ .session = asx_load_be64(body),
                                  .probe = asx_load_be32(body + OFFER_PROBE),
                                  .wants_answer = body[OFFER_WANTS] == 1,
                                  .size = asx_load_be64(body + OFFER_SIZE) };
    memcpy(offer->digest, body + OFFER_DIGEST, ASX_RQ_DIGEST_SIZE);
    if (offer->size == 0) {
        return all_zero(body + OFFER_OTI, ASX_RQ_OTI_SIZE);
    }
    return asx_rq_oti_decode(&offer->oti, body + OFFER_OTI) == ASX_OK &&
           offer->oti.size == offer->size && offer->oti.symbol_size <= ASX_RQ_FRAME_SYMBOL_MAX;
}

static bool get_need(asx_rq_need_body *need, const uint8_t *body, size_t len)
{
    if (len < NEED_ENTRIES || body[NEED_COUNT] > ASX_RQ_NEEDS_MAX ||
        len != ASX_RQ_NEED_BODY(body[NEED_COUNT]) || body[NEED_STATE] > ASX_RQ_NEED_FAILED) {
        return false;
    }
    *need = (asx_rq_need_body){ .session = asx_load_be64(body),
                                .probe = asx_load_be32(body + NEED_PROBE),
                                .state = (asx_rq_need_state)body[NEED_STATE],
                                .window = body[NEED_WINDOW],
                                .received = asx_load_be64(body + NEED_RECEIVED),
                                .done = asx_load_be16(body + NEED_DONE),
                                .count = body[NEED_COUNT] };
    for (uint32_t i = 0; i < need->count; i++) {
        const uint8_t *at = body + NEED_ENTRIES + (size_t)i * NEED_ENTRY;
        asx_rq_need_entry *entry = &need->entries[i];
        *entry = (asx_rq_need_entry){ .sbn = at[0],
                                      .need = load_be24(at + 1),
                                      .next = asx_load_be32(at + 4) };
        if (entry->need == 0 || entry->need > ASX_RQ_K_MAX || entry->next > ASX_RQ_ESI_MAX + 1 ||
            (i > 0 && entry->sbn <= need->entries[i - 1].sbn)) {
            return false;
        }
    }
    return need->done <= BLOCKS_MAX;
}

static bool get_body(asx_rq_frame *frame, const uint8_t *body, size_t len)
{
    switch (frame->kind) {
    case ASX_RQ_FRAME_SYMBOL:
        return get_symbol(&frame->symbol, body, len);
    case ASX_RQ_FRAME_OFFER:
        return get_offer(&frame->offer, body, len);
    case ASX_RQ_FRAME_NEED:
        return get_need(&frame->need, body, len);
    case ASX_RQ_FRAME_BYE:
        frame->bye = len == BYE_END ? asx_load_be64(body) : 0;
        return len == BYE_END;
    }
    return false;
}

asx_rq_frame_fault asx_rq_frame_decode(asx_rq_frame *frame, const uint8_t *bytes, size_t len)
{
    if (len < ASX_RQ_FRAME_HEAD) {
        return ASX_RQ_FRAME_SHORT;
    }
    if (memcmp(bytes, magic, sizeof(magic)) != 0) {
        return ASX_RQ_FRAME_FOREIGN;
    }
    if (bytes[3] != ASX_RQ_FRAME_VERSION) {
        return ASX_RQ_FRAME_OTHER;
    }
    const size_t body_len = asx_load_be16(bytes + 6);
    const bool is_tagged = (bytes[5] & 1) != 0;
    if (len != ASX_RQ_FRAME_HEAD + body_len + (is_tagged ? ASX_RQ_FRAME_TAG : 0)) {
        return ASX_RQ_FRAME_LENGTH;
    }
    frame->kind = (asx_rq_frame_kind)bytes[4];
    frame->is_tagged = is_tagged;
    memcpy(frame->object_id, bytes + 8, ASX_RQ_OBJECT_ID_SIZE);
    frame->signed_bytes = bytes;
    frame->signed_len = ASX_RQ_FRAME_HEAD + body_len;
    frame->tag = is_tagged ? bytes + frame->signed_len : NULL;
    if (bytes[5] > 1 || !get_body(frame, bytes + ASX_RQ_FRAME_HEAD, body_len)) {
        return ASX_RQ_FRAME_BODY;
    }
    return ASX_RQ_FRAME_OK;
}

void asx_rq_object_id(uint8_t id[ASX_RQ_OBJECT_ID_SIZE], const asx_rq_offer_body *offer,
                      asx_rq_digest_fn *digest)
{
    uint8_t bytes[sizeof(id_domain) + 8 + ASX_RQ_OTI_SIZE + ASX_RQ_DIGEST_SIZE];
    uint8_t full[ASX_RQ_DIGEST_SIZE];
    memcpy(bytes, id_domain, sizeof(id_domain));
    put_object(offer, bytes + sizeof(id_domain));
    digest(bytes, sizeof(bytes), full);
    memcpy(id, full, ASX_RQ_OBJECT_ID_SIZE);
}
