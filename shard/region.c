/* The region record: what it says of itself, how it is opened, whom it admits (REG-2..5). The
 * states are close.c's. */
#include <asx/shard/base/assert.h>
#include <asx/shard/base/prng.h>

#include "shard_internal.h"
#include "trace_internal.h"

#include <string.h>

const char *asx_region_state_name(asx_region_state state)
{
    static const char *const names[] = {
        [ASX_REGION_OPEN] = "OPEN",         [ASX_REGION_CLOSING] = "CLOSING",
        [ASX_REGION_DRAINING] = "DRAINING", [ASX_REGION_FINALIZING] = "FINALIZING",
        [ASX_REGION_CLOSED] = "CLOSED",
    };
    return (unsigned)state < asx_array_count(names) ? names[state] : "?";
}

const char *asx_policy_name(asx_policy policy)
{
    switch (policy) {
    case ASX_FAIL_FAST:
        return "FAIL_FAST";
    case ASX_COLLECT_ALL:
        return "COLLECT_ALL";
    case ASX_ESCALATE:
        return "ESCALATE";
    }
    return "?";
}

asx_handle asx_region_handle(const asx_region *region)
{
    return asx_handle_of(region);
}

asx_region_state asx_region_state_of(const asx_region *region)
{
    return (asx_region_state)region->state;
}

const asx_reason *asx_region_reason(const asx_region *region)
{
    return region->reason;
}

uint32_t asx_region_task_count(const asx_region *region)
{
    return asxi_region_live_tasks(region);
}

uint32_t asx_region_child_count(const asx_region *region)
{
    return region->live_children;
}

uint32_t asx_region_obligation_count(const asx_region *region)
{
    return region->obligations;
}

size_t asx_region_heap_bytes(const asx_region *region)
{
    return asx_heap_bytes(&region->heap);
}

void *asx_region_alloc(asx_region *region, size_t size)
{
    return asxi_region_take(region, size);
}

void asx_region_free(asx_region *region, void *ptr, size_t size)
{
    asx_heap_free(&region->heap, ptr, size);
}

asx_err asx_region_lookup(asx_shard *shard, asx_handle handle, asx_region **region)
{
    void *record = NULL;
    const asx_err err = asx_handle_lookup(&shard->regions, handle, &record);
    *region = record;
    return err;
}

bool asxi_region_contains(const asx_region *outer, const asx_region *inner)
{
    for (; inner; inner = inner->parent) {
        if (inner == outer) {
            return true;
        }
    }
    return false;
}

/* Opening and admission */

asx_err asxi_region_admit_part(const asx_region *parent, const asx_region *spawner)
{
    if (ASXI_PLANTED(SPAWN_LATE) && spawner == parent && parent->reason) {
        return ASX_OK;
    }
    if (asx_unlikely(parent->state != ASX_REGION_OPEN) ||
        (asx_unlikely(parent->sealed) && !(spawner && asxi_region_contains(parent, spawner)))) {
        return ASX_E(REGION_CLOSED);
    }
    return ASX_OK;
}

static asx_duration arrival_gap(const asx_region *region)
{
    const asx_duration gap_ns = ASX_NS_PER_S / region->limits.arrivals_per_s;
    return gap_ns > 0 ? gap_ns : 1;
}

/* One task every gap, and of those that did not come as many as a burst may be made up for. */
static asx_err arrive(asx_region *region)
{
    const asx_instant now_ns = region->shard->now_ns;
    const asx_instant due_ns = region->arrivals_at > now_ns ? region->arrivals_at : now_ns;
    const uint32_t burst = region->limits.arrivals_burst;
    const asx_duration gap_ns = arrival_gap(region);
    if (due_ns - now_ns > gap_ns * (burst > 0 ? burst - 1 : 0)) {
        return asxi_refuse(region, ASX_LIMIT_ARRIVALS, burst > 0 ? burst : 1,
                           (due_ns - now_ns + gap_ns - 1) / gap_ns);
    }
    region->arrivals_at = asx_time_add(due_ns, gap_ns);
    return ASX_OK;
}

void asxi_region_arrival_undo(asx_region *region)
{
    if (region->limits.arrivals_per_s > 0 && region->limited) {
        region->arrivals_at = asx_time_sub(region->arrivals_at, arrival_gap(region));
    }
}

asx_err asxi_region_admit_limited(asx_region *region, const asx_region *spawner)
{
    asx_err err = asxi_region_admit_part(region, spawner);
    const uint32_t tasks_max = region->limits.tasks_max;
    if (asx_unlikely(err) || !region->limited) {
        return err;
    }
    const uint32_t live = asxi_region_live_tasks(region) + region->credits;
    if (tasks_max != 0 && live >= tasks_max) {
        err = asxi_refuse(region, ASX_LIMIT_TASKS, tasks_max, live);
    } else if (region->limits.arrivals_per_s > 0) {
        err = arrive(region);
    }
    return err;
}

asx_resources asx_region_resources(const asx_region *region)
{
    asx_resources met = ASX_RESOURCES_UNSTATED;
    for (; region && region->has_resources; region = region->parent) {
        met = region->resources ? asx_resources_meet(met, *region->resources) : met;
    }
    return met;
}

static size_t heap_limit(const asx_region *region)
{
    const size_t own = region->limits.heap_bytes_max;
    const uint64_t stated = asx_region_resources(region).memory_bytes;
    if (stated == ASX_RESOURCE_UNSTATED || (own > 0 && own < stated)) {
        return own;
    }
    return stated > 0 ? (size_t)stated : 1; /* less than anything takes */
}

asx_err asxi_region_create(asx_shard *shard, asx_region *parent, const asx_region_options *options,
                           uint32_t caps, asx_region **out)
{
    static const asx_region_options defaults;
    options = options ? options : &defaults;
    asx_region *const region = asx_handle_alloc(&shard->regions, NULL);
    if (asx_unlikely(!region)) {
        return asx_handle_table_why(&shard->regions);
    }
    memset((char *)region + sizeof(asx_slot), 0, offsetof(asx_region, heap) - sizeof(asx_slot));
    region->shard = shard;
    region->policy = (uint8_t)options->policy;
    region->rule = options->rule;
    region->judges = options->rule != NULL;
    region->overrun = (uint8_t)(options->overrun ? options->overrun
                                : parent         ? parent->overrun
                                                 : ASX_OVERRUN_BOUNDED_LOG);
    region->caps = caps & (options->caps ? options->caps : ASX_CAP_ALL);
    region->budget = parent ? parent->budget : ASX_BUDGET_DEFAULT;
    if (options->budget) {
        region->budget = ASXI_PLANTED(DEADLINE_LOOSE)
                             ? *options->budget
                             : asx_budget_meet(region->budget, *options->budget);
    }
    region->limits = options->limits;
    region->limited = options->limits.tasks_max > 0 || options->limits.arrivals_per_s > 0;
    region->resources = options->resources;
    region->has_resources = options->resources || (parent && parent->has_resources);
    region->limited |= asx_unlikely(region->has_resources); /* its tasks are made the long way */
    region->label = options->label;
    region->opened_at = shard->now_ns;
    region->parent = parent;
    asx_list_init(&region->children);
    asx_list_init(&region->tasks);
    asx_list_init(&region->waiters);
    asx_heap_init(&region->heap, &shard->chunks,
                  asx_likely(!region->has_resources) ? options->limits.heap_bytes_max
                                                     : heap_limit(region));
    if (parent) {
        asx_list_push_back(&parent->children, &region->sibling);
        parent->live_children++;
        region->entropy = asx_mix64(parent->entropy + (++parent->child_seq << 32));
    }
    shard->stats.regions_opened++;
    ASXI_TRACE(shard, REGION_CREATE, asxi_trace_of(region), asxi_trace_of(parent));
    asxi_trace_region_budget(region);
    *out = region;
    return ASX_OK;
}

asx_err asx_region_open(asx_cx *cx, const asx_region_options *options, asx_region **region)
{
    asx_region *const parent = asxi_cx_region(cx);
    asx_err err = asxi_cx_require(cx, ASX_CAP_SPAWN);
    if (asx_unlikely(!parent)) {
        return ASX_E(REGION_CLOSED);
    }
    if (asx_likely(!err)) {
        err = asxi_region_admit_part(parent, cx->_task->cx._region);
    }
    if (asx_likely(!err) && asx_unlikely(parent->limits.children_max != 0) &&
        parent->live_children >= parent->limits.children_max) {
        err = asxi_refuse(parent, ASX_LIMIT_CHILDREN, parent->limits.children_max,
                          parent->live_children);
    }
    if (asx_unlikely(err)) {
        return err;
    }
    return asxi_region_create(cx->_shard, parent, options, cx->_caps, region);
}
