/* Graphs of small numbers, and their strongly connected components.
 *
 * Model.  Node v has the edges to[first[v]] .. to[first[v + 1] - 1]. Two nodes are in one component
 *         when each is reached from the other.
 * Bounds. O(nodes + edges), without recursion.
 * Source. Tarjan, SIAM J. Comput. 1 (1972). */
#ifndef ASX_SHARD_BASE_GRAPH_H
#define ASX_SHARD_BASE_GRAPH_H

#include <asx/shard/base/decls.h>

#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_graph {
    uint32_t node_count;
    const uint32_t *first; /* node_count + 1 */
    const uint32_t *to;
} asx_graph;

#define ASX_GRAPH_SCRATCH_WORDS 5u /* a node */

/* Numbers the components from 0, each behind all that it leads to, and writes that of each node.
 * Returns how many there are.
 *
 * scratch  ASX_GRAPH_SCRATCH_WORDS * node_count */
uint32_t asx_graph_components(const asx_graph *graph, uint32_t *component, uint32_t *scratch);

ASX_END_DECLS

#endif
