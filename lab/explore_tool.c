#include <asx/lab/crashpack_tool.h>
#include <asx/lab/dpor.h>
#include <asx/lab/strategy.h>
#include <asx/shard/base/assert.h>

#include "explore_tool_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void asx_explore_tool_usage(FILE *out)
{
    fputs("usage: asx lab explore NAME [OPTION]...   many runs, and what they showed\n"
          "       asx lab shrink NAME [OPTION]...    the first failing run, made small\n"
          "\n"
          "  --strategy S   random (default), pct, pos, dpor, bounded\n"
          "  --budget B     runs, or seconds with an s: 500, 30s; default 1000\n"
          "  --seeds N      the same as --budget N\n"
          "  --seed S       of the first run; random, pct, pos count up from it; default 42\n"
          "  --first I      index of the first run\n"
          "  --shards N     instead of the scenario's\n"
          "  --chaos P      with faults: light, heavy\n"
          "  --wide         which of a shard's ready tasks runs is a choice, too\n"
          "  --jobs N       processes, for random, pct, pos; 0: none; default: one a core\n"
          "  --steps N      limit of a run; default 100000\n"
          "  --depth D      of pct; default 1, 2, 3 in turn\n"
          "  --bound B      of bounded: answers that production would not give; default 2\n"
          "  --every        dpor: vary also when things are seen, not only the order of turns\n"
          "  --all          go on after a failure\n"
          "  --races        count races\n"
          "  --rows         a line for each run\n"
          "  --quiet        no progress line\n"
          "  --choices L    shrink: from these answers instead of searching: 0,2,1\n"
          "  --save FILE    shrink: the run that is told, for asx lab replay and show\n",
          out);
}

static asx_instant monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * ASX_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void show_progress(void *arg, const asx_explore_progress *p)
{
    const double seconds = (double)p->elapsed_ns / 1e9;
    const double rate = seconds > 0 ? (double)p->runs / seconds : 0;
    double left = rate > 0 ? (double)(p->runs_max - p->runs) / rate : 0;
    double done = (double)p->runs / (double)p->runs_max;
    if (p->budget_ns) {
        left = (double)asx_time_sub(p->budget_ns, p->elapsed_ns) / 1e9;
        done = seconds * 1e9 / (double)p->budget_ns;
    }
    char bar[21];
    for (int i = 0; i < 20; i++) {
        bar[i] = done * 20 > i ? '#' : '.';
    }
    bar[20] = 0;
    fprintf(stderr,
            "\r[%s] %" PRIu64 " runs, %.0f/s, %" PRIu64 " classes, %" PRIu64
            " failed, %.0f s left \033[K",
            bar, p->runs, rate, p->classes, p->failures, left);
    fflush(stderr);
    *(bool *)arg = true;
}

static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    *value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == 0;
}

/* "500" runs, "30s" seconds */
static bool parse_budget(asxi_explore_options *o, const char *text)
{
    char *end;
    const uint64_t value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || value == 0) {
        return false;
    }
    if (strcmp(end, "s") == 0) {
        o->time_ns = asx_s(value);
        o->runs = UINT32_MAX / 4;
        return true;
    }
    o->runs = value;
    return *end == 0;
}

static bool set_flag(asxi_explore_options *o, const char *name)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = { { "--every", &o->every }, { "--all", &o->all },   { "--races", &o->races },
                  { "--rows", &o->rows },   { "--wide", &o->wide }, { "--quiet", &o->quiet } };
    for (unsigned i = 0; i < asx_array_count(flags); i++) {
        if (strcmp(name, flags[i].name) == 0) {
            *flags[i].flag = true;
            return true;
        }
    }
    return false;
}

static bool set_option(asxi_explore_options *o, const char *name, const char *value)
{
    const struct {
        const char *name;
        uint64_t *number;
        uint64_t max;
    } numbers[] = { { "--seed", &o->seed, UINT64_MAX },
                    { "--first", &o->first, UINT64_MAX },
                    { "--jobs", &o->jobs, 256 },
                    { "--depth", &o->depth, ASX_PCT_DEPTH_MAX },
                    { "--bound", &o->bound, UINT32_MAX },
                    { "--shards", &o->shards, 63 },
                    { "--steps", &o->steps_max, UINT32_MAX } };
    if (strcmp(name, "--strategy") == 0) {
        o->strategy = value;
        return true;
    }
    if (strcmp(name, "--choices") == 0) {
        o->choices = value;
        return true;
    }
    if (strcmp(name, "--save") == 0) {
        o->save = value;
        return true;
    }
    if (strcmp(name, "--chaos") == 0) {
        o->chaos = value;
        return true;
    }
    if (strcmp(name, "--budget") == 0 || strcmp(name, "--seeds") == 0) {
        return parse_budget(o, value);
    }
    for (unsigned i = 0; i < asx_array_count(numbers); i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            return parse_number(value, numbers[i].number) && *numbers[i].number <= numbers[i].max;
        }
    }
    return false;
}

static bool parse(asxi_explore_options *o, int argc, char **args)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    *o = (asxi_explore_options){ .strategy = "random",
                                 .seed = 42,
                                 .runs = 1000,
                                 .bound = 2,
                                 .jobs = cores > 1 ? (uint64_t)cores : 0,
                                 .quiet = !isatty(STDERR_FILENO) };
    for (int i = 0; i < argc; i++) {
        if (set_flag(o, args[i])) {
            continue;
        }
        if (i + 1 == argc || !set_option(o, args[i], args[i + 1])) {
            fprintf(stderr, "asx lab: %s%s%s is not understood\n", args[i], i + 1 < argc ? " " : "",
                    i + 1 < argc ? args[i + 1] : "");
            return false;
        }
        i++;
    }
    return true;
}

/* The strategy of that name; NULL: there is none. */
static asx_strategy *make_strategy(asxi_explore_session *s)
{
    const asxi_explore_options *const o = &s->options;
    if (strcmp(o->strategy, "random") == 0) {
        return asx_strategy_random(o->seed);
    }
    if (strcmp(o->strategy, "pct") == 0) {
        const asx_pct_config config = {
            .seed = o->seed,
            .depth = (uint32_t)o->depth,
            .steps = asx_explore_measure(&s->world.program, &s->explore.limits),
        };
        return asx_strategy_pct(&config);
    }
    if (strcmp(o->strategy, "pos") == 0) {
        return asx_strategy_pos(o->seed);
    }
    if (strcmp(o->strategy, "dpor") == 0) {
        const asx_dpor_config config = { .seed = o->seed,
                                         .fixed_sites = o->every ? 0 : ASX_DPOR_TIMING };
        return asx_dpor_create(&config);
    }
    if (strcmp(o->strategy, "bounded") == 0) {
        return asx_strategy_bounded(o->seed, (uint32_t)o->bound);
    }
    fprintf(stderr, "asx lab: there is no strategy %s: random, pct, pos, dpor, bounded\n",
            o->strategy);
    return NULL;
}

bool asxi_explore_session_begin(asxi_explore_session *s, const asx_lab_scenario *scenario, int argc,
                                char **args, FILE *out)
{
    *s = (asxi_explore_session){ .scenario = scenario, .out = out };
    asxi_explore_options *const o = &s->options;
    if (!parse(o, argc, args)) {
        return false;
    }
    s->config = asx_lab_scenario_config(scenario, o->seed, (uint32_t)o->shards);
    s->config.max_steps = o->steps_max ? o->steps_max : s->config.max_steps;
    s->config.widen_ready |= o->wide;
    if (!asx_crashpack_tool_chaos(scenario, o->chaos, &s->config)) {
        fprintf(stderr, "asx lab: there is no chaos %s: off, light, heavy\n", o->chaos);
        return false;
    }
    const char *const refused = asx_lab_config_refused(&s->config);
    if (refused) {
        fprintf(stderr, "asx lab: %s: %s\n", scenario->name, refused);
        return false;
    }
    asx_explore_world_init(&s->world, scenario->name, &s->config, scenario->app, &s->config);
    s->explore = (asx_explore_config){ .runs_max = o->runs,
                                       .first = o->first,
                                       .real_ns_max = o->time_ns,
                                       .jobs = (uint32_t)o->jobs,
                                       .past_failures = o->all,
                                       .count_races = o->races,
                                       .now_ns = monotonic_ns };
    s->strategy = make_strategy(s);
    return s->strategy != NULL;
}

asx_explore_report *asxi_explore_session_run(asxi_explore_session *s)
{
    bool shown = false;
    if (!s->options.quiet) {
        s->explore.progress = show_progress;
        s->explore.progress_arg = &shown;
        s->explore.progress_ns = asx_ms(200);
    }
    asx_explore_report *const report = asx_explore(&s->world.program, s->strategy, &s->explore);
    if (shown) {
        fputs("\r\033[K", stderr);
    }
    return report;
}

static void print_claim(const asxi_explore_session *s)
{
    if (strcmp(s->strategy->name, "dpor") != 0) {
        return;
    }
    const char *why;
    const asx_dpor_counts c = asx_dpor_counts_of(s->strategy);
    const bool exhaustive = asx_dpor_exhaustive(s->strategy, &why);
    fprintf(s->out,
            "  tree       %" PRIu64 " reversible races, %" PRIu64 " led to a run, %" PRIu64
            " runs ended asleep\n  claim      %s%s\n",
            c.reversible, c.backtracks, c.sleep_blocked, exhaustive ? "exhaustive" : "",
            exhaustive ? "" : why);
}

void asxi_explore_session_print(const asxi_explore_session *s)
{
    const asxi_explore_options *const o = &s->options;
    if (o->shards) {
        fprintf(s->out, " --shards %" PRIu64, o->shards);
    }
    if (o->chaos) {
        fprintf(s->out, " --chaos %s", o->chaos);
    }
    fputs(o->wide ? " --wide" : "", s->out);
}

/* The line that repeats a failure. Random runs are those of their seed, whoever makes them. */
static void print_again(const asxi_explore_session *s, const asx_explore_failure *failure)
{
    const asxi_explore_options *const o = &s->options;
    if (strcmp(o->strategy, "random") == 0) {
        fprintf(s->out, "  again      asx lab run %s", s->scenario->name);
        asxi_explore_session_print(s);
        fprintf(s->out, " --seed %" PRIu64 "\n", failure->seed);
    }
    fprintf(s->out, "  shrink     asx lab shrink %s", s->scenario->name);
    asxi_explore_session_print(s);
    fprintf(s->out, " --strategy %s --seed %" PRIu64, o->strategy, o->seed);
    if (s->strategy->indexed) {
        fprintf(s->out, " --first %" PRIu64 " --budget 1", failure->index);
    } else {
        fprintf(s->out, " --budget %" PRIu64, failure->index - o->first + 1);
    }
    if (o->depth) {
        fprintf(s->out, " --depth %" PRIu64, o->depth);
    }
    fprintf(s->out, "%s\n", o->every ? " --every" : "");
}

static int status_of(const asx_explore_report *report)
{
    uint32_t count, rows;
    const asx_explore_failure *const failures = asx_explore_failures(report, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (failures[i].end != ASX_EXPLORE_STEP_LIMIT) {
            return ASX_EXPLORE_TOOL_VIOLATION;
        }
    }
    const asx_explore_row *const row = asx_explore_rows(report, &rows);
    for (uint32_t i = 0; i < rows; i++) {
        if (row[i].end == ASX_EXPLORE_DIVERGED) {
            return ASX_EXPLORE_TOOL_DIVERGED;
        }
    }
    return count > 0 ? ASX_EXPLORE_TOOL_LIMIT : ASX_EXPLORE_TOOL_PASSED;
}

int asxi_explore_session_end(asxi_explore_session *s, asx_explore_report *report, int status)
{
    asx_explore_report_destroy(report);
    asx_strategy_destroy(s->strategy);
    return status;
}

int asx_explore_tool_explore(const asx_lab_scenario *scenario, int argc, char **args, FILE *out)
{
    asxi_explore_session s;
    if (!asxi_explore_session_begin(&s, scenario, argc, args, out)) {
        return asxi_explore_session_end(&s, NULL, ASX_EXPLORE_TOOL_USAGE);
    }
    asx_explore_report *const report = asxi_explore_session_run(&s);
    asx_explore_print(report, out);
    print_claim(&s);
    uint32_t count;
    const asx_explore_failure *const failures = asx_explore_failures(report, &count);
    for (uint32_t i = 0; i < count; i++) {
        print_again(&s, &failures[i]);
    }
    if (s.options.rows) {
        asx_explore_print_rows(report, out);
    }
    return asxi_explore_session_end(&s, report, status_of(report));
}
