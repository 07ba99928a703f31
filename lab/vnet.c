#include <asx/lab/event.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/trace.h>

#include "vnet_internal.h"

#include <stdlib.h>
#include <string.h>

#define PORT_COUNT 28232u /* 32768..60999, as Linux has it */
#define PORT_WORDS ((PORT_COUNT + 63) / 64)
#define STALL_NS (100 * ASX_NS_PER_MS)
#define LANE_STREAM 7u /* of draws: 0..6 are vlink's */

uint64_t asx_vnet_config_hash(const asx_vnet_config *config)
{
    const asx_vlink_conditions *const link = &config->link;
    const asx_vstream_faults *const stream = &config->stream;
    const uint64_t words[] = {
        link->model,
        link->latency_ns,
        link->spread_ns,
        link->far_ppm,
        link->jitter_ns,
        link->burst_ns,
        link->bandwidth,
        link->burst_ppm,
        link->loss_ppm,
        link->corrupt_ppm,
        link->truncate_ppm,
        link->reorder_ppm,
        link->duplicate_ppm,
        link->in_flight_max,
        link->mtu,
        stream->split_ppm,
        stream->short_write_ppm,
        stream->short_read_ppm,
        stream->stall_ppm,
        stream->reset_ppm,
        stream->truncate_ppm,
        stream->unread_lost_ppm,
        stream->fin_lost_ppm,
        stream->refused_ppm,
        stream->unreachable_ppm,
        stream->syn_lost_ppm,
        stream->accept_ppm,
        stream->stall_ns,
        config->stream_bytes,
        config->queue_depth,
        config->port_max,
        config->stream_timeout_ns,
    };
    return asx_fnv64_words(ASX_FNV64_EMPTY, words, asx_array_count(words)) | 1;
}

asx_err asx_vnet_create(const asx_vnet_config *config, asx_vnet **net)
{
    asx_vnet *const self = calloc(1, sizeof(*self));
    if (!self) {
        return ASX_E(NO_MEMORY);
    }
    asx_assert(config->env != NULL);
    self->config = *config;
    self->env = config->env;
    self->config.stream_bytes = config->stream_bytes ? config->stream_bytes : 32768;
    self->config.queue_depth = config->queue_depth ? config->queue_depth : 10000;
    self->config.port_max =
        config->port_max && config->port_max < PORT_COUNT ? config->port_max : PORT_COUNT;
    if (self->config.stream_timeout_ns == 0) {
        self->config.stream_timeout_ns = asx_s(30);
    }
    if (self->config.stream.stall_ns == 0) {
        self->config.stream.stall_ns = STALL_NS;
    }
    asx_chunk_source_init(&self->chunks, &(asx_chunk_config){ .numa_node = -1 });
    asx_heap_init(&self->heap, &self->chunks, 0);
    asx_list_init(&self->all);
    for (uint32_t i = 0; i < ASXI_VNET_CHAINS; i++) {
        asx_list_init(&self->chains[i]);
    }
    *net = self;
    return ASX_OK;
}

void asx_vnet_destroy(asx_vnet *net)
{
    asx_list_each(node, &net->all) {
        asx_assert(asx_container_of(node, asxi_vsocket, all)->closed); /* drivers go first */
    }
    for (uint32_t i = 0; i < ASX_VNET_HOST_MAX; i++) {
        free(net->hosts[i].ports);
    }
    asxi_agenda_deinit(&net->agenda);
    asx_heap_close(&net->heap);
    asx_chunk_source_deinit(&net->chunks);
    free(net);
}

asx_instant asx_vnet_next(const asx_vnet *net)
{
    return asxi_agenda_next(&net->agenda);
}

void asxi_vnet_event(asx_vnet *net, asx_instant at_ns, uint32_t kind, void *object, uint64_t arg,
                     uint32_t tries)
{
    if (kind != ASXI_VNET_PACKET) {
        ((asxi_vsocket *)object)->refs++;
    }
    asxi_agenda_add(
        &net->agenda,
        (asxi_due){ .at_ns = at_ns, .object = object, .arg = arg, .kind = kind, .tries = tries });
}

static void event_happens(asx_vnet *net, const asxi_due *due)
{
    asxi_vsocket *const socket = due->object;
    switch (due->kind) {
    case ASXI_VNET_SYN:
        asxi_vlisten_syn(socket, due);
        break;
    case ASXI_VNET_CONNECTED:
        asxi_vlisten_connected(socket, due);
        break;
    case ASXI_VNET_BYTES:
    case ASXI_VNET_FIN:
    case ASXI_VNET_RST:
        asxi_vstream_arrived(socket, due);
        break;
    case ASXI_VNET_WINDOW:
        socket->window_due = false;
        asxi_vsocket_wake_out(socket);
        break;
    case ASXI_VNET_PACKET:
        asxi_vdatagram_arrived(net, due->object);
        return;
    default:
        asx_unreachable();
    }
    asxi_vsocket_unref(socket);
}

void asx_vnet_advance(asx_vnet *net)
{
    asxi_due due;
    while (asxi_agenda_pop(&net->agenda, net->env->now_ns, &due)) {
        event_happens(net, &due);
    }
}

/* Draws and faults */

uint64_t asxi_vnet_draw(const asxi_vsocket *socket, uint32_t salt)
{
    const uint64_t draw =
        asx_lab_draw(socket->net->env->rand, ASX_LAB_NET, socket->object, socket->op, LANE_STREAM);
    return asx_mix64(draw + salt);
}

bool asxi_vnet_fault(asxi_vsocket *socket, uint32_t ppm, uint32_t salt)
{
    asx_vnet *const net = socket->net;
    if (ppm == 0 || asx_lab_draw_below(asxi_vnet_draw(socket, salt), 500000) >= ppm ||
        asxi_vchoose(net->env, ASX_CHOICE_FAULT, 2, socket->object) == 0) {
        return false;
    }
    net->stats.faults++;
    asxi_vnet_tell(net, socket, ASX_TRACE_NET_FAULT, socket->object, salt);
    return true;
}

asx_duration asxi_vnet_delay(asxi_vsocket *socket, uint32_t from, uint32_t to)
{
    if (socket->unix_domain) {
        return 0;
    }
    const asx_vlink_verdict verdict =
        asx_vlink_judge(&asxi_vlink_of(socket->net, from, to)->conditions, socket->net->env->rand,
                        socket->object, socket->op++);
    return verdict.delay_ns + (verdict.lost ? ASXI_VNET_RTO_NS : 0);
}

void asxi_vnet_tell(asx_vnet *net, const asxi_vsocket *socket, uint16_t kind, uint64_t a,
                    uint64_t b)
{
    if (net->env->event) {
        const uint64_t words[] = { a, b, socket->op };
        net->env->event(net->env, socket->driver->config.shard, kind, words, 3);
    }
}

/* Hosts and links */

asxi_vlink *asxi_vlink_of(asx_vnet *net, uint32_t from, uint32_t to)
{
    asxi_vlink **const link = &net->links[from * ASX_VNET_HOST_MAX + to];
    if (!*link) {
        *link = asx_heap_alloc(&net->heap, sizeof(**link));
        asx_assert(*link != NULL);
        **link = (asxi_vlink){ .conditions = net->config.link };
    }
    return *link;
}

bool asxi_vnet_cut(asx_vnet *net, uint32_t from, uint32_t to)
{
    return net->hosts[from].down || net->hosts[to].down || asxi_vlink_of(net, from, to)->cut;
}

uint32_t asxi_vnet_host_of(const asx_vnet *net, const asx_addr *addr, uint32_t fallback)
{
    for (uint32_t i = 0; i < net->name_count; i++) {
        const asx_addr *const name = &net->names[i].addr;
        if (name->family == addr->family &&
            memcmp(name->ip, addr->ip, addr->family == ASX_ADDR_INET ? 4 : 16) == 0) {
            return net->names[i].host;
        }
    }
    return fallback;
}

void asx_vnet_host_name(asx_vnet *net, const asx_addr *addr, uint32_t host)
{
    asx_assert(addr->family == ASX_ADDR_INET || addr->family == ASX_ADDR_INET6);
    asx_assert_lt(net->name_count, ASXI_VNET_NAMES);
    asx_assert_lt(host, ASX_VNET_HOST_MAX);
    net->names[net->name_count].addr = *addr;
    net->names[net->name_count++].host = host;
}

void asx_vnet_link_set(asx_vnet *net, uint32_t from, uint32_t to,
                       const asx_vlink_conditions *conditions)
{
    asxi_vlink *const link = asxi_vlink_of(net, from, to);
    link->conditions = *conditions;
    link->set = true;
}

void asx_vnet_faults_set(asx_vnet *net, const asx_vstream_faults *faults)
{
    net->config.stream = *faults;
    if (faults->stall_ns == 0) {
        net->config.stream.stall_ns = STALL_NS;
    }
}

void asx_vnet_partition(asx_vnet *net, uint32_t a, uint32_t b, bool both)
{
    asxi_vlink_of(net, a, b)->cut = true;
    if (both) {
        asxi_vlink_of(net, b, a)->cut = true;
    }
}

void asx_vnet_heal(asx_vnet *net, uint32_t a, uint32_t b)
{
    asxi_vlink_of(net, a, b)->cut = false;
    asxi_vlink_of(net, b, a)->cut = false;
}

void asx_vnet_heal_all(asx_vnet *net)
{
    const asx_duration stall_ns = net->config.stream.stall_ns;
    net->config.stream = (asx_vstream_faults){ .stall_ns = stall_ns };
    for (uint32_t i = 0; i < ASX_VNET_HOST_MAX * ASX_VNET_HOST_MAX; i++) {
        asxi_vlink *const link = net->links[i];
        if (link) {
            link->cut = false;
            link->conditions.loss_ppm = 0;
            link->conditions.corrupt_ppm = 0;
            link->conditions.truncate_ppm = 0;
            link->conditions.reorder_ppm = 0;
            link->conditions.duplicate_ppm = 0;
        }
    }
    for (uint32_t i = 0; i < ASX_VNET_HOST_MAX; i++) {
        net->hosts[i].down = false;
    }
}

void asx_vnet_crash(asx_vnet *net, uint32_t host)
{
    asx_assert_lt(host, ASX_VNET_HOST_MAX);
    net->hosts[host].down = true;
    asx_list_each(node, &net->all) {
        asxi_vsocket *const socket = asx_container_of(node, asxi_vsocket, all);
        if (socket->host != host || socket->closed) {
            continue;
        }
        if (socket->kind == ASXI_VSOCKET_DATAGRAM) {
            asxi_vdatagram_end(socket);
        }
        socket->crashed = true;
        asxi_vstream_break(socket, ENETDOWN);
    }
}

void asx_vnet_restart(asx_vnet *net, uint32_t host)
{
    net->hosts[host].down = false;
}

/* Ports */

asx_err asxi_vnet_port_take(asx_vnet *net, uint32_t host, uint16_t *port)
{
    asxi_vhost *const at = &net->hosts[host];
    if (!at->ports) {
        at->ports = calloc(PORT_WORDS, sizeof(*at->ports));
        asx_assert(at->ports != NULL);
    }
    if (at->ports_used >= net->config.port_max) {
        return asx_err_errno(EADDRNOTAVAIL);
    }
    while (at->ports[at->next_port / 64] >> (at->next_port % 64) & 1) {
        at->next_port = (at->next_port + 1) % net->config.port_max;
    }
    const uint32_t got = at->next_port;
    at->ports[got / 64] |= UINT64_C(1) << (got % 64);
    at->ports_used++;
    at->next_port = (got + 1) % net->config.port_max;
    *port = (uint16_t)(ASXI_VNET_PORT_FIRST + got);
    return ASX_OK;
}

void asxi_vnet_port_free(asx_vnet *net, uint32_t host, uint16_t port)
{
    asxi_vhost *const at = &net->hosts[host];
    const uint32_t bit = port - ASXI_VNET_PORT_FIRST;
    asx_assert(at->ports[bit / 64] >> (bit % 64) & 1);
    at->ports[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
    at->ports_used--;
}

void asx_vnet_stats_read(const asx_vnet *net, asx_vnet_stats *stats)
{
    *stats = net->stats;
}

void asx_vnet_check(const asx_vnet *net)
{
    uint32_t sockets = 0;
    asx_list_each(node, &net->all) {
        const asxi_vsocket *const socket = asx_container_of(node, asxi_vsocket, all);
        const asxi_vpipe *const in = &socket->in;
        sockets++;
        asx_assert_lt(0, socket->refs);
        asx_assert_le(in->read, in->arrived);
        asx_assert_le(in->arrived, in->written);
        asx_assert_le(in->written - in->read, in->cap);
        if (socket->peer && !socket->closed && socket->kind == ASXI_VSOCKET_STREAM) {
            asx_assert(socket->peer->peer == socket);
        }
        if (socket->in_trying) {
            asx_assert(socket->in_trying->_state == ASXI_VOP_READY ||
                       socket->in_trying->_state == ASXI_VOP_STARVED);
        }
        if (socket->closed) {
            asx_assert(asx_list_empty(&socket->in_ops) && asx_list_empty(&socket->out_ops));
        }
    }
    asx_assert_eq(sockets, net->stats.sockets);
}
