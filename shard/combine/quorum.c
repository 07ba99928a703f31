#include <asx/shard/combine/quorum.h>

#include "set_internal.h"

typedef struct tally {
    uint32_t ok, failed;
    bool panicked, cancelled;
} tally;

static tally count_up(const asxi_set *set)
{
    tally sum = { 0 };
    for (uint32_t i = 0; i < set->started; i++) {
        const asxi_joiner *const joiner = &set->joiners[i];
        if (joiner->told) {
            sum.ok += joiner->outcome.severity == ASX_SEVERITY_OK;
            sum.failed += joiner->outcome.severity != ASX_SEVERITY_OK;
            sum.panicked |= joiner->outcome.severity == ASX_SEVERITY_PANICKED;
            sum.cancelled |= joiner->outcome.severity == ASX_SEVERITY_CANCELLED;
        }
    }
    return sum;
}

/* The Ok values that count are those before the losers were asked to stop. */
static void quorum_settle(asxi_set *set, asx_cx *cx, const asx_branch *branches, bool met,
                          asx_outcome *outcomes)
{
    for (uint32_t i = 0; i < set->started; i++) {
        const asxi_joiner *const joiner = &set->joiners[i];
        if (outcomes && joiner->told) {
            outcomes[i] = joiner->outcome;
        }
        if (joiner->told && !met && asx_is_ok(joiner->outcome) && branches[i].drop_value) {
            branches[i].drop_value(joiner->outcome.value);
        }
    }
    asx_scope_cancel(set->scope, ASX_CANCEL_RACE_LOST, NULL);
    for (uint32_t i = 0; i < set->started; i++) {
        asxi_joiner *const joiner = &set->joiners[i];
        if (joiner->told) {
            continue;
        }
        while (!joiner->told) {
            asxi_set_wait_init(set, cx);
            asxi_wait_park_masked(cx, &set->next, "draining branches");
        }
        const asx_outcome lost = asx_is_ok(joiner->outcome) ? joiner->outcome : joiner->late;
        if (asx_is_ok(lost) && branches[i].drop_value) {
            branches[i].drop_value(lost.value);
        }
        if (outcomes) {
            outcomes[i] = asx_cancelled(NULL);
        }
    }
}

typedef struct quorum_call {
    uint32_t required;
    asx_outcome *outcomes; /* NULL: nobody asks */
} quorum_call;

static asx_outcome quorum_run(asxi_set *set, asx_cx *cx, const asx_branch *branches, void *arg)
{
    const quorum_call *const call = arg;
    const uint32_t required = call->required;
    tally sum = count_up(set);
    while (sum.ok < required && !sum.panicked && sum.failed <= set->count - required) {
        if (asxi_set_wait(set, cx, "quorum", ASX_TIME_NEVER) != ASXI_WOKEN) {
            return asxi_set_finish_cancelled(set, cx, branches);
        }
        sum = count_up(set);
    }
    const bool met = sum.ok >= required;
    quorum_settle(set, cx, branches, met, call->outcomes);
    const asx_outcome panic = asxi_set_panic(set);
    if (!asx_is_ok(panic)) {
        return asxi_task_lend(cx->_task, panic);
    }
    if (met) {
        return asx_ok(sum.ok);
    }
    for (uint32_t i = 0; sum.cancelled && i < set->started; i++) {
        const asx_outcome outcome = set->joiners[i].outcome;
        const bool lost = outcome.severity != ASX_SEVERITY_CANCELLED || !outcome.reason ||
                          outcome.reason->kind == ASX_CANCEL_RACE_LOST;
        if (!lost) {
            return asxi_task_lend(cx->_task, outcome);
        }
    }
    return asx_fail(ASX_E(INSUFFICIENT));
}

asx_outcome asx_quorum(asx_cx *cx, const asx_branch *branches, uint32_t count, uint32_t required,
                       asx_outcome *outcomes)
{
    if (required > count) {
        return asx_fail(ASX_E(INVALID_QUORUM));
    }
    if (required == 0) {
        return asxi_observe_cancel(cx) ? asxi_cancelled(cx) : asx_ok(0);
    }
    quorum_call call = { required, outcomes };
    return asxi_set_run(cx, branches, count, quorum_run, &call);
}
