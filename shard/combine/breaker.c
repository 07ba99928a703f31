#include <asx/shard/base/assert.h>
#include <asx/shard/combine/breaker.h>
#include <asx/shard/shard_internal.h>

#define COUNT_MAX 65535u

static uint32_t clamp(uint32_t wanted, uint32_t otherwise)
{
    const uint32_t count = wanted ? wanted : otherwise;
    return count < COUNT_MAX ? count : COUNT_MAX;
}

void asx_breaker_init(asx_breaker *breaker, const asx_breaker_options *options)
{
    *breaker = (asx_breaker){ ._epoch = 1 };
    if (options) {
        breaker->_options = *options;
    }
    asx_breaker_options *const o = &breaker->_options;
    asx_assert_le(o->window, ASX_BREAKER_WINDOW_MAX);
    o->failure_threshold = clamp(o->failure_threshold, 5);
    o->success_threshold = clamp(o->success_threshold, 2);
    o->probes_max = clamp(o->probes_max, 1);
    o->open_ns = o->open_ns ? o->open_ns : 30 * ASX_NS_PER_S;
}

const char *asx_breaker_state_name(asx_breaker_state state)
{
    switch (state) {
    case ASX_BREAKER_CLOSED:
        return "closed";
    case ASX_BREAKER_OPEN:
        return "open";
    case ASX_BREAKER_HALF_OPEN:
        return "half-open";
    }
    return "?";
}

asx_breaker_state asx_breaker_state_of(const asx_breaker *breaker, asx_instant now_ns)
{
    const bool over = breaker->_state == ASX_BREAKER_OPEN &&
                      asx_time_sub(now_ns, breaker->_opened_at) >= breaker->_options.open_ns;
    return over ? ASX_BREAKER_HALF_OPEN : (asx_breaker_state)breaker->_state;
}

static void enter(asx_breaker *breaker, asx_breaker_state state, asx_instant now_ns)
{
    breaker->_state = (uint8_t)state;
    breaker->_epoch++;
    breaker->_failures = breaker->_successes = breaker->_probes = 0;
    breaker->_window_at = breaker->_window_count = breaker->_window_failures = 0;
    if (state == ASX_BREAKER_OPEN) {
        breaker->_opened_at = now_ns;
    }
}

/* True when the calls in the window have failed too often. */
static bool window_add(asx_breaker *breaker, bool failed)
{
    const asx_breaker_options *const o = &breaker->_options;
    if (o->window == 0) {
        return false;
    }
    uint8_t *const byte = &breaker->_window[breaker->_window_at / 8];
    const uint8_t bit = (uint8_t)(1u << (breaker->_window_at % 8));
    if (breaker->_window_count == o->window) {
        breaker->_window_failures -= (*byte & bit) != 0;
    } else {
        breaker->_window_count++;
    }
    *byte = (uint8_t)(failed ? *byte | bit : *byte & ~bit);
    breaker->_window_failures += failed;
    breaker->_window_at = (breaker->_window_at + 1) % o->window;
    return breaker->_window_count >= o->window_calls_min && breaker->_window_failures > 0 &&
           (uint64_t)breaker->_window_failures * 1000000 >=
               (uint64_t)breaker->_window_count * o->window_failures_ppm;
}

static void judge_closed(asx_breaker *breaker, bool failed, asx_instant now_ns)
{
    const bool too_often = window_add(breaker, failed);
    breaker->_failures = failed ? breaker->_failures + 1 : 0;
    if (too_often || breaker->_failures >= breaker->_options.failure_threshold) {
        enter(breaker, ASX_BREAKER_OPEN, now_ns);
    }
}

static void judge_probe(asx_breaker *breaker, bool failed, asx_instant now_ns)
{
    if (failed) {
        enter(breaker, ASX_BREAKER_OPEN, now_ns);
    } else if (++breaker->_successes >= breaker->_options.success_threshold) {
        enter(breaker, ASX_BREAKER_CLOSED, now_ns);
    }
}

typedef struct breaker_call {
    asx_defer defer;
    asx_breaker *breaker;
    uint64_t epoch;
} breaker_call;

typedef enum verdict { SUCCEEDED, FAILED, SAYS_NOTHING } verdict;

static void settle(asx_cx *cx, const breaker_call *call, verdict said)
{
    asx_breaker *const breaker = call->breaker;
    const asx_instant now_ns = cx->_shard->now_ns;
    if (call->epoch != breaker->_epoch) {
        return;
    }
    if (breaker->_state == ASX_BREAKER_HALF_OPEN) {
        asx_assert(breaker->_probes > 0);
        breaker->_probes--;
        if (said != SAYS_NOTHING) {
            judge_probe(breaker, said == FAILED, now_ns);
        }
    } else if (breaker->_state == ASX_BREAKER_CLOSED && said != SAYS_NOTHING) {
        judge_closed(breaker, said == FAILED, now_ns);
    }
}

/* The task ended inside the call: it panicked, or was abandoned after a cancel. */
static void call_unwound(asx_cx *cx, asx_defer *defer)
{
    const asx_outcome outcome = cx->_task->outcome;
    const bool panicked = outcome.severity == ASX_SEVERITY_PANICKED && outcome.panic &&
                          outcome.panic->cause != ASX_PANIC_ABANDONED;
    settle(cx, asx_container_of(defer, breaker_call, defer), panicked ? FAILED : SAYS_NOTHING);
}

static verdict verdict_of(const asx_breaker *breaker, asx_outcome outcome)
{
    const asx_breaker_options *const o = &breaker->_options;
    switch ((asx_severity)outcome.severity) {
    case ASX_SEVERITY_OK:
        return SUCCEEDED;
    case ASX_SEVERITY_ERR:
        return !o->is_failure || o->is_failure(outcome.err, o->is_failure_arg) ? FAILED : SUCCEEDED;
    case ASX_SEVERITY_CANCELLED:
        return SAYS_NOTHING;
    case ASX_SEVERITY_PANICKED:
        return FAILED;
    }
    asx_unreachable();
}

asx_outcome asx_breaker_call(asx_cx *cx, asx_breaker *breaker, asx_task_fn *fn, void *arg,
                             asx_duration *remaining_ns)
{
    const asx_instant now_ns = cx->_shard->now_ns;
    const asx_breaker_state state = asx_breaker_state_of(breaker, now_ns);
    if (state != (asx_breaker_state)breaker->_state) {
        enter(breaker, state, now_ns);
    }
    const bool probes_out =
        state == ASX_BREAKER_HALF_OPEN && breaker->_probes >= breaker->_options.probes_max;
    if (remaining_ns) {
        const asx_duration open_for_ns = asx_time_sub(now_ns, breaker->_opened_at);
        *remaining_ns =
            state == ASX_BREAKER_OPEN ? asx_time_sub(breaker->_options.open_ns, open_for_ns) : 0;
    }
    if (state == ASX_BREAKER_OPEN || probes_out) {
        return asx_fail(ASX_E(CIRCUIT_OPEN));
    }
    breaker->_probes += state == ASX_BREAKER_HALF_OPEN;
    breaker_call call = { .breaker = breaker, .epoch = breaker->_epoch };
    asx_defer_push(cx, &call.defer, call_unwound);
    const asx_outcome outcome = fn(cx, arg);
    asx_defer_pop(cx, &call.defer);
    settle(cx, &call, verdict_of(breaker, outcome));
    return outcome;
}
