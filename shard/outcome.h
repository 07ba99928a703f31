/* Outcomes: Ok < Err < Cancelled < Panicked, and the lattice over them.
 *
 * Model.  A 16-byte value. Cancelled points at a reason, Panicked at a payload; both are records
 *         with a reference count, held by the tasks and regions that ended with them.
 * Owner.  The pointer in an outcome is lent to the receiving task until it receives the next one;
 *         asx_reason_retain and asx_panic_info_retain keep it.
 * Rule.   join (OUT-2): the worse wins whole, the left wins a tie, two Cancelled are strengthened.
 *         */
#ifndef ASX_SHARD_OUTCOME_H
#define ASX_SHARD_OUTCOME_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>

#include <stdbool.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_reason asx_reason; /* <asx/shard/cancel.h> */

typedef enum asx_severity {
    ASX_SEVERITY_OK = 0,
    ASX_SEVERITY_ERR = 1,
    ASX_SEVERITY_CANCELLED = 2,
    ASX_SEVERITY_PANICKED = 3,
} asx_severity;

typedef enum asx_panic_cause {
    ASX_PANIC_EXPLICIT = 0,
    ASX_PANIC_ASSERT,
    ASX_PANIC_STACK_OVERFLOW,
    ASX_PANIC_FAULT,
    ASX_PANIC_ABANDONED,
    ASX_PANIC_LEAK,
} asx_panic_cause;

#define ASX_PANIC_MESSAGE_MAX \
    256 /* terminator included; longer ones are cut and marked (OUT-5) \
         */

/* What survives of a panicking task; never points into its stack or heap. */
typedef struct asx_panic_info {
    uint32_t _refs;
    uint8_t cause; /* asx_panic_cause */
    bool cut;      /* the message was longer */
    int32_t line;  /* 0 when unknown */
    const char *file;
    char message[ASX_PANIC_MESSAGE_MAX];
} asx_panic_info;

typedef struct asx_outcome {
    uint64_t severity; /* asx_severity */
    union {
        uintptr_t value;
        asx_err err;
        const asx_reason *reason;
        const asx_panic_info *panic;
    };
} asx_outcome;

ASX_INLINE asx_outcome asx_ok(uintptr_t value)
{
    asx_outcome o;
    o.severity = ASX_SEVERITY_OK;
    o.value = value;
    return o;
}

ASX_INLINE asx_outcome asx_fail(asx_err err)
{
    asx_outcome o;
    o.severity = ASX_SEVERITY_ERR;
    o.err = err;
    return o;
}

ASX_INLINE asx_outcome asx_cancelled(const asx_reason *reason)
{
    asx_outcome o;
    o.severity = ASX_SEVERITY_CANCELLED;
    o.reason = reason;
    return o;
}

ASX_INLINE asx_outcome asx_panicked(const asx_panic_info *panic)
{
    asx_outcome o;
    o.severity = ASX_SEVERITY_PANICKED;
    o.panic = panic;
    return o;
}

ASX_INLINE bool asx_is_ok(asx_outcome o)
{
    return o.severity == ASX_SEVERITY_OK;
}

/* True for Err with exactly this code. */
ASX_INLINE bool asx_is_err(asx_outcome o, asx_err err)
{
    return o.severity == ASX_SEVERITY_ERR && o.err == err;
}

const char *asx_severity_name(asx_severity severity);
const char *asx_panic_cause_name(asx_panic_cause cause);

/* a ⊔ b, where a has the lower spawn sequence (OUT-2). */
asx_outcome asx_outcome_join(asx_outcome a, asx_outcome b);

typedef struct asx_aggregate {
    asx_outcome outcome;
    uint32_t index;    /* of the panic or the first error, when that decided */
    uint32_t failures; /* outcomes that were Err */
} asx_aggregate;

/* Folds `count` outcomes in index order (OUT-4). */
asx_aggregate asx_outcome_aggregate(const asx_outcome *outcomes, uint32_t count);

/* Reference counts of payloads, NULL allowed; own shard only. */
const asx_panic_info *asx_panic_info_retain(const asx_panic_info *panic);
void asx_panic_info_release(const asx_panic_info *panic);
/* Both payload kinds, by the outcome that names them. Returns its argument. */
asx_outcome asx_outcome_retain(asx_outcome o);
void asx_outcome_release(asx_outcome o);

/* A payload with one reference, or NULL without memory. */
asx_panic_info *asx_panic_info_create(asx_panic_cause cause, const char *file, int32_t line,
                                      const char *message);

/* The status a service answers with (OUT-6 and the decision in the specification's README):
 * Ok 200, Err its own 4xx/5xx or 500, Cancelled by reason 504/503/499, Panicked 500. */
unsigned asx_outcome_http_status(asx_outcome o);

/* Hands the failure on: returns from the enclosing function unless `expr` is Ok. */
#define ASX_TRY(expr)                                             \
    do {                                                          \
        const asx_outcome asx_try_ = (expr);                      \
        if (asx_unlikely(asx_try_.severity != ASX_SEVERITY_OK)) { \
            return asx_try_;                                      \
        }                                                         \
    } while (0)

ASX_END_DECLS

#endif
