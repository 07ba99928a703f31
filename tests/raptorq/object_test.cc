/* Objects over a lossy, reordering, duplicating, lying channel: the object comes back, or the
 * caller is told precisely what is missing. */
#include <asx/raptorq/object.h>

#include "support.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

namespace
{

struct packet {
    uint32_t sbn, esi;
    rq::bytes payload;
};

/* All source symbols in packets of `group`, and `repairs` repair symbols a block. */
std::vector<packet> packets_of(const asx_rq_oti &oti, const rq::bytes &object, uint32_t repairs,
                               uint32_t group)
{
    asx_rq_sender_object *sender;
    REQUIRE(asx_rq_sender_object_create(&sender, &oti, object.data(), nullptr) == ASX_OK);
    std::vector<packet> all;
    for (uint32_t sbn = 0; sbn < oti.blocks; sbn++) {
        const asx_rq_extent extent = asx_rq_oti_block(&oti, sbn);
        for (uint32_t esi = 0; esi < extent.k + repairs;) {
            const uint32_t end = esi < extent.k ? extent.k : extent.k + repairs;
            packet p = { sbn, esi, {} };
            for (uint32_t i = 0; i < group && esi < end; i++, esi++) {
                rq::bytes symbol(oti.symbol_size);
                REQUIRE(asx_rq_sender_object_symbol(sender, sbn, esi, symbol.data()) == ASX_OK);
                p.payload.insert(p.payload.end(), symbol.begin(), symbol.end());
            }
            all.push_back(p);
        }
    }
    rq::bytes symbol(oti.symbol_size);
    CHECK(asx_rq_sender_object_symbol(sender, oti.blocks, 0, symbol.data()) == ASX_RQ_E(BAD_SBN));
    CHECK(asx_rq_sender_object_symbol(sender, 0, 1 << 24, symbol.data()) == ASX_RQ_E(BAD_ESI));
    asx_rq_sender_object_destroy(sender);
    return all;
}

struct delivery {
    rq::bytes bytes;
    uint32_t blocks = 0;
};

void on_block(void *arg, uint32_t, uint64_t offset, const void *bytes, size_t size)
{
    delivery *d = static_cast<delivery *>(arg);
    std::memcpy(d->bytes.data() + offset, bytes, size);
    d->blocks++;
}

} // namespace

TEST_CASE("object: comes back through loss, reordering and duplication", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 21);
    const asx_rq_oti shapes[] = {
        { 1, 1, 1, 1, 1 },        { 1, 64, 1, 1, 8 },      { 1000, 8, 3, 1, 4 },
        { 9999, 16, 5, 2, 4 },    { 50000, 120, 7, 3, 8 }, { 65536, 1024, 1, 1, 1 },
        { 100001, 256, 4, 8, 4 },
    };
    for (const asx_rq_oti &oti : shapes) {
        CAPTURE(oti.size, oti.symbol_size, oti.blocks, oti.sub_blocks);
        const rq::bytes object = rq::object(oti.size, 5);
        for (uint32_t group : { 1u, 3u }) {
            for (bool in_place : { false, true }) {
                auto packets = packets_of(oti, object, 400 / oti.blocks + 10, group);
                for (size_t i = packets.size(); i > 1; i--) {
                    std::swap(packets[i - 1], packets[asx_prng_below(&prng, i)]);
                }
                delivery d;
                d.bytes.resize(oti.size);
                rq::bytes target(oti.size);
                asx_rq_object_config config = {};
                config.blocks_max = 255;
                config.verify_max = 2;
                asx_rq_receiver_object *r;
                REQUIRE(asx_rq_receiver_object_create(&r, &oti, in_place ? target.data() : nullptr,
                                                      &config, on_block, &d) == ASX_OK);
                for (const packet &p : packets) {
                    if (asx_prng_below(&prng, 4) == 0) {
                        continue;
                    }
                    for (int copy = 0; copy < 2; copy++) {
                        const asx_err err = asx_rq_receiver_object_feed(
                            r, p.sbn, p.esi, p.payload.data(), p.payload.size());
                        REQUIRE(
                            (err == ASX_OK || err == ASX_RQ_E(DUPLICATE) || err == ASX_RQ_E(DONE)));
                    }
                }
                if (oti.size > 1) {
                    REQUIRE(asx_rq_receiver_object_done(r));
                }
                if (asx_rq_receiver_object_done(r)) {
                    CHECK(d.blocks == oti.blocks);
                    CHECK(d.bytes == object);
                    CHECK((!in_place || target == object));
                }
                asx_rq_receiver_object_destroy(r);
            }
        }
    }
}

TEST_CASE("object: refuses what is not its own and says what is missing", "[raptorq]")
{
    const asx_rq_oti oti = { 10000, 100, 4, 1, 4 };
    const rq::bytes object = rq::object(oti.size, 6);
    const auto packets = packets_of(oti, object, 10, 1);
    asx_rq_receiver_object *r;
    asx_rq_object_config config = {};
    config.blocks_max = 2;
    REQUIRE(asx_rq_receiver_object_create(&r, &oti, nullptr, &config, nullptr, nullptr) == ASX_OK);
    rq::bytes symbol(100);
    auto feed = [&](uint32_t sbn, uint32_t esi, size_t len) {
        return asx_rq_receiver_object_feed(r, sbn, esi, symbol.data(), len);
    };
    CHECK(feed(4, 0, 100) == ASX_RQ_E(BAD_SBN));
    CHECK(feed(0, 1 << 24, 100) == ASX_RQ_E(BAD_ESI));
    CHECK(feed(0, 0, 0) == ASX_RQ_E(BAD_SIZE));
    CHECK(feed(0, 0, 99) == ASX_RQ_E(BAD_SIZE));
    CHECK(asx_rq_receiver_object_progress(r, 1).need == 25);
    uint32_t fed = 0;
    for (const packet &p : packets) {
        if (p.sbn == 1 && p.esi < 20) {
            REQUIRE(asx_rq_receiver_object_feed(r, 1, p.esi, p.payload.data(), 100) == ASX_OK);
            fed++;
        }
    }
    CHECK(fed == 20);
    CHECK(asx_rq_receiver_object_progress(r, 1).have == 20);
    CHECK(asx_rq_receiver_object_progress(r, 1).need == 5);
    CHECK(asx_rq_receiver_object_decoder(r, 1) != nullptr);
    CHECK(feed(2, 0, 100) == ASX_RQ_E(BLOCKS_BUSY)); /* blocks 0 and 1 are in progress */
    for (const packet &p : packets) {
        if (p.sbn == 1 && p.esi >= 20 && p.esi < 25) {
            REQUIRE(asx_rq_receiver_object_feed(r, 1, p.esi, p.payload.data(), 100) == ASX_OK);
        }
    }
    CHECK(asx_rq_receiver_object_progress(r, 1).is_done);
    CHECK(feed(1, 0, 100) == ASX_RQ_E(DONE));
    CHECK(feed(2, 0, 100) == ASX_OK); /* its place is free now */
    CHECK(!asx_rq_receiver_object_done(r));
    asx_rq_receiver_object_destroy(r);
}

TEST_CASE("object: the last symbol may come without its padding", "[raptorq]")
{
    const asx_rq_oti oti = { 950, 100, 1, 1, 1 };
    const rq::bytes object = rq::object(oti.size, 7);
    rq::bytes target(oti.size);
    asx_rq_receiver_object *r;
    REQUIRE(asx_rq_receiver_object_create(&r, &oti, target.data(), nullptr, nullptr, nullptr) ==
            ASX_OK);
    CHECK(asx_rq_receiver_object_feed(r, 0, 5, object.data() + 500, 50) == ASX_RQ_E(BAD_SIZE));
    CHECK(asx_rq_receiver_object_feed(r, 0, 9, object.data() + 900, 49) == ASX_RQ_E(BAD_SIZE));
    CHECK(asx_rq_receiver_object_feed(r, 0, 0, object.data(), 950) == ASX_OK);
    CHECK(asx_rq_receiver_object_done(r));
    CHECK(target == object);
    asx_rq_receiver_object_destroy(r);
}

TEST_CASE("oti: what no sender can have meant is refused", "[raptorq]")
{
    const asx_rq_oti good = { 1000, 100, 2, 1, 4 };
    REQUIRE(asx_rq_oti_check(&good) == ASX_OK);
    auto bad = [&](auto change) {
        asx_rq_oti oti = good;
        change(oti);
        return asx_rq_oti_check(&oti) == ASX_RQ_E(BAD_OTI);
    };
    CHECK(bad([](asx_rq_oti &o) { o.size = 0; }));
    CHECK(bad([](asx_rq_oti &o) { o.size = ASX_RQ_OBJECT_MAX + 1; }));
    CHECK(bad([](asx_rq_oti &o) { o.symbol_size = 0; }));
    CHECK(bad([](asx_rq_oti &o) { o.symbol_size = 102; }));
    CHECK(bad([](asx_rq_oti &o) { o.blocks = 0; }));
    CHECK(bad([](asx_rq_oti &o) { o.blocks = 11; }));
    CHECK(bad([](asx_rq_oti &o) { o.sub_blocks = 0; }));
    CHECK(bad([](asx_rq_oti &o) { o.sub_blocks = 26; }));
    CHECK(bad([](asx_rq_oti &o) { o.alignment = 0; }));
    CHECK(bad([](asx_rq_oti &o) { o.size = UINT64_C(56403) * 100 * 2 + 1; }));
    asx_rq_oti oti;
    CHECK(asx_rq_oti_derive(&oti, 0, 1000, 4, 1, 1 << 20) == ASX_RQ_E(TOO_LARGE));
    CHECK(asx_rq_oti_derive(&oti, 1000, 3, 4, 1, 1 << 20) == ASX_RQ_E(SYMBOL_SIZE));
    CHECK(asx_rq_oti_derive(&oti, 1000, 8, 4, 3, 1 << 20) == ASX_RQ_E(SYMBOL_SIZE));
    CHECK(asx_rq_oti_derive(&oti, 1000, 1000, 4, 250, 100) == ASX_RQ_E(WORKING_MEMORY));
    CHECK(asx_rq_oti_derive(&oti, UINT64_C(1) << 39, 64, 4, 1, UINT64_C(1) << 40) ==
          ASX_RQ_E(TOO_LARGE));
}
