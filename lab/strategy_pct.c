#include <asx/lab/strategy.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"

#include <math.h>

typedef struct pct_strategy {
    asx_strategy base;
    asx_pct_config config;
    bool fixed;
    uint64_t key; /* of the priorities of this run */
    asx_prng prng;
    uint32_t depth;
    uint32_t change_points[ASX_PCT_DEPTH_MAX];
    int64_t priority[ASX_RACE_PROCESSES_MAX];
    uint64_t known;    /* processes that have a priority */
    uint32_t turns;    /* with more than one alternative, so far */
    uint32_t spinning; /* turns in a row of `last` while others waited */
    uint32_t last;
    int64_t floor; /* the lowest priority given to one that spun */
} pct_strategy;

double asx_pct_probability(uint32_t processes, uint32_t steps, uint32_t depth)
{
    asx_assert(processes > 0 && steps > 0 && depth > 0);
    return 1 / (processes * pow(steps, depth - 1));
}

double asx_pct_runs(uint32_t processes, uint32_t steps, uint32_t depth, double confidence)
{
    asx_assert(confidence > 0 && confidence < 1);
    return ceil(log1p(-confidence) / log1p(-asx_pct_probability(processes, steps, depth)));
}

/* Draws this run's depth and the places where priorities change. */
static void pct_draw(pct_strategy *self, uint64_t index)
{
    self->depth = self->config.depth ? self->config.depth : 1 + (uint32_t)(index % 3);
    for (uint32_t i = 0; i + 1 < self->depth; i++) {
        self->change_points[i] = 1 + (uint32_t)asx_prng_below(&self->prng, self->config.steps);
    }
}

static bool pct_begin(asx_strategy *base, uint64_t index, uint64_t *seed)
{
    pct_strategy *const self = asx_container_of(base, pct_strategy, base);
    asx_lab_rand rand;
    *seed = self->config.seed + index;
    asx_lab_rand_init(&rand, *seed, *seed, 0);
    self->prng = rand.prng[ASX_LAB_SCHED];
    self->key = asx_prng_u64(&self->prng);
    if (!self->fixed) {
        self->known = 0;
        pct_draw(self, index);
    }
    self->turns = self->spinning = 0;
    self->last = ASX_RACE_PROCESSES_MAX;
    self->floor = 0;
    return true;
}

/* High, random, and the same whenever the process turns up. */
static void pct_meet(pct_strategy *self, uint32_t process)
{
    const uint64_t bit = UINT64_C(1) << process;
    if (!(self->known & bit)) {
        self->known |= bit;
        const uint64_t draw = asx_mix64(self->key ^ asx_mix64(process + 1));
        self->priority[process] = (int64_t)(draw >> 2) + ASX_PCT_DEPTH_MAX + 1;
    }
}

static uint32_t pct_highest(pct_strategy *self, const asx_turn *turn)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < turn->count; i++) {
        pct_meet(self, turn->processes[i]);
        if (self->priority[turn->processes[i]] > self->priority[turn->processes[best]]) {
            best = i;
        }
    }
    return best;
}

/* The d-th change point gives the lowest of the reserved priorities, the first the highest. */
static void pct_change(pct_strategy *self, uint32_t process)
{
    for (uint32_t i = 0; i + 1 < self->depth; i++) {
        if (self->change_points[i] == self->turns) {
            self->priority[process] = (int64_t)(self->depth - 1 - i);
        }
    }
}

static uint32_t pct_turn(asx_strategy *base, const asx_turn *turn)
{
    pct_strategy *const self = asx_container_of(base, pct_strategy, base);
    if (turn->count == 1) {
        pct_meet(self, turn->processes[0]);
        return 0;
    }
    self->turns++;
    pct_change(self, turn->processes[pct_highest(self, turn)]);
    uint32_t chosen = pct_highest(self, turn);
    self->spinning = turn->processes[chosen] == self->last ? self->spinning + 1 : 1;
    if (self->spinning > ASX_STRATEGY_SPIN_MAX) {
        self->priority[turn->processes[chosen]] = --self->floor;
        self->spinning = 1;
        chosen = pct_highest(self, turn);
    }
    self->last = turn->processes[chosen];
    return chosen;
}

static uint32_t pct_value(asx_strategy *base, uint32_t site, uint32_t n, uint64_t object)
{
    pct_strategy *const self = asx_container_of(base, pct_strategy, base);
    (void)object;
    return asx_strategy_is_fault(site) ? 1 : (uint32_t)asx_prng_below(&self->prng, n);
}

static void pct_destroy(asx_strategy *base)
{
    asxi_lab_free(asx_container_of(base, pct_strategy, base));
}

asx_strategy *asx_strategy_pct(const asx_pct_config *config)
{
    asx_assert_le(config->depth, ASX_PCT_DEPTH_MAX);
    pct_strategy *const self = asxi_lab_alloc(1, sizeof(*self));
    *self = (pct_strategy){ .base = { .name = "pct",
                                      .indexed = true,
                                      .iid = config->depth != 0,
                                      .begin = pct_begin,
                                      .turn = pct_turn,
                                      .value = pct_value,
                                      .destroy = pct_destroy },
                            .config = *config };
    self->config.steps = config->steps ? config->steps : 1;
    return &self->base;
}

void asx_strategy_pct_fix(asx_strategy *pct, const int64_t *priorities, uint32_t processes,
                          const uint32_t *change_points, uint32_t depth)
{
    asx_assert(pct->begin == pct_begin);
    asx_assert(depth >= 1 && depth <= ASX_PCT_DEPTH_MAX);
    pct_strategy *const self = asx_container_of(pct, pct_strategy, base);
    self->fixed = true;
    self->depth = depth;
    self->known = 0;
    for (uint32_t p = 0; p < processes; p++) {
        self->priority[p] = priorities[p];
        self->known |= UINT64_C(1) << p;
    }
    for (uint32_t i = 0; i + 1 < depth; i++) {
        self->change_points[i] = change_points[i];
    }
}
