/* The report of a run: how it ended, what it hashes to, and what was wrong.
 *
 * Model.   Two runs are the same when their hashes are: of every record (trace), of every dispatch
 *          and choice (schedule), and of the class of all runs that differ only in the order of
 *          what commutes (fingerprint). The text form is equal byte for byte for equal runs.
 * Owner.   Whoever ran it, until deinit. */
#ifndef ASX_LAB_REPORT_H
#define ASX_LAB_REPORT_H

#include <asx/lab/chaos.h>
#include <asx/lab/choice.h>
#include <asx/lab/event.h>
#include <asx/lab/oracle.h>
#include <asx/shard/outcome.h>

#include <stdio.h>

ASX_BEGIN_DECLS

/* A dispatch or a choice: what a schedule is made of. */
typedef enum asx_lab_row_kind {
    ASX_LAB_ROW_DISPATCH = 1,
    ASX_LAB_ROW_CHOICE,
} asx_lab_row_kind;

typedef struct asx_lab_row {
    uint8_t kind; /* asx_lab_row_kind */
    uint8_t lane; /* of a dispatch; of a choice: its site */
    uint16_t shard;
    uint16_t n, chosen; /* of a choice */
    uint64_t task;      /* trace identity */
    uint64_t object;    /* of a choice */
    uint64_t step;
    uint64_t vtime_ns;
} asx_lab_row;

typedef enum asx_lab_termination {
    ASX_LAB_QUIESCENT = 0, /* nothing is left */
    ASX_LAB_DEADLOCK,      /* something is left, and nothing can happen any more */
    ASX_LAB_STEP_LIMIT,
    ASX_LAB_VTIME_LIMIT,
    ASX_LAB_CHOICE_LIMIT, /* the list of choices is full */
    ASX_LAB_DIVERGED,     /* a forced choice met another question */
    ASX_LAB_STOPPED,      /* by the strategy, or because time may not advance */
} asx_lab_termination;

#define ASX_LAB_TEXT_MAX 160u
#define ASX_LAB_VIOLATIONS_MAX 100u

/* Sorted by text and each kept once; the code is stable, the text is for people. */
typedef struct asx_lab_violation {
    char code[32];
    char text[ASX_LAB_TEXT_MAX];
} asx_lab_violation;

/* What must cancel out at the end. */
typedef struct asx_lab_counts {
    uint64_t spawned, completed;
    uint64_t cancel_requested, cancel_acknowledged;
    uint64_t reserved, committed, aborted, leaked;
    uint64_t pushed, popped;
} asx_lab_counts;

typedef struct asx_lab_report {
    uint64_t seed, config_hash, build_id;
    asx_lab_termination termination;
    uint64_t steps, dispatches, now_ns;
    uint64_t time_advances, timer_fires, spin_advances;

    uint64_t trace_total; /* events emitted */
    uint64_t trace_hash, schedule_hash;
    uint64_t fingerprint; /* 0: not asked for, or more events than trace_capacity */
    asx_lab_counts counts;
    asx_chaos_stats chaos;

    uint64_t choice_count;
    asx_lab_choice *choices; /* rows kept */
    uint32_t choices_kept;
    asx_lab_event *events; /* the last ones, in order */
    uint32_t events_kept;

    asx_lab_row *rows; /* under keep_schedule */
    uint32_t row_count;
    bool rows_truncated;

    /* Of a forced run that did not fit */
    asx_lab_misfit misfit;
    uint64_t misfit_index;
    asx_lab_choice misfit_expected, misfit_actual;

    uint8_t severity; /* of what the program returned, or the panic that ended it */
    uint64_t value;
    char outcome[ASX_LAB_TEXT_MAX];

    asx_lab_verdict oracles[ASX_LAB_ORACLE_COUNT]; /* of an unchecked run: unasked */

    asx_lab_violation *violations;
    uint32_t violation_count;
    uint64_t violations_dropped;
} asx_lab_report;

/* Says so once: a text that is there already is not repeated. */
void asx_lab_report_violate(asx_lab_report *report, const char *code, const char *fmt, ...)
    ASX_PRINTF(3, 4);

/* Quiescent, and no violation. */
bool asx_lab_report_passed(const asx_lab_report *report);
/* Of the failure, not of its text or ids: what shrinking must keep. 0 when it passed. */
uint64_t asx_lab_report_signature(const asx_lab_report *report);

/* Without the rows and the events. The command that repeats the run is not part of it. */
void asx_lab_report_print(const asx_lab_report *report, FILE *out);

void asx_lab_report_deinit(asx_lab_report *report);

const char *asx_lab_termination_name(asx_lab_termination termination);

ASX_END_DECLS

#endif
