/* At stake: a grant that crosses its caller's leaving, a guard whose holder dies, a lock that
 * closes while it is asked for: in every order of turns somebody else gets it, once. Two shards ask
 * for what a third one has, and one of them is cancelled, panics or gives up at each point. */
#include <asx/shard/limb.h>
#include <asx/shard/scope.h>
#include <asx/shard/sync/mutex.h>
#include <asx/shard/sync/rwlock.h>
#include <asx/shard/sync/semaphore.h>

#include "explore_all.h"
#include "linear.h"

#include <algorithm>

namespace
{

constexpr uint32_t askers = 2, rounds = 2;

enum lock_kind { SEMAPHORE, MUTEX, RWLOCK, LOCK_KINDS };
const char *const kind_names[LOCK_KINDS] = { "semaphore", "mutex", "rwlock" };

enum lock_story { ALL_SERVED, CANCELLED, PANICS, GIVES_UP, CLOSES, STORIES };
const char *const story_names[STORIES] = { "all are served", "one is cancelled",
                                           "one panics as a holder", "one gives up at once",
                                           "it closes" };

enum operation { ACQUIRE, RELEASE };

struct lock_world {
    lock_kind kind = SEMAPHORE;
    lock_story tells = ALL_SERVED;
    uint32_t at = 0;
    asx_lab_config config = {};
    asx_explore_world world;

    asx_semaphore semaphore;
    asx_mutex mutex;
    asx_rwlock rwlock;
    history seen;
    uint32_t inside = 0, inside_max = 0, served = 0, poisoned = 0;
    bool whole = true; /* nothing was left behind at home */

    lock_world();
};
lock_world *now;

struct held {
    asx_semaphore_permit permit;
    asx_mutex_guard mutex;
    asx_rwlock_guard rwlock;
};

asx_outcome lock(asx_cx *cx, asx_instant deadline_ns, held *h)
{
    if (now->kind == SEMAPHORE) {
        return asx_semaphore_acquire_until(cx, now->semaphore, 1, deadline_ns, &h->permit);
    }
    return now->kind == MUTEX ? asx_mutex_lock_until(cx, now->mutex, deadline_ns, &h->mutex)
                              : asx_rwlock_write_until(cx, now->rwlock, deadline_ns, &h->rwlock);
}

/* In odd rounds a writer becomes a reader first, who keeps writers out as well. */
void unlock(asx_cx *cx, held *h, uint32_t round)
{
    if (now->kind == SEMAPHORE) {
        asx_semaphore_release(cx, h->permit);
    } else if (now->kind == MUTEX) {
        asx_mutex_unlock(cx, h->mutex);
    } else {
        if (round % 2 != 0) {
            CHECK(asx_rwlock_downgrade(cx, &h->rwlock) == ASX_OK);
            CHECK(asx_rwlock_downgrade(cx, &h->rwlock) == ASX_E(TYPE_MISMATCH));
        }
        asx_rwlock_unlock(cx, h->rwlock);
    }
}

asx_outcome use_once(asx_cx *cx, uint32_t who, uint32_t round)
{
    held h;
    const bool marked = who == 0 && round == now->at;
    const bool gives_up = marked && now->tells == GIVES_UP;
    const size_t asked = now->seen.begin(who, ACQUIRE, 0);
    const asx_outcome outcome =
        lock(cx, gives_up ? asx_shard_now(asx_shard_of(cx)) : ASX_TIME_NEVER, &h);
    now->seen.end(asked, asx_is_ok(outcome));
    if (!asx_is_ok(outcome)) {
        now->poisoned += asx_is_err(outcome, ASX_E(POISONED));
        return gives_up ? asx_ok(0) : outcome;
    }
    now->served++;
    now->inside_max = std::max(now->inside_max, ++now->inside);
    const size_t given = now->seen.begin(who, RELEASE, 0);
    const asx_outcome yielded = asx_yield(cx);
    now->inside--;
    if (marked && now->tells == PANICS) {
        asx_panic("as a holder");
    }
    if (!asx_is_ok(yielded)) {
        return yielded; /* the audit gives it back */
    }
    unlock(cx, &h, round);
    (void)given; /* what it does at home may come later: it never ends here */
    return yielded;
}

asx_outcome asker(asx_cx *cx, void *arg)
{
    const uint32_t who = *static_cast<uint32_t *>(arg);
    for (uint32_t round = 0; round < rounds; round++) {
        ASX_TRY(use_once(cx, who, round));
    }
    return asx_ok(0);
}

void disturb(asx_cx *cx, asx_handle victim)
{
    if (now->tells == CANCELLED) {
        asx_limb_cancel(cx, victim, ASX_CANCEL_USER, "test");
    } else if (now->tells == CLOSES) {
        asx_semaphore_close(cx, now->semaphore);
        asx_mutex_close(cx, now->mutex);
        asx_rwlock_close(cx, now->rwlock);
    }
}

bool home_is_whole(asx_cx *cx)
{
    held h;
    if (now->kind == SEMAPHORE) {
        return asx_semaphore_available(cx, now->semaphore) == (now->tells == CLOSES ? 0 : 1);
    }
    asx_mutex_clear_poison(cx, now->mutex);
    asx_rwlock_clear_poison(cx, now->rwlock);
    const asx_err err = now->kind == MUTEX ? asx_mutex_try_lock(cx, now->mutex, &h.mutex)
                                           : asx_rwlock_try_write(cx, now->rwlock, &h.rwlock);
    if (!err) {
        unlock(cx, &h, 0);
    }
    return now->tells == CLOSES ? err != ASX_OK : err == ASX_OK;
}

/* `at` yields before home does what the story says. */
asx_outcome home(asx_cx *cx, void *)
{
    asx_handle limbs[askers];
    if (asx_semaphore_open(cx, 1, "far", &now->semaphore) ||
        asx_mutex_open(cx, "far", &now->mutex) || asx_rwlock_open(cx, "far", &now->rwlock)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        for (uint32_t i = 0; i < askers; i++) {
            const asx_err err =
                asx_spawn_on(&s->cx, i + 1, asker, &i, sizeof(i), nullptr, &limbs[i]);
            if (err) {
                return asx_fail(err);
            }
        }
        for (uint32_t i = 0; i < now->at; i++) {
            ASX_TRY(asx_yield(cx));
        }
        disturb(cx, limbs[0]);
    }
    now->whole = home_is_whole(cx);
    return asx_ok(0);
}

/* One permit, taken and given back. */
struct one_permit {
    bool taken, may_fail;

    bool apply(const linear_op &op)
    {
        if (op.kind == RELEASE) {
            const bool was = taken;
            taken = false;
            return was;
        }
        if (op.result == 0) {
            return may_fail;
        }
        const bool free = !taken;
        taken = true;
        return free;
    }
    std::string key() const
    {
        return taken ? "1" : "0";
    }
};

void reset(void *arg)
{
    lock_world *const w = static_cast<lock_world *>(arg);
    now = w;
    w->seen = {};
    w->inside = w->inside_max = w->served = w->poisoned = 0;
    w->whole = true;
}

void judge(void *arg, asx_lab_report *report)
{
    lock_world *const w = static_cast<lock_world *>(arg);
    if (w->inside_max > 1) {
        asx_lab_report_violate(report, "two_holders", "%u", w->inside_max);
    }
    if (!w->whole) {
        asx_lab_report_violate(report, "not_given_back", "after all had ended");
    }
    const uint32_t all = askers * rounds;
    if (w->tells == ALL_SERVED && w->served != all) {
        asx_lab_report_violate(report, "not_served", "%u of %u", w->served, all);
    }
    if (w->tells == GIVES_UP && w->served < all - 1) {
        asx_lab_report_violate(report, "not_served", "%u of %u", w->served, all);
    }
    const bool poisons = w->kind != SEMAPHORE && w->tells == PANICS;
    if (!poisons && w->poisoned > 0) {
        asx_lab_report_violate(report, "poisoned", "by nobody's panic");
    }
    if (!linear<one_permit>::holds(w->seen.ops, { false, w->tells != ALL_SERVED })) {
        asx_lab_report_violate(report, "not_linear", "no lock answers like this");
    }
}

lock_world::lock_world()
{
    config.shards = 1 + askers;
    asx_explore_world_init(&world, "far lock", &config, home, this);
    world.reset = reset;
    world.judge = judge;
}

} // namespace

TEST_CASE("far locks: in every order of turns one has it, and who leaves gives it back",
          "[lab][far]")
{
    for (int kind = 0; kind < LOCK_KINDS; kind++) {
        for (int tells = 0; tells < STORIES; tells++) {
            const std::string name = std::string(kind_names[kind]) + ", " + story_names[tells];
            explored_story story;
            for (uint32_t at = 0; at < (tells == ALL_SERVED ? 1 : rounds + 2); at++) {
                lock_world w;
                w.kind = static_cast<lock_kind>(kind);
                w.tells = static_cast<lock_story>(tells);
                w.at = at;
                const std::string there = name + " at " + std::to_string(at);
                story.all(&w.world, 4000, there);
                story.some(&w.world, 50, there);
            }
            CHECK(story.told(name));
            CHECK(story.classes > 50);
        }
    }
}
