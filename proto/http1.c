/* The connection's poll task.
 *
 *   IDLE <──> READING ──> HANDLING ──> DRAINING ──> IDLE | READING
 *                │            │            │
 *                └────────────┴────────────┴──> LINGERING ──> CLOSING ──> done
 *
 *   IDLE       work is NULL or has only output left, `sending` may be under way, `rbuf` waits for
 *              the next step; deadline: idle_timeout
 *   READING    work holds a head in part; deadline: head_timeout from its first byte
 *   HANDLING   exchange and request are live; only the handler's fiber and callbacks touch the
 *              input's front; deadline: none here, the region's
 *   DRAINING   the handler answered without reading all of its body; the rest is thrown away
 *   LINGERING  `last` is set, the response is out or in flight; when the peer may still be
 *              sending (`lingers`) our side is shut after it, and up to 1 s of reading lets the
 *              peer see the response before a reset could take it away
 *   CLOSING    the close operation is in flight, nothing else is
 *
 * conn_step() is the only writer of `state`, but for http_request.c, which enters and leaves
 * HANDLING. */
#include <asx/shard/base/assert.h>

#include "http_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define RETRY_LATER "Retry-After: 1\r\n"

/* Receiving */

static void data_come(asxi_http_conn *conn, asx_rbuf *rbuf, uint32_t len)
{
    asx_driver *const driver = conn->server->driver;
    conn->server->stats.bytes_in += len;
    if (conn->state >= ASXI_HTTP_LINGERING) {
        driver->ops->buf_return(driver, rbuf); /* polite reading: nobody wants it */
        return;
    }
    if (!conn->work && !conn->rbuf) {
        conn->rbuf = rbuf; /* for the step, which comes this turn or the next */
        conn->recv.keep_words[ASXI_HTTP_KEEP_RBUF_LEN] = len;
        return;
    }
    if (!asxi_http_work_acquire(conn)) {
        driver->ops->buf_return(driver, rbuf);
        conn->dead = true;
        return;
    }
    asxi_http_work *const work = conn->work;
    if (work->in_len == 0 && !work->rbuf) {
        work->rbuf = rbuf;
        work->in_ptr = rbuf->data;
        work->in_len = len;
        asxi_http_send_soon(conn); /* the turn's end takes the buffer back, whatever happens */
        return;
    }
    conn->dead |= !asxi_http_in_append(conn, rbuf->data, len);
    driver->ops->buf_return(driver, rbuf);
    if (work->in_len > ASXI_HTTP_IN_PAUSE_BYTES && !conn->paused) {
        conn->paused = true;
        asx_op_cancel(&conn->recv);
    }
}

static void on_recv(asx_op *op)
{
    asxi_http_conn *const conn = asx_container_of(op, asxi_http_conn, recv);
    if (op->err) {
        if (op->err != asx_err_errno(ECANCELED)) {
            conn->dead = true;
            if (asxi_http_request(conn)) {
                conn->server->stats.disconnects++;
                asx_region_cancel(conn->work->request, ASX_CANCEL_USER, "peer disconnected");
            }
        }
    } else if (op->result == 0) {
        conn->eof = true;
    } else {
        data_come(conn, op->rbuf, op->result);
    }
    if (conn->work) {
        asx_event_set(&conn->work->readable);
        if (conn->dead) {
            asx_event_set(&conn->work->sent);
        }
    }
    if (conn->state != ASXI_HTTP_HANDLING || conn->dead || conn->eof) {
        asx_task_notify(asxi_http_task(conn));
    }
}

static void recv_start(asxi_http_conn *conn, asx_task *task)
{
    conn->recv.code = ASX_OP_RECV;
    conn->recv.flags = ASX_OP_MULTI;
    asx_op_start_for(task, &conn->recv, on_recv);
}

void asxi_http_recv_arm(asxi_http_conn *conn)
{
    recv_start(conn, asxi_http_task(conn));
}

void asxi_http_recv_resume(asxi_http_conn *conn)
{
    if (conn->paused && !asx_op_in_flight(&conn->recv) && !conn->eof && !conn->dead &&
        (!conn->work || conn->work->in_len <= ASXI_HTTP_IN_PAUSE_BYTES / 2)) {
        conn->paused = false;
        asxi_http_recv_arm(conn);
    }
}

static void refuse(asxi_http_conn *conn, unsigned status, const char *extra, const char *why)
{
    conn->last = true;
    conn->lingers = true;
    conn->dead |= !asxi_http_put_simple(conn, status, true, extra, why);
    conn->state = ASXI_HTTP_LINGERING;
    conn->deadline_ns = 0;
    asxi_http_send_soon(conn);
}

static void refuse_full(asxi_http_conn *conn, asx_http_full full)
{
    refuse(conn, 503, RETRY_LATER, asxi_http_full_text(full));
}

/* The step */

static void read_head(asx_cx *cx, asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    const asx_http_limits *const limits = &conn->server->limits;
    /* The head stays where it is while it is handled: in memory of ours. */
    if (work->rbuf && !asxi_http_in_detach(conn)) {
        conn->dead = true;
        return;
    }
    work->parsing = true;
    asx_http_full full;
    switch (asx_http1_parse(&work->parser, work->in_ptr, work->in_len)) {
    case ASX_HTTP1_DONE:
        if (asxi_http_request_start(cx, conn, &full)) {
            conn->server->stats.shed++;
            refuse_full(conn, full);
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
        refuse(conn, work->parser.error.status ? work->parser.error.status : 400, "", NULL);
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

static void on_closed(asx_op *op)
{
    asxi_http_conn *const conn = op->work_arg;
    conn->closed = true;
    asx_task_notify(asxi_http_task(conn));
}

static bool shut_acquire(asxi_http_conn *conn)
{
    if (!conn->shut) {
        conn->shut = asx_region_alloc(conn->server->region, sizeof(asx_op));
    }
    return conn->shut != NULL;
}

static void rbuf_return(asxi_http_conn *conn)
{
    if (conn->rbuf) {
        conn->server->driver->ops->buf_return(conn->server->driver, conn->rbuf);
        conn->rbuf = NULL;
    }
}

/* The receive that is still armed holds the socket open: it is cancelled in the batch that closes
 * the descriptor, and the peer sees the end when both are done. True when they are. */
static bool close_socket(asxi_http_conn *conn)
{
    if (conn->state != ASXI_HTTP_CLOSING) {
        if (conn->sending) {
            asx_op_cancel(&conn->sending->op);
            return false;
        }
        if (conn->work) {
            asxi_http_work_release(conn);
        }
        conn->state = ASXI_HTTP_CLOSING;
        rbuf_return(conn);
        if (shut_acquire(conn)) {
            *conn->shut = (asx_op){ .code = ASX_OP_CLOSE, .fd = conn->recv.fd };
            conn->shut->work_arg = conn;
            asx_op_start_for(asxi_http_task(conn), conn->shut, on_closed);
        } else {
            asx_driver *const driver = conn->server->driver;
            driver->ops->close_now(driver, conn->recv.fd);
            conn->closed = true;
        }
        asx_op_cancel(&conn->recv);
    }
    return conn->closed && !asx_op_in_flight(&conn->recv);
}

static bool shut_begin(asxi_http_conn *conn)
{
    if (shut_acquire(conn)) {
        *conn->shut = (asx_op){ .code = ASX_OP_SHUTDOWN, .fd = conn->recv.fd, .arg = SHUT_WR };
        asx_op_start_for(asxi_http_task(conn), conn->shut, NULL);
    }
    return conn->shut != NULL;
}

/* True when the peer has had its second to read what we said. */
static bool linger(asxi_http_conn *conn)
{
    const asx_instant now_ns = asx_shard_now(conn->server->shard);
    if (asxi_http_output_pending(conn)) {
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
        if (!conn->end_sent && !shut_begin(conn)) {
            return true;
        }
        if (!asx_op_in_flight(&conn->recv)) {
            asxi_http_recv_arm(conn);
        }
    }
    return now_ns >= conn->deadline_ns;
}

/* At rest: what was said is out, or at least under way, and nothing else is here. */
static void rest(asxi_http_conn *conn)
{
    asx_http_server *const server = conn->server;
    asxi_http_send_now(conn);
    if (conn->work && conn->work->out_len == 0) {
        asxi_http_work_release(conn);
    }
    asxi_http_recv_resume(conn);
    if (conn->state != ASXI_HTTP_IDLE || conn->deadline_ns == ASX_TIME_NEVER) {
        conn->state = ASXI_HTTP_IDLE;
        conn->deadline_ns =
            asx_time_add(asx_shard_now(server->shard), server->limits.idle_timeout_ns);
    }
    if (server->draining && conn->deadline_ns > server->drain_close_ns) {
        conn->deadline_ns = server->drain_close_ns;
    }
}

/* Input that is here. True: there may be more to do with it. */
static bool input_take(asx_cx *cx, asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    const uint32_t requests = conn->requests;
    if (requests >= work->requests_max) {
        asx_task_notify(asxi_http_task(conn));
        return false;
    }
    read_head(cx, conn);
    if (conn->requests != requests || conn->state != ASXI_HTTP_READING) {
        return true;
    }
    if (conn->eof) {
        conn->last = true; /* it will never be whole */
        return true;
    }
    asxi_http_recv_resume(conn);
    return false;
}

static void input_step(asx_cx *cx, asxi_http_conn *conn)
{
    while (!conn->dead) {
        if (conn->state == ASXI_HTTP_DRAINING && !drain_body(conn)) {
            conn->dead |= conn->eof;
            asxi_http_recv_resume(conn);
            return;
        }
        if (conn->last) {
            conn->state = ASXI_HTTP_LINGERING;
            return;
        }
        if (asxi_http_request(conn)) {
            return;
        }
        if (!conn->work || conn->work->in_len == 0) {
            break;
        }
        if (!input_take(cx, conn)) {
            return;
        }
    }
    if (conn->eof) {
        conn->last = true;
        conn->state = ASXI_HTTP_LINGERING;
        return;
    }
    rest(conn);
}

/* What has taken too long: a head is answered with 408, an idle connection just closes. */
static void deadline_step(asxi_http_conn *conn)
{
    const asx_instant now_ns = asx_shard_now(conn->server->shard);
    if (conn->sending &&
        now_ns > asx_time_add(conn->sending->started_ns, conn->server->limits.write_timeout_ns)) {
        conn->server->stats.timeouts++;
        conn->dead = true;
    }
    if (now_ns < conn->deadline_ns || conn->state == ASXI_HTTP_LINGERING ||
        (conn->state == ASXI_HTTP_IDLE && conn->work && conn->work->in_len > 0)) {
        return;
    }
    if (conn->state == ASXI_HTTP_READING) {
        conn->server->stats.timeouts++;
        refuse(conn, 408, "", NULL);
    } else if (conn->state == ASXI_HTTP_IDLE || conn->state == ASXI_HTTP_DRAINING) {
        conn->last = true;
        conn->state = ASXI_HTTP_LINGERING;
    }
}

static asx_instant next_deadline(const asxi_http_conn *conn)
{
    asx_instant at_ns = conn->state == ASXI_HTTP_HANDLING ? ASX_TIME_NEVER : conn->deadline_ns;
    if (conn->sending) {
        const asx_instant stall_ns =
            asx_time_add(conn->sending->started_ns, conn->server->limits.write_timeout_ns + 1);
        at_ns = stall_ns < at_ns ? stall_ns : at_ns;
    }
    return at_ns;
}

static void conn_gone(const asxi_http_conn *conn)
{
    asx_http_server *const server = conn->server;
    server->stats.connections_open--;
    server->stats.connections_idle--;
    server->refusals -= conn->refused;
    if (server->stats.connections_open == 0) {
        asxi_http_answers_end(server); /* from here on the server's memory may go */
    }
    if (conn->recv.keep_words[ASXI_HTTP_KEEP_SOURCE]) {
        server->config.gone(server->config.gone_arg, conn->recv.keep_words[ASXI_HTTP_KEEP_SOURCE]);
    }
}

static bool conn_finish(asxi_http_conn *conn, asx_outcome *outcome)
{
    asx_http_server *const server = conn->server;
    asx_list_unlink(&conn->link);
    rbuf_return(conn);
    asx_addr *const peer = asxi_http_peer(conn);
    if (peer) {
        asx_region_free(server->region, peer, sizeof(*peer));
    }
    if (conn->shut) {
        asx_region_free(server->region, conn->shut, sizeof(asx_op));
    }
    conn_gone(conn);
    *outcome = asx_ok(0);
    return true;
}

/* The frame goes: a connection that never took its first step still owns its descriptor. */
static void conn_drop(void *frame)
{
    asxi_http_conn *const conn = frame;
    if (!conn->started) {
        asx_driver *const driver = conn->server->driver;
        driver->ops->close_now(driver, conn->recv.fd);
        conn_gone(conn);
    }
}

static void conn_started(asx_cx *cx, asxi_http_conn *conn)
{
    conn->started = true;
    asx_list_push_back(&conn->server->conns, &conn->link);
    recv_start(conn, asx_task_of(cx));
    conn->deadline_ns =
        asx_time_add(asx_shard_now(conn->server->shard), conn->server->limits.idle_timeout_ns);
    if (conn->refused && asxi_http_work_acquire(conn)) {
        refuse_full(conn, (asx_http_full)conn->recv.keep_words[ASXI_HTTP_KEEP_RBUF_LEN]);
    } else {
        conn->dead = conn->refused;
    }
}

/* What has come in, and the requests that it makes. */
static void serve_step(asx_cx *cx, asxi_http_conn *conn)
{
    if (conn->rbuf && !asxi_http_work_acquire(conn)) {
        conn->dead = true;
        return;
    }
    if (conn->work) {
        conn->work->requests_max = conn->requests + ASXI_HTTP_REQUESTS_PER_STEP;
        conn->work->sent_now = 0;
    }
    deadline_step(conn);
    if (conn->state < ASXI_HTTP_LINGERING) {
        input_step(cx, conn);
    }
}

/* The request's end notifies; meanwhile only a deadline of the write matters, and whether there is
 * still somebody to answer. */
static void request_step(asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    deadline_step(conn);
    if ((conn->dead || conn->cancelled) && !work->request_cancelled) {
        work->request_cancelled = true;
        asx_region_cancel(work->request, conn->dead ? ASX_CANCEL_USER : ASX_CANCEL_SHUTDOWN, NULL);
    }
}

/* What the step has put goes out: now, or with what the request's fiber still puts this turn. */
static void output_step(asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    if (work && work->request && (work->out_len > 0 || work->rbuf)) {
        asxi_http_send_soon(conn);
    } else if (work && !work->request) {
        asxi_http_send_now(conn);
    }
}

/* Whether the connection has nothing left to do but to close. */
static bool is_over(asxi_http_conn *conn)
{
    return !asxi_http_request(conn) && (conn->dead || conn->state == ASXI_HTTP_CLOSING ||
                                        (conn->cancelled && !asxi_http_output_pending(conn)) ||
                                        (conn->state == ASXI_HTTP_LINGERING && linger(conn)));
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
    conn->stepping = true;
    if (asxi_http_request(conn)) {
        request_step(conn);
    }
    if (!asxi_http_request(conn) && !conn->dead && !conn->cancelled &&
        conn->state < ASXI_HTTP_LINGERING) {
        serve_step(cx, conn);
    }
    conn->stepping = false;
    output_step(conn);
    if (is_over(conn)) {
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

asx_err asxi_http_conn_open(asx_cx *cx, asx_region *region, asx_http_server *server, int32_t fd,
                            asxi_http_conn **out)
{
    const asx_spawn_options options = { .label = "http1 connection",
                                        .detached_result = true,
                                        .drop = conn_drop };
    void *frame = NULL;
    const asx_err err =
        asx_spawn_poll(cx, region, conn_step, NULL, sizeof(**out), &options, NULL, &frame);
    if (err) {
        return err;
    }
    asxi_http_conn *const conn = frame;
    conn->server = server;
    conn->recv.fd = fd;
    conn->deadline_ns = ASX_TIME_NEVER;
    server->stats.connections_open++;
    server->stats.connections_idle++;
    *out = conn;
    return ASX_OK;
}
