#include <asx/raptorq/replay.h>
#include <asx/raptorq/tuple.h>
#include <asx/shard/base/assert.h>

#include "plan_internal.h"

#include <string.h>

/* The free inactive symbols: what the pivots leave in the HDPC rows, less what the dense binary
 * rows explain, times the inverse. */
static void solve_free(const asx_rq_plan *plan, const asx_rq_kernel *kernel, uint8_t *slab,
                       size_t width)
{
    uint8_t *sums = slab + plan->l * width;
    kernel->hdpc(&plan->hdpc, slab, width, sums);
    for (uint32_t h = 0; h < plan->h; h++) {
        kernel->combine(sums + h * width, width, slab, width, plan->dense_row,
                        plan->lambda + (size_t)h * plan->rank, plan->rank, 1);
    }
    for (uint32_t f = 0; f < plan->free; f++) {
        kernel->combine(slab + plan->free_row[f] * width, width, sums, width, NULL,
                        plan->inverse + (size_t)f * plan->h, plan->h, 0);
    }
}

void asx_rq_replay(const asx_rq_plan *plan, const asx_rq_kernel *kernel, uint8_t *slab,
                   size_t width, const asx_rq_feed *feed)
{
    asx_assert(width % 64 == 0 && (uintptr_t)slab % 64 == 0);
    asx_assert_le(feed->exact, width);
    kernel->gather(plan->forward, plan->forward + plan->forward_len, slab, width, feed);
    if (plan->free > 0) {
        solve_free(plan, kernel, slab, width);
    }
    kernel->gather(plan->backward, plan->backward + plan->backward_len, slab, width, feed);
}

uint32_t asx_rq_replay_spare(const asx_rq_plan *plan)
{
    return plan->free > 0 ? plan->h - plan->free : 0;
}

bool asx_rq_replay_holds(const asx_rq_plan *plan, const asx_rq_kernel *kernel, const uint8_t *slab,
                         size_t width, uint32_t max)
{
    enum { PART = 1024 };
    static const uint8_t zero[PART];
    const uint8_t *sums = slab + plan->l * width;
    const uint32_t spare = asx_rq_replay_spare(plan);
    for (uint32_t i = 0; i < spare && i < max; i++) {
        for (size_t at = 0; at < width; at += PART) {
            const size_t len = width - at < PART ? width - at : PART;
            uint8_t made[PART];
            kernel->combine(made, len, sums + at, width, NULL,
                            plan->inverse + (size_t)(plan->free + i) * plan->h, plan->h, 0);
            if (memcmp(made, zero, len) != 0) {
                return false;
            }
        }
    }
    return true;
}

uint32_t asx_rq_plan_support(const asx_rq_plan *plan, const asx_rq_param *param, uint32_t isi,
                             uint16_t rows[])
{
    uint32_t lt_count;
    const uint32_t count = asx_rq_support(param, isi, rows, &lt_count);
    for (uint32_t i = 0; i < count; i++) {
        rows[i] = plan->row_of[rows[i]];
    }
    return count;
}
