#include <asx/shard/base/assert.h>

#include "crashpack_internal.h"

#include <inttypes.h>
#include <string.h>

#define KNOB(field)                                                                      \
    {                                                                                    \
#field, offsetof(asx_lab_config, field), sizeof(((asx_lab_config *)NULL)->field) \
    }

static const struct {
    const char *name;
    size_t at, size;
} knobs[] = {
    KNOB(seed),
    KNOB(entropy_seed),
    KNOB(chaos_seed),
    KNOB(shards),
    KNOB(widen_ready),
    KNOB(ring_pressure),
    KNOB(turn_budget),
    KNOB(cancel_streak),
    KNOB(ring_capacity),
    KNOB(ring_delay_max),
    KNOB(keep_on_leak),
    KNOB(start_ns),
    KNOB(max_vtime_ns),
    KNOB(no_auto_advance),
    KNOB(dispatch_cost_ns),
    KNOB(spin_limit),
    KNOB(max_steps),
    KNOB(heap_bytes_max),
    KNOB(snapshot_every),
    KNOB(chaos.ppm[ASX_CHAOS_CANCEL]),
    KNOB(chaos.ppm[ASX_CHAOS_BUDGET]),
    KNOB(chaos.ppm[ASX_CHAOS_DELAY]),
    KNOB(chaos.ppm[ASX_CHAOS_STORM]),
    KNOB(chaos.ppm[ASX_CHAOS_WAKE]),
    KNOB(chaos.ppm[ASX_CHAOS_ALLOC]),
    KNOB(chaos.ppm[ASX_CHAOS_RING]),
    KNOB(chaos.ppm[ASX_CHAOS_IO]),
    KNOB(chaos.ppm[ASX_CHAOS_STALL]),
    KNOB(chaos.ppm[ASX_CHAOS_JUMP]),
    KNOB(chaos.ppm[ASX_CHAOS_SHORT]),
    KNOB(chaos.stall_max),
    KNOB(chaos.jump_max_ns),
    KNOB(chaos.delay_max_ns),
    KNOB(chaos.storm_max),
    KNOB(chaos.wide_errors),
    KNOB(chaos.swarm),
    KNOB(chaos.heal_at_ns),
    KNOB(chaos.alloc_nth),
    KNOB(chaos.await_point),
};

static uint64_t knob_get(const asx_lab_config *config, size_t k)
{
    uint64_t value = 0; /* little-endian: the low bytes are first */
    memcpy(&value, (const char *)config + knobs[k].at, knobs[k].size);
    return value;
}

void asxi_knobs_print(const asx_lab_config *config, FILE *out)
{
    for (size_t k = 0; k < asx_array_count(knobs); k++) {
        fprintf(out, "knob %s %" PRIu64 "\n", knobs[k].name, knob_get(config, k));
    }
}

bool asxi_knob_set(asx_lab_config *config, const char *name, uint64_t value)
{
    for (size_t k = 0; k < asx_array_count(knobs); k++) {
        if (strcmp(knobs[k].name, name) == 0) {
            value = knobs[k].size == sizeof(bool) ? value != 0 : value;
            memcpy((char *)config + knobs[k].at, &value, knobs[k].size);
            return true;
        }
    }
    return false;
}

void asxi_knobs_copy(asx_lab_config *config, const asx_lab_config *from)
{
    for (size_t k = 0; k < asx_array_count(knobs); k++) {
        memcpy((char *)config + knobs[k].at, (const char *)from + knobs[k].at, knobs[k].size);
    }
}
