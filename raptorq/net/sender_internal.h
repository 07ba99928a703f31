/* The sender's fields, for its two sides: what goes out (sender.c) and what comes back
 * (sender_hear.c). */
#ifndef ASX_RAPTORQ_NET_SENDER_INTERNAL_H
#define ASX_RAPTORQ_NET_SENDER_INTERNAL_H

#include <asx/raptorq/net/pace.h>
#include <asx/raptorq/net/sender.h>
#include <asx/raptorq/object.h>

enum {
    BLOCKS_MAX = 255,
    SNAPSHOTS = 16, /* probes whose answers can still be used */
    OFFERS_FIRST = 3,
    OFFERS_LAST = 2,
    BYES = 3,
    LOSS_SAMPLE = 64, /* symbols over which a loss is estimated */
    NO_BLOCK = 256,
};

typedef enum asxi_sender_state {
    OFFERING, /* no answer yet, with feedback: OFFERs and nothing else */
    SENDING,  /* symbols, and OFFERs between them */
    ENDING,   /* every symbol is out: BYEs, or without feedback the last OFFERs */
    ENDED,    /* nothing more is sent, whatever is heard */
    FAILED,   /* likewise, and `err` says why */
} asxi_sender_state;

typedef struct asxi_send_block {
    uint32_t k;
    uint32_t next;    /* the number of the next symbol */
    uint32_t covered; /* `next` as of the newest answer: symbols from there are under way */
    uint32_t need;    /* as of the newest answer */
    uint32_t left;    /* without feedback: symbols to send in this round */
    bool is_done;
} asxi_send_block;

typedef struct asxi_snapshot {
    uint32_t probe; /* 0: unused */
    asx_instant at_ns;
    uint64_t sent; /* symbols */
    uint32_t next[BLOCKS_MAX];
} asxi_snapshot;

struct asx_rq_sender {
    asx_rq_sender_config config;
    asx_rq_offer_body offer;
    uint8_t object_id[ASX_RQ_OBJECT_ID_SIZE];
    asx_rq_tagger *tagger; /* NULL: no tags */
    asx_rq_cache *cache;
    asx_rq_sender_object *object; /* NULL for an empty one */
    uint8_t *scratch;             /* T bytes */
    uint32_t prepared;            /* the block whose repair symbols are at hand */
    asxi_sender_state state;
    asx_err err;
    asx_rq_need_state peer;
    asx_rq_pace pace;
    uint32_t window;
    uint32_t current; /* block sent last */
    uint32_t offers_left, byes_left, rounds_left;
    uint64_t since_probe; /* symbols sent since the last OFFER */

    uint32_t probe, answered; /* the newest sent, the newest whose answer came */
    uint32_t misses;          /* idle probes without an answer */
    asx_instant probe_at_ns, heard_at_ns;
    asx_duration srtt_ns;
    uint64_t sample_sent, sample_received;
    asx_rq_sender_stats stats;
    asxi_send_block blocks[BLOCKS_MAX];
    asxi_snapshot snapshots[SNAPSHOTS];
};

/* Ends the sender with an error. */
asx_rq_step asxi_sender_fail(asx_rq_sender *s, asx_err err);

/* The block to send from, or NO_BLOCK: the one sent last as long as it wants any, so that an
 * encoder serves a run of symbols; else the first in the window. */
uint32_t asxi_sender_pick(const asx_rq_sender *s);

/* How long to wait after a probe; idle ones that go unanswered wait longer and longer. */
asx_duration asxi_sender_probe_pause(const asx_rq_sender *s, bool is_idle);

#endif
