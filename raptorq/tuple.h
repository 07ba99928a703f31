/* The tuple generator: from a symbol's internal id to the intermediate symbols it is the sum of.
 *
 * Model.   A support has d columns below W (an arithmetic progression modulo W) and d1 of the P
 *          columns from W on (one modulo P1, skipping what is >= P).
 * Bounds.  At most 30 + 3 columns for any id: a peer cannot choose an expensive row.
 * Source.  RFC 6330, 5.3.5.
 */
#ifndef ASX_RAPTORQ_TUPLE_H
#define ASX_RAPTORQ_TUPLE_H

#include <asx/raptorq/param.h>
#include <asx/shard/base/decls.h>

#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_SUPPORT_MAX 33

typedef struct asx_rq_tuple {
    uint32_t d, a, b;
    uint32_t d1, a1, b1;
} asx_rq_tuple;

/* m > 0, i < 256 */
uint32_t asx_rq_rand(uint32_t y, uint32_t i, uint32_t m);

/* v < 2^20; w the LT columns, which cap the degree at w - 2 */
uint32_t asx_rq_deg(uint32_t v, uint32_t w);

asx_rq_tuple asx_rq_tuple_of(const asx_rq_param *param, uint32_t isi);

/* Writes the columns of symbol `isi` and returns how many; *lt_count of them are below W and come
 * first. */
uint32_t asx_rq_support(const asx_rq_param *param, uint32_t isi,
                        uint16_t columns[ASX_RQ_SUPPORT_MAX], uint32_t *lt_count);

ASX_END_DECLS

#endif
