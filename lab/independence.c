#include <asx/lab/independence.h>

#include <assert.h>
#include <stdlib.h>

static int order(const void *a, const void *b)
{
    const asx_lab_access *const x = a, *const y = b;
    if (x->resource != y->resource) {
        return x->resource < y->resource ? -1 : 1;
    }
    return (x->object > y->object) - (x->object < y->object);
}

uint32_t asx_accesses_normalise(asx_lab_access *accesses, uint32_t count)
{
    if (count < 2) {
        return count;
    }
    qsort(accesses, count, sizeof(*accesses), order);
    uint32_t last = 0;
    for (uint32_t i = 1; i < count; i++) {
        if (order(&accesses[last], &accesses[i]) == 0) {
            accesses[last].write |= accesses[i].write;
        } else {
            accesses[++last] = accesses[i];
        }
    }
    return last + 1;
}

/* A global access meets each access of the other set: the first pair of which one writes. */
static const asx_lab_access *global_conflict(asx_accesses a, asx_accesses b)
{
    const asx_lab_access *found = NULL;
    for (uint32_t i = 0; i < a.count && !found; i++) {
        for (uint32_t k = 0; k < b.count && !found; k++) {
            const bool global =
                a.at[i].resource == ASX_LAB_RES_GLOBAL || b.at[k].resource == ASX_LAB_RES_GLOBAL;
            found = global && (a.at[i].write || b.at[k].write) ? &a.at[i] : NULL;
        }
    }
    return found;
}

/* Of a normalised set, the highest resource stands last. */
static bool has_global(asx_accesses set)
{
    static_assert(ASX_LAB_RES_GLOBAL > ASX_LAB_RES_LOCK, "the last resource");
    return set.count > 0 && set.at[set.count - 1].resource == ASX_LAB_RES_GLOBAL;
}

const asx_lab_access *asx_accesses_conflict(asx_accesses a, asx_accesses b)
{
    uint32_t i = 0, k = 0;
    while (i < a.count && k < b.count) {
        const int side = order(&a.at[i], &b.at[k]);
        if (side == 0 && (a.at[i].write || b.at[k].write)) {
            return &a.at[i];
        }
        i += side <= 0;
        k += side >= 0;
    }
    return has_global(a) || has_global(b) ? global_conflict(a, b) : NULL;
}
