/* What the commands of the tool have in common: their options, and how they run a scenario. */
#ifndef ASX_LAB_TOOL_INTERNAL_H
#define ASX_LAB_TOOL_INTERNAL_H

#include <asx/lab/scenario.h>

#include <stdio.h>

typedef struct asxi_lab_tool_options {
    const asx_lab_scenario *more; /* beside the lab's own */
    uint64_t seed, seeds, shards, steps_max, replays, jobs;
    const char *mode, *save, *json, *task, *chaos, *pack, *trace, *level;
    bool twice, rows, tell, wide, quiet, by_seed;
} asxi_lab_tool_options;

void asxi_lab_tool_usage(FILE *out);

/* False, with a line on standard error: they make no sense.
 * more  as asx_lab_scenario_among */
bool asxi_lab_tool_options_parse(asxi_lab_tool_options *o, const asx_lab_scenario *more, int argc,
                                 char **args);

/* The configuration of one run under the options. */
asx_lab_config asxi_lab_tool_config_of(const asx_lab_scenario *scenario,
                                       const asxi_lab_tool_options *o, uint64_t seed);
/* The exit status that a run deserves. */
int asxi_lab_tool_exit_of(const asx_lab_report *report);

/* Runs one seed, or many; returns the exit status. */
int asxi_lab_tool_run(const asx_lab_scenario *scenario, const asxi_lab_tool_options *o);
/* Repeats the run of a crashpack, a trace or a schedule; returns the exit status. */
int asxi_lab_tool_replay(const char *path, const asxi_lab_tool_options *o);
/* Tells a run: of such a file, or of the scenario of that name. */
int asxi_lab_tool_show(const char *what, const asxi_lab_tool_options *o);

/* A line on standard error about how far it is, redrawn now and then; and at the end, how long it
 * took. */
typedef struct asxi_lab_tool_progress {
    uint64_t began_ns, shown_ns;
    bool quiet; /* only the end is told */
    bool shown;
} asxi_lab_tool_progress;

void asxi_lab_tool_progress_begin(asxi_lab_tool_progress *self, bool quiet);
void asxi_lab_tool_progress_show(asxi_lab_tool_progress *self, uint64_t done, uint64_t count);
void asxi_lab_tool_progress_end(asxi_lab_tool_progress *self, uint64_t done);

/* NULL, with a line on standard error: it cannot be opened. */
FILE *asxi_lab_tool_file_open(const char *path, const char *how);
/* False, with a line on standard error: what was written is not there. */
bool asxi_lab_tool_file_close(FILE *file, const char *path, asx_err err);

#endif
