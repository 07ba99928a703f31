/* Who waits for whom, when nothing can happen any more.
 *
 * A task waits for another task, or for a region, which waits for its own tasks and those below it.
 * Nodes are few, since only what is left is walked; the circle that is named is the one through the
 * least node, so that equal runs name the same. */
#include <asx/shard/base/graph.h>
#include <asx/shard/inspect.h>

#include "array_internal.h"
#include "world_internal.h"

#include <stdio.h>
#include <string.h>

#define LEFT_MAX 4096u /* nodes looked at, over all shards */
#define NAMED_MAX 16u  /* tasks described */

typedef struct left_node {
    uint64_t id;
    uint64_t waits_for; /* identity; 0: nobody that is known */
    uint32_t parent;    /* index of the region it is in; UINT32_MAX: a root's */
    uint8_t kind, waits_kind;
    char label[24], what[24];
} left_node;

typedef struct left_graph {
    asxi_array nodes;
    uint32_t regions[64]; /* the path of open regions, by depth */
} left_graph;

static left_node *node_at(const left_graph *graph, uint32_t index)
{
    return asxi_array_at(&graph->nodes, index);
}

static void visit(void *arg, const asx_inspect_node *seen)
{
    left_graph *const graph = arg;
    const uint32_t depth = seen->depth < 63 ? seen->depth : 63;
    const uint32_t index = graph->nodes.count;
    left_node *const node = asxi_array_push(&graph->nodes);
    node->id = asx_trace_id(seen->handle);
    node->kind = seen->handle.kind;
    node->parent = depth > 0 ? graph->regions[depth - 1] : UINT32_MAX;
    snprintf(node->label, sizeof(node->label), "%s", seen->label);
    if (seen->kind == ASX_INSPECT_REGION) {
        graph->regions[depth] = index;
    } else {
        node->waits_for = seen->waits_object;
        node->waits_kind = seen->waits_kind;
        snprintf(node->what, sizeof(node->what), "%s", seen->waits_for ? seen->waits_for : "");
    }
}

/* True when a node waits for another: a task for what it named, a region for what is in it. */
static bool waits(const left_graph *graph, const left_node *a, uint32_t b)
{
    const left_node *const target = node_at(graph, b);
    if (a->kind == ASX_HANDLE_REGION) {
        return target->parent != UINT32_MAX && node_at(graph, target->parent) == a;
    }
    return a->waits_for != 0 && a->waits_for == target->id && a->waits_kind == target->kind;
}

/* Who waits for whom, and which of them are on circles together. */
typedef struct waits_graph {
    asx_graph graph;
    asxi_array to;
    uint32_t *first, *component, *scratch; /* scratch: the searches' */
} waits_graph;

static void waits_init(const left_graph *left, waits_graph *self)
{
    const uint32_t count = left->nodes.count;
    asxi_array_init(&self->to, sizeof(uint32_t));
    self->first = asxi_lab_alloc(count + 1, sizeof(*self->first));
    self->component = asxi_lab_alloc(count, sizeof(*self->component));
    self->scratch = asxi_lab_alloc(count, ASX_GRAPH_SCRATCH_WORDS * sizeof(*self->scratch));
    for (uint32_t from = 0; from < count; from++) {
        self->first[from] = self->to.count;
        for (uint32_t to = 0; to < count; to++) {
            if (waits(left, node_at(left, from), to)) {
                *(uint32_t *)asxi_array_push(&self->to) = to;
            }
        }
    }
    self->first[count] = self->to.count;
    self->graph = (asx_graph){ count, self->first, asxi_array_items(&self->to) };
    (void)asx_graph_components(&self->graph, self->component, self->scratch);
}

static void waits_deinit(waits_graph *self)
{
    asxi_array_deinit(&self->to);
    asxi_lab_free(self->first);
    asxi_lab_free(self->component);
    asxi_lab_free(self->scratch);
}

/* Breadth first from `start` and back to it, inside its component: the shortest circle through it,
 * last node first. Returns its length, 0 where there is none. */
static uint32_t circle_through(const waits_graph *self, uint32_t start, uint32_t *path)
{
    const uint32_t count = self->graph.node_count;
    uint32_t *const from = self->scratch, *const queue = self->scratch + count;
    memset(from, 0xff, count * sizeof(*from));
    uint32_t len = 1;
    queue[0] = start;
    for (uint32_t at = 0; at < len; at++) {
        const uint32_t node = queue[at];
        for (uint32_t edge = self->first[node]; edge < self->first[node + 1]; edge++) {
            const uint32_t to = self->graph.to[edge];
            if (to == start) {
                uint32_t steps = 0;
                for (uint32_t back = node; back != start; back = from[back]) {
                    path[steps++] = back;
                }
                path[steps++] = start;
                return steps;
            }
            if (self->component[to] == self->component[start] && from[to] == UINT32_MAX) {
                from[to] = node;
                queue[len++] = to;
            }
        }
    }
    return 0;
}

static int node_text(const left_node *node, char *buf, size_t cap)
{
    return snprintf(buf, cap, "%c%u.%u.%u%s%s", node->kind == ASX_HANDLE_REGION ? 'R' : 'T',
                    (unsigned)(node->id >> 56), (unsigned)(node->id >> 32 & 0xffffff),
                    (unsigned)node->id, node->label[0] ? " " : "", node->label);
}

static void name_circle(const left_graph *left, asx_lab_report *report)
{
    const uint32_t count = left->nodes.count;
    uint32_t *const path = asxi_lab_alloc(count, sizeof(*path));
    waits_graph graph;
    waits_init(left, &graph);
    uint32_t len = 0;
    for (uint32_t start = 0; start < count && len == 0; start++) {
        len = circle_through(&graph, start, path);
    }
    char text[ASX_LAB_TEXT_MAX];
    int at = 0;
    for (uint32_t i = 0; len > 0 && i <= len && at < (int)sizeof(text) - 1; i++) {
        char name[48];
        node_text(node_at(left, path[(2 * len - 1 - i) % len]), name, sizeof(name));
        at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%s", i ? " -> " : "", name);
    }
    if (len > 0) {
        asx_lab_report_violate(report, "wait_cycle", "%s", text);
    }
    waits_deinit(&graph);
    asxi_lab_free(path);
}

static void graph_build(asx_lab_world *world, left_graph *graph)
{
    asxi_array_init(&graph->nodes, sizeof(left_node));
    for (uint32_t i = 0; i < world->config.shards && graph->nodes.count < LEFT_MAX; i++) {
        (void)asx_inspect(world->seats[i].shard, LEFT_MAX - graph->nodes.count, visit, graph);
    }
}

void asxi_stuck_explain(asx_lab_world *world, asx_lab_report *report)
{
    left_graph graph = { 0 };
    graph_build(world, &graph);
    uint32_t named = 0;
    for (uint32_t i = 0; i < graph.nodes.count && named < NAMED_MAX; i++) {
        const left_node *const node = node_at(&graph, i);
        if (node->kind == ASX_HANDLE_TASK) {
            char name[48];
            node_text(node, name, sizeof(name));
            asx_lab_report_violate(report, "stuck", "%s waits for %s", name,
                                   node->what[0] ? node->what : "nothing it named");
            named++;
        }
    }
    for (uint32_t i = 0; i < world->config.shards; i++) {
        if (!asx_mesh_inbox_empty(world->mesh, i)) {
            asx_lab_report_violate(report, "doorbell",
                                   "shard %u sleeps on messages nobody rang for", i);
        }
    }
    name_circle(&graph, report);
    asxi_array_deinit(&graph.nodes);
}

typedef struct state_hash {
    uint64_t hash, tasks, regions;
} state_hash;

static void state_visit(void *arg, const asx_inspect_node *seen)
{
    state_hash *const state = arg;
    const bool task = seen->kind == ASX_INSPECT_TASK;
    const uint64_t words[] = {
        asx_trace_id(seen->handle),
        seen->kind,
        seen->outcome.severity,
        seen->obligations,
        seen->ops,
        seen->tasks,
        seen->children,
        seen->reason ? seen->reason->kind + 1u : 0,
    };
    state->hash = asx_fnv64_words(state->hash, words, asx_array_count(words));
    state->hash = asx_fnv64(state->hash, seen->state, strlen(seen->state));
    if (seen->waits_for) {
        state->hash = asx_fnv64(state->hash, seen->waits_for, strlen(seen->waits_for));
    }
    state->tasks += task;
    state->regions += !task;
}

uint64_t asxi_world_state_hash(asx_lab_world *world, uint64_t *tasks, uint64_t *regions)
{
    state_hash state = { .hash = ASX_FNV64_EMPTY };
    for (uint32_t i = 0; i < world->config.shards; i++) {
        (void)asx_inspect(world->seats[i].shard, UINT64_MAX, state_visit, &state);
    }
    *tasks = state.tasks;
    *regions = state.regions;
    return state.hash;
}
