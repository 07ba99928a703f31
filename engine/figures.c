#include <asx/shard/base/assert.h>
#include <asx/shard/drain.h>
#include <asx/shard/region.h>

#include "access_log.h"
#include "engine_internal.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define REFRESH_STEP (1 * ASX_NS_PER_MS)
#define REFRESH_MAX (500 * ASX_NS_PER_MS)
#define FIGURE_WORDS (sizeof(asx_figures) / sizeof(uint64_t))

_Static_assert(sizeof(asx_figures) % sizeof(uint64_t) == 0, "copied word by word");

void asxi_figures_publish(asxi_seat *seat)
{
    asx_figures figures = { .accept_failures = seat->accept_failures,
                            .accept_dropped = seat->accept_dropped,
                            .drain = seat->drain,
                            .published_at_ns = asx_shard_now(seat->shard) };
    asx_driver *const driver = asx_shard_driver(seat->shard);
    asx_shard_stats_read(seat->shard, &figures.shard);
    driver->ops->stats(driver, &figures.driver);
    asxi_services_stats(seat, &figures.http);
    figures.admit = asxi_services_admitted(seat);
    if (seat->log) {
        const asx_access_log_stats log = asx_access_log_stats_of(seat->log);
        figures.log_lines = log.lines;
        figures.log_dropped = log.dropped;
    }
    const uint64_t *const from = (const uint64_t *)(const void *)&figures;
    uint64_t *const to = (uint64_t *)(void *)&seat->published;
    for (size_t i = 0; i < FIGURE_WORDS; i++) {
        asx_store_relaxed(&to[i], from[i]);
    }
    /* Pairs with the acquire in seq_of: who sees the number sees the words. */
    asx_store_release(&seat->published_seq, seat->published_seq + 1);
}

static uint64_t seq_of(const asxi_seat *seat)
{
    return asx_load_acquire(&seat->published_seq);
}

asx_outcome asx_figures_refresh(asx_cx *cx, asx_engine *engine)
{
    uint64_t before[ASX_SHARD_COUNT_MAX];
    asxi_seat *const own = asxi_seat_of(engine, cx);
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        before[i] = seq_of(&engine->seats[i]);
        if (&engine->seats[i] != own) {
            asxi_seat_ring(&engine->seats[i]);
        }
    }
    asxi_figures_publish(own);
    uint32_t i = 0;
    for (asx_duration waited = 0; waited < REFRESH_MAX; waited += REFRESH_STEP) {
        while (i < engine->shard_count && seq_of(&engine->seats[i]) != before[i]) {
            i++;
        }
        if (i == engine->shard_count) {
            break;
        }
        ASX_TRY(asx_sleep(cx, REFRESH_STEP));
    }
    return asx_ok(0);
}

void asx_figures_read(const asx_engine *engine, uint32_t shard, asx_figures *figures)
{
    asx_assert_lt(shard, engine->shard_count);
    const asxi_seat *const seat = &engine->seats[shard];
    const uint64_t *const from = (const uint64_t *)(const void *)&seat->published;
    uint64_t *const to = (uint64_t *)(void *)figures;
    (void)seq_of(seat);
    for (size_t i = 0; i < FIGURE_WORDS; i++) {
        to[i] = asx_load_relaxed(&from[i]);
    }
}

/* Who is furthest from the end comes first. */
static unsigned phase_rank(uint64_t phase)
{
    static const unsigned ranks[ASX_DRAIN_PHASE_COUNT] = {
        [ASX_DRAIN_STALLED] = 0, [ASX_DRAIN_WARM_UP] = 1,   [ASX_DRAIN_SLOW_TAIL] = 2,
        [ASX_DRAIN_RAPID] = 3,   [ASX_DRAIN_QUIESCENT] = 4,
    };
    asx_assert_lt(phase, ASX_DRAIN_PHASE_COUNT);
    return ranks[phase];
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void asx_figures_drain(const asx_engine *engine, asx_drain_figures *sum)
{
    *sum = (asx_drain_figures){ .phase = ASX_DRAIN_QUIESCENT };
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        asx_figures figures;
        asx_figures_read(engine, i, &figures);
        const asx_drain_figures *const one = &figures.drain;
        if (!one->draining) {
            continue;
        }
        sum->draining = 1;
        sum->phase = phase_rank(one->phase) < phase_rank(sum->phase) ? one->phase : sum->phase;
        sum->potential += one->potential;
        sum->stalls += one->stalls;
        sum->tasks += one->tasks;
        sum->obligations += one->obligations;
        sum->operations += one->operations;
        sum->regions += one->regions;
        sum->left_ns = larger(sum->left_ns, one->left_ns);
        sum->worst_ppm = larger(sum->worst_ppm, one->worst_ppm);
        sum->likely_ppm = larger(sum->likely_ppm, one->likely_ppm);
    }
}

/* One family a row: a figure of each shard. */
typedef struct family {
    const char *name, *type, *help;
    size_t offset;
} family;

#define SHARD(field) offsetof(asx_figures, shard.field)
#define DRIVER(field) offsetof(asx_figures, driver.field)
#define HTTP(field) offsetof(asx_figures, http.field)
#define DRAIN(field) offsetof(asx_figures, drain.field)
#define DRAIN_LINES (ASX_DRAIN_PHASE_COUNT + 2)

static const family families[] = {
    { "turns_total", "counter", "Turns of the loop", SHARD(turns) },
    { "dispatches_total", "counter", "Task steps run", SHARD(dispatches) },
    { "tasks", "gauge", "Live tasks", SHARD(tasks_live) },
    { "tasks_spawned_total", "counter", "Tasks spawned", SHARD(spawned) },
    { "tasks_completed_total", "counter", "Tasks completed", SHARD(completed) },
    { "tasks_cancelled_total", "counter", "Tasks that ended cancelled", SHARD(cancelled) },
    { "tasks_panicked_total", "counter", "Tasks that ended in a panic", SHARD(panicked) },
    { "regions", "gauge", "Live regions", SHARD(regions_live) },
    { "regions_opened_total", "counter", "Regions opened", SHARD(regions_opened) },
    { "regions_closed_total", "counter", "Regions closed", SHARD(regions_closed) },
    { "admissions_refused_total", "counter",
      "Tasks, regions and obligations refused at a limit of their region's",
      SHARD(admissions_refused) },
    { "obligations", "gauge", "Obligations not resolved", SHARD(obligations_pending) },
    { "obligations_leaked_total", "counter", "Obligations leaked", SHARD(obligations_leaked) },
    { "operations", "gauge", "Operations in flight", SHARD(ops_in_flight) },
    { "operations_started_total", "counter", "Operations started", SHARD(ops_started) },
    { "timers", "gauge", "Timers armed", SHARD(timers_armed) },
    { "ready_queue", "gauge", "Tasks in the ready lane", SHARD(ready_queued) },
    { "cancel_queue", "gauge", "Tasks in the cancel lane", SHARD(cancel_queued) },
    { "timed_queue", "gauge", "Tasks in the timed lane", SHARD(timed_queued) },
    { "messages_sent_total", "counter", "Messages to other shards", SHARD(messages_sent) },
    { "messages_received_total", "counter", "Messages from others", SHARD(messages_received) },
    { "stalls_total", "counter", "Turns beyond the stall limit", SHARD(stalls) },
    { "deadline_warnings_total", "counter", "Tasks warned of close to their deadline",
      SHARD(deadline_warnings) },
    { "deadlines_missed_total", "counter", "Tasks past their deadline", SHARD(deadlines_missed) },
    { "futurelocks_total", "counter", "Tasks idle for long while holding an obligation",
      SHARD(futurelocks) },
    { "overruns_total", "counter", "Cleanup budgets overrun", SHARD(overruns) },
    { "tasks_abandoned_total", "counter", "Tasks given up because they would not end",
      SHARD(abandoned) },
    { "cancel_streaks_exceeded_total", "counter",
      "Dispatches of cancelled tasks beyond what others can be kept waiting for; 0 by design",
      SHARD(streak_exceeded) },
    { "wakes_stale_total", "counter", "Wake-ups for tasks that were over", SHARD(wakes_stale) },
    { "messages_stale_total", "counter", "Messages for what was over", SHARD(messages_stale) },
    { "heap_bytes", "gauge", "Bytes of region heaps in use", SHARD(heap_bytes_live) },
    { "chunk_bytes", "gauge", "Bytes held for region heaps", SHARD(chunk_bytes_held) },
    { "global_allocations_total", "counter", "Chunks asked of malloc", SHARD(global_allocs) },
    { "stacks", "gauge", "Fiber stacks in use", SHARD(stacks_live) },
    { "stacks_pooled", "gauge", "Fiber stacks kept for reuse", SHARD(stacks_pooled) },
    { "driver_completions_total", "counter", "Completions", DRIVER(completed) },
    { "driver_syscalls_total", "counter", "System calls of the driver", DRIVER(syscalls) },
    { "driver_buffers_starved_total", "counter", "Receives without a buffer", DRIVER(buf_starved) },
    { "driver_wakes_total", "counter", "Doorbells that arrived", DRIVER(wakes) },
    { "http_connections", "gauge", "Open connections", HTTP(connections_open) },
    { "http_connections_idle", "gauge", "Connections between requests", HTTP(connections_idle) },
    { "http_connections_total", "counter", "Connections accepted", HTTP(connections_accepted) },
    { "http_sources", "gauge", "Addresses with connections, where they are counted",
      offsetof(asx_figures, admit.sources) },
    { "http_requests_total", "counter", "Requests", HTTP(requests) },
    { "http_requests_in_flight", "gauge", "Requests being handled", HTTP(requests_in_flight) },
    { "http_shed_total", "counter", "Requests refused for load", HTTP(shed) },
    { "http_bytes_in_total", "counter", "Bytes received", HTTP(bytes_in) },
    { "http_bytes_out_total", "counter", "Bytes sent", HTTP(bytes_out) },
    { "http_parse_errors_total", "counter", "Requests refused by the parser", HTTP(parse_errors) },
    { "http_timeouts_total", "counter", "Connections ended by a timeout", HTTP(timeouts) },
    { "http_disconnects_total", "counter", "Clients that left in a request", HTTP(disconnects) },
    { "http_panics_total", "counter", "Handlers that panicked", HTTP(panics) },
    { "drain_potential", "gauge", "What a drain has left, weighed, in thousandths",
      DRAIN(potential) },
    { "drain_tasks", "gauge", "Tasks that a drain waits for", DRAIN(tasks) },
    { "drain_obligations", "gauge", "Obligations that a drain waits for", DRAIN(obligations) },
    { "drain_operations", "gauge", "Operations that a drain waits for", DRAIN(operations) },
    { "drain_stalls_total", "counter", "Times that a drain stopped getting on", DRAIN(stalls) },
    { "accept_failures_total", "counter", "Accepts without descriptor or memory",
      offsetof(asx_figures, accept_failures) },
    { "accept_dropped_total", "counter", "Connections dropped while accepting",
      offsetof(asx_figures, accept_dropped) },
    { "access_log_lines_total", "counter", "Access log lines", offsetof(asx_figures, log_lines) },
    { "access_log_dropped_total", "counter", "Access log lines dropped",
      offsetof(asx_figures, log_dropped) },
};

typedef struct text {
    char *buf;
    size_t len, cap;
} text;

/* The capacity is a bound on everything that is written, so nothing is ever cut. */
ASX_PRINTF(2, 3) static void put(text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int len = vsnprintf(t->buf + t->len, t->cap - t->len, fmt, args);
    va_end(args);
    asx_assert(len >= 0 && (size_t)len < t->cap - t->len);
    t->len += (size_t)len;
}

static void put_drain(text *t, const asx_figures *all, uint32_t count)
{
    put(t, "# HELP asx_drain_phase 1 for the phase that the shard's drain is in\n"
           "# TYPE asx_drain_phase gauge\n");
    for (uint32_t shard = 0; shard < count; shard++) {
        const asx_drain_figures *const drain = &all[shard].drain;
        for (unsigned phase = 0; phase < ASX_DRAIN_PHASE_COUNT; phase++) {
            put(t, "asx_drain_phase{shard=\"%u\",phase=\"%s\"} %d\n", shard,
                asx_drain_phase_name((asx_drain_phase)phase),
                drain->draining && drain->phase == phase);
        }
    }
    put(t, "# HELP asx_drain_overtime_ratio Chance of not ending in time, at most\n"
           "# TYPE asx_drain_overtime_ratio gauge\n");
    for (uint32_t shard = 0; shard < count; shard++) {
        const asx_drain_figures *const drain = &all[shard].drain;
        put(t, "asx_drain_overtime_ratio{shard=\"%u\",bound=\"worst\"} %.6f\n", shard,
            (double)drain->worst_ppm / 1e6);
        put(t, "asx_drain_overtime_ratio{shard=\"%u\",bound=\"likely\"} %.6f\n", shard,
            (double)drain->likely_ppm / 1e6);
    }
}

static void put_families(text *t, const asx_figures *all, uint32_t count)
{
    for (size_t i = 0; i < asx_array_count(families); i++) {
        const family *const f = &families[i];
        put(t, "# HELP asx_%s %s\n# TYPE asx_%s %s\n", f->name, f->help, f->name, f->type);
        for (uint32_t shard = 0; shard < count; shard++) {
            const char *const base = (const char *)&all[shard];
            uint64_t value;
            memcpy(&value, base + f->offset, sizeof(value));
            put(t, "asx_%s{shard=\"%u\"} %llu\n", f->name, shard, (unsigned long long)value);
        }
    }
}

static void put_responses(text *t, const asx_figures *all, uint32_t count)
{
    put(t, "# HELP asx_http_responses_total Responses by class of status\n"
           "# TYPE asx_http_responses_total counter\n");
    for (uint32_t shard = 0; shard < count; shard++) {
        for (unsigned class = 0; class < 6; class ++) {
            const char name[] = { class ? (char)('0' + class) : 'n', class ? 'x' : 'o',
                                  class ? 'x' : 'n', class ? '\0' : 'e', '\0' };
            put(t, "asx_http_responses_total{shard=\"%u\",class=\"%s\"} %llu\n", shard, name,
                (unsigned long long)all[shard].http.responses[class]);
        }
    }
}

static void put_refused(text *t, const asx_figures *all, uint32_t count)
{
    static const char name[] = "asx_http_connections_refused_total";
    put(t, "# HELP %s Connections answered with 503, by the limit they met\n# TYPE %s counter\n",
        name, name);
    for (uint32_t shard = 0; shard < count; shard++) {
        put(t, "%s{shard=\"%u\",cause=\"connections\"} %llu\n", name, shard,
            (unsigned long long)all[shard].http.connections_refused);
        for (unsigned i = ASX_ADMIT_OK + 1; i < ASX_ADMIT_VERDICT_COUNT; i++) {
            put(t, "%s{shard=\"%u\",cause=\"%s\"} %llu\n", name, shard,
                asx_admit_verdict_name((asx_admit_verdict)i),
                (unsigned long long)all[shard].admit.verdicts[i]);
        }
    }
}

static void put_latency(text *t, const asx_figures *all, uint32_t count)
{
    put(t, "# HELP asx_http_request_seconds Time from a request's head to its last byte\n"
           "# TYPE asx_http_request_seconds histogram\n");
    for (uint32_t shard = 0; shard < count; shard++) {
        const asx_http_stats *const http = &all[shard].http;
        uint64_t sum = 0;
        for (unsigned k = 0; k < ASX_HTTP_LATENCY_BUCKETS; k++) {
            char bound[32] = "+Inf";
            if (k + 1 < ASX_HTTP_LATENCY_BUCKETS) {
                snprintf(bound, sizeof(bound), "%.6f", 16e-6 * (double)(1u << k));
            }
            sum += http->latency_buckets[k];
            put(t, "asx_http_request_seconds_bucket{shard=\"%u\",le=\"%s\"} %llu\n", shard, bound,
                (unsigned long long)sum);
        }
        put(t, "asx_http_request_seconds_sum{shard=\"%u\"} %.9f\n", shard,
            (double)http->latency_ns_sum / (double)ASX_NS_PER_S);
        put(t, "asx_http_request_seconds_count{shard=\"%u\"} %llu\n", shard,
            (unsigned long long)sum);
    }
}

asx_err asx_figures_prometheus(asx_cx *cx, const asx_engine *engine, asx_view *out)
{
    const uint32_t count = engine->shard_count;
    const size_t lines = asx_array_count(families) + 6 + ASX_ADMIT_VERDICT_COUNT +
                         ASX_HTTP_LATENCY_BUCKETS + 2 + DRAIN_LINES;
    /* a head of at most 256 bytes a family, a line of at most 128 bytes a shard */
    text t = { .cap = lines * (256 + (size_t)count * 128) };
    asx_figures *const all = asx_alloc(cx, count * sizeof(*all));
    t.buf = asx_alloc(cx, t.cap);
    if (!all || !t.buf) {
        return ASX_E(NO_MEMORY);
    }
    for (uint32_t i = 0; i < count; i++) {
        asx_figures_read(engine, i, &all[i]);
    }
    put_families(&t, all, count);
    put_responses(&t, all, count);
    put_refused(&t, all, count);
    put_latency(&t, all, count);
    put_drain(&t, all, count);
    put(&t,
        "# HELP asx_uptime_seconds Since the engine's start\n# TYPE asx_uptime_seconds gauge\n"
        "asx_uptime_seconds %.3f\n",
        (double)asx_engine_uptime(engine, asx_now(cx)) / (double)ASX_NS_PER_S);
    *out = asx_view_of(t.buf, t.len);
    return ASX_OK;
}
