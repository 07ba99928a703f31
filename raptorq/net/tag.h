/* Who wrote a datagram: keys, and the tags they make.
 *
 * Model.   One key of 32 bytes is known to both ends. For each object two keys are derived from it
 *          (HKDF-SHA-256), one for symbols and one for control records, so that a tag of one kind
 *          or object is nothing for another. A tag is HMAC-SHA-256 cut to 16 bytes; of a symbol,
 *          over
 *            "asx-rq symbol 1" and a zero, object id (16), block (1), number (4, little-endian),
 *            0 for source and 1 for repair, length (8, little-endian), bytes
 *          and of a control record over "asx-rq record 1", a zero, and the frame up to its tag.
 * Rule.    check() always computes, compares in constant time, and takes no tag of zeros. Keys are
 *          wiped when they go.
 * Owner.   A tagger belongs to one thread at a time.
 * Source.  RFC 2104, RFC 5869.
 */
#ifndef ASX_RAPTORQ_NET_TAG_H
#define ASX_RAPTORQ_NET_TAG_H

#include <asx/raptorq/net/frame.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_KEY_SIZE 32
#define ASX_RQ_KEY_DISTINCT_MIN 12 /* 32 random bytes have fewer in no lifetime */

typedef struct asx_rq_key {
    uint8_t bytes[ASX_RQ_KEY_SIZE];
} asx_rq_key;

/* Reads 64 hexadecimal digits, with space around them, or exactly 32 bytes as they are.
 *
 * errors  BAD_KEY, also for a key that nobody drew at random: one byte or a short run repeated, or
 *         few distinct bytes
 */
ASX_NODISCARD asx_err asx_rq_key_parse(asx_rq_key *key, const void *text, size_t len);
void asx_rq_key_wipe(asx_rq_key *key);

typedef struct asx_rq_tagger asx_rq_tagger;

/* errors  NO_MEMORY */
ASX_NODISCARD asx_err asx_rq_tagger_create(asx_rq_tagger **tagger, const asx_rq_key *key,
                                           const uint8_t object_id[ASX_RQ_OBJECT_ID_SIZE]);
void asx_rq_tagger_destroy(asx_rq_tagger *tagger);

void asx_rq_tagger_symbol(asx_rq_tagger *tagger, const asx_rq_symbol_body *symbol, bool is_repair,
                          uint8_t tag[ASX_RQ_FRAME_TAG]);
bool asx_rq_tagger_symbol_check(asx_rq_tagger *tagger, const asx_rq_symbol_body *symbol,
                                bool is_repair, const uint8_t tag[ASX_RQ_FRAME_TAG]);

void asx_rq_tagger_record(asx_rq_tagger *tagger, const uint8_t *bytes, size_t len,
                          uint8_t tag[ASX_RQ_FRAME_TAG]);
bool asx_rq_tagger_record_check(asx_rq_tagger *tagger, const uint8_t *bytes, size_t len,
                                const uint8_t tag[ASX_RQ_FRAME_TAG]);

/* An asx_rq_digest_fn. */
void asx_rq_sha256(const void *bytes, size_t len, uint8_t out[ASX_RQ_DIGEST_SIZE]);

ASX_END_DECLS

#endif
