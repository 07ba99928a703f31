/* Sockets: descriptors, names, and which operation goes on when.
 *
 * Of each direction the oldest op is tried, the others wait: bytes and connections go to operations
 * in the order of their submission. */
#include <asx/shard/base/assert.h>
#include <asx/shard/trace.h>

#include "vnet_internal.h"

#include <poll.h>
#include <string.h>

static uint32_t chain_of(const asx_addr *addr)
{
    uint64_t hash = addr->family * UINT64_C(0x9E3779B97F4A7C15) + addr->port;
    if (addr->family == ASX_ADDR_UNIX) {
        for (const char *at = addr->path; *at; at++) {
            hash = asx_mix64(hash + (unsigned char)*at);
        }
    }
    return (uint32_t)asx_mix64(hash) % ASXI_VNET_CHAINS; /* ports, so that wildcards are found */
}

static bool ip_any(const asx_addr *addr)
{
    static const uint8_t none[16];
    return memcmp(addr->ip, none, addr->family == ASX_ADDR_INET ? 4 : 16) == 0;
}

static bool addr_serves(const asx_addr *bound, const asx_addr *asked)
{
    if (bound->family != asked->family || bound->port != asked->port) {
        return false;
    }
    if (bound->family == ASX_ADDR_UNIX) {
        return strcmp(bound->path, asked->path) == 0;
    }
    return ip_any(bound) ||
           memcmp(bound->ip, asked->ip, bound->family == ASX_ADDR_INET ? 4 : 16) == 0;
}

asxi_vsocket *asxi_vsocket_new(asx_vnet *net, asxi_vdriver *driver, asxi_vsocket_kind kind)
{
    asxi_vsocket *const socket = asx_heap_alloc(&net->heap, sizeof(*socket));
    if (!socket) {
        return NULL;
    }
    memset(socket, 0, sizeof(*socket));
    socket->net = net;
    socket->driver = driver;
    socket->refs = 1;
    socket->host = driver->config.host;
    socket->object = (uint64_t)driver->config.shard << 32 | ++driver->objects;
    socket->kind = kind;
    socket->state = kind == ASXI_VSOCKET_STREAM ? ASXI_VSOCKET_NEW : ASXI_VSOCKET_OPEN;
    socket->fd = -1;
    asx_list_init(&socket->in_ops);
    asx_list_init(&socket->out_ops);
    asx_list_init(&socket->polls);
    asx_list_init(&socket->backlog);
    asx_list_init(&socket->inbox);
    asx_list_push_back(&net->all, &socket->all);
    net->stats.sockets++;
    return socket;
}

void asxi_vsocket_unref(asxi_vsocket *socket)
{
    asx_vnet *const net = socket->net;
    asx_assert_lt(0, socket->refs);
    if (--socket->refs > 0) {
        return;
    }
    asx_assert(socket->closed && !socket->peer && !socket->bound);
    asxi_vpipe_free(socket);
    asx_list_unlink(&socket->all);
    net->stats.sockets--;
    asx_heap_free(&net->heap, socket, sizeof(*socket));
}

/* Names */

/* Among several that share a port, the run chooses who gets what comes next. */
static asxi_vsocket *find_among(asx_vnet *net, asxi_vsocket *first, const asx_addr *addr)
{
    asxi_vsocket *sharers[ASX_VNET_HOST_MAX];
    uint32_t n = 0;
    asx_list_each(node, &net->chains[chain_of(addr)]) {
        asxi_vsocket *const socket = asx_container_of(node, asxi_vsocket, chain);
        if (socket->kind == first->kind && socket->reuse_port &&
            addr_serves(&socket->local, addr) && n < ASX_VNET_HOST_MAX) {
            sharers[n++] = socket;
        }
    }
    const uint32_t natural = (uint32_t)(net->stats.connects % n);
    return sharers[(natural + asxi_vchoose(net->env, ASX_CHOICE_ACCEPT, n, first->object)) % n];
}

asxi_vsocket *asxi_vsocket_find(asx_vnet *net, const asx_addr *addr, asxi_vsocket_kind kind,
                                bool choose)
{
    asx_list_each(node, &net->chains[chain_of(addr)]) {
        asxi_vsocket *const socket = asx_container_of(node, asxi_vsocket, chain);
        if (socket->kind == kind && addr_serves(&socket->local, addr)) {
            return choose && socket->reuse_port ? find_among(net, socket, addr) : socket;
        }
    }
    return NULL;
}

static bool name_taken(const asxi_vsocket *socket, const asx_addr *local)
{
    asx_list_each(node, &socket->net->chains[chain_of(local)]) {
        const asxi_vsocket *const other = asx_container_of(node, asxi_vsocket, chain);
        const bool same = addr_serves(&other->local, local) || addr_serves(local, &other->local);
        if (same && other->kind == socket->kind && !(other->reuse_port && socket->reuse_port)) {
            return true;
        }
    }
    return false;
}

asx_err asxi_vsocket_bind(asxi_vsocket *socket, const asx_addr *local)
{
    asx_vnet *const net = socket->net;
    socket->local = *local;
    socket->host = asxi_vnet_host_of(net, local, socket->host);
    if (net->hosts[socket->host].down) {
        return asx_err_errno(ENETDOWN);
    }
    if (local->family != ASX_ADDR_UNIX && local->port == 0) {
        const asx_err err = asxi_vnet_port_take(net, socket->host, &socket->local.port);
        if (err) {
            return err;
        }
        socket->ephemeral = true;
    }
    if (socket->kind == ASXI_VSOCKET_STREAM) {
        return ASX_OK; /* nobody looks for it */
    }
    if (name_taken(socket, &socket->local)) {
        return asx_err_errno(EADDRINUSE);
    }
    asx_list_push_back(&net->chains[chain_of(&socket->local)], &socket->chain);
    socket->bound = true;
    return ASX_OK;
}

static void undo_name(asxi_vsocket *socket)
{
    asx_list_unlink(&socket->chain);
    socket->bound = false;
    if (socket->ephemeral) {
        asxi_vnet_port_free(socket->net, socket->host, socket->local.port);
        socket->ephemeral = false;
    }
}

/* A new socket with a descriptor, or the reason why not. */
static asx_err open_named(asxi_vdriver *driver, asxi_vsocket_kind kind, const asx_addr *local,
                          asx_addr_family family, const asx_listen_options *options, int32_t *fd)
{
    asxi_vsocket *const socket = asxi_vsocket_new(driver->config.net, driver, kind);
    asx_err err = socket ? ASX_OK : asx_err_errno(ENOMEM);
    if (!socket) {
        return err;
    }
    socket->local.family = (uint8_t)family;
    socket->unix_domain = family == ASX_ADDR_UNIX;
    socket->reuse_port = options && options->reuse_port;
    socket->backlog_max = options && options->backlog ? options->backlog : 4096;
    if (local) {
        err = asxi_vsocket_bind(socket, local);
    }
    if (!err) {
        err = asxi_vfd_open(driver, ASXI_VFD_SOCKET, socket, &socket->fd);
    }
    if (err) {
        undo_name(socket);
        socket->closed = true;
        asxi_vsocket_unref(socket);
        return err;
    }
    *fd = socket->fd;
    return ASX_OK;
}

asx_err asxi_vsocket_listen(asxi_vdriver *driver, const asx_addr *addr,
                            const asx_listen_options *options, int32_t *fd)
{
    return open_named(driver, ASXI_VSOCKET_LISTENER, addr, (asx_addr_family)addr->family, options,
                      fd);
}

asx_err asxi_vsocket_open(asxi_vdriver *driver, asx_addr_family family, bool datagram,
                          const asx_addr *local, int32_t *fd)
{
    return open_named(driver, datagram ? ASXI_VSOCKET_DATAGRAM : ASXI_VSOCKET_STREAM, local, family,
                      NULL, fd);
}

/* Operations */

static bool is_in(const asx_op *op)
{
    return op->code == ASX_OP_ACCEPT || op->code == ASX_OP_RECV || op->code == ASX_OP_RECVFROM ||
           op->code == ASX_OP_READ;
}

static bool readable(const asxi_vsocket *socket)
{
    switch (socket->kind) {
    case ASXI_VSOCKET_STREAM:
        return asxi_vstream_readable(socket);
    case ASXI_VSOCKET_LISTENER:
        return socket->error || !asx_list_empty(&socket->backlog);
    case ASXI_VSOCKET_DATAGRAM:
        return socket->error || !asx_list_empty(&socket->inbox);
    }
    return false;
}

uint32_t asxi_vsocket_revents(const asxi_vsocket *socket)
{
    uint32_t revents = readable(socket) ? POLLIN : 0;
    if (socket->kind == ASXI_VSOCKET_STREAM) {
        revents |= asxi_vstream_writable(socket) ? POLLOUT : 0;
        revents |= socket->state == ASXI_VSOCKET_BROKEN ? POLLHUP : 0;
        revents |= socket->in.fin_arrived && socket->write_shut ? POLLHUP : 0;
    } else if (socket->kind == ASXI_VSOCKET_DATAGRAM) {
        revents |= POLLOUT;
    }
    return revents | (socket->error ? POLLERR : 0);
}

static void wake_polls(asxi_vsocket *socket)
{
    if (asx_list_empty(&socket->polls)) {
        return;
    }
    const uint32_t revents = asxi_vsocket_revents(socket);
    asx_list_each_safe(node, &socket->polls) {
        asx_op *const op = asx_container_of(node, asx_op, _link);
        const uint32_t seen = revents & (op->arg | POLLERR | POLLHUP);
        if (seen) {
            asx_list_unlink(node);
            asxi_vop_over(socket->driver, op, ASX_OK, seen);
        }
    }
}

void asxi_vsocket_wake_in(asxi_vsocket *socket)
{
    asx_list *const first = asx_list_first(&socket->in_ops);
    if (first && !socket->in_trying && readable(socket)) {
        asx_list_unlink(first);
        socket->in_trying = asx_container_of(first, asx_op, _link);
        asxi_vop_ready(socket->driver, socket->in_trying);
    }
    wake_polls(socket);
}

void asxi_vsocket_wake_out(asxi_vsocket *socket)
{
    asx_list *const first = asx_list_first(&socket->out_ops);
    if (first && !socket->out_trying &&
        (socket->kind != ASXI_VSOCKET_STREAM || asxi_vstream_writable(socket))) {
        asx_list_unlink(first);
        socket->out_trying = asx_container_of(first, asx_op, _link);
        asxi_vop_ready(socket->driver, socket->out_trying);
    }
    wake_polls(socket);
}

static void op_wait(asx_list *ops, asx_op *op, bool first)
{
    op->_state = ASXI_VOP_WAITING;
    if (first) {
        asx_list_push_front(ops, &op->_link);
    } else {
        asx_list_push_back(ops, &op->_link);
    }
}

static bool op_fits(const asxi_vsocket *socket, const asx_op *op)
{
    switch ((asx_op_code)op->code) {
    case ASX_OP_ACCEPT:
        return socket->kind == ASXI_VSOCKET_LISTENER;
    case ASX_OP_RECVFROM:
    case ASX_OP_SENDTO:
        return socket->kind == ASXI_VSOCKET_DATAGRAM;
    case ASX_OP_RECV:
    case ASX_OP_SEND:
    case ASX_OP_SENDV:
    case ASX_OP_SENDFILE:
    case ASX_OP_READ:
    case ASX_OP_WRITE:
    case ASX_OP_CONNECT:
    case ASX_OP_SHUTDOWN:
        return socket->kind == ASXI_VSOCKET_STREAM;
    case ASX_OP_POLL:
        return true;
    case ASX_OP_NONE:
    case ASX_OP_CLOSE:
    case ASX_OP_OPEN:
    case ASX_OP_STAT:
    case ASX_OP_FSYNC:
    case ASX_OP_TASK:
        break;
    }
    return false;
}

/* Sends take what there is room for at once: the bytes may be changed only after done(), but a
 * SHUTDOWN in the same batch must come after them. */
static void submit_out(asxi_vsocket *socket, asx_op *op)
{
    if (socket->out_trying || !asx_list_empty(&socket->out_ops)) {
        op_wait(&socket->out_ops, op, false);
        return;
    }
    socket->out_trying = op;
    op->_state = ASXI_VOP_WAITING;
    if (asxi_vsocket_step(socket, op) == ASXI_VSTEP_OVER) {
        asxi_vop_over(socket->driver, op, op->err, op->result);
    }
}

void asxi_vsocket_submit(asxi_vsocket *socket, asx_op *op)
{
    asxi_vdriver *const driver = socket->driver;
    if (!op_fits(socket, op)) {
        asxi_vop_over(driver, op, asx_err_errno(op->code == ASX_OP_ACCEPT ? EINVAL : ENOTSUP), 0);
    } else if (op->code == ASX_OP_SHUTDOWN) {
        asxi_vop_over(driver, op, asxi_vstream_shutdown(socket, op->arg), 0);
    } else if (op->code == ASX_OP_CONNECT) {
        const asx_err err = asxi_vlisten_connect(socket, op->addr);
        if (err) {
            asxi_vop_over(driver, op, err, 0);
        } else {
            op_wait(&socket->out_ops, op, true);
        }
    } else if (op->code == ASX_OP_POLL) {
        op_wait(&socket->polls, op, false);
        wake_polls(socket);
    } else if (is_in(op)) {
        op_wait(&socket->in_ops, op, false);
        asxi_vsocket_wake_in(socket);
    } else {
        submit_out(socket, op);
    }
}

static asxi_vstep try_op(asxi_vsocket *socket, asx_op *op)
{
    const bool in = is_in(op);
    if (socket->kind == ASXI_VSOCKET_LISTENER) {
        return asxi_vlisten_accept(socket, op);
    }
    if (socket->kind == ASXI_VSOCKET_DATAGRAM) {
        return in ? asxi_vdatagram_recv(socket, op) : asxi_vdatagram_send(socket, op);
    }
    return in ? asxi_vstream_recv(socket, op) : asxi_vstream_send(socket, op);
}

/* The op was the one of its direction that is tried. */
asxi_vstep asxi_vsocket_step(asxi_vsocket *socket, asx_op *op)
{
    const bool in = is_in(op);
    asx_op **const trying = in ? &socket->in_trying : &socket->out_trying;
    asx_assert(*trying == op);
    const asxi_vstep stepped = try_op(socket, op);
    if (op->_state == ASXI_VOP_STARVED || op->_state == ASXI_VOP_READY) {
        return stepped; /* it stays the one that is tried */
    }
    *trying = NULL;
    if (stepped != ASXI_VSTEP_OVER) {
        op_wait(in ? &socket->in_ops : &socket->out_ops, op, true);
    }
    if (in) {
        asxi_vsocket_wake_in(socket);
    } else {
        asxi_vsocket_wake_out(socket);
    }
    return stepped;
}

void asxi_vsocket_leave(asxi_vsocket *socket, asx_op *op)
{
    asxi_vop_unready(socket->driver, op);
    if (socket->in_trying == op) {
        socket->in_trying = NULL;
        asxi_vsocket_wake_in(socket);
    } else if (socket->out_trying == op) {
        socket->out_trying = NULL;
        asxi_vsocket_wake_out(socket);
    }
}

/* What still waits on a descriptor that closes ends. */
static void ops_end(asxi_vsocket *socket)
{
    asx_list *const lists[] = { &socket->in_ops, &socket->out_ops, &socket->polls };
    asx_op *const trying[] = { socket->in_trying, socket->out_trying };
    socket->in_trying = NULL;
    socket->out_trying = NULL;
    for (int i = 0; i < 2; i++) {
        if (trying[i]) {
            asxi_vop_unready(socket->driver, trying[i]);
            asxi_vop_over(socket->driver, trying[i], asx_err_errno(ECANCELED), trying[i]->result);
        }
    }
    for (int i = 0; i < 3; i++) {
        for (asx_list *node; (node = asx_list_pop_front(lists[i])) != NULL;) {
            asx_op *const op = asx_container_of(node, asx_op, _link);
            const uint32_t moved = op->code == ASX_OP_CONNECT ? 0 : op->result;
            asxi_vop_over(socket->driver, op, asx_err_errno(ECANCELED), moved);
        }
    }
}

void asxi_vsocket_close(asxi_vsocket *socket)
{
    asxi_vfd_free(socket->driver, socket->fd);
    socket->fd = -1;
    ops_end(socket);
    socket->closed = true;
    undo_name(socket);
    switch (socket->kind) {
    case ASXI_VSOCKET_STREAM:
        asxi_vnet_tell(socket->net, socket, ASX_TRACE_CONN_CLOSE, socket->object,
                       socket->peer ? socket->peer->object : 0);
        asxi_vstream_end(socket);
        break;
    case ASXI_VSOCKET_LISTENER:
        asxi_vlisten_end(socket);
        break;
    case ASXI_VSOCKET_DATAGRAM:
        asxi_vdatagram_end(socket);
        break;
    }
    asxi_vsocket_unref(socket);
}
