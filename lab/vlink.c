#include <asx/lab/vlink.h>
#include <asx/shard/base/prng.h>

#include <string.h>

/* Lanes of a packet's draws: part of recorded runs. */
enum {
    LANE_LOSS = 0,
    LANE_LATENCY,
    LANE_CORRUPT,
    LANE_JITTER,
    LANE_REORDER,
    LANE_DUPLICATE,
    LANE_TRUNCATE,
};

#define EXTRA_NS (1000 * ASX_NS_PER_US) /* reordered packets and second copies: below this */
#define ONE_16 (INT64_C(1) << 16)

const char *asx_vlink_model_name(asx_vlink_model model)
{
    static const char *const names[] = { "fixed", "uniform", "normal", "log-normal", "bimodal" };
    return (unsigned)model < sizeof(names) / sizeof(names[0]) ? names[model] : "?";
}

asx_err asx_vlink_preset(const char *name, asx_vlink_conditions *conditions)
{
    static const struct {
        const char *name;
        asx_vlink_conditions conditions;
    } presets[] = {
        { "ideal", { .latency_ns = 0 } },
        { "local", { .latency_ns = 1000000 } },
        { "lan",
          { .model = ASX_VLINK_UNIFORM,
            .latency_ns = 1000000,
            .spread_ns = 4000000,
            .loss_ppm = 100,
            .bandwidth = 1000000000 } },
        { "wan",
          { .model = ASX_VLINK_NORMAL,
            .latency_ns = 50000000,
            .spread_ns = 20000000,
            .loss_ppm = 1000,
            .reorder_ppm = 1000,
            .bandwidth = 100000000,
            .jitter_ns = 10000000 } },
        { "lossy",
          { .model = ASX_VLINK_UNIFORM,
            .latency_ns = 1000000,
            .spread_ns = 4000000,
            .loss_ppm = 100000,
            .bandwidth = 1000000000 } },
        { "satellite",
          { .model = ASX_VLINK_NORMAL,
            .latency_ns = 600000000,
            .spread_ns = 50000000,
            .loss_ppm = 10000,
            .bandwidth = 10000000 } },
        { "congested",
          { .model = ASX_VLINK_NORMAL,
            .latency_ns = 100000000,
            .spread_ns = 50000000,
            .loss_ppm = 50000,
            .reorder_ppm = 20000,
            .bandwidth = 1000000,
            .in_flight_max = 100,
            .jitter_ns = 5000000,
            .burst_ns = 100000000,
            .burst_ppm = 100000 } },
    };
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        if (strcmp(name, presets[i].name) == 0) {
            *conditions = presets[i].conditions;
            return ASX_OK;
        }
    }
    return ASX_E(INVALID_ARGUMENT);
}

/* A standard normal in 16.16: twelve uniforms less six (Irwin-Hall). */
static int64_t normal_16(uint64_t draw)
{
    int64_t sum = -6 * ONE_16;
    for (int i = 0; i < 3; i++) {
        uint64_t bits = asx_splitmix64(&draw);
        for (int j = 0; j < 4; j++, bits >>= 16) {
            sum += (int64_t)(bits & 0xffff);
        }
    }
    return sum;
}

/* base * ratio^z for ratio = (base + spread) / base, z in 16.16, by squaring of roots: ratio^(1/2),
 * ratio^(1/4) and so on in 32.32 fixed point. */
static asx_duration log_normal(asx_duration base, asx_duration spread, int64_t z_16)
{
    const bool below = z_16 < 0;
    uint64_t z = (uint64_t)(below ? -z_16 : z_16);
    if (base == 0) {
        return 0;
    }
    unsigned __int128 ratio = ((unsigned __int128)asx_time_add(base, spread) << 32) / base;
    unsigned __int128 power = (unsigned __int128)1 << 32;
    for (uint64_t whole = z >> 16; whole > 0 && power >> 56 == 0; whole--) {
        power = power * ratio >> 32;
    }
    for (int bit = 15; bit >= 0; bit--) {
        /* Newton from above: at most 40 steps for 64 bits, nearly always fewer than 10. */
        const unsigned __int128 square = ratio << 32;
        unsigned __int128 root = ratio > ((unsigned __int128)1 << 32) ? ratio : square;
        for (unsigned __int128 next = (root + square / root) / 2; next < root;
             next = (root + square / root) / 2) {
            root = next;
        }
        ratio = root;
        if (z >> bit & 1) {
            power = power * ratio >> 32;
        }
    }
    const unsigned __int128 scaled =
        below ? ((unsigned __int128)base << 32) / power : (unsigned __int128)base * power >> 32;
    return scaled > UINT64_MAX ? UINT64_MAX : (asx_duration)scaled;
}

asx_duration asx_vlink_latency(const asx_vlink_conditions *conditions, uint64_t draw)
{
    const asx_duration base = conditions->latency_ns, spread = conditions->spread_ns;
    switch (conditions->model) {
    case ASX_VLINK_FIXED:
        return base;
    case ASX_VLINK_UNIFORM:
        return base + asx_lab_draw_below(draw, spread + 1);
    case ASX_VLINK_NORMAL: {
        const __int128 at = (__int128)base + ((__int128)spread * normal_16(draw) >> 16);
        return at > 0 ? (asx_duration)at : 0;
    }
    case ASX_VLINK_LOG_NORMAL:
        return log_normal(base, spread, normal_16(draw));
    case ASX_VLINK_BIMODAL:
        return base + (asx_lab_draw_hits(draw, conditions->far_ppm) ? spread : 0);
    }
    return base;
}

asx_duration asx_vlink_serialisation(const asx_vlink_conditions *conditions, uint64_t bytes)
{
    if (conditions->bandwidth == 0) {
        return 0;
    }
    return (asx_duration)((unsigned __int128)bytes * ASX_NS_PER_S / conditions->bandwidth);
}

asx_vlink_verdict asx_vlink_judge(const asx_vlink_conditions *conditions, const asx_lab_rand *rand,
                                  uint64_t object, uint64_t op)
{
    asx_vlink_verdict verdict = { .lost = false };
#define DRAW(lane) asx_lab_draw(rand, ASX_LAB_NET, object, op, lane)
    verdict.lost =
        conditions->loss_ppm > 0 && asx_lab_draw_hits(DRAW(LANE_LOSS), conditions->loss_ppm);
    if (conditions->corrupt_ppm > 0) {
        const uint64_t draw = DRAW(LANE_CORRUPT);
        verdict.corrupted = asx_lab_draw_hits(draw, conditions->corrupt_ppm);
        verdict.damage = asx_mix64(draw);
    }
    if (conditions->truncate_ppm > 0) {
        const uint64_t draw = DRAW(LANE_TRUNCATE);
        verdict.truncated = asx_lab_draw_hits(draw, conditions->truncate_ppm);
        verdict.damage ^= asx_mix64(draw);
    }
    verdict.delay_ns = conditions->model == ASX_VLINK_FIXED
                           ? conditions->latency_ns
                           : asx_vlink_latency(conditions, DRAW(LANE_LATENCY));
    if (conditions->jitter_ns > 0 || conditions->burst_ppm > 0) {
        const uint64_t draw = DRAW(LANE_JITTER);
        verdict.delay_ns += asx_lab_draw_below(draw, conditions->jitter_ns + 1);
        if (asx_lab_draw_hits(asx_mix64(draw), conditions->burst_ppm)) {
            verdict.delay_ns += conditions->burst_ns;
        }
    }
    if (conditions->reorder_ppm > 0) {
        const uint64_t draw = DRAW(LANE_REORDER);
        verdict.reordered = asx_lab_draw_hits(draw, conditions->reorder_ppm);
        verdict.delay_ns += verdict.reordered ? asx_lab_draw_below(asx_mix64(draw), EXTRA_NS) : 0;
    }
    if (conditions->duplicate_ppm > 0) {
        const uint64_t draw = DRAW(LANE_DUPLICATE);
        verdict.duplicated = asx_lab_draw_hits(draw, conditions->duplicate_ppm);
        verdict.duplicate_delay_ns = asx_lab_draw_below(asx_mix64(draw), EXTRA_NS);
    }
#undef DRAW
    return verdict;
}
