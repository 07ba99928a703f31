#include <asx/lab/evidence.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct asx_evidence {
    asxi_array entries; /* asx_evidence_entry, with texts of its own */
};

asx_evidence *asx_evidence_create(void)
{
    asx_evidence *const evidence = asxi_lab_alloc(1, sizeof(*evidence));
    asxi_array_init(&evidence->entries, sizeof(asx_evidence_entry));
    return evidence;
}

static void free_text(const char *text)
{
    asxi_lab_free((void *)(uintptr_t)text);
}

void asx_evidence_destroy(asx_evidence *evidence)
{
    for (uint32_t i = 0; i < evidence->entries.count; i++) {
        const asx_evidence_entry *const entry = asxi_array_at(&evidence->entries, i);
        free_text(entry->invariant);
        free_text(entry->cause);
        free_text(entry->first_event);
        free_text(entry->next);
    }
    asxi_array_deinit(&evidence->entries);
    asxi_lab_free(evidence);
}

static const char *copy(const char *text)
{
    if (!text) {
        return NULL;
    }
    const size_t size = strlen(text) + 1;
    char *const bytes = asxi_lab_alloc(size, 1);
    memcpy(bytes, text, size);
    return bytes;
}

void asx_evidence_add(asx_evidence *evidence, const asx_evidence_entry *given)
{
    asx_assert(given->invariant != NULL);
    asx_evidence_entry *const entry = asxi_array_push(&evidence->entries);
    *entry = *given;
    entry->entities = given->entities ? given->entities : 1;
    entry->invariant = copy(given->invariant);
    entry->cause = copy(given->cause);
    entry->first_event = copy(given->first_event);
    entry->next = copy(given->next);
}

double asx_evidence_log10_factor(asx_evidence_verdict verdict, uint32_t entities)
{
    const double missed = pow(1 - ASX_EVIDENCE_DETECTION, entities ? entities : 1);
    switch (verdict) {
    case ASX_EVIDENCE_VIOLATION:
        return log10((1 - missed) / ASX_EVIDENCE_FALSE_ALARM);
    case ASX_EVIDENCE_PASS:
        return log10(missed / (1 - ASX_EVIDENCE_FALSE_ALARM));
    case ASX_EVIDENCE_VACUOUS:
        return 0;
    }
    asx_unreachable();
}

const char *asx_evidence_strength(double log10_factor)
{
    static const struct {
        double below;
        const char *name;
    } steps[] = { { 0, "against" }, { 0.5, "negligible" }, { 1.3, "positive" }, { 2.2, "strong" } };
    for (unsigned i = 0; i < asx_array_count(steps); i++) {
        if (log10_factor < steps[i].below) {
            return steps[i].name;
        }
    }
    return "very strong";
}

static double factor_of(const asx_evidence_entry *entry)
{
    return asx_evidence_log10_factor(entry->verdict, entry->entities);
}

static int rank_of(asx_evidence_verdict verdict)
{
    return verdict == ASX_EVIDENCE_VIOLATION ? 0 : verdict == ASX_EVIDENCE_PASS ? 1 : 2;
}

/* Furthest from "no evidence" first within a verdict, then by name. */
static int in_order(const void *a, const void *b)
{
    const asx_evidence_entry *const x = a, *const y = b;
    if (x->verdict != y->verdict) {
        return rank_of(x->verdict) - rank_of(y->verdict);
    }
    const double of_x = fabs(factor_of(x)), of_y = fabs(factor_of(y));
    if (of_x < of_y || of_x > of_y) {
        return of_x > of_y ? -1 : 1;
    }
    return strcmp(x->invariant, y->invariant);
}

static const char *stronger(const char *name, double *most, const asx_evidence_entry *entry)
{
    const double factor = fabs(factor_of(entry));
    if (name && factor <= *most) {
        return name;
    }
    *most = factor;
    return entry->invariant;
}

asx_evidence_summary asx_evidence_summary_of(const asx_evidence *evidence)
{
    asx_evidence_summary sum = { .entries = evidence->entries.count };
    double violated = 0, clean = 0;
    for (uint32_t i = 0; i < sum.entries; i++) {
        const asx_evidence_entry *const entry = asxi_array_at(&evidence->entries, i);
        switch (entry->verdict) {
        case ASX_EVIDENCE_VIOLATION:
            sum.violations++;
            sum.log10_sum += factor_of(entry);
            sum.strongest = stronger(sum.strongest, &violated, entry);
            break;
        case ASX_EVIDENCE_PASS:
            sum.passes++;
            sum.strongest_clean = stronger(sum.strongest_clean, &clean, entry);
            break;
        case ASX_EVIDENCE_VACUOUS:
            sum.vacuous++;
            break;
        }
    }
    return sum;
}

static const char *verdict_name(asx_evidence_verdict verdict)
{
    static const char *const names[] = { "pass", "violation", "vacuous" };
    asx_assert_lt(verdict, asx_array_count(names));
    return names[verdict];
}

static void sort(asx_evidence *evidence)
{
    if (evidence->entries.count > 1) {
        qsort(asxi_array_items(&evidence->entries), evidence->entries.count,
              sizeof(asx_evidence_entry), in_order);
    }
}

static void print_factor(const asx_evidence_entry *e, FILE *out)
{
    if (e->verdict == ASX_EVIDENCE_VACUOUS) {
        return;
    }
    const bool violated = e->verdict == ASX_EVIDENCE_VIOLATION;
    fprintf(out, "    weight    log10 BF = log10(%s) = log10((%s%.3g^%u)/%.3g) = %.5f: %s\n",
            violated ? "(1-(1-p)^n)/f" : "(1-p)^n/(1-f)", violated ? "1-" : "",
            1 - ASX_EVIDENCE_DETECTION, e->entities,
            violated ? ASX_EVIDENCE_FALSE_ALARM : 1 - ASX_EVIDENCE_FALSE_ALARM, factor_of(e),
            asx_evidence_strength(factor_of(e)));
}

void asx_evidence_print(asx_evidence *evidence, FILE *out)
{
    sort(evidence);
    const asx_evidence_summary sum = asx_evidence_summary_of(evidence);
    fprintf(out, "%u checked: %u violated, %u hold, %u had nothing to check\n", sum.entries,
            sum.violations, sum.passes, sum.vacuous);
    for (uint32_t i = 0; i < evidence->entries.count; i++) {
        const asx_evidence_entry *const e = asxi_array_at(&evidence->entries, i);
        fprintf(out, "  %-9s %s", verdict_name(e->verdict), e->invariant);
        if (e->verdict == ASX_EVIDENCE_VIOLATION) {
            fprintf(out, ", %" PRIu64 " times", e->count);
        }
        fprintf(out, ", %u tracked\n", e->entities);
        if (e->cause) {
            fprintf(out, "    cause     %s\n", e->cause);
        }
        if (e->first_event) {
            fprintf(out, "    evidence  %s", e->first_event);
            fprintf(out, e->prefix ? ", after %" PRIu64 " records\n" : "\n", e->prefix);
        }
        if (e->next) {
            fprintf(out, "    next      %s\n", e->next);
        }
        print_factor(e, out);
    }
}

static void print_json_text(const char *name, const char *text, FILE *out)
{
    fprintf(out, ",\"%s\":", name);
    if (!text) {
        fputs("null", out);
        return;
    }
    fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\') {
            fprintf(out, "\\%c", *at);
        } else if (*at < 0x20 || *at == 0x7f) {
            fprintf(out, "\\u%04x", *at);
        } else {
            fputc(*at, out);
        }
    }
    fputc('"', out);
}

void asx_evidence_print_json(asx_evidence *evidence, FILE *out)
{
    sort(evidence);
    const asx_evidence_summary sum = asx_evidence_summary_of(evidence);
    fprintf(out,
            "{\"schema\":1,\"checked\":%u,\"violated\":%u,\"hold\":%u,\"vacuous\":%u,"
            "\"log10_sum\":%.6f,\"entries\":[",
            sum.entries, sum.violations, sum.passes, sum.vacuous, sum.log10_sum);
    for (uint32_t i = 0; i < evidence->entries.count; i++) {
        const asx_evidence_entry *const e = asxi_array_at(&evidence->entries, i);
        fprintf(out,
                "%s{\"verdict\":\"%s\",\"entities\":%u,\"count\":%" PRIu64 ",\"prefix\":%" PRIu64
                ",\"log10_bf\":%.6f",
                i ? "," : "", verdict_name(e->verdict), e->entities, e->count, e->prefix,
                factor_of(e));
        print_json_text("invariant", e->invariant, out);
        print_json_text("cause", e->cause, out);
        print_json_text("first_event", e->first_event, out);
        print_json_text("next", e->next, out);
        fputc('}', out);
    }
    fputs("]}\n", out);
}
