/* The mail of a shard: messages into the rings to the others, and out of the rings from them.
 *
 * Data (requests, posts) waits in its task while a ring is full. Control goes around it: into the
 * reserved slots, and beyond them into a list of this shard's, which the senders' protocols bound
 * (XSH-7). Messages of one ordered pair are handled in send order. */
#include <asx/shard/base/assert.h>
#include <asx/shard/limb.h>

#include "mail_internal.h"
#include "migrate_internal.h"
#include "shard_internal.h"
#include "trace_internal.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_NS ASX_NS_PER_MS /* a full ring is looked at again, if nothing else runs */
#define SENDERS_WOKEN_MAX 64u  /* of those that wait for one ring, each turn */
#define UNPUBLISHED_MAX 64u    /* then the other shard can begin, long before the turn is over */

typedef struct parked_mail {
    struct parked_mail *next;
    asx_msg msg;
} parked_mail;

typedef struct mail_target {
    parked_mail *first, **last; /* control beyond the ring, in send order */
    asx_list senders;           /* waits of tasks with data */
} mail_target;

typedef struct asxi_mail {
    asx_timer retry;
    uint32_t next_from; /* where the next drain begins */
    bool counted_closed;
    mail_target targets[];
} asxi_mail;

static void retry_fired(asx_timer *timer)
{
    (void)timer; /* the turn that it made happen looks at the rings */
}

asx_err asxi_mail_create(asx_shard *shard)
{
    const uint32_t count = shard->mesh->shard_count;
    asxi_mail *const mail = calloc(1, sizeof(*mail) + count * sizeof(mail_target));
    if (!mail) {
        return ASX_E(NO_MEMORY);
    }
    for (uint32_t i = 0; i < count; i++) {
        mail->targets[i].last = &mail->targets[i].first;
        asx_list_init(&mail->targets[i].senders);
    }
    mail->retry.fn = retry_fired;
    shard->mail = mail;
    return ASX_OK;
}

/* Sending */

static uint64_t ring_id(uint32_t from, uint32_t to)
{
    return (uint64_t)from << 16 | to;
}

/* The lab may say that the ring is full. */
static asx_msg *slot_reserve(asx_shard *shard, uint32_t to, bool control)
{
    const asx_driver_ops *const ops = shard->driver->ops;
    asx_ring *const ring = asx_mesh_ring(shard->mesh, shard->index, to);
    const bool hidden =
        asx_unlikely(ops->choose != NULL) &&
        ops->choose(shard->driver, ASX_CHOICE_RINGSPACE, 2, ring_id(shard->index, to)) != 0;
    asx_msg *const slot = hidden ? NULL : asx_ring_reserve(ring, control);
    if (!slot && !hidden && ASXI_PLANTED(RING_OVERWRITE)) {
        return &ring->_producer.slots[(ring->_producer.tail - 1) & ring->_producer.mask];
    }
    if (!slot) {
        ASXI_TRACE(shard, RING_FULL, ring_id(shard->index, to));
    }
    return slot;
}

/* In the lab both ends are on one thread, and the other's counter may be read. */
static inline void trace_push(asx_shard *shard, uint32_t to, const asx_msg *msg)
{
    const asx_ring *const ring = asx_mesh_ring(shard->mesh, shard->index, to);
    ASXI_TRACE(shard, RING_PUSH, ring_id(shard->index, to), ring->_producer.tail, msg->kind,
               ring->_producer.tail == ring->_consumer.head + 1);
    (void)ring;
    (void)msg;
}

/* Shows the other shard what was sent since the last time. */
static void ring_publish(asx_shard *shard, uint32_t to)
{
    asx_mesh *const mesh = shard->mesh;
    asx_ring *const ring = asx_mesh_ring(mesh, shard->index, to);
    if (asx_ring_publish(ring) && to != shard->index &&
        !(ASXI_PLANTED(BELL_SAVED) && asx_ring_count(ring) > 1) && asx_mesh_wake_needed(mesh, to)) {
        ASXI_TRACE(shard, DOORBELL, shard->index, to, 0);
        asx_mesh_ring_bell(mesh, to);
    }
}

static inline void slot_filled(asx_shard *shard, uint32_t to, const asx_msg *msg)
{
    trace_push(shard, to, msg);
    shard->stats.messages_sent++;
    if (asx_ring_unpublished(asx_mesh_ring(shard->mesh, shard->index, to)) >= UNPUBLISHED_MAX) {
        ring_publish(shard, to);
    }
}

/* Where one thread is both ends, what is written is read from the cache it was written into. */
static inline void slot_fill(asx_shard *shard, uint32_t to, asx_msg *slot, const asx_msg *msg)
{
    if (asx_unlikely(to == shard->index || shard->driver->ops->choose != NULL)) {
        *slot = *msg;
    } else {
        asx_ring_write(slot, msg);
    }
    slot_filled(shard, to, msg);
}

static void park(mail_target *target, const asx_msg *msg)
{
    parked_mail *const parked = malloc(sizeof(*parked));
    asx_assert(parked != NULL);
    *parked = (parked_mail){ .msg = *msg };
    *target->last = parked;
    target->last = &parked->next;
}

void asxi_mail_send(asx_shard *shard, uint32_t to, const asx_msg *msg)
{
    mail_target *const target = &shard->mail->targets[to];
    asx_msg *slot = NULL;
    if (asx_likely(!target->first)) { /* nothing overtakes what is parked */
        slot = slot_reserve(shard, to, true);
    }
    if (asx_likely(slot != NULL)) {
        slot_fill(shard, to, slot, msg);
    } else {
        park(target, msg);
        shard->stats.messages_sent++;
    }
}

/* Whether both say the same but for how much. */
static bool alike(const asx_msg *a, const asx_msg *b)
{
    return a->kind == b->kind && a->flags == b->flags && a->arg32 == b->arg32 &&
           memcmp(a->words, b->words, ASXI_MAIL_SUM_WORD * sizeof(a->words[0])) == 0;
}

void asxi_mail_send_sum(asx_shard *shard, uint32_t to, const asx_msg *msg)
{
    mail_target *const target = &shard->mail->targets[to];
    if (target->first) {
        asx_msg *const last = &asx_container_of(target->last, parked_mail, next)->msg;
        uint64_t sum;
        if (alike(last, msg) && !__builtin_add_overflow(last->words[ASXI_MAIL_SUM_WORD],
                                                        msg->words[ASXI_MAIL_SUM_WORD], &sum)) {
            last->words[ASXI_MAIL_SUM_WORD] = sum;
            return;
        }
    }
    asxi_mail_send(shard, to, msg);
}

bool asxi_mail_try_send(asx_shard *shard, uint32_t to, const asx_msg *msg)
{
    mail_target *const target = &shard->mail->targets[to];
    asx_msg *const slot = target->first ? NULL : slot_reserve(shard, to, false);
    if (!slot) {
        return false;
    }
    slot_fill(shard, to, slot, msg);
    return true;
}

/* Waits until the ring may have room. */
asx_err asxi_mail_room_wait(asx_cx *cx, uint32_t to)
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
    asx_list_push_back(&shard->mail->targets[to].senders, &wait.link);
    const asxi_woken woken = asxi_wait_park(cx, &wait, "room in a ring", ASX_TIME_NEVER);
    return woken == ASXI_WOKEN ? ASX_OK : ASX_E(CANCELLED);
}

asx_err asxi_mail_require(asx_cx *cx, uint32_t to)
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

const asx_reason *asxi_mail_take_reason(const asx_msg *msg, unsigned at)
{
    const asx_reason *reason;
    memcpy(&reason, &msg->words[at], sizeof(reason));
    return reason ? reason
                  : asx_reason_create((asx_cancel_kind)msg->arg32, (asx_handle){ 0 },
                                      (asx_handle){ 0 }, 0, NULL, NULL);
}

/* What needs no more than a message */

asx_err asx_shard_post(asx_cx *cx, uint32_t to, asx_post_fn *fn, void *arg)
{
    asx_msg msg = { .kind = ASXI_MSG_POST };
    asx_err err = asxi_mail_require(cx, to);
    asx_assert(fn != NULL);
    memcpy(&msg.words[0], &fn, sizeof(fn));
    memcpy(&msg.words[1], &arg, sizeof(arg));
    while (!err && !asxi_mail_try_send(cx->_shard, to, &msg)) {
        err = asxi_mail_room_wait(cx, to);
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
    if (task.shard == shard->index || !shard->mail || task.shard >= shard->mesh->shard_count) {
        wake_here(shard, task);
        return;
    }
    asx_msg msg = { .kind = ASXI_MSG_WAKE };
    asxi_mail_put_handle(&msg, 0, task);
    asxi_mail_send(shard, task.shard, &msg);
}

static void on_shutdown(asx_shard *shard, const asx_msg *msg)
{
    const asx_reason *const reason = asxi_mail_take_reason(msg, 0);
    if (shard->root) {
        asx_region_close_begin(shard->root, ASX_CLOSE_CANCEL, reason);
    }
    asx_reason_release(reason);
}

void asx_shard_shutdown(asx_shard *shard, const char *message)
{
    const uint32_t count = shard->mail ? shard->mesh->shard_count : 0;
    for (uint32_t to = 0; to < count; to++) {
        if (to != shard->index) {
            asx_msg msg = { .kind = ASXI_MSG_SHUTDOWN, .arg32 = ASX_CANCEL_SHUTDOWN };
            msg.words[0] =
                (uintptr_t)asx_reason_create(ASX_CANCEL_SHUTDOWN, (asx_handle){ 0 },
                                             (asx_handle){ 0 }, shard->now_ns, message, NULL);
            asxi_mail_send(shard, to, &msg);
        }
    }
    if (shard->root) {
        asx_region_cancel(shard->root, ASX_CANCEL_SHUTDOWN, message);
    }
}

/* The turn's two ends */

static void handle(asx_shard *shard, const asx_msg *msg)
{
    switch ((asxi_msg_kind)msg->kind) {
    case ASXI_MSG_SPAWN_REQ:
    case ASXI_MSG_SPAWN_ACK:
    case ASXI_MSG_SPAWN_REFUSED:
    case ASXI_MSG_CANCEL:
    case ASXI_MSG_CHILD_DONE:
        asxi_limb_message(shard, msg);
        return;
    case ASXI_MSG_WAKE:
        wake_here(shard, asxi_mail_get_handle(msg, 0));
        return;
    case ASXI_MSG_POST:
        on_post(shard, msg);
        return;
    case ASXI_MSG_SHUTDOWN:
        on_shutdown(shard, msg);
        return;
    case ASXI_MSG_OBJECT:
        asxi_object_message(shard, msg);
        return;
    case ASXI_MSG_FAR:
        asxi_far_message(shard, msg);
        return;
    case ASXI_MSG_MIGRATE_CALL:
    case ASXI_MSG_MIGRATE_ASK:
    case ASXI_MSG_MIGRATE_LOAN:
    case ASXI_MSG_MIGRATE_ACK:
    case ASXI_MSG_MIGRATE_BACK:
    case ASXI_MSG_MIGRATE_DONE:
    case ASXI_MSG_MIGRATE_WAKE:
    case ASXI_MSG_MIGRATE_CANCEL:
        asxi_migrate_message(shard, msg);
        return;
    }
    asx_unreachable();
}

/* How many of the messages that wait in a ring are not seen yet: none, live. */
static uint64_t hidden_count(asx_shard *shard, uint32_t from)
{
    const asx_driver_ops *const ops = shard->driver->ops;
    const uint32_t count = asx_ring_count(asx_mesh_ring(shard->mesh, from, shard->index));
    return count > 0 ? ops->choose(shard->driver, ASX_CHOICE_RINGVIS, count + 1,
                                   ring_id(from, shard->index))
                     : 0;
}

/* The ring to begin with: the next in turn or, in the lab, any of those that hold something. */
static uint32_t first_from(asx_shard *shard)
{
    const asx_driver_ops *const ops = shard->driver->ops;
    const uint32_t count = shard->mesh->shard_count;
    const uint32_t next = shard->mail->next_from;
    if (asx_likely(ops->choose == NULL)) {
        return next;
    }
    uint32_t filled = 0;
    for (uint32_t i = 0; i < count; i++) {
        filled += !asx_ring_empty(asx_mesh_ring(shard->mesh, i, shard->index));
    }
    if (filled < 2) {
        return next;
    }
    uint32_t k = ops->choose(shard->driver, ASX_CHOICE_RINGORD, filled, shard->index);
    uint32_t from = next;
    for (;; from = (from + 1) % count) {
        if (!asx_ring_empty(asx_mesh_ring(shard->mesh, from, shard->index)) && k-- == 0) {
            return from;
        }
    }
}

static unsigned ring_drain(asx_shard *shard, uint32_t from, unsigned limit)
{
    asx_ring *const ring = asx_mesh_ring(shard->mesh, from, shard->index);
    unsigned handled = 0;
    if (asx_unlikely(shard->driver->ops->choose != NULL)) {
        const uint32_t seen = asx_ring_count(ring) - (uint32_t)hidden_count(shard, from);
        limit = seen < limit ? seen : limit;
    }
    for (asx_msg *slot; handled < limit && (slot = asx_ring_pop(ring)) != NULL; handled++) {
        ASXI_TRACE(shard, RING_POP, ring_id(from, shard->index), ring->_consumer.head, slot->kind,
                   asx_ring_empty(ring));
        handle(shard, slot);
    }
    asx_ring_consume_done(ring);
    return handled;
}

unsigned asxi_mail_drain(asx_shard *shard, unsigned limit)
{
    const uint32_t count = shard->mesh->shard_count;
    const uint32_t first = first_from(shard);
    unsigned handled = 0;
    for (uint32_t i = 0; i < count && handled < limit; i++) {
        handled += ring_drain(shard, (first + i) % count, limit - handled);
    }
    shard->mail->next_from = (shard->mail->next_from + 1) % count;
    return handled;
}

/* Moves what is parked into the ring, and tells data senders when there may be room. True: some
 * could not go. */
static bool target_flush(asx_shard *shard, uint32_t to)
{
    mail_target *const target = &shard->mail->targets[to];
    asx_ring *const ring = asx_mesh_ring(shard->mesh, shard->index, to);
    asx_msg *slot;
    while (target->first && (slot = asx_ring_reserve(ring, true)) != NULL) {
        parked_mail *const parked = target->first;
        *slot = parked->msg;
        trace_push(shard, to, slot);
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

void asxi_mail_publish(asx_shard *shard)
{
    asxi_mail *const mail = shard->mail;
    asx_mesh *const mesh = shard->mesh;
    bool blocked = false;
    for (uint32_t to = 0; to < mesh->shard_count; to++) {
        if (asx_unlikely(mail->targets[to].first != NULL) ||
            asx_unlikely(!asx_list_empty(&mail->targets[to].senders))) {
            blocked |= target_flush(shard, to);
        }
        ring_publish(shard, to);
    }
    if (asx_unlikely(blocked) && !asx_timer_armed(&mail->retry)) {
        asx_timer_arm(&shard->wheel, &mail->retry, asx_time_add(shard->now_ns, RETRY_NS));
    } else if (asx_unlikely(asx_timer_armed(&mail->retry)) && !blocked) {
        asx_timer_disarm(&shard->wheel, &mail->retry);
    }
    if (asx_unlikely(shard->root_closed) && !mail->counted_closed) {
        mail->counted_closed = true;
        asx_mesh_closed_add(mesh);
    }
}

/* What still lies in the rings to this shard owns memory. */
static void discard(const asx_msg *msg)
{
    if (msg->kind == ASXI_MSG_SHUTDOWN) {
        asx_reason_release(asxi_mail_take_reason(msg, 0));
    } else if (msg->kind == ASXI_MSG_OBJECT) {
        asxi_object_message_discard(msg);
    } else if (msg->kind == ASXI_MSG_FAR) {
        asxi_far_message_discard(msg);
    } else if (msg->kind >= ASXI_MSG_MIGRATE_CALL) {
        asxi_migrate_message_discard(msg);
    } else {
        asxi_limb_message_discard(msg);
    }
}

void asxi_mail_destroy(asx_shard *shard)
{
    asxi_mail *const mail = shard->mail;
    if (!mail) {
        return;
    }
    for (uint32_t i = 0; i < shard->mesh->shard_count; i++) {
        asx_ring *const ring = asx_mesh_ring(shard->mesh, i, shard->index);
        for (asx_msg *slot; (slot = asx_ring_pop(ring)) != NULL;) {
            discard(slot);
        }
        asx_ring_consume_done(ring);
        for (parked_mail *parked; (parked = mail->targets[i].first) != NULL;) {
            mail->targets[i].first = parked->next;
            discard(&parked->msg);
            free(parked);
        }
    }
    asx_timer_disarm(&shard->wheel, &mail->retry);
    shard->mail = NULL;
    free(mail);
}
