/* How a shard with nothing to run waits: for a while with its eyes open, then asleep.
 *
 * A bell and the sleep it ends cost tens of microseconds of both cores; an answer of another shard
 * mostly comes sooner. So who exchanged messages in this turn looks for more before it sleeps, as
 * long as that has paid: how long it had to wait in the end, lately, tells. */
#include "shard_internal.h"

#define LOOKS 64u /* at the rings, between two looks at the clock and the driver */

/* Of the drivers that live in real time. */
static bool may_spin(asx_shard *shard)
{
    const uint64_t exchanged = shard->stats.messages_received + shard->stats.messages_sent;
    const bool any = exchanged != shard->park_exchanged;
    shard->park_exchanged = exchanged;
    return any && shard->driver->ops->choose == NULL;
}

/* True: there is something to do. */
static bool spin(asx_shard *shard, asx_instant until)
{
    const asx_driver_ops *const ops = shard->driver->ops;
    do {
        ops->park(shard->driver, 0); /* what this turn queued is on its way meanwhile */
        if (ops->ready(shard->driver)) {
            return true;
        }
        for (unsigned i = 0; i < LOOKS; i++) {
            if (!asx_mesh_inbox_empty(shard->mesh, shard->index)) {
                return true;
            }
            asx_cpu_relax();
        }
    } while (ops->now(shard->driver) < until);
    return false;
}

static void sleep_until(asx_shard *shard, asx_instant until)
{
    /* Pairs with asx_mesh_wake_needed: a message that arrives after the flag rings the doorbell. */
    asx_mesh_sleep_begin(shard->mesh, shard->index);
    if (!asx_mesh_inbox_empty(shard->mesh, shard->index)) {
        until = 0;
    }
    shard->driver->ops->park(shard->driver, until);
    asx_mesh_sleep_end(shard->mesh, shard->index);
}

void asxi_park_idle(asx_shard *shard, asx_instant until)
{
    if (!may_spin(shard)) {
        sleep_until(shard, until);
        return;
    }
    const asx_instant begun = shard->driver->ops->now(shard->driver);
    const asx_instant spun = asx_time_add(begun, ASX_PARK_SPIN_NS);
    const bool pays = shard->park_gap_ns < ASX_PARK_SPIN_NS;
    if (!pays || !spin(shard, spun < until ? spun : until)) {
        sleep_until(shard, until);
    }
    const asx_duration took = asx_time_sub(shard->driver->ops->now(shard->driver), begun);
    const asx_duration most = 4 * ASX_PARK_SPIN_NS;
    shard->park_gap_ns += (took < most ? took : most) / 4 - shard->park_gap_ns / 4;
}
