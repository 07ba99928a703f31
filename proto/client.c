/* A call: sends its request, reads the response's head, then its body. */
#include <asx/proto/client.h>
#include <asx/proto/http1_write.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/shard.h>
#include <asx/shard/socket_stream.h>

#include "client_internal.h"

#include <stdio.h>
#include <string.h>

#define HEAD_BYTES_MAX (256u * 1024) /* beyond the parser's limits, for what comes with a head */
#define REQUEST_BYTES_SPARE 256u /* request line, Host, framing and Connection beside the parts */

/* The client */

static asx_outcome connect_numeric(asx_cx *cx, void *arg, asx_region *region, bool secure,
                                   asx_view host, uint32_t port, asx_instant deadline_ns,
                                   asx_stream **stream)
{
    char text[ASX_ADDR_TEXT_MAX];
    asx_addr addr;
    (void)arg;
    if (asx_view_eq_nocase(host, asx_view_str("localhost"))) {
        host = asx_view_str("127.0.0.1");
    }
    if (secure || host.len + 8 > sizeof(text)) {
        return asx_fail(ASX_E(UNSUPPORTED));
    }
    (void)snprintf(text, sizeof(text), "%.*s:%u", (int)host.len, host.ptr, port);
    if (asx_addr_parse(text, &addr)) {
        return asx_fail(ASX_E(UNSUPPORTED));
    }
    return asx_socket_connect(cx, region, &addr, deadline_ns, stream);
}

static void config_default(asx_http_client_config *config)
{
    static const asx_http1_limits none;
    if (memcmp(&config->limits, &none, sizeof(none)) == 0) {
        config->limits = asx_http1_limits_default;
        config->limits.body_bytes_max = UINT64_MAX;
    }
    config->connect_timeout_ns =
        config->connect_timeout_ns ? config->connect_timeout_ns : asx_s(10);
    config->idle_timeout_ns = config->idle_timeout_ns ? config->idle_timeout_ns : asx_s(30);
    config->continue_timeout_ns =
        config->continue_timeout_ns ? config->continue_timeout_ns : asx_s(1);
    config->per_host_max = config->per_host_max ? config->per_host_max : 32;
    config->idle_max = config->idle_max ? config->idle_max : 256;
    config->connect = config->connect ? config->connect : connect_numeric;
}

static asx_err region_of(asx_cx *cx, asx_region **region)
{
    return asx_region_lookup(asx_shard_of(cx), asx_cx_region(cx), region) ? ASX_E(REGION_CLOSED)
                                                                          : ASX_OK;
}

asx_err asx_http_client_create(asx_cx *cx, asx_region *region, const asx_http_client_config *config,
                               asx_http_client **out)
{
    if (!region) {
        const asx_err err = region_of(cx, &region);
        if (err) {
            return err;
        }
    }
    asx_http_client *const client = asx_region_alloc(region, sizeof(*client));
    if (!client) {
        return ASX_E(NO_MEMORY);
    }
    memset(client, 0, sizeof(*client));
    if (config) {
        client->config = *config;
    }
    config_default(&client->config);
    client->region = region;
    client->shard = asx_shard_of(cx);
    asx_list_init(&client->hosts);
    *out = client;
    return ASX_OK;
}

asx_http_client_stats asx_http_client_stats_of(const asx_http_client *client)
{
    return client->stats;
}

void asx_http_client_destroy(asx_http_client *client)
{
    asx_assert(client->calls == 0);
    asxi_client_pool_clear(client);
    asx_region_free(client->region, client, sizeof(*client));
}

/* The request */

static bool has_body(const asx_http_request *request)
{
    return request->next || request->body.len > 0;
}

static void write_framing(asx_http1_writer *writer, const asx_http_request *request,
                          asx_view method)
{
    if (request->next && request->length == ASX_HTTP_BODY_CHUNKED) {
        asx_http1_write_chunked(writer);
    } else if (request->next) {
        asx_http1_write_length(writer, request->length);
    } else if (request->body.len > 0 || asx_view_eq(method, asx_view_str("POST")) ||
               asx_view_eq(method, asx_view_str("PUT")) ||
               asx_view_eq(method, asx_view_str("PATCH"))) {
        asx_http1_write_length(writer, request->body.len);
    }
}

static asx_view method_of(const asx_http_request *request)
{
    return request->method.len > 0 ? request->method : asx_view_str("GET");
}

/* "/" before a query that has no path, and for no path at all. */
static asx_err target_of(asx_http_call *call, const asx_url *url, char **text, size_t *len)
{
    const bool rooted = url->path_query.len > 0 && url->path_query.ptr[0] == '/';
    *len = url->path_query.len + !rooted;
    *text = asx_region_alloc(call->region, *len);
    if (!*text) {
        return ASX_E(NO_MEMORY);
    }
    (*text)[0] = '/';
    if (url->path_query.len > 0) {
        memcpy(*text + !rooted, url->path_query.ptr, url->path_query.len);
    }
    return ASX_OK;
}

static asx_err request_write(asx_http_call *call, const asx_url *url)
{
    const asx_http_request *const request = call->request;
    const asx_view method = method_of(request);
    char *target;
    size_t target_len;
    asx_http1_writer writer;
    if (asx_http_method_lookup(method) == ASX_HTTP_CONNECT) {
        return ASX_E(INVALID_ARGUMENT); /* ends HTTP on the connection: no call could go on */
    }
    asx_err err = target_of(call, url, &target, &target_len);
    if (err) {
        return err;
    }
    call->out_cap = REQUEST_BYTES_SPARE + method.len + target_len + url->authority.len;
    for (uint32_t i = 0; i < request->field_count; i++) {
        call->out_cap += request->fields[i].name.len + request->fields[i].value.len + 4;
    }
    call->out = asx_region_alloc(call->region, call->out_cap);
    if (call->out) {
        asx_http1_writer_init(&writer, call->out, call->out_cap);
        asx_http1_write_request(&writer, method, asx_view_of(target, target_len));
        if (!asx_header_find_name(request->fields, request->field_count, asx_view_str("host"))) {
            asx_http1_write_field(&writer, asx_view_str("Host"), url->authority);
        }
        for (uint32_t i = 0; i < request->field_count; i++) {
            asx_http1_write_field(&writer, request->fields[i].name, request->fields[i].value);
        }
        write_framing(&writer, request, method);
        if (request->expect_continue && has_body(request)) {
            asx_http1_write_field(&writer, asx_view_str("Expect"), asx_view_str("100-continue"));
        }
        if (request->close) {
            asx_http1_write_connection(&writer, asx_view_str("close"));
        }
        err = asx_http1_write_end(&writer);
        call->out_len = writer.len;
    }
    asx_region_free(call->region, target, target_len);
    return call->out ? err : ASX_E(NO_MEMORY);
}

static asx_outcome send(asx_cx *cx, asx_http_call *call, const asx_view *pieces, uint32_t count)
{
    return asx_stream_writev_until(cx, call->conn->stream, call->deadline_ns, pieces, count);
}

/* Asks the callback for piece after piece, and holds it to the length that it declared. */
static asx_outcome send_streamed(asx_cx *cx, asx_http_call *call)
{
    const asx_http_request *const request = call->request;
    const bool chunked = request->length == ASX_HTTP_BODY_CHUNKED;
    asx_http1_output output;
    asx_http1_output_init(&output, chunked ? ASX_HTTP1_FRAMING_CHUNKED : ASX_HTTP1_FRAMING_LENGTH,
                          request->length);
    for (;;) {
        char size[ASX_HTTP1_CHUNK_HEAD_MAX];
        asx_view data = asx_view_of(NULL, 0);
        ASX_TRY(request->next(cx, request->next_arg, &data));
        if (data.len == 0) {
            break;
        }
        if (!asx_http1_output_take(&output, data.len)) {
            return asx_fail(ASX_E(TOO_LONG));
        }
        const asx_view pieces[] = { asx_view_of(size, asx_http1_chunk_head(data.len, size)), data,
                                    asx_view_str(ASX_HTTP1_CRLF) };
        ASX_TRY(chunked ? send(cx, call, pieces, 3) : send(cx, call, &data, 1));
    }
    if (chunked) {
        const asx_view last = asx_view_str(ASX_HTTP1_LAST_CHUNK);
        return send(cx, call, &last, 1);
    }
    return asx_http1_output_is_whole(&output) ? asx_ok(0) : asx_fail(ASX_E(END_OF_STREAM));
}

static asx_outcome send_body(asx_cx *cx, asx_http_call *call)
{
    const asx_http_request *const request = call->request;
    return request->next ? send_streamed(cx, call) : send(cx, call, &request->body, 1);
}

/* The response's head */

static asx_outcome response_bad(asx_http_call *call, const asx_http1_error *error)
{
    if (call->fault) {
        *call->fault = *error;
    }
    return asx_fail(ASX_ERR(ASX_ERR_DOMAIN_HTTP, 502));
}

/* Ok(1): call->parser holds the final head. Ok(0): a 100 came, and `stop_at_100` asked for it. */
static asx_outcome head_read(asx_cx *cx, asx_http_call *call, asx_instant deadline_ns,
                             bool stop_at_100)
{
    static const asx_http1_error too_many = { .code = ASX_HTTP1_CODE_NONE };
    asx_http1_parser *const parser = &call->parser;
    for (;;) {
        const asx_view bytes = asx_buf_view(&call->head);
        asx_view data;
        switch (bytes.len > 0 ? asx_http1_parse(parser, bytes.ptr, bytes.len)
                              : ASX_HTTP1_NEED_MORE) {
        case ASX_HTTP1_NEED_MORE:
            ASX_TRY(asx_stream_read_until(cx, call->conn->stream, deadline_ns, &data));
            if (data.len == 0) {
                return asx_fail(ASX_E(DISCONNECTED));
            }
            if (asx_buf_append(&call->head, data)) {
                return asx_fail(ASX_E(NO_MEMORY));
            }
            break;
        case ASX_HTTP1_DONE:
            asx_buf_consume(&call->head, parser->head.head_len);
            if (parser->head.status >= 200 || parser->head.status == 101) {
                return asx_ok(1);
            }
            if (++call->interim > ASXI_CLIENT_INTERIM_MAX) {
                return response_bad(call, &too_many);
            }
            const bool go_on = parser->head.status == 100;
            asx_http1_parser_reset(parser);
            if (go_on && stop_at_100) {
                return asx_ok(0);
            }
            break;
        case ASX_HTTP1_ERROR:
        case ASX_HTTP1_PREFACE:
            return response_bad(call, &parser->error);
        }
    }
}

/* Head first when the body waits to be asked for; Ok(1): the final response is here already. */
static asx_outcome send_asking(asx_cx *cx, asx_http_call *call)
{
    const asx_view head = asx_view_of(call->out, call->out_len);
    asx_instant until_ns =
        asx_time_add(asx_shard_now(call->client->shard), call->client->config.continue_timeout_ns);
    until_ns = until_ns < call->deadline_ns ? until_ns : call->deadline_ns;
    ASX_TRY(send(cx, call, &head, 1));
    const asx_outcome answer = head_read(cx, call, until_ns, true);
    if ((asx_is_ok(answer) && answer.value == 0) ||
        (asx_is_err(answer, ASX_E(TIMED_OUT)) && until_ns < call->deadline_ns)) {
        ASX_TRY(send_body(cx, call));
        call->sent_whole = true;
        return asx_ok(0);
    }
    return answer;
}

static asx_outcome send_all(asx_cx *cx, asx_http_call *call)
{
    const asx_http_request *const request = call->request;
    const asx_view head = asx_view_of(call->out, call->out_len);
    if (request->expect_continue && has_body(request)) {
        return send_asking(cx, call);
    }
    if (request->next) {
        ASX_TRY(send(cx, call, &head, 1));
        ASX_TRY(send_streamed(cx, call));
    } else {
        const asx_view pieces[] = { head, request->body };
        ASX_TRY(send(cx, call, pieces, 2));
    }
    call->sent_whole = true;
    return asx_ok(0);
}

static asx_outcome exchange(asx_cx *cx, asx_http_call *call)
{
    asx_http1_parser_init_response(&call->parser, &call->client->config.limits, call->fields,
                                   ASXI_CLIENT_FIELD_COUNT,
                                   asx_http_method_lookup(method_of(call->request)));
    const asx_outcome sent = send_all(cx, call);
    if (asx_is_ok(sent) && sent.value == 1) {
        return sent;
    }
    if (!asx_is_ok(sent) && !asx_is_err(sent, ASX_E(DISCONNECTED))) {
        return sent;
    }
    /* A server may answer before it has read all, and close: its answer counts. */
    return head_read(cx, call, call->deadline_ns, false);
}

static bool may_repeat(const asx_http_call *call)
{
    switch (asx_http_method_lookup(method_of(call->request))) {
    case ASX_HTTP_GET:
    case ASX_HTTP_HEAD:
    case ASX_HTTP_PUT:
    case ASX_HTTP_DELETE:
    case ASX_HTTP_OPTIONS:
    case ASX_HTTP_TRACE:
        return !call->request->next && call->conn && call->conn->reused && call->interim == 0 &&
               asx_buf_view(&call->head).len == 0;
    case ASX_HTTP_OTHER:
    case ASX_HTTP_POST:
    case ASX_HTTP_CONNECT:
    case ASX_HTTP_PATCH:
    case ASX_HTTP_METHOD_COUNT:
        break;
    }
    return false;
}

static asx_outcome attempt(asx_cx *cx, asx_http_call *call)
{
    asx_url url;
    if (!asx_url_parse(call->request->url, &url)) {
        return asx_fail(ASX_E(INVALID_ARGUMENT));
    }
    const asx_err err = request_write(call, &url);
    if (err) {
        return asx_fail(err);
    }
    ASX_TRY(asxi_client_acquire(cx, call, &url, false));
    asx_outcome outcome = exchange(cx, call);
    if (asx_is_err(outcome, ASX_E(DISCONNECTED)) && may_repeat(call)) {
        call->client->stats.retries++;
        call->sent_whole = false;
        asxi_client_discard(call);
        ASX_TRY(asxi_client_acquire(cx, call, &url, true));
        outcome = exchange(cx, call);
    }
    return outcome;
}

/* The call */

static void call_free(asx_http_call *call)
{
    asx_region_off_closed(&call->region_end);
    if (call->out) {
        asx_region_free(call->region, call->out, call->out_cap);
    }
    asx_buf_release(&call->head);
    asx_buf_release(&call->carry);
    call->client->calls--;
    asx_region_free(call->region, call, sizeof(*call));
}

/* The region takes the call's memory; its connection and its place in a queue must not stay. When
 * the client goes with the same region, so do they. */
static void call_region_ending(asx_region_waiter *waiter, asx_outcome value)
{
    asx_http_call *const call = asx_container_of(waiter, asx_http_call, region_end);
    (void)value;
    asx_region_off_closed(waiter);
    if (call->region != call->client->region) {
        asxi_client_discard(call);
        call->client->calls--;
    }
}

static asx_http_call *call_create(asx_region *region, asx_http_client *client,
                                  const asx_http_request *request)
{
    asx_http_call *const call = asx_region_alloc(region, sizeof(*call));
    if (!call) {
        return NULL;
    }
    memset(call, 0, offsetof(asx_http_call, fields));
    call->client = client;
    call->region = region;
    call->request = request;
    call->fault = request->fault;
    call->deadline_ns = request->timeout_ns
                            ? asx_time_add(asx_shard_now(client->shard), request->timeout_ns)
                            : ASX_TIME_NEVER;
    call->region_end.fn = call_region_ending;
    call->region_end.ending = call_region_ending;
    asx_buf_init(&call->head, region, HEAD_BYTES_MAX);
    asx_buf_init(&call->carry, region, HEAD_BYTES_MAX);
    asx_region_on_closed(region, &call->region_end);
    client->calls++;
    client->stats.calls++;
    return call;
}

asx_outcome asx_http_call_begin(asx_cx *cx, asx_http_client *client,
                                const asx_http_request *request, asx_http_call **out)
{
    asx_region *region;
    const asx_err err = region_of(cx, &region);
    asx_http_call *const call = err ? NULL : call_create(region, client, request);
    if (!call) {
        return asx_fail(err ? err : ASX_E(NO_MEMORY));
    }
    const asx_outcome outcome = attempt(cx, call);
    call->request = NULL;
    if (!asx_is_ok(outcome)) {
        asxi_client_discard(call);
        call_free(call);
        return outcome;
    }
    const asx_http1_head *const head = &call->parser.head;
    const asx_http1_framing framing = (asx_http1_framing)head->framing;
    call->reusable = call->sent_whole && head->keep_alive && !request->close &&
                     framing != ASX_HTTP1_FRAMING_CLOSE && framing != ASX_HTTP1_FRAMING_TUNNEL;
    call->body_done = !asx_http1_framing_has_body(framing);
    call->rest = asx_buf_view(&call->head);
    asx_http1_body_init(&call->body, head, &client->config.limits);
    *out = call;
    return asx_ok(0);
}

const asx_http1_head *asx_http_call_head(const asx_http_call *call)
{
    return &call->parser.head;
}

unsigned asx_http_call_status(const asx_http_call *call)
{
    return call->parser.head.status;
}

bool asx_http_call_header(const asx_http_call *call, const char *name, asx_view *value)
{
    const asx_http1_head *const head = &call->parser.head;
    const asx_header_field *const field =
        asx_header_find_name(head->fields, head->field_count, asx_view_str(name));
    if (field) {
        *value = field->value;
    }
    return field != NULL;
}

static void rest_consume(asx_http_call *call, size_t len)
{
    if (call->rest_in_carry) {
        asx_buf_consume(&call->carry, len);
    }
    call->rest = asx_view_of(call->rest.ptr + len, call->rest.len - len);
}

/* More bytes behind `rest`; what is there of a cut line moves to `carry` first. Ok(0): the end. */
static asx_outcome rest_more(asx_cx *cx, asx_http_call *call)
{
    asx_view data;
    if (call->rest.len > 0 && !call->rest_in_carry) {
        if (asx_buf_append(&call->carry, call->rest)) {
            return asx_fail(ASX_E(NO_MEMORY));
        }
        call->rest_in_carry = true;
    }
    if (call->rest_in_carry) {
        call->rest = asx_buf_view(&call->carry);
    }
    ASX_TRY(asx_stream_read_until(cx, call->conn->stream, call->deadline_ns, &data));
    if (call->rest_in_carry && asx_buf_append(&call->carry, data)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    call->rest = call->rest_in_carry ? asx_buf_view(&call->carry) : data;
    return asx_ok(data.len);
}

static asx_outcome body_over(asx_http_call *call, asx_http1_event event)
{
    call->body_done = true;
    if (event == ASX_HTTP1_BODY_END) {
        return asx_ok(0);
    }
    const asx_outcome bad = response_bad(call, &call->body.error);
    call->reusable = false;
    call->body_err =
        call->body.error.code == ASX_HTTP1_CODE_BODY_CUT ? ASX_E(DISCONNECTED) : bad.err;
    return asx_fail(call->body_err);
}

asx_outcome asx_http_call_read(asx_cx *cx, asx_http_call *call, asx_view *data)
{
    *data = asx_view_of(NULL, 0);
    while (!call->body_done) {
        size_t consumed = 0;
        const asx_http1_event event =
            asx_http1_body_next(&call->body, call->rest.ptr, call->rest.len, &consumed);
        rest_consume(call, consumed);
        if (event == ASX_HTTP1_BODY_DATA) {
            *data = call->body.data;
            return asx_ok(data->len);
        }
        if (event == ASX_HTTP1_BODY_NEED_MORE) {
            const asx_outcome more = rest_more(cx, call);
            ASX_TRY(more);
            if (more.value == 0) {
                return body_over(call, asx_http1_body_eof(&call->body));
            }
        } else if (event != ASX_HTTP1_BODY_TRAILER) {
            return body_over(call, event);
        }
    }
    return call->body_err ? asx_fail(call->body_err) : asx_ok(0);
}

void asx_http_call_end(asx_cx *cx, asx_http_call *call)
{
    (void)cx;
    if (call->reusable && call->body_done && call->rest.len == 0) {
        asxi_client_keep(call);
    } else {
        asxi_client_discard(call);
    }
    call_free(call);
}
