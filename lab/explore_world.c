#include <asx/lab/explore_world.h>
#include <asx/lab/foata.h>
#include <asx/shard/base/assert.h>

#include <string.h>

#define EVENTS_KEPT 256u /* of a run of thousands: nobody reads them */

typedef struct steering {
    asx_lab_steer steer;
    asx_explore_run *run;
} steering;

static asx_explore_run *run_of(asx_lab_steer *steer)
{
    return asx_container_of(steer, steering, steer)->run;
}

static uint32_t steer_turn(asx_lab_steer *steer, const uint32_t *shards, uint32_t n)
{
    return asx_explore_run_turn(run_of(steer), shards, n);
}

static uint32_t steer_value(asx_lab_steer *steer, uint32_t site, uint32_t n, uint64_t object)
{
    return asx_explore_run_value(run_of(steer), site, n, object);
}

static void steer_touch(asx_lab_steer *steer, const asx_lab_access *access)
{
    asx_explore_run_touch(run_of(steer), access);
}

static bool steer_stopped(asx_lab_steer *steer)
{
    return asx_explore_run_stopped(run_of(steer));
}

typedef struct classifier {
    asx_lab_listener listener;
    asx_foata *foata;
} classifier;

static void classify(asx_lab_listener *listener, const asx_lab_event *event)
{
    asx_foata_add(asx_container_of(listener, classifier, listener)->foata, event);
}

static asx_explore_end end_of(asx_lab_termination termination)
{
    switch (termination) {
    case ASX_LAB_QUIESCENT:
        return ASX_EXPLORE_QUIESCENT;
    case ASX_LAB_DEADLOCK:
        return ASX_EXPLORE_DEADLOCK;
    case ASX_LAB_STEP_LIMIT:
    case ASX_LAB_VTIME_LIMIT:
    case ASX_LAB_CHOICE_LIMIT:
        return ASX_EXPLORE_STEP_LIMIT;
    case ASX_LAB_DIVERGED:
        return ASX_EXPLORE_DIVERGED;
    case ASX_LAB_STOPPED:
        return ASX_EXPLORE_ABANDONED;
    }
    asx_unreachable();
}

static void run_world(asx_explore_program *program, asx_explore_run *run)
{
    asx_explore_world *const world = asx_container_of(program, asx_explore_world, program);
    steering wheel = { .steer = { .turn = steer_turn,
                                  .value = steer_value,
                                  .touch = steer_touch,
                                  .stopped = steer_stopped },
                       .run = run };
    classifier classes = { .listener = { .hear = classify, .next = world->config->listeners },
                           .foata = asx_foata_create() };
    asx_lab_config config = *world->config;
    config.mode = ASX_LAB_STEERED;
    config.steer = &wheel.steer;
    config.seed = asx_explore_run_seed(run);
    config.unrecorded = true;
    config.trace_capacity = config.trace_capacity ? config.trace_capacity : EVENTS_KEPT;
    config.listeners = &classes.listener;
    if (world->listener) {
        world->listener->next = config.listeners;
        config.listeners = world->listener;
    }
    if (world->reset) {
        world->reset(world->arg);
    }
    asx_lab_report report;
    asx_lab_run(&config, world->app, world->arg, &report);
    const bool abandoned = report.termination == ASX_LAB_STOPPED;
    if (world->judge && !abandoned) {
        world->judge(world->arg, &report);
    }
    asx_explore_verdict verdict = { .end = end_of(report.termination),
                                    .fingerprint = asx_foata_take(classes.foata).fingerprint,
                                    .schedule_hash = report.schedule_hash,
                                    .vtime_ns = report.now_ns };
    if (!abandoned) {
        verdict.signature = asx_lab_report_signature(&report);
        const char *const text = report.violation_count
                                     ? report.violations[0].text
                                     : asx_lab_termination_name(report.termination);
        snprintf(verdict.text, sizeof(verdict.text), "%s", verdict.signature ? text : "");
    }
    asx_explore_run_finish(run, &verdict);
    asx_foata_destroy(classes.foata);
    asx_lab_report_deinit(&report);
}

void asx_explore_world_init(asx_explore_world *world, const char *name,
                            const asx_lab_config *config, asx_task_fn *app, void *arg)
{
    const uint32_t shards = config->shards ? config->shards : 1;
    *world =
        (asx_explore_world){ .program = { .name = name, .processes = shards, .run = run_world },
                             .config = config,
                             .app = app,
                             .arg = arg };
}
