/* Shrinking: from a failing run to the smallest one that fails in the same way.
 *
 * Choices.  A list of answers, after whose end everything is answered 0. Lists are ordered by how
 *           many entries are not 0, then by their sum, then by length; passes over it (a shorter
 *           prefix, chunks to 0, entries lowered by halves) go on until none helps.
 * Scenario. Elements of which some belong to others (what was made inside a region): whole subtrees
 *           go first, then halves, quarters ... of what is left, then one by one until a whole pass
 *           removes nothing (1-minimal).
 * Faults.   Of a run under chaos, the faults go first, by what they are about, not by their place
 *           in the list: halves, quarters ... one by one, with all other answers as they were.
 * Rule.     Only what was asked is ever tried again, nothing is made up; the whole input must fail
 *           first, and nothing empty is ever a result.
 * Source.   Zeller & Hildebrandt, TSE 2002 (ddmin). */
#ifndef ASX_LAB_SHRINK_H
#define ASX_LAB_SHRINK_H

#include <asx/lab/explore_run.h>

#include <stdio.h>

ASX_BEGIN_DECLS

typedef struct asx_shrink_result {
    uint32_t replays; /* tests that were run; those answered from memory do not count */
    bool reproduced;  /* the whole input failed; if not, nothing was tried */
    bool truncated;   /* the cap was met: a smaller one may exist */
    bool one_minimal; /* scenarios: no single element can go */
} asx_shrink_result;

#define ASX_SHRINK_REPLAYS_MAX 1000u

/* Whether this list still fails as the first did. Must not depend on earlier calls. */
typedef bool asx_shrink_list_fn(void *arg, const uint16_t *values, uint32_t count);

/* values   shrunk in place, without zeros at the end
 * count    in and out
 * replays_max  0: ASX_SHRINK_REPLAYS_MAX */
asx_shrink_result asx_shrink_list(uint16_t *values, uint32_t *count, uint32_t replays_max,
                                  asx_shrink_list_fn *fails, void *arg);

/* The shortest failing prefix of n >= 1 elements, by halving; right where failure is monotone in
 * the length, as it is for a forced replay. At most ceil(log2 n) + 1 tests; 0: the whole does not
 * fail. */
typedef bool asx_shrink_prefix_fn(void *arg, uint32_t count);
uint32_t asx_shrink_prefix(uint32_t n, asx_shrink_prefix_fn *fails, void *arg,
                           asx_shrink_result *result);

/* parents  for each element, 1 + the index of the one that it lives in, which stands before it; 0:
 *          none
 * keep     set to 1 for what is left */
typedef bool asx_shrink_scenario_fn(void *arg, const uint8_t *keep, uint32_t count);
asx_shrink_result asx_shrink_scenario(const uint32_t *parents, uint32_t count, uint32_t tests_max,
                                      asx_shrink_scenario_fn *fails, void *arg, uint8_t *keep);

/* A failure of a program, shrunk. */
typedef struct asx_shrunk {
    asx_shrink_result result;
    asx_explore_verdict verdict; /* of the last failing replay */
    asx_lab_choice *choices;     /* fewest answers other than 0; the rest of the run is 0 */
    uint32_t choice_count;
    uint32_t deviations;          /* answers other than 0 */
    uint32_t faults, faults_left; /* that happened, and that must happen for the failure */
    asx_shrink_result by_fault;   /* how those were found; zero: there were none */
    asx_lab_choice *calm; /* all answers of a failing run with few preemptions; NULL: a crash */
    uint32_t calm_count;
    uint32_t preemptions; /* in that: switches away from a process that could have gone on */
    asx_explore_run *run; /* that run, made; after a crash, none */
} asx_shrunk;

/* A failure that kills its process is replayed in processes of its own.
 *
 * seed, choices  of the failure
 * signature      what every candidate must show
 * replays_max    for each of the two searches; 0: ASX_SHRINK_REPLAYS_MAX */
void asx_shrink_failure(asx_shrunk *shrunk, asx_explore_program *program, uint64_t seed,
                        uint64_t signature, const asx_lab_choice *choices, uint32_t count,
                        const asx_explore_limits *limits, uint32_t replays_max);
void asx_shrunk_deinit(asx_shrunk *shrunk);

/* "  faults     12 to 1", and a line for each that is left; nothing where there were none. */
void asx_shrunk_print_faults(const asx_shrunk *shrunk, FILE *out);

/* Switches away from a process that could have gone on. */
uint32_t asx_explore_preemptions(const asx_explore_run *run);

/* The schedule for people: a line for each stretch of steps of one process. The run's order must
 * have been kept. `name` may be NULL. */
void asx_explore_print_schedule(const asx_explore_run *run,
                                const char *(*name)(void *arg, uint32_t process), void *arg,
                                FILE *out);

ASX_END_DECLS

#endif
