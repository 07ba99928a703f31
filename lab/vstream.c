/* Byte streams: sending, receiving, and the ways in which a connection ends.
 *
 *   end     our FIN travels behind the bytes; a close with unread bytes is a reset instead
 *   reset   what is in flight is gone, what arrived and was not read too if the run so chooses; the
 *           first operation hears the errno, then receives end and sends get EPIPE
 *   cut     bytes in flight are tried again, at doubling intervals, until stream_timeout_ns */
#include <asx/shard/base/assert.h>
#include <asx/shard/trace.h>

#include "vdisk_internal.h"
#include "vnet_internal.h"

#include <string.h>
#include <sys/socket.h>

#define FILE_PIECE 4096u
#define UNWANTED UINT64_MAX /* a position of BYTES that nobody waits for */

enum { /* salts; vpipe.c has those below 10 */
       SALT_SHORT_READ = 10,
       SALT_SHORT_WRITE,
       SALT_UNREAD,
};

bool asxi_vstream_readable(const asxi_vsocket *socket)
{
    return socket->in.arrived > socket->in.read || socket->error || socket->in.fin_arrived ||
           socket->read_shut || socket->state == ASXI_VSOCKET_BROKEN ||
           socket->state == ASXI_VSOCKET_NEW;
}

/* Bytes that go nowhere: the peer is gone, or the way was cut by a fault. */
static bool swallows(const asxi_vsocket *socket)
{
    return socket->peer->closed || socket->peer->in.fin_sent ||
           socket->peer->state == ASXI_VSOCKET_BROKEN;
}

bool asxi_vstream_writable(const asxi_vsocket *socket)
{
    switch (socket->state) {
    case ASXI_VSOCKET_NEW:
    case ASXI_VSOCKET_BROKEN:
        return true;
    case ASXI_VSOCKET_CONNECTING:
        return false;
    case ASXI_VSOCKET_OPEN:
        break;
    }
    return socket->error || socket->write_shut || swallows(socket) ||
           asxi_vpipe_room(socket->peer) > 0;
}

/* Receiving */

/* The errno that is due, told once. */
static asx_err error_take(asxi_vsocket *socket)
{
    const int errnum = socket->error;
    socket->error = 0;
    return asx_err_errno(errnum);
}

static asxi_vstep recv_end(asxi_vsocket *socket, asx_op *op)
{
    if (op->code == ASX_OP_RECV && (op->flags & ASX_OP_MULTI)) {
        op->rbuf = NULL;
    }
    op->result = 0;
    if (socket->error) {
        op->err = error_take(socket);
    } else if (socket->state == ASXI_VSOCKET_NEW) {
        op->err = asx_err_errno(ENOTCONN);
    }
    return ASXI_VSTEP_OVER;
}

/* The window opens again for a sender that waits: not for every byte. */
static void window_tell(asxi_vsocket *receiver)
{
    asxi_vsocket *const sender = receiver->peer;
    if (!sender || sender->closed || sender->window_due ||
        (asx_list_empty(&sender->out_ops) && asx_list_empty(&sender->polls))) {
        return;
    }
    if (receiver->in.written > receiver->in.read &&
        asxi_vpipe_room(receiver) < receiver->net->config.stream_bytes / 4) {
        return;
    }
    sender->window_due = true;
    const asx_duration delay_ns = asxi_vnet_delay(receiver, receiver->host, sender->host);
    asxi_vnet_event(receiver->net, asx_time_add(receiver->net->env->now_ns, delay_ns),
                    ASXI_VNET_WINDOW, sender, 0, 0);
}

/* By a fault of the run. */
static uint32_t shortened(asxi_vsocket *socket, uint32_t len)
{
    asx_lab_env *const env = socket->net->env;
    return env->shorten && len > 1 ? env->shorten(env, socket->driver->config.shard, len) : len;
}

static uint32_t short_read(asxi_vsocket *socket, uint32_t len)
{
    const uint32_t ppm = socket->net->config.stream.short_read_ppm;
    if (len < 2 || ppm == 0 || !asx_lab_draw_hits(asxi_vnet_draw(socket, SALT_SHORT_READ), ppm)) {
        return len;
    }
    switch (asxi_vchoose(socket->net->env, ASX_CHOICE_IORES, 4, socket->object)) {
    case 1:
        return 1;
    case 2:
        return len - 1;
    case 3:
        return 1 +
               (uint32_t)asx_lab_draw_below(asxi_vnet_draw(socket, SALT_SHORT_READ + 100), len - 1);
    default:
        return len;
    }
}

asxi_vstep asxi_vstream_recv(asxi_vsocket *socket, asx_op *op)
{
    asxi_vdriver *const driver = socket->driver;
    const bool multi = op->code == ASX_OP_RECV && (op->flags & ASX_OP_MULTI);
    const uint64_t here = socket->in.arrived - socket->in.read;
    if (here == 0 || socket->read_shut) {
        return asxi_vstream_readable(socket) ? recv_end(socket, op) : ASXI_VSTEP_WAIT;
    }
    asx_rbuf *const rbuf = multi ? asxi_vbuf_take(driver) : NULL;
    if (multi && !rbuf) {
        driver->stats.buf_starved++;
        op->_state = ASXI_VOP_STARVED;
        asx_list_push_back(&driver->starved, &op->_link);
        return ASXI_VSTEP_WAIT;
    }
    const size_t room = multi ? rbuf->cap : op->iov->iov_len;
    socket->op++;
    const uint32_t len =
        shortened(socket, short_read(socket, here < room ? (uint32_t)here : (uint32_t)room));
    op->result = asxi_vpipe_take(socket, multi ? rbuf->data : op->iov->iov_base, len);
    socket->net->stats.stream_bytes_read += op->result;
    if (multi) {
        op->rbuf = rbuf;
    }
    window_tell(socket);
    return multi ? ASXI_VSTEP_LENT : ASXI_VSTEP_OVER;
}

/* Sending */

/* What the peer's side has room for now, or less by a fault. */
static uint32_t send_room(asxi_vsocket *socket)
{
    const uint32_t room = asxi_vpipe_room(socket->peer);
    if (room > 1 &&
        asxi_vnet_fault(socket, socket->net->config.stream.short_write_ppm, SALT_SHORT_WRITE)) {
        return 1 + (uint32_t)asx_lab_draw_below(asxi_vnet_draw(socket, SALT_SHORT_WRITE + 100),
                                                room - 1);
    }
    return shortened(socket, room);
}

/* Hands over bytes of iov from `skip` on; returns how many. */
static uint32_t send_some(asxi_vsocket *socket, const struct iovec *iov, uint32_t count,
                          size_t skip)
{
    uint32_t room = send_room(socket), moved = 0;
    for (uint32_t i = 0; i < count && room > 0; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        const size_t left = iov[i].iov_len - skip;
        const uint32_t len = left < room ? (uint32_t)left : room;
        if (!asxi_vpipe_put(socket->peer, (const char *)iov[i].iov_base + skip, len)) {
            break;
        }
        room -= len;
        moved += len;
        skip = 0;
    }
    if (moved > 0) {
        asxi_vpipe_send(socket, moved);
    }
    return moved;
}

static uint32_t send_file(asxi_vsocket *socket, const asx_op *op, bool *ended)
{
    char piece[FILE_PIECE];
    uint32_t room = send_room(socket), moved = 0;
    while (room > 0 && op->result + moved < op->length) {
        const uint32_t left = op->length - op->result - moved;
        uint32_t len = left < FILE_PIECE ? left : FILE_PIECE;
        len = len < room ? len : room;
        const int32_t got = asxi_vdisk_peek(socket->driver, op->file_fd,
                                            op->offset + op->result + moved, piece, len);
        if (got <= 0 || !asxi_vpipe_put(socket->peer, piece, (uint32_t)got)) {
            *ended = true;
            break;
        }
        room -= (uint32_t)got;
        moved += (uint32_t)got;
    }
    if (moved > 0) {
        asxi_vpipe_send(socket, moved);
    }
    return moved;
}

static size_t send_total(const asx_op *op)
{
    size_t total = 0;
    if (op->code == ASX_OP_SENDFILE) {
        return op->length;
    }
    for (uint32_t i = 0; i < op->iov_count; i++) {
        total += op->iov[i].iov_len;
    }
    return total;
}

/* Why nothing can be sent; ASX_OK: it can. */
static asx_err send_error(asxi_vsocket *socket)
{
    if (socket->error) {
        return error_take(socket);
    }
    if (socket->state == ASXI_VSOCKET_NEW || socket->state == ASXI_VSOCKET_CONNECTING) {
        return asx_err_errno(ENOTCONN);
    }
    return socket->write_shut || socket->state == ASXI_VSOCKET_BROKEN ? asx_err_errno(EPIPE)
                                                                      : ASX_OK;
}

/* Bytes for a peer that is gone are taken, and answered with a reset when they come there. */
static void swallow(asxi_vsocket *socket)
{
    const asx_duration delay_ns = asxi_vnet_delay(socket, socket->host, socket->peer->host);
    asxi_vnet_event(socket->net, asx_time_add(socket->net->env->now_ns, delay_ns), ASXI_VNET_BYTES,
                    socket->peer, UNWANTED, 0);
}

asxi_vstep asxi_vstream_send(asxi_vsocket *socket, asx_op *op)
{
    bool ended = false;
    op->err = send_error(socket);
    if (op->err) {
        return ASXI_VSTEP_OVER;
    }
    const size_t total = send_total(op);
    if (swallows(socket)) {
        op->result = (uint32_t)total;
        swallow(socket);
        return ASXI_VSTEP_OVER;
    }
    op->result += op->code == ASX_OP_SENDFILE
                      ? send_file(socket, op, &ended)
                      : send_some(socket, op->iov, op->iov_count, op->result);
    if (op->result == total || ended || op->code == ASX_OP_WRITE) {
        return ASXI_VSTEP_OVER;
    }
    if (!swallows(socket) && asxi_vpipe_room(socket->peer) > 0) {
        asxi_vop_ready(socket->driver, op); /* it was short, not full */
    }
    return ASXI_VSTEP_WAIT;
}

asx_err asxi_vstream_send_now(asxi_vsocket *socket, const struct iovec *iov, uint32_t count,
                              bool last, uint32_t *sent)
{
    if (socket->kind != ASXI_VSOCKET_STREAM) {
        return asx_err_errno(EDESTADDRREQ);
    }
    asx_assert(!socket->out_trying && asx_list_empty(&socket->out_ops));
    const asx_err err = send_error(socket);
    if (err) {
        return err;
    }
    size_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        total += iov[i].iov_len;
    }
    if (swallows(socket)) {
        *sent = (uint32_t)total;
        swallow(socket);
    } else {
        *sent = send_some(socket, iov, count, 0);
        if (last && *sent == total) {
            (void)asxi_vstream_shutdown(socket, SHUT_WR);
        }
    }
    return ASX_OK;
}

/* Ending */

void asxi_vstream_rst(asxi_vsocket *to, asx_duration delay_ns, int errnum)
{
    asx_vnet *const net = to->net;
    asxi_vnet_event(net, asx_time_add(net->env->now_ns, delay_ns), ASXI_VNET_RST, to,
                    (uint64_t)errnum, 0);
}

asx_err asxi_vstream_shutdown(asxi_vsocket *socket, uint32_t how)
{
    if (socket->state != ASXI_VSOCKET_OPEN) {
        return asx_err_errno(ENOTCONN);
    }
    if (how == SHUT_WR || how == SHUT_RDWR) {
        socket->write_shut = true;
        asxi_vpipe_fin(socket);
        asxi_vsocket_wake_out(socket);
    }
    if (how == SHUT_RD || how == SHUT_RDWR) {
        socket->read_shut = true;
        asxi_vsocket_wake_in(socket);
    }
    return ASX_OK;
}

static void detach(asxi_vsocket *socket)
{
    asxi_vsocket *const peer = socket->peer;
    socket->peer = NULL;
    peer->peer = NULL;
    asxi_vsocket_unref(peer);
    asxi_vsocket_unref(socket);
}

/* The socket was closed; its caller holds a reference. */
void asxi_vstream_end(asxi_vsocket *socket)
{
    asxi_vsocket *const peer = socket->peer;
    const bool unread = socket->in.arrived > socket->in.read;
    if (peer && !peer->closed) {
        if (socket->state == ASXI_VSOCKET_CONNECTING || (unread && !socket->crashed)) {
            asxi_vstream_rst(peer, asxi_vnet_delay(socket, socket->host, peer->host), ECONNRESET);
        } else if (socket->state == ASXI_VSOCKET_OPEN) {
            asxi_vpipe_fin(socket);
        }
    }
    asxi_vpipe_free(socket);
    if (peer && peer->closed) {
        detach(socket);
    } else if (peer) {
        asxi_vsocket_wake_out(peer); /* it need not wait for room any more */
    }
}

void asxi_vstream_break(asxi_vsocket *socket, int errnum)
{
    const bool was_connecting = socket->state == ASXI_VSOCKET_CONNECTING;
    if (socket->state == ASXI_VSOCKET_BROKEN || socket->closed) {
        return;
    }
    socket->state = ASXI_VSOCKET_BROKEN;
    socket->error = errnum;
    socket->net->stats.resets += errnum == ECONNRESET;
    if (was_connecting) {
        asx_list *const first = asx_list_pop_front(&socket->out_ops);
        if (first) {
            asx_op *const op = asx_container_of(first, asx_op, _link);
            asxi_vop_over(socket->driver, op, error_take(socket), 0);
        }
    }
    socket->in.written = socket->in.arrived;
    if (asxi_vnet_fault(socket, socket->net->config.stream.unread_lost_ppm, SALT_UNREAD)) {
        socket->in.read = socket->in.arrived;
    }
    asxi_vsocket_wake_in(socket);
    asxi_vsocket_wake_out(socket);
    if (socket->peer && !socket->peer->closed) {
        asxi_vsocket_wake_out(socket->peer);
    }
}

/* Nobody answers: try again later, or give up. */
static void try_again(asxi_vsocket *socket, const asxi_due *due)
{
    asx_vnet *const net = socket->net;
    const asx_duration waited_ns = ASXI_VNET_RTO_NS * ((UINT64_C(1) << due->tries) - 1);
    if (due->kind == ASXI_VNET_RST || waited_ns >= net->config.stream_timeout_ns) {
        if (due->kind == ASXI_VNET_BYTES && socket->peer) {
            asxi_vstream_break(socket->peer, ETIMEDOUT);
        }
        return;
    }
    asxi_vnet_event(net, asx_time_add(net->env->now_ns, ASXI_VNET_RTO_NS << due->tries), due->kind,
                    socket, due->arg, due->tries + 1);
}

/* Bytes, an end or a reset come to `socket`. */
void asxi_vstream_arrived(asxi_vsocket *socket, const asxi_due *due)
{
    asxi_vsocket *const peer = socket->peer;
    asxi_vpipe *const in = &socket->in;
    const bool bytes = due->kind == ASXI_VNET_BYTES;
    if (!peer || (socket->closed && !bytes) || (peer->crashed && due->kind != ASXI_VNET_RST)) {
        return; /* nobody is left to tell, or nobody who would tell it */
    }
    if (!socket->unix_domain && asxi_vnet_cut(socket->net, peer->host, socket->host)) {
        try_again(socket, due);
        return;
    }
    if (due->kind == ASXI_VNET_RST) {
        asxi_vstream_break(socket, (int)due->arg);
        return;
    }
    if (socket->closed || socket->state == ASXI_VSOCKET_BROKEN || due->arg == UNWANTED) {
        if (bytes && !peer->closed) {
            asxi_vstream_rst(peer, asxi_vnet_delay(socket, socket->host, peer->host), ECONNRESET);
        }
        return;
    }
    if (due->arg > in->arrived) {
        in->arrived = due->arg;
    }
    asx_assert_le(in->arrived, in->written);
    in->fin_arrived |= due->kind == ASXI_VNET_FIN;
    asxi_vsocket_wake_in(socket);
}
