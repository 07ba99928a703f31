#include <asx/shard/base/assert.h>
#include <asx/shard/base/graph.h>
#include <asx/shard/scope.h>
#include <asx/shard/sync/deadlock.h>

#include "line_internal.h"

#include <stdio.h>

/* Each waiting task adds at most itself, what it waits for, and who that waits for. */
#define NODES_MAX (3 * ASX_DEADLOCK_TASKS_MAX)
/* One from each waiting task and each mutex, and one to each task from each region around it that
 * somebody waits for: few regions are nested deeply. Edges beyond the room count as ways out. */
#define EDGES_MAX (16 * ASX_DEADLOCK_TASKS_MAX)

typedef struct node {
    const void *record;                 /* a task, a region or an object */
    uint32_t inside;                    /* regions: tasks in the graph that live in it */
    bool way_out;                       /* it may go on without any of those that it waits for */
    bool is_region, is_task, is_object; /* none: a task that does not wait */
} node;

typedef struct look {
    asx_shard *shard;
    uint32_t node_count, edge_count, region_count, waiting;
    node nodes[NODES_MAX];
    uint32_t regions[ASX_DEADLOCK_TASKS_MAX]; /* nodes that are */
    uint32_t from[EDGES_MAX], onto[EDGES_MAX];
    uint32_t first[NODES_MAX + 1], to[EDGES_MAX], component[NODES_MAX];
    uint32_t scratch[ASX_GRAPH_SCRATCH_WORDS * NODES_MAX];
} look;

static uint32_t node_find(const look *self, const void *record)
{
    uint32_t at = 0;
    while (at < self->node_count && self->nodes[at].record != record) {
        at++;
    }
    return at;
}

static uint32_t node_of(look *self, const void *record)
{
    const uint32_t at = node_find(self, record);
    if (at == self->node_count) {
        asx_assert(self->node_count < NODES_MAX);
        self->nodes[self->node_count++] = (node){ .record = record };
    }
    return at;
}

static void edge_add(look *self, uint32_t from, uint32_t onto)
{
    if (self->edge_count == EDGES_MAX) {
        self->nodes[from].way_out = true;
        return;
    }
    self->from[self->edge_count] = from;
    self->onto[self->edge_count++] = onto;
}

static asxi_wait *parked_of(const asx_task *task)
{
    const bool waits = asx_slot_live(&task->slot) && task->wake == ASXI_WAKE_IDLE &&
                       task->state != ASX_TASK_COMPLETED && task->body;
    return waits ? task->body->parked : NULL;
}

typedef enum target_kind { TARGET_TASK, TARGET_REGION, TARGET_OBJECT } target_kind;

/* A waiting task and what it waits for, once that is known. */
static void task_add(look *self, const asx_task *task, const void *target, target_kind kind)
{
    if (self->waiting == ASX_DEADLOCK_TASKS_MAX) {
        return;
    }
    self->waiting++;
    const uint32_t from = node_of(self, task);
    self->nodes[from].is_task = true;
    self->nodes[from].way_out = task->ops || asx_timer_armed(&task->timer);
    const uint32_t onto = node_of(self, target);
    if (kind == TARGET_REGION && !self->nodes[onto].is_region) {
        self->regions[self->region_count++] = onto;
        self->nodes[onto].is_region = true;
    }
    self->nodes[onto].is_object |= kind == TARGET_OBJECT;
    edge_add(self, from, onto);
}

static void tasks_collect(look *self)
{
    const asx_handle_table *const tasks = &self->shard->tasks;
    for (uint32_t i = 0; i < tasks->touched; i++) {
        const asx_task *const task = asx_handle_at(tasks, i);
        asxi_wait *const wait = parked_of(task);
        if (!wait || wait->resolved) {
            continue;
        }
        const asx_task *const joined = asxi_join_target(wait);
        const asx_region *const closing = asxi_close_wait_target(wait);
        const asxi_object *const object = asxi_line_target(wait);
        if (joined) {
            task_add(self, task, joined, TARGET_TASK);
        } else if (closing) {
            task_add(self, task, closing, TARGET_REGION);
        } else if (object) {
            task_add(self, task, object, TARGET_OBJECT);
        }
    }
    const asx_handle_table *const regions = &self->shard->regions;
    for (uint32_t i = 0; i < regions->touched; i++) {
        const asx_region *const region = asx_handle_at(regions, i);
        asxi_wait *const wait =
            asx_slot_live(&region->slot) && region->scope ? region->scope->_wait : NULL;
        if (wait && !wait->resolved) {
            task_add(self, wait->task, region, TARGET_REGION);
        }
    }
}

/* The node of a region that is waited for, or NULL. */
static node *region_node(look *self, const asx_region *region)
{
    for (uint32_t i = 0; i < self->region_count; i++) {
        node *const at = &self->nodes[self->regions[i]];
        if (at->record == region) {
            return at;
        }
    }
    return NULL;
}

/* From each region that is waited for to each of its tasks in the graph; whatever else keeps it
 * open is a way out. */
static void regions_join(look *self)
{
    const uint32_t count = self->node_count;
    for (uint32_t i = 0; i < count; i++) {
        const asx_region *region =
            self->nodes[i].is_task ? ((const asx_task *)self->nodes[i].record)->cx._region : NULL;
        for (; region; region = region->parent) {
            node *const at = region_node(self, region);
            if (at) {
                at->inside++;
                edge_add(self, (uint32_t)(at - self->nodes), i);
            }
        }
    }
    const asx_handle_table *const regions = &self->shard->regions;
    for (uint32_t i = 0; i < regions->touched; i++) {
        const asx_region *const region = asx_handle_at(regions, i);
        for (const asx_region *outer = asx_slot_live(&region->slot) ? region : NULL; outer;
             outer = outer->parent) {
            node *const at = region_node(self, outer);
            if (at) {
                at->way_out |= region->credits > 0 || region->limbs || region->finalizer_task;
                at->inside -=
                    asxi_region_live_tasks(region); /* 0 in the end, when all are in the graph */
            }
        }
    }
    for (uint32_t i = 0; i < self->node_count; i++) {
        self->nodes[i].way_out |= self->nodes[i].is_region && self->nodes[i].inside != 0;
    }
}

/* What is neither region nor waiting: a task that goes on, or an object. Of objects, only a mutex
 * says whom it waits for. */
static void others_join(look *self)
{
    const uint32_t count = self->node_count;
    for (uint32_t i = 0; i < count; i++) {
        node *const at = &self->nodes[i];
        if (at->is_region || at->is_task) {
            continue;
        }
        const asx_task *const holder = at->is_object ? asxi_mutex_holder(at->record) : NULL;
        const uint32_t onto = holder ? node_find(self, holder) : count;
        if (onto < count && self->nodes[onto].is_task) {
            edge_add(self, i, onto);
        } else {
            at->way_out = true;
        }
    }
}

static uint32_t components_find(look *self)
{
    const asx_graph graph = { .node_count = self->node_count,
                              .first = self->first,
                              .to = self->to };
    for (uint32_t i = 0; i <= self->node_count; i++) {
        self->first[i] = 0;
    }
    for (uint32_t i = 0; i < self->edge_count; i++) {
        self->first[self->from[i] + 1]++;
    }
    for (uint32_t i = 0; i < self->node_count; i++) {
        self->first[i + 1] += self->first[i];
        self->scratch[i] = self->first[i];
    }
    for (uint32_t i = 0; i < self->edge_count; i++) {
        self->to[self->scratch[self->from[i]]++] = self->onto[i];
    }
    return asx_graph_components(&graph, self->component, self->scratch);
}

typedef struct group {
    uint32_t nodes, tasks;
    bool way_out;
} group;

static group group_of(const look *self, uint32_t component)
{
    group g = { .nodes = 0 };
    for (uint32_t i = 0; i < self->node_count; i++) {
        if (self->component[i] == component) {
            g.nodes++;
            g.tasks += self->nodes[i].is_task;
            g.way_out |= self->nodes[i].way_out;
        }
    }
    for (uint32_t i = 0; i < self->edge_count; i++) {
        g.way_out |= self->component[self->from[i]] == component &&
                     self->component[self->onto[i]] != component;
    }
    return g;
}

typedef struct telling {
    asx_explain_fn *say;
    void *arg;
    uint32_t left;
} telling;

static void tell(telling *t, const char *line)
{
    if (t->left > 0) {
        t->left--;
        t->say(t->arg, line);
    }
}

static void tell_task(telling *t, const asx_task *task)
{
    char line[ASX_EXPLAIN_LINE_MAX], handle[ASX_HANDLE_TEXT_LEN];
    const char *const label = asxi_task_label(task);
    const char *const what = asxi_task_waits_for(task);
    snprintf(line, sizeof(line), "  task %s %.40s waits for %.60s",
             asx_handle_text(asx_handle_of(task), handle, sizeof(handle)), label ? label : "-",
             what ? what : "-");
    tell(t, line);
}

static void groups_tell(const look *self, uint32_t count, telling *t, asx_deadlocks *found)
{
    for (uint32_t component = 0; component < count; component++) {
        const group g = group_of(self, component);
        char line[ASX_EXPLAIN_LINE_MAX];
        if (g.nodes < 2) { /* no task waits for itself: such a wait is refused */
            continue;
        }
        found->trapped += !g.way_out;
        found->risks += g.way_out;
        snprintf(line, sizeof(line), "%s: %u tasks wait for one another%s",
                 g.way_out ? "risk" : "DEADLOCK", g.tasks,
                 g.way_out ? ", and for something else" : "");
        tell(t, line);
        for (uint32_t i = 0; i < self->node_count; i++) {
            if (self->component[i] == component && self->nodes[i].is_task) {
                tell_task(t, self->nodes[i].record);
            }
        }
    }
}

asx_err asx_deadlock_look(asx_shard *shard, uint32_t lines_max, asx_explain_fn *say, void *arg,
                          asx_deadlocks *found)
{
    size_t got;
    telling t = { .say = say, .arg = arg, .left = lines_max };
    look *const self = asx_chunk_acquire(&shard->chunks, sizeof(*self), &got);
    *found = (asx_deadlocks){ 0 };
    if (!self) {
        return ASX_E(NO_MEMORY);
    }
    self->shard = shard;
    self->node_count = self->edge_count = self->region_count = self->waiting = 0;
    tasks_collect(self);
    regions_join(self);
    others_join(self);
    found->waiting = self->waiting;
    if (self->node_count > 0) {
        groups_tell(self, components_find(self), &t, found);
    }
    asx_chunk_release(&shard->chunks, self, got);
    return ASX_OK;
}
