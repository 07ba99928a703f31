/* Combinators over branches: join_all, race, timeout (CMB-6, 7, 10).
 *
 * Model.  Each call opens a private scope, spawns its branches as fibers, and returns only when
 *         that scope is CLOSED: none of its branches, timers or waits exists afterwards.
 * Cancel. The request goes to every branch, all are drained, and the combinator returns Cancelled
 *         with the caller's reason.
 * Losers. Cancelled with RACE_LOST and drained; a loser's panic is never hidden. */
#ifndef ASX_SHARD_COMBINE_BRANCH_H
#define ASX_SHARD_COMBINE_BRANCH_H

#include <asx/shard/base/decls.h>
#include <asx/shard/scope.h>

ASX_BEGIN_DECLS

typedef struct asx_branch {
    asx_task_fn *fn;
    void *arg; /* passed as it is: memory of the caller's, whose frame outlives the branch */
    const asx_budget *budget;
    const char *label;
    void (*drop_value)(uintptr_t value); /* for a loser's Ok value; NULL: nothing to drop */
} asx_branch;

/* Runs all, waits for all, and folds them by OUT-4. outcomes: `count` entries of the caller's, or
 * NULL; their payloads are not lent beyond severity and Ok/Err values. count 0: Ok. */
ASX_NODISCARD asx_outcome asx_join_all(asx_cx *cx, const asx_branch *branches, uint32_t count,
                                       asx_outcome *outcomes);

/* The first terminal outcome of any kind wins; the lowest index breaks a tie. winner: its index, or
 * NULL. count 0 waits until cancelled. */
ASX_NODISCARD asx_outcome asx_race(asx_cx *cx, const asx_branch *branches, uint32_t count,
                                   uint32_t *winner);

/* The same, but a tie is broken by a draw from the cx's entropy, in the lab by a choice (CMB-5).
 * errors  NO_CAPABILITY(RANDOM): nothing was started */
ASX_NODISCARD asx_outcome asx_race_unbiased(asx_cx *cx, const asx_branch *branches, uint32_t count,
                                            uint32_t *winner);

/* Runs fn with a deadline of now + timeout. Terminal by then: its outcome. Otherwise it is
 * cancelled with TIMEOUT and drained: what it still returned, Ok, Err or Panicked, is surfaced with
 * *late true; a Cancelled becomes Err(TIMED_OUT). late may be NULL (TMR-11). */
ASX_NODISCARD asx_outcome asx_timeout(asx_cx *cx, asx_duration timeout, asx_task_fn *fn, void *arg,
                                      bool *late);

/* ASX_JOIN(cx, ASX_BRANCH(fetch, &a), ASX_BRANCH(fetch, &b)): asx_join_all and asx_race over
 * branches that are written where they are needed. */
#define ASX_BRANCH(fn_, arg_) \
    ((asx_branch){ .fn = ((void)ASX_REQUIRE_BODY(fn_, arg_), (fn_)), .arg = (arg_) })
#define ASX_JOIN(cx, ...) asx_join_all((cx), ASX_BRANCHES(__VA_ARGS__), NULL)
#define ASX_RACE(cx, ...) asx_race((cx), ASX_BRANCHES(__VA_ARGS__), NULL)
#define ASX_BRANCHES(...)                \
    (const asx_branch[]){ __VA_ARGS__ }, \
        (uint32_t)(sizeof((const asx_branch[]){ __VA_ARGS__ }) / sizeof(asx_branch))

ASX_END_DECLS

#endif
