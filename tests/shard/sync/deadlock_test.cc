/* At stake: tasks that wait for one another for ever are told as such, and no others are. Circles
 * through each kind of wait, near misses, and random lockers in the lab. */
#include <asx/shard/sync/deadlock.h>
#include <asx/shard/sync/mutex.h>

#include "../lab_world.h"

namespace
{

using lines = std::vector<std::string>;

void keep(void *arg, const char *line)
{
    static_cast<lines *>(arg)->emplace_back(line);
}

asx_deadlocks look(asx_cx *cx, lines *said = nullptr)
{
    lines own;
    asx_deadlocks found;
    CHECK(asx_deadlock_look(asx_shard_of(cx), 100, keep, said ? said : &own, &found) == ASX_OK);
    return found;
}

struct locks {
    asx_mutex first, second;
    asx_instant until_ns;
};

/* Locks one, naps, and then wants the other. */
asx_outcome lock_both(asx_cx *cx, void *arg)
{
    const locks *const l = static_cast<locks *>(arg);
    asx_mutex_guard one, two;
    ASX_TRY(asx_mutex_lock(cx, l->first, &one));
    ignored(asx_sleep(cx, asx_ms(1)));
    const asx_outcome got = asx_mutex_lock_until(cx, l->second, l->until_ns, &two);
    if (asx_is_ok(got)) {
        asx_mutex_unlock(cx, two);
    }
    asx_mutex_unlock(cx, one);
    return got;
}

asx_outcome join_other(asx_cx *cx, void *arg)
{
    ignored(asx_sleep(cx, asx_ms(1)));
    return asx_join(cx, *static_cast<asx_handle *>(arg));
}

asx_mutex open_mutex(asx_cx *cx)
{
    asx_mutex mutex;
    REQUIRE(asx_mutex_open(cx, "m", &mutex) == ASX_OK);
    return mutex;
}

} // namespace

TEST_CASE("deadlock: two tasks that lock in opposite orders are trapped, unless one gives up",
          "[deadlock]")
{
    run_kernel(TASK {
        const asx_mutex a = open_mutex(cx), b = open_mutex(cx);
        locks forth = { a, b, ASX_TIME_NEVER }, back = { b, a, ASX_TIME_NEVER };
        CHECK(look(cx).waiting == 0);
        asx_handle one = start_named(cx, lock_both, &forth, "forth");
        asx_handle two = start_named(cx, lock_both, &back, "back");
        ASX_TRY(asx_sleep(cx, asx_ms(10)));
        lines said;
        asx_deadlocks found = look(cx, &said);
        CHECK(found.trapped == 1);
        CHECK(found.risks == 0);
        CHECK(found.waiting == 2);
        REQUIRE(said.size() == 3);
        CHECK(said[0] == "DEADLOCK: 2 tasks wait for one another");
        CHECK(said[1].find(" forth waits for ") != std::string::npos);
        CHECK(said[2].find(" back waits for ") != std::string::npos);
        cancel_and_join(cx, one);
        cancel_and_join(cx, two);

        back.until_ns = asx_time_add(asx_now(cx), asx_s(5));
        one = start_named(cx, lock_both, &forth, "forth");
        two = start_named(cx, lock_both, &back, "back");
        ASX_TRY(asx_sleep(cx, asx_ms(10)));
        found = look(cx);
        CHECK(found.trapped == 0);
        CHECK(found.risks == 1);
        CHECK(asx_is_ok(asx_join(cx, one)));
        ignored(asx_join(cx, two));
        CHECK(look(cx).waiting == 0);
        return asx_ok(0);
    });
}

TEST_CASE("deadlock: joins in a circle are, joins in a chain are not", "[deadlock]")
{
    run_kernel(TASK {
        asx_handle tasks[4];
        tasks[3] = start_named(
            cx, TASK { return asx_sleep(cx, asx_s(60)); }, nullptr, "last");
        for (int i = 2; i >= 0; i--) {
            tasks[i] = start_named(cx, join_other, &tasks[i + 1], "chained");
        }
        ASX_TRY(asx_sleep(cx, asx_ms(10)));
        asx_deadlocks found = look(cx);
        CHECK(found.waiting == 3);
        CHECK(found.trapped + found.risks == 0);
        for (const asx_handle task : tasks) {
            cancel_and_join(cx, task);
        }
        for (int i = 0; i < 3; i++) {
            tasks[i] = start_named(cx, join_other, &tasks[(i + 1) % 3], "circle");
        }
        ASX_TRY(asx_sleep(cx, asx_ms(10)));
        found = look(cx);
        CHECK(found.trapped == 1);
        for (int i = 0; i < 3; i++) {
            cancel_and_join(cx, tasks[i]);
        }
        return asx_ok(0);
    });
}

TEST_CASE("deadlock: through a region, when all that lives in it is in the circle", "[deadlock]")
{
    run_kernel(TASK {
        struct world {
            asx_mutex mutex;
            bool has_other;
        };
        for (const bool has_other : { false, true }) {
            world w = { open_mutex(cx), has_other };
            const asx_handle owner = start_named(
                cx,
                TASK {
                    const world *const self = static_cast<world *>(arg);
                    asx_mutex_guard guard;
                    ASX_TRY(asx_mutex_lock(cx, self->mutex, &guard));
                    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                        start_named(
                            &s->cx,
                            TASK {
                                const world *const self = static_cast<world *>(arg);
                                asx_mutex_guard wanted;
                                ASX_TRY(asx_mutex_lock(cx, self->mutex, &wanted));
                                asx_mutex_unlock(cx, wanted);
                                return asx_ok(0);
                            },
                            arg, "child");
                        if (self->has_other) {
                            start_named(
                                &s->cx, TASK { return asx_sleep(cx, asx_s(1)); }, nullptr, "other");
                        }
                    }
                    asx_mutex_unlock(cx, guard);
                    return asx_ok(0);
                },
                &w, "owner");
            ASX_TRY(asx_sleep(cx, asx_ms(10)));
            asx_deadlocks found = look(cx);
            CHECK(found.trapped == !has_other);
            CHECK(found.risks == has_other);
            if (has_other) { /* it ends, and what was a risk is a trap */
                ASX_TRY(asx_sleep(cx, asx_s(2)));
                found = look(cx);
                CHECK(found.trapped == 1);
            }
            asx_mutex_close(cx, w.mutex);
            ignored(asx_join(cx, owner));
        }
        return asx_ok(0);
    });
}

namespace
{
struct lockers {
    asx_mutex mutexes[4];
    bool ordered;
};

asx_outcome locker(asx_cx *cx, void *arg)
{
    const lockers *const self = static_cast<lockers *>(arg);
    uint64_t first = asx_random_below(cx, 4), second = asx_random_below(cx, 3);
    second += second >= first;
    if (self->ordered && first > second) {
        std::swap(first, second);
    }
    locks l = { self->mutexes[first], self->mutexes[second], ASX_TIME_NEVER };
    ignored(asx_sleep(cx, asx_ms(asx_random_below(cx, 3))));
    return lock_both(cx, &l);
}

uint32_t met; /* over the seeds */
} // namespace

TEST_CASE("deadlock: random lockers that are still there after an hour are trapped, and only they",
          "[deadlock][lab]")
{
    met = 0;
    over_seeds(300, [](uint64_t seed) {
        lab_world world(1, seed);
        lockers self{};
        self.ordered = seed % 3 == 0;
        world.run(
            TASK {
                lockers *const l = static_cast<lockers *>(arg);
                std::vector<asx_handle> tasks;
                for (asx_mutex &mutex : l->mutexes) {
                    mutex = open_mutex(cx);
                }
                for (int i = 0; i < 5; i++) {
                    tasks.push_back(start_named(cx, locker, l, "locker"));
                }
                ASX_TRY(asx_sleep(cx, asx_s(3600)));
                const asx_deadlocks found = look(cx);
                CHECK((found.trapped > 0) == (found.waiting > 0));
                CHECK(found.risks == 0);
                if (l->ordered) {
                    CHECK(found.waiting == 0);
                }
                met += found.trapped;
                for (const asx_handle task : tasks) {
                    cancel_and_join(cx, task);
                }
                return asx_ok(0);
            },
            &self);
    });
    CHECK(met > 50); /* it was put to the test */
}
