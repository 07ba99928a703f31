/* What the lab's command does with trace files. */
#ifndef ASX_LAB_TRACE_TOOL_H
#define ASX_LAB_TRACE_TOOL_H

#include <asx/lab/scenario.h>
#include <asx/lab/trace_file.h>

#include <stdio.h>

ASX_BEGIN_DECLS

/* A file that a run is being written to. */
typedef struct asx_trace_tool_out {
    FILE *file;
    const char *path;
    struct asx_lab_trace_writer *writer;
} asx_trace_tool_out;

/* Opens `path` and puts the writer among the listeners of `config`, which is lent until end. False:
 * it could not, and said so. */
bool asx_trace_tool_begin(asx_trace_tool_out *out, const char *path, const char *level,
                          const asx_lab_scenario *scenario, asx_lab_config *config);
/* False: the disk was full, or the like; the run's part that is there can be recovered. */
bool asx_trace_tool_end(asx_trace_tool_out *out, const asx_lab_report *report);

/* Whether the file at `path` is a trace. */
bool asx_trace_tool_is(const char *path);

/* What `show` is asked for. */
typedef struct asx_trace_tool_view {
    const char *task, *json; /* NULL: not asked for */
    bool tell;
} asx_trace_tool_view;

/* Each returns the exit status of the command.
 * more  as asx_lab_scenario_among */
int asx_trace_tool_replay(const char *path, const asx_lab_scenario *more, bool by_seed);
int asx_trace_tool_show(const char *path, const asx_trace_tool_view *view);
int asx_trace_tool_recover(const char *path, const char *to, const char *level);
int asx_trace_tool_diff(const char *a, const char *b);

ASX_END_DECLS

#endif
