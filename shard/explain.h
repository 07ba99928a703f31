/* Explanations: why a task or a region is not over yet, and what cancelled it, in lines for people.
 *
 * Model.  Read from the kernel's own records at this instant: nothing is kept for it. A task is not
 *         begun, runnable, running, waiting (for what, since when, and whose permits and guards of
 *         this shard hold it up), cancelling (why, and what is left to clean up with), finalizing,
 *         completed, or lent to another shard. A region says
 *         what keeps it open, the innermost first: that is the order in which to help. Of its tasks
 *         those come first that nobody may be about to help: who waits and holds what others may
 *         wait for, then who waits for another task, for the driver, for a time, who can run; last
 *         who waits for a task or a region, which is explained itself.
 * Owner.  The thread of the shard that the handle names.
 * Bounds. At most `lines_max` lines of ASX_EXPLAIN_LINE_MAX bytes; no allocation.
 */
#ifndef ASX_SHARD_EXPLAIN_H
#define ASX_SHARD_EXPLAIN_H

#include <asx/shard/base/decls.h>
#include <asx/shard/handle.h>
#include <asx/shard/shard.h>

ASX_BEGIN_DECLS

#define ASX_EXPLAIN_LINE_MAX 256u

/* `line` ends in 0 and holds no line feed; lent during the call. */
typedef void asx_explain_fn(void *arg, const char *line);

/* A line about the task or the region, and one for each thing that it holds or waits for; then the
 * chain of reasons, if it was cancelled.
 * errors  WRONG_KIND, WRONG_SHARD, STALE: nothing was said */
ASX_NODISCARD asx_err asx_explain(asx_shard *shard, asx_handle handle, uint32_t lines_max,
                                  asx_explain_fn *say, void *arg);

/* The reasons alone, from the first cause to the one that arrived. */
ASX_NODISCARD asx_err asx_explain_cancel(asx_shard *shard, asx_handle handle, uint32_t lines_max,
                                         asx_explain_fn *say, void *arg);

ASX_END_DECLS

#endif
