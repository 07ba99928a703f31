/* What flows are made of.
 *
 * Model.  One block: the record, the state of its class, and a hold for one item. An operator looks
 *         at the item in its source's hold, and takes it only when nothing can interrupt it any
 *         more: this is why a cancelled pull has consumed nothing.
 * Owner.  The heap of the region, by a reference whose destructor drops what is left. */
#ifndef ASX_SHARD_FLOW_FLOW_INTERNAL_H
#define ASX_SHARD_FLOW_FLOW_INTERNAL_H

#include <asx/shard/base/assert.h>
#include <asx/shard/flow/flow.h>
#include <asx/shard/shard_internal.h>

#include <assert.h>
#include <string.h>

typedef struct asxi_flow_class {
    const char *name;
    /* As asx_flow_next_until. Not called again after END. */
    asx_outcome (*next)(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns);
    /* Ends what runs or is open for the flow, other than its source; may wait, masked. NULL: none.
     */
    void (*stop)(asx_cx *cx, asx_flow *flow);
    /* Drops the items in the state. Must not wait, nor touch another flow. NULL: none. */
    void (*drop)(asx_flow *flow);
    /* Drops one item that this class puts together. NULL: the items are as `items` says. */
    void (*item_drop)(const asx_flow *flow, void *item);
} asxi_flow_class;

struct asx_flow {
    const asxi_flow_class *class;
    asx_region *region;
    asx_flow *source;      /* owned; NULL for a source */
    const asx_flow *items; /* knows how its items are dropped: itself, or a flow it is made of */
    asx_drop_fn *drop;     /* when items == this; NULL: nothing to do */
    void *hold;            /* the next item, when full */
    asx_heapref ref;
    asx_err refused; /* an operator over it could not be made */
    uint32_t item_size;
    bool full, ended, busy;
} __attribute__((aligned(16)));

/* The state of a class stands behind the record. */
static_assert(sizeof(struct asx_flow) % 16 == 0, "the state is aligned");
static inline void *asxi_flow_state(asx_flow *flow)
{
    return flow + 1;
}

/* A source in the cx's region; its state is zeroed. NULL: refused. */
asx_flow *asxi_flow_source(asx_cx *cx, const asxi_flow_class *class, size_t state_size,
                           uint32_t item_size, asx_drop_fn *drop);
/* An operator that owns `source`. Where there is no memory, `source` itself is returned, and
 * refuses; *made tells. item_size 0: the items are the source's. */
asx_flow *asxi_flow_over(asx_flow *source, const asxi_flow_class *class, size_t state_size,
                         uint32_t item_size, asx_drop_fn *drop, bool *made);

asx_outcome asxi_flow_pull(asx_cx *cx, asx_flow *flow, void *item, asx_instant deadline_ns);
/* The same into the hold. */
asx_outcome asxi_flow_look(asx_cx *cx, asx_flow *flow, asx_instant deadline_ns);

/* The held item leaves: to `item`, to whoever has used it in place, or dropped. */
void asxi_flow_take(asx_flow *flow, void *item);
void asxi_flow_consume(asx_flow *flow);
void asxi_flow_discard(asx_flow *flow);

void asxi_flow_item_drop(const asx_flow *flow, void *item);

/* One more item without a result: the others run after ASX_FLOW_IDLE_MAX of them. Ok otherwise. */
asx_outcome asxi_flow_idle(asx_cx *cx, uint32_t *idle);

#endif
