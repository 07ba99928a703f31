/* The command `asx rq`: encode, decode and verify files as volumes (volume.h). */
#ifndef ASX_RAPTORQ_TOOL_H
#define ASX_RAPTORQ_TOOL_H

#include <asx/shard/base/decls.h>

ASX_BEGIN_DECLS

/* argv[0] is the command's own name. Returns the exit status: 0 done, 1 failed with a line on
 * standard error, 2 not understood. */
int asx_rq_main(int argc, char **argv);

ASX_END_DECLS

#endif
