/* Loops over all shards: a range in pieces, each taken by whichever shard is free for it.
 *
 * Model.  One worker fiber a shard: the caller's own in a private scope, the others as limbs of it
 *         (limb.h). A worker takes the next piece from a cursor, runs it, and passes a checkpoint
 *         before it takes another: a shard that is busy takes fewer, one that is closing none, and
 *         everything is done also when the caller's shard remains alone. Nothing migrates.
 * Shared. What the pieces work on is the caller's, as is the cursor: one atomic addition a piece,
 *         the only one there is. What the caller wrote before the call is seen by every piece, and
 *         what they wrote by the caller after it.
 * Cancel. No further piece begins, those that run are asked and drained, and the call returns
 *         Cancelled. An Err or a panic of a piece does the same to the others.
 * Nested. A piece may call these again: its own shard's worker always makes progress. */
#ifndef ASX_SHARD_COMBINE_PARALLEL_H
#define ASX_SHARD_COMBINE_PARALLEL_H

#include <asx/shard/base/decls.h>
#include <asx/shard/combine/map_reduce.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

#define ASX_PARALLEL_PIECES_DEFAULT 256u /* so that the last of them leaves nobody idle for long */

/* Runs on any shard, with a cx of that shard: elements first..end-1 of the range. */
typedef asx_outcome asx_piece_fn(asx_cx *cx, uint64_t first, uint64_t end, void *arg);

/* Runs fn over first..end-1 in pieces of `grain` elements, the last one shorter, in any order; each
 * element once. Ok, or the scope value of what failed (POL-4).
 * grain   0: for 256 pieces. What a piece does should take longer than a message, some 10 us
 * errors  INVALID_ARGUMENT (end before first), those of asx_spawn */
ASX_NODISCARD asx_outcome asx_parallel_for(asx_cx *cx, uint64_t first, uint64_t end, uint64_t grain,
                                           asx_piece_fn *fn, void *arg);

/* The same, and folds the pieces' Ok values from the left in the order of the range, beginning with
 * `initial`, on the caller's shard: the result does not depend on who ran what, nor on the number
 * of shards. An empty range gives `initial`.
 * errors  as asx_parallel_for, and NO_MEMORY (a word for each piece, in the region's heap) */
ASX_NODISCARD asx_outcome asx_parallel_map_reduce(asx_cx *cx, uint64_t first, uint64_t end,
                                                  uint64_t grain, asx_piece_fn *map,
                                                  asx_reduce_fn *reduce, void *arg,
                                                  uintptr_t initial);

ASX_END_DECLS

#endif
