/* Proofs from anyone: a record that loads saves to the same bytes, only the true record of a source
 * holds for it, and what its solve is said to have done is solved again without harm. The input is
 * a record, or, when its first byte is odd, changes to a true one. */
#include <asx/raptorq/decoder.h>
#include <asx/raptorq/encoder.h>
#include <asx/raptorq/proof.h>

#include "raptorq_fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { K = 12, T = 16, LOST = 3 };

static uint8_t source[K * T];

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* The record of a decode that lost some source symbols. */
static size_t true_record(uint8_t out[ASX_RQ_PROOF_SIZE_MAX])
{
    static const uint8_t id[16] = { 7 };
    uint8_t symbol[T], output[K * T], scratch[T + 8];
    asx_rq_block block;
    asx_rq_encoder *encoder;
    asx_rq_decoder *decoder;
    asx_rq_proof proof;
    for (size_t i = 0; i < sizeof(source); i++) {
        source[i] = (uint8_t)(i * 31 + i / 251);
    }
    require(asx_rq_block_init(&block, K, T, 1, 1) == ASX_OK);
    require(asx_rq_encoder_create(&encoder, &block, NULL, NULL) == ASX_OK);
    require(asx_rq_encoder_load(encoder, source, sizeof(source)) == ASX_OK);
    require(asx_rq_decoder_create(&decoder, &block, output, NULL) == ASX_OK);
    for (uint32_t esi = LOST; esi < K + 2 * LOST; esi++) {
        require(asx_rq_encoder_symbol(encoder, esi, symbol) == ASX_OK);
        require(asx_rq_decoder_feed(decoder, esi, symbol, T) == ASX_OK);
    }
    require(asx_rq_decoder_attempt(decoder, NULL) == ASX_OK);
    asx_rq_proof_make(&proof, decoder, id, 1, mix, scratch);
    asx_rq_decoder_destroy(decoder);
    asx_rq_encoder_destroy(encoder);
    return asx_rq_proof_save(&proof, out);
}

static void check(const uint8_t *bytes, size_t len)
{
    asx_rq_proof proof;
    uint8_t *exact = malloc(len > 0 ? len : 1), again[ASX_RQ_PROOF_SIZE_MAX];
    const char *field = NULL;
    memcpy(exact, bytes, len);
    if (asx_rq_proof_load(&proof, exact, len) == ASX_OK) {
        require(asx_rq_proof_save(&proof, again) == len);
        require(memcmp(again, exact, len) == 0);
        /* Whoever checks has the source, and so knows its size. */
        if ((uint64_t)proof.k * proof.symbol_size == sizeof(source)) {
            const asx_err err = asx_rq_proof_check(&proof, source, NULL, mix, &field);
            require((err == ASX_OK) == (field == NULL));
        }
        if (proof.k <= 1000) {
            const asx_err err = asx_rq_proof_replay(&proof, &field);
            require((err == ASX_OK || err == ASX_RQ_E(TOO_LARGE)) == (field == NULL));
        }
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t original[ASX_RQ_PROOF_SIZE_MAX];
    static size_t len;
    if (len == 0) {
        len = true_record(original);
    }
    if (size == 0 || (data[0] & 1) == 0) {
        check(data + (size > 0), size - (size > 0));
        return 0;
    }
    uint8_t changed[ASX_RQ_PROOF_SIZE_MAX];
    memcpy(changed, original, len);
    for (size_t at = 1; at + 3 <= size; at += 3) {
        changed[(size_t)(data[at] | data[at + 1] << 8) % len] ^= data[at + 2];
    }
    check(changed, len);
    return 0;
}
