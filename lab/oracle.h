/* Oracles: what must hold in every run, by name, and what each of them saw.
 *
 * Model.   An oracle is a question about the whole run; its verdict is pass, fail with the first
 *          violation, or vacuous: the run did nothing that it could have judged. Most are views on
 *          the rules of check.h, whose table of entities all of them read; what no rule says, they
 *          say themselves. They hear each event after the checker has believed it, and nothing
 *          after the first that it does not.
 * Bounds.  O(1) an event; once in a thousand dispatches, one look at each task that holds a permit.
 * Owner.   The recorder of a run; tests, which feed traces made by hand. */
#ifndef ASX_LAB_ORACLE_H
#define ASX_LAB_ORACLE_H

#include <asx/lab/check.h>

ASX_BEGIN_DECLS

/* In the order of names. */
#define ASX_LAB_ORACLE_LIST(X)                                                               \
    X(AMBIENT_AUTHORITY, ambient_authority, "a task has and uses only what its spawner had") \
    X(CANCELLATION_PROTOCOL, cancellation_protocol,                                          \
      "a cancel reaches everybody below, never weakens, and is acknowledged")                \
    X(CANCEL_ORDER, cancel_order, "nobody is cancelled for a parent that is not")            \
    X(CANCEL_STUCK, cancel_stuck, "who is cancelled is woken, and hears of it in time")      \
    X(DEADLINE_MONOTONE, deadline_monotone, "no child may take longer than its parent")      \
    X(DOORBELL, doorbell, "no shard sleeps on its messages")                                 \
    X(EDF_ORDER, edf_order, "of those in a hurry, the earliest deadline goes first")         \
    X(FINALIZER, finalizer, "each runs once, after the tasks, the last added first")         \
    X(FUTURELOCK, futurelock, "nobody sits on a permit while nothing can wake it")           \
    X(LANE_FAIRNESS, lane_fairness, "no lane starves another")                               \
    X(LOSER_DRAIN, loser_drain, "a race ends when every branch has")                         \
    X(OBLIGATION_LEAK, obligation_leak, "every permit is committed or aborted in time")      \
    X(OBLIGATION_LINEAR, obligation_linear, "a permit is resolved once, by its holder")      \
    X(QUIESCENCE, quiescence, "a closed region has nothing left, and gets nothing more")     \
    X(REGION_TREE, region_tree, "regions open and close once, inside their parents")         \
    X(RING_FIFO, ring_fifo, "messages arrive once, in order")                                \
    X(SHARD_AFFINITY, shard_affinity, "what belongs to a shard is touched by nobody else")   \
    X(TASK_LEAK, task_leak, "every task ends once, before its region")                       \
    X(WAKER_DEDUP, waker_dedup, "a wake is one dispatch: never two, never none")

typedef enum asx_lab_oracle {
#define X(name, text, meaning) ASX_LAB_ORACLE_##name,
    ASX_LAB_ORACLE_LIST(X)
#undef X
        ASX_LAB_ORACLE_COUNT
} asx_lab_oracle;

#define ASX_LAB_ORACLES_ALL ((UINT32_C(1) << ASX_LAB_ORACLE_COUNT) - 1)

typedef enum asx_lab_finding {
    ASX_LAB_UNASKED = 0, /* not among the selected */
    ASX_LAB_VACUOUS,     /* no event concerned it */
    ASX_LAB_PASS,
    ASX_LAB_FAIL,
} asx_lab_finding;

typedef struct asx_lab_verdict {
    asx_lab_finding finding;
    uint64_t events;     /* that it looked at */
    uint64_t violations; /* at least: a broken rule of the checker's ends the looking */
    uint64_t seq;        /* of the first */
    char first[160];
} asx_lab_verdict;

const char *asx_lab_oracle_name(asx_lab_oracle oracle);
const char *asx_lab_oracle_meaning(asx_lab_oracle oracle);
const char *asx_lab_finding_name(asx_lab_finding finding);

/* The oracles of a list of names, "finalizer,task_leak"; NULL: all. 0: some name is unknown, and
 * `why` says which, and which known one is nearest. */
uint32_t asx_lab_oracles_select(const char *names, char *why, size_t cap);

#define ASX_LAB_NO_TURN UINT32_MAX

typedef struct asx_lab_oracles asx_lab_oracles;

/* check          heard every event before these do; lent until destroy
 * selected       bits 1 << asx_lab_oracle
 * cancel_streak  the shards' limit */
asx_lab_oracles *asx_lab_oracles_create(asx_lab_check *check, uint32_t selected,
                                        uint32_t cancel_streak);
void asx_lab_oracles_event(asx_lab_oracles *oracles, const asx_lab_event *event);
/* From now on it is this shard's turn; ASX_LAB_NO_TURN: nobody's, or not known. */
void asx_lab_oracles_turn(asx_lab_oracles *oracles, uint32_t shard);
/* Nothing more will be heard. stuck: something is left, and nothing can happen any more. */
void asx_lab_oracles_end(asx_lab_oracles *oracles, bool stuck);
asx_lab_verdict asx_lab_oracles_verdict(const asx_lab_oracles *oracles, asx_lab_oracle oracle);
void asx_lab_oracles_destroy(asx_lab_oracles *oracles);

ASX_END_DECLS

#endif
