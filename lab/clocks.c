#include <asx/lab/clocks.h>
#include <asx/shard/base/assert.h>

#include "table_internal.h"

uint64_t asx_lamport_tick(asx_lamport *clock)
{
    return ++clock->count;
}

uint64_t asx_lamport_receive(asx_lamport *clock, uint64_t message)
{
    clock->count = (message > clock->count ? message : clock->count) + 1;
    return clock->count;
}

void asx_vector_tick(uint32_t *vector, uint32_t process)
{
    vector[process]++;
    asx_assert_ne(vector[process], 0);
}

void asx_vector_join(uint32_t *vector, const uint32_t *other, uint32_t processes)
{
    for (uint32_t p = 0; p < processes; p++) {
        vector[p] = other[p] > vector[p] ? other[p] : vector[p];
    }
}

void asx_vector_receive(uint32_t *vector, const uint32_t *message, uint32_t processes,
                        uint32_t process)
{
    asx_assert_lt(process, processes);
    asx_vector_join(vector, message, processes);
    asx_vector_tick(vector, process);
}

asx_vector_order asx_vector_compare(const uint32_t *a, const uint32_t *b, uint32_t processes)
{
    bool less = false, greater = false;
    for (uint32_t p = 0; p < processes; p++) {
        less |= a[p] < b[p];
        greater |= a[p] > b[p];
    }
    if (less && greater) {
        return ASX_VECTOR_CONCURRENT;
    }
    return less ? ASX_VECTOR_BEFORE : greater ? ASX_VECTOR_AFTER : ASX_VECTOR_EQUAL;
}

const char *asx_vector_order_name(asx_vector_order order)
{
    static const char *const names[] = { "equal", "before", "after", "concurrent" };
    asx_assert_lt(order, asx_array_count(names));
    return names[order];
}

static uint32_t logical_after(uint32_t logical)
{
    asx_assert_ne(logical, UINT32_MAX);
    return logical + 1;
}

asx_hybrid asx_hybrid_tick(asx_hybrid *clock, asx_instant now_ns)
{
    if (now_ns > clock->physical_ns) {
        *clock = (asx_hybrid){ .physical_ns = now_ns };
    } else {
        clock->logical = logical_after(clock->logical);
    }
    return *clock;
}

asx_hybrid asx_hybrid_receive(asx_hybrid *clock, asx_instant now_ns, asx_hybrid message)
{
    const asx_hybrid last = *clock;
    const asx_instant known =
        last.physical_ns > message.physical_ns ? last.physical_ns : message.physical_ns;
    if (now_ns > known) {
        *clock = (asx_hybrid){ .physical_ns = now_ns };
        return *clock;
    }
    uint32_t logical = 0;
    if (known == last.physical_ns) {
        logical = last.logical;
    }
    if (known == message.physical_ns && message.logical > logical) {
        logical = message.logical;
    }
    *clock = (asx_hybrid){ .physical_ns = known, .logical = logical_after(logical) };
    return *clock;
}

/* Where the last event of each process, of each task, and the producer of each dependency stand. */
typedef struct causality {
    asxi_table processes, tasks, produced;
} causality;

/* The event before `at` under this key, and `at` for the next one; 0 is a key of nobody. */
static const asx_causal_event *swap_last(asxi_table *table, uint64_t key,
                                         const asx_causal_event *events, uint32_t at)
{
    uint32_t *const last = asxi_table_at(table, key);
    const asx_causal_event *const event = *last ? &events[*last - 1] : NULL;
    *last = at + 1;
    return event;
}

static asx_causality check_event(causality *c, const asx_causal_event *events, uint32_t at,
                                 uint32_t processes)
{
    const asx_causal_event *const event = &events[at];
    const asx_causal_event *last = swap_last(&c->processes, event->process, events, at);
    if (last && (event->seq <= last->seq || event->lamport <= last->lamport)) {
        return ASX_CAUSALITY_CLOCK_BACK;
    }
    if (event->task) {
        last = swap_last(&c->tasks, event->task, events, at);
        if (last && last->vector && event->vector &&
            asx_vector_compare(last->vector, event->vector, processes) != ASX_VECTOR_BEFORE) {
            return ASX_CAUSALITY_SAME_TASK_CONCURRENT;
        }
    }
    if (event->needs) {
        const uint32_t *const found = asxi_table_find(&c->produced, event->needs);
        if (!found) {
            return ASX_CAUSALITY_MISSING_DEPENDENCY;
        }
        const asx_causal_event *const producer = &events[*found - 1];
        if (producer->vector && event->vector &&
            asx_vector_compare(producer->vector, event->vector, processes) != ASX_VECTOR_BEFORE) {
            return ASX_CAUSALITY_MISSING_DEPENDENCY;
        }
    }
    if (event->produces) {
        *asxi_table_at(&c->produced, event->produces) = at + 1;
    }
    return ASX_CAUSALITY_OK;
}

asx_causality asx_causality_check(const asx_causal_event *events, uint32_t count,
                                  uint32_t processes, uint32_t *index)
{
    causality c = { 0 };
    asx_causality verdict = ASX_CAUSALITY_OK;
    for (uint32_t i = 0; i < count && verdict == ASX_CAUSALITY_OK; i++) {
        verdict = check_event(&c, events, i, processes);
        *index = i;
    }
    asxi_table_deinit(&c.processes);
    asxi_table_deinit(&c.tasks);
    asxi_table_deinit(&c.produced);
    return verdict;
}

const char *asx_causality_name(asx_causality verdict)
{
    static const char *const names[] = { "ok", "clock_back", "same_task_concurrent",
                                         "missing_dependency" };
    asx_assert_lt(verdict, asx_array_count(names));
    return names[verdict];
}
