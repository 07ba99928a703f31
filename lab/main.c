/* The lab by itself. `asx-lab` has the server's scenario too: engine/asx_lab_program.c. */
#include <asx/lab/tool.h>

int main(int argc, char **argv)
{
    return asx_lab_tool(argc, argv, NULL);
}
