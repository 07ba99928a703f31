/* The command `asx rq`: files as volumes (volume.h), and files over datagrams (net/). */
#ifndef ASX_RAPTORQ_TOOL_H
#define ASX_RAPTORQ_TOOL_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>
#include <asx/shard/driver.h>

#include <stdint.h>

ASX_BEGIN_DECLS

/* What the command needs of the floors above this one; NULL: send and recv are not there. */
typedef struct asx_rq_host {
    /* A driver for a shard on the calling thread. */
    asx_err (*driver_open)(asx_driver **driver);
    /* A descriptor that becomes readable when the process is asked to end. */
    asx_err (*signals_open)(int32_t *fd);
} asx_rq_host;

/* argv[0] is the command's own name. Returns the exit status: 0 done, 1 failed with a line on
 * standard error, 2 not understood. */
int asx_rq_main(int argc, char **argv, const asx_rq_host *host);

ASX_END_DECLS

#endif
