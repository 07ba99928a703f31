#include <asx/lab/rand.h>
#include <asx/shard/base/assert.h>

#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)

void asx_lab_rand_init(asx_lab_rand *rand, uint64_t seed, uint64_t entropy_seed,
                       uint64_t chaos_seed)
{
    uint64_t state = seed;
    for (unsigned d = 0; d < ASX_LAB_STREAM_COUNT; d++) {
        rand->seed[d] = asx_splitmix64(&state);
    }
    if (entropy_seed != seed) {
        state = entropy_seed + ASX_LAB_ENTROPY * GOLDEN;
        rand->seed[ASX_LAB_ENTROPY] = asx_splitmix64(&state);
    }
    if (chaos_seed != 0) {
        state = chaos_seed + ASX_LAB_CHAOS * GOLDEN;
        rand->seed[ASX_LAB_CHAOS] = asx_splitmix64(&state);
    }
    for (unsigned d = 0; d < ASX_LAB_STREAM_COUNT; d++) {
        asx_prng_init(&rand->prng[d], rand->seed[d]);
    }
}

uint64_t asx_lab_draw(const asx_lab_rand *rand, asx_lab_stream stream, uint64_t object, uint64_t op,
                      uint32_t lane)
{
    asx_debug_assert(lane < 8);
    const uint64_t of_object = asx_mix64(rand->seed[stream] ^ (object * GOLDEN));
    return asx_mix64(of_object + (op * 8 + lane + 1) * GOLDEN);
}
