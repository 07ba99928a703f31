/* Listeners and handshakes. A connect is one message there and one back: the connection exists at
 * the listener when the first arrives, at its maker when the second does. */
#include <asx/shard/base/assert.h>
#include <asx/shard/trace.h>

#include "vnet_internal.h"

#define SYN_TRIES 6u /* 1, 2, 4 ... s apart */

enum { /* salts */
       SALT_REFUSED = 20,
       SALT_UNREACHABLE,
       SALT_SYN,
       SALT_ACCEPT,
};

static asx_err name_self(asxi_vsocket *socket)
{
    static const asx_addr loopback4 = { .family = ASX_ADDR_INET, .ip = { 127, 0, 0, 1 } };
    static const asx_addr loopback6 = { .family = ASX_ADDR_INET6, .ip = { [15] = 1 } };
    if (socket->unix_domain || socket->local.port != 0) {
        return ASX_OK;
    }
    socket->local = socket->remote.family == ASX_ADDR_INET ? loopback4 : loopback6;
    const asx_err err = asxi_vnet_port_take(socket->net, socket->host, &socket->local.port);
    socket->ephemeral = !err;
    return err;
}

static void answer(asxi_vsocket *socket, asx_duration delay_ns, int errnum, uint32_t tries)
{
    asx_vnet *const net = socket->net;
    const asx_instant at_ns = asx_time_add(net->env->now_ns, delay_ns);
    socket->in.last_ns = at_ns; /* what the other end sends comes after it */
    asxi_vnet_event(net, at_ns, ASXI_VNET_CONNECTED, socket, (uint64_t)errnum, tries);
}

asx_err asxi_vlisten_connect(asxi_vsocket *socket, const asx_addr *addr)
{
    asx_vnet *const net = socket->net;
    const asx_vstream_faults *const faults = &net->config.stream;
    if (socket->state != ASXI_VSOCKET_NEW) {
        return asx_err_errno(socket->state == ASXI_VSOCKET_CONNECTING ? EALREADY
                             : socket->state == ASXI_VSOCKET_OPEN     ? EISCONN
                                                                      : ECONNABORTED);
    }
    if (net->hosts[socket->host].down) {
        return asx_err_errno(ENETDOWN);
    }
    if (addr->family != socket->local.family) {
        return asx_err_errno(EAFNOSUPPORT);
    }
    socket->remote = *addr;
    const asx_err err = name_self(socket);
    if (err) {
        return err;
    }
    net->stats.connects++;
    socket->op++;
    if (asxi_vnet_fault(socket, faults->unreachable_ppm, SALT_UNREACHABLE)) {
        return asx_err_errno(EHOSTUNREACH);
    }
    socket->state = ASXI_VSOCKET_CONNECTING;
    const asxi_vsocket *const listener = asxi_vsocket_find(net, addr, ASXI_VSOCKET_LISTENER, false);
    const asx_duration delay_ns =
        asxi_vnet_delay(socket, socket->host, listener ? listener->host : socket->host);
    if (asxi_vnet_fault(socket, faults->refused_ppm, SALT_REFUSED)) {
        answer(socket, 2 * delay_ns, ECONNREFUSED, 0);
    } else {
        asxi_vnet_event(net, asx_time_add(net->env->now_ns, delay_ns), ASXI_VNET_SYN, socket, 0, 0);
    }
    return ASX_OK;
}

/* Nobody hears it: once more, until it is enough. */
static void syn_again(asxi_vsocket *socket, const asxi_due *due)
{
    if (due->tries >= SYN_TRIES) {
        answer(socket, 0, ETIMEDOUT, 0);
        return;
    }
    asxi_vnet_event(socket->net, asx_time_add(socket->net->env->now_ns, ASX_NS_PER_S << due->tries),
                    ASXI_VNET_SYN, socket, 0, due->tries + 1);
}

/* The listener's end of a new connection. */
static asxi_vsocket *child_of(asxi_vsocket *listener, asxi_vsocket *socket)
{
    asxi_vsocket *const child =
        asxi_vsocket_new(listener->net, listener->driver, ASXI_VSOCKET_STREAM);
    if (!child) {
        return NULL;
    }
    child->host = listener->host;
    child->unix_domain = listener->unix_domain;
    child->state = ASXI_VSOCKET_OPEN;
    child->local = socket->remote;
    child->remote = socket->local;
    child->peer = socket;
    socket->peer = child;
    socket->refs++;
    child->refs++;
    asx_list_push_back(&listener->backlog, &child->backlog_link);
    listener->backlog_count++;
    return child;
}

void asxi_vlisten_syn(asxi_vsocket *socket, const asxi_due *due)
{
    asx_vnet *const net = socket->net;
    if (socket->closed || socket->state != ASXI_VSOCKET_CONNECTING) {
        return;
    }
    asxi_vsocket *const listener =
        asxi_vsocket_find(net, &socket->remote, ASXI_VSOCKET_LISTENER, !socket->peer);
    const uint32_t host = listener ? listener->host : socket->host;
    socket->op++;
    if (!socket->unix_domain &&
        (asxi_vnet_cut(net, socket->host, host) ||
         asxi_vnet_fault(socket, net->config.stream.syn_lost_ppm, SALT_SYN))) {
        syn_again(socket, due);
        return;
    }
    const asx_duration back_ns = asxi_vnet_delay(socket, host, socket->host);
    if (socket->peer) {
        answer(socket, back_ns, 0, due->tries); /* heard before: the answer was lost */
    } else if (!listener || listener->state == ASXI_VSOCKET_BROKEN) {
        net->stats.refused++;
        answer(socket, back_ns, ECONNREFUSED, 0);
    } else if (listener->backlog_count >= listener->backlog_max) {
        if (socket->unix_domain) {
            answer(socket, back_ns, EAGAIN, 0);
        } else {
            syn_again(socket, due);
        }
    } else if (!child_of(listener, socket)) {
        syn_again(socket, due);
    } else {
        answer(socket, back_ns, 0, due->tries);
        asxi_vsocket_wake_in(listener);
    }
}

void asxi_vlisten_connected(asxi_vsocket *socket, const asxi_due *due)
{
    if (socket->closed || socket->state != ASXI_VSOCKET_CONNECTING) {
        return;
    }
    if (due->arg != 0) {
        asxi_vstream_break(socket, (int)due->arg);
        return;
    }
    if (!socket->unix_domain && asxi_vnet_cut(socket->net, socket->peer->host, socket->host)) {
        syn_again(socket, due);
        return;
    }
    socket->state = ASXI_VSOCKET_OPEN;
    asx_list *const first = asx_list_first(&socket->out_ops);
    if (first && asx_container_of(first, asx_op, _link)->code == ASX_OP_CONNECT) {
        asx_list_unlink(first);
        asxi_vop_over(socket->driver, asx_container_of(first, asx_op, _link), ASX_OK, 0);
    }
    asxi_vsocket_wake_in(socket);
    asxi_vsocket_wake_out(socket);
}

asx_err asxi_vlisten_accept_now(asxi_vsocket *listener, int32_t *fd)
{
    asx_vnet *const net = listener->net;
    asx_list *const first = asx_list_first(&listener->backlog);
    if (listener->error) {
        return asx_err_errno(listener->error); /* of a host that is off: told every time */
    }
    if (!first) {
        return asx_err_errno(EAGAIN);
    }
    asxi_vsocket *const child = asx_container_of(first, asxi_vsocket, backlog_link);
    listener->op++;
    const asx_err err = asxi_vnet_fault(listener, net->config.stream.accept_ppm, SALT_ACCEPT)
                            ? asx_err_errno(EMFILE)
                            : asxi_vfd_open(listener->driver, ASXI_VFD_SOCKET, child, fd);
    if (err) {
        return err;
    }
    asx_list_unlink(first);
    listener->backlog_count--;
    child->fd = *fd;
    net->stats.accepts++;
    asxi_vnet_tell(net, child, ASX_TRACE_CONN_OPEN, child->object,
                   child->peer ? child->peer->object : 0);
    return ASX_OK;
}

asxi_vstep asxi_vlisten_accept(asxi_vsocket *listener, asx_op *op)
{
    int32_t fd;
    op->err = asxi_vlisten_accept_now(listener, &fd);
    if (op->err == asx_err_errno(EAGAIN)) {
        op->err = ASX_OK;
        return ASXI_VSTEP_WAIT;
    }
    if (op->err) {
        return ASXI_VSTEP_OVER;
    }
    if (op->addr) {
        *op->addr =
            ((const asxi_vsocket *)asxi_vfd_get(listener->driver, fd, ASXI_VFD_SOCKET))->remote;
    }
    op->result = (uint32_t)fd;
    return ASXI_VSTEP_LENT;
}

bool asxi_vlisten_turn_away(asxi_vsocket *listener)
{
    asx_list *const first = asx_list_pop_front(&listener->backlog);
    if (!first) {
        return false;
    }
    asxi_vsocket *const child = asx_container_of(first, asxi_vsocket, backlog_link);
    asxi_vsocket *const peer = child->peer;
    listener->backlog_count--;
    child->closed = true;
    if (peer && !peer->closed) {
        asxi_vstream_rst(peer, asxi_vnet_delay(child, child->host, peer->host), ECONNRESET);
    }
    child->state = ASXI_VSOCKET_BROKEN; /* the reset is its end */
    asxi_vstream_end(child);
    asxi_vsocket_unref(child);
    return true;
}

void asxi_vlisten_end(asxi_vsocket *listener)
{
    while (asxi_vlisten_turn_away(listener)) {
    }
    asx_assert_eq(listener->backlog_count, 0);
}
