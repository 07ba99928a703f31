/* Plan files from anyone: one that loads may compute nonsense, and stays inside its slab. The input
 * is a file, or, when its first byte is odd, changes to the true plan of the smallest K' with the
 * checksum made right again, which then runs. */
#include <asx/raptorq/encoder.h>
#include <asx/raptorq/plan.h>
#include <asx/shard/base/prng.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { K = 10, T = 64, HEAD_KEPT = 12 /* magic and K' */ };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static uint8_t *original;
static size_t original_len;

/* As the saved form has it in its last 8 bytes. */
static void seal(uint8_t *bytes, size_t len)
{
    const size_t body = len - 8;
    uint64_t sum = body;
    for (size_t i = 0; i < body; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, body - i < 8 ? body - i : 8);
        sum = asx_mix64(sum ^ word) + i;
    }
    memcpy(bytes + body, &sum, 8);
}

static void run(asx_rq_plan *plan)
{
    static uint8_t source[K * T];
    uint8_t symbol[T];
    asx_rq_block block;
    asx_rq_encoder *encoder;
    require(asx_rq_block_init(&block, K, T, 1, 1) == ASX_OK);
    require(asx_rq_encoder_create(&encoder, &block, plan, NULL) == ASX_OK);
    require(asx_rq_encoder_load(encoder, source, sizeof(source)) == ASX_OK);
    for (uint32_t esi = K; esi < K + 20; esi++) {
        require(asx_rq_encoder_symbol(encoder, esi * 977, symbol) == ASX_OK);
    }
    asx_rq_encoder_destroy(encoder);
}

static void check(const uint8_t *bytes, size_t len, bool may_run)
{
    asx_rq_plan *plan;
    uint8_t *exact = malloc(len > 0 ? len : 1);
    memcpy(exact, bytes, len);
    if (asx_rq_plan_load(&plan, exact, len, NULL) == ASX_OK) {
        require(asx_rq_plan_save_size(plan) == len);
        if (may_run) {
            run(plan);
        }
        asx_rq_plan_unref(plan);
    }
    free(exact);
}

static void make_original(void)
{
    asx_rq_param param;
    asx_rq_plan *plan;
    require(asx_rq_param_init(&param, K) == ASX_OK);
    require(asx_rq_plan_encode(&plan, &param, NULL) == ASX_OK);
    original_len = asx_rq_plan_save_size(plan);
    original = malloc(original_len);
    asx_rq_plan_save(plan, original);
    asx_rq_plan_unref(plan);
    uint8_t *sealed = malloc(original_len);
    memcpy(sealed, original, original_len);
    seal(sealed, original_len);
    require(memcmp(sealed, original, original_len) == 0); /* else nothing below would be tried */
    free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (original == NULL) {
        make_original();
    }
    if (size == 0 || (data[0] & 1) == 0) {
        check(data + (size > 0), size - (size > 0), false);
        return 0;
    }
    uint8_t *changed = malloc(original_len);
    memcpy(changed, original, original_len);
    for (size_t at = 1; at + 3 <= size; at += 3) {
        const size_t where = (size_t)(data[at] | data[at + 1] << 8) % (original_len - HEAD_KEPT);
        changed[HEAD_KEPT + where] ^= data[at + 2];
    }
    seal(changed, original_len);
    check(changed, original_len, true);
    free(changed);
    return 0;
}
