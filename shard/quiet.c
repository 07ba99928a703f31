/* What a shard gives back once it has been quiet: the memory that a crowd left behind.
 *
 *   busy ──few dispatches for ASX_QUIET_NS──> due ──all given back──> at rest
 *    └<──────── ASX_QUIET_DISPATCHES dispatches, from anywhere ──────────┘
 *
 * Nobody's path but the idle shard's leads through here. It sleeps no longer than until it is due,
 * gives back some, looks whether anything has come meanwhile, and goes on. */
#include "shard_internal.h"

/* The heaps of the next regions. True: there may be more. */
static bool heaps_trim(asx_shard *shard)
{
    size_t released = 0;
    asx_region *region = NULL;
    for (unsigned i = 0; i < ASX_QUIET_BATCH && released == 0; i++) {
        region = asx_handle_next_live(&shard->regions, &shard->quiet_region);
        if (!region) {
            return false;
        }
        released = asx_heap_trim(&region->heap);
    }
    return true;
}

/* True: there may be more. */
static bool give_back(asx_shard *shard)
{
    shard->stats.quiet_steps++;
    return heaps_trim(shard) ||
           asx_stack_pool_trim(&shard->stacks, ASX_QUIET_STACKS_KEPT, ASX_QUIET_BATCH) ==
               ASX_QUIET_BATCH ||
           asx_chunk_trim_some(&shard->chunks, ASX_QUIET_CHUNK_BYTES_KEPT, ASX_QUIET_BATCH) ==
               ASX_QUIET_BATCH;
}

asx_instant asxi_quiet_look(asx_shard *shard, asx_instant until)
{
    const uint64_t taken = shard->sched.taken;
    if (shard->driver->ops->choose != NULL) {
        return until; /* time is imagined, and memory is the test's */
    }
    if (taken - shard->quiet_taken >= ASX_QUIET_DISPATCHES) {
        shard->quiet_taken = taken;
        shard->quiet_since_ns = shard->now_ns;
        shard->quiet_region = 0;
        shard->quiet_due = true;
    }
    if (!shard->quiet_due) {
        return until;
    }
    const asx_instant due_ns = asx_time_add(shard->quiet_since_ns, ASX_QUIET_NS);
    if (shard->now_ns < due_ns) {
        return due_ns < until ? due_ns : until;
    }
    shard->quiet_due = give_back(shard);
    return shard->quiet_due ? 0 : until;
}
