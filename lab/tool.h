/* The command `asx lab`: scenarios run, replayed and told. */
#ifndef ASX_LAB_TOOL_H
#define ASX_LAB_TOOL_H

#include <asx/lab/scenario.h>

ASX_BEGIN_DECLS

/* Exit statuses of every command. */
enum {
    ASX_LAB_EXIT_PASSED = 0,
    ASX_LAB_EXIT_VIOLATION = 1,
    ASX_LAB_EXIT_USAGE = 2,
    ASX_LAB_EXIT_DIVERGED = 3, /* the same run was not the same */
    ASX_LAB_EXIT_LIMIT = 4,
    ASX_LAB_EXIT_FILE = 5, /* a file that cannot be read, written or believed */
};

/* argv[0] is "lab" or the program; returns an exit status.
 * more  scenarios beside the lab's own, the last without a name; or NULL */
int asx_lab_tool(int argc, char **argv, const asx_lab_scenario *more);

ASX_END_DECLS

#endif
