/* Chaos as a part of a world: the world calls it around its turns, its devices through the env. */
#ifndef ASX_LAB_CHAOS_INTERNAL_H
#define ASX_LAB_CHAOS_INTERNAL_H

#include <asx/lab/chaos.h>
#include <asx/lab/env.h>
#include <asx/shard/trace.h>

#include <stdint.h>

#define ASXI_CHAOS_SHARDS_MAX 64u

typedef struct asxi_chaos {
    bool on;                            /* faults may come up */
    uint32_t ppm[ASX_CHAOS_KIND_COUNT]; /* after the swarm's decision */
    uint64_t turns[ASXI_CHAOS_SHARDS_MAX];
    uint64_t ops[ASXI_CHAOS_SHARDS_MAX];
    uint64_t looks[ASXI_CHAOS_SHARDS_MAX];
    uint64_t transfers[ASXI_CHAOS_SHARDS_MAX];
    uint32_t stalled[ASXI_CHAOS_SHARDS_MAX]; /* steps for which the shard takes no turn */
    uint64_t await_task; /* trace identity of who is to be cancelled after this turn; 0: nobody */
    asx_chaos_stats stats;
} asxi_chaos;

struct asx_lab_world;

void asxi_chaos_open(struct asx_lab_world *world);
/* Before a turn of the shard. Returns by how much the clock is late. */
asx_duration asxi_chaos_before(struct asx_lab_world *world, uint32_t shard);
/* Leaves out of the n runnable shards those that are stalled, unless all are; returns how many are
 * left. */
uint32_t asxi_chaos_stall(struct asx_lab_world *world, uint32_t *list, uint32_t n);
/* After it. */
void asxi_chaos_after(struct asx_lab_world *world, uint32_t shard);
/* Each event of the kernel. */
void asxi_chaos_hear(struct asx_lab_world *world, asx_trace_kind kind, const uint64_t *words);
/* True when the ring is to look full. */
bool asxi_chaos_ring_full(struct asx_lab_world *world, uint64_t ring);
/* The run is over: nothing more happens. */
void asxi_chaos_close(struct asx_lab_world *world);

#endif
