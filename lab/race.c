#include <asx/lab/race.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"
#include "table_internal.h"

#include <string.h>

typedef struct step {
    uint32_t process;
    uint32_t rank;     /* from 1, among the steps of its process */
    uint32_t previous; /* of its process, plus 1 */
    uint32_t accesses_at, accesses_count;
    uint32_t candidates_at, candidates_count; /* what it directly depends on */
    uint64_t enabled;
} step;

/* Steps are kept plus 1, so that 0 is none. */
typedef struct last {
    uint32_t write;
    uint32_t reads; /* the newest of a list in `readers`, since that write */
} last;

typedef struct reader {
    uint32_t step, next;
} reader;

/* The newest step of a process that touched, or wrote, anything: what a global access meets. */
typedef struct touched {
    uint32_t any, write;
} touched;

typedef struct candidate {
    uint32_t step;
    asx_lab_access access;
} candidate;

struct asx_race_order {
    uint32_t processes;
    asxi_array steps;
    asxi_array clocks;   /* uint32_t, `processes` a step */
    asxi_array accesses; /* asx_lab_access */
    asxi_array lasts;
    asxi_array readers;
    asxi_array candidates;
    asxi_array races; /* asx_race: of the last each() */
    asxi_table index; /* access key -> index into lasts, plus 1 */
    uint32_t newest[ASX_RACE_PROCESSES_MAX];
    touched touched[ASX_RACE_PROCESSES_MAX];
    last global;
};

asx_race_order *asx_race_order_create(uint32_t processes)
{
    asx_assert_le(processes, ASX_RACE_PROCESSES_MAX);
    asx_race_order *const order = asxi_lab_alloc(1, sizeof(*order));
    order->processes = processes;
    asxi_array_init(&order->steps, sizeof(step));
    asxi_array_init(&order->clocks, sizeof(uint32_t));
    asxi_array_init(&order->accesses, sizeof(asx_lab_access));
    asxi_array_init(&order->lasts, sizeof(last));
    asxi_array_init(&order->readers, sizeof(reader));
    asxi_array_init(&order->candidates, sizeof(candidate));
    asxi_array_init(&order->races, sizeof(asx_race));
    return order;
}

void asx_race_order_destroy(asx_race_order *order)
{
    if (!order) {
        return;
    }
    asxi_array_deinit(&order->steps);
    asxi_array_deinit(&order->clocks);
    asxi_array_deinit(&order->accesses);
    asxi_array_deinit(&order->lasts);
    asxi_array_deinit(&order->readers);
    asxi_array_deinit(&order->candidates);
    asxi_array_deinit(&order->races);
    asxi_table_deinit(&order->index);
    asxi_lab_free(order);
}

void asx_race_order_clear(asx_race_order *order)
{
    asxi_array_cut(&order->steps, 0);
    asxi_array_cut(&order->clocks, 0);
    asxi_array_cut(&order->accesses, 0);
    asxi_array_cut(&order->lasts, 0);
    asxi_array_cut(&order->readers, 0);
    asxi_array_cut(&order->candidates, 0);
    asxi_array_cut(&order->races, 0);
    asxi_table_clear(&order->index);
    memset(order->newest, 0, sizeof(order->newest));
    memset(order->touched, 0, sizeof(order->touched));
    order->global = (last){ 0 };
}

static step *step_at(const asx_race_order *order, uint32_t index)
{
    return asxi_array_at(&order->steps, index);
}

uint32_t asx_race_order_count(const asx_race_order *order)
{
    return order->steps.count;
}

asx_race_step asx_race_order_step(const asx_race_order *order, uint32_t index)
{
    const step *const s = step_at(order, index);
    const asx_lab_access *const all = asxi_array_items(&order->accesses);
    return (asx_race_step){ .process = s->process,
                            .enabled = s->enabled,
                            .accesses = { all ? all + s->accesses_at : NULL, s->accesses_count } };
}

const uint32_t *asx_race_clock(const asx_race_order *order, uint32_t index)
{
    return asxi_array_at(&order->clocks, index * order->processes);
}

bool asx_race_before(const asx_race_order *order, uint32_t a, uint32_t b)
{
    const step *const earlier = step_at(order, a);
    return a < b && asx_race_clock(order, b)[earlier->process] >= earlier->rank;
}

static last *last_of(asx_race_order *order, const asx_lab_access *access)
{
    if (access->resource == ASX_LAB_RES_GLOBAL) {
        return &order->global;
    }
    uint32_t *const at = asxi_table_at(&order->index, asx_access_key(access));
    if (*at == 0) {
        asxi_array_push(&order->lasts);
        *at = order->lasts.count;
    }
    return asxi_array_at(&order->lasts, *at - 1);
}

static void add_candidate(asx_race_order *order, uint32_t step_plus_1, const asx_lab_access *access)
{
    if (step_plus_1) {
        candidate *const c = asxi_array_push(&order->candidates);
        *c = (candidate){ .step = step_plus_1 - 1, .access = *access };
    }
}

static void add_last(asx_race_order *order, const last *of, const asx_lab_access *access)
{
    add_candidate(order, of->write, access);
    if (!access->write) {
        return;
    }
    const reader *const readers = asxi_array_items(&order->readers);
    for (uint32_t at = of->reads; at; at = readers[at - 1].next) {
        add_candidate(order, readers[at - 1].step + 1, access);
    }
}

/* What the access depends on directly: others' accesses to its resource, and to everything. */
static void find_candidates(asx_race_order *order, const asx_lab_access *access)
{
    add_last(order, last_of(order, access), access);
    if (access->resource != ASX_LAB_RES_GLOBAL) {
        add_last(order, &order->global, access);
        return;
    }
    for (uint32_t p = 0; p < order->processes; p++) {
        const touched *const of = &order->touched[p];
        add_candidate(order, access->write ? of->any : of->write, access);
    }
}

static void note_access(asx_race_order *order, const asx_lab_access *access, uint32_t index,
                        uint32_t process)
{
    last *const of = last_of(order, access);
    if (access->write) {
        *of = (last){ .write = index + 1 };
        order->touched[process].write = index + 1;
    } else {
        reader *const r = asxi_array_push(&order->readers);
        *r = (reader){ .step = index, .next = of->reads };
        of->reads = order->readers.count;
    }
    order->touched[process].any = index + 1;
}

static void make_clock(asx_race_order *order, uint32_t index, const step *added)
{
    for (uint32_t p = 0; p < order->processes; p++) {
        asxi_array_push(&order->clocks);
    }
    uint32_t *const clock = asxi_array_at(&order->clocks, index * order->processes);
    const candidate *const candidates = asxi_array_items(&order->candidates);
    for (uint32_t i = 0; i <= added->candidates_count; i++) {
        const bool own = i == added->candidates_count;
        const uint32_t newest = order->newest[added->process];
        if (own && newest == 0) {
            break;
        }
        const uint32_t from = own ? newest - 1 : candidates[added->candidates_at + i].step;
        const uint32_t *const before = asx_race_clock(order, from);
        for (uint32_t p = 0; p < order->processes; p++) {
            clock[p] = before[p] > clock[p] ? before[p] : clock[p];
        }
    }
    clock[added->process] = added->rank;
}

void asx_race_order_add(asx_race_order *order, const asx_race_step *given)
{
    asx_assert_lt(given->process, order->processes);
    const uint32_t index = order->steps.count;
    const uint32_t newest = order->newest[given->process];
    step *const added = asxi_array_push(&order->steps);
    *added = (step){ .process = given->process,
                     .rank = newest ? step_at(order, newest - 1)->rank + 1 : 1,
                     .previous = newest,
                     .accesses_at = order->accesses.count,
                     .accesses_count = given->accesses.count,
                     .candidates_at = order->candidates.count,
                     .enabled = given->enabled };
    asxi_array_append(&order->accesses, given->accesses.at, given->accesses.count);
    for (uint32_t i = 0; i < given->accesses.count; i++) {
        find_candidates(order, &given->accesses.at[i]);
    }
    added->candidates_count = order->candidates.count - added->candidates_at;
    make_clock(order, index, added);
    for (uint32_t i = 0; i < given->accesses.count; i++) {
        note_access(order, &given->accesses.at[i], index, given->process);
    }
    order->newest[given->process] = index + 1;
}

/* Whether a third step stands between: one that `later` depends on directly, and that happens after
 * `earlier`. */
static bool is_between(const asx_race_order *order, uint32_t earlier, const step *later)
{
    const candidate *const candidates = asxi_array_items(&order->candidates);
    bool between = later->previous && asx_race_before(order, earlier, later->previous - 1);
    for (uint32_t i = 0; i < later->candidates_count && !between; i++) {
        const uint32_t middle = candidates[later->candidates_at + i].step;
        between = middle != earlier && asx_race_before(order, earlier, middle);
    }
    return between;
}

/* Whether `later`'s process could have run before `earlier`: it was enabled then, or became so
 * through a step that does not need `earlier`. */
static bool is_reversible(const asx_race_order *order, uint32_t earlier, uint32_t later)
{
    const uint64_t bit = UINT64_C(1) << step_at(order, later)->process;
    uint32_t since = later;
    while (since > earlier && (step_at(order, since - 1)->enabled & bit)) {
        since--;
    }
    if (since <= earlier) {
        return true;
    }
    const uint32_t waker = since - 1;
    return waker != earlier && !asx_race_before(order, earlier, waker);
}

const asx_race *asx_race_each(asx_race_order *order, uint32_t index, uint32_t *count)
{
    asxi_array_cut(&order->races, 0);
    const step *const later = step_at(order, index);
    const candidate *const candidates = asxi_array_items(&order->candidates);
    for (uint32_t i = 0; i < later->candidates_count; i++) {
        const candidate *const c = &candidates[later->candidates_at + i];
        const asx_race *const found = asxi_array_items(&order->races);
        bool skip = step_at(order, c->step)->process == later->process;
        for (uint32_t k = 0; k < order->races.count && !skip; k++) {
            skip = found[k].earlier == c->step;
        }
        if (!skip && !is_between(order, c->step, later)) {
            asx_race *const race = asxi_array_push(&order->races);
            *race = (asx_race){ .earlier = c->step,
                                .later = index,
                                .access = c->access,
                                .reversible = is_reversible(order, c->step, index) };
        }
    }
    asx_race *const races = asxi_array_items(&order->races);
    for (uint32_t i = 1; i < order->races.count; i++) { /* a handful: one a process at most */
        for (uint32_t k = i; k > 0 && races[k].earlier < races[k - 1].earlier; k--) {
            const asx_race swap = races[k];
            races[k] = races[k - 1];
            races[k - 1] = swap;
        }
    }
    *count = order->races.count;
    return races;
}

/* Of the steps that the reversed run starts with, the first of each process, plus 1. */
static void first_steps(const asx_race_order *order, const asx_race *race, uint32_t *first)
{
    for (uint32_t at = race->earlier + 1; at < race->later; at++) {
        const uint32_t process = step_at(order, at)->process;
        if (first[process] == 0 && !asx_race_before(order, race->earlier, at)) {
            first[process] = at + 1;
        }
    }
    const uint32_t process = step_at(order, race->later)->process;
    if (first[process] == 0) {
        first[process] = race->later + 1;
    }
}

uint64_t asx_race_initials(const asx_race_order *order, const asx_race *race)
{
    uint32_t first[ASX_RACE_PROCESSES_MAX] = { 0 };
    first_steps(order, race, first);
    uint64_t initials = 0;
    for (uint32_t p = 0; p < order->processes; p++) {
        bool initial = first[p] != 0;
        for (uint32_t q = 0; q < order->processes && initial; q++) {
            initial =
                first[q] == 0 || q == p || !asx_race_before(order, first[q] - 1, first[p] - 1);
        }
        if (initial) {
            initials |= UINT64_C(1) << p;
        }
    }
    asx_assert_ne(initials, 0);
    return initials;
}

uint32_t asx_race_classes_least(asx_race_order *order)
{
    uint32_t classes = 1, free_from = 0;
    for (uint32_t later = 0; later < order->steps.count; later++) {
        uint32_t count;
        const asx_race *const races = asx_race_each(order, later, &count);
        bool counted = false;
        for (uint32_t i = 0; i < count && !counted; i++) {
            counted = races[i].reversible && races[i].earlier >= free_from;
        }
        if (counted) {
            classes++;
            free_from = later + 1;
        }
    }
    return classes;
}
