/* A world of the lab as a program for the explorer: its shards are the processes, a turn is a step,
 * and what its events touched is what the step touched.
 *
 * Owner.  The caller. Configuration, program and argument are lent as long as it is explored.
 * Rule.   Runs follow one another in one process, so what the program keeps outside of its regions
 *         must be set back by reset(). A systematic search wants the clock not to depend on the
 *         schedule: no dispatch cost, no clock skew. */
#ifndef ASX_LAB_EXPLORE_WORLD_H
#define ASX_LAB_EXPLORE_WORLD_H

#include <asx/lab/explore_run.h>
#include <asx/lab/lab.h>

ASX_BEGIN_DECLS

typedef struct asx_explore_world {
    asx_explore_program program;  /* first */
    const asx_lab_config *config; /* the mode, the seed and the steering are the explorer's */
    asx_task_fn *app;
    void *arg;
    void (*reset)(void *arg); /* before each run; may be NULL */
    /* After each run: says with asx_lab_report_violate what the program got wrong. May be NULL. */
    void (*judge)(void *arg, asx_lab_report *report);
    asx_lab_listener *listener; /* hears each run; may be NULL */
} asx_explore_world;

void asx_explore_world_init(asx_explore_world *world, const char *name,
                            const asx_lab_config *config, asx_task_fn *app, void *arg);

ASX_END_DECLS

#endif
