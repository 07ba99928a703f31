/* The last messages that a task left at its checkpoints. */
#include <asx/shard/base/assert.h>

#include "shard_internal.h"

#include <stdio.h>
#include <string.h>

/* Messages end up in logs: one line each, whatever they hold. */
static void entry_set(char entry[ASXI_TRAIL_ENTRY_MAX + 1], const char *message)
{
    size_t len = 0;
    for (; len < ASXI_TRAIL_ENTRY_MAX && message[len] != '\0'; len++) {
        const unsigned char c = (unsigned char)message[len];
        entry[len] = c < 0x20 || c == 0x7F ? ' ' : (char)c;
    }
    entry[len] = '\0';
}

asx_outcome asx_checkpoint_note(asx_cx *cx, const char *message)
{
    asx_task *const task = cx->_task;
    if (asx_unlikely(task != cx->_shard->running)) {
        return asx_fail(ASX_E(WRONG_TASK));
    }
    asxi_body *const body = asxi_task_body(task);
    if (body && !body->trail) {
        body->trail = asx_heap_alloc(&task->cx._region->heap, sizeof(*body->trail));
        if (body->trail) {
            body->trail->count = 0;
            task->flags |= ASXI_TASK_LENT;
        }
    }
    if (body && body->trail) {
        entry_set(body->trail->entries[body->trail->count++ % ASXI_TRAIL_COUNT], message);
    }
    return asx_checkpoint(cx);
}

const char *asxi_trail_last(const asx_task *task)
{
    const asxi_trail *const trail = task->body ? task->body->trail : NULL;
    return trail ? trail->entries[(trail->count - 1) % ASXI_TRAIL_COUNT] : NULL;
}

void asxi_trail_print(const asx_task *task, char *text, size_t size)
{
    const asxi_trail *const trail = task->body ? task->body->trail : NULL;
    const uint32_t count = trail ? trail->count : 0;
    const uint32_t first = count > ASXI_TRAIL_COUNT ? count - ASXI_TRAIL_COUNT : 0;
    size_t used = 0;
    asx_assert(size > 0);
    text[0] = '\0';
    for (uint32_t i = first; i < count && used < size; i++) {
        const int len = snprintf(text + used, size - used, "%s%s", i > first ? ", " : "",
                                 trail->entries[i % ASXI_TRAIL_COUNT]);
        used += (size_t)len;
    }
    if (first > 0 && used < size) {
        (void)snprintf(text + used, size - used, " (+%u more)", first);
    }
}
