/* The commands `asx lab explore` and `asx lab shrink`: scenarios under a strategy and a budget.
 *
 * Model.  A run that fails is printed with the line that repeats it. Everything on standard output
 *         is the same for the same exploration; the progress line goes to standard error. */
#ifndef ASX_LAB_EXPLORE_TOOL_H
#define ASX_LAB_EXPLORE_TOOL_H

#include <asx/lab/scenario.h>

#include <stdio.h>

ASX_BEGIN_DECLS

/* Exit statuses. */
enum {
    ASX_EXPLORE_TOOL_PASSED = 0,
    ASX_EXPLORE_TOOL_VIOLATION = 1,
    ASX_EXPLORE_TOOL_USAGE = 2,
    ASX_EXPLORE_TOOL_DIVERGED = 3, /* a run did not follow its own answers */
    ASX_EXPLORE_TOOL_LIMIT = 4,    /* runs ended at a limit, and none failed otherwise */
    ASX_EXPLORE_TOOL_FILE = 5,     /* a file could not be written */
};

void asx_explore_tool_usage(FILE *out);

/* args: what stands after the scenario's name. */
int asx_explore_tool_explore(const asx_lab_scenario *scenario, int argc, char **args, FILE *out);
int asx_explore_tool_shrink(const asx_lab_scenario *scenario, int argc, char **args, FILE *out);

ASX_END_DECLS

#endif
