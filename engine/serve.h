/* Services: an HTTP server of one shard, from its listeners to its last byte.
 *
 * Model.  asx_serve is what an app calls on each shard. It opens a region with the listeners and,
 *         below it, one with the connections; waits for the drain; then stops accepting, lets what
 *         is in flight finish, and returns once no connection is left.
 * Owner.  The app's fiber. Cancelling it (the drain's budget is spent) cancels every request with
 *         SHUTDOWN, which answers 503.
 */
#ifndef ASX_ENGINE_SERVE_H
#define ASX_ENGINE_SERVE_H

#include <asx/engine/boot.h>
#include <asx/engine/route.h>
#include <asx/proto/http1.h>

ASX_BEGIN_DECLS

typedef struct asx_service {
    const asx_route *routes; /* outlive the call */
    size_t route_count;
    void *arg; /* asx_service_arg */
} asx_service;

/* Serves on the addresses of --listen until the engine drains.
 * suspends for as long as the service lives
 * cancel   every request was cancelled and has ended
 * errors   those of asx_router_create; NO_MEMORY */
ASX_NODISCARD asx_outcome asx_serve(asx_cx *cx, asx_engine *engine, const asx_service *service);

/* For handlers */
void *asx_service_arg(const asx_http_exchange *x);
asx_engine *asx_service_engine(const asx_http_exchange *x);

ASX_END_DECLS

#endif
