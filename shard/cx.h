/* The context: the capability to cause effects, handed to every task and to nothing else (CAP-*).
 *
 * Model.  A small value that names the task, the region new work goes to, and the capabilities
 *         left. Derived contexts (of a scope, of a restriction) live on the user's stack and share
 *         the task's identity.
 * Rule.   No operation adds a capability. A context is valid only inside its own task: another
 *         task's is answered with WRONG_TASK.
 * Cancel. Every call that takes a cx and may wait observes cancellation on entry and while waiting.
 *         */
#ifndef ASX_SHARD_CX_H
#define ASX_SHARD_CX_H

#include <asx/shard/base/decls.h>
#include <asx/shard/budget.h>
#include <asx/shard/cancel.h>
#include <asx/shard/handle.h>
#include <asx/shard/outcome.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_shard asx_shard;
typedef struct asx_region asx_region;
typedef struct asx_task asx_task;

typedef enum asx_cap {
    ASX_CAP_SPAWN = 1u << 0,
    ASX_CAP_TIME = 1u << 1,
    ASX_CAP_RANDOM = 1u << 2,
    ASX_CAP_NET = 1u << 3,
    ASX_CAP_FS = 1u << 4,
    ASX_CAP_PROCESS = 1u << 5,
    ASX_CAP_BLOCKING = 1u << 6,
    ASX_CAP_REMOTE = 1u << 7,
} asx_cap;
#define ASX_CAP_ALL 0xFFu
#define ASX_RESTRICT_DEPTH_MAX 32u

const char *asx_cap_name(asx_cap cap);

typedef struct asx_cx {
    asx_task *_task;
    union {
        asx_region *_region;              /* read it by asxi_cx_region */
        const asx_reason *_closed_reason; /* a scope's, once _region_gone */
    };
    asx_shard *_shard;
    uint32_t _caps;
    uint8_t _depth;    /* restrictions above this one */
    bool _is_scope;    /* waits through this cx also observe _region's failure (REG-9a) */
    bool _region_gone; /* a scope's region has closed, or never opened */
} asx_cx;

/* Where new work goes; NULL: the scope's region is gone. */
ASX_INLINE asx_region *asxi_cx_region(const asx_cx *cx)
{
    return asx_unlikely(cx->_region_gone) ? NULL : cx->_region;
}

/* Identity */
asx_handle asx_cx_task(const asx_cx *cx);
asx_handle asx_cx_region(const asx_cx *cx);
uint32_t asx_cx_shard_index(const asx_cx *cx);
uint32_t asx_cx_shard_count(const asx_cx *cx);

/* OK when the bit is there; else NO_CAPABILITY, or WRONG_TASK for a foreign cx. */
ASX_NODISCARD asx_err asx_cx_require(const asx_cx *cx, asx_cap cap);

/* A derived context with only the capabilities also in `caps`.
 * errors  AT_CAPACITY when more than 32 are nested */
ASX_NODISCARD asx_err asx_cx_restrict(const asx_cx *cx, uint32_t caps, asx_cx *derived);

/* Observes cancellation, settles the budget, and yields when the slice is used up (CKP-1).
 * cancel  acknowledged: the task is now cleaning up on its cleanup budget */
ASX_NODISCARD asx_outcome asx_checkpoint(asx_cx *cx);
/* The same, leaving a copy of the first 64 bytes of `message` in the trail, where the last eight
 * stand. */
ASX_NODISCARD asx_outcome asx_checkpoint_note(asx_cx *cx, const char *message);
/* A checkpoint that always lets the task's equals run first. */
ASX_NODISCARD asx_outcome asx_yield(asx_cx *cx);

/* Looks without acknowledging. The reason is NULL when there is none; lent while the task lives. */
bool asx_is_cancelled(const asx_cx *cx);
const asx_reason *asx_cancel_reason(const asx_cx *cx);

/* Budget */
asx_budget asx_cx_budget(const asx_cx *cx);
/* ASX_TIME_NEVER without a deadline, 0 from the deadline on. */
asx_duration asx_remaining(const asx_cx *cx);
/* Takes n from the cost quota, all or nothing (BUD-7). */
bool asx_charge(asx_cx *cx, uint64_t n);
/* Tightens the running task's deadline to now + timeout; never pushes it out (BUD-5). */
void asx_deadline_tighten(asx_cx *cx, asx_duration timeout);

/* Time and entropy; without the capability, 0 (asx_cx_require tells). Drawing never waits, and what
 * one task draws disturbs no other. Not for keys. */
asx_instant asx_now(const asx_cx *cx);
uint64_t asx_random_u64(asx_cx *cx);
uint64_t asx_random_below(asx_cx *cx, uint64_t n); /* uniform, n > 0 */
bool asx_random_bool(asx_cx *cx);
double asx_random_double(asx_cx *cx); /* in [0, 1), a multiple of 2^-53 */
void asx_random_bytes(asx_cx *cx, void *buf, size_t size);
/* Every order of `count` items of `size` bytes is as likely; without the capability it stays. */
void asx_random_shuffle(asx_cx *cx, void *items, size_t count, size_t size);

/* The shard's logical clock: whoever stamps what it sends with a tick, and gives what it received
 * to asx_logical_receive, has stamps that order cause before effect, on any shard or machine. Each
 * returns the new time; messages of the kernel's own carry no stamp. */
uint64_t asx_logical_now(const asx_cx *cx);
uint64_t asx_logical_tick(asx_cx *cx);
uint64_t asx_logical_receive(asx_cx *cx, uint64_t seen);

/* Sleeps until the shard clock reaches `at_ns` (TMR-9).
 * suspends always, unless at_ns has passed
 * cancel   CANCELLED, for every kind */
ASX_NODISCARD asx_outcome asx_sleep_until(asx_cx *cx, asx_instant at_ns);
ASX_NODISCARD asx_outcome asx_sleep(asx_cx *cx, asx_duration duration);

/* Memory of the cx's region, valid until that region is closed; NULL at its limit. */
void *asx_alloc(asx_cx *cx, size_t size);
void *asx_calloc(asx_cx *cx, size_t size);
void asx_free(asx_cx *cx, void *ptr, size_t size);

/* A bounded stretch in which checkpoints do not observe cancellation: at most `k` observations are
 * deferred, k in 1..65535, nesting at most 64 (MSK-*).
 *     ASX_MASK(cx, 3) { ... } */
typedef struct asx_mask {
    struct asx_mask *_outer;
    asx_task *_task;
    uint16_t _left;
    bool _reported, _open;
} asx_mask;
#define ASX_MASK_DEPTH_MAX 64u
asx_mask *asx_mask_open(asx_mask *mask, asx_cx *cx, uint32_t k);
void asx_mask_close(asx_mask *mask);
#define ASX_MASK(cx, k)                                               \
    for (asx_mask asx_mask_ __attribute__((cleanup(asx_mask_close))), \
         *asx_mask_ptr_ = asx_mask_open(&asx_mask_, (cx), (k));       \
         asx_mask_ptr_; asx_mask_close(asx_mask_ptr_), asx_mask_ptr_ = NULL)

/* Runs fn under mask(k); a pending cancel is observed before it starts (MSK-5). */
typedef asx_outcome asx_section_fn(asx_cx *cx, void *arg);
ASX_NODISCARD asx_outcome asx_commit_section(asx_cx *cx, uint32_t k, asx_section_fn *fn, void *arg);

/* A cleanup entry of the running task: runs once, masked, in LIFO order, when the task's body has
 * ended in any way, or at asx_defer_run. Memory of the caller's, in the task's region, or in a
 * frame of its stack that pops the entry before it returns (a panic keeps the stack). */
typedef struct asx_defer asx_defer;
typedef void asx_defer_fn(asx_cx *cx, asx_defer *defer);
struct asx_defer {
    asx_defer *_below;
    asx_defer_fn *_fn;
    bool _linked;
};
void asx_defer_push(asx_cx *cx, asx_defer *defer, asx_defer_fn *fn);
/* Takes the entry off without running it; allowed when it is not linked. */
void asx_defer_pop(asx_cx *cx, asx_defer *defer);

/* Ends the running task with Panicked; its region's policy decides the rest (PAN-*). */
ASX_NORETURN ASX_COLD void asx_panic_at(const char *file, int line, const char *fmt, ...)
    ASX_PRINTF(3, 4);
#define asx_panic(...) asx_panic_at(__FILE__, __LINE__, __VA_ARGS__)

ASX_END_DECLS

#endif
