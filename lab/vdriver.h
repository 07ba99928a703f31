/* The lab's driver: virtual time, operations that complete when the virtual clock says so, and
 * every freedom that a real queue takes as a recorded choice.
 *
 * Model.  Completions queue up by (due, order). How many of them a reap takes, which comes first,
 *         which blocking job is the next to end, whether a cancel or the operation wins, and when a
 *         doorbell is heard are choices of the run's env. Descriptors name sockets of the vnet and
 *         files of the vdisk, lowest free number first, so that numbers are reused as a process
 *         would see it. TASK operations run their work when due, `arg` ns after submit.
 * Clock.  With an env, the run moves the clock and park() returns at once: asx_vdriver_wants tells
 *         when this shard can go on. Without, park() moves a clock of its own; a shard that parks
 *         when nothing can ever happen to it is deadlocked, and ends the process.
 * Files.  OPEN and STAT go to the vdisk, never to the machine's.
 * Alone.  Without a vnet, POLL operations stay in flight until cancelled and the other operations
 *         on descriptors fail with ENOSYS: enough for tests of the kernel itself.
 * Owner.  The shard it was given to. One thread. */
#ifndef ASX_LAB_VDRIVER_H
#define ASX_LAB_VDRIVER_H

#include <asx/lab/env.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/driver.h>

ASX_BEGIN_DECLS

struct asx_vdisk;
struct asx_vnet;

typedef struct asx_vdriver_config { /* zero-filled fields are the defaults */
    asx_lab_env *env;               /* of the run that moves the clock; NULL: alone */
    struct asx_vnet *net;           /* shared by the drivers of a run; needs env */
    struct asx_vdisk *disk;         /* likewise */
    uint32_t shard;                 /* names it in choices and events */
    uint32_t host;                  /* of its sockets, see vnet.h */
    asx_duration clock_offset_ns;   /* what now() is ahead of the run's clock at its zero */
    int32_t clock_skew_ppm;         /* and how much faster it runs */
    uint32_t fd_max;                /* descriptors open at once; 0: 65,536 */
    uint32_t buf_count, buf_size;   /* receive buffers; 0: 512 of 4096 bytes */
    asx_duration cancel_delay_ns;   /* between a cancel and its completion */

    /* Alone only */
    uint64_t seed;
    asx_instant *clock_ns; /* moved by somebody else; NULL: its own */
    bool shuffle;          /* choose among equals from the seed; false: always the first */
    uint32_t
        cancel_loses_ppm; /* how often a cancelled TASK completes with its real result instead */
} asx_vdriver_config;

/* errors  NO_MEMORY */
ASX_NODISCARD asx_err asx_vdriver_create(const asx_vdriver_config *config, asx_driver **driver);

/* When the shard that parked last wants to go on, in time of the run's clock: not after now when a
 * completion is here or it was woken, ASX_TIME_NEVER when only others can wake it. */
asx_instant asx_vdriver_wants(asx_driver *driver);

/* The network and the disk it is at, for programs that break them; NULL: none. */
struct asx_vnet *asx_vdriver_net(asx_driver *driver);
struct asx_vdisk *asx_vdriver_disk(asx_driver *driver);

/* The shard's clock jumps ahead by `ns`, the run's does not. */
void asx_vdriver_clock_jump(asx_driver *driver, asx_duration ns);

ASX_END_DECLS

#endif
