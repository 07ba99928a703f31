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

#endif
