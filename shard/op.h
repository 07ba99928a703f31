/* Operations: what a task asks of its driver, as obligations (OBL-15, CKP-5).
 *
 * Model.  asx_op_await is the fiber's way: submit, wait, cancel on cancellation and wait for the
 *         completion. asx_op_start is the poll task's: a callback a completion.
 * Owner.  The op is memory of the caller's and belongs to the driver between start and the terminal
 *         completion. A task that ends with operations in flight has them cancelled, and waits for
 *         them. */
#ifndef ASX_SHARD_OP_H
#define ASX_SHARD_OP_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>
#include <asx/shard/driver.h>

ASX_BEGIN_DECLS

/* Submits `op` on behalf of the cx's task. then(op) runs on the shard at each completion, must not
 * suspend, and may be NULL: the task is notified. errors  NO_CAPABILITY, WRONG_TASK: nothing was
 * submitted */
ASX_NODISCARD asx_err asx_op_start(asx_cx *cx, asx_op *op, asx_op_fn *then);

/* The same from callbacks on the shard, where no task runs, on behalf of a task that is not ending.
 */
void asx_op_start_for(asx_task *task, asx_op *op, asx_op_fn *then);

/* Asks an op in flight to end; no effect on an idle one. It still completes once. */
void asx_op_cancel(asx_op *op);

/* The task it was last started for. */
ASX_INLINE asx_task *asx_op_holder(const asx_op *op)
{
    return op->_holder;
}

ASX_INLINE bool asx_op_in_flight(const asx_op *op)
{
    return (op->flags & ASX_OP_SUBMITTED) != 0;
}

/* Submits and waits. Ok: op->result; Err: what the driver said.
 * cancel  CANCELLED only when the driver says that nothing was done; otherwise the real result, and
 * the next checkpoint tells errors  TIMED_OUT when `deadline_ns` passed first and nothing was done
 */
ASX_NODISCARD asx_outcome asx_op_await_until(asx_cx *cx, asx_op *op, asx_instant deadline_ns);
ASX_NODISCARD asx_outcome asx_op_await(asx_cx *cx, asx_op *op);

/* Bytes that the driver moved for a task at once, without an operation, count as one's would. */
void asx_op_charge(asx_task *task, uint64_t bytes);

ASX_END_DECLS

#endif
