/* Races: pairs of adjacent dependent steps of different processes, which another schedule could
 * turn round.
 *
 * Model.   A run is a list of steps, each of one process (a shard, or the clock), with what it
 *          touched and who could have run instead. Happens-before is program order and dependence,
 *          kept as a vector clock a step. A race is immediate when no third step stands between
 *          the two; for each access only the last write and the reads since can be in one.
 *          Reversible: the later step's process could have gone first.
 * Bounds.  O(accesses * processes) to add a step.
 * Owner.   The search that looks at the run.
 * Source.  Abdulla et al., Optimal DPOR, POPL 2014; Fidge and Mattern, 1988. */
#ifndef ASX_LAB_RACE_H
#define ASX_LAB_RACE_H

#include <asx/lab/independence.h>

ASX_BEGIN_DECLS

/* Processes of a run: shards, and one more for the clock. A set of them is a word. */
#define ASX_RACE_PROCESSES_MAX 64u

typedef struct asx_race_order asx_race_order;

typedef struct asx_race_step {
    uint32_t process;
    uint64_t enabled; /* the processes that could have taken this step's place, its own too */
    asx_accesses accesses;
} asx_race_step;

typedef struct asx_race {
    uint32_t earlier, later; /* steps */
    asx_lab_access access;   /* the later step's, on what both share */
    bool reversible;
} asx_race;

asx_race_order *asx_race_order_create(uint32_t processes);
void asx_race_order_destroy(asx_race_order *order);
/* Forgets all steps. */
void asx_race_order_clear(asx_race_order *order);

/* Adds the next step of the run, and copies its accesses. */
void asx_race_order_add(asx_race_order *order, const asx_race_step *step);

uint32_t asx_race_order_count(const asx_race_order *order);
asx_race_step asx_race_order_step(const asx_race_order *order, uint32_t index);

/* Whether step a happens before step b; a == b: false. */
bool asx_race_before(const asx_race_order *order, uint32_t a, uint32_t b);

/* One count a process; lent until the next add. */
const uint32_t *asx_race_clock(const asx_race_order *order, uint32_t step);

/* The immediate races in which `later` is the second, by ascending first; lent until the next call
 * of this or of add. */
const asx_race *asx_race_each(asx_race_order *order, uint32_t later, uint32_t *count);

/* The processes that can start the run in which `race` is reversed: those whose first step among
 * the steps after race->earlier that do not happen after it, followed by race->later, has no
 * predecessor among them. */
uint64_t asx_race_initials(const asx_race_order *order, const asx_race *race);

/* A lower bound of the number of classes near this run: one, and one more for each reversible race
 * that does not overlap one already counted. */
uint32_t asx_race_classes_least(asx_race_order *order);

ASX_END_DECLS

#endif
