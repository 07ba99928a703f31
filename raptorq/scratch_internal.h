/* Memory that an encoder or decoder keeps from block to block. */
#ifndef ASX_RAPTORQ_SCRATCH_INTERNAL_H
#define ASX_RAPTORQ_SCRATCH_INTERNAL_H

#include <asx/raptorq/alloc.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct asxi_scratch {
    uint8_t *at; /* NULL before the first use */
    size_t cap;
} asxi_scratch;

/* size > 0. What it held is lost when it grows; false when out of memory. */
bool asxi_scratch_grow(const asx_rq_alloc *alloc, asxi_scratch *scratch, size_t size);
void asxi_scratch_free(const asx_rq_alloc *alloc, asxi_scratch *scratch);

/* Equal parts of a scratch, lent to jobs that may run at once. A job gets the lowest free one: no
 * more are touched than there are workers, and each worker finds its own in its cache. */
#define ASXI_SLOTS_MAX 64u

typedef struct asxi_slots {
    uint8_t *at;
    size_t each;
    uint64_t free; /* a bit for each part that nobody has */
} asxi_slots;

/* Parts for `jobs` jobs, one when they run one after the other. False when out of memory. */
bool asxi_slots_open(asxi_slots *slots, const asx_rq_alloc *alloc, asxi_scratch *scratch,
                     size_t each, uint32_t jobs, bool is_parallel);

/* Waits, when more jobs run than there are parts, as long as one of them takes. */
uint8_t *asxi_slots_acquire(asxi_slots *slots);
void asxi_slots_release(asxi_slots *slots, const uint8_t *part);

#endif
