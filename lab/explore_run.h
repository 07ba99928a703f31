/* One steered run of a program: what the program asks, what it did, and how it ended.
 *
 * Model.   A program is a sequence of steps, each taken by one process (a shard). Before each it
 *          asks which process goes next, within each it may ask for values; a strategy answers,
 *          and the run keeps the answers, the steps and what they touched. The answers alone
 *          repeat the run: a row for each question with more than one alternative, as in choice.h.
 * Owner.   The explorer makes the run and reads it; the program calls the functions in between. */
#ifndef ASX_LAB_EXPLORE_RUN_H
#define ASX_LAB_EXPLORE_RUN_H

#include <asx/lab/choice.h>
#include <asx/lab/race.h>

ASX_BEGIN_DECLS

typedef struct asx_explore_run asx_explore_run;
typedef struct asx_explore_program asx_explore_program;
typedef struct asx_strategy asx_strategy;

/* What is explored. The same answers must give the same run. */
struct asx_explore_program {
    const char *name;
    uint32_t processes; /* at most ASX_RACE_PROCESSES_MAX */
    void (*run)(asx_explore_program *self, asx_explore_run *run);
};

typedef enum asx_explore_end {
    ASX_EXPLORE_QUIESCENT,
    ASX_EXPLORE_DEADLOCK,
    ASX_EXPLORE_STEP_LIMIT, /* a failure: nothing is known about the rest */
    ASX_EXPLORE_ABANDONED,  /* the strategy wants to see no more of it */
    ASX_EXPLORE_CRASHED,    /* the process that ran it died */
    ASX_EXPLORE_DIVERGED    /* the same answers met other questions */
} asx_explore_end;

#define ASX_EXPLORE_TEXT_MAX 160u

/* How a run ended, as the program says. */
typedef struct asx_explore_verdict {
    asx_explore_end end;
    uint64_t fingerprint;   /* of the class; 0: that of the steps */
    uint64_t schedule_hash; /* 0: that of the answers */
    uint64_t signature;     /* 0: passed; else what failed: code, oracle and kind, never ids */
    uint64_t vtime_ns;
    char text[ASX_EXPLORE_TEXT_MAX]; /* the violation, for people */
} asx_explore_verdict;

/* The question who goes next. */
typedef struct asx_turn {
    const uint32_t *processes; /* [0] is what production would do */
    uint32_t count;
    uint32_t same; /* the alternative that is the process of the step before; count: none is */
    uint64_t enabled;
    uint32_t step; /* the index of the step that is to be taken */
} asx_turn;

#define ASX_TURN_ABANDON UINT32_MAX

/* Answers the questions of one run after another. */
struct asx_strategy {
    const char *name;
    bool indexed;     /* any run can be made alone, knowing its index: fit for several processes */
    bool iid;         /* runs are drawn independently: statements about unseen mass hold */
    bool wants_order; /* end() reads the run's order */

    /* The next run; false: nothing is left to explore. `seed` is what the program's own draws
     * start from. */
    bool (*begin)(asx_strategy *self, uint64_t index, uint64_t *seed);
    /* An alternative, or ASX_TURN_ABANDON. Asked for a single alternative too. */
    uint32_t (*turn)(asx_strategy *self, const asx_turn *turn);
    uint32_t (*value)(asx_strategy *self, uint32_t site, uint32_t n, uint64_t object);
    void (*stepped)(asx_strategy *self, uint32_t step, asx_accesses accesses); /* may be NULL */
    void (*end)(asx_strategy *self, asx_explore_run *run);                     /* may be NULL */
    void (*destroy)(asx_strategy *self);
};

/* For the program. */

uint64_t asx_explore_run_seed(const asx_explore_run *run);

/* Ends the step before and begins the next: returns the alternative that takes it.
 *
 * processes  those that can run, in production's order of preference; one at least, no two alike */
uint32_t asx_explore_run_turn(asx_explore_run *run, const uint32_t *processes, uint32_t count);

/* A value of the current step, 0..n-1; n >= 1. */
uint32_t asx_explore_run_value(asx_explore_run *run, uint32_t site, uint32_t n, uint64_t object);

/* The current step touches this. */
void asx_explore_run_touch(asx_explore_run *run, const asx_lab_access *access);

/* Whether the run should end now: abandoned, diverged, or at a limit. */
bool asx_explore_run_stopped(const asx_explore_run *run);

/* Says how the run ended, once, when nothing is left to do. A run that was stopped keeps the end
 * that stopped it. */
void asx_explore_run_finish(asx_explore_run *run, const asx_explore_verdict *verdict);

/* For the explorer. */

typedef struct asx_explore_limits { /* zero-filled fields are the defaults */
    uint32_t steps_max;             /* 100 000 */
    uint32_t choices_max;           /* 1 000 000 */
} asx_explore_limits;

asx_explore_run *asx_explore_run_create(uint32_t processes, const asx_explore_limits *limits);
void asx_explore_run_destroy(asx_explore_run *run);

/* Runs the program once under the strategy, which has begun. Everything below is lent until the
 * next call of this.
 *
 * keep_order  make the order of the steps, for race.h; the strategy's wish is heeded anyway */
void asx_explore_run_make(asx_explore_run *run, asx_explore_program *program,
                          asx_strategy *strategy, uint64_t seed, bool keep_order);

const asx_explore_verdict *asx_explore_run_verdict(const asx_explore_run *run);
const asx_lab_choice *asx_explore_run_choices(const asx_explore_run *run, uint32_t *count);
/* For each choice, the alternative that was the process of the step before, or its n. */
const uint16_t *asx_explore_run_same(const asx_explore_run *run);
uint32_t asx_explore_run_steps(const asx_explore_run *run);
/* Turns with more than one alternative. */
uint32_t asx_explore_run_turns(const asx_explore_run *run);
/* NULL: it was not kept. */
asx_race_order *asx_explore_run_order(const asx_explore_run *run);

const char *asx_explore_end_name(asx_explore_end end);

ASX_END_DECLS

#endif
