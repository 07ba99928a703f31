/* The nodes of a plan. A child's index is below its parent's, so that no expression is a cycle. */
#ifndef ASX_SHARD_COMBINE_PLAN_INTERNAL_H
#define ASX_SHARD_COMBINE_PLAN_INTERNAL_H

#include <asx/shard/base/assert.h>
#include <asx/shard/combine/plan.h>

typedef struct asxi_plan_node {
    const asx_plan *plan;
    asx_branch branch;     /* LEAF */
    asx_duration timeout;  /* TIMEOUT */
    asx_plan_id *children; /* in the region's heap */
    uint32_t count;        /* of children */
    uint32_t depth;        /* 1 for a leaf */
    uint32_t leaves;       /* below, each as often as it stands there */
    uint32_t promises;     /* LEAF: its own; else those that all leaves below give */
    asx_plan_kind kind;
} asxi_plan_node;

struct asx_plan {
    asx_cx *cx;
    asxi_plan_node *nodes;
    uint32_t count, max;
};

/* A composite node over `children`. */
asx_plan_id asxi_plan_compose(asx_plan *plan, asx_plan_kind kind, asx_duration timeout,
                              const asx_plan_id *children, uint32_t count);

static inline const asxi_plan_node *asxi_plan_node_at(const asx_plan *plan, asx_plan_id id)
{
    asx_assert(id < plan->count);
    return &plan->nodes[id];
}

#endif
