/* Flows: streams of items that are pulled one at a time.
 *
 * Model.  A source, then operators, each of which owns the flow that it was made of, then a sink.
 *         Nothing happens until somebody asks for the next item, so a slow reader slows the source
 *         down. An error is told in its place in the flow and does not end it by itself; the end
 *         is for good: who asks again is told again, and the source is not asked.
 * Items.  Plain memory of item_size bytes that is copied from hand to hand. Whoever gets an item
 *         owns what it refers to; `drop` is called for those that nobody gets.
 * Owner.  The region it was made in, which closes it at the latest. asx_flow_close before that.
 *         One task at a time pulls, not always the same one.
 * Cancel. Nothing was consumed: the next pull goes on where this one stopped.
 * Memory. What could not be made is NULL, or answers NO_MEMORY when pulled: a chain of operators is
 *         checked once, where its items are asked for. */
#ifndef ASX_SHARD_FLOW_FLOW_H
#define ASX_SHARD_FLOW_FLOW_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>
#include <asx/shard/task.h>

ASX_BEGIN_DECLS

#define ASX_FLOW_IDLE_MAX 1024u /* items without a result, until the others run (STR-2) */

typedef struct asx_flow asx_flow;

/* The value of an Ok. */
typedef enum asx_flow_step {
    ASX_FLOW_END = 0,
    ASX_FLOW_ITEM,
    ASX_FLOW_LATE, /* the deadline passed first; nothing was consumed */
} asx_flow_step;

const char *asx_flow_step_name(asx_flow_step step);

ASX_INLINE bool asx_flow_is(asx_outcome outcome, asx_flow_step step)
{
    return asx_is_ok(outcome) && outcome.value == (uintptr_t)step;
}

/* Waits for the next item and copies it to `item`: Ok(ASX_FLOW_ITEM) or Ok(ASX_FLOW_END).
 * errors  those of the sources and of the functions on the way; pulling again goes on */
ASX_NODISCARD asx_outcome asx_flow_next(asx_cx *cx, asx_flow *flow, void *item);
/* The same, or Ok(ASX_FLOW_LATE). A deadline ends waits for a source or for a clock, not a function
 * of the user's that waits itself. 0: what is there now. */
ASX_NODISCARD asx_outcome asx_flow_next_until(asx_cx *cx, asx_flow *flow, void *item,
                                              asx_instant deadline_ns);
/* Waits as asx_flow_next, and leaves the item where it is.
 * lends  *item until the next pull */
ASX_NODISCARD asx_outcome asx_flow_peek(asx_cx *cx, asx_flow *flow, const void **item);

uint32_t asx_flow_item_size(const asx_flow *flow);

/* Closes the flow and all it was made of: its tasks are cancelled and drained, items that nobody
 * got are dropped. NULL is allowed.
 * suspends  while tasks are drained, masked */
void asx_flow_close(asx_cx *cx, asx_flow *flow);

ASX_END_DECLS

#endif
