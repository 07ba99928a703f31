#include "admin.h"

#include <asx/proto/url.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/explain.h>
#include <asx/shard/inspect.h>

#include "admin_internal.h"
#include "serve_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NODES_DEFAULT 4096u
#define NODES_MAX 65536u
#define NODE_BYTES_MAX 640u /* one line of either form, at most */
#define EXPLAIN_LINES 64u
#define REPORT_STEP (1 * ASX_NS_PER_MS)
#define REPORT_MAX (1 * ASX_NS_PER_S)

void asxi_report_put(asxi_report *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int len = vsnprintf(r->buf + r->len, r->cap - r->len, fmt, args);
    va_end(args);
    if (len > 0) {
        r->len += (size_t)len < r->cap - r->len ? (size_t)len : r->cap - r->len - 1;
    }
}

static double seconds(asx_duration ns)
{
    return (double)ns / (double)ASX_NS_PER_S;
}

static const char *outcome_name(const asx_inspect_node *node)
{
    return asx_severity_name((asx_severity)node->outcome.severity);
}

static void put_text(asxi_report *r, const asx_inspect_node *n)
{
    char handle[ASX_HANDLE_TEXT_LEN];
    asxi_report_put(r, "%*s%s %s %.40s %s %s age %.3f s", (int)(n->depth < 32 ? 2 * n->depth : 64),
                    "", asx_inspect_kind_name(n->kind),
                    asx_handle_text(n->handle, handle, sizeof(handle)),
                    n->label[0] ? n->label : "-", n->state, n->form, seconds(n->age_ns));
    if (n->outcome.severity != ASX_SEVERITY_OK) {
        asxi_report_put(r, " so far %s", outcome_name(n));
    }
    if (n->kind == ASX_INSPECT_REGION) {
        asxi_report_put(r, " tasks %u children %u heap %llu", n->tasks, n->children,
                        (unsigned long long)n->heap_bytes);
    }
    if (n->obligations > 0) {
        asxi_report_put(r, " obligations %u", n->obligations);
    }
    if (n->ops > 0) {
        asxi_report_put(r, " operations %u", n->ops);
    }
    if (n->reason) {
        asxi_report_put(r, " cancelled by %s %.40s",
                        asx_cancel_kind_name((asx_cancel_kind)n->reason->kind), n->reason->message);
    }
    if (n->waits_for) {
        asxi_report_put(r, " waits for %.60s since %.3f s", n->waits_for, seconds(n->waits_ns));
    } else if (n->lane) {
        asxi_report_put(r, " runnable in lane %s", n->lane);
    }
    if (n->futurelocked) {
        asxi_report_put(r, " FUTURELOCK");
    }
    asxi_report_put(r, "\n");
}

/* Labels are the program's own strings, reason messages too: what a JSON string cannot hold as it
 * stands is replaced. */
static const char *plain(const char *text, char *buf, size_t cap)
{
    size_t len = 0;
    for (; text && text[len] != '\0' && len + 1 < cap; len++) {
        const unsigned char c = (unsigned char)text[len];
        buf[len] = c < 0x20 || c >= 0x7F || c == '"' || c == '\\' ? '?' : (char)c;
    }
    buf[len] = '\0';
    return buf;
}

static void put_json(asxi_report *r, const asx_inspect_node *n)
{
    char handle[ASX_HANDLE_TEXT_LEN], text[64];
    asxi_report_put(
        r,
        "%s{\"kind\":\"%s\",\"depth\":%u,\"id\":\"%s\",\"label\":\"%s\",\"state\":\"%s\","
        "\"form\":\"%s\",\"age_ns\":%llu,\"outcome\":\"%s\",\"obligations\":%u,\"operations\":%u",
        r->nodes_written ? ",\n" : "", asx_inspect_kind_name(n->kind), n->depth,
        asx_handle_text(n->handle, handle, sizeof(handle)), plain(n->label, text, sizeof(text)),
        n->state, n->form, (unsigned long long)n->age_ns, outcome_name(n), n->obligations, n->ops);
    if (n->kind == ASX_INSPECT_REGION) {
        asxi_report_put(r, ",\"tasks\":%u,\"children\":%u,\"heap_bytes\":%llu", n->tasks,
                        n->children, (unsigned long long)n->heap_bytes);
    }
    if (n->reason) {
        asxi_report_put(r, ",\"cancel\":\"%s\",\"message\":\"%s\"",
                        asx_cancel_kind_name((asx_cancel_kind)n->reason->kind),
                        plain(n->reason->message, text, sizeof(text)));
    }
    if (n->waits_for) {
        asxi_report_put(r, ",\"waits_for\":\"%s\",\"waits_ns\":%llu",
                        plain(n->waits_for, text, sizeof(text)), (unsigned long long)n->waits_ns);
    }
    if (n->lane) {
        asxi_report_put(r, ",\"lane\":\"%s\"", n->lane);
    }
    if (n->futurelocked) {
        asxi_report_put(r, ",\"futurelock\":true");
    }
    asxi_report_put(r, "}");
}

static void visit(void *arg, const asx_inspect_node *node)
{
    asxi_report *const r = arg;
    if (r->form == ASXI_REPORT_JSON) {
        put_json(r, node);
    } else {
        put_text(r, node);
    }
    r->nodes_written++;
}

void asxi_report_line(void *arg, const char *line)
{
    asxi_report_put(arg, "%s\n", line);
}

static void write_nodes(asxi_seat *seat, asxi_report *r)
{
    r->nodes_alive = asx_inspect(seat->shard, r->nodes_max, visit, r);
}

static void write_why(asxi_seat *seat, asxi_report *r)
{
    r->err = asx_explain(seat->shard, r->about, (uint32_t)r->nodes_max, asxi_report_line, r);
}

static void answer(asxi_seat *seat, asxi_report *r)
{
    r->write(seat, r);
    /* Pairs with the acquire in asxi_report_ask(): the text is there. */
    asx_store_release(&r->done, 1u);
}

void asxi_report_answer(asxi_seat *seat)
{
    /* Pairs with the release in asxi_report_ask(); who takes the pointer out owns the report. */
    asxi_report *const r = __atomic_exchange_n(&seat->report, NULL, __ATOMIC_ACQ_REL);
    if (r) {
        answer(seat, r);
    }
}

static bool report_swap(asxi_seat *seat, asxi_report *from, asxi_report *to)
{
    /* Releases the question to whoever takes it in asxi_report_answer. */
    return __atomic_compare_exchange_n(&seat->report, &from, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

bool asxi_report_ask(asx_cx *cx, asxi_seat *seat, asxi_report *r)
{
    asx_duration waited = 0;
    if (asx_cx_shard_index(cx) == seat->index) {
        answer(seat, r);
        return true;
    }
    /* Another request's question may stand there: it is answered first. */
    while (!report_swap(seat, NULL, r)) {
        if (waited >= REPORT_MAX || !asx_is_ok(asx_sleep(cx, REPORT_STEP))) {
            return false;
        }
        waited += REPORT_STEP;
    }
    asxi_seat_ring(seat);
    while (!asx_load_acquire(&r->done)) {
        const asx_outcome slept = asx_sleep(cx, REPORT_STEP);
        waited += REPORT_STEP;
        if ((asx_is_ok(slept) && waited < REPORT_MAX) || asx_load_acquire(&r->done)) {
            continue;
        }
        if (report_swap(seat, r, NULL)) {
            return false;
        }
        /* Taken: it is being written right now, by a thread that does nothing else. */
        asx_cpu_relax();
    }
    return true;
}

/* "name=123" of the query. */
static uint64_t query_number(const asx_http_exchange *x, const char *name, uint64_t otherwise)
{
    asx_view rest = asx_http_query(x), key, value;
    uint64_t number;
    while (asx_url_query_next(&rest, &key, &value)) {
        if (asx_view_eq(key, asx_view_str(name)) && asx_header_parse_u63(value, &number)) {
            return number;
        }
    }
    return otherwise;
}

bool asxi_admin_wants_json(const asx_http_exchange *x)
{
    asx_view rest = asx_http_query(x), key, value;
    while (asx_url_query_next(&rest, &key, &value)) {
        if (asx_view_eq(key, asx_view_str("format"))) {
            return asx_view_eq(value, asx_view_str("json"));
        }
    }
    return false;
}

static asx_outcome write_shard(asx_cx *cx, asx_http_exchange *x, asxi_seat *seat, asxi_report *r,
                               bool first)
{
    char line[160];
    const bool answered = asxi_report_ask(cx, seat, r);
    const bool json = r->form == ASXI_REPORT_JSON;
    int len;
    if (json) {
        len = snprintf(line, sizeof(line),
                       "%s{\"shard\":%u,\"answered\":%s,\"alive\":%llu,"
                       "\"nodes\":[\n",
                       first ? "" : ",", seat->index, answered ? "true" : "false",
                       (unsigned long long)r->nodes_alive);
    } else {
        len = snprintf(line, sizeof(line), "shard %u on core %u: %s%llu regions and tasks\n",
                       seat->index, seat->core, answered ? "" : "does not answer; ",
                       (unsigned long long)r->nodes_alive);
    }
    ASX_TRY(asx_http_write(cx, x, asx_view_of(line, (size_t)len)));
    if (answered && r->len > 0) {
        ASX_TRY(asx_http_write(cx, x, asx_view_of(r->buf, r->len)));
    }
    if (json) {
        return asx_http_write(cx, x, asx_view_str("\n]}"));
    }
    if (answered && r->nodes_written < r->nodes_alive) {
        len = snprintf(line, sizeof(line), "... and %llu more; ?limit=N shows N of each shard\n",
                       (unsigned long long)(r->nodes_alive - r->nodes_written));
        return asx_http_write(cx, x, asx_view_of(line, (size_t)len));
    }
    return asx_ok(0);
}

static asx_outcome regions(asx_cx *cx, asx_http_exchange *x)
{
    asx_engine *const engine = asx_service_engine(x);
    const bool json = asxi_admin_wants_json(x);
    const uint64_t only = query_number(x, "shard", UINT64_MAX);
    uint64_t limit = query_number(x, "limit", NODES_DEFAULT);
    limit = limit < 1 ? 1 : limit > NODES_MAX ? NODES_MAX : limit;
    const size_t cap = (size_t)limit * NODE_BYTES_MAX;
    char *const buf = asx_alloc(cx, cap);
    if (!buf) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    ASX_TRY(asx_http_begin(cx, x, 200, json ? "application/json" : "text/plain; charset=utf-8",
                           ASX_HTTP_CHUNKED));
    if (json) {
        ASX_TRY(asx_http_write(cx, x, asx_view_str("[")));
    }
    bool first = true;
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        if (only != UINT64_MAX && only != i) {
            continue;
        }
        asxi_report report = { .write = write_nodes,
                               .form = json ? ASXI_REPORT_JSON : ASXI_REPORT_TEXT,
                               .nodes_max = limit,
                               .buf = buf,
                               .cap = cap };
        ASX_TRY(write_shard(cx, x, &engine->seats[i], &report, first));
        first = false;
    }
    if (json) {
        ASX_TRY(asx_http_write(cx, x, asx_view_str("]\n")));
    }
    return asx_http_end(cx, x);
}

/* What is over has no name any more, and what never was cannot be told from it. */
static asx_outcome explain(asx_cx *cx, asx_http_exchange *x)
{
    asx_engine *const engine = asx_service_engine(x);
    const asx_view id = asx_route_param(x, "id");
    const size_t cap = EXPLAIN_LINES * (ASX_EXPLAIN_LINE_MAX + 1);
    char *const buf = asx_alloc(cx, cap);
    if (!buf) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    asxi_report report = { .write = write_why, .nodes_max = EXPLAIN_LINES, .buf = buf, .cap = cap };
    if (asx_handle_parse(id.ptr, id.len, &report.about) ||
        (report.about.kind != ASX_HANDLE_TASK && report.about.kind != ASX_HANDLE_REGION)) {
        return asx_http_reply(cx, x, 400, "text/plain; charset=utf-8",
                              asx_view_str("a task such as T0.12.3 or a region such as R1.4.1 is "
                                           "wanted; /debug/regions has them\n"));
    }
    const uint32_t shard = report.about.shard;
    if (shard >= engine->shard_count) {
        return asx_http_reply(cx, x, 404, "text/plain; charset=utf-8",
                              asx_view_str("there is no such shard\n"));
    }
    if (!asxi_report_ask(cx, &engine->seats[shard], &report)) {
        return asx_http_reply(cx, x, 503, "text/plain; charset=utf-8",
                              asx_view_str("its shard does not answer\n"));
    }
    if (report.err) {
        return asx_http_reply(cx, x, 404, "text/plain; charset=utf-8",
                              asx_view_str("it is over, or never was\n"));
    }
    return asx_http_reply(cx, x, 200, "text/plain; charset=utf-8",
                          asx_view_of(report.buf, report.len));
}

static asx_outcome metrics(asx_cx *cx, asx_http_exchange *x)
{
    asx_engine *const engine = asx_service_engine(x);
    asx_view text;
    ASX_TRY(asx_figures_refresh(cx, engine));
    const asx_err err = asx_figures_prometheus(cx, engine, &text);
    return err ? asx_fail(err)
               : asx_http_reply(cx, x, 200, "text/plain; version=0.0.4; charset=utf-8", text);
}

static asx_outcome healthz(asx_cx *cx, asx_http_exchange *x)
{
    const asx_engine_phase phase = asx_engine_phase_of(asx_service_engine(x));
    const char *const name = asx_engine_phase_name(phase);
    return asx_http_reply(cx, x, phase == ASX_ENGINE_RUNNING ? 200 : 503,
                          "text/plain; charset=utf-8", asx_view_str(name));
}

static const asx_route routes[] = {
    { ASX_HTTP_GET, "/debug/regions", regions, NULL },
    { ASX_HTTP_GET, "/explain/:id", explain, NULL },
    { ASX_HTTP_GET, "/drain", asxi_admin_drain, NULL },
    { ASX_HTTP_GET, "/timers", asxi_admin_timers, NULL },
    { ASX_HTTP_GET, "/cleanup", asxi_admin_cleanup, NULL },
    { ASX_HTTP_GET, "/deadlocks", asxi_admin_deadlocks, NULL },
    { ASX_HTTP_GET, "/config", asxi_admin_config, NULL },
    { ASX_HTTP_GET, "/live", asxi_admin_live, NULL },
    { ASX_HTTP_GET, "/ready", healthz, NULL },
    { ASX_HTTP_GET, "/metrics", metrics, NULL },
    { ASX_HTTP_GET, "/healthz", healthz, NULL },
};

asx_outcome asxi_admin_body(asx_cx *cx, void *arg)
{
    asxi_seat *const seat = *(asxi_seat **)arg;
    const asx_service service = { .routes = routes, .route_count = asx_array_count(routes) };
    const int32_t fd = seat->engine->admin_fd;
    seat->engine->admin_fd = -1;
    return asxi_serve_on(cx, seat, &service, &fd, 1, true);
}
