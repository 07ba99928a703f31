#include <asx/proto/http.h>
#include <asx/shard/base/assert.h>

#include "http_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

asx_http_method asx_http_method_of(const asx_http_exchange *x)
{
    return (asx_http_method)x->head->method;
}

asx_view asx_http_method_text(const asx_http_exchange *x)
{
    return x->head->method_name;
}

asx_view asx_http_path(const asx_http_exchange *x)
{
    const asx_view target = x->head->path;
    const char *const mark = target.len > 0 ? memchr(target.ptr, '?', target.len) : NULL;
    return mark ? asx_view_of(target.ptr, (size_t)(mark - target.ptr)) : target;
}

asx_view asx_http_query(const asx_http_exchange *x)
{
    const asx_view target = x->head->path;
    const char *const mark = target.len > 0 ? memchr(target.ptr, '?', target.len) : NULL;
    return mark ? asx_view_of(mark + 1, target.len - (size_t)(mark + 1 - target.ptr))
                : asx_view_of(NULL, 0);
}

asx_view asx_http_host(const asx_http_exchange *x)
{
    return x->head->host;
}

unsigned asx_http_version_minor(const asx_http_exchange *x)
{
    return x->head->version_minor;
}

static bool field_value(const asx_header_field *field, asx_view *value)
{
    if (field) {
        *value = field->value;
    }
    return field != NULL;
}

bool asx_http_header(const asx_http_exchange *x, const char *name, asx_view *value)
{
    return field_value(
        asx_header_find_name(x->head->fields, x->head->field_count, asx_view_str(name)), value);
}

bool asx_http_header_known(const asx_http_exchange *x, asx_header_id id, asx_view *value)
{
    return field_value(asx_header_find(x->head->fields, x->head->field_count, id), value);
}

uint64_t asx_http_body_length(const asx_http_exchange *x)
{
    if (x->head->framing == ASX_HTTP1_FRAMING_CHUNKED) {
        return ASX_HTTP_CHUNKED;
    }
    return x->head->framing == ASX_HTTP1_FRAMING_LENGTH ? x->head->content_length : 0;
}

void *asx_http_service_arg(const asx_http_exchange *x)
{
    return x->conn->server->config.arg;
}

void asx_http_route_set(asx_http_exchange *x, const void *route)
{
    x->route = route;
}

void asx_http_latency_set(asx_http_exchange *x, asx_http_latency *latency)
{
    x->latency = latency;
}

const void *asx_http_route(const asx_http_exchange *x)
{
    return x->route;
}

bool asx_http_response_begun(const asx_http_exchange *x)
{
    return x->begun;
}

unsigned asx_http_status_of(const asx_http_exchange *x)
{
    return x->status;
}

uint64_t asx_http_bytes_sent(const asx_http_exchange *x)
{
    return x->body_sent;
}

asx_instant asx_http_started_at(const asx_http_exchange *x)
{
    return x->started_at;
}

asx_err asx_http_header_add(asx_http_exchange *x, const char *name, asx_view value)
{
    const asx_view name_view = asx_view_str(name);
    if (x->begun) {
        return ASX_E(ALREADY_RESOLVED);
    }
    if (!asx_header_name_check(name_view) || !asx_header_value_check(value)) {
        return ASX_E(INVALID_ARGUMENT);
    }
    const size_t len = name_view.len + 2 + value.len + 2;
    if (!x->extra) {
        x->extra = asx_region_alloc(x->conn->work->request, ASXI_HTTP_EXTRA_BYTES);
        if (!x->extra) {
            return ASX_E(NO_MEMORY);
        }
    }
    if (x->extra_len + len > ASXI_HTTP_EXTRA_BYTES) {
        return ASX_E(AT_CAPACITY);
    }
    char *at = x->extra + x->extra_len;
    memcpy(at, name, name_view.len);
    at += name_view.len;
    memcpy(at, ": ", 2);
    if (value.len > 0) {
        memcpy(at + 2, value.ptr, value.len);
    }
    memcpy(at + 2 + value.len, "\r\n", 2);
    x->extra_len += (uint32_t)len;
    return ASX_OK;
}

asx_err asx_http_header_addf(asx_http_exchange *x, const char *name, const char *fmt, ...)
{
    char value[512];
    va_list args;
    va_start(args, fmt);
    const int len = vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(value)) {
        return ASX_E(AT_CAPACITY);
    }
    return asx_http_header_add(x, name, asx_view_of(value, (size_t)len));
}

/* Until when the next piece of the body must be here: a grace, then a minimum rate over the whole
 * body. */
static asx_instant body_deadline(const asx_http_exchange *x)
{
    const asx_http_limits *const limits = &x->conn->server->limits;
    const uint64_t received = x->conn->work->body.received_bytes;
    const asx_duration allowed = asx_time_add(
        limits->body_grace_ns, asx_time_mul(received / limits->body_rate_min, ASX_NS_PER_S));
    /* A window of 10 s rides on top, so that a burst does not have to be even. */
    return asx_time_add(x->started_at, asx_time_add(allowed, asx_s(10)));
}

static asx_outcome body_failed(asx_http_exchange *x, unsigned status)
{
    x->close_after = true;
    x->broken |= x->begun;
    x->body_done = true;
    return asx_fail(ASX_ERR(ASX_ERR_DOMAIN_HTTP, status));
}

static asx_outcome body_wait(asx_cx *cx, asx_http_exchange *x)
{
    asxi_http_conn *const conn = x->conn;
    if (conn->dead) {
        return asx_fail(ASX_E(DISCONNECTED));
    }
    if (conn->eof) {
        if (asx_http1_body_eof(&conn->work->body) == ASX_HTTP1_BODY_END) {
            x->body_done = true;
            return asx_ok(0);
        }
        return body_failed(x, 400);
    }
    asxi_http_recv_resume(conn);
    const asx_outcome outcome =
        asx_event_wait(cx, &conn->work->readable, "request body", body_deadline(x));
    if (asx_is_err(outcome, ASX_E(TIMED_OUT))) {
        conn->server->stats.timeouts++;
        return body_failed(x, 408);
    }
    return outcome;
}

asx_outcome asx_http_read(asx_cx *cx, asx_http_exchange *x, asx_view *data)
{
    asxi_http_conn *const conn = x->conn;
    *data = asx_view_of(NULL, 0);
    if (x->lent) {
        asxi_http_in_unlend(conn);
    }
    if (x->continue_due && !x->begun) {
        x->continue_due = false;
        (void)asxi_http_put(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        asxi_http_send_soon(conn);
    }
    while (!x->body_done) {
        size_t consumed = 0;
        const asx_http1_event event = asx_http1_body_next(&conn->work->body, conn->work->in_ptr,
                                                          conn->work->in_len, &consumed);
        x->lent = event == ASX_HTTP1_BODY_DATA;
        asxi_http_in_consume(conn, consumed);
        switch (event) {
        case ASX_HTTP1_BODY_DATA:
            *data = conn->work->body.data;
            return asx_ok(1);
        case ASX_HTTP1_BODY_END:
            x->body_done = true;
            break;
        case ASX_HTTP1_BODY_TRAILER:
            break;
        case ASX_HTTP1_BODY_ERROR:
            conn->server->stats.parse_errors++;
            return body_failed(x, conn->work->body.error.status);
        case ASX_HTTP1_BODY_NEED_MORE:
            ASX_TRY(body_wait(cx, x));
            break;
        }
    }
    return asx_ok(0);
}
