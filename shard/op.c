#include <asx/shard/base/assert.h>
#include <asx/shard/op.h>

#include "shard_internal.h"
#include "trace_internal.h"

#include <errno.h>

static asx_cap op_cap(const asx_op *op)
{
    switch ((asx_op_code)op->code) {
    case ASX_OP_OPEN:
    case ASX_OP_STAT:
    case ASX_OP_READ:
    case ASX_OP_WRITE:
    case ASX_OP_FSYNC:
        return ASX_CAP_FS;
    case ASX_OP_TASK:
        return ASX_CAP_BLOCKING;
    case ASX_OP_NONE:
    case ASX_OP_ACCEPT:
    case ASX_OP_CONNECT:
    case ASX_OP_RECV:
    case ASX_OP_SEND:
    case ASX_OP_SENDV:
    case ASX_OP_RECVFROM:
    case ASX_OP_SENDTO:
    case ASX_OP_SHUTDOWN:
    case ASX_OP_CLOSE:
    case ASX_OP_SENDFILE:
    case ASX_OP_POLL:
        break;
    }
    return ASX_CAP_NET;
}

static bool moves_bytes(const asx_op *op)
{
    switch ((asx_op_code)op->code) {
    case ASX_OP_READ:
    case ASX_OP_WRITE:
    case ASX_OP_RECV:
    case ASX_OP_SEND:
    case ASX_OP_SENDV:
    case ASX_OP_RECVFROM:
    case ASX_OP_SENDTO:
    case ASX_OP_SENDFILE:
        return true;
    case ASX_OP_NONE:
    case ASX_OP_TASK:
    case ASX_OP_OPEN:
    case ASX_OP_STAT:
    case ASX_OP_FSYNC:
    case ASX_OP_ACCEPT:
    case ASX_OP_CONNECT:
    case ASX_OP_SHUTDOWN:
    case ASX_OP_CLOSE:
    case ASX_OP_POLL:
        break;
    }
    return false;
}

/* What every driver calls: settles the obligation at the terminal completion, then tells the
 * holder. */
static void op_done(asx_op *op)
{
    asx_task *const task = op->_holder;
    asx_shard *const shard = task->cx._shard;
    const bool over = !op->more; /* the callback may give the op's memory away */
    if (over) {
        asx_assert(!(op->flags & ASX_OP_SUBMITTED));
        asx_list_ring_unlink(&task->ops, &op->_inflight);
        task->cx._region->ops--;
        shard->op_in_flight--;
        shard->stats.ops_settled++;
    }
    if (asx_unlikely(task->cx._region->has_resources) && !op->err && moves_bytes(op)) {
        asxi_charge_io(task->cx._region, op->result);
    }
    if (op->flags & ASX_OP_AWAITED) {
        asxi_wait_resolve(op->_waiter, 0);
    } else if (op->_then) {
        op->_then(op);
    } else {
        asx_task_notify(task);
    }
    if (over) {
        asxi_task_op_settled(task);
    }
}

static void op_submit(asx_op *op, asx_task *task)
{
    asx_shard *const shard = task->cx._shard;
    asx_assert(!(op->flags & ASX_OP_SUBMITTED));
    op->_holder = task;
    op->done = op_done;
    asx_list_ring_push_back(&task->ops, &op->_inflight);
    task->cx._region->ops++;
    shard->op_in_flight++;
    shard->stats.ops_started++;
    asxi_trace_cap_use(&task->cx, (uint32_t)op_cap(op));
    shard->driver->ops->submit(shard->driver, op);
}

asx_err asx_op_start(asx_cx *cx, asx_op *op, asx_op_fn *then)
{
    const asx_err err = asx_cx_require(cx, op_cap(op));
    if (asx_unlikely(err)) {
        return err;
    }
    op->_then = then;
    op_submit(op, cx->_task);
    return ASX_OK;
}

void asx_op_start_for(asx_task *task, asx_op *op, asx_op_fn *then)
{
    asx_assert(!(task->flags & ASXI_TASK_ENDING) && (task->cx._caps & (uint32_t)op_cap(op)));
    op->_then = then;
    op_submit(op, task);
}

static void op_cancel(asx_shard *shard, asx_op *op)
{
    if ((op->flags & (ASX_OP_SUBMITTED | ASX_OP_CANCELLING)) == ASX_OP_SUBMITTED) {
        shard->driver->ops->cancel(shard->driver, op);
    }
}

void asx_op_cancel(asx_op *op)
{
    if (op->flags & ASX_OP_SUBMITTED) {
        op_cancel(op->_holder->cx._shard, op);
    }
}

void asxi_op_cancel_all(asx_task *task)
{
    /* A driver completes inside reap only: no op leaves the ring meanwhile. */
    for (asx_list *node = task->ops; node; node = asx_list_ring_next(task->ops, node)) {
        op_cancel(task->cx._shard, asx_container_of(node, asx_op, _inflight));
    }
}

asx_outcome asx_op_await_until(asx_cx *cx, asx_op *op, asx_instant deadline_ns)
{
    asxi_wait wait;
    asx_shard *const shard = cx->_shard;
    bool timed_out = false;
    asx_assert(!(op->flags & ASX_OP_MULTI) && op->code != ASX_OP_ACCEPT);
    const asx_err refused = asx_cx_require(cx, op_cap(op));
    if (refused) {
        return asx_fail(refused);
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    asxi_wait_init(&wait, cx);
    op->_waiter = &wait;
    op->flags |= ASX_OP_AWAITED;
    op_submit(op, cx->_task);
    const asxi_woken woken =
        asxi_wait_park(cx, &wait, asx_op_code_name((asx_op_code)op->code), deadline_ns);
    if (woken != ASXI_WOKEN) {
        timed_out = woken == ASXI_WOKEN_TIMEOUT;
        if (!wait.resolved) {
            op_cancel(shard, op);
            asxi_wait_park_masked(cx, &wait, "cancelled operation");
        }
    }
    op->flags &= (uint8_t) ~(uint32_t)ASX_OP_AWAITED;
    if (op->err == asx_err_errno(ECANCELED)) {
        if (woken == ASXI_WOKEN_CANCELLED) {
            return asxi_cancelled(cx);
        }
        return asx_fail(timed_out ? ASX_E(TIMED_OUT) : op->err);
    }
    return op->err ? asx_fail(op->err) : asx_ok(op->result);
}

asx_outcome asx_op_await(asx_cx *cx, asx_op *op)
{
    return asx_op_await_until(cx, op, ASX_TIME_NEVER);
}
