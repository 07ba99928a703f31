/* Disturbing: what an imagined run does to a shard from outside of every task.
 *
 * Model.  Each call is something that may happen at that instant anyway: a cancellation that
 *         somebody else asked for, a wake without a cause, memory that ran out.
 * Owner.  The shard's thread, between two turns. */
#ifndef ASX_SHARD_DISTURB_H
#define ASX_SHARD_DISTURB_H

#include <asx/shard/cancel.h>
#include <asx/shard/shard.h>

ASX_BEGIN_DECLS

/* Requests it in the name of the root. False: the task is gone, or ending.
 *
 * message  lends, as in asx_task_cancel */
bool asx_disturb_cancel(asx_shard *shard, asx_handle task, asx_cancel_kind kind,
                        const char *message);

/* False: the task is gone. */
bool asx_disturb_wake(asx_shard *shard, asx_handle task);

/* The nth chunk that the shard's heaps ask for from now on is refused, once; 0: none is. */
void asx_disturb_alloc(asx_shard *shard, uint64_t nth);

ASX_END_DECLS

#endif
