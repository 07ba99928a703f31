#include <asx/shard/base/assert.h>
#include <asx/shard/cx.h>

#include "shard_internal.h"
#include "trace_internal.h"

#include <string.h>

const char *asx_cap_name(asx_cap cap)
{
    switch (cap) {
    case ASX_CAP_SPAWN:
        return "SPAWN";
    case ASX_CAP_TIME:
        return "TIME";
    case ASX_CAP_RANDOM:
        return "RANDOM";
    case ASX_CAP_NET:
        return "NET";
    case ASX_CAP_FS:
        return "FS";
    case ASX_CAP_PROCESS:
        return "PROCESS";
    case ASX_CAP_BLOCKING:
        return "BLOCKING";
    case ASX_CAP_REMOTE:
        return "REMOTE";
    }
    return "?";
}

asx_handle asx_cx_task(const asx_cx *cx)
{
    return asx_unlikely(cx->_task->flags & ASXI_TASK_GUEST) ? cx->_task->cx._region->home.proxy
                                                            : asx_handle_of(cx->_task);
}

asx_handle asx_cx_region(const asx_cx *cx)
{
    const asx_region *const region = asxi_cx_region(cx);
    return region ? asx_handle_of(region) : (asx_handle){ 0 };
}

uint32_t asx_cx_shard_index(const asx_cx *cx)
{
    return cx->_shard->index;
}

uint32_t asx_cx_shard_count(const asx_cx *cx)
{
    return cx->_shard->mesh ? cx->_shard->mesh->shard_count : 1;
}

asx_err asx_cx_require(const asx_cx *cx, asx_cap cap)
{
    if (asx_unlikely(!cx->_shard)) {
        return ASX_E(RUNTIME_UNAVAILABLE);
    }
    if (asx_unlikely(cx->_task != cx->_shard->running)) {
        return ASX_E(WRONG_TASK);
    }
    return asx_likely(cx->_caps & (uint32_t)cap) ? ASX_OK : ASX_E(NO_CAPABILITY);
}

asx_err asx_cx_restrict(const asx_cx *cx, uint32_t caps, asx_cx *derived)
{
    if (cx->_depth >= ASX_RESTRICT_DEPTH_MAX) {
        return ASX_E(AT_CAPACITY);
    }
    *derived = *cx;
    derived->_caps &= caps;
    derived->_depth++;
    return ASX_OK;
}

bool asx_is_cancelled(const asx_cx *cx)
{
    return asx_cancel_reason(cx) != NULL;
}

const asx_reason *asx_cancel_reason(const asx_cx *cx)
{
    if (cx->_task->reason) {
        return cx->_task->reason;
    }
    if (cx->_is_scope) {
        return asxi_cx_failure(cx);
    }
    return NULL;
}

asx_budget asx_cx_budget(const asx_cx *cx)
{
    return cx->_task->budget;
}

asx_duration asx_remaining(const asx_cx *cx)
{
    const asx_instant deadline_ns = cx->_task->budget.deadline_ns;
    return deadline_ns == ASX_TIME_NEVER ? ASX_TIME_NEVER
                                         : asx_time_sub(deadline_ns, cx->_shard->now_ns);
}

bool asx_charge(asx_cx *cx, uint64_t n)
{
    asx_budget *const budget = &cx->_task->budget;
    if (budget->cost_quota == ASX_COST_UNLIMITED) {
        return true;
    }
    if (n > budget->cost_quota) {
        cx->_task->flags |= ASXI_TASK_COST_OUT;
        return false;
    }
    budget->cost_quota -= n;
    return true;
}

void asx_deadline_tighten(asx_cx *cx, asx_duration timeout)
{
    const asx_instant at_ns = asx_time_add(cx->_shard->now_ns, timeout);
    if (at_ns < cx->_task->budget.deadline_ns) {
        cx->_task->budget.deadline_ns = at_ns;
        asxi_trace_budget(cx->_task);
    }
}

asx_instant asx_now(const asx_cx *cx)
{
    return asx_cx_require(cx, ASX_CAP_TIME) ? 0 : cx->_shard->now_ns;
}

uint64_t asx_logical_now(const asx_cx *cx)
{
    return cx->_shard->logical;
}

uint64_t asx_logical_tick(asx_cx *cx)
{
    return asx_logical_receive(cx, 0);
}

uint64_t asx_logical_receive(asx_cx *cx, uint64_t seen)
{
    uint64_t *const own = &cx->_shard->logical;
    *own = seen > *own ? seen : *own;
    *own += *own < UINT64_MAX; /* a stamp from outside must not turn it back */
    return *own;
}

void *asx_alloc(asx_cx *cx, size_t size)
{
    asx_region *const region = asxi_cx_region(cx);
    return region ? asxi_region_take(region, size) : NULL;
}

void *asx_calloc(asx_cx *cx, size_t size)
{
    void *const ptr = asx_alloc(cx, size);
    if (ptr) {
        memset(ptr, 0, size);
    }
    return ptr;
}

void asx_free(asx_cx *cx, void *ptr, size_t size)
{
    if (ptr && !cx->_region_gone) {
        asx_heap_free(&cx->_region->heap, ptr, size);
    }
}

void asx_defer_push(asx_cx *cx, asx_defer *defer, asx_defer_fn *fn)
{
    asx_task *const task = cx->_task;
    asx_assert(fn != NULL && task == cx->_shard->running);
    asxi_body *const body = asxi_task_body(task);
    if (!body) {
        asx_panic("no memory for a cleanup entry");
    }
    *defer = (asx_defer){ ._below = body->defers, ._fn = fn, ._linked = true };
    body->defers = defer;
}

void asx_defer_pop(asx_cx *cx, asx_defer *defer)
{
    if (!defer->_linked) {
        return;
    }
    for (asx_defer **at = &cx->_task->body->defers; *at; at = &(*at)->_below) {
        if (*at == defer) {
            *at = defer->_below;
            defer->_linked = false;
            return;
        }
    }
    asx_unreachable();
}
