/* What the checker knows of tasks, regions, permits, operations and rings. */
#ifndef ASX_LAB_CHECK_INTERNAL_H
#define ASX_LAB_CHECK_INTERNAL_H

#include <asx/lab/check.h>

#include "array_internal.h"

typedef enum asxi_entity_kind {
    ASXI_ENTITY_TASK = 1,
    ASXI_ENTITY_REGION,
    ASXI_ENTITY_PERMIT,
    ASXI_ENTITY_IO,
    ASXI_ENTITY_RING,
} asxi_entity_kind;

typedef struct asxi_entity {
    uint64_t id;
    uint64_t region;         /* a task's or permit's; a region's parent */
    uint64_t holder;         /* of a permit */
    uint64_t pushed, popped; /* of a ring */
    uint32_t next;           /* in its bucket, or in the free list; index + 1 */
    uint32_t tasks, children, finalizers, permits; /* of a region: not over yet */
    uint8_t kind;                                  /* asxi_entity_kind */
    bool over;                                     /* complete, closed, resolved, final */
    bool closing;                                  /* of a region */
    bool requested;                                /* of a task: its cancellation */
    bool adopted;                                  /* its beginning was not seen */

    /* What the oracles note. Of a task: */
    uint64_t deadline_ns; /* 0: none; of a region too */
    uint64_t blocked_at;  /* dispatches of its shard when it blocked */
    uint64_t waits_for;   /* trace identity; 0: not said */
    uint64_t asked_ns;    /* when it was cancelled, chaos's lateness taken off */
    uint64_t woken_at;    /* dispatches of its shard when it was */
    uint64_t race;        /* the region of the one it runs; 0: none */
    uint32_t held;        /* permits */
    uint32_t masks;
    uint32_t unheeded;   /* dispatches since its cancellation was requested */
    uint16_t caps_taken; /* capabilities that it does not have */
    uint8_t severity;    /* of the reason it was asked for */
    bool asked, acknowledged, queued, plain, blocked, timed, suspected, woken, masked, renewed;
    bool woke_itself; /* by what it did while it ran */
    /* Of a region: */
    bool cancelled, finalizing;
    uint32_t tasks_asked, children_cut; /* of its live ones */
    uint32_t finalizer_top;             /* the number that runs next */
} asxi_entity;

typedef struct asxi_entities {
    asxi_array all;
    uint32_t *buckets; /* index + 1 */
    uint32_t bucket_count, live;
    uint32_t free;  /* index + 1 */
    uint32_t *dead; /* those that are over, oldest first */
    uint32_t dead_at, dead_count;
} asxi_entities;

/* The table of a checker, for those who ask more of the same trace. */
asxi_entities *asxi_check_entities(asx_lab_check *check);

void asxi_entities_init(asxi_entities *entities);
void asxi_entities_deinit(asxi_entities *entities);
/* NULL: not known. Good until the next add. */
asxi_entity *asxi_entities_find(asxi_entities *entities, asxi_entity_kind kind, uint64_t id);
asxi_entity *asxi_entities_add(asxi_entities *entities, asxi_entity_kind kind, uint64_t id);
/* Marks it over, and forgets the one that has been over for longest. */
void asxi_entities_end(asxi_entities *entities, asxi_entity *entity);

#endif
