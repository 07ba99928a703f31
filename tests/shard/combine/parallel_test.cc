/* Loops over all shards: at stake is that each element is worked on once whoever is busy, late or
 * gone, that the result does not depend on it, and that nothing runs any more after the call. */
#include <asx/shard/combine/parallel.h>

#include "../lab_world.h"
#include "../live_shards.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

namespace
{
const asx_err user_error = ASX_ERR(ASX_ERR_DOMAIN_USER, 9);

/* The pieces of all shards write here: in the lab from one thread, live each its own elements. */
struct board {
    std::vector<uint32_t> touched;
    uint64_t trouble_at = UINT64_MAX;
    asx_duration pause_ns = 0;
    uint32_t running = 0, begun = 0;

    explicit board(uint64_t count) : touched(count)
    {
    }
    bool all_once() const
    {
        return std::all_of(touched.begin(), touched.end(), [](uint32_t n) { return n == 1; });
    }
};

asx_outcome touch(asx_cx *, uint64_t first, uint64_t end, void *arg)
{
    board *const b = static_cast<board *>(arg);
    for (uint64_t i = first; i < end; i++) {
        b->touched[i]++;
    }
    return asx_ok(0);
}

/* Counts who is inside, also when the pause is cut short. */
asx_outcome linger(asx_cx *cx, uint64_t first, uint64_t end, void *arg)
{
    board *const b = static_cast<board *>(arg);
    b->running++;
    b->begun++;
    const asx_outcome slept = asx_sleep(cx, b->pause_ns);
    b->running--;
    ASX_TRY(slept);
    if (b->trouble_at >= first && b->trouble_at < end) {
        if (b->trouble_at % 2 == 0) {
            return asx_fail(user_error);
        }
        asx_panic("piece at %u", (unsigned)first);
    }
    return touch(cx, first, end, arg);
}

asx_outcome concatenate(asx_cx *cx, uint64_t first, uint64_t end, void *)
{
    ASX_TRY(asx_sleep(cx, asx_ms(static_cast<int64_t>(asx_random_below(cx, 5)))));
    return asx_ok(first * 1000 + end);
}

uintptr_t append(uintptr_t folded, uintptr_t value, void *)
{
    return folded * 31 + value; /* not commutative */
}
} // namespace

TEST_CASE("parallel: each element once, at every grain, on one to three shards", "[parallel]")
{
    over_seeds(60, [](uint64_t seed) {
        lab_world world(1 + static_cast<uint32_t>(seed % 3), seed);
        world.run(TASK {
            const uint64_t counts[] = { 0, 1, 2, 7, 255, 256, 257, 600 };
            for (const uint64_t count : counts) {
                for (const uint64_t grain : { 0u, 1u, 3u, 256u, 1000u }) {
                    board b(count);
                    CHECK(asx_is_ok(asx_parallel_for(cx, 0, count, grain, touch, &b)));
                    CHECK(b.all_once());
                }
            }
            return asx_ok(0);
        });
    });
}

TEST_CASE("parallel: the range may lie anywhere, and its pieces are cut from its beginning",
          "[parallel]")
{
    lab_world world(2, 1);
    world.run(TASK {
        static std::vector<std::pair<uint64_t, uint64_t>> seen;
        seen.clear();
        const auto note = [](asx_cx *, uint64_t first, uint64_t end, void *) {
            seen.emplace_back(first, end);
            return asx_ok(0);
        };
        CHECK(asx_is_ok(asx_parallel_for(cx, UINT64_MAX - 10, UINT64_MAX, 4, note, nullptr)));
        std::sort(seen.begin(), seen.end());
        const std::vector<std::pair<uint64_t, uint64_t>> expected = {
            { UINT64_MAX - 10, UINT64_MAX - 6 },
            { UINT64_MAX - 6, UINT64_MAX - 2 },
            { UINT64_MAX - 2, UINT64_MAX },
        };
        CHECK(seen == expected);
        CHECK(asx_is_err(asx_parallel_for(cx, 2, 1, 1, note, nullptr), ASX_E(INVALID_ARGUMENT)));
        return asx_ok(0);
    });
}

TEST_CASE("parallel: all shards take pieces, and a busy one takes fewer", "[parallel]")
{
    lab_world world(3, 5);
    world.run(TASK {
        static uint32_t by[3];
        std::fill(by, by + 3, 0u);
        const auto work = [](asx_cx *piece, uint64_t, uint64_t, void *) {
            const uint32_t shard = asx_cx_shard_index(piece);
            by[shard]++;
            return asx_sleep(piece, shard == 1 ? asx_ms(50) : asx_ms(1));
        };
        CHECK(asx_is_ok(asx_parallel_for(cx, 0, 100, 1, work, nullptr)));
        CHECK(by[0] + by[1] + by[2] == 100);
        CHECK(by[1] >= 1);
        CHECK(by[1] <= 3);
        CHECK(by[0] > 40);
        CHECK(by[2] > 40);
        return asx_ok(0);
    });
}

TEST_CASE("parallel: a fold in the order of the range, the same on any number of shards",
          "[parallel]")
{
    static uintptr_t expected;
    expected = 17;
    for (uint64_t first = 0; first < 100; first += 7) {
        expected = append(expected, first * 1000 + std::min<uint64_t>(first + 7, 100), nullptr);
    }
    over_seeds(60, [](uint64_t seed) {
        lab_world world(1 + static_cast<uint32_t>(seed % 3), seed);
        world.run(TASK {
            const asx_outcome folded =
                asx_parallel_map_reduce(cx, 0, 100, 7, concatenate, append, nullptr, 17);
            CHECK(asx_is_ok(folded));
            CHECK(folded.value == expected);
            const asx_outcome empty =
                asx_parallel_map_reduce(cx, 5, 5, 7, concatenate, append, nullptr, 17);
            CHECK(asx_is_ok(empty));
            CHECK(empty.value == 17);
            return asx_ok(0);
        });
    });
}

TEST_CASE("parallel: a failing piece stops the others, and its outcome is the call's", "[parallel]")
{
    over_seeds(200, [](uint64_t seed) {
        lab_world world(1 + static_cast<uint32_t>(seed % 3), seed);
        world.run(
            TASK {
                board b(200);
                b.pause_ns = asx_ms(1);
                b.trouble_at = *static_cast<uint64_t *>(arg) % 50;
                const asx_outcome outcome = asx_parallel_for(cx, 0, 200, 1, linger, &b);
                CHECK(b.running == 0);
                CHECK(b.begun < 100);
                if (b.trouble_at % 2 == 0) {
                    CHECK(asx_is_err(outcome, user_error));
                } else {
                    CHECK(outcome.severity == ASX_SEVERITY_PANICKED);
                    CHECK(std::string(outcome.panic->message) ==
                          "piece at " + std::to_string(b.trouble_at));
                }
                return asx_ok(0);
            },
            &seed);
    });
}

TEST_CASE("parallel: a cancelled caller has drained every piece when the call returns",
          "[parallel]")
{
    over_seeds(300, [](uint64_t seed) {
        lab_world world(1 + static_cast<uint32_t>(seed % 3), seed);
        world.run(
            TASK {
                static board *b;
                const uint64_t seed_here = *static_cast<uint64_t *>(arg);
                board here(1000);
                b = &here;
                b->pause_ns = asx_ms(1);
                asx_handle loop{};
                asx_outcome value;
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                    loop = asx_scope_spawn(
                        s,
                        TASK {
                            const asx_outcome outcome = asx_parallel_for(cx, 0, 1000, 1, linger, b);
                            CHECK(b->running == 0);
                            CHECK(outcome.severity == ASX_SEVERITY_CANCELLED);
                            CHECK(asx_reason_root(outcome.reason)->kind == ASX_CANCEL_USER);
                            return outcome;
                        },
                        nullptr, 0, nullptr);
                    ASX_TRY(asx_sleep(cx, static_cast<asx_duration>(seed_here % 7 * 700000)));
                    if (seed_here % 2 == 0) {
                        asx_task_cancel(cx, loop, ASX_CANCEL_USER, "enough");
                    } else {
                        asx_scope_cancel(s, ASX_CANCEL_USER, "enough");
                    }
                }
                CHECK(b->running == 0);
                CHECK(b->begun < 100);
                CHECK_FALSE(b->all_once());
                return asx_ok(0);
            },
            &seed);
    });
}

TEST_CASE("parallel: a piece may loop in parallel itself", "[parallel]")
{
    over_seeds(40, [](uint64_t seed) {
        lab_world world(1 + static_cast<uint32_t>(seed % 3), seed);
        world.run(TASK {
            board b(144);
            const asx_outcome outcome = asx_parallel_for(
                cx, 0, 12, 1,
                [](asx_cx *outer, uint64_t row, uint64_t, void *all) {
                    return asx_parallel_for(outer, row * 12, row * 12 + 12, 2, touch, all);
                },
                &b);
            CHECK(asx_is_ok(outcome));
            CHECK(b.all_once());
            return asx_ok(0);
        });
    });
}

TEST_CASE("parallel: what a shard refuses that is going away, the others do", "[parallel]")
{
    over_seeds(100, [](uint64_t seed) {
        lab_world world(3, seed);
        world.run(TASK {
            CHECK(asx_shard_post(
                      cx, 1,
                      [](asx_shard *shard, void *) {
                          asx_region_cancel(asx_shard_root(shard), ASX_CANCEL_SHUTDOWN, "first");
                      },
                      nullptr) == ASX_OK);
            board b(50);
            CHECK(asx_is_ok(asx_parallel_for(cx, 0, 50, 1, touch, &b)));
            CHECK(b.all_once());
            return asx_ok(0);
        });
    });
}

TEST_CASE("parallel: without the capability for other shards, all is done on this one",
          "[parallel]")
{
    lab_world world(3, 1);
    world.run(TASK {
        asx_cx here;
        CHECK(asx_cx_restrict(cx, ASX_CAP_ALL & ~static_cast<uint32_t>(ASX_CAP_REMOTE), &here) ==
              ASX_OK);
        const auto at_home = [](asx_cx *piece, uint64_t, uint64_t, void *) {
            return asx_cx_shard_index(piece) == 0 ? asx_ok(0) : asx_fail(user_error);
        };
        CHECK(asx_is_ok(asx_parallel_for(&here, 0, 40, 1, at_home, nullptr)));
        asx_cx none;
        CHECK(asx_cx_restrict(cx, 0x80u, &none) == ASX_OK);
        CHECK(
            asx_is_err(asx_parallel_for(&none, 0, 40, 1, at_home, nullptr), ASX_E(NO_CAPABILITY)));
        return asx_ok(0);
    });
}

namespace
{
asx_outcome sum_squares(asx_cx *, uint64_t first, uint64_t end, void *)
{
    uintptr_t sum = 0;
    for (uint64_t i = first; i < end; i++) {
        sum += i * i;
    }
    return asx_ok(sum);
}

uintptr_t add(uintptr_t folded, uintptr_t value, void *)
{
    return folded + value;
}

asx_outcome live_loop(asx_cx *cx, void *arg)
{
    *static_cast<bool *>(arg) = true;
    for (uint32_t round = 0; round < 50; round++) {
        const uint64_t n = 20000;
        const asx_outcome sum =
            asx_parallel_map_reduce(cx, 0, n, 100, sum_squares, add, nullptr, 0);
        board b(n);
        const asx_outcome touched = asx_parallel_for(cx, 0, n, 64, touch, &b);
        if (!asx_is_ok(sum) || sum.value != (n - 1) * n * (2 * n - 1) / 6 || !asx_is_ok(touched) ||
            !b.all_once()) {
            *static_cast<bool *>(arg) = false;
        }
    }
    asx_shard_shutdown(asx_shard_of(cx), "done");
    return asx_ok(0);
}
} // namespace

TEST_CASE("parallel: on three threads, what the pieces wrote is the caller's",
          "[parallel][live][threads]")
{
    bool right = false;
    live_shards(3, live_loop, &right);
    CHECK(right);
}

namespace
{
/* Each of the two pieces holds its shard until the other has begun. */
asx_outcome meet(asx_cx *, uint64_t, uint64_t, void *arg)
{
    std::atomic<uint32_t> *const begun = static_cast<std::atomic<uint32_t> *>(arg);
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    begun->fetch_add(1);
    while (begun->load() < 2) {
        if (std::chrono::steady_clock::now() > give_up) {
            return asx_fail(user_error);
        }
        std::this_thread::yield();
    }
    return asx_ok(0);
}

asx_outcome live_meeting(asx_cx *cx, void *arg)
{
    std::atomic<uint32_t> begun{ 0 };
    *static_cast<bool *>(arg) = asx_is_ok(asx_parallel_for(cx, 0, 2, 1, meet, &begun));
    asx_shard_shutdown(asx_shard_of(cx), "done");
    return asx_ok(0);
}
} // namespace

TEST_CASE("parallel: another shard begins while the first piece here still runs",
          "[parallel][live][threads]")
{
    bool met = false;
    live_shards(2, live_meeting, &met);
    CHECK(met);
}
