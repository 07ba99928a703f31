#include <asx/raptorq/replay.h>
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
    const asx_rq_product explained = { .outputs = plan->h,
                                       .inputs = plan->rank,
                                       .factors = plan->lambda,
                                       .factor_stride = plan->rank,
                                       .in = slab,
                                       .in_stride = width,
                                       .in_row = plan->dense_row,
                                       .out = sums,
                                       .out_stride = width,
                                       .add = true };
    kernel->product(&explained, width);
    const asx_rq_product solved = { .outputs = plan->free,
                                    .inputs = plan->h,
                                    .factors = plan->inverse,
                                    .factor_stride = plan->h,
                                    .in = sums,
                                    .in_stride = width,
                                    .out = slab,
                                    .out_stride = width,
                                    .out_row = plan->free_row };
    kernel->product(&solved, width);
}

/* Copies the fed symbols to where the programs then read one after the other. Both ask for them in
 * the same order: the backward program for a first part of what the forward one asked for. */
static void pack(const asx_rq_plan *plan, const asx_rq_feed *feed, size_t width, uint8_t *out)
{
    enum { AHEAD = 12 };
    const uint32_t *number = plan->fed;
    for (uint32_t i = 0; i < plan->fed_count; i++, out += width) {
        const uint8_t *coming =
            i + AHEAD < plan->fed_count ? asx_rq_feed_at(feed, number[i + AHEAD]) : NULL;
        for (size_t at = 0; coming != NULL && at < feed->exact; at += 64) {
            __builtin_prefetch(coming + at);
        }
        const uint8_t *symbol = asx_rq_feed_at(feed, number[i]);
        const size_t len = symbol != NULL ? feed->exact : 0;
        size_t at = 0;
        for (; at + 64 <= len; at += 64) {
            memcpy(out + at, symbol + at, 64);
        }
        if (at < width) {
            memset(out + at, 0, width - at);
            memcpy(out + at, symbol != NULL ? symbol + at : out, len - at);
        }
    }
}

/* Below, the symbols of a block are likely to be in the second-level cache. */
enum { FETCHED_ROWS_MIN = 1500 };

void asx_rq_replay(const asx_rq_plan *plan, const asx_rq_kernel *kernel, uint8_t *slab,
                   size_t width, const asx_rq_feed *feed, uint8_t *packed)
{
    asx_assert(width % 64 == 0 && (uintptr_t)slab % 64 == 0);
    asx_assert_le(feed->exact, width);
    asx_rq_feed rows = *feed;
    if (packed != NULL) {
        pack(plan, feed, width, packed);
        rows.packed = packed;
    } else if (plan->l > FETCHED_ROWS_MIN) {
        rows.order = plan->fed;
        rows.order_len = plan->fed_count;
    }
    kernel->gather(plan->forward, plan->forward + plan->forward_len, slab, width, &rows);
    if (plan->free > 0) {
        solve_free(plan, kernel, slab, width);
    }
    kernel->gather(plan->backward, plan->backward + plan->backward_len, slab, width, &rows);
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
            const asx_rq_product left = { .outputs = 1,
                                          .inputs = plan->h,
                                          .factors =
                                              plan->inverse + (size_t)(plan->free + i) * plan->h,
                                          .in = sums + at,
                                          .in_stride = width,
                                          .out = made };
            kernel->product(&left, len);
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

uint16_t *asx_rq_plan_entry(const asx_rq_plan *plan, const asx_rq_param *param, uint32_t isi,
                            uint16_t *list)
{
    list[0] = (uint16_t)asx_rq_plan_support(plan, param, isi, list + 1);
    return list + 1 + list[0];
}
