/* The caller's half of a call, and home's:
 *
 *   ASKED ──answer──> ANSWERED ──uses it, or was refused──> freed
 *     └──leave──> LEAVING <──leave──┘   LEAVING ──left──> freed
 *
 *   ASKED     `wait` is parked, or about to be
 *   ANSWERED  home is done with the call
 *   LEAVING   nobody waits; the region holds a credit; an answer means nothing any more */
#include <asx/shard/obligation_internal.h>

#include "far_internal.h"
#include "item_internal.h"

#include <string.h>

enum { ASK = 1, ANSWER, LEAVE, LEFT, RELEASE, TELL, ITEM, CLOSE };

typedef struct far_call {
    asxi_wait wait; /* far */
    asx_region *region;
    asx_handle object;
    const asxi_object_type *type;
    bool leaving;
    uint64_t amount; /* of the answer; until then asked for */
    uint32_t tag;    /* likewise */
    uint32_t role, sent_size, reply_size;
    struct {
        asxi_baton baton;
        bool waiting, granted;
    } home;
    char bytes[]; /* what was sent, then the reply */
} far_call;

/* [0,1] object, [2] call or type, [3] amount, [4] value told or tag; arg32 is the op's */
static asx_msg message(uint16_t op, asx_handle object, const void *pointer)
{
    asx_msg msg = { .kind = ASXI_MSG_FAR, .flags = op };
    asxi_mail_put_handle(&msg, 0, object);
    msg.words[2] = (uintptr_t)pointer;
    return msg;
}

static void *pointer_of(const asx_msg *msg)
{
    void *pointer;
    memcpy(&pointer, &msg->words[2], sizeof(pointer));
    return pointer;
}

/* Home */

static void answer(asx_shard *shard, far_call *call, uintptr_t value)
{
    asx_msg msg = message(ANSWER, call->object, call);
    call->home.granted = value == ASXI_LINE_GRANTED;
    msg.words[3] = call->home.baton.amount;
    msg.words[4] = value;
    msg.arg32 = call->home.baton.tag;
    asxi_mail_send(shard, call->region->shard->index, &msg);
}

static far_call *call_of(asxi_baton *baton)
{
    return asx_container_of(baton, far_call, home.baton);
}

void *asxi_far_sent(asxi_baton *baton)
{
    return call_of(baton)->bytes;
}

void *asxi_far_reply(asxi_baton *baton)
{
    return call_of(baton)->bytes + call_of(baton)->sent_size;
}

uint32_t asxi_far_reply_size(asxi_baton *baton)
{
    return call_of(baton)->reply_size;
}

void asxi_far_answer(asxi_baton *baton, uintptr_t value)
{
    far_call *const call = call_of(baton);
    asx_assert(call->home.waiting);
    call->home.waiting = false;
    answer(baton->object->shard, call, value);
}

/* errors  STALE, TYPE_MISMATCH */
static asx_err object_here(asx_shard *shard, asx_handle handle, const asxi_object_type *type,
                           uint32_t role, asxi_object **object)
{
    void *record;
    if (!shard->objects) {
        return ASX_E(STALE);
    }
    if (role == 0) {
        if (asx_handle_lookup(&shard->objects->objects, handle, &record)) {
            return ASX_E(STALE);
        }
        *object = record;
    } else {
        if (asx_handle_lookup(&shard->objects->ends, handle, &record) ||
            ((const asxi_end *)record)->role != role) {
            return ASX_E(STALE);
        }
        *object = ((const asxi_end *)record)->object;
    }
    return (*object)->type == type ? ASX_OK : ASX_E(TYPE_MISMATCH);
}

static void on_ask(asx_shard *shard, const asx_msg *msg)
{
    far_call *const call = pointer_of(msg);
    asxi_baton *const baton = &call->home.baton;
    asxi_object *object;
    asxi_line *line = NULL;
    asx_err err = object_here(shard, call->object, call->type, call->role, &object);
    if (!err && !asxi_object_is_open(object)) {
        err = ASXI_LINE_CLOSED;
    }
    *baton = (asxi_baton){ .amount = call->amount, .tag = call->tag, .tell = asxi_far_answer };
    if (!err) {
        baton->wait.task = call->wait.task;
        baton->object = object;
        err = object->type->far->ask(object, baton, &line);
    }
    if (line) {
        asx_assert_eq(err, ASX_OK);
        call->home.waiting = true;
        asxi_line_enter(line, baton);
    } else {
        answer(shard, call, err);
    }
}

static void on_leave(asx_shard *shard, const asx_msg *msg)
{
    far_call *const call = pointer_of(msg);
    asxi_object *object;
    if (call->home.waiting) {
        call->home.waiting = false;
        asxi_line_leave(&call->home.baton);
    } else if (call->home.granted &&
               !object_here(shard, call->object, call->type, call->role, &object)) {
        call->home.baton.leave(&call->home.baton, true);
    } else if (call->home.granted && call->type->far->lost) {
        call->type->far->lost(&call->home.baton);
    }
    const asx_msg left = message(LEFT, call->object, call);
    asxi_mail_send(shard, call->region->shard->index, &left);
}

static void on_told(asx_shard *shard, const asx_msg *msg)
{
    asxi_object *object;
    if (object_here(shard, asxi_mail_get_handle(msg, 0), pointer_of(msg), 0, &object) ||
        !asxi_object_is_open(object)) {
        shard->stats.messages_stale++;
        asxi_far_message_discard(msg);
    } else if (msg->flags == ITEM) {
        object->type->far->item(object, msg);
    } else if (msg->flags == RELEASE) {
        object->type->far->release(object, msg->words[3], (uint32_t)msg->words[4],
                                   (asx_settlement)msg->arg32);
    } else {
        object->type->far->tell(object, msg->arg32, msg->words[3]);
    }
}

/* Far */

static void call_free(far_call *call)
{
    asx_heap_free(&call->region->heap, call, sizeof(*call) + call->sent_size + call->reply_size);
}

static void on_answer(const asx_msg *msg)
{
    far_call *const call = pointer_of(msg);
    if (!call->leaving) {
        call->amount = msg->words[3];
        call->tag = msg->arg32;
        asxi_wait_resolve(&call->wait, msg->words[4]);
    }
}

static void on_left(const asx_msg *msg)
{
    far_call *const call = pointer_of(msg);
    asx_region *const region = call->region;
    asx_assert(call->leaving && region->credits > 0);
    call_free(call);
    region->credits--;
    asxi_region_advance(region);
}

void asxi_far_message(asx_shard *shard, const asx_msg *msg)
{
    switch (msg->flags) {
    case ASK:
        on_ask(shard, msg);
        return;
    case ANSWER:
        on_answer(msg);
        return;
    case LEAVE:
        on_leave(shard, msg);
        return;
    case LEFT:
        on_left(msg);
        return;
    case RELEASE:
    case TELL:
    case ITEM:
        on_told(shard, msg);
        return;
    case CLOSE:
        asxi_end_close_here(shard, asxi_mail_get_handle(msg, 0));
        return;
    }
    asx_unreachable();
}

/* A call that is under way is freed with its region. */
void asxi_far_message_discard(const asx_msg *msg)
{
    if (msg->flags == ITEM) {
        asxi_item_drop(msg);
    }
}

static void caller_leave(asxi_wait *wait)
{
    far_call *const call = asx_container_of(wait, far_call, wait);
    if (wait->resolved && wait->value != ASXI_LINE_GRANTED) {
        call_free(call);
        return;
    }
    const asx_msg msg = message(LEAVE, call->object, call);
    call->leaving = true;
    call->region->credits++;
    asxi_mail_send(call->region->shard, call->object.shard, &msg);
}

static asx_err call_open(asx_cx *cx, const asxi_far_request *request, far_call **opened)
{
    const asx_err err = asxi_mail_require(cx, request->object.shard);
    if (err) {
        return err;
    }
    asx_region *const region = cx->_task->cx._region;
    far_call *const call =
        asx_heap_alloc(&region->heap, sizeof(*call) + request->sent_size + request->reply_size);
    if (!call) {
        return ASX_E(NO_MEMORY);
    }
    memset(call, 0, sizeof(*call));
    call->amount = request->amount;
    call->tag = request->tag;
    call->role = request->role;
    call->sent_size = request->sent_size;
    call->reply_size = request->reply_size;
    if (request->sent_size > 0) {
        memcpy(call->bytes, request->sent, request->sent_size);
    }
    asxi_wait_init(&call->wait, cx);
    call->wait.leave = caller_leave;
    call->region = region;
    call->object = request->object;
    call->type = request->type;
    *opened = call;
    return ASX_OK;
}

/* Ok: granted, and `call` is the caller's. refused: the amount of a refusal; may be NULL. */
static asx_outcome ask(asx_cx *cx, const asxi_far_request *request, asx_instant deadline_ns,
                       uint64_t *refused, far_call **asked)
{
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    far_call *call;
    const asx_err err = call_open(cx, request, &call);
    if (err) {
        return asx_fail(err);
    }
    const asx_msg msg = message(ASK, request->object, call);
    asxi_mail_send(cx->_shard, request->object.shard, &msg);
    const asxi_woken woken = asxi_wait_park(cx, &call->wait, request->what, deadline_ns);
    const bool granted = call->wait.resolved && call->wait.value == ASXI_LINE_GRANTED;
    if (woken != ASXI_WOKEN && !(granted && request->grant_wins)) {
        caller_leave(&call->wait);
        return woken == ASXI_WOKEN_CANCELLED ? asxi_cancelled(cx) : asx_fail(ASX_E(TIMED_OUT));
    }
    const uintptr_t told = call->wait.value;
    if (told != ASXI_LINE_GRANTED) {
        if (refused) {
            *refused = call->amount;
        }
        call_free(call);
        return asx_fail(told == ASXI_LINE_CLOSED ? request->closed : (asx_err)told);
    }
    *asked = call;
    return asx_ok(0);
}

asx_outcome asxi_far_wait(asx_cx *cx, const asxi_far_request *request, asx_instant deadline_ns,
                          uint64_t *amount)
{
    far_call *call;
    const asx_outcome outcome = ask(cx, request, deadline_ns, amount, &call);
    if (asx_is_ok(outcome)) {
        if (amount) {
            *amount = call->amount;
        }
        if (request->reply_size > 0) {
            memcpy(request->reply, call->bytes + call->sent_size, request->reply_size);
        }
        call_free(call);
    }
    return outcome;
}

static void permit_lost(void *object, uint64_t amount, asx_settlement how)
{
    far_call *const call = object;
    asx_msg msg = message(RELEASE, call->object, call->type);
    msg.words[3] = amount;
    msg.words[4] = call->tag;
    msg.arg32 = how;
    asxi_mail_send(call->region->shard, call->object.shard, &msg);
    call_free(call);
}

asx_outcome asxi_far_acquire(asx_cx *cx, const asxi_far_request *request, asx_obligation_kind kind,
                             asx_instant deadline_ns, asx_permit *permit)
{
    far_call *call;
    const asx_outcome outcome = ask(cx, request, deadline_ns, NULL, &call);
    if (!asx_is_ok(outcome)) {
        return outcome;
    }
    const asx_obligation_options options = { .kind = kind,
                                             .what = request->what,
                                             .settle = permit_lost,
                                             .object = call,
                                             .amount = call->amount };
    const asx_err err = asx_obligation_reserve(cx, &options, permit);
    if (err) {
        permit_lost(call, call->amount, ASX_SETTLED_CANCEL);
        return asx_fail(err);
    }
    return asx_ok(0);
}

void asxi_far_release(asx_cx *cx, asx_permit permit, asx_obligation_state state)
{
    void *call;
    uint64_t amount;
    if (asxi_obligation_resolve(cx, permit, state, permit_lost, &call, &amount)) {
        return;
    }
    if (state == ASX_OBLIGATION_ABORTED) {
        call_free(call);
    } else {
        permit_lost(call, amount, ASX_SETTLED_CANCEL);
    }
}

asx_outcome asxi_far_ask(asx_cx *cx, const asxi_far_request *request, asx_instant deadline_ns,
                         asxi_far_grant *grant)
{
    far_call *call;
    const asx_outcome outcome = ask(cx, request, deadline_ns, NULL, &call);
    if (asx_is_ok(outcome)) {
        *grant = (asxi_far_grant){ call, call->amount, call->tag };
    }
    return outcome;
}

asx_err asxi_far_retag(asx_cx *cx, asx_permit permit, uint32_t from, uint32_t to, uint32_t op)
{
    void *object;
    const asx_err err = asxi_obligation_object(cx, permit, permit_lost, &object);
    if (err) {
        return err;
    }
    far_call *const call = object;
    if (call->tag != from) {
        return ASX_E(TYPE_MISMATCH);
    }
    call->tag = to;
    asx_msg msg = message(TELL, call->object, call->type);
    msg.arg32 = op;
    asxi_mail_send(cx->_shard, call->object.shard, &msg);
    return ASX_OK;
}

void asxi_far_grant_free(asxi_far_grant *grant)
{
    call_free(grant->_call);
    grant->_call = NULL;
}

void asxi_far_grant_end(asxi_far_grant *grant, uint64_t amount, uint32_t tag, asx_settlement how)
{
    far_call *const call = grant->_call;
    grant->_call = NULL;
    call->tag = tag;
    permit_lost(call, amount, how);
}

static bool is_there(const asx_shard *shard, asx_handle object)
{
    return shard->mail && object.shard != shard->index && object.shard < shard->mesh->shard_count;
}

static void send_if_there(asx_shard *shard, asx_handle object, const asx_msg *msg)
{
    if (is_there(shard, object)) {
        asxi_mail_send(shard, object.shard, msg);
    }
}

void asxi_far_tell(asx_cx *cx, asx_handle object, const asxi_object_type *type, uint32_t op,
                   uint64_t amount)
{
    asx_msg msg = message(TELL, object, type);
    asx_shard *const shard = cx->_shard;
    msg.arg32 = op;
    msg.words[ASXI_MAIL_SUM_WORD] = amount;
    if (!asx_cx_require(cx, ASX_CAP_REMOTE) && is_there(shard, object)) {
        asxi_mail_send_sum(shard, object.shard, &msg);
    }
}

/* Whoever may not speak to other shards may still let go of what it was given. */
void asxi_far_close(asx_shard *shard, asx_handle end)
{
    const asx_msg msg = message(CLOSE, end, NULL);
    send_if_there(shard, end, &msg);
}

void asxi_far_done(asx_shard *shard, asx_handle object, const asxi_object_type *type,
                   uint64_t amount)
{
    asx_msg msg = message(RELEASE, object, type);
    msg.words[3] = amount;
    msg.arg32 = ASX_SETTLED_CANCEL;
    send_if_there(shard, object, &msg);
}

void asxi_far_item(asx_shard *shard, asx_handle object, const asxi_object_type *type,
                   const void *item, uint32_t item_size, asx_drop_fn *drop)
{
    asx_msg msg = message(ITEM, object, type);
    asxi_item_put(&msg, item, item_size, drop);
    asxi_mail_send(shard, object.shard, &msg);
}
