/* How a run ended, what is left of it, and how it is taken down. */
#include <asx/lab/ambient.h>
#include <asx/lab/foata.h>
#include <asx/lab/vdisk.h>
#include <asx/lab/vnet.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/inspect.h>

#include "array_internal.h"
#include "world_internal.h"

#include <string.h>

#define TEARDOWN_STEPS_MAX 1000000u

static void outcome_text(const asxi_lab_main *main, asx_lab_report *report)
{
    const asx_outcome outcome = main->outcome;
    char name[64];
    report->severity = (uint8_t)outcome.severity;
    if (!main->returned && !main->closed) {
        snprintf(report->outcome, sizeof(report->outcome), "did not return");
        return;
    }
    switch ((asx_severity)outcome.severity) {
    case ASX_SEVERITY_OK:
        report->value = outcome.value;
        snprintf(report->outcome, sizeof(report->outcome), "ok %" PRIuPTR, outcome.value);
        return;
    case ASX_SEVERITY_ERR:
        snprintf(report->outcome, sizeof(report->outcome), "err %s",
                 asx_err_name(outcome.err, name, sizeof(name)));
        return;
    case ASX_SEVERITY_CANCELLED:
        snprintf(report->outcome, sizeof(report->outcome), "cancelled %s %s",
                 outcome.reason ? asx_cancel_kind_name((asx_cancel_kind)outcome.reason->kind) : "",
                 outcome.reason ? outcome.reason->message : "");
        return;
    case ASX_SEVERITY_PANICKED:
        snprintf(report->outcome, sizeof(report->outcome), "panicked %.140s",
                 outcome.panic ? outcome.panic->message : "");
        return;
    }
}

typedef struct left_over {
    uint64_t tasks, regions, permits, ops, timers, messages;
} left_over;

static left_over count_left(const asx_lab_world *world)
{
    left_over left = { 0 };
    for (uint32_t i = 0; i < world->config.shards; i++) {
        asx_shard_stats stats;
        asx_shard *const shard = world->seats[i].shard;
        asx_shard_stats_read(shard, &stats);
        const uint64_t root = asx_shard_root(shard) ? 1 : 0;
        /* The program's root is to be closed; the others serve until they are told. */
        const uint64_t serving = i > 0 || !world->main.app ? root : 0;
        left.tasks += stats.tasks_live;
        left.regions += stats.regions_live - serving;
        left.permits += stats.obligations_pending;
        left.ops += stats.ops_in_flight;
        left.timers += stats.timers_armed;
        for (uint32_t from = 0; from < world->config.shards; from++) {
            left.messages += asx_ring_count(asx_mesh_ring(world->mesh, from, i));
        }
    }
    return left;
}

static bool none_left(const left_over *left)
{
    return left->tasks + left->regions + left->permits + left->ops + left->timers +
               left->messages ==
           0;
}

static void judge_end(asx_lab_world *world, asx_lab_report *report)
{
    const left_over left = count_left(world);
    if (world->termination == ASX_LAB_QUIESCENT && !none_left(&left)) {
        world->termination = ASX_LAB_DEADLOCK;
        asx_lab_report_violate(
            report, "deadlock",
            "nothing can happen any more: %" PRIu64 " tasks, %" PRIu64 " regions, %" PRIu64
            " permits, %" PRIu64 " operations, %" PRIu64 " timers, %" PRIu64 " messages are left",
            left.tasks, left.regions, left.permits, left.ops, left.timers, left.messages);
        asxi_stuck_explain(world, report);
    }
    report->misfit = asx_lab_choices_misfit(world->choices, &report->misfit_index,
                                            &report->misfit_expected, &report->misfit_actual);
    if (world->termination == ASX_LAB_STOPPED && asx_lab_choices_stopped(world->choices)) {
        world->termination =
            report->misfit == ASX_LAB_FITS ? ASX_LAB_CHOICE_LIMIT : ASX_LAB_DIVERGED;
    }
    if (world->config.mode == ASX_LAB_FORCED && world->termination != ASX_LAB_DIVERGED &&
        asx_lab_choices_left(world->choices) > 0) {
        world->termination = ASX_LAB_DIVERGED;
        asx_lab_report_violate(report, "choices_left", "%zu forced choices were never asked for",
                               asx_lab_choices_left(world->choices));
    }
    report->termination = world->termination;
}

/* At quiescence each pair cancels out. */
static void judge_counts(asx_lab_report *report)
{
    const asx_lab_counts *const n = &report->counts;
    if (n->spawned != n->completed) {
        asx_lab_report_violate(report, "task_balance",
                               "%" PRIu64 " tasks spawned, %" PRIu64 " completed", n->spawned,
                               n->completed);
    }
    if (n->cancel_requested != n->cancel_acknowledged) {
        asx_lab_report_violate(report, "cancel_balance",
                               "%" PRIu64 " cancels requested, %" PRIu64 " acknowledged",
                               n->cancel_requested, n->cancel_acknowledged);
    }
    if (n->reserved != n->committed + n->aborted) {
        asx_lab_report_violate(report, "obligation_balance",
                               "%" PRIu64 " permits reserved, %" PRIu64 " resolved", n->reserved,
                               n->committed + n->aborted);
    }
    if (n->pushed != n->popped) {
        asx_lab_report_violate(report, "ring_balance",
                               "%" PRIu64 " messages pushed, %" PRIu64 " popped", n->pushed,
                               n->popped);
    }
}

static void judge_ambient(asx_lab_report *report)
{
    const asx_lab_ambient *const ambient = asx_lab_ambient_state();
    for (uint32_t i = 0; i < ambient->count; i++) {
        asx_lab_report_violate(report, "ambient",
                               "%s was called %" PRIu64 " times: ask the cx instead",
                               ambient->names[i], ambient->calls[i]);
    }
}

static bool all_closed(const asx_lab_world *world)
{
    for (uint32_t i = 0; i < world->config.shards; i++) {
        if (asx_shard_root(world->seats[i].shard)) {
            return false;
        }
    }
    return asx_mesh_all_closed(world->mesh);
}

/* False: something would not go, and the shards cannot be freed. */
static bool tear_down(asx_lab_world *world)
{
    world->tearing_down = true;
    world->over = false;
    world->recorder.muted = true;
    for (uint32_t i = 0; i < world->config.shards; i++) {
        asx_region *const root = asx_shard_root(world->seats[i].shard);
        if (root) {
            asx_region_cancel(root, ASX_CANCEL_SHUTDOWN, "the run is over");
        }
        world->seats[i].busy = true;
    }
    for (uint32_t steps = 0; steps < TEARDOWN_STEPS_MAX && !all_closed(world); steps++) {
        if (!asx_lab_world_step(world)) {
            break;
        }
    }
    return all_closed(world);
}

static void report_choices(const asx_lab_world *world, asx_lab_report *report)
{
    uint32_t count;
    const asx_lab_choice *const rows = asx_lab_choices_rows(world->choices, &count);
    report->choice_count = asx_lab_choices_count(world->choices);
    report->choices_kept = count;
    if (count > 0) {
        report->choices = asxi_lab_alloc(count, sizeof(*rows));
        memcpy(report->choices, rows, count * sizeof(*rows));
    }
}

void asx_lab_world_finish(asx_lab_world *world, asx_lab_report *report)
{
    asx_assert(!world->finished);
    world->finished = true;
    asxi_chaos_close(world);
    *report = (asx_lab_report){
        .seed = world->config.seed,
        .config_hash = asx_lab_config_hash(&world->config),
        .build_id = asx_lab_build_id(),
        .steps = world->steps,
        .now_ns = world->env.now_ns,
        .time_advances = world->time_advances,
        .spin_advances = world->spin_advances,
        .chaos = world->chaos.stats,
    };
    judge_end(world, report);
    asxi_recorder_report(&world->recorder, report);
    if (world->config.fingerprint && report->events_kept == report->trace_total) {
        report->fingerprint = asx_foata_fingerprint(report->events, report->events_kept);
    }
    report_choices(world, report);
    outcome_text(&world->main, report);
    if (report->severity == ASX_SEVERITY_ERR || report->severity == ASX_SEVERITY_PANICKED) {
        asx_lab_report_violate(report, "program", "%s", report->outcome);
    }
    if (report->termination == ASX_LAB_QUIESCENT) {
        judge_counts(report);
    }
    judge_ambient(report);
    if (!tear_down(world)) {
        asx_lab_report_violate(report, "teardown",
                               "tasks stayed although every root was cancelled");
    }
}

void asx_lab_world_destroy(asx_lab_world *world)
{
    asx_assert(world->finished);
    if (all_closed(world)) { /* else they stay: who would not end may still be looked at */
        asx_outcome_release(world->main.outcome);
        for (uint32_t i = 0; i < world->config.shards; i++) {
            asx_shard_destroy(world->seats[i].shard);
        }
        asx_mesh_destroy(world->mesh);
        if (world->net) {
            asx_vnet_destroy(world->net);
        }
        if (world->disk) {
            asx_vdisk_destroy(world->disk);
        }
        asx_lab_choices_destroy(world->choices);
        asxi_recorder_deinit(&world->recorder);
        asxi_lab_free(world);
    }
}
