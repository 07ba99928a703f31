/* Obligations: permits, acks, leases, resolved exactly once (OBL-*).
 *
 *   RESERVED ─commit─> COMMITTED   ─abort─> ABORTED(reason)   ─audit─> LEAKED
 *
 * Model.  A record in the shard's table, named by a permit that is a plain value. Only the holder
 *         resolves. What a task still holds at its end is judged by the audit: aborted when it
 *         noticed a cancel or panicked, a leak otherwise.
 * Owner.  The holder task; the region counts it and cannot close before it is resolved.
 * Bounds. reserve and resolve are O(1) and allocate nothing from the global heap; the audit is
 *         O(held). */
#ifndef ASX_SHARD_OBLIGATION_H
#define ASX_SHARD_OBLIGATION_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

typedef enum asx_obligation_kind {
    ASX_OBLIGATION_SEND_PERMIT = 0,
    ASX_OBLIGATION_ACK,
    ASX_OBLIGATION_LEASE,
    ASX_OBLIGATION_IO_OP, /* counted by the operations themselves, never in this table */
    ASX_OBLIGATION_SEMAPHORE_PERMIT,
    ASX_OBLIGATION_TRANSACTION,
} asx_obligation_kind;
#define ASX_OBLIGATION_KIND_COUNT 6u

typedef enum asx_obligation_state {
    ASX_OBLIGATION_RESERVED = 0,
    ASX_OBLIGATION_COMMITTED,
    ASX_OBLIGATION_ABORTED,
    ASX_OBLIGATION_LEAKED,
} asx_obligation_state;

typedef enum asx_abort_reason {
    ASX_ABORT_CANCEL = 0,
    ASX_ABORT_ERROR,
    ASX_ABORT_EXPLICIT,
} asx_abort_reason;

typedef struct asx_permit {
    asx_handle handle;
} asx_permit;

/* How the audit of a holder's end resolved what the holder did not. */
typedef enum asx_settlement {
    ASX_SETTLED_CANCEL = 0, /* aborted: the holder was cancelled, or never ran */
    ASX_SETTLED_PANIC,      /* aborted: the holder panicked */
    ASX_SETTLED_LEAK,       /* LEAKED */
    ASX_SETTLED_RECOVERED,  /* leaked, and aborted by the response */
} asx_settlement;

/* Told then: gives the resource back. */
typedef void asx_obligation_fn(void *object, uint64_t amount, asx_settlement how);

typedef struct asx_obligation_options {
    asx_obligation_kind kind;
    const char *what; /* for people; outlives the obligation */
    asx_obligation_fn *settle;
    void *object; /* passed to settle, with amount */
    uint64_t amount;
    const char *file;
    int line;
} asx_obligation_options;

const char *asx_obligation_kind_name(asx_obligation_kind kind);
const char *asx_obligation_state_name(asx_obligation_state state);

/* errors  REGION_CLOSED, AT_CAPACITY, NO_SLOTS, WRONG_TASK */
ASX_NODISCARD asx_err asx_obligation_reserve(asx_cx *cx, const asx_obligation_options *options,
                                             asx_permit *permit);

/* errors  STALE, TOKEN_MISMATCH (not the holder): nothing has changed. A resolved permit is STALE:
 *         its slot has another generation */
asx_err asx_obligation_commit(asx_cx *cx, asx_permit permit);
asx_err asx_obligation_abort(asx_cx *cx, asx_permit permit);

/* Hands a RESERVED obligation to a live task of the same region (OBL-6).
 * errors  STALE, TOKEN_MISMATCH, TASK_NOT_OWNED */
ASX_NODISCARD asx_err asx_obligation_transfer(asx_cx *cx, asx_permit permit, asx_handle task);

ASX_END_DECLS

#endif
