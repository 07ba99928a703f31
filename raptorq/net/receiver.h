/* The receiving end of a transfer, without a socket or a clock: told what came, asked what to
 * answer.
 *
 * Model.       WAITING -> OPENING -> RECEIVING -> WHOLE -> DONE        and from each -> FAILED
 *            WAITING    no OFFER yet: symbols are dropped
 *            OPENING    an OFFER was taken; work() asks the caller for room
 *            RECEIVING  symbols are checked, counted and fed; blocks are decoded as they can be
 *            WHOLE      every block is there; finish() checks and stores, settle() is told how it
 *                       went. Both may be far apart: meanwhile hear() answers FINISHING
 *            DONE       stored; OFFERs are answered until the sender says BYE
 *          What it holds outlives the sender: another one that offers the same object goes on where
 *          the first ended. Symbols count from anywhere; with a key only those with a true tag do,
 *          a false one is counted and changes nothing. Without a key a forged symbol can end the
 *          transfer (CORRUPT), never with a wrong object.
 * Owner.   One thread at a time. work() may run elsewhere while nobody else calls; finish() also
 *          while hear() and answer() are called.
 * Bounds.  As many blocks in progress as memory_max has room for; objects to size_max.
 */
#ifndef ASX_RAPTORQ_NET_RECEIVER_H
#define ASX_RAPTORQ_NET_RECEIVER_H

#include <asx/raptorq/net/tag.h>
#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_RECEIVER_SIZE_MAX ((uint64_t)16 << 30)
#define ASX_RQ_RECEIVER_MEMORY_MAX ((uint64_t)1 << 30)

/* Gives room for the object: *target is `size` bytes, lent until the receiver is destroyed; not
 * called for an empty one with a target to fill. An error refuses the object. */
typedef asx_err asx_rq_open_fn(void *arg, uint64_t size, void **target);
/* The object stands in the target and is the one that was offered. */
typedef asx_err asx_rq_store_fn(void *arg);

typedef struct asx_rq_receiver_config {
    asx_rq_keyring *keys; /* NULL: tags are not looked at; lent until destroy */
    asx_rq_digest_fn *digest;
    uint64_t size_max;   /* 0: ASX_RQ_RECEIVER_SIZE_MAX */
    uint64_t memory_max; /* 0: ASX_RQ_RECEIVER_MEMORY_MAX */
    asx_rq_open_fn *open;
    asx_rq_store_fn *store;
    void *arg;
} asx_rq_receiver_config;

typedef enum asx_rq_receiver_state {
    ASX_RQ_RECEIVER_WAITING,
    ASX_RQ_RECEIVER_OPENING,
    ASX_RQ_RECEIVER_RECEIVING,
    ASX_RQ_RECEIVER_WHOLE,
    ASX_RQ_RECEIVER_DONE,
    ASX_RQ_RECEIVER_FAILED,
} asx_rq_receiver_state;

typedef struct asx_rq_receiver_stats {
    uint64_t datagrams, bytes;
    uint64_t malformed[ASX_RQ_FRAME_FAULTS];
    uint64_t forged;     /* a false tag, or none where one is due */
    uint64_t foreign;    /* of another object, or before any was offered */
    uint64_t symbols;    /* distinct ones that were of use, or came when their block was done */
    uint64_t duplicates; /* the same again */
    uint64_t conflicts;  /* the same number with other bytes */
    uint64_t refused;    /* no room: block or blocks in progress are full */
    uint64_t invalid;    /* no symbol of this object by number or size */
    uint64_t offers, answers;
    uint64_t size; /* of the object */
    uint64_t done_bytes;
    uint32_t blocks, blocks_done;
} asx_rq_receiver_stats;

typedef struct asx_rq_receiver asx_rq_receiver;

/* errors  NO_MEMORY */
ASX_NODISCARD asx_err asx_rq_receiver_create(asx_rq_receiver **receiver,
                                             const asx_rq_receiver_config *config);
void asx_rq_receiver_destroy(asx_rq_receiver *receiver);

/* A datagram came. True: it asks for work, which must be done before anything else.
 *
 * bytes  lent until then
 */
bool asx_rq_receiver_hear(asx_rq_receiver *receiver, const uint8_t *bytes, size_t len);
/* Makes room for an object, or feeds a symbol that completes a block, which decodes it. */
void asx_rq_receiver_work(asx_rq_receiver *receiver);

/* Did the last datagram, once its work was done, change what the receiver holds? Those that did are
 * all that another receiver has to hear to hold the same. */
bool asx_rq_receiver_took(const asx_rq_receiver *receiver);

/* What the last datagram is to be answered with; 0 when it is not. At most the datagram's size.
 *
 * out  ASX_RQ_FRAME_SIZE(0) bytes
 */
size_t asx_rq_receiver_answer(asx_rq_receiver *receiver, uint8_t *out);

/* In WHOLE: compares the digest and stores. errors  CORRUPT; those of the store function */
ASX_NODISCARD asx_err asx_rq_receiver_finish(const asx_rq_receiver *receiver);
void asx_rq_receiver_settle(asx_rq_receiver *receiver, asx_err err);

asx_rq_receiver_state asx_rq_receiver_state_of(const asx_rq_receiver *receiver);
const char *asx_rq_receiver_state_name(asx_rq_receiver_state state);
/* The sender knows that it is done. */
bool asx_rq_receiver_released(const asx_rq_receiver *receiver);
/* In FAILED: CORRUPT, TOO_LARGE, NO_MEMORY, or an error of the caller's functions. */
asx_err asx_rq_receiver_err(const asx_rq_receiver *receiver);
const asx_rq_receiver_stats *asx_rq_receiver_stats_get(const asx_rq_receiver *receiver);

/* The first block that is not done, in RECEIVING: its number, and what it has and needs. */
typedef struct asx_rq_receiver_gap {
    uint32_t sbn, k, have, need;
} asx_rq_receiver_gap;
asx_rq_receiver_gap asx_rq_receiver_gap_of(const asx_rq_receiver *receiver);

ASX_END_DECLS

#endif
