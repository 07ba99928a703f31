/* Migration: poll tasks that were marked sendable run where there is time for them.
 *
 * Model.  A task is lent, never given away. Its record, region, frame and handle stay at home:
 *         counted, joined and cancelled there, and memory that nobody touches meanwhile but its
 *         step. The borrower runs the step as the one task of a region below its root, a guest,
 *         which ends when the step is done and all that it spawned there has ended. Wake-ups and
 *         cancellations follow it, its outcome comes home, and so does the task itself, unended,
 *         when the borrower is closing, or home asks while the task is ready.
 *
 *           borrower                        home
 *             <──────────── CALL ────────   more is ready than a turn can run: once for life
 *           nothing to do ──── ASK ─────>   remembered until it can be answered
 *             <──────────── LOAN ────────   a batch, at the end of a turn that leaves much ready
 *           a guest each ───── ACK ─────>   what was kept for it follows: WAKE, CANCEL
 *           or not ─────────── BACK ────>   queued again, as if it had never been away
 *           the guest ended ── DONE ────>   the task completes
 *
 * Quiet.  Where nothing is sendable no message is sent. Who asked in vain does not ask again: its
 *         question stands until there is something, at most one for each pair of shards.
 * Which.  In the ready lane, RUNNING or not begun, never cancelled, without an operation, an
 *         obligation, a mask or a cleanup entry; and having run since it last moved.
 * Bounds. One ACK, BACK or DONE a loan; WAKE once a turn and task; CANCEL once a reason. */
#ifndef ASX_SHARD_MIGRATE_INTERNAL_H
#define ASX_SHARD_MIGRATE_INTERNAL_H

#include "mail_internal.h"
#include "shard_internal.h"

/* A sendable task was made, or has ended. */
void asxi_migrate_task_made(asx_shard *shard);
void asxi_migrate_task_ended(asx_shard *shard);

/* A guest's region is CLOSED, and says so to its home. */
void asxi_migrate_guest_ended(asx_shard *shard);

/* The end of a turn, where shard->migrate is set: calls, asks and lends. */
void asxi_migrate_turn(asx_shard *shard);

/* Of a task that is AWAY: it was notified; its reason grew. */
void asxi_migrate_notify(asx_task *task);
void asxi_migrate_cancel(asx_task *task);

/* A guest about to run with a cancel request. True: the request was the borrower's own affair, so
 * the task went home instead, and this record is gone. */
bool asxi_migrate_leave(asx_task *guest);

void asxi_migrate_message(asx_shard *shard, const asx_msg *msg);
void asxi_migrate_message_discard(const asx_msg *msg);
void asxi_migrate_destroy(asx_shard *shard);

#endif
