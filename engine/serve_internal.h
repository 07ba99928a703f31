/* A service's record, and the steps that the admin listener shares with it. */
#ifndef ASX_ENGINE_SERVE_INTERNAL_H
#define ASX_ENGINE_SERVE_INTERNAL_H

#include <asx/engine/listener.h>
#include <asx/engine/serve.h>

#include "engine_internal.h"

typedef struct asxi_service {
    asx_list link; /* in seat->services until its region's members are gone */
    asxi_seat *seat;
    const asx_service *service;
    asx_router *router;
    asx_http_server *server;
    asx_admit *admit; /* NULL: the admin listener refuses nobody */
    asx_event drain;
    uint32_t listener_count;
    asx_listener *listeners[ASX_LISTEN_MAX];
    asx_handle tasks[ASX_LISTEN_MAX];
} asxi_service;

/* asx_serve on descriptors that the caller names and gives away.
 *
 * is_admin  not counted in the seat's figures, not logged, its own limits */
asx_outcome asxi_serve_on(asx_cx *cx, asxi_seat *seat, const asx_service *service,
                          const int32_t *fds, uint32_t fd_count, bool is_admin);

#endif
