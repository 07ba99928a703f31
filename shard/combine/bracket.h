/* Bracket: a resource that is released exactly once, whatever happens in between (CMB-20). */
#ifndef ASX_SHARD_COMBINE_BRACKET_H
#define ASX_SHARD_COMBINE_BRACKET_H

#include <asx/shard/base/decls.h>
#include <asx/shard/task.h>

ASX_BEGIN_DECLS

/* acquire; then use; then release, exactly once on every path after acquire succeeded, masked
 * (CMB-20). Returns use's outcome, or Panicked when release panicked. `resource` is what acquire
 * returned. */
typedef struct asx_bracket {
    asx_task_fn *acquire;
    asx_outcome (*use)(asx_cx *cx, uintptr_t resource, void *arg);
    void (*release)(asx_cx *cx, uintptr_t resource, void *arg);
} asx_bracket;
ASX_NODISCARD asx_outcome asx_bracket_run(asx_cx *cx, const asx_bracket *bracket, void *arg);

ASX_END_DECLS

#endif
