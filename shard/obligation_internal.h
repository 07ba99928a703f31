/* The obligation record, and the two steps that every lock and permit takes, inline.
 *
 * Model.  A record stands in the shard's table and in its holder's list, oldest first. Whoever made
 *         it knows it again by its `settle`.
 * Owner.  The shard's thread. */
#ifndef ASX_SHARD_OBLIGATION_INTERNAL_H
#define ASX_SHARD_OBLIGATION_INTERNAL_H

#include <asx/shard/base/assert.h>
#include <asx/shard/obligation.h>

#include "shard_internal.h"
#include "trace_internal.h"

typedef struct asxi_obligation {
    asx_slot slot;
    asx_list held; /* in the holder's list */
    asx_task *holder;
    asx_region *region;
    asx_obligation_options options;
    asx_instant reserved_at;
    uint64_t reserve_seq;
} asxi_obligation;

/* asx_obligation_reserve. */
ASX_NODISCARD ASX_INLINE asx_err asxi_obligation_make(asx_cx *cx,
                                                      const asx_obligation_options *options,
                                                      asx_permit *permit)
{
    asx_task *const task = cx->_task;
    asx_region *const region = task->cx._region;
    asx_shard *const shard = cx->_shard;
    if (asx_unlikely(task != shard->running)) {
        return ASX_E(WRONG_TASK);
    }
    if (asx_unlikely(region->limits.obligations_max != 0 &&
                     region->obligations >= region->limits.obligations_max)) {
        return asxi_refuse(region, ASX_LIMIT_OBLIGATIONS, region->limits.obligations_max,
                           region->obligations);
    }
    asxi_body *const body = asxi_task_body(task);
    if (asx_unlikely(!body)) {
        return ASX_E(NO_MEMORY);
    }
    asxi_obligation *const o =
        (asxi_obligation *)asx_handle_alloc(&shard->obligations, &permit->handle);
    if (asx_unlikely(!o)) {
        return asx_handle_table_why(&shard->obligations);
    }
    o->holder = task;
    o->region = region;
    o->options = *options;
    o->reserved_at = shard->now_ns;
    o->reserve_seq = shard->reserve_seq++;
    o->held = (asx_list){ 0 };
    asx_list_ring_push_back(&body->obligations, &o->held);
    region->obligations++;
    shard->stats.obligations_reserved++;
    ASXI_TRACE(shard, OBL_RESERVE, asxi_trace_of(o), asxi_trace_of(task), asxi_trace_of(region),
               options->kind);
    return ASX_OK;
}

/* errors  STALE, TOKEN_MISMATCH: it is another task's */
ASX_NODISCARD ASX_INLINE asx_err asxi_obligation_find(asx_cx *cx, asx_permit permit,
                                                      asxi_obligation **found)
{
    const asx_handle_table *const table = &cx->_shard->obligations;
    asxi_obligation *const o =
        (asxi_obligation *)asx_handle_find_sized(table, permit.handle, sizeof(asxi_obligation));
    *found = o;
    if (asx_unlikely(!o)) {
        return asx_handle_lookup_why(table, permit.handle);
    }
    return asx_likely(o->holder == cx->_task) || ASXI_PLANTED(WRONG_HOLDER) ? ASX_OK
                                                                            : ASX_E(TOKEN_MISMATCH);
}

ASX_INLINE void asxi_obligation_trace(asx_shard *shard, const asxi_obligation *o,
                                      asx_obligation_state state)
{
    const uint64_t held_ns = asx_time_sub(shard->now_ns, o->reserved_at);
    if (state == ASX_OBLIGATION_COMMITTED) {
        ASXI_TRACE(shard, OBL_COMMIT, asxi_trace_of(o), asxi_trace_of(o->holder),
                   asxi_trace_of(o->region), o->options.kind, held_ns);
    } else if (state == ASX_OBLIGATION_ABORTED) {
        ASXI_TRACE(shard, OBL_ABORT, asxi_trace_of(o), asxi_trace_of(o->holder),
                   asxi_trace_of(o->region), o->options.kind, held_ns, 0);
    } else {
        ASXI_TRACE(shard, OBL_LEAK, asxi_trace_of(o), asxi_trace_of(o->holder),
                   asxi_trace_of(o->region), o->options.kind, held_ns);
    }
    (void)held_ns;
}

/* Ends the record. */
ASX_INLINE void asxi_obligation_settle(asx_shard *shard, asxi_obligation *o,
                                       asx_obligation_state state)
{
    asxi_obligation_trace(shard, o, state);
    asx_list_ring_unlink(&o->holder->body->obligations, &o->held);
    asx_assert(o->region->obligations > 0);
    o->region->obligations--;
    shard->stats.obligations_committed += state == ASX_OBLIGATION_COMMITTED;
    shard->stats.obligations_aborted += state == ASX_OBLIGATION_ABORTED;
    shard->stats.obligations_leaked += state == ASX_OBLIGATION_LEAKED;
    asx_handle_free(&shard->obligations, o);
}

/* Commits or aborts an obligation of the caller's that was made with `settle`, and tells what it
 * was for.
 * errors  STALE, TOKEN_MISMATCH, TYPE_MISMATCH */
ASX_NODISCARD ASX_INLINE asx_err asxi_obligation_resolve(asx_cx *cx, asx_permit permit,
                                                         asx_obligation_state state,
                                                         asx_obligation_fn *settle, void **object,
                                                         uint64_t *amount)
{
    asxi_obligation *o;
    const asx_err err = asxi_obligation_find(cx, permit, &o);
    if (asx_unlikely(err)) {
        return err;
    }
    if (asx_unlikely(o->options.settle != settle)) {
        return ASX_E(TYPE_MISMATCH);
    }
    *object = o->options.object;
    *amount = o->options.amount;
    asxi_obligation_settle(cx->_shard, o, state);
    return ASX_OK;
}

#endif
