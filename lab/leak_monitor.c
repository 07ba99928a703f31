#include <asx/lab/leak_monitor.h>
#include <asx/shard/base/assert.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void asx_leak_monitor_init(asx_leak_monitor *monitor, const asx_leak_config *config,
                           asx_instant now_ns)
{
    *monitor = (asx_leak_monitor){ ._last_ns = now_ns };
    if (config) {
        monitor->config = *config;
    }
    asx_leak_config *const c = &monitor->config;
    c->tau_ns = c->tau_ns ? c->tau_ns : asx_ms(10);
    c->alpha = c->alpha != 0 ? c->alpha : 0.01;
    c->rho = c->rho != 0 ? c->rho : 0.5;
    asx_assert(c->tau_ns > 0);
    asx_assert(c->alpha > 0 && c->alpha < 1);
    asx_assert(c->rho > 0 && c->rho < 1);
}

/* Counts the time since the last event for everything that is pending. */
static void wait_until(asx_leak_monitor *monitor, asx_instant now_ns)
{
    asx_assert(now_ns >= monitor->_last_ns);
    const double waited = (double)(now_ns - monitor->_last_ns) * (double)monitor->pending;
    const double gain = (1 - monitor->config.rho) * waited / (double)monitor->config.tau_ns;
    monitor->log_e += gain;
    monitor->cusum += gain;
    monitor->_last_ns = now_ns;
}

void asx_leak_monitor_reserved(asx_leak_monitor *monitor, asx_instant now_ns)
{
    wait_until(monitor, now_ns);
    monitor->pending++;
}

void asx_leak_monitor_resolved(asx_leak_monitor *monitor, asx_instant now_ns)
{
    wait_until(monitor, now_ns);
    asx_assert_lt(0, monitor->pending);
    monitor->pending--;
    monitor->resolved++;
    monitor->log_e += log(monitor->config.rho);
    monitor->cusum = fmax(0, monitor->cusum + log(monitor->config.rho));
}

asx_leak_state asx_leak_monitor_scan(asx_leak_monitor *monitor, asx_instant now_ns)
{
    wait_until(monitor, now_ns);
    const double strongest = fmax(monitor->log_e, monitor->cusum);
    if (strongest >= -log(monitor->config.alpha)) {
        return ASX_LEAK_ALERT;
    }
    return strongest > 0 ? ASX_LEAK_WATCHING : ASX_LEAK_CLEAR;
}

const char *asx_leak_state_name(asx_leak_state state)
{
    switch (state) {
    case ASX_LEAK_CLEAR:
        return "clear";
    case ASX_LEAK_WATCHING:
        return "watching";
    case ASX_LEAK_ALERT:
        return "ALERT";
    }
    asx_unreachable();
}

double asx_leak_log_e_of_lifetimes(const asx_duration *ages_ns, size_t count, asx_duration tau_ns)
{
    asx_assert(tau_ns > 0);
    const double normaliser = log1p(exp(-1)); /* ln of the mean of max(1, X), X exponential */
    double log_e = 0;
    for (size_t i = 0; i < count; i++) {
        log_e += log(fmax(1, (double)ages_ns[i] / (double)tau_ns)) - normaliser;
    }
    return log_e;
}

static int older_first(const void *a, const void *b)
{
    const asx_leak_suspect *const x = a, *const y = b;
    if (x->age_ns != y->age_ns) {
        return x->age_ns > y->age_ns ? -1 : 1;
    }
    return (x->obligation > y->obligation) - (x->obligation < y->obligation);
}

const char *asx_leak_monitor_text(const asx_leak_monitor *monitor, asx_leak_suspect *suspects,
                                  size_t count, size_t lines_max, char *buf, size_t cap)
{
    asx_assert(cap > 0);
    FILE *out = fmemopen(buf, cap, "w");
    if (!out) {
        buf[0] = 0;
        return buf;
    }
    fprintf(out, "pending %llu, resolved %llu, ln E %.3f, cusum %.3f, alert at %.3f\n",
            (unsigned long long)monitor->pending, (unsigned long long)monitor->resolved,
            monitor->log_e, monitor->cusum, -log(monitor->config.alpha));
    qsort(suspects, count, sizeof(*suspects), older_first);
    for (size_t i = 0; i < count && i < lines_max; i++) {
        const asx_leak_suspect *const s = &suspects[i];
        fprintf(out,
                "  obligation %llx: pending %.3f ms, holder %llx, region %llx, last said: %s\n",
                (unsigned long long)s->obligation, (double)s->age_ns / 1e6,
                (unsigned long long)s->holder, (unsigned long long)s->region,
                s->checkpoint ? s->checkpoint : "nothing");
    }
    if (count > lines_max) {
        fprintf(out, "  (+%zu more)\n", count - lines_max);
    }
    fclose(out);
    buf[cap - 1] = 0;
    return buf;
}
