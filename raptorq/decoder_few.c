/* Decoding when few source symbols are lost.
 *
 * The intermediate symbols are a linear function of the source. Replaying the encoding plan on the
 * received source with the lost symbols as zero gives one part of them; replaying it on unit
 * vectors, one byte column a lost symbol, gives the other part as coefficients. Each repair symbol
 * then is a known combination of the lost ones, and an m x m system remains.
 *
 * In a small block the unit vectors are those of the whole source. They are the same for every
 * block of that K, and with them a few repair symbols are reduced by the received source in one
 * product, without any replay of symbols. */
#include <asx/raptorq/replay.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include "decoder_internal.h"

#include <string.h>

typedef struct lost_system {
    uint32_t m;       /* unknowns */
    size_t width;     /* of a row: coefficients, then what was combined, each m, padded to 64 */
    uint8_t *rows;    /* m of them, in reduced echelon form */
    uint16_t *pivot;  /* unknown of each row */
    uint8_t *factors; /* scratch, m */
    uint32_t rank;
} lost_system;

static const asx_rq_alloc *alloc_of(const asxi_decode_job *job)
{
    return job->decoder->config.alloc;
}

enum { ROWS_K_MAX = 320, ROWS_LOST_MAX = 24 };

static bool wants_rows(const asxi_decode_job *job)
{
    const asx_rq_param *param = &job->decoder->block.param;
    return param->k_prime <= ROWS_K_MAX &&
           (job->lost_count <= ROWS_LOST_MAX || job->lost_count == param->k);
}

/* Makes the decoder's units: every slab row as a combination of the lost symbols, or with by_rows
 * of all source symbols. */
static asx_err make_units(asxi_decode_job *job)
{
    asx_rq_decoder *decoder = job->decoder;
    const asx_rq_param *param = &decoder->block.param;
    const size_t width = asx_align_up(job->by_rows ? param->k : job->lost_count, 64);
    job->units_width = width;
    if (job->by_rows && decoder->has_units) {
        return ASX_OK;
    }
    decoder->has_units = false;
    const size_t slab_size = ((size_t)param->l + param->h) * width;
    const size_t units_size = (size_t)param->k * width;
    if (!asxi_scratch_grow(alloc_of(job), &decoder->units, slab_size + units_size)) {
        return ASX_RQ_E(NO_MEMORY);
    }
    uint8_t *units = decoder->units.at + slab_size;
    memset(units, 0, units_size);
    for (uint32_t i = 0; i < (job->by_rows ? param->k : job->lost_count); i++) {
        units[(job->by_rows ? i : job->lost[i]) * width + i] = 1;
    }
    const asx_rq_feed feed = { .first = units,
                               .first_stride = width,
                               .split = param->k,
                               .end = param->k,
                               .exact = (uint32_t)width };
    asx_rq_replay(job->plan, decoder->kernel, decoder->units.at, width, &feed, NULL);
    decoder->has_units = job->by_rows;
    return ASX_OK;
}

/* Reduces row `rank` by the rows before it; keeps it, and reduces those by it, if an unknown is
 * left. */
static bool insert(lost_system *system, const asx_rq_kernel *kernel)
{
    uint8_t *row = system->rows + system->rank * system->width;
    /* no row holds another's pivot, so that all factors are there from the start */
    for (uint32_t i = 0; i < system->rank; i++) {
        system->factors[i] = row[system->pivot[i]];
    }
    const asx_rq_product before = { .outputs = 1,
                                    .inputs = system->rank,
                                    .factors = system->factors,
                                    .in = system->rows,
                                    .in_stride = system->width,
                                    .out = row,
                                    .add = true };
    kernel->product(&before, system->width);
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

/* Sets the coefficients of a repair symbol over the lost ones; with by_rows also keeps those over
 * the whole source as the next equation's. */
static void set_row(const asxi_decode_job *job, const lost_system *system, uint32_t repair,
                    uint8_t *rows)
{
    const asx_rq_decoder *decoder = job->decoder;
    uint16_t support[ASX_RQ_SUPPORT_MAX];
    uint8_t *row = system->rows + system->rank * system->width;
    const uint32_t count = asx_rq_plan_support(
        job->plan, &decoder->block.param,
        asx_rq_isi(&decoder->block.param, decoder->repair_esi[repair]), support);
    memset(row, 0, system->width);
    if (job->by_rows) {
        uint8_t *whole = rows + system->rank * job->units_width;
        decoder->kernel->sum(whole, job->units_width, decoder->units.at, job->units_width, support,
                             count);
        for (uint32_t i = 0; i < system->m; i++) {
            row[i] = whole[job->lost[i]];
        }
    } else {
        decoder->kernel->sum(row, system->m, decoder->units.at, job->units_width, support, count);
    }
    row[system->m + system->rank] = 1;
}

/* Chooses m independent repair symbols; the others are spare. Sets equation[] and, in the right
 * half of the system's rows, the inverse. */
static bool solve(asxi_decode_job *job, lost_system *system, uint32_t *equation, uint8_t *rows)
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
        set_row(job, system, index, rows);
        equation[system->rank] = index;
        insert(system, decoder->kernel);
    }
    return system->rank == system->m;
}

/* What the lost symbols add up to in each equation: the repair symbol less the received part. */
static void reduce_rows(const asxi_decode_job *job, const asx_rq_stripe *stripe,
                        const asx_rq_feed *feed, uint8_t *rest)
{
    const uint32_t m = job->lost_count, k = job->decoder->block.param.k;
    for (uint32_t i = 0; i < m; i++) {
        memcpy(rest + i * stripe->width, feed->second + job->equation[i] * feed->second_stride,
               stripe->exact);
    }
    if (m < k) {
        /* the lost ones are zero in the output, so that all of it can be taken */
        const asx_rq_product received = { .outputs = m,
                                          .inputs = k,
                                          .factors = job->rows,
                                          .factor_stride = job->units_width,
                                          .in = feed->first,
                                          .in_stride = feed->first_stride,
                                          .out = rest,
                                          .out_stride = stripe->width,
                                          .add = true };
        job->decoder->kernel->product(&received, stripe->exact);
    }
}

static void reduce_replay(const asxi_decode_job *job, uint8_t *slab, const asx_rq_stripe *stripe,
                          const asx_rq_feed *feed, uint8_t *rest)
{
    const asx_rq_decoder *decoder = job->decoder;
    asxi_decode_replay(job, slab, stripe, feed);
    const uint16_t *entry = job->list;
    for (uint32_t i = 0; i < job->lost_count; i++, entry += 1 + entry[0]) {
        uint8_t *row = rest + i * stripe->width;
        decoder->kernel->sum(row, stripe->exact, slab, stripe->width, entry + 1, entry[0]);
        decoder->kernel->xor_row(row, feed->second + job->equation[i] * feed->second_stride,
                                 stripe->exact);
    }
}

static void few_stripe(const asxi_decode_job *job, uint32_t index, uint8_t *slab)
{
    const asx_rq_decoder *decoder = job->decoder;
    const uint32_t m = job->lost_count;
    const asx_rq_stripe stripe = asx_rq_block_stripe(&decoder->block, index);
    asx_rq_feed feed = asxi_decode_feed(decoder, &stripe);
    feed.end = decoder->block.param.k; /* the encoding plan asks for source symbols only */
    uint8_t *rest = asxi_decode_extra(job, slab, &stripe);
    if (job->by_rows) {
        reduce_rows(job, &stripe, &feed, rest);
    } else {
        reduce_replay(job, slab, &stripe, &feed, rest);
    }
    const asx_rq_product lost = { .outputs = m,
                                  .inputs = m,
                                  .factors = job->inverse,
                                  .factor_stride = m,
                                  .in = rest,
                                  .in_stride = stripe.width,
                                  .out = decoder->output + stripe.source_offset,
                                  .out_stride = stripe.source_stride,
                                  .out_row = job->lost };
    decoder->kernel->product(&lost, stripe.exact);
    if (job->spare_count > 0) {
        /* Only now is the whole source there, and with it the true intermediate symbols. */
        asxi_decode_replay(job, slab, &stripe, &feed);
        job->mismatch[index] = !asxi_decode_holds(job, &stripe, slab);
    }
}

static bool list_equations(asxi_decode_job *job)
{
    asx_rq_decoder *decoder = job->decoder;
    const asx_rq_param *param = &decoder->block.param;
    if (!asxi_scratch_grow(alloc_of(job), &decoder->list,
                           job->lost_count * (size_t)ASX_RQ_ENTRY_MAX * sizeof(uint16_t))) {
        return false;
    }
    uint16_t *list = (uint16_t *)(void *)decoder->list.at;
    job->list = list;
    for (uint32_t i = 0; i < job->lost_count; i++) {
        list = asx_rq_plan_entry(job->plan, param,
                                 asx_rq_isi(param, decoder->repair_esi[job->equation[i]]), list);
    }
    return true;
}

static asx_err solve_and_run(asxi_decode_job *job, uint8_t *memory, const asx_rq_executor *executor)
{
    const uint32_t m = job->lost_count;
    lost_system system = { .m = m, .width = asx_align_up(2 * (size_t)m, 64), .rows = memory };
    uint8_t *inverse = memory + m * system.width;
    uint8_t *rows = inverse + asx_align_up((size_t)m * m, 64);
    uint32_t *equation =
        (uint32_t *)(void *)(rows + (job->by_rows ? m * job->units_width : (size_t)0));
    system.pivot = (uint16_t *)(void *)(equation + m);
    system.factors = (uint8_t *)(system.pivot + m);
    if (!solve(job, &system, equation, rows)) {
        job->decoder->stats.solve.deficit = m - system.rank;
        return ASX_RQ_E(RANK);
    }
    for (uint32_t i = 0; i < m; i++) {
        memcpy(inverse + (size_t)system.pivot[i] * m, system.rows + i * system.width + m, m);
    }
    job->inverse = inverse;
    job->equation = equation;
    job->rows = rows;
    if (!job->by_rows && !list_equations(job)) {
        return ASX_RQ_E(NO_MEMORY);
    }
    job->decoder->stats.verified = job->spare_count;
    job->stripe_fn = few_stripe;
    return asxi_decode_stripes(job, m, executor);
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
    job->by_rows = wants_rows(job);
    err = make_units(job);
    if (err != ASX_OK) {
        return err;
    }
    const size_t size = m * asx_align_up(2 * (size_t)m, 64) + asx_align_up((size_t)m * m, 64) +
                        (job->by_rows ? m * job->units_width : 0) +
                        m * (sizeof(uint32_t) + sizeof(uint16_t) + sizeof(uint8_t));
    uint8_t *memory = asx_rq_alloc_get(alloc_of(job), size);
    err = memory != NULL ? solve_and_run(job, memory, executor) : ASX_RQ_E(NO_MEMORY);
    asx_rq_alloc_put(alloc_of(job), memory, size);
    return err;
}
