/* Bodies that are sent without a copy: what is kept, and files. */

#include "http_internal.h"

#include <string.h>

/* Of `taken` bytes, what was buffered came first. Returns how many were the body's. */
static size_t sent_note(asxi_http_conn *conn, size_t taken)
{
    asxi_http_work *const work = conn->work;
    const size_t of_head = taken < work->out_len ? taken : work->out_len;
    work->out_len -= of_head;
    if (work->out_len > 0) {
        memmove(work->out, work->out + of_head, work->out_len);
    }
    work->sent_now += taken;
    conn->server->stats.bytes_out += taken;
    asx_op_charge(asxi_http_task(conn), taken);
    return taken - of_head;
}

/* What is buffered and then what is kept, as far as both go without waiting. Returns how many of
 * the kept bytes went; on an error the connection is dead. */
static size_t kept_offer(asxi_http_conn *conn, asx_kept *kept, size_t length)
{
    asx_driver *const driver = conn->server->driver;
    const asxi_http_work *const work = conn->work;
    const struct iovec head = { .iov_base = work->out, .iov_len = work->out_len };
    uint32_t taken = 0;
    if (!driver->ops->send_kept_now || work->sent_now >= ASXI_HTTP_SEND_NOW_BYTES) {
        return 0;
    }
    conn->dead |= driver->ops->send_kept_now(driver, conn->recv.fd, &head, kept, (uint32_t)length,
                                             &taken) != ASX_OK;
    return sent_note(conn, taken);
}

asx_outcome asx_http_reply_kept(asx_cx *cx, asx_http_exchange *x, unsigned status,
                                const char *content_type, asx_kept *kept, size_t length)
{
    asxi_http_conn *const conn = x->conn;
    asx_assert_le(length, kept->bytes.len);
    if (length <= ASXI_HTTP_COPIED_MAX) {
        return asx_http_reply(cx, x, status, content_type, asx_view_of(kept->bytes.ptr, length));
    }
    ASX_TRY(asx_http_begin(cx, x, status, content_type, length));
    x->ended = true;
    if (x->head_only) {
        return asx_ok(0);
    }
    x->body_sent = length;
    ASX_TRY(asxi_http_wait_sent(cx, conn));
    const size_t sent = kept_offer(conn, kept, length);
    if (conn->dead) {
        return asx_fail(ASX_E(DISCONNECTED));
    }
    if (sent == length) {
        return asx_ok(0);
    }
    const asx_view rest = asx_view_of(kept->bytes.ptr + sent, length - sent);
    return asxi_http_send_pieces(cx, x, &rest, 1);
}

/* What is buffered and then the file, as far as both go without waiting. *sent counts the file's
 * bytes. */
static asx_err file_offer(asx_http_exchange *x, int32_t file_fd, uint64_t offset, uint64_t length,
                          uint64_t *sent)
{
    asx_http_server *const server = x->conn->server;
    const asxi_http_work *const work = x->conn->work;
    const struct iovec head = { .iov_base = work->out, .iov_len = work->out_len };
    uint32_t taken = 0;
    *sent = 0;
    if (!server->driver->ops->sendfile_now || work->sent_now >= ASXI_HTTP_SEND_NOW_BYTES) {
        return ASX_OK;
    }
    const size_t room = ASXI_HTTP_SEND_NOW_BYTES - work->sent_now;
    const asx_err err = server->driver->ops->sendfile_now(
        server->driver, x->conn->recv.fd, head.iov_len > 0 ? &head : NULL, file_fd, offset,
        (uint32_t)(length < room ? length : room), &taken);
    *sent = sent_note(x->conn, taken);
    return err;
}

/* The next piece, by an operation; the fiber waits. Ok: how much it was. */
static asx_outcome file_send(asx_cx *cx, asx_http_exchange *x, int32_t file_fd, uint64_t offset,
                             uint64_t length)
{
    asxi_http_conn *const conn = x->conn;
    asx_op op = { .code = ASX_OP_SENDFILE, .fd = conn->recv.fd };
    op.file_fd = file_fd;
    op.offset = offset;
    op.length = (uint32_t)(length > 1u << 20 ? 1u << 20 : length);
    conn->work->fiber_sends = true;
    const asx_instant stall_ns =
        asx_time_add(asx_shard_now(conn->server->shard), conn->server->limits.write_timeout_ns);
    const asx_outcome outcome = asx_op_await_until(cx, &op, stall_ns);
    conn->work->fiber_sends = false;
    conn->work->sent_now = 0;
    if (asx_is_ok(outcome)) {
        conn->server->stats.bytes_out += outcome.value;
    }
    return outcome;
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
    while (length > 0) {
        uint64_t sent;
        ASX_TRY(asxi_http_wait_sent(cx, conn));
        const asx_err err = file_offer(x, file_fd, offset, length, &sent);
        asx_outcome outcome = err ? asx_fail(err) : asx_ok(sent);
        if (asx_is_ok(outcome) && sent == 0) {
            if (conn->work->out_len > 0) {
                ASX_TRY(asxi_http_send_pieces(cx, x, NULL, 0));
            }
            outcome = file_send(cx, x, file_fd, offset, length);
        }
        if (!asx_is_ok(outcome) || outcome.value == 0) {
            conn->dead = true; /* the peer is gone, or the file shrank under us */
            return asx_is_ok(outcome) ? asx_fail(ASX_E(END_OF_STREAM)) : outcome;
        }
        x->body_sent += outcome.value;
        offset += outcome.value;
        length -= outcome.value;
    }
    return asx_ok(0);
}
