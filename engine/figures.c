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

static void words_publish(void *to, const void *from, size_t count)
{
    const uint64_t *const source = from;
    uint64_t *const target = to;
    for (size_t i = 0; i < count; i++) {
        asx_store_relaxed(&target[i], source[i]);
    }
}

static void words_read(void *to, const void *from, size_t count)
{
    const uint64_t *const source = from;
    uint64_t *const target = to;
    for (size_t i = 0; i < count; i++) {
        target[i] = asx_load_relaxed(&source[i]);
    }
}

/* A service that is over has no more to say: what it said last stays. */
static void latencies_publish(asxi_seat *seat)
{
    asx_latencies sum;
    asx_latencies *const to = &seat->engine->latencies[seat->index];
    if (!seat->engine->latencies || asx_list_empty(&seat->services)) {
        return;
    }
    asx_latencies_init(&sum);
    asxi_services_latencies(seat, &sum);
    words_publish(&to->routes, &sum.routes, sizeof(sum.routes) / (sizeof(uint64_t)));
    asx_store_release(&to->count, sum.count); /* labels stay: who sees the count has them whole */
}

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
    words_publish(&seat->published, &figures, FIGURE_WORDS);
    latencies_publish(seat);
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
        while (i < engine->shard_count && (seq_of(&engine->seats[i]) != before[i] ||
                                           asx_load_acquire(&engine->seats[i].over))) {
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
    (void)seq_of(seat);
    words_read(figures, &seat->published, FIGURE_WORDS);
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
    { "parks_total", "counter", "Turns behind which nothing was runnable", SHARD(parks) },
    { "slices_spent_total", "counter", "Turns that ended because their time was up",
      SHARD(slices_spent) },
    { "cancel_streak_max", "gauge",
      "Most dispatches of cancelled tasks in a row while others waited",
      SHARD(cancel_streak_most) },
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
    { "chunk_bytes", "gauge", "Bytes held for region heaps, in use or kept for reuse",
      SHARD(chunk_bytes_held) },
    { "global_allocations_total", "counter", "Chunks asked of malloc", SHARD(global_allocs) },
    { "stacks", "gauge", "Fiber stacks in use", SHARD(stacks_live) },
    { "stacks_pooled", "gauge", "Fiber stacks kept for reuse", SHARD(stacks_pooled) },
    { "quiet_steps_total", "counter", "Looks at what is kept for reuse, to give some of it back",
      SHARD(quiet_steps) },
    { "driver_completions_total", "counter", "Completions", DRIVER(completed) },
    { "driver_syscalls_total", "counter", "System calls of the driver", DRIVER(syscalls) },
    { "driver_buffers_starved_total", "counter", "Receives without a buffer", DRIVER(buf_starved) },
    { "driver_wakes_total", "counter", "Doorbells that arrived", DRIVER(wakes) },
    { "http_connections", "gauge", "Open connections", HTTP(connections_open) },
    { "http_connections_idle", "gauge", "Connections between requests", HTTP(connections_idle) },
    { "http_connections_total", "counter", "Connections accepted", HTTP(connections_accepted) },
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

typedef struct histogram {
    const uint64_t *buckets;
    uint64_t first_ns; /* upper bound of the first, each next one 2^shift times as much */
    unsigned count, shift;
    uint64_t ns_sum;
} histogram;

/* labels  without braces, each with a comma behind it */
static void put_histogram(text *t, const char *name, const char *labels, const histogram *h)
{
    uint64_t sum = 0;
    for (unsigned k = 0; k < h->count; k++) {
        char bound[32] = "+Inf";
        if (k + 1 < h->count) {
            snprintf(bound, sizeof(bound), "%.9g",
                     (double)(h->first_ns << (k * h->shift)) / (double)ASX_NS_PER_S);
        }
        sum += h->buckets[k];
        put(t, "%s_bucket{%sle=\"%s\"} %llu\n", name, labels, bound, (unsigned long long)sum);
    }
    const int len = (int)strlen(labels) - 1;
    put(t, "%s_sum{%.*s} %.9f\n", name, len, labels, (double)h->ns_sum / (double)ASX_NS_PER_S);
    put(t, "%s_count{%.*s} %llu\n", name, len, labels, (unsigned long long)sum);
}

static histogram histogram_of(const asx_http_latency *latency)
{
    return (histogram){ .buckets = latency->buckets,
                        .first_ns = ASX_HTTP_LATENCY_FIRST_NS,
                        .count = ASX_HTTP_LATENCY_BUCKETS,
                        .shift = 1,
                        .ns_sum = latency->ns_sum };
}

static void put_steps(text *t, const asx_figures *all, uint32_t count)
{
    put(t, "# HELP asx_step_seconds Time of a task's step, from one wait to the next; sampled\n"
           "# TYPE asx_step_seconds histogram\n");
    for (uint32_t shard = 0; shard < count; shard++) {
        const histogram h = { .buckets = all[shard].shard.step_buckets,
                              .first_ns = ASX_SHARD_STEP_FIRST_NS,
                              .count = ASX_SHARD_STEP_BUCKETS,
                              .shift = 2,
                              .ns_sum = all[shard].shard.step_ns_sum };
        char labels[32];
        snprintf(labels, sizeof(labels), "shard=\"%u\",", shard);
        put_histogram(t, "asx_step_seconds", labels, &h);
    }
}

static void put_latency(text *t, const asx_figures *all, uint32_t count)
{
    put(t, "# HELP asx_http_request_seconds Time from a request's head until its answer is sent\n"
           "# TYPE asx_http_request_seconds histogram\n");
    for (uint32_t shard = 0; shard < count; shard++) {
        char labels[32];
        snprintf(labels, sizeof(labels), "shard=\"%u\",", shard);
        const histogram h = histogram_of(&all[shard].http.latency);
        put_histogram(t, "asx_http_request_seconds", labels, &h);
    }
}

/* Of all shards together: a histogram a route and shard would be too many lines. */
static void put_routes(text *t, const asx_latencies *sum)
{
    put(t, "# HELP asx_http_route_seconds The same by the route's pattern\n"
           "# TYPE asx_http_route_seconds histogram\n");
    for (uint64_t i = 0; i < sum->count; i++) {
        char labels[ASX_LATENCY_LABEL_BYTES + 16];
        snprintf(labels, sizeof(labels), "route=\"%s\",", sum->routes[i].label);
        const histogram h = histogram_of(&sum->routes[i].latency);
        put_histogram(t, "asx_http_route_seconds", labels, &h);
    }
}

static void latencies_read(const asx_engine *engine, asx_latencies *part, asx_latencies *sum)
{
    asx_latencies_init(sum);
    for (uint32_t i = 0; engine->latencies && i < engine->shard_count; i++) {
        const asx_latencies *const from = &engine->latencies[i];
        part->count = asx_load_acquire(&from->count);
        words_read(&part->routes, &from->routes, sizeof(part->routes) / (sizeof(uint64_t)));
        asx_latencies_add(sum, part);
    }
}

asx_err asx_figures_prometheus(asx_cx *cx, const asx_engine *engine, asx_view *out)
{
    const uint32_t count = engine->shard_count;
    const size_t lines = asx_array_count(families) + 7 + ASX_ADMIT_VERDICT_COUNT +
                         ASX_HTTP_LATENCY_BUCKETS + 2 + ASX_SHARD_STEP_BUCKETS + 2 + DRAIN_LINES;
    const size_t route_lines = (ASX_HTTP_LATENCY_BUCKETS + 2) * (size_t)ASX_LATENCY_ROUTES_MAX + 2;
    /* a head of at most 256 bytes a family, a line of at most 128 bytes a shard, 160 a route */
    text t = { .cap = lines * (256 + (size_t)count * 128) + route_lines * 160 };
    asx_latencies *const latencies = asx_alloc(cx, 2 * sizeof(*latencies));
    asx_figures *const all = asx_alloc(cx, count * sizeof(*all));
    t.buf = asx_alloc(cx, t.cap);
    if (!all || !t.buf || !latencies) {
        return ASX_E(NO_MEMORY);
    }
    for (uint32_t i = 0; i < count; i++) {
        asx_figures_read(engine, i, &all[i]);
    }
    put_families(&t, all, count);
    put_responses(&t, all, count);
    put_refused(&t, all, count);
    put_steps(&t, all, count);
    put_latency(&t, all, count);
    latencies_read(engine, &latencies[0], &latencies[1]);
    put_routes(&t, &latencies[1]);
    put_drain(&t, all, count);
    put(&t,
        "# HELP asx_http_sources Addresses with connections, where they are counted\n"
        "# TYPE asx_http_sources gauge\nasx_http_sources %u\n",
        asx_sources_count(engine->sources));
    put(&t,
        "# HELP asx_uptime_seconds Since the engine's start\n# TYPE asx_uptime_seconds gauge\n"
        "asx_uptime_seconds %.3f\n",
        (double)asx_engine_uptime(engine, asx_now(cx)) / (double)ASX_NS_PER_S);
    *out = asx_view_of(t.buf, t.len);
    return ASX_OK;
}
