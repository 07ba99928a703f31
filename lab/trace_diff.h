/* Two trace files compared: the same, the same up to the order of what commutes, or where they
 * part.
 *
 * Model.   Record by record first, in the memory of two readers. Where that finds a difference,
 *          both are brought into Foata normal form: when the forms agree, the runs are of one
 *          class, and the difference is no divergence; else the first event of the form that only
 *          one of them has is what truly differs.
 * Limits.  ASX_LAB_TRACE_RECORDS_MAX records each, once they are to be ordered. */
#ifndef ASX_LAB_TRACE_DIFF_H
#define ASX_LAB_TRACE_DIFF_H

#include <asx/lab/trace_follow.h>

ASX_BEGIN_DECLS

typedef enum asx_lab_trace_relation {
    ASX_LAB_TRACE_EQUAL = 0,
    ASX_LAB_TRACE_EQUIVALENT, /* other orders of what commutes */
    ASX_LAB_TRACE_DIFFERENT,
} asx_lab_trace_relation;

typedef struct asx_lab_trace_diff {
    asx_lab_trace_relation relation;
    asx_lab_trace_divergence first; /* in the order of the records; `expected` is a */
    /* Of the normal forms, when they differ: the first item that does */
    uint32_t layer;
    bool has_a, has_b; /* a form that ends there has none */
    asx_lab_event a, b;
} asx_lab_trace_diff;

/* False: one of them is wrong, or too long to be ordered; `wrong` says which, and what.
 *
 * a, b  seekable, at their beginning */
bool asx_lab_trace_diff_take(FILE *a, FILE *b, asx_lab_trace_diff *diff,
                             char wrong[ASX_LAB_TRACE_WRONG_MAX]);

void asx_lab_trace_diff_print(const asx_lab_trace_diff *diff, FILE *out);

ASX_END_DECLS

#endif
