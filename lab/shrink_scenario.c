#include <asx/lab/shrink.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"

#include <string.h>

typedef struct scenario {
    const uint32_t *parents;
    uint32_t count;
    uint32_t tests_max; /* 0: none */
    asx_shrink_scenario_fn *fails;
    void *arg;
    uint8_t *keep; /* the caller's: what is left */
    uint8_t *candidate;
    uint32_t left;
    asx_shrink_result result;
} scenario;

/* What lived in something that went, goes too. Returns how many are left. */
static uint32_t drop_orphans(const scenario *s, uint8_t *keep)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->parents[i] && !keep[s->parents[i] - 1]) {
            keep[i] = 0;
        }
        left += keep[i];
    }
    return left;
}

/* Takes the candidate if it still fails. */
static bool take(scenario *s)
{
    const uint32_t left = drop_orphans(s, s->candidate);
    if (left == 0 || left == s->left) {
        return false;
    }
    if (s->tests_max && s->result.replays == s->tests_max) {
        s->result.truncated = true;
        return false;
    }
    s->result.replays++;
    if (!s->fails(s->arg, s->candidate, s->count)) {
        return false;
    }
    memcpy(s->keep, s->candidate, s->count);
    s->left = left;
    return true;
}

static bool without(scenario *s, uint32_t index)
{
    memcpy(s->candidate, s->keep, s->count);
    s->candidate[index] = 0;
    return take(s);
}

static bool has_children(const scenario *s, uint32_t index)
{
    bool found = false;
    for (uint32_t i = index + 1; i < s->count && !found; i++) {
        found = s->keep[i] && s->parents[i] == index + 1;
    }
    return found;
}

/* Those that stand higher stand earlier. */
static void drop_subtrees(scenario *s)
{
    for (uint32_t i = 0; i < s->count && !s->result.truncated; i++) {
        if (s->keep[i] && has_children(s, i)) {
            without(s, i);
        }
    }
}

/* Removes the part-th of `parts` stretches of what is left. */
static bool without_part(scenario *s, uint32_t part, uint32_t parts)
{
    const uint64_t from = (uint64_t)s->left * part / parts;
    const uint64_t to = (uint64_t)s->left * (part + 1) / parts;
    memcpy(s->candidate, s->keep, s->count);
    uint64_t at = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->keep[i]) {
            s->candidate[i] = !(at >= from && at < to);
            at++;
        }
    }
    return take(s);
}

static void drop_parts(scenario *s)
{
    uint32_t parts = 2;
    while (parts <= s->left && s->left > 1 && !s->result.truncated) {
        bool taken = false;
        for (uint32_t part = 0; part < parts && !taken; part++) {
            taken = without_part(s, part, parts);
        }
        if (taken) {
            parts = parts > 2 ? parts - 1 : 2;
        } else if (parts == s->left) {
            break;
        } else {
            parts = parts * 2 < s->left ? parts * 2 : s->left;
        }
    }
}

static void drop_one_by_one(scenario *s)
{
    bool changed = true;
    while (changed && !s->result.truncated) {
        changed = false;
        for (uint32_t i = s->count; i > 0 && !s->result.truncated; i--) {
            if (s->keep[i - 1]) {
                changed |= without(s, i - 1);
            }
        }
    }
    s->result.one_minimal = !s->result.truncated;
}

asx_shrink_result asx_shrink_scenario(const uint32_t *parents, uint32_t count, uint32_t tests_max,
                                      asx_shrink_scenario_fn *fails, void *arg, uint8_t *keep)
{
    asx_assert_lt(0, count);
    scenario s = { .parents = parents,
                   .count = count,
                   .tests_max = tests_max,
                   .fails = fails,
                   .arg = arg,
                   .keep = keep,
                   .left = count };
    for (uint32_t i = 0; i < count; i++) {
        asx_assert_le(parents[i], i);
    }
    s.candidate = asxi_lab_alloc(count, 1);
    memset(keep, 1, count);
    s.result.replays = 1;
    s.result.reproduced = fails(arg, keep, count);
    if (s.result.reproduced) {
        drop_subtrees(&s);
        drop_parts(&s);
        drop_one_by_one(&s);
    }
    asxi_lab_free(s.candidate);
    return s.result;
}
