/* Children on other shards: spawn, cancel, close and outcome as messages (XSH-1..5). */
#include <asx/shard/base/assert.h>

#include "shard_internal.h"

void asxi_limb_cancel_all(asx_region *region)
{
    (void)region;
}

void asxi_limb_close_all(asx_region *region, asx_close_mode mode)
{
    (void)region;
    (void)mode;
}

void asxi_limb_home_closed(asx_region *region, asx_outcome value)
{
    (void)region;
    (void)value;
}

unsigned asxi_mesh_drain(asx_shard *shard, unsigned limit)
{
    (void)shard;
    (void)limit;
    return 0;
}

void asxi_mesh_publish(asx_shard *shard)
{
    (void)shard;
}
