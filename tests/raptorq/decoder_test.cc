/* What a receiver relies on: whatever decodable set of symbols arrives, the source comes back to
 * the byte; whatever else arrives, nothing false is handed out. */
#include "codec.h"

#include <algorithm>
#include <cstring>
#include <set>

namespace
{

/* Loses `lost` random source symbols and feeds random repair symbols until an attempt succeeds.
 * Returns how many symbols more than K that took. */
uint32_t lose_and_decode(rq::encoder &e, asx_prng &prng, uint32_t lost, uint32_t few_max,
                         asx_rq_cache *cache)
{
    const uint32_t k = e.block.param.k;
    asx_rq_decoder_config config = {};
    config.cache = cache;
    config.few_max = few_max;
    rq::decoder d(e.block, config);
    std::vector<uint32_t> esis(k);
    for (uint32_t i = 0; i < k; i++) {
        esis[i] = i;
    }
    for (uint32_t i = 0; i < lost; i++) {
        std::swap(esis[i], esis[i + asx_prng_below(&prng, k - i)]);
    }
    for (uint32_t i = lost; i < k; i++) {
        REQUIRE(d.feed(esis[i], e.symbol(esis[i])) == ASX_OK);
    }
    uint32_t repairs = 0;
    asx_err err = d.attempt();
    while (err != ASX_OK) {
        REQUIRE(asx_rq_err_retry(err));
        REQUIRE(repairs < lost + 20);
        const uint32_t esi = k + (uint32_t)asx_prng_below(&prng, ASX_RQ_ESI_MAX + 1 - k);
        if (d.feed(esi, e.symbol(esi)) == ASX_OK) {
            repairs++;
        }
        err = d.attempt();
    }
    REQUIRE(std::memcmp(d.output.data(), e.source.data(), e.source.size()) == 0);
    return repairs - lost;
}

/* GF(256) rank of the received system, the slow way, straight from the definition. */
uint32_t dense_rank(const asx_rq_param &p, const std::vector<uint32_t> &isis)
{
    std::vector<rq::bytes> a;
    for (uint32_t i = 0; i < p.s; i++) {
        a.emplace_back(p.l);
        a[i][p.b + i] ^= 1;
        a[i][p.w + i % p.p] ^= 1;
        a[i][p.w + (i + 1) % p.p] ^= 1;
    }
    for (uint32_t c = 0; c < p.b; c++) {
        const uint32_t step = 1 + c / p.s;
        for (uint32_t i = 0; i < 3; i++) {
            a[(c + i * step) % p.s][c] ^= 1;
        }
    }
    const uint32_t n = p.k_prime + p.s;
    for (uint32_t h = 0; h < p.h; h++) {
        rq::bytes row(p.l);
        uint8_t value = asx_gf_exp(h);
        for (uint32_t c = n; c-- > 0;) {
            if (c + 1 < n) {
                const uint32_t r = asx_rq_rand(c + 1, 6, p.h);
                const uint32_t r2 = (r + asx_rq_rand(c + 1, 7, p.h - 1) + 1) % p.h;
                value = asx_gf_mul(value, 2) ^ (uint8_t)(r == h || r2 == h);
            }
            row[c] = value;
        }
        row[n + h] = 1;
        a.push_back(row);
    }
    for (uint32_t isi : isis) {
        uint16_t columns[ASX_RQ_SUPPORT_MAX];
        uint32_t lt;
        const uint32_t count = asx_rq_support(&p, isi, columns, &lt);
        rq::bytes row(p.l);
        for (uint32_t i = 0; i < count; i++) {
            row[columns[i]] = 1;
        }
        a.push_back(row);
    }
    uint32_t rank = 0;
    for (uint32_t c = 0; c < p.l && rank < a.size(); c++) {
        uint32_t pivot = rank;
        while (pivot < a.size() && a[pivot][c] == 0) {
            pivot++;
        }
        if (pivot == a.size()) {
            continue;
        }
        std::swap(a[pivot], a[rank]);
        const uint8_t inverse = asx_gf_inv(a[rank][c]);
        for (uint32_t r = rank + 1; r < a.size(); r++) {
            if (a[r][c] != 0) {
                const uint8_t f = asx_gf_mul(a[r][c], inverse);
                asx_rq_kernel_get()->muladd_row(a[r].data() + c, a[rank].data() + c, f, p.l - c);
            }
        }
        rank++;
    }
    return rank;
}

} // namespace

TEST_CASE("decoder: the verdict on given sets equals a maximum-likelihood decoder's", "[raptorq]")
{
    int seen = 0;
    for (auto &line : rq::vectors("decode.txt")) {
        uint32_t k, t, seed, count;
        int decodable;
        REQUIRE(line >> k >> t >> seed >> decodable >> count);
        std::vector<uint32_t> esis(count);
        for (auto &esi : esis) {
            REQUIRE(line >> esi);
        }
        CAPTURE(k, count, seen);
        rq::encoder e(k, t, 1, 1, rq::object((size_t)k * t, seed));
        for (uint32_t few_max : { 1u, UINT32_MAX }) {
            asx_rq_decoder_config config = {};
            config.few_max = few_max;
            config.verify_max = 8;
            rq::decoder d(e.block, config);
            for (uint32_t esi : esis) {
                REQUIRE(d.feed(esi, e.symbol(esi)) == ASX_OK);
            }
            CHECK(d.attempt() == (decodable ? ASX_OK : ASX_RQ_E(RANK)));
            if (decodable) {
                CHECK(d.output == e.source);
            }
        }
        seen++;
    }
    CHECK(seen == 28);
}

TEST_CASE("decoder: the verdict equals the rank of the matrix by definition", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 77);
    int failures = 0;
    for (int trial = 0; trial < 600; trial++) {
        const uint32_t k = 1 + (uint32_t)asx_prng_below(&prng, trial % 10 == 0 ? 60 : 30);
        rq::encoder e(k, 1, 1, 1, rq::object(k, (uint32_t)trial));
        std::set<uint32_t> esis;
        /* near the source, where sets are more often dependent */
        while (esis.size() < k) {
            esis.insert((uint32_t)asx_prng_below(&prng, 30 * k + 10));
        }
        std::vector<uint32_t> isis;
        asx_rq_decoder_config config = {};
        config.few_max = trial % 2 ? 1 : 0;
        rq::decoder d(e.block, config);
        for (uint32_t esi : esis) {
            REQUIRE(d.feed(esi, e.symbol(esi)) == ASX_OK);
            isis.push_back(asx_rq_isi(&e.block.param, esi));
        }
        for (uint32_t isi = k; isi < e.block.param.k_prime; isi++) {
            isis.push_back(isi);
        }
        const bool full = dense_rank(e.block.param, isis) == e.block.param.l;
        CAPTURE(k, trial);
        REQUIRE(d.attempt() == (full ? ASX_OK : ASX_RQ_E(RANK)));
        failures += !full;
    }
    CHECK(failures > 0);
    CHECK(failures < 30);
}

TEST_CASE("decoder: every K' up to 2000 survives few, many and all losses", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 1);
    asx_rq_cache *cache;
    REQUIRE(asx_rq_cache_create(&cache, 2, 0, nullptr) == ASX_OK);
    uint64_t trials = 0, extra = 0;
    for (const auto &row : asx_rq_table) {
        if (row.k_prime > 2000) {
            break;
        }
        const uint32_t k = row.k_prime - (uint32_t)asx_prng_below(&prng, 2);
        const uint32_t t = 1 + (uint32_t)asx_prng_below(&prng, 16);
        CAPTURE(k, t);
        rq::encoder e(k, t, 1, 1, rq::object((size_t)k * t, k), cache);
        extra += lose_and_decode(e, prng, (k + 19) / 20, UINT32_MAX, cache);
        extra += lose_and_decode(e, prng, (k + 1) / 2, 1, nullptr);
        extra += lose_and_decode(e, prng, k, 1, nullptr);
        trials += 3;
    }
    CHECK(extra * 40 < trials); /* about one in a hundred needs a further symbol */
    asx_rq_cache_destroy(cache);
}

TEST_CASE("decoder: sampled large K survive losses", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 2);
    for (int i = 0; i < 50; i++) {
        const uint32_t k = 2001 + (uint32_t)asx_prng_below(&prng, i < 40 ? 8000 : 54402);
        CAPTURE(k);
        rq::encoder e(k, 2, 1, 1, rq::object((size_t)k * 2, k));
        const uint32_t lost = i % 2 ? k : 1 + (uint32_t)asx_prng_below(&prng, 100);
        lose_and_decode(e, prng, lost, 0, nullptr);
    }
}

TEST_CASE("decoder: odd symbol sizes, sub-blocks and stripes", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 3);
    for (uint32_t t : { 1u, 2u, 7u, 8u, 63u, 64u, 65u, 127u, 500u, 1280u, 1281u, 4000u, 65535u }) {
        for (uint32_t n : { 1u, 2u, 5u }) {
            if (n > t) {
                continue;
            }
            const uint32_t k = t > 10000 ? 20 : 150;
            CAPTURE(t, n);
            /* the object ends inside the last symbol */
            const size_t size = (size_t)k * t - t / 3;
            rq::encoder e(k, t, n, 1, rq::object(size, t + n));
            lose_and_decode(e, prng, 7, 0, nullptr);
            lose_and_decode(e, prng, k, 1, nullptr);
        }
    }
}

TEST_CASE("decoder: wide symbols of a large block, few and all of them lost", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 4);
    rq::encoder e(6300, 300, 1, 1, rq::object((size_t)6300 * 300, 5));
    REQUIRE(e.block.is_packed);
    lose_and_decode(e, prng, 20, 0, nullptr);
    lose_and_decode(e, prng, 6300, 1, nullptr);
}

TEST_CASE("decoder: block after block, each with another number of losses", "[raptorq]")
{
    const uint32_t k = 120, t = 300;
    rq::encoder e(k, t, 1, 1, rq::object((size_t)k * t, 6));
    asx_rq_decoder_config config = {};
    config.few_max = UINT32_MAX;
    config.verify_max = 2;
    rq::decoder d(e.block, config);
    for (uint32_t lost : { 3u, 24u, 25u, 1u, 60u, 120u, 2u }) {
        CAPTURE(lost);
        std::fill(d.output.begin(), d.output.end(), (uint8_t)0x55);
        asx_rq_decoder_reset(d.self, d.output.data());
        for (uint32_t esi = lost; esi < k + lost + 4; esi++) {
            REQUIRE(d.feed(esi, e.symbol(esi)) == ASX_OK);
        }
        REQUIRE(d.attempt() == ASX_OK);
        CHECK(d.stats().verified > 0);
        CHECK(d.output == e.source);
    }
}

TEST_CASE("decoder: bursts, all repair, and symbols in any order", "[raptorq]")
{
    const uint32_t k = 400, t = 24;
    rq::encoder e(k, t, 1, 1, rq::object((size_t)k * t, 9));
    for (uint32_t start : { 0u, 100u, 399u }) {
        rq::decoder d(e.block);
        for (uint32_t esi = k + 300; esi-- > 0;) {
            if (esi < start || esi >= start + 290) {
                REQUIRE(d.feed(esi, e.symbol(esi)) == ASX_OK);
            }
        }
        REQUIRE(d.attempt() == ASX_OK);
        CHECK(d.output == e.source);
    }
    rq::decoder far(e.block);
    for (uint32_t i = 0; i < k + 3; i++) {
        REQUIRE(far.feed(ASX_RQ_ESI_MAX - i, e.symbol(ASX_RQ_ESI_MAX - i)) == ASX_OK);
    }
    REQUIRE(far.attempt() == ASX_OK);
    CHECK(far.output == e.source);
}

TEST_CASE("decoder: intake refuses what cannot belong to the block", "[raptorq]")
{
    const uint32_t k = 20, t = 16;
    rq::encoder e(k, t, 1, 1, rq::object((size_t)k * t, 10));
    asx_rq_decoder_config config = {};
    config.repair_max = 3;
    rq::decoder d(e.block, config);
    CHECK(d.attempt() == ASX_RQ_E(TOO_FEW));
    CHECK(d.feed(ASX_RQ_ESI_MAX + 1, rq::bytes(t)) == ASX_RQ_E(BAD_ESI));
    CHECK(d.feed(0, rq::bytes(t - 1)) == ASX_RQ_E(BAD_SIZE));
    CHECK(d.feed(0, rq::bytes(t + 1)) == ASX_RQ_E(BAD_SIZE));
    CHECK(d.feed(0, e.symbol(0)) == ASX_OK);
    CHECK(d.feed(0, e.symbol(0)) == ASX_RQ_E(DUPLICATE));
    CHECK(d.feed(k, e.symbol(k)) == ASX_OK);
    CHECK(d.feed(k, e.symbol(k)) == ASX_RQ_E(DUPLICATE));
    CHECK(d.feed(k + 1, e.symbol(k + 1)) == ASX_OK);
    CHECK(d.feed(k + 2, e.symbol(k + 2)) == ASX_OK);
    CHECK(d.feed(k + 3, e.symbol(k + 3)) == ASX_RQ_E(FULL));
    for (uint32_t esi = 1; esi < k; esi++) {
        CHECK(d.feed(esi, e.symbol(esi)) == ASX_OK);
    }
    REQUIRE(d.attempt() == ASX_OK);
    CHECK(d.output == e.source);
    CHECK(d.feed(1, e.symbol(1)) == ASX_RQ_E(DONE));
    CHECK(d.stats().duplicates == 2);
    CHECK(d.stats().rejected == 5);
}

TEST_CASE("decoder: contradicting copies of a symbol are both kept out", "[raptorq]")
{
    const uint32_t k = 30, t = 16;
    rq::encoder e(k, t, 1, 1, rq::object((size_t)k * t, 11));
    for (uint32_t conflict : { 3u, k + 5 }) {
        rq::decoder d(e.block);
        rq::bytes forged = e.symbol(conflict);
        forged[5] ^= 1;
        CHECK(d.feed(conflict, forged) == ASX_OK);
        CHECK(d.feed(conflict, e.symbol(conflict)) == ASX_RQ_E(CONFLICT));
        CHECK(d.feed(conflict, e.symbol(conflict)) == ASX_RQ_E(CONFLICT));
        for (uint32_t esi = 2; esi < k + 8; esi++) {
            if (esi != conflict) {
                REQUIRE(d.feed(esi, e.symbol(esi)) == ASX_OK);
            }
        }
        REQUIRE(d.attempt() == ASX_OK);
        CHECK(d.output == e.source);
    }
}

TEST_CASE("decoder: a forged symbol is caught by a spare equation", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 4);
    const uint32_t k = 100, t = 32;
    rq::encoder e(k, t, 1, 1, rq::object((size_t)k * t, 12));
    for (int trial = 0; trial < 100; trial++) {
        asx_rq_decoder_config config = {};
        config.verify_max = 4;
        config.few_max = trial % 2 ? 1 : 0;
        rq::decoder d(e.block, config);
        const uint32_t forged = 30 + (uint32_t)asx_prng_below(&prng, k + 6 - 30);
        for (uint32_t esi = 30; esi < k + 36; esi++) {
            rq::bytes symbol = e.symbol(esi);
            if (esi == forged) {
                symbol[asx_prng_below(&prng, t)] ^= 0x40;
            }
            REQUIRE(d.feed(esi, symbol) == ASX_OK);
        }
        CAPTURE(trial, forged, d.stats().verified);
        CHECK(d.attempt() == ASX_RQ_E(CORRUPT));
        CHECK(!asx_rq_decoder_done(d.self));
        CHECK(std::all_of(d.output.begin(), d.output.begin() + 30 * t,
                          [](uint8_t byte) { return byte == 0; }));
    }
}

TEST_CASE("decoder: policies, cache and stripes change nothing in the bytes", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 5);
    asx_rq_cache *cache;
    REQUIRE(asx_rq_cache_create(&cache, 0, 0, nullptr) == ASX_OK);
    /* an executor that runs backwards, each job twice: stripes must not lean on each other */
    asx_rq_executor backwards = { [](void *, uint32_t count, asx_rq_job *job, void *arg) {
                                     for (uint32_t i = count; i-- > 0;) {
                                         job(arg, i);
                                         job(arg, i);
                                     }
                                 },
                                  nullptr };
    for (uint32_t k : { 60u, 700u, 2500u }) {
        rq::encoder e(k, 1400, 1, 1, rq::object((size_t)k * 1400, k));
        for (int policy = ASX_RQ_POLICY_AUTO; policy <= ASX_RQ_POLICY_SCHUR; policy++) {
            for (int repeat = 0; repeat < 2; repeat++) {
                asx_rq_decoder_config config = {};
                config.cache = cache;
                config.cache_solved = true;
                config.few_max = 1;
                config.policy = (asx_rq_policy)policy;
                rq::decoder d(e.block, config);
                for (uint32_t esi = k / 2; esi < k + k / 2 + 4; esi++) {
                    REQUIRE(d.feed(esi, e.symbol(esi)) == ASX_OK);
                }
                REQUIRE(d.attempt(repeat ? &backwards : nullptr) == ASX_OK);
                CHECK(d.output == e.source);
            }
        }
    }
    const asx_rq_cache_stats stats = asx_rq_cache_stats_get(cache);
    CHECK(stats.misses == 12);
    CHECK(stats.hits == 12);
    CHECK(stats.entries == 12);
    asx_rq_cache_destroy(cache);
}

TEST_CASE("cache: entries and bytes stay within the limits, the oldest goes", "[raptorq]")
{
    asx_rq_cache *cache;
    REQUIRE(asx_rq_cache_create(&cache, 3, 0, nullptr) == ASX_OK);
    asx_rq_param p;
    auto use = [&](uint32_t k) {
        asx_rq_plan *plan;
        REQUIRE(asx_rq_param_init(&p, k) == ASX_OK);
        REQUIRE(asx_rq_cache_encode(cache, &plan, &p, nullptr) == ASX_OK);
        asx_rq_plan_unref(plan);
        return asx_rq_cache_stats_get(cache);
    };
    use(10);
    use(12);
    use(18);
    CHECK(use(10).hits == 1);
    CHECK(use(20).evictions == 1);
    CHECK(use(10).hits == 2);      /* used lately: kept */
    CHECK(use(12).evictions == 2); /* was the oldest: gone */
    CHECK(use(12).entries == 3);
    asx_rq_cache_destroy(cache);

    REQUIRE(asx_rq_cache_create(&cache, 0, 20000, nullptr) == ASX_OK);
    for (uint32_t k = 10; k < 200; k += 7) {
        CHECK(use(k).bytes <= 20000);
    }
    CHECK(asx_rq_cache_stats_get(cache).evictions > 0);
    CHECK(use(5000).bytes <= 20000); /* larger than the limit: solved, not kept */
    asx_rq_cache_destroy(cache);
}
