/* A call is the object between requester and handler:
 *
 *   WAITING ──reply──> REPLIED   ──decline──> REFUSED   ──handler lost──> FAILED
 *
 * The requester closes it when it leaves; the obligation keeps a ref, and finds it closed. A far
 * requester's is at home, where its baton stands in the channel's line first, and then in the
 * call's; request and reply are in the far call's memory. */
#include <asx/shard/obligation_internal.h>
#include <asx/shard/sync/session.h>

#include "far_internal.h"
#include "mpsc_internal.h"

#include <string.h>

#define REPLY_INLINE_BYTES 64u

typedef enum call_state { WAITING, REPLIED, REFUSED, FAILED } call_state;

typedef struct call {
    asxi_object object;
    const char *what;
    void *reply; /* reply_inline, or in the requester's region */
    bool far;    /* there */
    uint64_t refusal;
    asx_err failure;
    uint32_t reply_size;
    uint8_t state; /* call_state */
    asxi_line requester;
    uint64_t reply_inline[REPLY_INLINE_BYTES / sizeof(uint64_t)];
} call;

_Static_assert(sizeof(call) <= ASXI_OBJECT_BYTES, "a call fits a record");

/* What travels in the channel, in front of the request. */
typedef struct envelope {
    asx_handle call;
    asx_instant deadline_ns;
    const char *what;
} envelope;

#define ITEM_MAX (sizeof(envelope) + ASX_SESSION_REQUEST_MAX)
_Static_assert(ITEM_MAX <= ASX_MPSC_ITEM_MAX, "an enveloped request fits the channel");

static call *call_of(asxi_object *object)
{
    return asx_container_of(object, call, object);
}

static void call_close(asxi_object *object)
{
    call *const self = call_of(object);
    asxi_line_close(&self->requester);
    if (self->reply != self->reply_inline && !self->far) {
        asx_heap_free(&object->region->heap, self->reply, self->reply_size);
    }
}

static const asxi_object_type call_type = { .name = "call", .close = call_close };

static void settle(call *self, call_state state)
{
    self->state = (uint8_t)state;
    if (!asxi_line_empty(&self->requester)) {
        asxi_line_tell(asxi_line_head(&self->requester), ASXI_LINE_GRANTED);
    }
}

static void fail(call *self, asx_err failure)
{
    self->failure = failure;
    settle(self, FAILED);
}

/* A request that nobody will handle: its deadline has passed, or the channel dropped it. */
static void undelivered(asx_shard *shard, const void *item, asx_err failure)
{
    envelope head;
    void *record;
    memcpy(&head, item, sizeof(head));
    if (!asx_handle_lookup(&shard->objects->objects, head.call, &record) &&
        asxi_object_is_open(record)) {
        fail(call_of(record), failure);
    }
}

static void envelope_dropped(void *item)
{
    undelivered(asxi_shard_self, item, ASX_E(DISCONNECTED));
}

static const asxi_far_ops far_ops;

asx_err asx_session_open(asx_cx *cx, const asx_session_options *options, asx_session_client *client,
                         asx_session_server *server)
{
    asx_mpsc_sender sender;
    asx_mpsc_receiver receiver;
    *client = (asx_session_client){ 0 };
    *server = (asx_session_server){ 0 };
    if (options->request_size > ASX_SESSION_REQUEST_MAX ||
        options->reply_size > ASX_SESSION_REPLY_MAX) {
        return ASX_E(INVALID_ARGUMENT);
    }
    const asx_mpsc_options mpsc = { .capacity = options->capacity,
                                    .item_size =
                                        (uint32_t)(sizeof(envelope) + options->request_size),
                                    .drop = envelope_dropped,
                                    .what = options->what ? options->what : "session" };
    const asx_err err = asx_mpsc_open(cx, &mpsc, &sender, &receiver);
    if (!err) {
        asxi_mpsc_of_sender(cx, sender)->calls = &far_ops;
        *client = (asx_session_client){ sender._end, options->request_size, options->reply_size };
        *server = (asx_session_server){ receiver._end, options->request_size };
    }
    return err;
}

asx_err asx_session_client_clone(asx_cx *cx, asx_session_client client, asx_session_client *clone)
{
    asx_mpsc_sender sender;
    const asx_err err = asx_mpsc_sender_clone(cx, (asx_mpsc_sender){ client._end }, &sender);
    *clone = client;
    clone->_end = sender._end;
    return err;
}

/* Requesting */

static asx_err call_open(asx_cx *cx, uint32_t reply_size, call **opened)
{
    asxi_object *object;
    const asx_err err = asxi_object_open(cx, &call_type, offsetof(call, reply_inline), &object);
    if (err) {
        return err;
    }
    call *const self = call_of(object);
    self->reply_size = reply_size;
    self->reply = self->reply_inline;
    asxi_line_init(&self->requester);
    if (reply_size > REPLY_INLINE_BYTES) {
        self->reply = asx_heap_alloc(&object->region->heap, reply_size);
        if (!self->reply) {
            self->reply = self->reply_inline;
            asxi_object_close(object);
            return ASX_E(NO_MEMORY);
        }
    }
    *opened = self;
    return ASX_OK;
}

static asx_outcome call_result(const call *self, void *reply, uint64_t *refusal)
{
    switch ((call_state)self->state) {
    case REPLIED:
        memcpy(reply, self->reply, self->reply_size);
        return asx_ok(0);
    case REFUSED:
        if (refusal) {
            *refusal = self->refusal;
        }
        return asx_fail(ASX_E(REFUSED));
    case FAILED:
        return asx_fail(self->failure);
    case WAITING:
        break;
    }
    asx_unreachable();
}

static asx_outcome call_wait(asx_cx *cx, call *self, void *reply, uint64_t *refusal,
                             asx_instant deadline_ns)
{
    asxi_object_ref(&self->object);
    asx_outcome outcome = asx_ok(0);
    if (self->state == WAITING) {
        asxi_baton baton = { .object = &self->object, .leave = asxi_line_hold_nothing };
        outcome = asxi_line_wait(cx, &self->requester, &baton, "a reply", deadline_ns,
                                 ASX_E(DISCONNECTED));
    }
    if (asx_is_ok(outcome)) {
        outcome = call_result(self, reply, refusal);
    }
    asxi_object_unref(&self->object);
    return outcome;
}

typedef struct requesting {
    asx_defer defer;
    call *self;
} requesting;

/* The requester is gone, by whatever path. */
static void requester_left(asx_cx *cx, asx_defer *defer)
{
    (void)cx;
    asxi_object *const object = &asx_container_of(defer, requesting, defer)->self->object;
    asxi_object_close(object);
    asxi_object_unref(object);
}

/* For other shards */

static void requester_told(asxi_baton *baton, uintptr_t value)
{
    asxi_object *const object = baton->object;
    const call *const self = call_of(object);
    if (value != ASXI_LINE_GRANTED) {
        asxi_far_answer(baton, value); /* the session has closed, and the call with it */
        return;
    }
    if (self->state == REFUSED) {
        baton->amount = self->refusal;
        value = ASX_E(REFUSED);
    } else if (self->state == FAILED) {
        value = self->failure;
    }
    asxi_far_answer(baton, value);
    asxi_object_close(object);
}

/* granted: its reply is on its way, and nobody will read it. */
static void requester_leave(asxi_baton *baton, bool granted)
{
    if (!granted) {
        asxi_object_close(baton->object);
    }
}

/* A slot is reserved: the request is queued, and its baton waits in `*line`. */
static asx_err far_queue(asxi_mpsc *channel, asxi_baton *baton, asxi_line **line)
{
    asxi_object *object;
    const asx_err err = asxi_object_make(channel->object.shard, channel->object.region, &call_type,
                                         offsetof(call, reply_inline), &object);
    if (err) {
        asxi_mpsc_slots_return(channel, 1);
        return err;
    }
    call *const self = call_of(object);
    const asx_handle handle = asx_handle_of(self);
    char *const item = asxi_far_sent(baton);
    self->far = true;
    self->reply = asxi_far_reply(baton);
    self->reply_size = asxi_far_reply_size(baton);
    asxi_line_init(&self->requester);
    baton->object = object;
    baton->leave = requester_leave;
    baton->tell = requester_told;
    *line = &self->requester;
    memcpy(item + offsetof(envelope, call), &handle, sizeof(handle));
    asxi_mpsc_slot_fill(channel, item);
    return ASX_OK;
}

static void slot_told(asxi_baton *baton, uintptr_t value)
{
    asxi_line *line = NULL;
    if (value == ASXI_LINE_GRANTED) {
        value = far_queue(asx_container_of(baton->object, asxi_mpsc, object), baton, &line);
    }
    if (line) {
        asxi_line_enter(line, baton);
    } else {
        asxi_far_answer(baton, value);
    }
}

static asx_err far_ask(asxi_object *object, asxi_baton *baton, asxi_line **line)
{
    asxi_mpsc *const channel = asx_container_of(object, asxi_mpsc, object);
    const asx_err err = asxi_mpsc_slot_try(channel);
    if (err == ASX_E(FULL)) {
        baton->amount = 1;
        baton->tell = slot_told;
        *line = &channel->reservers;
        return ASX_OK;
    }
    return err ? err : far_queue(channel, baton, line);
}

static const asxi_far_ops far_ops = { .ask = far_ask };

static asx_outcome request_far(asx_cx *cx, asx_session_client client, const void *item, void *reply,
                               uint64_t *refusal, asx_instant deadline_ns)
{
    uint64_t code = 0;
    const asxi_far_request request = {
        .type = &asxi_mpsc_type,
        .object = client._end,
        .role = ASXI_MPSC_SENDER,
        .sent = item,
        .sent_size = (uint32_t)(sizeof(envelope) + client._request_size),
        .reply = reply,
        .reply_size = client._reply_size,
        .closed = ASX_E(DISCONNECTED),
        .what = "a far reply",
    };
    const asx_outcome outcome = asxi_far_wait(cx, &request, deadline_ns, &code);
    if (refusal && asx_is_err(outcome, ASX_E(REFUSED))) {
        *refusal = code;
    }
    return outcome;
}

/* Queues the item of an open call and waits for what becomes of it. */
static asx_outcome request_here(asx_cx *cx, asx_session_client client, char *item, void *reply,
                                uint64_t *refusal, asx_instant deadline_ns)
{
    call *self;
    const asx_err err = call_open(cx, client._reply_size, &self);
    if (err) {
        return asx_fail(err);
    }
    requesting now = { .self = self };
    const asx_handle handle = asx_handle_of(self);
    asxi_object_ref(&self->object);
    asx_defer_push(cx, &now.defer, requester_left);
    memcpy(item + offsetof(envelope, call), &handle, sizeof(handle));
    asx_outcome outcome =
        asx_mpsc_send_until(cx, (asx_mpsc_sender){ client._end }, item, deadline_ns);
    if (asx_is_ok(outcome)) {
        outcome = call_wait(cx, self, reply, refusal, deadline_ns);
    }
    asx_defer_pop(cx, &now.defer);
    requester_left(cx, &now.defer);
    return outcome;
}

asx_outcome asx_session_request_until(asx_cx *cx, asx_session_client client, const void *request,
                                      void *reply, uint64_t *refusal, asx_instant deadline_ns)
{
    char item[ITEM_MAX];
    const asx_instant budget_ns = asx_cx_budget(cx).deadline_ns;
    const envelope head = { .deadline_ns = deadline_ns < budget_ns ? deadline_ns : budget_ns,
                            .what = "a reply" };
    memcpy(item, &head, sizeof(head));
    memcpy(item + sizeof(head), request, client._request_size);
    const bool far = client._end.shard != cx->_shard->index && !asx_handle_is_null(client._end);
    return far ? request_far(cx, client, item, reply, refusal, deadline_ns)
               : request_here(cx, client, item, reply, refusal, deadline_ns);
}

/* Handling */

static void reply_lost(void *object, uint64_t amount, asx_settlement how)
{
    (void)amount;
    if (asxi_object_is_open(object)) {
        fail(call_of(object), how == ASX_SETTLED_CANCEL  ? ASX_E(PEER_CANCELLED)
                              : how == ASX_SETTLED_PANIC ? ASX_E(PEER_PANICKED)
                                                         : ASX_E(PEER_LOST));
    }
    asxi_object_unref(object);
}

static asx_err reply_make(asx_cx *cx, const envelope *head, asx_reply *reply)
{
    asxi_object *object = NULL;
    *reply = (asx_reply){ ._call = head->call, .deadline_ns = head->deadline_ns };
    if (asxi_object_find(cx, head->call, &call_type, &object)) {
        return ASX_E(STALE);
    }
    const asx_obligation_options options = {
        .kind = ASX_OBLIGATION_ACK, .what = head->what, .settle = reply_lost, .object = object
    };
    const asx_err err = asx_obligation_reserve(cx, &options, &reply->_obligation);
    if (err) {
        fail(call_of(object), ASX_E(PEER_LOST));
    } else {
        asxi_object_ref(object);
    }
    return err;
}

asx_outcome asx_session_next_until(asx_cx *cx, asx_session_server server, void *request,
                                   asx_reply *reply, asx_instant deadline_ns)
{
    char item[ITEM_MAX];
    for (;;) {
        envelope head;
        ASX_TRY(asx_mpsc_recv_until(cx, (asx_mpsc_receiver){ server._end }, item, deadline_ns));
        memcpy(&head, item, sizeof(head));
        if (head.deadline_ns <= cx->_shard->now_ns) {
            undelivered(cx->_shard, item, ASX_E(TIMED_OUT));
            continue;
        }
        memcpy(request, item + sizeof(head), server._request_size);
        const asx_err err = reply_make(cx, &head, reply);
        if (!err) {
            return asx_ok(0);
        }
        if (err != ASX_E(STALE)) { /* else its requester has left meanwhile */
            return asx_fail(err);
        }
    }
}

static asx_err reply_resolve(asx_cx *cx, asx_reply reply, asx_obligation_state state, call **self)
{
    void *object;
    uint64_t amount;
    const asx_err err =
        asxi_obligation_resolve(cx, reply._obligation, state, reply_lost, &object, &amount);
    if (!err) {
        *self = call_of(object);
    }
    return err;
}

asx_err asx_reply_send(asx_cx *cx, asx_reply reply, const void *value)
{
    call *self;
    const asx_err err = reply_resolve(cx, reply, ASX_OBLIGATION_COMMITTED, &self);
    if (err) {
        return err;
    }
    const bool open = asxi_object_is_open(&self->object);
    if (open) {
        memcpy(self->reply, value, self->reply_size);
        settle(self, REPLIED);
    }
    asxi_object_unref(&self->object);
    return open ? ASX_OK : ASX_E(DISCONNECTED);
}

void asx_reply_decline(asx_cx *cx, asx_reply reply, uint64_t code)
{
    call *self;
    if (reply_resolve(cx, reply, ASX_OBLIGATION_ABORTED, &self)) {
        return;
    }
    if (asxi_object_is_open(&self->object)) {
        self->refusal = code;
        settle(self, REFUSED);
    }
    asxi_object_unref(&self->object);
}

bool asx_reply_is_moot(asx_cx *cx, asx_reply reply)
{
    asxi_object *object;
    return asxi_object_find(cx, reply._call, &call_type, &object) || !asxi_object_is_open(object);
}

asx_err asx_reply_transfer(asx_cx *cx, asx_reply reply, asx_handle task)
{
    return asx_obligation_transfer(cx, reply._obligation, task);
}
