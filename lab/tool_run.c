/* The command run: one seed, told at length, or many of them. */
#include <asx/lab/campaign.h>
#include <asx/lab/crashpack_tool.h>
#include <asx/lab/perfetto.h>
#include <asx/lab/schedule.h>
#include <asx/lab/tool.h>
#include <asx/lab/trace_tool.h>

#include "array_internal.h"
#include "tool_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

FILE *asxi_lab_tool_file_open(const char *path, const char *how)
{
    FILE *const file = fopen(path, how);
    if (!file) {
        fprintf(stderr, "asx lab: %s: %s\n", path, strerror(errno));
    }
    return file;
}

bool asxi_lab_tool_file_close(FILE *file, const char *path, asx_err err)
{
    if (fclose(file) != 0 || err) {
        fprintf(stderr, "asx lab: %s could not be written\n", path);
        return false;
    }
    return true;
}

asx_lab_config asxi_lab_tool_config_of(const asx_lab_scenario *scenario,
                                       const asxi_lab_tool_options *o, uint64_t seed)
{
    asx_lab_config config = asx_lab_scenario_config(scenario, seed, (uint32_t)o->shards);
    config.mode = strcmp(o->mode, "default") == 0 ? ASX_LAB_DEFAULT : ASX_LAB_RANDOM;
    config.widen_ready |= o->wide;
    if (o->steps_max > 0) {
        config.max_steps = o->steps_max;
    }
    (void)asx_crashpack_tool_chaos(scenario, o->chaos, &config);
    return config;
}

int asxi_lab_tool_exit_of(const asx_lab_report *report)
{
    if (asx_lab_report_passed(report)) {
        return ASX_LAB_EXIT_PASSED;
    }
    const bool limit = report->termination == ASX_LAB_STEP_LIMIT ||
                       report->termination == ASX_LAB_VTIME_LIMIT ||
                       report->termination == ASX_LAB_CHOICE_LIMIT;
    return limit && report->violation_count == 0 ? ASX_LAB_EXIT_LIMIT : ASX_LAB_EXIT_VIOLATION;
}

static bool run_save(const asxi_lab_tool_options *o, const asx_lab_scenario *scenario,
                     const asx_lab_report *report)
{
    bool saved = true;
    if (o->save) {
        FILE *const file = asxi_lab_tool_file_open(o->save, "wb");
        if (!file) {
            return false;
        }
        asx_lab_schedule schedule;
        asx_lab_schedule_of(report, &schedule);
        snprintf(schedule.scenario, sizeof(schedule.scenario), "%s", scenario->name);
        schedule.shards = (uint32_t)o->shards;
        saved = asxi_lab_tool_file_close(file, o->save, asx_lab_schedule_write(&schedule, file));
        asx_lab_schedule_deinit(&schedule);
    }
    if (saved && o->json) {
        FILE *const file = asxi_lab_tool_file_open(o->json, "w");
        saved =
            file && asxi_lab_tool_file_close(file, o->json, asx_lab_perfetto_write(report, file));
    }
    return saved;
}

static void again_print(const asx_lab_scenario *scenario, const asxi_lab_tool_options *o,
                        uint64_t seed)
{
    printf("again      asx lab run %s --seed %" PRIu64, scenario->name, seed);
    if (o->shards > 0) {
        printf(" --shards %" PRIu64, o->shards);
    }
    if (o->steps_max > 0) {
        printf(" --steps %" PRIu64, o->steps_max);
    }
    printf("%s%s%s%s\n", strcmp(o->mode, "default") == 0 ? " --mode default" : "",
           o->wide ? " --wide" : "", o->chaos ? " --chaos " : "", o->chaos ? o->chaos : "");
}

static void row_print(const asx_lab_report *report)
{
    printf("%-10" PRIu64 " %-11s %016" PRIx64 " %016" PRIx64 " %8" PRIu64 " steps %8" PRIu64
           " choices %10" PRIu64 " ns\n",
           report->seed, asx_lab_termination_name(report->termination), report->trace_hash,
           report->schedule_hash, report->steps, report->choice_count, report->now_ns);
}

static bool same_again(const asx_lab_config *config, const asx_lab_scenario *scenario,
                       const asx_lab_report *report)
{
    asx_lab_report again;
    (void)asx_lab_run(config, scenario->app, NULL, &again);
    const bool same = again.trace_hash == report->trace_hash &&
                      again.schedule_hash == report->schedule_hash &&
                      again.now_ns == report->now_ns;
    asx_lab_report_deinit(&again);
    return same;
}

/* One run; prints what it must. */
static int run_one(const asx_lab_scenario *scenario, const asxi_lab_tool_options *o, uint64_t seed)
{
    asx_lab_config config = asxi_lab_tool_config_of(scenario, o, seed);
    asx_lab_report report;
    config.keep_schedule = o->save != NULL;
    config.trace_capacity = o->json ? 1000000 : 0;
    config.fingerprint = o->seeds == 1;
    asx_trace_tool_out trace;
    if (o->trace && !asx_trace_tool_begin(&trace, o->trace, o->level, scenario, &config)) {
        return ASX_LAB_EXIT_FILE;
    }
    (void)asx_lab_run(&config, scenario->app, NULL, &report);
    const bool traced = !o->trace || asx_trace_tool_end(&trace, &report);
    config.listeners = NULL; /* the trace is of this run only */
    int status = asxi_lab_tool_exit_of(&report);
    if (o->rows) {
        row_print(&report);
    }
    if ((o->seeds == 1 && !o->rows) || status != ASX_LAB_EXIT_PASSED) {
        asx_lab_report_print(&report, stdout);
        if (status != ASX_LAB_EXIT_PASSED) {
            again_print(scenario, o, seed);
        }
    }
    if (o->pack && status != ASX_LAB_EXIT_PASSED &&
        !asx_crashpack_tool_write(scenario, &config, &report, o->pack)) {
        status = ASX_LAB_EXIT_FILE;
    }
    if (o->twice && !same_again(&config, scenario, &report)) {
        printf("diverged   seed %" PRIu64 " was another run the second time\n", seed);
        status = ASX_LAB_EXIT_DIVERGED;
    }
    if (!run_save(o, scenario, &report) || !traced) {
        status = ASX_LAB_EXIT_FILE;
    }
    asx_lab_report_deinit(&report);
    return status;
}

/* One after the other, in this process: what is asked for is said of each. */
static int run_each(const asx_lab_scenario *scenario, const asxi_lab_tool_options *o)
{
    int status = ASX_LAB_EXIT_PASSED;
    for (uint64_t i = 0; i < o->seeds && status == ASX_LAB_EXIT_PASSED; i++) {
        status = run_one(scenario, o, o->seed + i);
        if (status != ASX_LAB_EXIT_PASSED && o->seeds > 1) {
            printf("%" PRIu64 " of %" PRIu64 " seeds passed before this one\n", i, o->seeds);
        }
    }
    if (status == ASX_LAB_EXIT_PASSED && o->seeds > 1) {
        printf("%s: %" PRIu64 " seeds passed, from %" PRIu64 "\n", scenario->name, o->seeds,
               o->seed);
    }
    return status;
}

typedef struct many {
    const asx_lab_scenario *scenario;
    const asxi_lab_tool_options *options;
    asxi_lab_tool_progress *progress;
} many;

static void many_configure(const asx_campaign *campaign, uint64_t seed, asx_lab_config *config)
{
    const many *const self = campaign->arg;
    *config = asxi_lab_tool_config_of(self->scenario, self->options, seed);
    config->trace_capacity = 1; /* its events are counted and hashed; nobody looks at them */
}

static void many_progress(const asx_campaign *campaign, const asx_campaign_sum *sum)
{
    const many *const self = campaign->arg;
    asxi_lab_tool_progress_show(self->progress, sum->passed, campaign->count);
}

/* A recorded run that is followed, and where it went another way. */
static int replay_one(const asx_lab_scenario *scenario, const asxi_lab_tool_options *o,
                      uint64_t seed)
{
    const asx_lab_config config = asxi_lab_tool_config_of(scenario, o, seed);
    asx_lab_divergence *const divergence = asxi_lab_alloc(1, sizeof(*divergence));
    asx_lab_report report;
    const bool same = asx_campaign_replay(scenario->app, &config, &report, divergence);
    printf("diverged   seed %" PRIu64 " was another run when it was followed%s\n", seed,
           same ? ", but not the second time" : "");
    if (!same) {
        asx_lab_divergence_print(divergence, stdout);
    }
    again_print(scenario, o, seed);
    asx_lab_report_deinit(&report);
    asxi_lab_free(divergence);
    return ASX_LAB_EXIT_DIVERGED;
}

/* What ended a campaign is run once more in this process, and told at length. */
static int many_told(const asx_campaign *campaign, asx_campaign_end end, uint64_t seed,
                     const char *why)
{
    const many *const self = campaign->arg;
    int status;
    switch (end) {
    case ASX_CAMPAIGN_PASSED:
        return ASX_LAB_EXIT_PASSED;
    case ASX_CAMPAIGN_FAILED:
        status = run_one(self->scenario, self->options, seed);
        if (status != ASX_LAB_EXIT_PASSED) {
            return status;
        }
        printf("diverged   seed %" PRIu64 " failed, but not the second time\n", seed);
        return ASX_LAB_EXIT_DIVERGED;
    case ASX_CAMPAIGN_DIVERGED:
        return replay_one(self->scenario, self->options, seed);
    case ASX_CAMPAIGN_CRASHED:
        printf("crashed    seed %" PRIu64 ": %s\n", seed, why);
        again_print(self->scenario, self->options, seed);
        return ASX_LAB_EXIT_VIOLATION;
    case ASX_CAMPAIGN_NO_PROCESSES:
        fprintf(stderr, "asx lab: the system has no more processes\n");
        return ASX_LAB_EXIT_LIMIT;
    }
    asx_unreachable();
}

static void many_print(const asx_campaign *campaign, const asx_campaign_sum *sum)
{
    const many *const self = campaign->arg;
    printf("%s: %" PRIu64 " seeds passed, from %" PRIu64 "\n", self->scenario->name, sum->passed,
           campaign->first);
    printf("  %" PRIu64 " dispatches, %" PRIu64 " events, %" PRIu64 " choices, %" PRIu64
           " s of virtual time",
           sum->dispatches, sum->events, sum->choices, sum->vtime_ns / ASX_NS_PER_S);
    if (sum->faults > 0) {
        printf("; %" PRIu64 " faults of chaos", sum->faults);
    }
    if (sum->replayed > 0) {
        printf("; %" PRIu64 " replayed, no divergence", sum->replayed);
    }
    printf("\n");
}

static int run_many(const asx_lab_scenario *scenario, const asxi_lab_tool_options *o)
{
    asxi_lab_tool_progress progress;
    char why[ASX_CAMPAIGN_WHY_MAX];
    asx_campaign_sum sum;
    const many self = { scenario, o, &progress };
    const asx_campaign campaign = { .app = scenario->app,
                                    .first = o->seed,
                                    .count = o->seeds,
                                    .replays = o->replays,
                                    .jobs = (uint32_t)o->jobs,
                                    .configure = many_configure,
                                    .progress = many_progress,
                                    .arg = &self };
    asxi_lab_tool_progress_begin(&progress, o->quiet);
    const asx_campaign_end end = asx_campaign_run(&campaign, &sum, why);
    asxi_lab_tool_progress_end(&progress, sum.passed);
    const int status = many_told(&campaign, end, o->seed + sum.passed, why);
    if (end == ASX_CAMPAIGN_PASSED) {
        many_print(&campaign, &sum);
    } else {
        printf("%" PRIu64 " of %" PRIu64 " seeds passed before this one\n", sum.passed, o->seeds);
    }
    return status;
}

int asxi_lab_tool_run(const asx_lab_scenario *scenario, const asxi_lab_tool_options *o)
{
    const bool each = o->rows || o->twice || o->save || o->json || o->trace;
    return (o->seeds == 1 && o->replays == 0) || each ? run_each(scenario, o)
                                                      : run_many(scenario, o);
}
