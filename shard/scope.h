/* Scopes: a region bound to a C block. Whatever path leaves the block, the region is closed when
 * the next statement runs (REG-9, REG-10).
 *
 *     asx_outcome value;
 *     ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
 *         asx_handle a = ASX_SPAWN(s, fetch, &(struct fetch){ .id = 1 });
 *         ASX_TRY(asx_join(&s->cx, a));
 *     }
 *
 * End of the block: JOIN, children finish. return, break, goto, a panic: CANCEL(FAIL_FAST), then
 * drained. `continue` counts as the end of the block. Leaving suspends, masked: it cannot be cut
 * short. When the scope could not be opened (a cancelled region, a limit), the body still runs:
 * every spawn in it is refused with that error, and joining a refused spawn returns it. */
#ifndef ASX_SHARD_SCOPE_H
#define ASX_SHARD_SCOPE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/region.h>
#include <asx/shard/task.h>

ASX_BEGIN_DECLS

typedef struct asx_scope {
    asx_cx cx; /* for work that should stop when the scope fails */
    asx_defer _defer;
    asx_cx *_owner;
    asx_region *_region;
    asx_region_waiter _waiter;
    struct asxi_wait *_wait; /* the owner's, while it leaves */
    asx_outcome *_value;
    asx_outcome _outcome; /* a reference, once closed */
    asx_err _refused;
    bool _entered, _closed;
} asx_scope;

asx_scope *asx_scope_open(asx_scope *scope, asx_cx *cx, asx_policy policy, asx_outcome *value);
bool asx_scope_enter(asx_scope *scope);
/* Closes in mode JOIN and waits; the loop's end. */
void asx_scope_end(asx_scope *scope);
/* Closes with CANCEL(FAIL_FAST) unless already closed; the attribute's. */
void asx_scope_leave(asx_scope *scope);

/* Cancels everything in the scope; the block goes on. */
void asx_scope_cancel(asx_scope *scope, asx_cancel_kind kind, const char *message);
asx_region *asx_scope_region(const asx_scope *scope);

/* Spawns a fiber into the scope; a refusal is remembered by the null handle's join. */
asx_handle asx_scope_spawn(asx_scope *scope, asx_task_fn *fn, const void *arg, size_t arg_size,
                           const asx_spawn_options *options);

#define ASX_SCOPE_VALUE(cx, s, policy, value)                            \
    for (asx_scope s##_scope_ __attribute__((cleanup(asx_scope_leave))), \
         *s = asx_scope_open(&s##_scope_, (cx), (policy), (value));      \
         asx_scope_enter(s); asx_scope_end(s))
#define ASX_SCOPE_3(cx, s, policy) ASX_SCOPE_VALUE(cx, s, policy, NULL)
#define ASX_SCOPE_4(cx, s, policy, value) ASX_SCOPE_VALUE(cx, s, policy, value)
#define ASX_SCOPE_PICK(a, b, c, d, name, ...) name
/* ASX_SCOPE(cx, s, policy) or ASX_SCOPE(cx, s, policy, &value): the scope value goes to `value`. */
#define ASX_SCOPE(...) ASX_SCOPE_PICK(__VA_ARGS__, ASX_SCOPE_4, ASX_SCOPE_3, )(__VA_ARGS__)

/* Copies *arg into the child; fn is an asx_task_fn. */
#define ASX_SPAWN(s, fn, arg) \
    asx_scope_spawn((s), (fn), (arg), sizeof(*(arg)) + ASX_REQUIRE_BODY(fn, arg), NULL)

ASX_END_DECLS

#endif
