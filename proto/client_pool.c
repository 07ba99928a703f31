/* A client's kept connections. A place in a host is held by a kept connection, by a call that has
 * one, or by a call that is about to open one; whoever gives a place up hands it to the first
 * waiter or counts it free. */
#include <asx/shard/base/assert.h>
#include <asx/shard/shard.h>

#include "client_internal.h"

#include <string.h>

static asxi_client_host *host_find(asx_http_client *client, const asx_url *url)
{
    asx_list_each(node, &client->hosts) {
        asxi_client_host *const host = asx_container_of(node, asxi_client_host, link);
        if (host->port == url->port && host->secure == url->secure &&
            asx_view_eq_nocase(asx_view_of(host->name, host->name_len), url->host)) {
            return host;
        }
    }
    asxi_client_host *const host = asx_region_alloc(client->region, sizeof(*host) + url->host.len);
    if (host) {
        memset(host, 0, sizeof(*host));
        asx_list_init(&host->idle);
        asx_list_init(&host->waiters);
        host->port = url->port;
        host->secure = url->secure;
        host->name_len = url->host.len;
        memcpy(host->name, url->host.ptr, url->host.len);
        asx_list_push_back(&client->hosts, &host->link);
    }
    return host;
}

static void host_release(asx_http_client *client, asxi_client_host *host)
{
    if (host->open == 0 && asx_list_empty(&host->waiters)) {
        asx_list_unlink(&host->link);
        asx_region_free(client->region, host, sizeof(*host) + host->name_len);
    }
}

/* Hands a place, and maybe a connection with it, to the first waiter. */
static bool waiter_grant(asx_http_client *client, asxi_client_host *host, asxi_client_conn *conn)
{
    asx_list *const first = asx_list_pop_front(&host->waiters);
    if (!first) {
        return false;
    }
    asxi_client_wait *const wait = asx_container_of(first, asxi_client_wait, link);
    client->stats.waiting--;
    wait->granted = true;
    wait->conn = conn;
    asx_event_set(&wait->event);
    return true;
}

static void place_free(asx_http_client *client, asxi_client_host *host)
{
    if (!waiter_grant(client, host, NULL)) {
        host->open--;
        host_release(client, host);
    }
}

static void conn_free(asx_http_client *client, asxi_client_conn *conn)
{
    asx_stream_drop(conn->stream);
    client->stats.open--;
    asx_region_free(client->region, conn, sizeof(*conn));
}

static void idle_drop(asx_http_client *client, asxi_client_conn *conn)
{
    asxi_client_host *const host = conn->host;
    asx_list_unlink(&conn->link);
    client->stats.idle--;
    conn_free(client, conn);
    place_free(client, host);
}

/* Closes what has been kept too long, and while too many are kept, the oldest of each host. */
static void idle_sweep(asx_http_client *client, uint32_t idle_max)
{
    const asx_instant now_ns = asx_shard_now(client->shard);
    asx_list_each_safe(node, &client->hosts) {
        asxi_client_host *const host = asx_container_of(node, asxi_client_host, link);
        for (asx_list *at = asx_list_last(&host->idle); at;) {
            asxi_client_conn *const conn = asx_container_of(at, asxi_client_conn, link);
            if (now_ns < asx_time_add(conn->idle_since_ns, client->config.idle_timeout_ns) &&
                client->stats.idle <= idle_max) {
                break;
            }
            const bool last = host->open == 1;
            idle_drop(client, conn);
            at = last ? NULL : asx_list_last(&host->idle);
        }
    }
}

void asxi_client_pool_clear(asx_http_client *client)
{
    client->config.idle_timeout_ns = 0;
    idle_sweep(client, 0);
    asx_assert(asx_list_empty(&client->hosts));
}

/* Gives back whatever the call holds of its host, the connection closed. */
void asxi_client_discard(asx_http_call *call)
{
    asx_http_client *const client = call->client;
    asxi_client_host *const host = call->host;
    if (!host) {
        return;
    }
    if (asx_list_linked(&call->wait.link)) {
        asx_list_unlink(&call->wait.link);
        client->stats.waiting--;
        host_release(client, host);
    } else {
        if (call->wait.conn) {
            call->conn = call->wait.conn;
        }
        if (call->conn) {
            conn_free(client, call->conn);
        }
        place_free(client, host);
    }
    call->wait.conn = NULL;
    call->conn = NULL;
    call->host = NULL;
}

void asxi_client_keep(asx_http_call *call)
{
    asx_http_client *const client = call->client;
    asxi_client_conn *const conn = call->conn;
    call->conn = NULL;
    call->host = NULL;
    conn->idle_since_ns = asx_shard_now(client->shard);
    if (!waiter_grant(client, conn->host, conn)) {
        asx_list_push_front(&conn->host->idle, &conn->link);
        client->stats.idle++;
    }
    idle_sweep(client, client->config.idle_max);
}

/* Ok(1): the connection is silent and open. Ok(0): it is not fit for another request. */
static asx_outcome conn_check(asx_cx *cx, asx_http_call *call)
{
    asx_view data;
    const asx_instant now_ns = asx_shard_now(call->client->shard);
    const asx_outcome outcome = asx_stream_read_until(cx, call->conn->stream, now_ns, &data);
    if (asx_is_err(outcome, ASX_E(TIMED_OUT))) {
        return asx_ok(1);
    }
    return outcome.severity > ASX_SEVERITY_ERR ? outcome : asx_ok(0);
}

static asx_outcome place_wait(asx_cx *cx, asx_http_call *call, asxi_client_host *host)
{
    asx_http_client *const client = call->client;
    memset(&call->wait, 0, sizeof(call->wait));
    asx_list_push_back(&host->waiters, &call->wait.link);
    client->stats.waiting++;
    while (!call->wait.granted) {
        ASX_TRY(asx_event_wait(cx, &call->wait.event, "http connection", call->deadline_ns));
    }
    call->conn = call->wait.conn;
    call->wait.conn = NULL;
    return asx_ok(0);
}

static asx_outcome conn_open(asx_cx *cx, asx_http_call *call, const asx_url *url)
{
    asx_http_client *const client = call->client;
    const asx_http_client_config *const config = &client->config;
    asx_stream *stream = NULL;
    asx_instant deadline_ns =
        asx_time_add(asx_shard_now(client->shard), config->connect_timeout_ns);
    deadline_ns = deadline_ns < call->deadline_ns ? deadline_ns : call->deadline_ns;
    ASX_TRY(config->connect(cx, config->connect_arg, client->region, url->secure, url->host,
                            url->port, deadline_ns, &stream));
    asxi_client_conn *const conn = asx_region_alloc(client->region, sizeof(*conn));
    if (!conn) {
        asx_stream_drop(stream);
        return asx_fail(ASX_E(NO_MEMORY));
    }
    memset(conn, 0, sizeof(*conn));
    conn->host = call->host;
    conn->stream = stream;
    call->conn = conn;
    client->stats.open++;
    client->stats.connects++;
    return asx_ok(0);
}

/* A place in the host, with the latest kept connection if there is one. */
static asx_outcome place_take(asx_cx *cx, asx_http_call *call, asxi_client_host *host)
{
    asx_http_client *const client = call->client;
    asx_list *const kept = asx_list_pop_front(&host->idle);
    call->host = host;
    if (kept) {
        call->conn = asx_container_of(kept, asxi_client_conn, link);
        client->stats.idle--;
        return asx_ok(0);
    }
    if (host->open < client->config.per_host_max && asx_list_empty(&host->waiters)) {
        host->open++;
        return asx_ok(0);
    }
    return place_wait(cx, call, host);
}

/* fresh  a kept connection has failed this call: open one */
asx_outcome asxi_client_acquire(asx_cx *cx, asx_http_call *call, const asx_url *url, bool fresh)
{
    asx_http_client *const client = call->client;
    idle_sweep(client, client->config.idle_max);
    asxi_client_host *const host = host_find(client, url);
    if (!host) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    ASX_TRY(place_take(cx, call, host));
    if (call->conn && !fresh) {
        const asx_outcome fit = conn_check(cx, call);
        ASX_TRY(fit);
        if (fit.value) {
            call->conn->reused = true;
            client->stats.reuses++;
            return asx_ok(0);
        }
        client->stats.stale++;
    }
    if (call->conn) { /* the place stays ours */
        conn_free(client, call->conn);
        call->conn = NULL;
    }
    return conn_open(cx, call, url);
}
