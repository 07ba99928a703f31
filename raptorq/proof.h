/* Proof of decode: a record that lets somebody else check a decoded block without solving it again.
 *
 * Model.   The decoder's side makes it from the decoder and the symbols it holds: which symbols
 *          came, a digest of each one's bytes folded into one, what the solve did and why so, and
 *          the digest of the source.
 *          Checking needs no solve: the source is encoded again by the plan of K', which depends on
 *          no data, and each listed symbol is compared by digest. Since K' rows of full rank have
 *          one solution, a source that encodes to all of them is that solution. The recorded
 *          features must lead to the recorded policy.
 *          Replaying needs no source: the listed rows are solved again, on bits alone, and every
 *          choice of the solve must be the recorded one, also when it failed.
 * Digest.  SHA-256 by a function of the caller's: the codec brings no cryptography.
 * Bounds.  1024 ESIs, 256 pivots and 256 inactive columns are listed, and the counts say when these
 *          are not all; the folded digests stand for the other symbols. The serialised record is at
 *          most ASX_RQ_PROOF_SIZE_MAX bytes at any K.
 */
#ifndef ASX_RAPTORQ_PROOF_H
#define ASX_RAPTORQ_PROOF_H

#include <asx/raptorq/decoder.h>
#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_DIGEST_SIZE 32
#define ASX_RQ_PROOF_ESIS 1024
#define ASX_RQ_PROOF_COLUMNS ASX_RQ_DECODER_COLUMNS
#define ASX_RQ_PROOF_SIZE_MAX (256 + 4 * ASX_RQ_PROOF_ESIS + 2 * 2 * ASX_RQ_PROOF_COLUMNS)

/* out = SHA-256 of the bytes */
typedef void asx_rq_digest_fn(const void *bytes, size_t len, uint8_t out[ASX_RQ_DIGEST_SIZE]);

typedef struct asx_rq_proof {
    uint8_t object_id[16];
    uint32_t sbn;
    uint32_t k, k_prime, s, h, l;
    uint32_t symbol_size, sub_blocks, alignment;
    uint32_t sources, repairs; /* received and used */
    uint32_t listed;           /* ESIs below; fewer than received when cut off */
    uint32_t method;           /* asx_rq_method */
    /* With METHOD_SOLVE, or when it failed: as in asx_rq_solve_stats. */
    uint32_t policy, inactive, dense_rank, hdpc_used;
    uint32_t pivots, sums, deficit;
    uint32_t reason;          /* asx_rq_policy_reason: why that policy */
    asx_rq_features features; /* when the solver chose: by what */
    uint32_t loss[3];
    uint64_t error; /* asx_err of the last attempt; 0 when decoded */
    /* XOR over symbols of the digest of number and bytes, so that order does not matter: of all
     * that were received, and of those listed. */
    uint8_t received[ASX_RQ_DIGEST_SIZE];
    uint8_t sampled[ASX_RQ_DIGEST_SIZE];
    uint8_t source[ASX_RQ_DIGEST_SIZE]; /* of the K T source bytes; zero when not decoded */
    uint32_t esi[ASX_RQ_PROOF_ESIS];    /* ascending */
    /* Of a solve that succeeded: columns in the order in which they got a pivot, and in which they
     * were made inactive; as many as `pivots` and `inactive` say, or the first of them. */
    uint16_t pivot_column[ASX_RQ_PROOF_COLUMNS];
    uint16_t inactive_column[ASX_RQ_PROOF_COLUMNS];
} asx_rq_proof;

/* Describes the decoder's state: decoded, or what it holds and why not.
 *
 * scratch  T + 8 bytes
 */
void asx_rq_proof_make(asx_rq_proof *proof, const asx_rq_decoder *decoder,
                       const uint8_t object_id[16], uint32_t sbn, asx_rq_digest_fn *digest,
                       uint8_t *scratch);

/* Serialised, little-endian, with a domain prefix; returns the bytes used. Equal symbols give equal
 * bytes in any order of arrival, on every host and kernel. */
size_t asx_rq_proof_save(const asx_rq_proof *proof, uint8_t out[ASX_RQ_PROOF_SIZE_MAX]);

/* errors  PROOF_MISMATCH when the bytes are no such record */
ASX_NODISCARD asx_err asx_rq_proof_load(asx_rq_proof *proof, const uint8_t *bytes, size_t len);

/* Checks a record of a decoded block against its source, K T bytes in the block's layout. *field
 * names the first thing that does not fit.
 *
 * errors  PROOF_MISMATCH, NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_proof_check(const asx_rq_proof *proof, const void *source,
                                         asx_rq_cache *cache, asx_rq_digest_fn *digest,
                                         const char **field);

/* Solves the listed rows again, and compares all that the record says of it. Where the small system
 * of METHOD_FEW was used it is the verdict alone that must be the same. *field as above.
 *
 * errors  PROOF_MISMATCH, also when fewer than K are said to have come; TOO_LARGE: not every symbol
 *         is listed, and nothing is said; NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_proof_replay(const asx_rq_proof *proof, const char **field);

ASX_END_DECLS

#endif
