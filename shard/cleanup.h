/* Cleanups: what cancelled tasks of each type needed to end, so that budgets can be set from data
 * (CXL-12).
 *
 * Model.  A task's type is its label. Of those that a cancel request reached, the largest numbers
 *         of one task are kept: observations that its masks deferred (M), polls from one
 *         observation to the next (C); and how few polls of its budget were left at its end. A task
 *         that returns at the first observation that is not deferred needs (M + 1) * C at most.
 * Owner.  The shard; kept only where its configuration asks for it.
 * Bounds. ASX_CLEANUP_TYPES_MAX types; tasks of further ones are counted together. Nothing is paid
 *         for a task that is not cancelled. */
#ifndef ASX_SHARD_CLEANUP_H
#define ASX_SHARD_CLEANUP_H

#include <asx/shard/base/decls.h>
#include <asx/shard/shard.h>

ASX_BEGIN_DECLS

#define ASX_CLEANUP_TYPES_MAX 64u
#define ASX_CLEANUP_LABEL_LEN 40u

typedef struct asx_cleanup {
    char label[ASX_CLEANUP_LABEL_LEN]; /* cut; "-" for none; "..." for the types without room */
    uint64_t tasks;                    /* ended after a request, having run before or since */
    uint64_t overruns;                 /* of these, used their budget up */
    uint32_t masked_max;               /* M */
    uint32_t gap_max;                  /* C */
    uint32_t left_min;                 /* polls */
} asx_cleanup;

typedef void asx_cleanup_fn(void *arg, const asx_cleanup *cleanup);

/* Visits the types in the order in which they were first seen; none where nothing is kept. */
void asx_cleanup_each(const asx_shard *shard, asx_cleanup_fn *visit, void *arg);

/* Polls that suffice for a task that masks and observes as the worst of these did. */
uint64_t asx_cleanup_sufficient(const asx_cleanup *cleanup);

ASX_END_DECLS

#endif
