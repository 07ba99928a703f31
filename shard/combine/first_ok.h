/* First success: one branch after another until one does not fail (CMB-11). */
#ifndef ASX_SHARD_COMBINE_FIRST_OK_H
#define ASX_SHARD_COMBINE_FIRST_OK_H

#include <asx/shard/base/decls.h>
#include <asx/shard/combine/branch.h>

ASX_BEGIN_DECLS

typedef struct asx_attempts {
    uint32_t attempted; /* branches that were started */
    uint32_t winner;    /* index, when the outcome is Ok */
} asx_attempts;

/* One branch after the other, the next only after an Err; returns the first outcome that is none.
 * errors    entry i: the Err of branch i, 0 while it was not attempted; NULL allowed
 * attempts  NULL allowed
 * errors    EMPTY (count 0), ALL_FAILED */
ASX_NODISCARD asx_outcome asx_first_ok(asx_cx *cx, const asx_branch *branches, uint32_t count,
                                       asx_err *errors, asx_attempts *attempts);

ASX_END_DECLS

#endif
