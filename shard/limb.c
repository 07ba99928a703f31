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
 * Data (requests, posts) waits in its task while a ring is full. Control goes around it: into the
 * reserved slots, and beyond them into a list of this shard's, which the protocol bounds by a fixed
 * number for each limb. */
#include <asx/shard/base/assert.h>
#include <asx/shard/limb.h>

#include "shard_internal.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_NS \
    ASX_NS_PER_MS             /* a full ring is looked at again after this, if nothing else runs \
                               */
#define SENDERS_WOKEN_MAX 64u /* of those that wait for one ring, each turn */
#define LIMB_COUNT_MAX (1u << 24)

enum limb_msg {
    MSG_SPAWN_REQ = 1, /* [0] request */
    MSG_SPAWN_ACK,     /* [0,1] proxy, [2,3] region */
    MSG_SPAWN_REFUSED, /* [0,1] proxy, [2] error */
    MSG_CANCEL,        /* [0,1] region, [2] reason; arg32 kind, should the copy have failed */
    MSG_CHILD_DONE,    /* [0,1] proxy, [2] payload; arg32 severity */
    MSG_WAKE,          /* [0,1] task */
    MSG_POST,          /* [0] function, [1] argument */
    MSG_SHUTDOWN,      /* [0] reason, or NULL */
};

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

/* Travels with SPAWN_REQ, which owns it. */
typedef struct limb_request {
    asx_handle proxy;
    asx_task_fn *fn;
    asx_drop_fn *drop;
    void *pointer; /* when arg_size is 0 */
    const char *label;
    asx_budget budget;
    size_t stack_bytes;
    size_t arg_size;
    uint32_t home, caps;
    int priority;
    max_align_t arg[];
} limb_request;

typedef struct parked_msg {
    struct parked_msg *next;
    asx_msg msg;
} parked_msg;

typedef struct limb_target {
    parked_msg *first, **last; /* control beyond the ring, in send order */
    asx_list senders;          /* waits of tasks with data */
} limb_target;

typedef struct asxi_limbs {
    asx_handle_table proxies;
    asx_timer retry;
    uint32_t next_from; /* where the next drain begins */
    bool counted_closed;
    limb_target targets[];
} asxi_limbs;

static void retry_fired(asx_timer *timer)
{
    (void)timer; /* the turn that it made happen looks at the rings */
}

asx_err asxi_limbs_create(asx_shard *shard)
{
    const uint32_t count = shard->mesh->shard_count;
    asxi_limbs *const limbs = calloc(1, sizeof(*limbs) + count * sizeof(limb_target));
    if (!limbs) {
        return ASX_E(NO_MEMORY);
    }
    asx_handle_table_init(&limbs->proxies, ASX_HANDLE_LIMB, (uint16_t)shard->index,
                          sizeof(asxi_limb), &shard->chunks, LIMB_COUNT_MAX);
    for (uint32_t i = 0; i < count; i++) {
        limbs->targets[i].last = &limbs->targets[i].first;
        asx_list_init(&limbs->targets[i].senders);
    }
    limbs->retry.fn = retry_fired;
    shard->limbs = limbs;
    return ASX_OK;
}

/* Handles and pointers in messages. */

static void put_handle(asx_msg *msg, unsigned at, asx_handle handle)
{
    memcpy(&msg->words[at], &handle, sizeof(handle));
}

static asx_handle get_handle(const asx_msg *msg, unsigned at)
{
    asx_handle handle;
    memcpy(&handle, &msg->words[at], sizeof(handle));
    return handle;
}
_Static_assert(sizeof(asx_handle) == 2 * sizeof(uint64_t), "a handle is two words of a message");

/* Sending */

static void send_control(asx_shard *shard, uint32_t to, const asx_msg *msg)
{
    limb_target *const target = &shard->limbs->targets[to];
    asx_msg *slot = NULL;
    if (!target->first) { /* nothing overtakes what is parked */
        slot = asx_ring_reserve(asx_mesh_ring(shard->mesh, shard->index, to), true);
    }
    if (asx_likely(slot != NULL)) {
        *slot = *msg;
    } else {
        parked_msg *const parked = malloc(sizeof(*parked));
        asx_assert(parked != NULL);
        parked->next = NULL;
        parked->msg = *msg;
        *target->last = parked;
        target->last = &parked->next;
    }
    shard->stats.messages_sent++;
}

static bool try_send_data(asx_shard *shard, uint32_t to, const asx_msg *msg)
{
    limb_target *const target = &shard->limbs->targets[to];
    asx_msg *const slot =
        target->first ? NULL
                      : asx_ring_reserve(asx_mesh_ring(shard->mesh, shard->index, to), false);
    if (!slot) {
        return false;
    }
    *slot = *msg;
    shard->stats.messages_sent++;
    return true;
}

/* Waits until the ring may have room. */
static asx_err wait_for_room(asx_cx *cx, uint32_t to)
{
    asxi_wait wait;
    asx_shard *const shard = cx->_shard;
    if (cx->_task->flags & ASXI_TASK_POLL) {
        return ASX_E(OVERLOADED);
    }
    if (asxi_observe_cancel(cx)) {
        return ASX_E(CANCELLED);
    }
    asxi_wait_init(&wait, cx);
    asx_list_push_back(&shard->limbs->targets[to].senders, &wait.link);
    const asxi_woken woken = asxi_wait_park(cx, &wait, "room in a ring", ASX_TIME_NEVER);
    return woken == ASXI_WOKEN ? ASX_OK : ASX_E(CANCELLED);
}

static asx_err remote_require(asx_cx *cx, uint32_t to)
{
    const asx_err err = asx_cx_require(cx, ASX_CAP_REMOTE);
    if (err) {
        return err;
    }
    if (!cx->_shard->limbs) {
        return ASX_E(RUNTIME_UNAVAILABLE);
    }
    return to < cx->_shard->mesh->shard_count ? ASX_OK : ASX_E(INVALID_ARGUMENT);
}

/* Home side */

static asxi_limb *limb_create(asx_shard *shard, asx_region *region, uint32_t to)
{
    asxi_limb *const limb = asx_handle_alloc(&shard->limbs->proxies, NULL);
    if (limb) {
        memset((char *)limb + sizeof(asx_slot), 0, sizeof(*limb) - sizeof(asx_slot));
        limb->parent = region;
        limb->shard = to;
        limb->seq = region->spawn_seq++;
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
        return ASX_E(REGION_CLOSED);
    }
    const asx_err err = asxi_region_admit(region, cx->_task->cx._region);
    const uint32_t children_max = region->limits.children_max;
    if (!err && children_max != 0 && region->live_children + region->credits >= children_max) {
        return ASX_E(AT_CAPACITY);
    }
    return err;
}

static limb_request *request_create(asx_cx *cx, asx_task_fn *fn, const void *arg, size_t arg_size,
                                    const asx_spawn_options *options)
{
    limb_request *const request = malloc(sizeof(*request) + arg_size);
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

static asx_err request_send(asx_cx *cx, uint32_t to, limb_request *request, asx_handle *handle)
{
    asx_shard *const shard = cx->_shard;
    for (;;) {
        asx_err err = limb_admit(cx, cx->_region);
        if (err) {
            return err;
        }
        asxi_limb *const limb = limb_create(shard, cx->_region, to);
        if (!limb) {
            return asx_handle_table_why(&shard->limbs->proxies);
        }
        request->proxy = asx_handle_of(limb);
        const asx_msg msg = { .kind = MSG_SPAWN_REQ, .words = { (uintptr_t)request } };
        if (try_send_data(shard, to, &msg)) {
            *handle = request->proxy;
            return ASX_OK;
        }
        cx->_region->credits--;
        cx->_region->spawn_seq--;
        limb_free(shard, limb);
        err = wait_for_room(cx, to);
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
    limb_request *request = NULL;
    asx_assert(fn != NULL);
    options = options ? options : &defaults;
    asx_err err = remote_require(cx, to);
    if (!err) {
        err = asx_cx_require(cx, ASX_CAP_SPAWN);
    }
    if (!err) {
        err = limb_admit(cx, cx->_region);
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
    asx_msg msg = { .kind = MSG_CANCEL, .arg32 = limb->reason->kind };
    put_handle(&msg, 0, limb->far);
    msg.words[2] = (uintptr_t)asx_reason_copy(limb->reason);
    send_control(shard, limb->shard, &msg);
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
    if (asx_handle_lookup(&shard->limbs->proxies, get_handle(msg, 0), &record)) {
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
        limb->far = get_handle(msg, 2);
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

static asx_outcome payload_take(const asx_msg *msg)
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
    const asx_outcome outcome = payload_take(msg);
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
        asxi_region_child_failed(region, outcome, limb->far);
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

/* Far side */

static asx_err limb_region_open(asx_shard *shard, const limb_request *request, asx_region **region,
                                asx_task **task)
{
    const asx_region_options options = { .budget = &request->budget,
                                         .caps = request->caps,
                                         .label = request->label };
    const asx_spawn_options spawn = { .priority = request->priority,
                                      .stack_bytes = request->stack_bytes,
                                      .label = request->label,
                                      .detached_result = true };
    void *arg = request->pointer;
    if (!shard->root) {
        return ASX_E(REGION_CLOSED);
    }
    asx_err err = asxi_region_admit(shard->root, NULL);
    if (!err) {
        err = asxi_region_create(shard, shard->root, &options, ASX_CAP_ALL, region);
    }
    if (err) {
        return err;
    }
    if (request->arg_size > 0) {
        arg = asx_heap_alloc(&(*region)->heap, request->arg_size);
        err = arg ? ASX_OK : ASX_E(NO_MEMORY);
    }
    if (!err) {
        err = asxi_task_create(NULL, *region, &spawn, 0, task);
    }
    if (err) {
        asx_region_close_begin(*region, ASX_CLOSE_CANCEL, NULL);
        return err;
    }
    if (request->arg_size > 0) {
        memcpy(arg, request->arg, request->arg_size);
    }
    (*task)->fn = request->fn;
    (*task)->drop = request->drop;
    (*task)->arg = arg;
    (*task)->arg_size = (uint32_t)request->arg_size;
    return ASX_OK;
}

static void request_drop(limb_request *request)
{
    if (request->drop) {
        request->drop(request->arg_size > 0 ? (void *)request->arg : request->pointer);
    }
}

static void on_spawn(asx_shard *shard, const asx_msg *msg)
{
    limb_request *request;
    asx_region *region = NULL;
    asx_task *task = NULL;
    memcpy(&request, &msg->words[0], sizeof(request));
    asx_msg answer = { .kind = MSG_SPAWN_ACK };
    put_handle(&answer, 0, request->proxy);
    const asx_err err = limb_region_open(shard, request, &region, &task);
    if (err) {
        answer.kind = MSG_SPAWN_REFUSED;
        answer.words[2] = err;
        request_drop(request);
    } else {
        region->is_limb = true;
        region->home = (asxi_limb_home){ .shard = request->home, .proxy = request->proxy };
        put_handle(&answer, 2, asx_handle_of(region));
        asxi_task_start(task);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, NULL);
    }
    send_control(shard, request->home, &answer);
    free(request);
}

static const asx_reason *reason_take(const asx_msg *msg, unsigned at)
{
    const asx_reason *reason;
    memcpy(&reason, &msg->words[at], sizeof(reason));
    return reason ? reason
                  : asx_reason_create((asx_cancel_kind)msg->arg32, (asx_handle){ 0 },
                                      (asx_handle){ 0 }, 0, NULL, NULL);
}

static void on_cancel(asx_shard *shard, const asx_msg *msg)
{
    asx_region *region = NULL;
    const asx_reason *const reason = reason_take(msg, 2);
    if (asx_region_lookup(shard, get_handle(msg, 0), &region)) {
        shard->stats.messages_stale++; /* it crossed the CHILD_DONE (XSH-4) */
    } else {
        asx_region_close_begin(region, ASX_CLOSE_CANCEL, reason);
    }
    asx_reason_release(reason);
}

/* A copy that no other shard's counts touch. */
static uint64_t payload_copy(asx_outcome outcome)
{
    switch ((asx_severity)outcome.severity) {
    case ASX_SEVERITY_OK:
        return outcome.value;
    case ASX_SEVERITY_ERR:
        return outcome.err;
    case ASX_SEVERITY_CANCELLED:
        return (uintptr_t)asx_reason_copy(outcome.reason);
    case ASX_SEVERITY_PANICKED:
        break;
    }
    const asx_panic_info *const info = outcome.panic;
    asx_panic_info *copy = NULL;
    if (info) {
        copy = asx_panic_info_create((asx_panic_cause)info->cause, info->file, info->line,
                                     info->message);
    }
    if (copy) {
        copy->cut = info->cut;
    }
    return (uintptr_t)copy;
}

void asxi_limb_home_closed(asx_region *region, asx_outcome value)
{
    asx_msg msg = { .kind = MSG_CHILD_DONE, .arg32 = (uint32_t)value.severity };
    put_handle(&msg, 0, region->home.proxy);
    msg.words[2] = payload_copy(value);
    send_control(region->shard, region->home.shard, &msg);
}

/* Others */

asx_err asx_shard_post(asx_cx *cx, uint32_t to, asx_post_fn *fn, void *arg)
{
    asx_msg msg = { .kind = MSG_POST };
    asx_err err = remote_require(cx, to);
    asx_assert(fn != NULL);
    memcpy(&msg.words[0], &fn, sizeof(fn));
    memcpy(&msg.words[1], &arg, sizeof(arg));
    while (!err && !try_send_data(cx->_shard, to, &msg)) {
        err = wait_for_room(cx, to);
    }
    return err;
}

static void on_post(asx_shard *shard, const asx_msg *msg)
{
    asx_post_fn *fn;
    void *arg;
    memcpy(&fn, &msg->words[0], sizeof(fn));
    memcpy(&arg, &msg->words[1], sizeof(arg));
    fn(shard, arg);
}

static void wake_here(asx_shard *shard, asx_handle handle)
{
    void *record = NULL;
    if (asx_handle_lookup(&shard->tasks, handle, &record)) {
        shard->stats.wakes_stale++;
    } else {
        asx_task_notify(record);
    }
}

void asx_task_wake(asx_shard *shard, asx_handle task)
{
    if (task.shard == shard->index || !shard->limbs || task.shard >= shard->mesh->shard_count) {
        wake_here(shard, task);
        return;
    }
    asx_msg msg = { .kind = MSG_WAKE };
    put_handle(&msg, 0, task);
    send_control(shard, task.shard, &msg);
}

static void on_shutdown(asx_shard *shard, const asx_msg *msg)
{
    const asx_reason *const reason = reason_take(msg, 0);
    if (shard->root) {
        asx_region_close_begin(shard->root, ASX_CLOSE_CANCEL, reason);
    }
    asx_reason_release(reason);
}

void asx_shard_shutdown(asx_shard *shard, const char *message)
{
    const uint32_t count = shard->limbs ? shard->mesh->shard_count : 0;
    for (uint32_t to = 0; to < count; to++) {
        if (to != shard->index) {
            asx_msg msg = { .kind = MSG_SHUTDOWN, .arg32 = ASX_CANCEL_SHUTDOWN };
            msg.words[0] =
                (uintptr_t)asx_reason_create(ASX_CANCEL_SHUTDOWN, (asx_handle){ 0 },
                                             (asx_handle){ 0 }, shard->now_ns, message, NULL);
            send_control(shard, to, &msg);
        }
    }
    if (shard->root) {
        asx_region_cancel(shard->root, ASX_CANCEL_SHUTDOWN, message);
    }
}

/* The turn's two ends */

static void handle(asx_shard *shard, const asx_msg *msg)
{
    switch ((enum limb_msg)msg->kind) {
    case MSG_SPAWN_REQ:
        on_spawn(shard, msg);
        return;
    case MSG_SPAWN_ACK:
        on_ack(shard, msg);
        return;
    case MSG_SPAWN_REFUSED:
        on_refused(shard, msg);
        return;
    case MSG_CANCEL:
        on_cancel(shard, msg);
        return;
    case MSG_CHILD_DONE:
        on_child_done(shard, msg);
        return;
    case MSG_WAKE:
        wake_here(shard, get_handle(msg, 0));
        return;
    case MSG_POST:
        on_post(shard, msg);
        return;
    case MSG_SHUTDOWN:
        on_shutdown(shard, msg);
        return;
    }
    asx_unreachable();
}

unsigned asxi_mesh_drain(asx_shard *shard, unsigned limit)
{
    const uint32_t count = shard->mesh->shard_count;
    unsigned handled = 0;
    for (uint32_t i = 0; i < count && handled < limit; i++) {
        const uint32_t from = (shard->limbs->next_from + i) % count;
        asx_ring *const ring = asx_mesh_ring(shard->mesh, from, shard->index);
        for (asx_msg *slot; handled < limit && (slot = asx_ring_pop(ring)) != NULL; handled++) {
            handle(shard, slot);
        }
        asx_ring_consume_done(ring);
    }
    shard->limbs->next_from = (shard->limbs->next_from + 1) % count;
    return handled;
}

/* Moves what is parked into the ring, and tells data senders when there may be room. True: some
 * could not go. */
static bool target_flush(asx_ring *ring, limb_target *target)
{
    asx_msg *slot;
    while (target->first && (slot = asx_ring_reserve(ring, true)) != NULL) {
        parked_msg *const parked = target->first;
        *slot = parked->msg;
        target->first = parked->next;
        if (!target->first) {
            target->last = &target->first;
        }
        free(parked);
    }
    if (target->first) {
        return true;
    }
    if (asx_ring_has_room(ring, false)) {
        for (unsigned i = 0; i < SENDERS_WOKEN_MAX && !asx_list_empty(&target->senders); i++) {
            asxi_wait_resolve(asx_container_of(target->senders._next, asxi_wait, link), 0);
        }
    }
    return !asx_list_empty(&target->senders);
}

void asxi_mesh_publish(asx_shard *shard)
{
    asxi_limbs *const limbs = shard->limbs;
    asx_mesh *const mesh = shard->mesh;
    bool blocked = false;
    for (uint32_t to = 0; to < mesh->shard_count; to++) {
        asx_ring *const ring = asx_mesh_ring(mesh, shard->index, to);
        if (asx_unlikely(limbs->targets[to].first != NULL) ||
            asx_unlikely(!asx_list_empty(&limbs->targets[to].senders))) {
            blocked |= target_flush(ring, &limbs->targets[to]);
        }
        if (asx_ring_publish(ring) && to != shard->index && asx_mesh_wake_needed(mesh, to)) {
            asx_mesh_ring_bell(mesh, to);
        }
    }
    if (asx_unlikely(blocked) && !asx_timer_armed(&limbs->retry)) {
        asx_timer_arm(&shard->wheel, &limbs->retry, asx_time_add(shard->now_ns, RETRY_NS));
    } else if (asx_unlikely(asx_timer_armed(&limbs->retry)) && !blocked) {
        asx_timer_disarm(&shard->wheel, &limbs->retry);
    }
    if (asx_unlikely(shard->root_closed) && !limbs->counted_closed) {
        limbs->counted_closed = true;
        asx_mesh_closed_add(mesh);
    }
}

/* What still lies in the rings to this shard owns memory. */
static void msg_discard(const asx_msg *msg)
{
    limb_request *request;
    switch ((enum limb_msg)msg->kind) {
    case MSG_SPAWN_REQ:
        memcpy(&request, &msg->words[0], sizeof(request));
        request_drop(request);
        free(request);
        return;
    case MSG_CANCEL:
        asx_reason_release(reason_take(msg, 2));
        return;
    case MSG_SHUTDOWN:
        asx_reason_release(reason_take(msg, 0));
        return;
    case MSG_CHILD_DONE:
        asx_outcome_release(payload_take(msg));
        return;
    case MSG_SPAWN_ACK:
    case MSG_SPAWN_REFUSED:
    case MSG_WAKE:
    case MSG_POST:
        return;
    }
    asx_unreachable();
}

void asxi_limbs_destroy(asx_shard *shard)
{
    asxi_limbs *const limbs = shard->limbs;
    if (!limbs) {
        return;
    }
    asx_assert_eq(limbs->proxies.live, 0);
    for (uint32_t i = 0; i < shard->mesh->shard_count; i++) {
        asx_ring *const ring = asx_mesh_ring(shard->mesh, i, shard->index);
        for (asx_msg *slot; (slot = asx_ring_pop(ring)) != NULL;) {
            msg_discard(slot);
        }
        asx_ring_consume_done(ring);
        for (parked_msg *parked; (parked = limbs->targets[i].first) != NULL;) {
            limbs->targets[i].first = parked->next;
            msg_discard(&parked->msg);
            free(parked);
        }
    }
    asx_timer_disarm(&shard->wheel, &limbs->retry);
    asx_handle_table_deinit(&limbs->proxies);
    shard->limbs = NULL;
    free(limbs);
}
