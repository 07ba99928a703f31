/* The drain: from a signal to the last byte.
 *
 *   RUNNING --SIGTERM, SIGINT--> DRAINING --budget spent, second signal--> FORCING --> stopped
 *
 * DRAINING  /healthz says 503, listeners end (after --drain-delay), idle connections close, busy
 *           ones answer with Connection: close
 *           Each shard's drain is looked at every ASX_DRAIN_LOOK; how far all are is said every
 *           ASX_DRAIN_TELL, and of one that has stalled, at which region
 * FORCING   every app region is cancelled with SHUTDOWN: what has not begun to answer answers 503
 * stopped   every shard is quiescent; or, ASX_DRAIN_GRACE after FORCING or at a third signal, the
 *           process leaves with what would not end still there, and says so
 */
#ifndef ASX_ENGINE_DRAIN_H
#define ASX_ENGINE_DRAIN_H

#include <asx/shard/base/time.h>

#define ASX_DRAIN_LOOK (100 * ASX_NS_PER_MS)
#define ASX_DRAIN_TELL (5 * ASX_NS_PER_S)
/* Cancelled code may clean up for 5 s (finalizers); a little more is the kernel's. */
#define ASX_DRAIN_GRACE (6 * ASX_NS_PER_S)

#endif
