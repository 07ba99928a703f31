/* What is due when: a heap by (instant, order of adding). */
#ifndef ASX_LAB_AGENDA_INTERNAL_H
#define ASX_LAB_AGENDA_INTERNAL_H

#include <asx/shard/base/time.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct asxi_due {
    asx_instant at_ns;
    uint64_t seq;
    void *object;
    uint64_t arg;
    uint32_t kind; /* the owner's */
    uint32_t tries;
} asxi_due;

typedef struct asxi_agenda { /* zero-filled is empty */
    asxi_due *entries;
    uint32_t count, cap;
    uint64_t next_seq;
} asxi_agenda;

/* `due` but for its seq, which is given here. Aborts without memory: a run that forgets is none. */
void asxi_agenda_add(asxi_agenda *agenda, asxi_due due);

/* Takes the first entry out; false when it is later than now. */
bool asxi_agenda_pop(asxi_agenda *agenda, asx_instant now_ns, asxi_due *due);

/* Takes the entries of `object` out; O(entries). Returns how many. */
uint32_t asxi_agenda_remove(asxi_agenda *agenda, const void *object);

void asxi_agenda_deinit(asxi_agenda *agenda);

static inline asx_instant asxi_agenda_next(const asxi_agenda *agenda)
{
    return agenda->count > 0 ? agenda->entries[0].at_ns : ASX_TIME_NEVER;
}

#endif
