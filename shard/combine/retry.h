/* Retry: tries again what failed, later and later (CMB-21).
 *
 * Cancel. A checkpoint before each attempt; the delay is a cancel point. */
#ifndef ASX_SHARD_COMBINE_RETRY_H
#define ASX_SHARD_COMBINE_RETRY_H

#include <asx/shard/base/decls.h>
#include <asx/shard/task.h>

ASX_BEGIN_DECLS

typedef bool asx_retry_fn(asx_err err, uint32_t attempt, void *arg);

/* A budget of retries that several callers share: a token bucket. Empty: no retry. */
typedef struct asx_retry_budget {
    uint32_t tokens; /* left; starts as the caller says */
    uint32_t tokens_max;
    uint32_t refund_ppm; /* of a token, for each success */
    uint32_t _fraction_ppm;
} asx_retry_budget;

typedef struct asx_retry_options { /* zero-filled fields are the defaults */
    uint32_t attempts;             /* in all; 0: 3 */
    asx_duration delay_ns;         /* before the second; 0: 100 ms */
    uint32_t multiplier_percent;   /* of each delay over the one before; 0: 200 */
    asx_duration delay_max_ns;     /* 0: 30 s */
    uint32_t jitter_ppm;           /* of the delay at most, added; from the cx's entropy */
    bool no_jitter;                /* else 0 means 100000 ppm */
    asx_retry_fn *retries;         /* which errors; NULL: all */
    void *retries_arg;
    asx_retry_budget *budget; /* NULL: none */
} asx_retry_options;

typedef struct asx_retry_result {
    uint32_t attempts;
    asx_duration delayed_ns;
} asx_retry_result;

/* Calls fn until it does not fail, in this task. Only Err is tried again. A delay that would end
 * after the budget's deadline is not slept: the last error is returned. result: NULL allowed. */
ASX_NODISCARD asx_outcome asx_retry(asx_cx *cx, asx_task_fn *fn, void *arg,
                                    const asx_retry_options *options, asx_retry_result *result);

/* The delay before attempt k + 1, k >= 1, without jitter. */
asx_duration asx_retry_delay(const asx_retry_options *options, uint32_t k);

ASX_END_DECLS

#endif
