/* Waits: how long tasks have stood in line for what a channel or a lock has.
 *
 * Model.  A wait counts from when it enters a line to when it is granted what it waits for, of
 *         whatever shard its task is; whoever gives up is not counted. Nothing is counted where
 *         nobody waits, so that it costs nothing there. */
#ifndef ASX_SHARD_SYNC_WAITS_H
#define ASX_SHARD_SYNC_WAITS_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

typedef struct asx_waits {
    uint64_t granted;
    uint64_t waited_ns; /* sum of those */
    uint64_t waiting;   /* now */
} asx_waits;

/* Of the object that `handle` names, by itself or by an end; zeros for a stale one, and for one of
 * another shard. */
asx_waits asx_waits_of(asx_cx *cx, asx_handle handle);

ASX_END_DECLS

#endif
