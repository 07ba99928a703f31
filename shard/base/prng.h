/* Seeded generators with an owner: SplitMix64 to spread seeds, xoshiro256** to draw.
 *
 * Not for secrets. Equal seeds give equal draws on every host.
 * Source.  Steele et al., OOPSLA 2014; Blackman & Vigna, 2018; Lemire, TOMACS 2019 (bounds). */
#ifndef ASX_SHARD_BASE_PRNG_H
#define ASX_SHARD_BASE_PRNG_H

#include <asx/shard/base/assert.h>
#include <asx/shard/base/decls.h>

#include <stdint.h>

typedef struct asx_prng {
    uint64_t s[4];
} asx_prng;

/* The SplitMix64 finaliser. */
ASX_INLINE uint64_t asx_mix64(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Advances `state` and returns the next SplitMix64 output. */
ASX_INLINE uint64_t asx_splitmix64(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    return asx_mix64(*state);
}

ASX_INLINE void asx_prng_init(asx_prng *prng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        prng->s[i] = asx_splitmix64(&seed);
    }
}

ASX_INLINE uint64_t asx_prng_rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

ASX_INLINE uint64_t asx_prng_u64(asx_prng *prng)
{
    uint64_t *const s = prng->s;
    const uint64_t result = asx_prng_rotl(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = asx_prng_rotl(s[3], 45);
    return result;
}

/* Uniform in 0..n-1, unbiased by rejection; n > 0. */
ASX_INLINE uint64_t asx_prng_below(asx_prng *prng, uint64_t n)
{
    asx_assert(n > 0);
    unsigned __int128 product = (unsigned __int128)asx_prng_u64(prng) * n;
    if ((uint64_t)product < n) {
        const uint64_t threshold = (0 - n) % n;
        while ((uint64_t)product < threshold) {
            product = (unsigned __int128)asx_prng_u64(prng) * n;
        }
    }
    return (uint64_t)(product >> 64);
}

#endif
