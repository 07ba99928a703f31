/* What chaos is asked for. What it does to a run: chaos_run.c. */
#include <asx/lab/chaos.h>
#include <asx/lab/event.h>
#include <asx/shard/base/assert.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    asx_chaos_config config;
} presets[] = {
    { "off", { .storm_max = 0 } },
    { "light",
      { .ppm = { [ASX_CHAOS_CANCEL] = 10000,
                 [ASX_CHAOS_BUDGET] = 5000,
                 [ASX_CHAOS_DELAY] = 50000,
                 [ASX_CHAOS_STORM] = 10000,
                 [ASX_CHAOS_WAKE] = 10000,
                 [ASX_CHAOS_ALLOC] = 2000,
                 [ASX_CHAOS_RING] = 10000,
                 [ASX_CHAOS_IO] = 20000,
                 [ASX_CHAOS_STALL] = 10000,
                 [ASX_CHAOS_JUMP] = 1000,
                 [ASX_CHAOS_SHORT] = 50000 },
        .delay_max_ns = 10 * ASX_NS_PER_MS,
        .jump_max_ns = 100 * ASX_NS_PER_MS,
        .storm_max = 4 } },
    { "heavy",
      { .ppm = { [ASX_CHAOS_CANCEL] = 100000,
                 [ASX_CHAOS_BUDGET] = 50000,
                 [ASX_CHAOS_DELAY] = 200000,
                 [ASX_CHAOS_STORM] = 50000,
                 [ASX_CHAOS_WAKE] = 50000,
                 [ASX_CHAOS_ALLOC] = 20000,
                 [ASX_CHAOS_RING] = 100000,
                 [ASX_CHAOS_IO] = 150000,
                 [ASX_CHAOS_STALL] = 50000,
                 [ASX_CHAOS_JUMP] = 5000,
                 [ASX_CHAOS_SHORT] = 200000 },
        .delay_max_ns = 100 * ASX_NS_PER_MS,
        .jump_max_ns = ASX_NS_PER_S,
        .stall_max = 32,
        .storm_max = 19,
        .wide_errors = true } },
};

bool asx_chaos_preset(asx_chaos_config *config, const char *name)
{
    for (size_t i = 0; i < asx_array_count(presets); i++) {
        if (strcmp(presets[i].name, name) == 0) {
            *config = presets[i].config;
            return true;
        }
    }
    return false;
}

bool asx_chaos_active(const asx_chaos_config *config)
{
    bool any = config->alloc_nth > 0 || config->await_point > 0;
    for (uint32_t kind = 0; kind < ASX_CHAOS_KIND_COUNT; kind++) {
        any |= config->ppm[kind] > 0;
    }
    return any;
}

const char *asx_chaos_refused(const asx_chaos_config *config)
{
    for (uint32_t kind = 0; kind < ASX_CHAOS_KIND_COUNT; kind++) {
        if (config->ppm[kind] > 1000000) {
            return "chaos: a rate of more than a million in a million";
        }
    }
    if (config->ppm[ASX_CHAOS_RING] == 1000000) {
        return "chaos: a ring that is always full";
    }
    if (config->storm_max > ASX_CHAOS_STORM_MAX) {
        return "chaos: storms of at most 10000";
    }
    if ((config->delay_max_ns == 0) != (config->ppm[ASX_CHAOS_DELAY] == 0)) {
        return "chaos: a delay needs its rate and its length";
    }
    if (config->ppm[ASX_CHAOS_STALL] == 1000000) {
        return "chaos: shards that always stall";
    }
    if ((config->jump_max_ns == 0) != (config->ppm[ASX_CHAOS_JUMP] == 0)) {
        return "chaos: a jump needs its rate and its length";
    }
    if (config->alloc_nth > 0 && config->ppm[ASX_CHAOS_ALLOC] > 0) {
        return "chaos: allocations fail by number or by rate";
    }
    if ((config->swarm || config->heal_at_ns > 0) && !asx_chaos_active(config)) {
        return "chaos: nothing to leave out or to heal";
    }
    return NULL;
}

uint64_t asx_chaos_config_hash(uint64_t hash, const asx_chaos_config *config)
{
    if (!asx_chaos_active(config)) {
        return hash;
    }
    for (uint32_t kind = 0; kind < ASX_CHAOS_KIND_COUNT; kind++) {
        const uint64_t rate = config->ppm[kind];
        hash = asx_fnv64_words(hash, &rate, 1);
    }
    const uint64_t words[] = {
        config->delay_max_ns, config->storm_max,  config->wide_errors,
        config->swarm,        config->heal_at_ns, config->alloc_nth,
        config->await_point,  config->stall_max,  config->jump_max_ns,
    };
    return asx_fnv64_words(hash, words, asx_array_count(words));
}

const char *asx_chaos_kind_name(uint32_t kind)
{
    static const char *const names[] = {
        [ASX_CHAOS_CANCEL] = "cancel",   [ASX_CHAOS_BUDGET] = "budget",
        [ASX_CHAOS_DELAY] = "delay",     [ASX_CHAOS_STORM] = "storm",
        [ASX_CHAOS_WAKE] = "wake",       [ASX_CHAOS_ALLOC] = "alloc",
        [ASX_CHAOS_RING] = "ring full",  [ASX_CHAOS_IO] = "i/o error",
        [ASX_CHAOS_STALL] = "stall",     [ASX_CHAOS_JUMP] = "jump",
        [ASX_CHAOS_SHORT] = "short i/o",
    };
    return kind < asx_array_count(names) ? names[kind] : "?";
}

const char *asx_chaos_summary(const asx_chaos_config *config, char *buf, size_t cap)
{
    FILE *const out = fmemopen(buf, cap, "w");
    asx_assert(out && cap > 0);
    const char *between = "";
    for (uint32_t kind = 0; kind < ASX_CHAOS_KIND_COUNT; kind++) {
        if (config->ppm[kind] > 0) {
            fprintf(out, "%s%s %g%%", between, asx_chaos_kind_name(kind),
                    config->ppm[kind] / 10000.0);
            between = ", ";
        }
    }
    if (config->alloc_nth > 0) {
        fprintf(out, "%sallocation %llu", between, (unsigned long long)config->alloc_nth);
        between = ", ";
    }
    if (config->await_point > 0) {
        fprintf(out, "%sawait point %llu", between, (unsigned long long)config->await_point);
        between = ", ";
    }
    fputs(between[0] ? config->swarm ? ", swarm" : "" : "off", out);
    fclose(out);
    buf[cap - 1] = '\0';
    return buf;
}

const char *asx_chaos_fault_text(uint64_t object, char *buf, size_t cap)
{
    const uint32_t kind = (uint32_t)(object >> 56);
    const char *const point = kind == ASX_CHAOS_IO      ? "operation"
                              : kind == ASX_CHAOS_RING  ? "look into a ring"
                              : kind == ASX_CHAOS_SHORT ? "transfer"
                                                        : "turn";
    snprintf(buf, cap, "%s at %s %" PRIu64 " of shard %u", asx_chaos_kind_name(kind), point,
             object & ((UINT64_C(1) << 48) - 1), (unsigned)(object >> 48) & 0xff);
    return buf;
}

uint64_t asx_chaos_injected(const asx_chaos_stats *stats)
{
    uint64_t sum = 0;
    for (uint32_t kind = 0; kind < ASX_CHAOS_KIND_COUNT; kind++) {
        sum += stats->injected[kind];
    }
    return sum;
}
