#include <asx/shard/base/assert.h>
#include <asx/shard/resource.h>

const char *asx_resource_name(asx_resource resource)
{
    switch (resource) {
    case ASX_RESOURCE_MEMORY:
        return "MEMORY";
    case ASX_RESOURCE_CPU:
        return "CPU";
    case ASX_RESOURCE_IO:
        return "IO";
    case ASX_RESOURCE_ARTIFACT:
        return "ARTIFACT";
    case ASX_RESOURCE_CLEANUP:
        return "CLEANUP";
    }
    return "?";
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

asx_resources asx_resources_meet(asx_resources a, asx_resources b)
{
    return (asx_resources){
        .memory_bytes = least(a.memory_bytes, b.memory_bytes),
        .cpu_ns = least(a.cpu_ns, b.cpu_ns),
        .io_bytes = least(a.io_bytes, b.io_bytes),
        .artifact_bytes = least(a.artifact_bytes, b.artifact_bytes),
        .cleanup_polls = least(a.cleanup_polls, b.cleanup_polls),
        .cleanup_ns = least(a.cleanup_ns, b.cleanup_ns),
    };
}

/* Of cleanup, the half that is scarcer: none of one is none of both. */
static uint64_t amount_of(const asx_resources *resources, asx_resource resource)
{
    switch (resource) {
    case ASX_RESOURCE_MEMORY:
        return resources->memory_bytes;
    case ASX_RESOURCE_CPU:
        return resources->cpu_ns;
    case ASX_RESOURCE_IO:
        return resources->io_bytes;
    case ASX_RESOURCE_ARTIFACT:
        return resources->artifact_bytes;
    case ASX_RESOURCE_CLEANUP:
        return least(resources->cleanup_polls, resources->cleanup_ns);
    }
    asx_unreachable();
}

asx_err asx_resources_plan(const asx_resources *parent, const asx_resources *wanted,
                           uint32_t required, asx_resources *child, asx_resource *which)
{
    asx_assert(required >> ASX_RESOURCE_COUNT == 0);
    for (unsigned i = 0; i < ASX_RESOURCE_COUNT; i++) {
        const uint64_t amount = amount_of(parent, (asx_resource)i);
        if (required >> i & 1 && (amount == 0 || amount == ASX_RESOURCE_UNSTATED)) {
            *which = (asx_resource)i;
            return amount == 0 ? ASX_E(EXHAUSTED) : ASX_E(MISSING_REQUIRED);
        }
    }
    *child = asx_resources_meet(*parent, *wanted);
    return ASX_OK;
}
