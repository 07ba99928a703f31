#include <asx/lab/explore_tool.h>
#include <asx/lab/tool.h>
#include <asx/lab/trace_tool.h>

#include "tool_internal.h"

#include <string.h>

/* A command's own words are its operands, then options. */
typedef int command_fn(const asx_lab_scenario *more, int argc, char **args);

static void list_print(const asx_lab_scenario *scenario)
{
    printf("%-14s %u shard%s  %s\n", scenario->name, scenario->shards,
           scenario->shards == 1 ? " " : "s", scenario->about);
}

static int list(const asx_lab_scenario *more, int argc, char **args)
{
    uint32_t count;
    const asx_lab_scenario *const own = asx_lab_scenario_list(&count);
    (void)argc;
    (void)args;
    for (uint32_t i = 0; i < count; i++) {
        list_print(&own[i]);
    }
    for (; more && more->name; more++) {
        list_print(more);
    }
    return ASX_LAB_EXIT_PASSED;
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

static int run(const asx_lab_scenario *more, int argc, char **args)
{
    asxi_lab_tool_options o;
    const asx_lab_scenario *const scenario = scenario_named(more, args[0]);
    return scenario && asxi_lab_tool_options_parse(&o, more, argc - 1, args + 1)
               ? asxi_lab_tool_run(scenario, &o)
               : ASX_LAB_EXIT_USAGE;
}

static int explore(const asx_lab_scenario *more, int argc, char **args)
{
    const asx_lab_scenario *const scenario = scenario_named(more, args[0]);
    return scenario ? asx_explore_tool_explore(scenario, argc - 1, args + 1, stdout)
                    : ASX_LAB_EXIT_USAGE;
}

static int shrink(const asx_lab_scenario *more, int argc, char **args)
{
    const asx_lab_scenario *const scenario = scenario_named(more, args[0]);
    return scenario ? asx_explore_tool_shrink(scenario, argc - 1, args + 1, stdout)
                    : ASX_LAB_EXIT_USAGE;
}

static int replay(const asx_lab_scenario *more, int argc, char **args)
{
    asxi_lab_tool_options o;
    return asxi_lab_tool_options_parse(&o, more, argc - 1, args + 1)
               ? asxi_lab_tool_replay(args[0], &o)
               : ASX_LAB_EXIT_USAGE;
}

static int show(const asx_lab_scenario *more, int argc, char **args)
{
    asxi_lab_tool_options o;
    return asxi_lab_tool_options_parse(&o, more, argc - 1, args + 1)
               ? asxi_lab_tool_show(args[0], &o)
               : ASX_LAB_EXIT_USAGE;
}

static int diff(const asx_lab_scenario *more, int argc, char **args)
{
    asxi_lab_tool_options o;
    return asxi_lab_tool_options_parse(&o, more, argc - 2, args + 2)
               ? asx_trace_tool_diff(args[0], args[1])
               : ASX_LAB_EXIT_USAGE;
}

static int recover(const asx_lab_scenario *more, int argc, char **args)
{
    asxi_lab_tool_options o;
    return asxi_lab_tool_options_parse(&o, more, argc - 2, args + 2)
               ? asx_trace_tool_recover(args[0], args[1], o.level)
               : ASX_LAB_EXIT_USAGE;
}

static int help(const asx_lab_scenario *more, int argc, char **args)
{
    (void)more;
    (void)argc;
    (void)args;
    asxi_lab_tool_usage(stdout);
    return ASX_LAB_EXIT_PASSED;
}

static const struct command {
    const char *name;
    int operands;
    command_fn *run;
} commands[] = {
    { "list", 0, list },     { "run", 1, run },         { "explore", 1, explore },
    { "shrink", 1, shrink }, { "replay", 1, replay },   { "show", 1, show },
    { "diff", 2, diff },     { "recover", 2, recover }, { "help", 0, help },
    { "--help", 0, help },   { "-h", 0, help },
};

int asx_lab_tool(int argc, char **argv, const asx_lab_scenario *more)
{
    const char *const name = argc > 1 ? argv[1] : "help";
    const int words = argc > 1 ? argc - 2 : 0;
    for (size_t i = 0; i < asx_array_count(commands); i++) {
        const struct command *const command = &commands[i];
        if (strcmp(name, command->name) == 0 && words >= command->operands) {
            return command->run(more, words, argv + 2);
        }
    }
    asxi_lab_tool_usage(stderr);
    return ASX_LAB_EXIT_USAGE;
}
