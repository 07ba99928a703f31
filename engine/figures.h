/* Figures: what each shard counts, readable from the others.
 *
 * Model.  A shard publishes a copy of its counters into a block of its own when its bell is rung;
 *         who wants to read rings first. Each word is written by one thread and read with relaxed
 *         loads: a word is whole, and words of one block may be of two neighbouring publications.
 * Bounds. Nothing is published, and nothing is paid, while nobody asks.
 */
#ifndef ASX_ENGINE_FIGURES_H
#define ASX_ENGINE_FIGURES_H

#include <asx/engine/admit.h>
#include <asx/engine/boot.h>
#include <asx/proto/http1.h>
#include <asx/shard/shard.h>

ASX_BEGIN_DECLS

/* How far a shard's drain is; zero-filled while there is none. Words of 64 bits only. */
typedef struct asx_drain_figures {
    uint64_t draining; /* 1: the others mean something */
    uint64_t phase;    /* asx_drain_phase */
    uint64_t potential, stalls;
    uint64_t tasks, obligations, operations, regions;
    uint64_t left_ns; /* at the pace of the last looks; UINT64_MAX: it does not fall */
    uint64_t worst_ppm, likely_ppm; /* of not ending in time, at most */
} asx_drain_figures;

typedef struct asx_figures { /* words of 64 bits only */
    asx_shard_stats shard;
    asx_driver_stats driver;
    asx_http_stats http;
    asx_drain_figures drain;
    asx_admit_stats admit;
    uint64_t accept_failures, accept_dropped, log_lines, log_dropped;
    uint64_t published_at_ns;
} asx_figures;

/* Asks every shard to publish, and waits until it did or 500 ms have passed: a shard that is stuck
 * shows what it published last.
 * cancel  as asx_sleep */
ASX_NODISCARD asx_outcome asx_figures_refresh(asx_cx *cx, asx_engine *engine);

/* Of all shards: sums, the slowest one's time, and the least advanced phase, STALLED before any. */
void asx_figures_drain(const asx_engine *engine, asx_drain_figures *sum);

void asx_figures_read(const asx_engine *engine, uint32_t shard, asx_figures *figures);

/* Prometheus text, version 0.0.4, of all shards as last published, from the memory of the cx's
 * region. errors  NO_MEMORY */
ASX_NODISCARD asx_err asx_figures_prometheus(asx_cx *cx, const asx_engine *engine, asx_view *text);

ASX_END_DECLS

#endif
