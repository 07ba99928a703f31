#include <asx/lab/crashpack_tool.h>
#include <asx/lab/explore_tool.h>
#include <asx/lab/narrator.h>
#include <asx/lab/perfetto.h>
#include <asx/lab/schedule.h>
#include <asx/lab/show.h>
#include <asx/lab/tool.h>

#include "array_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    const asx_lab_scenario *more; /* beside the lab's own */
    uint64_t seed, seeds, shards, steps_max;
    const char *mode, *save, *json, *task, *chaos, *pack;
    bool twice, rows, tell, wide;
} options;

static void usage(FILE *out)
{
    fputs(
        "usage: asx lab list                        the scenarios\n"
        "       asx lab run NAME [OPTION]...        one seed, or many\n"
        "       asx lab replay FILE                 follow a saved run to the last event\n"
        "       asx lab show NAME|FILE [OPTION]...  the tasks of a run, or the story of one\n"
        "       asx lab explore NAME [OPTION]...    search for a schedule that fails\n"
        "       asx lab shrink NAME [OPTION]...     the smallest schedule that still fails\n"
        "\n"
        "  --seed N      of the (first) run; default 42\n"
        "  --seeds N     run: N seeds in a row, and one line about all of them\n"
        "  --shards N    instead of the scenario's\n"
        "  --mode M      random (default), or default: what production would do\n"
        "  --steps N     limit of a run; default 100000\n"
        "  --chaos C     light or heavy: faults from the seed, as many as the scenario withstands\n"
        "  --pack DIR    run: a failure goes there as a crashpack, which replay takes too\n"
        "  --wide        which of the equals of a lane runs is a choice too\n"
        "  --twice       run: each run again, which must be the same\n"
        "  --rows        run: a line for each seed: hashes and counts\n"
        "  --save FILE   run: the schedule, for replay and show\n"
        "  --json FILE   run: a trace for ui.perfetto.dev\n"
        "  --task T      show: the story of one task, as 0.3.1\n"
        "  --tell        show: the whole run, shard by shard, in words\n"
        "\n"
        "A run is its seed: the same command prints the same bytes, on every machine.\n"
        "\n"
        "Try it:\n"
        "  asx lab run limb-cancel --seeds 1000\n"
        "  asx lab run limb-cancel --seed 7 --save /tmp/run.lab\n"
        "  asx lab replay /tmp/run.lab\n"
        "  asx lab show /tmp/run.lab\n"
        "  asx lab show /tmp/run.lab --task 0.1.1\n"
        "\n"
        "Exit status: 0 passed, 1 violation, 2 usage, 3 not the same run, 4 a limit was reached,\n"
        "5 a file was not what it should be.\n",
        out);
}

static bool number(const char *text, uint64_t max, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *value <= max;
}

/* True when `name` takes a value, which then is taken. */
static bool option_value(options *o, const char *name, const char *value, bool *fits)
{
    const struct {
        const char *name;
        uint64_t *value;
        uint64_t max;
    } numbers[] = { { "--seed", &o->seed, UINT64_MAX },
                    { "--seeds", &o->seeds, UINT32_MAX },
                    { "--shards", &o->shards, ASX_LAB_SHARDS_MAX },
                    { "--steps", &o->steps_max, UINT64_MAX } };
    const struct {
        const char *name, **value;
    } texts[] = { { "--mode", &o->mode },   { "--save", &o->save }, { "--json", &o->json },
                  { "--chaos", &o->chaos }, { "--pack", &o->pack }, { "--task", &o->task } };
    for (size_t i = 0; i < asx_array_count(numbers); i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *fits = value && number(value, numbers[i].max, numbers[i].value);
            return true;
        }
    }
    for (size_t i = 0; i < asx_array_count(texts); i++) {
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].value = value;
            *fits = value != NULL;
            return true;
        }
    }
    return false;
}

static bool option_flag(options *o, const char *name)
{
    const struct {
        const char *name;
        bool *value;
    } flags[] = { { "--twice", &o->twice },
                  { "--rows", &o->rows },
                  { "--tell", &o->tell },
                  { "--wide", &o->wide } };
    for (size_t i = 0; i < asx_array_count(flags); i++) {
        if (strcmp(name, flags[i].name) == 0) {
            *flags[i].value = true;
            return true;
        }
    }
    return false;
}

static bool options_parse(options *o, const asx_lab_scenario *more, int argc, char **args)
{
    *o = (options){ .more = more, .seed = 42, .seeds = 1, .mode = "random" };
    for (int i = 0; i < argc; i++) {
        bool fits = true;
        const char *const value = i + 1 < argc ? args[i + 1] : NULL;
        if (option_value(o, args[i], value, &fits)) {
            i++;
        } else {
            fits = option_flag(o, args[i]);
        }
        if (!fits) {
            fprintf(stderr, "asx lab: %s%s%s is not understood; asx lab --help\n",
                    args[i > 0 ? i - !!value : 0], value ? " " : "", value ? value : "");
            return false;
        }
    }
    if (strcmp(o->mode, "random") != 0 && strcmp(o->mode, "default") != 0) {
        fprintf(stderr, "asx lab: there is no mode %s: random, default\n", o->mode);
        return false;
    }
    asx_chaos_config chaos;
    if (o->chaos && !asx_chaos_preset(&chaos, o->chaos)) {
        fprintf(stderr, "asx lab: there is no chaos %s: off, light, heavy\n", o->chaos);
        return false;
    }
    return true;
}

static asx_lab_config config_of(const asx_lab_scenario *scenario, const options *o, uint64_t seed)
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

static int exit_of(const asx_lab_report *report)
{
    if (asx_lab_report_passed(report)) {
        return ASX_LAB_EXIT_PASSED;
    }
    const bool limit = report->termination == ASX_LAB_STEP_LIMIT ||
                       report->termination == ASX_LAB_VTIME_LIMIT ||
                       report->termination == ASX_LAB_CHOICE_LIMIT;
    return limit && report->violation_count == 0 ? ASX_LAB_EXIT_LIMIT : ASX_LAB_EXIT_VIOLATION;
}

static FILE *file_open(const char *path, const char *how)
{
    FILE *const file = fopen(path, how);
    if (!file) {
        fprintf(stderr, "asx lab: %s: %s\n", path, strerror(errno));
    }
    return file;
}

static bool file_close(FILE *file, const char *path, asx_err err)
{
    if (fclose(file) != 0 || err) {
        fprintf(stderr, "asx lab: %s could not be written\n", path);
        return false;
    }
    return true;
}

static bool run_save(const options *o, const asx_lab_scenario *scenario,
                     const asx_lab_report *report)
{
    bool saved = true;
    if (o->save) {
        FILE *const file = file_open(o->save, "wb");
        if (!file) {
            return false;
        }
        asx_lab_schedule schedule;
        asx_lab_schedule_of(report, &schedule);
        snprintf(schedule.scenario, sizeof(schedule.scenario), "%s", scenario->name);
        schedule.shards = (uint32_t)o->shards;
        saved = file_close(file, o->save, asx_lab_schedule_write(&schedule, file));
        asx_lab_schedule_deinit(&schedule);
    }
    if (saved && o->json) {
        FILE *const file = file_open(o->json, "w");
        saved = file && file_close(file, o->json, asx_lab_perfetto_write(report, file));
    }
    return saved;
}

static void again_print(const asx_lab_scenario *scenario, const options *o, uint64_t seed)
{
    printf("again      asx lab run %s --seed %" PRIu64, scenario->name, seed);
    if (o->shards > 0) {
        printf(" --shards %" PRIu64, o->shards);
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
static int run_one(const asx_lab_scenario *scenario, const options *o, uint64_t seed)
{
    asx_lab_config config = config_of(scenario, o, seed);
    asx_lab_report report;
    config.keep_schedule = o->save != NULL;
    config.trace_capacity = o->json ? 1000000 : 0;
    config.fingerprint = o->seeds == 1;
    (void)asx_lab_run(&config, scenario->app, NULL, &report);
    int status = exit_of(&report);
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
    if (!run_save(o, scenario, &report)) {
        status = ASX_LAB_EXIT_FILE;
    }
    asx_lab_report_deinit(&report);
    return status;
}

static int command_run(const asx_lab_scenario *scenario, const options *o)
{
    for (uint64_t i = 0; i < o->seeds; i++) {
        const int status = run_one(scenario, o, o->seed + i);
        if (status != ASX_LAB_EXIT_PASSED) {
            if (o->seeds > 1) {
                printf("%" PRIu64 " of %" PRIu64 " seeds passed before this one\n", i, o->seeds);
            }
            return status;
        }
    }
    if (o->seeds > 1) {
        printf("%s: %" PRIu64 " seeds passed, from %" PRIu64 "\n", scenario->name, o->seeds,
               o->seed);
    }
    return ASX_LAB_EXIT_PASSED;
}

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
    FILE *const file = file_open(path, "rb");
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

static int command_replay(const char *path, const asx_lab_scenario *more)
{
    asx_lab_schedule schedule;
    const asx_lab_scenario *scenario;
    int of_pack;
    if (asx_crashpack_tool_replay(path, more, &of_pack)) {
        return of_pack;
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
    const int status = same ? exit_of(&report) : ASX_LAB_EXIT_DIVERGED;
    asx_lab_report_deinit(&report);
    asx_lab_schedule_deinit(&schedule);
    return status;
}

static int show_run(const asx_lab_config *given, const asx_lab_scenario *scenario, const options *o)
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

static int command_show(const char *what, const options *o)
{
    const asx_lab_scenario *scenario = asx_lab_scenario_among(o->more, what);
    if (scenario) {
        const asx_lab_config config = config_of(scenario, o, o->seed);
        return show_run(&config, scenario, o);
    }
    asx_lab_schedule schedule;
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

static int dispatch(const asx_lab_scenario *more, const char *command, int argc, char **args)
{
    options o;
    const bool shows = strcmp(command, "show") == 0, runs = strcmp(command, "run") == 0;
    if (strcmp(command, "replay") == 0 && argc == 1) {
        return command_replay(args[0], more);
    }
    if ((!shows && !runs && strcmp(command, "explore") != 0 && strcmp(command, "shrink") != 0) ||
        argc < 1) {
        usage(stderr);
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
    if (!options_parse(&o, more, argc - 1, args + 1)) {
        return ASX_LAB_EXIT_USAGE;
    }
    return shows ? command_show(args[0], &o) : command_run(scenario, &o);
}

int asx_lab_tool(int argc, char **argv, const asx_lab_scenario *more)
{
    const char *const command = argc > 1 ? argv[1] : "--help";
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 ||
        strcmp(command, "help") == 0) {
        usage(stdout);
        return ASX_LAB_EXIT_PASSED;
    }
    if (strcmp(command, "list") == 0) {
        return command_list(more);
    }
    return dispatch(more, command, argc - 2, argv + 2);
}
