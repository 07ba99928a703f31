#include <asx/lab/strategy.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"

#include <stdlib.h>

void asx_strategy_destroy(asx_strategy *strategy)
{
    if (strategy) {
        strategy->destroy(strategy);
    }
}

bool asx_strategy_is_fault(uint32_t site)
{
    return site == ASX_CHOICE_FAULT || site == ASX_CHOICE_CANCELPT;
}

uint64_t asx_strategy_fault(uint32_t site, uint64_t object)
{
    return site == ASX_CHOICE_CANCELPT ? object | UINT64_C(1) << 63 : object;
}

static void free_memory(asx_strategy *self)
{
    asxi_lab_free(self);
}

/* random, and default, which is random without the drawing */

typedef struct random_strategy {
    asx_strategy base;
    uint64_t seed;
    asx_prng prng;
} random_strategy;

static bool random_begin(asx_strategy *base, uint64_t index, uint64_t *seed)
{
    random_strategy *const self = asx_container_of(base, random_strategy, base);
    asx_lab_rand rand;
    *seed = self->seed + index;
    asx_lab_rand_init(&rand, *seed, *seed, 0);
    self->prng = rand.prng[ASX_LAB_SCHED];
    return true;
}

/* Draws only where there is something to draw, as a run's own random source does: the same seed is
 * the same run in both. */
static uint32_t random_below(asx_strategy *base, uint32_t n)
{
    random_strategy *const self = asx_container_of(base, random_strategy, base);
    return n == 1 ? 0 : (uint32_t)asx_prng_below(&self->prng, n);
}

static uint32_t random_turn(asx_strategy *base, const asx_turn *turn)
{
    return random_below(base, turn->count);
}

static uint32_t random_value(asx_strategy *base, uint32_t site, uint32_t n, uint64_t object)
{
    (void)object;
    return asx_strategy_is_fault(site) ? 1 : random_below(base, n);
}

asx_strategy *asx_strategy_random(uint64_t seed)
{
    random_strategy *const self = asxi_lab_alloc(1, sizeof(*self));
    *self = (random_strategy){ .base = { .name = "random",
                                         .indexed = true,
                                         .iid = true,
                                         .begin = random_begin,
                                         .turn = random_turn,
                                         .value = random_value,
                                         .destroy = free_memory },
                               .seed = seed };
    return &self->base;
}

static bool default_begin(asx_strategy *base, uint64_t index, uint64_t *seed)
{
    const random_strategy *const self = asx_container_of(base, random_strategy, base);
    *seed = self->seed;
    return index == 0;
}

static uint32_t first_turn(asx_strategy *base, const asx_turn *turn)
{
    (void)base;
    (void)turn;
    return 0;
}

static uint32_t first_value(asx_strategy *base, uint32_t site, uint32_t n, uint64_t object)
{
    (void)base;
    (void)site;
    (void)n;
    (void)object;
    return 0;
}

asx_strategy *asx_strategy_default(uint64_t seed)
{
    random_strategy *const self = asxi_lab_alloc(1, sizeof(*self));
    *self = (random_strategy){ .base = { .name = "default",
                                         .indexed = true,
                                         .begin = default_begin,
                                         .turn = first_turn,
                                         .value = first_value,
                                         .destroy = free_memory },
                               .seed = seed };
    return &self->base;
}

/* replay */

#define REPLAY_AHEAD 64u /* rows */

typedef struct replay_strategy {
    asx_strategy base;
    uint64_t seed;
    const asx_lab_choice *rows;
    uint32_t count, at, misfits;
    const uint64_t *faults;
    uint32_t fault_count;
    bool by_fault; /* faults are answered by `faults`, not by rows */
} replay_strategy;

static bool replay_begin(asx_strategy *base, uint64_t index, uint64_t *seed)
{
    replay_strategy *const self = asx_container_of(base, replay_strategy, base);
    *seed = self->seed;
    self->at = self->misfits = 0;
    return index == 0;
}

/* Without some of its faults a run asks less, and other things: moves on to the next row that is
 * about this question. False: there is none near, and the row at hand waits for its own. */
static bool replay_resume(replay_strategy *self, uint32_t site, uint64_t object)
{
    for (uint32_t i = self->at; i < self->count && i - self->at <= REPLAY_AHEAD; i++) {
        if (self->rows[i].site == site && self->rows[i].object == object) {
            self->at = i;
            return true;
        }
    }
    return false;
}

static uint32_t replay_answer(replay_strategy *self, uint32_t site, uint32_t n, uint64_t object)
{
    if (n == 1 || self->at == self->count ||
        (self->by_fault && !replay_resume(self, site, object))) {
        return 0;
    }
    const asx_lab_choice *const row = &self->rows[self->at++];
    self->misfits += row->site != site || row->n != n;
    return row->chosen < n ? row->chosen : 0;
}

static uint32_t replay_turn(asx_strategy *base, const asx_turn *turn)
{
    replay_strategy *const self = asx_container_of(base, replay_strategy, base);
    return replay_answer(self, ASX_CHOICE_SHARD, turn->count, 0);
}

static int compare_faults(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint32_t replay_value(asx_strategy *base, uint32_t site, uint32_t n, uint64_t object)
{
    replay_strategy *const self = asx_container_of(base, replay_strategy, base);
    if (self->by_fault && asx_strategy_is_fault(site)) {
        const uint64_t fault = asx_strategy_fault(site, object);
        return self->fault_count > 0 && bsearch(&fault, self->faults, self->fault_count,
                                                sizeof(fault), compare_faults) != NULL;
    }
    return replay_answer(self, site, n, object);
}

asx_strategy *asx_strategy_replay(uint64_t seed, const asx_lab_choice *rows, uint32_t count)
{
    replay_strategy *const self = asxi_lab_alloc(1, sizeof(*self));
    *self = (replay_strategy){ .base = { .name = "replay",
                                         .indexed = true,
                                         .begin = replay_begin,
                                         .turn = replay_turn,
                                         .value = replay_value,
                                         .destroy = free_memory },
                               .seed = seed,
                               .rows = rows,
                               .count = count };
    return &self->base;
}

void asx_strategy_replay_set(asx_strategy *replay, const asx_lab_choice *rows, uint32_t count)
{
    asx_assert(replay->begin == replay_begin);
    replay_strategy *const self = asx_container_of(replay, replay_strategy, base);
    self->rows = rows;
    self->count = count;
}

void asx_strategy_replay_faults(asx_strategy *replay, const uint64_t *faults, uint32_t count)
{
    asx_assert(replay->begin == replay_begin);
    replay_strategy *const self = asx_container_of(replay, replay_strategy, base);
    self->by_fault = true;
    self->faults = faults;
    self->fault_count = count;
}

uint32_t asx_strategy_replay_misfits(const asx_strategy *replay)
{
    asx_assert(replay->begin == replay_begin);
    return ((const replay_strategy *)(const void *)replay)->misfits;
}

/* bounded: depth first over the answers, the last one that may still grow grows */

typedef struct answer {
    uint32_t n, value;
} answer;

typedef struct bounded_strategy {
    asx_strategy base;
    uint64_t seed;
    uint32_t deviations_max;
    uint32_t at, deviations; /* of the run in progress */
    asxi_array answers;
    bool begun;
} bounded_strategy;

/* Moves to the next list of answers within the bound; false: that was the last. */
static bool bounded_next(bounded_strategy *self)
{
    uint32_t deviations = self->deviations;
    while (self->answers.count > 0) {
        answer *const last = asxi_array_at(&self->answers, self->answers.count - 1);
        deviations -= last->value != 0;
        if (last->value + 1 < last->n && deviations < self->deviations_max) {
            last->value++;
            return true;
        }
        asxi_array_cut(&self->answers, self->answers.count - 1);
    }
    return false;
}

static bool bounded_begin(asx_strategy *base, uint64_t index, uint64_t *seed)
{
    bounded_strategy *const self = asx_container_of(base, bounded_strategy, base);
    (void)index;
    *seed = self->seed;
    const bool more = !self->begun || bounded_next(self);
    self->begun = true;
    self->at = self->deviations = 0;
    return more;
}

static uint32_t bounded_answer(bounded_strategy *self, uint32_t n)
{
    if (n == 1) {
        return 0;
    }
    if (self->at == self->answers.count) {
        answer *const fresh = asxi_array_push(&self->answers);
        fresh->n = n;
    }
    const answer *const a = asxi_array_at(&self->answers, self->at++);
    self->deviations += a->value != 0;
    return a->value < n ? a->value : 0;
}

static uint32_t bounded_turn(asx_strategy *base, const asx_turn *turn)
{
    return bounded_answer(asx_container_of(base, bounded_strategy, base), turn->count);
}

static uint32_t bounded_value(asx_strategy *base, uint32_t site, uint32_t n, uint64_t object)
{
    (void)site;
    (void)object;
    return bounded_answer(asx_container_of(base, bounded_strategy, base), n);
}

/* A run that ended early leaves answers that nobody asked for: they go. */
static void bounded_end(asx_strategy *base, asx_explore_run *run)
{
    bounded_strategy *const self = asx_container_of(base, bounded_strategy, base);
    (void)run;
    asxi_array_cut(&self->answers, self->at);
}

static void bounded_destroy(asx_strategy *base)
{
    bounded_strategy *const self = asx_container_of(base, bounded_strategy, base);
    asxi_array_deinit(&self->answers);
    asxi_lab_free(self);
}

asx_strategy *asx_strategy_bounded(uint64_t seed, uint32_t deviations_max)
{
    bounded_strategy *const self = asxi_lab_alloc(1, sizeof(*self));
    *self = (bounded_strategy){ .base = { .name = "bounded",
                                          .begin = bounded_begin,
                                          .turn = bounded_turn,
                                          .value = bounded_value,
                                          .end = bounded_end,
                                          .destroy = bounded_destroy },
                                .seed = seed,
                                .deviations_max = deviations_max };
    asxi_array_init(&self->answers, sizeof(answer));
    return &self->base;
}
