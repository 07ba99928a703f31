/* The encoder's fields, for its two ways to a repair symbol: over intermediate symbols (encoder.c)
 * and straight from the source (encoder_rows.c). */
#ifndef ASX_RAPTORQ_ENCODER_INTERNAL_H
#define ASX_RAPTORQ_ENCODER_INTERNAL_H

#include <asx/raptorq/encoder.h>

#include "scratch_internal.h"

#include <stdbool.h>

struct asx_rq_encoder {
    asx_rq_block block;
    asx_rq_plan *plan;
    const asx_rq_kernel *kernel;
    const uint8_t *source;
    uint8_t *padded;   /* the last symbol, or with N > 1 the whole block, with its zeros */
    size_t padded_cap; /* bytes of it */
    bool is_short;     /* the source ends inside the last symbol */
    bool is_ready;     /* the slab holds the intermediate symbols of every stripe */
    asxi_scratch slab; /* intermediate symbols that are kept */
    asxi_scratch work; /* what a stripe needs beside them, in parts for those that run at once */
    asxi_slots slots;  /* of `work`, while stripes run */

    /* Supports of the repair symbols that asx_rq_encoder_symbols() was asked for last. */
    asxi_scratch list;
    uint32_t list_esi, list_count;

    asxi_scratch units; /* every slab row as a combination of the source, once known */
    asxi_scratch rows;  /* the same of the repair symbols asked for last */
    bool has_units;
    uint32_t rows_esi, rows_count;

    asx_rq_alloc alloc;
    const asx_rq_alloc *alloc_ptr; /* NULL or &alloc */
};

/* Where the block's symbols are, for one stripe. */
asx_rq_feed asxi_encoder_feed(const asx_rq_encoder *encoder, const asx_rq_stripe *stripe);

/* Are all intermediate symbols cheaper as products with the source than by the plan? If so: the
 * rows of factors, once, and then a stripe of the slab by them.
 *
 * errors  NO_MEMORY
 */
bool asxi_encoder_is_direct(const asx_rq_encoder *encoder);
ASX_NODISCARD asx_err asxi_encoder_units(asx_rq_encoder *encoder);
void asxi_encoder_direct(const asx_rq_encoder *encoder, const asx_rq_stripe *stripe, uint8_t *slab);

/* Is a product with rows of coefficients the cheaper way to so few symbols? */
bool asxi_encoder_wants_rows(const asx_rq_encoder *encoder, uint32_t count);

/* Writes repair symbols without intermediate ones; the plan is there.
 *
 * errors  NO_MEMORY
 */
ASX_NODISCARD asx_err asxi_encoder_rows(asx_rq_encoder *encoder, uint32_t esi, uint32_t count,
                                        uint8_t *symbols);

#endif
