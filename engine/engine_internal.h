/* The engine's record and its seats, one a shard: who may touch which field. */
#ifndef ASX_ENGINE_ENGINE_INTERNAL_H
#define ASX_ENGINE_ENGINE_INTERNAL_H

#include <asx/engine/boot.h>
#include <asx/engine/figures.h>
#include <asx/engine/latency.h>
#include <asx/reactor/blocking.h>
#include <asx/shard/base/atomic.h>
#include <asx/shard/event.h>
#include <asx/shard/limits.h>
#include <asx/shard/mesh.h>
#include <asx/shard/shard.h>
#include <asx/shard/stall.h>

#include <pthread.h>

typedef struct asx_access_log asx_access_log;
struct asxi_report;

/* One shard's. Everything above `published` belongs to its thread once the gate is open. */
typedef struct asxi_seat {
    asx_engine *engine;
    uint32_t index;
    uint16_t core;
    bool started;
    pthread_t thread;
    asx_err boot_err;
    asx_shard *shard;
    asx_handle app; /* the region; stale once the app is over */
    asx_list services;
    asx_access_log *log;
    const asx_config *config; /* as of the last reload */
    asx_config *own_config;   /* its memory, once there was one */
    uint32_t phase_seen, log_epoch_seen, reload_seen;
    uint64_t accept_failures, accept_dropped;
    uint64_t in_flight_at_drain, in_flight_at_force, connections_at_drain;
    asx_drain_figures drain;
    asx_event all_done; /* seat 0: every app is over */

    /* Written by this shard, read by all. */
    asx_figures published __attribute__((aligned(ASX_CACHE_PAIR)));
    uint64_t published_seq; /* released behind the words above */
    uint32_t over;          /* its app has ended: nothing more will be published */

    /* Any thread */
    int32_t bell __attribute__((aligned(ASX_CACHE_PAIR))); /* an eventfd that wakes the control
                                                               fiber */
    struct asxi_report *report; /* asked for by seat 0's admin; taken by exchange */
} __attribute__((aligned(ASX_CACHE_PAIR))) asxi_seat;

struct asx_engine {
    const asx_config *config; /* as at the start */
    asx_topology topology;
    asx_driver_kind driver;
    char driver_why[ASX_DRIVER_WHY_MAX];
    asx_task_fn *app;
    uint32_t shard_count;
    asx_mesh *mesh; /* NULL for a lone shard */
    asx_blocking *blocking;
    asx_stall_watch *stalls;  /* NULL where its thread could not be had: nobody watches then */
    asx_latencies *latencies; /* one a shard, written by it; NULL: nobody asks */
    void *sources_memory;
    asx_sources *sources; /* of the connections to all shards */
    int32_t root_fd, signal_fd;
    int32_t listen_fds[ASX_LISTEN_MAX][ASX_SHARD_COUNT_MAX]; /* -1 once taken */
    int32_t admin_fd;
    asx_addr listen_addrs[ASX_LISTEN_MAX], admin_addr; /* as bound */
    uint64_t epoch_unix_ns;                            /* Unix time at instant 0 */
    asx_instant booted_at_ns;

    /* The gate: guarded by gate_lock. */
    pthread_mutex_t gate_lock;
    pthread_cond_t gate_moved;
    uint32_t gate_arrived;
    int gate; /* 0 closed, 1 open, -1 go home */

    pthread_mutex_t reload_lock;
    asx_config reloaded; /* under reload_lock, where reload_epoch is not 0 */

    /* Stored with release and loaded with acquire: who sees a phase sees what led to it. */
    uint32_t phase;
    uint32_t log_epoch;
    uint32_t reload_epoch;
    uint32_t apps_done;
    uint32_t failed;

    /* Seat 0's, read by the main thread after its join. */
    asx_instant drain_began_ns, ended_at_ns;
    bool forced_at_once;

    asxi_seat seats[ASX_SHARD_COUNT_MAX];
};

/* One line on standard error, "asx: " before it. Any thread. */
void asxi_say(const char *fmt, ...) ASX_PRINTF(1, 2);

/* Any thread: the seat's control fiber looks at phase, log epoch and reports, and publishes. */
void asxi_seat_ring(asxi_seat *seat);
void asxi_engine_ring_all(asx_engine *engine);
/* Moves on to `phase`, never back, and rings. Any thread. */
void asxi_engine_phase_set(asx_engine *engine, asx_engine_phase phase);

/* Seat's thread: copies its counters where the others can see them. */
void asxi_figures_publish(asxi_seat *seat);

/* seat.c, main thread: starts every shard's thread; false when one could not be started, and then
 * none of them runs. Either way join. */
bool asxi_seats_start(asx_engine *engine);
/* Waits for all of them. 0, or 2 when a shard could not start. */
int asxi_seats_join(asx_engine *engine);

/* serve.c, seat's thread: every service of the seat begins to drain. */
void asxi_services_drain(asxi_seat *seat);
/* Adds up the services' counters. */
void asxi_services_stats(const asxi_seat *seat, asx_http_stats *sum);
/* The seat's settings have changed. */
void asxi_services_reload(const asxi_seat *seat);
asx_admit_stats asxi_services_admitted(const asxi_seat *seat);
void asxi_services_latencies(const asxi_seat *seat, asx_latencies *sum);

/* reload.c, seat's thread: takes over what was published. */
void asxi_reload_heed(asx_cx *cx, asxi_seat *seat);

/* drain.c: the fiber on seat 0 that reads signals and moves the phases. */
asx_outcome asxi_drain_body(asx_cx *cx, void *seat);
/* Watches what is left of the seat's shard, but for the tasks beside it. */
asx_outcome asxi_drain_watch_body(asx_cx *cx, void *seat);
/* The seat's app has ended: publishes for the last time, with what the watch would say. */
void asxi_drain_over(asxi_seat *seat);
/* The last line of a run that was asked to end. */
void asxi_drain_report(const asx_engine *engine);

/* admin.c, seat's thread: answers a report that was asked for. */
void asxi_report_answer(asxi_seat *seat);

/* The seat that a cx's shard sits on. */
asxi_seat *asxi_seat_of(asx_engine *engine, const asx_cx *cx);

#endif
