#include <asx/shard/combine/plan.h>

#include "plan_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

asx_err asx_plan_open(asx_cx *cx, uint32_t nodes_max, asx_plan **opened)
{
    *opened = NULL;
    if (nodes_max == 0 || nodes_max > ASX_PLAN_NODES_MAX) {
        return ASX_E(INVALID_ARGUMENT);
    }
    asx_plan *const plan = asx_calloc(cx, sizeof(*plan));
    asxi_plan_node *const nodes = asx_calloc(cx, nodes_max * sizeof(*nodes));
    if (!plan || !nodes) {
        return ASX_E(NO_MEMORY);
    }
    *plan = (asx_plan){ .cx = cx, .nodes = nodes, .max = nodes_max };
    *opened = plan;
    return ASX_OK;
}

static asx_plan_id append(asx_plan *plan, const asxi_plan_node *node)
{
    if (plan->count == plan->max || node->depth > ASX_PLAN_DEPTH_MAX ||
        node->leaves > ASX_PLAN_LEAVES_MAX) {
        return ASX_PLAN_NONE;
    }
    plan->nodes[plan->count] = *node;
    plan->nodes[plan->count].plan = plan;
    return plan->count++;
}

asx_plan_id asx_plan_leaf(asx_plan *plan, const asx_branch *branch, uint32_t promises)
{
    const asxi_plan_node leaf = {
        .kind = ASX_PLAN_LEAF, .branch = *branch, .promises = promises, .depth = 1, .leaves = 1
    };
    return append(plan, &leaf);
}

asx_plan_id asxi_plan_compose(asx_plan *plan, asx_plan_kind kind, asx_duration timeout,
                              const asx_plan_id *children, uint32_t count)
{
    asxi_plan_node node = { .kind = kind, .timeout = timeout, .count = count, .promises = ~0u };
    if (count > ASX_PLAN_CHILDREN_MAX) {
        return ASX_PLAN_NONE;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (children[i] >= plan->count) {
            return ASX_PLAN_NONE;
        }
        const asxi_plan_node *const child = &plan->nodes[children[i]];
        node.promises &= child->promises;
        node.leaves += child->leaves; /* at most 64 times 65,536 */
        node.depth = child->depth > node.depth ? child->depth : node.depth;
    }
    node.depth++;
    if (count > 0) {
        node.children = asx_alloc(plan->cx, count * sizeof(*children));
        if (!node.children) {
            return ASX_PLAN_NONE;
        }
        memcpy(node.children, children, count * sizeof(*children));
    }
    return append(plan, &node);
}

asx_plan_id asx_plan_join(asx_plan *plan, const asx_plan_id *children, uint32_t count)
{
    return asxi_plan_compose(plan, ASX_PLAN_JOIN, 0, children, count);
}

asx_plan_id asx_plan_race(asx_plan *plan, const asx_plan_id *children, uint32_t count)
{
    return count ? asxi_plan_compose(plan, ASX_PLAN_RACE, 0, children, count) : ASX_PLAN_NONE;
}

asx_plan_id asx_plan_race_unbiased(asx_plan *plan, const asx_plan_id *children, uint32_t count)
{
    return count ? asxi_plan_compose(plan, ASX_PLAN_RACE_UNBIASED, 0, children, count)
                 : ASX_PLAN_NONE;
}

asx_plan_id asx_plan_timeout(asx_plan *plan, asx_duration timeout, asx_plan_id child)
{
    return asxi_plan_compose(plan, ASX_PLAN_TIMEOUT, timeout, &child, 1);
}

/* Running */

static asx_outcome node_run(asx_cx *cx, void *arg);

/* A leaf is its own branch; anything else is a task that runs the node. */
static asx_branch branch_of(const asx_plan *plan, asx_plan_id id)
{
    asxi_plan_node *const node = &plan->nodes[id];
    const asx_branch inner = { .fn = node_run, .arg = node, .label = "plan" };
    return node->kind == ASX_PLAN_LEAF ? node->branch : inner;
}

static asx_outcome all_run(asx_cx *cx, const asxi_plan_node *node)
{
    const size_t size = node->count * sizeof(asx_branch);
    asx_branch *const branches = size ? asx_alloc(cx, size) : NULL;
    if (size && !branches) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    for (uint32_t i = 0; i < node->count; i++) {
        branches[i] = branch_of(node->plan, node->children[i]);
    }
    const asx_outcome outcome =
        node->kind == ASX_PLAN_JOIN   ? asx_join_all(cx, branches, node->count, NULL)
        : node->kind == ASX_PLAN_RACE ? asx_race(cx, branches, node->count, NULL)
                                      : asx_race_unbiased(cx, branches, node->count, NULL);
    if (size) {
        asx_free(cx, branches, size);
    }
    return outcome;
}

static asx_outcome node_run(asx_cx *cx, void *arg)
{
    const asxi_plan_node *const node = arg;
    if (node->kind == ASX_PLAN_LEAF) {
        return asx_race(cx, &node->branch, 1, NULL);
    }
    if (node->kind != ASX_PLAN_TIMEOUT) {
        return all_run(cx, node);
    }
    asxi_plan_node *const child = &node->plan->nodes[node->children[0]];
    return child->kind == ASX_PLAN_LEAF && !child->branch.budget
               ? asx_timeout(cx, node->timeout, child->branch.fn, child->branch.arg, NULL)
               : asx_timeout(cx, node->timeout, node_run, child, NULL);
}

asx_outcome asx_plan_run(asx_cx *cx, const asx_plan *plan, asx_plan_id root)
{
    if (root >= plan->count) {
        return asx_fail(ASX_E(INVALID_ARGUMENT));
    }
    return node_run(cx, &plan->nodes[root]);
}

/* Looking */

bool asx_plan_equal(const asx_plan *plan, asx_plan_id a, asx_plan_id b)
{
    if (a == b) {
        return true;
    }
    const asxi_plan_node *const x = asxi_plan_node_at(plan, a);
    const asxi_plan_node *const y = asxi_plan_node_at(plan, b);
    if (x->kind == ASX_PLAN_LEAF || x->kind != y->kind || x->count != y->count ||
        x->timeout != y->timeout) {
        return false; /* leaves that are not the same node are not the same leaf */
    }
    for (uint32_t i = 0; i < x->count; i++) {
        if (!asx_plan_equal(plan, x->children[i], y->children[i])) {
            return false;
        }
    }
    return true;
}

typedef struct writer {
    char *text;
    size_t size, length;
} writer;

static void put(writer *w, const char *word)
{
    const size_t length = strlen(word);
    for (size_t i = 0; i < length; i++) {
        if (w->length + i + 1 < w->size) {
            w->text[w->length + i] = word[i];
        }
    }
    w->length += length;
}

static void put_node(writer *w, const asx_plan *plan, asx_plan_id id)
{
    static const char *const names[] = { "leaf", "join", "race", "race_unbiased", "timeout" };
    const asxi_plan_node *const node = asxi_plan_node_at(plan, id);
    if (node->kind == ASX_PLAN_LEAF) {
        put(w, node->branch.label ? node->branch.label : names[node->kind]);
        return;
    }
    put(w, names[node->kind]);
    put(w, "(");
    if (node->kind == ASX_PLAN_TIMEOUT) {
        char timeout[40];
        snprintf(timeout, sizeof(timeout), "%" PRIu64 " ns, ", node->timeout);
        put(w, node->timeout == ASX_TIME_NEVER ? "never, " : timeout);
    }
    for (uint32_t i = 0; i < node->count; i++) {
        put(w, i ? ", " : "");
        put_node(w, plan, node->children[i]);
    }
    put(w, ")");
}

size_t asx_plan_print(const asx_plan *plan, asx_plan_id root, char *text, size_t size)
{
    writer w = { text, size, 0 };
    put_node(&w, plan, root);
    if (size > 0) {
        text[w.length < size ? w.length : size - 1] = '\0';
    }
    return w.length;
}
