/* Object transmission information, payload ids, and how an object is cut into blocks.
 *
 * Model.   An object of F octets is Kt = ceil(F / T) symbols; the first blocks have one symbol more
 *          than the last ones, likewise the sub-symbols of a symbol. The last symbol of the object
 *          may be short.
 * Source.  RFC 6330, 3.2, 3.3, 4.3, 4.4.1; erratum 5548 (the bound of F).
 */
#ifndef ASX_RAPTORQ_OTI_H
#define ASX_RAPTORQ_OTI_H

#include <asx/raptorq/block.h>
#include <asx/raptorq/error.h>
#include <asx/shard/base/decls.h>

#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_OTI_SIZE 12
#define ASX_RQ_PAYLOAD_ID_SIZE 4
#define ASX_RQ_OBJECT_MAX UINT64_C(942574504275) /* 56403 * 65535 * 255 */

typedef struct asx_rq_oti {
    uint64_t size;        /* F, octets */
    uint32_t symbol_size; /* T */
    uint32_t blocks;      /* Z, 1..255 */
    uint32_t sub_blocks;  /* N, 1..65535 */
    uint32_t alignment;   /* Al, 1..255 */
} asx_rq_oti;

/* Is this what a sender may have meant? F > 0 (an empty object has no symbols and is announced by
 * other means), T a multiple of Al, no block above 56403 symbols, none empty.
 *
 * errors  BAD_OTI
 */
ASX_NODISCARD asx_err asx_rq_oti_check(const asx_rq_oti *oti);

void asx_rq_oti_encode(const asx_rq_oti *oti, uint8_t bytes[ASX_RQ_OTI_SIZE]);

/* errors  BAD_OTI */
ASX_NODISCARD asx_err asx_rq_oti_decode(asx_rq_oti *oti, const uint8_t bytes[ASX_RQ_OTI_SIZE]);

/* The parameters of 4.3 for an object of `size` octets.
 *
 * payload_max      P', at least `alignment`
 * sub_symbol_min   SS, in units of the alignment: the smallest sub-symbol
 * working_memory   WS, octets a block's symbols of one sub-block may take
 *
 * errors  TOO_LARGE (size 0 or too many blocks), SYMBOL_SIZE, WORKING_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_oti_derive(asx_rq_oti *oti, uint64_t size, uint32_t payload_max,
                                        uint32_t alignment, uint32_t sub_symbol_min,
                                        uint64_t working_memory);

/* Blocks of `block_size` octets, one sub-block, alignment 1; larger blocks where 255 of them would
 * not do.
 *
 * size  at least 1
 *
 * errors  SYMBOL_SIZE, TOO_LARGE
 */
ASX_NODISCARD asx_err asx_rq_oti_by_block(asx_rq_oti *oti, uint64_t size, uint32_t symbol_size,
                                          uint64_t block_size);

/* Symbols of the object. */
uint64_t asx_rq_oti_symbols(const asx_rq_oti *oti);

/* Block `sbn`: K, where it begins in the object, how many octets of it the object has.
 * oti must have passed the check; sbn < Z. */
typedef struct asx_rq_extent {
    uint32_t k;
    uint64_t offset, size;
} asx_rq_extent;
asx_rq_extent asx_rq_oti_block(const asx_rq_oti *oti, uint32_t sbn);

/* sbn < 256, esi < 2^24 */
void asx_rq_payload_id_encode(uint8_t bytes[ASX_RQ_PAYLOAD_ID_SIZE], uint32_t sbn, uint32_t esi);
void asx_rq_payload_id_decode(const uint8_t bytes[ASX_RQ_PAYLOAD_ID_SIZE], uint32_t *sbn,
                              uint32_t *esi);

ASX_END_DECLS

#endif
