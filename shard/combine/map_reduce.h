/* Map and reduce on one shard: many inputs at once, folded in input order (CMB-16).
 *
 * Cancel. The request goes to every map that runs, all are drained, and the call returns Cancelled.
 *         */
#ifndef ASX_SHARD_COMBINE_MAP_REDUCE_H
#define ASX_SHARD_COMBINE_MAP_REDUCE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

/* Maps every input, at most `width` at once, all to their end; then folds the Ok values from the
 * left in input order, beginning with `initial`. Ok(folded value), or the worst outcome by OUT-4.
 * partial  the fold of the Ok values, also beside a failure; NULL allowed
 * errors   EMPTY (no input), INVALID_ARGUMENT (width 0) */
typedef asx_outcome asx_map_fn(asx_cx *cx, uintptr_t input, void *arg);
typedef uintptr_t asx_reduce_fn(uintptr_t folded, uintptr_t value, void *arg);
ASX_NODISCARD asx_outcome asx_map_reduce(asx_cx *cx, const uintptr_t *inputs, uint32_t count,
                                         asx_map_fn *map, asx_reduce_fn *reduce, void *arg,
                                         uintptr_t initial, uint32_t width, uintptr_t *partial);

ASX_END_DECLS

#endif
