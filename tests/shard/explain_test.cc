/* At stake: who asks why something hangs is told the truth, and which end to begin at. */
#include <asx/shard/explain.h>
#include <asx/shard/sync/mutex.h>
#include <asx/shard/sync/notify.h>
#include <asx/shard/sync/oneshot.h>
#include <asx/shard/sync/semaphore.h>

#include "lab_world.h"

namespace
{

using lines = std::vector<std::string>;

void keep(void *arg, const char *line)
{
    static_cast<lines *>(arg)->emplace_back(line);
}

lines told(asx_cx *cx, asx_handle handle, uint32_t count = 100)
{
    lines out;
    CHECK(asx_explain(asx_shard_of(cx), handle, count, keep, &out) == ASX_OK);
    return out;
}

std::string name(asx_handle handle)
{
    char buf[ASX_HANDLE_TEXT_LEN];
    return asx_handle_text(handle, buf, sizeof(buf));
}

bool contains(const std::string &line, const std::string &part)
{
    INFO(line);
    INFO(part);
    return line.find(part) != std::string::npos;
}

asx_outcome holder(asx_cx *cx, void *)
{
    asx_obligation_options options{};
    options.kind = ASX_OBLIGATION_LEASE;
    options.what = "connection 7";
    options.file = "pool.c";
    options.line = 42;
    asx_permit permit;
    CHECK(asx_obligation_reserve(cx, &options, &permit) == ASX_OK);
    ASX_TRY(asx_checkpoint_note(cx, "asked\nthe bank"));
    const asx_outcome slept = asx_sleep(cx, asx_s(60));
    CHECK(asx_obligation_abort(cx, permit) == ASX_OK);
    return slept;
}

asx_outcome deaf(asx_cx *cx, void *)
{
    ASX_MASK(cx, 10) {
        ignored(asx_sleep(cx, asx_s(3)));
    }
    return asx_checkpoint(cx);
}

} // namespace

TEST_CASE("explain: a task says its stage, what it waits for and holds, and its last words",
          "[explain]")
{
    run_kernel(TASK {
        const asx_handle self = asx_cx_task(cx), root = asx_cx_region(cx);
        const asx_handle first = start_named(cx, holder, nullptr, "teller", nullptr);
        const asx_handle second = start_named(cx, deaf, nullptr, nullptr, nullptr);
        CHECK(told(cx, self) ==
              lines{ "task " + name(self) + " main in " + name(root) + ": running" });
        CHECK(told(cx, first) == lines{ "task " + name(first) + " teller in " + name(root) +
                                        ": not begun, runnable in lane ready, behind 0 of its "
                                        "priority" });
        CHECK(contains(told(cx, second)[0], "behind 1 of its priority"));
        ASX_TRY(asx_sleep(cx, asx_ms(250)));
        const lines said = told(cx, first);
        REQUIRE(said.size() == 2);
        CHECK(said[0] == "task " + name(first) + " teller in " + name(root) +
                             ": waits for sleep since 0.250 s; it said: asked the bank");
        CHECK(contains(said[1], " LEASE connection 7 for 0.250 s, reserved at pool.c:42"));
        CHECK(said[1].substr(0, 9) == "  holds O");
        CHECK(told(cx, first, 1).size() == 1);

        asx_task_cancel(cx, first, ASX_CANCEL_TIMEOUT, "enough");
        asx_task_cancel(cx, second, ASX_CANCEL_USER, nullptr);
        ASX_TRY(asx_sleep(cx, asx_ms(1)));
        const lines asked = told(cx, second);
        REQUIRE(asked.size() == 2);
        CHECK(contains(asked[0], "asked to stop and has not noticed, "));
        CHECK(contains(asked[0], " polls left to clean up, waits for sleep since 0.00"));
        CHECK(contains(asked[1], "  cancelled by USER of "));
        const lines over = told(cx, first);
        REQUIRE(over.size() == 2);
        CHECK(contains(over[0], ": completed Cancelled, not joined"));
        CHECK(contains(over[1], "cancelled by TIMEOUT of "));
        CHECK(contains(over[1], " by " + name(self)));
        CHECK(contains(over[1], " 0.001 s ago: enough"));
        ignored(asx_join(cx, first));
        lines none;
        CHECK(asx_explain(asx_shard_of(cx), first, 9, keep, &none) == ASX_E(STALE));
        CHECK(asx_explain(asx_shard_of(cx), asx_handle{}, 9, keep, &none) == ASX_E(WRONG_KIND));
        CHECK(none.empty());
        ignored(asx_join(cx, second));
        return asx_ok(0);
    });
}

TEST_CASE("explain: a region that does not close says by whom, innermost first", "[explain]")
{
    run_kernel(TASK {
        asx_region_options options{};
        options.policy = ASX_COLLECT_ALL;
        asx_region *outer = nullptr, *middle = nullptr, *aside = nullptr;
        const asx_handle root = asx_cx_region(cx);
        options.label = "outer";
        REQUIRE(asx_region_open(cx, &options, &outer) == ASX_OK);
        struct nested {
            asx_region **middle, **aside;
        } out = { &middle, &aside };
        asx_handle task{};
        REQUIRE(asx_spawn(
                    cx, outer,
                    TASK {
                        asx_region_options below{};
                        const auto *const made = static_cast<nested *>(arg);
                        below.label = "middle";
                        REQUIRE(asx_region_open(cx, &below, made->middle) == ASX_OK);
                        below.label = "aside";
                        REQUIRE(asx_region_open(cx, &below, made->aside) == ASX_OK);
                        start_named(cx, deaf, nullptr, "deaf", *made->middle);
                        return asx_ok(0);
                    },
                    &out, 0, nullptr, &task) == ASX_OK);
        ASX_TRY(asx_join(cx, task));
        ASX_TRY(asx_sleep(cx, asx_ms(10)));
        const asx_handle handles[] = { asx_region_handle(middle), asx_region_handle(aside),
                                       asx_region_handle(outer) };
        asx_region_cancel(outer, ASX_CANCEL_SHUTDOWN, "the end");
        ASX_TRY(asx_sleep(cx, asx_s(1)));
        const lines said = told(cx, handles[2]);
        REQUIRE(said.size() == 4);
        CHECK(said[0] == "region " + name(handles[0]) + " middle: DRAINING, open 1.010 s: tasks 1");
        CHECK(contains(said[1], " deaf in " + name(handles[0]) + ": asked to stop and has not"));
        CHECK(said[2] ==
              "region " + name(handles[2]) + " outer: DRAINING, open 1.010 s: regions below 1");
        CHECK(said[3] ==
              "  cancelled by SHUTDOWN of " + name(handles[2]) + " 1.000 s ago: the end");
        lines chain;
        CHECK(asx_explain_cancel(asx_shard_of(cx), handles[0], 9, keep, &chain) == ASX_OK);
        REQUIRE(chain.size() == 2);
        CHECK(contains(chain[0], "  cancelled by SHUTDOWN of " + name(handles[2])));
        CHECK(chain[1] == "  therefore PARENT_CANCELLED of " + name(handles[2]) + " 1.000 s ago");
        for (uint32_t count = 0; count < 5; count++) {
            CHECK(told(cx, handles[2], count).size() == std::min<size_t>(count, 4));
        }
        ignored(asx_region_close_wait(cx, handles[2]));
        lines none;
        CHECK(asx_explain(asx_shard_of(cx), handles[2], 9, keep, &none) == ASX_E(STALE));
        CHECK(contains(told(cx, root)[0], "region " + name(root) + " root: OPEN"));
        return asx_ok(0);
    });
}

TEST_CASE("explain: an operation that the driver has not given back is named", "[explain]")
{
    run_kernel(
        TASK {
            asx_region *region = nullptr;
            asx_handle task{};
            REQUIRE(asx_region_open(cx, nullptr, &region) == ASX_OK);
            REQUIRE(asx_spawn(
                        cx, region,
                        TASK {
                            asx_op op{};
                            op.code = ASX_OP_POLL;
                            op.fd = 77;
                            return asx_op_await(cx, &op);
                        },
                        nullptr, 0, nullptr, &task) == ASX_OK);
            const asx_handle handle = asx_region_handle(region);
            ASX_TRY(asx_sleep(cx, asx_ms(1)));
            const lines before = told(cx, handle);
            REQUIRE(before.size() == 3);
            CHECK(contains(before[0], ": OPEN, open 0.001 s: tasks 1, operations 1"));
            CHECK(before[2] == "  has poll on descriptor 77 with the driver");
            asx_region_cancel(region, ASX_CANCEL_USER, nullptr);
            ASX_TRY(asx_sleep(cx, asx_s(1)));
            CHECK(contains(told(cx, handle)[2], "with the driver, asked to end"));
            ignored(asx_region_close_wait(cx, handle));
            return asx_ok(0);
        },
        nullptr, 1, ASX_LEAK_PANIC, true, asx_s(3600));
}

TEST_CASE("explain: a limb keeps a region open too", "[explain]")
{
    over_seeds(5, [](uint64_t seed) {
        lab_world world(2, seed);
        world.run(TASK {
            asx_handle limb{};
            asx_outcome value;
            ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
                REQUIRE(asx_spawn_on(
                            &s->cx, 1, TASK { return asx_sleep(cx, asx_s(9)); }, nullptr, 0,
                            nullptr, &limb) == ASX_OK);
                ASX_TRY(asx_sleep(cx, asx_s(1)));
                const asx_handle region = asx_cx_region(&s->cx);
                const lines said = told(cx, region);
                REQUIRE(said.size() == 2);
                CHECK(contains(said[0], " regions below 1"));
                CHECK(contains(said[1], "  waits for a limb on shard 1: R1."));
                lines none;
                asx_handle far = region;
                far.shard = 1;
                CHECK(asx_explain(asx_shard_of(cx), far, 9, keep, &none) == ASX_E(WRONG_SHARD));
            }
            return asx_ok(0);
        });
    });
}

TEST_CASE("explain: in many worlds the one that is stuck is named first", "[explain]")
{
    over_seeds(100, [](uint64_t seed) {
        run_kernel(
            TASK {
                asx_region *region = nullptr;
                asx_notify never;
                REQUIRE(asx_notify_open(cx, "never", &never) == ASX_OK);
                static asx_notify waited;
                waited = never;
                asx_region_options options{};
                options.policy = ASX_COLLECT_ALL;
                REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
                asx_task_fn *const sleeps = TASK
                {
                    return asx_sleep(cx, asx_s(60));
                };
                asx_task_fn *const waits = TASK
                {
                    return asx_notify_wait_until(cx, waited, ASX_TIME_NEVER);
                };
                asx_task_fn *const joins = TASK
                {
                    asx_handle child{};
                    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                        child = asx_scope_spawn(
                            s, TASK { return asx_sleep(cx, asx_s(60)); }, nullptr, 0, nullptr);
                        ignored(asx_join(&s->cx, child));
                    }
                    return asx_ok(0);
                };
                asx_task_fn *const spins = TASK
                {
                    for (int i = 0; i < 1000; i++) {
                        ASX_TRY(asx_yield(cx));
                    }
                    return asx_ok(0);
                };
                const struct {
                    const char *label;
                    asx_task_fn *fn;
                } kinds[] = { { "4 joins", joins },
                              { "3 spins", spins },
                              { "2 sleeps", sleeps },
                              { "1 waits", waits },
                              { "0 holds", holder } };
                for (uint64_t i = 0; i < 12; i++) {
                    const auto &kind = kinds[i < 5 ? i : asx_random_below(cx, 5)];
                    start_named(cx, kind.fn, nullptr, kind.label, region);
                }
                for (int i = 0; i < 100; i++) { /* all have begun, and those that spin still do */
                    ignored(asx_yield(cx));
                }
                const lines said = told(cx, asx_region_handle(region), 1000);
                std::string order;
                for (const std::string &line : said) {
                    for (const auto &kind : kinds) {
                        if (line.find(std::string(" ") + kind.label + " in ") !=
                            std::string::npos) {
                            order += kind.label[0];
                        }
                    }
                }
                INFO(order);
                CHECK(order.size() == 12);
                CHECK(std::is_sorted(order.begin(), order.end()));
                const asx_handle handle = asx_region_handle(region);
                asx_region_cancel(region, ASX_CANCEL_USER, nullptr);
                ignored(asx_region_close_wait(cx, handle));
                return asx_ok(0);
            },
            nullptr, seed);
    });
}

namespace
{

asx_mutex accounts;
asx_semaphore desks;
asx_oneshot_sender promise;
asx_oneshot_receiver promised;

asx_outcome locks_late(asx_cx *cx, void *)
{
    asx_mutex_guard guard;
    ASX_TRY(asx_mutex_lock(cx, accounts, &guard));
    asx_mutex_unlock(cx, guard);
    return asx_ok(0);
}

asx_outcome sits(asx_cx *cx, void *)
{
    asx_semaphore_permit permit;
    ASX_TRY(asx_semaphore_acquire(cx, desks, 1, &permit));
    const asx_outcome slept = asx_sleep(cx, asx_s(2));
    asx_semaphore_release(cx, permit);
    return slept;
}

asx_outcome hears(asx_cx *cx, void *)
{
    return asx_oneshot_recv(cx, promised, nullptr);
}

} // namespace

TEST_CASE("explain: who waits for a lock, permits or a value is told who holds it up", "[explain]")
{
    run_kernel(TASK {
        asx_mutex_guard guard;
        asx_oneshot_permit permit;
        const std::string self = name(asx_cx_task(cx));
        REQUIRE(asx_mutex_open(cx, "accounts", &accounts) == ASX_OK);
        REQUIRE(asx_semaphore_open(cx, 2, "desks", &desks) == ASX_OK);
        asx_oneshot_options signal{};
        REQUIRE(asx_oneshot_open(cx, &signal, &promise, &promised) == ASX_OK);
        ASX_TRY(asx_mutex_lock(cx, accounts, &guard));
        const asx_handle clerk = start_named(cx, locks_late, nullptr, "clerk", nullptr);
        asx_handle sitters[3];
        for (asx_handle &task : sitters) {
            task = start_named(cx, sits, nullptr, "sitter", nullptr);
        }
        const asx_handle reader = start_named(cx, hears, nullptr, "reader", nullptr);
        ASX_TRY(asx_sleep(cx, asx_ms(500)));
        lines said = told(cx, clerk);
        REQUIRE(said.size() == 2);
        CHECK(contains(said[0], "waits for accounts since 0.500 s"));
        CHECK(said[1] == "  held up by task " + self + " main: LEASE accounts for 0.500 s");
        unsigned waiting = 0;
        for (const asx_handle task : sitters) { /* which of them came first is the lab's choice */
            said = told(cx, task);
            if (said[0].find("waits for desks") == std::string::npos) {
                CHECK(said.size() == 2); /* it sleeps, and what it holds is its own */
                continue;
            }
            waiting++;
            REQUIRE(said.size() == 3);
            for (const asx_handle other : sitters) {
                const std::string line = "  held up by task " + name(other) + " sitter: ";
                const bool named = contains(said[1], line) || contains(said[2], line);
                CHECK(named == (name(other) != name(task)));
            }
        }
        CHECK(waiting == 1);
        CHECK(told(cx, reader).size() == 1); /* nobody has promised anything */
        ASX_TRY(asx_oneshot_reserve(cx, promise, &permit));
        said = told(cx, reader);
        REQUIRE(said.size() == 2);
        CHECK(contains(said[1], "held up by task " + self + " main: "));

        asx_oneshot_permit_abort(cx, permit);
        asx_mutex_unlock(cx, guard);
        ASX_TRY(asx_join(cx, clerk));
        for (const asx_handle task : sitters) {
            ASX_TRY(asx_join(cx, task));
        }
        asx_oneshot_sender_close(cx, promise);
        ignored(asx_join(cx, reader));
        asx_mutex_close(cx, accounts);
        asx_semaphore_close(cx, desks);
        asx_oneshot_receiver_close(cx, promised);
        return asx_ok(0);
    });
}
