/* Who wrote a datagram: the tags that keys make.
 *
 * Model.   Both ends know the keys of a ring (keyring.h). For each object two keys are derived from
 *          each (HKDF-SHA-256), one for symbols and one for control records, so that a tag of one
 *          kind or object is nothing for another. The active key makes tags, any of them checks. A
 *          tag is HMAC-SHA-256 cut to 16 bytes; of a symbol, over
 *            "asx-rq symbol 1" and a zero, object id (16), block (1), number (4, little-endian),
 *            0 for source and 1 for repair, length (8, little-endian), bytes
 *          and of a control record over "asx-rq record 1", a zero, and the frame up to its tag.
 * Rule.    check() always computes, compares in constant time, and takes no tag of zeros. What was
 *          derived of a key is wiped before the first tag after the key's end.
 * Owner.   One thread at a time, together with the ring, which create() alone does not touch.
 * Source.  RFC 2104, RFC 5869.
 */
#ifndef ASX_RAPTORQ_NET_TAG_H
#define ASX_RAPTORQ_NET_TAG_H

#include <asx/raptorq/net/frame.h>
#include <asx/raptorq/net/keyring.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_rq_tagger asx_rq_tagger;

/* ring    lent until destroy
 * errors  NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_tagger_create(asx_rq_tagger **tagger, asx_rq_keyring *ring,
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
