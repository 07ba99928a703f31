/* Clients as poll tasks: one connection each, a few requests on it, and a way of behaving. */
#include <asx/proto/http1_parse.h>
#include <asx/shard/base/prng.h>
#include <asx/shard/op.h>
#include <asx/shard/scope.h>
#include <asx/shard/shard.h>

#include "http_world.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <sys/socket.h>

namespace
{

enum manner : uint8_t {
    POLITE,   /* a request, its response, and so on */
    PIPELINE, /* all requests at once */
    HALTING,  /* a request in two parts with a pause */
    HALF,     /* ends its half behind its last request */
    IDLER,    /* never closes */
    LORIS,    /* a head that never ends; from here on they are rude */
    GARBAGE,  /* no HTTP */
    LEAVER,   /* closes in the midst of a response */
    MANNERS,
};

enum state : uint8_t { BORN, CONNECTING, TALKING, LEAVING };

constexpr asx_duration patience_ns = 200 * ASX_NS_PER_S;
constexpr uint32_t requests_max = 4;

struct expected {
    uint32_t len, salt;
    bool head;
};

struct client {
    http_run *run;
    asx_driver *driver;
    asx_task *task;
    asx_prng prng;
    manner how;
    state at;
    bool paused, ended, broken, shut, in_body;
    bool closing; /* the server said that it was its last */
    uint8_t asked, answered, total;
    int32_t fd;
    uint32_t body_seen, rest_len, taken, out_len, out_sent;
    asx_instant resume_ns, patience_until_ns;
    expected expects[requests_max];
    asx_addr addr;
    asx_op connect, recv, send, shutdown;
    struct iovec iov;
    asx_http1_parser parser;
    asx_http1_body body;
    asx_header_field fields[12];
    char out[700];
    char rest[400]; /* of a head that has not come whole */
};

char scratch[8192]; /* rest and what came, while they are parsed */

bool is_rude(const client *self)
{
    return self->how >= LORIS;
}

/* Responses */

void response_begin(client *self)
{
    self->in_body = false;
    self->body_seen = 0;
    if (self->answered < self->asked) {
        asx_http1_parser_init_response(&self->parser, &asx_http1_limits_default, self->fields, 12,
                                       self->expects[self->answered].head ? ASX_HTTP_HEAD
                                                                          : ASX_HTTP_GET);
    }
}

void response_over(client *self)
{
    const expected &e = self->expects[self->answered];
    const uint32_t status = self->parser.head.status;
    http_result &result = self->run->result;
    result.statuses[std::min(status / 100, 5u)]++;
    if (status == 200) {
        const bool whole = self->body_seen == (e.head ? 0 : e.len);
        result.right += whole;
        result.wrong += !whole;
    }
    self->answered++;
    self->closing = !self->parser.head.keep_alive;
    response_begin(self);
}

void body_check(client *self, asx_view data)
{
    const expected &e = self->expects[self->answered];
    bool same = true;
    if (self->parser.head.status == 200) {
        for (size_t i = 0; i < data.len; i++) {
            same &= data.ptr[i] == http_pattern(e.salt, self->body_seen + i);
        }
    }
    self->run->result.wrong += !same;
    self->body_seen += (uint32_t)data.len;
}

/* Takes one step off the bytes: how many it used; false: it needs more. */
bool response_step(client *self, const char *bytes, size_t len, size_t *used)
{
    *used = len;
    if (self->closing) { /* the text of an early 408, which no HEAD would have */
        return len > 0;
    }
    if (self->answered == self->asked) { /* an answer that nobody asked for */
        self->run->result.wrong += len > 0 && !is_rude(self) && self->how != IDLER;
        return len > 0;
    }
    if (!self->in_body) {
        const asx_http1_verdict verdict = asx_http1_parse(&self->parser, bytes, len);
        if (verdict == ASX_HTTP1_DONE) {
            asx_http1_body_init(&self->body, &self->parser.head, &asx_http1_limits_default);
            self->in_body = true;
            *used = self->parser.head.head_len;
        }
        if (verdict == ASX_HTTP1_ERROR) {
            self->run->result.wrong++;
            self->broken = true;
        }
        return verdict == ASX_HTTP1_DONE;
    }
    switch (asx_http1_body_next(&self->body, bytes, len, used)) {
    case ASX_HTTP1_BODY_DATA:
        body_check(self, self->body.data);
        return true;
    case ASX_HTTP1_BODY_END:
        response_over(self);
        return true;
    case ASX_HTTP1_BODY_TRAILER:
        return true;
    case ASX_HTTP1_BODY_ERROR:
        self->run->result.wrong++;
        self->broken = true;
        return false;
    case ASX_HTTP1_BODY_NEED_MORE:
        break;
    }
    return *used > 0;
}

void response_bytes(client *self, const char *bytes, size_t len)
{
    size_t used;
    self->taken += (uint32_t)len;
    if (self->rest_len > 0) {
        memcpy(scratch, self->rest, self->rest_len);
        memcpy(scratch + self->rest_len, bytes, len);
        bytes = scratch;
        len += self->rest_len;
        self->rest_len = 0;
    }
    while (response_step(self, bytes, len, &used)) {
        bytes += used;
        len -= used;
    }
    if (len > sizeof(self->rest)) {
        self->run->result.wrong++;
        len = 0;
    }
    memcpy(self->rest, bytes, len);
    self->rest_len = (uint32_t)len;
}

/* Requests */

void request_text(client *self, bool last)
{
    const uint32_t salt = (uint32_t)asx_prng_below(&self->prng, 1000);
    uint32_t len = (uint32_t)asx_prng_below(&self->prng, 300);
    char *const out = self->out + self->out_len;
    const size_t room = sizeof(self->out) - self->out_len;
    const char *const close = last && asx_prng_below(&self->prng, 2) ? "Connection: close\r\n" : "";
    const uint64_t kind = asx_prng_below(&self->prng, 64);
    bool head = false;
    int n;
    if (self->run->plan.halt_at) {
        len = 100;
        n = snprintf(out, room, "GET /n/100/%03u HTTP/1.1\r\nHost: lab\r\nX-Pad: %017u\r\n\r\n",
                     salt, salt);
        asx_assert_eq(n, 64);
    } else if (kind < 8 && room > 400) {
        n = snprintf(out, room,
                     "POST /e/%u/%u HTTP/1.1\r\nHost: lab\r\nContent-Length: %u\r\n%s\r\n", len,
                     salt, len, close);
        for (uint32_t i = 0; i < len; i++) {
            out[n++] = http_pattern(salt, i);
        }
    } else {
        const char *route = "n";
        if (kind == 8) {
            route = "x";
        } else if (kind == 9) {
            len = 20000; /* more than one receive buffer */
        } else if (kind < 18) {
            route = "c";
        } else if (kind < 22) {
            route = "s";
        } else if (kind < 24) {
            head = true;
        } else if (kind == 24 && asx_prng_below(&self->prng, 8) == 0) {
            route = "p";
        }
        n = snprintf(out, room, "%s /%s/%u/%u HTTP/1.1\r\nHost: lab\r\n%s\r\n",
                     head ? "HEAD" : "GET", route, len, salt, close);
    }
    self->out_len += (uint32_t)n;
    self->expects[self->asked++] = { len, salt, head };
    self->run->result.requests++;
}

void on_event(asx_op *op)
{
    asx_task_notify(static_cast<client *>(op->work_arg)->task);
}

void on_send(asx_op *op)
{
    client *const self = asx_container_of(op, client, send);
    self->broken |= op->err != ASX_OK;
    self->out_sent += op->result;
    asx_task_notify(self->task);
}

void send_upto(client *self, asx_cx *cx, uint32_t upto)
{
    self->iov = { self->out + self->out_sent, upto - self->out_sent };
    self->send = {};
    self->send.code = ASX_OP_SEND;
    self->send.fd = self->fd;
    self->send.iov = &self->iov;
    self->send.iov_count = 1;
    self->broken |= asx_op_start(cx, &self->send, on_send) != ASX_OK;
}

void ask(client *self, asx_cx *cx)
{
    const uint8_t before = self->asked;
    self->out_len = 0;
    self->out_sent = 0;
    if (self->how == GARBAGE) {
        self->out_len = 40 + (uint32_t)asx_prng_below(&self->prng, 60);
        for (uint32_t i = 0; i < self->out_len; i++) {
            self->out[i] = (char)asx_prng_u64(&self->prng);
        }
        self->asked = self->total;
    } else if (self->how == PIPELINE) {
        while (self->asked < self->total && self->out_len < 400) {
            request_text(self, self->asked + 1 == self->total);
        }
    } else {
        request_text(self, self->asked + 1 == self->total);
    }
    if (self->how == LORIS) {
        self->out_len = self->out_len / 2;
    }
    if (self->answered == before) {
        response_begin(self);
    }
    uint32_t upto = self->out_len;
    if (self->how == HALTING) {
        upto = self->run->plan.halt_at
                   ? self->run->plan.halt_at
                   : 1 + (uint32_t)asx_prng_below(&self->prng, self->out_len - 1);
        self->paused = true;
        self->resume_ns = asx_time_add(asx_now(cx), asx_ms(1 + asx_prng_below(&self->prng, 1000)));
    }
    send_upto(self, cx, upto);
}

/* The course of it */

void on_recv(asx_op *op)
{
    client *const self = asx_container_of(op, client, recv);
    if (op->more) {
        response_bytes(self, op->rbuf->data, op->result);
        self->driver->ops->buf_return(self->driver, op->rbuf);
    } else {
        self->ended |= op->err == ASX_OK;
        self->broken |= op->err != ASX_OK && op->err != asx_err_errno(ECANCELED);
    }
    asx_task_notify(self->task);
}

bool connect_begin(client *self, asx_cx *cx)
{
    self->patience_until_ns = asx_time_add(asx_now(cx), patience_ns);
    self->addr = self->run->addr;
    if (self->driver->ops->socket(self->driver, ASX_ADDR_INET, false, nullptr, &self->fd)) {
        self->fd = -1;
        return false;
    }
    self->connect.code = ASX_OP_CONNECT;
    self->connect.fd = self->fd;
    self->connect.addr = &self->addr;
    return asx_op_start(cx, &self->connect, [](asx_op *op) {
               asx_task_notify(asx_container_of(op, client, connect)->task);
           }) == ASX_OK;
}

state connecting(client *self, asx_cx *cx, bool leave)
{
    if (asx_op_in_flight(&self->connect)) {
        if (leave) {
            asx_op_cancel(&self->connect);
        }
        return CONNECTING;
    }
    if (self->connect.err) {
        self->run->result.connects_failed++;
        return LEAVING;
    }
    self->recv.code = ASX_OP_RECV;
    self->recv.flags = ASX_OP_MULTI;
    self->recv.fd = self->fd;
    return asx_op_start(cx, &self->recv, on_recv) == ASX_OK ? TALKING : LEAVING;
}

void shut(client *self, asx_cx *cx)
{
    self->shut = true;
    self->shutdown.code = ASX_OP_SHUTDOWN;
    self->shutdown.fd = self->fd;
    self->shutdown.arg = SHUT_WR;
    self->shutdown.work_arg = self;
    self->broken |= asx_op_start(cx, &self->shutdown, on_event) != ASX_OK;
}

state talking(client *self, asx_cx *cx, bool leave)
{
    const bool all = self->answered == self->total;
    if (leave || self->broken || self->ended || (self->closing && !is_rude(self))) {
        self->run->result.gave_up += leave && !all && !is_rude(self);
        self->run->result.cut_short += !leave && !all && !is_rude(self);
        return LEAVING;
    }
    if (asx_op_in_flight(&self->send)) {
        return TALKING;
    }
    if (self->paused) {
        if (asx_now(cx) >= self->resume_ns) {
            self->paused = false;
            send_upto(self, cx, self->out_len);
        }
        return TALKING;
    }
    if (self->how == LEAVER && self->taken > 0) {
        return LEAVING;
    }
    if (self->answered == self->asked && self->asked < self->total) {
        ask(self, cx);
    } else if (self->how == HALF && self->asked == self->total && !self->shut) {
        shut(self, cx);
    } else if (all && self->how != IDLER && !is_rude(self)) {
        return LEAVING;
    }
    return TALKING;
}

/* True when no operation holds the descriptor any more. */
bool left(client *self)
{
    asx_op *const ops[] = { &self->recv, &self->send, &self->shutdown, &self->connect };
    bool idle = true;
    for (asx_op *op : ops) {
        asx_op_cancel(op);
        idle &= !asx_op_in_flight(op);
    }
    if (idle && self->fd >= 0) {
        self->driver->ops->close_now(self->driver, self->fd);
        self->fd = -1;
    }
    return idle;
}

bool step(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    client *const self = static_cast<client *>(frame);
    self->task = asx_task_of(cx);
    const bool cancelled = asx_is_cancelled(cx);
    const bool leave = cancelled || asx_now(cx) >= self->patience_until_ns;
    if (self->at == BORN && (asx_now(cx) >= self->resume_ns || cancelled)) {
        self->at = !cancelled && connect_begin(self, cx) ? CONNECTING : LEAVING;
        self->run->result.connects_failed += self->at == LEAVING;
    }
    if (self->at == CONNECTING) {
        self->at = connecting(self, cx, leave);
    }
    if (self->at == TALKING) {
        self->at = talking(self, cx, leave);
    }
    if (self->at == LEAVING && left(self)) {
        *outcome = asx_ok(0);
        return true;
    }
    static const char *const waits[] = { "its time", "connect", "response", "end of operations" };
    asx_task_waits_for(cx, waits[self->at]);
    asx_task_wake_at(cx, self->at == BORN || self->paused ? self->resume_ns
                         : self->at == LEAVING            ? ASX_TIME_NEVER
                                                          : self->patience_until_ns);
    return false;
}

void client_init(client *self, http_run *run, asx_cx *cx, asx_prng *prng)
{
    memset(self, 0, offsetof(client, fields));
    self->run = run;
    self->driver = asx_shard_driver(asx_shard_of(cx));
    asx_prng_init(&self->prng, asx_prng_u64(prng));
    self->how = (manner)asx_prng_below(prng, run->plan.rude ? MANNERS : LORIS);
    if (asx_prng_below(prng, 2)) {
        self->how = POLITE;
    }
    if (run->plan.halt_at) {
        self->how = HALTING;
    }
    self->fd = -1;
    self->total = (uint8_t)(1 + asx_prng_below(prng, std::min(run->plan.requests, requests_max)));
    self->resume_ns = asx_now(cx) + asx_prng_below(prng, run->plan.arrive_ns + 1);
    self->patience_until_ns = ASX_TIME_NEVER;
}

} // namespace

asx_outcome http_clients_main(asx_cx *cx, void *arg)
{
    http_run *const run = *static_cast<http_run **>(arg);
    asx_prng prng;
    asx_prng_init(&prng, run->plan.seed ^ 0xc11e);
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        asx_spawn_options options{};
        options.label = "client";
        options.detached_result = true;
        for (uint32_t i = 0; i < run->plan.clients; i++) {
            asx_handle task;
            void *frame = nullptr;
            if (asx_spawn_poll(&s->cx, asx_scope_region(s), step, nullptr, sizeof(client), &options,
                               &task, &frame) == ASX_OK) {
                client_init(static_cast<client *>(frame), run, cx, &prng);
            }
        }
    }
    return asx_ok(0);
}
