#include <asx/raptorq/encoder.h>
#include <asx/raptorq/proof.h>
#include <asx/shard/base/assert.h>

#include "decoder_internal.h"
#include "solve_internal.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[16] = "asx-rq-proof-2";

/* Adds one symbol, its number before its bytes in `scratch`, to the order-free digests. */
static void fold(asx_rq_proof *proof, uint32_t esi, bool is_listed, asx_rq_digest_fn *digest,
                 uint8_t *scratch)
{
    uint8_t one[ASX_RQ_DIGEST_SIZE];
    const uint32_t head[2] = { esi, esi < proof->k };
    memcpy(scratch, head, sizeof(head));
    digest(scratch, proof->symbol_size + sizeof(head), one);
    for (int i = 0; i < ASX_RQ_DIGEST_SIZE; i++) {
        proof->received[i] ^= one[i];
        proof->sampled[i] ^= is_listed ? one[i] : 0;
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

static void describe(asx_rq_proof *proof, const asx_rq_decoder *decoder)
{
    const asx_rq_block *block = &decoder->block;
    const asx_rq_decoder_stats *stats = &decoder->stats;
    proof->k = block->param.k;
    proof->k_prime = block->param.k_prime;
    proof->s = block->param.s;
    proof->h = block->param.h;
    proof->l = block->param.l;
    proof->symbol_size = block->symbol_size;
    proof->sub_blocks = block->sub_blocks;
    proof->alignment = block->alignment;
    proof->sources = stats->sources;
    proof->repairs = stats->repairs;
    proof->method = stats->method;
    proof->policy = stats->solve.policy;
    proof->inactive = stats->solve.inactive;
    proof->dense_rank = stats->solve.dense_rank;
    proof->hdpc_used = stats->solve.hdpc_used;
    proof->reason = stats->solve.reason;
    proof->features = stats->solve.features;
    memcpy(proof->loss, stats->solve.loss, sizeof(proof->loss));
    proof->error = decoder->is_done ? ASX_OK : decoder->last;
}

/* Lists an ESI while there is room; repair symbols are sorted among themselves, after the source.
 */
static void list(asx_rq_proof *proof, uint32_t esi)
{
    if (proof->listed < ASX_RQ_PROOF_ESIS) {
        proof->esi[proof->listed++] = esi;
    }
}

/* The listed repair ESIs are the lowest ones, whatever order they came in: a full list lets a lower
 * one replace its highest. */
static void list_repair(asx_rq_proof *proof, uint32_t first, uint32_t esi)
{
    if (proof->listed < ASX_RQ_PROOF_ESIS) {
        list(proof, esi);
        return;
    }
    uint32_t highest = first;
    for (uint32_t i = first; i < proof->listed; i++) {
        highest = proof->esi[i] > proof->esi[highest] ? i : highest;
    }
    if (first < proof->listed && esi < proof->esi[highest]) {
        proof->esi[highest] = esi;
    }
}

static void list_all(asx_rq_proof *proof, const asx_rq_decoder *decoder)
{
    for (uint32_t esi = 0; esi < proof->k; esi++) {
        if (decoder->source_state[esi] == ASXI_SYMBOL_USABLE) {
            list(proof, esi);
        }
    }
    const uint32_t first = proof->listed;
    for (uint32_t i = 0; i < decoder->repairs; i++) {
        if (decoder->repair_state[i] == ASXI_SYMBOL_USABLE) {
            list_repair(proof, first, decoder->repair_esi[i]);
        }
    }
    qsort(proof->esi + first, proof->listed - first, sizeof(uint32_t), compare);
}

void asx_rq_proof_make(asx_rq_proof *proof, const asx_rq_decoder *decoder,
                       const uint8_t object_id[16], uint32_t sbn, asx_rq_digest_fn *digest,
                       uint8_t *scratch)
{
    const asx_rq_block *block = &decoder->block;
    memset(proof, 0, sizeof(*proof));
    memcpy(proof->object_id, object_id, sizeof(proof->object_id));
    proof->sbn = sbn;
    describe(proof, decoder);
    list_all(proof, decoder);
    /* the listed are the lowest: one bound tells them from the others */
    const uint32_t bound = proof->listed > 0 ? proof->esi[proof->listed - 1] : 0;
    for (uint32_t esi = 0; esi < proof->k; esi++) {
        if (decoder->source_state[esi] == ASXI_SYMBOL_USABLE) {
            asx_rq_block_get(block, decoder->output, esi, scratch + 8);
            fold(proof, esi, esi <= bound, digest, scratch);
        }
    }
    for (uint32_t i = 0; i < decoder->repairs; i++) {
        const uint32_t esi = decoder->repair_esi[i];
        if (decoder->repair_state[i] == ASXI_SYMBOL_USABLE) {
            memcpy(scratch + 8, decoder->repair + (size_t)i * block->symbol_size,
                   block->symbol_size);
            fold(proof, esi, esi <= bound, digest, scratch);
        }
    }
    if (decoder->is_done) {
        digest(decoder->output, (size_t)proof->k * proof->symbol_size, proof->source);
    }
}

/* The fixed part is the struct up to the list: fields of 4 and 8 bytes without holes, hosts being
 * little-endian. */
enum { FIXED = offsetof(asx_rq_proof, esi) };
static_assert(sizeof(prefix) + FIXED + 4 * ASX_RQ_PROOF_ESIS <= ASX_RQ_PROOF_SIZE_MAX,
              "a record fits its bound");
static_assert(FIXED == 16 + 25 * 4 + 4 + 8 + 96 || FIXED == 16 + 25 * 4 + 8 + 96,
              "no holes but the one before the error");

size_t asx_rq_proof_save(const asx_rq_proof *proof, uint8_t out[ASX_RQ_PROOF_SIZE_MAX])
{
    asx_assert_le(proof->listed, ASX_RQ_PROOF_ESIS);
    memcpy(out, prefix, sizeof(prefix));
    memcpy(out + sizeof(prefix), proof, FIXED);
    memcpy(out + sizeof(prefix) + FIXED, proof->esi, proof->listed * sizeof(uint32_t));
    return sizeof(prefix) + FIXED + proof->listed * sizeof(uint32_t);
}

asx_err asx_rq_proof_load(asx_rq_proof *proof, const uint8_t *bytes, size_t len)
{
    memset(proof, 0, sizeof(*proof));
    if (len < sizeof(prefix) + FIXED || memcmp(bytes, prefix, sizeof(prefix)) != 0) {
        return ASX_RQ_E(PROOF_MISMATCH);
    }
    memcpy(proof, bytes + sizeof(prefix), FIXED);
    const size_t rest = len - sizeof(prefix) - FIXED;
    if (proof->listed > ASX_RQ_PROOF_ESIS || rest != proof->listed * sizeof(uint32_t)) {
        return ASX_RQ_E(PROOF_MISMATCH);
    }
    memcpy(proof->esi, bytes + sizeof(prefix) + FIXED, rest);
    return ASX_OK;
}

/* Does the decision follow from its reason and its features? */
static bool is_policy_sound(const asx_rq_proof *proof)
{
    /* inactivating by support changes how many there are after the choice */
    const uint32_t inactive = proof->policy == ASX_RQ_POLICY_SUPPORT ? UINT32_MAX : proof->inactive;
    asx_rq_solve_stats made = { .features = { 0 } };
    const uint32_t best = asxi_policy_choose(&proof->features, inactive, &made);
    const bool has_losses = memcmp(proof->loss, made.loss, sizeof(made.loss)) == 0;
    const bool is_unchosen =
        memcmp(&proof->features, &(asx_rq_features){ 0 }, sizeof(proof->features)) == 0 &&
        (proof->loss[0] | proof->loss[1] | proof->loss[2]) == 0;
    switch ((asx_rq_policy_reason)proof->reason) {
    case ASX_RQ_REASON_ASKED:
        return is_unchosen && proof->policy <= ASX_RQ_POLICY_SCHUR;
    case ASX_RQ_REASON_BUDGET:
        return is_unchosen && proof->policy == ASX_RQ_POLICY_BASELINE;
    case ASX_RQ_REASON_GATE:
    case ASX_RQ_REASON_LOSS:
        return has_losses && made.reason == proof->reason && proof->policy == best;
    case ASX_RQ_REASON_NO_PIVOT:
        return (is_unchosen || (has_losses && best == ASX_RQ_POLICY_SCHUR)) &&
               proof->policy == ASX_RQ_POLICY_BASELINE;
    }
    return false;
}

/* The facts that need no symbol. Returns what is wrong, or NULL. */
static const char *check_shape(const asx_rq_proof *proof, asx_rq_block *block)
{
    if (proof->error != ASX_OK) {
        return "error";
    }
    if (asx_rq_block_init(block, proof->k, proof->symbol_size, proof->sub_blocks,
                          proof->alignment) != ASX_OK) {
        return "block";
    }
    if (proof->k_prime != block->param.k_prime || proof->s != block->param.s ||
        proof->h != block->param.h || proof->l != block->param.l) {
        return "parameters";
    }
    const uint64_t received = (uint64_t)proof->sources + proof->repairs;
    if (proof->sources > proof->k || received < proof->k) {
        return "received";
    }
    const uint64_t listed = received < ASX_RQ_PROOF_ESIS ? received : ASX_RQ_PROOF_ESIS;
    if (proof->listed != listed) {
        return "listed";
    }
    for (uint32_t i = 0; i < proof->listed; i++) {
        if (proof->esi[i] > ASX_RQ_ESI_MAX || (i > 0 && proof->esi[i] <= proof->esi[i - 1])) {
            return "esi";
        }
    }
    return is_policy_sound(proof) ? NULL : "policy";
}

/* Encodes every listed symbol again: they must fold to the digest of those listed, and when the
 * list was not cut off, to that of all. */
static const char *check_symbols(const asx_rq_proof *proof, asx_rq_encoder *encoder,
                                 asx_rq_digest_fn *digest, uint8_t *scratch, asx_err *err)
{
    asx_rq_proof again = { .k = proof->k, .symbol_size = proof->symbol_size };
    uint32_t sources = 0;
    for (uint32_t i = 0; i < proof->listed; i++) {
        *err = asx_rq_encoder_symbol(encoder, proof->esi[i], scratch + 8);
        if (*err != ASX_OK) {
            return "memory";
        }
        fold(&again, proof->esi[i], true, digest, scratch);
        sources += proof->esi[i] < proof->k;
    }
    if (memcmp(again.sampled, proof->sampled, sizeof(again.sampled)) != 0) {
        return "symbols";
    }
    if (proof->listed < proof->sources + proof->repairs) {
        return NULL;
    }
    if (sources != proof->sources) {
        return "sources";
    }
    return memcmp(again.received, proof->received, sizeof(again.received)) != 0 ? "received" : NULL;
}

asx_err asx_rq_proof_check(const asx_rq_proof *proof, const void *source, asx_rq_cache *cache,
                           asx_rq_digest_fn *digest, const char **field)
{
    asx_rq_block block;
    *field = check_shape(proof, &block);
    if (*field != NULL) {
        return ASX_RQ_E(PROOF_MISMATCH);
    }
    const size_t size = (size_t)proof->k * proof->symbol_size;
    uint8_t made[ASX_RQ_DIGEST_SIZE];
    digest(source, size, made);
    if (memcmp(made, proof->source, sizeof(made)) != 0) {
        *field = "source";
        return ASX_RQ_E(PROOF_MISMATCH);
    }
    asx_rq_plan *plan = NULL;
    asx_rq_encoder *encoder = NULL;
    uint8_t *scratch = asx_rq_alloc_get(NULL, proof->symbol_size + 8u);
    asx_err err = scratch != NULL ? asx_rq_cache_encode(cache, &plan, &block.param, NULL)
                                  : ASX_RQ_E(NO_MEMORY);
    if (err == ASX_OK) {
        err = asx_rq_encoder_create(&encoder, &block, plan, NULL);
    }
    if (err == ASX_OK) {
        err = asx_rq_encoder_load(encoder, source, size);
    }
    if (err == ASX_OK) {
        *field = check_symbols(proof, encoder, digest, scratch, &err);
        err = err == ASX_OK && *field != NULL ? ASX_RQ_E(PROOF_MISMATCH) : err;
    }
    asx_rq_encoder_destroy(encoder);
    asx_rq_plan_unref(plan);
    asx_rq_alloc_put(NULL, scratch, proof->symbol_size + 8u);
    return err;
}
