/* Lineage: from how a good outcome came about, to the faults that could have prevented it.
 *
 * Model.   A derivation is the set of fault-able events that one way of reaching the outcome stands
 *          on. Faults break the outcome only if every derivation loses an event: only the minimal
 *          sets that hit all of them are worth injecting, the smallest first. A derivation that
 *          names too many events costs a run for nothing; one that names too few hides a bug. An
 *          empty derivation cannot be broken.
 * Owner.   The caller.
 * Source.  Alvaro et al., Lineage-driven fault injection, SIGMOD 2015. */
#ifndef ASX_LAB_LINEAGE_H
#define ASX_LAB_LINEAGE_H

#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_LINEAGE_SIZE_MAX 8u

typedef struct asx_lineage asx_lineage;

asx_lineage *asx_lineage_create(void);
void asx_lineage_destroy(asx_lineage *lineage);

/* events  of one derivation; copied; repeated ones count once */
void asx_lineage_add(asx_lineage *lineage, const uint64_t *events, uint32_t count);

typedef enum asx_lineage_end {
    ASX_LINEAGE_ALL,         /* no other set of at most size_max events breaks every derivation */
    ASX_LINEAGE_CUT,         /* the callback wanted no more */
    ASX_LINEAGE_UNBREAKABLE, /* a derivation is empty, or there is none */
} asx_lineage_end;

/* Calls `each` with the minimal breaking sets of at most size_max events, smaller ones first, each
 * once, its events ascending. It returns false to end the search.
 *
 * size_max  1..ASX_LINEAGE_SIZE_MAX */
asx_lineage_end asx_lineage_each(const asx_lineage *lineage, uint32_t size_max,
                                 bool (*each)(void *arg, const uint64_t *events, uint32_t count),
                                 void *arg);

ASX_END_DECLS

#endif
