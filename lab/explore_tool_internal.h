/* What the commands explore and shrink have in common: their options, and one exploration. */
#ifndef ASX_LAB_EXPLORE_TOOL_INTERNAL_H
#define ASX_LAB_EXPLORE_TOOL_INTERNAL_H

#include <asx/lab/explore.h>
#include <asx/lab/explore_tool.h>
#include <asx/lab/explore_world.h>

typedef struct asxi_explore_options {
    const char *strategy;
    uint64_t seed, runs, first, steps_max;
    asx_duration time_ns;
    uint64_t jobs, depth, bound, shards;
    const char *choices; /* "0,2,1" */
    const char *save, *chaos;
    bool every, all, rows, races, quiet, wide;
} asxi_explore_options;

typedef struct asxi_explore_session {
    const asx_lab_scenario *scenario;
    asxi_explore_options options;
    asx_lab_config config;
    asx_explore_world world;
    asx_strategy *strategy;
    asx_explore_config explore;
    FILE *out;
} asxi_explore_session;

/* False, with a line on standard error: the arguments make no sense. The session is to be ended in
 * either case. */
bool asxi_explore_session_begin(asxi_explore_session *session, const asx_lab_scenario *scenario,
                                int argc, char **args, FILE *out);

/* The options that make it another program: " --shards 3 --chaos light --wide". */
void asxi_explore_session_print(const asxi_explore_session *session);

/* Explores; the report is the caller's. */
asx_explore_report *asxi_explore_session_run(asxi_explore_session *session);

/* Frees the report, which may be NULL, and what the session holds; returns `status`. */
int asxi_explore_session_end(asxi_explore_session *session, asx_explore_report *report, int status);

#endif
