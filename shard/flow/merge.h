/* Several flows as one, and one as several.
 *
 * Owner.  The flow that is made owns those it is made of.
 * Cancel. An item that was already taken from one of them waits for the next pull. */
#ifndef ASX_SHARD_FLOW_MERGE_H
#define ASX_SHARD_FLOW_MERGE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/flow/flow.h>

ASX_BEGIN_DECLS

#define ASX_FLOW_SCAN_MAX 64u /* flows that a merge looks at in one step (STR-2) */

/* All of `first`, then all of `second`; items have one size and one drop. */
asx_flow *asx_flow_chain(asx_cx *cx, asx_flow *first, asx_flow *second);
/* Pairs: an item of `left`, and behind it, at a multiple of 8 bytes, one of `right`. Ends with the
 * shorter; an item already taken from the longer is dropped. */
asx_flow *asx_flow_zip(asx_cx *cx, asx_flow *left, asx_flow *right);
/* Whatever is there first; round robin where several are. Ends with the last. Items have one size
 * and one drop. A task waits for each flow that has nothing yet: see asx_flow_buffered.
 * count  at least 1; the array is copied */
asx_flow *asx_flow_merge(asx_cx *cx, asx_flow *const *flows, uint32_t count);

ASX_END_DECLS

#endif
