/* Whole objects: blocks by number, encoders and decoders made as they are needed.
 *
 * Model.   The sender has the object's bytes in memory (or mapped) and asks for any symbol of any
 *          block; the encoder of the block asked for last is kept. The receiver feeds symbols of
 *          any block in any order; each block is decoded at K symbols, then at every further one,
 *          and delivered once by callback. Out of memory, or blocks in progress past the limit,
 *          refuse a symbol; they harm nothing that was received.
 * Owner.   One thread at a time; the executor may use more inside encode() and feed().
 * Bounds.  Receiver: blocks_max blocks of at most 2 K T + repair limit; sender: one slab.
 * Source.  RFC 6330, 4.4 and 5.
 */
#ifndef ASX_RAPTORQ_OBJECT_H
#define ASX_RAPTORQ_OBJECT_H

#include <asx/raptorq/cache.h>
#include <asx/raptorq/decoder.h>
#include <asx/raptorq/encoder.h>
#include <asx/raptorq/oti.h>
#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_rq_sender_object asx_rq_sender_object;
typedef struct asx_rq_receiver_object asx_rq_receiver_object;

typedef struct asx_rq_object_config {
    asx_rq_cache *cache;             /* of plans, lent; may be NULL */
    const asx_rq_alloc *alloc;       /* may be NULL */
    const asx_rq_executor *executor; /* lent; may be NULL */
    uint32_t blocks_max;             /* receiver: blocks in progress at once; 0 for 4 */
    uint32_t verify_max;             /* receiver: spare equations checked in each block */
} asx_rq_object_config;

/* source  the whole object, lent until destroy
 *
 * errors  BAD_OTI, NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_sender_object_create(asx_rq_sender_object **sender,
                                                  const asx_rq_oti *oti, const void *source,
                                                  const asx_rq_object_config *config);
void asx_rq_sender_object_destroy(asx_rq_sender_object *sender);

/* Writes the T bytes of one symbol. Cheap when block after block is asked for.
 *
 * errors  BAD_SBN, BAD_ESI, NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_sender_object_symbol(asx_rq_sender_object *sender, uint32_t sbn,
                                                  uint32_t esi, void *symbol);

/* A decoded block: `size` bytes at `offset` of the object, lent during the call. With the callback
 * NULL the blocks are only counted: see create. */
typedef void asx_rq_block_fn(void *arg, uint32_t sbn, uint64_t offset, const void *bytes,
                             size_t size);

/* target  where the object goes as it is decoded, F bytes, lent; or NULL to get blocks by `fn` only
 *
 * errors  BAD_OTI, NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_receiver_object_create(asx_rq_receiver_object **receiver,
                                                    const asx_rq_oti *oti, void *target,
                                                    const asx_rq_object_config *config,
                                                    asx_rq_block_fn *fn, void *arg);
void asx_rq_receiver_object_destroy(asx_rq_receiver_object *receiver);

/* Takes in the symbols of one packet: ESIs esi, esi + 1, ..., all source or all repair. The last
 * source symbol of the object may come without its padding.
 *
 * errors  BAD_SBN, BAD_ESI, BAD_SIZE, BLOCKS_BUSY, NO_MEMORY; DONE, DUPLICATE, CONFLICT, FULL when
 *         that holds for its last symbol that was refused; CORRUPT or OVER_BUDGET when an attempt
 *         found the block so. Other symbols of the packet were taken
 */
ASX_NODISCARD asx_err asx_rq_receiver_object_feed(asx_rq_receiver_object *receiver, uint32_t sbn,
                                                  uint32_t esi, const void *bytes, size_t len);

bool asx_rq_receiver_object_done(const asx_rq_receiver_object *receiver);

/* Of block `sbn` < Z: how many symbols are held, how many more are needed at least. */
typedef struct asx_rq_progress {
    uint32_t k, have, need;
    bool is_done;
} asx_rq_progress;
asx_rq_progress asx_rq_receiver_object_progress(const asx_rq_receiver_object *receiver,
                                                uint32_t sbn);

/* NULL before the block's first symbol and after its delivery. */
const asx_rq_decoder *asx_rq_receiver_object_decoder(const asx_rq_receiver_object *receiver,
                                                     uint32_t sbn);

ASX_END_DECLS

#endif
