/* Trace points: one line each, at the place where the fact is made.
 *
 * With ASX_TRACE=1, which is what the lab links, a point is one branch on the shard's sink; without
 * it the arguments are not even evaluated. */
#ifndef ASX_SHARD_TRACE_INTERNAL_H
#define ASX_SHARD_TRACE_INTERNAL_H

#include <asx/shard/trace.h>

#include "shard_internal.h"

#ifndef ASX_TRACE
#define ASX_TRACE 0
#endif

#if ASX_TRACE
#define ASXI_TRACE(shard, kind, ...)                                                 \
    do {                                                                             \
        asx_trace_sink *const asx_sink_ = (shard)->trace;                            \
        if (asx_unlikely(asx_sink_ != NULL)) {                                       \
            const uint64_t asx_words_[] = { __VA_ARGS__ };                           \
            asx_sink_->emit(asx_sink_, (shard)->index, ASX_TRACE_##kind, asx_words_, \
                            (uint32_t)asx_array_count(asx_words_));                  \
        }                                                                            \
    } while (0)
#else
#define ASXI_TRACE(shard, kind, ...) ((void)sizeof((const uint64_t[]){ __VA_ARGS__ }))
#endif

/* Trace identity of a live record; 0 for none. */
static inline uint64_t asxi_trace_of(const void *record)
{
    return record ? asx_trace_id(asx_handle_of(record)) : 0;
}

/* Says in a wait what record it is for: what a graph of who waits for whom is made of. */
#if ASX_TRACE
#define ASXI_WAITS_FOR(wait, handle)           \
    do {                                       \
        (wait)->object = asx_trace_id(handle); \
        (wait)->object_kind = (handle).kind;   \
    } while (0)
#else
#define ASXI_WAITS_FOR(wait, handle) ((void)0)
#endif

#if ASX_TRACE
/* Only where there is a deadline, or could have been: most tasks take as long as they like. */
static inline void asxi_trace_budget(const asx_task *task)
{
    const asx_budget *const budget = &task->budget;
    if (budget->deadline_ns != ASX_TIME_NEVER ||
        task->cx._region->budget.deadline_ns != ASX_TIME_NEVER) {
        ASXI_TRACE(task->cx._shard, BUDGET_INSTALL, asxi_trace_of(task),
                   asxi_trace_of(task->cx._region), budget->deadline_ns, budget->poll_quota,
                   budget->cost_quota, budget->priority);
    }
}

static inline void asxi_trace_region_budget(const asx_region *region)
{
    const asx_budget *const budget = &region->budget;
    if (budget->deadline_ns != ASX_TIME_NEVER ||
        (region->parent && region->parent->budget.deadline_ns != ASX_TIME_NEVER)) {
        ASXI_TRACE(region->shard, BUDGET_INSTALL, 0, asxi_trace_of(region), budget->deadline_ns,
                   budget->poll_quota, budget->cost_quota, budget->priority);
    }
}

/* Of those that may not do everything, and of their spawners' children. */
static inline void asxi_trace_caps(const asx_cx *cx, const asx_task *task)
{
    if ((cx->_caps & task->cx._caps & ASX_CAP_ALL) != ASX_CAP_ALL) {
        ASXI_TRACE(cx->_shard, CAP_INSTALL, asxi_trace_of(task), task->cx._caps,
                   asxi_trace_of(cx->_task));
    }
}

static inline void asxi_trace_cap_use(const asx_cx *cx, uint32_t cap)
{
    if ((cx->_task->cx._caps & ASX_CAP_ALL) != ASX_CAP_ALL) {
        ASXI_TRACE(cx->_shard, CAP_USE, asxi_trace_of(cx->_task), cap);
    }
}
#else
#define asxi_trace_budget(task) ((void)(task))
#define asxi_trace_region_budget(region) ((void)0)
#define asxi_trace_caps(cx, task) ((void)(cx))
#define asxi_trace_cap_use(cx, cap) ((void)(cx))
#endif

/* The first bytes of a text as a word, for what people should recognise: what a task waits for. */
static inline uint64_t asxi_trace_text(const char *text)
{
    uint64_t word = 0;
    for (unsigned i = 0; text && i < 8 && text[i]; i++) {
        word |= (uint64_t)(unsigned char)text[i] << 8 * i;
    }
    return word;
}

#endif
