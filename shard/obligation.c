#include "deadline_internal.h"
#include "obligation_internal.h"

const char *asx_obligation_kind_name(asx_obligation_kind kind)
{
    static const char *const names[ASX_OBLIGATION_KIND_COUNT] = {
        "SEND_PERMIT", "ACK", "LEASE", "IO_OP", "SEMAPHORE_PERMIT", "TRANSACTION"
    };
    return (unsigned)kind < ASX_OBLIGATION_KIND_COUNT ? names[kind] : "?";
}

const char *asx_obligation_state_name(asx_obligation_state state)
{
    switch (state) {
    case ASX_OBLIGATION_RESERVED:
        return "RESERVED";
    case ASX_OBLIGATION_COMMITTED:
        return "COMMITTED";
    case ASX_OBLIGATION_ABORTED:
        return "ABORTED";
    case ASX_OBLIGATION_LEAKED:
        return "LEAKED";
    }
    return "?";
}

void asxi_obligation_table_init(asx_shard *shard)
{
    asx_handle_table_init(&shard->obligations, ASX_HANDLE_OBLIGATION, (uint16_t)shard->index,
                          sizeof(asxi_obligation), &shard->chunks, ASX_OBLIGATION_COUNT_MAX);
}

asx_err asx_obligation_reserve(asx_cx *cx, const asx_obligation_options *options,
                               asx_permit *permit)
{
    return asxi_obligation_make(cx, options, permit);
}

asx_err asx_obligation_commit(asx_cx *cx, asx_permit permit)
{
    asxi_obligation *o;
    const asx_err err = asxi_obligation_find(cx, permit, &o);
    if (!err && ASXI_PLANTED(DOUBLE_RESOLVE) && asxi_task_is_cancelling(cx->_task)) {
        asxi_obligation_trace(cx->_shard, o, ASX_OBLIGATION_COMMITTED);
        return ASX_OK;
    }
    if (!err) {
        asxi_obligation_settle(cx->_shard, o, ASX_OBLIGATION_COMMITTED);
    }
    return err;
}

asx_err asx_obligation_abort(asx_cx *cx, asx_permit permit)
{
    asxi_obligation *o;
    const asx_err err = asxi_obligation_find(cx, permit, &o);
    if (!err) {
        asxi_obligation_settle(cx->_shard, o, ASX_OBLIGATION_ABORTED);
    }
    return err;
}

asx_err asxi_obligation_object(asx_cx *cx, asx_permit permit, asx_obligation_fn *settle_fn,
                               void **object)
{
    asxi_obligation *o;
    const asx_err err = asxi_obligation_find(cx, permit, &o);
    if (err) {
        return err;
    }
    *object = o->options.object;
    return o->options.settle == settle_fn ? ASX_OK : ASX_E(TYPE_MISMATCH);
}

asx_err asx_obligation_transfer(asx_cx *cx, asx_permit permit, asx_handle handle)
{
    asxi_obligation *o;
    void *record;
    asx_err err = asxi_obligation_find(cx, permit, &o);
    if (!err) {
        err = asx_handle_lookup(&cx->_shard->tasks, handle, &record);
    }
    if (err) {
        return err;
    }
    asx_task *const target = record;
    if (target->cx._region != o->region || target->state == ASX_TASK_COMPLETED ||
        (target->flags & ASXI_TASK_ENDING)) {
        return ASX_E(TASK_NOT_OWNED);
    }
    asxi_body *const body = asxi_task_body(target);
    if (!body) {
        return ASX_E(NO_MEMORY);
    }
    asx_list_ring_unlink(&o->holder->body->obligations, &o->held);
    asx_list_ring_push_back(&body->obligations, &o->held);
    ASXI_TRACE(cx->_shard, OBL_TRANSFER, asxi_trace_of(o), asxi_trace_of(o->holder),
               asxi_trace_of(o->region), asxi_trace_of(target));
    o->holder = target;
    return ASX_OK;
}

static asx_leak_response leak_response(const asx_shard *shard)
{
    if (shard->leak_threshold > 0 && shard->stats.obligations_leaked >= shard->leak_threshold) {
        return shard->leak_escalation;
    }
    return shard->leak_response;
}

/* Marks, counts, then responds (OBL-11). True when the holder's outcome must become Panicked(LEAK).
 */
static bool leak(asx_shard *shard, asxi_obligation *o, bool panicking)
{
    const asx_obligation_options options = o->options;
    const char *const label = o->holder ? asxi_task_label(o->holder) : NULL;
    const asx_duration held_ns = asx_time_sub(shard->now_ns, o->reserved_at);
    asxi_obligation_settle(shard, o, ASX_OBLIGATION_LEAKED);
    const asx_leak_response response = leak_response(shard);
    if (options.settle) {
        options.settle(options.object, options.amount,
                       response == ASX_LEAK_RECOVER ? ASX_SETTLED_RECOVERED : ASX_SETTLED_LEAK);
    }
    if (response != ASX_LEAK_SILENT) {
        asxi_diagnose(shard, "LEAK%s: %s %s reserved at %s:%d by task %s, held %" PRIu64 " ns",
                      response == ASX_LEAK_RECOVER ? " (recovered)" : "",
                      asx_obligation_kind_name(options.kind), options.what ? options.what : "-",
                      options.file ? options.file : "-", options.line, label ? label : "-",
                      held_ns);
    }
    return response == ASX_LEAK_PANIC && !panicking;
}

void asxi_obligation_audit(asx_task *task, asx_outcome *outcome)
{
    asx_shard *const shard = task->cx._shard;
    const bool panicked = outcome->severity == ASX_SEVERITY_PANICKED;
    const bool excused =
        panicked || (task->flags & ASXI_TASK_ACKED) || !(task->flags & ASXI_TASK_STARTED);
    bool becomes_panic = false;
    while (task->body->obligations) {
        asxi_obligation *const o = asx_container_of(task->body->obligations, asxi_obligation, held);
        if (ASXI_PLANTED(PERMIT_DROPPED) && !panicked && excused) {
            asx_list_ring_unlink(&task->body->obligations, &o->held);
            o->region->obligations--;
            asx_handle_free(&shard->obligations, o);
        } else if (excused) {
            const asx_obligation_options options = o->options;
            asxi_obligation_settle(shard, o, ASX_OBLIGATION_ABORTED);
            if (options.settle) {
                options.settle(options.object, options.amount,
                               panicked ? ASX_SETTLED_PANIC : ASX_SETTLED_CANCEL);
            }
        } else {
            becomes_panic |= leak(shard, o, panicked);
        }
    }
    if (becomes_panic) {
        asx_outcome_release(*outcome);
        *outcome =
            asx_panicked(asx_panic_info_create(ASX_PANIC_LEAK, NULL, 0, "obligation leaked"));
    }
}

void asxi_obligation_region_audit(asx_region *region)
{
    asx_shard *const shard = region->shard;
    uint32_t cursor = 0;
    asxi_obligation *o;
    while (region->obligations > 0 &&
           (o = asx_handle_next_live(&shard->obligations, &cursor)) != NULL) {
        if (o->region == region && leak(shard, o, false)) {
            const asx_outcome panic =
                asx_panicked(asx_panic_info_create(ASX_PANIC_LEAK, NULL, 0, "obligation leaked"));
            asxi_region_fold(region, panic, region->spawn_seq);
            asx_outcome_release(panic);
        }
    }
}

asxi_obligation_note asxi_obligation_note_of(asx_list *held)
{
    const asxi_obligation *const o = asx_container_of(held, asxi_obligation, held);
    return (asxi_obligation_note){ .kind = o->options.kind,
                                   .what = o->options.what,
                                   .file = o->options.file,
                                   .line = o->options.line,
                                   .handle = asx_handle_of(o),
                                   .reserved_at = o->reserved_at };
}

bool asxi_obligation_at(const asx_shard *shard, uint32_t index, asxi_obligation_seen *seen)
{
    asxi_obligation *const o = asx_handle_at(&shard->obligations, index);
    *seen = (asxi_obligation_seen){ .region = o->region,
                                    .holder = o->holder,
                                    .object = o->options.object,
                                    .held = &o->held,
                                    .reserved_at = o->reserved_at };
    return asx_slot_live(&o->slot);
}

bool asxi_obligations_look(asx_shard *shard, uint32_t *cursor, uint32_t count,
                           asx_duration limit_ns)
{
    const asx_handle_table *const table = &shard->obligations;
    for (; count > 0 && *cursor < table->touched; count--, ++*cursor) {
        asxi_obligation *const o = asx_handle_at(table, *cursor);
        if (asx_slot_live(&o->slot) && asx_slot_live(&o->holder->slot)) {
            const asxi_obligation_note note = asxi_obligation_note_of(&o->held);
            asxi_futurelock_look(o->holder, &note, limit_ns);
        }
    }
    return *cursor < table->touched;
}
