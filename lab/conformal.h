/* Split conformal thresholds: is this run's number unlike those of the calibration runs?
 *
 * Model.   The first half of the calibration gives a median, the second half the distances from
 *          it, whose r-th smallest, r = ceil((1 - alpha)(n + 1)), is the threshold: a new
 *          exchangeable run lies within it with probability >= 1 - alpha. With r > n nothing can
 *          be anomalous: the threshold is infinite, never the largest distance seen.
 * Assumes. Exchangeable runs. Seeds drawn at random are; seeds that an explorer chose, and machines
 *          that drift, are not. Whoever prints a verdict prints this too.
 * Owner.   The caller, who also brings the numbers. A number calibrates or is tested, never both.
 * Source.  Vovk, Gammerman & Shafer, 2005; Lei et al., JASA 2018. */
#ifndef ASX_LAB_CONFORMAL_H
#define ASX_LAB_CONFORMAL_H

#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_conformal {
    uint32_t alpha_ppm;
    double median;
    double threshold;  /* of the distance from the median; INFINITY: too few scores */
    uint64_t scores;   /* finite numbers of the second half */
    uint64_t rejected; /* numbers of the calibration that were not finite */
    uint64_t tested;
    uint64_t within;
} asx_conformal;

#define ASX_CONFORMAL_ASSUMPTION "valid for exchangeable runs: seeds drawn at random, one machine"

/* The rank of the threshold among n scores, from 1; above n: infinite. alpha in 1..999999 ppm. */
uint64_t asx_conformal_rank(uint64_t n, uint32_t alpha_ppm);

/* numbers  in the order in which they were measured; overwritten */
void asx_conformal_init(asx_conformal *conformal, double *numbers, size_t count,
                        uint32_t alpha_ppm);

/* Tests one number, and returns whether it is anomalous; what is not finite always is. */
bool asx_conformal_test(asx_conformal *conformal, double number);

/* Whether what was tested so far was covered about as often as promised: 1 - alpha - alpha/5. */
bool asx_conformal_is_calibrated(const asx_conformal *conformal);

ASX_END_DECLS

#endif
