#include <asx/shard/base/assert.h>
#include <asx/shard/inspect.h>

#include "shard_internal.h"

typedef struct walk {
    asx_shard *shard;
    uint64_t left;
    asx_inspect_fn *visit;
    void *arg;
} walk;

const char *asx_inspect_kind_name(asx_inspect_kind kind)
{
    switch (kind) {
    case ASX_INSPECT_REGION:
        return "region";
    case ASX_INSPECT_TASK:
        return "task";
    }
    return "?";
}

static const char *lane_name(asxi_lane lane)
{
    switch (lane) {
    case ASXI_LANE_NONE:
        return NULL;
    case ASXI_LANE_CANCEL:
        return "cancel";
    case ASXI_LANE_TIMED:
        return "timed";
    case ASXI_LANE_READY:
        return "ready";
    }
    return NULL;
}

static uint32_t ring_count(asx_list *first)
{
    uint32_t count = 0;
    for (const asx_list *node = first; node; node = asx_list_ring_next(first, node)) {
        count++;
    }
    return count;
}

static void visit_region(walk *w, const asx_region *region, uint32_t depth)
{
    const asx_inspect_node node = {
        .kind = ASX_INSPECT_REGION,
        .depth = depth,
        .handle = asx_handle_of(region),
        .state = asx_region_state_name((asx_region_state)region->state),
        .label = region->label ? region->label : "",
        .form = asx_policy_name((asx_policy)region->policy),
        .age_ns = asx_time_sub(w->shard->now_ns, region->opened_at),
        .outcome = region->outcome,
        .reason = region->reason,
        .obligations = region->obligations,
        .ops = region->ops,
        .due_ns = ASX_TIME_NEVER,
        .heap_bytes = asx_region_heap_bytes(region),
        .tasks = asxi_region_live_tasks(region),
        .children = region->live_children,
    };
    w->visit(w->arg, &node);
    w->left--;
}

static asx_duration due_in(const walk *w, const asx_task *task)
{
    const bool armed = task->state != ASX_TASK_COMPLETED && asx_timer_armed(&task->timer);
    return armed ? asx_time_sub(task->timer.at_ns, w->shard->now_ns) : ASX_TIME_NEVER;
}

static void visit_task(walk *w, const asx_task *task, uint32_t depth)
{
    /* The diagnostic outlives the wait: only a task that is in no lane and not on the processor
     * is waiting. */
    const bool waits = task->wake == ASXI_WAKE_IDLE && task->state != ASX_TASK_COMPLETED &&
                       asxi_task_waits_for(task) != NULL;
    const char *const label = asxi_task_label(task);
    const asxi_body *const body = task->body;
    const asxi_wait *const wait = waits && body ? body->parked : NULL;
    const asx_inspect_node node = {
        .kind = ASX_INSPECT_TASK,
        .depth = depth,
        .handle = asx_handle_of(task),
        .state = asx_task_state_name((asx_task_state)task->state),
        .label = label ? label : "",
        .form = task->flags & ASXI_TASK_POLL ? "poll" : "fiber",
        .age_ns = asx_time_sub(w->shard->now_ns, task->spawned_at),
        .outcome = task->flags & ASXI_TASK_ENDING ? task->outcome : asx_ok(0),
        .reason = task->reason,
        .obligations = body ? ring_count(body->obligations) : 0,
        .ops = ring_count(task->ops),
        .waits_for = waits ? asxi_task_waits_for(task) : NULL,
        .waits_ns = waits ? asx_time_sub(w->shard->now_ns, task->idle_since) : 0,
        .due_ns = due_in(w, task),
        .waits_object = wait ? wait->object : 0,
        .waits_kind = wait ? wait->object_kind : 0,
        .lane = task->wake == ASXI_WAKE_QUEUED ? lane_name((asxi_lane)task->lane) : NULL,
        .note = asxi_trail_last(task),
        .futurelocked = waits && task->flags & ASXI_TASK_FUTURELOCKED,
    };
    w->visit(w->arg, &node);
    w->left--;
}

static void visit_tasks(walk *w, const asx_region *region, uint32_t depth)
{
    asx_list_each(node, &region->tasks) {
        if (w->left == 0) {
            return;
        }
        visit_task(w, asx_container_of(node, asx_task, sibling), depth);
    }
}

/* The region after `region` in depth-first order, without a stack: links and parents suffice. */
static const asx_region *next_region(const asx_region *region, uint32_t *depth)
{
    asx_list *node = asx_list_first(&region->children);
    if (node) {
        ++*depth;
        return asx_container_of(node, asx_region, sibling);
    }
    for (; region->parent; region = region->parent, --*depth) {
        node = region->sibling._next;
        if (node && node != &region->parent->children) {
            return asx_container_of(node, asx_region, sibling);
        }
    }
    return NULL;
}

uint64_t asx_inspect(asx_shard *shard, uint64_t nodes_max, asx_inspect_fn *visit, void *arg)
{
    walk w = { .shard = shard, .left = nodes_max, .visit = visit, .arg = arg };
    uint32_t depth = 0;
    asx_assert(visit != NULL);
    for (const asx_region *region = shard->root; region && w.left > 0;
         region = next_region(region, &depth)) {
        visit_region(&w, region, depth);
        visit_tasks(&w, region, depth + 1);
    }
    return (uint64_t)asx_handle_table_live(&shard->regions) + asx_handle_table_live(&shard->tasks);
}
