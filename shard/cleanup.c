#include <asx/shard/base/assert.h>
#include <asx/shard/cleanup.h>

#include "shard_internal.h"

#include <string.h>

struct asxi_cleanups {
    uint32_t count;
    asx_cleanup types[ASX_CLEANUP_TYPES_MAX + 1]; /* the last: all that have no room */
};

asx_err asxi_cleanups_create(asx_shard *shard)
{
    size_t got;
    asxi_cleanups *const cleanups = asx_chunk_acquire(&shard->chunks, sizeof(*cleanups), &got);
    if (!cleanups) {
        return ASX_E(NO_MEMORY);
    }
    memset(cleanups, 0, sizeof(*cleanups));
    shard->cleanups = cleanups;
    shard->cleanups_bytes = got;
    return ASX_OK;
}

void asxi_cleanups_destroy(asx_shard *shard)
{
    if (shard->cleanups) {
        asx_chunk_release(&shard->chunks, shard->cleanups, shard->cleanups_bytes);
        shard->cleanups = NULL;
    }
}

static void bump(uint16_t *count)
{
    *count = (uint16_t)(*count + (*count < UINT16_MAX));
}

void asxi_cleanup_polled(asx_task *task)
{
    /* Without memory for it, this poll is not told from those before it. */
    asxi_body *const body = asxi_task_is_cancelling(task) && !(task->flags & ASXI_TASK_ENDING)
                                ? asxi_task_body(task)
                                : NULL;
    if (body) {
        bump(&body->cleanup_gap);
        if (body->cleanup_gap > body->cleanup_gap_max) {
            body->cleanup_gap_max = body->cleanup_gap;
        }
    }
}

void asxi_cleanup_observed(asx_task *task, bool masked)
{
    asxi_body *const body = task->body;
    if (body) {
        body->cleanup_gap = 0;
        if (masked) {
            bump(&body->cleanup_masked);
        }
    }
}

static asx_cleanup *type_of(asxi_cleanups *cleanups, const char *label)
{
    char name[ASX_CLEANUP_LABEL_LEN] = "-";
    if (label) {
        strncpy(name, label, sizeof(name) - 1);
    }
    for (uint32_t i = 0; i < cleanups->count; i++) {
        if (strcmp(cleanups->types[i].label, name) == 0) {
            return &cleanups->types[i];
        }
    }
    const bool fits = cleanups->count < ASX_CLEANUP_TYPES_MAX;
    asx_cleanup *const type = &cleanups->types[fits ? cleanups->count : ASX_CLEANUP_TYPES_MAX];
    cleanups->count += fits;
    if (type->tasks == 0) {
        memcpy(type->label, fits ? name : "...", fits ? sizeof(name) : sizeof("..."));
        type->left_min = UINT32_MAX;
    }
    return type;
}

static uint32_t more(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void asxi_cleanup_ended(asx_task *task)
{
    const asxi_body *const body = task->body;
    if (!(task->flags & ASXI_TASK_STARTED) || (task->flags & ASXI_TASK_FINALIZER)) {
        return;
    }
    asx_cleanup *const type = type_of(task->cx._shard->cleanups, asxi_task_label(task));
    const uint32_t left =
        task->flags & ASXI_TASK_ACKED ? task->budget.poll_quota : task->cleanup_polls;
    type->tasks++;
    type->overruns += (task->flags & ASXI_TASK_OVERRUN) != 0;
    type->left_min = left < type->left_min ? left : type->left_min;
    if (body) {
        type->masked_max = more(type->masked_max, body->cleanup_masked);
        type->gap_max = more(type->gap_max, body->cleanup_gap_max);
    }
}

void asx_cleanup_each(const asx_shard *shard, asx_cleanup_fn *visit, void *arg)
{
    const asxi_cleanups *const cleanups = shard->cleanups;
    for (uint32_t i = 0; cleanups && i <= ASX_CLEANUP_TYPES_MAX; i++) {
        if (cleanups->types[i].tasks > 0) {
            visit(arg, &cleanups->types[i]);
        }
    }
}

uint64_t asx_cleanup_sufficient(const asx_cleanup *cleanup)
{
    return ((uint64_t)cleanup->masked_max + 1) * cleanup->gap_max;
}
