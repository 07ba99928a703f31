/* The stall detector: finds shards whose turn does not end, and says where they are.
 *
 * Model.  A thread of its own looks at every shard several times a threshold. A shard that is in
 *         the same turn all the while is sampled: a signal makes its thread note its own call
 *         chain, which the detector prints. One report a turn, and a few a minute at most.
 * Owner.  Whoever created it. Shards join and leave on their own threads.
 * Bounds. A shard pays two stores a turn; what does not stall is never interrupted.
 * Rule.   A fiber that neither suspends nor checks is not interrupted, only reported. */
#ifndef ASX_SHARD_STALL_H
#define ASX_SHARD_STALL_H

#include <asx/shard/base/decls.h>
#include <asx/shard/shard.h>

ASX_BEGIN_DECLS

typedef struct asx_stall_watch asx_stall_watch;

#define ASX_STALL_FRAMES_MAX 24u

typedef struct asx_stall_report {
    uint32_t shard;
    uint32_t frame_count;
    uint32_t unreported;  /* stalls before this one that were not printed: too many in a minute */
    asx_duration held_ns; /* at least; a turn that goes on is reported once */
    const char *task;     /* labels; NULL: no task was running, or one without a label */
    const char *region;
    void *frames[ASX_STALL_FRAMES_MAX]; /* innermost first */
} asx_stall_report;

/* Called on the detector's thread. */
typedef void asx_stall_fn(void *arg, const asx_stall_report *report);

typedef struct asx_stall_config {
    asx_duration threshold_ns;   /* 0: 200 ms; counted in whole milliseconds */
    uint32_t reports_per_minute; /* 0: 10 */
    asx_stall_fn *report;        /* NULL: a few lines on standard error */
    void *arg;
} asx_stall_config;

/* Starts the detector's thread, and takes SIGURG for its samples. One at a time in a process.
 * errors  NO_MEMORY, the errno of the thread's creation */
ASX_NODISCARD asx_err asx_stall_watch_create(const asx_stall_config *config,
                                             asx_stall_watch **watch);

/* From the shard's thread; a shard leaves before it is destroyed. */
void asx_stall_watch_join(asx_stall_watch *watch, asx_shard *shard);
void asx_stall_watch_leave(asx_stall_watch *watch, asx_shard *shard);

/* Every shard has left. Ends the thread. */
void asx_stall_watch_destroy(asx_stall_watch *watch);

/* A report as people read it, one line a frame; cut to `size`, terminator included. */
void asx_stall_report_print(const asx_stall_report *report, char *text, size_t size);

ASX_END_DECLS

#endif
