/* Quorum: enough of several branches succeed (CMB-12).
 *
 * Losers. Cancelled with RACE_LOST and drained; a panic is never hidden; a late Ok goes to its
 *         branch's drop_value. */
#ifndef ASX_SHARD_COMBINE_QUORUM_H
#define ASX_SHARD_COMBINE_QUORUM_H

#include <asx/shard/base/decls.h>
#include <asx/shard/combine/branch.h>

ASX_BEGIN_DECLS

/* Runs all at once until `required` are Ok: Ok(how many are). The rest is cancelled; it also stops
 * as soon as too many have failed. required 0: Ok(0), nothing is started.
 * outcomes  entry i: of branch i, Cancelled for one that lost; payloads are not lent; NULL allowed
 * errors    INVALID_QUORUM (required above count), INSUFFICIENT */
ASX_NODISCARD asx_outcome asx_quorum(asx_cx *cx, const asx_branch *branches, uint32_t count,
                                     uint32_t required, asx_outcome *outcomes);

ASX_END_DECLS

#endif
