/* Foata normal form: one canonical text for all runs that differ only in the order of what
 * commutes.
 *
 * Model.   The layer of an event is one more than the highest layer of the earlier events that it
 *          depends on, or 0; within a layer events are ordered by what they are. Kept by two
 *          numbers a resource (the layers of its last write and of the reads since), so that the
 *          cost is that of the footprints, never of pairs.
 * Reading. Depth is the critical path, width the parallelism, and the fingerprint a name of the
 *          class: no sequence number, instant, clock or shard enters it. Choices are no part.
 * Source.  Cartier & Foata, 1969; Diekert & Rozenberg, The Book of Traces, 1995. */
#ifndef ASX_LAB_FOATA_H
#define ASX_LAB_FOATA_H

#include <asx/lab/event.h>
#include <asx/lab/independence.h>

ASX_BEGIN_DECLS

typedef struct asx_foata asx_foata;

typedef struct asx_foata_item {
    uint32_t layer;
    uint16_t kind;
    uint16_t word_count;
    uint32_t words_at; /* of its payload, which orders equal keys */
    uint32_t ordinal;  /* in the order of adding */
    uint64_t key[3];   /* primary, secondary, tertiary */
} asx_foata_item;

typedef struct asx_foata_form {
    uint64_t fingerprint; /* ASX_FNV64_EMPTY for no events */
    uint32_t count;
    uint32_t depth; /* layers */
    uint32_t width; /* events of the largest */
} asx_foata_form;

asx_foata *asx_foata_create(void);
void asx_foata_destroy(asx_foata *foata);
/* Forgets everything that was added. */
void asx_foata_clear(asx_foata *foata);

/* The next event of the run, by the footprint of its kind. */
void asx_foata_add(asx_foata *foata, const asx_lab_event *event);

/* The same for events of another world than the kernel's.
 *
 * accesses  need not be normalised */
void asx_foata_add_item(asx_foata *foata, uint16_t kind, const uint64_t key[3],
                        const asx_lab_access *accesses, uint32_t count);

/* Orders what was added. More may be added afterwards, and the form taken again. */
asx_foata_form asx_foata_take(asx_foata *foata);

/* The ordered items, after take(); lent until the next add. */
const asx_foata_item *asx_foata_items(const asx_foata *foata, uint32_t *count);

/* The fingerprint of a whole trace. */
uint64_t asx_foata_fingerprint(const asx_lab_event *events, uint32_t count);

/* Whether the two forms, both taken, agree layer by layer to the last payload word: what the
 * fingerprint says up to a collision of its hash. */
bool asx_foata_equal(const asx_foata *a, const asx_foata *b);

/* The place among the ordered items of the first that only one of them has, or that differs; the
 * count of both when they are equal. */
uint32_t asx_foata_differs(const asx_foata *a, const asx_foata *b);

ASX_END_DECLS

#endif
