/* Several shards in the lab: the case's seed picks who takes the next turn, which messages are seen
 * and which of equals is first, and the clock moves only when nobody can go on. */
#ifndef ASX_TESTS_SHARD_LAB_WORLD_H
#define ASX_TESTS_SHARD_LAB_WORLD_H

#include <asx/lab/world.h>
#include <asx/shard/limb.h>
#include <asx/shard/mesh.h>

#include "kernel_fixture.h"

static inline void over_seeds(uint64_t count, void (*body)(uint64_t seed))
{
    for (uint64_t seed = 1; seed <= count; seed++) {
        INFO("seed " << seed);
        body(seed);
    }
}

struct lab_world {
    asx_lab_world *world;
    asx_instant &clock_ns;
    asx_mesh *mesh;
    std::vector<asx_shard *> shards;
    std::vector<bool> held; /* takes no turn */
    bool leaks = false;     /* the case leaks permits on purpose */
    std::vector<std::string> lines;
    asx_shard_stats sum{};
    std::vector<asx_shard_stats> ends; /* of each shard, after the run */

    lab_world(uint32_t count, uint64_t seed, uint32_t ring_capacity = 64)
        : world(create(this, count, seed, ring_capacity)),
          clock_ns(asx_lab_world_env(world)->now_ns), mesh(asx_lab_world_mesh(world)),
          held(count, false)
    {
        for (uint32_t i = 0; i < count; i++) {
            shards.push_back(asx_lab_world_shard(world, i));
        }
    }

    static asx_lab_world *create(lab_world *self, uint32_t count, uint64_t seed,
                                 uint32_t ring_capacity)
    {
        asx_lab_config config{};
        config.shards = count;
        config.seed = seed;
        config.ring_capacity = ring_capacity;
        config.start_ns = ASX_NS_PER_S; /* so that an instant before it can be named */
        config.turn_budget = ASX_LAB_TURN_PRODUCTION;
        config.widen_ready = true;
        config.keep_on_leak = true;
        config.max_steps = ASX_LAB_UNLIMITED;
        config.trace_capacity = 1024;
        config.diagnostic = line;
        config.diagnostic_arg = self;
        return asx_lab_world_create(&config);
    }

    static void line(void *arg, asx_shard *, const char *text)
    {
        static_cast<lab_world *>(arg)->lines.emplace_back(text);
    }

    /* True while something may still happen. */
    bool step()
    {
        for (uint32_t i = 0; i < held.size(); i++) {
            asx_lab_world_hold(world, i, held[i]);
        }
        return asx_lab_world_step(world);
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
            ends.push_back(stats);
        }
        CHECK(sum.messages_sent == sum.messages_received);
        finish();
    }

    void finish()
    {
        asx_lab_report report;
        asx_lab_world_finish(world, &report);
        CHECK(report.termination == ASX_LAB_QUIESCENT);
        for (uint32_t i = 0; i < report.violation_count; i++) {
            const std::string code = report.violations[i].code;
            if (leaks && (code == "OBL-4" || code.rfind("obligation_", 0) == 0)) {
                continue;
            }
            FAIL_CHECK(code << ": " << report.violations[i].text);
        }
        asx_lab_report_deinit(&report);
        asx_lab_world_destroy(world);
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
