/* The lab's driver: virtual time, seeded choices, operations that complete when the virtual clock
 * says so.
 *
 * Model.  park() moves the clock to the next instant at which something is due, instead of waiting
 *         for it; a run of several shards moves one shared clock itself. A shard that parks when
 *         nothing can ever happen to it is deadlocked, and ends the process. Equals are picked from
 *         the seed, so one seed is one run. TASK operations run their work when due, `arg` ns after
 *         submit; POLL operations stay in flight until cancelled; a cancelled operation completes
 *         after cancel_delay_ns.
 * Owner.  The shard it was given to. One thread. */
#ifndef ASX_LAB_VDRIVER_H
#define ASX_LAB_VDRIVER_H

#include <asx/shard/base/decls.h>
#include <asx/shard/driver.h>

ASX_BEGIN_DECLS

typedef struct asx_vdriver_config { /* zero-filled fields are the defaults */
    uint64_t seed;
    asx_instant *clock_ns; /* shared by the drivers of one run, which moves it; NULL: its own */
    bool shuffle;          /* choose among equals from the seed; false: always the first */
    asx_duration cancel_delay_ns; /* between a cancel and its completion */
    uint32_t
        cancel_loses_ppm; /* how often a cancelled TASK completes with its real result instead */
} asx_vdriver_config;

/* errors  NO_MEMORY */
ASX_NODISCARD asx_err asx_vdriver_create(const asx_vdriver_config *config, asx_driver **driver);

/* When the shard that parked last wants to go on: not after now when it was woken, ASX_TIME_NEVER
 * when only others can wake it. With a shared clock, park() returns at once, and this is what the
 * run needs to know. */
asx_instant asx_vdriver_wants(asx_driver *driver);

ASX_END_DECLS

#endif
