/* The decoder's fields, for its intake (decoder.c) and its two methods. */
#ifndef ASX_RAPTORQ_DECODER_INTERNAL_H
#define ASX_RAPTORQ_DECODER_INTERNAL_H

#include <asx/raptorq/decoder.h>

#include "scratch_internal.h"

typedef enum asxi_symbol_state {
    ASXI_SYMBOL_ABSENT = 0,
    ASXI_SYMBOL_USABLE = 1,
    ASXI_SYMBOL_CONFLICT = 2, /* came twice with different bytes */
} asxi_symbol_state;

struct asx_rq_decoder {
    asx_rq_block block;
    asx_rq_decoder_config config;
    const asx_rq_kernel *kernel;
    uint8_t *output;
    uint8_t *source_state; /* asxi_symbol_state of each source symbol */

    /* Repair symbols in order of arrival; the table finds one by its esi. */
    uint32_t repair_max, repairs;
    uint8_t *repair; /* repair_max x T, NULL before the first */
    uint32_t *repair_esi;
    uint8_t *repair_state;
    uint32_t *table; /* open addressing over index + 1; 0 is empty */
    uint32_t table_mask;

    bool is_done;
    bool is_stale; /* nothing was fed since the last attempt failed with `last` */
    asx_err last;
    asx_rq_decoder_stats stats;
    asxi_scratch slab;  /* stripes' rows during an attempt */
    asxi_scratch list;  /* of supports during an attempt */
    asxi_scratch units; /* METHOD_FEW: slab rows as combinations of source symbols */
    bool has_units;     /* of the whole source: good for every block of this K */
    uint8_t *arena;     /* the small arrays */
    size_t arena_size;
    asx_rq_alloc alloc;
};

/* Source symbols that are missing, and repair symbols that may be used, ascending. */
typedef struct asxi_decode_job {
    asx_rq_decoder *decoder;
    asx_rq_plan *plan;
    uint16_t *lost;
    uint32_t lost_count;
    uint32_t *repair; /* indices of usable ones */
    uint32_t repair_count;
    struct {
        uint32_t isi, feed;
    } spare[8]; /* received rows that are left to check */
    uint32_t spare_count;
    /* What each lost symbol is the sum of, or with METHOD_FEW each equation: see plan_entry. */
    const uint16_t *list;
    uint32_t extra;     /* rows behind the L + H of each slab */
    uint32_t *mismatch; /* one flag for each stripe */
    void (*stripe_fn)(const struct asxi_decode_job *job, uint32_t index, uint8_t *slab);
    asxi_slots slots; /* slabs of the stripes that run at once */
    /* METHOD_FEW only */
    bool by_rows;             /* `rows` hold coefficients over the whole source */
    const uint8_t *inverse;   /* lost x lost */
    const uint32_t *equation; /* repair index of each row */
    const uint8_t *rows;      /* by_rows: of each equation, units_width apart */
    size_t units_width;
} asxi_decode_job;

/* Lists which columns the plan solves by pivots and which densely. */
void asxi_decode_columns(asx_rq_decoder_stats *stats, const asx_rq_plan *plan);

asx_err asxi_decode_few(asxi_decode_job *job, const asx_rq_executor *executor);
asx_err asxi_decode_solve(asxi_decode_job *job, const asx_rq_executor *executor);

/* Runs job->stripe_fn for each stripe, with a slab, and reports CORRUPT or NO_MEMORY. extra is the
 * number of rows that each slab gets behind its L + H. */
ASX_NODISCARD asx_err asxi_decode_stripes(asxi_decode_job *job, uint32_t extra,
                                          const asx_rq_executor *executor);

/* Computes the intermediate symbols of a stripe from the fed ones. */
void asxi_decode_replay(const asxi_decode_job *job, uint8_t *slab, const asx_rq_stripe *stripe,
                        const asx_rq_feed *feed);

/* The rows behind the L + H of a stripe's slab. */
uint8_t *asxi_decode_extra(const asxi_decode_job *job, uint8_t *slab, const asx_rq_stripe *stripe);

/* The feed of a stripe: source symbols from the output, repair symbols from the store. */
asx_rq_feed asxi_decode_feed(const asx_rq_decoder *decoder, const asx_rq_stripe *stripe);

/* Does every spare row equal what the slab makes of it? */
bool asxi_decode_holds(const asxi_decode_job *job, const asx_rq_stripe *stripe,
                       const uint8_t *slab);

#endif
