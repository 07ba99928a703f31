/* Migration: at stake is that a task that runs elsewhere is still its region's: counted, cancelled,
 * woken and joined at home, run by one shard at a time, and never lost, whoever closes meanwhile.
 * Most cases run over many seeds, each of which answers the questions differently. */
#include "lab_world.h"
#include "live_shards.h"

#include <set>

namespace
{
const asx_err user_error = ASX_ERR(ASX_ERR_DOMAIN_USER, 11);

asx_spawn_options sendable()
{
    asx_spawn_options options{};
    options.sendable = true;
    return options;
}

/* What the cases look at afterwards; in the lab, all shards are on one thread. */
struct {
    std::set<uint32_t> shards;
    uint32_t steps, drops, inside, ended;
    uint64_t lent, returned, hosted;
} seen;

/* Goes on for `left` steps. */
struct walker {
    uint32_t left;
    uint32_t value;
    asx_severity ends;
};

bool walk(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    walker *const self = static_cast<walker *>(frame);
    seen.shards.insert(asx_cx_shard_index(cx));
    seen.steps++;
    if (asx_is_cancelled(cx)) {
        *outcome = asx_cancelled(nullptr);
        return true;
    }
    if (self->left-- == 0) {
        seen.ended++;
        if (self->ends == ASX_SEVERITY_PANICKED) {
            asx_panic("walker %u", self->value);
        }
        *outcome = self->ends == ASX_SEVERITY_ERR ? asx_fail(user_error) : asx_ok(self->value);
        return true;
    }
    asx_task_notify(asx_task_of(cx));
    return false;
}

void drop(void *)
{
    seen.drops++;
}

/* Runs `body` in a world of `count` shards, with the trace of what was seen wiped. */
void in_world(uint32_t count, uint64_t seed, asx_task_fn *body, void *arg = nullptr)
{
    seen.shards.clear();
    seen.steps = seen.drops = seen.inside = seen.ended = 0;
    lab_world world(count, seed);
    world.run(body, arg);
    for (const asx_shard_stats &each : world.ends) {
        seen.lent += each.tasks_lent;
        seen.returned += each.tasks_returned;
        seen.hosted += each.tasks_hosted;
    }
}
} // namespace

TEST_CASE("migrate: tasks that were not marked stay, and no message is sent for them", "[migrate]")
{
    over_seeds(20, [](uint64_t seed) {
        seen.lent = 0;
        in_world(
            2, seed, TASK {
                ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                    for (uint32_t i = 0; i < 40; i++) {
                        const walker w = { 20, i, ASX_SEVERITY_OK };
                        CHECK(asx_spawn_poll(&s->cx, nullptr, walk, &w, sizeof(w), nullptr, nullptr,
                                             nullptr) == ASX_OK);
                    }
                }
                CHECK(stats_of(cx).messages_sent == 0);
                return asx_ok(0);
            });
        CHECK(seen.shards == std::set<uint32_t>{ 0 });
        CHECK(seen.lent == 0);
        CHECK(seen.steps == 40 * 21);
    });
}

TEST_CASE("migrate: sendable tasks spread, and each is joined at home with its value", "[migrate]")
{
    static uint32_t spread;
    spread = 0;
    seen.lent = 0;
    over_seeds(200, [](uint64_t seed) {
        in_world(
            2 + seed % 2, seed, TASK {
                asx_outcome value;
                ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
                    asx_handle tasks[40];
                    asx_spawn_options options = sendable();
                    options.drop = drop;
                    for (uint32_t i = 0; i < 40; i++) {
                        const walker w = { 50, i, ASX_SEVERITY_OK };
                        CHECK(asx_spawn_poll(&s->cx, nullptr, walk, &w, sizeof(w), &options,
                                             &tasks[i], nullptr) == ASX_OK);
                    }
                    CHECK(asx_region_task_count(asx_scope_region(s)) == 40);
                    for (uint32_t i = 0; i < 40; i++) {
                        const asx_outcome joined = asx_join(&s->cx, tasks[i]);
                        CHECK(asx_is_ok(joined));
                        CHECK(joined.value == i);
                    }
                    CHECK(asx_region_task_count(asx_scope_region(s)) == 0);
                    CHECK(asx_region_heap_bytes(asx_scope_region(s)) == 0);
                }
                CHECK(asx_is_ok(value));
                return asx_ok(0);
            });
        CHECK(seen.steps == 40 * 51);
        CHECK(seen.ended == 40);
        CHECK(seen.drops == 40);
        spread += seen.shards.size() > 1;
    });
    CHECK(spread > 150);
    CHECK(seen.lent > 1000);
}

TEST_CASE("migrate: how a task ends elsewhere is judged by its region at home", "[migrate]")
{
    over_seeds(200, [](uint64_t seed) {
        in_world(
            3, seed,
            TASK {
                const uint64_t seed_here = *static_cast<uint64_t *>(arg);
                const asx_severity ends = seed_here % 2 ? ASX_SEVERITY_ERR : ASX_SEVERITY_PANICKED;
                asx_outcome value;
                ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
                    const asx_spawn_options options = sendable();
                    for (uint32_t i = 0; i < 30; i++) {
                        const walker w = { i == 20 ? 5u : 100000u, i,
                                           i == 20 ? ends : ASX_SEVERITY_OK };
                        CHECK(asx_spawn_poll(&s->cx, nullptr, walk, &w, sizeof(w), &options,
                                             nullptr, nullptr) == ASX_OK);
                    }
                }
                if (ends == ASX_SEVERITY_ERR) {
                    CHECK(asx_is_err(value, user_error));
                } else {
                    CHECK(value.severity == ASX_SEVERITY_PANICKED);
                    CHECK(std::string(value.panic->message) == "walker 20");
                }
                return asx_ok(0);
            },
            &seed);
    });
}

TEST_CASE("migrate: a cancel finds the task wherever it is", "[migrate]")
{
    over_seeds(200, [](uint64_t seed) {
        in_world(
            2 + seed % 2, seed,
            TASK {
                const uint64_t seed_here = *static_cast<uint64_t *>(arg);
                asx_outcome value;
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                    asx_handle tasks[24];
                    asx_spawn_options options = sendable();
                    options.drop = drop;
                    for (uint32_t i = 0; i < 24; i++) {
                        const walker w = { 100000u, i, ASX_SEVERITY_OK };
                        CHECK(asx_spawn_poll(&s->cx, nullptr, walk, &w, sizeof(w), &options,
                                             &tasks[i], nullptr) == ASX_OK);
                    }
                    for (uint64_t i = 0; i < seed_here % 40; i++) {
                        ASX_TRY(asx_yield(cx));
                    }
                    if (seed_here % 3 == 0) {
                        asx_scope_cancel(s, ASX_CANCEL_USER, "enough");
                    } else {
                        for (const asx_handle &task : tasks) {
                            asx_task_cancel(cx, task, ASX_CANCEL_USER, "enough");
                            asx_task_cancel(cx, task, ASX_CANCEL_SHUTDOWN, "and more");
                        }
                    }
                    for (uint32_t i = 0; i < 24 && seed_here % 3 != 0; i++) {
                        const asx_outcome joined = asx_join_drained(cx, tasks[i], nullptr);
                        CHECK(joined.severity == ASX_SEVERITY_CANCELLED);
                        const asx_cancel_kind kind =
                            (asx_cancel_kind)asx_reason_root(joined.reason)->kind;
                        CHECK((kind == ASX_CANCEL_USER || kind == ASX_CANCEL_SHUTDOWN));
                    }
                }
                CHECK(value.severity == ASX_SEVERITY_CANCELLED);
                CHECK(seen.drops == 24);
                return asx_ok(0);
            },
            &seed);
    });
}

namespace
{
/* Waits until it is told, `rounds` times; the one who tells is at home. */
struct listener {
    uint32_t *told; /* of this task: written by who wakes it, before it does */
    uint32_t heard, rounds;
    asx_handle self;
    bool has_run;
};

bool listen(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    listener *const me = static_cast<listener *>(frame);
    seen.shards.insert(asx_cx_shard_index(cx));
    if (me->has_run) { /* its name is the same wherever it is */
        CHECK(asx_handle_eq(asx_cx_task(cx), me->self));
    }
    me->has_run = true;
    me->self = asx_cx_task(cx);
    me->heard = *me->told;
    if (me->heard >= me->rounds) {
        *outcome = asx_ok(me->heard);
        return true;
    }
    return false;
}
} // namespace

TEST_CASE("migrate: no wake-up is lost on the way", "[migrate]")
{
    static uint32_t spread;
    spread = 0;
    over_seeds(150, [](uint64_t seed) {
        in_world(
            2 + seed % 2, seed, TASK {
                uint32_t told[200] = {};
                ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                    asx_handle tasks[200];
                    const asx_spawn_options options = sendable();
                    for (uint32_t i = 0; i < 200; i++) {
                        const listener l = { &told[i], 0, 6, {}, false };
                        CHECK(asx_spawn_poll(&s->cx, nullptr, listen, &l, sizeof(l), &options,
                                             &tasks[i], nullptr) == ASX_OK);
                    }
                    for (uint32_t round = 0; round < 6; round++) {
                        for (uint32_t i = 0; i < 200; i++) {
                            told[i]++;
                            asx_task_wake(asx_shard_of(cx), tasks[i]);
                        }
                        for (uint64_t i = asx_random_below(cx, 6); i-- > 0;) {
                            ASX_TRY(asx_yield(cx));
                        }
                    }
                    for (const asx_handle &task : tasks) {
                        const asx_outcome joined = asx_join(&s->cx, task);
                        CHECK(asx_is_ok(joined));
                        CHECK(joined.value == 6);
                    }
                }
                return asx_ok(0);
            });
        spread += seen.shards.size() > 1;
    });
    CHECK(spread > 100);
}

TEST_CASE("migrate: what a closing shard had borrowed goes home, and on", "[migrate]")
{
    seen.returned = 0;
    over_seeds(300, [](uint64_t seed) {
        in_world(
            2 + seed % 2, seed,
            TASK {
                const uint64_t seed_here = *static_cast<uint64_t *>(arg);
                asx_outcome value;
                ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
                    const asx_spawn_options options = sendable();
                    for (uint32_t i = 0; i < 30; i++) {
                        const walker w = { 60, i, ASX_SEVERITY_OK };
                        CHECK(asx_spawn_poll(&s->cx, nullptr, walk, &w, sizeof(w), &options,
                                             nullptr, nullptr) == ASX_OK);
                    }
                    for (uint64_t i = 0; i < seed_here % 30; i++) {
                        ASX_TRY(asx_yield(cx));
                    }
                    CHECK(asx_shard_post(
                              cx, 1,
                              [](asx_shard *shard, void *) {
                                  asx_region_cancel(asx_shard_root(shard), ASX_CANCEL_SHUTDOWN,
                                                    "this one goes first");
                              },
                              nullptr) == ASX_OK);
                }
                CHECK(asx_is_ok(value));
                CHECK(seen.ended == 30);
                CHECK(seen.steps == 30 * 61);
                return asx_ok(0);
            },
            &seed);
    });
}

TEST_CASE("migrate: a task draws the same numbers wherever it runs", "[migrate]")
{
    static std::vector<uint64_t> drawn;
    static std::vector<uint64_t> expected;
    over_seeds(60, [](uint64_t seed) {
        drawn.assign(30 * 3, 0);
        /* The seed of the entropy is the world's: one shard first, then two in other orders. */
        for (uint32_t shards = 1; shards <= 3; shards++) {
            in_world(
                shards, seed, TASK {
                    struct drawer {
                        uint32_t index, steps;
                    };
                    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                        const asx_spawn_options options = sendable();
                        for (uint32_t i = 0; i < 30; i++) {
                            const drawer d = { i, 0 };
                            CHECK(asx_spawn_poll(
                                      &s->cx, nullptr,
                                      [](asx_cx *here, void *frame, asx_outcome *outcome) {
                                          drawer *const me = static_cast<drawer *>(frame);
                                          if (me->steps % 2 == 1) {
                                              drawn[me->index * 3 + me->steps / 2] =
                                                  asx_random_u64(here);
                                          }
                                          *outcome = asx_ok(0);
                                          if (++me->steps == 6) {
                                              return true;
                                          }
                                          asx_task_notify(asx_task_of(here));
                                          return false;
                                      },
                                      &d, sizeof(d), &options, nullptr, nullptr) == ASX_OK);
                        }
                    }
                    return asx_ok(0);
                });
            if (shards == 1) {
                expected = drawn;
            }
            CHECK(drawn == expected);
        }
    });
}

TEST_CASE("migrate: a wanted instant goes along, and home again", "[migrate]")
{
    over_seeds(100, [](uint64_t seed) {
        in_world(
            2, seed, TASK {
                struct sleeper {
                    asx_instant until;
                    uint32_t left;
                };
                const asx_instant until = asx_now(cx) + asx_ms(20);
                ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                    const asx_spawn_options options = sendable();
                    for (uint32_t i = 0; i < 20; i++) {
                        const sleeper z = { until, 30 };
                        CHECK(asx_spawn_poll(
                                  &s->cx, nullptr,
                                  [](asx_cx *here, void *frame, asx_outcome *outcome) {
                                      sleeper *const me = static_cast<sleeper *>(frame);
                                      if (me->left == 30) { /* once: nobody says it again */
                                          asx_task_wake_at(here, me->until);
                                      }
                                      if (me->left > 0) {
                                          me->left--;
                                          asx_task_notify(asx_task_of(here));
                                          return false;
                                      }
                                      *outcome = asx_ok(0);
                                      return asx_shard_now(asx_shard_of(here)) >= me->until;
                                  },
                                  &z, sizeof(z), &options, nullptr, nullptr) == ASX_OK);
                    }
                }
                CHECK(asx_now(cx) >= until);
                CHECK(asx_now(cx) < until + asx_ms(1)); /* a bell may ring late */
                return asx_ok(0);
            });
    });
}

TEST_CASE("migrate: what a task spawns where it is ends before it does", "[migrate]")
{
    over_seeds(100, [](uint64_t seed) {
        in_world(
            3, seed, TASK {
                struct parent {
                    uint32_t left;
                };
                ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                    asx_handle tasks[20];
                    const asx_spawn_options options = sendable();
                    for (uint32_t i = 0; i < 20; i++) {
                        const parent p = { 8 };
                        CHECK(asx_spawn_poll(
                                  &s->cx, nullptr,
                                  [](asx_cx *here, void *frame, asx_outcome *outcome) {
                                      parent *const me = static_cast<parent *>(frame);
                                      if (me->left-- > 0) {
                                          asx_task_notify(asx_task_of(here));
                                          return false;
                                      }
                                      *outcome = asx_ok(0);
                                      seen.inside++;
                                      asx_err err = asx_spawn(
                                          here, nullptr,
                                          TASK {
                                              const asx_outcome slept = asx_sleep(cx, asx_ms(1));
                                              seen.inside--;
                                              return slept;
                                          },
                                          nullptr, 0, nullptr, nullptr);
                                      CHECK(err == ASX_OK);
                                      return true;
                                  },
                                  &p, sizeof(p), &options, &tasks[i], nullptr) == ASX_OK);
                    }
                }
                CHECK(seen.inside == 0);
                return asx_ok(0);
            });
    });
}

TEST_CASE("migrate: a task that another shard has taken does not go to a third", "[migrate]")
{
    over_seeds(60, [](uint64_t seed) {
        lab_world world(3, seed);
        world.run(TASK {
            ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                const asx_spawn_options options = sendable();
                for (uint32_t i = 0; i < 48; i++) {
                    const walker w = { 40, i, ASX_SEVERITY_OK };
                    CHECK(asx_spawn_poll(&s->cx, nullptr, walk, &w, sizeof(w), &options, nullptr,
                                         nullptr) == ASX_OK);
                }
            }
            return asx_ok(0);
        });
        const uint64_t hosted = world.ends[1].tasks_hosted + world.ends[2].tasks_hosted;
        CHECK(world.ends[1].tasks_lent + world.ends[2].tasks_lent == 0);
        CHECK(hosted <= world.ends[0].tasks_lent); /* the others were refused */
    });
}

namespace
{
struct adder {
    uint64_t sum;
    uint32_t left;
};

bool add_up(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    adder *const self = static_cast<adder *>(frame);
    for (uint32_t i = 0; i < 200; i++) {
        self->sum = self->sum * 31 + i;
    }
    if (asx_is_cancelled(cx)) {
        *outcome = asx_cancelled(nullptr);
        return true;
    }
    if (self->left-- == 0) {
        *outcome = asx_ok(self->sum);
        return true;
    }
    asx_task_notify(asx_task_of(cx));
    return false;
}

asx_outcome live_spread(asx_cx *cx, void *arg)
{
    uint32_t *const wrong = static_cast<uint32_t *>(arg);
    const asx_spawn_options options = sendable();
    for (uint32_t round = 0; round < 60; round++) {
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            asx_handle tasks[64];
            for (uint32_t i = 0; i < 64; i++) {
                const adder a = { i, 60 };
                *wrong += asx_spawn_poll(&s->cx, nullptr, add_up, &a, sizeof(a), &options,
                                         &tasks[i], nullptr) != ASX_OK;
            }
            ASX_TRY(asx_yield(cx));
            for (uint32_t i = 0; i < 64; i++) {
                if (i % 8 == 0) {
                    asx_task_cancel(cx, tasks[i], ASX_CANCEL_USER, "live");
                }
                asx_task_wake(asx_shard_of(cx), tasks[i]);
            }
            for (uint32_t i = 0; i < 64; i++) {
                const asx_outcome joined = asx_join(&s->cx, tasks[i]);
                uint64_t sum = i;
                for (uint32_t k = 0; k < 61 * 200; k++) {
                    sum = sum * 31 + k % 200;
                }
                const bool was_cancelled = joined.severity == ASX_SEVERITY_CANCELLED;
                *wrong += (!asx_is_ok(joined) || joined.value != sum) &&
                          !(was_cancelled && i % 8 == 0); /* or it was done by then */
            }
        }
    }
    asx_shard_shutdown(asx_shard_of(cx), "done");
    return asx_ok(0);
}
} // namespace

TEST_CASE("migrate: three threads lend, wake and cancel, and nothing is lost",
          "[migrate][live][threads]")
{
    uint32_t wrong = 0;
    const std::vector<asx_shard_stats> stats = live_shards(3, live_spread, &wrong);
    CHECK(wrong == 0);
    CHECK(stats[1].tasks_hosted + stats[2].tasks_hosted > 0);
}
