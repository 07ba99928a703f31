/* Limbs: at stake is that a child on another shard is owned as strictly as one at home, whatever
 * order messages, turns and cancellations come in. Most cases run over hundreds of seeds, each of
 * which interleaves the shards' turns differently. */
#include "lab_world.h"
#include "live_shards.h"

#include <atomic>
#include <cstdlib>

namespace
{
const asx_err user_error = ASX_ERR(ASX_ERR_DOMAIN_USER, 5);
int dropped;

void count_drop(void *)
{
    dropped++;
}

asx_outcome doubler(asx_cx *cx, void *arg)
{
    const uint32_t value = *static_cast<uint32_t *>(arg);
    ASX_TRY(asx_sleep(cx, asx_ms(value)));
    return asx_ok(value * 100 + asx_cx_shard_index(cx));
}

asx_outcome forever(asx_cx *cx, void *)
{
    return asx_sleep(cx, asx_s(3600));
}
} // namespace

TEST_CASE("limb: runs on its shard with a copy of its argument, and its value comes home", "[limb]")
{
    over_seeds(200, [](uint64_t seed) {
        lab_world world(3, seed);
        world.run(TASK {
            asx_handle limbs[3];
            for (uint32_t i = 0; i < 3; i++) {
                uint32_t value = i + 1;
                CHECK(asx_spawn_on(cx, i, doubler, &value, sizeof(value), nullptr, &limbs[i]) ==
                      ASX_OK);
                value = 99;
            }
            for (uint32_t i = 3; i-- > 0;) {
                const asx_outcome joined = asx_join_limb(cx, limbs[i]);
                CHECK(asx_is_ok(joined));
                CHECK(joined.value == (i + 1) * 100 + i);
                CHECK(asx_is_err(asx_join_limb(cx, limbs[i]), ASX_E(STALE)));
            }
            CHECK(asx_is_err(asx_join_limb(cx, asx_cx_task(cx)), ASX_E(WRONG_KIND)));
            return asx_ok(0);
        });
    });
}

TEST_CASE("limb: a scope waits for its limbs, joined or not", "[limb]")
{
    over_seeds(200, [](uint64_t seed) {
        lab_world world(2, seed);
        world.run(TASK {
            const asx_instant begin = asx_now(cx);
            asx_outcome value;
            ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
                const uint32_t ms = 700;
                CHECK(asx_spawn_on(&s->cx, 1, doubler, &ms, sizeof(ms), nullptr, nullptr) ==
                      ASX_OK);
            }
            CHECK(asx_now(cx) - begin >= asx_ms(700));
            CHECK(asx_is_ok(value));
            return asx_ok(0);
        });
    });
}

TEST_CASE("limb: cancelling the region reaches the far shard with the whole chain of causes",
          "[limb]")
{
    over_seeds(300, [](uint64_t seed) {
        lab_world world(2, seed);
        world.run(
            TASK {
                asx_outcome value, joined = asx_ok(0);
                asx_handle limb{};
                const uint64_t pause = *static_cast<uint64_t *>(arg) % 3;
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                    CHECK(asx_spawn_on(&s->cx, 1, forever, nullptr, 0, nullptr, &limb) == ASX_OK);
                    if (pause > 0) { /* 0: before the far shard has even answered */
                        ASX_TRY(asx_sleep(cx, asx_ms(pause)));
                    }
                    asx_scope_cancel(s, ASX_CANCEL_USER, "enough");
                    joined = asx_join_limb(cx, limb);
                    CHECK(joined.severity == ASX_SEVERITY_CANCELLED);
                    CHECK(asx_reason_root(joined.reason)->kind == ASX_CANCEL_USER);
                    CHECK(std::string(asx_reason_root(joined.reason)->message) == "enough");
                    CHECK(joined.reason->kind == ASX_CANCEL_PARENT_CANCELLED);
                }
                CHECK(value.severity == ASX_SEVERITY_CANCELLED);
                return asx_ok(0);
            },
            &seed);
    });
}

TEST_CASE("limb: its failure is judged by the policy at home", "[limb]")
{
    over_seeds(200, [](uint64_t seed) {
        lab_world world(3, seed);
        world.run(TASK {
            asx_outcome value;
            asx_handle slow{};
            const asx_instant begin = asx_now(cx);
            ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
                CHECK(asx_spawn_on(&s->cx, 2, forever, nullptr, 0, nullptr, &slow) == ASX_OK);
                CHECK(asx_spawn_on(
                          &s->cx, 1,
                          TASK {
                              ASX_TRY(asx_sleep(cx, asx_ms(2)));
                              return asx_fail(user_error);
                          },
                          nullptr, 0, nullptr, nullptr) == ASX_OK);
            }
            CHECK(asx_is_err(value, user_error));
            CHECK(asx_now(cx) - begin < asx_s(1));
            return asx_ok(0);
        });
    });
}

TEST_CASE("limb: a panic comes home as a payload of its own", "[limb]")
{
    over_seeds(100, [](uint64_t seed) {
        lab_world world(2, seed);
        world.run(TASK {
            asx_outcome value;
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                asx_handle limb{};
                CHECK(asx_spawn_on(
                          &s->cx, 1,
                          TASK {
                              (void)cx;
                              asx_panic("over there %d", 7);
                          },
                          nullptr, 0, nullptr, &limb) == ASX_OK);
                const asx_outcome joined = asx_join_limb(cx, limb);
                REQUIRE(joined.severity == ASX_SEVERITY_PANICKED);
                CHECK(std::string(joined.panic->message) == "over there 7");
                CHECK(joined.panic->line > 0);
            }
            CHECK(value.severity == ASX_SEVERITY_PANICKED);
            return asx_ok(0);
        });
    });
}

TEST_CASE("limb: what the far shard refuses never ran, and its argument is dropped once", "[limb]")
{
    over_seeds(200, [](uint64_t seed) {
        dropped = 0;
        lab_world world(2, seed);
        asx_region_close_begin(asx_shard_root(world.shards[1]), ASX_CLOSE_JOIN, nullptr);
        world.run(TASK {
            asx_spawn_options options{};
            options.drop = count_drop;
            asx_handle limb{};
            const int argument = 1;
            CHECK(asx_spawn_on(cx, 1, forever, &argument, sizeof(argument), &options, &limb) ==
                  ASX_OK);
            CHECK(asx_is_err(asx_join_limb(cx, limb), ASX_E(REGION_CLOSED)));
            CHECK(asx_spawn_on(cx, 7, forever, nullptr, 0, nullptr, &limb) ==
                  ASX_E(INVALID_ARGUMENT));
            asx_cx poor;
            CHECK(asx_cx_restrict(cx, ASX_CAP_SPAWN, &poor) == ASX_OK);
            CHECK(asx_spawn_on(&poor, 1, forever, nullptr, 0, nullptr, &limb) ==
                  ASX_E(NO_CAPABILITY));
            return asx_ok(0);
        });
        CHECK(dropped == 1);
    });
}

TEST_CASE("limb: a join that is cancelled leaves the limb joinable", "[limb]")
{
    over_seeds(100, [](uint64_t seed) {
        lab_world world(2, seed);
        world.run(TASK {
            static asx_handle limb;
            const uint32_t ms = 50;
            CHECK(asx_spawn_on(cx, 1, doubler, &ms, sizeof(ms), nullptr, &limb) == ASX_OK);
            bool late = false;
            const asx_outcome early = asx_timeout(
                cx, asx_ms(5), TASK { return asx_join_limb(cx, limb); }, nullptr, &late);
            CHECK(asx_is_err(early, ASX_E(TIMED_OUT)));
            const asx_outcome joined = asx_join_limb(cx, limb);
            CHECK(asx_is_ok(joined));
            CHECK(joined.value == 5001);
            return asx_ok(0);
        });
    });
}

TEST_CASE("limb: children_max counts limbs, also those not yet answered", "[limb]")
{
    lab_world world(2, 1);
    world.run(TASK {
        asx_region_options options{};
        options.limits.children_max = 2;
        asx_region *region = nullptr;
        CHECK(asx_region_open(cx, &options, &region) == ASX_OK);
        asx_cx inner = *cx;
        inner._region = region;
        const uint32_t ms = 1;
        CHECK(asx_spawn_on(&inner, 1, doubler, &ms, sizeof(ms), nullptr, nullptr) == ASX_OK);
        CHECK(asx_spawn_on(&inner, 1, doubler, &ms, sizeof(ms), nullptr, nullptr) == ASX_OK);
        CHECK(asx_spawn_on(&inner, 1, doubler, &ms, sizeof(ms), nullptr, nullptr) ==
              ASX_E(AT_CAPACITY));
        const asx_handle handle = asx_region_handle(region);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        CHECK(asx_is_ok(asx_region_close_wait(cx, handle)));
        return asx_ok(0);
    });
}

namespace
{
std::vector<uintptr_t> arrivals;
}

TEST_CASE("limb: a full ring holds the sending task, not its shard, and control gets through",
          "[limb]")
{
    over_seeds(50, [](uint64_t seed) {
        arrivals.clear();
        lab_world world(2, seed, 8);
        static lab_world *the_world;
        the_world = &world;
        world.run(TASK {
            asx_outcome value;
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                asx_handle limb{};
                CHECK(asx_spawn_on(&s->cx, 1, forever, nullptr, 0, nullptr, &limb) == ASX_OK);
                ASX_TRY(asx_sleep(cx, asx_ms(1)));
                the_world->held[1] = true;
                asx_scope_spawn(
                    s,
                    TASK {
                        for (uintptr_t i = 0; i < 100; i++) {
                            CHECK(asx_shard_post(
                                      cx, 1,
                                      [](asx_shard *shard, void *number) {
                                          CHECK(asx_shard_index(shard) == 1);
                                          arrivals.push_back(reinterpret_cast<uintptr_t>(number));
                                      },
                                      reinterpret_cast<void *>(i)) == ASX_OK);
                        }
                        return asx_ok(0);
                    },
                    nullptr, 0, nullptr);
                ASX_TRY(asx_sleep(cx, asx_ms(5))); /* the shard itself goes on */
                CHECK(arrivals.empty());
                for (int i = 0; i < 20; i++) { /* more than the ring has slots */
                    asx_limb_cancel(cx, limb, ASX_CANCEL_USER, "now");
                    asx_task_wake(asx_shard_of(cx), asx_handle{ 1, 1, 1, ASX_HANDLE_TASK, 0, 0 });
                }
                the_world->held[1] = false;
                CHECK(asx_join_limb(cx, limb).severity == ASX_SEVERITY_CANCELLED);
            }
            return asx_ok(0);
        });
        CHECK(arrivals.size() == 100);
        for (uintptr_t i = 0; i < arrivals.size(); i++) {
            REQUIRE(arrivals[i] == i);
        }
    });
}

namespace
{
struct script {
    uint32_t depth;
};
asx_prng script_prng;
uint32_t script_left;

uint64_t draw(uint64_t n)
{
    return asx_prng_below(&script_prng, n);
}

asx_outcome script_body(asx_cx *cx, void *arg)
{
    const uint32_t depth = static_cast<script *>(arg)->depth;
    for (uint64_t i = 1 + draw(3); i > 0; i--) {
        asx_handle limb{};
        ASX_SCOPE(cx, s, draw(2) ? ASX_FAIL_FAST : ASX_COLLECT_ALL) {
            for (uint64_t k = draw(4); k > 0 && depth < 4 && script_left > 0; k--) {
                script_left--;
                const script child = { depth + 1 };
                if (draw(3) == 0) {
                    ASX_SPAWN(s, script_body, &child);
                } else {
                    ignored(asx_spawn_on(&s->cx, (uint32_t)draw(asx_cx_shard_count(cx)),
                                         script_body, &child, sizeof(child), nullptr, &limb));
                }
            }
            switch (draw(8)) {
            case 0:
                ASX_TRY(asx_join_limb(&s->cx, limb));
                break;
            case 1:
                asx_limb_cancel(cx, limb, (asx_cancel_kind)draw(ASX_CANCEL_KIND_COUNT), "script");
                break;
            case 2:
                ASX_TRY(asx_sleep(cx, draw(3000000)));
                break;
            case 3:
                ASX_TRY(asx_yield(&s->cx));
                break;
            case 4:
                asx_scope_cancel(s, (asx_cancel_kind)draw(ASX_CANCEL_KIND_COUNT), "scope");
                break;
            case 5:
                if (depth > 0 && draw(3) == 0) {
                    asx_panic("script");
                }
                break;
            case 6:
                if (depth > 0 && draw(3) == 0) {
                    return asx_fail(user_error);
                }
                break;
            default:
                break;
            }
        }
    }
    return asx_ok(depth);
}
} // namespace

TEST_CASE("limb: random trees over three shards end quiescent on every shard", "[limb][tree]")
{
    const char *const one = getenv("ASX_TREE_SEED");
    const char *const many = getenv("ASX_TREE_COUNT");
    const uint64_t first = one ? strtoull(one, nullptr, 10) : 1;
    const uint64_t count = one ? 1 : many ? strtoull(many, nullptr, 10) : 3000;
    asx_shard_stats sum{};
    for (uint64_t seed = first; seed < first + count; seed++) {
        INFO("replay: ASX_TREE_SEED=" << seed << " build/tests/shard/shard_test '[limb][tree]'");
        asx_prng_init(&script_prng, seed);
        script_left = 40;
        script root = { 0 };
        lab_world world(2 + (uint32_t)(seed % 2), seed, seed % 5 == 0 ? 8 : 64);
        world.run(script_body, &root);
        sum.spawned += world.sum.spawned;
        sum.messages_received += world.sum.messages_received;
        sum.messages_stale += world.sum.messages_stale;
        sum.cancelled += world.sum.cancelled;
        sum.panicked += world.sum.panicked;
    }
    CAPTURE(sum.spawned, sum.messages_received, sum.messages_stale, sum.cancelled, sum.panicked);
    if (count >= 100) {
        CHECK(sum.messages_received > 10 * count);
        CHECK(sum.messages_stale > 0); /* cancels that crossed a done */
        CHECK(sum.panicked > 0);
    }
}

namespace
{
std::atomic<uint64_t> live_posts;

asx_outcome live_child(asx_cx *cx, void *arg)
{
    const uint32_t n = *static_cast<uint32_t *>(arg);
    if (n % 7 == 0) {
        ASX_TRY(asx_sleep(cx, asx_s(100)));
    }
    if (n % 5 == 0) {
        ASX_TRY(asx_yield(cx));
    }
    return asx_ok(n);
}

asx_outcome live_main(asx_cx *cx, void *)
{
    uint64_t good = 0, cancelled = 0;
    for (uint32_t round = 0; round < 100; round++) {
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            asx_handle limbs[20];
            for (uint32_t i = 0; i < 20; i++) {
                CHECK(asx_spawn_on(&s->cx, i % 2, live_child, &i, sizeof(i), nullptr, &limbs[i]) ==
                      ASX_OK);
            }
            CHECK(asx_shard_post(
                      cx, 1, [](asx_shard *, void *) { live_posts++; }, nullptr) == ASX_OK);
            for (uint32_t i = 0; i < 20; i++) {
                if (i % 7 == 0) {
                    asx_limb_cancel(cx, limbs[i], ASX_CANCEL_USER, "live");
                }
                const asx_outcome joined = asx_join_limb(cx, limbs[i]);
                good += asx_is_ok(joined) && joined.value == i;
                cancelled += joined.severity == ASX_SEVERITY_CANCELLED;
            }
        }
    }
    CHECK(good == 100 * 17);
    CHECK(cancelled == 100 * 3);
    asx_shard_shutdown(asx_shard_of(cx), "done");
    return asx_ok(0);
}
} // namespace

TEST_CASE("limb: two threads, each sleeping in its own driver, lose neither message nor wake-up",
          "[limb][live][threads]")
{
    live_posts = 0;
    live_shards(2, live_main);
    CHECK(live_posts == 100);
}
