/* Tokens: a capability that leaves the process, and that whoever holds it can only narrow (CAP-6).
 *
 * Model.  An identifier, caveats, and a MAC over both: HMAC-SHA256 of the identifier under the
 *         minter's key, then of each caveat under the MAC before it. Who adds a caveat needs no
 *         key and replaces the MAC, from which the one before cannot be had: nothing is taken off,
 *         changed or moved.
 *         byte 0: version · byte: length of the identifier, and it · caveats: a byte type, a byte
 *         length, payload · 32 bytes MAC
 * Owner.  A plain value; its bytes are its wire form.
 * Bounds. ASX_TOKEN_BYTES_MAX bytes; verifying is linear in them, and compares in constant time.
 * Source. Birgisson et al., Macaroons, NDSS 2014; RFC 2104.
 */
#ifndef ASX_ENGINE_TOKEN_H
#define ASX_ENGINE_TOKEN_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>
#include <asx/shard/base/time.h>
#include <asx/shard/base/view.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_TOKEN_BYTES_MAX 1024u
#define ASX_TOKEN_KEY_BYTES 32u
#define ASX_TOKEN_MAC_BYTES 32u
#define ASX_TOKEN_TEXT_MAX 255u /* of an identifier, and of what a caveat carries */

typedef struct asx_token {
    uint32_t len;
    uint8_t bytes[ASX_TOKEN_BYTES_MAX];
} asx_token;

typedef enum asx_token_caveat {
    ASX_TOKEN_NOT_AFTER = 1, /* u64 Unix time in ns: refused from that instant on */
    ASX_TOKEN_SCOPE = 2,     /* a region or task, by the name that the verifier gives it */
    ASX_TOKEN_RESOURCE = 3,  /* a glob: * within a segment, ** at its end for all below */
    ASX_TOKEN_USES = 4,      /* u32 uses in each window of u64 ns */
    ASX_TOKEN_CUSTOM = 5,    /* "key=value" */
} asx_token_caveat;

typedef enum asx_token_verdict {
    ASX_TOKEN_GRANTED,
    ASX_TOKEN_FORGED, /* not minted with this key, or not as it stands */
    ASX_TOKEN_EXPIRED,
    ASX_TOKEN_OUT_OF_SCOPE,
    ASX_TOKEN_OTHER_RESOURCE,
    ASX_TOKEN_USED_UP,
    ASX_TOKEN_CUSTOM_REFUSED,
    ASX_TOKEN_UNKNOWN_CAVEAT,
} asx_token_verdict;

const char *asx_token_verdict_name(asx_token_verdict verdict);

/* errors  INVALID_ARGUMENT: no identifier, or one longer than ASX_TOKEN_TEXT_MAX */
ASX_NODISCARD asx_err asx_token_mint(asx_token *token, const uint8_t key[ASX_TOKEN_KEY_BYTES],
                                     asx_view id);

/* Narrows the token. Verifiers refuse types that they do not know.
 * errors  TOO_LONG: nothing has changed */
ASX_NODISCARD asx_err asx_token_narrow(asx_token *token, uint8_t type, asx_view payload);
ASX_NODISCARD asx_err asx_token_narrow_until(asx_token *token, uint64_t unix_ns);
ASX_NODISCARD asx_err asx_token_narrow_uses(asx_token *token, uint32_t uses, asx_duration window);

/* errors  INVALID_ARGUMENT: bytes that no minting and narrowing yields, whatever the key */
ASX_NODISCARD asx_err asx_token_decode(const uint8_t *bytes, size_t len, asx_token *token);

/* What a token is shown for. What is left out here is refused where a caveat asks for it. */
typedef struct asx_token_use {
    uint64_t unix_ns;
    asx_view scope;    /* where it is used */
    asx_view resource; /* a path without "." and ".." segments */
    /* How often the token of this identifier was used within the last `window`, this use left out;
     * the verifier keeps the count. */
    uint32_t (*uses)(void *arg, asx_view id, asx_duration window);
    bool (*custom_holds)(void *arg, asx_view key, asx_view value);
    void *arg;
} asx_token_use;

ASX_NODISCARD asx_token_verdict asx_token_verify(const asx_token *token,
                                                 const uint8_t key[ASX_TOKEN_KEY_BYTES],
                                                 const asx_token_use *use);

/* Lent while the token stands. */
asx_view asx_token_id(const asx_token *token);

ASX_END_DECLS

#endif
