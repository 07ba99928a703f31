/* The tagger over OpenSSL, and with it the only file of the room that knows OpenSSL. */
#include <asx/raptorq/alloc.h>
#include <asx/raptorq/net/tag.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

enum { HASH_SIZE = 32 };

static const char symbol_domain[16] = "asx-rq symbol 1";
static const char record_domain[16] = "asx-rq record 1";

struct asx_rq_tagger {
    EVP_MAC_CTX *symbol, *record;
    uint8_t object_id[ASX_RQ_OBJECT_ID_SIZE];
};

static bool hmac(const uint8_t *key, size_t key_len, const void *data, size_t len,
                 uint8_t out[HASH_SIZE])
{
    size_t size = 0;
    return EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, key_len, data, len, out, HASH_SIZE,
                     &size) != NULL &&
           size == HASH_SIZE;
}

/* HKDF with an empty salt; the purpose and the object are its info. One block is all we need. */
static bool derive(const asx_rq_key *key, const char domain[16],
                   const uint8_t object_id[ASX_RQ_OBJECT_ID_SIZE], uint8_t out[HASH_SIZE])
{
    const uint8_t salt[HASH_SIZE] = { 0 };
    uint8_t extracted[HASH_SIZE], info[16 + ASX_RQ_OBJECT_ID_SIZE + 1];
    memcpy(info, domain, 16);
    memcpy(info + 16, object_id, ASX_RQ_OBJECT_ID_SIZE);
    info[sizeof(info) - 1] = 1;
    const bool good = hmac(salt, sizeof(salt), key->bytes, sizeof(key->bytes), extracted) &&
                      hmac(extracted, sizeof(extracted), info, sizeof(info), out);
    OPENSSL_cleanse(extracted, sizeof(extracted));
    return good;
}

static EVP_MAC_CTX *keyed(EVP_MAC *mac, const asx_rq_key *key, const char domain[16],
                          const uint8_t object_id[ASX_RQ_OBJECT_ID_SIZE])
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    uint8_t derived[HASH_SIZE];
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    if (context != NULL && (!derive(key, domain, object_id, derived) ||
                            EVP_MAC_init(context, derived, sizeof(derived), params) != 1)) {
        EVP_MAC_CTX_free(context);
        context = NULL;
    }
    OPENSSL_cleanse(derived, sizeof(derived));
    return context;
}

asx_err asx_rq_tagger_create(asx_rq_tagger **result, const asx_rq_key *key,
                             const uint8_t object_id[ASX_RQ_OBJECT_ID_SIZE])
{
    asx_rq_tagger *tagger = asx_rq_alloc_get(NULL, sizeof(*tagger));
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (tagger == NULL || mac == NULL) {
        EVP_MAC_free(mac);
        asx_rq_alloc_put(NULL, tagger, sizeof(*tagger));
        return ASX_RQ_E(NO_MEMORY);
    }
    tagger->symbol = keyed(mac, key, symbol_domain, object_id);
    tagger->record = keyed(mac, key, record_domain, object_id);
    memcpy(tagger->object_id, object_id, ASX_RQ_OBJECT_ID_SIZE);
    EVP_MAC_free(mac); /* the contexts hold it */
    if (tagger->symbol == NULL || tagger->record == NULL) {
        asx_rq_tagger_destroy(tagger);
        return ASX_RQ_E(NO_MEMORY);
    }
    *result = tagger;
    return ASX_OK;
}

void asx_rq_tagger_destroy(asx_rq_tagger *tagger)
{
    if (tagger != NULL) {
        EVP_MAC_CTX_free(tagger->symbol); /* OpenSSL wipes the keys in them */
        EVP_MAC_CTX_free(tagger->record);
        asx_rq_alloc_put(NULL, tagger, sizeof(*tagger));
    }
}

/* Keyed contexts begin again without allocating, so that nothing here can fail. */
static void make(EVP_MAC_CTX *context, const void *head, size_t head_len, const void *bytes,
                 size_t len, uint8_t tag[ASX_RQ_FRAME_TAG])
{
    uint8_t full[HASH_SIZE];
    size_t size = 0;
    asx_assert_eq(EVP_MAC_init(context, NULL, 0, NULL), 1);
    asx_assert_eq(EVP_MAC_update(context, head, head_len), 1);
    asx_assert_eq(EVP_MAC_update(context, bytes, len), 1);
    asx_assert_eq(EVP_MAC_final(context, full, &size, sizeof(full)), 1);
    asx_assert_eq(size, HASH_SIZE);
    memcpy(tag, full, ASX_RQ_FRAME_TAG);
}

static bool equal(const uint8_t made[ASX_RQ_FRAME_TAG], const uint8_t given[ASX_RQ_FRAME_TAG])
{
    static const uint8_t zero[ASX_RQ_FRAME_TAG] = { 0 };
    const bool is_zero = CRYPTO_memcmp(given, zero, sizeof(zero)) == 0;
    return CRYPTO_memcmp(made, given, ASX_RQ_FRAME_TAG) == 0 && !is_zero;
}

void asx_rq_tagger_symbol(asx_rq_tagger *tagger, const asx_rq_symbol_body *symbol, bool is_repair,
                          uint8_t tag[ASX_RQ_FRAME_TAG])
{
    uint8_t head[sizeof(symbol_domain) + ASX_RQ_OBJECT_ID_SIZE + 1 + 4 + 1 + 8];
    uint8_t *at = head;
    const uint64_t len = symbol->len;
    memcpy(at, symbol_domain, sizeof(symbol_domain));
    memcpy(at += sizeof(symbol_domain), tagger->object_id, ASX_RQ_OBJECT_ID_SIZE);
    at += ASX_RQ_OBJECT_ID_SIZE;
    *at++ = (uint8_t)symbol->sbn;
    memcpy(at, &symbol->esi, 4);
    at[4] = is_repair ? 1 : 0;
    memcpy(at + 5, &len, 8);
    make(tagger->symbol, head, sizeof(head), symbol->bytes, symbol->len, tag);
}

bool asx_rq_tagger_symbol_check(asx_rq_tagger *tagger, const asx_rq_symbol_body *symbol,
                                bool is_repair, const uint8_t tag[ASX_RQ_FRAME_TAG])
{
    uint8_t made[ASX_RQ_FRAME_TAG];
    asx_rq_tagger_symbol(tagger, symbol, is_repair, made);
    return equal(made, tag);
}

void asx_rq_tagger_record(asx_rq_tagger *tagger, const uint8_t *bytes, size_t len,
                          uint8_t tag[ASX_RQ_FRAME_TAG])
{
    make(tagger->record, record_domain, sizeof(record_domain), bytes, len, tag);
}

bool asx_rq_tagger_record_check(asx_rq_tagger *tagger, const uint8_t *bytes, size_t len,
                                const uint8_t tag[ASX_RQ_FRAME_TAG])
{
    uint8_t made[ASX_RQ_FRAME_TAG];
    asx_rq_tagger_record(tagger, bytes, len, made);
    return equal(made, tag);
}

void asx_rq_sha256(const void *bytes, size_t len, uint8_t out[ASX_RQ_DIGEST_SIZE])
{
    unsigned size = 0;
    asx_assert(EVP_Digest(bytes, len, out, &size, EVP_sha256(), NULL) == 1);
    asx_assert_eq(size, ASX_RQ_DIGEST_SIZE);
}
