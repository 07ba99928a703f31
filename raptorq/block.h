/* The geometry of one source block, and the symbols of its slab.
 *
 * Model.   A symbol of T bytes is cut into N sub-symbols; the block's source holds all first
 *          sub-symbols, then all second ones, and so on. The codec works in stripes: a stripe is
 *          some consecutive bytes of every symbol of one sub-block. Stripes need nothing from each
 *          other; each has its own part of the slab, rows of `width` bytes one after the other.
 * Bounds.  A slab is (L + H) T bytes, T rounded up so that rows are multiples of 64.
 */
#ifndef ASX_RAPTORQ_BLOCK_H
#define ASX_RAPTORQ_BLOCK_H

#include <asx/raptorq/param.h>
#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_rq_block {
    asx_rq_param param;
    uint32_t symbol_size; /* T, 1..65535 */
    uint32_t alignment;
    uint32_t sub_blocks;              /* N */
    uint32_t large_size, large_count; /* bytes of the first sub-symbols, and how many */
    uint32_t small_size;              /* of the others */
    uint32_t width;                   /* of a stripe, at most; multiple of 64 */
    uint32_t stripes;
    bool is_packed; /* symbols are copied into rows before a stripe is worked on */
} asx_rq_block;

typedef struct asx_rq_stripe {
    uint32_t symbol_offset; /* of its first byte in a whole symbol */
    size_t source_offset;   /* of symbol 0's first byte in the block's source */
    uint32_t source_stride; /* from symbol to symbol there */
    uint32_t exact;         /* bytes of each symbol */
    uint32_t width;         /* of a row: exact, rounded up to 64 */
    size_t slab_offset;
} asx_rq_stripe;

/* alignment  Al: sub-symbols are multiples of it; symbol_size is one
 *
 * errors  BAD_K, SYMBOL_SIZE (also when N exceeds T / Al)
 */
ASX_NODISCARD asx_err asx_rq_block_init(asx_rq_block *block, uint32_t k, uint32_t symbol_size,
                                        uint32_t sub_blocks, uint32_t alignment);

asx_rq_stripe asx_rq_block_stripe(const asx_rq_block *block, uint32_t index);

size_t asx_rq_block_slab_size(const asx_rq_block *block);

/* Copies one symbol between its place in the block's source and a run of T bytes. */
void asx_rq_block_put(const asx_rq_block *block, uint8_t *source, uint32_t esi,
                      const uint8_t *symbol);
void asx_rq_block_get(const asx_rq_block *block, const uint8_t *source, uint32_t esi,
                      uint8_t *symbol);

/* Runs `job` for every index below `count`, in any order, on any threads, and returns when all are
 * done. NULL wherever an executor is asked for means one after the other, here. */
typedef void asx_rq_job(void *arg, uint32_t index);
typedef struct asx_rq_executor {
    void (*run)(void *self, uint32_t count, asx_rq_job *job, void *arg);
    void *self;
} asx_rq_executor;

void asx_rq_executor_run(const asx_rq_executor *executor, uint32_t count, asx_rq_job *job,
                         void *arg);

ASX_END_DECLS

#endif
