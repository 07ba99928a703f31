/* The program `asx-lab`, which `asx lab` becomes: the lab's scenarios, and the server itself. */
#include <asx/lab/tool.h>

#include "rehearsal_internal.h"

int main(int argc, char **argv)
{
    return asx_lab_tool(argc, argv, asxi_rehearsal_scenarios);
}
