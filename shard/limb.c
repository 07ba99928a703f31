/* Children on other shards: spawn, cancel and outcome as messages (XSH-1..7).
 *
 *   home                                   far
 *   REQUESTED (a credit) ──SPAWN_REQ──>    region below the root, sealed from birth
 *      │          <──ACK or REFUSED──      answered in the turn that reads the request
 *   OPEN (a child)       ──CANCEL──>       cancels the region; ignored once it is closed
 *      │          <──CHILD_DONE──          after CLOSED, heap included
 *   DONE                                   nothing
 *
 *   REQUESTED  `far` is null; a cancel is kept in `reason` and sent when the ACK arrives
 *   OPEN       `far` names the region; every stronger `reason` was sent
 *   DONE       `outcome` holds a reference; not counted by the region; stays until joined or the
 *              region is CLOSED
 *
 * Here is home; limb_far.c is the other side. How messages travel, and why control is never blocked
 * by data: mail.c. The protocol has a fixed number of control messages in flight for each limb. */
#include <asx/shard/base/assert.h>
#include <asx/shard/limb.h>

#include "limb_internal.h"
#include "trace_internal.h"

#include <stdlib.h>
#include <string.h>

#define LIMB_COUNT_MAX (1u << 24)

typedef enum limb_state { LIMB_REQUESTED, LIMB_OPEN, LIMB_DONE } limb_state;

typedef struct asxi_limb {
    asx_slot slot;
    struct asxi_limb *next, **at; /* in parent->limbs, newest first */
    asx_region *parent;
    asx_handle far;
    const asx_reason *reason; /* a reference: the strongest cancel asked for */
    asx_outcome outcome;
    asx_list waiters; /* of limb_wait */
    uint64_t seq;
    uint32_t shard;
    uint8_t state; /* limb_state */
} asxi_limb;

typedef struct limb_wait {
    asxi_wait wait;
    asx_outcome outcome; /* a reference, once resolved */
} limb_wait;

typedef struct asxi_limbs {
    asx_handle_table proxies;
} asxi_limbs;

asx_err asxi_limbs_create(asx_shard *shard)
{
    asxi_limbs *const limbs = calloc(1, sizeof(*limbs));
    if (!limbs) {
        return ASX_E(NO_MEMORY);
    }
    asx_handle_table_init(&limbs->proxies, ASX_HANDLE_LIMB, (uint16_t)shard->index,
                          sizeof(asxi_limb), &shard->chunks, LIMB_COUNT_MAX);
    shard->limbs = limbs;
    return ASX_OK;
}

void asxi_limbs_destroy(asx_shard *shard)
{
    if (shard->limbs) {
        asx_assert_eq(asx_handle_table_live(&shard->limbs->proxies), 0);
        asx_handle_table_deinit(&shard->limbs->proxies);
        free(shard->limbs);
        shard->limbs = NULL;
    }
}

static asxi_limb *limb_create(asx_shard *shard, asx_region *region, uint32_t to)
{
    asxi_limb *const limb = asx_handle_alloc(&shard->limbs->proxies, NULL);
    if (limb) {
        memset((char *)limb + sizeof(asx_slot), 0, sizeof(*limb) - sizeof(asx_slot));
        limb->parent = region;
        limb->shard = to;
        limb->seq = region->spawn_seq++;
        region->past_seqs++;
        limb->next = region->limbs;
        limb->at = &region->limbs;
        if (limb->next) {
            limb->next->at = &limb->next;
        }
        region->limbs = limb;
        asx_list_init(&limb->waiters);
        region->credits++;
    }
    return limb;
}

static void limb_free(asx_shard *shard, asxi_limb *limb)
{
    *limb->at = limb->next;
    if (limb->next) {
        limb->next->at = limb->at;
    }
    asx_reason_release(limb->reason);
    asx_outcome_release(limb->outcome);
    asx_handle_free(&shard->limbs->proxies, limb);
}

static asx_err limb_admit(asx_cx *cx, asx_region *region)
{
    if (!region) {
        return ASX_E(REGION_CLOSED); /* it closed while there was no room in the ring */
    }
    const uint32_t children_max = region->limits.children_max;
    const asx_err err = asxi_region_admit_part(region, cx->_task->cx._region);
    if (!err && children_max != 0 && region->live_children + region->credits >= children_max) {
        return asxi_refuse(region, ASX_LIMIT_CHILDREN, children_max,
                           region->live_children + region->credits);
    }
    return err ? err : asxi_region_admit(region, cx->_task->cx._region);
}

static asxi_limb_request *request_create(asx_cx *cx, asx_task_fn *fn, const void *arg,
                                         size_t arg_size, const asx_spawn_options *options)
{
    asxi_limb_request *const request = malloc(sizeof(*request) + arg_size);
    if (!request) {
        return NULL;
    }
    memset(request, 0, sizeof(*request));
    request->fn = fn;
    request->home = cx->_shard->index;
    request->caps = cx->_caps & (options->caps ? options->caps : ASX_CAP_ALL);
    request->budget = cx->_region->budget;
    if (options->budget) {
        request->budget = asx_budget_meet(request->budget, *options->budget);
    }
    request->has_resources = cx->_region->has_resources;
    if (request->has_resources) {
        request->resources = asx_region_resources_left(cx->_region);
    }
    request->priority = options->priority;
    request->stack_bytes = options->stack_bytes;
    request->label = options->label;
    request->drop = options->drop;
    request->arg_size = arg_size;
    if (arg_size > 0) {
        memcpy(request->arg, arg, arg_size);
    } else {
        memcpy(&request->pointer, &arg, sizeof(request->pointer));
    }
    return request;
}

void asxi_limb_request_drop(asxi_limb_request *request)
{
    if (request->drop) {
        request->drop(request->arg_size > 0 ? (void *)request->arg : request->pointer);
    }
}

void asxi_limb_request_free(asxi_limb_request *request)
{
    free(request);
}

static asx_err request_send(asx_cx *cx, uint32_t to, asxi_limb_request *request, asx_handle *handle)
{
    asx_shard *const shard = cx->_shard;
    for (;;) {
        asx_err err = limb_admit(cx, asxi_cx_region(cx));
        if (err) {
            return err;
        }
        asxi_limb *const limb = limb_create(shard, cx->_region, to);
        if (!limb) {
            asxi_region_arrival_undo(cx->_region);
            return asx_handle_table_why(&shard->limbs->proxies);
        }
        request->proxy = asx_handle_of(limb);
        const asx_msg msg = { .kind = ASXI_MSG_SPAWN_REQ, .words = { (uintptr_t)request } };
        if (asxi_mail_try_send(shard, to, &msg)) {
            *handle = request->proxy;
            return ASX_OK;
        }
        cx->_region->credits--;
        cx->_region->spawn_seq--;
        cx->_region->past_seqs--;
        asxi_region_arrival_undo(cx->_region);
        limb_free(shard, limb);
        err = asxi_mail_room_wait(cx, to);
        if (err) {
            return err;
        }
    }
}

asx_err asx_spawn_on(asx_cx *cx, uint32_t to, asx_task_fn *fn, const void *arg, size_t arg_size,
                     const asx_spawn_options *options, asx_handle *handle)
{
    static const asx_spawn_options defaults;
    asx_handle made = { 0 };
    asxi_limb_request *request = NULL;
    asx_assert(fn != NULL);
    options = options ? options : &defaults;
    asx_err err = asxi_mail_require(cx, to);
    if (!err) {
        err = asx_cx_require(cx, ASX_CAP_SPAWN);
    }
    if (!err) {
        const asx_region *const region = asxi_cx_region(cx);
        err = region ? asxi_region_admit_part(region, cx->_task->cx._region) : ASX_E(REGION_CLOSED);
    }
    if (!err) {
        request = request_create(cx, fn, arg, arg_size, options);
        err = request ? request_send(cx, to, request, &made) : ASX_E(NO_MEMORY);
    }
    if (err) {
        if (options->drop && arg) {
            void *dropped;
            memcpy(&dropped, &arg, sizeof(dropped));
            options->drop(dropped);
        }
        free(request);
    }
    if (handle) {
        *handle = made;
    }
    return err;
}

static void send_cancel(asx_shard *shard, const asxi_limb *limb)
{
    asx_msg msg = { .kind = ASXI_MSG_CANCEL, .arg32 = limb->reason->kind };
    asxi_mail_put_handle(&msg, 0, limb->far);
    msg.words[2] = (uintptr_t)asx_reason_copy(limb->reason);
    asxi_mail_send(shard, limb->shard, &msg);
}

static void limb_cancel(asxi_limb *limb, const asx_reason *reason)
{
    const asx_reason *const stronger = asx_reason_strengthen(limb->reason, reason);
    if (limb->state == LIMB_DONE || stronger == limb->reason) {
        return;
    }
    (void)asx_reason_retain(stronger);
    asx_reason_release(limb->reason);
    limb->reason = stronger;
    if (limb->state == LIMB_OPEN) {
        send_cancel(limb->parent->shard, limb);
    }
}

void asxi_limb_cancel_all(asx_region *region)
{
    const asx_reason *const reason =
        asx_reason_create(ASX_CANCEL_PARENT_CANCELLED, asx_handle_of(region), (asx_handle){ 0 },
                          region->reason->at_ns, NULL, region->reason);
    for (asxi_limb *limb = region->limbs; limb; limb = limb->next) {
        limb_cancel(limb, reason);
    }
    asx_reason_release(reason);
}

void asxi_limb_reap_all(asx_region *region)
{
    while (region->limbs) {
        asx_assert_eq(region->limbs->state, LIMB_DONE);
        limb_free(region->shard, region->limbs);
    }
}

/* The limb is over: `outcome` is a reference that the record takes. */
static void limb_finish(asxi_limb *limb, asx_outcome outcome)
{
    limb->state = LIMB_DONE;
    limb->outcome = outcome;
    for (asx_list *node; (node = asx_list_first(&limb->waiters)) != NULL;) {
        limb_wait *const waiter = asx_container_of(node, limb_wait, wait.link);
        waiter->outcome = asx_outcome_retain(outcome);
        asxi_wait_resolve(&waiter->wait, 0);
    }
}

static asxi_limb *proxy_of(asx_shard *shard, const asx_msg *msg)
{
    void *record = NULL;
    if (asx_handle_lookup(&shard->limbs->proxies, asxi_mail_get_handle(msg, 0), &record)) {
        shard->stats.messages_stale++;
        return NULL;
    }
    return record;
}

static void on_ack(asx_shard *shard, const asx_msg *msg)
{
    asxi_limb *const limb = proxy_of(shard, msg);
    if (limb) {
        asx_assert_eq(limb->state, LIMB_REQUESTED);
        limb->far = asxi_mail_get_handle(msg, 2);
        limb->state = LIMB_OPEN;
        asx_assert(limb->parent->credits > 0);
        limb->parent->credits--;
        limb->parent->live_children++;
        if (limb->reason) {
            send_cancel(shard, limb);
        }
    }
}

static void on_refused(asx_shard *shard, const asx_msg *msg)
{
    asxi_limb *const limb = proxy_of(shard, msg);
    if (limb) {
        asx_region *const region = limb->parent;
        asx_assert(limb->state == LIMB_REQUESTED && region->credits > 0);
        region->credits--;
        limb_finish(limb, asx_outcome_retain(limb->reason ? asx_cancelled(limb->reason)
                                                          : asx_fail(msg->words[2])));
        asxi_region_advance(region);
    }
}

asx_outcome asxi_limb_payload_take(const asx_msg *msg)
{
    asx_outcome outcome = { .severity = msg->arg32 };
    outcome.value = (uintptr_t)msg->words[2];
    if (msg->arg32 == ASX_SEVERITY_ERR) {
        outcome.err = msg->words[2];
    }
    return outcome;
}

static void on_child_done(asx_shard *shard, const asx_msg *msg)
{
    asxi_limb *const limb = proxy_of(shard, msg);
    const asx_outcome outcome = asxi_limb_payload_take(msg);
    if (!limb) {
        asx_outcome_release(outcome);
        return;
    }
    asx_region *const region = limb->parent;
    asx_assert(limb->state == LIMB_OPEN && region->live_children > 0);
    limb_finish(limb, outcome);
    if (outcome.severity != ASX_SEVERITY_OK) {
        /* Still counted: the policy may cancel the region, which must not close under this call. */
        asxi_region_fold(region, outcome, limb->seq);
        asxi_region_judge(region, outcome, limb->seq, limb->far);
    }
    region->live_children--;
    asxi_region_advance(region);
}

/* Joining */

static void limb_wait_leave(asxi_wait *wait)
{
    if (wait->resolved) {
        asx_outcome_release(asx_container_of(wait, limb_wait, wait)->outcome);
    }
}

asx_outcome asx_join_limb(asx_cx *cx, asx_handle handle)
{
    void *record = NULL;
    limb_wait self;
    asx_shard *const shard = cx->_shard;
    if (!shard->limbs) {
        return asx_fail(ASX_E(RUNTIME_UNAVAILABLE));
    }
    const asx_err err = asx_handle_lookup(&shard->limbs->proxies, handle, &record);
    if (err) {
        return asx_fail(err);
    }
    asxi_limb *const limb = record;
    if (limb->state != LIMB_DONE) {
        if (asxi_observe_cancel(cx)) {
            return asxi_cancelled(cx);
        }
        asxi_wait_init(&self.wait, cx);
        self.wait.leave = limb_wait_leave;
        ASXI_WAITS_FOR(&self.wait, limb->far);
        asx_list_push_back(&limb->waiters, &self.wait.link);
        const asxi_woken woken = asxi_wait_park(cx, &self.wait, "join of a limb", ASX_TIME_NEVER);
        if (woken != ASXI_WOKEN) {
            limb_wait_leave(&self.wait);
            return asxi_cancelled(cx);
        }
        const asx_outcome shared = asxi_task_lend(cx->_task, self.outcome);
        asx_outcome_release(self.outcome);
        if (!asx_handle_lookup(&shard->limbs->proxies, handle, &record)) {
            limb_free(shard, limb); /* the first of several joiners takes the record */
        }
        return shared;
    }
    const asx_outcome outcome = asxi_task_lend(cx->_task, limb->outcome);
    limb_free(shard, limb);
    return outcome;
}

void asx_limb_cancel(asx_cx *cx, asx_handle handle, asx_cancel_kind kind, const char *message)
{
    void *record = NULL;
    asx_shard *const shard = cx->_shard;
    if (!shard->limbs || asx_handle_lookup(&shard->limbs->proxies, handle, &record)) {
        shard->stats.wakes_stale++;
        return;
    }
    const asx_reason *const reason =
        asx_reason_create(kind, asx_region_handle(cx->_task->cx._region), asx_handle_of(cx->_task),
                          shard->now_ns, message, NULL);
    limb_cancel(record, reason);
    asx_reason_release(reason);
}

/* Messages */

void asxi_limb_message(asx_shard *shard, const asx_msg *msg)
{
    switch ((asxi_msg_kind)msg->kind) {
    case ASXI_MSG_SPAWN_REQ:
        asxi_limb_on_spawn(shard, msg);
        return;
    case ASXI_MSG_SPAWN_ACK:
        on_ack(shard, msg);
        return;
    case ASXI_MSG_SPAWN_REFUSED:
        on_refused(shard, msg);
        return;
    case ASXI_MSG_CANCEL:
        asxi_limb_on_cancel(shard, msg);
        return;
    case ASXI_MSG_CHILD_DONE:
        on_child_done(shard, msg);
        return;
    case ASXI_MSG_WAKE:
    case ASXI_MSG_POST:
    case ASXI_MSG_SHUTDOWN:
    case ASXI_MSG_OBJECT:
    case ASXI_MSG_FAR:
    case ASXI_MSG_MIGRATE_CALL:
    case ASXI_MSG_MIGRATE_ASK:
    case ASXI_MSG_MIGRATE_LOAN:
    case ASXI_MSG_MIGRATE_ACK:
    case ASXI_MSG_MIGRATE_BACK:
    case ASXI_MSG_MIGRATE_DONE:
    case ASXI_MSG_MIGRATE_WAKE:
    case ASXI_MSG_MIGRATE_CANCEL:
        break;
    }
    asx_unreachable();
}

void asxi_limb_message_discard(const asx_msg *msg)
{
    asxi_limb_request *request;
    if (msg->kind == ASXI_MSG_SPAWN_REQ) {
        memcpy(&request, &msg->words[0], sizeof(request));
        asxi_limb_request_drop(request);
        free(request);
    } else if (msg->kind == ASXI_MSG_CANCEL) {
        asx_reason_release(asxi_mail_take_reason(msg, 2));
    } else if (msg->kind == ASXI_MSG_CHILD_DONE) {
        asx_outcome_release(asxi_limb_payload_take(msg));
    }
}

const asxi_limb *asxi_limb_note_of(const asxi_limb *limb, asxi_limb_note *note)
{
    *note = (asxi_limb_note){ .shard = limb->shard,
                              .far = limb->far,
                              .over = limb->state == LIMB_DONE };
    return limb->next;
}
