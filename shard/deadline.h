/* Deadlines: which tasks are about to miss one, or do nothing towards it (TMR-15, TMR-16).
 *
 * Model.  A task of its own looks at every task of its shard that has a deadline, once a period.
 *         A task is warned about once in its life, and counted once as having missed its deadline:
 *         by the watch, by its own checkpoint, or at its end, whoever sees it first.
 * Owner.  The shard; one watch at a time.
 * Bounds. A period costs one word of each task record, and a few hundred of them between two
 *         yields. A task without a deadline costs nothing where it runs.
 * Rule.   Whoever waits has reached a checkpoint, so a task's last progress is when it last left
 *         the processor. */
#ifndef ASX_SHARD_DEADLINE_H
#define ASX_SHARD_DEADLINE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

/* Pointers are lent during the call. */
typedef struct asx_deadline_warning {
    asx_handle task;
    bool approaching;          /* most of its time is used up */
    bool silent;               /* no progress for long */
    const char *label;         /* NULL: it has none */
    const char *region;        /* label; NULL: it has none */
    const char *waits_for;     /* NULL: it does not wait */
    asx_duration total_ns;     /* from its spawn to its deadline */
    asx_duration remaining_ns; /* 0: it is past it */
    asx_duration silent_ns;    /* since its last progress */
    uint64_t checkpoints;      /* explicit ones */
    const char *trail;         /* its last checkpoint messages, oldest first; never NULL */
    uint32_t unreported;       /* warnings before this one that were not reported: too many */
} asx_deadline_warning;

/* Called on the shard; must not suspend. */
typedef void asx_deadline_fn(void *arg, const asx_deadline_warning *warning);

typedef struct asx_deadline_config { /* zero-filled fields are the defaults */
    asx_duration period_ns;          /* 0: 1 s */
    uint32_t approach_percent;       /* of the total that is left when it is warned about; 0: 20 */
    asx_duration silence_ns;         /* 0: 30 s */
    /* Warns instead when a task has run as long as nine of ten of its label did before. Until ten
     * of them ended, after 30 s. */
    bool adaptive;
    uint32_t reports_per_minute; /* 0: 10; all are counted */
    /* A task that holds an obligation and has not run for so long is reported, once (FUT-1); 0:
     * 30 s. */
    asx_duration futurelock_ns;
    asx_deadline_fn *report; /* NULL: a line to the shard's diagnostic */
    void *arg;
} asx_deadline_config;

/* Watches cx's shard until it is cancelled: the body of a fiber of its own.
 *
 * asserts  nobody else watches this shard */
ASX_NODISCARD asx_outcome asx_deadline_watch(asx_cx *cx, const asx_deadline_config *config);

/* A warning as people read it, on one line; cut to `size`, terminator included. */
void asx_deadline_warning_print(const asx_deadline_warning *warning, char *text, size_t size);

ASX_END_DECLS

#endif
