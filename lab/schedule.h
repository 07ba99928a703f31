/* Schedules: the dispatches and choices of one run, as a file that repeats it.
 *
 * Model.   Rows of 40 bytes between a header that names seed and configuration and a receipt that
 *          says how the run ended; a SHA-256 over all of it. A replay forces the choices and
 *          compares every row as it happens: the first that differs is the divergence.
 * Owner.   The caller, until deinit. */
#ifndef ASX_LAB_SCHEDULE_H
#define ASX_LAB_SCHEDULE_H

#include <asx/lab/lab.h>

#include <stdio.h>

ASX_BEGIN_DECLS

#define ASX_LAB_SCENARIO_NAME_MAX 32u

typedef struct asx_lab_schedule {
    char scenario[ASX_LAB_SCENARIO_NAME_MAX]; /* whose run it is; empty: nobody said */
    uint32_t shards;
    uint64_t seed, config_hash, build_id;
    asx_lab_row *rows;
    uint32_t row_count;
    /* The receipt */
    uint64_t steps, now_ns, schedule_hash, trace_hash;
    asx_lab_termination termination;
    bool truncated; /* rows were lost: it cannot be replayed */
} asx_lab_schedule;

/* Copies what a run under keep_schedule left in its report. */
void asx_lab_schedule_of(const asx_lab_report *report, asx_lab_schedule *schedule);

/* errors  the errno */
ASX_NODISCARD asx_err asx_lab_schedule_write(const asx_lab_schedule *schedule, FILE *out);

/* Why a file is no schedule: a line for people, or NULL. `schedule` is to be given to deinit only
 * when it is one. */
const char *asx_lab_schedule_read(FILE *in, asx_lab_schedule *schedule);

void asx_lab_schedule_deinit(asx_lab_schedule *schedule);

/* In what two runs first differ. */
typedef enum asx_lab_difference {
    ASX_LAB_SAME = 0,
    ASX_LAB_DIFFERS_CONFIG,    /* not the same configuration: nothing was run */
    ASX_LAB_DIFFERS_KIND,      /* a dispatch where there was a choice, or the other way round */
    ASX_LAB_DIFFERS_TASK,      /* another task; one of them was not there */
    ASX_LAB_DIFFERS_SHARD,     /* on another shard */
    ASX_LAB_DIFFERS_LANE,      /* from another lane */
    ASX_LAB_DIFFERS_STEP,      /* in another step */
    ASX_LAB_DIFFERS_TIME,      /* at another instant */
    ASX_LAB_DIFFERS_CHOICE,    /* another question */
    ASX_LAB_DIFFERS_EXHAUSTED, /* the run went on beyond the schedule */
    ASX_LAB_DIFFERS_LEFT,      /* the run ended before the schedule did */
    ASX_LAB_DIFFERS_EVENT,     /* same rows, another trace */
} asx_lab_difference;

#define ASX_LAB_ROWS_BEFORE 10u
#define ASX_LAB_ROWS_AFTER 5u
#define ASX_LAB_ROWS_AROUND (ASX_LAB_ROWS_BEFORE + 1u + ASX_LAB_ROWS_AFTER)

typedef struct asx_lab_divergence {
    asx_lab_difference what;
    uint64_t index; /* of the row; the shortest prefix that shows it is one longer */
    uint64_t row_count;
    asx_lab_row expected[ASX_LAB_ROWS_AROUND], actual[ASX_LAB_ROWS_AROUND];
    uint32_t first; /* index of the first row of both, relative to the schedule */
    uint32_t expected_count, actual_count;
} asx_lab_divergence;

/* Runs `app` under the schedule's choices. True when it was the same run to the last row and hash.
 *
 * config      of the recorded run: its hash must be the schedule's. Mode, choices, steering are
 *             the replay's
 * report      filled in any case but ASX_LAB_DIFFERS_CONFIG, where it is zeroed */
bool asx_lab_replay(const asx_lab_config *config, asx_task_fn *app, void *arg,
                    const asx_lab_schedule *schedule, asx_lab_divergence *divergence,
                    asx_lab_report *report);

/* The choices among the rows, for a lenient run of a part of them. Returns how many there are;
 * `choices` has room for row_count. */
uint32_t asx_lab_schedule_choices(const asx_lab_schedule *schedule, asx_lab_choice *choices);

void asx_lab_divergence_print(const asx_lab_divergence *divergence, FILE *out);
const char *asx_lab_difference_name(asx_lab_difference what);
/* What to look for, for people. */
const char *asx_lab_difference_hint(asx_lab_difference what);

ASX_END_DECLS

#endif
