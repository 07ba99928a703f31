/* The tagger over OpenSSL, and with it the only file of the room that knows OpenSSL. */
#include <asx/raptorq/net/tag.h>

#include "keyring_internal.h"

/* SHA-256 as plain memory, which OpenSSL has and would have nobody use: its other ways keep what is
 * derived from keys where a core file shows it. */
#define OPENSSL_API_COMPAT 10101
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

enum { HASH_SIZE = SHA256_DIGEST_LENGTH, BLOCK_SIZE = SHA256_CBLOCK };

static const char symbol_domain[16] = "asx-rq symbol 1";
static const char record_domain[16] = "asx-rq record 1";

/* HMAC with its key taken in. */
typedef struct keyed_hash {
    SHA256_CTX inner, outer;
} keyed_hash;

typedef struct derived {
    uint64_t id; /* of the key in the ring; 0: of none */
    keyed_hash symbol, record;
} derived;

struct asx_rq_tagger {
    asx_rq_keyring *ring;
    uint64_t version; /* of the ring, when it was looked at last */
    uint32_t count;
    uint32_t likely; /* checked the last tag that was true */
    derived keys[ASX_RQ_KEYRING_MAX];
    uint8_t object_id[ASX_RQ_OBJECT_ID_SIZE];
};

static void mac_init(keyed_hash *mac, const uint8_t key[HASH_SIZE])
{
    uint8_t pad[BLOCK_SIZE];
    for (int i = 0; i < BLOCK_SIZE; i++) {
        pad[i] = 0x36 ^ (i < HASH_SIZE ? key[i] : 0);
    }
    SHA256_Init(&mac->inner);
    SHA256_Update(&mac->inner, pad, sizeof(pad));
    for (int i = 0; i < BLOCK_SIZE; i++) {
        pad[i] ^= 0x36 ^ 0x5C;
    }
    SHA256_Init(&mac->outer);
    SHA256_Update(&mac->outer, pad, sizeof(pad));
    OPENSSL_cleanse(pad, sizeof(pad));
}

static void mac_make(const keyed_hash *mac, const void *head, size_t head_len, const void *bytes,
                     size_t len, uint8_t out[HASH_SIZE])
{
    SHA256_CTX hash = mac->inner;
    SHA256_Update(&hash, head, head_len);
    SHA256_Update(&hash, bytes, len);
    SHA256_Final(out, &hash);
    hash = mac->outer;
    SHA256_Update(&hash, out, HASH_SIZE);
    SHA256_Final(out, &hash);
}

/* HKDF with an empty salt; the purpose and the object are its info. One block is all we need. */
static void derive(keyed_hash *result, const asx_rq_key *key, const char domain[16],
                   const uint8_t object_id[ASX_RQ_OBJECT_ID_SIZE])
{
    const uint8_t salt[HASH_SIZE] = { 0 };
    uint8_t secret[HASH_SIZE], info[ASX_RQ_OBJECT_ID_SIZE + 1];
    memcpy(info, object_id, ASX_RQ_OBJECT_ID_SIZE);
    info[sizeof(info) - 1] = 1;
    mac_init(result, salt);
    mac_make(result, key->bytes, sizeof(key->bytes), "", 0, secret);
    mac_init(result, secret);
    mac_make(result, domain, 16, info, sizeof(info), secret);
    mac_init(result, secret);
    OPENSSL_cleanse(secret, sizeof(secret));
}

/* Takes over what the ring has become. */
static void follow(asx_rq_tagger *tagger)
{
    const asx_rq_keyring *ring = tagger->ring;
    if (tagger->version == ring->version) {
        return;
    }
    tagger->version = ring->version;
    tagger->likely = 0;
    for (uint32_t i = 0; i < ASX_RQ_KEYRING_MAX; i++) {
        derived *key = &tagger->keys[i];
        if (i >= ring->count) {
            OPENSSL_cleanse(key, sizeof(*key));
        } else if (key->id != ring->keys[i].id) {
            derive(&key->symbol, &ring->keys[i].key, symbol_domain, tagger->object_id);
            derive(&key->record, &ring->keys[i].key, record_domain, tagger->object_id);
            key->id = ring->keys[i].id;
        }
    }
    tagger->count = ring->count;
}

asx_err asx_rq_tagger_create(asx_rq_tagger **result, asx_rq_keyring *ring,
                             const uint8_t object_id[ASX_RQ_OBJECT_ID_SIZE])
{
    asx_rq_tagger *tagger = asxi_secret_get(sizeof(*tagger));
    if (tagger == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    tagger->ring = ring;
    memcpy(tagger->object_id, object_id, ASX_RQ_OBJECT_ID_SIZE);
    *result = tagger;
    return ASX_OK;
}

void asx_rq_tagger_destroy(asx_rq_tagger *tagger)
{
    asxi_secret_put(tagger, sizeof(*tagger));
}

static bool equal(const uint8_t made[HASH_SIZE], const uint8_t given[ASX_RQ_FRAME_TAG])
{
    static const uint8_t zero[ASX_RQ_FRAME_TAG] = { 0 };
    const bool is_zero = CRYPTO_memcmp(given, zero, sizeof(zero)) == 0;
    return CRYPTO_memcmp(made, given, ASX_RQ_FRAME_TAG) == 0 && !is_zero;
}

/* What is signed, of either kind. */
typedef struct signed_part {
    const void *head, *bytes;
    size_t head_len, len;
    bool is_record;
} signed_part;

static void make(const derived *key, const signed_part *part, uint8_t out[HASH_SIZE])
{
    mac_make(part->is_record ? &key->record : &key->symbol, part->head, part->head_len, part->bytes,
             part->len, out);
}

static void tag_part(asx_rq_tagger *tagger, const signed_part *part, uint8_t tag[ASX_RQ_FRAME_TAG])
{
    uint8_t full[HASH_SIZE];
    follow(tagger);
    make(&tagger->keys[0], part, full);
    memcpy(tag, full, ASX_RQ_FRAME_TAG);
}

/* By each key, beginning with the one that was right the last time. */
static bool check_part(asx_rq_tagger *tagger, const signed_part *part,
                       const uint8_t tag[ASX_RQ_FRAME_TAG])
{
    follow(tagger);
    for (uint32_t i = 0; i < tagger->count; i++) {
        const uint32_t at = (tagger->likely + i) % tagger->count;
        uint8_t full[HASH_SIZE];
        make(&tagger->keys[at], part, full);
        if (equal(full, tag)) {
            tagger->likely = at;
            return true;
        }
    }
    return false;
}

enum { SYMBOL_HEAD = sizeof(symbol_domain) + ASX_RQ_OBJECT_ID_SIZE + 1 + 4 + 1 + 8 };

static signed_part symbol_part(const asx_rq_tagger *tagger, const asx_rq_symbol_body *symbol,
                               bool is_repair, uint8_t head[SYMBOL_HEAD])
{
    uint8_t *at = head;
    const uint64_t len = symbol->len;
    memcpy(at, symbol_domain, sizeof(symbol_domain));
    memcpy(at += sizeof(symbol_domain), tagger->object_id, ASX_RQ_OBJECT_ID_SIZE);
    at += ASX_RQ_OBJECT_ID_SIZE;
    *at++ = (uint8_t)symbol->sbn;
    memcpy(at, &symbol->esi, 4);
    at[4] = is_repair ? 1 : 0;
    memcpy(at + 5, &len, 8);
    return (signed_part){
        .head = head, .head_len = SYMBOL_HEAD, .bytes = symbol->bytes, .len = symbol->len
    };
}

static signed_part record_part(const uint8_t *bytes, size_t len)
{
    return (signed_part){ .head = record_domain,
                          .head_len = sizeof(record_domain),
                          .bytes = bytes,
                          .len = len,
                          .is_record = true };
}

void asx_rq_tagger_symbol(asx_rq_tagger *tagger, const asx_rq_symbol_body *symbol, bool is_repair,
                          uint8_t tag[ASX_RQ_FRAME_TAG])
{
    uint8_t head[SYMBOL_HEAD];
    const signed_part part = symbol_part(tagger, symbol, is_repair, head);
    tag_part(tagger, &part, tag);
}

bool asx_rq_tagger_symbol_check(asx_rq_tagger *tagger, const asx_rq_symbol_body *symbol,
                                bool is_repair, const uint8_t tag[ASX_RQ_FRAME_TAG])
{
    uint8_t head[SYMBOL_HEAD];
    const signed_part part = symbol_part(tagger, symbol, is_repair, head);
    return check_part(tagger, &part, tag);
}

void asx_rq_tagger_record(asx_rq_tagger *tagger, const uint8_t *bytes, size_t len,
                          uint8_t tag[ASX_RQ_FRAME_TAG])
{
    const signed_part part = record_part(bytes, len);
    tag_part(tagger, &part, tag);
}

bool asx_rq_tagger_record_check(asx_rq_tagger *tagger, const uint8_t *bytes, size_t len,
                                const uint8_t tag[ASX_RQ_FRAME_TAG])
{
    const signed_part part = record_part(bytes, len);
    return check_part(tagger, &part, tag);
}

void asx_rq_sha256(const void *bytes, size_t len, uint8_t out[ASX_RQ_DIGEST_SIZE])
{
    SHA256_CTX hash;
    SHA256_Init(&hash);
    SHA256_Update(&hash, bytes, len);
    SHA256_Final(out, &hash);
}
