/* A line: the FIFO of those who wait for one resource of an object, and the baton rule.
 *
 * Model.  A resource that becomes free is granted to the head that can use it, at once, so that
 *         nobody overtakes by polling first. A waiter that leaves with a grant it did not use
 *         hands it back, and the next in line gets it in the same turn (SYN-1). Waiters are fibers,
 *         or the requests of other shards.
 * Owner.  The object it is part of. Batons are memory of the waiters'. */
#ifndef ASX_SHARD_SYNC_LINE_INTERNAL_H
#define ASX_SHARD_SYNC_LINE_INTERNAL_H

#include "object_internal.h"

typedef struct asxi_line {
    asx_list waiting;
    uint32_t count;
} asxi_line;

/* What a baton was told; any other value is the asx_err that ends its wait. */
enum { ASXI_LINE_GRANTED = 0, ASXI_LINE_CLOSED = 1 };

typedef struct asxi_baton asxi_baton;
struct asxi_baton {
    asxi_wait wait;
    asxi_object *object;
    asxi_line *line;
    asx_instant since_ns; /* in line */
    uint64_t amount;      /* the type's: how much it needs */
    uint32_t tag;         /* the type's: what it is */
    /* The waiter leaves. granted: with the resource, unused, and the object may have closed since;
     * else it only waited, and those behind it may be able to go on. */
    void (*leave)(asxi_baton *baton, bool granted);
    /* Not NULL: the waiter is no fiber, and is told like this. The baton is out of the line. */
    void (*tell)(asxi_baton *baton, uintptr_t value);
};

/* Takes `baton` out of its line and tells it `value`. */
void asxi_line_tell(asxi_baton *baton, uintptr_t value);
/* asxi_line_close, of one in which somebody waits. */
void asxi_line_close_all(asxi_line *line);
/* For waiters that are no fibers. */
void asxi_line_enter(asxi_line *line, asxi_baton *baton);
void asxi_line_leave(asxi_baton *baton);

/* Waits in `line` until granted: Ok, and the caller has the resource of an open object. object,
 * leave, amount and tag of `baton` are set.
 * what    for people
 * cancel  nothing is held, and the next in line was served
 * errors  `closed`, TIMED_OUT, and what the baton was told */
asx_outcome asxi_line_wait(asx_cx *cx, asxi_line *line, asxi_baton *baton, const char *what,
                           asx_instant deadline_ns, asx_err closed);

/* In whose line a parked fiber stands; NULL: in none. */
asxi_object *asxi_line_target(asxi_wait *wait);
/* mutex.c: the task that holds `object`, on whatever shard: to be compared, not followed. NULL:
 * nobody does, or it is no mutex. */
const asx_task *asxi_mutex_holder(const asxi_object *object);

/* `leave` of a waiter that is told about a state, and never holds a resource. */
void asxi_line_hold_nothing(asxi_baton *baton, bool granted);

static inline bool asxi_line_empty(const asxi_line *line)
{
    return line->count == 0;
}

ASX_INLINE void asxi_line_init(asxi_line *line)
{
    asx_list_init(&line->waiting);
    line->count = 0;
}

/* Tells all that the object is closed. */
ASX_INLINE void asxi_line_close(asxi_line *line)
{
    if (asx_unlikely(!asxi_line_empty(line))) {
        asxi_line_close_all(line);
    }
}

static inline asxi_baton *asxi_line_head(const asxi_line *line)
{
    asx_list *const first = asx_list_first(&line->waiting);
    return first ? asx_container_of(first, asxi_baton, wait.link) : NULL;
}

#endif
