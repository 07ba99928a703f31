#include <asx/lab/explore.h>
#include <asx/lab/strategy.h>
#include <asx/shard/base/assert.h>

#include "explore_internal.h"

#include <math.h>
#include <string.h>

#define SATURATION_WINDOW 10u

/* Fills what the order of the steps says about races. */
static void count_races(asx_race_order *order, asx_explore_row *row)
{
    const uint32_t steps = asx_race_order_count(order);
    uint8_t *const in_race = asxi_lab_alloc(steps, 1);
    for (uint32_t later = 0; later < steps; later++) {
        uint32_t count;
        const asx_race *const races = asx_race_each(order, later, &count);
        row->races += count;
        for (uint32_t i = 0; i < count; i++) {
            row->reversible += races[i].reversible;
            in_race[races[i].earlier] = in_race[later] = 1;
        }
    }
    for (uint32_t i = 0; i < steps; i++) {
        row->steps_in_race += in_race[i];
    }
    row->classes_least = asx_race_classes_least(order);
    asxi_lab_free(in_race);
}

asx_explore_row asxi_explore_row_of(asx_explore_run *run, uint64_t index, uint64_t seed)
{
    const asx_explore_verdict *const verdict = asx_explore_run_verdict(run);
    asx_explore_row row = { .index = index,
                            .seed = seed,
                            .fingerprint = verdict->fingerprint,
                            .schedule_hash = verdict->schedule_hash,
                            .signature = verdict->signature,
                            .vtime_ns = verdict->vtime_ns,
                            .steps = asx_explore_run_steps(run),
                            .turns = asx_explore_run_turns(run),
                            .end = verdict->end };
    asx_explore_run_choices(run, &row.choices);
    asx_race_order *const order = asx_explore_run_order(run);
    if (order) {
        count_races(order, &row);
    }
    return row;
}

static void add_class(asx_explore_report *report, asx_explore_row *row)
{
    asx_explore_coverage *const c = &report->coverage;
    uint32_t *const at = asxi_table_at(&report->classes, row->fingerprint);
    row->is_new_class = *at == 0;
    if (row->is_new_class) {
        const uint32_t hits = 1;
        asxi_array_append(&report->hits, &hits, 1);
        *at = report->hits.count;
        c->classes++;
        c->once++;
        c->since_last_new = 0;
        return;
    }
    uint32_t *const hits = asxi_array_at(&report->hits, *at - 1);
    c->once -= *hits == 1;
    ++*hits;
    c->existing_hits++;
    c->since_last_new++;
}

static void add_failure(asx_explore_report *report, const asx_explore_row *row, const char *text,
                        const asx_lab_choice *choices, uint32_t choice_count)
{
    report->failed_runs++;
    for (uint32_t i = 0; i < report->failures.count; i++) {
        asx_explore_failure *const known = asxi_array_at(&report->failures, i);
        if (known->signature == row->signature) {
            known->runs++;
            return;
        }
    }
    if (report->failures.count == report->config.failures_max) {
        return;
    }
    asx_explore_failure *const fresh = asxi_array_push(&report->failures);
    *fresh = (asx_explore_failure){ .signature = row->signature,
                                    .index = row->index,
                                    .seed = row->seed,
                                    .runs = 1,
                                    .end = row->end,
                                    .choice_count = choice_count };
    snprintf(fresh->text, sizeof(fresh->text), "%s", text);
    if (choices) {
        fresh->choices = asxi_lab_alloc(choice_count, sizeof(*choices));
        memcpy(fresh->choices, choices, sizeof(*choices) * choice_count);
    }
}

void asxi_explore_tell(asx_explore_report *report)
{
    const asx_explore_config *const config = &report->config;
    if (!config->now_ns) {
        return;
    }
    const asx_instant now = config->now_ns();
    const asx_duration elapsed = asx_time_sub(now, report->started_ns);
    if (config->real_ns_max && elapsed >= config->real_ns_max && !report->why) {
        report->why = "time";
    }
    const bool due = asx_time_sub(now, report->told_ns) >= config->progress_ns || report->why;
    if (config->progress && due) {
        report->told_ns = now;
        const asx_explore_progress progress = { .runs = report->coverage.runs,
                                                .runs_max = config->runs_max,
                                                .classes = report->coverage.classes,
                                                .failures = report->failed_runs,
                                                .elapsed_ns = elapsed,
                                                .budget_ns = config->real_ns_max };
        config->progress(config->progress_arg, &progress);
    }
}

void asxi_explore_add(asx_explore_report *report, const asx_explore_row *given, const char *text,
                      const asx_lab_choice *choices, uint32_t choice_count)
{
    const asx_explore_config *const config = &report->config;
    asx_explore_coverage *const c = &report->coverage;
    asx_explore_row *const row = asxi_array_push(&report->rows);
    *row = *given;
    c->runs++;
    c->steps += row->steps;
    c->choices += row->choices;
    c->races += row->races;
    c->reversible += row->reversible;
    c->steps_in_race += row->steps_in_race;
    if (row->end != ASX_EXPLORE_ABANDONED) {
        add_class(report, row);
    }
    c->saturated = c->runs >= SATURATION_WINDOW && c->existing_hits >= SATURATION_WINDOW;
    for (uint32_t i = 0; i < choice_count && choices; i++) {
        report->sites[choices[i].site % ASX_CHOICE_SITE_COUNT]++;
    }
    if (row->signature != 0) {
        add_failure(report, row, text, choices, choice_count);
        if (!config->past_failures) {
            report->why = "failure";
        }
    }
    if (!report->why && config->no_news_max && c->since_last_new >= config->no_news_max) {
        report->why = "no news";
    }
    if (!report->why && c->runs == config->runs_max) {
        report->why = "budget";
    }
    asxi_explore_tell(report);
}

static void explore_here(asx_explore_report *report, asx_explore_program *program,
                         asx_strategy *strategy)
{
    const asx_explore_config *const config = &report->config;
    asx_explore_run *const run = asx_explore_run_create(program->processes, &config->limits);
    uint64_t index = config->first, seed;
    while (!report->why) {
        if (!strategy->begin(strategy, index, &seed)) {
            report->why = "nothing left";
            break;
        }
        asx_explore_run_make(run, program, strategy, seed, config->count_races);
        const asx_explore_row row = asxi_explore_row_of(run, index++, seed);
        uint32_t count;
        const asx_lab_choice *const choices = asx_explore_run_choices(run, &count);
        asxi_explore_add(report, &row, asx_explore_run_verdict(run)->text, choices, count);
    }
    asx_explore_run_destroy(run);
}

asx_explore_report *asx_explore(asx_explore_program *program, asx_strategy *strategy,
                                const asx_explore_config *config)
{
    asx_explore_report *const report = asxi_lab_alloc(1, sizeof(*report));
    report->config = *config;
    report->config.runs_max = config->runs_max ? config->runs_max : 100;
    report->config.failures_max = config->failures_max ? config->failures_max : 16;
    report->program = program->name;
    report->strategy = strategy->name;
    report->iid = strategy->iid;
    asxi_array_init(&report->rows, sizeof(asx_explore_row));
    asxi_array_init(&report->failures, sizeof(asx_explore_failure));
    asxi_array_init(&report->hits, sizeof(uint32_t));
    if (config->real_ns_max || config->progress) {
        asx_assert(config->now_ns != NULL);
        report->started_ns = report->told_ns = config->now_ns();
    }
    if (config->jobs && strategy->indexed) {
        asxi_explore_fork(report, program, strategy);
    } else {
        explore_here(report, program, strategy);
    }
    return report;
}

void asx_explore_report_destroy(asx_explore_report *report)
{
    if (!report) {
        return;
    }
    for (uint32_t i = 0; i < report->failures.count; i++) {
        asx_explore_failure *const failure = asxi_array_at(&report->failures, i);
        asxi_lab_free(failure->choices);
    }
    asxi_array_deinit(&report->rows);
    asxi_array_deinit(&report->failures);
    asxi_array_deinit(&report->hits);
    asxi_table_deinit(&report->classes);
    asxi_lab_free(report);
}

uint32_t asx_explore_measure(asx_explore_program *program, const asx_explore_limits *limits)
{
    uint64_t seed;
    asx_explore_run *const run = asx_explore_run_create(program->processes, limits);
    asx_strategy *const strategy = asx_strategy_default(0);
    strategy->begin(strategy, 0, &seed);
    asx_explore_run_make(run, program, strategy, seed, false);
    const uint32_t turns = asx_explore_run_turns(run);
    asx_strategy_destroy(strategy);
    asx_explore_run_destroy(run);
    return turns;
}

double asx_explore_unseen_mass(uint64_t m, double alpha)
{
    asx_assert_lt(0, m);
    return -expm1(log(alpha) / (double)m);
}

uint64_t asx_explore_runs_for_mass(double mass, double alpha)
{
    asx_assert(mass > 0 && mass < 1);
    return (uint64_t)floor(log(alpha) / log1p(-mass)) + 1;
}

double asx_explore_novelty_bound(uint64_t runs, uint64_t news, double alpha)
{
    if (runs < 20) {
        return 1;
    }
    const double n = (double)runs;
    return fmin(1, (double)news / n + sqrt(-log(alpha) / (2 * n)));
}

double asx_explore_good_turing(const asx_explore_coverage *coverage)
{
    return coverage->runs ? (double)coverage->once / (double)coverage->runs : 1;
}
