/* One direction of a stream: the bytes, and the pieces in which they travel. */
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include "vnet_internal.h"

#include <string.h>

#define RING_MIN 512u
#define PIECES_MAX 16u

/* Salts of a send's faults. */
enum {
    SALT_SPLIT = 1,
    SALT_STALL,
    SALT_RESET,
    SALT_TRUNCATE,
    SALT_FIN,
    SALT_CUTS,
};

uint32_t asxi_vpipe_room(const asxi_vsocket *receiver)
{
    const uint64_t used = receiver->in.written - receiver->in.read;
    const uint32_t most = receiver->net->config.stream_bytes;
    return used < most ? most - (uint32_t)used : 0;
}

static void ring_copy_in(asxi_vpipe *pipe, const char *bytes, uint32_t len)
{
    const uint32_t at = (uint32_t)(pipe->written & (pipe->cap - 1));
    const uint32_t first = len < pipe->cap - at ? len : pipe->cap - at;
    memcpy(pipe->ring + at, bytes, first);
    memcpy(pipe->ring, bytes + first, len - first);
    pipe->written += len;
}

static void ring_copy_out(asxi_vpipe *pipe, char *bytes, uint32_t len)
{
    const uint32_t at = (uint32_t)(pipe->read & (pipe->cap - 1));
    const uint32_t first = len < pipe->cap - at ? len : pipe->cap - at;
    memcpy(bytes, pipe->ring + at, first);
    memcpy(bytes + first, pipe->ring, len - first);
    pipe->read += len;
}

static bool ring_grow(asxi_vsocket *receiver, uint64_t need)
{
    asxi_vpipe *const pipe = &receiver->in;
    asx_heap *const heap = &receiver->net->heap;
    asxi_vpipe grown = *pipe;
    grown.cap = RING_MIN;
    while (grown.cap < need) {
        grown.cap *= 2;
    }
    grown.ring = asx_heap_alloc(heap, grown.cap);
    if (!grown.ring) {
        return false;
    }
    if (pipe->ring) {
        for (uint64_t at = pipe->read; at < pipe->written; at++) {
            grown.ring[at & (grown.cap - 1)] = pipe->ring[at & (pipe->cap - 1)];
        }
        asx_heap_free(heap, pipe->ring, pipe->cap);
    }
    *pipe = grown;
    return true;
}

bool asxi_vpipe_put(asxi_vsocket *receiver, const char *bytes, uint32_t len)
{
    asxi_vpipe *const pipe = &receiver->in;
    const uint64_t need = pipe->written - pipe->read + len;
    asx_assert_le(len, asxi_vpipe_room(receiver));
    if (need > pipe->cap && !ring_grow(receiver, need)) {
        return false;
    }
    ring_copy_in(pipe, bytes, len);
    return true;
}

uint32_t asxi_vpipe_take(asxi_vsocket *receiver, char *bytes, uint32_t len)
{
    asxi_vpipe *const pipe = &receiver->in;
    const uint64_t here = pipe->arrived - pipe->read;
    const uint32_t taken = here < len ? (uint32_t)here : len;
    ring_copy_out(pipe, bytes, taken);
    return taken;
}

void asxi_vpipe_free(asxi_vsocket *receiver)
{
    asxi_vpipe *const pipe = &receiver->in;
    if (pipe->ring) {
        asx_heap_free(&receiver->net->heap, pipe->ring, pipe->cap);
    }
    pipe->ring = NULL;
    pipe->cap = 0;
    pipe->read = pipe->written;
    pipe->arrived = pipe->written;
}

/* When a piece that leaves now arrives: never before what left earlier. */
static asx_instant piece_due(asxi_vsocket *sender, uint32_t len, asx_duration stall_ns)
{
    asx_vnet *const net = sender->net;
    asxi_vsocket *const receiver = sender->peer;
    asx_instant at_ns = net->env->now_ns;
    if (!sender->unix_domain) {
        asxi_vlink *const link = asxi_vlink_of(net, sender->host, receiver->host);
        const asx_duration busy_ns = asx_vlink_serialisation(&link->conditions, len);
        if (busy_ns > 0) {
            at_ns = link->busy_until_ns > at_ns ? link->busy_until_ns : at_ns;
            at_ns = asx_time_add(at_ns, busy_ns);
            link->busy_until_ns = at_ns;
        }
        at_ns = asx_time_add(at_ns, asxi_vnet_delay(sender, sender->host, receiver->host));
    }
    at_ns = asx_time_add(at_ns, stall_ns);
    at_ns = at_ns > receiver->in.last_ns ? at_ns : receiver->in.last_ns;
    receiver->in.last_ns = at_ns;
    return at_ns;
}

/* Where the blank line of a head ends among the last len bytes, or 0. */
static uint32_t boundary_of(const asxi_vpipe *pipe, uint32_t len)
{
    const uint64_t base = pipe->written - len;
    for (uint32_t i = 4; i < len; i++) {
        const uint64_t at = base + i;
        if (pipe->ring[(at - 1) & (pipe->cap - 1)] == '\n' &&
            pipe->ring[(at - 2) & (pipe->cap - 1)] == '\r' &&
            pipe->ring[(at - 3) & (pipe->cap - 1)] == '\n') {
            return i;
        }
    }
    return 0;
}

/* The lengths at which len bytes are cut, ascending; the shapes that break parsers come first. */
static uint32_t cuts_choose(asxi_vsocket *sender, uint32_t len, uint32_t *cuts)
{
    asx_vnet *const net = sender->net;
    const uint64_t draw = asxi_vnet_draw(sender, SALT_CUTS);
    const uint32_t boundary = boundary_of(&sender->peer->in, len);
    uint32_t at = 0, count = 0;
    switch (asxi_vchoose(net->env, ASX_CHOICE_IORES, 8, sender->object)) {
    case 0:
        return 0;
    case 1:
        cuts[0] = 1;
        return 1;
    case 2:
        cuts[0] = len < 3 ? 1 : 2;
        return 1;
    case 3:
        cuts[0] = len - 1;
        return 1;
    case 4:
    case 5: /* one before the boundary, or one after */
        at = boundary + (uint32_t)(draw & 1 ? 1 : -1);
        cuts[0] = boundary && at > 0 && at < len ? at : 1;
        return 1;
    case 6:
        cuts[0] = 1 + (uint32_t)asx_lab_draw_below(draw, len - 1);
        return 1;
    default:
        break;
    }
    for (uint64_t bits = draw; count < PIECES_MAX - 1 && at + 1 < len; count++) {
        at += 1 + (uint32_t)asx_lab_draw_below(asx_splitmix64(&bits), len - at - 1) / 2;
        cuts[count] = at;
    }
    return count;
}

/* A cut connection: of the last len bytes so many still go out. */
static uint32_t tail_drop(asxi_vsocket *sender, uint32_t len, uint32_t salt)
{
    const uint32_t kept = (uint32_t)asx_lab_draw_below(asxi_vnet_draw(sender, salt + 100), len);
    sender->peer->in.written -= len - kept;
    return kept;
}

static void pieces_send(asxi_vsocket *sender, uint32_t len)
{
    asx_vnet *const net = sender->net;
    asxi_vsocket *const receiver = sender->peer;
    const uint64_t base = receiver->in.written - len;
    uint32_t cuts[PIECES_MAX], count = 0, from = 0;
    asx_duration stall_ns = 0;
    if (asxi_vnet_fault(sender, net->config.stream.stall_ppm, SALT_STALL)) {
        stall_ns = net->config.stream.stall_ns;
    }
    if (len > 1 && net->config.stream.split_ppm > 0 &&
        asx_lab_draw_hits(asxi_vnet_draw(sender, SALT_SPLIT), net->config.stream.split_ppm)) {
        count = cuts_choose(sender, len, cuts);
    }
    cuts[count++] = len;
    for (uint32_t i = 0; i < count; i++) {
        const asx_instant due_ns = piece_due(sender, cuts[i] - from, stall_ns);
        asxi_vnet_event(net, due_ns, ASXI_VNET_BYTES, receiver, base + cuts[i], 0);
        from = cuts[i];
    }
}

void asxi_vpipe_send(asxi_vsocket *sender, uint32_t len)
{
    asx_vnet *const net = sender->net;
    asxi_vsocket *const receiver = sender->peer;
    const asx_vstream_faults *const faults = &net->config.stream;
    asx_assert(len > 0);
    sender->op++;
    net->stats.stream_bytes_sent += len;
    const bool reset = asxi_vnet_fault(sender, faults->reset_ppm, SALT_RESET);
    const bool truncated = !reset && asxi_vnet_fault(sender, faults->truncate_ppm, SALT_TRUNCATE);
    if (reset || truncated) {
        len = tail_drop(sender, len, SALT_RESET);
    }
    if (len > 0) {
        pieces_send(sender, len);
    }
    if (truncated) {
        asxi_vpipe_fin(sender);
    } else if (reset) {
        receiver->in.fin_sent = true; /* nothing else goes this way */
        asxi_vnet_event(
            net, receiver->in.last_ns > net->env->now_ns ? receiver->in.last_ns : net->env->now_ns,
            ASXI_VNET_RST, receiver, ECONNRESET, 0);
        asxi_vstream_rst(sender, asxi_vnet_delay(sender, receiver->host, sender->host), ECONNRESET);
    }
}

void asxi_vpipe_fin(asxi_vsocket *sender)
{
    asx_vnet *const net = sender->net;
    asxi_vsocket *const receiver = sender->peer;
    if (receiver->in.fin_sent) {
        return;
    }
    receiver->in.fin_sent = true;
    sender->op++;
    if (!asxi_vnet_fault(sender, net->config.stream.fin_lost_ppm, SALT_FIN)) {
        asxi_vnet_event(net, piece_due(sender, 0, 0), ASXI_VNET_FIN, receiver, receiver->in.written,
                        0);
    }
}
