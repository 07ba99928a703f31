#include <asx/shard/base/assert.h>

#include "agenda_internal.h"

#include <stdlib.h>

static bool before(const asxi_due *a, const asxi_due *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

static void sift_up(asxi_agenda *agenda, uint32_t at, asxi_due due)
{
    asxi_due *const entries = agenda->entries;
    while (at > 0 && before(&due, &entries[(at - 1) / 2])) {
        entries[at] = entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    entries[at] = due;
}

static void sift_down(asxi_agenda *agenda, uint32_t at, asxi_due due)
{
    asxi_due *const entries = agenda->entries;
    const uint32_t count = agenda->count;
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && before(&entries[child + 1], &entries[child]);
        if (!before(&entries[child], &due)) {
            break;
        }
        entries[at] = entries[child];
    }
    entries[at] = due;
}

void asxi_agenda_add(asxi_agenda *agenda, asxi_due due)
{
    if (agenda->count == agenda->cap) {
        const uint32_t cap = agenda->cap ? 2 * agenda->cap : 64;
        asxi_due *const entries = realloc(agenda->entries, cap * sizeof(*entries));
        asx_assert(entries != NULL);
        agenda->entries = entries;
        agenda->cap = cap;
    }
    due.seq = agenda->next_seq++;
    sift_up(agenda, agenda->count++, due);
}

static void remove_at(asxi_agenda *agenda, uint32_t at)
{
    const asxi_due last = agenda->entries[--agenda->count];
    if (at == agenda->count) {
        return;
    }
    if (at > 0 && before(&last, &agenda->entries[(at - 1) / 2])) {
        sift_up(agenda, at, last);
    } else {
        sift_down(agenda, at, last);
    }
}

bool asxi_agenda_pop(asxi_agenda *agenda, asx_instant now_ns, asxi_due *due)
{
    if (agenda->count == 0 || agenda->entries[0].at_ns > now_ns) {
        return false;
    }
    *due = agenda->entries[0];
    remove_at(agenda, 0);
    return true;
}

uint32_t asxi_agenda_remove(asxi_agenda *agenda, const void *object)
{
    uint32_t removed = 0;
    for (uint32_t i = 0; i < agenda->count;) {
        if (agenda->entries[i].object == object) {
            remove_at(agenda, i); /* what moves here is looked at again */
            i = 0;
            removed++;
        } else {
            i++;
        }
    }
    return removed;
}

void asxi_agenda_deinit(asxi_agenda *agenda)
{
    free(agenda->entries);
}
