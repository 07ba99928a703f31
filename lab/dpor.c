#include <asx/lab/dpor.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"

/* A process that must not start here: whatever begins with its next step was seen. Its accesses
 * stand in the node's `sleep_accesses`. */
typedef struct sleeper {
    uint32_t process, at, count;
} sleeper;

typedef struct node {
    bool is_value;
    /* a turn */
    uint32_t chosen; /* process */
    uint64_t enabled, backtrack, done, asleep;
    asxi_array sleep;          /* sleeper */
    asxi_array sleep_accesses; /* asx_lab_access */
    asxi_array touched;        /* asx_lab_access: by the chosen one's step, over all its values */
    /* a value */
    uint32_t n, limit, ordinal;
} node;

typedef struct search {
    asx_strategy base; /* first */
    asx_dpor_config config;
    asx_dpor_counts counts;
    asxi_array nodes;
    asxi_array turns; /* uint32_t: the node of each step */
    asxi_array last;  /* asx_lab_access: of the step that ended last */
    uint32_t at;      /* the next node of the run in progress */
    uint32_t changed; /* the first step that this run takes for the first time */
    bool begun, lost; /* lost: the run no longer follows the tree */
} search;

static search *of(asx_strategy *base)
{
    return asx_container_of(base, search, base);
}

static node *node_at(const search *self, uint32_t index)
{
    return asxi_array_at(&self->nodes, index);
}

static node *push_node(search *self)
{
    node *const fresh = asxi_array_push(&self->nodes);
    asxi_array_init(&fresh->sleep, sizeof(sleeper));
    asxi_array_init(&fresh->sleep_accesses, sizeof(asx_lab_access));
    asxi_array_init(&fresh->touched, sizeof(asx_lab_access));
    if (self->nodes.count > self->counts.depth_max) {
        self->counts.depth_max = self->nodes.count;
    }
    return fresh;
}

static void pop_node(search *self)
{
    node *const last = node_at(self, self->nodes.count - 1);
    if (!last->is_value) {
        asxi_array_cut(&self->turns, self->turns.count - 1);
    }
    asxi_array_deinit(&last->sleep);
    asxi_array_deinit(&last->sleep_accesses);
    asxi_array_deinit(&last->touched);
    asxi_array_cut(&self->nodes, self->nodes.count - 1);
}

static void put_to_sleep(node *at, uint32_t process, asx_accesses accesses)
{
    sleeper *const s = asxi_array_push(&at->sleep);
    *s = (sleeper){ .process = process, .at = at->sleep_accesses.count, .count = accesses.count };
    asxi_array_append(&at->sleep_accesses, accesses.at, accesses.count);
    at->asleep |= UINT64_C(1) << process;
}

static asx_accesses accesses_of(const asxi_array *array)
{
    return (asx_accesses){ asxi_array_items(array), array->count };
}

/* What slept at `from` and commutes with the step just taken there sleeps on. */
static void inherit_sleep(search *self, node *fresh, const node *from)
{
    const sleeper *const sleepers = asxi_array_items(&from->sleep);
    const asx_lab_access *const all = asxi_array_items(&from->sleep_accesses);
    for (uint32_t i = 0; i < from->sleep.count; i++) {
        const asx_accesses pending = { all ? all + sleepers[i].at : NULL, sleepers[i].count };
        if (!asx_accesses_conflict(pending, accesses_of(&self->last))) {
            put_to_sleep(fresh, sleepers[i].process, pending);
        }
    }
}

/* The chosen process of a turn was explored wholly: the next one that must be, or false. */
static bool next_process(search *self, node *turn)
{
    const uint64_t bit = UINT64_C(1) << turn->chosen;
    turn->done |= bit;
    if (!self->config.sleepless) {
        asx_lab_access *const touched = asxi_array_items(&turn->touched);
        const uint32_t count = asx_accesses_normalise(touched, turn->touched.count);
        put_to_sleep(turn, turn->chosen, (asx_accesses){ touched, count });
    }
    asxi_array_cut(&turn->touched, 0);
    const uint64_t wanted = turn->backtrack & ~turn->done;
    const uint64_t left = wanted & ~turn->asleep;
    self->counts.pruned_sleep += (uint64_t)__builtin_popcountll(wanted & turn->asleep);
    if (left) {
        turn->chosen = (uint32_t)__builtin_ctzll(left);
    }
    return left != 0;
}

/* Moves to the next run of the tree; false: there is none. */
static bool advance(search *self)
{
    while (self->nodes.count > 0) {
        node *const last = node_at(self, self->nodes.count - 1);
        const bool more = last->is_value ? ++last->ordinal < last->limit : next_process(self, last);
        if (more) {
            self->changed = self->turns.count ? self->turns.count - 1 : 0;
            return true;
        }
        pop_node(self);
    }
    return false;
}

static bool dpor_begin(asx_strategy *base, uint64_t index, uint64_t *seed)
{
    search *const self = of(base);
    (void)index;
    *seed = self->config.seed;
    const bool more = !self->begun || advance(self);
    self->begun = true;
    self->at = 0;
    self->lost = false;
    self->counts.finished = !more;
    return more;
}

/* The same answers met another question: what the tree says of this run is worth nothing. */
static uint32_t diverge(search *self)
{
    self->counts.diverged += !self->lost;
    self->lost = true;
    return ASX_TURN_ABANDON;
}

static uint32_t alternative_of(const asx_turn *turn, uint32_t process)
{
    uint32_t i = 0;
    while (turn->processes[i] != process) {
        i++;
        asx_assert_lt(i, turn->count);
    }
    return i;
}

static uint32_t new_turn(search *self, const asx_turn *turn)
{
    const uint32_t index = self->nodes.count;
    node *const fresh = push_node(self);
    asxi_array_append(&self->turns, &index, 1);
    self->at = self->nodes.count;
    fresh->enabled = turn->enabled;
    if (self->turns.count > 1) {
        const uint32_t *const turns = asxi_array_items(&self->turns);
        inherit_sleep(self, fresh, node_at(self, turns[self->turns.count - 2]));
    }
    const uint64_t awake = fresh->enabled & ~fresh->asleep;
    if (awake == 0) {
        self->counts.sleep_blocked++;
        pop_node(self);
        self->at = self->nodes.count;
        return ASX_TURN_ABANDON;
    }
    fresh->chosen = (uint32_t)__builtin_ctzll(awake);
    fresh->backtrack = UINT64_C(1) << fresh->chosen;
    return alternative_of(turn, fresh->chosen);
}

static uint32_t dpor_turn(asx_strategy *base, const asx_turn *turn)
{
    search *const self = of(base);
    if (self->lost) {
        return ASX_TURN_ABANDON;
    }
    if (self->at == self->nodes.count) {
        return new_turn(self, turn);
    }
    const node *const known = node_at(self, self->at++);
    if (known->is_value || known->enabled != turn->enabled) {
        return diverge(self);
    }
    return alternative_of(turn, known->chosen);
}

/* The ordinal-th value to try: the boundaries first. */
static uint32_t value_of(uint32_t ordinal, uint32_t n)
{
    return ordinal % 2 ? n - 1 - ordinal / 2 : ordinal / 2;
}

static uint32_t dpor_value(asx_strategy *base, uint32_t site, uint32_t n, uint64_t object)
{
    search *const self = of(base);
    (void)object;
    if (self->lost) {
        return 0;
    }
    asx_assert_lt(site, 64);
    const uint64_t bit = UINT64_C(1) << site;
    if (self->config.fixed_sites & bit) {
        self->counts.fixed++;
        self->counts.fixed_sites |= bit;
        return 0;
    }
    if (self->at == self->nodes.count) {
        node *const fresh = push_node(self);
        fresh->is_value = true;
        fresh->n = n;
        fresh->limit = n < self->config.data_max ? n : self->config.data_max;
        self->counts.data_capped += fresh->limit < n;
    }
    const node *const known = node_at(self, self->at++);
    if (!known->is_value || known->n != n) {
        diverge(self);
        return 0;
    }
    return value_of(known->ordinal, n);
}

static void dpor_stepped(asx_strategy *base, uint32_t step, asx_accesses accesses)
{
    search *const self = of(base);
    if (self->lost || step < self->changed || step >= self->turns.count) {
        return;
    }
    const uint32_t *const turns = asxi_array_items(&self->turns);
    node *const turn = node_at(self, turns[step]);
    asxi_array_append(&turn->touched, accesses.at, accesses.count);
    asxi_array_cut(&self->last, 0);
    asxi_array_append(&self->last, accesses.at, accesses.count);
}

/* Asks the node before the earlier step for a process that can start the reversed run. */
static void reverse(search *self, const asx_race_order *order, const asx_race *race)
{
    const uint32_t *const turns = asxi_array_items(&self->turns);
    node *const before = node_at(self, turns[race->earlier]);
    const uint64_t initials = asx_race_initials(order, race) & before->enabled;
    if (initials == 0 || (initials & before->backtrack)) {
        self->counts.pruned_done++;
        return;
    }
    before->backtrack |= initials & -initials;
    self->counts.backtracks++;
}

static void dpor_end(asx_strategy *base, asx_explore_run *run)
{
    search *const self = of(base);
    asx_race_order *const order = asx_explore_run_order(run);
    self->counts.runs++;
    self->counts.limited += asx_explore_run_verdict(run)->end == ASX_EXPLORE_STEP_LIMIT;
    if (self->lost || self->at < self->nodes.count) { /* it ended before the tree says */
        self->counts.diverged += !self->lost;
        return;
    }
    const uint32_t steps = asx_race_order_count(order);
    for (uint32_t later = self->changed; later < steps; later++) {
        uint32_t count;
        const asx_race *const races = asx_race_each(order, later, &count);
        self->counts.races += count;
        for (uint32_t i = 0; i < count; i++) {
            if (races[i].reversible) {
                self->counts.reversible++;
                reverse(self, order, &races[i]);
            }
        }
    }
}

static void dpor_destroy(asx_strategy *base)
{
    search *const self = of(base);
    while (self->nodes.count > 0) {
        pop_node(self);
    }
    asxi_array_deinit(&self->nodes);
    asxi_array_deinit(&self->turns);
    asxi_array_deinit(&self->last);
    asxi_lab_free(self);
}

asx_strategy *asx_dpor_create(const asx_dpor_config *config)
{
    search *const self = asxi_lab_alloc(1, sizeof(*self));
    *self = (search){ .base = { .name = "dpor",
                                .wants_order = true,
                                .begin = dpor_begin,
                                .turn = dpor_turn,
                                .value = dpor_value,
                                .stepped = dpor_stepped,
                                .end = dpor_end,
                                .destroy = dpor_destroy },
                      .config = config ? *config : (asx_dpor_config){ 0 } };
    if (self->config.data_max == 0) {
        self->config.data_max = 4;
    }
    asxi_array_init(&self->nodes, sizeof(node));
    asxi_array_init(&self->turns, sizeof(uint32_t));
    asxi_array_init(&self->last, sizeof(asx_lab_access));
    return &self->base;
}

asx_dpor_counts asx_dpor_counts_of(const asx_strategy *dpor)
{
    asx_assert(dpor->begin == dpor_begin);
    return ((const search *)(const void *)dpor)->counts;
}

bool asx_dpor_exhaustive(const asx_strategy *dpor, const char **why)
{
    const asx_dpor_counts counts = asx_dpor_counts_of(dpor);
    const char *reason = NULL;
    if (!counts.finished) {
        reason = "runs are left to make";
    } else if (counts.data_capped) {
        reason = "bounded: not all values of some question were tried";
    } else if (counts.fixed) {
        reason = "bounded: all orders of whole turns, but questions of some sites were answered 0";
    } else if (counts.limited) {
        reason = "some runs met a limit";
    } else if (counts.diverged) {
        reason = "some runs did not follow their answers";
    }
    if (why) {
        *why = reason;
    }
    return reason == NULL;
}
