/* A connection's beginning: it is served, or it is told that there is no room for it. */
#include <asx/shard/base/assert.h>

#include "http_internal.h"

static void source_gone(const asx_http_server *server, uint32_t source)
{
    if (source) {
        server->config.gone(server->config.gone_arg, source);
    }
}

asx_err asx_http1_serve(asx_cx *cx, asx_region *region, asx_http_server *server, int32_t fd,
                        uint32_t source)
{
    asxi_http_conn *conn;
    asx_driver *const driver = server->driver;
    const uint64_t served = server->stats.connections_open - server->refusals;
    asx_assert(source == 0 || server->config.gone);
    if (served >= server->limits.connections_max || server->draining) {
        server->stats.connections_refused++;
        source_gone(server, source);
        asx_http1_refuse(cx, region, server, fd);
        return ASX_OK;
    }
    const asx_err err = asxi_http_conn_open(cx, region, server, fd, &conn);
    if (err) {
        server->stats.connections_refused++;
        source_gone(server, source);
        driver->ops->close_now(driver, fd);
        return err;
    }
    conn->recv.keep_words[ASXI_HTTP_KEEP_SOURCE] = source;
    server->stats.connections_accepted++;
    return ASX_OK;
}

/* With as many refused already as may linger: what the socket takes at once, and the end. A peer
 * that is slow to read may find a reset in place of it. */
static void refuse_at_once(const asx_http_server *server, int32_t fd)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
                               "Content-Length: 20\r\nConnection: close\r\nRetry-After: 1\r\n\r\n"
                               "Service Unavailable\n";
    const struct iovec iov = { .iov_base = (void *)(uintptr_t)text, .iov_len = sizeof(text) - 1 };
    asx_driver *const driver = server->driver;
    uint32_t sent = 0;
    if (driver->ops->send_now) {
        const asx_err err = driver->ops->send_now(driver, fd, &iov, 1, true, &sent);
        asx_maybe(err != ASX_OK); /* it left first */
    }
    driver->ops->close_now(driver, fd);
}

void asx_http1_refuse(asx_cx *cx, asx_region *region, asx_http_server *server, int32_t fd)
{
    asxi_http_conn *conn;
    if (server->refusals >= ASX_HTTP_REFUSALS_MAX ||
        asxi_http_conn_open(cx, region, server, fd, &conn)) {
        refuse_at_once(server, fd);
        return;
    }
    conn->refused = true;
    server->refusals++;
}
