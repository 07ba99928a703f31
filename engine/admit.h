/* Admission: how many connections a listener takes from one source, and how many in a second.
 *
 * Model.  A source is an IPv4 address, or the first 64 bits of an IPv6 one: what one subscriber is
 *         given. An IPv4 address in IPv6 dress is the IPv4 address; a Unix socket has no source.
 *         Sources are counted over all shards, in a table that they share. A rate is a bucket that
 *         holds `burst` connections, full at first, and fills evenly, on each shard for itself.
 *         Each listener counts for itself; what is refused costs others nothing of the rate.
 * Owner.  A service, on its shard.
 * Bounds. All memory is taken at the making. A question is O(1).
 */
#ifndef ASX_ENGINE_ADMIT_H
#define ASX_ENGINE_ADMIT_H

#include <asx/engine/sources.h>
#include <asx/shard/base/addr.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/region.h>

#include <stdbool.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_ADMIT_LISTENERS_MAX 16u
#define ASX_ADMIT_RATE_MAX 1000000000u /* a connection each nanosecond */

typedef struct asx_admit asx_admit;

typedef struct asx_admit_config {
    uint32_t per_source_max; /* connections of one source to one listener; 0: no limit */
    asx_sources *sources;    /* where they are counted, outlives it; NULL: there is no limit */
    uint32_t rate;           /* connections a second to one listener; 0: no limit */
    uint32_t burst;          /* at once; 0: as many as in a second */
} asx_admit_config;

typedef enum asx_admit_verdict {
    ASX_ADMIT_OK = 0,
    ASX_ADMIT_PER_SOURCE, /* it has as many as it may */
    ASX_ADMIT_RATE,       /* too many in too short a time */
    ASX_ADMIT_SOURCES,    /* more sources than can be counted */
    ASX_ADMIT_VERDICT_COUNT
} asx_admit_verdict;

/* As metrics call it: "admitted", "per_ip", "rate", "sources". */
const char *asx_admit_verdict_name(asx_admit_verdict verdict);

typedef struct asx_admit_stats {
    uint64_t verdicts[ASX_ADMIT_VERDICT_COUNT];
} asx_admit_stats;

/* errors  NO_MEMORY */
ASX_NODISCARD asx_err asx_admit_create(asx_region *region, const asx_admit_config *config,
                                       asx_admit **admit);

/* From now on. Who was not counted so far stays uncounted; a rate begins with a full bucket. */
void asx_admit_limits_set(asx_admit *admit, uint32_t per_source_max, uint32_t rate, uint32_t burst);

/* Whether asx_admit_ask needs to know who comes. */
bool asx_admit_counts_sources(const asx_admit *admit);

/* A connection comes to listener 0..ASX_ADMIT_LISTENERS_MAX-1.
 *
 * peer    looked at where sources are counted
 * source  of an admitted connection, for asx_admit_leave; 0: there is nothing to give back */
asx_admit_verdict asx_admit_ask(asx_admit *admit, uint32_t listener, asx_instant now_ns,
                                const asx_addr *peer, uint32_t *source);
/* A connection of `source` is over. */
void asx_admit_leave(asx_admit *admit, uint32_t source);

asx_admit_stats asx_admit_stats_of(const asx_admit *admit);

/* Asserts that every connection has left. The memory goes with the region. */
void asx_admit_destroy(asx_admit *admit);

ASX_END_DECLS

#endif
