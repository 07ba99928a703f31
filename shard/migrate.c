/* See the internal header for the protocol. A task that is AWAY at home:
 *
 *   wake    AWAY, in no lane; so it can neither be dispatched nor lent again
 *   state   as it left, CREATED or RUNNING; from a cancel request on CANCEL_REQUESTED
 *   far     its guest's region; null until the ACK, which sends what was kept back
 *   reason  set: sent, or to be sent with the ACK
 *
 * and its guest: GUEST, in a limb region of which `home` names shard and task; `home.cancelled`
 * says that a request came from there. */
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include "migrate_internal.h"
#include "trace_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct migrate_peer {
    bool is_source; /* it has called: it may have something */
    bool is_asked;  /* our question stands there */
    bool is_hungry; /* its question stands here */
} migrate_peer;

typedef struct asxi_migrate {
    uint32_t sendable_live; /* of this shard's own */
    uint32_t guests_live;
    uint32_t next;    /* the peer to be answered first */
    uint64_t look_at; /* the turn from which on the lane is looked through again */
    bool has_called;
    migrate_peer peers[];
} asxi_migrate;

typedef struct migrate_loan {
    asx_handle task;
    asx_step_fn *step;
    void *frame; /* in the region at home, which outlives the loan: the task is live */
    const char *label;
    asx_budget budget;
    asx_instant wake_at;
    uint64_t entropy; /* SEEDED: the state of its stream; else what the stream would begin from */
    uint32_t caps;
    uint32_t flags; /* of STARTED and SEEDED */
    uint8_t overrun;
} migrate_loan;

typedef struct migrate_batch {
    uint32_t count;
    migrate_loan loans[];
} migrate_batch;

/* Flags of BACK, beside STARTED and SEEDED. */
#define BACK_REFUSED (1u << 31) /* it never ran there: the rest says nothing */

static asxi_migrate *migrate_of(asx_shard *shard)
{
    if (!shard->migrate && shard->mail && shard->mesh->shard_count > 1) {
        const size_t peers = shard->mesh->shard_count * sizeof(migrate_peer);
        shard->migrate = calloc(1, sizeof(asxi_migrate) + peers);
    }
    return shard->migrate; /* NULL: sendable is a permission, and nobody makes use of it */
}

void asxi_migrate_task_made(asx_shard *shard)
{
    asxi_migrate *const self = migrate_of(shard);
    if (self) {
        self->sendable_live++;
    }
}

void asxi_migrate_task_ended(asx_shard *shard)
{
    asxi_migrate *const self = shard->migrate;
    if (self && self->sendable_live > 0) {
        self->sendable_live--;
    }
}

void asxi_migrate_destroy(asx_shard *shard)
{
    if (shard->migrate) {
        asx_assert_eq(shard->migrate->guests_live, 0);
        free(shard->migrate);
        shard->migrate = NULL;
    }
}

/* What may move */

static bool holds_nothing(const asx_task *task)
{
    const asxi_body *const body = task->body;
    return !task->ops && (!body || (!body->masks && !body->defers && !body->obligations &&
                                    !body->dead && !body->mask_depth));
}

static bool is_between_steps(const asx_task *task)
{
    const uint32_t none = ASXI_TASK_ENDING | ASXI_TASK_ON_FIBER | ASXI_TASK_FINALIZER;
    return !(task->flags & none) && (task->flags & ASXI_TASK_POLL) && holds_nothing(task);
}

static bool may_be_lent(const asx_task *task)
{
    const uint32_t wanted = ASXI_TASK_SENDABLE;
    return (task->flags & (wanted | ASXI_TASK_MOVED)) == wanted && is_between_steps(task) &&
           task->state <= ASX_TASK_RUNNING && !task->cx._region->reason;
}

/* What it spawned or allocated here, it needs here. */
static bool may_go_home(asx_task *guest)
{
    const asx_region *const region = guest->cx._region;
    asxi_body *const body = guest->body;
    if (!is_between_steps(guest) || guest->state > ASX_TASK_CANCEL_REQUESTED ||
        asxi_region_live_tasks(region) != 1 || region->live_children + region->credits > 0 ||
        region->finalizers || region->objects || region->obligations > 0) {
        return false;
    }
    if (body && body->trail) { /* for people, and of what it did here */
        asx_heap_free(&guest->cx._region->heap, body->trail, sizeof(*body->trail));
        body->trail = NULL;
    }
    return asx_heap_bytes(&region->heap) == (body ? asx_align_up(sizeof(*body), 16) : 0);
}

static bool may_go(asx_task *task, uint32_t to)
{
    if (task->flags & ASXI_TASK_GUEST) {
        return !(task->flags & ASXI_TASK_MOVED) && task->cx._region->home.shard == to &&
               !task->cx._region->reason && may_go_home(task);
    }
    return may_be_lent(task);
}

/* Without having been dispatched. */
static void lane_leave(asx_shard *shard, asx_task *task)
{
    shard->sched.requeued++;
    asxi_sched_take(shard, task);
}

/* Guests: the borrower's side */

static void send_back(asx_shard *shard, uint32_t home, asx_handle task, uint32_t flags,
                      const asx_task *guest)
{
    asx_msg msg = { .kind = ASXI_MSG_MIGRATE_BACK, .arg32 = flags };
    asxi_mail_put_handle(&msg, 0, task);
    if (guest) {
        msg.words[2] = flags & ASXI_TASK_SEEDED ? guest->body->entropy : 0;
        msg.words[3] = guest->budget.deadline_ns;
        msg.words[4] = guest->budget.cost_quota;
        msg.words[5] = guest->budget.poll_quota;
        msg.words[6] = asxi_task_wake_at(guest);
    }
    asxi_mail_send(shard, home, &msg);
}

/* It goes as it is, between two steps; what is left here ends unheard. */
static void guest_return(asx_task *guest)
{
    asx_shard *const shard = guest->cx._shard;
    asx_region *const region = guest->cx._region;
    asx_assert(region->is_guest);
    send_back(shard, region->home.shard, region->home.proxy,
              guest->flags & (ASXI_TASK_STARTED | ASXI_TASK_SEEDED), guest);
    region->is_limb = false;
    region->is_guest = false;
    asxi_migrate_guest_ended(shard);
    shard->stats.tasks_returned++;
    if (guest->wake == ASXI_WAKE_QUEUED) {
        lane_leave(shard, guest);
    }
    guest->wake = ASXI_WAKE_IDLE;
    asxi_task_end_away(guest, asx_ok(0));
}

bool asxi_migrate_leave(asx_task *guest)
{
    const asx_region *const region = guest->cx._region;
    if (!region->is_guest || !region->reason || region->home.cancelled || !may_go_home(guest)) {
        return false;
    }
    guest_return(guest);
    return true;
}

static asx_err guest_open(asx_shard *shard, const migrate_loan *loan, asx_region **region,
                          asx_task **task)
{
    const asx_region_options options = { .budget = &loan->budget,
                                         .caps = loan->caps,
                                         .overrun = (asx_overrun)loan->overrun,
                                         .label = loan->label };
    const asx_spawn_options spawn = { .label = loan->label, .detached_result = true };
    asx_err err = shard->root ? asxi_region_admit(shard->root, NULL) : ASX_E(REGION_CLOSED);
    if (!err) {
        err = asxi_region_create(shard, shard->root, &options, ASX_CAP_ALL, region);
    }
    if (err) {
        return err;
    }
    err = asxi_task_create(NULL, *region, &spawn, ASXI_TASK_POLL, task);
    if (!err && (loan->flags & ASXI_TASK_SEEDED) && !asxi_task_body(*task)) {
        asxi_task_uncreate(*task);
        err = ASX_E(NO_MEMORY);
    }
    if (err) {
        asx_region_close_begin(*region, ASX_CLOSE_CANCEL, NULL);
    }
    return err;
}

static void guest_fill(asx_task *guest, const migrate_loan *loan)
{
    guest->step = loan->step;
    guest->arg = loan->frame;
    guest->budget = loan->budget;
    guest->flags |= ASXI_TASK_GUEST | ASXI_TASK_MOVED | loan->flags;
    if (loan->flags & ASXI_TASK_SEEDED) {
        guest->body->entropy = loan->entropy;
    }
    asxi_task_start(guest);
    if (loan->flags & ASXI_TASK_STARTED) {
        asxi_task_state_set(guest, ASX_TASK_RUNNING);
    }
    if (loan->wake_at != ASX_TIME_NEVER) {
        asx_task_wake_at(&guest->cx, loan->wake_at);
    }
}

static asx_err guest_take(asx_shard *shard, uint32_t from, const migrate_loan *loan)
{
    asx_region *region = NULL;
    asx_task *guest = NULL;
    const asx_err err = guest_open(shard, loan, &region, &guest);
    if (err) {
        return err;
    }
    region->is_limb = true;
    region->is_guest = true;
    region->judges = true;
    region->home = (asxi_limb_home){ .shard = from, .proxy = loan->task };
    if (!(loan->flags & ASXI_TASK_SEEDED)) {
        region->entropy = loan->entropy;
    }
    shard->migrate->guests_live++;
    shard->stats.tasks_hosted++;
    asx_msg ack = { .kind = ASXI_MSG_MIGRATE_ACK };
    asxi_mail_put_handle(&ack, 0, loan->task);
    asxi_mail_put_handle(&ack, 2, asx_handle_of(region));
    asxi_mail_send(shard, from, &ack);
    guest_fill(guest, loan);
    asx_region_close_begin(region, ASX_CLOSE_JOIN, NULL);
    return ASX_OK;
}

static void on_loan(asx_shard *shard, const asx_msg *msg)
{
    migrate_batch *batch;
    const uint32_t from = msg->arg32;
    asxi_migrate *const self = shard->migrate;
    asx_assert(self && self->peers[from].is_asked);
    self->peers[from].is_asked = false;
    memcpy(&batch, &msg->words[0], sizeof(batch));
    /* It asked while it had nothing to do, which may be long ago. */
    const bool is_loaded = asxi_sched_ready_count(&shard->sched) >= ASX_MIGRATE_BATCH_MAX;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (is_loaded || guest_take(shard, from, &batch->loans[i])) {
            send_back(shard, from, batch->loans[i].task, BACK_REFUSED, NULL);
        }
    }
    free(batch);
}

static void on_wake(asx_shard *shard, const asx_msg *msg)
{
    asx_region *region = NULL;
    if (asx_region_lookup(shard, asxi_mail_get_handle(msg, 0), &region)) {
        shard->stats.wakes_stale++;
        return;
    }
    asx_list *const first = asx_list_first(&region->tasks);
    asx_task *const task = first ? asx_container_of(first, asx_task, sibling) : NULL;
    if (task && (task->flags & ASXI_TASK_GUEST)) { /* else it has ended, and others go on */
        asx_task_notify(task);
    }
}

static void on_cancel(asx_shard *shard, const asx_msg *msg)
{
    asx_region *region = NULL;
    const asx_reason *const reason = asxi_mail_take_reason(msg, 2);
    if (asx_region_lookup(shard, asxi_mail_get_handle(msg, 0), &region)) {
        shard->stats.messages_stale++;
    } else {
        region->home.cancelled = true;
        asx_region_close_begin(region, ASX_CLOSE_CANCEL, reason);
    }
    asx_reason_release(reason);
}

/* Tasks that are away: home */

static asx_task *away_of(asx_shard *shard, const asx_msg *msg)
{
    void *record = NULL;
    const asx_err err = asx_handle_lookup(&shard->tasks, asxi_mail_get_handle(msg, 0), &record);
    asx_assert_eq(err, ASX_OK);
    asx_assert_eq(((asx_task *)record)->wake, ASXI_WAKE_AWAY);
    return record;
}

static void send_wake(asx_task *task)
{
    asx_msg msg = { .kind = ASXI_MSG_MIGRATE_WAKE };
    asxi_mail_put_handle(&msg, 0, task->far);
    asxi_mail_send(task->cx._shard, task->far.shard, &msg);
}

/* A turn's messages leave at its end: a second one would say nothing new. */
void asxi_migrate_notify(asx_task *task)
{
    const uint64_t turn = task->cx._shard->stats.turns + 1;
    if (asx_handle_is_null(task->far)) {
        task->flags |= ASXI_TASK_WOKEN;
    } else if (task->run_seq != turn) {
        task->run_seq = turn;
        send_wake(task);
    }
}

void asxi_migrate_cancel(asx_task *task)
{
    asx_shard *const shard = task->cx._shard;
    if (!asx_handle_is_null(task->far)) {
        asx_msg msg = { .kind = ASXI_MSG_MIGRATE_CANCEL, .arg32 = task->reason->kind };
        asxi_mail_put_handle(&msg, 0, task->far);
        msg.words[2] = (uintptr_t)asx_reason_copy(task->reason);
        asxi_mail_send(shard, task->far.shard, &msg);
    }
}

static void on_ack(asx_shard *shard, const asx_msg *msg)
{
    asx_task *const task = away_of(shard, msg);
    asx_assert(asx_handle_is_null(task->far));
    task->far = asxi_mail_get_handle(msg, 2);
    if (task->flags & ASXI_TASK_WOKEN) {
        task->flags &= ~(uint32_t)ASXI_TASK_WOKEN;
        send_wake(task);
    }
    if (task->reason) {
        asxi_migrate_cancel(task);
    }
}

static void on_done(asx_shard *shard, const asx_msg *msg)
{
    asx_task *const task = away_of(shard, msg);
    task->wake = ASXI_WAKE_IDLE;
    task->flags &= ~(uint32_t)ASXI_TASK_WOKEN;
    asxi_task_end_away(task, asxi_limb_payload_take(msg));
}

static void home_again(asx_task *task, const asx_msg *msg)
{
    if (msg->arg32 & ASXI_TASK_STARTED) {
        task->flags |= ASXI_TASK_STARTED;
        if (task->state == ASX_TASK_CREATED) {
            asxi_task_state_set(task, ASX_TASK_RUNNING);
        }
    }
    if ((msg->arg32 & ASXI_TASK_SEEDED) && asxi_task_body(task)) {
        task->flags |= ASXI_TASK_SEEDED; /* without memory for that the stream begins anew */
        task->body->entropy = msg->words[2];
    }
    task->budget.deadline_ns = (asx_instant)msg->words[3];
    task->budget.cost_quota = msg->words[4];
    task->budget.poll_quota = (uint32_t)msg->words[5];
    task->flags &= ~(uint32_t)ASXI_TASK_WAKES;
    if ((asx_instant)msg->words[6] != ASX_TIME_NEVER) {
        asx_task_wake_at(&task->cx, (asx_instant)msg->words[6]);
    }
}

static void on_back(asx_shard *shard, const asx_msg *msg)
{
    asx_task *const task = away_of(shard, msg);
    if (!(msg->arg32 & BACK_REFUSED)) {
        home_again(task, msg);
    } else if (task->flags & ASXI_TASK_WAKES) {
        asx_task_wake_at(&task->cx, task->wake_at);
    }
    task->flags = (task->flags & ~(uint32_t)ASXI_TASK_WOKEN) | ASXI_TASK_MOVED;
    task->wake = ASXI_WAKE_QUEUED; /* as ready as it was when it left */
    asxi_sched_enqueue(shard, task);
}

static void lend(asx_shard *shard, asx_task *task, migrate_loan *loan)
{
    const bool is_seeded = (task->flags & ASXI_TASK_SEEDED) != 0;
    lane_leave(shard, task);
    asx_timer_disarm(&shard->wheel, &task->timer);
    *loan = (migrate_loan){ .task = asx_handle_of(task),
                            .step = task->step,
                            .frame = asxi_task_arg(task),
                            .label = asxi_task_label(task),
                            .budget = task->budget,
                            .wake_at = asxi_task_wake_at(task),
                            .caps = task->cx._caps,
                            .flags = task->flags & (ASXI_TASK_STARTED | ASXI_TASK_SEEDED),
                            .overrun = task->cx._region->overrun };
    /* The guest is its region's task 0, and draws what it would have drawn here (SPN-5). */
    loan->entropy = is_seeded ? task->body->entropy
                              : task->cx._region->entropy + task->spawn_seq * ASXI_STREAM_STRIDE;
    task->wake = ASXI_WAKE_AWAY;
    task->far = (asx_handle){ 0 };
    task->run_seq = 0;
    shard->stats.tasks_lent++;
}

/* The turn */

static void tell(asx_shard *shard, uint32_t to, asxi_msg_kind kind)
{
    const asx_msg msg = { .kind = (uint16_t)kind, .arg32 = shard->index };
    asxi_mail_send(shard, to, &msg);
}

static void call(asx_shard *shard)
{
    for (uint32_t to = 0; to < shard->mesh->shard_count; to++) {
        if (to != shard->index) {
            tell(shard, to, ASXI_MSG_MIGRATE_CALL);
        }
    }
}

static void ask(asx_shard *shard)
{
    asxi_migrate *const self = shard->migrate;
    if (!shard->root || asxi_region_admit(shard->root, NULL)) {
        return; /* closing: it could only send them back */
    }
    for (uint32_t to = 0; to < shard->mesh->shard_count; to++) {
        if (self->peers[to].is_source && !self->peers[to].is_asked) {
            self->peers[to].is_asked = true;
            tell(shard, to, ASXI_MSG_MIGRATE_ASK);
        }
    }
}

/* Those that would wait longest: the last of each priority, the most urgent priority first. */
static uint32_t collect(asx_shard *shard, uint32_t to, asx_task **tasks, uint32_t max)
{
    asxi_lane_queue *const lane = &shard->sched.ready;
    uint32_t count = 0, looked = 0;
    for (unsigned p = ASXI_PRIORITY_COUNT; p-- > 0;) {
        asx_list *const fifo = &lane->fifo[p];
        for (asx_list *node = fifo->_prev; node != fifo; node = node->_prev) {
            asx_task *const task = asx_container_of(node, asx_task, run);
            if (count == max || looked++ == ASX_MIGRATE_LOOK_MAX) {
                return count;
            }
            if (may_go(task, to)) {
                tasks[count++] = task;
            }
        }
    }
    return count;
}

static void hand_out(asx_shard *shard, uint32_t to, asx_task *const *tasks, uint32_t count)
{
    migrate_batch *const batch = malloc(sizeof(*batch) + count * sizeof(batch->loans[0]));
    if (!batch) {
        return;
    }
    batch->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (tasks[i]->flags & ASXI_TASK_GUEST) {
            guest_return(tasks[i]);
        } else {
            lend(shard, tasks[i], &batch->loans[batch->count++]);
        }
    }
    asx_msg msg = { .kind = ASXI_MSG_MIGRATE_LOAN, .arg32 = shard->index };
    msg.words[0] = (uintptr_t)batch;
    asxi_mail_send(shard, to, &msg);
    shard->migrate->peers[to].is_hungry = false;
}

/* False: there is nothing that it could be given. */
static bool answer(asx_shard *shard, uint32_t to)
{
    asx_task *tasks[ASX_MIGRATE_BATCH_MAX];
    const asx_driver_ops *const ops = shard->driver->ops;
    const uint64_t half = asxi_sched_ready_count(&shard->sched) / 2;
    const uint32_t max = half < ASX_MIGRATE_BATCH_MAX ? (uint32_t)half : ASX_MIGRATE_BATCH_MAX;
    uint32_t count = collect(shard, to, tasks, max);
    if (count == 0) {
        return false;
    }
    if (asx_unlikely(ops->choose != NULL)) {
        count -= ops->choose(shard->driver, ASX_CHOICE_MIGRATE, count + 1, shard->index);
    }
    if (count > 0) {
        hand_out(shard, to, tasks, count);
    }
    return true;
}

static void answer_all(asx_shard *shard)
{
    asxi_migrate *const self = shard->migrate;
    const uint32_t count = shard->mesh->shard_count;
    const uint32_t first = self->next;
    for (uint32_t i = 0;
         i < count && asxi_sched_ready_count(&shard->sched) >= ASX_MIGRATE_READY_MIN; i++) {
        const uint32_t to = (first + i) % count;
        if (self->peers[to].is_hungry) {
            self->next = (to + 1) % count;
            if (!answer(shard, to)) {
                self->look_at = shard->stats.turns + ASX_MIGRATE_COOL_TURNS;
                return;
            }
        }
    }
}

void asxi_migrate_turn(asx_shard *shard)
{
    asxi_migrate *const self = shard->migrate;
    const asxi_sched *const sched = &shard->sched;
    if (asxi_sched_ready_count(sched) >= ASX_MIGRATE_READY_MIN) {
        if (self->sendable_live + self->guests_live > 0 && shard->stats.turns >= self->look_at) {
            if (!self->has_called) {
                self->has_called = true;
                call(shard);
            }
            answer_all(shard);
        }
    } else if (asxi_sched_ready_count(sched) + sched->cancel_count + sched->timed_count == 0) {
        ask(shard);
    }
}

void asxi_migrate_guest_ended(asx_shard *shard)
{
    asx_assert(shard->migrate->guests_live > 0);
    shard->migrate->guests_live--;
}

/* Messages */

static void on_call(asx_shard *shard, const asx_msg *msg)
{
    asxi_migrate *const self = migrate_of(shard);
    if (self) {
        self->peers[msg->arg32].is_source = true;
    }
}

static void on_ask(asx_shard *shard, const asx_msg *msg)
{
    asx_assert(shard->migrate && !shard->migrate->peers[msg->arg32].is_hungry);
    shard->migrate->peers[msg->arg32].is_hungry = true;
}

void asxi_migrate_message(asx_shard *shard, const asx_msg *msg)
{
    switch (msg->kind) {
    case ASXI_MSG_MIGRATE_CALL:
        on_call(shard, msg);
        return;
    case ASXI_MSG_MIGRATE_ASK:
        on_ask(shard, msg);
        return;
    case ASXI_MSG_MIGRATE_LOAN:
        on_loan(shard, msg);
        return;
    case ASXI_MSG_MIGRATE_ACK:
        on_ack(shard, msg);
        return;
    case ASXI_MSG_MIGRATE_BACK:
        on_back(shard, msg);
        return;
    case ASXI_MSG_MIGRATE_DONE:
        on_done(shard, msg);
        return;
    case ASXI_MSG_MIGRATE_WAKE:
        on_wake(shard, msg);
        return;
    case ASXI_MSG_MIGRATE_CANCEL:
        on_cancel(shard, msg);
        return;
    default:
        asx_unreachable();
    }
}

void asxi_migrate_message_discard(const asx_msg *msg)
{
    if (msg->kind == ASXI_MSG_MIGRATE_CANCEL) {
        asx_reason_release(asxi_mail_take_reason(msg, 2));
    }
}
