#include <asx/lab/lab.h>
#include <asx/lab/vdisk.h>
#include <asx/lab/vnet.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include <string.h>

#define SCHEMA \
    1u /* of the hash: another number whenever a field is added or means something else */

#define OR(value, fallback) ((value) ? (value) : (fallback))

asx_lab_config asx_lab_config_fill(const asx_lab_config *config)
{
    asx_lab_config full = *config;
    full.seed = OR(full.seed, 42);
    full.entropy_seed = OR(full.entropy_seed, full.seed);
    full.shards = OR(full.shards, 1);
    full.turn_budget = OR(full.turn_budget, 1);
    full.cancel_streak = OR(full.cancel_streak, 16);
    full.ring_capacity = OR(full.ring_capacity, 64);
    full.ring_delay_max = OR(full.ring_delay_max, 8);
    full.spin_limit = OR(full.spin_limit, 1000);
    full.max_steps = OR(full.max_steps, 100000);
    full.trace_capacity = OR(full.trace_capacity, 65536);
    full.choice_rows_max = OR(full.choice_rows_max, ASX_LAB_CHOICE_ROWS_MAX);
    return full;
}

static uint64_t hash_clocks(uint64_t hash, const asx_lab_config *config)
{
    for (uint32_t i = 0; i < config->shards; i++) {
        const uint64_t words[] = {
            config->clock_offset_ns ? config->clock_offset_ns[i] : 0,
            config->clock_skew_ppm ? (uint64_t)(int64_t)config->clock_skew_ppm[i] : 0,
        };
        hash = asx_fnv64_words(hash, words, asx_array_count(words));
    }
    return hash;
}

/* A forced run is the same run as the one that made its list: neither the mode nor the list is part
 * of the hash, and neither is what is merely kept or heard. */
uint64_t asx_lab_config_hash(const asx_lab_config *config)
{
    const asx_lab_config full = asx_lab_config_fill(config);
    const uint64_t words[] = {
        SCHEMA,
        full.seed,
        full.entropy_seed,
        full.chaos_seed,
        full.shards,
        full.widen_ready,
        full.ring_pressure,
        full.turn_budget,
        full.cancel_streak,
        full.ring_capacity,
        full.ring_delay_max,
        full.keep_on_leak,
        full.start_ns,
        full.max_vtime_ns,
        full.no_auto_advance,
        full.dispatch_cost_ns,
        full.spin_limit,
        full.net ? asx_vnet_config_hash(full.net) : 0,
        full.disk ? asx_vdisk_config_hash(full.disk) : 0,
        full.max_steps,
        full.heap_bytes_max,
        full.snapshot_every,
    };
    const uint64_t hash = asx_fnv64_words(ASX_FNV64_EMPTY, words, asx_array_count(words));
    return asx_chaos_config_hash(hash_clocks(hash, &full), &full.chaos);
}

uint64_t asx_lab_build_id(void)
{
    uint64_t hash = ASX_FNV64_EMPTY;
    for (uint32_t kind = 1; kind < ASX_TRACE_KIND_END; kind++) {
        const char *const name = asx_trace_kind_name(kind);
        const char *const words = asx_trace_kind_words(kind);
        hash = asx_fnv64(hash, name, strlen(name) + 1);
        hash = asx_fnv64(hash, words, strlen(words) + 1);
    }
    const uint64_t words[] = { SCHEMA, ASX_LAB_EVENT_VERSION, ASX_CHOICE_SITE_COUNT };
    return asx_fnv64_words(hash, words, asx_array_count(words));
}

const char *asx_lab_config_refused(const asx_lab_config *config)
{
    const asx_lab_config full = asx_lab_config_fill(config);
    if (full.shards > ASX_LAB_SHARDS_MAX) {
        return "shards: at most 64";
    }
    if (!asx_is_pow2(full.ring_capacity) || full.ring_capacity < 8 || full.ring_capacity > 32768) {
        return "ring_capacity: a power of two from 8 to 32768";
    }
    if ((full.mode == ASX_LAB_FORCED || full.mode == ASX_LAB_LENIENT) &&
        (!full.choices && full.choice_count > 0)) {
        return "choices: missing";
    }
    if (full.choice_count > 0 && full.mode != ASX_LAB_FORCED && full.mode != ASX_LAB_LENIENT) {
        return "choices: only FORCED and LENIENT runs follow a list";
    }
    if (full.feed && (full.mode != ASX_LAB_FORCED || full.choice_count > 0)) {
        return "feed: goes with mode FORCED, and without a list";
    }
    if (full.bytes_len > 0 && full.mode != ASX_LAB_BYTES) {
        return "bytes: only BYTES runs read them";
    }
    if ((full.mode == ASX_LAB_STEERED) != (full.steer != NULL)) {
        return "steer: goes with mode STEERED, and the mode with it";
    }
    static char why[160]; /* the lab has one thread */
    if (asx_lab_oracles_select(full.oracles, why, sizeof(why)) == 0) {
        return why;
    }
    if (full.dispatch_cost_ns > 0 && full.mode == ASX_LAB_STEERED) {
        return "dispatch_cost_ns: couples the clock to the schedule, which a strategy may not have";
    }
    return asx_chaos_refused(&full.chaos);
}

const char *asx_lab_mode_name(asx_lab_mode mode)
{
    static const char *const names[] = {
        [ASX_LAB_RANDOM] = "random",   [ASX_LAB_DEFAULT] = "default", [ASX_LAB_FORCED] = "forced",
        [ASX_LAB_LENIENT] = "lenient", [ASX_LAB_BYTES] = "bytes",     [ASX_LAB_STEERED] = "steered",
    };
    return (unsigned)mode < asx_array_count(names) ? names[mode] : "?";
}
