/* The virtual network's records, and the seams between its files:
 *
 *   vnet.c     hosts, links, events     vsocket.c   descriptors, names, what an operation goes to
 *   vpipe.c    the bytes of a direction vstream.c   send, receive, ends and resets
 *   vlisten.c  handshakes               vdatagram.c packets */
#ifndef ASX_LAB_VNET_INTERNAL_H
#define ASX_LAB_VNET_INTERNAL_H

#include <asx/lab/vnet.h>
#include <asx/shard/base/list.h>
#include <asx/shard/heap.h>

#include "agenda_internal.h"
#include "vdriver_internal.h"

/* Kinds of events. Each is about a socket, which it holds. */
enum {
    ASXI_VNET_SYN = 1,   /* the connect of object is heard */
    ASXI_VNET_CONNECTED, /* and answered; arg: 0, or the errno */
    ASXI_VNET_BYTES,     /* arg: position up to which they arrived at object */
    ASXI_VNET_FIN,       /* likewise, and then the end */
    ASXI_VNET_RST,       /* arg: the errno */
    ASXI_VNET_WINDOW,    /* object may send again */
    ASXI_VNET_PACKET,    /* object: the packet */
};

typedef enum asxi_vsocket_kind {
    ASXI_VSOCKET_STREAM = 1,
    ASXI_VSOCKET_LISTENER,
    ASXI_VSOCKET_DATAGRAM,
} asxi_vsocket_kind;

typedef enum asxi_vsocket_state {
    ASXI_VSOCKET_NEW = 0,
    ASXI_VSOCKET_CONNECTING,
    ASXI_VSOCKET_OPEN,   /* stream: has a peer; others: from the start */
    ASXI_VSOCKET_BROKEN, /* reset, or its host is off */
} asxi_vsocket_state;

/* One direction of a connection, kept at its receiver: read <= arrived <= written, positions since
 * the beginning. */
typedef struct asxi_vpipe {
    char *ring;
    uint32_t cap;
    uint64_t read, arrived, written;
    asx_instant last_ns; /* when the last of it arrives */
    bool fin_sent, fin_arrived;
} asxi_vpipe;

typedef struct asxi_vpacket {
    struct asxi_vsocket *to; /* held */
    asx_list link;           /* in its inbox */
    uint32_t from_host, len, room;
    asx_addr from;
    char bytes[];
} asxi_vpacket;

typedef struct asxi_vsocket {
    asx_vnet *net;
    asxi_vdriver *driver;
    uint32_t refs; /* its descriptor or backlog, its peer, its events */
    uint32_t host;
    uint64_t object, op; /* what its draws are keyed by */
    asxi_vsocket_kind kind;
    asxi_vsocket_state state;
    int32_t fd;
    bool closed;    /* no descriptor and no backlog has it */
    bool bound;     /* in the table of addresses */
    bool ephemeral; /* its port counts as one */
    bool reuse_port, unix_domain;
    bool write_shut, read_shut;
    bool window_due; /* a WINDOW event for it is on its way */
    bool crashed;    /* its host went down under it */
    int error;       /* an errno, told once */
    asx_addr local, remote;
    struct asxi_vsocket *peer;
    asxi_vpipe in;
    asx_list in_ops, out_ops, polls; /* WAITING, oldest first */
    asx_op *in_trying, *out_trying;  /* READY or STARVED: the first of its direction */
    asx_list backlog;                /* listener: of children, by backlog_link */
    asx_list backlog_link;
    uint32_t backlog_count, backlog_max;
    asx_list inbox;  /* datagram: of packets */
    uint32_t queued; /* packets in flight to it and in the inbox */
    asx_list chain, all;
} asxi_vsocket;

typedef struct asxi_vlink {
    asx_vlink_conditions conditions;
    asx_instant busy_until_ns;
    uint32_t in_flight;
    bool set, cut;
} asxi_vlink;

typedef struct asxi_vhost {
    bool down;
    uint32_t ports_used, next_port;
    uint64_t *ports; /* a bit each from ASXI_VNET_PORT_FIRST on; NULL before the first */
} asxi_vhost;

#define ASXI_VNET_RTO_NS (200 * ASX_NS_PER_MS)
#define ASXI_VNET_PORT_FIRST 32768u
#define ASXI_VNET_CHAINS 256u
#define ASXI_VNET_NAMES 32u

struct asx_vnet {
    asx_vnet_config config;
    asx_lab_env *env;
    asxi_agenda agenda;
    asx_chunk_source chunks;
    asx_heap heap;
    asx_list all; /* sockets */
    asx_list chains[ASXI_VNET_CHAINS];
    asxi_vlink *links[ASX_VNET_HOST_MAX * ASX_VNET_HOST_MAX];
    asxi_vhost hosts[ASX_VNET_HOST_MAX];
    struct {
        asx_addr addr;
        uint32_t host;
    } names[ASXI_VNET_NAMES];
    uint32_t name_count;
    uint64_t sleepers; /* numbers of what no driver made */
    asx_vnet_stats stats;
};

/* vnet.c */
asxi_vlink *asxi_vlink_of(asx_vnet *net, uint32_t from, uint32_t to);
bool asxi_vnet_cut(asx_vnet *net, uint32_t from, uint32_t to); /* partition or crash */
/* `object` is a socket, which the event holds, or a packet. */
void asxi_vnet_event(asx_vnet *net, asx_instant at_ns, uint32_t kind, void *object, uint64_t arg,
                     uint32_t tries);
/* A fault of this likelihood was proposed and chosen; `salt` tells those of one operation apart. */
bool asxi_vnet_fault(asxi_vsocket *socket, uint32_t ppm, uint32_t salt);
uint64_t asxi_vnet_draw(const asxi_vsocket *socket, uint32_t salt);
/* How long something small takes from one host to the other, retransmissions included. */
asx_duration asxi_vnet_delay(asxi_vsocket *socket, uint32_t from, uint32_t to);
void asxi_vnet_tell(asx_vnet *net, const asxi_vsocket *socket, uint16_t kind, uint64_t a,
                    uint64_t b);
uint32_t asxi_vnet_host_of(const asx_vnet *net, const asx_addr *addr, uint32_t fallback);
/* errors  EADDRNOTAVAIL */
asx_err asxi_vnet_port_take(asx_vnet *net, uint32_t host, uint16_t *port);
void asxi_vnet_port_free(asx_vnet *net, uint32_t host, uint16_t port);

/* vsocket.c: what a driver asks */
asx_err asxi_vsocket_listen(asxi_vdriver *driver, const asx_addr *addr,
                            const asx_listen_options *options, int32_t *fd);
asx_err asxi_vsocket_open(asxi_vdriver *driver, asx_addr_family family, bool datagram,
                          const asx_addr *local, int32_t *fd);
void asxi_vsocket_submit(asxi_vsocket *socket, asx_op *op);
asxi_vstep asxi_vsocket_step(asxi_vsocket *socket, asx_op *op);
/* The op leaves the socket, which goes on without it; it is in no list then. */
void asxi_vsocket_leave(asxi_vsocket *socket, asx_op *op);
void asxi_vsocket_close(asxi_vsocket *socket);

/* vsocket.c: what the other files need */
asxi_vsocket *asxi_vsocket_new(asx_vnet *net, asxi_vdriver *driver, asxi_vsocket_kind kind);
void asxi_vsocket_unref(asxi_vsocket *socket);
asx_err asxi_vsocket_bind(asxi_vsocket *socket, const asx_addr *local);
/* Who serves the address; NULL: nobody. Among several, with choose, whom the run chooses. */
asxi_vsocket *asxi_vsocket_find(asx_vnet *net, const asx_addr *addr, asxi_vsocket_kind kind,
                                bool choose);
void asxi_vsocket_wake_in(asxi_vsocket *socket);
void asxi_vsocket_wake_out(asxi_vsocket *socket);
uint32_t asxi_vsocket_revents(const asxi_vsocket *socket);

/* vpipe.c */
uint32_t asxi_vpipe_room(const asxi_vsocket *receiver);
/* len <= room; false without memory */
bool asxi_vpipe_put(asxi_vsocket *receiver, const char *bytes, uint32_t len);
uint32_t asxi_vpipe_take(asxi_vsocket *receiver, char *bytes, uint32_t len);
/* The last len bytes that were put are on their way, in one piece or several. */
void asxi_vpipe_send(asxi_vsocket *sender, uint32_t len);
/* The end is on its way, after them. */
void asxi_vpipe_fin(asxi_vsocket *sender);
void asxi_vpipe_free(asxi_vsocket *receiver); /* forgets what was not read */

/* vstream.c */
asxi_vstep asxi_vstream_recv(asxi_vsocket *socket, asx_op *op);
asxi_vstep asxi_vstream_send(asxi_vsocket *socket, asx_op *op);
asx_err asxi_vstream_send_now(asxi_vsocket *socket, const struct iovec *iov, uint32_t count,
                              bool last, uint32_t *sent);
asx_err asxi_vstream_shutdown(asxi_vsocket *socket, uint32_t how);
void asxi_vstream_end(asxi_vsocket *socket); /* closes: an end or a reset for the peer */
void asxi_vstream_break(asxi_vsocket *socket, int errnum);
void asxi_vstream_rst(asxi_vsocket *to, asx_duration delay_ns, int errnum);
void asxi_vstream_arrived(asxi_vsocket *socket, const asxi_due *due);
bool asxi_vstream_readable(const asxi_vsocket *socket);
bool asxi_vstream_writable(const asxi_vsocket *socket);

/* vlisten.c */
asxi_vstep asxi_vlisten_accept(asxi_vsocket *listener, asx_op *op);
/* errors  EAGAIN: nobody waits; EMFILE; that of a host that is off */
asx_err asxi_vlisten_accept_now(asxi_vsocket *listener, int32_t *fd);
/* Begins the handshake, or says why not. */
asx_err asxi_vlisten_connect(asxi_vsocket *socket, const asx_addr *addr);
void asxi_vlisten_syn(asxi_vsocket *socket, const asxi_due *due);
void asxi_vlisten_connected(asxi_vsocket *socket, const asxi_due *due);
/* Resets the first connection that waits; false: none does. */
bool asxi_vlisten_turn_away(asxi_vsocket *listener);
void asxi_vlisten_end(asxi_vsocket *listener);

/* vdatagram.c */
asxi_vstep asxi_vdatagram_recv(asxi_vsocket *socket, asx_op *op);
asxi_vstep asxi_vdatagram_send(asxi_vsocket *socket, asx_op *op);
void asxi_vdatagram_arrived(asx_vnet *net, asxi_vpacket *packet);
void asxi_vdatagram_end(asxi_vsocket *socket);

#endif
