#include <asx/raptorq/proof.h>
#include <asx/shard/base/assert.h>

#include "decoder_internal.h"
#include "proof_internal.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[16] = "asx-rq-proof-3";

void asxi_proof_fold(asx_rq_proof *proof, uint32_t esi, bool is_listed, asx_rq_digest_fn *digest,
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
    proof->pivots = stats->solve.pivots;
    proof->sums = stats->solve.sums;
    proof->deficit = stats->solve.deficit;
    if (stats->method == ASX_RQ_METHOD_SOLVE) {
        memcpy(proof->pivot_column, stats->pivot_column,
               asxi_proof_columns(proof->pivots) * sizeof(uint16_t));
        memcpy(proof->inactive_column, stats->inactive_column,
               asxi_proof_columns(proof->inactive) * sizeof(uint16_t));
    }
    proof->error = decoder->is_done       ? ASX_OK
                   : stats->attempts == 0 ? ASX_RQ_E(TOO_FEW)
                                          : decoder->last;
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
            asxi_proof_fold(proof, esi, esi <= bound, digest, scratch);
        }
    }
    for (uint32_t i = 0; i < decoder->repairs; i++) {
        const uint32_t esi = decoder->repair_esi[i];
        if (decoder->repair_state[i] == ASXI_SYMBOL_USABLE) {
            memcpy(scratch + 8, decoder->repair + (size_t)i * block->symbol_size,
                   block->symbol_size);
            asxi_proof_fold(proof, esi, esi <= bound, digest, scratch);
        }
    }
    if (decoder->is_done) {
        digest(decoder->output, (size_t)proof->k * proof->symbol_size, proof->source);
    }
}

/* The fixed part is the struct up to the lists: fields of 4 and 8 bytes without holes, hosts being
 * little-endian. The columns are there whole, as zeros where there are fewer. */
enum { FIXED = offsetof(asx_rq_proof, esi), COLUMNS = sizeof(uint16_t) * ASX_RQ_PROOF_COLUMNS };
static_assert(sizeof(prefix) + FIXED + 2 * COLUMNS + 4 * ASX_RQ_PROOF_ESIS <= ASX_RQ_PROOF_SIZE_MAX,
              "a record fits its bound");
static_assert(FIXED == 16 + 28 * 4 + 8 + 96, "no holes");

size_t asx_rq_proof_save(const asx_rq_proof *proof, uint8_t out[ASX_RQ_PROOF_SIZE_MAX])
{
    asx_assert_le(proof->listed, ASX_RQ_PROOF_ESIS);
    uint8_t *at = out;
    memcpy(at, prefix, sizeof(prefix));
    memcpy(at += sizeof(prefix), proof, FIXED);
    memcpy(at += FIXED, proof->pivot_column, COLUMNS);
    memcpy(at += COLUMNS, proof->inactive_column, COLUMNS);
    memcpy(at += COLUMNS, proof->esi, proof->listed * sizeof(uint32_t));
    return (size_t)(at - out) + proof->listed * sizeof(uint32_t);
}

asx_err asx_rq_proof_load(asx_rq_proof *proof, const uint8_t *bytes, size_t len)
{
    const size_t head = sizeof(prefix) + FIXED + 2 * COLUMNS;
    memset(proof, 0, sizeof(*proof));
    if (len < head || memcmp(bytes, prefix, sizeof(prefix)) != 0) {
        return ASX_RQ_E(PROOF_MISMATCH);
    }
    memcpy(proof, bytes + sizeof(prefix), FIXED);
    memcpy(proof->pivot_column, bytes + head - 2 * COLUMNS, COLUMNS);
    memcpy(proof->inactive_column, bytes + head - COLUMNS, COLUMNS);
    if (proof->listed > ASX_RQ_PROOF_ESIS || len - head != proof->listed * sizeof(uint32_t)) {
        return ASX_RQ_E(PROOF_MISMATCH);
    }
    memcpy(proof->esi, bytes + head, len - head);
    return ASX_OK;
}
