/* A world: the shards of one run, their mesh and devices, and the loop that lets one of them take a
 * turn at a time.
 *
 *   runnable shards?  yes: choose one, let it take one turn; park it when it has nothing left
 *                     no:  jump to the first instant at which somebody wants to go on;
 *                          none: the run is over, and what is left of it says how
 *
 * Model.   A parked shard sleeps as in production: only its doorbell, a completion or its next
 *          deadline makes it runnable, so a bell that was not rung is seen as the deadlock it is.
 *          asx_lab_run is all of this in one call; tests that steer shards by hand use the pieces.
 * Owner.   The caller, from create to destroy. One thread. */
#ifndef ASX_LAB_WORLD_H
#define ASX_LAB_WORLD_H

#include <asx/lab/env.h>
#include <asx/lab/lab.h>

ASX_BEGIN_DECLS

typedef struct asx_lab_world asx_lab_world;

/* The configuration's pointers are lent until destroy.
 * asserts  it is not refused, and there is memory */
asx_lab_world *asx_lab_world_create(const asx_lab_config *config);

asx_lab_env *asx_lab_world_env(asx_lab_world *world);
asx_shard *asx_lab_world_shard(asx_lab_world *world, uint32_t index);
asx_mesh *asx_lab_world_mesh(asx_lab_world *world);

/* The first task of shard 0, as asx_lab_run starts it. Once. */
void asx_lab_world_start(asx_lab_world *world, asx_task_fn *app, void *arg);

/* A held shard takes no turn. */
void asx_lab_world_hold(asx_lab_world *world, uint32_t shard, bool held);

/* One turn of one shard, or one jump of the clock. False: the run is over. */
bool asx_lab_world_step(asx_lab_world *world);
/* Steps until no shard is runnable now; tasks may be blocked, and time does not advance.
 * False: the run is over. */
bool asx_lab_world_run_idle(asx_lab_world *world);
/* Steps until the clock has reached now + ns and nothing is runnable. */
bool asx_lab_world_advance(asx_lab_world *world, asx_duration ns);

/* How the run ended, and the accounts of what is left. Fills the report and takes the world down:
 * every root is cancelled, and the shards run on, unheard, until they are closed. */
void asx_lab_world_finish(asx_lab_world *world, asx_lab_report *report);

/* asserts  finished */
void asx_lab_world_destroy(asx_lab_world *world);

ASX_END_DECLS

#endif
