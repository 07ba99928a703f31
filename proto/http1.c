/* The connection's poll task.
 *
 *   IDLE <──> READING ──> HANDLING ──> DRAINING ──> IDLE | READING
 *                │            │            │
 *                └────────────┴────────────┴──> LINGERING ──> CLOSING ──> done
 *
 *   IDLE       work is NULL or has only output left; deadline: idle_timeout
 *   READING    work holds a head in part; deadline: head_timeout from its first byte
 *   HANDLING   exchange and request are live; only the handler's fiber and callbacks touch the
 *              input's front; deadline: none here, the region's
 *   DRAINING   the handler answered without reading all of its body; the rest is thrown away
 *   LINGERING  `last` is set, the response is out or in flight; when the peer may still be
 *              sending (`lingers`) our side is shut after it, and up to 1 s of reading lets the
 *              peer see the response before a reset could take it away
 *   CLOSING    the close operation is in flight, nothing else is
 *
 * conn_step() is the only writer of `state` but for request_closed(), which leaves HANDLING. */
#include <asx/shard/base/assert.h>

#include "http_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Receiving */

static void on_recv(asx_op *op)
{
    asxi_http_conn *const conn = asx_container_of(op, asxi_http_conn, recv);
    asx_http_server *const server = conn->server;
    if (op->err) {
        if (op->err != asx_err_errno(ECANCELED)) {
            conn->dead = true;
            if (conn->request) {
                server->stats.disconnects++;
                asx_region_cancel(conn->request, ASX_CANCEL_USER, "peer disconnected");
            }
        }
    } else if (op->result == 0) {
        conn->eof = true;
    } else {
        server->stats.bytes_in += op->result;
        asx_driver *const driver = asx_shard_driver(server->shard);
        asx_rbuf *const rbuf = op->rbuf;
        if (conn->state >= ASXI_HTTP_LINGERING) {
            driver->ops->buf_return(driver, rbuf); /* polite reading: nobody wants it */
        } else if (!asxi_http_work_acquire(conn)) {
            driver->ops->buf_return(driver, rbuf);
            conn->dead = true;
        } else if (conn->work->in_len == 0 && !conn->work->rbuf) {
            conn->work->rbuf = rbuf;
            conn->work->in_ptr = rbuf->data;
            conn->work->in_len = op->result;
            asxi_http_send_soon(conn); /* the turn's end takes the buffer back, whatever happens */
        } else {
            conn->dead |= !asxi_http_in_append(conn, rbuf->data, op->result);
            driver->ops->buf_return(driver, rbuf);
            if (conn->work->in_len > ASXI_HTTP_IN_PAUSE_BYTES && !conn->paused) {
                conn->paused = true;
                asx_op_cancel(&conn->recv);
            }
        }
    }
    if (conn->work) {
        asx_event_set(&conn->work->readable);
        if (conn->dead) {
            asx_event_set(&conn->work->sent);
        }
    }
    if (conn->state != ASXI_HTTP_HANDLING || conn->dead || conn->eof) {
        asx_task_notify(conn->task);
    }
}

void asxi_http_recv_arm(asxi_http_conn *conn)
{
    conn->recv.code = ASX_OP_RECV;
    conn->recv.flags = ASX_OP_MULTI;
    conn->recv.fd = conn->fd;
    asx_op_start_for(conn->task, &conn->recv, on_recv);
}

void asxi_http_recv_resume(asxi_http_conn *conn)
{
    if (conn->paused && !asx_op_in_flight(&conn->recv) && !conn->eof && !conn->dead &&
        (!conn->work || conn->work->in_len <= ASXI_HTTP_IN_PAUSE_BYTES / 2)) {
        conn->paused = false;
        asxi_http_recv_arm(conn);
    }
}

/* Work records are kept initialised: a connection takes one and gives it back many times a second.
 */
bool asxi_http_work_acquire(asxi_http_conn *conn)
{
    asx_http_server *const server = conn->server;
    asxi_http_work *work = server->free_work;
    if (conn->work) {
        return true;
    }
    if (work) {
        server->free_work = work->next_free;
        server->free_work_count--;
    } else {
        work = asx_region_alloc(server->region, sizeof(*work));
        if (!work) {
            return false;
        }
        memset(work, 0, offsetof(asxi_http_work, fields));
        asx_http1_parser_init_request(&work->parser, &server->limits.head, work->fields,
                                      ASXI_HTTP_FIELD_COUNT);
    }
    work->conn = conn;
    conn->work = work;
    server->stats.connections_idle--;
    return true;
}

void asxi_http_work_release(asxi_http_conn *conn)
{
    asx_http_server *const server = conn->server;
    asxi_http_work *const work = conn->work;
    asx_assert(!work->sending && !conn->exchange && !conn->fiber_sends);
    asxi_http_in_release(conn);
    if (work->out) {
        asx_region_free(server->region, work->out, ASXI_HTTP_OUT_BYTES);
        work->out = NULL;
        work->out_len = 0;
    }
    asx_list_unlink(&conn->turn_end._link);
    conn->work = NULL;
    server->stats.connections_idle++;
    if (conn->state != ASXI_HTTP_IDLE) { /* a head may be parsed in part */
        asx_http1_parser_reset(&work->parser);
    }
    work->sent = (asx_event){ 0 };
    work->readable = (asx_event){ 0 };
    if (server->free_work_count < ASXI_HTTP_FREE_WORK_MAX) {
        work->next_free = server->free_work;
        server->free_work = work;
        server->free_work_count++;
    } else {
        asx_region_free(server->region, work, sizeof(*work));
    }
}

/* A request */

static void rebase(asx_view *view, const char *from, size_t len, const char *to)
{
    if (view->len > 0 && view->ptr >= from && view->ptr < from + len) {
        view->ptr = to + (view->ptr - from);
    }
}

/* The head moves into the request's region: the receive buffer goes back in this very turn. */
static bool head_keep(asx_http_exchange *x, asx_region *region, const asx_http1_head *head,
                      const char *bytes)
{
    const size_t fields_size = head->field_count * sizeof(asx_header_field);
    char *const memory = asx_region_alloc(region, fields_size + head->head_len);
    if (!memory) {
        return false;
    }
    char *const copy = memory + fields_size;
    memcpy(copy, bytes, head->head_len);
    x->head = *head;
    x->head.fields = (asx_header_field *)(void *)memory;
    for (uint32_t i = 0; i < head->field_count; i++) {
        x->head.fields[i] = head->fields[i];
        rebase(&x->head.fields[i].name, bytes, head->head_len, copy);
        rebase(&x->head.fields[i].value, bytes, head->head_len, copy);
    }
    rebase(&x->head.method_name, bytes, head->head_len, copy);
    rebase(&x->head.target, bytes, head->head_len, copy);
    rebase(&x->head.path, bytes, head->head_len, copy);
    rebase(&x->head.host, bytes, head->head_len, copy);
    rebase(&x->head.upgrade, bytes, head->head_len, copy);
    return true;
}

static asx_outcome request_main(asx_cx *cx, void *arg)
{
    asx_http_exchange *const x = arg;
    return asxi_http_finish(cx, x, x->conn->server->config.handler(cx, x));
}

static void latency_count(asx_http_stats *stats, asx_duration took_ns)
{
    unsigned bucket = 0;
    for (uint64_t bound = 16 * ASX_NS_PER_US;
         bucket < ASX_HTTP_LATENCY_BUCKETS - 1 && took_ns > bound; bound *= 2) {
        bucket++;
    }
    stats->latency_buckets[bucket]++;
    stats->latency_ns_sum += took_ns;
}

static void request_log(asxi_http_conn *conn, const asx_http_exchange *x, asx_outcome value,
                        asx_duration took_ns)
{
    const asx_http_server_config *const config = &conn->server->config;
    if (config->log) {
        asx_http_log_record record = { .method = x->head.method_name,
                                       .target = x->head.target,
                                       .status = x->status,
                                       .bytes_out = x->body_sent,
                                       .started_at = x->started_at,
                                       .took_ns = took_ns,
                                       .severity = (asx_severity)value.severity };
        (void)asx_http_header_known(x, ASX_HEADER_USER_AGENT, &record.user_agent);
        config->log(config->log_arg, &record);
    }
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
                                    status == 503 ? "Retry-After: 1\r\n" : "");
    x->ended = x->begun;
    conn->dead |= !x->begun;
    asxi_http_send_soon(conn);
}

/* Runs while the request's memory is still there. */
static void request_over(asxi_http_conn *conn, asx_http_exchange *x, asx_outcome value)
{
    asx_http_server *const server = conn->server;
    const asx_duration took_ns = asx_time_sub(asx_shard_now(server->shard), x->started_at);
    answer_for(conn, x, value);
    if (x->lent) {
        asxi_http_in_unlend(conn);
    }
    server->stats.requests_in_flight--;
    latency_count(&server->stats, took_ns);
    request_log(conn, x, value, took_ns);
    conn->last |= x->close_after || x->broken;
    conn->lingers |= conn->last && (!x->body_done || conn->work->in_len > 0);
    conn->dead |= x->broken;
    conn->state = x->body_done ? ASXI_HTTP_READING : ASXI_HTTP_DRAINING;
    conn->exchange = NULL;
}

static void request_closed(asx_region_waiter *waiter, asx_outcome value)
{
    asxi_http_conn *const conn = asx_container_of(waiter, asxi_http_conn, request_waiter);
    (void)value;
    conn->request = NULL;
    asx_task_notify(conn->task);
}

/* The region is about to give its memory back: the last moment at which the exchange can be read.
 */
static void request_ending(asx_region_waiter *waiter, asx_outcome value)
{
    asxi_http_conn *const conn = asx_container_of(waiter, asxi_http_conn, request_waiter);
    request_over(conn, conn->exchange, value);
}

static void refuse(asxi_http_conn *conn, unsigned status, const char *extra)
{
    conn->last = true;
    conn->lingers = true;
    conn->dead |= !asxi_http_put_simple(conn, status, true, extra);
    conn->state = ASXI_HTTP_LINGERING;
    conn->deadline_ns = 0;
    asxi_http_send_soon(conn);
}

static void request_shed(asxi_http_conn *conn)
{
    conn->server->stats.shed++;
    refuse(conn, 503, "Retry-After: 1\r\n");
}

static bool request_start(asx_cx *cx, asxi_http_conn *conn)
{
    asx_http_server *const server = conn->server;
    asxi_http_work *const work = conn->work;
    const asx_http1_head *const head = &work->parser.head;
    asx_budget budget = ASX_BUDGET_UNLIMITED;
    asx_region_options options = { .label = "request" };
    options.limits.heap_bytes_max = server->limits.request_heap_max;
    if (server->limits.request_timeout_ns) {
        budget.deadline_ns =
            asx_time_add(asx_shard_now(server->shard), server->limits.request_timeout_ns);
        options.budget = &budget;
    }
    if (server->stats.requests_in_flight >= server->limits.in_flight_max ||
        asx_region_open(cx, &options, &conn->request)) {
        return false;
    }
    asx_http_exchange *const x = asx_region_alloc(conn->request, sizeof(*x));
    if (x) {
        memset(x, 0, sizeof(*x));
    }
    if (!x || !head_keep(x, conn->request, head, work->in_ptr)) {
        asx_region_close_begin(conn->request, ASX_CLOSE_JOIN, NULL);
        conn->request = NULL;
        return false;
    }
    x->conn = conn;
    x->started_at = asx_shard_now(server->shard);
    conn->requests++;
    x->head_only = head->method == ASX_HTTP_HEAD;
    x->close_after = !head->keep_alive || server->draining || conn->eof ||
                     conn->requests >= server->limits.requests_per_connection;
    x->body_done = !asx_http1_framing_has_body((asx_http1_framing)head->framing);
    x->continue_due = head->expect_continue;
    if (!x->body_done) {
        asx_http1_body_init(&work->body, head, &server->limits.head);
    }
    conn->exchange = x;
    asxi_http_in_consume(conn, head->head_len);
    asx_http1_parser_reset(&work->parser);
    conn->state = ASXI_HTTP_HANDLING;
    conn->deadline_ns = ASX_TIME_NEVER;
    server->stats.requests++;
    server->stats.requests_in_flight++;
    conn->request_waiter.fn = request_closed;
    conn->request_waiter.ending = request_ending;
    asx_region_on_closed(conn->request, &conn->request_waiter);
    const asx_spawn_options spawn = { .label = "request",
                                      .detached_result = true,
                                      .stack_bytes = server->limits.stack_bytes };
    asx_region *const request = conn->request;
    asx_handle fiber;
    if (asx_spawn(cx, request, request_main, x, 0, &spawn, &fiber)) {
        asx_region_cancel(request, ASX_CANCEL_RESOURCE_UNAVAILABLE, "no room for a handler");
    } else {
        asx_region_close_begin(request, ASX_CLOSE_JOIN, NULL);
        asx_task_run_now(
            cx, fiber); /* most handlers end in one go: the next request is parsed at once */
    }
    return true;
}

/* The step */

static void read_head(asx_cx *cx, asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    const asx_http_limits *const limits = &conn->server->limits;
    switch (asx_http1_parse(&work->parser, work->in_ptr, work->in_len)) {
    case ASX_HTTP1_DONE:
        if (!request_start(cx, conn)) {
            request_shed(conn);
        }
        break;
    case ASX_HTTP1_NEED_MORE:
        if (conn->state == ASXI_HTTP_IDLE || conn->deadline_ns == ASX_TIME_NEVER) {
            conn->state = ASXI_HTTP_READING;
            conn->deadline_ns =
                asx_time_add(asx_shard_now(conn->server->shard), limits->head_timeout_ns);
        }
        break;
    case ASX_HTTP1_ERROR:
    case ASX_HTTP1_PREFACE:
        conn->server->stats.parse_errors++;
        refuse(conn, work->parser.error.status ? work->parser.error.status : 400, "");
        break;
    }
}

/* Throws the rest of an unread body away, up to a bound. True when it is all gone. */
static bool drain_body(asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    while (work->body.received_bytes < ASXI_HTTP_DRAIN_BYTES) {
        size_t consumed = 0;
        const asx_http1_event event =
            asx_http1_body_next(&work->body, work->in_ptr, work->in_len, &consumed);
        asxi_http_in_consume(conn, consumed);
        if (event == ASX_HTTP1_BODY_END) {
            conn->state = ASXI_HTTP_READING;
            conn->deadline_ns = ASX_TIME_NEVER;
            return true;
        }
        if (event == ASX_HTTP1_BODY_ERROR) {
            break;
        }
        if (event == ASX_HTTP1_BODY_NEED_MORE) {
            return false;
        }
    }
    conn->last = true;
    conn->lingers = true;
    return true;
}

static bool output_pending(const asxi_http_conn *conn)
{
    return conn->work && (conn->work->sending || conn->work->out_len > 0);
}

static void on_closed(asx_op *op)
{
    asxi_http_conn *const conn = op->work_arg;
    conn->fd = -1;
    asx_task_notify(conn->task);
}

static bool shut_acquire(asxi_http_conn *conn)
{
    if (!conn->shut) {
        conn->shut = asx_region_alloc(conn->server->region, sizeof(asx_op));
    }
    return conn->shut != NULL;
}

/* The receive that is still armed holds the socket open: it is cancelled in the batch that closes
 * the descriptor, and the peer sees the end when both are done. True when they are. */
static bool close_socket(asxi_http_conn *conn)
{
    if (conn->state != ASXI_HTTP_CLOSING) {
        if (conn->work && conn->work->sending) {
            asx_op_cancel(&conn->work->send);
            return false;
        }
        if (conn->work) {
            asxi_http_work_release(conn);
        }
        conn->state = ASXI_HTTP_CLOSING;
        if (shut_acquire(conn)) {
            *conn->shut = (asx_op){ .code = ASX_OP_CLOSE, .fd = conn->fd };
            conn->shut->work_arg = conn;
            asx_op_start_for(conn->task, conn->shut, on_closed);
        } else {
            asx_driver *const driver = asx_shard_driver(conn->server->shard);
            driver->ops->close_now(driver, conn->fd);
            conn->fd = -1;
        }
        asx_op_cancel(&conn->recv);
    }
    return conn->fd < 0 && !asx_op_in_flight(&conn->recv);
}

/* True when the peer has had its second to read what we said. */
static bool linger(asxi_http_conn *conn)
{
    const asx_instant now_ns = asx_shard_now(conn->server->shard);
    if (output_pending(conn)) {
        return false;
    }
    if (conn->eof || !conn->lingers) {
        return true;
    }
    if (!conn->half_closed) {
        conn->half_closed = true;
        conn->deadline_ns = asx_time_add(now_ns, ASXI_HTTP_LINGER_NS);
        if (conn->work) {
            asxi_http_work_release(conn);
        }
        if (!shut_acquire(conn)) {
            return true;
        }
        *conn->shut = (asx_op){ .code = ASX_OP_SHUTDOWN, .fd = conn->fd, .arg = SHUT_WR };
        asx_op_start_for(conn->task, conn->shut, NULL);
        if (!asx_op_in_flight(&conn->recv)) {
            asxi_http_recv_arm(conn);
        }
    }
    return now_ns >= conn->deadline_ns;
}

/* Pipelined requests that one step may handle before others get their turn. */
#define REQUESTS_PER_STEP 32u

static void input_step(asx_cx *cx, asxi_http_conn *conn)
{
    const uint32_t requests_max = conn->requests + REQUESTS_PER_STEP;
    for (;;) {
        if (conn->state == ASXI_HTTP_DRAINING && !drain_body(conn)) {
            if (conn->eof) {
                conn->dead = true;
            }
            asxi_http_recv_resume(conn);
            return;
        }
        if (conn->last) {
            conn->state = ASXI_HTTP_LINGERING;
            return;
        }
        if (conn->request) {
            return;
        }
        if (!conn->work || conn->work->in_len == 0) {
            break;
        }
        if (conn->requests >= requests_max) {
            asx_task_notify(conn->task);
            return;
        }
        const uint32_t requests = conn->requests;
        read_head(cx, conn);
        if (conn->requests != requests || conn->state != ASXI_HTTP_READING) {
            continue;
        }
        if (conn->eof) {
            conn->last = true; /* it will never be whole */
            continue;
        }
        asxi_http_recv_resume(conn);
        return;
    }
    if (conn->eof) {
        conn->last = true;
        conn->state = ASXI_HTTP_LINGERING;
        return;
    }
    if (conn->work && !output_pending(conn)) {
        asxi_http_work_release(conn);
    }
    asxi_http_recv_resume(conn);
    if (conn->state != ASXI_HTTP_IDLE || conn->deadline_ns == ASX_TIME_NEVER) {
        conn->state = ASXI_HTTP_IDLE;
        conn->deadline_ns =
            asx_time_add(asx_shard_now(conn->server->shard), conn->server->limits.idle_timeout_ns);
    }
    if (conn->server->draining && conn->deadline_ns > conn->server->drain_close_ns) {
        conn->deadline_ns = conn->server->drain_close_ns;
    }
}

/* What has taken too long: a head is answered with 408, an idle connection just closes. */
static void deadline_step(asxi_http_conn *conn)
{
    const asx_instant now_ns = asx_shard_now(conn->server->shard);
    if (conn->work && conn->work->sending &&
        now_ns > asx_time_add(conn->send_started_ns, conn->server->limits.write_timeout_ns)) {
        conn->server->stats.timeouts++;
        conn->dead = true;
    }
    if (now_ns < conn->deadline_ns || conn->state == ASXI_HTTP_LINGERING) {
        return;
    }
    if (conn->state == ASXI_HTTP_READING) {
        conn->server->stats.timeouts++;
        refuse(conn, 408, "");
    } else if (conn->state == ASXI_HTTP_IDLE || conn->state == ASXI_HTTP_DRAINING) {
        conn->last = true;
        conn->state = ASXI_HTTP_LINGERING;
    }
}

static asx_instant next_deadline(const asxi_http_conn *conn)
{
    asx_instant at_ns = conn->state == ASXI_HTTP_HANDLING ? ASX_TIME_NEVER : conn->deadline_ns;
    if (conn->work && conn->work->sending) {
        const asx_instant stall_ns =
            asx_time_add(conn->send_started_ns, conn->server->limits.write_timeout_ns + 1);
        at_ns = stall_ns < at_ns ? stall_ns : at_ns;
    }
    return at_ns;
}

static bool conn_finish(asxi_http_conn *conn, asx_outcome *outcome)
{
    asx_http_server *const server = conn->server;
    asx_list_unlink(&conn->link);
    asx_list_unlink(&conn->turn_end._link);
    if (conn->shut) {
        asx_region_free(server->region, conn->shut, sizeof(asx_op));
    }
    server->stats.connections_open--;
    server->stats.connections_idle--;
    *outcome = asx_ok(0);
    return true;
}

/* The frame goes: a connection that never took its first step still owns its descriptor. */
static void conn_drop(void *frame)
{
    asxi_http_conn *const conn = frame;
    if (!conn->started) {
        asx_driver *const driver = asx_shard_driver(conn->server->shard);
        driver->ops->close_now(driver, conn->fd);
        conn->server->stats.connections_open--;
        conn->server->stats.connections_idle--;
    }
}

static void conn_started(asx_cx *cx, asxi_http_conn *conn)
{
    conn->started = true;
    conn->task = asx_task_of(cx);
    asx_list_push_back(&conn->server->conns, &conn->link);
    asxi_http_recv_arm(conn);
    conn->deadline_ns =
        asx_time_add(asx_shard_now(conn->server->shard), conn->server->limits.idle_timeout_ns);
}

static bool conn_step(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    asxi_http_conn *const conn = frame;
    if (!conn->started) {
        conn_started(cx, conn);
    }
    if (!conn->cancelled && asx_is_cancelled(cx)) {
        conn->cancelled = !asx_is_ok(asx_checkpoint(cx));
    }
    if (conn->request) { /* its end notifies; meanwhile only a deadline of the write matters */
        deadline_step(conn);
        if ((conn->dead || conn->cancelled) && !conn->request_cancelled) {
            conn->request_cancelled = true;
            asx_region_cancel(conn->request, conn->dead ? ASX_CANCEL_USER : ASX_CANCEL_SHUTDOWN,
                              NULL);
        }
    }
    if (!conn->request && !conn->dead && !conn->cancelled && conn->state < ASXI_HTTP_LINGERING) {
        deadline_step(conn);
        if (conn->state < ASXI_HTTP_LINGERING) {
            input_step(cx, conn);
        }
    }
    if (!conn->request && (conn->dead || conn->state == ASXI_HTTP_CLOSING ||
                           (conn->cancelled && !output_pending(conn)) ||
                           (conn->state == ASXI_HTTP_LINGERING && linger(conn)))) {
        if (!(conn->shut && asx_op_in_flight(conn->shut)) && close_socket(conn)) {
            return conn_finish(conn, outcome);
        }
        asx_task_waits_for(cx, "close");
        asx_task_wake_at(cx, ASX_TIME_NEVER);
        return false;
    }
    static const char *const waits[] = { "next request",    "rest of a request head",
                                         "request handler", "rest of an unread body",
                                         "peer to close",   "close" };
    asx_task_waits_for(cx, waits[conn->state]);
    asx_task_wake_at(cx, next_deadline(conn));
    return false;
}

asx_err asx_http1_serve(asx_cx *cx, asx_region *region, asx_http_server *server, int32_t fd)
{
    const asx_spawn_options options = { .label = "http1 connection",
                                        .detached_result = true,
                                        .drop = conn_drop };
    asxi_http_conn *conn;
    void *frame = NULL;
    asx_driver *const driver = asx_shard_driver(server->shard);
    if (server->stats.connections_open >= server->limits.connections_max || server->draining) {
        server->stats.connections_refused++;
        driver->ops->close_now(driver, fd);
        return ASX_E(AT_CAPACITY);
    }
    const asx_err err =
        asx_spawn_poll(cx, region, conn_step, NULL, sizeof(*conn), &options, NULL, &frame);
    if (err) {
        server->stats.connections_refused++;
        driver->ops->close_now(driver, fd);
        return err;
    }
    conn = frame;
    conn->server = server;
    conn->fd = fd;
    conn->region = region;
    conn->deadline_ns = ASX_TIME_NEVER;
    conn->turn_end.fn = asxi_http_turn_end;
    server->stats.connections_accepted++;
    server->stats.connections_open++;
    server->stats.connections_idle++;
    return ASX_OK;
}
