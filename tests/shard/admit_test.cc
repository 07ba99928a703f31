/* At stake: a region takes in as much as it was told to, and as fast; a refusal leaves no trace.
 * The limit on arrivals is held against a bucket of tokens that is filled drop by drop. */
#include <asx/shard/explain.h>
#include <asx/shard/refusal.h>
#include <asx/shard/sync/semaphore.h>

#include "lab_world.h"

namespace
{

asx_outcome idle(asx_cx *, void *)
{
    return asx_ok(0);
}

asx_region *open_limited(asx_cx *cx, const asx_region_limits &limits)
{
    asx_region_options options{};
    options.policy = ASX_COLLECT_ALL;
    options.limits = limits;
    asx_region *region = nullptr;
    REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
    return region;
}

asx_err spawn_in(asx_cx *cx, asx_region *region)
{
    asx_spawn_options options{};
    asx_handle task;
    options.detached_result = true;
    return asx_spawn(cx, region, idle, nullptr, 0, &options, &task);
}

/* How many of `count` are admitted now. */
uint32_t burst_of(asx_cx *cx, asx_region *region, uint32_t count)
{
    uint32_t admitted = 0;
    for (uint32_t i = 0; i < count; i++) {
        const asx_err err = spawn_in(cx, region);
        CHECK((err == ASX_OK || err == ASX_E(AT_CAPACITY)));
        admitted += err == ASX_OK;
    }
    return admitted;
}

void end(asx_cx *cx, asx_region *region)
{
    const asx_handle handle = asx_region_handle(region);
    asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
    ignored(asx_region_close_wait(cx, handle));
}

} // namespace

TEST_CASE("admit: a burst at once, then one for each gap, and a pause makes up for no more",
          "[admit]")
{
    run_kernel(TASK {
        asx_region_limits limits{};
        limits.arrivals_per_s = 10;
        limits.arrivals_burst = 3;
        asx_region *const region = open_limited(cx, limits);
        CHECK(burst_of(cx, region, 5) == 3);
        ASX_TRY(asx_sleep(cx, asx_ms(100) - 1));
        CHECK(burst_of(cx, region, 2) == 0); /* 1 ns too early */
        ASX_TRY(asx_sleep(cx, 1));
        CHECK(burst_of(cx, region, 2) == 1);
        ASX_TRY(asx_sleep(cx, asx_ms(250)));
        CHECK(burst_of(cx, region, 5) == 2);
        ASX_TRY(asx_sleep(cx, asx_s(3600)));
        CHECK(burst_of(cx, region, 9) == 3);
        CHECK(stats_of(cx).admissions_refused == 2 + 2 + 1 + 3 + 6);
        end(cx, region);

        limits.arrivals_burst = 0; /* one at a time */
        asx_region *const single = open_limited(cx, limits);
        CHECK(burst_of(cx, single, 3) == 1);
        limits.arrivals_per_s = UINT32_MAX; /* faster than the clock ticks: one a nanosecond */
        asx_region *const fast = open_limited(cx, limits);
        CHECK(burst_of(cx, fast, 3) == 1);
        end(cx, single);
        end(cx, fast);
        return asx_ok(0);
    });
}

TEST_CASE("admit: over random arrivals it agrees with a bucket of tokens", "[admit]")
{
    run_kernel(TASK {
        for (int round = 0; round < 50; round++) {
            asx_region_limits limits{};
            limits.arrivals_per_s = static_cast<uint32_t>(1 + asx_random_below(cx, 1000));
            limits.arrivals_burst = static_cast<uint32_t>(1 + asx_random_below(cx, 8));
            asx_region *const region = open_limited(cx, limits);
            const uint64_t gap = ASX_NS_PER_S / limits.arrivals_per_s;
            const uint64_t full = gap * limits.arrivals_burst;
            uint64_t tokens = full; /* in nanoseconds of refill */
            for (int i = 0; i < 100; i++) {
                const bool admitted = spawn_in(cx, region) == ASX_OK;
                CHECK(admitted == (tokens >= gap));
                tokens -= admitted ? gap : 0;
                const uint64_t nap = asx_random_below(cx, 2 * gap);
                if (asx_random_below(cx, 3) > 0 && nap > 0) {
                    ASX_TRY(asx_sleep(cx, nap));
                    tokens = tokens + nap < full ? tokens + nap : full;
                }
            }
            end(cx, region);
        }
        return asx_ok(0);
    });
}

TEST_CASE("admit: what is refused, or comes to nothing, has not arrived", "[admit]")
{
    run_kernel(TASK {
        asx_region_limits limits{};
        limits.arrivals_per_s = 1;
        limits.arrivals_burst = 1;
        limits.heap_bytes_max = 4096;
        asx_region *const region = open_limited(cx, limits);
        std::vector<char> large(8192);
        asx_handle task;
        CHECK(asx_spawn(cx, region, idle, large.data(), large.size(), nullptr, &task) ==
              ASX_E(AT_CAPACITY)); /* its argument has no room */
        CHECK(asx_region_task_count(region) == 0);
        CHECK(spawn_in(cx, region) == ASX_OK);
        CHECK(spawn_in(cx, region) == ASX_E(AT_CAPACITY));
        CHECK(asx_region_task_count(region) == 1);
        end(cx, region);
        return asx_ok(0);
    });
}

TEST_CASE("admit: finalizers, child regions and channels are no arrivals, and no tasks", "[admit]")
{
    run_kernel(TASK {
        static uint32_t finalized;
        asx_region_limits limits{};
        limits.arrivals_per_s = 1;
        limits.tasks_max = 1;
        asx_region *const region = open_limited(cx, limits);
        finalized = 0;
        CHECK(asx_region_finalizer_add(
                  region,
                  TASK {
                      finalized++;
                      return asx_ok(0);
                  },
                  nullptr) == ASX_OK);
        struct member {
            static asx_outcome body(asx_cx *cx, void *)
            {
                asx_semaphore semaphore;
                asx_region *child = nullptr;
                CHECK(asx_semaphore_open(cx, 1, "one", &semaphore) == ASX_OK);
                CHECK(asx_region_open(cx, nullptr, &child) == ASX_OK);
                CHECK(spawn_in(cx, nullptr) == ASX_E(AT_CAPACITY));
                end(cx, child);
                return asx_ok(0);
            }
        };
        asx_handle task;
        REQUIRE(asx_spawn(cx, region, member::body, nullptr, 0, nullptr, &task) == ASX_OK);
        CHECK(asx_is_ok(asx_join(cx, task)));
        end(cx, region);
        CHECK(finalized == 1);
        return asx_ok(0);
    });
}

TEST_CASE("admit: calls to other shards arrive as tasks do", "[admit][lab]")
{
    over_seeds(50, [](uint64_t seed) {
        lab_world world(2, seed, 16);
        world.run(TASK {
            asx_region_options options{};
            asx_region *region = nullptr;
            asx_handle task;
            options.policy = ASX_COLLECT_ALL;
            options.limits.arrivals_per_s = 10;
            options.limits.arrivals_burst = 20; /* more than the ring holds: some must wait */
            REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
            struct member {
                static asx_outcome body(asx_cx *cx, void *)
                {
                    uint32_t admitted = 0;
                    for (int i = 0; i < 30; i++) {
                        asx_handle far;
                        const asx_err err = asx_spawn_on(cx, 1, idle, nullptr, 0, nullptr, &far);
                        CHECK((err == ASX_OK || err == ASX_E(AT_CAPACITY)));
                        admitted += err == ASX_OK;
                    }
                    CHECK(admitted == 19); /* and the member itself */
                    return asx_ok(0);
                }
            };
            REQUIRE(asx_spawn(cx, region, member::body, nullptr, 0, nullptr, &task) == ASX_OK);
            CHECK(asx_is_ok(asx_join(cx, task)));
            end(cx, region);
            return asx_ok(0);
        });
    });
}

namespace
{

/* What the shard says of the refusal that has just come back. */
void check_refusal(const asx_cx *cx, asx_limit which, uint64_t limit, uint64_t live,
                   const asx_region *region)
{
    const asx_refusal refusal = asx_refusal_last(cx);
    CAPTURE(asx_limit_name(which));
    CHECK(refusal.which == which);
    CHECK(refusal.limit == limit);
    CHECK(refusal.live == live);
    CHECK(asx_handle_eq(refusal.region, asx_region_handle(region)));
    CHECK(refusal.at_ns == asx_now(cx));
}

void keep_line(void *arg, const char *text)
{
    static_cast<std::vector<std::string> *>(arg)->push_back(text);
}

/* In a region with those limits: one of each, and then one too many. */
asx_outcome meets_limits(asx_cx *cx, void *arg)
{
    asx_region *own = nullptr, *child = nullptr;
    asx_permit first, second;
    asx_obligation_options permit{};
    REQUIRE(asx_region_lookup(asx_shard_of(cx), asx_cx_region(cx), &own) == ASX_OK);
    REQUIRE(asx_region_open(cx, nullptr, &child) == ASX_OK);
    CHECK(asx_region_open(cx, nullptr, &child) == ASX_E(AT_CAPACITY));
    check_refusal(cx, ASX_LIMIT_CHILDREN, 1, 1, own);
    asx_region_close_begin(child, ASX_CLOSE_JOIN, nullptr);

    REQUIRE(asx_obligation_reserve(cx, &permit, &first) == ASX_OK);
    CHECK(asx_obligation_reserve(cx, &permit, &second) == ASX_E(AT_CAPACITY));
    check_refusal(cx, ASX_LIMIT_OBLIGATIONS, 1, 1, own);
    CHECK(asx_obligation_abort(cx, first) == ASX_OK);

    CHECK(spawn_in(cx, own) == ASX_E(AT_CAPACITY)); /* this task is the one */
    check_refusal(cx, ASX_LIMIT_TASKS, 1, 1, own);

    const uint64_t before = asx_region_heap_bytes(own);
    CHECK(asx_alloc(cx, 8192) == nullptr);
    check_refusal(cx, ASX_LIMIT_HEAP, 4096, before, own);
    *static_cast<asx_refusal *>(arg) = asx_refusal_last(cx);
    return asx_ok(0);
}

} // namespace

TEST_CASE("admit: who is refused learns which limit it was, and how full", "[admit]")
{
    run_kernel(TASK {
        asx_region_limits limits{};
        limits.tasks_max = limits.children_max = limits.obligations_max = 1;
        limits.heap_bytes_max = 4096;
        CHECK(asx_refusal_last(cx).which == ASX_LIMIT_NONE);
        asx_region *const region = open_limited(cx, limits);
        asx_refusal last{};
        asx_handle task;
        REQUIRE(asx_spawn(cx, region, meets_limits, &last, 0, nullptr, &task) == ASX_OK);
        CHECK(asx_is_ok(asx_join(cx, task)));
        CHECK(last.which == ASX_LIMIT_HEAP);
        CHECK(stats_of(cx).admissions_refused == 4);
        char text[64];
        last.live = 160;
        CHECK(std::string(asx_refusal_text(&last, text, sizeof(text))) ==
              "bytes of heap: 160 of at most 4096");

        /* An argument that the region has no room for. */
        static const char large[8192] = "";
        CHECK(asx_spawn(cx, region, idle, large, sizeof(large), nullptr, &task) ==
              ASX_E(AT_CAPACITY));
        check_refusal(cx, ASX_LIMIT_HEAP, 4096, asx_region_heap_bytes(region), region);
        CHECK(asx_region_task_count(region) == 0);
        end(cx, region);
        return asx_ok(0);
    });
}

TEST_CASE("admit: a region's explanation tells its limits and what they refused", "[admit]")
{
    run_kernel(TASK {
        asx_region_limits limits{};
        limits.tasks_max = 2;
        asx_region *const region = open_limited(cx, limits);
        CHECK(burst_of(cx, region, 3) == 2);
        std::vector<std::string> lines;
        REQUIRE(asx_explain(asx_shard_of(cx), asx_region_handle(region), 20, keep_line, &lines) ==
                ASX_OK);
        REQUIRE(lines.size() >= 2);
        CHECK(lines[0].find("tasks 2 of at most 2") != std::string::npos);
        CHECK(lines[1] == "  refused more 0.000 s ago, tasks: 2 of at most 2");
        end(cx, region);
        return asx_ok(0);
    });
}

TEST_CASE("admit: refusals are told, but not each of them", "[admit]")
{
    kernel_run seen = run_kernel(TASK {
        asx_region_limits limits{};
        limits.tasks_max = 1;
        asx_region *const region = open_limited(cx, limits);
        CHECK(burst_of(cx, region, 100) == 1);
        end(cx, region);
        return asx_ok(0);
    });
    CHECK(seen.lines.size() == 1);
}
