/* Deadlocks: tasks of a shard that wait for one another, in lines for people.
 *
 * Model.  Read from the kernel's own records at this instant: a task waits for a task (join), for a
 *         region and hence for all that live in it (scope, close), or for a mutex and hence for its
 *         holder. Those that reach one another are trapped when none of them waits for anything
 *         else: a timer, an operation, a task that runs, another shard. Else they are a risk: what
 *         is outside may still help.
 * Owner.  The shard's thread.
 * Bounds. The first ASX_DEADLOCK_TASKS_MAX waiting tasks are looked at; memory for it is the
 *         shard's, and given back. */
#ifndef ASX_SHARD_SYNC_DEADLOCK_H
#define ASX_SHARD_SYNC_DEADLOCK_H

#include <asx/shard/base/decls.h>
#include <asx/shard/explain.h>

ASX_BEGIN_DECLS

#define ASX_DEADLOCK_TASKS_MAX 1024u

typedef struct asx_deadlocks {
    uint32_t trapped, risks; /* groups */
    uint32_t waiting;        /* tasks looked at */
} asx_deadlocks;

/* A line for each group, and one for each task in it.
 * errors  NO_MEMORY: nothing was said */
ASX_NODISCARD asx_err asx_deadlock_look(asx_shard *shard, uint32_t lines_max, asx_explain_fn *say,
                                        void *arg, asx_deadlocks *found);

ASX_END_DECLS

#endif
