#include <asx/shard/trace.h>

#include "set_internal.h"

static asx_outcome join_all_run(asxi_set *set, asx_cx *cx, const asx_branch *branches, void *arg)
{
    asx_outcome *const outcomes = arg;
    (void)branches;
    bool cancelled = false;
    while (!cancelled && !asxi_set_all_done(set)) {
        cancelled = asxi_set_wait(set, cx, "join_all", ASX_TIME_NEVER) != ASXI_WOKEN;
    }
    if (cancelled) {
        asxi_set_cancel_for_caller(set, cx);
        asxi_set_drain(set, cx);
    }
    asx_aggregate all = { asx_ok(0), 0, 0 };
    for (uint32_t i = 0; i < set->started; i++) {
        if (outcomes) {
            outcomes[i] = set->joiners[i].outcome;
        }
        all.outcome = asx_outcome_join(all.outcome, set->joiners[i].outcome);
    }
    const asx_outcome result = cancelled && all.outcome.severity <= ASX_SEVERITY_CANCELLED
                                   ? asxi_cancelled(cx)
                                   : all.outcome;
    return asxi_task_lend(cx->_task, result);
}

asx_outcome asx_join_all(asx_cx *cx, const asx_branch *branches, uint32_t count,
                         asx_outcome *outcomes)
{
    return asxi_set_run(cx, branches, count, join_all_run, outcomes);
}

/* How a race is run. */
typedef struct race {
    uint32_t *winner; /* NULL: nobody asks */
    bool unbiased;
} race;

/* Which of those that are terminal. */
static int draw_done(const asxi_set *set, asx_cx *cx)
{
    asx_driver *const driver = cx->_shard->driver;
    const uint32_t count = asxi_set_done_count(set);
    if (count < 2) {
        return asxi_set_lowest_done(set);
    }
    uint32_t nth = driver->ops->choose ? driver->ops->choose(driver, ASX_CHOICE_RACE, count,
                                                             asx_trace_id(asx_handle_of(cx->_task)))
                                       : (uint32_t)asx_random_below(cx, count);
    uint32_t i = 0;
    for (; !set->joiners[i].told || nth > 0; i++) {
        nth -= set->joiners[i].told;
    }
    asx_assert_lt(i, set->started);
    return (int)i;
}

static asx_outcome race_run(asxi_set *set, asx_cx *cx, const asx_branch *branches, void *arg)
{
    const race *const how = arg;
    if (asxi_set_lowest_done(set) < 0 &&
        asxi_set_wait(set, cx, "race", ASX_TIME_NEVER) != ASXI_WOKEN) {
        return asxi_set_finish_cancelled(set, cx, branches);
    }
    const int first = how->unbiased ? draw_done(set, cx) : asxi_set_lowest_done(set);
    asx_assert(first >= 0);
    if (how->winner) {
        *how->winner = (uint32_t)first;
    }
    return asxi_set_finish(set, cx, branches, first);
}

static asx_outcome wait_for_cancel(asx_cx *cx)
{
    asxi_wait never;
    asxi_wait_init(&never, cx);
    while (asxi_wait_park(cx, &never, "race of nothing", ASX_TIME_NEVER) != ASXI_WOKEN_CANCELLED) {
    }
    return asxi_cancelled(cx);
}

static asx_outcome race_start(asx_cx *cx, const asx_branch *branches, uint32_t count, race *how)
{
    if (count == 0) {
        return asxi_observe_cancel(cx) ? asxi_cancelled(cx) : wait_for_cancel(cx);
    }
    return asxi_set_run(cx, branches, count, race_run, how);
}

asx_outcome asx_race(asx_cx *cx, const asx_branch *branches, uint32_t count, uint32_t *winner)
{
    race how = { .winner = winner };
    return race_start(cx, branches, count, &how);
}

asx_outcome asx_race_unbiased(asx_cx *cx, const asx_branch *branches, uint32_t count,
                              uint32_t *winner)
{
    race how = { .winner = winner, .unbiased = true };
    const asx_err err = asx_cx_require(cx, ASX_CAP_RANDOM);
    return err ? asx_fail(err) : race_start(cx, branches, count, &how);
}

static asx_outcome timeout_result(asx_cx *cx, const asxi_joiner *body, bool *late)
{
    const bool surfaced = body->late.severity != ASX_SEVERITY_CANCELLED;
    if (late) {
        *late = surfaced || body->outcome.severity != ASX_SEVERITY_CANCELLED;
    }
    if (surfaced) {
        return body->late;
    }
    if (body->outcome.severity == ASX_SEVERITY_CANCELLED) {
        return asx_fail(ASX_E(TIMED_OUT));
    }
    return asxi_task_lend(cx->_task, body->outcome);
}

static asx_outcome timeout_run(asxi_set *set, asx_cx *cx, asx_instant deadline_ns, bool *late)
{
    const asxi_joiner *const body = &set->joiners[0];
    const asxi_woken woken =
        body->told ? ASXI_WOKEN : asxi_set_wait(set, cx, "timeout", deadline_ns);
    if (woken == ASXI_WOKEN) {
        const asx_outcome outcome = body->outcome;
        /* The request that this very deadline made counts as the TIMEOUT (TMR-11). */
        const bool own_deadline = outcome.severity == ASX_SEVERITY_CANCELLED && outcome.reason &&
                                  outcome.reason->kind == ASX_CANCEL_DEADLINE &&
                                  cx->_shard->now_ns >= deadline_ns;
        return own_deadline ? timeout_result(cx, body, late) : asxi_task_lend(cx->_task, outcome);
    }
    if (woken == ASXI_WOKEN_CANCELLED) {
        asxi_set_cancel_for_caller(set, cx);
        asxi_set_drain(set, cx);
        return body->outcome.severity == ASX_SEVERITY_PANICKED
                   ? asxi_task_lend(cx->_task, body->outcome)
                   : asxi_cancelled(cx);
    }
    asx_scope_cancel(set->scope, ASX_CANCEL_TIMEOUT, NULL);
    asxi_set_drain(set, cx);
    return timeout_result(cx, body, late);
}

asx_outcome asx_timeout(asx_cx *cx, asx_duration timeout, asx_task_fn *fn, void *arg, bool *late)
{
    asxi_set set;
    asx_outcome result = asx_ok(0);
    const asx_instant deadline_ns = asx_time_add(cx->_shard->now_ns, timeout);
    asx_budget budget = ASX_BUDGET_UNLIMITED;
    budget.deadline_ns = deadline_ns;
    const asx_branch branch = { .fn = fn, .arg = arg, .budget = &budget, .label = "timeout" };
    if (late) {
        *late = false;
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    const asx_err refused = asxi_set_open(&set, cx, 1);
    if (refused) {
        return asx_fail(refused);
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        const asx_err err = asxi_set_start_all(&set, s, &branch);
        result = err ? asx_fail(err) : timeout_run(&set, cx, deadline_ns, late);
    }
    asxi_set_close(&set);
    return result;
}
