#include "drain_odds.h"

#include <asx/shard/base/assert.h>

#include <math.h>

/* A mean of ten draws or more is lower than two standard errors below the true one in about one of
 * forty cases. */
#define MEAN_LOW 2.0
#define MEAN_MISSED 0.025

typedef struct falls {
    uint32_t count;
    double mean, variance, largest;
} falls;

static falls falls_of(const asx_drain *drain)
{
    int64_t sum;
    falls f = { .count = asx_drain_falls(drain, &sum) };
    /* The ring's first slot belongs to the first look, which fell from nothing. */
    const uint32_t first = f.count < ASX_DRAIN_WINDOW ? 1 : 0;
    if (f.count == 0) {
        return f;
    }
    f.mean = (double)sum / f.count;
    for (uint32_t i = first; i < first + f.count; i++) {
        const double fall = (double)drain->falls[i];
        f.variance += (fall - f.mean) * (fall - f.mean);
        f.largest = fmax(f.largest, fabs(fall));
    }
    f.variance = f.count > 1 ? f.variance / (f.count - 1) : 0;
    return f;
}

static double with_estimate(double bound)
{
    return fmin(1, bound + MEAN_MISSED);
}

asx_drain_odds asx_drain_odds_of(const asx_drain *drain, uint64_t looks_left)
{
    asx_drain_odds odds = { .worst = 1, .likely = 1 };
    const falls f = falls_of(drain);
    const double looks = (double)looks_left;
    if (drain->looks > 0 && drain->last == 0) {
        return (asx_drain_odds){ .worst = 0, .likely = 0 };
    }
    if (f.count < 2) {
        return odds;
    }
    const double mean = f.mean - MEAN_LOW * sqrt(f.variance / f.count);
    const double spare = looks * mean - (double)drain->last;
    if (spare <= 0) {
        return odds;
    }
    asx_assert(f.largest > 0); /* as the mean is */
    odds.worst = with_estimate(exp(-spare * spare / (2 * looks * f.largest * f.largest)));
    odds.likely = odds.worst;
    if (f.count >= ASX_DRAIN_ODDS_LOOKS_MIN) {
        /* No step is further from the mean than the largest fall twice. */
        const double spread = looks * f.variance + 2 * f.largest * spare / 3;
        odds.likely = fmin(odds.worst, with_estimate(exp(-spare * spare / (2 * spread))));
    }
    return odds;
}
