/* A request: from a whole head to the region's end.
 *
 * The handler runs in a fiber in a region of its own. When it has answered without ever waiting,
 * and the next pipelined head is here, the same fiber goes on with it, renewed (asx_task_renew):
 * for the handler a fresh region and task, without the price of making them.
 *
 * exchange_begin sets `handling`, request_over clears it; the region outlives the exchange. */
#include <asx/shard/base/assert.h>

#include "http_internal.h"

#include <string.h>

static void rebase(asx_view *view, const char *from, size_t len, const char *to)
{
    if (view->len > 0 && view->ptr >= from && view->ptr < from + len) {
        view->ptr = to + (view->ptr - from);
    }
}

/* Where a body follows, the input moves on under the head: it goes into the request's region. */
static const asx_http1_head *head_copy(asx_region *region, const asx_http1_head *head,
                                       const char *bytes)
{
    const size_t fields_size = head->field_count * sizeof(asx_header_field);
    asx_http1_head *const kept =
        asx_region_alloc(region, sizeof(*kept) + fields_size + head->head_len);
    if (!kept) {
        return NULL;
    }
    *kept = *head;
    kept->fields = (asx_header_field *)(void *)(kept + 1);
    char *const copy = (char *)(kept + 1) + fields_size;
    memcpy(copy, bytes, head->head_len);
    for (uint32_t i = 0; i < head->field_count; i++) {
        kept->fields[i] = head->fields[i];
        rebase(&kept->fields[i].name, bytes, head->head_len, copy);
        rebase(&kept->fields[i].value, bytes, head->head_len, copy);
    }
    rebase(&kept->method_name, bytes, head->head_len, copy);
    rebase(&kept->target, bytes, head->head_len, copy);
    rebase(&kept->path, bytes, head->head_len, copy);
    rebase(&kept->host, bytes, head->head_len, copy);
    rebase(&kept->upgrade, bytes, head->head_len, copy);
    return kept;
}

static bool exchange_begin(asxi_http_conn *conn)
{
    asx_http_server *const server = conn->server;
    asxi_http_work *const work = conn->work;
    const asx_http1_head *head = &work->parser.head;
    const size_t head_len = head->head_len;
    const bool body_done = !asx_http1_framing_has_body((asx_http1_framing)head->framing);
    if (!body_done) {
        head = head_copy(work->request, head, work->in_ptr);
        if (!head) {
            return false;
        }
        asx_http1_body_init(&work->body, head, &server->limits.head);
    }
    asx_http_exchange *const x = &work->exchange;
    memset(x, 0, sizeof(*x));
    x->conn = conn;
    x->head = head;
    x->started_at = asx_shard_now(server->shard);
    conn->requests++;
    x->head_only = head->method == ASX_HTTP_HEAD;
    x->close_after = !head->keep_alive || server->draining ||
                     (conn->eof && work->in_len == head_len) ||
                     conn->requests >= server->limits.requests_per_connection;
    x->body_done = body_done;
    x->continue_due = head->expect_continue;
    work->handling = true;
    work->head_held = body_done;
    work->parsing = true;
    asxi_http_in_consume(conn, head_len);
    conn->state = ASXI_HTTP_HANDLING;
    conn->deadline_ns = ASX_TIME_NEVER;
    server->stats.requests++;
    server->stats.requests_in_flight++;
    return true;
}

/* The peer's address, asked for once a connection; NULL when it cannot be had. */
static const asx_addr *peer_of(asxi_http_conn *conn)
{
    asx_http_server *const server = conn->server;
    asx_addr *peer = asxi_http_peer(conn);
    if (!peer) {
        peer = asx_region_alloc(server->region, sizeof(*peer));
        if (peer && server->driver->ops->name(server->driver, conn->recv.fd, true, peer)) {
            *peer = (asx_addr){ 0 };
        }
        conn->recv.keep = peer;
    }
    return peer && peer->family != ASX_ADDR_NONE ? peer : NULL;
}

/* A line costs far more than the look at the clock that makes it true. */
static void request_log(asxi_http_conn *conn, const asx_http_exchange *x, asx_outcome value)
{
    asx_driver *const driver = conn->server->driver;
    const asx_http_server_config *const config = &conn->server->config;
    asx_http_log_record record = { .method = x->head->method_name,
                                   .target = x->head->target,
                                   .status = x->status,
                                   .bytes_out = x->body_sent,
                                   .started_at = x->started_at,
                                   .took_ns = asx_time_sub(driver->ops->now(driver), x->started_at),
                                   .severity = (asx_severity)value.severity,
                                   .peer = peer_of(conn) };
    (void)asx_http_header_known(x, ASX_HEADER_USER_AGENT, &record.user_agent);
    config->log(config->log_arg, &record);
}

/* The handler is over in one of the ways that leave no fiber: cancelled before it ran, cancelled,
 * panicked. */
static void answer_for(asxi_http_conn *conn, asx_http_exchange *x, asx_outcome value)
{
    conn->server->stats.panics += value.severity == ASX_SEVERITY_PANICKED;
    if (x->begun) {
        conn->dead |= x->broken || !x->ended;
        return;
    }
    if (conn->dead) {
        return;
    }
    const unsigned status = asx_outcome_http_status(value);
    const bool unread = !x->body_done;
    x->status = (uint16_t)status;
    x->close_after |= unread || status == 499 || conn->server->draining;
    x->begun = asxi_http_put_simple(conn, status, x->close_after,
                                    status == 503 ? "Retry-After: 1\r\n" : "", NULL);
    x->ended = x->begun;
    conn->dead |= !x->begun;
    asxi_http_send_soon(conn);
}

/* Runs while the request's memory is still there. */
static void request_over(asxi_http_conn *conn, asx_outcome value)
{
    asx_http_server *const server = conn->server;
    asxi_http_work *const work = conn->work;
    asx_http_exchange *const x = &work->exchange;
    answer_for(conn, x, value);
    if (x->lent) {
        asxi_http_in_unlend(conn);
    }
    server->stats.requests_in_flight--;
    asxi_http_answered(server, x->latency, x->started_at);
    if (server->config.log) {
        request_log(conn, x, value);
    }
    conn->last |= x->close_after || x->broken;
    conn->lingers |= conn->last && (!x->body_done || work->in_len > 0);
    conn->dead |= x->broken;
    conn->state = x->body_done ? ASXI_HTTP_READING : ASXI_HTTP_DRAINING;
    work->handling = false;
    work->parsing = false;
    asx_http1_parser_reset(&work->parser);
    if (work->head_held) {
        work->head_held = false;
        asxi_http_in_unhold(conn);
    }
}

/* The next pipelined head, for the fiber that has just answered the one before. False: the region
 * has to close first, or there is nothing to go on with; a head that was parsed stays with the
 * parser. */
static bool request_next(asx_cx *cx, asxi_http_conn *conn)
{
    const asx_http_server *const server = conn->server;
    asxi_http_work *const work = conn->work;
    const asx_http_exchange *const x = &work->exchange;
    if (!conn->stepping || conn->dead || !x->ended || x->broken || x->close_after ||
        !x->body_done || server->draining) {
        return false;
    }
    request_over(conn, asx_ok(0));
    if (work->in_len == 0 || conn->requests >= work->requests_max ||
        server->stats.requests_in_flight >= server->limits.in_flight_max) {
        return false;
    }
    work->parsing = true;
    const asx_http1_head *const head = &work->parser.head;
    return asx_http1_parse(&work->parser, work->in_ptr, work->in_len) == ASX_HTTP1_DONE &&
           !asx_http1_framing_has_body((asx_http1_framing)head->framing) && asx_task_renew(cx) &&
           exchange_begin(conn);
}

static asx_outcome request_main(asx_cx *cx, void *arg)
{
    asxi_http_conn *const conn = arg;
    asx_http_exchange *const x = &conn->work->exchange;
    asx_outcome outcome;
    do {
        outcome = asxi_http_finish(cx, x, conn->server->config.handler(cx, x));
    } while (asx_is_ok(outcome) && request_next(cx, conn));
    return outcome;
}

/* The region is about to give its memory back: the last moment at which the exchange can be read.
 */
static void request_ending(asx_region_waiter *waiter, asx_outcome value)
{
    asxi_http_work *const work = asx_container_of(waiter, asxi_http_work, request_waiter);
    if (work->handling) {
        request_over(work->conn, value);
    }
}

static void request_closed(asx_region_waiter *waiter, asx_outcome value)
{
    asxi_http_work *const work = asx_container_of(waiter, asxi_http_work, request_waiter);
    (void)value;
    work->request = NULL;
    work->request_cancelled = false;
    if (!work->conn->stepping) {
        asx_task_notify(asxi_http_task(work->conn));
    }
}

asx_err asxi_http_request_start(asx_cx *cx, asxi_http_conn *conn, asx_http_full *full)
{
    asx_http_server *const server = conn->server;
    asxi_http_work *const work = conn->work;
    asx_budget budget = ASX_BUDGET_UNLIMITED;
    asx_region_options options = { .label = "request" };
    options.limits.heap_bytes_max = server->limits.request_heap_max;
    if (server->limits.request_timeout_ns) {
        budget.deadline_ns =
            asx_time_add(asx_shard_now(server->shard), server->limits.request_timeout_ns);
        options.budget = &budget;
    }
    *full = ASX_HTTP_FULL_REQUESTS;
    if (server->stats.requests_in_flight >= server->limits.in_flight_max) {
        return ASX_E(AT_CAPACITY);
    }
    *full = ASX_HTTP_FULL_REGIONS;
    if (asx_region_open(cx, &options, &work->request)) {
        return ASX_E(AT_CAPACITY);
    }
    asx_region *const request = work->request;
    if (!exchange_begin(conn)) {
        work->request = NULL;
        asx_region_close_begin(request, ASX_CLOSE_JOIN, NULL);
        return ASX_E(AT_CAPACITY);
    }
    work->request_waiter.fn = request_closed;
    work->request_waiter.ending = request_ending;
    asx_region_on_closed(request, &work->request_waiter);
    const asx_spawn_options spawn = { .label = "request",
                                      .detached_result = true,
                                      .stack_bytes = server->limits.stack_bytes };
    asx_handle fiber;
    if (asx_spawn(cx, request, request_main, conn, 0, &spawn, &fiber)) {
        asx_region_cancel(request, ASX_CANCEL_RESOURCE_UNAVAILABLE, "no room for a handler");
    } else {
        asx_region_close_begin(request, ASX_CLOSE_JOIN, NULL);
        /* Most handlers end in one go: the next request is parsed at once. */
        asx_task_run_now(cx, fiber);
    }
    return ASX_OK;
}
