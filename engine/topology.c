#include "topology.h"

#include <asx/shard/base/assert.h>

#include <errno.h>
#include <hwloc.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool asx_core_list_has(const asx_core_list *list, uint32_t core)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->ids[i] == core) {
            return true;
        }
    }
    return false;
}

/* Digits up to ASX_CORES_MAX - 1; moves *at behind them. */
static bool core_number(const char **at, uint32_t *core)
{
    const char *p = *at;
    uint32_t value = 0;
    if (*p < '0' || *p > '9') {
        return false;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (uint32_t)(*p - '0');
        if (value >= ASX_CORES_MAX) {
            return false;
        }
    }
    *at = p;
    *core = value;
    return true;
}

asx_err asx_core_list_parse(const char *text, asx_core_list *list)
{
    list->count = 0;
    for (const char *at = text;; at++) {
        uint32_t first, last;
        if (!core_number(&at, &first)) {
            return ASX_E(INVALID_ARGUMENT);
        }
        last = first;
        if (*at == '-') {
            at++;
            if (!core_number(&at, &last) || last < first) {
                return ASX_E(INVALID_ARGUMENT);
            }
        }
        for (uint32_t core = first; core <= last; core++) {
            if (asx_core_list_has(list, core)) {
                return ASX_E(INVALID_ARGUMENT);
            }
            list->ids[list->count++] = (uint16_t)core;
        }
        if (*at == '\0') {
            return ASX_OK;
        }
        if (*at != ',') {
            return ASX_E(INVALID_ARGUMENT);
        }
    }
}

const char *asx_core_list_format(const asx_core_list *list, char *buf, size_t cap)
{
    size_t len = 0;
    asx_assert(cap >= 16);
    buf[0] = '\0';
    for (uint32_t i = 0; i < list->count;) {
        uint32_t last = i;
        while (last + 1 < list->count && list->ids[last + 1] == list->ids[last] + 1) {
            last++;
        }
        if (len + 16 > cap) {
            memcpy(buf + (len < cap - 4 ? len : cap - 4), "...", 4);
            return buf;
        }
        const char *const comma = len ? "," : "";
        len += (size_t)(last > i ? snprintf(buf + len, cap - len, "%s%u-%u", comma, list->ids[i],
                                            list->ids[last])
                                 : snprintf(buf + len, cap - len, "%s%u", comma, list->ids[i]));
        i = last + 1;
    }
    return buf;
}

/* The kernel's own mask is larger than cpu_set_t on machines with more than 1024 processors. */
static asx_err affinity_read(asx_core_list *list)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return asx_err_errno(errno);
    }
    list->count = 0;
    for (uint32_t core = 0; core < ASX_CORES_MAX && core < CPU_SETSIZE; core++) {
        if (CPU_ISSET(core, &set)) {
            list->ids[list->count++] = (uint16_t)core;
        }
    }
    return ASX_OK;
}

/* Which thread of its physical core a processor is: shards take all firsts, then all seconds. */
static unsigned sibling_rank(hwloc_topology_t hw, unsigned core)
{
    const hwloc_obj_t pu = hwloc_get_pu_obj_by_os_index(hw, core);
    return pu ? pu->sibling_rank : 0;
}

static void order_by_sibling(hwloc_topology_t hw, asx_topology *topology)
{
    asx_core_list *const list = &topology->allowed;
    asx_core_list ordered = { .count = 0 };
    for (unsigned rank = 0; ordered.count < list->count && rank < 64; rank++) {
        for (uint32_t i = 0; i < list->count; i++) {
            if (sibling_rank(hw, list->ids[i]) == rank) {
                ordered.ids[ordered.count++] = list->ids[i];
            }
        }
        if (rank == 0) {
            topology->cores_physical = ordered.count;
        }
    }
    if (ordered.count == list->count) {
        *list = ordered;
    }
}

asx_err asx_topology_read(asx_topology *topology)
{
    memset(topology, 0, sizeof(*topology));
    const asx_err err = affinity_read(&topology->allowed);
    if (err) {
        return err;
    }
    topology->cores_physical = topology->allowed.count;
    topology->nodes = 1;
    hwloc_topology_t hw;
    if (hwloc_topology_init(&hw) != 0) {
        return ASX_E(NO_MEMORY);
    }
    /* Where sysfs is hidden the order is the system's: less good, and no reason not to start. */
    if (hwloc_topology_load(hw) == 0) {
        const int nodes = hwloc_get_nbobjs_by_type(hw, HWLOC_OBJ_NUMANODE);
        topology->nodes = nodes > 0 ? (uint32_t)nodes : 1;
        order_by_sibling(hw, topology);
    }
    hwloc_topology_destroy(hw);
    topology->quota_milli = asx_cgroup_quota_milli("/sys/fs/cgroup", "/proc/self/cgroup");
    return ASX_OK;
}

uint32_t asx_topology_shards_default(const asx_topology *topology)
{
    uint64_t count = topology->allowed.count;
    if (topology->quota_milli > 0) {
        const uint64_t paid = (topology->quota_milli + 999) / 1000;
        count = paid < count ? paid : count;
    }
    return count > 0 ? (uint32_t)count : 1;
}

static bool file_line(char *path, char *line, size_t cap)
{
    FILE *const file = fopen(path, "re");
    if (!file) {
        return false;
    }
    const bool got = fgets(line, (int)cap, file) != NULL;
    fclose(file);
    return got;
}

static uint64_t quota_of(long long quota_us, long long period_us)
{
    return quota_us > 0 && period_us > 0
               ? ((uint64_t)quota_us * 1000 + (uint64_t)period_us - 1) / (uint64_t)period_us
               : 0;
}

/* v2: "max 100000" or "150000 100000". */
static uint64_t quota_v2(const char *dir)
{
    char path[PATH_MAX + 64], line[128], *end;
    snprintf(path, sizeof(path), "%s/cpu.max", dir);
    if (!file_line(path, line, sizeof(line)) || strncmp(line, "max", 3) == 0) {
        return 0;
    }
    const long long quota_us = strtoll(line, &end, 10);
    return quota_of(quota_us, strtoll(end, NULL, 10));
}

static uint64_t quota_v1(const char *dir)
{
    char path[PATH_MAX + 64], line[128];
    snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir);
    if (!file_line(path, line, sizeof(line))) {
        return 0;
    }
    const long long quota_us = strtoll(line, NULL, 10);
    snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
    return file_line(path, line, sizeof(line)) ? quota_of(quota_us, strtoll(line, NULL, 10)) : 0;
}

/* The least quota on the way from `mount`/`group` up to `mount`. Inside a container the group may
 * not exist below the mount; its ancestors then answer. */
static uint64_t quota_upward(const char *mount, const char *group,
                             uint64_t (*quota_at)(const char *dir))
{
    char dir[PATH_MAX];
    uint64_t least = 0;
    const int len = snprintf(dir, sizeof(dir), "%s%s", mount, group);
    if (len < 0 || (size_t)len >= sizeof(dir)) {
        return 0;
    }
    const size_t mount_len = strlen(mount);
    for (;;) {
        const uint64_t quota = quota_at(dir);
        if (quota > 0 && (least == 0 || quota < least)) {
            least = quota;
        }
        char *const slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < mount_len) {
            return least;
        }
        *slash = '\0';
    }
}

/* A v1 line is "4:cpu,cpuacct:/group": whether the list of controllers names cpu. */
static bool names_cpu(const char *controllers, size_t len)
{
    for (const char *at = controllers; at < controllers + len;) {
        const char *const end = memchr(at, ',', (size_t)(controllers + len - at));
        const size_t word = (size_t)((end ? end : controllers + len) - at);
        if (word == 3 && memcmp(at, "cpu", 3) == 0) {
            return true;
        }
        at += word + 1;
    }
    return false;
}

uint64_t asx_cgroup_quota_milli(const char *root, const char *membership)
{
    char line[PATH_MAX + 128], mount[PATH_MAX];
    uint64_t least = 0;
    FILE *const file = fopen(membership, "re");
    if (!file) {
        return 0;
    }
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        char *const first = strchr(line, ':');
        char *const second = first ? strchr(first + 1, ':') : NULL;
        if (!second) {
            continue;
        }
        const size_t controllers_len = (size_t)(second - first - 1);
        const char *const group = strcmp(second + 1, "/") == 0 ? "" : second + 1;
        uint64_t quota = 0;
        if (controllers_len == 0) {
            quota = quota_upward(root, group, quota_v2);
        } else if (names_cpu(first + 1, controllers_len)) {
            snprintf(mount, sizeof(mount), "%s/%.*s", root, (int)controllers_len, first + 1);
            quota = quota_upward(mount, group, quota_v1);
            if (quota == 0) {
                snprintf(mount, sizeof(mount), "%s/cpu", root);
                quota = quota_upward(mount, group, quota_v1);
            }
        }
        if (quota > 0 && (least == 0 || quota < least)) {
            least = quota;
        }
    }
    fclose(file);
    return least;
}
