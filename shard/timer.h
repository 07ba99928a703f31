/* Timers: one hierarchical wheel per shard.
 *
 * Model.   1 tick = 1 ms; 6 levels of 256 slots cover every 64-bit instant, so that what others
 *          keep in an overflow heap is two more levels. A timer sits in the level of the highest
 *          tick digit in which it differs from now, and falls when that digit is reached. The tick
 *          in progress is kept as sorted runs, so that firing is exact to the nanosecond.
 * Owner.   The shard. Only its thread calls in. The node is memory of the caller's.
 * Bounds.  arm and disarm O(1); advance O(log) a timer that expires and O(1) a level that one
 *          falls, never a function of the ticks that went by.
 * Source.  Varghese & Lauck, SOSP 1987, scheme 7.
 */
#ifndef ASX_SHARD_TIMER_H
#define ASX_SHARD_TIMER_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>
#include <asx/shard/base/list.h>
#include <asx/shard/base/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

/* 44 bits hold every tick of a 64-bit instant: five whole digits and half of a sixth. */
#define ASX_TIMER_TICK_NS ASX_NS_PER_MS
#define ASX_TIMER_LEVELS 6
#define ASX_TIMER_SLOTS 256
#define ASX_TIMER_RUNS 32
#define ASX_TIMER_MAX_NS (7 * 24 * 3600 * ASX_NS_PER_S) /* of asx_timer_try_arm */

typedef struct asx_timer asx_timer;
typedef void asx_timer_fn(asx_timer *timer);

/* Embed in the waiting object; zero-filled means disarmed. */
struct asx_timer {
    asx_list _link;
    asx_instant at_ns; /* shard clock, absolute */
    uint64_t _seq;     /* order of arming: settles equal instants */
    asx_timer_fn *fn;  /* runs on the shard, disarmed already; must not suspend */
};

/* How deadlines are moved, always to later instants. Zero-filled: not at all. */
typedef struct asx_timer_shape {
    asx_duration window_ns; /* deadlines become multiples of it, so that neighbours fire together */
    asx_duration jitter_max_ns; /* each is moved by 0..this, so that equals do not fire together */
    uint64_t jitter_seed;       /* equal seeds and equal armings give equal jitter */
    asx_duration max_ns;        /* the furthest that asx_timer_try_arm takes; 0: ASX_TIMER_MAX_NS */
} asx_timer_shape;

typedef struct asx_timer_wheel {
    asx_instant _now_ns; /* the latest instant that advance was told */
    uint64_t _tick;      /* of _now_ns; slots hold later ticks only */
    uint64_t _seq;
    size_t _count;

    asx_instant _fresh_min_ns; /* not after any of _fresh; trusted while _fresh is not empty */
    asx_list _fresh;           /* armed for this tick or earlier since the last advance, unsorted */
    asx_list _never;
    uint32_t _run_mask;             /* a clear bit: that run is empty; a set one: it may be */
    asx_list _runs[ASX_TIMER_RUNS]; /* this tick or earlier, each sorted; run i held 2^i or more */

    asx_timer_shape _shape;
    bool _moves;              /* the shape moves deadlines */
    struct asx_shard *_shard; /* whose trace hears of it; NULL: nobody's */
    uint64_t _slot_mask[ASX_TIMER_LEVELS][ASX_TIMER_SLOTS / 64]; /* exact: set iff not empty */
    asx_list _slots[ASX_TIMER_LEVELS][ASX_TIMER_SLOTS];
} asx_timer_wheel;

void asx_timer_wheel_init(asx_timer_wheel *wheel, asx_instant now_ns);

/* Counts for the timers armed from now on. A deadline is never moved to an earlier instant, nor to
 * ASX_TIME_NEVER. */
void asx_timer_wheel_shape(asx_timer_wheel *wheel, const asx_timer_shape *shape);

/* Arms `timer` to fire once the shard clock reaches `at_ns`.
 *
 * at_ns    a past instant fires in the next advance; ASX_TIME_NEVER is armed but never fires;
 *          timer->at_ns may become a later one, by the wheel's shape
 * owns     nothing: the caller keeps `timer` alive until it fired or was disarmed
 * asserts  timer is disarmed, fn is set
 */
void asx_timer_arm(asx_timer_wheel *wheel, asx_timer *timer, asx_instant at_ns);

/* The same for instants that come from outside: refuses those absurdly far away.
 * errors  DURATION_EXCEEDED (more than the shape's max_ns from now): the timer is not armed */
ASX_NODISCARD asx_err asx_timer_try_arm(asx_timer_wheel *wheel, asx_timer *timer,
                                        asx_instant at_ns);

/* Also keeps a timer from firing that is already due in the advance that runs. Twice is allowed. */
void asx_timer_disarm(asx_timer_wheel *wheel, asx_timer *timer);

ASX_INLINE bool asx_timer_armed(const asx_timer *timer)
{
    return asx_list_linked(&timer->_link);
}

/* Fires at most `limit` of the timers with at_ns <= now_ns, in the order of (at_ns, arming); what
 * exceeds the limit stays due. A callback may arm and disarm any timer; what it arms fires in a
 * later advance at the earliest. A clock that steps back is held at the latest instant seen.
 * Returns how many fired. */
unsigned asx_timer_wheel_advance(asx_timer_wheel *wheel, asx_instant now_ns, unsigned limit);

/* When to call advance next: exact, or early by less than the slot the first timer sits in, never
 * late. ASX_TIME_NEVER when nothing will fire. An instant not after now means: at once. */
asx_instant asx_timer_wheel_next(const asx_timer_wheel *wheel);

/* Every armed timer, those armed for ASX_TIME_NEVER included. */
size_t asx_timer_wheel_count(const asx_timer_wheel *wheel);

/* Walks all timers and asserts that each stands where it must. */
void asx_timer_wheel_check(const asx_timer_wheel *wheel);

ASX_END_DECLS

#endif
