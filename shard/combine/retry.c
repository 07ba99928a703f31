#include <asx/shard/combine/retry.h>
#include <asx/shard/shard_internal.h>

#define RETRY_ATTEMPTS 3u
#define RETRY_DELAY_NS (100 * ASX_NS_PER_MS)
#define RETRY_MULTIPLIER_PERCENT 200u
#define RETRY_DELAY_MAX_NS (30 * ASX_NS_PER_S)
#define RETRY_JITTER_PPM 100000u

asx_duration asx_retry_delay(const asx_retry_options *options, uint32_t k)
{
    asx_duration delay_ns = options->delay_ns ? options->delay_ns : RETRY_DELAY_NS;
    const asx_duration max_ns = options->delay_max_ns ? options->delay_max_ns : RETRY_DELAY_MAX_NS;
    const uint32_t percent =
        options->multiplier_percent ? options->multiplier_percent : RETRY_MULTIPLIER_PERCENT;
    /* Below 64 doublings, or for ever at the cap; a multiplier of 100 or less never gets there. */
    for (uint32_t i = 1; i < k && delay_ns < max_ns && percent > 100; i++) {
        delay_ns = asx_time_mul(delay_ns, percent) / 100;
    }
    return delay_ns < max_ns ? delay_ns : max_ns;
}

static asx_duration jittered(asx_cx *cx, const asx_retry_options *options, asx_duration delay_ns)
{
    const asx_duration max_ns = options->delay_max_ns ? options->delay_max_ns : RETRY_DELAY_MAX_NS;
    const uint32_t ppm = options->jitter_ppm ? options->jitter_ppm : RETRY_JITTER_PPM;
    if (!options->no_jitter) {
        const asx_duration most_ns = asx_time_mul(delay_ns, ppm) / 1000000;
        delay_ns = asx_time_add(delay_ns, asx_random_below(cx, most_ns + 1));
    }
    return delay_ns < max_ns ? delay_ns : max_ns;
}

static bool budget_take(asx_retry_budget *budget)
{
    if (budget && budget->tokens == 0) {
        return false;
    }
    if (budget) {
        budget->tokens--;
    }
    return true;
}

static void budget_refund(asx_retry_budget *budget)
{
    if (budget && budget->tokens < budget->tokens_max) {
        const uint64_t fraction = (uint64_t)budget->_fraction_ppm + budget->refund_ppm;
        const uint64_t tokens = budget->tokens + fraction / 1000000;
        budget->tokens = (uint32_t)(tokens < budget->tokens_max ? tokens : budget->tokens_max);
        budget->_fraction_ppm = (uint32_t)(fraction % 1000000);
    }
}

asx_outcome asx_retry(asx_cx *cx, asx_task_fn *fn, void *arg, const asx_retry_options *options,
                      asx_retry_result *result)
{
    static const asx_retry_options defaults;
    asx_retry_result none;
    options = options ? options : &defaults;
    result = result ? result : &none;
    *result = (asx_retry_result){ 0 };
    const uint32_t attempts = options->attempts ? options->attempts : RETRY_ATTEMPTS;
    for (;;) {
        ASX_TRY(asx_checkpoint(cx));
        const asx_outcome outcome = fn(cx, arg);
        result->attempts++;
        if (asx_is_ok(outcome)) {
            budget_refund(options->budget);
        }
        if (outcome.severity != ASX_SEVERITY_ERR || result->attempts == attempts ||
            (options->retries &&
             !options->retries(outcome.err, result->attempts, options->retries_arg))) {
            return outcome;
        }
        const asx_duration delay_ns =
            jittered(cx, options, asx_retry_delay(options, result->attempts));
        const asx_instant until_ns = asx_time_add(cx->_shard->now_ns, delay_ns);
        if (until_ns > asx_cx_budget(cx).deadline_ns || !budget_take(options->budget)) {
            return outcome;
        }
        ASX_TRY(asx_sleep_until(cx, until_ns));
        result->delayed_ns += delay_ns;
    }
}
