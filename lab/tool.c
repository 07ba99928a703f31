#include <asx/lab/crashpack_tool.h>
#include <asx/lab/explore_tool.h>
#include <asx/lab/narrator.h>
#include <asx/lab/schedule.h>
#include <asx/lab/show.h>
#include <asx/lab/tool.h>
#include <asx/lab/trace_tool.h>

#include "array_internal.h"
#include "tool_internal.h"

#include <string.h>

static void list_print(const asx_lab_scenario *scenario)
{
    printf("%-14s %u shard%s  %s\n", scenario->name, scenario->shards,
           scenario->shards == 1 ? " " : "s", scenario->about);
}

static int command_list(const asx_lab_scenario *more)
{
    uint32_t count;
    const asx_lab_scenario *const list = asx_lab_scenario_list(&count);
    for (uint32_t i = 0; i < count; i++) {
        list_print(&list[i]);
    }
    for (; more && more->name; more++) {
        list_print(more);
    }
    return ASX_LAB_EXIT_PASSED;
}

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

static int command_replay(const char *path, const asxi_lab_tool_options *o)
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

static int command_show(const char *what, const asxi_lab_tool_options *o)
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

static const asx_lab_scenario *scenario_named(const asx_lab_scenario *more, const char *name)
{
    const asx_lab_scenario *const scenario = asx_lab_scenario_among(more, name);
    if (!scenario) {
        fprintf(stderr, "asx lab: there is no scenario %s; did you mean %s? asx lab list\n", name,
                asx_lab_scenario_nearest(more, name));
    }
    return scenario;
}

/* Of the commands that are about files alone, how many they take; 0: it is none of them. */
static int path_count(const char *command)
{
    if (strcmp(command, "diff") == 0 || strcmp(command, "recover") == 0) {
        return 2;
    }
    return strcmp(command, "replay") == 0 ? 1 : 0;
}

static int about_files(const char *command, char **paths, const asxi_lab_tool_options *o)
{
    if (strcmp(command, "diff") == 0) {
        return asx_trace_tool_diff(paths[0], paths[1]);
    }
    return strcmp(command, "recover") == 0 ? asx_trace_tool_recover(paths[0], paths[1], o->level)
                                           : command_replay(paths[0], o);
}

static int dispatch(const asx_lab_scenario *more, const char *command, int argc, char **args)
{
    asxi_lab_tool_options o;
    const bool shows = strcmp(command, "show") == 0, runs = strcmp(command, "run") == 0;
    const int paths = path_count(command);
    if (paths > 0 && argc >= paths) {
        return asxi_lab_tool_options_parse(&o, more, argc - paths, args + paths)
                   ? about_files(command, args, &o)
                   : ASX_LAB_EXIT_USAGE;
    }
    if ((!shows && !runs && strcmp(command, "explore") != 0 && strcmp(command, "shrink") != 0) ||
        argc < 1) {
        asxi_lab_tool_usage(stderr);
        return ASX_LAB_EXIT_USAGE;
    }
    const asx_lab_scenario *const scenario = shows ? NULL : scenario_named(more, args[0]);
    if (!shows && !scenario) {
        return ASX_LAB_EXIT_USAGE;
    }
    if (!shows && !runs) {
        return command[0] == 'e' ? asx_explore_tool_explore(scenario, argc - 1, args + 1, stdout)
                                 : asx_explore_tool_shrink(scenario, argc - 1, args + 1, stdout);
    }
    if (!asxi_lab_tool_options_parse(&o, more, argc - 1, args + 1)) {
        return ASX_LAB_EXIT_USAGE;
    }
    return shows ? command_show(args[0], &o) : asxi_lab_tool_run(scenario, &o);
}

int asx_lab_tool(int argc, char **argv, const asx_lab_scenario *more)
{
    const char *const command = argc > 1 ? argv[1] : "--help";
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 ||
        strcmp(command, "help") == 0) {
        asxi_lab_tool_usage(stdout);
        return ASX_LAB_EXIT_PASSED;
    }
    if (strcmp(command, "list") == 0) {
        return command_list(more);
    }
    return dispatch(more, command, argc - 2, argv + 2);
}
