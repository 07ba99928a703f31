/* Parameters of a source block: everything that follows from K.
 *
 * Model.   K' is the smallest row of the table >= K; columns 0..B-1 are LT, B..W-1 LDPC,
 *          W..L-H-1 permanently inactive, L-H..L-1 HDPC. Symbols K..K'-1 are zero and never sent.
 * Source.  RFC 6330, 5.3.3.3 and 5.6.
 */
#ifndef ASX_RAPTORQ_PARAM_H
#define ASX_RAPTORQ_PARAM_H

#include <asx/raptorq/error.h>
#include <asx/raptorq/table.h>
#include <asx/shard/base/decls.h>

#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_ESI_MAX 0xFFFFFFu /* 24 bits on the wire */

typedef struct asx_rq_param {
    uint32_t k;       /* symbols of the block */
    uint32_t k_prime; /* with padding */
    uint32_t j, s, h, w;
    uint32_t l;  /* intermediate symbols: K' + S + H */
    uint32_t p;  /* permanently inactive columns: L - W */
    uint32_t p1; /* smallest prime >= P */
    uint32_t b;  /* LT columns that are no LDPC symbol: W - S */
} asx_rq_param;

/* errors  BAD_K */
ASX_NODISCARD asx_err asx_rq_param_init(asx_rq_param *param, uint32_t k);

/* Internal symbol id: padding shifts the ids of repair symbols. Can pass 2^24, never wraps. */
ASX_INLINE uint32_t asx_rq_isi(const asx_rq_param *param, uint32_t esi)
{
    return esi < param->k ? esi : esi + (param->k_prime - param->k);
}

ASX_END_DECLS

#endif
