/* What a connection sends: small bodies gathered into one write per step, large ones by reference.
 *
 * A write is first offered to the transport (send_now); only what it does not take becomes an
 * operation. So a response that fits the socket's buffer leaves nothing to wait for, and the work
 * record is free again at the end of the step that took it. */
#include <asx/proto/http1_write.h>
#include <asx/proto/http_status.h>

#include "http_internal.h"

#include <string.h>

/* The buffer being filled. */

/* At rest but for what was just taken away: the work record is free again. */
static void work_settle(asxi_http_conn *conn)
{
    const asxi_http_work *const work = conn->work;
    if (work && conn->state == ASXI_HTTP_IDLE && !work->request && work->in_len == 0 &&
        work->out_len == 0 && !work->rbuf && !conn->dead) {
        asxi_http_work_release(conn);
    }
}

static void on_sent(asx_op *op)
{
    asxi_http_send *const sending = asx_container_of(op, asxi_http_send, op);
    asxi_http_conn *const conn = sending->conn;
    asx_http_server *const server = conn->server;
    conn->dead |= op->err != ASX_OK;
    server->stats.bytes_out += op->err ? 0 : op->result;
    conn->sending = NULL;
    if (sending->buf) {
        asx_region_free(server->region, sending->buf, ASXI_HTTP_OUT_BYTES);
    }
    asx_region_free(server->region, sending, sizeof(*sending) + sending->len);
    if (conn->work) {
        asx_event_set(&conn->work->sent);
        if (conn->work->out_len > 0 && !conn->dead) {
            asxi_http_send_soon(conn);
        }
        work_settle(conn);
    }
    if (conn->work || conn->state != ASXI_HTTP_IDLE || conn->dead || conn->cancelled) {
        asx_task_notify(
            asxi_http_task(conn)); /* else at rest, without a pass through the scheduler */
    }
}

/* The rest of what is gathered, by an operation: a little is copied, much is handed over. */
static void send_by_op(asxi_http_conn *conn, size_t sent)
{
    asx_region *const region = conn->server->region;
    asxi_http_work *const work = conn->work;
    const size_t left = work->out_len - sent;
    const uint32_t len = left <= ASXI_HTTP_SEND_INLINE_MAX ? (uint32_t)left : 0;
    asxi_http_send *const sending = asx_region_alloc(region, sizeof(*sending) + len);
    if (!sending) {
        conn->dead = true;
        asx_task_notify(asxi_http_task(conn));
        return;
    }
    *sending = (asxi_http_send){ .op = { .code = ASX_OP_SEND, .fd = conn->recv.fd },
                                 .conn = conn,
                                 .started_ns = asx_shard_now(conn->server->shard),
                                 .len = len };
    sending->iov.iov_len = left;
    if (len > 0) {
        memcpy(sending->bytes, work->out + sent, len);
        sending->iov.iov_base = sending->bytes;
    } else {
        sending->buf = work->out;
        sending->iov.iov_base = work->out + sent;
        work->out = NULL;
    }
    work->out_len = 0;
    sending->op.iov = &sending->iov;
    sending->op.iov_count = 1;
    conn->sending = sending;
    asx_op_start_for(asxi_http_task(conn), &sending->op, on_sent);
}

/* Offers iov to the transport. How much it took; on an error the connection is dead. */
static size_t offer(asxi_http_conn *conn, const struct iovec *iov, unsigned count, bool last)
{
    asx_http_server *const server = conn->server;
    const asx_driver_ops *const ops = server->driver->ops;
    uint32_t sent = 0;
    if (asx_unlikely(!ops->send_now)) {
        return 0;
    }
    if (asx_unlikely(ops->send_now(server->driver, conn->recv.fd, iov, count, last, &sent))) {
        conn->dead = true;
        asx_task_notify(asxi_http_task(conn));
    }
    server->stats.bytes_out += sent;
    asx_op_charge(asxi_http_task(conn), sent);
    conn->work->sent_now += sent;
    return sent;
}

/* One write in flight a connection; what comes meanwhile is gathered and goes next. */
void asxi_http_send_now(asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    if (!work || conn->sending || work->out_len == 0 || conn->dead || work->fiber_sends) {
        return;
    }
    const struct iovec iov = { .iov_base = work->out, .iov_len = work->out_len };
    const bool last = conn->state == ASXI_HTTP_LINGERING;
    const size_t sent = offer(conn, &iov, 1, last);
    if (asx_likely(sent == work->out_len)) {
        work->out_len = 0;
        conn->end_sent = last;
    } else if (!conn->dead) {
        send_by_op(conn, sent);
    }
}

void asxi_http_send_soon(asxi_http_conn *conn)
{
    if (!conn->stepping) {
        asx_shard_turn_end_link(conn->server->shard, &conn->work->turn_end);
    }
}

void asxi_http_turn_end(asx_turn_end *hook)
{
    asxi_http_work *const work = asx_container_of(hook, asxi_http_work, turn_end);
    asxi_http_conn *const conn = work->conn;
    if (conn->state != ASXI_HTTP_CLOSING) {
        asxi_http_send_now(conn);
        /* Driver buffers are for the turn: a request that takes longer keeps its rest in a copy. */
        if (work->rbuf && !asxi_http_in_detach(conn)) {
            conn->dead = true;
            asx_task_notify(asxi_http_task(conn));
        }
        work_settle(conn);
    }
}

/* What a handler calls. */

static asx_outcome gone(void)
{
    return asx_fail(ASX_E(DISCONNECTED));
}

asx_outcome asxi_http_wait_sent(asx_cx *cx, asxi_http_conn *conn)
{
    while (conn->sending && !conn->dead) {
        const asx_instant stall_ns =
            asx_time_add(asx_shard_now(conn->server->shard), conn->server->limits.write_timeout_ns);
        const asx_outcome outcome =
            asx_event_wait(cx, &conn->work->sent, "response write", stall_ns);
        if (asx_is_err(outcome, ASX_E(TIMED_OUT))) {
            conn->server->stats.timeouts++;
            conn->dead = true;
        }
        ASX_TRY(outcome);
    }
    return conn->dead ? gone() : asx_ok(0);
}

/* Leaves out what was sent; returns how many entries are left. */
static unsigned iov_skip(struct iovec *iov, unsigned count, size_t sent)
{
    unsigned left = 0;
    for (unsigned i = 0; i < count; i++) {
        const size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;
        sent -= skip;
        if (skip < iov[i].iov_len) {
            iov[left].iov_base = (char *)iov[i].iov_base + skip;
            iov[left++].iov_len = iov[i].iov_len - skip;
        }
    }
    return left;
}

/* The rest of a handler's write, as its own operation; the fiber waits. */
static asx_outcome send_rest(asx_cx *cx, asxi_http_conn *conn, struct iovec *iov, unsigned count)
{
    asx_http_server *const server = conn->server;
    asxi_http_work *const work = conn->work;
    char *const buffered = work->out;
    asx_op op = { .code = ASX_OP_SENDV, .fd = conn->recv.fd };
    op.iov = iov;
    op.iov_count = count;
    work->out = NULL;
    work->out_len = 0;
    work->fiber_sends = true;
    const asx_instant stall_ns =
        asx_time_add(asx_shard_now(server->shard), server->limits.write_timeout_ns);
    const asx_outcome outcome = asx_op_await_until(cx, &op, stall_ns);
    work->fiber_sends = false;
    work->sent_now = 0;
    if (buffered) {
        asx_region_free(server->region, buffered, ASXI_HTTP_OUT_BYTES);
    }
    if (!asx_is_ok(outcome)) {
        const bool stalled = asx_is_err(outcome, ASX_E(TIMED_OUT));
        conn->dead = true; /* how much the peer has seen is not known */
        server->stats.timeouts += stalled;
        return outcome.severity == ASX_SEVERITY_ERR && !stalled ? gone() : outcome;
    }
    server->stats.bytes_out += outcome.value;
    return asx_ok(0);
}

asx_outcome asxi_http_send_pieces(asx_cx *cx, asx_http_exchange *x, const asx_view *pieces,
                                  unsigned count)
{
    asxi_http_conn *const conn = x->conn;
    asxi_http_work *const work = conn->work;
    struct iovec iov[4];
    unsigned n = 0;
    ASX_TRY(asxi_http_wait_sent(cx, conn));
    if (work->out_len > 0) {
        iov[n++] = (struct iovec){ .iov_base = work->out, .iov_len = work->out_len };
    }
    for (unsigned i = 0; i < count; i++) {
        void *base;
        memcpy(&base, &pieces[i].ptr, sizeof(base));
        if (pieces[i].len > 0) {
            iov[n++] = (struct iovec){ .iov_base = base, .iov_len = pieces[i].len };
        }
    }
    if (work->sent_now < ASXI_HTTP_SEND_NOW_BYTES) {
        n = iov_skip(iov, n, offer(conn, iov, n, false));
        if (conn->dead) {
            return gone();
        }
    }
    if (n == 0) {
        work->out_len = 0;
        return asx_ok(0);
    }
    return send_rest(cx, conn, iov, n);
}

/* Room for a head: flushes what earlier responses left when there is none. */
static asx_outcome head_room(asx_cx *cx, asx_http_exchange *x, size_t len)
{
    asxi_http_conn *const conn = x->conn;
    while (asxi_http_out_room(conn->work) < len) {
        asxi_http_send_now(conn);
        ASX_TRY(asxi_http_wait_sent(cx, conn));
    }
    return asx_ok(0);
}

/* Whether a head may be asked for like this. */
static bool head_allowed(const asx_http_exchange *x, unsigned status, const char *type,
                         size_t type_len)
{
    return status >= 200 && status <= 599 && type_len <= 1024 &&
           (asxi_http_type_known(x->conn->server, type, type_len) || !type ||
            !strpbrk(type, "\r\n"));
}

static asx_outcome begin(asx_cx *cx, asx_http_exchange *x, unsigned status,
                         const char *content_type, uint64_t length)
{
    asxi_http_conn *const conn = x->conn;
    const size_t type_len = content_type ? strlen(content_type) : 0;
    const size_t head_max = ASXI_HTTP_HEAD_BYTES_MAX + type_len + x->extra_len;
    if (asx_unlikely(x->begun)) {
        return asx_fail(ASX_E(ALREADY_RESOLVED));
    }
    if (asx_unlikely(!head_allowed(x, status, content_type, type_len))) {
        return asx_fail(ASX_E(INVALID_ARGUMENT));
    }
    if (asx_unlikely(asxi_http_out_room(conn->work) < head_max)) {
        ASX_TRY(head_room(cx, x, head_max));
    }
    if (asx_unlikely(conn->dead)) {
        return gone();
    }
    /* A body that was not read may be larger than what is worth draining (RFC 9112, 9.6). */
    x->close_after |= !x->body_done && x->continue_due;
    if (asx_unlikely(!asxi_http_put_head(conn, x, status, content_type, type_len, length))) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    const bool bodiless = asx_http_status_is_bodiless(status);
    x->begun = true;
    x->status = (uint16_t)status;
    x->body_length = bodiless ? 0 : length;
    x->chunked = x->body_length == ASX_HTTP_CHUNKED && x->head->version_minor == 1;
    x->head_only |= bodiless;
    conn->server->stats.responses[status / 100]++;
    asxi_http_send_soon(conn);
    return asx_ok(0);
}

asx_outcome asx_http_begin(asx_cx *cx, asx_http_exchange *x, unsigned status,
                           const char *content_type, uint64_t length)
{
    return begin(cx, x, status, content_type, length);
}

static asx_outcome write_plain(asx_cx *cx, asx_http_exchange *x, asx_view data)
{
    if (data.len <= asxi_http_out_room(x->conn->work) && data.len <= ASXI_HTTP_OUT_BYTES / 2 &&
        asxi_http_put(x->conn, data.ptr, data.len)) {
        asxi_http_send_soon(x->conn);
        return asx_ok(0);
    }
    return asxi_http_send_pieces(cx, x, &data, 1);
}

static asx_outcome write_chunk(asx_cx *cx, asx_http_exchange *x, asx_view data)
{
    char size[ASX_HTTP1_CHUNK_HEAD_MAX];
    const size_t len = asx_http1_chunk_head(data.len, size);
    const size_t total = len + data.len + 2;
    if (total <= asxi_http_out_room(x->conn->work) && data.len <= ASXI_HTTP_OUT_BYTES / 2) {
        const bool ok = asxi_http_put(x->conn, size, len) &&
                        asxi_http_put(x->conn, data.ptr, data.len) &&
                        asxi_http_put(x->conn, "\r\n", 2);
        asxi_http_send_soon(x->conn);
        return ok ? asx_ok(0) : asx_fail(ASX_E(NO_MEMORY));
    }
    const asx_view pieces[] = { asx_view_of(size, len), data, asx_view_of("\r\n", 2) };
    return asxi_http_send_pieces(cx, x, pieces, 3);
}

asx_outcome asx_http_write(asx_cx *cx, asx_http_exchange *x, asx_view data)
{
    if (!x->begun || x->ended) {
        return asx_fail(ASX_E(ALREADY_RESOLVED));
    }
    if (x->conn->dead) {
        return gone();
    }
    if (x->body_length != ASX_HTTP_CHUNKED && data.len > x->body_length - x->body_sent) {
        x->broken = true; /* more than was declared: the connection ends, never silently */
        return asx_fail(ASX_E(TOO_LONG));
    }
    x->body_sent += data.len;
    if (data.len == 0 || x->head_only) {
        return asx_ok(0);
    }
    return x->chunked ? write_chunk(cx, x, data) : write_plain(cx, x, data);
}

asx_outcome asx_http_end(asx_cx *cx, asx_http_exchange *x)
{
    (void)cx;
    if (!x->begun || x->ended) {
        return asx_fail(ASX_E(ALREADY_RESOLVED));
    }
    x->ended = true;
    if (x->chunked && !x->head_only) {
        ASX_TRY(head_room(cx, x, 5));
        (void)asxi_http_put(x->conn, "0\r\n\r\n", 5);
        asxi_http_send_soon(x->conn);
    } else if (!x->head_only && x->body_length != ASX_HTTP_CHUNKED &&
               x->body_sent < x->body_length) {
        x->broken = true;
    }
    return asx_ok(0);
}

asx_outcome asx_http_reply(asx_cx *cx, asx_http_exchange *x, unsigned status,
                           const char *content_type, asx_view body)
{
    ASX_TRY(begin(cx, x, status, content_type, body.len));
    if (x->head_only) {
        x->ended = true;
        return asx_ok(0);
    }
    asxi_http_work *const work = x->conn->work;
    x->body_sent = body.len;
    x->ended = true;
    if (asx_likely(body.len <= ASXI_HTTP_OUT_BYTES / 2 &&
                   body.len <= asxi_http_out_room(work))) { /* out is there: the head is in it */
        if (body.len > 0) {
            memcpy(work->out + work->out_len, body.ptr, body.len);
            work->out_len += body.len;
        }
        return asx_ok(0);
    }
    return write_plain(cx, x, body);
}

asx_outcome asx_http_flush(asx_cx *cx, asx_http_exchange *x)
{
    asxi_http_send_now(x->conn);
    return asxi_http_wait_sent(cx, x->conn);
}

/* After the handler returned: whatever it left undone, as its outcome asks. On the request's fiber.
 */
asx_outcome asxi_http_finish(asx_cx *cx, asx_http_exchange *x, asx_outcome outcome)
{
    if (!x->begun && outcome.severity <= ASX_SEVERITY_ERR && !x->conn->dead) {
        const unsigned status = asx_outcome_http_status(outcome);
        const asx_view text = status == 200 ? asx_view_of(NULL, 0) : asx_http_status_phrase(status);
        x->broken |= !asx_is_ok(asx_http_reply(cx, x, status, "text/plain", text));
    } else if (x->begun && !x->ended) {
        if (outcome.severity == ASX_SEVERITY_OK) {
            x->broken |= !asx_is_ok(asx_http_end(cx, x));
        } else {
            x->broken = true;
        }
    }
    return outcome;
}
