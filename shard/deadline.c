/* The watch over deadlines: one pass a period over the shard's task records. */
#include <asx/shard/base/assert.h>
#include <asx/shard/interval.h>

#include "deadline_internal.h"
#include "shard_internal.h"

#include <stdarg.h>
#include <stdio.h>

#define PERIOD_DEFAULT_NS (1 * ASX_NS_PER_S)
#define APPROACH_DEFAULT_PERCENT 20u
#define SILENCE_DEFAULT_NS (30 * ASX_NS_PER_S)
#define REPORTS_DEFAULT 10u
#define FUTURELOCK_DEFAULT_NS (30 * ASX_NS_PER_S)
#define RECORDS_PER_STEP 256u
#define TRAIL_BYTES_MAX 768u

/* What a task is told about it is told once: `flag` says that it was. */
static bool first_time(asx_task *task, uint32_t flag)
{
    const bool first = !(task->flags & flag);
    task->flags |= flag;
    return first;
}

void asxi_deadline_missed(asx_task *task)
{
    if (first_time(task, ASXI_TASK_MISSED)) {
        task->cx._shard->stats.deadlines_missed++;
    }
}

void asxi_deadline_task_ended(asx_task *task)
{
    const asx_shard *const shard = task->cx._shard;
    asxi_deadline_watch *const watch = shard->deadlines;
    if (asx_budget_past_deadline(&task->budget, shard->now_ns)) {
        asxi_deadline_missed(task);
    }
    if (watch && watch->config.adaptive && !task->reason &&
        task->outcome.severity <= ASX_SEVERITY_ERR) {
        asxi_deadline_history_add(&watch->history, asxi_task_label(task),
                                  asx_time_sub(shard->now_ns, task->spawned_at));
    }
}

static bool is_approaching(asxi_deadline_watch *watch, const asx_task *task, asx_duration total_ns,
                           asx_duration remaining_ns)
{
    if (watch->config.adaptive) {
        return total_ns - remaining_ns >=
               asxi_deadline_history_limit(&watch->history, asxi_task_label(task), total_ns);
    }
    return (unsigned __int128)remaining_ns * 100 <=
           (unsigned __int128)total_ns * watch->config.approach_percent;
}

static bool may_report(asxi_deadline_watch *watch, asx_instant now_ns)
{
    if (now_ns >= asx_time_add(watch->minute_began_ns, 60 * ASX_NS_PER_S)) {
        watch->minute_began_ns = now_ns;
        watch->reports_left = watch->config.reports_per_minute;
    }
    if (watch->reports_left == 0) {
        watch->unreported++;
        return false;
    }
    watch->reports_left--;
    return true;
}

static void warn(asxi_deadline_watch *watch, asx_task *task, asx_deadline_warning *warning)
{
    asx_shard *const shard = task->cx._shard;
    char trail[TRAIL_BYTES_MAX], text[512];
    (void)first_time(task, ASXI_TASK_WARNED);
    shard->stats.deadline_warnings++;
    if (!may_report(watch, shard->now_ns)) {
        return;
    }
    asxi_trail_print(task, trail, sizeof(trail));
    warning->task = asx_handle_of(task);
    warning->label = asxi_task_label(task);
    warning->region = task->cx._region->label;
    warning->waits_for = task->wake == ASXI_WAKE_IDLE ? asxi_task_waits_for(task) : NULL;
    warning->checkpoints = task->body ? task->body->checkpoints : 0;
    warning->trail = trail;
    warning->unreported = watch->unreported;
    watch->unreported = 0;
    if (watch->config.report) {
        watch->config.report(watch->config.arg, warning);
        return;
    }
    asx_deadline_warning_print(warning, text, sizeof(text));
    asxi_diagnose(shard, "%s", text);
}

/* Finalizers have a budget of their own, and its overrun a diagnostic. */
static void look_at(asxi_deadline_watch *watch, asx_task *task)
{
    const asx_instant now_ns = task->cx._shard->now_ns;
    const asx_instant deadline_ns = task->budget.deadline_ns;
    if (deadline_ns == ASX_TIME_NEVER || task->state == ASX_TASK_COMPLETED ||
        (task->flags & ASXI_TASK_FINALIZER)) {
        return;
    }
    asx_deadline_warning warning = {
        .total_ns = asx_time_sub(deadline_ns, task->spawned_at),
        .remaining_ns = asx_time_sub(deadline_ns, now_ns),
        .silent_ns = asxi_task_idle(task),
    };
    if (asx_budget_past_deadline(&task->budget, now_ns)) {
        asxi_deadline_missed(task);
    }
    if (task->flags & ASXI_TASK_WARNED) {
        return;
    }
    warning.approaching = is_approaching(watch, task, warning.total_ns, warning.remaining_ns);
    warning.silent = warning.silent_ns >= watch->config.silence_ns;
    if (warning.approaching || warning.silent) {
        warn(watch, task, &warning);
    }
}

/* Records come and go while it yields; each that lives all the while is seen once. */
static asx_outcome look(asx_cx *cx, asxi_deadline_watch *watch)
{
    const asx_handle_table *const tasks = &cx->_shard->tasks;
    for (uint32_t i = 0; i < tasks->touched; i++) {
        asx_task *const task = asx_handle_at(tasks, i);
        if (asx_slot_live(&task->slot) && (task->flags & ASXI_TASK_TIMELY)) {
            look_at(watch, task);
        }
        if (i % RECORDS_PER_STEP == RECORDS_PER_STEP - 1) {
            ASX_TRY(asx_yield(cx));
        }
    }
    uint32_t cursor = 0;
    while (
        asxi_obligations_look(cx->_shard, &cursor, RECORDS_PER_STEP, watch->config.futurelock_ns)) {
        ASX_TRY(asx_yield(cx));
    }
    return asx_ok(0);
}

static void watch_ended(asx_cx *cx, asx_defer *defer)
{
    asxi_deadline_watch *const watch = asx_container_of(defer, asxi_deadline_watch, defer);
    asx_assert(cx->_shard->deadlines == watch);
    cx->_shard->deadlines = NULL;
    asxi_deadline_history_free(&watch->history);
}

static void config_set(asxi_deadline_watch *watch, const asx_deadline_config *config)
{
    asx_deadline_config *const own = &watch->config;
    *own = *config;
    own->period_ns = own->period_ns ? own->period_ns : PERIOD_DEFAULT_NS;
    own->approach_percent =
        own->approach_percent ? own->approach_percent : APPROACH_DEFAULT_PERCENT;
    own->silence_ns = own->silence_ns ? own->silence_ns : SILENCE_DEFAULT_NS;
    own->reports_per_minute = own->reports_per_minute ? own->reports_per_minute : REPORTS_DEFAULT;
    own->futurelock_ns = own->futurelock_ns ? own->futurelock_ns : FUTURELOCK_DEFAULT_NS;
    watch->reports_left = own->reports_per_minute;
}

static asx_outcome watch_loop(asx_cx *cx, asxi_deadline_watch *watch)
{
    asx_interval ticks;
    const asx_duration period_ns = watch->config.period_ns;
    const asx_err err = asx_interval_init(&ticks, asx_time_add(cx->_shard->now_ns, period_ns),
                                          period_ns, ASX_MISSED_SKIP);
    asx_assert(!err);
    for (;;) {
        ASX_TRY(asx_interval_tick(cx, &ticks, NULL));
        ASX_TRY(look(cx, watch));
    }
}

asx_outcome asx_deadline_watch(asx_cx *cx, const asx_deadline_config *config)
{
    asxi_deadline_watch watch = { .minute_began_ns = cx->_shard->now_ns };
    asx_assert(!cx->_shard->deadlines);
    watch.history.heap = &cx->_task->cx._region->heap;
    config_set(&watch, config);
    asx_defer_push(cx, &watch.defer, watch_ended);
    cx->_shard->deadlines = &watch;
    const asx_outcome outcome = watch_loop(cx, &watch);
    asx_defer_pop(cx, &watch.defer);
    watch_ended(cx, &watch.defer);
    return outcome;
}

static void add(char *text, size_t size, size_t *used, const char *fmt, ...) ASX_PRINTF(4, 5);

static void add(char *text, size_t size, size_t *used, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int len = vsnprintf(text + *used, size - *used, fmt, args);
    va_end(args);
    if (len > 0) {
        *used = (size_t)len < size - *used ? *used + (size_t)len : size - 1;
    }
}

static double seconds(asx_duration ns)
{
    return (double)ns / (double)ASX_NS_PER_S;
}

void asx_deadline_warning_print(const asx_deadline_warning *warning, char *text, size_t size)
{
    char handle[ASX_HANDLE_TEXT_LEN];
    size_t used = 0;
    asx_assert(size > 0);
    text[0] = '\0';
    add(text, size, &used, "DEADLINE: task %s %s of region %s",
        warning->label ? warning->label : "-",
        asx_handle_text(warning->task, handle, sizeof(handle)),
        warning->region ? warning->region : "-");
    if (warning->approaching) {
        add(text, size, &used, " has %.3f s left of %.3f s", seconds(warning->remaining_ns),
            seconds(warning->total_ns));
    }
    if (warning->silent) {
        add(text, size, &used, "%s has made no progress for %.3f s",
            warning->approaching ? " and" : "", seconds(warning->silent_ns));
    }
    if (warning->waits_for) {
        add(text, size, &used, ", waits for %.60s", warning->waits_for);
    }
    if (warning->trail[0] != '\0') {
        add(text, size, &used, "; checkpoints: %s", warning->trail);
    }
    if (warning->unreported > 0) {
        add(text, size, &used, " (%u more not reported)", warning->unreported);
    }
}
