#include <asx/shard/base/assert.h>
#include <asx/shard/cancel.h>

#include "task_internal.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t severity;
} kinds[ASX_CANCEL_KIND_COUNT] = {
    [ASX_CANCEL_USER] = { "USER", 0 },
    [ASX_CANCEL_TIMEOUT] = { "TIMEOUT", 1 },
    [ASX_CANCEL_DEADLINE] = { "DEADLINE", 1 },
    [ASX_CANCEL_POLL_QUOTA] = { "POLL_QUOTA", 2 },
    [ASX_CANCEL_COST_BUDGET] = { "COST_BUDGET", 2 },
    [ASX_CANCEL_FAIL_FAST] = { "FAIL_FAST", 3 },
    [ASX_CANCEL_RACE_LOST] = { "RACE_LOST", 3 },
    [ASX_CANCEL_LINKED_EXIT] = { "LINKED_EXIT", 3 },
    [ASX_CANCEL_PARENT_CANCELLED] = { "PARENT_CANCELLED", 4 },
    [ASX_CANCEL_RESOURCE_UNAVAILABLE] = { "RESOURCE_UNAVAILABLE", 4 },
    [ASX_CANCEL_SHUTDOWN] = { "SHUTDOWN", 5 },
};

#define CLEANUP(polls, priority) \
    ASX_BUDGET_INIT(ASX_TIME_NEVER, (polls), ASX_COST_UNLIMITED, (priority))

/* By severity: no kind of a higher one has more polls or less priority (CXL-1). */
const asx_budget asxi_cleanup_budgets[ASX_CANCEL_KIND_COUNT] = {
    [ASX_CANCEL_USER] = CLEANUP(1000, 200),
    [ASX_CANCEL_TIMEOUT] = CLEANUP(500, 210),
    [ASX_CANCEL_DEADLINE] = CLEANUP(500, 210),
    [ASX_CANCEL_POLL_QUOTA] = CLEANUP(300, 215),
    [ASX_CANCEL_COST_BUDGET] = CLEANUP(300, 215),
    [ASX_CANCEL_FAIL_FAST] = CLEANUP(200, 220),
    [ASX_CANCEL_RACE_LOST] = CLEANUP(200, 220),
    [ASX_CANCEL_LINKED_EXIT] = CLEANUP(200, 220),
    [ASX_CANCEL_PARENT_CANCELLED] = CLEANUP(200, 220),
    [ASX_CANCEL_RESOURCE_UNAVAILABLE] = CLEANUP(200, 220),
    [ASX_CANCEL_SHUTDOWN] = CLEANUP(50, 255),
};

/* estimate(D) = 80 D + 8 (D - 1) <= 4096 allows 46 links; the depth limit binds first (CXL-6). */
_Static_assert(80 * ASX_CAUSE_DEPTH_MAX + 8 * (ASX_CAUSE_DEPTH_MAX - 1) <= ASX_CAUSE_BYTES_MAX,
               "a chain of the maximum depth fits its memory limit");

const char *asx_cancel_kind_name(asx_cancel_kind kind)
{
    return (unsigned)kind < ASX_CANCEL_KIND_COUNT ? kinds[kind].name : "?";
}

unsigned asx_cancel_severity(asx_cancel_kind kind)
{
    asx_assert_lt(kind, ASX_CANCEL_KIND_COUNT);
    return kinds[kind].severity;
}

asx_budget asx_cancel_cleanup_budget(asx_cancel_kind kind)
{
    asx_assert_lt(kind, ASX_CANCEL_KIND_COUNT);
    return asxi_cleanup_budgets[kind];
}

/* References of the shared records are never counted down to zero: they start at half the range. */
#define SHARED_REFS (UINT32_MAX / 2)

static const asx_reason *shared_reason(asx_cancel_kind kind)
{
    static asx_reason shared[ASX_CANCEL_KIND_COUNT];
    asx_reason *const reason = &shared[kind];
    reason->kind = (uint8_t)kind;
    reason->depth = 1;
    reason->_refs = SHARED_REFS;
    return reason;
}

static void copy_message(char *target, const char *message)
{
    size_t len = message ? strlen(message) : 0;
    len = len < ASX_REASON_MESSAGE_MAX - 1 ? len : ASX_REASON_MESSAGE_MAX - 1;
    if (len > 0) {
        memcpy(target, message, len);
    }
    memset(target + len, 0, ASX_REASON_MESSAGE_MAX - len);
}

/* One link of a chain that is being copied; NULL without memory. */
static asx_reason *link_copy(const asx_reason *source)
{
    asx_reason *const copy = malloc(sizeof(*copy));
    if (copy) {
        *copy = *source;
        copy->_refs = 1;
        copy->cause = NULL;
    }
    return copy;
}

/* Copies the first `keep` links; the last of them is marked when links were dropped. */
static const asx_reason *chain_copy(const asx_reason *from, unsigned keep, unsigned depth_above)
{
    asx_reason *head = NULL, *tail = NULL;
    unsigned kept = 0;
    for (; from && kept < keep; from = from->cause) {
        asx_reason *const copy = link_copy(from);
        if (!copy) {
            break;
        }
        kept++;
        if (tail) {
            tail->cause = copy;
        } else {
            head = copy;
        }
        tail = copy;
    }
    if (tail && from) {
        tail->truncated = true;
        tail->truncated_at_depth = (uint8_t)(depth_above + kept);
    }
    unsigned depth = kept;
    for (asx_reason *r = head; r;) {
        r->depth = (uint8_t)depth--;
        /* Links of this chain were allocated above and are still ours to write. */
        asx_reason *next = NULL;
        memcpy(&next, &r->cause, sizeof(next));
        r = next;
    }
    return head;
}

const asx_reason *asx_reason_create(asx_cancel_kind kind, asx_handle region, asx_handle task,
                                    asx_instant at_ns, const char *message, const asx_reason *cause)
{
    asx_assert_lt(kind, ASX_CANCEL_KIND_COUNT);
    asx_reason *const reason = malloc(sizeof(*reason));
    if (!reason) {
        return shared_reason(kind);
    }
    reason->_refs = 1;
    reason->kind = (uint8_t)kind;
    reason->truncated = false;
    reason->truncated_at_depth = 0;
    reason->region = region;
    reason->task = task;
    reason->at_ns = at_ns;
    copy_message(reason->message, message);
    if (cause && cause->depth >= ASX_CAUSE_DEPTH_MAX) {
        reason->cause = chain_copy(cause, ASX_CAUSE_DEPTH_MAX - 1, 1);
    } else {
        reason->cause = asx_reason_retain(cause);
    }
    reason->depth = (uint8_t)(1 + (reason->cause ? reason->cause->depth : 0));
    asx_assert_le(reason->depth, ASX_CAUSE_DEPTH_MAX);
    return reason;
}

/* The count is the record's only mutable field: everything else is const to everybody. */
static uint32_t *refs_of(const asx_reason *reason)
{
    uint32_t *refs;
    const uint32_t *const source = &reason->_refs;
    memcpy(&refs, &source, sizeof(refs));
    return refs;
}

const asx_reason *asx_reason_retain(const asx_reason *reason)
{
    if (reason) {
        asx_assert(reason->_refs > 0);
        ++*refs_of(reason);
    }
    return reason;
}

void asx_reason_release(const asx_reason *reason)
{
    while (reason) {
        asx_assert(reason->_refs > 0);
        if (--*refs_of(reason) > 0) {
            return;
        }
        const asx_reason *const cause = reason->cause;
        free(refs_of(reason));
        reason = cause;
    }
}
_Static_assert(__builtin_offsetof(asx_reason, _refs) == 0, "release frees by the count's address");

const asx_reason *asx_reason_root(const asx_reason *reason)
{
    while (reason->cause) {
        reason = reason->cause;
    }
    return reason;
}

bool asx_reason_any_cause_is(const asx_reason *reason, asx_cancel_kind kind)
{
    for (; reason; reason = reason->cause) {
        if (reason->kind == kind) {
            return true;
        }
    }
    return false;
}

bool asx_reason_cancelled_by(const asx_reason *reason, asx_handle region)
{
    return asx_handle_cmp(reason->region, region) == 0;
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* Positive when a is the greater under CXL-9. */
static int reason_order(const asx_reason *a, const asx_reason *b)
{
    int c = compare_u64(kinds[a->kind].severity, kinds[b->kind].severity);
    if (c == 0) {
        c = compare_u64(b->at_ns, a->at_ns);
    }
    if (c == 0) {
        c = compare_u64(a->message[0] != '\0', b->message[0] != '\0');
    }
    if (c == 0) {
        c = strcmp(b->message, a->message);
    }
    if (c == 0) {
        c = compare_u64(b->kind, a->kind);
    }
    if (c == 0) {
        c = asx_handle_cmp(b->region, a->region);
    }
    if (c == 0) {
        c = compare_u64(!asx_handle_is_null(a->task), !asx_handle_is_null(b->task));
    }
    return c != 0 ? c : asx_handle_cmp(b->task, a->task);
}

const asx_reason *asx_reason_strengthen(const asx_reason *a, const asx_reason *b)
{
    if (!a || !b || a == b) {
        return a ? a : b;
    }
    if (ASXI_PLANTED(WEAK_REASON)) {
        return b;
    }
    return reason_order(a, b) >= 0 ? a : b;
}

const asx_reason *asx_reason_copy(const asx_reason *reason)
{
    return chain_copy(reason, ASX_CAUSE_DEPTH_MAX, 0);
}

const char *asx_witness_fault_name(asx_witness_fault fault)
{
    static const char *const names[] = {
        [ASX_WITNESS_VALID] = "VALID",
        [ASX_WITNESS_EPOCH_ZERO] = "EPOCH_ZERO",
        [ASX_WITNESS_TASK_MISMATCH] = "TASK_MISMATCH",
        [ASX_WITNESS_REGION_MISMATCH] = "REGION_MISMATCH",
        [ASX_WITNESS_EPOCH_MISMATCH] = "EPOCH_MISMATCH",
        [ASX_WITNESS_PHASE_REGRESSION] = "PHASE_REGRESSION",
        [ASX_WITNESS_REASON_WEAKENED] = "REASON_WEAKENED",
    };
    return (unsigned)fault < asx_array_count(names) ? names[fault] : "?";
}

asx_witness_fault asx_cancel_witness_step(const asx_cancel_witness *from,
                                          const asx_cancel_witness *to)
{
    if (to->epoch == 0) {
        return ASX_WITNESS_EPOCH_ZERO;
    }
    if (asx_handle_cmp(from->task, to->task) != 0) {
        return ASX_WITNESS_TASK_MISMATCH;
    }
    if (asx_handle_cmp(from->region, to->region) != 0) {
        return ASX_WITNESS_REGION_MISMATCH;
    }
    if (from->epoch != to->epoch) {
        return ASX_WITNESS_EPOCH_MISMATCH;
    }
    if (to->phase < from->phase) {
        return ASX_WITNESS_PHASE_REGRESSION;
    }
    if (to->severity < from->severity) {
        return ASX_WITNESS_REASON_WEAKENED;
    }
    return ASX_WITNESS_VALID;
}
