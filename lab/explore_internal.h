/* How the files of the explorer share a report, and how a run outlives its process. */
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

/* What is left of a run whose process died: in memory that it shared with its parent. */
#define ASXI_MIRROR_ROWS 65536u

typedef struct asxi_explore_mirror {
    uint32_t count; /* choices of the run in progress */
    asx_lab_choice rows[ASXI_MIRROR_ROWS];
    asx_explore_verdict verdict; /* of a run that ended, where somebody asked for it */
} asxi_explore_mirror;

/* NULL: the system has no more memory. */
asxi_explore_mirror *asxi_explore_mirror_create(void);
void asxi_explore_mirror_destroy(asxi_explore_mirror *mirror);

/* Every choice of this run is written there, too. NULL: no longer. */
void asxi_explore_run_mirror(asx_explore_run *run, asxi_explore_mirror *mirror);

/* The signature of a process that ended with this wait status, and the same in words. */
uint64_t asxi_explore_crash(int status, char *text, size_t cap);
bool asxi_explore_is_crash(uint64_t signature);

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
