#include "listener.h"

#include <asx/reactor/socket.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/op.h>
#include <asx/shard/shard.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SWEEP_MAX 1024u

struct asx_listener {
    asx_listener_config config;
    asx_driver *driver;
    asx_task *task;
    asx_op op;   /* the ACCEPT */
    asx_err err; /* of its last end */
    bool stopping;
    bool ending; /* waits for the end of the ACCEPT, whatever it still brings */
    asx_duration rest_ns;
    asx_instant rest_until_ns;
    uint32_t queued;
    int32_t queue[ASX_ACCEPT_QUEUE];
};

/* SO_REUSEPORT would let a second engine of the same user share the port in silence. */
static asx_err port_is_free(const asx_addr *addr)
{
    const asx_listen_options alone = { .backlog = 1 };
    int32_t fd;
    const asx_err err = asx_socket_listen(addr, &alone, true, &fd);
    if (!err) {
        close(fd);
    }
    return err;
}

static asx_err open_unix(const asx_addr *addr, uint32_t count, bool nonblocking, int32_t *fds)
{
    const asx_listen_options options = { .backlog = 0 };
    asx_err err = asx_socket_listen(addr, &options, nonblocking, &fds[0]);
    for (uint32_t i = 1; !err && i < count; i++) {
        fds[i] = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
        if (fds[i] < 0) {
            err = asx_err_errno(errno);
            while (i-- > 0) {
                close(fds[i]);
            }
        }
    }
    return err;
}

static asx_err open_inet(const asx_addr *addr, uint32_t count, bool nonblocking, int32_t *fds,
                         asx_addr *bound)
{
    const asx_listen_options options = { .reuse_port = count > 1, .nodelay = true };
    *bound = *addr;
    asx_err err = addr->port && count > 1 ? port_is_free(addr) : ASX_OK;
    for (uint32_t i = 0; !err && i < count; i++) {
        err = asx_socket_listen(bound, &options, nonblocking, &fds[i]);
        if (!err && i == 0) {
            err = asx_socket_name(fds[0], false, bound);
            i += err ? 1 : 0;
        }
        while (err && i-- > 0) {
            close(fds[i]);
        }
        if (err) {
            break;
        }
    }
    return err;
}

asx_err asx_listener_open(const asx_addr *addr, uint32_t count, bool nonblocking, int32_t *fds,
                          asx_addr *bound)
{
    asx_assert(count >= 1);
    if (addr->family == ASX_ADDR_UNIX) {
        *bound = *addr;
        return open_unix(addr, count, nonblocking, fds);
    }
    return open_inet(addr, count, nonblocking, fds, bound);
}

static void descriptor_drop(asx_listener *listener, int32_t fd)
{
    listener->driver->ops->close_now(listener->driver, fd);
    ++*listener->config.dropped;
}

/* Runs inside reap, where no task may be spawned: keeps the descriptor for the step. */
static void accepted(asx_op *op)
{
    asx_listener *const listener = asx_container_of(op, asx_listener, op);
    if (op->err) {
        listener->err = op->err;
    } else if (listener->queued == ASX_ACCEPT_QUEUE) {
        descriptor_drop(listener, (int32_t)op->result);
    } else {
        listener->queue[listener->queued++] = (int32_t)op->result;
    }
    if (!op->more || !listener->ending) {
        asx_task_notify(listener->task);
    }
}

static void serve(asx_cx *cx, asx_listener *listener, int32_t fd)
{
    const asx_listener_config *const config = &listener->config;
    static const asx_http_full full[] = {
        [ASX_ADMIT_PER_SOURCE] = ASX_HTTP_FULL_SOURCE,
        [ASX_ADMIT_RATE] = ASX_HTTP_FULL_RATE,
        [ASX_ADMIT_SOURCES] = ASX_HTTP_FULL_SOURCES,
    };
    asx_addr peer = { .family = ASX_ADDR_NONE };
    uint32_t source = 0;
    if (config->admit && asx_admit_counts_sources(config->admit) &&
        listener->driver->ops->name(listener->driver, fd, true, &peer)) {
        descriptor_drop(listener, fd); /* it has left already */
        return;
    }
    const asx_admit_verdict verdict =
        config->admit ? asx_admit_ask(config->admit, config->index, asx_now(cx), &peer, &source)
                      : ASX_ADMIT_OK;
    if (verdict != ASX_ADMIT_OK) {
        asx_http1_refuse(cx, config->connections, config->server, fd, full[verdict]);
    } else if (asx_http1_serve(cx, config->connections, config->server, fd, source)) {
        ++*config->dropped;
    }
}

static void serve_queue(asx_cx *cx, asx_listener *listener)
{
    for (uint32_t i = 0; i < listener->queued; i++) {
        serve(cx, listener, listener->queue[i]);
    }
    listener->queued = 0;
}

static bool is_exhaustion(asx_err err)
{
    return err == asx_err_errno(EMFILE) || err == asx_err_errno(ENFILE) ||
           err == asx_err_errno(ENOBUFS) || err == asx_err_errno(ENOMEM);
}

static void rest(asx_cx *cx, asx_listener *listener)
{
    ++*listener->config.failures;
    /* The client at the head of the queue learns at once that there is no room, instead of waiting
     * for a descriptor that others hold. */
    if (is_exhaustion(listener->err) &&
        listener->driver->ops->turn_away(listener->driver, listener->config.fd)) {
        ++*listener->config.dropped;
    }
    listener->rest_ns = listener->rest_ns ? 2 * listener->rest_ns : ASX_ACCEPT_REST_MIN;
    if (listener->rest_ns > ASX_ACCEPT_REST_MAX) {
        listener->rest_ns = ASX_ACCEPT_REST_MAX;
    }
    listener->rest_until_ns = asx_time_add(asx_now(cx), listener->rest_ns);
    listener->err = ASX_OK;
}

/* Connections that the kernel completed before the socket closes would be reset by closing it. */
static void sweep(asx_cx *cx, asx_listener *listener)
{
    for (unsigned i = 0; i < SWEEP_MAX; i++) {
        int32_t fd;
        if (listener->driver->ops->accept_now(listener->driver, listener->config.fd, &fd)) {
            return;
        }
        serve(cx, listener, fd);
    }
}

static bool end_step(asx_cx *cx, asx_listener *listener, asx_outcome *outcome)
{
    if (asx_op_in_flight(&listener->op)) {
        asx_op_cancel(&listener->op);
        listener->ending = true;
        asx_task_waits_for(cx, "accept to end");
        return false;
    }
    if (!asx_is_cancelled(cx)) {
        sweep(cx, listener);
    }
    *outcome = asx_ok(0);
    return true;
}

static bool step(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    asx_listener *const listener = *(asx_listener **)frame;
    listener->task = asx_task_of(cx);
    if (asx_is_cancelled(cx)) { /* then the connections' region may be gone */
        return end_step(cx, listener, outcome);
    }
    if (listener->queued > 0) {
        serve_queue(cx, listener);
        listener->rest_ns = 0;
    }
    if (listener->stopping) {
        return end_step(cx, listener, outcome);
    }
    if (asx_op_in_flight(&listener->op)) {
        return false;
    }
    if (listener->err && listener->err != asx_err_errno(ECANCELED)) {
        rest(cx, listener);
    }
    if (asx_now(cx) < listener->rest_until_ns) {
        asx_task_waits_for(cx, "descriptors");
        asx_task_wake_at(cx, listener->rest_until_ns);
        return false;
    }
    listener->op.code = ASX_OP_ACCEPT;
    listener->op.fd = listener->config.fd;
    asx_task_waits_for(cx, "a connection");
    const asx_err err = asx_op_start(cx, &listener->op, accepted);
    *outcome = asx_fail(err);
    return err != ASX_OK;
}

/* Whatever ended the task: the socket, and what was accepted and not yet served. */
static void drop(void *frame)
{
    asx_listener *const listener = *(asx_listener **)frame;
    listener->task = NULL;
    for (uint32_t i = 0; i < listener->queued; i++) {
        listener->driver->ops->close_now(listener->driver, listener->queue[i]);
    }
    listener->driver->ops->close_now(listener->driver, listener->config.fd);
}

asx_err asx_listener_start(asx_cx *cx, asx_region *region, const asx_listener_config *config,
                           asx_listener **out, asx_handle *task)
{
    const asx_spawn_options options = { .drop = drop, .label = "listener" };
    asx_driver *const driver = asx_shard_driver(asx_shard_of(cx));
    /* The region's, not the task's: who stops it cannot know that the task is over already. */
    asx_listener *const listener = asx_region_alloc(region, sizeof(*listener));
    if (!listener) {
        driver->ops->close_now(driver, config->fd);
        return ASX_E(NO_MEMORY);
    }
    *listener = (asx_listener){ .config = *config, .driver = driver };
    *out = listener;
    return asx_spawn_poll(cx, region, step, &listener, sizeof(listener), &options, task, NULL);
}

void asx_listener_stop(asx_listener *listener)
{
    listener->stopping = true;
    if (listener->task) {
        asx_task_notify(listener->task);
    }
}
