/* Intervals: ticks at start, start + period, start + 2 period, ... (TMR-14).
 *
 * Model.  A tick returns the instant it was scheduled for. Ticks that were missed come all at once
 *         (BURST), begin a new series (DELAY), or are left out (SKIP).
 * Owner.  Memory of the caller's, plain data; nothing is armed between two ticks.
 * Cancel. An interrupted tick has consumed nothing. */
#ifndef ASX_SHARD_INTERVAL_H
#define ASX_SHARD_INTERVAL_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

typedef enum asx_missed {
    ASX_MISSED_BURST = 0, /* next = scheduled + period */
    ASX_MISSED_DELAY,     /* next = now + period */
    ASX_MISSED_SKIP,      /* next = the first start + k period after now */
} asx_missed;

typedef struct asx_interval {
    asx_instant next_ns;
    asx_duration period_ns;
    asx_missed missed;
} asx_interval;

/* errors  INVALID_ARGUMENT (period 0) */
ASX_NODISCARD asx_err asx_interval_init(asx_interval *interval, asx_instant start_ns,
                                        asx_duration period_ns, asx_missed missed);

/* Waits for the tick that is due next. scheduled_ns: NULL allowed. */
ASX_NODISCARD asx_outcome asx_interval_tick(asx_cx *cx, asx_interval *interval,
                                            asx_instant *scheduled_ns);

ASX_END_DECLS

#endif
