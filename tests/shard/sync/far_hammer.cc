/* Channels and locks between real threads: what the lab cannot show is whether the memory they hand
 * over is ordered. Under TSan the counter that is guarded by a far mutex alone is the proof.
 *
 * far_hammer [--seconds N] */
#include <asx/reactor/probe.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/limb.h>
#include <asx/shard/mesh.h>
#include <asx/shard/scope.h>
#include <asx/shard/shard.h>
#include <asx/shard/sync/barrier.h>
#include <asx/shard/sync/broadcast.h>
#include <asx/shard/sync/latch.h>
#include <asx/shard/sync/mpsc.h>
#include <asx/shard/sync/mutex.h>
#include <asx/shard/sync/notify.h>
#include <asx/shard/sync/once.h>
#include <asx/shard/sync/oneshot.h>
#include <asx/shard/sync/rwlock.h>
#include <asx/shard/sync/semaphore.h>
#include <asx/shard/sync/session.h>
#include <asx/shard/sync/watch.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace
{

constexpr uint32_t shards = 2, tasks = 6, rounds = 20, permits = 3;

struct round_of {
    asx_mutex mutex;
    asx_semaphore semaphore;
    asx_barrier barrier;
    asx_latch latch;
    asx_notify notify;
    asx_mpsc_far far[tasks];
    asx_oneshot_far reply[tasks];
    asx_rwlock rwlock;
    asx_once once;
    asx_session_client client[tasks];
    asx_broadcast_sender shouter[tasks];
    asx_broadcast_far heard[tasks];
    asx_watch_far shown[tasks];
    uint64_t counter = 0;        /* by the mutex */
    uint64_t pair[2] = { 0, 0 }; /* by the rwlock: equal for readers */
    std::atomic<uint64_t> made{ 0 };
    std::atomic<uint64_t> in_use{ 0 };
};

struct task_arg {
    round_of *round;
    uint32_t who;
};

struct totals {
    uint64_t rounds = 0, locked = 0, acquired = 0, items = 0, notified = 0, cancelled = 0;
    uint64_t replies = 0, shouted = 0, heard = 0, missed = 0;
};
totals sum;
uint32_t seconds = 2;

asx_instant soon(asx_cx *cx)
{
    return asx_random_below(cx, 3) ? ASX_TIME_NEVER
                                   : asx_shard_now(asx_shard_of(cx)) + asx_random_below(cx, 40000);
}

bool lock_once(asx_cx *cx, round_of *r)
{
    asx_mutex_guard guard;
    if (!asx_is_ok(asx_mutex_lock_until(cx, r->mutex, soon(cx), &guard))) {
        return false;
    }
    r->counter++;
    if (asx_random_below(cx, 8) == 0) {
        const asx_outcome yielded = asx_yield(cx);
        (void)yielded;
    }
    asx_mutex_unlock(cx, guard);
    return true;
}

bool acquire_once(asx_cx *cx, round_of *r)
{
    asx_semaphore_permit permit;
    const uint64_t n = 1 + asx_random_below(cx, permits);
    if (!asx_is_ok(asx_semaphore_acquire_until(cx, r->semaphore, n, soon(cx), &permit))) {
        return false;
    }
    asx_assert((r->in_use += n) <= permits);
    r->in_use -= n;
    asx_semaphore_release(cx, permit);
    return true;
}

/* Ok(locks taken | permits taken << 32) */
asx_outcome lockers(asx_cx *cx, void *arg)
{
    const task_arg *const self = static_cast<task_arg *>(arg);
    uint64_t locked = 0, acquired = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        locked += lock_once(cx, self->round);
        acquired += acquire_once(cx, self->round);
    }
    return asx_ok(locked | acquired << 32);
}

asx_outcome senders(asx_cx *cx, void *arg)
{
    const task_arg *const self = static_cast<task_arg *>(arg);
    asx_mpsc_sender tx;
    asx_assert(asx_mpsc_import(cx, &self->round->far[self->who], &tx) == ASX_OK);
    for (uint64_t i = 0; i < rounds; i++) {
        ASX_TRY(asx_mpsc_send(cx, tx, &i));
    }
    asx_mpsc_sender_close(cx, tx);
    asx_oneshot_sender reply;
    const uint64_t words[6] = { self->who, 1, 2, 3, 4, 5 };
    asx_assert(asx_oneshot_import(cx, &self->round->reply[self->who], &reply) == ASX_OK);
    asx_assert(asx_oneshot_send(cx, reply, words) == ASX_OK);
    return asx_ok(0);
}

/* Ok(how often it led) */
asx_outcome meet(asx_cx *cx, void *arg)
{
    const task_arg *const self = static_cast<task_arg *>(arg);
    uint64_t led = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        const asx_outcome met = asx_barrier_wait_until(cx, self->round->barrier, ASX_TIME_NEVER);
        asx_assert(asx_is_ok(met));
        led += met.value;
    }
    asx_notify_one(cx, self->round->notify);
    asx_latch_done(cx, self->round->latch, 1);
    ASX_TRY(asx_latch_wait_until(cx, self->round->latch, ASX_TIME_NEVER));
    ASX_TRY(asx_notify_wait_until(cx, self->round->notify, ASX_TIME_NEVER));
    return asx_ok(led);
}

/* Some never end by themselves, wherever they wait. */
asx_outcome doomed(asx_cx *cx, void *arg)
{
    const task_arg *const self = static_cast<task_arg *>(arg);
    for (;;) {
        asx_semaphore_permit permit;
        ASX_TRY(
            asx_semaphore_acquire_until(cx, self->round->semaphore, 1, ASX_TIME_NEVER, &permit));
        asx_semaphore_release(cx, permit);
        ASX_TRY(asx_checkpoint(cx));
    }
}

void read_or_write(asx_cx *cx, round_of *r)
{
    asx_rwlock_guard guard;
    if (asx_random_below(cx, 3)) {
        if (asx_is_ok(asx_rwlock_read_until(cx, r->rwlock, soon(cx), &guard))) {
            asx_assert_eq(r->pair[0], r->pair[1]);
            asx_rwlock_unlock(cx, guard);
        }
    } else if (asx_is_ok(asx_rwlock_write_until(cx, r->rwlock, soon(cx), &guard))) {
        r->pair[0]++;
        const asx_outcome yielded = asx_yield(cx);
        (void)yielded;
        r->pair[1]++;
        if (asx_random_below(cx, 2)) {
            asx_assert(asx_rwlock_downgrade(cx, &guard) == ASX_OK);
            asx_assert_eq(r->pair[0], r->pair[1]);
        }
        asx_rwlock_unlock(cx, guard);
    }
}

asx_outcome make_value(asx_cx *cx, void *arg)
{
    round_of *const r = static_cast<round_of *>(arg);
    ASX_TRY(asx_yield(cx));
    if (asx_random_below(cx, 2)) {
        return asx_fail(ASX_E(REFUSED));
    }
    r->made++;
    return asx_ok(77);
}

/* Calls what home has, and tells everybody. Ok(replies | shouts << 32) */
asx_outcome callers(asx_cx *cx, void *arg)
{
    const task_arg *const self = static_cast<task_arg *>(arg);
    round_of *const r = self->round;
    uint64_t replies = 0, shouts = 0;
    ASX_HOLD(cx, r->client[self->who]);
    ASX_HOLD(cx, r->shouter[self->who]);
    for (uint64_t i = 0; i < rounds; i++) {
        const uint64_t words[6] = { self->who, i, 2, 3, 4, 5 };
        uint64_t reply = 0;
        read_or_write(cx, r);
        const asx_outcome got =
            asx_session_request_until(cx, r->client[self->who], words, &reply, nullptr, soon(cx));
        asx_assert(!asx_is_ok(got) || reply == self->who + i);
        replies += asx_is_ok(got);
        shouts += asx_is_ok(asx_broadcast_send(cx, r->shouter[self->who], words));
        const asx_outcome value = asx_once_get_until(cx, r->once, make_value, r, ASX_TIME_NEVER);
        asx_assert(asx_is_err(value, ASX_E(REFUSED)) || value.value == 77);
    }
    return asx_ok(replies | shouts << 32);
}

asx_outcome serve(asx_cx *cx, void *arg)
{
    const asx_session_server server = *static_cast<asx_session_server *>(arg);
    ASX_HOLD(cx, server);
    for (;;) {
        uint64_t words[6];
        asx_reply reply;
        const asx_outcome next = asx_session_next_until(cx, server, words, &reply, ASX_TIME_NEVER);
        if (!asx_is_ok(next)) {
            return asx_is_err(next, ASX_E(DISCONNECTED)) ? asx_ok(0) : next;
        }
        const uint64_t answer = words[0] + words[1];
        const asx_err sent = asx_reply_send(cx, reply, &answer);
        asx_assert(!sent || sent == ASX_E(DISCONNECTED));
    }
}

/* Until all have shouted, and until the watch's last value. Ok(heard | missed << 32) */
asx_outcome listeners(asx_cx *cx, void *arg)
{
    const task_arg *const self = static_cast<task_arg *>(arg);
    asx_broadcast_receiver rx;
    asx_watch_receiver watch;
    uint64_t heard = 0, missed = 0, last = 0;
    asx_assert(asx_broadcast_import(cx, &self->round->heard[self->who], &rx) == ASX_OK);
    ASX_TRY(asx_watch_import(cx, &self->round->shown[self->who], ASX_TIME_NEVER, &watch));
    for (;;) {
        uint64_t words[6], lagged = 0;
        const asx_outcome got = asx_broadcast_recv(cx, rx, words, &lagged);
        missed += lagged;
        heard += asx_is_ok(got);
        asx_assert(!asx_is_ok(got) || words[5] == 5);
        if (asx_is_err(got, ASX_E(CLOSED))) {
            break;
        }
    }
    while (asx_is_ok(asx_watch_changed(cx, watch))) {
        const uint64_t *const shown = static_cast<const uint64_t *>(asx_watch_borrow(cx, watch));
        asx_assert(shown[0] > last && shown[5] == shown[0]);
        last = shown[0];
    }
    asx_assert_eq(last, rounds);
    asx_broadcast_receiver_close(cx, rx);
    asx_watch_receiver_close(cx, watch);
    return asx_ok(heard | missed << 32);
}

void spawn_all(asx_scope *s, round_of *r, asx_task_fn *fn, asx_handle *limbs)
{
    for (uint32_t i = 0; i < tasks; i++) {
        const task_arg arg = { r, i };
        const asx_err err =
            asx_spawn_on(&s->cx, i % shards, fn, &arg, sizeof(arg), nullptr, &limbs[i]);
        asx_assert_eq(err, ASX_OK);
    }
}

uint64_t join_all(asx_cx *cx, const asx_handle *limbs)
{
    uint64_t values = 0;
    for (uint32_t i = 0; i < tasks; i++) {
        const asx_outcome joined = asx_join_limb(cx, limbs[i]);
        asx_assert(asx_is_ok(joined));
        values += joined.value;
    }
    return values;
}

void replies_open(asx_cx *cx, round_of *r, asx_oneshot_receiver *rx)
{
    for (uint32_t i = 0; i < tasks; i++) {
        asx_oneshot_sender tx;
        const asx_oneshot_options options = { 6 * sizeof(uint64_t), nullptr, "hammer" };
        asx_assert(asx_oneshot_open(cx, &options, &tx, &rx[i]) == ASX_OK);
        asx_assert(asx_oneshot_export(cx, tx, &r->reply[i]) == ASX_OK);
    }
}

void replies_read(asx_cx *cx, asx_oneshot_receiver *rx)
{
    for (uint32_t i = 0; i < tasks; i++) {
        uint64_t words[6];
        asx_assert(asx_is_ok(asx_oneshot_recv(cx, rx[i], words)));
        asx_assert(words[0] == i && words[5] == 5);
        asx_oneshot_receiver_close(cx, rx[i]);
    }
}

asx_outcome channel_round(asx_cx *cx, asx_scope *s, round_of *r)
{
    asx_mpsc_sender tx;
    asx_mpsc_receiver rx;
    asx_handle limbs[tasks];
    uint64_t item, items = 0, total = 0;
    const asx_mpsc_options options = { 4, sizeof(item), nullptr, "hammer" };
    asx_assert(asx_mpsc_open(cx, &options, &tx, &rx) == ASX_OK);
    for (uint32_t i = 0; i < tasks; i++) {
        asx_assert(asx_mpsc_export(cx, tx, &r->far[i]) == ASX_OK);
    }
    asx_mpsc_sender_close(cx, tx);
    asx_oneshot_receiver replies[tasks];
    replies_open(cx, r, replies);
    spawn_all(s, r, senders, limbs);
    while (asx_is_ok(asx_mpsc_recv(cx, rx, &item))) {
        items++;
        total += item;
    }
    replies_read(cx, replies);
    join_all(cx, limbs);
    asx_assert(items == tasks * rounds);
    asx_assert(total == tasks * rounds * (rounds - 1) / 2);
    asx_mpsc_receiver_close(cx, rx);
    sum.items += items;
    return asx_ok(0);
}

struct feeds {
    asx_broadcast_sender shout;
    asx_watch_sender show;
    asx_session_server server;
};

feeds feeds_open(asx_cx *cx, round_of *r)
{
    feeds f;
    asx_broadcast_receiver rx;
    asx_watch_receiver watch;
    asx_session_client client;
    const uint64_t zero[6] = {};
    const asx_broadcast_options shout = { 8, sizeof(zero), "hammer" };
    const asx_session_options session = { 2, sizeof(zero), sizeof(uint64_t), "hammer" };
    asx_assert(asx_broadcast_open(cx, &shout, &f.shout) == ASX_OK);
    asx_assert(asx_broadcast_subscribe(cx, f.shout, &rx) == ASX_OK);
    asx_assert(asx_watch_open(cx, sizeof(zero), zero, "hammer", &f.show, &watch) == ASX_OK);
    asx_assert(asx_session_open(cx, &session, &client, &f.server) == ASX_OK);
    for (uint32_t i = 0; i < tasks; i++) {
        asx_assert(asx_broadcast_sender_clone(cx, f.shout, &r->shouter[i]) == ASX_OK);
        asx_assert(asx_session_client_clone(cx, client, &r->client[i]) == ASX_OK);
        asx_assert(asx_broadcast_export(cx, rx, &r->heard[i]) == ASX_OK);
        asx_assert(asx_watch_export(cx, watch, &r->shown[i]) == ASX_OK);
    }
    asx_broadcast_receiver_close(cx, rx);
    asx_watch_receiver_close(cx, watch);
    asx_session_client_close(cx, client);
    asx_broadcast_sender_close(cx, f.shout);
    return f;
}

/* Everybody calls home, and hears what home and everybody says. */
asx_outcome feed_round(asx_cx *cx, asx_scope *s, round_of *r)
{
    asx_handle calling[tasks], listening[tasks];
    asx_assert(asx_rwlock_open(cx, "hammer", &r->rwlock) == ASX_OK);
    asx_assert(asx_once_open(cx, "hammer", &r->once) == ASX_OK);
    const feeds f = feeds_open(cx, r);
    const asx_handle server = asx_scope_spawn(s, serve, &f.server, sizeof(f.server), nullptr);
    spawn_all(s, r, listeners, listening);
    spawn_all(s, r, callers, calling);
    for (uint64_t i = 1; i <= rounds; i++) {
        const uint64_t words[6] = { i, 0, 0, 0, 0, i };
        asx_assert(asx_watch_set(cx, f.show, words) == ASX_OK);
        ASX_TRY(asx_yield(cx));
    }
    asx_watch_sender_close(cx, f.show);
    const uint64_t called = join_all(cx, calling), told = join_all(cx, listening);
    ASX_TRY(asx_join(cx, server));
    const uint64_t shouts = called >> 32, known = (told & UINT32_MAX) + (told >> 32);
    asx_assert(shouts <= tasks * rounds && known == tasks * shouts);
    asx_assert(r->made <= 1);
    asx_assert_eq(r->pair[0], r->pair[1]);
    sum.replies += called & UINT32_MAX;
    sum.shouted += shouts;
    sum.heard += told & UINT32_MAX;
    sum.missed += told >> 32;
    return asx_ok(0);
}

asx_outcome one_round(asx_cx *cx, asx_scope *s, round_of *r)
{
    asx_handle lock[tasks], meeting[tasks], dying[tasks];
    asx_assert(asx_mutex_open(cx, "hammer", &r->mutex) == ASX_OK);
    asx_assert(asx_semaphore_open(cx, permits, "hammer", &r->semaphore) == ASX_OK);
    asx_assert(asx_barrier_open(cx, tasks, "hammer", &r->barrier) == ASX_OK);
    asx_assert(asx_latch_open(cx, tasks, "hammer", &r->latch) == ASX_OK);
    asx_assert(asx_notify_open(cx, "hammer", &r->notify) == ASX_OK);
    spawn_all(s, r, doomed, dying);
    spawn_all(s, r, lockers, lock);
    spawn_all(s, r, meet, meeting);
    ASX_TRY(channel_round(cx, s, r));
    ASX_TRY(feed_round(cx, s, r));
    for (uint32_t i = 0; i < tasks; i++) {
        asx_limb_cancel(cx, dying[i], ASX_CANCEL_USER, "doomed");
        const asx_outcome ended = asx_join_limb(cx, dying[i]);
        asx_assert(ended.severity == ASX_SEVERITY_CANCELLED);
        sum.cancelled++;
    }
    const uint64_t locks = join_all(cx, lock), led = join_all(cx, meeting);
    asx_assert(led == rounds);
    asx_assert(r->counter == (locks & UINT32_MAX));
    asx_assert(asx_semaphore_available(cx, r->semaphore) == permits);
    sum.locked += r->counter;
    sum.acquired += locks >> 32;
    sum.notified += tasks;
    sum.rounds++;
    return asx_ok(0);
}

asx_outcome hammer(asx_cx *cx, void *)
{
    const asx_instant end = asx_shard_now(asx_shard_of(cx)) + seconds * ASX_NS_PER_S;
    while (asx_shard_now(asx_shard_of(cx)) < end) {
        round_of round;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_outcome done = one_round(&s->cx, s, &round);
            asx_assert(asx_is_ok(done));
        }
    }
    asx_shard_shutdown(asx_shard_of(cx), "done");
    return asx_ok(0);
}

void run_shard(asx_mesh *mesh, uint32_t index, asx_shard_stats *stats)
{
    asx_shard_config config{};
    asx_driver_config driver_config{};
    char why[ASX_DRIVER_WHY_MAX];
    asx_assert(asx_driver_create(ASX_DRIVER_CHOICE_EPOLL, &driver_config, &config.driver, why,
                                 sizeof(why)) == ASX_OK);
    config.index = index;
    config.mesh = mesh;
    config.seed = 1;
    asx_shard *shard = nullptr;
    asx_assert(asx_shard_create(&config, &shard) == ASX_OK);
    if (index == 0) {
        asx_assert(asx_shard_start(shard, hammer, nullptr, 0) == ASX_OK);
    }
    asx_shard_serve(shard);
    asx_shard_stats_read(shard, stats);
    asx_shard_destroy(shard);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--seconds") == 0) {
        seconds = (uint32_t)strtoul(argv[2], nullptr, 10);
    }
    asx_mesh *const mesh = asx_mesh_create(shards, 64);
    asx_assert(mesh != nullptr);
    asx_shard_stats stats[shards];
    std::vector<std::thread> threads;
    for (uint32_t i = 1; i < shards; i++) {
        threads.emplace_back([mesh, i, &stats] { run_shard(mesh, i, &stats[i]); });
    }
    run_shard(mesh, 0, &stats[0]);
    for (std::thread &thread : threads) {
        thread.join();
    }
    asx_mesh_destroy(mesh);
    for (const asx_shard_stats &each : stats) {
        asx_assert(each.tasks_live == 0 && each.regions_live == 0);
        asx_assert(each.obligations_pending == 0);
        asx_assert(each.obligations_leaked == 0);
    }
    printf("rounds %lu, locked %lu, acquired %lu, items %lu, notified %lu, cancelled %lu\n",
           sum.rounds, sum.locked, sum.acquired, sum.items, sum.notified, sum.cancelled);
    printf("replies %lu, shouted %lu, heard %lu, missed %lu\n", sum.replies, sum.shouted, sum.heard,
           sum.missed);
    return sum.rounds > 0 ? 0 : 1;
}
