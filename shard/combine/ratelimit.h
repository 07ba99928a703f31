/* Rate limits: so much per period, in order of arrival (CMB-19).
 *
 * Model.  A permit stands for its cost. It is spent once committed, and refunded when aborted or
 *         lost before. All arithmetic is in integers: what a refill leaves over is carried on, so
 *         that no rate drifts.
 * Owner.  The region it was opened in; the value names it and may be copied.
 * Cancel. A cancelled wait has spent nothing, and the next in line takes its place. */
#ifndef ASX_SHARD_COMBINE_RATELIMIT_H
#define ASX_SHARD_COMBINE_RATELIMIT_H

#include <asx/shard/base/decls.h>
#include <asx/shard/obligation.h>

ASX_BEGIN_DECLS

#define ASX_RATELIMIT_LOG_MAX 65536u /* rate of a SLIDING_LOG at most */

typedef enum asx_ratelimit_algorithm {
    ASX_TOKEN_BUCKET = 0, /* `burst` tokens at most, full at first, `rate` of them a period */
    ASX_SLIDING_LOG,      /* costs younger than the period add up to `rate` at most */
    ASX_FIXED_WINDOW,     /* as much as `rate` in each period, counted from the opening */
} asx_ratelimit_algorithm;

typedef struct asx_ratelimit_options { /* zero-filled fields are the defaults */
    uint32_t rate;                     /* 0: 100 */
    asx_duration period_ns;            /* 0: 1 s */
    uint32_t burst;                    /* 0: 10 */
    asx_ratelimit_algorithm algorithm;
    const char *what; /* for people; outlives the limit */
} asx_ratelimit_options;

typedef struct asx_ratelimit {
    asx_handle _object;
} asx_ratelimit;

typedef struct asx_rate_permit {
    asx_permit _obligation;
} asx_rate_permit;

/* errors  INVALID_ARGUMENT (a log too long), REGION_CLOSED, NO_SLOTS, NO_MEMORY */
ASX_NODISCARD asx_err asx_ratelimit_open(asx_cx *cx, const asx_ratelimit_options *options,
                                         asx_ratelimit *limit);

/* Waits until `cost` may be spent. What becomes free exactly at the deadline is still granted.
 * errors  RATE_LIMITED (cost above what can ever be there), TIMED_OUT, CLOSED, STALE */
ASX_NODISCARD asx_outcome asx_ratelimit_acquire_until(asx_cx *cx, asx_ratelimit limit,
                                                      uint32_t cost, asx_instant deadline_ns,
                                                      asx_rate_permit *permit);
/* Does not wait.
 * retry_after_ns  when the answer is RATE_LIMITED: until the cost is there if nobody else takes it,
 *                 rounded up; ASX_TIME_NEVER when it never will be. NULL allowed
 * errors          RATE_LIMITED, also when somebody waits; CLOSED, STALE */
ASX_NODISCARD asx_err asx_ratelimit_try_acquire(asx_cx *cx, asx_ratelimit limit, uint32_t cost,
                                                asx_rate_permit *permit,
                                                asx_duration *retry_after_ns);
/* The operation begins: the cost is spent, whatever comes of it. */
void asx_rate_permit_commit(asx_cx *cx, asx_rate_permit permit);
/* The operation will not begin: refunded. */
void asx_rate_permit_abort(asx_cx *cx, asx_rate_permit permit);

ASX_END_DECLS

#endif
