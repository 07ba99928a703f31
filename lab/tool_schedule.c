/* replay and show: of a run that a file holds, or of one that a scenario and a seed name.
 *
 * A file can be a crashpack, a trace or a schedule; each is known by its first bytes. */
#include <asx/lab/crashpack_tool.h>
#include <asx/lab/narrator.h>
#include <asx/lab/schedule.h>
#include <asx/lab/show.h>
#include <asx/lab/tool.h>
#include <asx/lab/trace_tool.h>

#include "array_internal.h"
#include "tool_internal.h"

static bool schedule_open(const char *path, const asx_lab_scenario *more,
                          asx_lab_schedule *schedule, const asx_lab_scenario **scenario)
{
    FILE *const file = asxi_lab_tool_file_open(path, "rb");
    if (!file) {
        return false;
    }
    const char *const wrong = asx_lab_schedule_read(file, schedule);
    fclose(file);
    if (wrong) {
        fprintf(stderr, "asx lab: %s: %s\n", path, wrong);
        return false;
    }
    *scenario = asx_lab_scenario_among(more, schedule->scenario);
    if (!*scenario) {
        fprintf(stderr, "asx lab: %s: a run of '%s', which this program does not have\n", path,
                schedule->scenario);
        asx_lab_schedule_deinit(schedule);
        return false;
    }
    return true;
}

/* The configuration whose hash the file carries: the options that were given are not in it. */
static asx_lab_config schedule_config(const asx_lab_schedule *schedule,
                                      const asx_lab_scenario *scenario)
{
    asx_lab_config config = asx_lab_scenario_config(scenario, schedule->seed, schedule->shards);
    static const char *const presets[] = { NULL, "light", "heavy" };
    for (size_t i = 0; i < asx_array_count(presets); i++) {
        (void)asx_crashpack_tool_chaos(scenario, presets[i], &config);
        for (int wide = config.widen_ready; wide < 2; wide++) {
            config.widen_ready = wide > 0;
            if (asx_lab_config_hash(&config) == schedule->config_hash) {
                return config;
            }
        }
        config = asx_lab_scenario_config(scenario, schedule->seed, schedule->shards);
    }
    return config;
}

int asxi_lab_tool_replay(const char *path, const asxi_lab_tool_options *o)
{
    const asx_lab_scenario *const more = o->more;
    asx_lab_schedule schedule;
    const asx_lab_scenario *scenario;
    int of_pack;
    if (asx_crashpack_tool_replay(path, more, &of_pack)) {
        return of_pack;
    }
    if (asx_trace_tool_is(path)) {
        return asx_trace_tool_replay(path, more, o->by_seed);
    }
    if (!schedule_open(path, more, &schedule, &scenario)) {
        return ASX_LAB_EXIT_FILE;
    }
    const asx_lab_config config = schedule_config(&schedule, scenario);
    asx_lab_divergence divergence;
    asx_lab_report report;
    const bool same = asx_lab_replay(&config, scenario->app, NULL, &schedule, &divergence, &report);
    if (divergence.what != ASX_LAB_DIFFERS_CONFIG) {
        asx_lab_report_print(&report, stdout);
    }
    asx_lab_divergence_print(&divergence, stdout);
    const int status = same ? asxi_lab_tool_exit_of(&report) : ASX_LAB_EXIT_DIVERGED;
    asx_lab_report_deinit(&report);
    asx_lab_schedule_deinit(&schedule);
    return status;
}

static int show_run(const asx_lab_config *given, const asx_lab_scenario *scenario,
                    const asxi_lab_tool_options *o)
{
    asx_lab_config config = *given;
    asx_narrator narrator;
    asx_lab_report report;
    config.trace_capacity = 1000000;
    if (o->tell) {
        asx_narrator_init(&narrator, stdout);
        config.listeners = &narrator.listener;
    }
    (void)asx_lab_run(&config, scenario->app, NULL, &report);
    int status = ASX_LAB_EXIT_PASSED;
    if (o->tell) {
        asx_narrator_end(&narrator);
    } else if (!o->task) {
        asx_lab_show_tasks(&report, stdout);
    } else if (!asx_lab_show_task(&report, asx_lab_task_parse(o->task), stdout)) {
        fprintf(stderr, "asx lab: the run had no task %s\n", o->task);
        status = ASX_LAB_EXIT_USAGE;
    }
    asx_lab_report_deinit(&report);
    return status;
}

int asxi_lab_tool_show(const char *what, const asxi_lab_tool_options *o)
{
    const asx_lab_scenario *scenario = asx_lab_scenario_among(o->more, what);
    if (scenario) {
        const asx_lab_config config = asxi_lab_tool_config_of(scenario, o, o->seed);
        return show_run(&config, scenario, o);
    }
    asx_lab_schedule schedule;
    if (asx_trace_tool_is(what)) {
        const asx_trace_tool_view view = { .task = o->task, .json = o->json, .tell = o->tell };
        return asx_trace_tool_show(what, &view);
    }
    if (!schedule_open(what, o->more, &schedule, &scenario)) {
        return ASX_LAB_EXIT_FILE;
    }
    asx_lab_choice *const choices = asxi_lab_alloc(schedule.row_count, sizeof(*choices));
    asx_lab_config config = schedule_config(&schedule, scenario);
    config.mode = ASX_LAB_LENIENT;
    config.choices = choices;
    config.choice_count = asx_lab_schedule_choices(&schedule, choices);
    const int status = show_run(&config, scenario, o);
    asxi_lab_free(choices);
    asx_lab_schedule_deinit(&schedule);
    return status;
}
