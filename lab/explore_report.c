#include <asx/lab/explore.h>
#include <asx/shard/base/assert.h>

#include "explore_internal.h"

#include <inttypes.h>

asx_explore_coverage asx_explore_coverage_of(const asx_explore_report *report)
{
    return report->coverage;
}

const asx_explore_row *asx_explore_rows(const asx_explore_report *report, uint32_t *count)
{
    *count = report->rows.count;
    return asxi_array_items(&report->rows);
}

const asx_explore_failure *asx_explore_failures(const asx_explore_report *report, uint32_t *count)
{
    *count = report->failures.count;
    return asxi_array_items(&report->failures);
}

uint32_t asx_explore_class_runs(const asx_explore_report *report, uint64_t fingerprint)
{
    const uint32_t *const at = asxi_table_find(&report->classes, fingerprint);
    return at ? *(const uint32_t *)asxi_array_at(&report->hits, *at - 1) : 0;
}

uint64_t asx_explore_site_count(const asx_explore_report *report, uint32_t site)
{
    asx_assert_lt(site, ASX_CHOICE_SITE_COUNT);
    return report->sites[site];
}

const char *asx_explore_why(const asx_explore_report *report)
{
    return report->why ? report->why : "";
}

static void print_saturation(const asx_explore_report *report, FILE *out)
{
    const asx_explore_coverage *const c = &report->coverage;
    fprintf(out, "  news       %" PRIu64 " runs since the last new class%s\n", c->since_last_new,
            c->saturated && c->since_last_new >= 10 ? "; saturated (a weak sign)" : "");
    if (!report->iid) {
        fprintf(out, "  unseen     no statement: runs of this strategy are not independent\n");
        return;
    }
    fprintf(out, "  unseen     about %.2f%% of the runs to come would be of a new class",
            100 * asx_explore_good_turing(c));
    if (c->runs >= 20) {
        fprintf(out, ", at most %.2f%% (95%%)",
                100 * asx_explore_novelty_bound(c->runs, c->classes, 0.05));
    }
    fprintf(out, "; " ASX_EXPLORE_ASSUMPTION "\n");
}

static void print_races(const asx_explore_coverage *c, FILE *out)
{
    if (c->races) {
        fprintf(out,
                "  races      %" PRIu64 " immediate, %" PRIu64 " reversible; %.1f%% of the steps\n",
                c->races, c->reversible, 100 * (double)c->steps_in_race / (double)c->steps);
    }
}

static void print_sites(const asx_explore_report *report, FILE *out)
{
    bool first = true;
    for (uint32_t site = 0; site < ASX_CHOICE_SITE_COUNT; site++) {
        if (report->sites[site]) {
            fprintf(out, "%s%s %" PRIu64, first ? "  questions  " : ", ",
                    asx_choice_site_name(site), report->sites[site]);
            first = false;
        }
    }
    if (!first) {
        fputc('\n', out);
    }
}

static void print_failures(const asx_explore_report *report, FILE *out)
{
    for (uint32_t i = 0; i < report->failures.count; i++) {
        const asx_explore_failure *const f = asxi_array_at(&report->failures, i);
        fprintf(out,
                "  FAILED     %s (%s), first in run %" PRIu64 ", seed %" PRIu64 ", %" PRIu64
                " of %" PRIu64 " runs, %" PRIu32 " choices\n",
                f->text, asx_explore_end_name(f->end), f->index, f->seed, f->runs,
                report->coverage.runs, f->choice_count);
    }
}

void asx_explore_print(const asx_explore_report *report, FILE *out)
{
    const asx_explore_coverage *const c = &report->coverage;
    fprintf(out, "%s, %s: %" PRIu64 " runs, stopped: %s\n", report->program, report->strategy,
            c->runs, asx_explore_why(report));
    fprintf(out, "  classes    %" PRIu64 " distinct, %" PRIu64 " seen once, %.1f runs a class\n",
            c->classes, c->once, c->classes ? (double)c->runs / (double)c->classes : 0);
    fprintf(out, "  length     %.1f steps, %.1f choices a run\n",
            c->runs ? (double)c->steps / (double)c->runs : 0,
            c->runs ? (double)c->choices / (double)c->runs : 0);
    print_saturation(report, out);
    print_races(c, out);
    print_sites(report, out);
    print_failures(report, out);
}

void asx_explore_print_rows(const asx_explore_report *report, FILE *out)
{
    for (uint32_t i = 0; i < report->rows.count; i++) {
        const asx_explore_row *const r = asxi_array_at(&report->rows, i);
        fprintf(out,
                "%" PRIu64 " seed %" PRIu64 " %s steps %" PRIu32 " choices %" PRIu32
                " class %016" PRIx64 "%s schedule %016" PRIx64 " failed %016" PRIx64 "\n",
                r->index, r->seed, asx_explore_end_name(r->end), r->steps, r->choices,
                r->fingerprint, r->is_new_class ? " new" : "", r->schedule_hash, r->signature);
    }
}
