/* What the kernel's benches run in: one shard, in virtual time. */
#ifndef ASX_BENCH_IN_SHARD_H
#define ASX_BENCH_IN_SHARD_H

#include <asx/lab/vdriver.h>
#include <asx/shard/shard.h>

#include <benchmark/benchmark.h>
#include <cstdlib>

static inline void in_shard(asx_task_fn *fn, benchmark::State &state)
{
    const asx_vdriver_config vconfig{};
    asx_shard_config config{};
    config.seed = 1;
    asx_shard *shard = nullptr;
    if (asx_vdriver_create(&vconfig, &config.driver) || asx_shard_create(&config, &shard)) {
        abort();
    }
    if (asx_shard_run(shard, fn, &state).severity != ASX_SEVERITY_OK) {
        state.SkipWithError("the task failed");
    }
    asx_shard_destroy(shard);
}

#endif
