/* Latencies: how long requests took, by route.
 *
 * Model.  A histogram a label, and a label a route's pattern, as it was written down: never a path
 *         that somebody asked for. The first stands for what no route matched; patterns beyond the
 *         last one's room share that one.
 * Owner.  A router, on its shard; copies and sums belong to whoever made them.
 * Bounds. ASX_LATENCY_ROUTES_MAX labels of less than ASX_LATENCY_LABEL_BYTES, fixed memory. */
#ifndef ASX_ENGINE_LATENCY_H
#define ASX_ENGINE_LATENCY_H

#include <asx/proto/http1.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/view.h>

ASX_BEGIN_DECLS

#define ASX_LATENCY_ROUTES_MAX 64u
#define ASX_LATENCY_LABEL_BYTES 64u
#define ASX_LATENCY_UNMATCHED 0u

typedef struct asx_latencies { /* words of 64 bits only */
    uint64_t count;            /* of labels in use; zero-filled: not initialised */
    struct {
        char label[ASX_LATENCY_LABEL_BYTES]; /* escaped as a label's value; ends in 0 */
        asx_http_latency latency;
    } routes[ASX_LATENCY_ROUTES_MAX];
} asx_latencies;

void asx_latencies_init(asx_latencies *self);

/* The histogram of a pattern, the same for the same label: a pattern too long is cut, and one too
 * many is "other". */
asx_http_latency *asx_latencies_route(asx_latencies *self, asx_view pattern);

/* Adds up label by label. A `part` that is not initialised adds nothing. */
void asx_latencies_add(asx_latencies *sum, const asx_latencies *part);

ASX_END_DECLS

#endif
