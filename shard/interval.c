#include <asx/shard/interval.h>

#include "shard_internal.h"

asx_err asx_interval_init(asx_interval *interval, asx_instant start_ns, asx_duration period_ns,
                          asx_missed missed)
{
    *interval = (asx_interval){ .next_ns = start_ns, .period_ns = period_ns, .missed = missed };
    return period_ns > 0 ? ASX_OK : ASX_E(INVALID_ARGUMENT);
}

/* The tick after the one scheduled for `scheduled_ns`, which is taken now. */
static asx_instant tick_after(const asx_interval *interval, asx_instant scheduled_ns,
                              asx_instant now_ns)
{
    const asx_duration period_ns = interval->period_ns;
    switch (interval->missed) {
    case ASX_MISSED_BURST:
        break;
    case ASX_MISSED_DELAY:
        return asx_time_add(now_ns, period_ns);
    case ASX_MISSED_SKIP:
        return asx_time_add(scheduled_ns,
                            asx_time_mul((now_ns - scheduled_ns) / period_ns + 1, period_ns));
    }
    return asx_time_add(scheduled_ns, period_ns);
}

asx_outcome asx_interval_tick(asx_cx *cx, asx_interval *interval, asx_instant *scheduled_ns)
{
    const asx_instant due_ns = interval->next_ns;
    asx_assert(interval->period_ns > 0);
    ASX_TRY(asx_sleep_until(cx, due_ns));
    interval->next_ns = tick_after(interval, due_ns, cx->_shard->now_ns);
    if (scheduled_ns) {
        *scheduled_ns = due_ns;
    }
    return asx_ok(0);
}
