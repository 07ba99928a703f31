#include <asx/shard/trace_internal.h>

#include "set_internal.h"

static void set_release(asxi_set *set)
{
    for (uint32_t i = 0; i < set->started; i++) {
        asx_outcome_release(set->joiners[i].outcome);
    }
    asx_free(set->home, set->joiners, set->count * sizeof(asxi_joiner));
}

static void set_deferred(asx_cx *cx, asx_defer *defer)
{
    (void)cx;
    set_release(asx_container_of(defer, asxi_set, defer));
}

asx_err asxi_set_open(asxi_set *set, asx_cx *cx, uint32_t count)
{
    *set = (asxi_set){ .home = &cx->_task->cx, .count = count };
    if (count > 0) {
        set->joiners = asx_calloc(set->home, count * sizeof(asxi_joiner));
        if (!set->joiners) {
            return ASX_E(NO_MEMORY);
        }
    }
    asx_defer_push(set->home, &set->defer, set_deferred);
    return ASX_OK;
}

void asxi_set_close(asxi_set *set)
{
    asx_defer_pop(set->home, &set->defer);
    set_release(set);
}

asx_err asxi_set_start_one(asxi_set *set, asx_scope *scope, const asx_branch *branch)
{
    asx_cx *const cx = &scope->cx;
    const asx_spawn_options options = { .budget = branch->budget, .label = branch->label };
    asx_handle handle;
    void *record;
    asx_assert(set->started < set->count);
    set->scope = scope;
    if (scope->_refused) {
        return scope->_refused;
    }
    if (set->started == 0) {
        ASXI_TRACE(cx->_shard, RACE_BEGIN, asxi_trace_of(cx->_task), asxi_trace_of(scope->_region));
    }
    const asx_err err = asx_spawn(cx, NULL, branch->fn, branch->arg, 0, &options, &handle);
    if (err) {
        asx_scope_cancel(scope, ASX_CANCEL_RESOURCE_UNAVAILABLE, "a branch could not start");
        return err;
    }
    const asx_err found = asx_handle_lookup(&cx->_shard->tasks, handle, &record);
    asx_assert_eq(found, ASX_OK);
    set->joiners[set->started].group = &set->next;
    asxi_joiner_append(record, &set->joiners[set->started]);
    set->started++;
    return ASX_OK;
}

asx_err asxi_set_start_all(asxi_set *set, asx_scope *scope, const asx_branch *branches)
{
    asx_err err = ASX_OK;
    asxi_set_wait_init(set, &scope->cx);
    for (uint32_t i = 0; i < set->count && !err; i++) {
        err = asxi_set_start_one(set, scope, &branches[i]);
    }
    return err;
}

int asxi_set_lowest_done(const asxi_set *set)
{
    for (uint32_t i = 0; i < set->started; i++) {
        if (set->joiners[i].told) {
            return (int)i;
        }
    }
    return -1;
}

bool asxi_set_all_done(const asxi_set *set)
{
    for (uint32_t i = 0; i < set->started; i++) {
        if (!set->joiners[i].told) {
            return false;
        }
    }
    return true;
}

asxi_woken asxi_set_wait(asxi_set *set, asx_cx *cx, const char *what, asx_instant deadline_ns)
{
    asxi_set_wait_init(set, cx);
    return asxi_wait_park(cx, &set->next, what, deadline_ns);
}

void asxi_set_drain(asxi_set *set, asx_cx *cx)
{
    while (!asxi_set_all_done(set)) {
        asxi_set_wait_init(set, cx);
        asxi_wait_park_masked(cx, &set->next, "draining branches");
    }
}

void asxi_set_cancel_for_caller(asxi_set *set, asx_cx *cx)
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

asx_outcome asxi_set_panic(const asxi_set *set)
{
    for (uint32_t i = 0; i < set->started; i++) {
        if (set->joiners[i].outcome.severity == ASX_SEVERITY_PANICKED) {
            return set->joiners[i].outcome;
        }
    }
    return asx_ok(0);
}

void asxi_set_drop_losers(const asxi_set *set, const asx_branch *branches, int winner)
{
    for (uint32_t i = 0; i < set->started; i++) {
        const asxi_joiner *const joiner = &set->joiners[i];
        const asx_outcome lost = asx_is_ok(joiner->outcome) ? joiner->outcome : joiner->late;
        if ((int)i != winner && asx_is_ok(lost) && branches[i].drop_value) {
            branches[i].drop_value(lost.value);
        }
    }
}

uint32_t asxi_set_done_count(const asxi_set *set)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->started; i++) {
        count += set->joiners[i].told;
    }
    return count;
}

asx_outcome asxi_set_finish(asxi_set *set, asx_cx *cx, const asx_branch *branches, int winner)
{
    asx_scope_cancel(set->scope, ASX_CANCEL_RACE_LOST, NULL);
    if (!ASXI_PLANTED(RACE_UNDRAINED)) {
        asxi_set_drain(set, cx);
    }
    const asx_outcome panic = asxi_set_panic(set);
    asxi_set_drop_losers(set, branches, asx_is_ok(panic) ? winner : -1);
    ASXI_TRACE(cx->_shard, RACE_END, asxi_trace_of(cx->_task), asxi_trace_of(cx->_task->cx._region),
               (uint64_t)winner);
    return asxi_task_lend(cx->_task, asx_is_ok(panic) ? set->joiners[winner].outcome : panic);
}

asx_outcome asxi_set_finish_cancelled(asxi_set *set, asx_cx *cx, const asx_branch *branches)
{
    asxi_set_cancel_for_caller(set, cx);
    asxi_set_drain(set, cx);
    asxi_set_drop_losers(set, branches, -1);
    ASXI_TRACE(cx->_shard, RACE_END, asxi_trace_of(cx->_task), asxi_trace_of(cx->_task->cx._region),
               UINT64_MAX);
    const asx_outcome panic = asxi_set_panic(set);
    return asx_is_ok(panic) ? asxi_cancelled(cx) : asxi_task_lend(cx->_task, panic);
}

asx_outcome asxi_set_run(asx_cx *cx, const asx_branch *branches, uint32_t count,
                         asxi_set_body_fn *body, void *arg)
{
    asxi_set set;
    asx_outcome result = asx_ok(0);
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    const asx_err refused = asxi_set_open(&set, cx, count);
    if (refused) {
        return asx_fail(refused);
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        const asx_err err = asxi_set_start_all(&set, s, branches);
        if (err) {
            asxi_set_drain(&set, cx);
            asxi_set_drop_losers(&set, branches, -1);
            result = asx_fail(err);
        } else {
            result = body(&set, cx, branches, arg);
        }
    }
    asxi_set_close(&set);
    return result;
}
