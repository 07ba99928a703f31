#include <asx/shard/base/assert.h>
#include <asx/shard/cancel.h>
#include <asx/shard/outcome.h>

#include <stdlib.h>
#include <string.h>

const char *asx_severity_name(asx_severity severity)
{
    switch (severity) {
    case ASX_SEVERITY_OK:
        return "Ok";
    case ASX_SEVERITY_ERR:
        return "Err";
    case ASX_SEVERITY_CANCELLED:
        return "Cancelled";
    case ASX_SEVERITY_PANICKED:
        return "Panicked";
    }
    return "?";
}

const char *asx_panic_cause_name(asx_panic_cause cause)
{
    switch (cause) {
    case ASX_PANIC_EXPLICIT:
        return "PANIC";
    case ASX_PANIC_ASSERT:
        return "ASSERT";
    case ASX_PANIC_STACK_OVERFLOW:
        return "STACK_OVERFLOW";
    case ASX_PANIC_FAULT:
        return "FAULT";
    case ASX_PANIC_ABANDONED:
        return "ABANDONED";
    case ASX_PANIC_LEAK:
        return "LEAK";
    }
    return "?";
}

asx_outcome asx_outcome_join(asx_outcome a, asx_outcome b)
{
    if (a.severity == ASX_SEVERITY_CANCELLED && b.severity == ASX_SEVERITY_CANCELLED) {
        return asx_cancelled(asx_reason_strengthen(a.reason, b.reason));
    }
    return b.severity > a.severity ? b : a;
}

asx_aggregate asx_outcome_aggregate(const asx_outcome *outcomes, uint32_t count)
{
    asx_aggregate all = { asx_ok(0), 0, 0 };
    for (uint32_t i = 0; i < count; i++) {
        const asx_outcome joined = asx_outcome_join(all.outcome, outcomes[i]);
        if (joined.severity > all.outcome.severity) {
            all.index = i;
        }
        all.outcome = joined;
        all.failures += outcomes[i].severity == ASX_SEVERITY_ERR;
    }
    return all;
}

/* The count is the payload's only field that changes after it was made. */
static uint32_t *refs_of(const asx_panic_info *panic)
{
    uint32_t *refs;
    const uint32_t *const source = &panic->_refs;
    memcpy(&refs, &source, sizeof(refs));
    return refs;
}
_Static_assert(__builtin_offsetof(asx_panic_info, _refs) == 0,
               "release frees by the count's address");

const asx_panic_info *asx_panic_info_retain(const asx_panic_info *panic)
{
    if (panic) {
        ++*refs_of(panic);
    }
    return panic;
}

void asx_panic_info_release(const asx_panic_info *panic)
{
    if (panic) {
        asx_assert(panic->_refs > 0);
        if (--*refs_of(panic) == 0) {
            free(refs_of(panic));
        }
    }
}

asx_outcome asx_outcome_retain(asx_outcome o)
{
    if (o.severity == ASX_SEVERITY_CANCELLED) {
        (void)asx_reason_retain(o.reason);
    } else if (o.severity == ASX_SEVERITY_PANICKED) {
        (void)asx_panic_info_retain(o.panic);
    }
    return o;
}

void asx_outcome_release(asx_outcome o)
{
    if (o.severity == ASX_SEVERITY_CANCELLED) {
        asx_reason_release(o.reason);
    } else if (o.severity == ASX_SEVERITY_PANICKED) {
        asx_panic_info_release(o.panic);
    }
}

asx_panic_info *asx_panic_info_create(asx_panic_cause cause, const char *file, int32_t line,
                                      const char *message)
{
    asx_panic_info *const panic = malloc(sizeof(*panic));
    if (!panic) {
        return NULL;
    }
    memset(panic, 0, sizeof(*panic));
    panic->_refs = 1;
    panic->cause = (uint8_t)cause;
    panic->file = file;
    panic->line = line;
    if (!message || !*message) {
        message = "unknown panic";
    }
    size_t len = strlen(message);
    if (len >= sizeof(panic->message)) {
        panic->cut = true;
        len = sizeof(panic->message) - 1;
    }
    memcpy(panic->message, message, len);
    return panic;
}

static unsigned cancelled_status(const asx_reason *reason)
{
    switch (reason ? (asx_cancel_kind)reason->kind : ASX_CANCEL_USER) {
    case ASX_CANCEL_TIMEOUT:
    case ASX_CANCEL_DEADLINE:
        return 504;
    case ASX_CANCEL_SHUTDOWN:
    case ASX_CANCEL_RESOURCE_UNAVAILABLE:
        return 503;
    case ASX_CANCEL_USER:
    case ASX_CANCEL_POLL_QUOTA:
    case ASX_CANCEL_COST_BUDGET:
    case ASX_CANCEL_FAIL_FAST:
    case ASX_CANCEL_RACE_LOST:
    case ASX_CANCEL_LINKED_EXIT:
    case ASX_CANCEL_PARENT_CANCELLED:
        break;
    }
    /* What an ancestor was cancelled for decides for its descendants. */
    return reason && reason->cause ? cancelled_status(asx_reason_root(reason)) : 499;
}

/* What was missing may be there again for the next who asks. */
static bool is_exhaustion(asx_err err)
{
    return err == ASX_E(OVERLOADED) || err == ASX_E(AT_CAPACITY) || err == ASX_E(NO_MEMORY) ||
           err == ASX_E(NO_STACK) || err == ASX_E(NO_SLOTS);
}

unsigned asx_outcome_http_status(asx_outcome o)
{
    switch ((asx_severity)o.severity) {
    case ASX_SEVERITY_OK:
        return 200;
    case ASX_SEVERITY_ERR:
        if (asx_err_domain_of(o.err) == ASX_ERR_DOMAIN_HTTP) {
            return asx_err_code(o.err);
        }
        return is_exhaustion(o.err) ? 503 : 500;
    case ASX_SEVERITY_CANCELLED:
        return cancelled_status(o.reason);
    case ASX_SEVERITY_PANICKED:
        break;
    }
    return 500;
}
