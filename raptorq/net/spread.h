/* An executor over shards: the codec's jobs as pieces of asx_parallel_for, so that a block is
 * encoded or decoded by every shard that has time for it.
 *
 * Result. Bit for bit what one shard makes: jobs do not lean on each other.
 * Cancel. The codec does not know it: jobs that a cancelled caller's shards no longer take are run
 *         here, one after the other, and the cancel is seen at the caller's next wait. */
#ifndef ASX_RAPTORQ_NET_SPREAD_H
#define ASX_RAPTORQ_NET_SPREAD_H

#include <asx/raptorq/block.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

/* For calls into the codec from the fiber of `cx`, which suspends in them; its stack holds what the
 * codec needs, 64 KiB are enough. */
asx_rq_executor asx_rq_spread(asx_cx *cx);

ASX_END_DECLS

#endif
