/* Flows and the clock.
 *
 * Model.  Instants are those of the shard's clock when the item is pulled: nothing runs between two
 *         pulls.
 * Cancel. A window, a quiet time or a timeout that has begun goes on. */
#ifndef ASX_SHARD_FLOW_PACE_H
#define ASX_SHARD_FLOW_PACE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/flow/flow.h>

ASX_BEGIN_DECLS

/* The first item passes and opens a window of `window_ns`; those within it are dropped. */
asx_flow *asx_flow_throttle(asx_flow *source, asx_duration window_ns);
/* The latest item, once `quiet_ns` have passed without another; those before it are dropped. At the
 * end the one that is pending passes at once. */
asx_flow *asx_flow_debounce(asx_flow *source, asx_duration quiet_ns);
/* Err(TIMED_OUT) where an item takes longer than `timeout_ns` from when it was first asked for. The
 * flow goes on: the next pull waits as long again. */
asx_flow *asx_flow_timeout(asx_flow *source, asx_duration timeout_ns);

ASX_END_DECLS

#endif
