#include <asx/shard/base/assert.h>
#include <asx/shard/explain.h>
#include <asx/shard/op.h>

#include "deadline_internal.h"
#include "shard_internal.h"

#include <stdarg.h>
#include <stdio.h>

#define AHEAD_COUNT_MAX 1000u /* of a lane, counted to tell a task's place */
#define HOLDERS_MAX 8u        /* of one lock or channel that are named */
#define HOLDERS_LOOK_MAX 65536u
#define CHAIN_MAX 64u /* what a decoder accepts (CXL-6) */

typedef struct telling {
    asx_shard *shard;
    asx_explain_fn *say;
    void *arg;
    uint32_t left; /* lines */
} telling;

/* What would make a task go on, the most suspicious first. */
typedef enum prospect {
    PROSPECT_HOLDER, /* it waits, and holds what others may wait for */
    PROSPECT_OTHERS, /* some other task has to act */
    PROSPECT_DRIVER, /* an operation in flight ends, or another shard answers */
    PROSPECT_TIMER,
    PROSPECT_ITSELF, /* it runs, or will when it is its turn */
    PROSPECT_TREE,   /* a task or a region ends, which is explained itself */
    PROSPECT_COUNT,
} prospect;

/* One line while it is written. */
typedef struct line {
    char text[ASX_EXPLAIN_LINE_MAX];
    size_t len;
} line;

ASX_PRINTF(2, 3) static void add(line *l, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int len = vsnprintf(l->text + l->len, sizeof(l->text) - l->len, fmt, args);
    va_end(args);
    const size_t room = sizeof(l->text) - l->len - 1;
    l->len += len < 0 ? 0 : (size_t)len < room ? (size_t)len : room;
}

/* Labels and messages are the program's: what would break the line is replaced. */
static void say(telling *t, line *l)
{
    for (size_t i = 0; i < l->len; i++) {
        const unsigned char c = (unsigned char)l->text[i];
        l->text[i] = c < 0x20 || c == 0x7F ? '?' : l->text[i];
    }
    if (t->left > 0) {
        t->left--;
        t->say(t->arg, l->text);
    }
    *l = (line){ .len = 0 };
}

static double seconds(const telling *t, asx_instant since)
{
    return (double)asx_time_sub(t->shard->now_ns, since) / (double)ASX_NS_PER_S;
}

static void add_handle(line *l, asx_handle handle)
{
    char text[ASX_HANDLE_TEXT_LEN];
    add(l, "%s", asx_handle_text(handle, text, sizeof(text)));
}

static void add_reason(line *l, const telling *t, const asx_reason *reason)
{
    add(l, "%s of ", asx_cancel_kind_name((asx_cancel_kind)reason->kind));
    add_handle(l, reason->region);
    if (!asx_handle_is_null(reason->task)) {
        add(l, " by ");
        add_handle(l, reason->task);
    }
    add(l, " %.3f s ago", seconds(t, reason->at_ns));
    if (reason->message[0] != '\0') {
        add(l, ": %s", reason->message);
    }
}

static void say_chain(telling *t, const asx_reason *reason)
{
    const asx_reason *chain[CHAIN_MAX];
    uint32_t count = 0;
    line l = { .len = 0 };
    for (; reason && count < CHAIN_MAX; reason = reason->cause) {
        chain[count++] = reason;
    }
    for (uint32_t i = count; i-- > 0;) {
        add(&l, "  %s", i + 1 == count ? "cancelled by " : "therefore ");
        add_reason(&l, t, chain[i]);
        if (chain[i]->truncated) {
            add(&l, " (older causes than these %u are not kept)", chain[i]->truncated_at_depth);
        }
        say(t, &l);
    }
}

/* Those of its priority that stand before it; its lane may hold others. */
static uint32_t ahead_count(const asx_shard *shard, const asx_task *task)
{
    const asxi_lane_queue *const queue =
        task->lane == ASXI_LANE_CANCEL ? &shard->sched.cancel : &shard->sched.ready;
    uint32_t count = 0;
    asx_list_each(node, &queue->fifo[task->budget.priority]) {
        if (node == &task->run || count == AHEAD_COUNT_MAX) {
            break;
        }
        count++;
    }
    return count;
}

static void add_queued(line *l, const telling *t, const asx_task *task)
{
    switch ((asxi_lane)task->lane) {
    case ASXI_LANE_TIMED:
        add(l, "runnable by its deadline, one of %u such", t->shard->sched.timed_count);
        break;
    case ASXI_LANE_CANCEL:
    case ASXI_LANE_READY:
        add(l, "runnable in lane %s, behind %u of its priority",
            task->lane == ASXI_LANE_CANCEL ? "cancel" : "ready", ahead_count(t->shard, task));
        break;
    case ASXI_LANE_NONE:
        add(l, "runnable");
        break;
    }
}

/* Where it is in its turn to run. */
static void add_place(line *l, const telling *t, const asx_task *task)
{
    const char *const waits_for = asxi_task_waits_for(task);
    switch ((asxi_wake)task->wake) {
    case ASXI_WAKE_QUEUED:
        add_queued(l, t, task);
        return;
    case ASXI_WAKE_POLLING:
    case ASXI_WAKE_POLLING_NOTIFIED:
        add(l, "running");
        return;
    case ASXI_WAKE_AWAY:
        if (asx_handle_is_null(task->far)) {
            add(l, "on its way to another shard");
        } else {
            add(l, "lent to shard %u", task->far.shard);
        }
        return;
    case ASXI_WAKE_IDLE:
        break;
    }
    if (waits_for) {
        add(l, "waits for %.60s since %.3f s", waits_for, seconds(t, task->idle_since));
    } else if (task->ops) {
        add(l, "waits for its operations since %.3f s", seconds(t, task->idle_since));
    } else {
        add(l, "waits to be woken since %.3f s", seconds(t, task->idle_since));
    }
}

static void add_condition(line *l, const telling *t, const asx_task *task)
{
    const asx_task_state state = (asx_task_state)task->state;
    switch (state) {
    case ASX_TASK_CREATED:
        add(l, "not begun, ");
        break;
    case ASX_TASK_RUNNING:
        break;
    case ASX_TASK_CANCEL_REQUESTED:
        add(l, "asked to stop and has not noticed, %u polls left to clean up, ",
            task->cleanup_polls);
        break;
    case ASX_TASK_CANCELLING:
        add(l, "cleaning up with %u polls left, ", task->budget.poll_quota);
        break;
    case ASX_TASK_FINALIZING:
        add(l, "running its cleanup entries with %u polls left, ", task->budget.poll_quota);
        break;
    case ASX_TASK_COMPLETED:
        add(l, "completed %s, not joined", asx_severity_name((asx_severity)task->outcome.severity));
        return;
    }
    add_place(l, t, task);
}

static prospect prospect_of(const asx_task *task)
{
    const asxi_wait *const wait = task->body ? task->body->parked : NULL;
    if (task->wake == ASXI_WAKE_AWAY) {
        return PROSPECT_DRIVER;
    }
    if (task->wake != ASXI_WAKE_IDLE) {
        return PROSPECT_ITSELF;
    }
    if (wait && wait->in_tree) {
        return PROSPECT_TREE;
    }
    if (task->body && task->body->obligations) {
        return PROSPECT_HOLDER;
    }
    if (task->ops) {
        return PROSPECT_DRIVER;
    }
    return asx_timer_armed(&task->timer) && task->timer.at_ns != ASX_TIME_NEVER ? PROSPECT_TIMER
                                                                                : PROSPECT_OTHERS;
}

static void say_holdings(telling *t, const asx_task *task)
{
    line l = { .len = 0 };
    asx_list *const held = task->body ? task->body->obligations : NULL;
    for (asx_list *node = held; node; node = asx_list_ring_next(held, node)) {
        const asxi_obligation_note note = asxi_obligation_note_of(node);
        add(&l, "  holds ");
        add_handle(&l, note.handle);
        add(&l, " %s %.40s for %.3f s", asx_obligation_kind_name(note.kind),
            note.what ? note.what : "", seconds(t, note.reserved_at));
        if (note.file) {
            add(&l, ", reserved at %s:%d", note.file, note.line);
        }
        say(t, &l);
    }
    for (asx_list *node = task->ops; node; node = asx_list_ring_next(task->ops, node)) {
        const asx_op *const op = asx_container_of(node, asx_op, _inflight);
        add(&l, "  has %s on descriptor %d with the driver%s",
            asx_op_code_name((asx_op_code)op->code), op->fd,
            op->flags & ASX_OP_CANCELLING ? ", asked to end" : "");
        say(t, &l);
    }
}

/* Whose permits and guards of the same lock or channel have to be resolved before it goes on: its
 * maker put the object there. Of holders on other shards nothing is known here. */
static void say_holders(telling *t, const asx_task *task)
{
    const asxi_wait *const wait = task->body ? task->body->parked : NULL;
    const void *const resource = wait && task->wake == ASXI_WAKE_IDLE ? wait->resource : NULL;
    const uint32_t touched = t->shard->obligations.touched;
    const uint32_t count = touched < HOLDERS_LOOK_MAX ? touched : HOLDERS_LOOK_MAX;
    uint32_t said = 0;
    line l = { .len = 0 };
    for (uint32_t i = 0; resource && i < count && said < HOLDERS_MAX; i++) {
        asxi_obligation_seen seen;
        if (!asxi_obligation_at(t->shard, i, &seen) || seen.object != resource) {
            continue;
        }
        const asxi_obligation_note note = asxi_obligation_note_of(seen.held);
        const char *const label = asxi_task_label(seen.holder);
        add(&l, "  held up by task ");
        add_handle(&l, asx_handle_of(seen.holder));
        add(&l, " %.40s: %s %.40s for %.3f s", label ? label : "-",
            asx_obligation_kind_name(note.kind), note.what ? note.what : "",
            seconds(t, note.reserved_at));
        say(t, &l);
        said++;
    }
}

static void say_task(telling *t, const asx_task *task)
{
    const char *const label = asxi_task_label(task);
    const char *const note = asxi_trail_last(task);
    line l = { .len = 0 };
    add(&l, "task ");
    add_handle(&l, asx_handle_of(task));
    add(&l, " %.40s in ", label ? label : "-");
    add_handle(&l, asx_handle_of(task->cx._region));
    add(&l, ": ");
    add_condition(&l, t, task);
    if (note) {
        add(&l, "; it said: %s", note);
    }
    say(t, &l);
    say_holders(t, task);
    say_holdings(t, task);
}

static void add_count(line *l, uint32_t count, const char *what)
{
    if (count > 0) {
        add(l, " %s %u,", what, count);
    }
}

/* max  0: there is no limit */
static void add_limited(line *l, uint32_t count, uint32_t max, const char *what)
{
    add_count(l, count, what);
    if (count > 0 && max > 0) {
        l->len--;
        add(l, " of at most %u,", max);
    }
}

static void say_refusal(telling *t, const asx_region *region)
{
    const asx_refusal *const refusal = &t->shard->refusal;
    char what[96];
    line l = { .len = 0 };
    if (refusal->which != ASX_LIMIT_NONE && asx_handle_eq(refusal->region, asx_handle_of(region))) {
        add(&l, "  refused more %.3f s ago, %s", seconds(t, refusal->at_ns),
            asx_refusal_text(refusal, what, sizeof(what)));
        say(t, &l);
    }
}

static void say_limbs(telling *t, const asx_region *region)
{
    line l = { .len = 0 };
    asxi_limb_note note;
    for (const struct asxi_limb *limb = region->limbs; limb;) {
        limb = asxi_limb_note_of(limb, &note);
        if (!note.over) {
            add(&l, "  waits for a limb on shard %u: ", note.shard);
            add_handle(&l, note.far);
            say(t, &l);
        }
    }
}

static void say_tasks(telling *t, const asx_region *region, prospect which)
{
    asx_list_each(node, &region->tasks) {
        const asx_task *const task = asx_container_of(node, asx_task, sibling);
        if (t->left == 0) {
            return;
        }
        if (task->state != ASX_TASK_COMPLETED && prospect_of(task) == which) {
            say_task(t, task);
        }
    }
}

static void say_region(telling *t, const asx_region *region)
{
    const bool sealed = region->sealed && region->state == ASX_REGION_OPEN;
    line l = { .len = 0 };
    add(&l, "region ");
    add_handle(&l, asx_handle_of(region));
    add(&l, " %.40s: %s%s, open %.3f s:", region->label ? region->label : "-",
        asx_region_state_name((asx_region_state)region->state), sealed ? ", sealed" : "",
        seconds(t, region->opened_at));
    const size_t before = l.len;
    add_limited(&l, asxi_region_live_tasks(region), region->limits.tasks_max, "tasks");
    add_limited(&l, region->live_children, region->limits.children_max, "regions below");
    add_count(&l, region->credits, "spawns on their way");
    add_limited(&l, region->obligations, region->limits.obligations_max, "obligations");
    add_count(&l, region->ops, "operations");
    add_count(&l, region->finalizer_task ? 1 : 0, "finalizers running");
    add_count(&l, region->finalizers ? region->finalizer_count : 0, "finalizers to come");
    if (l.len == before) {
        add(&l, " nothing is left in it%s",
            region->state == ASX_REGION_OPEN ? "; nobody has closed it" : "");
    } else if (l.text[l.len - 1] == ',') {
        l.len--;
        l.text[l.len] = '\0';
    }
    say(t, &l);
    say_refusal(t, region);
    say_limbs(t, region);
    for (unsigned p = 0; p < PROSPECT_COUNT && t->left > 0; p++) {
        say_tasks(t, region, (prospect)p);
    }
}

static const asx_region *innermost(const asx_region *region)
{
    asx_list *node;
    while ((node = asx_list_first(&region->children)) != NULL) {
        region = asx_container_of(node, asx_region, sibling);
    }
    return region;
}

/* The region behind `region` in an order in which children stand before their parents. */
static const asx_region *outwards(const asx_region *region)
{
    asx_list *const next = region->sibling._next;
    return next == &region->parent->children
               ? region->parent
               : innermost(asx_container_of(next, asx_region, sibling));
}

static void say_tree(telling *t, const asx_region *top)
{
    const asx_region *region = innermost(top);
    while (region != top && t->left > 0) {
        say_region(t, region);
        region = outwards(region);
    }
    say_region(t, top);
}

/* One of both is set when there is no error. */
static asx_err find(asx_shard *shard, asx_handle handle, const asx_task **task,
                    const asx_region **region)
{
    void *record = NULL;
    if (handle.kind != ASX_HANDLE_TASK && handle.kind != ASX_HANDLE_REGION) {
        return ASX_E(WRONG_KIND);
    }
    const bool is_task = handle.kind == ASX_HANDLE_TASK;
    const asx_err err =
        asx_handle_lookup(is_task ? &shard->tasks : &shard->regions, handle, &record);
    *task = is_task ? record : NULL;
    *region = is_task ? NULL : record;
    return err;
}

asx_err asx_explain(asx_shard *shard, asx_handle handle, uint32_t lines_max, asx_explain_fn *say_fn,
                    void *arg)
{
    const asx_task *task;
    const asx_region *region;
    telling t = { .shard = shard, .say = say_fn, .arg = arg, .left = lines_max };
    const asx_err err = find(shard, handle, &task, &region);
    if (err) {
        return err;
    }
    if (task) {
        say_task(&t, task);
    } else {
        say_tree(&t, region);
    }
    say_chain(&t, task ? task->reason : region->reason);
    return ASX_OK;
}

asx_err asx_explain_cancel(asx_shard *shard, asx_handle handle, uint32_t lines_max,
                           asx_explain_fn *say_fn, void *arg)
{
    const asx_task *task;
    const asx_region *region;
    telling t = { .shard = shard, .say = say_fn, .arg = arg, .left = lines_max };
    const asx_err err = find(shard, handle, &task, &region);
    if (!err) {
        say_chain(&t, task ? task->reason : region->reason);
    }
    return err;
}
