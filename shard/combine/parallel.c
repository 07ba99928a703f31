#include <asx/shard/base/assert.h>
#include <asx/shard/base/atomic.h>
#include <asx/shard/combine/parallel.h>
#include <asx/shard/limb.h>
#include <asx/shard/limits.h>
#include <asx/shard/scope.h>
#include <asx/shard/trace_internal.h>

/* In the caller's frame, which outlives the workers: the scope that they are in closes first. */
typedef struct parallel_job {
    /* Read by all, written by none */
    asx_piece_fn *fn;
    void *arg;
    uint64_t first, end, grain;
    uint64_t count;    /* of pieces */
    uintptr_t *values; /* of each piece, written by who ran it; NULL: nobody wants them */
    uint64_t id;       /* trace identity of the scope */
    /* Written by all: the next piece. The order in which pieces are taken orders nothing else, so
     * the additions are relaxed; messages publish what pieces read and wrote. */
    uint64_t next __attribute__((aligned(ASX_CACHE_PAIR)));
} parallel_job;

static uint64_t piece_take(parallel_job *job, const asx_cx *cx)
{
    ASXI_TRACE(cx->_shard, LOCK_TAKE, job->id, asxi_trace_of(cx->_task));
    ASXI_TRACE(cx->_shard, LOCK_RELEASE, job->id, asxi_trace_of(cx->_task));
    (void)cx;
    return asx_fetch_add_relaxed(&job->next, 1u);
}

static asx_outcome piece_run(const parallel_job *job, asx_cx *cx, uint64_t piece)
{
    asx_assert_lt(piece, job->count);
    const uint64_t first = job->first + piece * job->grain;
    const uint64_t left = job->end - first;
    const asx_outcome outcome =
        job->fn(cx, first, first + (left < job->grain ? left : job->grain), job->arg);
    if (job->values && asx_is_ok(outcome)) {
        job->values[piece] = outcome.value;
    }
    return outcome;
}

static asx_outcome work(asx_cx *cx, void *arg)
{
    parallel_job *const job = arg;
    for (;;) {
        ASX_TRY(asx_checkpoint(cx)); /* what was taken is run, so not between the two */
        const uint64_t piece = piece_take(job, cx);
        if (piece >= job->count) {
            return asx_ok(0);
        }
        ASX_TRY(piece_run(job, cx, piece));
    }
}

/* How many shards there is work for. */
static uint32_t width_of(const asx_cx *cx, uint64_t count)
{
    const bool is_alone = asx_cx_require(cx, ASX_CAP_REMOTE) != ASX_OK;
    const uint32_t shards = is_alone ? 1 : asx_cx_shard_count(cx);
    const uint32_t width = shards < ASX_SHARD_COUNT_MAX ? shards : ASX_SHARD_COUNT_MAX;
    return width < count ? width : (uint32_t)count;
}

/* What another shard refuses, the others do. */
static void join_all(asx_scope *scope, asx_handle own, const asx_handle *limbs, uint32_t count)
{
    asx_outcome joined = asx_join(&scope->cx, own);
    for (uint32_t i = 0; i < count && joined.severity < ASX_SEVERITY_CANCELLED; i++) {
        joined = asx_join_limb(&scope->cx, limbs[i]);
    }
}

static asx_err run_workers(asx_scope *scope, parallel_job *job, uint32_t width)
{
    static const asx_spawn_options options = { .label = "parallel" };
    asx_cx *const cx = &scope->cx;
    asx_handle own, limbs[ASX_SHARD_COUNT_MAX];
    uint32_t count = 0;
    const asx_err err = asx_spawn(cx, NULL, work, job, 0, &options, &own);
    if (err) {
        return err;
    }
    for (uint32_t i = 1; i < width; i++) {
        const uint32_t to = (asx_cx_shard_index(cx) + i) % asx_cx_shard_count(cx);
        count += asx_spawn_on(cx, to, work, job, 0, &options, &limbs[count]) == ASX_OK;
    }
    if (count > 0) {
        asxi_slice_end(cx->_shard); /* before the first piece here, which may be a long one */
    }
    join_all(scope, own, limbs, count);
    return ASX_OK;
}

static asx_outcome run(parallel_job *job, asx_cx *cx)
{
    asx_outcome value;
    asx_err err = ASX_OK;
    ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
        if (asx_scope_region(s)) {
            job->id = asx_trace_id(asx_region_handle(asx_scope_region(s)));
        }
        err = run_workers(s, job, width_of(cx, job->count));
    }
    return asx_is_ok(value) && err ? asx_fail(err) : value;
}

static asx_err job_init(parallel_job *job, uint64_t first, uint64_t end, uint64_t grain,
                        asx_piece_fn *fn, void *arg)
{
    asx_assert(fn != NULL);
    if (end < first) {
        return ASX_E(INVALID_ARGUMENT);
    }
    const uint64_t size = end - first;
    if (grain == 0) {
        grain = size / ASX_PARALLEL_PIECES_DEFAULT + (size % ASX_PARALLEL_PIECES_DEFAULT != 0);
    }
    *job = (parallel_job){ .fn = fn, .arg = arg, .first = first, .end = end, .grain = grain };
    job->count = size == 0 ? 0 : (size - 1) / grain + 1;
    return ASX_OK;
}

asx_outcome asx_parallel_for(asx_cx *cx, uint64_t first, uint64_t end, uint64_t grain,
                             asx_piece_fn *fn, void *arg)
{
    parallel_job job;
    const asx_err err = job_init(&job, first, end, grain, fn, arg);
    if (err) {
        return asx_fail(err);
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    return job.count == 0 ? asx_ok(0) : run(&job, cx);
}

asx_outcome asx_parallel_map_reduce(asx_cx *cx, uint64_t first, uint64_t end, uint64_t grain,
                                    asx_piece_fn *map, asx_reduce_fn *reduce, void *arg,
                                    uintptr_t initial)
{
    parallel_job job;
    const asx_err err = job_init(&job, first, end, grain, map, arg);
    asx_assert(reduce != NULL);
    if (err) {
        return asx_fail(err);
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    if (job.count == 0) {
        return asx_ok(initial);
    }
    if (job.count > SIZE_MAX / sizeof(uintptr_t)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    job.values = asx_alloc(cx, job.count * sizeof(uintptr_t));
    if (!job.values) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    asx_outcome outcome = run(&job, cx);
    if (asx_is_ok(outcome)) {
        outcome.value = initial;
        for (uint64_t i = 0; i < job.count; i++) {
            outcome.value = reduce(outcome.value, job.values[i], arg);
        }
    }
    asx_free(cx, job.values, job.count * sizeof(uintptr_t));
    return outcome;
}
