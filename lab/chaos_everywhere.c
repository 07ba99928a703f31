#include <asx/lab/chaos_everywhere.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"

#include <inttypes.h>
#include <string.h>

typedef struct tour {
    asx_lab_config config;
    asx_task_fn *app;
    void *arg;
    const asx_everywhere_options *options;
    asx_everywhere_report *report;
    asxi_array failures;
} tour;

static void failed(tour *t, uint64_t point, bool reached, const asx_lab_report *run)
{
    asx_everywhere_failure *const failure = asxi_array_push(&t->failures);
    failure->point = point;
    failure->reached = reached;
    failure->termination = run->termination;
    const char *const why = !reached                   ? "the point was not reached again"
                            : run->violation_count > 0 ? run->violations[0].text
                                                       : asx_lab_termination_name(run->termination);
    snprintf(failure->text, sizeof(failure->text), "%s", why);
}

/* Returns how many points the run passed. */
static uint64_t visit(tour *t, uint64_t point)
{
    asx_lab_report run;
    t->config.chaos.await_point = point;
    if (t->options->reset) {
        t->options->reset(t->arg);
    }
    (void)asx_lab_run(&t->config, t->app, t->arg, &run);
    if (t->options->judge) {
        t->options->judge(t->arg, &run);
    }
    t->report->runs++;
    t->report->cancelled += run.chaos.await_hit;
    const bool reached = point == 0 || run.chaos.await_hit;
    if (!reached || !asx_lab_report_passed(&run)) {
        failed(t, point, reached, &run);
    }
    const uint64_t points = run.chaos.await_points;
    asx_lab_report_deinit(&run);
    return points;
}

static void visit_random(tour *t, uint64_t n)
{
    asx_lab_rand rand;
    asx_lab_rand_init(&rand, t->config.seed, t->config.entropy_seed, t->config.chaos_seed);
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t draw = asx_lab_draw(&rand, ASX_LAB_CHAOS, UINT64_MAX, i + 1, 0);
        (void)visit(t, 1 + asx_lab_draw_below(draw, t->report->points));
    }
}

bool asx_lab_cancel_everywhere(const asx_lab_config *config, asx_task_fn *app, void *arg,
                               const asx_everywhere_options *options, asx_everywhere_report *report)
{
    static const asx_everywhere_options all = { .which = ASX_EVERYWHERE_ALL };
    tour t = { .config = asx_lab_config_fill(config),
               .app = app,
               .arg = arg,
               .options = options ? options : &all,
               .report = report };
    asx_assert_eq(config->chaos.await_point, 0);
    *report = (asx_everywhere_report){ .seed = t.config.seed };
    asxi_array_init(&t.failures, sizeof(asx_everywhere_failure));
    report->points = visit(&t, 0);
    const uint64_t n = t.options->n > 0 ? t.options->n : 1;
    const uint64_t first = t.options->which == ASX_EVERYWHERE_EVERY ? n : 1;
    const uint64_t last =
        t.options->which == ASX_EVERYWHERE_FIRST && n < report->points ? n : report->points;
    if (t.options->which == ASX_EVERYWHERE_RANDOM) {
        visit_random(&t, report->points > 0 ? n : 0);
    } else {
        for (uint64_t point = first; point <= last; point += first) {
            (void)visit(&t, point);
        }
    }
    report->failures = asxi_array_items(&t.failures);
    report->failure_count = t.failures.count;
    return report->failure_count == 0;
}

void asx_everywhere_print(const asx_everywhere_report *report, FILE *out)
{
    fprintf(out,
            "%" PRIu64 " await points, %" PRIu64 " runs, %" PRIu64 " cancellations, %u failed\n",
            report->points, report->runs, report->cancelled, report->failure_count);
    for (uint32_t i = 0; i < report->failure_count; i++) {
        const asx_everywhere_failure *const failure = &report->failures[i];
        fprintf(out,
                "  point %" PRIu64 ": %s: %s\n    again: seed %" PRIu64
                ", chaos.await_point %" PRIu64 "\n",
                failure->point, asx_lab_termination_name(failure->termination), failure->text,
                report->seed, failure->point);
    }
}

void asx_everywhere_deinit(asx_everywhere_report *report)
{
    asxi_lab_free(report->failures);
    memset(report, 0, sizeof(*report));
}
