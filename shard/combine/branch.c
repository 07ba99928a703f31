#include <asx/shard/base/assert.h>
#include <asx/shard/combine/branch.h>
#include <asx/shard/shard_internal.h>

/* A running set of branches inside its scope. */
typedef struct branch_set {
    asx_scope *scope;
    asx_cx *home;         /* of the caller's task: its region outlives the scope's */
    asxi_joiner *joiners; /* in that region's heap */
    asx_defer defer;      /* gives them back when the caller's task is abandoned meanwhile */
    asxi_wait first;      /* resolved when any branch is terminal */
    uint32_t count, started;
} branch_set;

static void set_release(branch_set *set)
{
    for (uint32_t i = 0; i < set->started; i++) {
        asx_outcome_release(set->joiners[i].outcome);
    }
    asx_free(set->home, set->joiners, set->count * sizeof(asxi_joiner));
}

static void set_deferred(asx_cx *cx, asx_defer *defer)
{
    (void)cx;
    set_release(asx_container_of(defer, branch_set, defer));
}

/* Before the scope, so that it is released after the scope has closed on every path. */
static asx_err set_open(branch_set *set, asx_cx *cx, uint32_t count)
{
    *set = (branch_set){ .home = &cx->_task->cx, .count = count };
    if (count > 0) {
        set->joiners = asx_calloc(set->home, count * sizeof(asxi_joiner));
        if (!set->joiners) {
            return ASX_E(NO_MEMORY);
        }
    }
    asx_defer_push(set->home, &set->defer, set_deferred);
    return ASX_OK;
}

static void set_close(branch_set *set)
{
    asx_defer_pop(set->home, &set->defer);
    set_release(set);
}

/* Starts every branch. On a refusal those that started are cancelled (CMB-4). */
static asx_err set_start(branch_set *set, asx_scope *scope, const asx_branch *branches)
{
    asx_cx *const cx = &scope->cx;
    set->scope = scope;
    asxi_wait_init(&set->first, cx);
    if (scope->_refused) {
        return scope->_refused;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        const asx_spawn_options options = { .budget = branches[i].budget,
                                            .label = branches[i].label };
        asx_handle handle;
        const asx_err err =
            asx_spawn(cx, NULL, branches[i].fn, branches[i].arg, 0, &options, &handle);
        if (err) {
            asx_scope_cancel(scope, ASX_CANCEL_RESOURCE_UNAVAILABLE, "a branch could not start");
            return err;
        }
        void *record;
        asx_assert(asx_handle_lookup(&cx->_shard->tasks, handle, &record) == ASX_OK);
        set->joiners[i].group = &set->first;
        asxi_joiner_append(record, &set->joiners[i]);
        set->started++;
    }
    return ASX_OK;
}

static int set_lowest_done(const branch_set *set)
{
    for (uint32_t i = 0; i < set->started; i++) {
        if (set->joiners[i].told) {
            return (int)i;
        }
    }
    return -1;
}

static bool set_all_done(const branch_set *set)
{
    for (uint32_t i = 0; i < set->started; i++) {
        if (!set->joiners[i].told) {
            return false;
        }
    }
    return true;
}

/* Waits until one more branch is terminal; not WOKEN: the caller was cancelled or the deadline
 * passed. */
static asxi_woken set_wait(branch_set *set, asx_cx *cx, const char *what, asx_instant deadline_ns)
{
    asxi_wait_init(&set->first, cx);
    return asxi_wait_park(cx, &set->first, what, deadline_ns);
}

static void set_drain(branch_set *set, asx_cx *cx)
{
    while (!set_all_done(set)) {
        asxi_wait_init(&set->first, cx);
        asxi_wait_park_masked(cx, &set->first, "draining branches");
    }
}

static void cancel_for_caller(branch_set *set, asx_cx *cx)
{
    const asx_reason *const cause = asx_cancel_reason(cx);
    asx_region *const region = set->scope->_region;
    if (region) {
        const asx_reason *const reason =
            asx_reason_create(ASX_CANCEL_PARENT_CANCELLED, asx_handle_of(cx->_task->cx._region),
                              asx_handle_of(cx->_task), cx->_shard->now_ns, NULL, cause);
        asx_region_close_begin(region, ASX_CLOSE_CANCEL, reason);
        asx_reason_release(reason);
    }
}

/* The lowest-index panic among the branches, or Ok. */
static asx_outcome set_panic(const branch_set *set)
{
    for (uint32_t i = 0; i < set->started; i++) {
        if (set->joiners[i].outcome.severity == ASX_SEVERITY_PANICKED) {
            return set->joiners[i].outcome;
        }
    }
    return asx_ok(0);
}

static asx_outcome join_all_run(branch_set *set, asx_cx *cx, asx_outcome *outcomes)
{
    bool cancelled = false;
    while (!cancelled && !set_all_done(set)) {
        cancelled = set_wait(set, cx, "join_all", ASX_TIME_NEVER) != ASXI_WOKEN;
    }
    if (cancelled) {
        cancel_for_caller(set, cx);
        set_drain(set, cx);
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
    branch_set set;
    asx_outcome result = asx_ok(0);
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    const asx_err refused = set_open(&set, cx, count);
    if (refused) {
        return asx_fail(refused);
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        const asx_err err = set_start(&set, s, branches);
        if (err) {
            set_drain(&set, cx);
            result = asx_fail(err);
        } else {
            result = join_all_run(&set, cx, outcomes);
        }
    }
    set_close(&set);
    return result;
}

/* What a branch made and nobody receives, in time or late (CMB-3). winner: -1 for none. */
static void drop_losers(const branch_set *set, const asx_branch *branches, int winner)
{
    for (uint32_t i = 0; i < set->started; i++) {
        const asxi_joiner *const joiner = &set->joiners[i];
        const asx_outcome lost = asx_is_ok(joiner->outcome) ? joiner->outcome : joiner->late;
        if ((int)i != winner && asx_is_ok(lost) && branches[i].drop_value) {
            branches[i].drop_value(lost.value);
        }
    }
}

static asx_outcome race_run(branch_set *set, asx_cx *cx, const asx_branch *branches,
                            uint32_t *winner)
{
    if (set_lowest_done(set) < 0 && set_wait(set, cx, "race", ASX_TIME_NEVER) != ASXI_WOKEN) {
        cancel_for_caller(set, cx);
        set_drain(set, cx);
        drop_losers(set, branches, -1);
        const asx_outcome panic = set_panic(set);
        return asx_is_ok(panic) ? asxi_cancelled(cx) : asxi_task_lend(cx->_task, panic);
    }
    const int first = set_lowest_done(set);
    asx_assert(first >= 0);
    asx_scope_cancel(set->scope, ASX_CANCEL_RACE_LOST, NULL);
    set_drain(set, cx);
    const asx_outcome panic = set_panic(set);
    drop_losers(set, branches, asx_is_ok(panic) ? first : -1);
    if (winner) {
        *winner = (uint32_t)first;
    }
    return asxi_task_lend(cx->_task, asx_is_ok(panic) ? set->joiners[first].outcome : panic);
}

static asx_outcome wait_for_cancel(asx_cx *cx)
{
    asxi_wait never;
    asxi_wait_init(&never, cx);
    while (asxi_wait_park(cx, &never, "race of nothing", ASX_TIME_NEVER) != ASXI_WOKEN_CANCELLED) {
    }
    return asxi_cancelled(cx);
}

asx_outcome asx_race(asx_cx *cx, const asx_branch *branches, uint32_t count, uint32_t *winner)
{
    branch_set set;
    asx_outcome result = asx_ok(0);
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    if (count == 0) {
        return wait_for_cancel(cx);
    }
    const asx_err refused = set_open(&set, cx, count);
    if (refused) {
        return asx_fail(refused);
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        const asx_err err = set_start(&set, s, branches);
        if (err) {
            set_drain(&set, cx);
            drop_losers(&set, branches, -1);
            result = asx_fail(err);
        } else {
            result = race_run(&set, cx, branches, winner);
        }
    }
    set_close(&set);
    return result;
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

static asx_outcome timeout_run(branch_set *set, asx_cx *cx, asx_instant deadline_ns, bool *late)
{
    const asxi_joiner *const body = &set->joiners[0];
    const asxi_woken woken = body->told ? ASXI_WOKEN : set_wait(set, cx, "timeout", deadline_ns);
    if (woken == ASXI_WOKEN) {
        const asx_outcome outcome = body->outcome;
        /* The request that this very deadline made counts as the TIMEOUT (TMR-11). */
        const bool own_deadline = outcome.severity == ASX_SEVERITY_CANCELLED && outcome.reason &&
                                  outcome.reason->kind == ASX_CANCEL_DEADLINE &&
                                  cx->_shard->now_ns >= deadline_ns;
        return own_deadline ? timeout_result(cx, body, late) : asxi_task_lend(cx->_task, outcome);
    }
    if (woken == ASXI_WOKEN_CANCELLED) {
        cancel_for_caller(set, cx);
        set_drain(set, cx);
        return body->outcome.severity == ASX_SEVERITY_PANICKED
                   ? asxi_task_lend(cx->_task, body->outcome)
                   : asxi_cancelled(cx);
    }
    asx_scope_cancel(set->scope, ASX_CANCEL_TIMEOUT, NULL);
    set_drain(set, cx);
    return timeout_result(cx, body, late);
}

asx_outcome asx_timeout(asx_cx *cx, asx_duration timeout, asx_task_fn *fn, void *arg, bool *late)
{
    branch_set set;
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
    const asx_err refused = set_open(&set, cx, 1);
    if (refused) {
        return asx_fail(refused);
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        const asx_err err = set_start(&set, s, &branch);
        result = err ? asx_fail(err) : timeout_run(&set, cx, deadline_ns, late);
    }
    set_close(&set);
    return result;
}

typedef struct bracket_release {
    asx_defer defer;
    const asx_bracket *bracket;
    uintptr_t resource;
    void *arg;
} bracket_release;

static void bracket_deferred(asx_cx *cx, asx_defer *defer)
{
    bracket_release *const self = asx_container_of(defer, bracket_release, defer);
    self->bracket->release(cx, self->resource, self->arg);
}

asx_outcome asx_bracket_run(asx_cx *cx, const asx_bracket *bracket, void *arg)
{
    bracket_release release = { .bracket = bracket, .arg = arg };
    const asx_outcome acquired = bracket->acquire(cx, arg);
    if (!asx_is_ok(acquired)) {
        return acquired;
    }
    release.resource = acquired.value;
    asx_defer_push(cx, &release.defer, bracket_deferred);
    const asx_outcome outcome = bracket->use(cx, release.resource, arg);
    asx_defer_pop(cx, &release.defer);
    cx->_task->kernel_masks++;
    bracket->release(cx, release.resource, arg);
    cx->_task->kernel_masks--;
    return outcome;
}
