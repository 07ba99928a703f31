#include "token.h"

#include <asx/shard/base/assert.h>
#include <asx/shard/base/sha256.h>

#include <string.h>

#define VERSION 1u
#define HEAD_BYTES 2u /* of a token, and of a caveat */
#define BLOCK_BYTES 64u

_Static_assert(HEAD_BYTES + ASX_TOKEN_TEXT_MAX + ASX_TOKEN_MAC_BYTES <= ASX_TOKEN_BYTES_MAX,
               "the longest identifier fits");

static const char domain[16] = "asx token 1";

typedef struct mac {
    uint8_t bytes[ASX_TOKEN_MAC_BYTES];
} mac;

/* HMAC-SHA256 of a ‖ b under a key of one digest's length. */
static mac hmac(const uint8_t key[ASX_TOKEN_KEY_BYTES], asx_view a, asx_view b)
{
    uint8_t inner[BLOCK_BYTES], outer[BLOCK_BYTES];
    asx_sha256 sha;
    mac result;
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        const uint8_t byte = i < ASX_TOKEN_KEY_BYTES ? key[i] : 0;
        inner[i] = byte ^ 0x36;
        outer[i] = byte ^ 0x5c;
    }
    asx_sha256_init(&sha);
    asx_sha256_add(&sha, inner, sizeof(inner));
    asx_sha256_add(&sha, a.ptr, a.len);
    asx_sha256_add(&sha, b.ptr, b.len);
    asx_sha256_take(&sha, result.bytes);
    asx_sha256_init(&sha);
    asx_sha256_add(&sha, outer, sizeof(outer));
    asx_sha256_add(&sha, result.bytes, sizeof(result.bytes));
    asx_sha256_take(&sha, result.bytes);
    explicit_bzero(inner, sizeof(inner));
    explicit_bzero(outer, sizeof(outer));
    return result;
}

static mac first_mac(const asx_token *token, const uint8_t key[ASX_TOKEN_KEY_BYTES])
{
    return hmac(key, asx_view_of(domain, sizeof(domain)),
                asx_view_of(token->bytes, HEAD_BYTES + token->bytes[1]));
}

/* Where the caveats begin and end; the MAC stands behind. */
static uint32_t caveats_begin(const asx_token *token)
{
    return HEAD_BYTES + token->bytes[1];
}

static uint32_t caveats_end(const asx_token *token)
{
    return token->len - ASX_TOKEN_MAC_BYTES;
}

/* The caveat at *at, head and payload; moves *at behind it. */
static asx_view caveat_next(const asx_token *token, uint32_t *at)
{
    const uint8_t *const bytes = token->bytes + *at;
    const uint32_t len = HEAD_BYTES + bytes[1];
    *at += len;
    return asx_view_of(bytes, len);
}

static bool well_formed(const asx_token *token)
{
    const uint32_t least = HEAD_BYTES + 1 + ASX_TOKEN_MAC_BYTES;
    if (token->len < least || token->len > ASX_TOKEN_BYTES_MAX || token->bytes[0] != VERSION ||
        token->bytes[1] == 0 || caveats_begin(token) > caveats_end(token)) {
        return false;
    }
    uint32_t at = caveats_begin(token);
    while (at + HEAD_BYTES <= caveats_end(token)) {
        (void)caveat_next(token, &at);
    }
    return at == caveats_end(token);
}

const char *asx_token_verdict_name(asx_token_verdict verdict)
{
    switch (verdict) {
    case ASX_TOKEN_GRANTED:
        return "GRANTED";
    case ASX_TOKEN_FORGED:
        return "FORGED";
    case ASX_TOKEN_EXPIRED:
        return "EXPIRED";
    case ASX_TOKEN_OUT_OF_SCOPE:
        return "OUT_OF_SCOPE";
    case ASX_TOKEN_OTHER_RESOURCE:
        return "OTHER_RESOURCE";
    case ASX_TOKEN_USED_UP:
        return "USED_UP";
    case ASX_TOKEN_CUSTOM_REFUSED:
        return "CUSTOM_REFUSED";
    case ASX_TOKEN_UNKNOWN_CAVEAT:
        return "UNKNOWN_CAVEAT";
    }
    return "?";
}

asx_view asx_token_id(const asx_token *token)
{
    return asx_view_of(token->bytes + HEAD_BYTES, token->bytes[1]);
}

asx_err asx_token_mint(asx_token *token, const uint8_t key[ASX_TOKEN_KEY_BYTES], asx_view id)
{
    if (id.len == 0 || id.len > ASX_TOKEN_TEXT_MAX) {
        return ASX_E(INVALID_ARGUMENT);
    }
    *token = (asx_token){ .len = (uint32_t)(HEAD_BYTES + id.len + ASX_TOKEN_MAC_BYTES) };
    token->bytes[0] = VERSION;
    token->bytes[1] = (uint8_t)id.len;
    memcpy(token->bytes + HEAD_BYTES, id.ptr, id.len);
    const mac first = first_mac(token, key);
    memcpy(token->bytes + caveats_end(token), first.bytes, sizeof(first.bytes));
    return ASX_OK;
}

asx_err asx_token_narrow(asx_token *token, uint8_t type, asx_view payload)
{
    asx_assert(well_formed(token));
    if (payload.len > ASX_TOKEN_TEXT_MAX ||
        token->len + HEAD_BYTES + payload.len > ASX_TOKEN_BYTES_MAX) {
        return ASX_E(TOO_LONG);
    }
    uint8_t *const at = token->bytes + caveats_end(token);
    mac before;
    memcpy(before.bytes, at, sizeof(before.bytes));
    at[0] = type;
    at[1] = (uint8_t)payload.len;
    if (payload.len > 0) {
        memcpy(at + HEAD_BYTES, payload.ptr, payload.len);
    }
    token->len += (uint32_t)(HEAD_BYTES + payload.len);
    const mac after =
        hmac(before.bytes, asx_view_of(at, HEAD_BYTES + payload.len), asx_view_str(""));
    memcpy(token->bytes + caveats_end(token), after.bytes, sizeof(after.bytes));
    return ASX_OK;
}

static void put_u64(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        at[i] = (uint8_t)(value >> 8 * i);
    }
}

static uint64_t get_u64(const char *at)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)(uint8_t)at[i] << 8 * i;
    }
    return value;
}

asx_err asx_token_narrow_until(asx_token *token, uint64_t unix_ns)
{
    uint8_t payload[8];
    put_u64(payload, unix_ns);
    return asx_token_narrow(token, ASX_TOKEN_NOT_AFTER, asx_view_of(payload, sizeof(payload)));
}

asx_err asx_token_narrow_uses(asx_token *token, uint32_t uses, asx_duration window)
{
    uint8_t payload[16];
    put_u64(payload, uses);
    put_u64(payload + 8, window);
    return asx_token_narrow(token, ASX_TOKEN_USES, asx_view_of(payload, sizeof(payload)));
}

asx_err asx_token_decode(const uint8_t *bytes, size_t len, asx_token *token)
{
    *token = (asx_token){ .len = 0 };
    if (len > ASX_TOKEN_BYTES_MAX) {
        return ASX_E(INVALID_ARGUMENT);
    }
    token->len = (uint32_t)len;
    if (len > 0) {
        memcpy(token->bytes, bytes, len);
    }
    return well_formed(token) ? ASX_OK : ASX_E(INVALID_ARGUMENT);
}

/* A star takes what it can within its segment, and a byte more each time the rest does not fit. */
static bool glob_matches(asx_view glob, asx_view path)
{
    size_t g = 0, p = 0, star = SIZE_MAX, taken = 0;
    for (;;) {
        if (g + 2 == glob.len && glob.ptr[g] == '*' && glob.ptr[g + 1] == '*') {
            return true;
        }
        if (g < glob.len && glob.ptr[g] == '*') {
            star = g++;
            taken = p;
        } else if (p < path.len && g < glob.len && glob.ptr[g] == path.ptr[p]) {
            g++;
            p++;
        } else if (p == path.len && g == glob.len) {
            return true;
        } else if (star != SIZE_MAX && taken < path.len && path.ptr[taken] != '/') {
            p = ++taken;
            g = star + 1;
        } else {
            return false;
        }
    }
}

static asx_token_verdict custom_verdict(asx_view payload, const asx_token_use *use)
{
    const char *const equals = payload.len > 0 ? memchr(payload.ptr, '=', payload.len) : NULL;
    if (!equals || !use->custom_holds) {
        return ASX_TOKEN_CUSTOM_REFUSED;
    }
    const size_t key_len = (size_t)(equals - payload.ptr);
    const asx_view value = asx_view_of(equals + 1, payload.len - key_len - 1);
    return use->custom_holds(use->arg, asx_view_of(payload.ptr, key_len), value)
               ? ASX_TOKEN_GRANTED
               : ASX_TOKEN_CUSTOM_REFUSED;
}

static asx_token_verdict uses_verdict(const asx_token *token, asx_view payload,
                                      const asx_token_use *use)
{
    const bool allowed =
        payload.len == 16 && use->uses &&
        use->uses(use->arg, asx_token_id(token), get_u64(payload.ptr + 8)) < get_u64(payload.ptr);
    return allowed ? ASX_TOKEN_GRANTED : ASX_TOKEN_USED_UP;
}

static asx_token_verdict caveat_verdict(const asx_token *token, uint8_t type, asx_view payload,
                                        const asx_token_use *use)
{
    switch (type) {
    case ASX_TOKEN_NOT_AFTER:
        return payload.len == 8 && use->unix_ns < get_u64(payload.ptr) ? ASX_TOKEN_GRANTED
                                                                       : ASX_TOKEN_EXPIRED;
    case ASX_TOKEN_SCOPE:
        return use->scope.len > 0 && asx_view_eq(use->scope, payload) ? ASX_TOKEN_GRANTED
                                                                      : ASX_TOKEN_OUT_OF_SCOPE;
    case ASX_TOKEN_RESOURCE:
        return use->resource.len > 0 && glob_matches(payload, use->resource)
                   ? ASX_TOKEN_GRANTED
                   : ASX_TOKEN_OTHER_RESOURCE;
    case ASX_TOKEN_USES:
        return uses_verdict(token, payload, use);
    case ASX_TOKEN_CUSTOM:
        return custom_verdict(payload, use);
    default:
        return ASX_TOKEN_UNKNOWN_CAVEAT;
    }
}

/* How long it takes does not tell where they differ. */
static bool mac_equal(const mac *a, const uint8_t *b)
{
    volatile uint8_t differing = 0;
    for (size_t i = 0; i < sizeof(a->bytes); i++) {
        differing = (uint8_t)(differing | (a->bytes[i] ^ b[i]));
    }
    return differing == 0;
}

asx_token_verdict asx_token_verify(const asx_token *token, const uint8_t key[ASX_TOKEN_KEY_BYTES],
                                   const asx_token_use *use)
{
    if (!well_formed(token)) {
        return ASX_TOKEN_FORGED;
    }
    mac chain = first_mac(token, key);
    for (uint32_t at = caveats_begin(token); at < caveats_end(token);) {
        chain = hmac(chain.bytes, caveat_next(token, &at), asx_view_str(""));
    }
    if (!mac_equal(&chain, token->bytes + caveats_end(token))) {
        return ASX_TOKEN_FORGED;
    }
    asx_token_verdict verdict = ASX_TOKEN_GRANTED;
    for (uint32_t at = caveats_begin(token);
         at < caveats_end(token) && verdict == ASX_TOKEN_GRANTED;) {
        const asx_view caveat = caveat_next(token, &at);
        verdict =
            caveat_verdict(token, (uint8_t)caveat.ptr[0],
                           asx_view_of(caveat.ptr + HEAD_BYTES, caveat.len - HEAD_BYTES), use);
    }
    return verdict;
}
