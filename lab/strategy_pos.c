/* Source.  Yuan, Yang and Gu, Partial Order Aware Concurrency Sampling, CAV 2018. */
#include <asx/lab/independence.h>
#include <asx/lab/strategy.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"
#include "table_internal.h"

/* Who has touched a resource in this run: sets of processes. */
typedef struct touch {
    uint64_t readers, writers;
} touch;

typedef struct pos_strategy {
    asx_strategy base;
    uint64_t seed;
    asx_prng prng;
    uint64_t priority[ASX_RACE_PROCESSES_MAX]; /* of the step that each takes next */
    uint64_t drawn;                            /* processes whose priority stands */
    uint32_t running;                          /* the process of the step in progress */
    asxi_table places;                         /* access key -> index into touches, plus 1 */
    asxi_array touches;
} pos_strategy;

static bool pos_begin(asx_strategy *base, uint64_t index, uint64_t *seed)
{
    pos_strategy *const self = asx_container_of(base, pos_strategy, base);
    asx_lab_rand rand;
    *seed = self->seed + index;
    asx_lab_rand_init(&rand, *seed, *seed, 0);
    self->prng = rand.prng[ASX_LAB_SCHED];
    self->drawn = 0;
    asxi_table_clear(&self->places);
    asxi_array_cut(&self->touches, 0);
    return true;
}

static uint32_t pos_turn(asx_strategy *base, const asx_turn *turn)
{
    pos_strategy *const self = asx_container_of(base, pos_strategy, base);
    uint32_t best = 0;
    for (uint32_t i = 0; i < turn->count; i++) {
        const uint32_t process = turn->processes[i];
        if (!(self->drawn >> process & 1)) {
            self->drawn |= UINT64_C(1) << process;
            self->priority[process] = asx_prng_u64(&self->prng);
        }
        if (self->priority[process] > self->priority[turn->processes[best]]) {
            best = i;
        }
    }
    self->running = turn->processes[best];
    return best;
}

/* Notes that the running process touches this, and returns whom that may race with. */
static uint64_t pos_touch(pos_strategy *self, const asx_lab_access *access)
{
    if (access->resource == ASX_LAB_RES_GLOBAL) {
        return UINT64_MAX;
    }
    uint32_t *const place = asxi_table_at(&self->places, asx_access_key(access));
    if (*place == 0) {
        asxi_array_push(&self->touches);
        *place = self->touches.count;
    }
    touch *const t = asxi_array_at(&self->touches, *place - 1);
    const uint64_t self_bit = UINT64_C(1) << self->running;
    const uint64_t racing = t->writers | (access->write ? t->readers : 0);
    if (access->write) {
        t->writers |= self_bit;
    } else {
        t->readers |= self_bit;
    }
    return racing;
}

/* What a process does next is not known before it does it. It counts as touching what it has
 * touched so far. */
static void pos_stepped(asx_strategy *base, uint32_t step, asx_accesses accesses)
{
    pos_strategy *const self = asx_container_of(base, pos_strategy, base);
    (void)step;
    uint64_t redraw = UINT64_C(1) << self->running;
    for (uint32_t i = 0; i < accesses.count; i++) {
        redraw |= pos_touch(self, &accesses.at[i]);
    }
    self->drawn &= ~redraw;
}

static uint32_t pos_value(asx_strategy *base, uint32_t site, uint32_t n, uint64_t object)
{
    pos_strategy *const self = asx_container_of(base, pos_strategy, base);
    (void)object;
    return asx_strategy_is_fault(site) ? 1 : (uint32_t)asx_prng_below(&self->prng, n);
}

static void pos_destroy(asx_strategy *base)
{
    pos_strategy *const self = asx_container_of(base, pos_strategy, base);
    asxi_table_deinit(&self->places);
    asxi_array_deinit(&self->touches);
    asxi_lab_free(self);
}

asx_strategy *asx_strategy_pos(uint64_t seed)
{
    pos_strategy *const self = asxi_lab_alloc(1, sizeof(*self));
    *self = (pos_strategy){ .base = { .name = "pos",
                                      .indexed = true,
                                      .iid = true,
                                      .begin = pos_begin,
                                      .turn = pos_turn,
                                      .value = pos_value,
                                      .stepped = pos_stepped,
                                      .destroy = pos_destroy },
                            .seed = seed };
    asxi_array_init(&self->touches, sizeof(touch));
    return &self->base;
}
