/* Several functions that wait at once, over one flow.
 *
 * Model.  Up to `width` items are in flight, each in a task of its own; one more task waits for the
 *         source where nothing is there yet. `fn` is as that of asx_flow_then.
 * Owner.  The tasks belong to the flow: asx_flow_close cancels and drains them, and drops what they
 *         made. Close it before the region in which it was made ends by joining its tasks.
 * Cancel. What is in flight goes on, and is delivered by the pulls that follow. */
#ifndef ASX_SHARD_FLOW_BUFFERED_H
#define ASX_SHARD_FLOW_BUFFERED_H

#include <asx/shard/base/decls.h>
#include <asx/shard/flow/map.h>
#include <asx/shard/flow/sink.h>

ASX_BEGIN_DECLS

#define ASX_FLOW_WIDTH_MAX 65536u

/* Results in the order of the source. A panic of fn is told in its place.
 * width  1..ASX_FLOW_WIDTH_MAX */
asx_flow *asx_flow_buffered(asx_cx *cx, asx_flow *source, asx_flow_shape shape, uint32_t width,
                            asx_flow_then_fn *fn, void *arg);
/* Results in the order in which they are ready. */
asx_flow *asx_flow_unordered(asx_cx *cx, asx_flow *source, asx_flow_shape shape, uint32_t width,
                             asx_flow_then_fn *fn, void *arg);
/* As buffered, and ends with its first failure; the rest is cancelled and drained. */
asx_flow *asx_flow_try_buffered(asx_cx *cx, asx_flow *source, asx_flow_shape shape, uint32_t width,
                                asx_flow_then_fn *fn, void *arg);

/* Calls fn for every item, up to `width` at once, and closes the flow. The first failure ends it;
 * what still runs is cancelled and drained, and a panic among it overrides.
 * cancel  as a failure: the functions that run are cancelled and drained, the rest is dropped */
ASX_NODISCARD asx_outcome asx_flow_for_each_concurrent(asx_cx *cx, asx_flow *flow, uint32_t width,
                                                       asx_flow_try_fn *fn, void *arg);

ASX_END_DECLS

#endif
