/* Stories of what tasks share: locks, channels, permits, rings. */
#include <asx/shard/limb.h>
#include <asx/shard/sync/mpsc.h>
#include <asx/shard/sync/mutex.h>
#include <asx/shard/sync/notify.h>
#include <asx/shard/sync/semaphore.h>

#include "planted.h"

typedef struct shared {
    asx_mutex a, b;
    asx_semaphore semaphore;
    asx_notify notify;
    asx_mpsc_sender sender;
    asx_mpsc_receiver receiver;
    asx_mpsc_far far;
    asx_handle target;
    asx_permit permit;
    uint32_t sent, arrived, granted, committed, posted;
} shared;

static shared at; /* of the run: a task that outlives the program's frame still finds it */

static asx_outcome cancels(asx_cx *cx, void *arg)
{
    (void)arg;
    ASX_TRY(planted_yields(cx, 2));
    asx_task_cancel(cx, at.target, ASX_CANCEL_USER, "not needed");
    return asx_ok(0);
}

static void join_each(asx_cx *cx, const asx_handle *tasks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        planted_ignore(asx_join(cx, tasks[i]));
    }
}

static asx_outcome locks_both(asx_cx *cx, asx_mutex first, asx_mutex second)
{
    asx_mutex_guard outer, inner;
    ASX_TRY(asx_mutex_lock(cx, first, &outer));
    planted_ignore(asx_yield(cx));
    ASX_TRY(asx_mutex_lock(cx, second, &inner));
    asx_mutex_unlock(cx, inner);
    asx_mutex_unlock(cx, outer);
    return asx_ok(0);
}

static asx_outcome a_then_b(asx_cx *cx, void *arg)
{
    (void)arg;
    return locks_both(cx, at.a, at.b);
}

static asx_outcome b_then_a(asx_cx *cx, void *arg)
{
    (void)arg;
    ASX_TRY(planted_yields(cx, 3));
    return ASXI_PLANTED(ABBA) ? locks_both(cx, at.b, at.a) : locks_both(cx, at.a, at.b);
}

asx_outcome planted_abba(asx_cx *cx, void *arg)
{
    (void)arg;
    at = (shared){ 0 };
    must(!asx_mutex_open(cx, "a", &at.a) && !asx_mutex_open(cx, "b", &at.b));
    const asx_handle tasks[] = { planted_spawn(cx, a_then_b, NULL),
                                 planted_spawn(cx, b_then_a, NULL) };
    join_each(cx, tasks, 2);
    return asx_ok(0);
}

static asx_outcome locks(asx_cx *cx, void *arg)
{
    const uint32_t *const yields = arg;
    asx_mutex_guard guard;
    ASX_TRY(asx_mutex_lock(cx, at.a, &guard));
    (void)planted_yields(cx, *yields);
    asx_mutex_unlock(cx, guard);
    return asx_ok(0);
}

static uint32_t thrice = 3, never = 0;

asx_outcome planted_baton(asx_cx *cx, void *arg)
{
    (void)arg;
    at = (shared){ 0 };
    must(!asx_mutex_open(cx, "baton", &at.a));
    asx_handle tasks[4] = { planted_spawn(cx, locks, &thrice) };
    at.target = tasks[1] = planted_spawn(cx, locks, &never);
    tasks[2] = planted_spawn(cx, cancels, NULL);
    tasks[3] = planted_spawn(cx, locks, &never);
    join_each(cx, tasks, 4);
    return asx_ok(0);
}

static asx_outcome queues(asx_cx *cx, void *arg)
{
    asx_mutex_guard guard;
    (void)arg;
    const uint32_t ticket = at.arrived++;
    ASX_TRY(asx_mutex_lock(cx, at.a, &guard));
    must(ticket == at.granted++);
    planted_ignore(asx_yield(cx));
    asx_mutex_unlock(cx, guard);
    return asx_ok(0);
}

asx_outcome planted_fair(asx_cx *cx, void *arg)
{
    asx_handle tasks[4];
    (void)arg;
    at = (shared){ 0 };
    must(!asx_mutex_open(cx, "fair", &at.a));
    for (uint32_t i = 0; i < 4; i++) {
        tasks[i] = planted_spawn(cx, queues, NULL);
    }
    join_each(cx, tasks, 4);
    must(at.granted == 4);
    return asx_ok(0);
}

static asx_outcome acquires(asx_cx *cx, void *arg)
{
    const uint32_t *const yields = arg;
    asx_semaphore_permit permit;
    ASX_TRY(asx_semaphore_acquire(cx, at.semaphore, 1, &permit));
    (void)planted_yields(cx, *yields);
    asx_semaphore_release(cx, permit);
    return asx_ok(0);
}

asx_outcome planted_permits(asx_cx *cx, void *arg)
{
    (void)arg;
    at = (shared){ 0 };
    must(!asx_semaphore_open(cx, 1, "permits", &at.semaphore));
    asx_handle tasks[3] = { planted_spawn(cx, acquires, &thrice) };
    at.target = tasks[1] = planted_spawn(cx, acquires, &never);
    tasks[2] = planted_spawn(cx, cancels, NULL);
    join_each(cx, tasks, 3);
    must(asx_semaphore_available(cx, at.semaphore) == 1);
    return asx_ok(0);
}

static asx_outcome is_notified(asx_cx *cx, void *arg)
{
    (void)arg;
    ASX_TRY(asx_yield(cx));
    return asx_notify_wait_until(cx, at.notify, ASX_TIME_NEVER);
}

static asx_outcome notifies(asx_cx *cx, void *arg)
{
    (void)arg;
    ASX_TRY(planted_yields(cx, 2));
    asx_notify_one(cx, at.notify);
    return asx_ok(0);
}

asx_outcome planted_notified(asx_cx *cx, void *arg)
{
    (void)arg;
    at = (shared){ 0 };
    must(!asx_notify_open(cx, "notified", &at.notify));
    const asx_handle tasks[] = { planted_spawn(cx, is_notified, NULL),
                                 planted_spawn(cx, notifies, NULL) };
    join_each(cx, tasks, 2);
    return asx_ok(0);
}

static void channel_open(asx_cx *cx, uint32_t capacity)
{
    const asx_mpsc_options options = { .capacity = capacity, .item_size = sizeof(uint64_t) };
    must(!asx_mpsc_open(cx, &options, &at.sender, &at.receiver));
}

static uint32_t left_in_channel(asx_cx *cx)
{
    uint64_t item;
    uint32_t count = 0;
    while (!asx_mpsc_try_recv(cx, at.receiver, &item)) {
        count++;
    }
    return count;
}

static asx_outcome commits(asx_cx *cx, void *arg)
{
    const uint64_t item = 7;
    asx_mpsc_permit permit;
    (void)arg;
    ASX_TRY(asx_mpsc_reserve(cx, at.sender, &permit));
    (void)planted_yields(cx, 2);
    at.sent += !asx_mpsc_permit_send(cx, permit, &item);
    return asx_ok(0);
}

asx_outcome planted_commit(asx_cx *cx, void *arg)
{
    asx_handle tasks[2];
    (void)arg;
    at = (shared){ 0 };
    channel_open(cx, 2);
    at.target = tasks[0] = planted_spawn(cx, commits, NULL);
    tasks[1] = planted_spawn(cx, cancels, NULL);
    join_each(cx, tasks, 2);
    must(left_in_channel(cx) == at.sent);
    return asx_ok(0);
}

static asx_outcome receives(asx_cx *cx, void *arg)
{
    uint64_t item;
    (void)arg;
    ASX_TRY(asx_mpsc_recv(cx, at.receiver, &item));
    at.granted++;
    return asx_ok(0);
}

static asx_outcome sends(asx_cx *cx, void *arg)
{
    const uint64_t item = 7;
    (void)arg;
    ASX_TRY(planted_yields(cx, 2));
    ASX_TRY(asx_mpsc_send(cx, at.sender, &item));
    at.sent++;
    return asx_ok(0);
}

asx_outcome planted_item(asx_cx *cx, void *arg)
{
    asx_handle tasks[3];
    (void)arg;
    at = (shared){ 0 };
    channel_open(cx, 2);
    at.target = tasks[0] = planted_spawn(cx, receives, NULL);
    tasks[1] = planted_spawn(cx, sends, NULL);
    tasks[2] = planted_spawn(cx, cancels, NULL);
    join_each(cx, tasks, 3);
    must(left_in_channel(cx) + at.granted == at.sent);
    return asx_ok(0);
}

static asx_outcome sends_far(asx_cx *cx, void *arg)
{
    const uint64_t item = 7;
    asx_mpsc_permit permit;
    (void)arg;
    must(!asx_mpsc_import(cx, &at.far, &at.sender));
    ASX_TRY(asx_mpsc_reserve(cx, at.sender, &permit));
    asx_mpsc_permit_abort(cx, permit);
    return asx_mpsc_send(cx, at.sender, &item);
}

asx_outcome planted_credit(asx_cx *cx, void *arg)
{
    asx_handle limb;
    uint64_t item;
    (void)arg;
    at = (shared){ 0 };
    channel_open(cx, 1);
    must(!asx_mpsc_export(cx, at.sender, &at.far));
    must(!asx_spawn_on(cx, 1, sends_far, NULL, 0, NULL, &limb));
    ASX_TRY(asx_mpsc_recv(cx, at.receiver, &item));
    return asx_join_limb(cx, limb);
}

static void post(asx_shard *shard, void *arg)
{
    (void)shard;
    (void)arg;
    at.posted++;
}

asx_outcome planted_ring(asx_cx *cx, void *arg)
{
    (void)arg;
    at = (shared){ 0 };
    for (uint32_t i = 0; i < 12; i++) {
        must(!asx_shard_post(cx, 1, post, NULL));
    }
    const asx_instant from_ns = asx_now(cx);
    while (at.posted < 12) {
        ASX_TRY(asx_sleep(cx, 1000));
        must(asx_now(cx) < from_ns + asx_ms(1) / 5);
    }
    return asx_ok(0);
}

static asx_outcome little(asx_cx *cx, void *arg)
{
    (void)arg;
    return asx_yield(cx);
}

asx_outcome planted_bell(asx_cx *cx, void *arg)
{
    asx_handle limbs[2];
    (void)arg;
    for (uint32_t i = 0; i < 2; i++) {
        must(!asx_spawn_on(cx, 1, little, NULL, 0, NULL, &limbs[i]));
    }
    ASX_TRY(asx_join_limb(cx, limbs[0]));
    return asx_join_limb(cx, limbs[1]);
}

static asx_outcome inherits(asx_cx *cx, void *arg)
{
    (void)arg;
    ASX_TRY(planted_yields(cx, 2));
    at.committed += !asx_obligation_commit(cx, at.permit);
    return asx_ok(0);
}

asx_outcome planted_holder(asx_cx *cx, void *arg)
{
    const asx_obligation_options options = { .kind = ASX_OBLIGATION_ACK, .what = "handed over" };
    (void)arg;
    at = (shared){ 0 };
    must(!asx_obligation_reserve(cx, &options, &at.permit));
    const asx_handle task = planted_spawn(cx, inherits, NULL);
    must(!asx_obligation_transfer(cx, at.permit, task));
    ASX_TRY(planted_yields(cx, 2));
    must(asx_obligation_commit(cx, at.permit) != ASX_OK);
    ASX_TRY(asx_join(cx, task));
    must(at.committed == 1);
    return asx_ok(0);
}

static asx_outcome resolves(asx_cx *cx, void *arg)
{
    const asx_obligation_options options = { .kind = ASX_OBLIGATION_ACK, .what = "late" };
    (void)arg;
    must(!asx_obligation_reserve(cx, &options, &at.permit));
    (void)planted_yields(cx, 2);
    must(!asx_obligation_commit(cx, at.permit));
    return asx_ok(0);
}

asx_outcome planted_resolve(asx_cx *cx, void *arg)
{
    asx_handle tasks[2];
    (void)arg;
    at = (shared){ 0 };
    at.target = tasks[0] = planted_spawn(cx, resolves, NULL);
    tasks[1] = planted_spawn(cx, cancels, NULL);
    join_each(cx, tasks, 2);
    return asx_ok(0);
}

/* Relies on the kernel's word that a cancelled task's permits are given back. */
static asx_outcome reserves(asx_cx *cx, void *arg)
{
    const asx_obligation_options options = { .kind = ASX_OBLIGATION_ACK, .what = "given back" };
    (void)arg;
    must(!asx_obligation_reserve(cx, &options, &at.permit));
    ASX_TRY(planted_yields(cx, 3));
    must(!asx_obligation_commit(cx, at.permit));
    return asx_ok(0);
}

asx_outcome planted_dropped(asx_cx *cx, void *arg)
{
    asx_handle tasks[2];
    (void)arg;
    at = (shared){ 0 };
    at.target = tasks[0] = planted_spawn(cx, reserves, NULL);
    tasks[1] = planted_spawn(cx, cancels, NULL);
    join_each(cx, tasks, 2);
    return asx_ok(0);
}

asx_outcome planted_self_lock(asx_cx *cx, void *arg)
{
    asx_mutex_guard guard, again;
    (void)arg;
    at = (shared){ 0 };
    must(!asx_mutex_open(cx, "its own", &at.a));
    ASX_TRY(asx_mutex_lock(cx, at.a, &guard));
    const asx_outcome outcome = asx_mutex_lock(cx, at.a, &again);
    must(outcome.severity == ASX_SEVERITY_ERR);
    asx_mutex_unlock(cx, guard);
    return asx_ok(0);
}
