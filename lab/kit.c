#include <asx/lab/dpor.h>
#include <asx/lab/explore_world.h>
#include <asx/lab/kit.h>
#include <asx/lab/narrator.h>
#include <asx/lab/shrink.h>
#include <asx/lab/strategy.h>
#include <asx/shard/base/assert.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RUNS 1000u
#define REPLAYS_MAX 500u

static FILE *out_of(const asx_lab_test *test)
{
    return test->out ? test->out : stderr;
}

static const char *packs_of(const asx_lab_test *test)
{
    return test->packs ? test->packs : getenv("ASX_LAB_PACKS");
}

static asx_crashpack_subject subject_of(const asx_lab_test *test, const asx_lab_config *config)
{
    return (asx_crashpack_subject){ .name = test->name,
                                    .config = config,
                                    .app = test->app,
                                    .arg = test->arg,
                                    .reset = test->reset,
                                    .judge = test->judge };
}

/* Writes the pack, where there is a folder for it, and the line that repeats the run. */
static void print_again(const asx_lab_test *test, const asx_lab_config *config,
                        const asx_lab_report *report)
{
    FILE *const out = out_of(test);
    const char *const dir = packs_of(test), *const who =
                                                test->command ? test->command : "this test";
    const asx_crashpack_subject subject = subject_of(test, config);
    char path[512], why[64];
    if (!dir) {
        fprintf(out, "  again      ASX_LAB_SEED=%" PRIu64 " %s\n", report->seed, who);
        return;
    }
    const asx_err err = asx_crashpack_write(&subject, report, dir, "ASX_LAB_REPLAY=", REPLAYS_MAX,
                                            path, sizeof(path));
    if (err) {
        fprintf(out, "  again      ASX_LAB_SEED=%" PRIu64 " %s; no pack in %s: %s\n", report->seed,
                who, dir, asx_err_name(err, why, sizeof(why)));
    } else {
        fprintf(out, "  again      ASX_LAB_REPLAY=%s %s\n", path, who);
    }
}

static bool run_once(const asx_lab_test *test, const asx_lab_config *config, asx_lab_report *report)
{
    if (test->reset) {
        test->reset(test->arg);
    }
    (void)asx_lab_run(config, test->app, test->arg, report);
    if (test->judge) {
        test->judge(test->arg, report);
    }
    return asx_lab_report_passed(report);
}

static bool run_seed(const asx_lab_test *test, uint64_t seed)
{
    asx_lab_config config = test->config;
    asx_lab_report report;
    config.seed = seed;
    const bool passed = run_once(test, &config, &report);
    if (!passed) {
        fprintf(out_of(test), "%s fails\n", test->name);
        asx_lab_report_print(&report, out_of(test));
        print_again(test, &config, &report);
    }
    asx_lab_report_deinit(&report);
    return passed;
}

static bool asked_for_seed(uint64_t *seed)
{
    const char *const text = getenv("ASX_LAB_SEED");
    char *end;
    if (!text) {
        return false;
    }
    *seed = strtoull(text, &end, 10);
    return end != text && *end == '\0';
}

/* True when the environment asks for a pack of this test. */
static bool asked_for_pack(const asx_lab_test *test, const char **path)
{
    asx_crashpack pack;
    *path = getenv("ASX_LAB_REPLAY");
    FILE *const in = *path ? fopen(*path, "rb") : NULL;
    if (!in) {
        return false;
    }
    const bool whole = asx_crashpack_read(in, &pack) == NULL;
    const bool ours = whole && strcmp(pack.name, test->name) == 0;
    fclose(in);
    if (whole) {
        asx_crashpack_deinit(&pack);
    }
    return ours;
}

bool asx_lab_test_replay(const asx_lab_test *test, const char *path)
{
    asx_crashpack pack;
    FILE *const out = out_of(test), *const in = fopen(path, "rb");
    const char *const wrong = in ? asx_crashpack_read(in, &pack) : "it cannot be opened";
    if (in) {
        fclose(in);
    }
    if (wrong) {
        fprintf(out, "%s: %s\n", path, wrong);
        return false;
    }
    asx_narrator narrator;
    asx_lab_config config = test->config;
    asx_narrator_init(&narrator, out);
    config.listeners = &narrator.listener;
    const asx_crashpack_subject subject = subject_of(test, &config);
    asx_lab_report report;
    const bool same = asx_crashpack_replay(&pack, &subject, false, &report);
    asx_narrator_end(&narrator);
    if (report.steps > 0) {
        asx_lab_report_print(&report, out);
    }
    fprintf(out, "%s: %s\n", test->name,
            same ? "the same failure, to the last event" : "not the failure of the pack");
    asx_lab_report_deinit(&report);
    asx_crashpack_deinit(&pack);
    return same;
}

bool asx_lab_test_run(const asx_lab_test *test)
{
    uint64_t seed = asx_lab_config_fill(&test->config).seed;
    const char *pack;
    if (asked_for_pack(test, &pack)) {
        return !asx_lab_test_replay(test, pack);
    }
    (void)asked_for_seed(&seed);
    return run_seed(test, seed);
}

static asx_strategy *strategy_of(const asx_lab_test *test, asx_explore_world *world, uint64_t seed)
{
    const char *const name = test->strategy ? test->strategy : "random";
    const asx_explore_limits limits = { .steps_max = 0 };
    if (strcmp(name, "pct") == 0) {
        const asx_pct_config config = { .seed = seed,
                                        .steps = asx_explore_measure(&world->program, &limits) };
        return asx_strategy_pct(&config);
    }
    if (strcmp(name, "pos") == 0) {
        return asx_strategy_pos(seed);
    }
    if (strcmp(name, "dpor") == 0) {
        const asx_dpor_config config = { .seed = seed, .fixed_sites = ASX_DPOR_TIMING };
        return asx_dpor_create(&config);
    }
    asx_assert(strcmp(name, "random") == 0);
    return asx_strategy_random(seed);
}

/* Tells the calmest failing run, by making it once more. */
static void tell(asx_explore_world *world, const asx_shrunk *shrunk, uint64_t seed, FILE *out)
{
    asx_narrator narrator;
    asx_strategy *const replay = asx_strategy_replay(seed, shrunk->calm, shrunk->calm_count);
    asx_narrator_init(&narrator, out);
    world->listener = &narrator.listener;
    replay->begin(replay, 0, &seed);
    asx_explore_run_make(shrunk->run, &world->program, replay, seed, true);
    world->listener = NULL;
    asx_narrator_end(&narrator);
    asx_strategy_destroy(replay);
}

static void print_shrunk(const asx_shrunk *shrunk, uint32_t choices, FILE *out)
{
    fprintf(out, "  shrunk     %u choices to %u, of which %u are not production's; %u replays\n",
            choices, shrunk->choice_count, shrunk->deviations, shrunk->result.replays);
    asx_shrunk_print_faults(shrunk, out);
    for (uint32_t i = 0; i < shrunk->choice_count; i++) {
        const asx_lab_choice *const row = &shrunk->choices[i];
        if (row->chosen && !asx_strategy_is_fault(row->site)) {
            fprintf(out, "  choice %-4u %s: %u of %u instead of 0\n", i,
                    asx_choice_site_name(row->site), row->chosen, row->n);
        }
    }
}

static void explain(const asx_lab_test *test, asx_explore_world *world,
                    const asx_explore_failure *failure)
{
    FILE *const out = out_of(test);
    asx_shrunk shrunk;
    const asx_explore_limits limits = { .steps_max = 0 };
    fprintf(out, "%s fails: %s\n  found      in run %" PRIu64 ", seed %" PRIu64 "\n", test->name,
            failure->text, failure->index + 1, failure->seed);
    asx_shrink_failure(&shrunk, &world->program, failure->seed, failure->signature,
                       failure->choices, failure->choice_count, &limits, REPLAYS_MAX);
    const bool calm = shrunk.result.reproduced && shrunk.calm;
    if (calm) {
        print_shrunk(&shrunk, failure->choice_count, out);
        fprintf(out, "The calmest failing run, %u preemptions:\n", shrunk.preemptions);
        tell(world, &shrunk, failure->seed, out);
    }
    asx_lab_config config = test->config;
    asx_lab_report report;
    config.seed = failure->seed;
    config.mode = ASX_LAB_LENIENT;
    config.choices = calm ? shrunk.calm : failure->choices;
    config.choice_count = calm ? shrunk.calm_count : failure->choice_count;
    if (run_once(test, &config, &report)) {
        fputs("  again      it did not fail again under its own choices\n", out);
    } else {
        print_again(test, &config, &report);
    }
    asx_lab_report_deinit(&report);
    asx_shrunk_deinit(&shrunk);
}

bool asx_lab_explore(const asx_lab_test *test)
{
    asx_explore_world world;
    uint64_t seed;
    const char *pack;
    asx_assert(test->name && test->app);
    if (asked_for_pack(test, &pack)) {
        return !asx_lab_test_replay(test, pack);
    }
    if (asked_for_seed(&seed)) {
        return run_seed(test, seed);
    }
    const asx_explore_config explore = { .runs_max = test->runs ? test->runs : RUNS };
    asx_explore_world_init(&world, test->name, &test->config, test->app, test->arg);
    world.reset = test->reset;
    world.judge = test->judge;
    asx_strategy *const strategy =
        strategy_of(test, &world, asx_lab_config_fill(&test->config).seed);
    asx_explore_report *const report = asx_explore(&world.program, strategy, &explore);
    uint32_t count;
    const asx_explore_failure *const failures = asx_explore_failures(report, &count);
    if (count > 0) {
        explain(test, &world, &failures[0]);
    }
    asx_explore_report_destroy(report);
    asx_strategy_destroy(strategy);
    return count == 0;
}
