/* How long tasks of a label take (TMR-16). */
#include <asx/shard/base/assert.h>

#include "deadline_internal.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLES_MIN 10u
#define PERCENT 90u
#define LIMIT_UNKNOWN_NS (30 * ASX_NS_PER_S)
#define SAMPLES_BYTES (ASXI_DEADLINE_SAMPLES_MAX * sizeof(asx_duration))

static void type_name(const char *label, char name[ASXI_DEADLINE_TYPE_LEN])
{
    const char *const text = label ? label + strspn(label, " \t") : "";
    size_t len = strnlen(text, ASXI_DEADLINE_TYPE_LEN - 1);
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t')) {
        len--;
    }
    memset(name, 0, ASXI_DEADLINE_TYPE_LEN);
    memcpy(name, len > 0 ? text : "default", len > 0 ? len : sizeof("default"));
}

static asxi_deadline_type *type_find(asxi_deadline_history *history, const char *name)
{
    for (uint32_t i = 0; i < history->type_count; i++) {
        if (strcmp(history->types[i].name, name) == 0) {
            return &history->types[i];
        }
    }
    return NULL;
}

static asxi_deadline_type *type_add(asxi_deadline_history *history, const char *name)
{
    if (history->type_count == ASXI_DEADLINE_TYPES_MAX) {
        return NULL;
    }
    if (!history->scratch) {
        history->scratch = asx_heap_alloc(history->heap, SAMPLES_BYTES);
    }
    asx_duration *const samples = asx_heap_alloc(history->heap, SAMPLES_BYTES);
    if (!history->scratch || !samples) {
        if (samples) {
            asx_heap_free(history->heap, samples, SAMPLES_BYTES);
        }
        return NULL;
    }
    asxi_deadline_type *const type = &history->types[history->type_count++];
    *type = (asxi_deadline_type){ .samples = samples };
    memcpy(type->name, name, sizeof(type->name));
    return type;
}

void asxi_deadline_history_add(asxi_deadline_history *history, const char *label,
                               asx_duration took_ns)
{
    char name[ASXI_DEADLINE_TYPE_LEN];
    type_name(label, name);
    asxi_deadline_type *type = type_find(history, name);
    type = type ? type : type_add(history, name);
    if (!type) {
        return;
    }
    type->samples[type->next] = took_ns;
    type->next = (type->next + 1) % ASXI_DEADLINE_SAMPLES_MAX;
    type->count += type->count < ASXI_DEADLINE_SAMPLES_MAX;
    type->sorted_out = false;
}

static int duration_order(const void *a, const void *b)
{
    const asx_duration left = *(const asx_duration *)a, right = *(const asx_duration *)b;
    return (left > right) - (left < right);
}

/* At most once a period and label: a period is long beside a sort of a thousand numbers. */
static void sort_out(asxi_deadline_history *history, asxi_deadline_type *type)
{
    const uint32_t rank = (PERCENT * (type->count - 1) + 50) / 100; /* half away from zero */
    asx_assert_lt(rank, type->count);
    memcpy(history->scratch, type->samples, type->count * sizeof(asx_duration));
    qsort(history->scratch, type->count, sizeof(asx_duration), duration_order);
    type->typical_ns = history->scratch[rank];
    type->sorted_out = true;
}

asx_duration asxi_deadline_history_limit(asxi_deadline_history *history, const char *label,
                                         asx_duration total_ns)
{
    char name[ASXI_DEADLINE_TYPE_LEN];
    type_name(label, name);
    asxi_deadline_type *const type = type_find(history, name);
    if (!type || type->count < SAMPLES_MIN) {
        return total_ns < LIMIT_UNKNOWN_NS ? total_ns : LIMIT_UNKNOWN_NS;
    }
    if (!type->sorted_out) {
        sort_out(history, type);
    }
    return type->typical_ns;
}

void asxi_deadline_history_free(asxi_deadline_history *history)
{
    for (uint32_t i = 0; i < history->type_count; i++) {
        asx_heap_free(history->heap, history->types[i].samples, SAMPLES_BYTES);
    }
    if (history->scratch) {
        asx_heap_free(history->heap, history->scratch, SAMPLES_BYTES);
    }
    history->type_count = 0;
    history->scratch = NULL;
}
