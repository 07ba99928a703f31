/* Several shards, each on a thread of its own over epoll, with a task on the first. */
#ifndef ASX_TESTS_SHARD_LIVE_SHARDS_H
#define ASX_TESTS_SHARD_LIVE_SHARDS_H

#include <asx/reactor/epoll.h>
#include <asx/shard/limb.h>
#include <asx/shard/mesh.h>
#include <asx/shard/shard.h>

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

/* Not Catch's assertions: those are not for two threads. */
static inline void live_shard(asx_mesh *mesh, uint32_t index, asx_task_fn *fn, void *arg,
                              asx_shard_stats *stats)
{
    asx_shard_config config{};
    asx_driver_config driver_config{};
    asx_assert(asx_epoll_create(&driver_config, &config.driver) == ASX_OK);
    config.index = index;
    config.mesh = mesh;
    config.seed = 1;
    asx_shard *shard = nullptr;
    asx_assert(asx_shard_create(&config, &shard) == ASX_OK);
    if (fn) {
        asx_assert(asx_shard_start(shard, fn, arg, 0) == ASX_OK);
    }
    asx_shard_serve(shard);
    asx_shard_stats_read(shard, stats);
    asx_shard_destroy(shard);
}

/* Runs fn on the first of `count`, which shuts them all down when it is done; nothing is left. */
static inline std::vector<asx_shard_stats> live_shards(uint32_t count, asx_task_fn *fn,
                                                       void *arg = nullptr)
{
    asx_mesh *const mesh = asx_mesh_create(count, 64);
    REQUIRE(mesh != nullptr);
    std::vector<asx_shard_stats> stats(count);
    std::vector<std::thread> others;
    for (uint32_t i = 1; i < count; i++) {
        others.emplace_back([=, &stats] { live_shard(mesh, i, nullptr, nullptr, &stats[i]); });
    }
    live_shard(mesh, 0, fn, arg, &stats[0]);
    for (std::thread &other : others) {
        other.join();
    }
    asx_mesh_destroy(mesh);
    for (const asx_shard_stats &each : stats) {
        CHECK(each.tasks_live == 0);
        CHECK(each.regions_live == 0);
        CHECK(each.spawned == each.completed);
    }
    return stats;
}

#endif
