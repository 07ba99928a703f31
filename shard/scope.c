#include <asx/shard/base/assert.h>
#include <asx/shard/scope.h>

#include "shard_internal.h"
#include "trace_internal.h"

/* The scope's region is gone: what it left is kept until the block ends. */
static void scope_closed(asx_region_waiter *waiter, asx_outcome value)
{
    asx_scope *const scope = asx_container_of(waiter, asx_scope, _waiter);
    scope->_closed = true;
    scope->_region = NULL;
    scope->_outcome = asx_outcome_retain(value);
    if (scope->_wait) {
        asxi_wait *const wait = scope->_wait;
        scope->_wait = NULL;
        asxi_wait_resolve(wait, 0);
    }
}

static void scope_wait_closed(asx_scope *scope)
{
    asxi_wait wait;
    asx_cx *const cx = &scope->_owner->_task->cx;
    if (scope->_closed) {
        return;
    }
    asxi_wait_init(&wait, cx);
    wait.in_tree = true;
    scope->_wait = &wait;
    ASXI_WAITS_FOR(&wait, asx_handle_of(scope->_region));
    asxi_wait_park_masked(cx, &wait, "scope close");
}

static void scope_settle(asx_scope *scope)
{
    asx_cx *const cx = scope->_owner;
    asx_defer_pop(cx, &scope->_defer);
    if (scope->_value) {
        *scope->_value = asxi_task_lend(cx->_task, scope->_outcome);
    }
    asx_outcome_release(scope->_outcome);
    scope->_outcome = asx_ok(0);
    asx_assert(scope->cx._region_gone);
    asx_reason_release(scope->cx._closed_reason);
    scope->cx._closed_reason = NULL;
    scope->_owner = NULL;
}

static void scope_close(asx_scope *scope, asx_close_mode mode)
{
    if (!scope->_closed) {
        asx_region *const region = scope->_region;
        region->owner = NULL; /* from here on the owner waits masked, for one thing */
        if (mode == ASX_CLOSE_CANCEL) {
            const asx_reason *const reason = asx_reason_create(
                ASX_CANCEL_FAIL_FAST, asx_handle_of(region), asx_handle_of(scope->_owner->_task),
                region->shard->now_ns, "scope left early", NULL);
            asx_region_close_begin(region, ASX_CLOSE_CANCEL, reason);
            asx_reason_release(reason);
        } else {
            asx_region_close_begin(region, ASX_CLOSE_JOIN, NULL);
        }
        scope_wait_closed(scope);
    }
    scope_settle(scope);
}

/* The task ended, or panicked, inside the block. */
static void scope_deferred(asx_cx *cx, asx_defer *defer)
{
    (void)cx;
    asx_scope *const scope = asx_container_of(defer, asx_scope, _defer);
    scope_close(scope, ASX_CLOSE_CANCEL);
}

asx_scope *asx_scope_open(asx_scope *scope, asx_cx *cx, asx_policy policy, asx_outcome *value)
{
    const asx_region_options options = { .policy = policy };
    *scope = (asx_scope){ .cx = *cx, ._value = value };
    if (value) {
        *value = asx_ok(0);
    }
    asx_assert(!(cx->_task->flags & ASXI_TASK_POLL));
    asx_region *region = NULL;
    scope->_refused = asx_region_open(cx, &options, &region);
    if (scope->_refused) {
        if (!scope->cx._region_gone) { /* else it observes what the outer one did */
            scope->cx._region_gone = true;
            scope->cx._closed_reason = NULL;
        }
        if (value) {
            *value = asx_fail(scope->_refused);
        }
        return scope;
    }
    scope->_owner = cx;
    scope->_region = region;
    region->is_scope = true;
    region->owner = cx->_task;
    region->scope = scope;
    scope->cx._region = region;
    scope->cx._is_scope = true;
    scope->_waiter.fn = scope_closed;
    asx_region_on_closed(region, &scope->_waiter);
    asx_defer_push(cx, &scope->_defer, scope_deferred);
    return scope;
}

void asxi_scope_region_closing(asx_scope *scope)
{
    scope->cx._closed_reason = asx_reason_retain(scope->_region->reason);
    scope->cx._region_gone = true;
}

bool asx_scope_enter(asx_scope *scope)
{
    if (scope->_entered) {
        return false;
    }
    scope->_entered = true;
    return true;
}

/* Where the owner's region was cancelled, the request has been here already, with one more cause
 * to its chain. */
static bool told_as_much(const asx_reason *told, const asx_reason *reason)
{
    return told && asx_cancel_severity((asx_cancel_kind)told->kind) >=
                       asx_cancel_severity((asx_cancel_kind)reason->kind);
}

void asx_scope_end(asx_scope *scope)
{
    if (!scope->_owner) {
        return;
    }
    const asx_task *const owner = scope->_owner->_task;
    if (owner->state == ASX_TASK_CANCELLING && !scope->_closed &&
        !told_as_much(scope->_region->reason, owner->reason)) {
        /* The body was cancelled, and its children with it (REG-9). */
        asx_region_close_begin(scope->_region, ASX_CLOSE_CANCEL, owner->reason);
    }
    scope_close(scope, ASX_CLOSE_JOIN);
}

void asx_scope_leave(asx_scope *scope)
{
    if (scope->_owner) {
        scope_close(scope, ASX_CLOSE_CANCEL);
    }
}

void asx_scope_cancel(asx_scope *scope, asx_cancel_kind kind, const char *message)
{
    if (scope->_region) {
        asx_region_cancel(scope->_region, kind, message);
    }
}

asx_region *asx_scope_region(const asx_scope *scope)
{
    return scope->_region;
}

asx_handle asx_scope_spawn(asx_scope *scope, asx_task_fn *fn, const void *arg, size_t arg_size,
                           const asx_spawn_options *options)
{
    asx_handle handle = { 0 };
    if (asx_spawn(&scope->cx, NULL, fn, arg, arg_size, options, &handle)) {
        handle = (asx_handle){ 0 };
    }
    return handle;
}
