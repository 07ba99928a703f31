/* Strategies: who answers the questions of a run, and what that promises.
 *
 *   default   always 0                        one run: what production would do
 *   random    uniform                         nothing in closed form; the cheapest finder
 *   pct       random priorities, d - 1        a bug that d ordering constraints suffice for is hit
 *             places where they change        with probability >= 1 / (n k^(d-1)) a run
 *   pos       a random priority a pending     nothing in closed form; one step beside n of another
 *             step, anew after what it may    process is last in one run of n + 1, at random in one
 *             race with                       of 2^n
 *   bounded   all runs with at most b         exhaustive within the bound
 *             answers other than 0
 *   replay    a given list                    one run; what does not fit is 0
 *
 * (Systematic search without bound is dpor.h's.)
 * Faults.  Chaos decides which come up; random strategies let all of those happen, as a run without
 *          a strategy does. The others begin without, and add them as any other answer.
 * Owner.   The caller, until destroy.
 * Source.  Burckhardt et al., ASPLOS 2010 (PCT); Yuan et al., CAV 2018 (POS); Emmi et al., POPL
 *          2011 (delay bounding). */
#ifndef ASX_LAB_STRATEGY_H
#define ASX_LAB_STRATEGY_H

#include <asx/lab/explore_run.h>

ASX_BEGIN_DECLS

#define ASX_STRATEGY_SPIN_MAX 1000u /* turns that PCT gives one process while others wait */
#define ASX_PCT_DEPTH_MAX 8u

asx_strategy *asx_strategy_default(uint64_t seed);

/* Run i draws from seed + i, and so does the program. */
asx_strategy *asx_strategy_random(uint64_t seed);

typedef struct asx_pct_config {
    uint64_t seed;  /* run i draws from seed + i, and so does the program */
    uint32_t steps; /* k: turns with more than one alternative, at most; measure a default run */
    uint32_t depth; /* d; 0: 1, 2, 3 over the runs */
} asx_pct_config;

asx_strategy *asx_strategy_pct(const asx_pct_config *config);

/* Fixes what the next runs would draw.
 *
 * priorities     one a process, above depth and all different; higher goes first
 * change_points  depth - 1 of them, from 1 */
void asx_strategy_pct_fix(asx_strategy *pct, const int64_t *priorities, uint32_t processes,
                          const uint32_t *change_points, uint32_t depth);

/* The least probability of hitting a bug of `depth` in one run, and the runs that hit it with
 * `confidence`. */
double asx_pct_probability(uint32_t processes, uint32_t steps, uint32_t depth);
double asx_pct_runs(uint32_t processes, uint32_t steps, uint32_t depth, double confidence);

/* Run i draws from seed + i, and so does the program. A pending step is taken to race with whatever
 * its process has touched before. */
asx_strategy *asx_strategy_pos(uint64_t seed);

asx_strategy *asx_strategy_bounded(uint64_t seed, uint32_t deviations_max);

/* rows  the answers, in the order of the questions; lent until the strategy is destroyed or given
 *       others
 * A value beyond n is 0; so is everything after the rows. */
asx_strategy *asx_strategy_replay(uint64_t seed, const asx_lab_choice *rows, uint32_t count);
void asx_strategy_replay_set(asx_strategy *replay, const asx_lab_choice *rows, uint32_t count);
/* Whether a choice is about a fault that chaos brought up: 1, it happens; 0, not after all. */
bool asx_strategy_is_fault(uint32_t site);
/* What a fault is about, as one word. */
uint64_t asx_strategy_fault(uint32_t site, uint64_t object);
/* From now on faults are answered by what they are about, wherever they come up: those of `faults`
 * happen. Other rows wait for the question that they are about, since a run with fewer faults asks
 * other things.
 *
 * faults  sorted; lent as the rows are */
void asx_strategy_replay_faults(asx_strategy *replay, const uint64_t *faults, uint32_t count);
/* Answers that did not fit their question in the last run. */
uint32_t asx_strategy_replay_misfits(const asx_strategy *replay);

void asx_strategy_destroy(asx_strategy *strategy);

ASX_END_DECLS

#endif
