/* The region state machine (REG-2..16).
 *
 *   OPEN ──> CLOSING ──> DRAINING ──> FINALIZING ──> CLOSED
 *
 *   OPEN        admits work; sealed: only from members. All fields valid
 *   CLOSING     admits nothing; `reason` is set when it was cancelled, and then every live task and
 *               child has one at least as severe. Passed through at once
 *   DRAINING    members: live tasks and children, credits; or about to advance
 *   FINALIZING  no member lives; finalizers run one at a time, innermost first
 *   CLOSED      outcome fixed, heap reset, waiters told, record freed: seen by traces only
 *
 * OPEN -> CLOSING        cancel walk, or asxi_region_advance once a sealed region is empty
 * all later arrows       asxi_region_advance, the only writer of `state` but for the cancel walk */
#include <asx/shard/base/assert.h>

#include "shard_internal.h"
#include "trace_internal.h"

static void set_reason(asx_region *region, const asx_reason *reason)
{
    (void)asx_reason_retain(reason);
    asx_reason_release(region->reason);
    region->reason = reason;
    if (!region->counted_draining) {
        region->counted_draining = true;
        region->shard->draining++;
    }
    if (region->owner) {
        asx_task_notify(region->owner); /* it may wait through the scope's cx (REG-9a) */
    }
}

/* Records the reason here and asks every task. False: nothing changed, and nothing below will. */
static bool cancel_here(asx_region *region, const asx_reason *reason)
{
    const asx_reason *const stronger = asx_reason_strengthen(region->reason, reason);
    if (region->state == ASX_REGION_CLOSED || (stronger == region->reason && region->cancelled)) {
        return false;
    }
    region->cancelled = true;
    if (stronger != region->reason) {
        set_reason(region, stronger);
        ASXI_TRACE(region->shard, REGION_CANCEL, asxi_trace_of(region), stronger->kind,
                   asx_trace_id(stronger->region));
    }
    if (region->state == ASX_REGION_OPEN) {
        region->state = ASX_REGION_CLOSING;
        ASXI_TRACE(region->shard, REGION_CLOSE_BEGIN, asxi_trace_of(region),
                   asxi_trace_of(region->parent));
    }
    asx_list_each(node, &region->tasks) {
        asxi_task_request_cancel(asx_container_of(node, asx_task, sibling), region->reason);
    }
    if (region->limbs) {
        asxi_limb_cancel_all(region);
    }
    if (!asx_list_linked(&region->advance)) {
        asx_list_push_back(&region->shard->advancing, &region->advance);
    }
    return true;
}

static asx_region *child_first(const asx_region *region)
{
    asx_list *const first = asx_list_first(&region->children);
    return first ? asx_container_of(first, asx_region, sibling) : NULL;
}

/* The next of a pre-order walk that stays below `top`; `into` says whether to enter `at`. */
static asx_region *walk_next(asx_region *top, asx_region *at, bool into)
{
    if (into && child_first(at)) {
        return child_first(at);
    }
    while (at != top) {
        if (at->sibling._next != &at->parent->children) {
            return asx_container_of(at->sibling._next, asx_region, sibling);
        }
        at = at->parent;
    }
    return NULL;
}

static void advance_pending(asx_shard *shard)
{
    asx_list *node;
    while ((node = asx_list_pop_front(&shard->advancing)) != NULL) {
        asxi_region_advance(asx_container_of(node, asx_region, advance));
    }
}

static void cancel_tree(asx_region *top, const asx_reason *reason)
{
    asx_shard *const shard = top->shard;
    if (ASXI_PLANTED(CANCEL_UPWARDS) && child_first(top)) {
        const asx_reason *const early =
            asx_reason_create(ASX_CANCEL_PARENT_CANCELLED, asx_handle_of(top), (asx_handle){ 0 },
                              reason->at_ns, NULL, reason);
        (void)cancel_here(child_first(top), early);
        asx_reason_release(early);
    }
    bool changed = cancel_here(top, reason);
    for (asx_region *at = walk_next(top, top, changed && !ASXI_PLANTED(CANCEL_NOT_DOWN)); at;
         at = walk_next(top, at, changed)) {
        asx_region *const parent = at->parent;
        const asx_reason *const derived =
            asx_reason_create(ASX_CANCEL_PARENT_CANCELLED, asx_handle_of(parent), (asx_handle){ 0 },
                              parent->reason->at_ns, NULL, parent->reason);
        changed = cancel_here(at, derived);
        asx_reason_release(derived);
    }
    if (!shard->walking) {
        shard->walking = true;
        advance_pending(shard);
        shard->walking = false;
    }
}

void asx_region_close_begin(asx_region *region, asx_close_mode mode, const asx_reason *reason)
{
    if (region->state == ASX_REGION_CLOSED) {
        return;
    }
    if (mode == ASX_CLOSE_CANCEL || reason) {
        const asx_reason *const own =
            reason ? asx_reason_retain(reason)
                   : asx_reason_create(ASX_CANCEL_USER, asx_handle_of(region), (asx_handle){ 0 },
                                       region->shard->now_ns, NULL, NULL);
        region->sealed = true;
        cancel_tree(region, own);
        asx_reason_release(own);
        return;
    }
    if (!region->sealed) {
        region->sealed = true;
        asxi_region_advance(region);
    }
}

void asx_region_cancel(asx_region *region, asx_cancel_kind kind, const char *message)
{
    const asx_reason *const reason = asx_reason_create(
        kind, asx_handle_of(region), (asx_handle){ 0 }, region->shard->now_ns, message, NULL);
    asx_region_close_begin(region, ASX_CLOSE_CANCEL, reason);
    asx_reason_release(reason);
}

void asx_region_on_closed(asx_region *region, asx_region_waiter *waiter)
{
    asx_assert(waiter->fn != NULL);
    asx_list_push_back(&region->waiters, &waiter->_link);
}

void asx_region_off_closed(asx_region_waiter *waiter)
{
    asx_list_unlink(&waiter->_link);
}

void asxi_region_drop(asx_shard *shard, asx_region *region, asx_drop_fn *fn, void *arg)
{
    const asx_panic_info *const panic = asxi_contain(shard, fn, arg);
    if (!panic) {
        return;
    }
    const asx_outcome panicked = asx_panicked(panic);
    asxi_diagnose(shard, "a destructor in region %s panicked: %s",
                  region && region->label ? region->label : "-", panic->message);
    if (region) {
        asxi_region_fold(region, panicked, UINT64_MAX);
    }
    asx_outcome_release(panicked);
}

static void refs_end(void *region)
{
    asx_heap_refs_end(&((asx_region *)region)->heap);
}

/* A destructor that panics is not run again; those behind it are. */
static ASX_NOINLINE void end_refs(asx_region *region)
{
    while (asx_heap_has_refs(&region->heap)) {
        asxi_region_drop(region->shard, region, refs_end, region);
    }
}

/* The last step (REG-13). Returns the parent, which may advance now. */
static asx_region *region_closed(asx_region *region)
{
    asx_shard *const shard = region->shard;
    asx_region *const parent = region->parent;
    asx_assert(asxi_region_live_tasks(region) == 0 && region->live_children == 0 &&
               region->credits == 0);
    asx_assert(region->obligations == 0 && region->ops == 0 && asx_list_empty(&region->children));
    region->state = ASX_REGION_CLOSED;
    while (!asx_list_empty(&region->tasks)) {
        asxi_task_reap(asx_container_of(region->tasks._next, asx_task, sibling));
    }
    if (asx_unlikely(region->limbs != NULL)) {
        asxi_limb_reap_all(region);
    }
    if (asx_unlikely(region->objects != NULL)) {
        asxi_objects_close_all(region);
    }
    if (asx_unlikely(asx_heap_has_refs(&region->heap))) {
        end_refs(region);
    }
    const asx_outcome value = asxi_region_value(region);
    const bool has_payloads = (value.severity | region->outcome.severity |
                               region->first_failure.severity) >= ASX_SEVERITY_CANCELLED;
    if (asx_unlikely(has_payloads)) {
        (void)asx_outcome_retain(value);
    }
    ASXI_TRACE(shard, REGION_CLOSE_END, asxi_trace_of(region), asxi_trace_of(parent),
               value.severity);
    asx_list_each_safe(node, &region->waiters) {
        asx_region_waiter *const waiter = asx_container_of(node, asx_region_waiter, _link);
        if (waiter->ending) {
            waiter->ending(waiter, value);
        }
    }
    asx_heap_close(&region->heap);
    asx_list waiters;
    asx_list_init(&waiters);
    asx_list_splice_back(&waiters, &region->waiters);
    asx_list_unlink(&region->advance);
    if (region->counted_draining) {
        shard->draining--;
    }
    if (parent) {
        asx_list_unlink(&region->sibling);
        parent->live_children--;
    }
    shard->stats.regions_closed++;
    if (region->scope) {
        asxi_scope_region_closing(region->scope);
    }
    if (region->is_limb) {
        asxi_limb_home_closed(region, value);
    }
    if (asx_unlikely(has_payloads)) {
        asx_outcome_release(region->outcome);
        asx_outcome_release(region->first_failure);
    }
    if (asx_unlikely(region->reason != NULL)) {
        asx_reason_release(region->reason);
    }
    asx_handle_free(&shard->regions, region);
    for (asx_list *node; (node = asx_list_pop_front(&waiters)) != NULL;) {
        asx_region_waiter *const waiter = asx_container_of(node, asx_region_waiter, _link);
        waiter->fn(waiter, value);
    }
    if (asx_unlikely(has_payloads)) {
        asx_outcome_release(value);
    }
    return parent;
}

static bool has_members(const asx_region *region)
{
    if (ASXI_PLANTED(ORPHAN)) {
        return asxi_region_live_tasks(region) + region->live_children > 0;
    }
    return asxi_region_live_tasks(region) + region->live_children + region->credits > 0;
}

/* Planted bugs': who is still in a cancelled region is no longer its concern. */
static void let_go(asx_region *region)
{
    asx_list *node;
    while (ASXI_PLANTED(REGION_EARLY) && (node = asx_list_pop_front(&region->children)) != NULL) {
        asx_container_of(node, asx_region, sibling)->parent = NULL;
        region->live_children--;
    }
    while (ASXI_PLANTED(TASKS_HANDED_UP) && region->parent && asxi_region_live_tasks(region) > 0) {
        asx_task *const task = asx_container_of(region->tasks._next, asx_task, sibling);
        asx_list_unlink(&task->sibling);
        asx_list_push_back(&region->parent->tasks, &task->sibling);
        task->cx._region = region->parent;
        region->past_seqs++;
        region->parent->past_seqs--;
    }
}

void asxi_region_advance(asx_region *region)
{
    while (region) {
        if (region->state == ASX_REGION_OPEN) {
            if (!region->sealed || has_members(region)) {
                return;
            }
            region->state = ASX_REGION_CLOSING;
            ASXI_TRACE(region->shard, REGION_CLOSE_BEGIN, asxi_trace_of(region),
                       asxi_trace_of(region->parent));
        }
        if (region->state == ASX_REGION_CLOSING) {
            region->state = ASX_REGION_DRAINING;
        }
        if (region->state == ASX_REGION_DRAINING) {
            if (ASX_PLANTED && region->reason) {
                let_go(region);
            }
            if (has_members(region)) {
                return;
            }
            region->state = ASX_REGION_FINALIZING;
        }
        if (region->finalizer_task) {
            return;
        }
        while (region->finalizers) {
            if (asxi_region_finalizer_start(region)) {
                return;
            }
        }
        if (asx_unlikely(region->obligations > 0)) {
            asxi_obligation_region_audit(region);
        }
        region = region_closed(region);
    }
}

typedef struct close_wait {
    const asx_region *region; /* until it is closed */
    asx_region_waiter waiter;
    asxi_wait wait;
    asx_outcome value;
} close_wait;

static void close_wait_leave(asxi_wait *wait)
{
    close_wait *const self = asx_container_of(wait, close_wait, wait);
    asx_region_off_closed(&self->waiter);
    if (wait->resolved) {
        asx_outcome_release(self->value);
    }
}

const asx_region *asxi_close_wait_target(asxi_wait *wait)
{
    return wait->leave == close_wait_leave ? asx_container_of(wait, close_wait, wait)->region
                                           : NULL;
}

static void close_wait_done(asx_region_waiter *waiter, asx_outcome value)
{
    close_wait *const self = asx_container_of(waiter, close_wait, waiter);
    self->value = asx_outcome_retain(value);
    asxi_wait_resolve(&self->wait, 0);
}

asx_outcome asx_region_close_wait(asx_cx *cx, asx_handle handle)
{
    asx_region *region = NULL;
    close_wait self = { .waiter = { .fn = close_wait_done } };
    const asx_err err = asx_region_lookup(cx->_shard, handle, &region);
    if (err) {
        return asx_fail(err);
    }
    if (asxi_region_contains(region, cx->_task->cx._region)) {
        return asx_fail(ASX_E(WOULD_DEADLOCK));
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    asxi_wait_init(&self.wait, cx);
    self.region = region;
    self.wait.leave = close_wait_leave;
    self.wait.in_tree = true;
    ASXI_WAITS_FOR(&self.wait, asx_handle_of(region));
    asx_region_on_closed(region, &self.waiter);
    const asxi_woken woken = asxi_wait_park(cx, &self.wait, "region close", ASX_TIME_NEVER);
    asx_region_off_closed(&self.waiter);
    const asx_outcome outcome =
        woken == ASXI_WOKEN ? asxi_task_lend(cx->_task, self.value) : asxi_cancelled(cx);
    if (self.wait.resolved) {
        asx_outcome_release(self.value);
    }
    return outcome;
}
