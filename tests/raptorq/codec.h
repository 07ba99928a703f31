/* An encoder and a decoder of one block with their memory, for tests. */
#ifndef ASX_TESTS_RAPTORQ_CODEC_H
#define ASX_TESTS_RAPTORQ_CODEC_H

#include <asx/raptorq/decoder.h>
#include <asx/raptorq/encoder.h>
#include <asx/raptorq/gf256.h>
#include <asx/raptorq/tuple.h>

#include "support.h"

#include <catch2/catch.hpp>
#include <utility>

namespace rq
{

struct encoder {
    asx_rq_block block;
    asx_rq_encoder *self = nullptr;
    bytes source;

    encoder(uint32_t k, uint32_t t, uint32_t n, uint32_t al, bytes content,
            asx_rq_cache *cache = nullptr)
        : source(std::move(content))
    {
        REQUIRE(asx_rq_block_init(&block, k, t, n, al) == ASX_OK);
        asx_rq_plan *plan;
        REQUIRE(asx_rq_cache_encode(cache, &plan, &block.param, nullptr) == ASX_OK);
        REQUIRE(asx_rq_encoder_create(&self, &block, plan, nullptr) == ASX_OK);
        asx_rq_plan_unref(plan);
        REQUIRE(asx_rq_encoder_load(self, source.data(), source.size()) == ASX_OK);
    }
    encoder(const encoder &) = delete;
    encoder &operator=(const encoder &) = delete;
    ~encoder()
    {
        asx_rq_encoder_destroy(self);
    }
    bytes symbol(uint32_t esi)
    {
        bytes out(block.symbol_size);
        REQUIRE(asx_rq_encoder_symbol(self, esi, out.data()) == ASX_OK);
        return out;
    }
};

struct decoder {
    asx_rq_decoder *self = nullptr;
    bytes output;

    explicit decoder(const asx_rq_block &block, asx_rq_decoder_config config = {})
        : output((size_t)block.param.k * block.symbol_size, 0xAA)
    {
        REQUIRE(asx_rq_decoder_create(&self, &block, output.data(), &config) == ASX_OK);
    }
    decoder(const decoder &) = delete;
    decoder &operator=(const decoder &) = delete;
    ~decoder()
    {
        asx_rq_decoder_destroy(self);
    }
    asx_err feed(uint32_t esi, const bytes &symbol)
    {
        return asx_rq_decoder_feed(self, esi, symbol.data(), symbol.size());
    }
    asx_err attempt(const asx_rq_executor *executor = nullptr)
    {
        return asx_rq_decoder_attempt(self, executor);
    }
    const asx_rq_decoder_stats &stats() const
    {
        return *asx_rq_decoder_stats_get(self);
    }
};

} // namespace rq

#endif
