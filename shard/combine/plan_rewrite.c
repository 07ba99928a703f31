/* The laws of plans, each with the conditions without which it is false (10.5). */
#include <asx/shard/combine/plan.h>

#include "plan_internal.h"

#include <string.h>

typedef struct law {
    const char *name;
    bool by_severity;
    const char *(*why_not)(const asx_plan *plan, const asxi_plan_node *node, uint32_t at);
    asx_plan_id (*apply)(asx_plan *plan, const asxi_plan_node *node, uint32_t at);
} law;

static const asxi_plan_node *child_of(const asx_plan *plan, const asxi_plan_node *node, uint32_t at)
{
    return asxi_plan_node_at(plan, node->children[at]);
}

static bool is_race(const asxi_plan_node *node)
{
    return node->kind == ASX_PLAN_RACE || node->kind == ASX_PLAN_RACE_UNBIASED;
}

/* Associativity: regrouping keeps the order of the leaves, and with it who is told first. */

static const char *assoc_why_not(const asx_plan *plan, const asxi_plan_node *node, uint32_t at,
                                 asx_plan_kind kind)
{
    if (node->kind != kind) {
        return "the node is of another kind";
    }
    if (at >= node->count || child_of(plan, node, at)->kind != kind) {
        return "there is no nested node of its kind";
    }
    if (node->count - 1 + child_of(plan, node, at)->count > ASX_PLAN_CHILDREN_MAX) {
        return "the node would have too many children";
    }
    return NULL;
}

static const char *join_assoc_why_not(const asx_plan *plan, const asxi_plan_node *node, uint32_t at)
{
    return assoc_why_not(plan, node, at, ASX_PLAN_JOIN);
}

static const char *race_assoc_why_not(const asx_plan *plan, const asxi_plan_node *node, uint32_t at)
{
    return assoc_why_not(plan, node, at,
                         is_race(node) ? node->kind : ASX_PLAN_RACE); /* one rule for ties */
}

static asx_plan_id assoc_apply(asx_plan *plan, const asxi_plan_node *node, uint32_t at)
{
    asx_plan_id flat[ASX_PLAN_CHILDREN_MAX];
    const asxi_plan_node *const nested = child_of(plan, node, at);
    const uint32_t behind = node->count - at - 1;
    memcpy(flat, node->children, at * sizeof(*flat));
    if (nested->count > 0) {
        memcpy(flat + at, nested->children, nested->count * sizeof(*flat));
    }
    memcpy(flat + at + nested->count, node->children + at + 1, behind * sizeof(*flat));
    return asxi_plan_compose(plan, node->kind, 0, flat, at + nested->count + behind);
}

/* Commutation of a join: of two equally bad outcomes the first child's is reported. */

static const char *join_comm_why_not(const asx_plan *plan, const asxi_plan_node *node, uint32_t at)
{
    (void)plan;
    if (node->kind != ASX_PLAN_JOIN) {
        return "the node is of another kind";
    }
    return at + 1 < node->count ? NULL : "there is no next child";
}

/* Commutation of a race: only where none is preferred, and where it does not matter who starts. */
static const char *race_comm_why_not(const asx_plan *plan, const asxi_plan_node *node, uint32_t at)
{
    if (node->kind != ASX_PLAN_RACE_UNBIASED) {
        return "the node is no race without preference";
    }
    if (at + 1 >= node->count) {
        return "there is no next child";
    }
    const uint32_t promises =
        child_of(plan, node, at)->promises & child_of(plan, node, at + 1)->promises;
    return promises & ASX_PLAN_INDEPENDENT ? NULL : "the two may share something";
}

static asx_plan_id comm_apply(asx_plan *plan, const asxi_plan_node *node, uint32_t at)
{
    asx_plan_id swapped[ASX_PLAN_CHILDREN_MAX];
    memcpy(swapped, node->children, node->count * sizeof(*swapped));
    swapped[at] = node->children[at + 1];
    swapped[at + 1] = node->children[at];
    return asxi_plan_compose(plan, node->kind, 0, swapped, node->count);
}

/* The earlier of two deadlines. When the outer one is earlier, what the child still makes after it
 * would be lost with the inner timeout, and surface without it. */

static const char *timeout_min_why_not(const asx_plan *plan, const asxi_plan_node *node,
                                       uint32_t at)
{
    (void)at;
    if (node->kind != ASX_PLAN_TIMEOUT || child_of(plan, node, 0)->kind != ASX_PLAN_TIMEOUT) {
        return "there is no timeout in a timeout";
    }
    const asxi_plan_node *const inner = child_of(plan, node, 0);
    if (node->timeout < inner->timeout && !(inner->promises & ASX_PLAN_PROMPT)) {
        return "the child may end with a value after the outer deadline";
    }
    return NULL;
}

static asx_plan_id timeout_min_apply(asx_plan *plan, const asxi_plan_node *node, uint32_t at)
{
    (void)at;
    const asxi_plan_node *const inner = child_of(plan, node, 0);
    const asx_duration least = node->timeout < inner->timeout ? node->timeout : inner->timeout;
    return asx_plan_timeout(plan, least, inner->children[0]);
}

static const char *timeout_identity_why_not(const asx_plan *plan, const asxi_plan_node *node,
                                            uint32_t at)
{
    (void)plan;
    (void)at;
    const bool never = node->kind == ASX_PLAN_TIMEOUT && node->timeout == ASX_TIME_NEVER;
    return never ? NULL : "the node is no timeout of never";
}

static asx_plan_id timeout_identity_apply(asx_plan *plan, const asxi_plan_node *node, uint32_t at)
{
    (void)plan;
    (void)at;
    return node->children[0];
}

/* Distribution: what every alternative waits for runs once, in front of the choice between the
 * rests. If it took time, or failed otherwise the second time, another alternative could win. */

static const char *dedup_why_not(const asx_plan *plan, const asxi_plan_node *node, uint32_t at)
{
    (void)at;
    if (!is_race(node) || node->count < 2) {
        return "the node is no race of alternatives";
    }
    for (uint32_t i = 0; i < node->count; i++) {
        const asxi_plan_node *const join = child_of(plan, node, i);
        if (join->kind != ASX_PLAN_JOIN || join->count < 2 ||
            !asx_plan_equal(plan, join->children[0], child_of(plan, node, 0)->children[0])) {
            return "the alternatives do not begin with the same";
        }
    }
    const uint32_t promises =
        asxi_plan_node_at(plan, child_of(plan, node, 0)->children[0])->promises;
    return promises & ASX_PLAN_PURE ? NULL
                                    : "what they share is not pure: it can be told how often "
                                      "it ran, or when";
}

static asx_plan_id dedup_apply(asx_plan *plan, const asxi_plan_node *node, uint32_t at)
{
    asx_plan_id rests[ASX_PLAN_CHILDREN_MAX];
    (void)at;
    for (uint32_t i = 0; i < node->count; i++) {
        const asxi_plan_node *const join = child_of(plan, node, i);
        rests[i] = join->count == 2 ? join->children[1]
                                    : asx_plan_join(plan, join->children + 1, join->count - 1);
    }
    const asx_plan_id shared = child_of(plan, node, 0)->children[0];
    const asx_plan_id both[] = { shared,
                                 asxi_plan_compose(plan, node->kind, 0, rests, node->count) };
    return asx_plan_join(plan, both, 2);
}

static const law laws[] = {
    [ASX_LAW_JOIN_ASSOC] = { "LAW-JOIN-ASSOC", false, join_assoc_why_not, assoc_apply },
    [ASX_LAW_JOIN_COMM] = { "LAW-JOIN-COMM", true, join_comm_why_not, comm_apply },
    [ASX_LAW_RACE_ASSOC] = { "LAW-RACE-ASSOC", false, race_assoc_why_not, assoc_apply },
    [ASX_LAW_RACE_COMM] = { "LAW-RACE-COMM", false, race_comm_why_not, comm_apply },
    [ASX_LAW_TIMEOUT_MIN] = { "LAW-TIMEOUT-MIN", false, timeout_min_why_not, timeout_min_apply },
    [ASX_LAW_TIMEOUT_IDENTITY] = { "LAW-TIMEOUT-IDENTITY", false, timeout_identity_why_not,
                                   timeout_identity_apply },
    [ASX_LAW_DEDUP_RACE_JOIN] = { "LAW-DEDUP-RACE-JOIN", true, dedup_why_not, dedup_apply },
};

_Static_assert(asx_array_count(laws) == ASX_LAW_COUNT, "every law has its row");

const char *asx_law_name(asx_law which)
{
    return laws[which].name;
}

bool asx_law_is_by_severity(asx_law which)
{
    return laws[which].by_severity;
}

const char *asx_plan_why_not(const asx_plan *plan, asx_plan_id node, asx_law which, uint32_t at)
{
    if (node >= plan->count) {
        return "there is no such node";
    }
    return laws[which].why_not(plan, &plan->nodes[node], at);
}

asx_plan_id asx_plan_rewrite(asx_plan *plan, asx_plan_id node, asx_law which, uint32_t at)
{
    return asx_plan_why_not(plan, node, which, at)
               ? ASX_PLAN_NONE
               : laws[which].apply(plan, &plan->nodes[node], at);
}

bool asx_plan_step_holds(asx_plan *plan, const asx_plan_step *step)
{
    const uint32_t count = plan->count;
    const asx_plan_id again = asx_plan_rewrite(plan, step->before, step->law, step->at);
    const bool holds =
        again != ASX_PLAN_NONE && step->after < count && asx_plan_equal(plan, again, step->after);
    plan->count = count; /* what was only made to be compared */
    return holds;
}

/* Optimising */

typedef struct optimiser {
    asx_plan *plan;
    asx_plan_step *steps;
    uint32_t steps_max, count;
    bool by_severity;
} optimiser;

/* Only what makes fewer tasks: commuting alone would go on for ever. */
static asx_plan_id improve_once(optimiser *o, asx_plan_id node)
{
    static const asx_law order[] = { ASX_LAW_TIMEOUT_IDENTITY, ASX_LAW_TIMEOUT_MIN,
                                     ASX_LAW_DEDUP_RACE_JOIN, ASX_LAW_JOIN_ASSOC,
                                     ASX_LAW_RACE_ASSOC };
    for (uint32_t i = 0; i < asx_array_count(order) && o->count < o->steps_max; i++) {
        const uint32_t places = asxi_plan_node_at(o->plan, node)->count;
        if (laws[order[i]].by_severity && !o->by_severity) {
            continue;
        }
        for (uint32_t at = 0; at < places; at++) {
            const asx_plan_id after = asx_plan_rewrite(o->plan, node, order[i], at);
            if (after != ASX_PLAN_NONE) {
                o->steps[o->count++] = (asx_plan_step){ node, after, order[i], at };
                return after;
            }
        }
    }
    return node;
}

static asx_plan_id improve(optimiser *o, asx_plan_id id)
{
    asx_plan_id children[ASX_PLAN_CHILDREN_MAX];
    asxi_plan_node node = *asxi_plan_node_at(o->plan, id);
    bool changed = false;
    for (uint32_t i = 0; i < node.count; i++) {
        children[i] = improve(o, node.children[i]);
        changed |= children[i] != node.children[i];
    }
    if (changed) {
        const asx_plan_id made =
            asxi_plan_compose(o->plan, node.kind, node.timeout, children, node.count);
        id = made == ASX_PLAN_NONE ? id : made; /* a full plan stays as it was */
    }
    const asx_plan_id better = improve_once(o, id);
    return better == id ? id : improve(o, better);
}

asx_plan_id asx_plan_optimise(asx_plan *plan, asx_plan_id root, bool by_severity,
                              asx_plan_step *steps, uint32_t steps_max, uint32_t *step_count)
{
    optimiser o = { plan, steps, steps_max, 0, by_severity };
    const asx_plan_id better = root < plan->count ? improve(&o, root) : ASX_PLAN_NONE;
    *step_count = o.count;
    return better;
}
