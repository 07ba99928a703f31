/* Response heads, put behind what the connection already has to send. */
#include <asx/proto/http_status.h>
#include <asx/shard/base/time.h>

#include "http_internal.h"

#include <stdio.h>
#include <string.h>

bool asxi_http_out_acquire(asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    if (asx_unlikely(!work->out)) {
        work->out = asx_region_alloc(conn->server->region, ASXI_HTTP_OUT_BYTES);
    }
    return work->out != NULL;
}

bool asxi_http_put(asxi_http_conn *conn, const void *bytes, size_t len)
{
    asxi_http_work *const work = conn->work;
    if (len > asxi_http_out_room(work) || !asxi_http_out_acquire(conn)) {
        return false;
    }
    memcpy(work->out + work->out_len, bytes, len);
    work->out_len += len;
    return true;
}

/* Once a second. */
static void date_refresh(asx_http_server *server, asx_instant now_ns)
{
    const uint64_t unix_ns = server->config.epoch_unix_ns + now_ns;
    memcpy(server->date, "Date: ", 6);
    asx_http_date_format((int64_t)(unix_ns / ASX_NS_PER_S), server->date + 6);
    memcpy(server->date + 6 + ASX_HTTP_DATE_LEN, "\r\n", 2);
    server->date_until_ns = now_ns + (ASX_NS_PER_S - unix_ns % ASX_NS_PER_S);
    server->head.len = 0;
}

static void date_check(asx_http_server *server)
{
    const asx_instant now_ns = asx_shard_now(server->shard);
    if (asx_unlikely(now_ns >= server->date_until_ns)) {
        date_refresh(server, now_ns);
    }
}

static char *append(char *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

static char *append_u64(char *at, uint64_t value)
{
    char digits[20];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (count > 0) {
        *at++ = digits[--count];
    }
    return at;
}

#define APPEND(at, text) append((at), (text), sizeof(text) - 1)

static char *append_status_line(char *at, unsigned status)
{
    const asx_view line = asx_http_status_line(status);
    if (line.len > 0) {
        return append(at, line.ptr, line.len);
    }
    at = APPEND(at, "HTTP/1.1 ");
    at = append_u64(at, status);
    return APPEND(at, " \r\n");
}

bool asxi_http_type_known(const asx_http_server *server, const char *type, size_t type_len)
{
    const asxi_http_head_cache *const head = &server->head;
    return head->len > 0 && head->type_len == type_len &&
           (type_len == 0 || memcmp(head->type, type, type_len) == 0);
}

/* Status line, Date, Server and Content-Type: copied whole while they are the last head's. */
static char *append_front(asx_http_server *server, char *at, unsigned status, const char *type,
                          size_t type_len)
{
    asxi_http_head_cache *const head = &server->head;
    char *const front = at;
    if (asx_likely(head->status == status && asxi_http_type_known(server, type, type_len))) {
        return append(at, head->bytes, head->len);
    }
    at = append_status_line(at, status);
    at = append(at, server->date, sizeof(server->date));
    if (server->config.server_name) {
        at = APPEND(at, "Server: ");
        at = append(at, server->config.server_name, strnlen(server->config.server_name, 64));
        at = APPEND(at, "\r\n");
    }
    if (type_len > 0) {
        at = APPEND(at, "Content-Type: ");
        at = append(at, type, type_len);
        at = APPEND(at, "\r\n");
    }
    const size_t len = (size_t)(at - front);
    if (len <= sizeof(head->bytes) && type_len <= sizeof(head->type)) {
        head->status = (uint16_t)status;
        head->len = (uint16_t)len;
        head->type_len = (uint16_t)type_len;
        memcpy(head->bytes, front, len);
        if (type_len > 0) {
            memcpy(head->type, type, type_len);
        }
    }
    return at;
}

bool asxi_http_put_head(asxi_http_conn *conn, asx_http_exchange *x, unsigned status,
                        const char *content_type, size_t type_len, uint64_t length)
{
    asx_http_server *const server = conn->server;
    asxi_http_work *const work = conn->work;
    x->close_after |= server->draining; /* also when the drain began behind the request */
    if (asxi_http_out_room(work) < ASXI_HTTP_HEAD_BYTES_MAX + type_len + x->extra_len ||
        !asxi_http_out_acquire(conn)) {
        return false;
    }
    date_check(server);
    char *at = append_front(server, work->out + work->out_len, status, content_type, type_len);
    if (!asx_http_status_is_bodiless(status)) {
        if (length != ASX_HTTP_CHUNKED) {
            at = APPEND(at, "Content-Length: ");
            at = append_u64(at, length);
            at = APPEND(at, "\r\n");
        } else if (x->head->version_minor == 1) {
            at = APPEND(at, "Transfer-Encoding: chunked\r\n");
        } else {
            x->close_after = true; /* 1.0 knows no chunks: the end is the connection's */
        }
    }
    if (x->close_after) {
        at = APPEND(at, "Connection: close\r\n");
    } else if (x->head->version_minor == 0) {
        at = APPEND(at, "Connection: keep-alive\r\n");
    }
    if (x->extra_len > 0) {
        at = append(at, x->extra, x->extra_len);
    }
    at = APPEND(at, "\r\n");
    work->out_len = (size_t)(at - work->out);
    return true;
}

/* A response without a handler: errors, refusals. `extra`: header lines with their CRLF, or "". */
bool asxi_http_put_simple(asxi_http_conn *conn, unsigned status, bool close, const char *extra,
                          const char *why)
{
    char text[512], body[128];
    date_check(conn->server);
    const asx_view phrase = asx_http_status_phrase(status);
    const int body_len = snprintf(body, sizeof(body), "%.*s%s%s\n", (int)phrase.len, phrase.ptr,
                                  why ? ": " : "", why ? why : "");
    asx_assert(body_len > 0 && (size_t)body_len < sizeof(body));
    const int len = snprintf(
        text, sizeof(text),
        "HTTP/1.1 %u %.*s\r\n%.*sContent-Type: text/plain\r\nContent-Length: %d\r\n%s%s\r\n%s",
        status, (int)phrase.len, phrase.ptr, (int)sizeof(conn->server->date), conn->server->date,
        body_len, close ? "Connection: close\r\n" : "", extra, body);
    conn->server->stats.responses[status / 100]++;
    return len > 0 && (size_t)len < sizeof(text) && asxi_http_put(conn, text, (size_t)len);
}
