/* The region state machine (REG-2..16).
 *
 *   OPEN ──> CLOSING ──> DRAINING ──> FINALIZING ──> CLOSED
 *
 *   OPEN        admits work; sealed: only from members. All fields valid
 *   CLOSING     admits nothing; `reason` is set when it was cancelled, and then every live task and
 *               child has one at least as severe. Passed through at once
 *   DRAINING    live_tasks + live_children + credits > 0, or about to advance
 *   FINALIZING  no member lives; finalizers run one at a time, innermost first
 *   CLOSED      outcome fixed, heap reset, waiters told, record freed: seen by traces only
 *
 * OPEN -> CLOSING        cancel walk, or asxi_region_advance once a sealed region is empty
 * all later arrows       asxi_region_advance, the only writer of `state` but for the cancel walk */
#include <asx/shard/base/assert.h>
#include <asx/shard/base/prng.h>

#include "shard_internal.h"
#include "trace_internal.h"

#include <string.h>

const char *asx_region_state_name(asx_region_state state)
{
    static const char *const names[] = {
        [ASX_REGION_OPEN] = "OPEN",         [ASX_REGION_CLOSING] = "CLOSING",
        [ASX_REGION_DRAINING] = "DRAINING", [ASX_REGION_FINALIZING] = "FINALIZING",
        [ASX_REGION_CLOSED] = "CLOSED",
    };
    return (unsigned)state < asx_array_count(names) ? names[state] : "?";
}

const char *asx_policy_name(asx_policy policy)
{
    switch (policy) {
    case ASX_FAIL_FAST:
        return "FAIL_FAST";
    case ASX_COLLECT_ALL:
        return "COLLECT_ALL";
    case ASX_ESCALATE:
        return "ESCALATE";
    }
    return "?";
}

asx_handle asx_region_handle(const asx_region *region)
{
    return asx_handle_of(region);
}

asx_region_state asx_region_state_of(const asx_region *region)
{
    return (asx_region_state)region->state;
}

const asx_reason *asx_region_reason(const asx_region *region)
{
    return region->reason;
}

uint32_t asx_region_task_count(const asx_region *region)
{
    return region->live_tasks;
}

uint32_t asx_region_child_count(const asx_region *region)
{
    return region->live_children;
}

uint32_t asx_region_obligation_count(const asx_region *region)
{
    return region->obligations;
}

size_t asx_region_heap_bytes(const asx_region *region)
{
    return asx_heap_bytes(&region->heap);
}

void *asx_region_alloc(asx_region *region, size_t size)
{
    return asx_heap_alloc(&region->heap, size);
}

void asx_region_free(asx_region *region, void *ptr, size_t size)
{
    asx_heap_free(&region->heap, ptr, size);
}

asx_err asx_region_lookup(asx_shard *shard, asx_handle handle, asx_region **region)
{
    void *record = NULL;
    const asx_err err = asx_handle_lookup(&shard->regions, handle, &record);
    *region = record;
    return err;
}

bool asxi_region_contains(const asx_region *outer, const asx_region *inner)
{
    for (; inner; inner = inner->parent) {
        if (inner == outer) {
            return true;
        }
    }
    return false;
}

/* Opening and admission */

asx_err asxi_region_admit_part(const asx_region *parent, const asx_region *spawner)
{
    if (ASXI_PLANTED(SPAWN_LATE) && spawner == parent && parent->reason) {
        return ASX_OK;
    }
    if (asx_unlikely(parent->state != ASX_REGION_OPEN) ||
        (asx_unlikely(parent->sealed) && !(spawner && asxi_region_contains(parent, spawner)))) {
        return ASX_E(REGION_CLOSED);
    }
    return ASX_OK;
}

static asx_duration arrival_gap(const asx_region *region)
{
    const asx_duration gap_ns = ASX_NS_PER_S / region->limits.arrivals_per_s;
    return gap_ns > 0 ? gap_ns : 1;
}

/* One task every gap, and of those that did not come as many as a burst may be made up for. */
static asx_err arrive(asx_region *region)
{
    const asx_instant now_ns = region->shard->now_ns;
    const asx_instant due_ns = region->arrivals_at > now_ns ? region->arrivals_at : now_ns;
    const uint32_t burst = region->limits.arrivals_burst;
    const asx_duration gap_ns = arrival_gap(region);
    if (due_ns - now_ns > gap_ns * (burst > 0 ? burst - 1 : 0)) {
        return ASX_E(AT_CAPACITY);
    }
    region->arrivals_at = asx_time_add(due_ns, gap_ns);
    return ASX_OK;
}

void asxi_region_arrival_undo(asx_region *region)
{
    if (region->limits.arrivals_per_s > 0 && region->limited) {
        region->arrivals_at = asx_time_sub(region->arrivals_at, arrival_gap(region));
    }
}

asx_err asxi_region_admit_limited(asx_region *region, const asx_region *spawner)
{
    asx_err err = asxi_region_admit_part(region, spawner);
    const uint32_t tasks_max = region->limits.tasks_max;
    if (asx_unlikely(err) || !region->limited) {
        return err;
    }
    if (tasks_max != 0 && region->live_tasks + region->credits >= tasks_max) {
        err = ASX_E(AT_CAPACITY);
    } else if (region->limits.arrivals_per_s > 0) {
        err = arrive(region);
    }
    region->shard->stats.admissions_refused += err != ASX_OK;
    return err;
}

asx_resources asx_region_resources(const asx_region *region)
{
    asx_resources met = ASX_RESOURCES_UNSTATED;
    for (; region && region->has_resources; region = region->parent) {
        met = region->resources ? asx_resources_meet(met, *region->resources) : met;
    }
    return met;
}

static size_t heap_limit(const asx_region *region)
{
    const size_t own = region->limits.heap_bytes_max;
    const uint64_t stated = asx_region_resources(region).memory_bytes;
    if (stated == ASX_RESOURCE_UNSTATED || (own > 0 && own < stated)) {
        return own;
    }
    return stated > 0 ? (size_t)stated : 1; /* less than anything takes */
}

asx_err asxi_region_create(asx_shard *shard, asx_region *parent, const asx_region_options *options,
                           uint32_t caps, asx_region **out)
{
    static const asx_region_options defaults;
    options = options ? options : &defaults;
    asx_region *const region = asx_handle_alloc(&shard->regions, NULL);
    if (asx_unlikely(!region)) {
        return asx_handle_table_why(&shard->regions);
    }
    memset((char *)region + sizeof(asx_slot), 0, offsetof(asx_region, heap) - sizeof(asx_slot));
    region->shard = shard;
    region->policy = (uint8_t)options->policy;
    region->rule = options->rule;
    region->judges = options->rule != NULL;
    region->overrun = (uint8_t)(options->overrun ? options->overrun
                                : parent         ? parent->overrun
                                                 : ASX_OVERRUN_BOUNDED_LOG);
    region->caps = caps & (options->caps ? options->caps : ASX_CAP_ALL);
    region->budget = parent ? parent->budget : ASX_BUDGET_DEFAULT;
    if (options->budget) {
        region->budget = ASXI_PLANTED(DEADLINE_LOOSE)
                             ? *options->budget
                             : asx_budget_meet(region->budget, *options->budget);
    }
    region->limits = options->limits;
    region->limited = options->limits.tasks_max > 0 || options->limits.arrivals_per_s > 0;
    region->resources = options->resources;
    region->has_resources = options->resources || (parent && parent->has_resources);
    region->label = options->label;
    region->opened_at = shard->now_ns;
    region->parent = parent;
    asx_list_init(&region->children);
    asx_list_init(&region->tasks);
    asx_list_init(&region->waiters);
    asx_heap_init(&region->heap, &shard->chunks,
                  asx_likely(!region->has_resources) ? options->limits.heap_bytes_max
                                                     : heap_limit(region));
    if (parent) {
        asx_list_push_back(&parent->children, &region->sibling);
        parent->live_children++;
        region->entropy = asx_mix64(parent->entropy + (++parent->child_seq << 32));
    }
    shard->stats.regions_opened++;
    ASXI_TRACE(shard, REGION_CREATE, asxi_trace_of(region), asxi_trace_of(parent));
    asxi_trace_region_budget(region);
    *out = region;
    return ASX_OK;
}

asx_err asx_region_open(asx_cx *cx, const asx_region_options *options, asx_region **region)
{
    asx_region *const parent = asxi_cx_region(cx);
    asx_err err = asxi_cx_require(cx, ASX_CAP_SPAWN);
    if (asx_unlikely(!parent)) {
        return ASX_E(REGION_CLOSED);
    }
    if (asx_likely(!err)) {
        err = asxi_region_admit_part(parent, cx->_task->cx._region);
    }
    if (asx_likely(!err) && asx_unlikely(parent->limits.children_max != 0) &&
        parent->live_children >= parent->limits.children_max) {
        parent->shard->stats.admissions_refused++;
        err = ASX_E(AT_CAPACITY);
    }
    if (asx_unlikely(err)) {
        return err;
    }
    return asxi_region_create(cx->_shard, parent, options, cx->_caps, region);
}

/* Outcomes */

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

/* Policies (POL-1..7) */

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
static asx_outcome scope_value(const asx_region *region)
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

/* Closing */

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

/* Finalizers */

asx_err asx_region_finalizer_add(asx_region *region, asx_finalizer_fn *fn, void *arg)
{
    const asx_task *const caller = region->shard->running;
    const asx_err err = asxi_region_admit_part(region, caller ? caller->cx._region : NULL);
    if (err) {
        return err;
    }
    asxi_finalizer *const finalizer = asx_heap_alloc(&region->heap, sizeof(*finalizer));
    if (!finalizer) {
        return ASX_E(NO_MEMORY);
    }
    *finalizer = (asxi_finalizer){
        .below = region->finalizers, .fn = fn, .arg = arg, .number = ++region->finalizer_count
    };
    region->finalizers = finalizer;
    ASXI_TRACE(region->shard, FINALIZER_ADD, asxi_trace_of(region), finalizer->number);
    if (region->finalizer_count > ASX_FINALIZER_COUNT_WARN && !region->warned_finalizers) {
        region->warned_finalizers = true;
        asxi_diagnose(region->shard, "region %s has more than %u finalizers",
                      region->label ? region->label : "-", ASX_FINALIZER_COUNT_WARN);
    }
    return ASX_OK;
}

static asx_outcome finalizer_main(asx_cx *cx, void *arg)
{
    const asxi_finalizer *const finalizer = arg;
    return finalizer->fn(cx, finalizer->arg);
}

static void finalizer_overdue(asx_timer *timer)
{
    asxi_finalizer *const finalizer = asx_container_of(timer, asxi_finalizer, overdue);
    finalizer->task->budget.poll_quota = 0;
    asx_task_notify(finalizer->task); /* the overrun is judged at its dispatch (FIN-3) */
}

/* A planted bug's. */
static void finalizers_turn(asx_region *region)
{
    asxi_finalizer *turned = NULL, *each = region->finalizers;
    while (each) {
        asxi_finalizer *const below = each->below;
        each->below = turned;
        turned = each;
        each = below;
    }
    region->finalizers = turned;
}

static bool finalizer_start(asx_region *region)
{
    if (ASXI_PLANTED(FINALIZER_ORDER) && region->reason) {
        finalizers_turn(region);
    }
    asxi_finalizer *const finalizer = region->finalizers;
    asx_task *task = NULL;
    const uint8_t state = region->state;
    const bool sealed = region->sealed, limited = region->limited;
    if (!ASXI_PLANTED(DOUBLE_FINALIZER) || !region->reason || finalizer->task) {
        region->finalizers = finalizer->below;
    }
    /* The kernel's own task is admitted whatever the state (REG-4). */
    region->state = ASX_REGION_OPEN;
    region->sealed = false;
    region->limited = false;
    const asx_err err = asxi_task_create(NULL, region, NULL, ASXI_TASK_FINALIZER, &task);
    region->state = state;
    region->sealed = sealed;
    region->limited = limited;
    if (err) {
        asxi_diagnose(region->shard, "finalizer of region %s could not run: no task record",
                      region->label ? region->label : "-");
        return false;
    }
    region->live_tasks--;
    region->finalizer_task = task;
    task->fn = finalizer_main;
    task->arg = finalizer;
    task->label = "finalizer";
    task->kernel_masks = 1;
    task->budget = ASX_BUDGET_DEFAULT;
    const asx_resources resources = asx_region_resources(region);
    task->budget.poll_quota = resources.cleanup_polls < ASX_FINALIZER_POLLS
                                  ? (uint32_t)resources.cleanup_polls
                                  : ASX_FINALIZER_POLLS;
    finalizer->task = task;
    finalizer->overdue.fn = finalizer_overdue;
    asx_timer_arm(&region->shard->wheel, &finalizer->overdue,
                  asx_time_add(region->shard->now_ns, resources.cleanup_ns < ASX_FINALIZER_NS
                                                          ? resources.cleanup_ns
                                                          : ASX_FINALIZER_NS));
    ASXI_TRACE(region->shard, FINALIZER_RUN, asxi_trace_of(region), finalizer->number);
    asxi_task_start(task);
    return true;
}

void asxi_region_finalizer_done(asx_region *region, asx_task *task)
{
    asx_assert(region->finalizer_task == task);
    asxi_finalizer *const finalizer = task->arg; /* stands in the heap: no block of the task's */
    asx_timer_disarm(&region->shard->wheel, &finalizer->overdue);
    region->finalizer_task = NULL;
    if (task->outcome.severity == ASX_SEVERITY_PANICKED) {
        const bool abandoned =
            task->outcome.panic && task->outcome.panic->cause == ASX_PANIC_ABANDONED;
        if (!abandoned || region->overrun == ASX_OVERRUN_BOUNDED_PANIC) {
            asxi_region_fold(region, task->outcome, task->spawn_seq);
        }
    } else if (task->outcome.severity == ASX_SEVERITY_ERR) {
        char text[64];
        asxi_diagnose(region->shard, "finalizer of region %s returned %s",
                      region->label ? region->label : "-",
                      asx_err_name(task->outcome.err, text, sizeof(text)));
    }
    asxi_task_reap(task);
    asxi_region_advance(region);
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
    asx_assert(region->live_tasks == 0 && region->live_children == 0 && region->credits == 0);
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
    const asx_outcome value = scope_value(region);
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
        return region->live_tasks + region->live_children > 0;
    }
    return region->live_tasks + region->live_children + region->credits > 0;
}

/* Planted bugs': who is still in a cancelled region is no longer its concern. */
static void let_go(asx_region *region)
{
    asx_list *node;
    while (ASXI_PLANTED(REGION_EARLY) && (node = asx_list_pop_front(&region->children)) != NULL) {
        asx_container_of(node, asx_region, sibling)->parent = NULL;
        region->live_children--;
    }
    while (ASXI_PLANTED(TASKS_HANDED_UP) && region->parent && region->live_tasks > 0) {
        asx_task *const task = asx_container_of(region->tasks._next, asx_task, sibling);
        asx_list_unlink(&task->sibling);
        asx_list_push_back(&region->parent->tasks, &task->sibling);
        task->cx._region = region->parent;
        region->live_tasks--;
        region->parent->live_tasks++;
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
            if (finalizer_start(region)) {
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
