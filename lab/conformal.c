#include <asx/lab/conformal.h>
#include <asx/shard/base/assert.h>

#include <math.h>
#include <stdlib.h>

#define MILLION UINT64_C(1000000)

uint64_t asx_conformal_rank(uint64_t n, uint32_t alpha_ppm)
{
    asx_assert(alpha_ppm > 0 && alpha_ppm < MILLION);
    asx_assert_lt(n, UINT64_MAX / MILLION);
    return ((MILLION - alpha_ppm) * (n + 1) + MILLION - 1) / MILLION;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Moves the finite numbers to the front, in order; returns how many they are. */
static size_t keep_finite(double *numbers, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (isfinite(numbers[i])) {
            numbers[kept++] = numbers[i];
        }
    }
    return kept;
}

void asx_conformal_init(asx_conformal *conformal, double *numbers, size_t count, uint32_t alpha_ppm)
{
    const size_t kept = keep_finite(numbers, count);
    const size_t half = kept / 2;
    *conformal = (asx_conformal){ .alpha_ppm = alpha_ppm,
                                  .threshold = INFINITY,
                                  .scores = kept - half,
                                  .rejected = count - kept };
    if (half == 0) {
        return;
    }
    qsort(numbers, half, sizeof(*numbers), compare);
    conformal->median =
        half % 2 ? numbers[half / 2] : (numbers[half / 2 - 1] + numbers[half / 2]) / 2;
    double *const scores = numbers + half;
    for (size_t i = 0; i < conformal->scores; i++) {
        scores[i] = fabs(scores[i] - conformal->median);
    }
    qsort(scores, conformal->scores, sizeof(*scores), compare);
    const uint64_t rank = asx_conformal_rank(conformal->scores, alpha_ppm);
    if (rank <= conformal->scores) {
        conformal->threshold = scores[rank - 1];
    }
}

bool asx_conformal_test(asx_conformal *conformal, double number)
{
    const bool within =
        isfinite(number) && fabs(number - conformal->median) <= conformal->threshold;
    conformal->tested++;
    conformal->within += within;
    return !within;
}

bool asx_conformal_is_calibrated(const asx_conformal *conformal)
{
    const double alpha = (double)conformal->alpha_ppm / (double)MILLION;
    return (double)conformal->within >= (1 - alpha - alpha / 5) * (double)conformal->tested;
}
