/* Routes: which handler answers which method and path.
 *
 * Model.  A pattern is a path whose segments are literal, ":name" (one segment, not empty) or, at
 *         the end, "*name" (the rest, possibly empty). Literal patterns stand in a sorted table;
 *         the others are tried in the order of how particular they are, segment by segment from
 *         the left: literal, then parameter, then rest. GET answers HEAD; a path without the
 *         method is 405 with Allow, OPTIONS is answered with it; no path is 404.
 * Owner.  A router is read-only once created, but for its latencies; each shard has its own.
 * Bounds. No allocation per request, unless the path holds an escape or a dot segment: then it is
 *         decoded once, into the request's region.
 */
#ifndef ASX_ENGINE_ROUTE_H
#define ASX_ENGINE_ROUTE_H

#include <asx/engine/latency.h>
#include <asx/proto/http.h>
#include <asx/shard/region.h>

ASX_BEGIN_DECLS

typedef struct asx_route {
    asx_http_method method;
    const char *pattern; /* as "/users/:id"; outlives the router */
    asx_http_handler *handler;
    const void *arg; /* asx_route_arg */
} asx_route;

#define ASX_ROUTE_PARAMS_MAX 8u

typedef struct asx_router asx_router;

/* Memory from `region`; routes stay where they are.
 * errors  INVALID_ARGUMENT: a pattern that is none, or given twice for one method; NO_MEMORY */
ASX_NODISCARD asx_err asx_router_create(asx_region *region, const asx_route *routes, size_t count,
                                        asx_router **router);

typedef enum asx_route_verdict {
    ASX_ROUTE_FOUND,
    ASX_ROUTE_NO_PATH,   /* 404 */
    ASX_ROUTE_NO_METHOD, /* 405; `allow` holds the methods there are */
} asx_route_verdict;

typedef struct asx_route_match {
    const asx_route *route;
    asx_view path;  /* decoded */
    uint32_t allow; /* bit a method */
    uint32_t param_count;
    asx_http_latency *latency;             /* of the pattern, or of what no route matches */
    asx_view params[ASX_ROUTE_PARAMS_MAX]; /* in the order of the pattern; views into path */
} asx_route_match;

/* path  decoded and normalised */
asx_route_verdict asx_router_match(const asx_router *router, asx_http_method method, asx_view path,
                                   asx_route_match *match);

/* How long requests took that asx_router_handle has handled. */
const asx_latencies *asx_router_latencies(const asx_router *router);

/* Matches the exchange's path and runs the handler, or answers 404, 405, or 400 for a path that
 * cannot be decoded. */
ASX_NODISCARD asx_outcome asx_router_handle(asx_cx *cx, const asx_router *router,
                                            asx_http_exchange *x);

/* Inside a routed handler: the value of ":name" or "*name"; empty when the pattern has no such. */
asx_view asx_route_param(const asx_http_exchange *x, const char *name);
/* The same as a number: false unless it is 1 to 19 digits. */
bool asx_route_param_u64(const asx_http_exchange *x, const char *name, uint64_t *value);
const void *asx_route_arg(const asx_http_exchange *x);

ASX_END_DECLS

#endif
