/* A running set of branches inside its scope: what every combinator is made of.
 *
 * Model.  open, then the scope, then start; when the block of the scope is left, close. Each branch
 *         has a joiner, told when it is terminal; one wait of the caller's is resolved by whichever
 *         is told next.
 * Owner.  The caller's frame; joiners are in the heap of the caller's region, which outlives the
 *         scope's, and are released when the caller's task is abandoned meanwhile. */
#ifndef ASX_SHARD_COMBINE_SET_INTERNAL_H
#define ASX_SHARD_COMBINE_SET_INTERNAL_H

#include <asx/shard/base/assert.h>
#include <asx/shard/combine/branch.h>
#include <asx/shard/shard_internal.h>

typedef struct asxi_set {
    asx_scope *scope;
    asx_cx *home;
    asxi_joiner *joiners;
    asx_defer defer;
    asxi_wait next; /* resolved when one more branch is terminal */
    uint32_t count, started;
} asxi_set;

/* Before the scope, so that it is released after the scope has closed on every path.
 * errors  NO_MEMORY */
asx_err asxi_set_open(asxi_set *set, asx_cx *cx, uint32_t count);
void asxi_set_close(asxi_set *set);

/* Starts the next branch. On a refusal those that started are cancelled (CMB-4). */
asx_err asxi_set_start_one(asxi_set *set, asx_scope *scope, const asx_branch *branch);
asx_err asxi_set_start_all(asxi_set *set, asx_scope *scope, const asx_branch *branches);

/* What a combinator does once all its branches have started; its outcome is the combinator's. */
typedef asx_outcome asxi_set_body_fn(asxi_set *set, asx_cx *cx, const asx_branch *branches,
                                     void *arg);

/* Opens a set and its scope, starts all branches, and runs the body. Where one cannot start the
 * others are cancelled and drained, what they made is dropped, and the outcome is the refusal. */
asx_outcome asxi_set_run(asx_cx *cx, const asx_branch *branches, uint32_t count,
                         asxi_set_body_fn *body, void *arg);

/* Before its joiners may resolve it. */
static inline void asxi_set_wait_init(asxi_set *set, asx_cx *cx)
{
    asxi_wait_init(&set->next, cx);
    set->next.in_tree = true;
}

/* The lowest index that is terminal, or -1. */
int asxi_set_lowest_done(const asxi_set *set);
bool asxi_set_all_done(const asxi_set *set);
uint32_t asxi_set_done_count(const asxi_set *set);

/* Waits until one more branch is terminal; not WOKEN: the caller was cancelled, or the deadline
 * passed. */
asxi_woken asxi_set_wait(asxi_set *set, asx_cx *cx, const char *what, asx_instant deadline_ns);
/* Waits, masked, until all that started are terminal. */
void asxi_set_drain(asxi_set *set, asx_cx *cx);
/* Hands the caller's cancellation to all branches (CMB-2). */
void asxi_set_cancel_for_caller(asxi_set *set, asx_cx *cx);

/* The lowest-index panic among the branches, or Ok. */
asx_outcome asxi_set_panic(const asxi_set *set);
/* What a branch made and nobody receives, in time or late (CMB-3). winner: -1 for none. */
void asxi_set_drop_losers(const asxi_set *set, const asx_branch *branches, int winner);
/* Cancels the losers, drains them, and answers for `winner`, or with the panic that overrides it.
 * */
asx_outcome asxi_set_finish(asxi_set *set, asx_cx *cx, const asx_branch *branches, int winner);
/* The caller was cancelled: passes it on, drains, and answers Cancelled, or with a panic. */
asx_outcome asxi_set_finish_cancelled(asxi_set *set, asx_cx *cx, const asx_branch *branches);

#endif
