/* A oneshot's sender on another shard: an object that knows whether it has sent, and sends either
 * the item or that none will come. What of asx_oneshot_* is asked of it. */
#ifndef ASX_SHARD_SYNC_ONESHOT_INTERNAL_H
#define ASX_SHARD_SYNC_ONESHOT_INTERNAL_H

#include <asx/shard/sync/oneshot.h>

#include "far_internal.h"

enum { ASXI_ONESHOT_SENDER = 1, ASXI_ONESHOT_RECEIVER, ASXI_ONESHOT_EXPORTED };

extern const asxi_object_type asxi_oneshot_type;

/* A permit of `object`, be it a oneshot or a far sender of one. */
asx_err asxi_oneshot_permit_make(asx_cx *cx, asxi_object *object, const char *what,
                                 asx_obligation_fn *settle, asx_oneshot_permit *permit);

asx_err asxi_oneshot_far_open(asx_cx *cx, const asx_oneshot_far *far, asx_handle *sender);
asx_outcome asxi_oneshot_far_reserve(asx_cx *cx, asx_handle sender, asx_oneshot_permit *permit);
asx_err asxi_oneshot_far_permit_send(asx_cx *cx, asx_oneshot_permit permit, const void *item);
void asxi_oneshot_far_permit_abort(asx_cx *cx, asx_oneshot_permit permit);
asx_err asxi_oneshot_far_send(asx_cx *cx, asx_handle sender, const void *item);
asx_outcome asxi_oneshot_far_closed(asx_cx *cx, asx_handle sender, asx_instant deadline_ns);

#endif
