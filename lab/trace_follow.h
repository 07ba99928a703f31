/* Following a trace file: the run repeated, and compared with the file record by record.
 *
 * Model.   Each question of the run meets the choice that stands next in the file, and each of its
 *          events the next record, to the last byte. So nothing of the file is held but the place
 *          that was reached, and the first record that differs is where the two runs part.
 * Memory.  The reader's, and a few records around the difference. */
#ifndef ASX_LAB_TRACE_FOLLOW_H
#define ASX_LAB_TRACE_FOLLOW_H

#include <asx/lab/trace_reader.h>

ASX_BEGIN_DECLS

#define ASX_LAB_TRACE_AROUND ASX_LAB_ROWS_AROUND

/* The records of one run around a difference. */
typedef struct asx_lab_trace_side {
    asx_lab_event at[ASX_LAB_TRACE_AROUND];
    uint32_t count;
} asx_lab_trace_side;

typedef struct asx_lab_trace_divergence {
    asx_lab_difference what;
    uint64_t index;   /* of the first record that differs; the prefix that shows it is one longer */
    uint64_t total;   /* records of the file */
    uint32_t before;  /* records of both sides that lie before it, and are equal */
    bool of_files;    /* two files were compared, and nothing was run */
    bool other_build; /* the file was made by a program with other events or choices */
    asx_lab_trace_side expected, actual;
} asx_lab_trace_divergence;

/* Who answers while a file is followed. */
typedef enum asx_lab_trace_guide {
    ASX_LAB_TRACE_CHOICES = 0, /* the file */
    ASX_LAB_TRACE_SEED,        /* the seed, as when it was recorded: an edited choice shows */
} asx_lab_trace_guide;

/* Why the file cannot be followed under the configuration, or NULL. */
const char *asx_lab_trace_follow_refused(const asx_lab_trace_info *info,
                                         const asx_lab_config *config, asx_lab_trace_guide guide);

/* Runs `app` along the file. True when it was the same run to the last record and hash; of a
 * recovered prefix, to its end, where the run is stopped.
 *
 * config  of the recorded run; mode, choices and steering are the replay's
 * report  filled, to be given to deinit
 * asserts it is not refused, and no record was read
 * errors  asx_lab_trace_reader_wrong: the file, not the run, ended the comparison */
bool asx_lab_trace_follow(const asx_lab_config *config, asx_task_fn *app, void *arg,
                          asx_lab_trace_reader *reader, asx_lab_trace_guide guide,
                          asx_lab_trace_divergence *divergence, asx_lab_report *report);

/* `expected` and `actual` are what the two sides are called. */
void asx_lab_trace_divergence_print(const asx_lab_trace_divergence *divergence,
                                    const char *expected, const char *actual, FILE *out);

/* In what two records differ, for divergences. */
asx_lab_difference asx_lab_trace_compare(const asx_lab_event *a, const asx_lab_event *b);
/* Appends where there is room; before a difference, the oldest makes room. */
void asx_lab_trace_side_add(asx_lab_trace_side *side, const asx_lab_event *event, uint32_t max);

ASX_END_DECLS

#endif
