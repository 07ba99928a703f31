/* The program `asx-lab`, which `asx lab` becomes. */
#include <asx/lab/tool.h>

int main(int argc, char **argv)
{
    return asx_lab_tool(argc, argv);
}
