/* Decoding when few source symbols are lost.
 *
 * The intermediate symbols are a linear function of the source. Replaying the encoding plan on the
 * received source with the lost symbols as zero gives one part of them; replaying it on unit
 * vectors, one byte column a lost symbol, gives the other part as coefficients. Each repair symbol
 * then is a known combination of the lost ones, and an m x m system remains. */
#include <asx/raptorq/replay.h>
#include <asx/raptorq/tuple.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include "decoder_internal.h"

#include <string.h>

typedef struct lost_system {
    uint32_t m;      /* unknowns */
    size_t width;    /* of a row: coefficients, then what was combined, each m, padded to 64 */
    uint8_t *rows;   /* m of them, in reduced echelon form */
    uint16_t *pivot; /* unknown of each row */
    uint32_t rank;
} lost_system;

static const asx_rq_alloc *alloc_of(const asxi_decode_job *job)
{
    return job->decoder->config.alloc;
}

/* Coefficients of every intermediate symbol over the lost ones: rows of `width` bytes. */
static uint8_t *replay_units(const asxi_decode_job *job, size_t width, size_t *size)
{
    const asx_rq_param *param = &job->decoder->block.param;
    const size_t slab_size = ((size_t)param->l + param->h) * width;
    const size_t units_size = (size_t)param->k * width;
    *size = slab_size + units_size;
    uint8_t *slab = asx_rq_alloc_get(alloc_of(job), *size);
    if (slab == NULL) {
        return NULL;
    }
    uint8_t *units = slab + slab_size;
    memset(units, 0, units_size);
    for (uint32_t i = 0; i < job->lost_count; i++) {
        units[job->lost[i] * width + i] = 1;
    }
    const asx_rq_feed feed = { .first = units,
                               .first_stride = width,
                               .split = param->k,
                               .end = param->k,
                               .exact = (uint32_t)width };
    asx_rq_replay(job->plan, job->decoder->kernel, slab, width, &feed);
    return slab;
}

/* Reduces row `rank` by the rows before it; keeps it, and reduces those by it, if an unknown is
 * left. */
static bool insert(lost_system *system, const asx_rq_kernel *kernel)
{
    uint8_t *row = system->rows + system->rank * system->width;
    for (uint32_t i = 0; i < system->rank; i++) {
        const uint8_t factor = row[system->pivot[i]];
        kernel->muladd_row(row, system->rows + i * system->width, factor, system->width);
    }
    uint32_t pivot = 0;
    while (pivot < system->m && row[pivot] == 0) {
        pivot++;
    }
    if (pivot == system->m) {
        return false;
    }
    kernel->mul_row(row, row, asx_gf_inv(row[pivot]), system->width);
    for (uint32_t i = 0; i < system->rank; i++) {
        uint8_t *other = system->rows + i * system->width;
        kernel->muladd_row(other, row, other[pivot], system->width);
    }
    system->pivot[system->rank++] = (uint16_t)pivot;
    return true;
}

/* Chooses m independent repair symbols; the others are spare. Sets equation[] and, in the right
 * half of the rows, the inverse. */
static bool solve(asxi_decode_job *job, lost_system *system, const uint8_t *units,
                  size_t units_width, uint32_t *equation)
{
    const asx_rq_decoder *decoder = job->decoder;
    const asx_rq_param *param = &decoder->block.param;
    for (uint32_t i = 0; i < job->repair_count; i++) {
        const uint32_t index = job->repair[i];
        if (system->rank == system->m) {
            if (job->spare_count < decoder->config.verify_max &&
                job->spare_count < asx_array_count(job->spare)) {
                job->spare[job->spare_count].isi = asx_rq_isi(param, decoder->repair_esi[index]);
                job->spare[job->spare_count++].feed = param->k + index;
                continue;
            }
            break;
        }
        uint16_t support[ASX_RQ_SUPPORT_MAX];
        const uint32_t count = asx_rq_plan_support(
            job->plan, param, asx_rq_isi(param, decoder->repair_esi[index]), support);
        uint8_t *row = system->rows + system->rank * system->width;
        memset(row, 0, system->width);
        decoder->kernel->sum(row, system->m, units, units_width, support, count);
        row[system->m + system->rank] = 1;
        equation[system->rank] = index;
        insert(system, decoder->kernel);
    }
    return system->rank == system->m;
}

static void stripe_job(void *arg, uint32_t index)
{
    const asxi_decode_job *job = arg;
    const asx_rq_decoder *decoder = job->decoder;
    const asx_rq_kernel *kernel = decoder->kernel;
    const asx_rq_param *param = &decoder->block.param;
    const uint32_t m = job->lost_count;
    const asx_rq_stripe stripe = asx_rq_block_stripe(&decoder->block, index);
    const asx_rq_feed feed = asxi_decode_feed(decoder, &stripe);
    uint8_t *slab = job->slab + index * job->slab_stride;
    const bool all_lost = m == param->k; /* then the received part is zero everywhere */
    if (!all_lost) {
        asx_rq_feed received = feed;
        received.end = param->k;
        asx_rq_replay(job->plan, kernel, slab, stripe.width, &received);
    }
    uint8_t *rest = slab + ((size_t)param->l + param->h) * stripe.width;
    for (uint32_t i = 0; i < m; i++) {
        const uint32_t repair = job->equation[i];
        const uint8_t *symbol = feed.second + repair * feed.second_stride;
        uint8_t *row = rest + i * stripe.width;
        if (all_lost) {
            memcpy(row, symbol, stripe.exact);
        } else {
            uint16_t support[ASX_RQ_SUPPORT_MAX];
            const uint32_t count = asx_rq_plan_support(
                job->plan, param, asx_rq_isi(param, decoder->repair_esi[repair]), support);
            kernel->sum(row, stripe.exact, slab, stripe.width, support, count);
            kernel->xor_row(row, symbol, stripe.exact);
        }
    }
    for (uint32_t i = 0; i < m; i++) {
        kernel->combine(decoder->output + stripe.source_offset +
                            (size_t)job->lost[i] * stripe.source_stride,
                        stripe.exact, rest, stripe.width, NULL, job->inverse + (size_t)i * m, m, 0);
    }
    if (job->spare_count > 0) {
        /* Only now is the whole source there, and with it the true intermediate symbols. */
        asx_rq_feed received = feed;
        received.end = param->k;
        asx_rq_replay(job->plan, kernel, slab, stripe.width, &received);
        job->mismatch[index] = !asxi_decode_holds(job, &stripe, slab);
    }
}

static asx_err solve_and_run(asxi_decode_job *job, uint8_t *memory, const uint8_t *units,
                             size_t units_width, const asx_rq_executor *executor)
{
    const uint32_t m = job->lost_count;
    lost_system system = { .m = m, .width = asx_align_up(2 * (size_t)m, 64), .rows = memory };
    uint8_t *inverse = memory + m * system.width;
    uint32_t *equation = (uint32_t *)(void *)(inverse + asx_align_up((size_t)m * m, 64));
    system.pivot = (uint16_t *)(void *)(equation + m);
    if (!solve(job, &system, units, units_width, equation)) {
        return ASX_RQ_E(RANK);
    }
    for (uint32_t i = 0; i < m; i++) {
        memcpy(inverse + (size_t)system.pivot[i] * m, system.rows + i * system.width + m, m);
    }
    job->inverse = inverse;
    job->equation = equation;
    job->decoder->stats.verified = job->spare_count;
    return asxi_decode_stripes(job, m, stripe_job, executor);
}

asx_err asxi_decode_few(asxi_decode_job *job, const asx_rq_executor *executor)
{
    const asx_rq_decoder *decoder = job->decoder;
    const uint32_t m = job->lost_count;
    asx_assert_le(m, job->repair_count);
    asx_err err = asx_rq_cache_encode(decoder->config.cache, &job->plan, &decoder->block.param,
                                      alloc_of(job));
    if (err != ASX_OK) {
        return err;
    }
    size_t units_size;
    const size_t units_width = asx_align_up(m, 64);
    uint8_t *units = replay_units(job, units_width, &units_size);
    const size_t size = m * asx_align_up(2 * (size_t)m, 64) + asx_align_up((size_t)m * m, 64) +
                        m * (sizeof(uint32_t) + sizeof(uint16_t));
    uint8_t *memory = asx_rq_alloc_get(alloc_of(job), size);
    err = ASX_RQ_E(NO_MEMORY);
    if (units != NULL && memory != NULL) {
        err = solve_and_run(job, memory, units, units_width, executor);
    }
    asx_rq_alloc_put(alloc_of(job), units, units_size);
    asx_rq_alloc_put(alloc_of(job), memory, size);
    return err;
}
