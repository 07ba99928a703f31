/* One flow as two.
 *
 * Model.  Whoever pulls a lane pulls the source, and puts into the other lane what belongs there. A
 *         lane that is full stops the source until somebody pulls it. An error is told to whoever
 *         met it. The items of a lane that was closed are dropped.
 * Owner.  The lanes together own the source: the last to close closes it. Each is closed on its
 *         own, and each may have a task of its own.
 * Cancel. An item that was already taken from the source waits for the next pull of either lane. */
#ifndef ASX_SHARD_FLOW_PARTITION_H
#define ASX_SHARD_FLOW_PARTITION_H

#include <asx/shard/base/decls.h>
#include <asx/shard/flow/map.h>

ASX_BEGIN_DECLS

#define ASX_FLOW_LANE_MAX 65536u

/* lane_max  items that a lane holds for its task, 1..ASX_FLOW_LANE_MAX */
void asx_flow_partition(asx_cx *cx, asx_flow *source, asx_flow_test_fn *test, void *arg,
                        uint32_t lane_max, asx_flow **passed, asx_flow **failed);

ASX_END_DECLS

#endif
