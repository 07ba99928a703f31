#include <asx/lab/report.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b)
{
    const asx_lab_violation *const x = a, *const y = b;
    const int code = strcmp(x->code, y->code);
    return code != 0 ? code : strcmp(x->text, y->text);
}

void asx_lab_report_violate(asx_lab_report *report, const char *code, const char *fmt, ...)
{
    asx_lab_violation violation = { 0 };
    va_list args;
    snprintf(violation.code, sizeof(violation.code), "%s", code);
    va_start(args, fmt);
    vsnprintf(violation.text, sizeof(violation.text), fmt, args);
    va_end(args);
    for (uint32_t i = 0; i < report->violation_count; i++) {
        if (by_text(&report->violations[i], &violation) == 0) {
            return;
        }
    }
    if (report->violation_count == ASX_LAB_VIOLATIONS_MAX) {
        report->violations_dropped++;
        return;
    }
    if (!report->violations) {
        report->violations = asxi_lab_alloc(ASX_LAB_VIOLATIONS_MAX, sizeof(violation));
    }
    report->violations[report->violation_count++] = violation;
    qsort(report->violations, report->violation_count, sizeof(violation), by_text);
}

bool asx_lab_report_passed(const asx_lab_report *report)
{
    return report->termination == ASX_LAB_QUIESCENT && report->violation_count == 0;
}

uint64_t asx_lab_report_signature(const asx_lab_report *report)
{
    if (asx_lab_report_passed(report)) {
        return 0;
    }
    const char *const what = report->violation_count > 0
                                 ? report->violations[0].code
                                 : asx_lab_termination_name(report->termination);
    const uint64_t hash = asx_fnv64(ASX_FNV64_EMPTY, what, strlen(what));
    return hash ? hash : 1;
}

static void print_counts(const asx_lab_counts *counts, FILE *out)
{
    fprintf(out, "tasks      %" PRIu64 " spawned, %" PRIu64 " completed\n", counts->spawned,
            counts->completed);
    fprintf(out, "cancels    %" PRIu64 " requested, %" PRIu64 " acknowledged\n",
            counts->cancel_requested, counts->cancel_acknowledged);
    fprintf(out,
            "permits    %" PRIu64 " reserved, %" PRIu64 " committed, %" PRIu64 " aborted, %" PRIu64
            " leaked\n",
            counts->reserved, counts->committed, counts->aborted, counts->leaked);
    fprintf(out, "messages   %" PRIu64 " pushed, %" PRIu64 " popped\n", counts->pushed,
            counts->popped);
}

static void print_chaos(const asx_chaos_stats *chaos, FILE *out)
{
    fprintf(out, "chaos      %" PRIu64 " faults at %" PRIu64 " points:", asx_chaos_injected(chaos),
            chaos->points);
    for (uint32_t kind = 0; kind < ASX_CHAOS_KIND_COUNT; kind++) {
        if (chaos->injected[kind] > 0) {
            fprintf(out, " %s %" PRIu64, asx_chaos_kind_name(kind), chaos->injected[kind]);
        }
    }
    fprintf(out, "; %" PRIu64 " ns late\n", chaos->delay_ns);
}

static void print_oracles(const asx_lab_report *report, FILE *out)
{
    unsigned count[ASX_LAB_FAIL + 1] = { 0 };
    for (uint32_t i = 0; i < ASX_LAB_ORACLE_COUNT; i++) {
        count[report->oracles[i].finding]++;
    }
    fprintf(out, "oracles    %u pass, %u vacuous, %u fail\n", count[ASX_LAB_PASS],
            count[ASX_LAB_VACUOUS], count[ASX_LAB_FAIL]);
}

void asx_lab_report_print(const asx_lab_report *report, FILE *out)
{
    fprintf(out, "seed       %" PRIu64 "\n", report->seed);
    fprintf(out, "config     %016" PRIx64 "\n", report->config_hash);
    fprintf(out, "ended      %s\n", asx_lab_termination_name(report->termination));
    fprintf(out, "program    %s\n", report->outcome);
    fprintf(out, "steps      %" PRIu64 ", %" PRIu64 " dispatches, %" PRIu64 " choices\n",
            report->steps, report->dispatches, report->choice_count);
    fprintf(out,
            "time       %" PRIu64 " ns, %" PRIu64 " jumps (%" PRIu64 " out of a spin), %" PRIu64
            " timers\n",
            report->now_ns, report->time_advances, report->spin_advances, report->timer_fires);
    print_counts(&report->counts, out);
    if (report->chaos.points > 0) {
        print_chaos(&report->chaos, out);
    }
    fprintf(out, "events     %" PRIu64 "\n", report->trace_total);
    print_oracles(report, out);
    fprintf(out, "trace      %016" PRIx64 "\n", report->trace_hash);
    fprintf(out, "schedule   %016" PRIx64 "\n", report->schedule_hash);
    fprintf(out, "class      %016" PRIx64 "\n", report->fingerprint);
    for (uint32_t i = 0; i < report->violation_count; i++) {
        fprintf(out, "violation  %s: %s\n", report->violations[i].code, report->violations[i].text);
    }
    if (report->violations_dropped > 0) {
        fprintf(out, "           and %" PRIu64 " more\n", report->violations_dropped);
    }
}

void asx_lab_report_deinit(asx_lab_report *report)
{
    asxi_lab_free(report->choices);
    asxi_lab_free(report->events);
    asxi_lab_free(report->rows);
    asxi_lab_free(report->violations);
    memset(report, 0, sizeof(*report));
}

const char *asx_lab_termination_name(asx_lab_termination termination)
{
    static const char *const names[] = {
        [ASX_LAB_QUIESCENT] = "quiescent",       [ASX_LAB_DEADLOCK] = "deadlock",
        [ASX_LAB_STEP_LIMIT] = "step_limit",     [ASX_LAB_VTIME_LIMIT] = "vtime_limit",
        [ASX_LAB_CHOICE_LIMIT] = "choice_limit", [ASX_LAB_DIVERGED] = "diverged",
        [ASX_LAB_STOPPED] = "stopped",
    };
    return (unsigned)termination < asx_array_count(names) ? names[termination] : "?";
}
