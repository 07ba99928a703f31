#include <asx/raptorq/decoder.h>
#include <asx/raptorq/replay.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>
#include <asx/shard/base/prng.h>

#include "decoder_internal.h"

#include <string.h>

static const asx_rq_alloc *alloc_of(const asx_rq_decoder *decoder)
{
    return decoder->config.alloc;
}

static uint32_t default_repair_max(uint32_t k)
{
    const uint32_t spare = k / 20 > 128 ? k / 20 : 128;
    return k + (spare < 8192 ? spare : 8192);
}

asx_err asx_rq_decoder_create(asx_rq_decoder **result, const asx_rq_block *block, void *output,
                              const asx_rq_decoder_config *config)
{
    const asx_rq_decoder_config none = { 0 };
    config = config != NULL ? config : &none;
    const uint32_t k = block->param.k;
    const uint32_t repair_max = config->repair_max > 0 ? config->repair_max : default_repair_max(k);
    const size_t table = asx_pow2_ceil(2 * (uint64_t)repair_max);
    const size_t sources = asx_align_up(k, 64);
    const size_t arena_size = sources + asx_align_up(repair_max, 64) + (repair_max + table) * 4;
    asx_rq_decoder *decoder = asx_rq_alloc_get(config->alloc, sizeof(*decoder));
    uint8_t *arena = asx_rq_alloc_get(config->alloc, arena_size);
    if (decoder == NULL || arena == NULL) {
        asx_rq_alloc_put(config->alloc, decoder, sizeof(*decoder));
        asx_rq_alloc_put(config->alloc, arena, arena_size);
        return ASX_RQ_E(NO_MEMORY);
    }
    *decoder = (asx_rq_decoder){ .block = *block,
                                 .config = *config,
                                 .kernel = asx_rq_kernel_get(),
                                 .repair_max = repair_max,
                                 .table_mask = (uint32_t)table - 1,
                                 .arena = arena,
                                 .arena_size = arena_size };
    if (config->alloc != NULL) {
        decoder->alloc = *config->alloc;
        decoder->config.alloc = &decoder->alloc;
    }
    decoder->source_state = arena;
    decoder->repair_state = arena + sources;
    decoder->repair_esi = (uint32_t *)(void *)(arena + sources + asx_align_up(repair_max, 64));
    decoder->table = decoder->repair_esi + repair_max;
    asx_rq_decoder_reset(decoder, output);
    *result = decoder;
    return ASX_OK;
}

void asx_rq_decoder_reset(asx_rq_decoder *decoder, void *output)
{
    decoder->output = output;
    decoder->repairs = 0;
    decoder->is_done = false;
    decoder->is_stale = false;
    decoder->stats = (asx_rq_decoder_stats){ 0 };
    memset(decoder->source_state, ASXI_SYMBOL_ABSENT, decoder->block.param.k);
    memset(decoder->table, 0, ((size_t)decoder->table_mask + 1) * sizeof(*decoder->table));
}

void asx_rq_decoder_destroy(asx_rq_decoder *decoder)
{
    if (decoder == NULL) {
        return;
    }
    const asx_rq_alloc copy = decoder->alloc;
    const asx_rq_alloc *alloc = decoder->config.alloc != NULL ? &copy : NULL;
    asx_rq_alloc_put(alloc, decoder->repair,
                     (size_t)decoder->repair_max * decoder->block.symbol_size);
    asxi_scratch_free(alloc, &decoder->slab);
    asxi_scratch_free(alloc, &decoder->list);
    asxi_scratch_free(alloc, &decoder->units);
    asx_rq_alloc_put(alloc, decoder->arena, decoder->arena_size);
    asx_rq_alloc_put(alloc, decoder, sizeof(*decoder));
}

/* Compares a received source symbol with the one in the output. */
static bool source_equals(const asx_rq_decoder *decoder, uint32_t esi, const uint8_t *symbol)
{
    const asx_rq_block *block = &decoder->block;
    uint32_t at = 0;
    for (uint32_t j = 0; j < block->sub_blocks; j++) {
        const uint32_t size = j < block->large_count ? block->large_size : block->small_size;
        const size_t in_source = (size_t)block->param.k * at + (size_t)esi * size;
        if (memcmp(decoder->output + in_source, symbol + at, size) != 0) {
            return false;
        }
        at += size;
    }
    return true;
}

/* A symbol that came before: the same, or a contradiction that takes both out of use. */
static asx_err again(asx_rq_decoder *decoder, uint8_t *state, uint32_t *usable, bool is_equal)
{
    if (*state == ASXI_SYMBOL_USABLE && is_equal) {
        decoder->stats.duplicates++;
        return ASX_RQ_E(DUPLICATE);
    }
    if (*state == ASXI_SYMBOL_USABLE) {
        *state = ASXI_SYMBOL_CONFLICT;
        (*usable)--;
    }
    decoder->stats.conflicts++;
    return ASX_RQ_E(CONFLICT);
}

static asx_err feed_source(asx_rq_decoder *decoder, uint32_t esi, const uint8_t *symbol)
{
    uint8_t *state = &decoder->source_state[esi];
    if (*state != ASXI_SYMBOL_ABSENT) {
        return again(decoder, state, &decoder->stats.sources, source_equals(decoder, esi, symbol));
    }
    asx_rq_block_put(&decoder->block, decoder->output, esi, symbol);
    *state = ASXI_SYMBOL_USABLE;
    decoder->stats.sources++;
    return ASX_OK;
}

static asx_err feed_repair(asx_rq_decoder *decoder, uint32_t esi, const uint8_t *symbol)
{
    const size_t size = decoder->block.symbol_size;
    uint32_t slot = (uint32_t)asx_mix64(esi) & decoder->table_mask;
    while (decoder->table[slot] != 0) {
        const uint32_t index = decoder->table[slot] - 1;
        if (decoder->repair_esi[index] == esi) {
            return again(decoder, &decoder->repair_state[index], &decoder->stats.repairs,
                         memcmp(decoder->repair + index * size, symbol, size) == 0);
        }
        slot = (slot + 1) & decoder->table_mask;
    }
    if (decoder->repairs == decoder->repair_max) {
        return ASX_RQ_E(FULL);
    }
    if (decoder->repair == NULL) {
        decoder->repair = asx_rq_alloc_get(alloc_of(decoder), decoder->repair_max * size);
        if (decoder->repair == NULL) {
            return ASX_RQ_E(NO_MEMORY);
        }
    }
    const uint32_t index = decoder->repairs++;
    memcpy(decoder->repair + index * size, symbol, size);
    decoder->repair_esi[index] = esi;
    decoder->repair_state[index] = ASXI_SYMBOL_USABLE;
    decoder->table[slot] = index + 1;
    decoder->stats.repairs++;
    return ASX_OK;
}

asx_err asx_rq_decoder_feed(asx_rq_decoder *decoder, uint32_t esi, const void *symbol, size_t len)
{
    asx_err err;
    if (decoder->is_done) {
        err = ASX_RQ_E(DONE);
    } else if (esi > ASX_RQ_ESI_MAX) {
        err = ASX_RQ_E(BAD_ESI);
    } else if (len != decoder->block.symbol_size) {
        err = ASX_RQ_E(BAD_SIZE);
    } else if (esi < decoder->block.param.k) {
        err = feed_source(decoder, esi, symbol);
    } else {
        err = feed_repair(decoder, esi, symbol);
    }
    if (err == ASX_OK) {
        decoder->stats.accepted++;
        decoder->is_stale = false;
    } else if (err == ASX_RQ_E(CONFLICT)) {
        decoder->is_stale = false;
    } else if (err != ASX_RQ_E(DUPLICATE)) {
        decoder->stats.rejected++;
    }
    return err;
}

bool asx_rq_decoder_ready(const asx_rq_decoder *decoder)
{
    return decoder->stats.sources + decoder->stats.repairs >= decoder->block.param.k;
}

bool asx_rq_decoder_done(const asx_rq_decoder *decoder)
{
    return decoder->is_done;
}

bool asx_rq_decoder_has(const asx_rq_decoder *decoder, uint32_t esi)
{
    asx_assert_lt(esi, decoder->block.param.k);
    return decoder->is_done || decoder->source_state[esi] == ASXI_SYMBOL_USABLE;
}

const asx_rq_decoder_stats *asx_rq_decoder_stats_get(const asx_rq_decoder *decoder)
{
    return &decoder->stats;
}

asx_rq_feed asxi_decode_feed(const asx_rq_decoder *decoder, const asx_rq_stripe *stripe)
{
    return (asx_rq_feed){ .first = decoder->output + stripe->source_offset,
                          .first_stride = stripe->source_stride,
                          .second = decoder->repair + stripe->symbol_offset,
                          .second_stride = decoder->block.symbol_size,
                          .split = decoder->block.param.k,
                          .end = decoder->block.param.k + decoder->repairs,
                          .exact = stripe->exact };
}

bool asxi_decode_holds(const asxi_decode_job *job, const asx_rq_stripe *stripe, const uint8_t *slab)
{
    enum { PART = 1024 };
    static const uint8_t zero[PART];
    const asx_rq_decoder *decoder = job->decoder;
    const asx_rq_feed feed = asxi_decode_feed(decoder, stripe);
    for (uint32_t i = 0; i < job->spare_count; i++) {
        const uint8_t *symbol = asx_rq_feed_at(&feed, job->spare[i].feed);
        uint16_t rows[ASX_RQ_SUPPORT_MAX];
        const uint32_t count =
            asx_rq_plan_support(job->plan, &decoder->block.param, job->spare[i].isi, rows);
        for (uint32_t at = 0; at < stripe->exact; at += PART) {
            const uint32_t len = stripe->exact - at < PART ? stripe->exact - at : PART;
            uint8_t made[PART];
            decoder->kernel->sum(made, len, slab + at, stripe->width, rows, count);
            if (memcmp(made, symbol != NULL ? symbol + at : zero, len) != 0) {
                return false;
            }
        }
    }
    return true;
}

uint8_t *asxi_decode_extra(const asxi_decode_job *job, uint8_t *slab, const asx_rq_stripe *stripe)
{
    const asx_rq_param *param = &job->decoder->block.param;
    return slab + ((size_t)param->l + param->h) * stripe->width;
}

void asxi_decode_replay(const asxi_decode_job *job, uint8_t *slab, const asx_rq_stripe *stripe,
                        const asx_rq_feed *feed)
{
    const asx_rq_decoder *decoder = job->decoder;
    uint8_t *packed = asxi_decode_extra(job, slab, stripe) + (size_t)job->extra * stripe->width;
    asx_rq_replay(job->plan, decoder->kernel, slab, stripe->width, feed,
                  decoder->block.is_packed ? packed : NULL);
}

static void run_stripe(void *arg, uint32_t index)
{
    asxi_decode_job *job = arg;
    uint8_t *slab = asxi_slots_acquire(&job->slots);
    job->stripe_fn(job, index, slab);
    asxi_slots_release(&job->slots, slab);
}

asx_err asxi_decode_stripes(asxi_decode_job *job, uint32_t extra, const asx_rq_executor *executor)
{
    asx_rq_decoder *decoder = job->decoder;
    const asx_rq_block *block = &decoder->block;
    const size_t l = block->param.l;
    /* L + H rows, the extra ones, and the packed symbols */
    const size_t rows = l + block->param.h + extra + (block->is_packed ? l : 0);
    const size_t flags = block->stripes * sizeof(uint32_t);
    job->extra = extra;
    job->mismatch = asx_rq_alloc_get(alloc_of(decoder), flags);
    asx_err err = ASX_RQ_E(NO_MEMORY);
    if (job->mismatch != NULL &&
        asxi_slots_open(&job->slots, alloc_of(decoder), &decoder->slab, rows * block->width,
                        block->stripes, executor != NULL)) {
        memset(job->mismatch, 0, flags);
        asx_rq_executor_run(executor, block->stripes, run_stripe, job);
        err = ASX_OK;
        for (uint32_t i = 0; i < block->stripes; i++) {
            err = job->mismatch[i] != 0 ? ASX_RQ_E(CORRUPT) : err;
        }
    }
    asx_rq_alloc_put(alloc_of(decoder), job->mismatch, flags);
    return err;
}

/* Up to how many lost symbols the small system is the cheaper way: its dense part grows faster
 * than the square of the lost, the solver with K. Where the two met, measured at T = 1280: 32 of
 * 49 lost, 42 of 100, 60 of 250, 78 of 500, 137 of 1000, 190 of 2000, 245 of 5000; always below
 * K = 32. */
static uint32_t few_max(const asx_rq_decoder *decoder)
{
    const uint32_t k = decoder->block.param.k;
    if (decoder->config.few_max > 0) {
        return decoder->config.few_max;
    }
    const uint32_t met = 30 + k / 12;
    return k <= 32 ? k : met < 240 ? met : 240;
}

/* Ascending by esi, so that the order of arrival decides nothing. Two passes over 12 bits each. */
static void sort_repair(const asx_rq_decoder *decoder, uint32_t *list, uint32_t count,
                        uint32_t *scratch)
{
    enum { BITS = 12, DIGITS = 1 << BITS };
    uint32_t end[DIGITS];
    for (uint32_t shift = 0; shift < 2 * BITS; shift += BITS) {
        memset(end, 0, sizeof(end));
        for (uint32_t i = 0; i < count; i++) {
            end[decoder->repair_esi[list[i]] >> shift & (DIGITS - 1)]++;
        }
        for (uint32_t digit = 1; digit < DIGITS; digit++) {
            end[digit] += end[digit - 1];
        }
        for (uint32_t i = count; i-- > 0;) {
            scratch[--end[decoder->repair_esi[list[i]] >> shift & (DIGITS - 1)]] = list[i];
        }
        memcpy(list, scratch, count * sizeof(*list));
    }
}

/* scratch  as many as there are repair symbols */
static void list_symbols(asxi_decode_job *job, uint32_t *scratch)
{
    const asx_rq_decoder *decoder = job->decoder;
    bool is_ascending = true;
    for (uint32_t esi = 0; esi < decoder->block.param.k; esi++) {
        if (decoder->source_state[esi] != ASXI_SYMBOL_USABLE) {
            job->lost[job->lost_count++] = (uint16_t)esi;
        }
    }
    for (uint32_t i = 0; i < decoder->repairs; i++) {
        if (decoder->repair_state[i] == ASXI_SYMBOL_USABLE) {
            const uint32_t n = job->repair_count;
            is_ascending &=
                n == 0 || decoder->repair_esi[job->repair[n - 1]] < decoder->repair_esi[i];
            job->repair[job->repair_count++] = i;
        }
    }
    if (!is_ascending) {
        sort_repair(decoder, job->repair, job->repair_count, scratch);
    }
}

static void wipe_lost(const asxi_decode_job *job)
{
    const asx_rq_block *block = &job->decoder->block;
    for (uint32_t i = 0; i < job->lost_count; i++) {
        uint32_t at = 0;
        for (uint32_t j = 0; j < block->sub_blocks; j++) {
            const uint32_t size = j < block->large_count ? block->large_size : block->small_size;
            memset(job->decoder->output + (size_t)block->param.k * at + (size_t)job->lost[i] * size,
                   0, size);
            at += size;
        }
    }
}

static asx_err attempt(asx_rq_decoder *decoder, const asx_rq_executor *executor)
{
    const uint32_t k = decoder->block.param.k;
    if (!asx_rq_decoder_ready(decoder)) {
        return ASX_RQ_E(TOO_FEW);
    }
    if (decoder->stats.sources == k) {
        return ASX_OK;
    }
    const size_t size = 2 * decoder->repairs * sizeof(uint32_t) + k * sizeof(uint16_t);
    uint32_t *lists = asx_rq_alloc_get(alloc_of(decoder), size);
    if (lists == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    asxi_decode_job job = { .decoder = decoder,
                            .repair = lists,
                            .lost = (uint16_t *)(void *)(lists + 2 * (size_t)decoder->repairs) };
    list_symbols(&job, lists + decoder->repairs);
    const bool few = job.lost_count <= few_max(decoder);
    if (few) {
        wipe_lost(&job); /* read as zero */
    }
    const asx_err err = few ? asxi_decode_few(&job, executor) : asxi_decode_solve(&job, executor);
    if (err == ASX_OK) {
        decoder->stats.method = few ? ASX_RQ_METHOD_FEW : ASX_RQ_METHOD_SOLVE;
    } else if (err == ASX_RQ_E(CORRUPT)) {
        wipe_lost(&job);
    }
    asx_rq_plan_unref(job.plan);
    asx_rq_alloc_put(alloc_of(decoder), lists, size);
    return err;
}

asx_err asx_rq_decoder_attempt(asx_rq_decoder *decoder, const asx_rq_executor *executor)
{
    if (decoder->is_done) {
        return ASX_OK;
    }
    if (decoder->is_stale) {
        return decoder->last;
    }
    decoder->stats.attempts++;
    decoder->stats.solve = (asx_rq_solve_stats){ 0 };
    decoder->last = attempt(decoder, executor);
    decoder->is_done = decoder->last == ASX_OK;
    decoder->is_stale = !decoder->is_done && decoder->last != ASX_RQ_E(NO_MEMORY);
    return decoder->last;
}
