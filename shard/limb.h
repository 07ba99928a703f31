/* Limbs: children on other shards, and the other things that shards ask of each other.
 *
 * Model.  asx_spawn_on runs fn as the first task of a region on the far shard, below that shard's
 *         root. Here it is a child of the cx's region: counted, cancelled and awaited with it, and
 *         its failure is judged by the region's policy. It ends when fn and all that fn spawned
 *         have ended.
 * Owner.  The region, as for any child. Losing the handle means nothing.
 * Rule.   Nothing that travels points into a region: arguments, reasons and payloads are copies
 *         that the message owns. */
#ifndef ASX_SHARD_LIMB_H
#define ASX_SHARD_LIMB_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>
#include <asx/shard/task.h>

ASX_BEGIN_DECLS

/* Spawns a fiber on `shard`; `arg_size` bytes at `arg` are copied, 0 passes the pointer. drop runs
 * on the far shard.
 * suspends while the ring to `shard` is full; a poll task is answered with OVERLOADED instead
 * cancel   CANCELLED: nothing was sent
 * errors   REGION_CLOSED, AT_CAPACITY, NO_CAPABILITY (SPAWN, REMOTE), INVALID_ARGUMENT (no such
 *          shard), RUNTIME_UNAVAILABLE (no mesh), NO_MEMORY; then drop has run here */
ASX_NODISCARD asx_err asx_spawn_on(asx_cx *cx, uint32_t shard, asx_task_fn *fn, const void *arg,
                                   size_t arg_size, const asx_spawn_options *options,
                                   asx_handle *limb);

/* Waits for the limb to be CLOSED over there. Its value is fn's when all ended well. A limb that
 * the far shard refused answers with the region's cancellation, or with the refusal.
 * cancel  the limb is untouched and joinable again
 * errors  STALE (also when joined before), WRONG_KIND */
ASX_NODISCARD asx_outcome asx_join_limb(asx_cx *cx, asx_handle limb);

/* Requests cancellation of one limb; stale handles are ignored and counted. */
void asx_limb_cancel(asx_cx *cx, asx_handle limb, asx_cancel_kind kind, const char *message);

/* Runs fn(far shard, arg) once on the far shard's loop, between two tasks. fn must not suspend.
 * suspends, cancel, errors  as asx_spawn_on */
typedef void asx_post_fn(asx_shard *shard, void *arg);
ASX_NODISCARD asx_err asx_shard_post(asx_cx *cx, uint32_t shard, asx_post_fn *fn, void *arg);

/* Notifies a task wherever it lives; a stale handle is ignored there, and counted. */
void asx_task_wake(asx_shard *shard, asx_handle task);

/* Cancels the root of every shard of the mesh with SHUTDOWN, this one's included. */
void asx_shard_shutdown(asx_shard *shard, const char *message);

ASX_END_DECLS

#endif
