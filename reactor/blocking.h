/* The pool for what blocks: TASK operations, and file operations where the driver has no queue for
 * them.
 *
 * Model.  One bounded queue for the process, threads started when the queue has work and no idle
 *         thread, all of them joined by destroy. An op that is still queued can be taken back; one
 *         that runs is waited for.
 * Owner.  The process. Any shard pushes; a finished op goes to the inbox of the shard that pushed
 *         it, which rings that shard's bell.
 * Bounds. threads_max threads, queue_max queued operations; beyond that an op fails with
 *         AT_CAPACITY. Locks are allowed here: nothing of it is on a request's path. */
#ifndef ASX_REACTOR_BLOCKING_H
#define ASX_REACTOR_BLOCKING_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>

#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_blocking asx_blocking;

typedef struct asx_blocking_config {
    uint32_t threads_max; /* 0: twice the cores, in 4..64 */
    uint32_t queue_max;   /* 0: 4096 */
} asx_blocking_config;

typedef struct asx_blocking_stats {
    uint32_t threads; /* started so far */
    uint32_t queued;
    uint32_t running;
    uint64_t refused; /* pushed while the queue was full */
} asx_blocking_stats;

/* config  may be NULL: all defaults
 * errors  ENOMEM */
ASX_NODISCARD asx_err asx_blocking_create(const asx_blocking_config *config, asx_blocking **pool);

void asx_blocking_stats_get(asx_blocking *pool, asx_blocking_stats *stats);

/* Joins every thread; no op is queued or running. */
void asx_blocking_destroy(asx_blocking *pool);

ASX_END_DECLS

#endif
