#include <asx/lab/eprocess.h>
#include <asx/shard/base/assert.h>

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Each wins most against one order of magnitude of true rates above p0 = 0.001. */
static const double mixture[] = { 0.5, 2, 8, 32, 128, 512 };

static_assert(asx_array_count(mixture) <= ASX_EPROCESS_BETS_MAX, "one slot a bet");

static double or_default(double value, double standard)
{
    return value != 0 ? value : standard;
}

void asx_eprocess_init(asx_eprocess *process, const asx_eprocess_config *config)
{
    *process = (asx_eprocess){ 0 };
    if (config) {
        process->config = *config;
    }
    asx_eprocess_config *const c = &process->config;
    c->p0 = or_default(c->p0, 0.001);
    c->alpha = or_default(c->alpha, 0.05);
    c->evalue_max = or_default(c->evalue_max, 1e15);
    c->family = c->family ? c->family : 1;
    asx_assert(c->p0 > 0 && c->p0 < 1);
    asx_assert(c->alpha > 0 && c->alpha < 1);
    if (c->lambda != 0) {
        process->_lambda[process->_bets++] = c->lambda;
    } else {
        for (unsigned i = 0; i < asx_array_count(mixture); i++) {
            process->_lambda[process->_bets++] = mixture[i] * 0.001 / c->p0;
        }
    }
    for (uint32_t i = 0; i < process->_bets; i++) {
        asx_assert(process->_lambda[i] > 0 && process->_lambda[i] < 1 / c->p0);
    }
}

/* ln of the mean of the bets' wealth, without leaving the range of doubles. */
static double log_evalue(const asx_eprocess *process)
{
    double top = process->_log_e[0];
    for (uint32_t i = 1; i < process->_bets; i++) {
        top = fmax(top, process->_log_e[i]);
    }
    double sum = 0;
    for (uint32_t i = 0; i < process->_bets; i++) {
        sum += exp(process->_log_e[i] - top);
    }
    return top + log(sum / process->_bets);
}

bool asx_eprocess_observe(asx_eprocess *process, bool violation)
{
    const asx_eprocess_config *const c = &process->config;
    const double surprise = (violation ? 1.0 : 0.0) - c->p0;
    const double log_max = log(c->evalue_max);
    process->observations++;
    process->violations += violation;
    for (uint32_t i = 0; i < process->_bets; i++) {
        const double log_e = process->_log_e[i] + log1p(process->_lambda[i] * surprise);
        asx_assert(!isnan(log_e));
        process->_log_e[i] = fmin(log_e, log_max);
    }
    if (process->rejected_at == 0 && log_evalue(process) >= log(c->family / c->alpha)) {
        process->rejected_at = process->observations;
    }
    return process->rejected_at != 0;
}

double asx_eprocess_evalue(const asx_eprocess *process)
{
    return exp(log_evalue(process));
}

double asx_eprocess_log10(const asx_eprocess *process)
{
    return log_evalue(process) / log(10);
}

static double empirical_rate(const asx_eprocess *process)
{
    return process->observations ? (double)process->violations / (double)process->observations : 0;
}

const char *asx_eprocess_text(const asx_eprocess *process, char *buf, size_t cap)
{
    char when[48] = "not rejected";
    if (process->rejected_at) {
        snprintf(when, sizeof when, "rejected at observation %" PRIu64, process->rejected_at);
    }
    snprintf(buf, cap,
             "e = %.6g (log10 %.3f), %s; %" PRIu64 " violations in %" PRIu64
             " observations, rate %.6g against %.6g allowed",
             asx_eprocess_evalue(process), asx_eprocess_log10(process), when, process->violations,
             process->observations, empirical_rate(process), process->config.p0);
    return buf;
}

const char *asx_eprocess_json(const asx_eprocess *process, char *buf, size_t cap)
{
    snprintf(buf, cap,
             "{\"e\":%.9g,\"log10_e\":%.9g,\"rejected\":%s,\"rejected_at\":%" PRIu64
             ",\"observations\":%" PRIu64 ",\"violations\":%" PRIu64 ",\"rate\":%.9g,\"p0\":%.9g}",
             asx_eprocess_evalue(process), asx_eprocess_log10(process),
             process->rejected_at ? "true" : "false", process->rejected_at, process->observations,
             process->violations, empirical_rate(process), process->config.p0);
    return buf;
}
