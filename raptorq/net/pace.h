/* How fast: a bucket that fills with time and empties with what is sent.
 *
 * Model.   At `rate` bytes a second and never more than `burst` at once; a sender that was held up
 *          catches up by one burst, not by all it missed. Rate 0 is no limit.
 */
#ifndef ASX_RAPTORQ_NET_PACE_H
#define ASX_RAPTORQ_NET_PACE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/time.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct asx_rq_pace {
    uint64_t rate; /* bytes a second; 0: unlimited */
    asx_duration burst_ns;
    asx_instant free_ns; /* when all that was sent would be through at exactly `rate` */
} asx_rq_pace;

/* May another datagram go? If not, *until_ns says when. */
ASX_INLINE bool asx_rq_pace_ready(const asx_rq_pace *pace, asx_instant now_ns,
                                  asx_instant *until_ns)
{
    *until_ns = asx_time_sub(pace->free_ns, pace->burst_ns);
    return pace->rate == 0 || *until_ns <= now_ns;
}

/* bytes < 2^32 */
ASX_INLINE void asx_rq_pace_spend(asx_rq_pace *pace, asx_instant now_ns, uint64_t bytes)
{
    if (pace->rate > 0) {
        const asx_instant from_ns = pace->free_ns > now_ns ? pace->free_ns : now_ns;
        pace->free_ns = asx_time_add(from_ns, bytes * ASX_NS_PER_S / pace->rate);
    }
}

#endif
