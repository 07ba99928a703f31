#include <asx/proto/http1.h>
#include <asx/shard/base/assert.h>

#include "http_internal.h"

#include <string.h>

#define DEFAULT(field, value)        \
    do {                             \
        if ((limits->field) == 0) {  \
            limits->field = (value); \
        }                            \
    } while (0)

static void limits_default(asx_http_limits *limits)
{
    static const asx_http1_limits none;
    if (memcmp(&limits->head, &none, sizeof(none)) == 0) {
        limits->head = asx_http1_limits_default;
    }
    DEFAULT(requests_per_connection, 10000);
    DEFAULT(head_timeout_ns, asx_s(10));
    DEFAULT(idle_timeout_ns, asx_s(60));
    DEFAULT(write_timeout_ns, asx_s(30));
    DEFAULT(body_grace_ns, asx_s(5));
    DEFAULT(body_rate_min, 240);
    DEFAULT(in_flight_max, 65536);
    DEFAULT(connections_max, 1u << 20);
}

asx_err asx_http_server_create(asx_cx *cx, asx_region *region, const asx_http_server_config *config,
                               asx_http_server **out)
{
    asx_http_server *const server = asx_region_alloc(region, sizeof(*server));
    asx_assert(config->handler != NULL);
    if (!server) {
        return ASX_E(NO_MEMORY);
    }
    memset(server, 0, sizeof(*server));
    server->config = *config;
    server->limits = config->limits;
    limits_default(&server->limits);
    server->region = region;
    server->shard = asx_shard_of(cx);
    server->driver = asx_shard_driver(server->shard);
    asx_list_init(&server->conns);
    asxi_http_answers_init(server);
    *out = server;
    return ASX_OK;
}

void asx_http_server_limits_set(asx_http_server *server, const asx_http_limits *limits)
{
    server->limits = *limits;
    limits_default(&server->limits);
}

void asx_http_server_drain(asx_http_server *server)
{
    /* A request that is on the wire already, and whose client has read no Connection: close, is
     * still answered: an idle connection closes only after having been quiet for this long. */
    server->drain_close_ns = asx_time_add(asx_shard_now(server->shard), ASXI_HTTP_DRAIN_QUIET_NS);
    server->draining = true;
    asx_list_each(node, &server->conns) {
        asx_task_notify(asxi_http_task(asx_container_of(node, asxi_http_conn, link)));
    }
}

const asx_http_stats *asx_http_server_stats(const asx_http_server *server)
{
    return &server->stats;
}

void asx_http_server_destroy(asx_http_server *server)
{
    asx_assert(asx_list_empty(&server->conns));
    while (server->free_work) {
        asxi_http_work *const work = server->free_work;
        server->free_work = work->next_free;
        asxi_http_work_destroy(server, work);
    }
    asx_region_free(server->region, server, sizeof(*server));
}
