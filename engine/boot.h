/* The engine: N pinned threads, each with its driver and its shard, a mesh between them, and the
 * order in which they start and end.
 *
 * Model.  asx_boot binds the listening sockets, starts the shards behind a gate that opens when
 *         all of them stand, and runs the app once on each, in a region of its own below the
 *         shard's root. It returns when every shard is quiescent.
 *           RUNNING -> DRAINING (SIGTERM, SIGINT: drain.h) -> FORCING -> every shard closed
 * Owner.  asx_boot's caller, whose stack holds the engine. Apps reach it as their argument.
 */
#ifndef ASX_ENGINE_BOOT_H
#define ASX_ENGINE_BOOT_H

#include <asx/engine/config.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/task.h>

ASX_BEGIN_DECLS

typedef struct asx_engine asx_engine;

typedef enum asx_engine_phase {
    ASX_ENGINE_RUNNING = 0,
    ASX_ENGINE_DRAINING, /* what is in flight finishes, nothing new comes in */
    ASX_ENGINE_FORCING,  /* what is left is cancelled */
} asx_engine_phase;

const char *asx_engine_phase_name(asx_engine_phase phase);

/* Runs the engine to its end.
 *
 * app   runs once on each shard, with the engine as its argument
 * returns  the process's exit status: 0; 1 when an app failed or something had to be left behind;
 *          2 when it could not start, after one line on standard error */
int asx_boot(const asx_config *config, asx_task_fn *app);

/* For apps. The settings are those of the start: a reload changes limits, not this. */
const asx_config *asx_engine_config(const asx_engine *engine);
uint32_t asx_engine_shard_count(const asx_engine *engine);
asx_engine_phase asx_engine_phase_of(const asx_engine *engine);
asx_driver_kind asx_engine_driver(const asx_engine *engine);
/* The core that a shard is pinned to. */
uint32_t asx_engine_core(const asx_engine *engine, uint32_t shard);
/* Since boot. */
asx_duration asx_engine_uptime(const asx_engine *engine, asx_instant now_ns);
/* Unix time at instant 0 of the shards' clock. */
uint64_t asx_engine_epoch_unix_ns(const asx_engine *engine);
/* The directory of static files, or -1. */
int32_t asx_engine_root_fd(const asx_engine *engine);

ASX_END_DECLS

#endif
