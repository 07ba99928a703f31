/* What a seed has in store. */
#include <asx/shard/base/assert.h>

#include "rehearsal_internal.h"

/* Half of the kinds are there at all. */
static uint32_t ppm_draw(asx_prng *prng, uint64_t most)
{
    return asx_prng_below(prng, 2) ? (uint32_t)asx_prng_below(prng, most) : 0;
}

static asx_vstream_faults faults_draw(asx_prng *prng)
{
    asx_vstream_faults faults = { .unread_lost_ppm = 500000 };
    const struct {
        uint32_t *ppm;
        uint64_t most;
    } kinds[] = {
        { &faults.split_ppm, 200000 },       { &faults.short_read_ppm, 100000 },
        { &faults.short_write_ppm, 100000 }, { &faults.stall_ppm, 10000 },
        { &faults.reset_ppm, 20000 },        { &faults.truncate_ppm, 10000 },
        { &faults.fin_lost_ppm, 10000 },     { &faults.refused_ppm, 10000 },
        { &faults.unreachable_ppm, 10000 },  { &faults.syn_lost_ppm, 10000 },
        { &faults.accept_ppm, 10000 },
    };
    for (size_t i = 0; i < asx_array_count(kinds); i++) {
        *kinds[i].ppm = ppm_draw(prng, kinds[i].most);
    }
    return faults;
}

asxi_rehearsal_plan asxi_rehearsal_plan_of(uint64_t seed)
{
    static const char *const links[] = {
        "ideal", "local", "lan", "wan", "lossy", "lan", "congested"
    };
    asx_prng prng;
    asx_prng_init(&prng, seed ^ 0xca05);
    asxi_rehearsal_plan plan = {
        .seed = seed,
        .clients = 2000,
        .callers = 64,
        .requests = 3,
        .rude = true,
        .panics = true,
    };
    plan.cuts = asx_prng_below(&prng, 4) == 0;
    plan.arrive_ns = asx_ms(asx_prng_below(&prng, 3000));
    plan.drain_after_ns = asx_prng_below(&prng, 2) ? asx_ms(1 + asx_prng_below(&prng, 2000)) : 0;
    plan.force_after_ns =
        asx_prng_below(&prng, 4) == 0 ? asx_ms(1 + asx_prng_below(&prng, 500)) : 0;
    plan.kept_max = 1 + (uint32_t)asx_prng_below(&prng, 40);
    const asx_err err =
        asx_vlink_preset(links[asx_prng_below(&prng, asx_array_count(links))], &plan.link);
    asx_assert_eq(err, ASX_OK);
    plan.faults = faults_draw(&prng);
    plan.per_ip_max = asx_prng_below(&prng, 8) ? 0 : 50 + (uint32_t)asx_prng_below(&prng, 500);
    plan.accept_rate = asx_prng_below(&prng, 8) ? 0 : 50 + (uint32_t)asx_prng_below(&prng, 2000);
    return plan;
}
