/* What the admin listener says of every shard: its drain, its timers, what cleaning up took. */
#include <asx/shard/base/assert.h>
#include <asx/shard/cleanup.h>
#include <asx/shard/drain.h>
#include <asx/shard/inspect.h>
#include <asx/shard/sync/deadlock.h>

#include "admin_internal.h"
#include "serve_internal.h"

#include <stdio.h>
#include <string.h>

#define TEXT "text/plain; charset=utf-8"
#define ANSWER_BYTES_MAX 16384u /* of one shard */
#define CONFIG_BYTES_MAX 65536u /* paths and addresses at their longest, twice */
#define DEADLOCK_LINES 50u
#define TIMERS_TOLD 32u
#define NODES_LOOKED_AT 65536u
#define SILENT_MAX (1 * ASX_NS_PER_S)

static double seconds(asx_duration ns)
{
    return (double)ns / (double)ASX_NS_PER_S;
}

#define DRAIN_LINE_MAX 400u

static int drain_json(char *buf, size_t cap, uint32_t shard, const asx_drain_figures *f, bool first)
{
    char left[32] = "null";
    if (f->left_ns != UINT64_MAX) {
        snprintf(left, sizeof(left), "%.3f", seconds(f->left_ns));
    }
    return snprintf(buf, cap,
                    "%s{\"shard\":%u,\"phase\":\"%s\",\"potential\":%.3f,\"stalls\":%llu,"
                    "\"tasks\":%llu,\"obligations\":%llu,\"operations\":%llu,\"regions\":%llu,"
                    "\"left_s\":%s,\"overtime_worst\":%.6f,\"overtime_likely\":%.6f}",
                    first ? "" : ",\n", shard, asx_drain_phase_name((asx_drain_phase)f->phase),
                    (double)f->potential / 1e3, (unsigned long long)f->stalls,
                    (unsigned long long)f->tasks, (unsigned long long)f->obligations,
                    (unsigned long long)f->operations, (unsigned long long)f->regions, left,
                    (double)f->worst_ppm / 1e6, (double)f->likely_ppm / 1e6);
}

static int drain_text(char *buf, size_t cap, uint32_t shard, const asx_drain_figures *f)
{
    char left[48] = "no end in sight";
    if (f->left_ns != UINT64_MAX) {
        snprintf(left, sizeof(left), "over in about %.1f s", seconds(f->left_ns));
    }
    return snprintf(buf, cap,
                    "shard %u: %s, potential %.3f: %llu tasks, %llu obligations and %llu "
                    "operations in %llu regions; %s; too late in at most %.1f %% of cases (%.1f %% "
                    "at worst)\n",
                    shard, asx_drain_phase_name((asx_drain_phase)f->phase),
                    (double)f->potential / 1e3, (unsigned long long)f->tasks,
                    (unsigned long long)f->obligations, (unsigned long long)f->operations,
                    (unsigned long long)f->regions, left, (double)f->likely_ppm / 1e4,
                    (double)f->worst_ppm / 1e4);
}

/* How far the drain is, shard by shard. */
asx_outcome asxi_admin_drain(asx_cx *cx, asx_http_exchange *x)
{
    asx_engine *const engine = asx_service_engine(x);
    const bool json = asxi_admin_wants_json(x);
    const size_t cap = 64 + (size_t)engine->shard_count * DRAIN_LINE_MAX;
    char *const buf = asx_alloc(cx, cap);
    if (!buf) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    ASX_TRY(asx_figures_refresh(cx, engine));
    const char *const phase = asx_engine_phase_name(asx_engine_phase_of(engine));
    int len = json ? snprintf(buf, cap, "{\"phase\":\"%s\",\"shards\":[", phase)
                   : snprintf(buf, cap, "%s\n", phase);
    bool first = true;
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        asx_figures figures;
        asx_figures_read(engine, i, &figures);
        char *const at = buf + len;
        const size_t room = cap - (size_t)len;
        if (figures.drain.draining) {
            len += json ? drain_json(at, room, i, &figures.drain, first)
                        : drain_text(at, room, i, &figures.drain);
            first = false;
        }
    }
    len += snprintf(buf + len, cap - (size_t)len, "%s", json ? "]}\n" : "");
    return asx_http_reply(cx, x, 200, json ? "application/json" : "text/plain; charset=utf-8",
                          asx_view_of(buf, (size_t)len));
}

/* Shard by shard, what `write` has to say. */
static asx_outcome told_by_all(asx_cx *cx, asx_http_exchange *x,
                               void (*write)(asxi_seat *seat, asxi_report *report))
{
    asx_engine *const engine = asx_service_engine(x);
    char *const buf = asx_alloc(cx, ANSWER_BYTES_MAX);
    if (!buf) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    ASX_TRY(asx_http_begin(cx, x, 200, TEXT, ASX_HTTP_CHUNKED));
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        char head[64];
        asxi_report report = { .write = write, .buf = buf, .cap = ANSWER_BYTES_MAX };
        const bool answered = asxi_report_ask(cx, &engine->seats[i], &report);
        const int len =
            snprintf(head, sizeof(head), "shard %u:%s", i, answered ? " " : " does not answer\n");
        ASX_TRY(asx_http_write(cx, x, asx_view_of(head, (size_t)len)));
        if (answered) {
            ASX_TRY(asx_http_write(cx, x, asx_view_of(buf, report.len)));
        }
    }
    return asx_http_end(cx, x);
}

/* The soonest of the timers seen, in order. */
typedef struct soonest {
    uint32_t count;
    struct {
        asx_duration due_ns;
        asx_handle task;
        char label[40], what[40];
    } timers[TIMERS_TOLD];
} soonest;

static void note_timer(void *arg, const asx_inspect_node *node)
{
    soonest *const self = arg;
    uint32_t at = self->count;
    if (node->kind != ASX_INSPECT_TASK || node->due_ns == ASX_TIME_NEVER) {
        return;
    }
    while (at > 0 && self->timers[at - 1].due_ns > node->due_ns) {
        at--;
    }
    if (at == TIMERS_TOLD) {
        return;
    }
    self->count += self->count < TIMERS_TOLD;
    memmove(&self->timers[at + 1], &self->timers[at],
            (self->count - at - 1) * sizeof(self->timers[0]));
    self->timers[at].due_ns = node->due_ns;
    self->timers[at].task = node->handle;
    snprintf(self->timers[at].label, sizeof(self->timers[at].label), "%s", node->label);
    snprintf(self->timers[at].what, sizeof(self->timers[at].what), "%s",
             node->waits_for ? node->waits_for : "its next step");
}

static void write_timers(asxi_seat *seat, asxi_report *r)
{
    soonest found = { .count = 0 };
    asx_shard_stats stats;
    char handle[ASX_HANDLE_TEXT_LEN];
    const asx_instant next_ns = asx_shard_next_due(seat->shard);
    const asx_instant now_ns = asx_shard_now(seat->shard);
    asx_shard_stats_read(seat->shard, &stats);
    asxi_report_put(r, "%llu timers armed", (unsigned long long)stats.timers_armed);
    if (next_ns != ASX_TIME_NEVER) {
        asxi_report_put(r, ", the next looked at in %.3f s",
                        seconds(asx_time_sub(next_ns, now_ns)));
    }
    asxi_report_put(r, "\n");
    (void)asx_inspect(seat->shard, NODES_LOOKED_AT, note_timer, &found);
    for (uint32_t i = 0; i < found.count; i++) {
        asxi_report_put(r, "  in %.3f s: task %s %s, for %s\n", seconds(found.timers[i].due_ns),
                        asx_handle_text(found.timers[i].task, handle, sizeof(handle)),
                        found.timers[i].label[0] ? found.timers[i].label : "-",
                        found.timers[i].what);
    }
}

asx_outcome asxi_admin_timers(asx_cx *cx, asx_http_exchange *x)
{
    return told_by_all(cx, x, write_timers);
}

static void put_cleanup(void *arg, const asx_cleanup *cleanup)
{
    asxi_report_put(arg,
                    "  %s: %llu cancelled; one masked up to %u observations, took up to %u polls "
                    "from one to the next, and had %u left or more; %llu suffice, %llu overran\n",
                    cleanup->label, (unsigned long long)cleanup->tasks, cleanup->masked_max,
                    cleanup->gap_max, cleanup->left_min,
                    (unsigned long long)asx_cleanup_sufficient(cleanup),
                    (unsigned long long)cleanup->overruns);
}

static void write_cleanup(asxi_seat *seat, asxi_report *r)
{
    asxi_report_put(r, "what cancelled tasks needed to end\n");
    asx_cleanup_each(seat->shard, put_cleanup, r);
}

asx_outcome asxi_admin_cleanup(asx_cx *cx, asx_http_exchange *x)
{
    return told_by_all(cx, x, write_cleanup);
}

static void write_deadlocks(asxi_seat *seat, asxi_report *r)
{
    asx_deadlocks found;
    const size_t begin = r->len;
    asxi_report_put(r, "circles of tasks that wait for one another\n");
    const asx_err err = asx_deadlock_look(seat->shard, DEADLOCK_LINES, asxi_report_line, r, &found);
    if (err) {
        r->len = begin;
        asxi_report_put(r, "no memory to look\n");
    } else {
        asxi_report_put(r, "  %u trapped, %u at risk, of %u tasks that wait for others\n",
                        found.trapped, found.risks, found.waiting);
    }
}

asx_outcome asxi_admin_deadlocks(asx_cx *cx, asx_http_exchange *x)
{
    return told_by_all(cx, x, write_deadlocks);
}

/* 200 while every shard turns; else those that do not are named. */
asx_outcome asxi_admin_live(asx_cx *cx, asx_http_exchange *x)
{
    asx_engine *const engine = asx_service_engine(x);
    char text[32 * ASX_SHARD_COUNT_MAX] = "live\n";
    size_t len = 0;
    ASX_TRY(asx_figures_refresh(cx, engine));
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        asx_figures figures;
        asx_figures_read(engine, i, &figures);
        const bool is_over = asx_load_acquire(&engine->seats[i].over);
        if (!is_over && asx_time_sub(asx_now(cx), figures.published_at_ns) > SILENT_MAX) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "shard %u does not turn\n", i);
        }
    }
    return asx_http_reply(cx, x, len > 0 ? 503 : 200, TEXT, asx_view_str(text));
}

/* The settings as they are, as --effective prints them. */
asx_outcome asxi_admin_config(asx_cx *cx, asx_http_exchange *x)
{
    char *const buf = asx_alloc(cx, CONFIG_BYTES_MAX);
    FILE *const out = buf ? fmemopen(buf, CONFIG_BYTES_MAX, "w") : NULL;
    if (!out) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    asx_config_show(out, asxi_seat_of(asx_service_engine(x), cx)->config);
    const long len = ftell(out);
    if (fclose(out) != 0 || len <= 0) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    return asx_http_reply(cx, x, 200, TEXT, asx_view_of(buf, (size_t)len));
}
