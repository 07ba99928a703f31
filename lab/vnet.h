/* The virtual network of a run: byte streams and datagrams between its shards.
 *
 * Hosts.   A host is a number, 0..63: that of the driver that made a socket, unless the socket is
 *          bound to an address that asx_vnet_host_name gave to another. Faults speak of hosts: a
 *          partition, a crash, a worse link. An address means the same to all of them.
 * Streams. Never lose, invent or reorder a byte: loss is delay, a partition delay and then
 *          ETIMEDOUT. What a stream may suffer (asx_vstream_faults) is to be cut into other pieces,
 *          to stall, to be reset, or to end early.
 * Packets. Datagrams are lost, doubled, late, damaged: asx_vlink_judge. Delivery looks again at
 *          partition and crash.
 * Faults.  A draw proposes a stream's fault twice as often as its ppm says, and the run's choice at
 *          ASX_CHOICE_FAULT decides; at ASX_CHOICE_IORES, of which shape the pieces are. So a
 *          random run has as many as were asked for, one of production's choices has none, and each
 *          can be taken back alone. A packet's fate is its draw's alone.
 * Owner.   The run, on its thread. Outlives its drivers. */
#ifndef ASX_LAB_VNET_H
#define ASX_LAB_VNET_H

#include <asx/lab/env.h>
#include <asx/lab/vlink.h>
#include <asx/shard/base/addr.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>

ASX_BEGIN_DECLS

#define ASX_VNET_HOST_MAX 64u

typedef struct asx_vnet asx_vnet;

/* Parts of a million. */
typedef struct asx_vstream_faults {
    uint32_t split_ppm;       /* a send arrives in pieces */
    uint32_t short_write_ppm; /* a send is taken in two steps */
    uint32_t short_read_ppm;  /* a receive is given less than is there */
    uint32_t stall_ppm;       /* a send arrives stall_ns later: the window was closed */
    uint32_t reset_ppm;       /* a send is cut after k bytes, and both ends are reset */
    uint32_t truncate_ppm;    /* a send is cut after k bytes, and the receiver sees the end */
    uint32_t unread_lost_ppm; /* a reset takes away what arrived and was not read */
    uint32_t fin_lost_ppm;    /* an end is never heard of */
    uint32_t refused_ppm, unreachable_ppm; /* a connect fails so */
    uint32_t syn_lost_ppm;                 /* an attempt to connect is not heard; there are 6 */
    uint32_t accept_ppm;                   /* an accept fails with EMFILE */
    asx_duration stall_ns;                 /* 0: 100 ms */
} asx_vstream_faults;

typedef struct asx_vnet_config { /* zero-filled fields are the defaults */
    asx_lab_env *env;
    asx_vlink_conditions link; /* of every link that asx_vnet_link_set did not name */
    asx_vstream_faults stream;
    uint32_t stream_bytes;          /* of a stream in one direction: sent and not read; 0: 32,768 */
    uint32_t queue_depth;           /* datagrams of one socket, in flight and unread; 0: 10,000 */
    uint32_t port_max;              /* ephemeral ports of a host; 0: 28,232 */
    asx_duration stream_timeout_ns; /* of a peer that does not answer; 0: 30 s */
} asx_vnet_config;

typedef struct asx_vnet_stats {
    uint64_t connects, accepts, refused, resets, stream_bytes_sent, stream_bytes_read;
    uint64_t sent, duplicated, delivered, dropped; /* datagrams */
    uint64_t faults;                               /* that were proposed and chosen */
    uint32_t in_flight;                            /* datagrams */
    uint32_t sockets;                              /* alive, closed ones with a live peer too */
} asx_vnet_stats;

/* Of every field that can change a run, in a fixed order; never 0. */
uint64_t asx_vnet_config_hash(const asx_vnet_config *config);

/* errors  NO_MEMORY */
ASX_NODISCARD asx_err asx_vnet_create(const asx_vnet_config *config, asx_vnet **net);

/* Does what is due at the env's now. Drivers call it too: a run needs to only where it wants the
 * network to come first. */
void asx_vnet_advance(asx_vnet *net);

/* When the network does something next by itself; NEVER: only when asked. */
asx_instant asx_vnet_next(const asx_vnet *net);

/* Sockets bound to this IP address, whatever port, are on `host`. */
void asx_vnet_host_name(asx_vnet *net, const asx_addr *addr, uint32_t host);

/* From now on, from `from` to `to`. What is in flight keeps its time. */
void asx_vnet_link_set(asx_vnet *net, uint32_t from, uint32_t to,
                       const asx_vlink_conditions *conditions);

/* From now on, of every stream. Datagrams have their link's. */
void asx_vnet_faults_set(asx_vnet *net, const asx_vstream_faults *faults);

/* Nothing gets from a to b (both: nor back); what is in flight there neither. Streams try again
 * until stream_timeout_ns. */
void asx_vnet_partition(asx_vnet *net, uint32_t a, uint32_t b, bool both);
void asx_vnet_heal(asx_vnet *net, uint32_t a, uint32_t b);
/* Every partition and every fault proposed by ppm ends; crashed hosts are back. */
void asx_vnet_heal_all(asx_vnet *net);

/* The host is off: its sockets fail with ENETDOWN, what is in flight to and from it is gone, and
 * its peers hear nothing. After the restart, they are reset when they send. */
void asx_vnet_crash(asx_vnet *net, uint32_t host);
void asx_vnet_restart(asx_vnet *net, uint32_t host);

void asx_vnet_stats_read(const asx_vnet *net, asx_vnet_stats *stats);

/* Asserts what must hold between two calls. O(sockets). */
void asx_vnet_check(const asx_vnet *net);

/* No driver uses it any more. */
void asx_vnet_destroy(asx_vnet *net);

ASX_END_DECLS

#endif
