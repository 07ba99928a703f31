/* Everywhere: a program, cancelled at each of its await points in turn.
 *
 * Model.   The first run counts the points: where a task starts, waits or yields. Each further run
 *          is the same up to one of them, where the task that came there is cancelled before
 *          anything else happens. N points are N + 1 runs. A run fails when the lab says so, or
 *          when its point was not reached: then the program is not its seed.
 * Owner.   The caller of the report, until deinit. */
#ifndef ASX_LAB_CHAOS_EVERYWHERE_H
#define ASX_LAB_CHAOS_EVERYWHERE_H

#include <asx/lab/lab.h>

ASX_BEGIN_DECLS

typedef enum asx_everywhere_which {
    ASX_EVERYWHERE_ALL = 0,
    ASX_EVERYWHERE_FIRST,  /* n of them */
    ASX_EVERYWHERE_EVERY,  /* the nth, the 2nth, ... */
    ASX_EVERYWHERE_RANDOM, /* n, drawn from the seed; one may be drawn twice */
} asx_everywhere_which;

typedef struct asx_everywhere_options { /* zero-filled: all of them */
    asx_everywhere_which which;
    uint64_t n;               /* 0: 1 */
    void (*reset)(void *arg); /* before each run; may be NULL */
    /* After each run: says with asx_lab_report_violate what is wrong. May be NULL. */
    void (*judge)(void *arg, asx_lab_report *report);
} asx_everywhere_options;

/* A run that failed. */
typedef struct asx_everywhere_failure {
    uint64_t point; /* 0: the run without a cancellation */
    bool reached;
    asx_lab_termination termination;
    char text[ASX_LAB_TEXT_MAX];
} asx_everywhere_failure;

typedef struct asx_everywhere_report {
    uint64_t seed;
    uint64_t points, runs;
    uint64_t cancelled; /* runs whose task was there to be cancelled */
    asx_everywhere_failure *failures;
    uint32_t failure_count;
} asx_everywhere_report;

/* True when no run failed.
 *
 * config  without an await_point of its own; other chaos in it hits every run alike */
bool asx_lab_cancel_everywhere(const asx_lab_config *config, asx_task_fn *app, void *arg,
                               const asx_everywhere_options *options,
                               asx_everywhere_report *report);

/* A line, and one more a failure, with the knob that repeats it. */
void asx_everywhere_print(const asx_everywhere_report *report, FILE *out);

void asx_everywhere_deinit(asx_everywhere_report *report);

ASX_END_DECLS

#endif
