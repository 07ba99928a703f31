/* How explore.c, explore_fork.c and explore_report.c share a report. */
#ifndef ASX_LAB_EXPLORE_INTERNAL_H
#define ASX_LAB_EXPLORE_INTERNAL_H

#include <asx/lab/explore.h>

#include "array_internal.h"
#include "table_internal.h"

struct asx_explore_report {
    asx_explore_config config;
    const char *program, *strategy;
    bool iid;
    asxi_array rows;     /* asx_explore_row */
    asxi_array failures; /* asx_explore_failure */
    asxi_array hits;     /* uint32_t: runs of each class, in order of discovery */
    asxi_table classes;  /* fingerprint -> index into hits, plus 1 */
    asx_explore_coverage coverage;
    uint64_t sites[ASX_CHOICE_SITE_COUNT];
    uint64_t failed_runs;
    asx_instant started_ns, told_ns;
    const char *why; /* NULL: it goes on */
};

/* The row of the run just made, apart from what only the report knows. */
asx_explore_row asxi_explore_row_of(asx_explore_run *run, uint64_t index, uint64_t seed);

/* Adds a run, and decides whether the exploration goes on. choices: copied when they are kept. */
void asxi_explore_add(asx_explore_report *report, const asx_explore_row *row, const char *text,
                      const asx_lab_choice *choices, uint32_t choice_count);

/* Ends the exploration when its time is over, and says how far it is when that is due. */
void asxi_explore_tell(asx_explore_report *report);

/* Runs config.first ... in config.jobs children, and adds their rows in order of index. */
void asxi_explore_fork(asx_explore_report *report, asx_explore_program *program,
                       asx_strategy *strategy);

#endif
