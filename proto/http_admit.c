/* A connection's beginning: it is served, or it is told that there is no room for it. */
#include <asx/shard/base/assert.h>

#include "http_internal.h"

#include <stdio.h>
#include <string.h>

const char *asxi_http_full_text(asx_http_full full)
{
    switch (full) {
    case ASX_HTTP_FULL_CONNECTIONS:
        return "too many connections";
    case ASX_HTTP_FULL_SOURCE:
        return "too many connections from this address";
    case ASX_HTTP_FULL_RATE:
        return "too many connections in a short time";
    case ASX_HTTP_FULL_SOURCES:
        return "connections from too many addresses";
    case ASX_HTTP_FULL_REQUESTS:
        return "too many requests in flight";
    case ASX_HTTP_FULL_REGIONS:
        return "no room for a request";
    }
    return "?";
}

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
        asx_http1_refuse(cx, region, server, fd, ASX_HTTP_FULL_CONNECTIONS);
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
static void refuse_at_once(const asx_http_server *server, int32_t fd, asx_http_full full)
{
    static const char phrase[] = "Service Unavailable";
    const char *const why = asxi_http_full_text(full);
    char text[256];
    const int len =
        snprintf(text, sizeof(text),
                 "HTTP/1.1 503 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                 "Connection: close\r\nRetry-After: 1\r\n\r\n%s: %s\n",
                 phrase, strlen(phrase) + strlen(why) + 3, phrase, why);
    asx_assert(len > 0 && (size_t)len < sizeof(text));
    const struct iovec iov = { .iov_base = text, .iov_len = (size_t)len };
    asx_driver *const driver = server->driver;
    uint32_t sent = 0;
    if (driver->ops->send_now) {
        const asx_err err = driver->ops->send_now(driver, fd, &iov, 1, true, &sent);
        asx_maybe(err != ASX_OK); /* it left first */
    }
    driver->ops->close_now(driver, fd);
}

void asx_http1_refuse(asx_cx *cx, asx_region *region, asx_http_server *server, int32_t fd,
                      asx_http_full full)
{
    asxi_http_conn *conn;
    if (server->refusals >= ASX_HTTP_REFUSALS_MAX ||
        asxi_http_conn_open(cx, region, server, fd, &conn)) {
        refuse_at_once(server, fd, full);
        return;
    }
    conn->refused = true;
    conn->recv.keep_words[ASXI_HTTP_KEEP_RBUF_LEN] = full;
    server->refusals++;
}
