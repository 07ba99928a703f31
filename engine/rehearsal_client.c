/* Clients as poll tasks: one connection each, a few requests on it, and a way of behaving.
 *
 *   BORN -> CONNECTING -> TALKING -> LEAVING -> over when no operation holds the descriptor */
#include <asx/proto/http1_parse.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/op.h>
#include <asx/shard/scope.h>
#include <asx/shard/shard.h>

#include "rehearsal_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

typedef enum manner {
    POLITE = 0, /* a request, its response, and so on */
    PIPELINE,   /* all requests at once */
    HALTING,    /* a request in two parts with a pause */
    HALF,       /* ends its half behind its last request */
    IDLER,      /* never closes */
    LORIS,      /* a head that never ends; from here on they are rude */
    GARBAGE,    /* no HTTP */
    LEAVER,     /* closes in the midst of a response */
    MANNERS,
} manner;

typedef enum stage { BORN = 0, CONNECTING, TALKING, LEAVING } stage;

#define PATIENCE_NS (200 * ASX_NS_PER_S)
#define REST_MAX 400u  /* of a head that has not come whole */
#define PLAIN_MAX 120u /* of a request without a body */
#define FIELDS_MAX 12u
#define OUT_MAX (ASXI_ASK_TEXT_MAX + 220u) /* one request, or several small ones */

typedef struct client {
    asxi_rehearsal *show;
    asx_driver *driver;
    asx_task *task;
    asx_prng prng;
    uint8_t how, at; /* manner · stage */
    bool paused, ended, broken, shut, in_body;
    bool closing; /* the server said that it was its last */
    uint8_t asked, answered, total;
    int32_t fd;
    uint32_t rest_len, out_len, out_sent;
    uint64_t body_seen, taken;
    asx_instant resume_ns, patience_until_ns;
    asxi_ask asks[ASXI_REHEARSAL_REQUESTS_MAX];
    asx_op connect, recv, send, shutdown;
    struct iovec iov;
    asx_http1_parser parser;
    asx_http1_body body;
    /* Written before they are read: not cleared at the start. */
    asx_header_field fields[FIELDS_MAX];
    char out[OUT_MAX];
    char rest[REST_MAX];
} client;

static bool is_rude(const client *self)
{
    return self->how >= LORIS;
}

/* Responses */

static void response_begin(client *self)
{
    self->in_body = false;
    self->body_seen = 0;
    if (self->answered < self->asked) {
        const bool head = asxi_ask_method(&self->asks[self->answered]).ptr[0] == 'H';
        asx_http1_parser_init_response(&self->parser, &asx_http1_limits_default, self->fields,
                                       FIELDS_MAX, head ? ASX_HTTP_HEAD : ASX_HTTP_GET);
    }
}

static void response_over(client *self)
{
    if (self->how == GARBAGE) {
        self->show->tally.other++;
    } else {
        asxi_ask_answered(&self->asks[self->answered], self->parser.head.status, self->body_seen,
                          &self->show->tally);
    }
    self->answered++;
    self->closing = !self->parser.head.keep_alive;
    response_begin(self);
}

static void body_check(client *self, asx_view data)
{
    const asxi_ask *const ask = &self->asks[self->answered];
    if (self->parser.head.status == ask->status) {
        self->show->tally.wrong += !asxi_ask_matches(ask, self->body_seen, data);
    }
    self->body_seen += data.len;
}

static bool response_wrong(client *self)
{
    self->show->tally.wrong++;
    self->broken = true;
    return false;
}

static bool head_step(client *self, const char *bytes, size_t len, size_t *used)
{
    const asx_http1_verdict verdict = asx_http1_parse(&self->parser, bytes, len);
    if (verdict == ASX_HTTP1_DONE) {
        asx_http1_body_init(&self->body, &self->parser.head, &asx_http1_limits_default);
        self->in_body = true;
        *used = self->parser.head.head_len;
    }
    return verdict == ASX_HTTP1_ERROR ? response_wrong(self) : verdict == ASX_HTTP1_DONE;
}

/* Before anything was asked: a connection that found no room is told so, and nothing else. */
static bool refusal_step(client *self, const char *bytes, size_t len)
{
    static const char line[] = "HTTP/1.1 503 ";
    const size_t known = len < sizeof(line) - 1 ? len : sizeof(line) - 1;
    if (memcmp(bytes, line, known) != 0) {
        return response_wrong(self);
    }
    self->closing = known == sizeof(line) - 1;
    self->show->tally.other += self->closing;
    return self->closing;
}

/* Takes one step off the bytes: how many it used; false: it needs more. */
static bool response_step(client *self, const char *bytes, size_t len, size_t *used)
{
    *used = len;
    if (self->closing) { /* the text of an early 408, which no HEAD would have */
        return len > 0;
    }
    if (self->answered == self->asked) { /* an answer that nobody asked for */
        const bool may = is_rude(self) || self->how == IDLER;
        if (self->asked == 0 && !may && len > 0) {
            return refusal_step(self, bytes, len);
        }
        self->show->tally.wrong += len > 0 && !may;
        return len > 0;
    }
    if (!self->in_body) {
        return head_step(self, bytes, len, used);
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
        return response_wrong(self);
    case ASX_HTTP1_BODY_NEED_MORE:
        break;
    }
    return *used > 0;
}

/* `bytes` begin with what was left over the last time. */
static void response_bytes(client *self, const char *bytes, size_t len)
{
    size_t used;
    while (response_step(self, bytes, len, &used)) {
        bytes += used;
        len -= used;
    }
    if (len > REST_MAX) {
        response_wrong(self);
        len = 0;
    }
    memmove(self->rest, bytes, len);
    self->rest_len = (uint32_t)len;
}

static void on_recv(asx_op *op)
{
    client *const self = asx_container_of(op, client, recv);
    if (op->more) {
        char whole[REST_MAX + 4096];
        const char *bytes = op->rbuf->data;
        size_t len = op->result;
        self->taken += len;
        if (self->rest_len > 0) { /* a head that came in pieces */
            const size_t room = sizeof(whole) - self->rest_len;
            len = len < room ? len : room;
            memcpy(whole, self->rest, self->rest_len);
            memcpy(whole + self->rest_len, bytes, len);
            response_bytes(self, whole, self->rest_len + len);
            bytes += len;
            len = op->result - len;
        }
        if (len > 0) {
            response_bytes(self, bytes, len);
        }
        self->driver->ops->buf_return(self->driver, op->rbuf);
    } else {
        self->ended |= op->err == ASX_OK;
        self->broken |= op->err != ASX_OK && op->err != asx_err_errno(ECANCELED);
    }
    asx_task_notify(self->task);
}

/* Requests */

static void on_send(asx_op *op)
{
    client *const self = asx_container_of(op, client, send);
    self->broken |= op->err != ASX_OK;
    self->out_sent += op->result;
    asx_task_notify(self->task);
}

static void send_upto(client *self, asx_cx *cx, uint32_t upto)
{
    self->iov = (struct iovec){ self->out + self->out_sent, upto - self->out_sent };
    self->send = (asx_op){ .code = ASX_OP_SEND, .fd = self->fd, .iov = &self->iov, .iov_count = 1 };
    self->broken |= asx_op_start(cx, &self->send, on_send) != ASX_OK;
}

static void ask_one(client *self)
{
    const bool with_body = self->how != PIPELINE;
    const bool close = self->asked + 1 == self->total && asx_prng_below(&self->prng, 2) > 0;
    asxi_ask *const ask = &self->asks[self->asked++];
    *ask = asxi_ask_draw(&self->prng, &self->show->plan, with_body);
    self->show->tally.requests++;
    if (self->show->plan.halt_at) {
        self->out_len = (uint32_t)snprintf(
            self->out, OUT_MAX, "GET /bytes/100 HTTP/1.1\r\nHost: lab\r\nX-Pad: %017u\r\n\r\n",
            ask->salt);
        asx_assert_eq(self->out_len, 64);
        return;
    }
    self->out_len += asxi_ask_write(ask, self->out + self->out_len, close);
}

static void ask_garbage(client *self)
{
    self->out_len = 40 + (uint32_t)asx_prng_below(&self->prng, 60);
    for (uint32_t i = 0; i < self->out_len; i++) {
        self->out[i] = (char)asx_prng_u64(&self->prng);
    }
    self->asked = self->total;
}

/* How much of what is to be said is said at once. */
static uint32_t first_part(client *self, asx_cx *cx)
{
    if (self->how == LORIS) {
        return self->out_len /= 2;
    }
    if (self->how != HALTING) {
        return self->out_len;
    }
    self->paused = true;
    self->resume_ns = asx_time_add(asx_now(cx), asx_ms(1 + asx_prng_below(&self->prng, 1000)));
    return self->show->plan.halt_at ? self->show->plan.halt_at
                                    : 1 + (uint32_t)asx_prng_below(&self->prng, self->out_len - 1);
}

static void ask(client *self, asx_cx *cx)
{
    const uint8_t before = self->asked;
    self->out_len = self->out_sent = 0;
    if (self->how == GARBAGE) {
        ask_garbage(self);
    } else {
        do {
            ask_one(self);
        } while (self->how == PIPELINE && self->asked < self->total &&
                 self->out_len + PLAIN_MAX <= OUT_MAX);
    }
    if (self->answered == before) {
        response_begin(self);
    }
    send_upto(self, cx, first_part(self, cx));
}

/* The course of it */

static void on_event(asx_op *op)
{
    asx_task_notify(asx_op_holder(op));
}

static bool connect_begin(client *self, asx_cx *cx)
{
    self->patience_until_ns = asx_time_add(asx_now(cx), PATIENCE_NS);
    if (self->driver->ops->socket(self->driver, (asx_addr_family)self->show->addr.family, false,
                                  NULL, &self->fd)) {
        self->fd = -1;
        return false;
    }
    self->connect = (asx_op){ .code = ASX_OP_CONNECT, .fd = self->fd, .addr = &self->show->addr };
    return asx_op_start(cx, &self->connect, on_event) == ASX_OK;
}

static stage connecting(client *self, asx_cx *cx, bool leave)
{
    if (asx_op_in_flight(&self->connect)) {
        if (leave) {
            asx_op_cancel(&self->connect);
        }
        return CONNECTING;
    }
    if (self->connect.err) {
        self->show->tally.connects_failed++;
        return LEAVING;
    }
    self->recv = (asx_op){ .code = ASX_OP_RECV, .flags = ASX_OP_MULTI, .fd = self->fd };
    return asx_op_start(cx, &self->recv, on_recv) == ASX_OK ? TALKING : LEAVING;
}

static void half_close(client *self, asx_cx *cx)
{
    self->shut = true;
    self->shutdown = (asx_op){ .code = ASX_OP_SHUTDOWN, .fd = self->fd, .arg = SHUT_WR };
    self->broken |= asx_op_start(cx, &self->shutdown, on_event) != ASX_OK;
}

/* Nothing is being sent, and nothing is wrong: what comes next. */
static stage go_on(client *self, asx_cx *cx)
{
    const bool all = self->answered == self->total;
    if (self->paused) {
        if (asx_now(cx) >= self->resume_ns) {
            self->paused = false;
            send_upto(self, cx, self->out_len);
        }
        return TALKING;
    }
    /* Who was answered in the middle of a request cannot begin another: it would be read as the
     * rest of the first. */
    if ((self->how == LEAVER && self->taken > 0) || (self->how == LORIS && self->answered > 0)) {
        return LEAVING;
    }
    if (self->answered == self->asked && self->asked < self->total) {
        ask(self, cx);
    } else if (self->how == HALF && self->asked == self->total && !self->shut) {
        half_close(self, cx);
    } else if (all && self->how != IDLER && !is_rude(self)) {
        return LEAVING;
    }
    return TALKING;
}

static stage talking(client *self, asx_cx *cx, bool leave)
{
    const bool all = self->answered == self->total;
    if (leave || self->broken || self->ended || (self->closing && !is_rude(self))) {
        self->show->tally.gave_up += leave && !all && !is_rude(self);
        self->show->tally.cut_short += !leave && !all && !is_rude(self);
        return LEAVING;
    }
    return asx_op_in_flight(&self->send) ? TALKING : go_on(self, cx);
}

/* True when no operation holds the descriptor any more. */
static bool left(client *self)
{
    asx_op *const ops[] = { &self->recv, &self->send, &self->shutdown, &self->connect };
    bool idle = true;
    for (size_t i = 0; i < asx_array_count(ops); i++) {
        asx_op_cancel(ops[i]);
        idle &= !asx_op_in_flight(ops[i]);
    }
    if (idle && self->fd >= 0) {
        self->driver->ops->close_now(self->driver, self->fd);
        self->fd = -1;
    }
    return idle;
}

static bool step(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    static const char *const waits[] = { "its time", "connect", "response", "end of operations" };
    client *const self = frame;
    self->task = asx_task_of(cx);
    const bool cancelled = asx_is_cancelled(cx);
    const bool leave = cancelled || asx_now(cx) >= self->patience_until_ns;
    if (self->at == BORN && (asx_now(cx) >= self->resume_ns || cancelled)) {
        self->at = !cancelled && connect_begin(self, cx) ? CONNECTING : LEAVING;
        self->show->tally.connects_failed += self->at == LEAVING;
    }
    if (self->at == CONNECTING) {
        self->at = (uint8_t)connecting(self, cx, leave);
    }
    if (self->at == TALKING) {
        self->at = (uint8_t)talking(self, cx, leave);
    }
    if (self->at == LEAVING && left(self)) {
        *outcome = asx_ok(0);
        return true;
    }
    asx_task_waits_for(cx, waits[self->at]);
    asx_task_wake_at(cx, self->at == LEAVING                ? ASX_TIME_NEVER
                         : self->at == BORN || self->paused ? self->resume_ns
                                                            : self->patience_until_ns);
    return false;
}

static void client_init(client *self, asxi_rehearsal *show, asx_cx *cx, asx_prng *prng)
{
    const asxi_rehearsal_plan *const plan = &show->plan;
    memset(self, 0, offsetof(client, fields));
    self->show = show;
    self->driver = asx_shard_driver(asx_shard_of(cx));
    asx_prng_init(&self->prng, asx_prng_u64(prng));
    self->how = (uint8_t)asx_prng_below(prng, plan->rude ? MANNERS : plan->calm ? HALTING : LORIS);
    if (asx_prng_below(prng, 2)) {
        self->how = POLITE;
    }
    if (plan->halt_at) {
        self->how = HALTING;
    }
    self->fd = -1;
    self->total =
        (uint8_t)(plan->exact ? plan->requests : 1 + asx_prng_below(prng, plan->requests));
    self->resume_ns = asx_now(cx) + asx_prng_below(prng, plan->arrive_ns + 1);
    self->patience_until_ns = ASX_TIME_NEVER;
}

void asxi_rehearsal_clients_start(asx_cx *cx, asx_region *region, asxi_rehearsal *self)
{
    const asx_spawn_options options = { .label = "client", .detached_result = true };
    asx_prng prng;
    asx_prng_init(&prng, self->plan.seed ^ 0xc11e);
    asx_assert_le(self->plan.requests, ASXI_REHEARSAL_REQUESTS_MAX);
    for (uint32_t i = 0; i < self->plan.clients; i++) {
        asx_handle task;
        void *frame = NULL;
        if (asx_spawn_poll(cx, region, step, NULL, sizeof(client), &options, &task, &frame) ==
            ASX_OK) {
            client_init(frame, self, cx, &prng);
        }
    }
}
