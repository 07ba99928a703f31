/* Sinks: they pull a flow until it ends, or something fails.
 *
 * Model.  Every sink stops at the first Err of the flow and returns it: nothing is swallowed. What
 *         it has made so far is in the caller's memory, and calling it again goes on behind the
 *         error. The flow stays the caller's, unless the note says otherwise.
 * Cancel. As after an error: called again, the sink goes on with the item it had not finished. */
#ifndef ASX_SHARD_FLOW_SINK_H
#define ASX_SHARD_FLOW_SINK_H

#include <asx/shard/base/decls.h>
#include <asx/shard/flow/map.h>
#include <asx/shard/sync/mpsc.h>

#include <stddef.h>

ASX_BEGIN_DECLS

/* Items one behind the other, in the heap of the flow's region; zero-filled to begin with. */
typedef struct asx_flow_list {
    void *items;
    size_t count;
    size_t _cap;
    asx_region *_region;
    uint32_t _item_size;
} asx_flow_list;

/* Appends every item to `list`: Ok(how many it has).
 * errors  NO_MEMORY: the item stays in the flow */
ASX_NODISCARD asx_outcome asx_flow_collect(asx_cx *cx, asx_flow *flow, asx_flow_list *list);
/* Frees the memory, not what the items refer to. Not needed before the region ends. */
void asx_flow_list_free(asx_flow_list *list);

/* Takes over the item. */
typedef void asx_flow_use_fn(void *item, void *arg);
ASX_NODISCARD asx_outcome asx_flow_for_each(asx_cx *cx, asx_flow *flow, asx_flow_use_fn *fn,
                                            void *arg);
/* Takes over the item, unless it answers Cancelled. May wait. */
typedef asx_outcome asx_flow_try_fn(asx_cx *cx, void *item, void *arg);
ASX_NODISCARD asx_outcome asx_flow_try_for_each(asx_cx *cx, asx_flow *flow, asx_flow_try_fn *fn,
                                                void *arg);

/* As for_each and try_for_each: `folded`, the caller's, is what comes out. */
ASX_NODISCARD ASX_INLINE asx_outcome asx_flow_fold(asx_cx *cx, asx_flow *flow, asx_flow_use_fn *fn,
                                                   void *folded)
{
    return asx_flow_for_each(cx, flow, fn, folded);
}

ASX_NODISCARD ASX_INLINE asx_outcome asx_flow_try_fold(asx_cx *cx, asx_flow *flow,
                                                       asx_flow_try_fn *fn, void *folded)
{
    return asx_flow_try_for_each(cx, flow, fn, folded);
}

/* Drops the items and adds their number to *count. */
ASX_NODISCARD asx_outcome asx_flow_count(asx_cx *cx, asx_flow *flow, uint64_t *count);
/* Ok(1) at the first item that passes, Ok(0) at the end; items are dropped. */
ASX_NODISCARD asx_outcome asx_flow_any(asx_cx *cx, asx_flow *flow, asx_flow_test_fn *test,
                                       void *arg);
/* Ok(0) at the first item that fails, Ok(1) at the end; items are dropped. */
ASX_NODISCARD asx_outcome asx_flow_all(asx_cx *cx, asx_flow *flow, asx_flow_test_fn *test,
                                       void *arg);

/* Sends every item; the sender stays the caller's.
 * cancel  an item that was not sent is the next of the flow
 * errors  as asx_mpsc_send_until: the item is the next of the flow */
ASX_NODISCARD asx_outcome asx_flow_forward(asx_cx *cx, asx_flow *flow, asx_mpsc_sender sender);

ASX_END_DECLS

#endif
