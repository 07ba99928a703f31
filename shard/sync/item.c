#include <asx/shard/base/assert.h>

#include "item_internal.h"

#include <stdlib.h>
#include <string.h>

#define INLINE_BYTES 24u

static void *block_of(const asx_msg *msg)
{
    void *block = NULL;
    if (msg->arg32 > INLINE_BYTES) {
        memcpy(&block, &msg->words[4], sizeof(block));
    }
    return block;
}

void asxi_item_put(asx_msg *msg, const void *item, uint32_t size, asx_drop_fn *drop)
{
    msg->arg32 = size;
    memcpy(&msg->words[3], &drop, sizeof(drop));
    if (size <= INLINE_BYTES) {
        memcpy(&msg->words[4], item, size);
        return;
    }
    void *const block = malloc(size);
    asx_assert(block != NULL);
    memcpy(block, item, size);
    memcpy(&msg->words[4], &block, sizeof(block));
}

const void *asxi_item_of(const asx_msg *msg)
{
    const void *const block = block_of(msg);
    return block ? block : &msg->words[4];
}

void asxi_item_taken(const asx_msg *msg)
{
    free(block_of(msg));
}

void asxi_item_drop(const asx_msg *msg)
{
    asx_drop_fn *drop;
    asx_msg copy = *msg; /* drop takes memory it may write to */
    void *const block = block_of(msg);
    memcpy(&drop, &msg->words[3], sizeof(drop));
    if (drop) {
        drop(block ? block : &copy.words[4]);
    }
    free(block);
}
