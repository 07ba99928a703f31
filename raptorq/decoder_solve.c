/* Decoding by a plan for the received rows. */
#include <asx/raptorq/replay.h>

#include "decoder_internal.h"
#include "plan_internal.h"

/* More output than a second-level cache holds would only push the stripe's rows out of it. */
enum { PAST_CACHES_MIN = 1 << 20 };

static void solve_stripe(const asxi_decode_job *job, uint32_t index, uint8_t *slab)
{
    const asx_rq_decoder *decoder = job->decoder;
    const asx_rq_stripe stripe = asx_rq_block_stripe(&decoder->block, index);
    const asx_rq_feed feed = asxi_decode_feed(decoder, &stripe);
    asxi_decode_replay(job, slab, &stripe, &feed);
    if (!asxi_decode_holds(job, &stripe, slab) ||
        !asx_rq_replay_holds(job->plan, decoder->kernel, slab, stripe.width,
                             decoder->config.verify_max)) {
        job->mismatch[index] = 1;
        return;
    }
    const asx_rq_sums lost = { .list = job->list,
                               .count = job->lost_count,
                               .slab = slab,
                               .width = stripe.width,
                               .out = decoder->output + stripe.source_offset,
                               .out_stride = stripe.source_stride,
                               .out_row = job->lost,
                               .is_last_use = (size_t)job->lost_count * decoder->block.symbol_size >
                                              PAST_CACHES_MIN };
    decoder->kernel->sum_each(&lost, stripe.exact);
}

/* Lists the supports of the lost symbols, and the spare equations. */
static asx_err prepare(asxi_decode_job *job, const asx_rq_rows *rows)
{
    asx_rq_decoder *decoder = job->decoder;
    const asx_rq_plan *plan = job->plan;
    const uint32_t verify_max = decoder->config.verify_max;
    if (!asxi_scratch_grow(decoder->config.alloc, &decoder->list,
                           job->lost_count * (size_t)ASX_RQ_ENTRY_MAX * sizeof(uint16_t))) {
        return ASX_RQ_E(NO_MEMORY);
    }
    uint16_t *list = (uint16_t *)(void *)decoder->list.at;
    job->list = list;
    for (uint32_t i = 0; i < job->lost_count; i++) {
        list = asx_rq_plan_entry(plan, &decoder->block.param, job->lost[i], list);
    }
    for (uint32_t i = 0; i < plan->spare_count && i < verify_max; i++) {
        job->spare[i].isi = rows->isi[plan->spare[i]];
        job->spare[i].feed = rows->feed[plan->spare[i]];
        job->spare_count++;
    }
    const uint32_t checks = asx_rq_replay_spare(plan) + job->spare_count;
    decoder->stats.verified = checks < verify_max ? checks : verify_max;
    return ASX_OK;
}

/* Received source symbols, padding, then repair symbols. */
static uint32_t list_rows(const asxi_decode_job *job, uint32_t *isi, uint32_t *feed)
{
    const asx_rq_decoder *decoder = job->decoder;
    const asx_rq_param *param = &decoder->block.param;
    uint32_t n = 0;
    for (uint32_t esi = 0; esi < param->k; esi++) {
        if (decoder->source_state[esi] == ASXI_SYMBOL_USABLE) {
            isi[n] = esi;
            feed[n++] = esi;
        }
    }
    for (uint32_t padding = param->k; padding < param->k_prime; padding++) {
        isi[n] = padding;
        feed[n++] = ASX_RQ_FEED_ZERO;
    }
    for (uint32_t i = 0; i < job->repair_count; i++) {
        isi[n] = asx_rq_isi(param, decoder->repair_esi[job->repair[i]]);
        feed[n++] = param->k + job->repair[i];
    }
    return n;
}

/* Slab rows are numbered in the order of the choices. */
void asxi_decode_columns(asx_rq_decoder_stats *stats, const asx_rq_plan *plan)
{
    for (uint32_t column = 0; column < plan->l; column++) {
        const uint32_t row = plan->row_of[column];
        if (row < plan->pivots && row < ASX_RQ_DECODER_COLUMNS) {
            stats->pivot_column[row] = (uint16_t)column;
        } else if (row >= plan->pivots && row - plan->pivots < ASX_RQ_DECODER_COLUMNS) {
            stats->inactive_column[row - plan->pivots] = (uint16_t)column;
        }
    }
}

asx_err asxi_decode_solve(asxi_decode_job *job, const asx_rq_executor *executor)
{
    asx_rq_decoder *decoder = job->decoder;
    const asx_rq_param *param = &decoder->block.param;
    const size_t rows_max = (size_t)param->k_prime + job->repair_count;
    const size_t size = 2 * rows_max * sizeof(uint32_t);
    uint32_t *lists = asx_rq_alloc_get(decoder->config.alloc, size);
    if (lists == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    const asx_rq_rows rows = { .isi = lists,
                               .feed = lists + rows_max,
                               .count = list_rows(job, lists, lists + rows_max) };
    asx_err err = asx_rq_cache_decode(decoder->config.cache_solved ? decoder->config.cache : NULL,
                                      &job->plan, param, &rows, decoder->config.policy,
                                      decoder->config.alloc, &decoder->stats.solve);
    if (err == ASX_OK) {
        err = prepare(job, &rows);
    }
    if (err == ASX_OK) {
        asxi_decode_columns(&decoder->stats, job->plan);
        job->stripe_fn = solve_stripe;
        err = asxi_decode_stripes(job, 0, executor);
    }
    asx_rq_alloc_put(decoder->config.alloc, lists, size);
    return err;
}
