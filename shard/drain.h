/* Drains: how much is left of a shard's regions, and whether it gets less (SCH-14).
 *
 * Model.  A look counts what lives below a region, and weighs it: 1 for each task, 3 for each
 *         region that closes under a reason, 5 for each second that an obligation had been held
 *         and 2 for each deadline that was due, both as they stood when the drain began. Waiting
 *         alone therefore changes nothing: the potential falls when something ends, and rises when
 *         something comes. Whether it falls, a drain tells from the looks it was given:
 *            WARM_UP ──> RAPID <──> SLOW_TAIL ──> QUIESCENT
 *                          └──> STALLED <──┘    no look was lower than all before it, for long
 * Owner.  Memory of the caller's; the look is the thread's of its shard.
 * Bounds. A look passes once over the shard's records, a few hundred of them between two yields,
 *         and allocates nothing. What comes or goes meanwhile is counted or not. */
#ifndef ASX_SHARD_DRAIN_H
#define ASX_SHARD_DRAIN_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

typedef struct asx_drain_left {
    uint64_t tasks, obligations, operations, regions;
    uint64_t closing;           /* of the regions: past OPEN under a reason */
    uint64_t held_ms;           /* sum over the obligations reserved before the drain */
    uint64_t pressure_permille; /* sum over the tasks: 1000 where the deadline was due, 0 where it
                                   was a second away */
    asx_handle heaviest; /* of the innermost regions that hold something, the oldest among equals;
                            null: none does */
} asx_drain_left;

/* Looks at what lives below `top`, without what is `top`'s own and what is in `except` (null: all
 * of it). A `top` that is closed has nothing left.
 * suspends between two stretches of records */
ASX_NODISCARD asx_outcome asx_drain_look(asx_cx *cx, asx_handle top, asx_handle except,
                                         asx_instant began_ns, asx_drain_left *left);

/* In thousandths. */
uint64_t asx_drain_potential(const asx_drain_left *left);

typedef enum asx_drain_phase {
    ASX_DRAIN_WARM_UP = 0, /* too few looks to say */
    ASX_DRAIN_RAPID,
    ASX_DRAIN_SLOW_TAIL, /* falls at less than a quarter of its best pace */
    ASX_DRAIN_STALLED,
    ASX_DRAIN_QUIESCENT, /* nothing is left */
} asx_drain_phase;
#define ASX_DRAIN_PHASE_COUNT 5u

const char *asx_drain_phase_name(asx_drain_phase phase);

#define ASX_DRAIN_WINDOW 32u /* falls remembered */
#define ASX_DRAIN_STALLED_AFTER 20u

typedef struct asx_drain {
    uint32_t stalled_after; /* looks without a lower one; 0: ASX_DRAIN_STALLED_AFTER */
    uint32_t looks;
    uint32_t level; /* looks since the lowest */
    uint64_t last, lowest;
    int64_t pace_best;               /* of a few looks together, thousandths */
    int64_t falls[ASX_DRAIN_WINDOW]; /* a ring, negative where it rose */
} asx_drain;

/* Zero-filled, a drain that was not looked at yet. potential  in thousandths */
void asx_drain_observe(asx_drain *drain, uint64_t potential);
asx_drain_phase asx_drain_phase_of(const asx_drain *drain);
/* Of the falls that are remembered: how many, and their sum. */
uint32_t asx_drain_falls(const asx_drain *drain, int64_t *sum);
/* How many looks more at this pace until nothing is left; UINT64_MAX: it does not fall. */
uint64_t asx_drain_looks_left(const asx_drain *drain);

ASX_END_DECLS

#endif
