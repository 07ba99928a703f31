/* The driver over io_uring: one ring a shard, one io_uring_enter a turn.
 *
 * Model.   Submission entries are prepared at submit() and handed over by park(), which also waits.
 *          Receives are multishot out of one ring of provided buffers, accepts multishot; both are
 *          armed again here when the kernel ends one early, so their owner sees one operation.
 * Owner.   The thread that created it, and no other: the ring is SINGLE_ISSUER.
 * Needs.   Linux 6.0 (multishot receive); 6.1 for DEFER_TASKRUN. Found out by doing, never by
 *          version. */
#ifndef ASX_REACTOR_URING_H
#define ASX_REACTOR_URING_H

#include <asx/reactor/driver_config.h>
#include <asx/shard/driver.h>

ASX_BEGIN_DECLS

/* On the thread that will run the shard.
 *
 * errors  the errno of the refusal: EPERM (forbidden), ENOSYS (absent), EINVAL (too old), ENOMEM;
 *         UNSUPPORTED when built without liburing */
ASX_NODISCARD asx_err asx_uring_create(const asx_driver_config *config, asx_driver **driver);

ASX_END_DECLS

#endif
