/* The sending end of a transfer, without a socket or a clock: asked what to send next, told what
 * came back.
 *
 * Model.   With feedback:
 *              OFFERING -> SENDING -> ENDING -> ENDED         and from anywhere -> FAILED
 *          An OFFER is repeated until it is answered. Then symbols of at most `window` blocks are
 *          under way: source symbols first, then repair symbols, each number once. Every OFFER is
 *          also a probe: its answer tells what each block still needs of all that was sent before
 *          the probe, and what was sent after it is taken as under way. So a lost probe, answer or
 *          tail costs one more probe and nothing else. A receiver that knows higher numbers than
 *          were sent had another sender before: numbers go on from there. DONE is answered by BYE.
 *          Without feedback: every block's source and `overhead`, then rounds of `overhead` more,
 *          OFFERs in between, then ENDED.
 * Owner.   One thread at a time.
 * Bounds.  One block's slab and a few plans; the object is lent by the caller.
 */
#ifndef ASX_RAPTORQ_NET_SENDER_H
#define ASX_RAPTORQ_NET_SENDER_H

#include <asx/raptorq/net/tag.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_SENDER_WINDOW 4u
#define ASX_RQ_SENDER_SILENCE_NS (30 * ASX_NS_PER_S)
#define ASX_RQ_SENDER_PROBE_NS_MIN (20 * ASX_NS_PER_MS)
#define ASX_RQ_SENDER_PROBE_NS_MAX ASX_NS_PER_S
#define ASX_RQ_SENDER_BURST_NS (2 * ASX_NS_PER_MS)
#define ASX_RQ_SENDER_OFFER_EVERY 32u              /* symbols, without feedback */
#define ASX_RQ_SENDER_LEAD_NS (20 * ASX_NS_PER_MS) /* after each of the first OFFERs then */
#define ASX_RQ_SENDER_LOSS_PERMILLE_MAX 900u

typedef struct asx_rq_sender_config {
    const void *source; /* lent until destroy */
    uint64_t size;
    uint32_t symbol_size; /* T, 1..ASX_RQ_FRAME_SYMBOL_MAX */
    uint64_t block_size;  /* bytes of source in a block, at most; raised for large objects */
    uint64_t rate;        /* bytes a second on the wire, heads included; 0: no limit */
    uint32_t overhead_permille;
    bool has_feedback;
    uint32_t rounds;         /* without feedback: of further repair symbols, after the first */
    bool is_fresh;           /* without feedback: repair symbols alone, of numbers by `session` */
    uint32_t window;         /* blocks under way; 0: ASX_RQ_SENDER_WINDOW */
    asx_duration silence_ns; /* how long nothing may be heard; 0: ASX_RQ_SENDER_SILENCE_NS */
    asx_rq_keyring *keys;    /* NULL: no tags; lent until destroy */
    asx_rq_digest_fn *digest;
    uint64_t session; /* of random: another one for each run */
} asx_rq_sender_config;

typedef struct asx_rq_sender_stats {
    uint64_t datagrams, bytes; /* sent */
    uint64_t sources, repairs; /* symbols sent */
    uint64_t probes, answers;
    uint64_t forged, malformed, stale; /* heard and dropped */
    uint32_t loss_permille;            /* as last estimated */
    uint32_t blocks, blocks_done;
    uint64_t done_bytes; /* of the object: at the receiver, or without feedback sent once */
} asx_rq_sender_stats;

typedef enum asx_rq_step {
    ASX_RQ_STEP_SEND,    /* `len` bytes are in `out` */
    ASX_RQ_STEP_WAIT,    /* ask again at `until_ns`, or when something was heard */
    ASX_RQ_STEP_PREPARE, /* call asx_rq_sender_prepare(), then ask again */
    ASX_RQ_STEP_ENDED,
    ASX_RQ_STEP_FAILED, /* asx_rq_sender_err() says why */
} asx_rq_step;

typedef struct asx_rq_sender asx_rq_sender;

/* Reads the whole object once, for its digest: large ones take their time.
 *
 * errors  SYMBOL_SIZE, TOO_LARGE, NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_sender_create(asx_rq_sender **sender,
                                           const asx_rq_sender_config *config);
void asx_rq_sender_destroy(asx_rq_sender *sender);

/* Bytes that `out` of next() must hold. */
size_t asx_rq_sender_frame_size(const asx_rq_sender *sender);

/* What to do at `now_ns`, which does not go back. What SEND gives counts as sent. */
ASX_NODISCARD asx_rq_step asx_rq_sender_next(asx_rq_sender *sender, asx_instant now_ns,
                                             uint8_t *out, size_t *len, asx_instant *until_ns);

/* Makes a block's intermediate symbols; may run on another thread while nobody else calls. */
void asx_rq_sender_prepare(asx_rq_sender *sender);

/* A datagram came, from anyone. */
void asx_rq_sender_hear(asx_rq_sender *sender, asx_instant now_ns, const uint8_t *bytes,
                        size_t len);

/* Why it failed: SILENCE, REFUSED (the state tells more), NO_MEMORY, BAD_ESI (numbers used up). */
asx_err asx_rq_sender_err(const asx_rq_sender *sender);
/* What the receiver said last. */
asx_rq_need_state asx_rq_sender_peer(const asx_rq_sender *sender);
const asx_rq_sender_stats *asx_rq_sender_stats_get(const asx_rq_sender *sender);

ASX_END_DECLS

#endif
