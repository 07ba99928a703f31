/* The datagrams of a transfer: what stands where in them, written and read without trust.
 *
 * Model.   One object goes from a sender to a receiver over datagrams that may be lost, doubled,
 *          reordered and forged. Everything is big-endian; a datagram is
 *            0   3  "aRQ"
 *            3   1  version, 1
 *            4   1  kind
 *            5   1  flags: bit 0 says that a tag of 16 bytes ends the datagram; the others are 0
 *            6   2  bytes of the body
 *            8  16  object id: the first bytes of SHA-256 over what an OFFER says about the object
 *           24   .  body, then the tag
 *          and the bodies, by kind, are
 *            SYMBOL  payload id (4), one or more whole symbols with consecutive numbers
 *            OFFER   session (8), probe (4), 1 when an answer is wanted (1), object size (8), OTI
 *                    (12, zero for an empty object), SHA-256 of the object (32), zeros up to the
 *                    size of the largest NEED: an answer is never larger than its question
 *            NEED    session and probe of the OFFER it answers, state (1), blocks the receiver
 *                    keeps in progress (1), distinct symbols received (8), blocks done (2), n (1),
 *                    and n times: block (1), symbols needed (3), first number not seen yet (4)
 *            BYE     session (8)
 * Bounds.  ASX_RQ_FRAME_MAX bytes, ASX_RQ_NEEDS_MAX blocks in a NEED.
 * Rule.    decode() believes nothing but shapes; who wrote it is tag.h's question.
 */
#ifndef ASX_RAPTORQ_NET_FRAME_H
#define ASX_RAPTORQ_NET_FRAME_H

#include <asx/raptorq/oti.h>
#include <asx/raptorq/proof.h>
#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_FRAME_VERSION 1
#define ASX_RQ_FRAME_HEAD 24
#define ASX_RQ_FRAME_TAG 16
#define ASX_RQ_FRAME_MAX 65507 /* what UDP over IPv4 carries */
#define ASX_RQ_OBJECT_ID_SIZE 16
#define ASX_RQ_NEEDS_MAX 16
#define ASX_RQ_NEED_BODY(n) (25u + 8u * (n))
#define ASX_RQ_OFFER_BODY ASX_RQ_NEED_BODY(ASX_RQ_NEEDS_MAX)
/* The largest symbol that fits beside its head and tag. */
#define ASX_RQ_FRAME_SYMBOL_MAX \
    (ASX_RQ_FRAME_MAX - ASX_RQ_FRAME_HEAD - ASX_RQ_PAYLOAD_ID_SIZE - ASX_RQ_FRAME_TAG)
/* Any frame with a symbol of T bytes fits in so many. */
#define ASX_RQ_FRAME_SIZE(t)                                   \
    (ASX_RQ_FRAME_HEAD + ASX_RQ_FRAME_TAG +                    \
     ((t) + ASX_RQ_PAYLOAD_ID_SIZE > (size_t)ASX_RQ_OFFER_BODY \
          ? (size_t)(t) + ASX_RQ_PAYLOAD_ID_SIZE               \
          : (size_t)ASX_RQ_OFFER_BODY))

typedef enum asx_rq_frame_kind {
    ASX_RQ_FRAME_SYMBOL = 1,
    ASX_RQ_FRAME_OFFER = 2,
    ASX_RQ_FRAME_NEED = 3,
    ASX_RQ_FRAME_BYE = 4,
} asx_rq_frame_kind;

/* How a receiver stands, as it tells the sender. */
typedef enum asx_rq_need_state {
    ASX_RQ_NEED_RECEIVING = 0,
    ASX_RQ_NEED_FINISHING = 1, /* every block is there; the whole is being checked and stored */
    ASX_RQ_NEED_DONE = 2,      /* checked and stored */
    ASX_RQ_NEED_BUSY = 3,      /* another object is under way */
    ASX_RQ_NEED_REFUSED = 4,   /* the object is larger than allowed, or there is no room for it */
    ASX_RQ_NEED_FAILED = 5,    /* what arrived is not the object: forged symbols, no room */
} asx_rq_need_state;

typedef struct asx_rq_symbol_body {
    uint32_t sbn, esi;
    const uint8_t *bytes; /* decoded: lent by the datagram */
    size_t len;
} asx_rq_symbol_body;

typedef struct asx_rq_offer_body {
    uint64_t session;
    uint32_t probe;
    bool wants_answer;
    uint64_t size;
    asx_rq_oti oti; /* zero when size is 0 */
    uint8_t digest[ASX_RQ_DIGEST_SIZE];
} asx_rq_offer_body;

typedef struct asx_rq_need_entry {
    uint32_t sbn;
    uint32_t need; /* symbols, at least 1 */
    uint32_t next; /* no symbol with this number or a higher one was seen */
} asx_rq_need_entry;

typedef struct asx_rq_need_body {
    uint64_t session;
    uint32_t probe;
    asx_rq_need_state state;
    uint32_t window;
    uint64_t received;
    uint32_t done;
    uint32_t count;
    asx_rq_need_entry entries[ASX_RQ_NEEDS_MAX]; /* ascending: the first blocks not done */
} asx_rq_need_body;

typedef struct asx_rq_frame {
    asx_rq_frame_kind kind;
    bool is_tagged;
    uint8_t object_id[ASX_RQ_OBJECT_ID_SIZE];
    union {
        asx_rq_symbol_body symbol;
        asx_rq_offer_body offer;
        asx_rq_need_body need;
        uint64_t bye; /* session */
    };
    /* decoded: the datagram up to its tag, and the tag or NULL */
    const uint8_t *signed_bytes;
    size_t signed_len;
    const uint8_t *tag;
} asx_rq_frame;

/* Why bytes are no frame; each is a counter of the receiver's. */
typedef enum asx_rq_frame_fault {
    ASX_RQ_FRAME_OK = 0,
    ASX_RQ_FRAME_SHORT,   /* less than a head */
    ASX_RQ_FRAME_FOREIGN, /* not "aRQ" */
    ASX_RQ_FRAME_OTHER,   /* another version */
    ASX_RQ_FRAME_LENGTH,  /* the body is not as long as the head says: cut off, or with a tail */
    ASX_RQ_FRAME_BODY,    /* unknown kind or flags, or fields that no sender can have meant */
    ASX_RQ_FRAME_FAULTS,
} asx_rq_frame_fault;

const char *asx_rq_frame_fault_name(asx_rq_frame_fault fault);
const char *asx_rq_frame_kind_name(asx_rq_frame_kind kind);
const char *asx_rq_need_state_name(asx_rq_need_state state);

/* Writes head and body and returns their bytes; with is_tagged the caller puts the tag behind them.
 *
 * out      ASX_RQ_FRAME_SIZE(T) bytes. A SYMBOL's bytes may stand at their place in `out` already
 * asserts  the body is one that decode() would take
 */
size_t asx_rq_frame_encode(const asx_rq_frame *frame, uint8_t *out);

/* Where a SYMBOL frame's first symbol stands. */
#define ASX_RQ_FRAME_SYMBOL_AT (ASX_RQ_FRAME_HEAD + ASX_RQ_PAYLOAD_ID_SIZE)

/* lends  the symbol's bytes and the tag, from `bytes` */
ASX_NODISCARD asx_rq_frame_fault asx_rq_frame_decode(asx_rq_frame *frame, const uint8_t *bytes,
                                                     size_t len);

/* The id of the object an OFFER is about: equal exactly when all that it says about it is. */
void asx_rq_object_id(uint8_t id[ASX_RQ_OBJECT_ID_SIZE], const asx_rq_offer_body *offer,
                      asx_rq_digest_fn *digest);

ASX_END_DECLS

#endif
