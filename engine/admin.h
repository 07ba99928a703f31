/* The admin listener: the tree of regions and tasks of every shard, for a person who asks why.
 *
 *   GET /debug/regions               text; ?format=json, ?limit=N nodes a shard, ?shard=N
 *   GET /explain/T0.12.3             why that task is not over; R0.4.1: what keeps a region open
 *   GET /metrics, /healthz
 *
 * Model.  Runs on shard 0. Each shard writes its own part, on its own thread, into memory that
 *         the asking request lends it; the shard is rung, and the request waits.
 * Bounds. A shard writes at most `limit` nodes (4,096 unless asked) in one go, and says how many
 *         it left out.
 */
#ifndef ASX_ENGINE_ADMIN_H
#define ASX_ENGINE_ADMIN_H

#include <asx/shard/cx.h>

/* The fiber that serves --admin; arg points at its seat's pointer. */
asx_outcome asxi_admin_body(asx_cx *cx, void *seat);

#endif
