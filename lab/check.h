/* The protocol checker: reads a trace once, forwards, and stops believing it at the first record
 * that cannot follow from those before.
 *
 *   SPAWN-1    spawned twice                      SPAWN-2    into a closed region
 *   TASK-1     completed before it was spawned    TASK-2     in another region
 *   TASK-3     completed twice
 *   CANCEL-1   requested of an unknown task       CANCEL-2   in another region
 *   CANCEL-3   requested after completion         CANCEL-4   acknowledged by an unknown task
 *   CANCEL-5   acknowledged in another region     CANCEL-6   acknowledged before it was requested
 *   REGION-1   created after its close started    REGION-2   close begun after its end
 *   REGION-3   close begun twice                  REGION-4   ended without having begun
 *   REGION-5   ended twice
 *   QUIESCE-1  ended with live tasks              QUIESCE-2  with open children
 *   QUIESCE-3  with finalizers that did not run
 *   OBL-1      ended with unresolved permits      OBL-2      reserved twice
 *   OBL-3      by an unknown task                 OBL-4      leaked
 *   OBL-5      not in its holder's region         OBL-6      by a task that was complete
 *   OBL-7      committed without reserve          OBL-8      aborted without reserve
 *   OBL-9      resolved by another                OBL-10     resolved twice
 *   RING-1     popped out of order, or unpushed
 *   IO-1       result without submit              IO-2       a second final result
 *   SCHEMA-1   unknown kind                       SCHEMA-2   another number of words than it has
 *
 * Partial. A trace that starts in the middle: what is not known is taken to have been there, and
 *          counts only what is seen of it.
 * Memory.  O(1) for each live entity, and for the last ASX_LAB_CHECK_DEAD that ended. */
#ifndef ASX_LAB_CHECK_H
#define ASX_LAB_CHECK_H

#include <asx/lab/event.h>

ASX_BEGIN_DECLS

#define ASX_LAB_CHECK_DEAD 65536u

/* Numbers may change; names are stable. */
#define ASX_LAB_RULE_LIST(X)  \
    X(SPAWN_1, "SPAWN-1")     \
    X(SPAWN_2, "SPAWN-2")     \
    X(TASK_1, "TASK-1")       \
    X(TASK_2, "TASK-2")       \
    X(TASK_3, "TASK-3")       \
    X(CANCEL_1, "CANCEL-1")   \
    X(CANCEL_2, "CANCEL-2")   \
    X(CANCEL_3, "CANCEL-3")   \
    X(CANCEL_4, "CANCEL-4")   \
    X(CANCEL_5, "CANCEL-5")   \
    X(CANCEL_6, "CANCEL-6")   \
    X(REGION_1, "REGION-1")   \
    X(REGION_2, "REGION-2")   \
    X(REGION_3, "REGION-3")   \
    X(REGION_4, "REGION-4")   \
    X(REGION_5, "REGION-5")   \
    X(QUIESCE_1, "QUIESCE-1") \
    X(QUIESCE_2, "QUIESCE-2") \
    X(QUIESCE_3, "QUIESCE-3") \
    X(OBL_1, "OBL-1")         \
    X(OBL_2, "OBL-2")         \
    X(OBL_3, "OBL-3")         \
    X(OBL_4, "OBL-4")         \
    X(OBL_5, "OBL-5")         \
    X(OBL_6, "OBL-6")         \
    X(OBL_7, "OBL-7")         \
    X(OBL_8, "OBL-8")         \
    X(OBL_9, "OBL-9")         \
    X(OBL_10, "OBL-10")       \
    X(RING_1, "RING-1")       \
    X(IO_1, "IO-1")           \
    X(IO_2, "IO-2")           \
    X(SCHEMA_1, "SCHEMA-1")   \
    X(SCHEMA_2, "SCHEMA-2")

typedef enum asx_lab_rule {
    ASX_LAB_RULE_NONE = 0,
#define X(name, text) ASX_LAB_RULE_##name,
    ASX_LAB_RULE_LIST(X)
#undef X
        ASX_LAB_RULE_END
} asx_lab_rule;

/* The first violation: the records up to `index` are the counterexample. */
typedef struct asx_lab_breach {
    asx_lab_rule rule; /* NONE: there is none */
    uint64_t index;    /* of the record, in the order given */
    uint64_t seq;
    char detail[160];
} asx_lab_breach;

typedef struct asx_lab_check asx_lab_check;

asx_lab_check *asx_lab_check_create(bool partial);
/* After a violation, records are only counted. */
void asx_lab_check_event(asx_lab_check *check, const asx_lab_event *event);
const asx_lab_breach *asx_lab_check_breach(const asx_lab_check *check);
void asx_lab_check_destroy(asx_lab_check *check);

/* All of it over records in memory. True when no rule is broken. */
bool asx_lab_check_events(const asx_lab_event *events, size_t count, bool partial,
                          asx_lab_breach *breach);

const char *asx_lab_rule_name(asx_lab_rule rule);

ASX_END_DECLS

#endif
