/* A crew: the tasks that work for one flow, and the one who waits for any of them.
 *
 * Model.  A hand runs one function at a time as a task of its own. Who ended is queued, in order,
 *         until the puller looks; a puller that left meanwhile loses nothing.
 * Owner.  The flow. The tasks are in a region of the crew's own, a child of the one in which the
 *         flow was made: closing it is what drains them. */
#ifndef ASX_SHARD_FLOW_CREW_INTERNAL_H
#define ASX_SHARD_FLOW_CREW_INTERNAL_H

#include "flow_internal.h"

typedef struct asxi_crew {
    asx_handle region;
    asx_err refused;  /* why there is no region */
    asxi_wait *waits; /* the puller's, while it is parked */
    asx_list ended;   /* of hands */
    uint32_t running;
} asxi_crew;

typedef struct asxi_hand asxi_hand;
struct asxi_hand {
    asx_list link; /* in crew->ended */
    asxi_crew *crew;
    asx_outcome (*fn)(asx_cx *cx, asxi_hand *hand);
    asx_handle task;
    asx_outcome outcome; /* of fn, when returned */
    bool running;        /* until asxi_hand_join */
    bool ended, entered, returned;
};

void asxi_crew_open(asxi_crew *crew, asx_cx *cx);
/* Cancels and drains all. Waits, masked. A panic among the hands, lent, or Ok. */
asx_outcome asxi_crew_close(asxi_crew *crew, asx_cx *cx);

/* errors  those of a spawn: nothing runs */
asx_err asxi_hand_start(asxi_hand *hand, asxi_crew *crew, asx_cx *cx,
                        asx_outcome (*fn)(asx_cx *cx, asxi_hand *hand));
/* After it has ended, and only once. Payloads are lent to the caller's task. */
asx_outcome asxi_hand_join(asxi_hand *hand, asx_cx *cx);

/* The first that ended and was not joined, or NULL. */
asxi_hand *asxi_crew_ended(const asxi_crew *crew);
/* Waits until somebody has ended: Ok(ASX_FLOW_ITEM), Ok(ASX_FLOW_LATE) or Cancelled. */
asx_outcome asxi_crew_wait(asxi_crew *crew, asx_cx *cx, const char *what, asx_instant deadline_ns);

#endif
