#include <asx/raptorq/encoder.h>
#include <asx/raptorq/proof.h>
#include <asx/raptorq/tuple.h>
#include <asx/shard/base/bits.h>

#include "decoder_internal.h"
#include "plan_internal.h"
#include "proof_internal.h"
#include "solve_internal.h"

#include <string.h>

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

/* Only zeros behind the first `used` columns? */
static bool is_padded(const uint16_t columns[ASX_RQ_PROOF_COLUMNS], uint32_t used)
{
    static const uint16_t zero[ASX_RQ_PROOF_COLUMNS];
    return memcmp(columns + used, zero, (ASX_RQ_PROOF_COLUMNS - used) * sizeof(*columns)) == 0;
}

/* A column in [first, end) that was not seen before? */
static bool take_column(uint8_t *seen, uint32_t column, uint32_t first, uint32_t end)
{
    if (column < first || column >= end || (seen[column / 8] >> (column % 8) & 1) != 0) {
        return false;
    }
    seen[column / 8] |= (uint8_t)(1u << (column % 8));
    return true;
}

/* Can these columns have been chosen, in this order, in a block of this shape? The last P columns
 * are inactive from the start, and no other is from W on. */
static bool are_columns_sound(const asx_rq_proof *proof, const asx_rq_param *param)
{
    const bool is_solved = proof->method == ASX_RQ_METHOD_SOLVE;
    const uint32_t pivots = is_solved ? asxi_proof_columns(proof->pivots) : 0;
    const uint32_t inactive = is_solved ? asxi_proof_columns(proof->inactive) : 0;
    if (!is_padded(proof->pivot_column, pivots) || !is_padded(proof->inactive_column, inactive)) {
        return false;
    }
    if (!is_solved) {
        return true;
    }
    if (proof->pivots > param->w || proof->inactive != param->l - proof->pivots) {
        return false;
    }
    uint8_t seen[ASX_RQ_L_MAX / 8 + 1] = { 0 };
    for (uint32_t i = 0; i < pivots; i++) {
        if (!take_column(seen, proof->pivot_column[i], 0, param->w)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < inactive; i++) {
        const bool is_born = i < param->p;
        if (!take_column(seen, proof->inactive_column[i], is_born ? param->w + i : 0,
                         is_born ? param->w + i + 1 : param->w)) {
            return false;
        }
    }
    return true;
}

/* The facts that need no symbol, of a record with at least K. Returns what is wrong, or NULL. */
static const char *check_shape(const asx_rq_proof *proof, asx_rq_block *block)
{
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
    if (!are_columns_sound(proof, &block->param)) {
        return "columns";
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
        asxi_proof_fold(&again, proof->esi[i], true, digest, scratch);
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
    *field = proof->error != ASX_OK ? "error" : check_shape(proof, &block);
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

/* What the record says of a solve, beside what this one did. */
static const char *compare_solve(const asx_rq_proof *proof, const asx_rq_solve_stats *stats)
{
    const struct {
        uint32_t recorded, done;
        const char *name;
    } facts[] = {
        { proof->policy, stats->policy, "policy" },
        { proof->reason, stats->reason, "reason" },
        { proof->pivots, stats->pivots, "pivots" },
        { proof->inactive, stats->inactive, "inactive" },
        { proof->dense_rank, stats->dense_rank, "dense_rank" },
        { proof->hdpc_used, stats->hdpc_used, "hdpc_used" },
        { proof->sums, stats->sums, "sums" },
        { proof->deficit, stats->deficit, "deficit" },
    };
    for (size_t i = 0; i < asx_array_count(facts); i++) {
        if (facts[i].recorded != facts[i].done) {
            return facts[i].name;
        }
    }
    if (memcmp(&proof->features, &stats->features, sizeof(proof->features)) != 0) {
        return "features";
    }
    return memcmp(proof->loss, stats->loss, sizeof(proof->loss)) != 0 ? "loss" : NULL;
}

/* Which policy the decoder was told to take. */
static asx_rq_policy asked_policy(const asx_rq_proof *proof)
{
    const bool is_unchosen = (proof->loss[0] | proof->loss[1] | proof->loss[2]) == 0;
    if (proof->reason == ASX_RQ_REASON_ASKED) {
        return (asx_rq_policy)proof->policy;
    }
    return proof->reason == ASX_RQ_REASON_NO_PIVOT && is_unchosen ? ASX_RQ_POLICY_SCHUR
                                                                  : ASX_RQ_POLICY_AUTO;
}

/* The rows as the decoder lists them: source, padding, repair. */
static asx_rq_rows list_rows(const asx_rq_proof *proof, const asx_rq_param *param, uint32_t *isi,
                             uint32_t *feed)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < proof->sources; i++) {
        isi[n++] = proof->esi[i];
    }
    for (uint32_t padding = param->k; padding < param->k_prime; padding++) {
        isi[n++] = padding;
    }
    for (uint32_t i = proof->sources; i < proof->listed; i++) {
        isi[n++] = asx_rq_isi(param, proof->esi[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        const bool is_padding = isi[i] >= param->k && isi[i] < param->k_prime;
        feed[i] = is_padding ? ASX_RQ_FEED_ZERO : i;
    }
    return (asx_rq_rows){ .isi = isi, .feed = feed, .count = n };
}

static const char *replay(const asx_rq_proof *proof, const asx_rq_param *param,
                          const asx_rq_rows *rows, asx_err *err)
{
    asx_rq_solve_stats stats;
    asx_rq_plan *plan = NULL;
    *err = asx_rq_plan_solve(&plan, param, rows, asked_policy(proof), NULL, &stats);
    if (*err == ASX_RQ_E(NO_MEMORY)) {
        return "memory";
    }
    /* symbols that contradict each other are found in their bytes, after the solve */
    const asx_err verdict = proof->error == ASX_RQ_E(CORRUPT) ? ASX_OK : proof->error;
    const bool is_solved = proof->method == ASX_RQ_METHOD_SOLVE || proof->pivots > 0;
    const asx_rq_solve_stats none = { .deficit = proof->deficit };
    const char *field = *err != verdict ? "error" : NULL;
    if (field == NULL) {
        field = compare_solve(proof, is_solved ? &stats : &none);
    }
    if (field == NULL && proof->method == ASX_RQ_METHOD_SOLVE) {
        asx_rq_decoder_stats made = { .pivot_column = { 0 } };
        asxi_decode_columns(&made, plan);
        const size_t pivots = asxi_proof_columns(proof->pivots) * sizeof(uint16_t);
        const size_t inactive = asxi_proof_columns(proof->inactive) * sizeof(uint16_t);
        if (memcmp(made.pivot_column, proof->pivot_column, pivots) != 0 ||
            memcmp(made.inactive_column, proof->inactive_column, inactive) != 0) {
            field = "columns";
        }
    }
    asx_rq_plan_unref(plan);
    *err = field != NULL ? ASX_RQ_E(PROOF_MISMATCH) : ASX_OK;
    return field;
}

asx_err asx_rq_proof_replay(const asx_rq_proof *proof, const char **field)
{
    asx_rq_block block;
    *field = check_shape(proof, &block);
    if (*field != NULL) {
        return ASX_RQ_E(PROOF_MISMATCH);
    }
    if (proof->listed < (uint64_t)proof->sources + proof->repairs) {
        return ASX_RQ_E(TOO_LARGE);
    }
    uint32_t sources = 0;
    while (sources < proof->listed && proof->esi[sources] < proof->k) {
        sources++;
    }
    if (sources != proof->sources) {
        *field = "sources";
        return ASX_RQ_E(PROOF_MISMATCH);
    }
    const size_t rows_max = proof->listed + block.param.k_prime;
    uint32_t *lists = asx_rq_alloc_get(NULL, 2 * rows_max * sizeof(uint32_t));
    asx_err err = ASX_RQ_E(NO_MEMORY);
    if (lists != NULL) {
        const asx_rq_rows rows = list_rows(proof, &block.param, lists, lists + rows_max);
        *field = replay(proof, &block.param, &rows, &err);
    }
    asx_rq_alloc_put(NULL, lists, 2 * rows_max * sizeof(uint32_t));
    return err;
}
