#include <asx/shard/base/assert.h>
#include <asx/shard/base/graph.h>

#include <stddef.h>

#define NONE UINT32_MAX

typedef struct search {
    const asx_graph *graph;
    uint32_t *component;
    uint32_t *order; /* in which nodes were met; NONE: not yet */
    uint32_t *low;   /* the earliest met that is reached and in no component */
    uint32_t *open;  /* met, in no component yet: a stack */
    uint32_t *path;  /* from where the search began to where it is: a stack */
    uint32_t *next;  /* edge to look at */
    uint32_t open_count, path_count, met, found;
} search;

static void meet(search *s, uint32_t node)
{
    s->order[node] = s->low[node] = s->met++;
    s->next[node] = s->graph->first[node];
    s->open[s->open_count++] = node;
    s->path[s->path_count++] = node;
}

static void lower(uint32_t *low, uint32_t to)
{
    *low = to < *low ? to : *low;
}

/* All that `node` leads to was seen: it may be the first of a component. */
static void leave(search *s, uint32_t node)
{
    s->path_count--;
    if (s->path_count > 0) {
        lower(&s->low[s->path[s->path_count - 1]], s->low[node]);
    }
    if (s->low[node] != s->order[node]) {
        return;
    }
    uint32_t member;
    do {
        member = s->open[--s->open_count];
        s->component[member] = s->found;
    } while (member != node);
    s->found++;
}

static void search_from(search *s, uint32_t start)
{
    meet(s, start);
    while (s->path_count > 0) {
        const uint32_t node = s->path[s->path_count - 1];
        if (s->next[node] == s->graph->first[node + 1]) {
            leave(s, node);
            continue;
        }
        const uint32_t to = s->graph->to[s->next[node]++];
        asx_assert_lt(to, s->graph->node_count);
        if (s->order[to] == NONE) {
            meet(s, to);
        } else if (s->component[to] == NONE) {
            lower(&s->low[node], s->order[to]);
        }
    }
}

uint32_t asx_graph_components(const asx_graph *graph, uint32_t *component, uint32_t *scratch)
{
    const uint32_t count = graph->node_count;
    search s = {
        .graph = graph,
        .component = component,
        .order = scratch,
        .low = scratch + count,
        .open = scratch + 2 * (size_t)count,
        .path = scratch + 3 * (size_t)count,
        .next = scratch + 4 * (size_t)count,
    };
    for (uint32_t node = 0; node < count; node++) {
        s.order[node] = component[node] = NONE;
    }
    for (uint32_t node = 0; node < count; node++) {
        if (s.order[node] == NONE) {
            search_from(&s, node);
        }
    }
    asx_assert(s.open_count == 0 && s.met == count);
    return s.found;
}
