/* Datagrams: packets with a fate each. Once nothing is in flight, delivered + dropped is sent +
 * duplicated. */
#include <asx/shard/base/assert.h>
#include <asx/shard/trace.h>

#include "vnet_internal.h"

#include <string.h>

static void packet_free(asx_vnet *net, asxi_vpacket *packet)
{
    packet->to->queued--;
    asxi_vsocket_unref(packet->to);
    asx_heap_free(&net->heap, packet, sizeof(*packet) + packet->room);
}

asxi_vstep asxi_vdatagram_recv(asxi_vsocket *socket, asx_op *op)
{
    if (socket->error) {
        op->err = asx_err_errno(socket->error); /* its host is off: told every time */
        return ASXI_VSTEP_OVER;
    }
    asx_list *const first = asx_list_pop_front(&socket->inbox);
    if (!first) {
        return ASXI_VSTEP_WAIT;
    }
    asxi_vpacket *const packet = asx_container_of(first, asxi_vpacket, link);
    op->result = packet->len < op->iov->iov_len ? packet->len : (uint32_t)op->iov->iov_len;
    memcpy(op->iov->iov_base, packet->bytes, op->result);
    if (op->addr) {
        *op->addr = packet->from;
    }
    packet_free(socket->net, packet);
    return ASXI_VSTEP_OVER;
}

static void damage(asxi_vpacket *packet, const asx_vlink_verdict *verdict)
{
    if (verdict->truncated && packet->len > 0) {
        packet->len = (uint32_t)asx_lab_draw_below(asx_mix64(verdict->damage), packet->len);
    }
    if (verdict->corrupted && packet->len > 0) {
        const uint64_t bit = asx_lab_draw_below(verdict->damage, (uint64_t)packet->len * 8);
        packet->bytes[bit / 8] = (char)(packet->bytes[bit / 8] ^ (1 << (bit % 8)));
    }
}

/* One copy goes on its way, unless the link or the receiver is full. */
static bool packet_send(asxi_vsocket *from, asxi_vsocket *to, const struct iovec *iov,
                        const asx_vlink_verdict *verdict, asx_instant at_ns)
{
    asx_vnet *const net = from->net;
    asxi_vlink *const link = asxi_vlink_of(net, from->host, to->host);
    const uint32_t len = (uint32_t)iov->iov_len;
    const uint32_t in_flight_max = link->conditions.in_flight_max;
    if (to->queued >= net->config.queue_depth ||
        (in_flight_max > 0 && link->in_flight >= in_flight_max)) {
        return false;
    }
    asxi_vpacket *const packet = asx_heap_alloc(&net->heap, sizeof(*packet) + len);
    if (!packet) {
        return false;
    }
    *packet = (asxi_vpacket){ .to = to, .from_host = from->host, .len = len, .room = len };
    packet->from = from->local;
    memcpy(packet->bytes, iov->iov_base, len);
    damage(packet, verdict);
    to->refs++;
    to->queued++;
    link->in_flight++;
    net->stats.in_flight++;
    asxi_vnet_event(net, at_ns, ASXI_VNET_PACKET, packet, 0, 0);
    return true;
}

/* What the links do to it, in the order of the model: a dead end, loss, latency, a second copy. */
static void launch(asxi_vsocket *from, const asx_addr *addr, const struct iovec *iov)
{
    asx_vnet *const net = from->net;
    asxi_vsocket *const to = asxi_vsocket_find(net, addr, ASXI_VSOCKET_DATAGRAM, true);
    const uint64_t op = from->op++;
    net->stats.sent++;
    if (!to || to->state == ASXI_VSOCKET_BROKEN || asxi_vnet_cut(net, from->host, to->host)) {
        net->stats.dropped++;
        return;
    }
    asxi_vlink *const link = asxi_vlink_of(net, from->host, to->host);
    const asx_vlink_conditions *const conditions = &link->conditions;
    asx_vlink_verdict verdict = asx_vlink_judge(conditions, net->env->rand, from->object, op);
    if (verdict.lost || (conditions->mtu > 0 && iov->iov_len > conditions->mtu)) {
        net->stats.dropped++;
        asxi_vnet_tell(net, from, ASX_TRACE_NET_FAULT, from->object, op);
        return;
    }
    asx_instant at_ns = net->env->now_ns;
    const asx_duration busy_ns = asx_vlink_serialisation(conditions, iov->iov_len);
    if (busy_ns > 0) {
        at_ns = asx_time_add(link->busy_until_ns > at_ns ? link->busy_until_ns : at_ns, busy_ns);
        link->busy_until_ns = at_ns;
    }
    at_ns = asx_time_add(at_ns, verdict.delay_ns);
    if (!packet_send(from, to, iov, &verdict, at_ns)) {
        net->stats.dropped++;
    } else if (verdict.duplicated) {
        net->stats.duplicated++;
        verdict.corrupted = false;
        verdict.truncated = false;
        if (!packet_send(from, to, iov, &verdict,
                         asx_time_add(at_ns, verdict.duplicate_delay_ns))) {
            net->stats.dropped++;
        }
    }
}

asxi_vstep asxi_vdatagram_send(asxi_vsocket *socket, asx_op *op)
{
    if (socket->error) {
        op->err = asx_err_errno(socket->error);
        return ASXI_VSTEP_OVER;
    }
    if (op->iov->iov_len > 65507) {
        op->err = asx_err_errno(EMSGSIZE);
        return ASXI_VSTEP_OVER;
    }
    if (!socket->bound) {
        const asx_addr any = { .family = op->addr->family };
        op->err = asxi_vsocket_bind(socket, &any);
        if (op->err) {
            return ASXI_VSTEP_OVER;
        }
    }
    launch(socket, op->addr, op->iov);
    op->result = (uint32_t)op->iov->iov_len;
    return ASXI_VSTEP_OVER;
}

void asxi_vdatagram_arrived(asx_vnet *net, asxi_vpacket *packet)
{
    asxi_vsocket *const to = packet->to;
    asxi_vlink_of(net, packet->from_host, to->host)->in_flight--;
    net->stats.in_flight--;
    if (to->closed || to->state == ASXI_VSOCKET_BROKEN ||
        asxi_vnet_cut(net, packet->from_host, to->host)) {
        net->stats.dropped++;
        packet_free(net, packet);
        return;
    }
    net->stats.delivered++;
    asx_list_push_back(&to->inbox, &packet->link);
    asxi_vsocket_wake_in(to);
}

/* Closed, or its host is off: what nobody read is gone. */
void asxi_vdatagram_end(asxi_vsocket *socket)
{
    for (asx_list *node; (node = asx_list_pop_front(&socket->inbox)) != NULL;) {
        packet_free(socket->net, asx_container_of(node, asxi_vpacket, link));
    }
}
