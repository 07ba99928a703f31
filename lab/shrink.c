#include <asx/lab/event.h>
#include <asx/lab/shrink.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"
#include "table_internal.h"

#include <string.h>

typedef struct shrinker {
    asx_shrink_list_fn *fails;
    void *arg;
    uint32_t replays_max;
    uint16_t *best;      /* the caller's */
    uint16_t *candidate; /* as long */
    uint32_t count;      /* of best */
    asxi_table seen;     /* hash of a list -> 1 it passed, 2 it failed */
    asx_shrink_result result;
} shrinker;

static uint32_t without_zeros(const uint16_t *values, uint32_t count)
{
    while (count > 0 && values[count - 1] == 0) {
        count--;
    }
    return count;
}

/* Whether a list fails, from memory where it was tried before. */
static bool test(shrinker *s, const uint16_t *values, uint32_t count)
{
    uint64_t hash = ASX_FNV64_EMPTY;
    if (count) {
        hash = asx_fnv64(hash, values, sizeof(*values) * count);
    }
    uint32_t *const known = asxi_table_at(&s->seen, hash);
    if (*known == 0) {
        if (s->result.replays == s->replays_max) {
            s->result.truncated = true;
            return false;
        }
        s->result.replays++;
        *known = s->fails(s->arg, values, count) ? 2 : 1;
    }
    return *known == 2;
}

/* Fewer entries other than 0, then a smaller sum, then shorter. */
static bool is_less(const uint16_t *a, uint32_t of_a, const uint16_t *b, uint32_t of_b)
{
    uint64_t used_a = 0, used_b = 0, sum_a = 0, sum_b = 0;
    for (uint32_t i = 0; i < of_a; i++) {
        used_a += a[i] != 0;
        sum_a += a[i];
    }
    for (uint32_t i = 0; i < of_b; i++) {
        used_b += b[i] != 0;
        sum_b += b[i];
    }
    if (used_a != used_b) {
        return used_a < used_b;
    }
    return sum_a != sum_b ? sum_a < sum_b : of_a < of_b;
}

/* Takes the candidate, of at most `count` entries, if it is less and fails. */
static bool take(shrinker *s, uint32_t count)
{
    count = without_zeros(s->candidate, count);
    if (!is_less(s->candidate, count, s->best, s->count) || !test(s, s->candidate, count)) {
        return false;
    }
    if (count > 0) {
        memcpy(s->best, s->candidate, sizeof(*s->best) * count);
    }
    s->count = count;
    return true;
}

/* Makes the first `count` entries of the best list the candidate. */
static void copy_best(shrinker *s, uint32_t count)
{
    if (count > 0) { /* an empty list may have no memory */
        memcpy(s->candidate, s->best, sizeof(*s->best) * count);
    }
}

static bool shorten(shrinker *s)
{
    uint32_t passing = 0, failing = s->count; /* prefixes shorter than passing pass */
    while (passing < failing) {
        const uint32_t middle = passing + (failing - passing) / 2;
        if (test(s, s->best, without_zeros(s->best, middle))) {
            failing = middle;
        } else {
            passing = middle + 1;
        }
    }
    copy_best(s, failing);
    return take(s, failing);
}

static bool zero_chunks(shrinker *s)
{
    bool changed = false;
    for (uint32_t size = s->count > 1 ? s->count / 2 : 1; size > 0 && s->count > 0; size /= 2) {
        for (uint32_t at = 0; at < s->count; at += size) {
            const uint32_t len = at + size < s->count ? size : s->count - at;
            copy_best(s, s->count);
            memset(s->candidate + at, 0, sizeof(*s->best) * len);
            changed |= take(s, s->count);
        }
    }
    return changed;
}

static bool lower_entries(shrinker *s)
{
    bool changed = false;
    for (uint32_t at = 0; at < s->count; at++) {
        uint16_t passing = 1, failing = s->best[at];
        while (passing < failing) {
            const uint16_t middle = (uint16_t)(passing + (failing - passing) / 2);
            copy_best(s, s->count);
            s->candidate[at] = middle;
            if (take(s, s->count)) {
                failing = middle;
                changed = true;
            } else {
                passing = (uint16_t)(middle + 1);
            }
        }
    }
    return changed;
}

asx_shrink_result asx_shrink_list(uint16_t *values, uint32_t *count, uint32_t replays_max,
                                  asx_shrink_list_fn *fails, void *arg)
{
    shrinker s = { .fails = fails,
                   .arg = arg,
                   .replays_max = replays_max ? replays_max : ASX_SHRINK_REPLAYS_MAX,
                   .best = values,
                   .count = without_zeros(values, *count) };
    s.candidate = asxi_lab_alloc(s.count, sizeof(*s.candidate));
    s.result.reproduced = test(&s, values, s.count);
    bool changed = s.result.reproduced;
    while (changed && !s.result.truncated) {
        changed = shorten(&s);
        changed |= zero_chunks(&s);
        changed |= lower_entries(&s);
    }
    *count = s.count;
    asxi_lab_free(s.candidate);
    asxi_table_deinit(&s.seen);
    return s.result;
}

uint32_t asx_shrink_prefix(uint32_t n, asx_shrink_prefix_fn *fails, void *arg,
                           asx_shrink_result *result)
{
    asx_assert_lt(0, n);
    *result = (asx_shrink_result){ .replays = 1, .reproduced = fails(arg, n) };
    if (!result->reproduced) {
        return 0;
    }
    uint32_t passing = 1, failing = n;
    while (passing < failing) {
        const uint32_t middle = passing + (failing - passing) / 2;
        result->replays++;
        if (fails(arg, middle)) {
            failing = middle;
        } else {
            passing = middle + 1;
        }
    }
    return failing;
}
