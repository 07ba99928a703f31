/* Hedge: a second try for an answer that is slow (CMB-13).
 *
 * Losers. Cancelled with RACE_LOST and drained; a panic is never hidden; a late Ok goes to its
 *         branch's drop_value. */
#ifndef ASX_SHARD_COMBINE_HEDGE_H
#define ASX_SHARD_COMBINE_HEDGE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/combine/branch.h>

ASX_BEGIN_DECLS

typedef struct asx_hedge_options { /* zero-filled fields are the defaults */
    asx_duration delay_ns;         /* until the backup starts; 0: 100 ms */
    bool ok_only;                  /* the first Ok wins; without one, the worse of both */
} asx_hedge_options;
#define ASX_HEDGE_DELAY_NS (100 * ASX_NS_PER_MS)

/* Runs branches[0]; when it is not terminal after the delay, branches[1] too, and the first
 * terminal one wins. A backup that cannot be started cancels the primary, whose Ok still counts.
 * winner  its index, NULL allowed
 * errors  what refused the backup */
ASX_NODISCARD asx_outcome asx_hedge(asx_cx *cx, const asx_branch branches[2],
                                    const asx_hedge_options *options, uint32_t *winner);

ASX_END_DECLS

#endif
