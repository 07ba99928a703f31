#include <asx/shard/base/assert.h>
#include <asx/shard/scope.h>

#include "access_log.h"
#include "serve_internal.h"

static asx_outcome handle(asx_cx *cx, asx_http_exchange *x)
{
    const asxi_service *const self = asx_http_service_arg(x);
    return asx_router_handle(cx, self->router, x);
}

void *asx_service_arg(const asx_http_exchange *x)
{
    const asxi_service *const self = asx_http_service_arg(x);
    return self->service->arg;
}

asx_engine *asx_service_engine(const asx_http_exchange *x)
{
    const asxi_service *const self = asx_http_service_arg(x);
    return self->seat->engine;
}

static void limits_from(const asx_config *config, asx_http_limits *limits)
{
    limits->head = asx_http1_limits_default;
    limits->head.body_bytes_max = config->body_bytes_max;
    limits->requests_per_connection = config->requests_per_connection;
    limits->head_timeout_ns = config->head_timeout_ns;
    limits->idle_timeout_ns = config->idle_timeout_ns;
    limits->write_timeout_ns = config->write_timeout_ns;
    limits->body_grace_ns = config->body_grace_ns;
    limits->request_timeout_ns = config->request_timeout_ns;
    limits->in_flight_max = (uint32_t)config->in_flight_max;
    limits->connections_max = (uint32_t)config->connections_max;
}

static void source_gone(void *admit, uint32_t source)
{
    asx_admit_leave(admit, source);
}

static asx_outcome admit_destroy(ASX_UNUSED asx_cx *cx, void *admit)
{
    asx_admit_destroy(admit);
    return asx_ok(0);
}

/* Before the server, whose connections it outlives. */
static asx_err admit_create(asx_cx *cx, asx_region *region, asxi_service *self)
{
    const asx_config *const settings = self->seat->config;
    const asx_admit_config config = {
        .per_source_max = (uint32_t)settings->per_ip_max,
        .sources = self->seat->engine->sources,
        .rate = (uint32_t)settings->accept_rate,
        .burst = (uint32_t)settings->accept_burst,
    };
    asx_sources_seed(config.sources, asx_random_u64(cx));
    const asx_err err = asx_admit_create(region, &config, &self->admit);
    return err ? err : asx_region_finalizer_add(region, admit_destroy, self->admit);
}

static asx_outcome server_destroy(ASX_UNUSED asx_cx *cx, void *server)
{
    asx_http_server_destroy(server);
    return asx_ok(0);
}

static asx_err server_create(asx_cx *cx, asx_region *region, asxi_service *self, bool is_admin)
{
    const asxi_seat *const seat = self->seat;
    asx_http_server_config config = {
        .handler = handle,
        .arg = self,
        .server_name = "asx",
        .epoch_unix_ns = seat->engine->epoch_unix_ns,
    };
    limits_from(seat->config, &config.limits);
    if (is_admin) {
        config.limits.connections_max = 64;
        config.limits.in_flight_max = 16;
    } else if (seat->log) {
        config.log = asx_access_log_request;
        config.log_arg = seat->log;
    }
    if (self->admit) {
        config.gone = source_gone;
        config.gone_arg = self->admit;
    }
    asx_err err = asx_http_server_create(cx, region, &config, &self->server);
    if (!err) {
        /* Finalizers run when every connection below the region is gone. */
        err = asx_region_finalizer_add(region, server_destroy, self->server);
        if (err) {
            asx_http_server_destroy(self->server);
        }
    }
    return err;
}

static void fds_close(asx_cx *cx, const int32_t *fds, uint32_t fd_count)
{
    asx_driver *const driver = asx_shard_driver(asx_shard_of(cx));
    for (uint32_t i = 0; i < fd_count; i++) {
        driver->ops->close_now(driver, fds[i]);
    }
}

/* Takes every descriptor: those that no listener got are closed. */
static asx_err listeners_start(asx_cx *cx, asx_region *region, asxi_service *self,
                               asx_region *connections, const int32_t *fds, uint32_t fd_count)
{
    asx_err err = ASX_OK;
    asx_assert_le(fd_count, ASX_LISTEN_MAX);
    for (uint32_t i = 0; i < fd_count; i++) {
        if (err) {
            fds_close(cx, &fds[i], 1);
            continue;
        }
        const asx_listener_config config = {
            .fd = fds[i],
            .server = self->server,
            .connections = connections,
            .admit = self->admit,
            .index = i,
            .failures = &self->seat->accept_failures,
            .dropped = &self->seat->accept_dropped,
        };
        const uint32_t at = self->listener_count;
        err = asx_listener_start(cx, region, &config, &self->listeners[at], &self->tasks[at]);
        self->listener_count += err ? 0 : 1;
    }
    return err;
}

/* Stops accepting, then lets every connection finish what it has begun. */
static asx_outcome drain(asx_cx *cx, asxi_service *self, asx_handle connections)
{
    const asx_duration delay_ns = self->seat->config->drain_delay_ns;
    if (delay_ns > 0) {
        ASX_TRY(asx_sleep(cx, delay_ns));
    }
    for (uint32_t i = 0; i < self->listener_count; i++) {
        asx_listener_stop(self->listeners[i]);
    }
    for (uint32_t i = 0; i < self->listener_count; i++) {
        const asx_outcome ended = asx_join(cx, self->tasks[i]);
        if (ended.severity == ASX_SEVERITY_CANCELLED) {
            return ended;
        }
    }
    asx_http_server_drain(self->server);
    asx_region *region; /* gone already when the drain was cut short meanwhile */
    if (asx_region_lookup(asx_shard_of(cx), connections, &region) == ASX_OK) {
        asx_region_close_begin(region, ASX_CLOSE_JOIN, NULL);
    }
    /* The region's value is that of its worst connection: it was answered for then. */
    const asx_outcome closed = asx_region_close_wait(cx, connections);
    asx_maybe(asx_is_ok(closed));
    return asx_is_cancelled(cx) ? asx_cancelled(asx_cancel_reason(cx)) : asx_ok(0);
}

/* The region's members are gone, what they stood in is not yet: nobody adds it up any more. */
static asx_outcome unlist(ASX_UNUSED asx_cx *cx, void *self)
{
    asx_list_unlink(&((asxi_service *)self)->link);
    return asx_ok(0);
}

static asx_outcome serve_in(asx_cx *cx, asx_region *region, asxi_service *self, const int32_t *fds,
                            uint32_t fd_count, bool is_admin)
{
    const asx_region_options options = { .policy = ASX_COLLECT_ALL, .label = "connections" };
    asx_region *connections = NULL;
    asx_err err =
        asx_router_create(region, self->service->routes, self->service->route_count, &self->router);
    if (!err && !is_admin) {
        err = admit_create(cx, region, self);
    }
    if (!err) {
        err = server_create(cx, region, self, is_admin);
    }
    if (!err) {
        err = asx_region_finalizer_add(region, unlist, self);
    }
    if (!err) {
        err = asx_region_open(cx, &options, &connections);
    }
    if (err) {
        fds_close(cx, fds, fd_count);
        return asx_fail(err);
    }
    const asx_handle handle_of_connections = asx_region_handle(connections);
    err = listeners_start(cx, region, self, connections, fds, fd_count);
    if (err) {
        return asx_fail(err);
    }
    if (!is_admin) {
        asx_list_push_back(&self->seat->services, &self->link);
    }
    asx_outcome outcome = asx_ok(0);
    if (asx_engine_phase_of(self->seat->engine) == ASX_ENGINE_RUNNING) {
        outcome = asx_event_wait(cx, &self->drain, "the drain", ASX_TIME_NEVER);
    }
    return asx_is_ok(outcome) ? drain(cx, self, handle_of_connections) : outcome;
}

asx_outcome asxi_serve_on(asx_cx *cx, asxi_seat *seat, const asx_service *service,
                          const int32_t *fds, uint32_t fd_count, bool is_admin)
{
    asxi_service self = { .seat = seat, .service = service };
    asx_outcome outcome = asx_ok(0);
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        asx_region *const region = asx_scope_region(s);
        if (!region) {
            fds_close(cx, fds, fd_count);
            outcome = asx_fail(ASX_E(REGION_CLOSED));
            break;
        }
        outcome = serve_in(&s->cx, region, &self, fds, fd_count, is_admin);
        if (!asx_is_ok(outcome)) {
            asx_scope_cancel(s, ASX_CANCEL_SHUTDOWN, "the service ended");
        }
    }
    return outcome;
}

asx_outcome asx_serve(asx_cx *cx, asx_engine *engine, const asx_service *service)
{
    asxi_seat *const seat = asxi_seat_of(engine, cx);
    const uint32_t count = engine->config->listen.count;
    int32_t fds[ASX_LISTEN_MAX];
    for (uint32_t i = 0; i < count; i++) {
        fds[i] = engine->listen_fds[i][seat->index];
        if (fds[i] < 0) {
            return asx_fail(ASX_E(ALREADY_RESOLVED)); /* one service a shard has these addresses */
        }
        engine->listen_fds[i][seat->index] = -1;
    }
    return asxi_serve_on(cx, seat, service, fds, count, false);
}

void asxi_services_drain(asxi_seat *seat)
{
    asx_list_each(node, &seat->services) {
        asx_event_set(&asx_container_of(node, asxi_service, link)->drain);
    }
}

void asxi_services_reload(const asxi_seat *seat)
{
    const asx_config *const config = seat->config;
    asx_http_limits limits = { 0 };
    limits_from(config, &limits);
    asx_list_each(node, &seat->services) {
        asxi_service *const self = asx_container_of(node, asxi_service, link);
        asx_http_server_limits_set(self->server, &limits);
        asx_admit_limits_set(self->admit, (uint32_t)config->per_ip_max,
                             (uint32_t)config->accept_rate, (uint32_t)config->accept_burst);
    }
}

void asxi_services_stats(const asxi_seat *seat, asx_http_stats *sum)
{
    uint64_t *const total = (uint64_t *)(void *)sum;
    asx_list_each(node, &seat->services) {
        const asxi_service *const self = asx_container_of(node, asxi_service, link);
        const uint64_t *const part =
            (const uint64_t *)(const void *)asx_http_server_stats(self->server);
        for (size_t i = 0; i < sizeof(*sum) / sizeof(*total); i++) {
            total[i] += part[i];
        }
    }
}

void asxi_services_latencies(const asxi_seat *seat, asx_latencies *sum)
{
    asx_list_each(node, &seat->services) {
        const asxi_service *const self = asx_container_of(node, asxi_service, link);
        asx_latencies_add(sum, asx_router_latencies(self->router));
    }
}

asx_admit_stats asxi_services_admitted(const asxi_seat *seat)
{
    asx_admit_stats sum = { 0 };
    asx_list_each(node, &seat->services) {
        const asxi_service *const self = asx_container_of(node, asxi_service, link);
        if (!self->admit) {
            continue;
        }
        const asx_admit_stats part = asx_admit_stats_of(self->admit);
        for (unsigned i = 0; i < ASX_ADMIT_VERDICT_COUNT; i++) {
            sum.verdicts[i] += part.verdicts[i];
        }
    }
    return sum;
}
