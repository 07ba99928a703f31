#include <asx/lab/lineage.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct derivation {
    uint32_t at, count; /* in `events` */
} derivation;

struct asx_lineage {
    asxi_array derivations;
    asxi_array events; /* uint64_t, ascending within a derivation */
};

asx_lineage *asx_lineage_create(void)
{
    asx_lineage *const lineage = asxi_lab_alloc(1, sizeof(*lineage));
    asxi_array_init(&lineage->derivations, sizeof(derivation));
    asxi_array_init(&lineage->events, sizeof(uint64_t));
    return lineage;
}

void asx_lineage_destroy(asx_lineage *lineage)
{
    asxi_array_deinit(&lineage->derivations);
    asxi_array_deinit(&lineage->events);
    asxi_lab_free(lineage);
}

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void asx_lineage_add(asx_lineage *lineage, const uint64_t *events, uint32_t count)
{
    derivation *const d = asxi_array_push(&lineage->derivations);
    d->at = lineage->events.count;
    asxi_array_append(&lineage->events, events, count);
    if (count == 0) {
        return;
    }
    uint64_t *const mine = asxi_array_at(&lineage->events, d->at);
    qsort(mine, count, sizeof(*mine), ascending);
    d->count = 1;
    for (uint32_t i = 1; i < count; i++) {
        if (mine[i] != mine[d->count - 1]) {
            mine[d->count++] = mine[i];
        }
    }
    asxi_array_cut(&lineage->events, d->at + d->count);
}

static const derivation *derivation_at(const asx_lineage *lineage, uint32_t index)
{
    return asxi_array_at(&lineage->derivations, index);
}

static bool contains(const asx_lineage *lineage, const derivation *d, uint64_t event)
{
    const uint64_t *const mine = asxi_array_at(&lineage->events, d->at);
    return bsearch(&event, mine, d->count, sizeof(event), ascending) != NULL;
}

/* How many of the chosen events the derivation holds; one of them in `held`. */
static uint32_t hits(const asx_lineage *lineage, const derivation *d, const uint64_t *chosen,
                     uint32_t count, uint32_t *held)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (contains(lineage, d, chosen[i])) {
            sum++;
            *held = i;
        }
    }
    return sum;
}

/* The first derivation that none of the chosen events hits; NULL: all are hit. */
static const derivation *first_unhit(const asx_lineage *lineage, const uint64_t *chosen,
                                     uint32_t count)
{
    uint32_t held;
    for (uint32_t i = 0; i < lineage->derivations.count; i++) {
        const derivation *const d = derivation_at(lineage, i);
        if (hits(lineage, d, chosen, count, &held) == 0) {
            return d;
        }
    }
    return NULL;
}

/* Every chosen event is alone in hitting some derivation: none of them can go. */
static bool is_minimal(const asx_lineage *lineage, const uint64_t *chosen, uint32_t count)
{
    uint32_t needed = 0, held = 0;
    for (uint32_t i = 0; i < lineage->derivations.count; i++) {
        if (hits(lineage, derivation_at(lineage, i), chosen, count, &held) == 1) {
            needed |= 1u << held;
        }
    }
    return needed == (1u << count) - 1;
}

/* The sets found so far, one after the other in `found`: the same one is reached in many orders. */
static bool is_new(asxi_array *found, const uint64_t *sorted, uint32_t count)
{
    const uint64_t *const all = asxi_array_items(found);
    for (uint32_t at = 0; at < found->count; at += count) {
        if (memcmp(all + at, sorted, sizeof(*sorted) * count) == 0) {
            return false;
        }
    }
    asxi_array_append(found, sorted, count);
    return true;
}

typedef struct search {
    const asx_lineage *lineage;
    bool (*each)(void *arg, const uint64_t *events, uint32_t count);
    void *arg;
    asxi_array found; /* uint64_t: sets of this size */
} search;

static bool report(search *s, const uint64_t *chosen, uint32_t count)
{
    uint64_t sorted[ASX_LINEAGE_SIZE_MAX];
    memcpy(sorted, chosen, sizeof(*sorted) * count);
    qsort(sorted, count, sizeof(*sorted), ascending);
    const bool wanted = is_minimal(s->lineage, chosen, count) && is_new(&s->found, sorted, count);
    return !wanted || s->each(s->arg, sorted, count);
}

/* All breaking sets of this size: each level chooses an event of the first derivation that the
 * levels above left unhit. False: the callback wants no more. */
static bool search_size(search *s, uint32_t size)
{
    const derivation *open[ASX_LINEAGE_SIZE_MAX];
    uint32_t next[ASX_LINEAGE_SIZE_MAX] = { 0 };
    uint64_t chosen[ASX_LINEAGE_SIZE_MAX] = { 0 };
    uint32_t depth = 0;
    open[0] = first_unhit(s->lineage, chosen, 0);
    asxi_array_cut(&s->found, 0);
    for (;;) {
        if (next[depth] == open[depth]->count) {
            if (depth == 0) {
                return true;
            }
            depth--;
            continue;
        }
        chosen[depth] =
            *(const uint64_t *)asxi_array_at(&s->lineage->events, open[depth]->at + next[depth]);
        next[depth]++;
        const derivation *const left = first_unhit(s->lineage, chosen, depth + 1);
        if (!left && depth + 1 == size && !report(s, chosen, size)) {
            return false;
        }
        if (left && depth + 1 < size) {
            open[++depth] = left;
            next[depth] = 0;
        }
    }
}

asx_lineage_end asx_lineage_each(const asx_lineage *lineage, uint32_t size_max,
                                 bool (*each)(void *arg, const uint64_t *events, uint32_t count),
                                 void *arg)
{
    asx_assert(size_max >= 1 && size_max <= ASX_LINEAGE_SIZE_MAX);
    for (uint32_t i = 0; i < lineage->derivations.count; i++) {
        if (derivation_at(lineage, i)->count == 0) {
            return ASX_LINEAGE_UNBREAKABLE;
        }
    }
    if (lineage->derivations.count == 0) {
        return ASX_LINEAGE_UNBREAKABLE;
    }
    search s = { .lineage = lineage, .each = each, .arg = arg };
    asxi_array_init(&s.found, sizeof(uint64_t));
    bool going = true;
    for (uint32_t size = 1; size <= size_max && going; size++) {
        going = search_size(&s, size);
    }
    asxi_array_deinit(&s.found);
    return going ? ASX_LINEAGE_ALL : ASX_LINEAGE_CUT;
}
