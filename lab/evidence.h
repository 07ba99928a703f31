/* Evidence: what was checked, what was found, and what to do next, in an order that people read.
 *
 * Model.   An entry is one invariant's verdict with what stands behind it: how many entities were
 *          tracked, the first event that shows a violation, the least prefix, the replay line. A
 *          Bayes factor is added as a column: from assumed rates of detection and of false alarm,
 *          so it says no more than the verdict and the count, and is never a gate.
 * Owner.   The caller; texts are copied.
 * Source.  Kass & Raftery, JASA 1995, for the names of strengths. */
#ifndef ASX_LAB_EVIDENCE_H
#define ASX_LAB_EVIDENCE_H

#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

ASX_BEGIN_DECLS

typedef enum asx_evidence_verdict {
    ASX_EVIDENCE_PASS,
    ASX_EVIDENCE_VIOLATION,
    ASX_EVIDENCE_VACUOUS /* nothing was there to check: no evidence either way */
} asx_evidence_verdict;

/* Rates that are assumed, not measured. */
#define ASX_EVIDENCE_DETECTION 0.9 /* of a violation, an entity */
#define ASX_EVIDENCE_FALSE_ALARM 0.001

typedef struct asx_evidence_entry {
    const char *invariant;
    asx_evidence_verdict verdict;
    uint32_t entities; /* tracked; 0 counts as 1 */
    uint64_t count;    /* violations */
    const char *cause; /* one sentence; may be NULL, as may the next */
    const char *first_event;
    uint64_t prefix;  /* records up to it; 0: not known */
    const char *next; /* what to do: a replay line */
} asx_evidence_entry;

typedef struct asx_evidence asx_evidence;

asx_evidence *asx_evidence_create(void);
void asx_evidence_destroy(asx_evidence *evidence);

void asx_evidence_add(asx_evidence *evidence, const asx_evidence_entry *entry);

typedef struct asx_evidence_summary {
    uint32_t entries, violations, passes, vacuous;
    double log10_sum;            /* over the violations */
    const char *strongest;       /* violation, by name; NULL: there is none; lent */
    const char *strongest_clean; /* pass; lent */
} asx_evidence_summary;

asx_evidence_summary asx_evidence_summary_of(const asx_evidence *evidence);

/* log10 of the factor for "violated" against "holds". 0 for what was vacuous. */
double asx_evidence_log10_factor(asx_evidence_verdict verdict, uint32_t entities);
/* "against", "negligible", "positive", "strong", "very strong". */
const char *asx_evidence_strength(double log10_factor);

/* Violations first, the strongest first; then passes, the strongest (least) first; then vacuous. */
void asx_evidence_print(asx_evidence *evidence, FILE *out);
void asx_evidence_print_json(asx_evidence *evidence, FILE *out);

ASX_END_DECLS

#endif
