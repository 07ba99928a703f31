/* Object pools: things that are dear to make, lent one at a time and used again.
 *
 * Model.  At most `max` items live, those being made included. acquire lends an idle one, makes
 *         one, or waits in order of arrival. A lent item is a LEASE of the task that acquired it;
 *         what a task still holds at its end comes back (SYN-15, SYN-16). Items idle too long or
 *         alive too long are destroyed on the way.
 * Owner.  The region it was opened in; `create`, `check` and `destroy` are the user's, and `arg`
 *         outlives the pool.
 * Cancel. A wait leaves no trace; a creation that is cancelled gives its place to the next. */
#ifndef ASX_SHARD_SYNC_POOL_H
#define ASX_SHARD_SYNC_POOL_H

#include <asx/shard/base/decls.h>
#include <asx/shard/obligation.h>
#include <asx/shard/sync/waits.h>

ASX_BEGIN_DECLS

#define ASX_POOL_MAX 65536u

typedef struct asx_pool_options { /* zero-filled fields are the defaults */
    /* Makes an item, as its Ok value; may suspend. Runs in the task that acquires. */
    asx_outcome (*create)(asx_cx *cx, void *arg);
    /* Ends an item; must not suspend. */
    void (*destroy)(uintptr_t item, void *arg);
    /* Whether an idle item is still good; may suspend. NULL: it is. */
    bool (*check)(asx_cx *cx, uintptr_t item, void *arg);
    void *arg;
    uint32_t min;                    /* made by asx_pool_warm, and never idle out; 0: 1 */
    uint32_t max;                    /* 0: 10 */
    asx_duration acquire_timeout_ns; /* 0: 30 s */
    asx_duration idle_timeout_ns;    /* 0: 600 s */
    asx_duration lifetime_ns;        /* 0: 3600 s */
    const char *what;                /* for people; outlives the pool */
} asx_pool_options;

typedef struct asx_pool {
    asx_handle _object;
} asx_pool;

typedef struct asx_pool_lease {
    asx_permit _obligation;
    uintptr_t item;
} asx_pool_lease;

typedef struct asx_pool_stats {
    uint32_t idle, lent, creating, waiting;
    uint64_t created, destroyed, acquired, timed_out;
} asx_pool_stats;

/* errors  INVALID_ARGUMENT (min above max, max above ASX_POOL_MAX), REGION_CLOSED, NO_SLOTS,
 *         NO_MEMORY */
ASX_NODISCARD asx_err asx_pool_open(asx_cx *cx, const asx_pool_options *options, asx_pool *pool);
/* Waiters get CLOSED, idle items are destroyed now, lent ones when they come back. */
void asx_pool_close(asx_cx *cx, asx_pool pool);

/* Makes items until `min` live. Stops at the first failure, and returns it. */
ASX_NODISCARD asx_outcome asx_pool_warm(asx_cx *cx, asx_pool pool);

/* errors  CLOSED, TIMED_OUT, CREATE_FAILED (create's own error is in *why, NULL allowed), STALE,
 *         AT_CAPACITY (obligations of the region) */
ASX_NODISCARD asx_outcome asx_pool_acquire(asx_cx *cx, asx_pool pool, asx_pool_lease *lease,
                                           asx_err *why);
/* The item is good for the next. A settled lease is left alone. */
void asx_pool_return(asx_cx *cx, asx_pool_lease lease);
/* The item is broken: destroyed, and its place is free. */
void asx_pool_discard(asx_cx *cx, asx_pool_lease lease);

/* All zero for a stale pool. */
asx_pool_stats asx_pool_stats_read(asx_cx *cx, asx_pool pool);

/* Of tasks that waited for an item. */
ASX_INLINE asx_waits asx_pool_waits(asx_cx *cx, asx_pool pool)
{
    return asx_waits_of(cx, pool._object);
}

ASX_END_DECLS

#endif
