/* The codec over shards: at stake is that a block's symbols and bytes are the same on any number of
 * them, also when the caller is cancelled meanwhile. */
#include <asx/raptorq/net/spread.h>
#include <asx/shard/scope.h>

#include "../shard/live_shards.h"
#include "codec.h"

namespace
{
constexpr uint32_t K = 600, T = 1024, REPAIRS = 40;

rq::bytes content()
{
    rq::bytes bytes((size_t)K * T);
    uint32_t x = 7;
    for (auto &byte : bytes) {
        x = x * 1664525u + 1013904223u;
        byte = (uint8_t)(x >> 24);
    }
    return bytes;
}

struct run_result {
    bool cancelled = false; /* wanted */
    asx_err err = ASX_OK;
    rq::bytes repairs;
    rq::bytes decoded;
};

/* Encodes repair symbols, then decodes the block from those and what is left. */
asx_outcome code(asx_cx *cx, void *arg)
{
    run_result *const result = static_cast<run_result *>(arg);
    const asx_rq_executor executor = asx_rq_spread(cx);
    const rq::bytes source = content();
    if (result->cancelled) {
        asx_task_cancel(cx, asx_cx_task(cx), ASX_CANCEL_USER, "before it begins");
    }
    asx_rq_block block;
    asx_rq_encoder *encoder = nullptr;
    asx_rq_decoder *decoder = nullptr;
    result->repairs.resize((size_t)REPAIRS * T);
    result->decoded.resize(source.size());
    asx_err err = asx_rq_block_init(&block, K, T, 1, 8);
    err = err ? err : asx_rq_encoder_create(&encoder, &block, nullptr, nullptr);
    err = err ? err : asx_rq_encoder_load(encoder, source.data(), source.size());
    err = err ? err : asx_rq_encoder_prepare(encoder, &executor);
    err =
        err ? err : asx_rq_encoder_symbols(encoder, K, REPAIRS, result->repairs.data(), &executor);
    err = err ? err : asx_rq_decoder_create(&decoder, &block, result->decoded.data(), nullptr);
    for (uint32_t i = REPAIRS - 2; i < K && !err; i++) {
        err = asx_rq_decoder_feed(decoder, i, source.data() + (size_t)i * T, T);
    }
    for (uint32_t i = 0; i < REPAIRS && !err; i++) {
        err = asx_rq_decoder_feed(decoder, K + i, result->repairs.data() + (size_t)i * T, T);
    }
    err = err ? err : asx_rq_decoder_attempt(decoder, &executor);
    asx_rq_decoder_destroy(decoder);
    asx_rq_encoder_destroy(encoder);
    result->err = err;
    return asx_ok(0);
}

asx_outcome main_task(asx_cx *cx, void *arg)
{
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        (void)asx_scope_spawn(s, code, arg, 0, nullptr);
    }
    asx_shard_shutdown(asx_shard_of(cx), "done");
    return asx_ok(0);
}
} // namespace

TEST_CASE("spread: bit for bit the same on one, two and three shards", "[raptorq][spread][threads]")
{
    const rq::bytes source = content();
    run_result first;
    for (uint32_t shards = 1; shards <= 3; shards++) {
        for (const bool cancelled : { false, true }) {
            INFO(shards << " shards" << (cancelled ? ", cancelled" : ""));
            run_result result;
            result.cancelled = cancelled;
            live_shards(shards, main_task, &result);
            REQUIRE(result.err == ASX_OK);
            CHECK(result.decoded == source);
            if (first.repairs.empty()) {
                first = result;
            }
            CHECK(result.repairs == first.repairs);
        }
    }
}
