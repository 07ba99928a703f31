/* What the lab's command does with crashpacks. */
#ifndef ASX_LAB_CRASHPACK_TOOL_H
#define ASX_LAB_CRASHPACK_TOOL_H

#include <asx/lab/crashpack.h>
#include <asx/lab/scenario.h>

ASX_BEGIN_DECLS

/* The scenario's configuration under a preset of chaos; NULL: none. Of a scenario that judges what
 * cancellation, errors or missing memory change, only the kinds are kept that no program may
 * notice. False: there is no such preset. */
bool asx_crashpack_tool_chaos(const asx_lab_scenario *scenario, const char *preset,
                              asx_lab_config *config);

/* Writes the pack of a failed run, and says where. False: it could not. */
bool asx_crashpack_tool_write(const asx_lab_scenario *scenario, const asx_lab_config *config,
                              const asx_lab_report *report, const char *dir);

/* True when the file at `path` is a crashpack, which then is replayed: *status is the command's.
 * more  as asx_lab_scenario_among */
bool asx_crashpack_tool_replay(const char *path, const asx_lab_scenario *more, int *status);

ASX_END_DECLS

#endif
