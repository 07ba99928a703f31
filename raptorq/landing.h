/* A file that appears whole or not at all: mapped memory that takes its name when it is done.
 *
 * Model.   The bytes are in a file without a name in the directory of the target (where the file
 *          system has none, under a temporary name), with all its room taken at once, so that a
 *          full disk is an error at the beginning. A process that is killed leaves nothing behind.
 * Owner.   Memory of the caller's; one thread at a time.
 */
#ifndef ASX_RAPTORQ_LANDING_H
#define ASX_RAPTORQ_LANDING_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>

#include <limits.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_rq_landing {
    uint8_t *data; /* `size` bytes, zero at first; NULL when size is 0 */
    uint64_t size;
    int _fd;
    char _path[PATH_MAX];      /* the target */
    char _temporary[PATH_MAX]; /* empty while the file has no name */
} asx_rq_landing;

/* errors  an errno; nothing is left behind then */
ASX_NODISCARD asx_err asx_rq_landing_open(asx_rq_landing *landing, const char *path, uint64_t size);

/* Writes through and takes the target's name, replacing what had it.
 *
 * errors  an errno; the target is as it was
 */
ASX_NODISCARD asx_err asx_rq_landing_commit(asx_rq_landing *landing);

/* Unmaps; without a commit before, the bytes are gone. */
void asx_rq_landing_close(asx_rq_landing *landing);

ASX_END_DECLS

#endif
