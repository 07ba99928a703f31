/* Runs a plan over one stripe: from the fed symbols to all intermediate symbols.
 *
 * Bounds.  Touches L + H rows of `width` bytes and what the feed names; allocates nothing.
 */
#ifndef ASX_RAPTORQ_REPLAY_H
#define ASX_RAPTORQ_REPLAY_H

#include <asx/raptorq/plan.h>
#include <asx/raptorq/tuple.h>
#include <asx/shard/base/decls.h>

#include <stdbool.h>

ASX_BEGIN_DECLS

/* Afterwards row plan->row_of[c] of the slab is intermediate symbol c.
 *
 * slab    (L + H) rows of `width`, aligned to 64; the last H are scratch
 * packed  scratch of L rows: the symbols are copied there first, in the order of their use, which
 *         pays when they are spread over more memory than the caches hold. NULL: read in place
 */
void asx_rq_replay(const asx_rq_plan *plan, const asx_rq_kernel *kernel, uint8_t *slab,
                   size_t width, const asx_rq_feed *feed, uint8_t *packed);

/* After a replay: how many HDPC equations the solution does not rest on, and whether the first
 * `max` of them hold. None is known when the binary rows sufficed. */
uint32_t asx_rq_replay_spare(const asx_rq_plan *plan);
bool asx_rq_replay_holds(const asx_rq_plan *plan, const asx_rq_kernel *kernel, const uint8_t *slab,
                         size_t width, uint32_t max);

/* Writes the slab rows that encoding symbol `isi` is the sum of and returns how many. */
uint32_t asx_rq_plan_support(const asx_rq_plan *plan, const asx_rq_param *param, uint32_t isi,
                             uint16_t rows[]);

/* The same as an entry of a list, for many stripes to read: how many, then the rows. Returns the
 * end of the entry, at most ASX_RQ_ENTRY_MAX words on. */
#define ASX_RQ_ENTRY_MAX (1 + ASX_RQ_SUPPORT_MAX)
uint16_t *asx_rq_plan_entry(const asx_rq_plan *plan, const asx_rq_param *param, uint32_t isi,
                            uint16_t *list);

ASX_END_DECLS

#endif
