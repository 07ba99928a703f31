/* Entropy of a cx: SplitMix64 streams, forked a task, seeded by the driver (CAP-7, CAP-8). */
#include <asx/shard/base/assert.h>
#include <asx/shard/base/prng.h>
#include <asx/shard/cx.h>

#include "shard_internal.h"

#include <string.h>

uint64_t asx_random_u64(asx_cx *cx)
{
    asx_task *const task = cx->_task;
    if (asx_cx_require(cx, ASX_CAP_RANDOM)) {
        return 0;
    }
    asxi_body *const body = asxi_task_body(task);
    if (!body) {
        asx_panic("no memory for a random stream");
    }
    if (!(task->flags & ASXI_TASK_SEEDED)) {
        /* Siblings do not disturb one another's randomness (SPN-5). */
        task->flags |= ASXI_TASK_SEEDED;
        body->entropy =
            asx_mix64(task->cx._region->entropy + (task->spawn_seq + 1) * ASXI_STREAM_STRIDE);
    }
    return asx_splitmix64(&body->entropy);
}

uint64_t asx_random_below(asx_cx *cx, uint64_t n)
{
    asx_assert(n > 0);
    if (asx_cx_require(cx, ASX_CAP_RANDOM)) {
        return 0;
    }
    const uint64_t threshold = (0 - n) % n;
    for (;;) { /* rejects less than half of the draws */
        const unsigned __int128 product = (unsigned __int128)asx_random_u64(cx) * n;
        if ((uint64_t)product >= threshold) {
            return (uint64_t)(product >> 64);
        }
    }
}

bool asx_random_bool(asx_cx *cx)
{
    return asx_random_u64(cx) >> 63;
}

double asx_random_double(asx_cx *cx)
{
    return (double)(asx_random_u64(cx) >> 11) * 0x1p-53;
}

void asx_random_bytes(asx_cx *cx, void *buf, size_t size)
{
    unsigned char *const bytes = buf;
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++, word >>= 8) { /* the low byte first, on any machine */
        word = i % 8 == 0 ? asx_random_u64(cx) : word;
        bytes[i] = (unsigned char)word;
    }
}

static void swap(unsigned char *a, unsigned char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const unsigned char kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

void asx_random_shuffle(asx_cx *cx, void *items, size_t count, size_t size)
{
    unsigned char *const at = items;
    if (asx_cx_require(cx, ASX_CAP_RANDOM)) {
        return;
    }
    for (size_t left = count; left > 1; left--) {
        const size_t drawn = (size_t)asx_random_below(cx, left);
        swap(at + drawn * size, at + (left - 1) * size, size);
    }
}
