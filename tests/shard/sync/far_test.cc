/* Locks of another shard: whoever asks from wherever, no permit is lost or doubled, nobody holds
 * what somebody else holds, and those who leave or die give back what was on its way to them. */
#include <asx/shard/sync/barrier.h>
#include <asx/shard/sync/latch.h>
#include <asx/shard/sync/mutex.h>
#include <asx/shard/sync/notify.h>
#include <asx/shard/sync/semaphore.h>

#include "../lab_world.h"
#include "sync_fixture.h"

namespace
{

constexpr uint32_t shards = 3, rounds = 6;

struct far_state {
    asx_semaphore semaphore;
    asx_mutex mutex;
    uint64_t permits = 2, in_use = 0, used_max = 0, forgotten = 0, taken = 0, left = 0;
    uint32_t inside = 0, inside_max = 0, poisoned = 0;
    bool cancel = false, panic = false, close = false, forget = false;
};
far_state *now;

asx_outcome pause(asx_cx *cx)
{
    return asx_random_below(cx, 3) ? asx_ok(0) : asx_sleep(cx, asx_random_below(cx, 4));
}

bool is_expected(asx_outcome o)
{
    return asx_is_err(o, ASX_E(TIMED_OUT)) || asx_is_err(o, ASX_E(CLOSED)) ||
           asx_is_err(o, ASX_E(STALE)) || asx_is_err(o, ASX_E(POISONED)) ||
           o.severity == ASX_SEVERITY_CANCELLED;
}

asx_instant some_deadline(asx_cx *cx)
{
    return asx_random_below(cx, 4) ? ASX_TIME_NEVER
                                   : asx_shard_now(asx_shard_of(cx)) + asx_random_below(cx, 4);
}

/* Counts itself out on every path, a panic's and a cancel's too. */
struct user {
    asx_defer defer;
    uint64_t amount;
};

void user_gone(asx_cx *, asx_defer *defer)
{
    now->in_use -= reinterpret_cast<user *>(defer)->amount;
    now->inside--;
}

void user_in(asx_cx *cx, user *u, uint64_t amount)
{
    u->amount = amount;
    now->in_use += amount;
    now->used_max = std::max(now->used_max, now->in_use);
    now->inside++;
    now->inside_max = std::max(now->inside_max, now->inside);
    asx_defer_push(cx, &u->defer, user_gone);
}

asx_outcome taker(asx_cx *cx, void *)
{
    for (uint32_t i = 0; i < rounds; i++) {
        asx_semaphore_permit permit;
        const uint64_t n = 1 + asx_random_below(cx, now->permits);
        const asx_outcome taken =
            asx_semaphore_acquire_until(cx, now->semaphore, n, some_deadline(cx), &permit);
        if (!asx_is_ok(taken)) {
            CHECK(is_expected(taken));
            now->left++;
            if (taken.severity == ASX_SEVERITY_CANCELLED) {
                return taken;
            }
            continue;
        }
        user u;
        user_in(cx, &u, n);
        now->taken++;
        const asx_outcome paused = pause(cx);
        if (now->panic && asx_random_below(cx, 12) == 0) {
            asx_panic("with a permit");
        }
        asx_defer_pop(cx, &u.defer);
        user_gone(cx, &u.defer);
        if (!asx_is_ok(paused)) {
            return paused; /* the permit is the audit's */
        }
        if (now->forget && n < now->permits - now->forgotten && asx_random_below(cx, 8) == 0) {
            now->forgotten += n;
            asx_semaphore_forget(cx, permit);
            asx_semaphore_add(cx, now->semaphore, n);
            now->forgotten -= n;
        } else {
            asx_semaphore_release(cx, permit);
        }
    }
    return asx_ok(0);
}

asx_outcome locker(asx_cx *cx, void *)
{
    for (uint32_t i = 0; i < rounds; i++) {
        asx_mutex_guard guard, twice;
        const asx_outcome taken = asx_mutex_lock_until(cx, now->mutex, some_deadline(cx), &guard);
        if (!asx_is_ok(taken)) {
            CHECK(is_expected(taken));
            now->left++;
            now->poisoned += asx_is_err(taken, ASX_E(POISONED));
            if (taken.severity == ASX_SEVERITY_CANCELLED) {
                return taken;
            }
            if (asx_is_err(taken, ASX_E(POISONED))) {
                asx_mutex_clear_poison(cx, now->mutex);
            }
            continue;
        }
        user u;
        user_in(cx, &u, 1);
        now->taken++;
        const asx_outcome again = asx_mutex_lock(cx, now->mutex, &twice);
        CHECK((asx_is_err(again, ASX_E(WOULD_DEADLOCK)) || is_expected(again)));
        if (now->panic && asx_random_below(cx, 12) == 0) {
            asx_panic("with a guard");
        }
        const asx_outcome paused = pause(cx);
        asx_defer_pop(cx, &u.defer);
        user_gone(cx, &u.defer);
        if (!asx_is_ok(paused)) {
            return paused;
        }
        asx_mutex_unlock(cx, guard);
    }
    return asx_ok(0);
}

/* Two tasks of `fn` on each shard, of which some are cancelled, and the object perhaps closed. */
asx_outcome crowd(asx_cx *cx, asx_task_fn *fn)
{
    asx_handle limbs[2 * shards];
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        for (uint32_t i = 0; i < 2 * shards; i++) {
            REQUIRE(asx_spawn_on(&s->cx, i % shards, fn, nullptr, 0, nullptr, &limbs[i]) == ASX_OK);
        }
        for (uint32_t i = 0; now->cancel && i < 3; i++) {
            ASX_TRY(asx_sleep(cx, asx_random_below(cx, 4)));
            asx_limb_cancel(cx, limbs[asx_random_below(cx, 2 * shards)], ASX_CANCEL_USER, "test");
        }
        if (now->close) {
            ASX_TRY(asx_sleep(cx, asx_random_below(cx, 6)));
            asx_semaphore_close(cx, now->semaphore);
            asx_mutex_close(cx, now->mutex);
        }
    }
    return asx_ok(0);
}

asx_outcome semaphore_story(asx_cx *cx, void *)
{
    REQUIRE(asx_semaphore_open(cx, now->permits, "test", &now->semaphore) == ASX_OK);
    ASX_TRY(crowd(cx, taker));
    CHECK(asx_semaphore_available(cx, now->semaphore) ==
          (now->close ? 0 : now->permits - now->forgotten));
    return asx_ok(0);
}

asx_outcome mutex_story(asx_cx *cx, void *)
{
    asx_mutex_guard guard;
    REQUIRE(asx_mutex_open(cx, "test", &now->mutex) == ASX_OK);
    ASX_TRY(crowd(cx, locker));
    if (!now->close) {
        asx_mutex_clear_poison(cx, now->mutex);
        CHECK(asx_mutex_try_lock(cx, now->mutex, &guard) == ASX_OK);
        asx_mutex_unlock(cx, guard);
        CHECK(asx_mutex_stats(cx, now->mutex).waits.waiting == 0);
    }
    return asx_ok(0);
}

far_state run_story(asx_task_fn *story, uint64_t seed)
{
    far_state state;
    now = &state;
    state.permits = 1 + seed % 3;
    state.cancel = seed & 1;
    state.panic = seed & 2;
    state.close = (seed & 12) == 12;
    state.forget = seed & 16;
    lab_world world(shards, seed, 8);
    world.run(story);
    return state;
}

} // namespace

TEST_CASE("far semaphore: no permit is lost or doubled, whoever leaves, dies or closes", "[sync]")
{
    uint64_t taken = 0, left = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        INFO("seed " << seed);
        const far_state state = run_story(semaphore_story, seed);
        CHECK(state.used_max <= state.permits);
        CHECK(state.in_use == 0);
        taken += state.taken;
        left += state.left;
    }
    CHECK(taken > 3000);
    CHECK(left > 300);
}

TEST_CASE("far mutex: one holder at a time, poison and deadlock are seen from every shard",
          "[sync]")
{
    uint64_t taken = 0, left = 0, poisoned = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        INFO("seed " << seed);
        const far_state state = run_story(mutex_story, seed);
        CHECK(state.inside_max <= 1);
        taken += state.taken;
        left += state.left;
        poisoned += state.poisoned;
    }
    CHECK(taken > 3000);
    CHECK(left > 300);
    CHECK(poisoned > 30);
}

namespace
{

struct moment_state {
    asx_barrier barrier;
    asx_latch latch;
    asx_notify notify;
    uint32_t arrived = 0, early = 0, leaders = 0, opened = 0, notified = 0;
    uint32_t sent = 0, gave_up = 0;
};
moment_state *moment;

asx_outcome arriver(asx_cx *cx, void *)
{
    for (uint32_t round = 0; round < rounds; round++) {
        ASX_TRY(pause(cx));
        moment->arrived++;
        const asx_outcome trip = asx_barrier_wait_until(cx, moment->barrier, ASX_TIME_NEVER);
        REQUIRE(asx_is_ok(trip));
        moment->leaders += trip.value == 1;
        moment->early += moment->arrived < 2 * shards * (round + 1);
    }
    asx_latch_done(cx, moment->latch, 1);
    const asx_outcome open = asx_latch_wait_until(cx, moment->latch, some_deadline(cx));
    moment->opened += asx_is_ok(open);
    moment->early += asx_is_ok(open) && moment->leaders < rounds;
    return asx_ok(0);
}

asx_outcome barrier_story(asx_cx *cx, void *)
{
    REQUIRE(asx_barrier_open(cx, 2 * shards, "test", &moment->barrier) == ASX_OK);
    REQUIRE(asx_latch_open(cx, 2 * shards, "test", &moment->latch) == ASX_OK);
    ASX_TRY(crowd(cx, arriver));
    ASX_TRY(asx_latch_wait_until(cx, moment->latch, ASX_TIME_NEVER));
    return asx_ok(0);
}

/* Each of its waits ends by a notification, by a deadline or by a cancel. */
asx_outcome listener(asx_cx *cx, void *)
{
    for (uint32_t i = 0; i < rounds; i++) {
        const asx_outcome told = asx_notify_wait_until(cx, moment->notify, some_deadline(cx));
        moment->notified += asx_is_ok(told);
        moment->gave_up += !asx_is_ok(told);
        ASX_TRY(asx_checkpoint(cx));
        if (asx_random_below(cx, 2)) {
            moment->sent++;
            asx_notify_one(cx, moment->notify);
        }
    }
    return asx_ok(0);
}

/* What was sent and not received is stored at the end: nothing was lost on the way. */
asx_outcome notify_story(asx_cx *cx, void *)
{
    REQUIRE(asx_notify_open(cx, "test", &moment->notify) == ASX_OK);
    body feeder = [](asx_cx *c) {
        for (uint32_t i = 0; i < 2 * shards * rounds; i++) {
            moment->sent++;
            asx_notify_one(c, moment->notify);
            ASX_TRY(asx_sleep(c, 1));
        }
        return asx_ok(0);
    };
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        go(s, feeder);
        ASX_TRY(crowd(&s->cx, listener));
    }
    uint32_t stored = 0;
    const asx_instant at_once = asx_shard_now(asx_shard_of(cx));
    while (asx_is_ok(asx_notify_wait_until(cx, moment->notify, at_once))) {
        stored++;
    }
    CHECK(moment->notified + stored == moment->sent);
    return asx_ok(0);
}

} // namespace

TEST_CASE("far barrier, far latch: nobody passes before all have come, and one leads", "[sync]")
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        INFO("seed " << seed);
        moment_state state;
        far_state none;
        moment = &state;
        now = &none;
        lab_world world(shards, seed, 8);
        world.run(barrier_story);
        CHECK(state.early == 0);
        CHECK(state.leaders == rounds);
        CHECK(state.arrived == 2 * shards * rounds);
    }
}

TEST_CASE("far notify: a notification reaches one wait, or is stored, whoever gives up", "[sync]")
{
    uint64_t notified = 0, gave_up = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        INFO("seed " << seed);
        moment_state state;
        far_state none;
        none.cancel = seed & 1;
        moment = &state;
        now = &none;
        lab_world world(shards, seed, 8);
        world.run(notify_story);
        notified += state.notified;
        gave_up += state.gave_up;
    }
    CHECK(notified > 3000);
    CHECK(gave_up > 300);
}

namespace
{

constexpr uint64_t burst = 20000, turns = 50;

struct burst_state {
    asx_notify notify, other;
    asx_semaphore semaphore;
};
burst_state *bursting;

/* Never waits. Two objects in turn: what they are told does not mix. */
asx_outcome bursts(asx_cx *cx, void *)
{
    for (uint64_t i = 0; i < burst; i++) {
        asx_notify_one(cx, bursting->notify);
    }
    for (uint64_t i = 0; i < burst; i++) {
        asx_semaphore_add(cx, bursting->semaphore, 2);
    }
    for (uint64_t i = 0; i < turns; i++) {
        asx_notify_one(cx, bursting->notify);
        asx_notify_one(cx, bursting->other);
    }
    return asx_ok(0);
}

uint64_t stored_in(asx_cx *cx, asx_notify notify)
{
    uint64_t stored = 0;
    while (asx_is_ok(asx_notify_wait_until(cx, notify, asx_now(cx)))) {
        stored++;
    }
    return stored;
}

asx_outcome burst_story(asx_cx *cx, void *)
{
    asx_handle limb;
    REQUIRE(asx_notify_open(cx, "test", &bursting->notify) == ASX_OK);
    REQUIRE(asx_notify_open(cx, "other", &bursting->other) == ASX_OK);
    REQUIRE(asx_semaphore_open(cx, 0, "test", &bursting->semaphore) == ASX_OK);
    REQUIRE(asx_spawn_on(cx, 1, bursts, nullptr, 0, nullptr, &limb) == ASX_OK);
    CHECK(asx_is_ok(asx_join_limb(cx, limb)));
    CHECK(stored_in(cx, bursting->notify) == burst + turns);
    CHECK(stored_in(cx, bursting->other) == turns);
    CHECK(asx_semaphore_available(cx, bursting->semaphore) == 2 * burst);
    return asx_ok(0);
}

} // namespace

TEST_CASE("far notify: what is said again before there was room for it is said once", "[sync]")
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        INFO("seed " << seed);
        burst_state state;
        bursting = &state;
        lab_world world(2, seed, 8);
        world.run(burst_story);
        CHECK(world.sum.messages_sent < 8 + 2 * turns + 50); /* with those of the limb */
    }
}
