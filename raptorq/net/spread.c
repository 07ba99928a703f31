#include <asx/raptorq/net/spread.h>
#include <asx/shard/combine/parallel.h>

typedef struct spread_call {
    asx_rq_job *job;
    void *arg;
    bool *done; /* of each job: written by who ran it */
} spread_call;

/* A job is arithmetic: begun, it is done. */
static asx_outcome run_jobs(asx_cx *cx, uint64_t first, uint64_t end, void *arg)
{
    const spread_call *const call = arg;
    (void)cx;
    for (uint64_t i = first; i < end; i++) {
        call->job(call->arg, (uint32_t)i);
        call->done[i] = true;
    }
    return asx_ok(0);
}

static void run(void *self, uint32_t count, asx_rq_job *job, void *arg)
{
    asx_cx *const cx = self;
    const spread_call call = { .job = job, .arg = arg, .done = asx_calloc(cx, count) };
    if (call.done) {
        spread_call shared = call;
        const asx_outcome outcome = asx_parallel_for(cx, 0, count, 1, run_jobs, &shared);
        if (outcome.severity == ASX_SEVERITY_PANICKED) {
            asx_panic("a job of the codec panicked: %s",
                      outcome.panic ? outcome.panic->message : "no memory to say why");
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!call.done || !call.done[i]) {
            job(arg, i);
        }
    }
    if (call.done) {
        asx_free(cx, call.done, count);
    }
}

asx_rq_executor asx_rq_spread(asx_cx *cx)
{
    return (asx_rq_executor){ .run = run, .self = cx };
}
