/* A dispatch is timed, and an operation's result counted, only below a region that states such a
 * budget; each such region on the way up pays. */
#include <asx/shard/base/assert.h>
#include <asx/shard/op.h>

#include "shard_internal.h"

bool asxi_charges_cpu(const asx_region *region)
{
    return asx_region_resources(region).cpu_ns != ASX_RESOURCE_UNSTATED;
}

static uint64_t left_of(uint64_t stated, uint64_t used)
{
    return stated == ASX_RESOURCE_UNSTATED ? stated : stated > used ? stated - used : 0;
}

asx_resources asx_region_resources_left(const asx_region *region)
{
    asx_resources met = ASX_RESOURCES_UNSTATED;
    for (; region && region->has_resources; region = region->parent) {
        if (region->resources) {
            asx_resources left = *region->resources;
            left.cpu_ns = left_of(left.cpu_ns, region->cpu_used_ns);
            left.io_bytes = left_of(left.io_bytes, region->io_used_bytes);
            met = asx_resources_meet(met, left);
        }
    }
    return met;
}

/* Adds to what is used; once that is more than there was, the region is over. */
static void use(asx_region *region, uint64_t *used, uint64_t more, uint64_t stated,
                const char *message)
{
    const bool was_within = *used <= stated;
    *used = asx_time_add(*used, more); /* never around */
    if (was_within && *used > stated && region->state < ASX_REGION_FINALIZING) {
        asx_region_cancel(region, ASX_CANCEL_COST_BUDGET, message);
    }
}

void asxi_charge_begin(asx_shard *shard, const asx_region *region)
{
    asxi_charge *const charge = &shard->charge;
    asx_assert_eq(charge->count, 0);
    for (; region && region->has_resources; region = region->parent) {
        const asx_resources *const stated = region->resources;
        if (stated && stated->cpu_ns != ASX_RESOURCE_UNSTATED &&
            charge->count < ASX_CHARGE_DEPTH_MAX) {
            charge->regions[charge->count++] = asx_handle_of(region);
        }
    }
    charge->from_ns = shard->driver->ops->now(shard->driver);
}

void asxi_charge_end(asx_shard *shard)
{
    const asxi_charge charge = shard->charge;
    shard->charge.count = 0;
    if (charge.count == 0) {
        return;
    }
    const asx_duration took_ns =
        asx_time_sub(shard->driver->ops->now(shard->driver), charge.from_ns);
    for (uint32_t i = 0; i < charge.count; i++) {
        asx_region *region;
        if (asx_region_lookup(shard, charge.regions[i], &region) == ASX_OK) {
            use(region, &region->cpu_used_ns, took_ns, region->resources->cpu_ns,
                "its processor time is used up");
        }
    }
}

void asxi_charge_io_any(asx_region *region, uint64_t bytes)
{
    /* From the outermost on it would be one cancellation; but what closes is only ever below. */
    for (; region && region->has_resources; region = region->parent) {
        const asx_resources *const stated = region->resources;
        if (stated && stated->io_bytes != ASX_RESOURCE_UNSTATED) {
            use(region, &region->io_used_bytes, bytes, stated->io_bytes,
                "its bytes of I/O are used up");
        }
    }
}

void asx_op_charge(asx_task *task, uint64_t bytes)
{
    asxi_charge_io(task->cx._region, bytes);
}
