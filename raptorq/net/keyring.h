/* The keys of those who exchange objects, over time: one that tags, and others that are believed.
 *
 * Model.   The active key makes every tag. The others only check: one that was active before, or
 *          one that somebody has made active already, each until its deadline. So a key is changed
 *          without a datagram lost: every end accepts the new key, every end rotates to it, and
 *          the old one ends by itself. Taggers (tag.h) follow the ring at their next tag.
 * Owner.   One thread at a time, together with every tagger of the ring. The clock is the caller's:
 *          a key ends when expire() is told that its time has come, which send.h and recv.h do
 *          whenever they hear something.
 * Bounds.  ASX_RQ_KEYRING_MAX keys, so that a forged tag costs no more than as many MACs.
 * Rule.    Keys, and what is derived from them, lie in pages of their own that no core file and, if
 *          the system allows it, no swap sees. They are wiped when they end.
 */
#ifndef ASX_RAPTORQ_NET_KEYRING_H
#define ASX_RAPTORQ_NET_KEYRING_H

#include <asx/raptorq/error.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/time.h>

#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_KEYRING_MAX 4u
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

typedef struct asx_rq_keyring asx_rq_keyring;

/* key     the active one; copied
 * errors  NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_keyring_create(asx_rq_keyring **ring, const asx_rq_key *key);
void asx_rq_keyring_destroy(asx_rq_keyring *ring);

/* Believes tags by `key` until `until_ns`; one that is believed already, until the later deadline.
 *
 * errors  FULL
 */
ASX_NODISCARD asx_err asx_rq_keyring_accept(asx_rq_keyring *ring, const asx_rq_key *key,
                                            asx_instant until_ns);

/* Tags by `key` from now on, and believes the key that was active until `until_ns`. Nothing happens
 * when it is active already.
 *
 * errors  FULL
 */
ASX_NODISCARD asx_err asx_rq_keyring_rotate(asx_rq_keyring *ring, const asx_rq_key *key,
                                            asx_instant until_ns);

/* Wipes the keys whose deadline has come. */
void asx_rq_keyring_expire(asx_rq_keyring *ring, asx_instant now_ns);

/* Keys held, the active one among them. */
uint32_t asx_rq_keyring_count(const asx_rq_keyring *ring);

ASX_END_DECLS

#endif
