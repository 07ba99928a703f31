/* The RFC's constants as data: one row for each K' (5.6) and the four random tables (5.5).
 *
 * Model.   Rows ascend by K'; what follows from a row (L, P, P1, B) is computed by param.h.
 * Source.  RFC 6330, sections 5.5 and 5.6.
 */
#ifndef ASX_RAPTORQ_TABLE_H
#define ASX_RAPTORQ_TABLE_H

#include <asx/shard/base/decls.h>

#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_TABLE_ROWS 477
#define ASX_RQ_K_MAX 56403 /* the last K' */
#define ASX_RQ_L_MAX 57326 /* K' + S + H of that row: every row number fits 16 bits */

typedef struct asx_rq_table_row {
    uint16_t k_prime;
    uint16_t j; /* systematic index */
    uint16_t s; /* LDPC rows, prime */
    uint16_t w; /* LT columns, prime */
} asx_rq_table_row;

extern const asx_rq_table_row asx_rq_table[ASX_RQ_TABLE_ROWS];
extern const uint32_t asx_rq_rand_table[4][256];

/* HDPC rows for a K' of the table. */
uint16_t asx_rq_table_h(uint16_t k_prime);

ASX_END_DECLS

#endif
