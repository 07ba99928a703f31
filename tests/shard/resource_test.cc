/* At stake: what a region may use up only ever gets less on the way down, a plan without what it
 * needs is refused, the dimensions that the kernel can keep are kept, and what was used up counts
 * for everybody who pays for it, once. */
#include <asx/shard/base/prng.h>
#include <asx/shard/resource.h>

#include "lab_world.h"

#include <cstring>

namespace
{

constexpr uint64_t none = ASX_RESOURCE_UNSTATED;

uint64_t random_amount(asx_prng *prng)
{
    const uint64_t at = asx_prng_below(prng, 6);
    return at == 0 ? none : at - 1;
}

asx_resources random_resources(asx_prng *prng)
{
    return { random_amount(prng), random_amount(prng), random_amount(prng),
             random_amount(prng), random_amount(prng), random_amount(prng) };
}

bool same(const asx_resources &a, const asx_resources &b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

asx_region *open_with(asx_cx *cx, const asx_resources *resources, size_t heap_bytes_max = 0)
{
    asx_region_options options{};
    options.policy = ASX_COLLECT_ALL;
    options.resources = resources;
    options.limits.heap_bytes_max = heap_bytes_max;
    options.label = "planned";
    asx_region *region = nullptr;
    REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
    return region;
}

void end(asx_cx *cx, asx_region *region)
{
    const asx_handle handle = asx_region_handle(region);
    asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
    ignored(asx_region_close_wait(cx, handle));
}

asx_outcome spin_in_finalizer(asx_cx *cx, void *arg)
{
    for (;;) {
        ++*static_cast<uint32_t *>(arg);
        ignored(asx_yield(cx));
    }
}

asx_outcome nap_in_finalizer(asx_cx *cx, void *)
{
    return asx_sleep(cx, asx_s(60));
}

} // namespace

TEST_CASE("resource: meet is associative, commutative, idempotent, with a unit", "[resource]")
{
    asx_prng prng;
    asx_prng_init(&prng, 11);
    for (int i = 0; i < 5000; i++) {
        const asx_resources a = random_resources(&prng), b = random_resources(&prng),
                            c = random_resources(&prng);
        REQUIRE(same(asx_resources_meet(asx_resources_meet(a, b), c),
                     asx_resources_meet(a, asx_resources_meet(b, c))));
        REQUIRE(same(asx_resources_meet(a, b), asx_resources_meet(b, a)));
        REQUIRE(same(asx_resources_meet(a, a), a));
        REQUIRE(same(asx_resources_meet(a, ASX_RESOURCES_UNSTATED), a));
    }
}

TEST_CASE("resource: a plan fails closed, for each dimension that it requires", "[resource]")
{
    asx_resource which = ASX_RESOURCE_CPU;
    asx_resources child{};
    const asx_resources wanted = { 100, none, 7, none, none, none };
    for (unsigned i = 0; i < ASX_RESOURCE_COUNT; i++) {
        const uint32_t required = 1u << i;
        CHECK(asx_resources_plan(&ASX_RESOURCES_UNSTATED, &wanted, required, &child, &which) ==
              ASX_E(MISSING_REQUIRED));
        CHECK(which == i);
        asx_resources parent = { 50, 50, 50, 50, 50, 50 };
        CHECK(asx_resources_plan(&parent, &wanted, required, &child, &which) == ASX_OK);
        (&parent.memory_bytes)[i] = 0; /* the dimensions in their order; of cleanup, the polls */
        CHECK(asx_resources_plan(&parent, &wanted, required, &child, &which) == ASX_E(EXHAUSTED));
        CHECK(which == i);
        CHECK(asx_resources_plan(&parent, &wanted, 0, &child, &which) == ASX_OK);
    }
    const asx_resources parent = { 50, 60, 70, none, none, none };
    REQUIRE(asx_resources_plan(&parent, &wanted, 7, &child, &which) == ASX_OK);
    CHECK(same(child, { 50, 60, 7, none, none, none }));
    const asx_resources no_time = { none, none, none, none, 10, 0 };
    CHECK(asx_resources_plan(&no_time, &wanted, 1u << ASX_RESOURCE_CLEANUP, &child, &which) ==
          ASX_E(EXHAUSTED));
    CHECK(asx_resource_name(which) == std::string("CLEANUP"));
}

TEST_CASE("resource: a region's are met with its ancestors'", "[resource]")
{
    run_kernel(TASK {
        static const asx_resources upper = { none, 100, none, 5, none, none };
        CHECK(same(asx_region_resources(asx_shard_root(asx_shard_of(cx))), ASX_RESOURCES_UNSTATED));
        asx_region *const outer = open_with(cx, &upper);
        struct member {
            static asx_outcome body(asx_cx *cx, void *)
            {
                static const asx_resources lower = { none, 300, 9, 2, none, none };
                asx_region *const plain = open_with(cx, nullptr);
                CHECK(same(asx_region_resources(plain), upper));
                asx_region *const inner = open_with(cx, &lower);
                CHECK(same(asx_region_resources(inner), { none, 100, 9, 2, none, none }));
                end(cx, inner);
                end(cx, plain);
                return asx_ok(0);
            }
        };
        asx_handle task;
        REQUIRE(asx_spawn(cx, outer, member::body, nullptr, 0, nullptr, &task) == ASX_OK);
        CHECK(asx_is_ok(asx_join(cx, task)));
        end(cx, outer);
        return asx_ok(0);
    });
}

TEST_CASE("resource: memory bounds a region's heap, with its own limit the smaller", "[resource]")
{
    run_kernel(TASK {
        static const asx_resources little = { 4096, none, none, none, none, none };
        static const asx_resources nothing = { 0, none, none, none, none, none };
        asx_region *region = open_with(cx, &little);
        CHECK(asx_region_alloc(region, 2048) != nullptr);
        CHECK(asx_region_alloc(region, 4096) == nullptr);
        end(cx, region);
        region = open_with(cx, &little, 1024);
        CHECK(asx_region_alloc(region, 2048) == nullptr);
        CHECK(asx_region_alloc(region, 512) != nullptr);
        end(cx, region);
        region = open_with(cx, &nothing);
        CHECK(asx_region_alloc(region, 1) == nullptr);
        end(cx, region);
        return asx_ok(0);
    });
}

TEST_CASE("resource: cleanup bounds finalizers, by polls and by time", "[resource]")
{
    const kernel_run run = run_kernel(TASK {
        static const asx_resources polls = { none, none, none, none, 7, none };
        static const asx_resources time = { none, none, none, none, none, asx_ms(250) };
        uint32_t count = 0;
        asx_region *region = open_with(cx, &polls);
        REQUIRE(asx_region_finalizer_add(region, spin_in_finalizer, &count) == ASX_OK);
        end(cx, region);
        CHECK(count == 7);
        const asx_instant before = asx_now(cx);
        region = open_with(cx, &time);
        REQUIRE(asx_region_finalizer_add(region, nap_in_finalizer, nullptr) == ASX_OK);
        end(cx, region);
        CHECK(asx_now(cx) - before == asx_ms(250));
        return asx_ok(0);
    });
    CHECK(run.stats.overruns == 2);
    CHECK(run.stats.abandoned == 2);
}

TEST_CASE("resource: they reach the regions of calls on other shards", "[resource][lab]")
{
    over_seeds(50, [](uint64_t seed) {
        lab_world world(2, seed);
        world.run(TASK {
            static const asx_resources upper = { 65536, 100, none, none, 3, none };
            asx_region *const outer = open_with(cx, &upper);
            struct member {
                static asx_outcome body(asx_cx *cx, void *)
                {
                    asx_handle far;
                    REQUIRE(asx_spawn_on(cx, 1, there, nullptr, 0, nullptr, &far) == ASX_OK);
                    return asx_join_limb(cx, far);
                }
                static asx_outcome there(asx_cx *cx, void *)
                {
                    static const asx_resources lower = { none, 10, none, none, none, none };
                    asx_region *const inner = open_with(cx, &lower);
                    CHECK(same(asx_region_resources(inner), { 65536, 10, none, none, 3, none }));
                    CHECK(asx_region_alloc(inner, 70000) == nullptr);
                    CHECK(asx_alloc(cx, 70000) == nullptr);
                    end(cx, inner);
                    return asx_ok(0);
                }
            };
            asx_handle task;
            REQUIRE(asx_spawn(cx, outer, member::body, nullptr, 0, nullptr, &task) == ASX_OK);
            CHECK(asx_is_ok(asx_join(cx, task)));
            end(cx, outer);
            return asx_ok(0);
        });
    });
}
