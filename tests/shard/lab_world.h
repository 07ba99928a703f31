/* Several shards on one thread: a seed picks which of them takes the next turn, and the clock moves
 * only when none of them can. */
#ifndef ASX_TESTS_SHARD_LAB_WORLD_H
#define ASX_TESTS_SHARD_LAB_WORLD_H

#include <asx/shard/base/prng.h>
#include <asx/shard/limb.h>
#include <asx/shard/mesh.h>

#include "kernel_fixture.h"

struct lab_world {
    asx_instant clock_ns = ASX_NS_PER_S;
    asx_mesh *mesh;
    asx_prng prng;
    std::vector<asx_shard *> shards;
    std::vector<bool> busy, held; /* held: takes no turn */
    std::vector<std::string> lines;
    asx_shard_stats sum{};

    lab_world(uint32_t count, uint64_t seed, uint32_t ring_capacity = 64)
    {
        asx_prng_init(&prng, seed);
        mesh = asx_mesh_create(count, ring_capacity);
        REQUIRE(mesh != nullptr);
        for (uint32_t i = 0; i < count; i++) {
            asx_vdriver_config vconfig{};
            vconfig.seed = seed * 64 + i;
            vconfig.shuffle = true;
            vconfig.clock_ns = &clock_ns;
            vconfig.cancel_delay_ns = asx_prng_below(&prng, 1000000);
            asx_shard_config config{};
            REQUIRE(asx_vdriver_create(&vconfig, &config.driver) == ASX_OK);
            config.index = i;
            config.mesh = mesh;
            config.seed = seed;
            config.diagnostic = line;
            config.diagnostic_arg = this;
            asx_shard *shard = nullptr;
            REQUIRE(asx_shard_create(&config, &shard) == ASX_OK);
            shards.push_back(shard);
            busy.push_back(true);
            held.push_back(false);
        }
    }

    static void line(void *arg, asx_shard *, const char *text)
    {
        static_cast<lab_world *>(arg)->lines.emplace_back(text);
    }

    bool runnable(uint32_t i)
    {
        if (!busy[i] && asx_vdriver_wants(asx_shard_driver(shards[i])) <= clock_ns) {
            busy[i] = true;
        }
        return !held[i] && (busy[i] || !asx_mesh_inbox_empty(mesh, i));
    }

    void turn(uint32_t i)
    {
        busy[i] = asx_shard_turn(shards[i]);
        if (!busy[i]) {
            asx_shard_park(shards[i]);
        }
    }

    /* True while something may still happen. */
    bool step()
    {
        uint32_t able[64], count = 0;
        asx_instant next_ns = ASX_TIME_NEVER;
        for (uint32_t i = 0; i < shards.size(); i++) {
            if (runnable(i)) {
                able[count++] = i;
            } else if (!held[i]) {
                const asx_instant wants_ns = asx_vdriver_wants(asx_shard_driver(shards[i]));
                next_ns = wants_ns < next_ns ? wants_ns : next_ns;
            }
        }
        if (count > 0) {
            turn(able[asx_prng_below(&prng, count)]);
            return true;
        }
        if (next_ns != ASX_TIME_NEVER) {
            clock_ns = next_ns;
        }
        return next_ns != ASX_TIME_NEVER;
    }

    /* Runs fn on shard 0, then shuts all shards down, and checks that nothing is left. */
    void run(asx_task_fn *fn, void *arg = nullptr)
    {
        main_arg main = { fn, arg };
        REQUIRE(asx_shard_start(shards[0], main_body, &main, sizeof(main)) == ASX_OK);
        while (step()) {
        }
        for (asx_shard *shard : shards) {
            asx_shard_stats stats;
            asx_shard_stats_read(shard, &stats);
            CHECK(asx_shard_root(shard) == nullptr);
            CHECK(stats.tasks_live == 0);
            CHECK(stats.regions_live == 0);
            CHECK(stats.obligations_pending == 0);
            CHECK(stats.ops_in_flight == 0);
            CHECK(stats.timers_armed == 0);
            sum.messages_sent += stats.messages_sent;
            sum.messages_received += stats.messages_received;
            sum.messages_stale += stats.messages_stale;
            sum.spawned += stats.spawned;
            sum.cancelled += stats.cancelled;
            sum.panicked += stats.panicked;
        }
        CHECK(sum.messages_sent == sum.messages_received);
        for (asx_shard *shard : shards) {
            asx_shard_destroy(shard);
        }
        asx_mesh_destroy(mesh);
    }

    struct main_arg {
        asx_task_fn *fn;
        void *arg;
    };
    static asx_outcome main_body(asx_cx *cx, void *arg)
    {
        main_arg *const self = static_cast<main_arg *>(arg);
        const asx_outcome outcome = self->fn(cx, self->arg);
        asx_shard_shutdown(asx_shard_of(cx), "the case is over");
        return outcome;
    }
};

#endif
