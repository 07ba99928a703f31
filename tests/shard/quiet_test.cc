/* What a shard keeps once a crowd has gone: at stake is that it comes down to a reserve, that one
 * with something to do is left alone, and that an idle one sleeps. The clock is the case's, so that
 * nothing depends on the machine. */
#include <asx/reactor/epoll.h>
#include <asx/shard/limits.h>
#include <asx/shard/shard.h>
#include <asx/shard/task.h>

#include <catch2/catch.hpp>

namespace
{

constexpr uint64_t CROWD = 1000;

asx_instant clock_ns;
uint64_t sleeps, looks; /* parks that waited, and that did not */
asx_driver_ops ops;
const asx_driver_ops *real;

asx_instant clock_look(asx_driver *)
{
    return clock_ns;
}

void park(asx_driver *driver, asx_instant until)
{
    real->park(driver, 0);
    (until > clock_ns ? sleeps : looks)++;
    if (until == ASX_TIME_NEVER) {
        clock_ns += 250 * ASX_NS_PER_MS;
    } else if (until > clock_ns) {
        clock_ns = until;
    }
}

asx_outcome run(asx_task_fn *fn)
{
    asx_shard_config config{};
    asx_driver_config driver_config{};
    REQUIRE(asx_epoll_create(&driver_config, &config.driver) == ASX_OK);
    clock_ns = ASX_NS_PER_S;
    sleeps = looks = 0;
    real = config.driver->ops;
    ops = *real;
    ops.now = clock_look;
    ops.park = park;
    config.driver->ops = &ops;
    config.seed = 1;
    asx_shard *shard = nullptr;
    REQUIRE(asx_shard_create(&config, &shard) == ASX_OK);
    const asx_outcome outcome = asx_shard_run(shard, fn, nullptr);
    const bool ok = asx_is_ok(outcome);
    asx_shard_destroy(shard);
    REQUIRE(ok);
    return asx_ok(0);
}

asx_shard_stats stats_of(asx_cx *cx)
{
    asx_shard_stats stats;
    asx_shard_stats_read(asx_shard_of(cx), &stats);
    return stats;
}

asx_outcome waiter(asx_cx *cx, void *)
{
    /* A chunk of its region's, and a block of the region that stays. */
    void *const block = asx_region_alloc(asx_shard_root(asx_shard_of(cx)), 5000);
    REQUIRE(block != nullptr);
    memset(block, 1, 5000);
    const asx_outcome outcome = asx_sleep(cx, 10 * ASX_NS_PER_MS);
    asx_region_free(asx_shard_root(asx_shard_of(cx)), block, 5000);
    return outcome;
}

/* All wait at once, each in a region of its own; then all are gone. */
void crowd(asx_cx *cx)
{
    for (uint64_t i = 0; i < CROWD; i++) {
        asx_region *region = nullptr;
        REQUIRE(asx_region_open(cx, nullptr, &region) == ASX_OK);
        REQUIRE(asx_region_alloc(region, 100) != nullptr);
        REQUIRE(asx_spawn(cx, region, waiter, nullptr, 0, nullptr, nullptr) == ASX_OK);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
    }
    REQUIRE(asx_is_ok(asx_sleep(cx, 20 * ASX_NS_PER_MS)));
    const asx_shard_stats stats = stats_of(cx);
    REQUIRE(stats.stacks_pooled >= CROWD);
    REQUIRE(stats.chunk_bytes_held > CROWD * 9000);
}

} // namespace

TEST_CASE("quiet: what a crowd left behind is given back, but for a reserve", "[shard][quiet]")
{
    run([](asx_cx *cx, void *) {
        crowd(cx);
        REQUIRE(asx_is_ok(asx_sleep(cx, ASX_QUIET_NS / 2)));
        CHECK(stats_of(cx).stacks_pooled >= CROWD);
        REQUIRE(asx_is_ok(asx_sleep(cx, ASX_QUIET_NS)));
        const asx_shard_stats stats = stats_of(cx);
        CHECK(stats.stacks_pooled == ASX_QUIET_STACKS_KEPT);
        CHECK(stats.chunk_bytes_held - stats.heap_bytes_live <= 2 * ASX_QUIET_CHUNK_BYTES_KEPT);
        /* What is left are the records' pages. */
        CHECK(stats.heap_bytes_live < CROWD * 1500);
        CHECK(looks >= CROWD / ASX_QUIET_BATCH); /* never all at once */
        crowd(cx);
        return asx_ok(0);
    });
}

TEST_CASE("quiet: a shard with something to do keeps what it may need again", "[shard][quiet]")
{
    run([](asx_cx *cx, void *) {
        crowd(cx);
        for (int i = 0; i < 2000; i++) {
            REQUIRE(asx_is_ok(asx_sleep(cx, ASX_QUIET_NS / (2 * ASX_QUIET_DISPATCHES))));
        }
        const asx_shard_stats stats = stats_of(cx);
        CHECK(stats.stacks_pooled >= CROWD);
        CHECK(stats.quiet_steps == 0);
        return asx_ok(0);
    });
}

TEST_CASE("quiet: an idle shard sleeps", "[shard][quiet]")
{
    run([](asx_cx *cx, void *) {
        crowd(cx);
        REQUIRE(asx_is_ok(asx_sleep(cx, ASX_NS_PER_S)));
        const uint64_t steps = stats_of(cx).quiet_steps;
        sleeps = looks = 0;
        for (unsigned i = 0; i < ASX_QUIET_DISPATCHES / 4; i++) {
            REQUIRE(asx_is_ok(asx_sleep(cx, 3 * ASX_NS_PER_S)));
        }
        CHECK(sleeps == ASX_QUIET_DISPATCHES / 4);
        CHECK(looks == 0);
        CHECK(stats_of(cx).quiet_steps == steps);
        return asx_ok(0);
    });
}
