/* Patterns that a random path would hardly make, and a spiteful one would: repair symbols alone and
 * from the ends of the numbers, bursts, storms of duplicates, symbols of another object, transfer
 * information of another. Each ends with the object or with an error that says which kind of wrong
 * it was; wrong bytes are only ever found by the digest, and always are. */
#include <asx/raptorq/net/frame.h>
#include <asx/raptorq/net/tag.h>
#include <asx/raptorq/object.h>
#include <asx/raptorq/tuple.h>

#include "support.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <set>

namespace
{

struct ends {
    asx_rq_oti oti;
    rq::bytes object, target;
    asx_rq_sender_object *sender;
    asx_rq_receiver_object *receiver;

    ends(const asx_rq_oti &of, uint32_t seed)
        : oti(of), object(rq::object(of.size, seed)), target(of.size)
    {
        asx_rq_object_config config = {};
        config.blocks_max = 255;
        config.verify_max = 8;
        REQUIRE(asx_rq_sender_object_create(&sender, &oti, object.data(), nullptr) == ASX_OK);
        REQUIRE(asx_rq_receiver_object_create(&receiver, &oti, target.data(), &config, nullptr,
                                              nullptr) == ASX_OK);
    }
    ends(const ends &) = delete;
    ends &operator=(const ends &) = delete;
    ~ends()
    {
        asx_rq_sender_object_destroy(sender);
        asx_rq_receiver_object_destroy(receiver);
    }
    rq::bytes symbol(uint32_t sbn, uint32_t esi)
    {
        rq::bytes out(oti.symbol_size);
        REQUIRE(asx_rq_sender_object_symbol(sender, sbn, esi, out.data()) == ASX_OK);
        return out;
    }
    asx_err feed(uint32_t sbn, uint32_t esi, const rq::bytes &bytes)
    {
        return asx_rq_receiver_object_feed(receiver, sbn, esi, bytes.data(), bytes.size());
    }
    asx_err pass(uint32_t sbn, uint32_t esi)
    {
        return feed(sbn, esi, symbol(sbn, esi));
    }
    bool is_done(uint32_t sbn) const
    {
        return asx_rq_receiver_object_progress(receiver, sbn).is_done;
    }
    bool is_done() const
    {
        return asx_rq_receiver_object_done(receiver);
    }
};

asx_rq_oti shape(uint64_t size, uint32_t symbol_size, uint32_t blocks)
{
    const asx_rq_oti oti = { size, symbol_size, blocks, 1, 1 };
    REQUIRE(asx_rq_oti_check(&oti) == ASX_OK);
    return oti;
}

} // namespace

TEST_CASE("adversarial: repair symbols alone, from any place among the numbers", "[raptorq]")
{
    for (uint32_t k : { 1u, 2u, 10u, 11u, 500u, 3000u }) {
        for (uint32_t first : { k, 100000u, ASX_RQ_ESI_MAX + 1 - (k + 8) }) {
            for (bool falls : { false, true }) {
                CAPTURE(k, first, falls);
                ends e(shape((uint64_t)k * 2 * 12 - 5, 12, 2), k);
                for (uint32_t sbn = 0; sbn < 2; sbn++) {
                    uint32_t fed = 0;
                    for (; !e.is_done(sbn) && fed < k + 8; fed++) {
                        const uint32_t at = falls ? k + 7 - fed : fed;
                        REQUIRE(e.pass(sbn, first + at) == ASX_OK);
                    }
                    CHECK(fed <= k + 4);
                }
                REQUIRE(e.is_done());
                CHECK(e.target == e.object);
            }
        }
    }
}

TEST_CASE("adversarial: bursts of any length at any place", "[raptorq]")
{
    const uint32_t k = 60;
    for (uint32_t len : { 1u, 20u, 59u, 60u }) {
        for (uint32_t start = 0; start < 3 * k; start += 13) {
            CAPTURE(len, start);
            ends e(shape(3 * k * 16, 16, 3), len);
            uint32_t at = 0; /* source symbols block after block, then what is missing of each */
            for (uint32_t i = 0; i < 3 * k; i++, at++) {
                if (at < start || at >= start + len) {
                    REQUIRE(e.pass(i / k, i % k) == ASX_OK);
                }
            }
            for (uint32_t sbn = 0; sbn < 3; sbn++) {
                for (uint32_t esi = k; !e.is_done(sbn); esi++) {
                    REQUIRE(esi < k + len + 4);
                    REQUIRE(e.pass(sbn, esi) == ASX_OK);
                }
            }
            CHECK(e.target == e.object);
        }
    }
}

TEST_CASE("adversarial: a storm of duplicates costs nothing and counts nothing", "[raptorq]")
{
    const uint32_t k = 40;
    ends e(shape(k * 10, 10, 1), 3);
    for (uint32_t esi = 1; esi < k; esi++) {
        REQUIRE(e.pass(0, esi) == ASX_OK);
        for (int again = 0; again < 50; again++) {
            REQUIRE(e.pass(0, 1 + (esi * 7 + (uint32_t)again) % esi) == ASX_RQ_E(DUPLICATE));
        }
    }
    CHECK(asx_rq_receiver_object_progress(e.receiver, 0).have == k - 1);
    CHECK(asx_rq_receiver_object_progress(e.receiver, 0).need == 1);
    for (uint32_t esi = ASX_RQ_ESI_MAX; !e.is_done(); esi--) {
        REQUIRE(e.pass(0, esi) == ASX_OK);
        if (!e.is_done()) {
            REQUIRE(e.pass(0, esi) == ASX_RQ_E(DUPLICATE));
        }
    }
    CHECK(e.target == e.object);
    CHECK(e.pass(0, 3) == ASX_RQ_E(DONE));
}

TEST_CASE("adversarial: more repair symbols than a block may hold are refused by name", "[raptorq]")
{
    /* Each symbol is contradicted at once: none is usable, and yet each takes room. */
    const uint32_t k = 30;
    ends e(shape(k * 8, 8, 1), 4);
    std::set<asx_err> seen;
    for (uint32_t esi = 0; esi < 2000; esi++) {
        rq::bytes forged = e.symbol(0, 5000 + esi);
        const asx_err first = e.feed(0, 5000 + esi, forged);
        seen.insert(first);
        if (first == ASX_OK) {
            forged[0] ^= 1;
            CHECK(e.feed(0, 5000 + esi, forged) == ASX_RQ_E(CONFLICT));
        }
    }
    CHECK(seen == std::set<asx_err>{ ASX_OK, ASX_RQ_E(FULL) });
    CHECK(!e.is_done());
    for (uint32_t esi = 0; esi < k; esi++) {
        CHECK(e.pass(0, esi) == ASX_OK); /* source symbols have a place of their own */
    }
    REQUIRE(e.is_done());
    CHECK(e.target == e.object);
}

TEST_CASE("adversarial: symbols of an older object of the same shape", "[raptorq]")
{
    const uint32_t k = 50;
    unsigned right = 0, wrong = 0, corrupt = 0;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        CAPTURE(seed);
        asx_prng prng;
        asx_prng_init(&prng, seed);
        ends now(shape(k * 20, 20, 1), 1000 + seed), old(shape(k * 20, 20, 1), seed);
        bool is_mixed = false;
        asx_err err = ASX_OK;
        for (uint32_t esi = 10; esi < 3 * k && !now.is_done() && err != ASX_RQ_E(CORRUPT); esi++) {
            const bool is_stale = asx_prng_below(&prng, 100) < seed % 4;
            is_mixed |= is_stale;
            err = now.feed(0, esi, is_stale ? old.symbol(0, esi) : now.symbol(0, esi));
            CHECK((err == ASX_OK || err == ASX_RQ_E(CORRUPT)));
        }
        if (!now.is_done()) {
            CHECK(err == ASX_RQ_E(CORRUPT));
            CHECK(is_mixed);
            corrupt++;
        } else if (now.target == now.object) {
            right++;
        } else {
            CHECK(is_mixed);
            wrong++; /* what only the digest of the whole can tell, and the pipelines ask it */
        }
    }
    CHECK(right > 10);
    CHECK(wrong + corrupt > 10);
}

TEST_CASE("adversarial: transfer information of another object", "[raptorq]")
{
    const asx_rq_oti true_oti = shape(50 * 40, 40, 2);
    const asx_rq_oti lies[] = {
        shape(50 * 40, 40, 1), shape(50 * 40, 40, 3),    shape(50 * 40 - 1, 40, 2),
        shape(40 * 40, 40, 2), shape(50 * 40, 20, 2),    shape(50 * 40, 80, 2),
        shape(60 * 40, 40, 2), { 50 * 40, 40, 2, 4, 1 },
    };
    const std::set<asx_err> allowed = { ASX_OK,           ASX_RQ_E(BAD_SBN),  ASX_RQ_E(BAD_SIZE),
                                        ASX_RQ_E(DONE),   ASX_RQ_E(CONFLICT), ASX_RQ_E(DUPLICATE),
                                        ASX_RQ_E(CORRUPT) };
    for (const asx_rq_oti &lie : lies) {
        CAPTURE(lie.size, lie.symbol_size, lie.blocks, lie.sub_blocks);
        ends sent(true_oti, 9), received(lie, 9);
        std::set<asx_err> seen;
        for (uint32_t sbn = 0; sbn < true_oti.blocks; sbn++) {
            for (uint32_t esi = 3; esi < 40; esi++) {
                seen.insert(received.feed(sbn, esi, sent.symbol(sbn, esi)));
            }
        }
        for (asx_err err : seen) {
            CAPTURE(asx_rq_err_name(asx_err_code(err)) ? asx_rq_err_name(asx_err_code(err)) : "OK");
            CHECK(allowed.count(err) == 1);
        }
        const bool is_right = received.is_done() && received.target == sent.object;
        const bool is_shorter = lie.size == true_oti.size - 1;
        CHECK((!is_right || is_shorter));
        /* In a transfer it does not come to that: the object's id covers all of it. */
        asx_rq_offer_body offer = {}, other = {};
        uint8_t id[ASX_RQ_OBJECT_ID_SIZE], other_id[ASX_RQ_OBJECT_ID_SIZE];
        offer.size = true_oti.size;
        offer.oti = true_oti;
        other.size = lie.size;
        other.oti = lie;
        asx_rq_object_id(id, &offer, asx_rq_sha256);
        asx_rq_object_id(other_id, &other, asx_rq_sha256);
        CHECK(std::memcmp(id, other_id, sizeof(id)) != 0);
    }
}

TEST_CASE("adversarial: the largest block and the largest symbol", "[raptorq]")
{
    ends wide(shape(3 * 65535, 65535, 1), 5);
    REQUIRE(wide.pass(0, 1) == ASX_OK);
    for (uint32_t esi = 7; !wide.is_done(); esi++) {
        REQUIRE(esi < 12);
        REQUIRE(wide.pass(0, esi) == ASX_OK);
    }
    CHECK(wide.target == wide.object);
    ends deep(shape(56403, 1, 1), 6);
    for (uint32_t esi = 200; !deep.is_done(); esi++) {
        REQUIRE(esi < 56403 + 210);
        REQUIRE(deep.pass(0, esi) == ASX_OK);
    }
    CHECK(deep.target == deep.object);
}

TEST_CASE("adversarial: symbols of the highest degrees alone cost no more than a budget",
          "[raptorq]")
{
    const uint32_t k = 3000, t = 4;
    const asx_rq_oti oti = shape((uint64_t)k * t, t, 1);
    const rq::bytes source = rq::object(oti.size, 8);
    asx_rq_sender_object *sender;
    REQUIRE(asx_rq_sender_object_create(&sender, &oti, source.data(), nullptr) == ASX_OK);
    asx_rq_block block;
    REQUIRE(asx_rq_block_init(&block, k, t, 1, 1) == ASX_OK);
    asx_rq_decoder_config config = {};
    config.repair_max = 3 * k;
    rq::bytes output(oti.size), symbol(t);
    asx_rq_decoder *decoder;
    REQUIRE(asx_rq_decoder_create(&decoder, &block, output.data(), &config) == ASX_OK);
    const auto pass = [&](uint32_t esi) {
        REQUIRE(asx_rq_sender_object_symbol(sender, 0, esi, symbol.data()) == ASX_OK);
        return asx_rq_decoder_feed(decoder, esi, symbol.data(), symbol.size());
    };
    uint32_t chosen = 0;
    for (uint32_t esi = k; chosen < k + 60; esi++) {
        if (asx_rq_tuple_of(&block.param, asx_rq_isi(&block.param, esi)).d == 30) {
            REQUIRE(pass(esi) == ASX_OK);
            chosen++;
        }
    }
    CHECK(asx_rq_decoder_attempt(decoder, nullptr) == ASX_RQ_E(OVER_BUDGET));
    CHECK_FALSE(asx_rq_err_retry(ASX_RQ_E(OVER_BUDGET)));
    CHECK(asx_rq_decoder_stats_get(decoder)->solve.inactive < 5 * block.param.p + 64);
    /* Beside what others send they do no harm. */
    for (uint32_t esi = 0; esi < k / 2; esi++) {
        REQUIRE(pass(esi) == ASX_OK);
    }
    for (uint32_t esi = 9000000; esi < 9000000 + k / 2 + 100; esi++) {
        REQUIRE(pass(esi) == ASX_OK);
    }
    REQUIRE(asx_rq_decoder_attempt(decoder, nullptr) == ASX_OK);
    CHECK(output == source);
    asx_rq_decoder_destroy(decoder);
    asx_rq_sender_object_destroy(sender);
}
