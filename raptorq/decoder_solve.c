/* Decoding by a plan for the received rows. */
#include <asx/raptorq/replay.h>
#include <asx/raptorq/tuple.h>

#include "decoder_internal.h"
#include "plan_internal.h"

static void stripe_job(void *arg, uint32_t index)
{
    const asxi_decode_job *job = arg;
    const asx_rq_decoder *decoder = job->decoder;
    const asx_rq_param *param = &decoder->block.param;
    const asx_rq_stripe stripe = asx_rq_block_stripe(&decoder->block, index);
    const asx_rq_feed feed = asxi_decode_feed(decoder, &stripe);
    uint8_t *slab = job->slab + index * job->slab_stride;
    asx_rq_replay(job->plan, decoder->kernel, slab, stripe.width, &feed);
    if (!asxi_decode_holds(job, &stripe, slab) ||
        !asx_rq_replay_holds(job->plan, decoder->kernel, slab, stripe.width,
                             decoder->config.verify_max)) {
        job->mismatch[index] = 1;
        return;
    }
    for (uint32_t i = 0; i < job->lost_count; i++) {
        uint16_t rows[ASX_RQ_SUPPORT_MAX];
        const uint32_t count = asx_rq_plan_support(job->plan, param, job->lost[i], rows);
        decoder->kernel->sum(decoder->output + stripe.source_offset +
                                 (size_t)job->lost[i] * stripe.source_stride,
                             stripe.exact, slab, stripe.width, rows, count);
    }
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
        const asx_rq_plan *plan = job->plan;
        for (uint32_t i = 0; i < plan->spare_count && i < decoder->config.verify_max; i++) {
            job->spare[i].isi = rows.isi[plan->spare[i]];
            job->spare[i].feed = rows.feed[plan->spare[i]];
            job->spare_count++;
        }
        const uint32_t checks = asx_rq_replay_spare(plan) + job->spare_count;
        decoder->stats.verified =
            checks < decoder->config.verify_max ? checks : decoder->config.verify_max;
        err = asxi_decode_stripes(job, 0, stripe_job, executor);
    }
    asx_rq_alloc_put(decoder->config.alloc, lists, size);
    return err;
}
