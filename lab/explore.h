/* Exploration: many runs of one program under a strategy and a budget, and what they showed.
 *
 * Model.   Each run is a row: how long it was, how it ended, and which class of schedules it
 *          belongs to (its fingerprint). Coverage counts classes, not runs. Failures are kept one a
 *          signature, with the answers that repeat them. Nothing in a report depends on the
 *          clock or on how many processes made it, except where the budget is time.
 * Owner.   The caller, who also brings the clock: none is read here.
 * Rule.    In several processes (jobs), each run happens in a child, so one that kills its process
 *          is a row like any other. The program must then hold no thread and no open descriptor
 *          that runs share. */
#ifndef ASX_LAB_EXPLORE_H
#define ASX_LAB_EXPLORE_H

#include <asx/lab/explore_run.h>
#include <asx/shard/base/time.h>

#include <stdio.h>

ASX_BEGIN_DECLS

typedef struct asx_explore_row {
    uint64_t index;
    uint64_t seed;
    uint64_t fingerprint;
    uint64_t schedule_hash;
    uint64_t signature; /* 0: passed */
    uint64_t vtime_ns;
    uint32_t steps;
    uint32_t turns; /* with more than one alternative */
    uint32_t choices;
    uint32_t races;         /* immediate, where counted */
    uint32_t reversible;    /* of those */
    uint32_t steps_in_race; /* steps that are in one */
    uint32_t classes_least; /* near this run: a lower bound */
    asx_explore_end end;
    bool is_new_class;
} asx_explore_row;

/* A failure, and how to see it again: the seed and the answers. */
typedef struct asx_explore_failure {
    uint64_t signature;
    uint64_t index; /* of the first run that showed it */
    uint64_t seed;
    uint64_t runs; /* how many did */
    asx_explore_end end;
    char text[ASX_EXPLORE_TEXT_MAX];
    asx_lab_choice *choices; /* after a crash, those up to it */
    uint32_t choice_count;
} asx_explore_failure;

typedef struct asx_explore_coverage {
    uint64_t runs;
    uint64_t classes;
    uint64_t existing_hits; /* runs that fell into a known class */
    uint64_t since_last_new;
    uint64_t steps, choices;
    uint64_t races, reversible, steps_in_race;
    uint64_t once;  /* classes that one run has shown */
    bool saturated; /* at least 10 runs, and at least 10 into known classes: a weak sign */
} asx_explore_coverage;

typedef struct asx_explore_progress {
    uint64_t runs, runs_max, classes, failures;
    asx_duration elapsed_ns, budget_ns; /* 0: no budget in time */
} asx_explore_progress;

typedef struct asx_explore_config { /* zero-filled fields are the defaults */
    uint64_t runs_max;              /* 100 */
    uint64_t first;                 /* index of the first run */
    asx_duration real_ns_max;       /* needs now_ns; 0: no such budget */
    uint64_t no_news_max;           /* stop after as many runs without a new class; 0: never */
    asx_explore_limits limits;
    uint32_t failures_max; /* kept; 16 */
    uint32_t jobs;         /* processes; 0: this one, without a fork */
    bool past_failures;    /* go on after the first */
    bool count_races;
    asx_instant (*now_ns)(void);
    asx_duration progress_ns; /* between calls of progress(); needs now_ns */
    void (*progress)(void *arg, const asx_explore_progress *progress);
    void *progress_arg;
} asx_explore_config;

typedef struct asx_explore_report asx_explore_report;

/* Runs until a budget is spent, the strategy has nothing left, or something failed.
 *
 * jobs  more than 0 only with an indexed strategy; others run in this process */
asx_explore_report *asx_explore(asx_explore_program *program, asx_strategy *strategy,
                                const asx_explore_config *config);
void asx_explore_report_destroy(asx_explore_report *report);

asx_explore_coverage asx_explore_coverage_of(const asx_explore_report *report);
const asx_explore_row *asx_explore_rows(const asx_explore_report *report, uint32_t *count);
const asx_explore_failure *asx_explore_failures(const asx_explore_report *report, uint32_t *count);
/* How many runs fell into the class of this fingerprint. */
uint32_t asx_explore_class_runs(const asx_explore_report *report, uint64_t fingerprint);
/* Questions asked at a choice site, over all runs of this process. */
uint64_t asx_explore_site_count(const asx_explore_report *report, uint32_t site);
/* Why it ended: "budget", "failure", "no news", "nothing left", "time". */
const char *asx_explore_why(const asx_explore_report *report);

/* The report for people, byte for byte the same for the same exploration. */
void asx_explore_print(const asx_explore_report *report, FILE *out);
/* One line a run. */
void asx_explore_print_rows(const asx_explore_report *report, FILE *out);

/* Turns with a choice in one default run: what PCT calls k. */
uint32_t asx_explore_measure(asx_explore_program *program, const asx_explore_limits *limits);

/* Statements about what random runs have not seen; runs must be independent and alike, which
 * those of a systematic or guided search are not. */

#define ASX_EXPLORE_ASSUMPTION "assumes independent, identically distributed runs"

/* After m runs without a new class, m fixed beforehand: at level alpha, unseen classes have at most
 * this probability mass. */
double asx_explore_unseen_mass(uint64_t m, double alpha);
/* The least m for which that mass is below `mass`. */
uint64_t asx_explore_runs_for_mass(double mass, double alpha);
/* Hoeffding over the whole rate of discovery: news/runs + sqrt(ln(1/alpha) / 2 runs); 1 below 20
 * runs, which say too little. */
double asx_explore_novelty_bound(uint64_t runs, uint64_t news, double alpha);
/* Good and Turing's estimate of the unseen mass: classes seen once, over runs. */
double asx_explore_good_turing(const asx_explore_coverage *coverage);

ASX_END_DECLS

#endif
