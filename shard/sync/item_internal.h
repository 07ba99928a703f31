/* An item on its way to another shard: in the message, or in a block that the message owns.
 *
 * arg32 its size, [3] what drops it, [4..6] the item, or [4] the block. */
#ifndef ASX_SHARD_SYNC_ITEM_INTERNAL_H
#define ASX_SHARD_SYNC_ITEM_INTERNAL_H

#include <asx/shard/ring.h>
#include <asx/shard/task.h>

void asxi_item_put(asx_msg *msg, const void *item, uint32_t size, asx_drop_fn *drop);
/* Lent until one of the two below. */
const void *asxi_item_of(const asx_msg *msg);
/* It was copied. */
void asxi_item_taken(const asx_msg *msg);
/* It reaches nobody. */
void asxi_item_drop(const asx_msg *msg);

#endif
