/* What a connection sends: response heads, small bodies gathered into one write per turn, large
 * ones by reference. */
#include <asx/proto/http1_write.h>
#include <asx/proto/http_date.h>
#include <asx/proto/http_status.h>
#include <asx/shard/base/time.h>

#include "http_internal.h"

#include <stdio.h>
#include <string.h>

/* The buffer being filled. */

static bool out_acquire(asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    if (!work->out) {
        work->out = asx_region_alloc(conn->server->region, ASXI_HTTP_OUT_BYTES);
        work->out_len = 0;
    }
    return work->out != NULL;
}

size_t asxi_http_out_room(const asxi_http_conn *conn)
{
    return ASXI_HTTP_OUT_BYTES - (conn->work->out ? conn->work->out_len : 0);
}

bool asxi_http_put(asxi_http_conn *conn, const void *bytes, size_t len)
{
    asxi_http_work *const work = conn->work;
    if (len > asxi_http_out_room(conn) || !out_acquire(conn)) {
        return false;
    }
    memcpy(work->out + work->out_len, bytes, len);
    work->out_len += len;
    return true;
}

static void sending_release(asxi_http_conn *conn)
{
    asx_region_free(conn->server->region, conn->work->sending, ASXI_HTTP_OUT_BYTES);
    conn->work->sending = NULL;
}

static void on_sent(asx_op *op)
{
    asxi_http_work *const work = asx_container_of(op, asxi_http_work, send);
    asxi_http_conn *const conn = work->conn;
    if (op->err) {
        conn->dead = true;
    } else {
        conn->server->stats.bytes_out += op->result;
    }
    sending_release(conn);
    asx_event_set(&work->sent);
    if (work->out_len > 0 && !conn->dead) {
        asxi_http_send_soon(conn);
    } else if (conn->state == ASXI_HTTP_IDLE && work->in_len == 0 && !conn->dead) {
        asxi_http_work_release(conn); /* at rest again, without a pass through the scheduler */
        return;
    }
    asx_task_notify(conn->task);
}

/* One write in flight a connection; what comes meanwhile is gathered and goes next. */
void asxi_http_send_now(asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    if (!work || work->sending || work->out_len == 0 || conn->dead || conn->fiber_sends) {
        return;
    }
    work->sending = work->out;
    work->send_iov.iov_base = work->out;
    work->send_iov.iov_len = work->out_len;
    work->out = NULL;
    work->out_len = 0;
    work->send = (asx_op){ .code = ASX_OP_SEND, .fd = conn->fd };
    work->send.iov = &work->send_iov;
    work->send.iov_count = 1;
    conn->send_started_ns = asx_shard_now(conn->server->shard);
    asx_op_start_for(conn->task, &work->send, on_sent);
}

void asxi_http_send_soon(asxi_http_conn *conn)
{
    asx_shard_turn_end_link(conn->server->shard, &conn->turn_end);
}

void asxi_http_turn_end(asx_turn_end *hook)
{
    asxi_http_conn *const conn = asx_container_of(hook, asxi_http_conn, turn_end);
    if (conn->state != ASXI_HTTP_CLOSING && conn->work) {
        asxi_http_send_now(conn);
        /* Driver buffers are for the turn: a request that takes longer keeps its rest in a copy. */
        if (conn->work->rbuf && !asxi_http_in_detach(conn)) {
            conn->dead = true;
            asx_task_notify(conn->task);
        }
    }
}

/* The response head. */

static const char *date_line(asx_http_server *server, uint32_t *len)
{
    const uint64_t now_s =
        (server->config.epoch_unix_ns + asx_shard_now(server->shard)) / ASX_NS_PER_S;
    if (now_s != server->date_s || server->date_len == 0) {
        memcpy(server->date, "Date: ", 6);
        asx_http_date_format((int64_t)now_s, server->date + 6);
        memcpy(server->date + 6 + ASX_HTTP_DATE_LEN, "\r\n", 2);
        server->date_len = 6 + ASX_HTTP_DATE_LEN + 2;
        server->date_s = now_s;
    }
    *len = server->date_len;
    return server->date;
}

static char *append(char *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

static char *append_u64(char *at, uint64_t value)
{
    char digits[20];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (count > 0) {
        *at++ = digits[--count];
    }
    return at;
}

#define APPEND(at, text) append((at), (text), sizeof(text) - 1)

static char *append_status_line(char *at, unsigned status)
{
    const asx_view line = asx_http_status_line(status);
    if (line.len > 0) {
        return append(at, line.ptr, line.len);
    }
    at = APPEND(at, "HTTP/1.1 ");
    at = append_u64(at, status);
    return APPEND(at, " \r\n");
}

/* Head bytes beside added fields and content type: status line, Date, Server, lengths, Connection,
 * Retry-After. */
#define HEAD_BYTES_MAX 512u

bool asxi_http_put_head(asxi_http_conn *conn, asx_http_exchange *x, unsigned status,
                        const char *content_type, uint64_t length)
{
    asx_http_server *const server = conn->server;
    asxi_http_work *const work = conn->work;
    const size_t type_len = content_type ? strlen(content_type) : 0;
    uint32_t date_len;
    x->close_after |= server->draining; /* also when the drain began behind the request */
    if (asxi_http_out_room(conn) < HEAD_BYTES_MAX + type_len + x->extra_len || !out_acquire(conn)) {
        return false;
    }
    char *at = append_status_line(work->out + work->out_len, status);
    const char *const date = date_line(server, &date_len);
    at = append(at, date, date_len);
    if (server->config.server_name) {
        at = APPEND(at, "Server: ");
        at = append(at, server->config.server_name, strnlen(server->config.server_name, 64));
        at = APPEND(at, "\r\n");
    }
    if (type_len > 0) {
        at = APPEND(at, "Content-Type: ");
        at = append(at, content_type, type_len);
        at = APPEND(at, "\r\n");
    }
    if (!asx_http_status_is_bodiless(status)) {
        if (length != ASX_HTTP_CHUNKED) {
            at = APPEND(at, "Content-Length: ");
            at = append_u64(at, length);
            at = APPEND(at, "\r\n");
        } else if (x->head.version_minor == 1) {
            at = APPEND(at, "Transfer-Encoding: chunked\r\n");
        } else {
            x->close_after = true; /* 1.0 knows no chunks: the end is the connection's */
        }
    }
    if (x->close_after) {
        at = APPEND(at, "Connection: close\r\n");
    } else if (x->head.version_minor == 0) {
        at = APPEND(at, "Connection: keep-alive\r\n");
    }
    if (x->extra_len > 0) {
        at = append(at, x->extra, x->extra_len);
    }
    at = APPEND(at, "\r\n");
    work->out_len = (size_t)(at - work->out);
    return true;
}

/* A response without a handler: errors, refusals. `extra`: header lines with their CRLF, or "". */
bool asxi_http_put_simple(asxi_http_conn *conn, unsigned status, bool close, const char *extra)
{
    char text[512];
    uint32_t date_len;
    const char *const date = date_line(conn->server, &date_len);
    const asx_view phrase = asx_http_status_phrase(status);
    const int len = snprintf(
        text, sizeof(text),
        "HTTP/1.1 %u %.*s\r\n%.*sContent-Type: text/plain\r\nContent-Length: %zu\r\n%s%s\r\n%.*s\n",
        status, (int)phrase.len, phrase.ptr, (int)date_len, date, phrase.len + 1,
        close ? "Connection: close\r\n" : "", extra, (int)phrase.len, phrase.ptr);
    conn->server->stats.responses[status / 100]++;
    return len > 0 && (size_t)len < sizeof(text) && asxi_http_put(conn, text, (size_t)len);
}

/* What a handler calls. */

static asx_outcome gone(void)
{
    return asx_fail(ASX_E(DISCONNECTED));
}

/* Waits until nothing is in flight on the connection. */
static asx_outcome wait_sent(asx_cx *cx, asxi_http_conn *conn)
{
    while (conn->work->sending && !conn->dead) {
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

/* Sends what is buffered and then `count` more pieces, by reference, in one operation. */
static asx_outcome send_pieces(asx_cx *cx, asx_http_exchange *x, const asx_view *pieces,
                               unsigned count)
{
    asxi_http_conn *const conn = x->conn;
    asxi_http_work *const work = conn->work;
    struct iovec iov[5];
    unsigned n = 0;
    ASX_TRY(wait_sent(cx, conn));
    char *const buffered = work->out;
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
    asx_op op = { .code = ASX_OP_SENDV, .fd = conn->fd };
    op.iov = iov;
    op.iov_count = n;
    work->out = NULL;
    work->out_len = 0;
    conn->fiber_sends = true;
    const asx_instant stall_ns =
        asx_time_add(asx_shard_now(conn->server->shard), conn->server->limits.write_timeout_ns);
    const asx_outcome outcome = asx_op_await_until(cx, &op, stall_ns);
    conn->fiber_sends = false;
    if (buffered) {
        asx_region_free(conn->server->region, buffered, ASXI_HTTP_OUT_BYTES);
    }
    if (!asx_is_ok(outcome)) {
        conn->dead = true; /* how much the peer has seen is not known */
        conn->server->stats.timeouts += asx_is_err(outcome, ASX_E(TIMED_OUT));
        return outcome.severity == ASX_SEVERITY_ERR && !asx_is_err(outcome, ASX_E(TIMED_OUT))
                   ? gone()
                   : outcome;
    }
    conn->server->stats.bytes_out += outcome.value;
    return asx_ok(0);
}

/* Room for a head: flushes what earlier responses left when there is none. */
static asx_outcome head_room(asx_cx *cx, asx_http_exchange *x, size_t len)
{
    asxi_http_conn *const conn = x->conn;
    while (asxi_http_out_room(conn) < len) {
        asxi_http_send_now(conn);
        ASX_TRY(wait_sent(cx, conn));
    }
    return asx_ok(0);
}

static asx_outcome begin(asx_cx *cx, asx_http_exchange *x, unsigned status,
                         const char *content_type, uint64_t length)
{
    asxi_http_conn *const conn = x->conn;
    if (x->begun) {
        return asx_fail(ASX_E(ALREADY_RESOLVED));
    }
    if (status < 200 || status > 599 || (content_type && strpbrk(content_type, "\r\n"))) {
        return asx_fail(ASX_E(INVALID_ARGUMENT));
    }
    const size_t type_len = content_type ? strlen(content_type) : 0;
    if (type_len > 1024) {
        return asx_fail(ASX_E(INVALID_ARGUMENT));
    }
    ASX_TRY(head_room(cx, x, HEAD_BYTES_MAX + type_len + x->extra_len));
    if (conn->dead) {
        return gone();
    }
    /* A body that was not read may be larger than what is worth draining (RFC 9112, 9.6). */
    if (!x->body_done && x->continue_due) {
        x->close_after = true;
    }
    if (!asxi_http_put_head(conn, x, status, content_type, length)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    x->begun = true;
    x->status = (uint16_t)status;
    x->body_length = !asx_http_status_is_bodiless(status) ? length : 0;
    x->chunked = x->body_length == ASX_HTTP_CHUNKED && x->head.version_minor == 1;
    x->head_only |= asx_http_status_is_bodiless(status);
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
    if (data.len <= asxi_http_out_room(x->conn) && data.len <= ASXI_HTTP_OUT_BYTES / 2 &&
        asxi_http_put(x->conn, data.ptr, data.len)) {
        asxi_http_send_soon(x->conn);
        return asx_ok(0);
    }
    return send_pieces(cx, x, &data, 1);
}

static asx_outcome write_chunk(asx_cx *cx, asx_http_exchange *x, asx_view data)
{
    char size[ASX_HTTP1_CHUNK_HEAD_MAX];
    const size_t len = asx_http1_chunk_head(data.len, size);
    const size_t total = len + data.len + 2;
    if (total <= asxi_http_out_room(x->conn) && data.len <= ASXI_HTTP_OUT_BYTES / 2) {
        const bool ok = asxi_http_put(x->conn, size, len) &&
                        asxi_http_put(x->conn, data.ptr, data.len) &&
                        asxi_http_put(x->conn, "\r\n", 2);
        asxi_http_send_soon(x->conn);
        return ok ? asx_ok(0) : asx_fail(ASX_E(NO_MEMORY));
    }
    const asx_view pieces[] = { asx_view_of(size, len), data, asx_view_of("\r\n", 2) };
    return send_pieces(cx, x, pieces, 3);
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
    x->body_sent = body.len;
    x->ended = true;
    return body.len > 0 ? write_plain(cx, x, body) : asx_ok(0);
}

asx_outcome asx_http_flush(asx_cx *cx, asx_http_exchange *x)
{
    asxi_http_send_now(x->conn);
    return wait_sent(cx, x->conn);
}

asx_outcome asx_http_write_file(asx_cx *cx, asx_http_exchange *x, int32_t file_fd, uint64_t offset,
                                uint64_t length)
{
    asxi_http_conn *const conn = x->conn;
    if (x->chunked || !x->begun || length > x->body_length - x->body_sent) {
        return asx_fail(ASX_E(INVALID_ARGUMENT));
    }
    if (x->head_only) {
        x->body_sent += length;
        return asx_ok(0);
    }
    if (conn->work->out_len > 0) {
        ASX_TRY(send_pieces(cx, x, NULL, 0));
    }
    ASX_TRY(wait_sent(cx, conn));
    while (length > 0) {
        asx_op op = { .code = ASX_OP_SENDFILE, .fd = conn->fd };
        op.file_fd = file_fd;
        op.offset = offset;
        op.length = (uint32_t)(length > 1u << 20 ? 1u << 20 : length);
        conn->fiber_sends = true;
        const asx_instant stall_ns =
            asx_time_add(asx_shard_now(conn->server->shard), conn->server->limits.write_timeout_ns);
        const asx_outcome outcome = asx_op_await_until(cx, &op, stall_ns);
        conn->fiber_sends = false;
        if (!asx_is_ok(outcome) || outcome.value == 0) {
            conn->dead = true; /* the peer is gone, or the file shrank under us */
            return asx_is_ok(outcome) ? asx_fail(ASX_E(END_OF_STREAM)) : outcome;
        }
        conn->server->stats.bytes_out += outcome.value;
        x->body_sent += outcome.value;
        offset += outcome.value;
        length -= outcome.value;
    }
    return asx_ok(0);
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
