/* Which cores this process may use, in the order in which shards should take them.
 *
 * Model.  The affinity mask (which a cpuset narrows) says which cores; the cgroup's quota, v2 or
 *         v1, how many of them it pays for. Shards take one hardware thread of each physical core
 *         before the second of any.
 * Owner.  Nobody: read once at start, plain values.
 */
#ifndef ASX_ENGINE_TOPOLOGY_H
#define ASX_ENGINE_TOPOLOGY_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_CORES_MAX 1024u

typedef struct asx_core_list {
    uint32_t count;
    uint16_t ids[ASX_CORES_MAX]; /* as the operating system numbers them */
} asx_core_list;

typedef struct asx_topology {
    asx_core_list allowed;   /* in the order in which shards take them */
    uint32_t cores_physical; /* among the allowed */
    uint32_t nodes;          /* NUMA nodes of the machine */
    uint64_t quota_milli;    /* thousandths of a core that the cgroup pays for; 0: no quota */
} asx_topology;

/* "0,2-5": ascending or not, without repetition.
 * errors  INVALID_ARGUMENT */
ASX_NODISCARD asx_err asx_core_list_parse(const char *text, asx_core_list *list);

bool asx_core_list_has(const asx_core_list *list, uint32_t core);

/* Writes "0,2-5" and returns buf; a list that does not fit ends in "...". */
const char *asx_core_list_format(const asx_core_list *list, char *buf, size_t cap);

/* errors  errno of sched_getaffinity; NO_MEMORY */
ASX_NODISCARD asx_err asx_topology_read(asx_topology *topology);

/* min(allowed cores, ceil(quota)), at least 1. */
uint32_t asx_topology_shards_default(const asx_topology *topology);

/* Quota of the cgroup that `membership` (/proc/self/cgroup) names under `root` (/sys/fs/cgroup),
 * the least of it and its ancestors, in thousandths of a core; 0 when there is none. */
uint64_t asx_cgroup_quota_milli(const char *root, const char *membership);

ASX_END_DECLS

#endif
