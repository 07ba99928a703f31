#include <asx/lab/narrator.h>
#include <asx/lab/schedule.h>
#include <asx/lab/shrink.h>
#include <asx/lab/strategy.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"
#include "explore_tool_internal.h"

#include <inttypes.h>
#include <stdlib.h>

/* Tells the calmest failing run, by making it once more. */
static void tell(asxi_explore_session *s, const asx_shrunk *shrunk, uint64_t seed)
{
    asx_narrator narrator;
    asx_strategy *const replay = asx_strategy_replay(seed, shrunk->calm, shrunk->calm_count);
    asx_narrator_init(&narrator, s->out);
    s->world.listener = &narrator.listener;
    replay->begin(replay, 0, &seed);
    asx_explore_run_make(shrunk->run, &s->world.program, replay, seed, true);
    s->world.listener = NULL;
    asx_narrator_end(&narrator);
    asx_strategy_destroy(replay);
}

static void print_choices(const asx_lab_choice *rows, uint32_t count, FILE *out)
{
    for (uint32_t i = 0; i < count; i++) {
        fprintf(out, "%s%u", i ? "," : "", rows[i].chosen);
    }
}

static void print_shrunk(asxi_explore_session *s, const asx_shrunk *shrunk, uint64_t seed,
                         uint32_t choices)
{
    FILE *const out = s->out;
    fprintf(out, "%s: %s (%s)\n", s->scenario->name, shrunk->verdict.text,
            asx_explore_end_name(shrunk->verdict.end));
    fprintf(out, "  shrunk     %u choices to %u, of which %u are not production's; %u replays%s\n",
            choices, shrunk->choice_count, shrunk->deviations, shrunk->result.replays,
            shrunk->result.truncated ? ", cut short" : "");
    asx_shrunk_print_faults(shrunk, out);
    for (uint32_t i = 0; i < shrunk->choice_count; i++) {
        const asx_lab_choice *const row = &shrunk->choices[i];
        if (row->chosen && !asx_strategy_is_fault(row->site)) {
            fprintf(out, "  choice %-4u %s: %u of %u instead of 0, object %" PRIx64 "\n", i,
                    asx_choice_site_name(row->site), row->chosen, row->n, row->object);
        }
    }
    if (shrunk->calm) {
        fprintf(out,
                "  calmest    %u preemptions in %u steps\n"
                "The calmest failing run:\n",
                shrunk->preemptions, asx_explore_run_steps(shrunk->run));
        tell(s, shrunk, seed);
    }
    fprintf(out, "  again      asx lab shrink %s", s->scenario->name);
    asxi_explore_session_print(s);
    fprintf(out, " --seed %" PRIu64 " --choices ", seed);
    print_choices(shrunk->choices, shrunk->choice_count, out);
    fputs(shrunk->choice_count ? "\n" : "0\n", out);
}

/* Writes the told run as a schedule: the lab repeats it by its answers. */
static bool save(const asxi_explore_session *s, const asx_shrunk *shrunk, uint64_t seed)
{
    asx_lab_config config = s->config;
    config.seed = seed;
    config.mode = ASX_LAB_LENIENT;
    config.choices = shrunk->calm;
    config.choice_count = shrunk->calm_count;
    config.keep_schedule = true;
    asx_lab_report report;
    asx_lab_run(&config, s->scenario->app, &config, &report);
    asx_lab_schedule schedule;
    asx_lab_schedule_of(&report, &schedule);
    snprintf(schedule.scenario, sizeof(schedule.scenario), "%s", s->scenario->name);
    schedule.shards = (uint32_t)s->options.shards;
    FILE *const file = fopen(s->options.save, "wb");
    bool saved = file && asx_lab_schedule_write(&schedule, file) == ASX_OK;
    saved &= file && fclose(file) == 0;
    asx_lab_schedule_deinit(&schedule);
    asx_lab_report_deinit(&report);
    if (!saved) {
        fprintf(stderr, "asx lab: %s cannot be written\n", s->options.save);
    }
    return saved;
}

/* Rows whose sites and sizes nobody knows: a lenient replay takes them as they fit. */
static bool parse_choices(const char *text, asxi_array *rows)
{
    while (*text) {
        char *end_of;
        const uint64_t value = strtoull(text, &end_of, 10);
        if (end_of == text || value > UINT16_MAX || (*end_of && *end_of != ',')) {
            return false;
        }
        asx_lab_choice *const row = asxi_array_push(rows);
        *row = (asx_lab_choice){ .chosen = (uint16_t)value };
        text = *end_of ? end_of + 1 : end_of;
    }
    return true;
}

static int shrink(asxi_explore_session *s, const asx_explore_failure *failure)
{
    asx_shrunk shrunk;
    asx_shrink_failure(&shrunk, &s->world.program, failure->seed, failure->signature,
                       failure->choices, failure->choice_count, &s->explore.limits, 0);
    const bool reproduced = shrunk.result.reproduced;
    int status = reproduced ? ASX_EXPLORE_TOOL_VIOLATION : ASX_EXPLORE_TOOL_DIVERGED;
    if (reproduced) {
        print_shrunk(s, &shrunk, failure->seed, failure->choice_count);
        if (s->options.save && shrunk.calm && !save(s, &shrunk, failure->seed)) {
            status = ASX_EXPLORE_TOOL_FILE;
        }
    } else {
        fprintf(s->out, "%s: the failure did not come again under its own answers\n",
                s->scenario->name);
    }
    asx_shrunk_deinit(&shrunk);
    return status;
}

static int shrink_given(asxi_explore_session *s)
{
    asxi_array rows;
    asxi_array_init(&rows, sizeof(asx_lab_choice));
    if (!parse_choices(s->options.choices, &rows)) {
        asxi_array_deinit(&rows);
        fputs("asx lab: --choices takes numbers with commas between them\n", stderr);
        return ASX_EXPLORE_TOOL_USAGE;
    }
    asx_explore_run *const run =
        asx_explore_run_create(s->world.program.processes, &s->explore.limits);
    asx_strategy *const replay =
        asx_strategy_replay(s->options.seed, asxi_array_items(&rows), rows.count);
    uint64_t seed;
    replay->begin(replay, 0, &seed);
    asx_explore_run_make(run, &s->world.program, replay, seed, false);
    uint32_t count;
    asx_explore_failure failure = { .seed = seed,
                                    .signature = asx_explore_run_verdict(run)->signature };
    const asx_lab_choice *const made = asx_explore_run_choices(run, &count);
    asxi_array_cut(&rows, 0);
    asxi_array_append(&rows, made, count); /* with what the questions really were */
    failure.choices = asxi_array_items(&rows);
    failure.choice_count = count;
    int status = ASX_EXPLORE_TOOL_PASSED;
    if (failure.signature) {
        status = shrink(s, &failure);
    } else {
        fprintf(s->out, "%s: the run of these choices passes\n", s->scenario->name);
    }
    asx_strategy_destroy(replay);
    asx_explore_run_destroy(run);
    asxi_array_deinit(&rows);
    return status;
}

int asx_explore_tool_shrink(const asx_lab_scenario *scenario, int argc, char **args, FILE *out)
{
    asxi_explore_session s;
    if (!asxi_explore_session_begin(&s, scenario, argc, args, out)) {
        return asxi_explore_session_end(&s, NULL, ASX_EXPLORE_TOOL_USAGE);
    }
    if (s.options.choices) {
        return asxi_explore_session_end(&s, NULL, shrink_given(&s));
    }
    s.explore.past_failures = false;
    asx_explore_report *const report = asxi_explore_session_run(&s);
    uint32_t count;
    const asx_explore_failure *const failure = asx_explore_failures(report, &count);
    int status = ASX_EXPLORE_TOOL_PASSED;
    if (count == 0) {
        asx_explore_print(report, out);
    } else {
        status = shrink(&s, failure);
    }
    return asxi_explore_session_end(&s, report, status);
}
