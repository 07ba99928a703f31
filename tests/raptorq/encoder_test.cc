/* The encoder against known answers: if a repair symbol differs by a bit, no other implementation
 * can decode what we send. */
#include <asx/raptorq/oti.h>
#include <asx/raptorq/replay.h>

#include "codec.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <thread>

using rq::encoder;

TEST_CASE("encoder: published repair symbols", "[raptorq]")
{
    struct {
        uint32_t k, t;
        const char *first, *digest, *far;
    } rows[] = {
        { 1, 8, "0726456483a2c1e0", "2793ce1ed2eaa26d9fda074937524cab", "6cc22d83ee40af01" },
        { 4, 8, "5749bdc84856a2d7", "eb1e6671a451e43f64970ed474fa44d5", "eb2b6ca1e22265a8" },
        { 10, 8, "b1fdcff70945774f", "596e20c0dd0b0cd7c626879c85991290", "e4954e921465be62" },
        { 11, 8, "f0a8e453722a66d1", "54254c35b156fb80e0c27069dc206681", "49d626c2f16e9e7a" },
        { 26, 16, "aac5326ab9f3045c", "d5f438f00cb391977c301aeec5326d76", "73cf067f9711d8a1" },
        { 101, 32, "7f72b6ba94ee8d2a", "ad987a71dd21e5ee8971dbfffd67ff44", "5a48b720dd976f68" },
        { 256, 64, "80d2bca5b9ea7d9c", "8a6470c865b3cfa1ca55aa63fa02a778", "04e5627691de49c3" },
        { 1000, 64, "d2735a87f24faeb2", "18c17a17de7d9d45ce4e10aa578b538f", "dc6c435ee677ad6a" },
        { 1281, 16, "9f4644c69bbb1217", "9ab883a12f560a9cbcac66bef92d2b9e", "8e1145dde7ea3137" },
        { 10000, 16, "4737c2a589c489ef", "0ca2b0b5d106d5fa0cda9a317686dc59", "2b8173bd3d9d924a" },
        { 56403, 8, "3b6f7102a1016d41", "689a5c3459be4c6030cf14b0b9cd8b49", "0a45df92909fe646" },
    };
    for (const auto &row : rows) {
        CAPTURE(row.k);
        rq::bytes source((size_t)row.k * row.t);
        for (size_t i = 0; i < source.size(); i++) {
            source[i] = (uint8_t)(31 * i + 17 * (i / 256) + 7);
        }
        encoder e(row.k, row.t, 1, 1, source);
        CHECK(rq::hex(e.symbol(row.k).data(), 8) == row.first);
        rq::bytes all;
        for (uint32_t i = 0; i < 16; i++) {
            const rq::bytes symbol = e.symbol(row.k + i);
            all.insert(all.end(), symbol.begin(), symbol.end());
        }
        CHECK(rq::sha256(all.data(), all.size()).substr(0, 32) == row.digest);
        CHECK(rq::hex(e.symbol(row.k + 1000000).data(), 8) == row.far);
    }
}

TEST_CASE("encoder: one block for each sampled K equals two other codecs", "[raptorq]")
{
    int seen = 0;
    for (auto &line : rq::vectors("table2.txt")) {
        uint32_t k, t, seed;
        std::string digest;
        REQUIRE(line >> k >> t >> seed >> digest);
        CAPTURE(k);
        encoder e(k, t, 1, 1, rq::object((size_t)k * t, seed));
        rq::bytes all;
        for (uint32_t esi :
             std::set<uint32_t>{ 0, k - 1, k, k + 1, k + 7, 65536, 9999999, 16777215 }) {
            const rq::bytes symbol = e.symbol(esi);
            all.insert(all.end(), symbol.begin(), symbol.end());
        }
        CHECK(rq::sha256(all.data(), all.size()).substr(0, 32) == digest);
        seen++;
    }
    CHECK(seen == 40);
}

TEST_CASE("encoder: whole objects with blocks and sub-blocks equal two other codecs", "[raptorq]")
{
    asx_rq_oti oti = {};
    rq::bytes content;
    std::unique_ptr<encoder> e;
    int seen = 0;
    for (auto &line : rq::vectors("objects.txt")) {
        std::string kind;
        REQUIRE(line >> kind);
        if (kind == "object") {
            uint32_t seed;
            std::string digest, oti_hex;
            REQUIRE(line >> oti.size >> oti.symbol_size >> oti.blocks >> oti.sub_blocks >>
                    oti.alignment >> seed >> digest >> oti_hex);
            content = rq::object(oti.size, seed);
            REQUIRE(rq::sha256(content.data(), content.size()) == digest);
            uint8_t encoded[ASX_RQ_OTI_SIZE];
            asx_rq_oti_encode(&oti, encoded);
            CHECK(rq::hex(encoded, sizeof(encoded)) == oti_hex);
            asx_rq_oti back;
            REQUIRE(asx_rq_oti_decode(&back, encoded) == ASX_OK);
            CHECK(back.size == oti.size);
            CHECK(back.sub_blocks == oti.sub_blocks);
        } else if (kind == "block") {
            uint32_t sbn, k;
            REQUIRE(line >> sbn >> k);
            const asx_rq_extent extent = asx_rq_oti_block(&oti, sbn);
            REQUIRE(extent.k == k);
            const auto begin = content.begin() + (long)extent.offset;
            e = std::make_unique<encoder>(k, oti.symbol_size, oti.sub_blocks, oti.alignment,
                                          rq::bytes(begin, begin + (long)extent.size));
        } else {
            uint32_t esi;
            std::string expected;
            REQUIRE(line >> esi >> expected);
            CAPTURE(oti.size, oti.symbol_size, oti.sub_blocks, esi);
            const rq::bytes symbol = e->symbol(esi);
            if (kind == "hash") {
                CHECK(rq::sha256(symbol.data(), symbol.size()).substr(0, 16) == expected);
            } else {
                CHECK(rq::hex(symbol.data(), symbol.size()) == expected);
            }
            seen++;
        }
    }
    CHECK(seen > 500);
}

namespace
{

/* Runs the last job first, which no code may notice. */
void run_backwards(void *, uint32_t count, asx_rq_job *job, void *arg)
{
    while (count-- > 0) {
        job(arg, count);
    }
}

rq::bytes together(encoder &e, uint32_t esi, uint32_t count, const asx_rq_executor *executor)
{
    rq::bytes out((size_t)count * e.block.symbol_size, 0xEE);
    REQUIRE(asx_rq_encoder_symbols(e.self, esi, count, out.data(), executor) == ASX_OK);
    return out;
}

} // namespace

TEST_CASE("encoder: symbols asked for together are those asked for one by one", "[raptorq]")
{
    const asx_rq_executor backwards = { run_backwards, nullptr };
    struct {
        uint32_t k, t, n, al;
    } shapes[] = {
        { 1, 1, 1, 1 },    { 3, 70, 1, 1 },    { 10, 1280, 1, 8 },
        { 26, 333, 2, 3 }, { 100, 600, 1, 1 }, { 250, 64, 1, 8 },
        { 256, 65, 1, 1 }, { 300, 320, 3, 4 }, { 700, 200, 1, 1 },
    };
    for (const auto &s : shapes) {
        CAPTURE(s.k, s.t, s.n);
        /* the last symbol ends early: its missing bytes are zero, and not read */
        const size_t len = (size_t)s.k * s.t - (s.t > 1 ? s.t / 2 : 0);
        encoder one(s.k, s.t, s.n, s.al, rq::object(len, s.k));
        for (uint32_t first : { s.k, s.k - 1, s.k + 70000 }) {
            for (uint32_t count : { 1u, 5u, 24u, 60u }) {
                rq::bytes expected;
                for (uint32_t i = 0; i < count; i++) {
                    const rq::bytes symbol = one.symbol(first + i);
                    expected.insert(expected.end(), symbol.begin(), symbol.end());
                }
                CAPTURE(first, count);
                encoder fresh(s.k, s.t, s.n, s.al, one.source),
                    threaded(s.k, s.t, s.n, s.al, one.source);
                CHECK(together(fresh, first, count, nullptr) == expected);
                CHECK(together(fresh, first, count, nullptr) == expected);
                CHECK(together(one, first, count, nullptr) == expected);
                CHECK(together(threaded, first, count, &backwards) == expected);
                CHECK(together(threaded, first, count, nullptr) == expected);
            }
        }
        rq::bytes out(2 * s.t);
        CHECK(asx_rq_encoder_symbols(one.self, ASX_RQ_ESI_MAX, 2, out.data(), nullptr) ==
              ASX_RQ_E(BAD_ESI));
    }
}

namespace
{

/* Each job on whichever of two threads comes first. */
void run_on_two(void *, uint32_t count, asx_rq_job *job, void *arg)
{
    std::atomic<uint32_t> next{ 0 };
    auto work = [&] {
        for (uint32_t i; (i = next.fetch_add(1)) < count;) {
            job(arg, i);
        }
    };
    std::thread other(work);
    work();
    other.join();
}

} // namespace

TEST_CASE("block: stripes cover every symbol once, and two threads get nearly the same of them",
          "[raptorq]")
{
    for (uint32_t k : { 4u, 100u, 250u, 560u, 600u, 7000u }) {
        for (uint32_t t : { 1u, 64u, 65u, 300u, 640u, 641u, 700u, 832u, 833u, 1280u, 1281u, 1344u,
                            1400u, 1408u, 1472u, 9000u, 65535u }) {
            for (uint32_t n : { 1u, 2u, 7u }) {
                asx_rq_block block;
                if (n > t) {
                    continue;
                }
                CAPTURE(k, t, n);
                REQUIRE(asx_rq_block_init(&block, k, t, n, 1) == ASX_OK);
                const size_t rows = block.param.l + block.param.h;
                uint32_t at = 0, share[2] = { 0, 0 };
                size_t slab = 0;
                for (uint32_t i = 0; i < block.stripes; i++) {
                    const asx_rq_stripe stripe = asx_rq_block_stripe(&block, i);
                    REQUIRE(stripe.symbol_offset == at);
                    REQUIRE(stripe.slab_offset == slab);
                    REQUIRE(stripe.exact > 0);
                    REQUIRE(stripe.exact <= stripe.width);
                    REQUIRE(stripe.width <= block.width);
                    REQUIRE(stripe.width % 64 == 0);
                    at += stripe.exact;
                    slab += rows * stripe.width;
                    share[share[1] < share[0]] += stripe.exact; /* to whoever is ready first */
                }
                REQUIRE(at == t);
                REQUIRE(slab == asx_rq_block_slab_size(&block));
                if (n == 1 && block.width == 256 && t > 512) {
                    CHECK(100 * std::max(share[0], share[1]) <= 56 * t);
                }
            }
        }
    }
}

TEST_CASE("encoder: two threads over the stripes make the same symbols, and decode them",
          "[raptorq][threads]")
{
    const asx_rq_executor two = { run_on_two, nullptr };
    using shape = std::pair<uint32_t, uint32_t>;
    /* the last has more stripes than an encoder has parts for */
    for (auto [k, t] : { shape{ 30, 704 }, shape{ 400, 704 }, shape{ 1100, 704 },
                         shape{ 6300, 704 }, shape{ 400, 20480 } }) {
        CAPTURE(k, t);
        const uint32_t count = 90;
        encoder alone(k, t, 1, 1, rq::object((size_t)k * t, k));
        const rq::bytes expected = together(alone, k, count, nullptr);
        encoder prepared(k, t, 1, 1, alone.source), at_once(k, t, 1, 1, alone.source);
        REQUIRE(asx_rq_encoder_prepare(prepared.self, &two) == ASX_OK);
        CHECK(together(prepared, k, count, &two) == expected);
        CHECK(together(at_once, k, count, &two) == expected);
        /* by the small system, and by a plan of their own */
        for (uint32_t few_max : { 100u, 1u }) {
            asx_rq_decoder_config config = {};
            config.few_max = few_max;
            config.verify_max = 2;
            rq::decoder d(alone.block, config);
            const uint32_t lost = std::min(k, 80u);
            for (uint32_t esi = lost; esi < k + lost + 3; esi++) {
                const uint8_t *symbol =
                    esi < k ? &alone.source[(size_t)esi * t] : &expected[(size_t)(esi - k) * t];
                REQUIRE(asx_rq_decoder_feed(d.self, esi, symbol, t) == ASX_OK);
            }
            REQUIRE(d.attempt(&two) == ASX_OK);
            CHECK(d.output == alone.source);
        }
    }
}

TEST_CASE("encoder: wide symbols of a large block are its columns coded alone", "[raptorq]")
{
    /* large enough that symbols are packed before a stripe is worked on */
    const uint32_t k = 6300, t = 400, part = 64;
    const asx_rq_executor backwards = { run_backwards, nullptr };
    encoder whole(k, t, 1, 1, rq::object((size_t)k * t - 17, 9));
    REQUIRE(whole.block.is_packed);
    const rq::bytes symbols = together(whole, k + 3, 40, nullptr);
    CHECK(together(whole, k + 3, 40, &backwards) == symbols);
    CHECK(whole.symbol(k + 3) == rq::bytes(symbols.begin(), symbols.begin() + t));
    rq::bytes source = whole.source;
    source.resize((size_t)k * t, 0);
    for (uint32_t at : { 0u, 128u, 336u }) {
        rq::bytes columns;
        for (uint32_t i = 0; i < k; i++) {
            const auto begin = source.begin() + (long)((size_t)i * t + at);
            columns.insert(columns.end(), begin, begin + part);
        }
        encoder narrow(k, part, 1, 1, columns);
        REQUIRE(!narrow.block.is_packed);
        const rq::bytes expected = together(narrow, k + 3, 40, nullptr);
        bool same = true;
        for (size_t i = 0; i < 40; i++) {
            same &= std::memcmp(&symbols[i * t + at], &expected[i * part], part) == 0;
        }
        CAPTURE(at);
        CHECK(same);
    }
}

TEST_CASE("oti: the parameters derived from payload and working memory", "[raptorq]")
{
    int seen = 0;
    for (auto &line : rq::vectors("params.txt")) {
        uint64_t size, memory;
        uint32_t payload, al, ss, t, z, n;
        std::string expected;
        REQUIRE(line >> size >> payload >> al >> ss >> memory >> t >> z >> n >> expected);
        CAPTURE(size, payload, al, ss, memory);
        asx_rq_oti oti;
        REQUIRE(asx_rq_oti_derive(&oti, size, payload, al, ss, memory) == ASX_OK);
        CHECK(oti.symbol_size == t);
        CHECK(oti.blocks == z);
        CHECK(oti.sub_blocks == n);
        uint8_t encoded[ASX_RQ_OTI_SIZE];
        asx_rq_oti_encode(&oti, encoded);
        CHECK(rq::hex(encoded, sizeof(encoded)) == expected);
        seen++;
    }
    CHECK(seen > 20);
}

TEST_CASE("encoder: the smallest blocks give what a replay of their plan gives", "[raptorq]")
{
    for (uint32_t k = 1; k <= 20; k++) {
        for (uint32_t t : { 1u, 63u, 64u, 200u, 1280u, 1337u }) {
            CAPTURE(k, t);
            const rq::bytes content = rq::object((size_t)k * t, k * t);
            const size_t width = (t + 63u) / 64 * 64, cut = t / 3;
            encoder e(k, t, 1, 1, rq::bytes(content.begin(), content.end() - (long)cut));
            rq::bytes padded = e.source;
            padded.resize(content.size());

            asx_rq_plan *plan;
            const asx_rq_param &param = e.block.param;
            REQUIRE(asx_rq_plan_encode(&plan, &param, nullptr) == ASX_OK);
            const size_t size = (param.l + param.h) * width;
            std::unique_ptr<uint8_t, decltype(&std::free)> slab(
                static_cast<uint8_t *>(std::aligned_alloc(64, size)), std::free);
            asx_rq_feed feed = {};
            feed.first = padded.data();
            feed.first_stride = t;
            feed.split = feed.end = k;
            feed.exact = t;
            asx_rq_replay(plan, asx_rq_kernel_find("plain"), slab.get(), width, &feed, nullptr);
            for (uint32_t esi = k; esi < k + 30; esi++) {
                uint16_t rows[ASX_RQ_SUPPORT_MAX];
                const uint32_t count =
                    asx_rq_plan_support(plan, &param, asx_rq_isi(&param, esi), rows);
                rq::bytes expected(t);
                for (uint32_t i = 0; i < count; i++) {
                    for (uint32_t at = 0; at < t; at++) {
                        expected[at] ^= slab.get()[rows[i] * width + at];
                    }
                }
                REQUIRE(e.symbol(esi) == expected);
            }
            asx_rq_plan_unref(plan);
        }
    }
}
