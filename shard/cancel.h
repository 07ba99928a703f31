/* Cancel kinds and reasons: who asked, why, because of what (CXL-*).
 *
 * Model.  A reason is immutable once made; a cause chain is a list of reasons. All comparisons use
 *         severity; strengthen() picks the greater of two by a total order, whole.
 * Owner.  Records are made by asx_reason_create with one reference; tasks and regions hold theirs.
 *         References are counted without atomics: a reason stays on its shard, messages carry
 *         copies.
 * Bounds. A chain holds at most 16 links and 4096 estimated bytes (CXL-6). */
#ifndef ASX_SHARD_CANCEL_H
#define ASX_SHARD_CANCEL_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/time.h>
#include <asx/shard/budget.h>
#include <asx/shard/handle.h>

#include <stdbool.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef enum asx_cancel_kind {
    ASX_CANCEL_USER = 0,
    ASX_CANCEL_TIMEOUT,
    ASX_CANCEL_DEADLINE,
    ASX_CANCEL_POLL_QUOTA,
    ASX_CANCEL_COST_BUDGET,
    ASX_CANCEL_FAIL_FAST,
    ASX_CANCEL_RACE_LOST,
    ASX_CANCEL_LINKED_EXIT,
    ASX_CANCEL_PARENT_CANCELLED,
    ASX_CANCEL_RESOURCE_UNAVAILABLE,
    ASX_CANCEL_SHUTDOWN,
} asx_cancel_kind;
#define ASX_CANCEL_KIND_COUNT 11u

#define ASX_REASON_MESSAGE_MAX 40 /* terminator included; longer ones are cut */
#define ASX_CAUSE_DEPTH_MAX 16u
#define ASX_CAUSE_BYTES_MAX 4096u

typedef struct asx_reason asx_reason;
struct asx_reason {
    uint32_t _refs;
    uint8_t kind; /* asx_cancel_kind */
    bool truncated;
    uint8_t truncated_at_depth;
    uint8_t depth; /* links of the chain, this one included */
    asx_handle region;
    asx_handle task; /* null when no task asked */
    asx_instant at_ns;
    const asx_reason *cause;              /* NULL at the root; holds a reference */
    char message[ASX_REASON_MESSAGE_MAX]; /* "" when absent */
};

const char *asx_cancel_kind_name(asx_cancel_kind kind);
/* 0..5; kinds of one severity are equals (CXL-2). */
unsigned asx_cancel_severity(asx_cancel_kind kind);
/* Polls and priority for cleaning up after `kind`; no deadline, no cost quota (CXL-1). */
asx_budget asx_cancel_cleanup_budget(asx_cancel_kind kind);

/* A reason with one reference; message may be NULL, cause is retained and cut to the limits
 * (CXL-6). Never NULL: without memory a shared reason of the kind, without attribution, is
 * returned. */
const asx_reason *asx_reason_create(asx_cancel_kind kind, asx_handle region, asx_handle task,
                                    asx_instant at_ns, const char *message,
                                    const asx_reason *cause);
const asx_reason *asx_reason_retain(const asx_reason *reason); /* NULL allowed */
void asx_reason_release(const asx_reason *reason);             /* NULL allowed */

const asx_reason *asx_reason_root(const asx_reason *reason);
bool asx_reason_any_cause_is(const asx_reason *reason, asx_cancel_kind kind);
bool asx_reason_cancelled_by(const asx_reason *reason, asx_handle region);

/* The greater of two under CXL-9; `a` on a full tie. NULL is below everything. No references move.
 */
const asx_reason *asx_reason_strengthen(const asx_reason *a, const asx_reason *b);

/* A deep copy for another shard, whole chain, each with one reference; NULL for NULL or no memory.
 */
const asx_reason *asx_reason_copy(const asx_reason *reason);

/* Phases of a task's cancellation, and the witness that every transition must satisfy (CXL-11). */
typedef enum asx_cancel_phase {
    ASX_CANCEL_PHASE_REQUESTED = 0,
    ASX_CANCEL_PHASE_CANCELLING,
    ASX_CANCEL_PHASE_FINALIZING,
    ASX_CANCEL_PHASE_COMPLETED,
} asx_cancel_phase;

typedef struct asx_cancel_witness {
    asx_handle task;
    asx_handle region;
    uint32_t epoch; /* 0: never cancelled; 1 from the first request */
    uint8_t phase;  /* asx_cancel_phase */
    uint8_t severity;
} asx_cancel_witness;

typedef enum asx_witness_fault {
    ASX_WITNESS_VALID = 0,
    ASX_WITNESS_EPOCH_ZERO,
    ASX_WITNESS_TASK_MISMATCH,
    ASX_WITNESS_REGION_MISMATCH,
    ASX_WITNESS_EPOCH_MISMATCH,
    ASX_WITNESS_PHASE_REGRESSION,
    ASX_WITNESS_REASON_WEAKENED,
} asx_witness_fault;

const char *asx_witness_fault_name(asx_witness_fault fault);
asx_witness_fault asx_cancel_witness_step(const asx_cancel_witness *from,
                                          const asx_cancel_witness *to);

ASX_END_DECLS

#endif
