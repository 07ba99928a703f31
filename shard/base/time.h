/* Instants and durations: u64 nanoseconds, saturating (TM-1, TM-2).
 *
 * Instants count from the engine's epoch; ASX_TIME_NEVER means "never". They are two types only by
 * name: fields and arguments say which by their suffix, at_ns or deadline_ns against
 * timeout_ns, period_ns and the like. */
#ifndef ASX_SHARD_BASE_TIME_H
#define ASX_SHARD_BASE_TIME_H

#include <asx/shard/base/decls.h>

#include <stdint.h>

typedef uint64_t asx_instant;
typedef uint64_t asx_duration;

#define ASX_TIME_NEVER UINT64_MAX
#define ASX_NS_PER_US UINT64_C(1000)
#define ASX_NS_PER_MS UINT64_C(1000000)
#define ASX_NS_PER_S UINT64_C(1000000000)

ASX_INLINE uint64_t asx_time_add(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

ASX_INLINE uint64_t asx_time_sub(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

ASX_INLINE uint64_t asx_time_mul(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

ASX_INLINE asx_duration asx_ms(uint64_t ms)
{
    return asx_time_mul(ms, ASX_NS_PER_MS);
}

ASX_INLINE asx_duration asx_s(uint64_t s)
{
    return asx_time_mul(s, ASX_NS_PER_S);
}

#endif
