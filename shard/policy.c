/* What a region's outcome becomes with each that ends in it, and what its policy then does
 * (POL-1..7). */
#include <asx/shard/base/assert.h>

#include "shard_internal.h"
#include "trace_internal.h"

void asxi_region_fold(asx_region *region, asx_outcome outcome, uint64_t seq)
{
    const asx_outcome held = region->outcome;
    if (outcome.severity < held.severity ||
        (outcome.severity == ASX_SEVERITY_OK && held.severity == ASX_SEVERITY_OK) ||
        (outcome.severity == ASX_SEVERITY_CANCELLED && held.severity == ASX_SEVERITY_CANCELLED &&
         outcome.reason == held.reason)) {
        return;
    }
    bool take = outcome.severity > held.severity || seq < region->outcome_seq;
    if (outcome.severity == held.severity && outcome.severity == ASX_SEVERITY_CANCELLED) {
        take = asx_reason_strengthen(held.reason, outcome.reason) != held.reason;
    }
    if (take) {
        region->outcome = asx_outcome_retain(outcome);
        region->outcome_seq = seq;
        asx_outcome_release(held);
    }
}

typedef struct question {
    const asx_policy_rule *rule;
    asx_outcome outcome;
    uint64_t seq;
    asx_policy_action answer;
} question;

static void ask(void *arg)
{
    question *const q = arg;
    q->answer = q->rule->decide(q->rule, q->outcome, q->seq);
}

static asx_policy_action ask_rule(asx_region *region, asx_outcome outcome, uint64_t seq)
{
    question q = { .rule = region->rule, .outcome = outcome, .seq = seq };
    const asx_panic_info *const panic = asxi_contain(region->shard, ask, &q);
    if (panic) {
        const asx_outcome panicked = asx_panicked(panic);
        asxi_region_fold(region, panicked, seq);
        asx_outcome_release(panicked);
        return ASX_POLICY_CANCEL_SIBLINGS;
    }
    return q.answer;
}

static bool is_failure(asx_outcome outcome)
{
    return outcome.severity == ASX_SEVERITY_ERR || outcome.severity == ASX_SEVERITY_PANICKED;
}

static asx_policy_action decide(asx_region *region, asx_outcome outcome, uint64_t seq)
{
    if (asx_unlikely(region->rule != NULL)) {
        return ask_rule(region, outcome, seq);
    }
    if (!is_failure(outcome)) {
        return ASX_POLICY_CONTINUE;
    }
    switch ((asx_policy)region->policy) {
    case ASX_FAIL_FAST:
        return ASX_POLICY_CANCEL_SIBLINGS;
    case ASX_COLLECT_ALL:
        return ASX_POLICY_CONTINUE;
    case ASX_ESCALATE:
        return ASX_POLICY_ESCALATE;
    }
    asx_unreachable();
}

static void fail_fast(asx_region *region, asx_handle origin)
{
    if (region->raised_fail_fast) {
        return;
    }
    region->raised_fail_fast = true;
    const asx_reason *const reason = asx_reason_create(ASX_CANCEL_FAIL_FAST, asx_handle_of(region),
                                                       origin, region->shard->now_ns, NULL, NULL);
    asx_region_close_begin(region, ASX_CLOSE_CANCEL, reason);
    asx_reason_release(reason);
}

void asxi_region_judge(asx_region *region, asx_outcome outcome, uint64_t seq, asx_handle origin)
{
    while (region) {
        const asx_policy_action action = decide(region, outcome, seq);
        if (is_failure(outcome) && region->first_failure.severity == ASX_SEVERITY_OK) {
            region->first_failure = asx_outcome_retain(outcome);
        }
        if (action == ASX_POLICY_CONTINUE) {
            return;
        }
        fail_fast(region, origin);
        /* What ended a limb travels home with it, and is judged there. */
        if (action != ASX_POLICY_ESCALATE || region->escalated || region->is_limb) {
            return;
        }
        region->escalated = true;
        origin = asx_handle_of(region);
        seq = UINT64_MAX; /* behind every task of the parent's own */
        region = region->parent;
        if (region) {
            asxi_region_fold(region, outcome, seq);
        }
    }
}

void asxi_region_task_judge(asx_region *region, const asx_task *task)
{
    if (task->outcome.severity != ASX_SEVERITY_OK) {
        asxi_region_fold(region, task->outcome, task->spawn_seq);
        asxi_region_judge(region, task->outcome, task->spawn_seq, asx_handle_of(task));
    } else if (region->rule) {
        asxi_region_judge(region, task->outcome, task->spawn_seq, asx_handle_of(task));
    } else if (task->spawn_seq == 0 && region->outcome.severity == ASX_SEVERITY_OK) {
        region->outcome.value = task->outcome.value; /* what the joiner at a limb's home gets */
    }
}

/* A child that was itself waiting for a scope, or a limb, ends with what that made of the request:
 * the request is among its causes. */
static bool raised_by(const asx_region *region, const asx_reason *reason)
{
    const asx_handle handle = asx_handle_of(region);
    for (; reason; reason = reason->cause) {
        if (reason->kind == ASX_CANCEL_FAIL_FAST && asx_handle_eq(reason->region, handle)) {
            return true;
        }
    }
    return false;
}

/* An escalated failure comes back as the cancellation of the region above that it reached. */
static bool stems_from_own_failure(const asx_region *region, const asx_reason *reason)
{
    bool stems = raised_by(region, reason);
    while (!stems && region->escalated && (region = region->parent) != NULL) {
        stems = raised_by(region, reason);
    }
    return stems;
}

/* POL-4: the failure that made this very region cancel itself outranks the cancellations it caused.
 */
asx_outcome asxi_region_value(const asx_region *region)
{
    if (region->outcome.severity == ASX_SEVERITY_CANCELLED && region->raised_fail_fast &&
        region->first_failure.severity != ASX_SEVERITY_OK &&
        stems_from_own_failure(region, region->outcome.reason)) {
        return region->first_failure;
    }
    if (region->outcome.severity == ASX_SEVERITY_OK && region->reason) {
        if (region->raised_fail_fast && region->reason->kind == ASX_CANCEL_FAIL_FAST &&
            region->first_failure.severity != ASX_SEVERITY_OK) {
            return region->first_failure;
        }
        return asx_cancelled(region->reason);
    }
    return region->outcome;
}
