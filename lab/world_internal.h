/* The world's record, and the drawers of its files. */
#ifndef ASX_LAB_WORLD_INTERNAL_H
#define ASX_LAB_WORLD_INTERNAL_H

#include <asx/lab/world.h>
#include <asx/shard/cx.h>

#include "chaos_internal.h"
#include "recorder_internal.h"

/* Why the clock moved; in the trace. */
typedef enum asxi_advance_why {
    ASXI_ADVANCE_IDLE = 0, /* nothing was runnable */
    ASXI_ADVANCE_SPIN,     /* tasks only yielded to each other */
    ASXI_ADVANCE_COST,     /* of a dispatch */
    ASXI_ADVANCE_CHAOS,    /* the turn is late */
} asxi_advance_why;

typedef struct asxi_seat {
    asx_shard *shard;
    asx_driver *driver;
    bool busy;   /* the last turn left something runnable */
    bool asleep; /* parked: its sleeping word is set */
    bool held;
} asxi_seat;

/* How often in a row the messages of a ring were hidden. */
typedef struct asxi_hidden {
    uint16_t vis[ASX_LAB_SHARDS_MAX], space[ASX_LAB_SHARDS_MAX]; /* by sender, by target */
} asxi_hidden;

typedef struct asxi_lab_main {
    asx_lab_world *world;
    asx_task_fn *app;
    void *arg;
    asx_outcome outcome; /* what it returned; of the root, when a panic ended it */
    asx_defer defer;
    asx_region_waiter root_waiter;
    bool began, returned;
    bool closed; /* its root is */
} asxi_lab_main;

struct asx_lab_world {
    asx_lab_env env;
    asx_lab_config config;
    asx_lab_rand rand;
    asx_lab_choices *choices;
    asx_trace_sink sink; /* what the kernel tells */
    asxi_recorder recorder;
    asxi_chaos chaos;
    asx_mesh *mesh;
    struct asx_vnet *net;   /* NULL: none was asked for */
    struct asx_vdisk *disk; /* likewise */
    asxi_seat seats[ASX_LAB_SHARDS_MAX];
    asxi_hidden hidden[ASX_LAB_SHARDS_MAX];
    asxi_lab_main main;
    uint64_t steps, time_advances, spin_advances;
    uint64_t spun;         /* steps in a row in which tasks only yielded */
    uint32_t last;         /* the shard that took the last turn */
    const uint32_t *asked; /* the runnable shards, while one of them is being chosen */
    bool over, tearing_down, finished;
    asx_lab_termination termination;
};

/* stuck.c: says for each task that is left what it waits for, and which of them wait in a
 * circle. */
void asxi_stuck_explain(asx_lab_world *world, asx_lab_report *report);

/* The source of choices that a configuration names. */
asx_lab_choices_config asxi_world_choices_config(const asx_lab_config *config);

/* A hash of the state of every region and task. */
uint64_t asxi_world_state_hash(asx_lab_world *world, uint64_t *tasks, uint64_t *regions);

#endif
