/* What the watch over deadlines keeps, and what the task automaton tells it. */
#ifndef ASX_SHARD_DEADLINE_INTERNAL_H
#define ASX_SHARD_DEADLINE_INTERNAL_H

#include <asx/shard/base/list.h>
#include <asx/shard/deadline.h>
#include <asx/shard/heap.h>
#include <asx/shard/obligation.h>

#define ASXI_DEADLINE_TYPES_MAX 16u
#define ASXI_DEADLINE_SAMPLES_MAX 1000u
#define ASXI_DEADLINE_TYPE_LEN 48u

/* How long the tasks of one label took, the last thousand of them. */
typedef struct asxi_deadline_type {
    char name[ASXI_DEADLINE_TYPE_LEN]; /* trimmed and cut */
    asx_duration *samples;             /* a ring, in the heap of the watch's region */
    uint32_t count, next;
    bool sorted_out;         /* `typical_ns` is of all samples */
    asx_duration typical_ns; /* nine of ten took no longer */
} asxi_deadline_type;

typedef struct asxi_deadline_history {
    asx_heap *heap;
    asx_duration *scratch; /* room to sort; NULL before the first type */
    uint32_t type_count;
    asxi_deadline_type types[ASXI_DEADLINE_TYPES_MAX];
} asxi_deadline_history;

typedef struct asxi_deadline_watch {
    asx_deadline_config config;
    asx_defer defer;
    asx_instant minute_began_ns;
    uint32_t reports_left, unreported;
    asxi_deadline_history history;
} asxi_deadline_watch;

/* What is told of an obligation. */
typedef struct asxi_obligation_note {
    asx_obligation_kind kind;
    const char *what, *file;
    int line;
    asx_handle handle;
    asx_instant reserved_at;
} asxi_obligation_note;
/* obligation.c: of one in a holder's list. */
asxi_obligation_note asxi_obligation_note_of(asx_list *held);

/* Of the record at `index`; false: it is not reserved. */
typedef struct asxi_obligation_seen {
    const asx_region *region;
    const asx_task *holder;
    const void *object; /* of its maker's, as in asx_obligation_options */
    asx_list *held;     /* for asxi_obligation_note_of */
    asx_instant reserved_at;
} asxi_obligation_seen;
bool asxi_obligation_at(const asx_shard *shard, uint32_t index, asxi_obligation_seen *seen);

/* futurelock.c: `holder` has reserved what `held` says. */
void asxi_futurelock_look(asx_task *holder, const asxi_obligation_note *held,
                          asx_duration limit_ns);
/* obligation.c: looks at up to `count` records from *cursor on; false at the end of the table. */
bool asxi_obligations_look(asx_shard *shard, uint32_t *cursor, uint32_t count,
                           asx_duration limit_ns);

/* deadline_history.c. Without memory, or with more labels than there is room for, samples are
 * dropped. */
void asxi_deadline_history_add(asxi_deadline_history *history, const char *label,
                               asx_duration took_ns);
/* How long a task of this label may run before it is worth a word. */
asx_duration asxi_deadline_history_limit(asxi_deadline_history *history, const char *label,
                                         asx_duration total_ns);
void asxi_deadline_history_free(asxi_deadline_history *history);

#endif
