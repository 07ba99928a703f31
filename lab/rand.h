/* Randomness of a run: independent streams, and draws keyed by what they decide.
 *
 * Model.   One seed, eight streams: a draw more in one shifts nothing in another. A keyed draw
 *          depends on (stream, object, operation, lane) only, so that taking one fault out of a run
 *          moves no other.
 * Owner.   The run.
 * Source.  Steele et al., OOPSLA 2014 (SplitMix64); Blackman & Vigna, 2018 (xoshiro256**). */
#ifndef ASX_LAB_RAND_H
#define ASX_LAB_RAND_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/prng.h>

#include <stdbool.h>
#include <stdint.h>

ASX_BEGIN_DECLS

/* Numbers are part of recorded runs: append only. */
typedef enum asx_lab_stream {
    ASX_LAB_SCHED = 0,
    ASX_LAB_RING,
    ASX_LAB_TIME,
    ASX_LAB_NET,
    ASX_LAB_DISK,
    ASX_LAB_CHAOS,
    ASX_LAB_ENTROPY, /* what programs are given */
    ASX_LAB_USER,
    ASX_LAB_STREAM_COUNT
} asx_lab_stream;

typedef struct asx_lab_rand {
    uint64_t seed[ASX_LAB_STREAM_COUNT];
    asx_prng prng[ASX_LAB_STREAM_COUNT];
} asx_lab_rand;

/* entropy_seed  of ASX_LAB_ENTROPY; usually the seed itself
 * chaos_seed    of ASX_LAB_CHAOS; 0: derived from the seed */
void asx_lab_rand_init(asx_lab_rand *rand, uint64_t seed, uint64_t entropy_seed,
                       uint64_t chaos_seed);

/* The draw of operation `op` of `object`; lane 0..7 tells several draws of one operation apart. */
uint64_t asx_lab_draw(const asx_lab_rand *rand, asx_lab_stream stream, uint64_t object, uint64_t op,
                      uint32_t lane);

ASX_END_DECLS

/* `draw` as a number in 0..n-1; n > 0. Not rejected, so biased by less than n / 2^64. */
ASX_INLINE uint64_t asx_lab_draw_below(uint64_t draw, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)draw * n) >> 64);
}

/* True for `ppm` of a million draws. */
ASX_INLINE bool asx_lab_draw_hits(uint64_t draw, uint32_t ppm)
{
    return asx_lab_draw_below(draw, 1000000) < ppm;
}

#endif
