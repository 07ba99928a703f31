/* How often exactly K, K + 1, K + 2 random symbols suffice. The code promises failures of about
 * 1/256^(h+1) at h extra symbols; more failures would mean a wrong matrix that still decodes what
 * it encoded. Only the matrix is solved: bytes do not matter here. */
#include "codec.h"

#include <cstring>
#include <set>

namespace
{

struct tally {
    uint32_t failures[3] = { 0, 0, 0 };
};

tally trials(uint32_t k, uint32_t count, uint64_t seed)
{
    asx_rq_param p;
    REQUIRE(asx_rq_param_init(&p, k) == ASX_OK);
    asx_prng prng;
    asx_prng_init(&prng, seed);
    tally result;
    for (uint32_t trial = 0; trial < count; trial++) {
        std::vector<uint32_t> isi;
        for (uint32_t padding = p.k; padding < p.k_prime; padding++) {
            isi.push_back(padding);
        }
        std::set<uint32_t> seen;
        while (seen.size() < k + 2) {
            const uint32_t esi = (uint32_t)asx_prng_below(&prng, ASX_RQ_ESI_MAX + 1);
            if (seen.insert(esi).second) {
                isi.push_back(asx_rq_isi(&p, esi));
            }
        }
        for (uint32_t extra = 0; extra < 3; extra++) {
            const asx_rq_rows rows = { isi.data(), isi.data(), p.k_prime + extra };
            asx_rq_plan *plan = nullptr;
            const asx_err err =
                asx_rq_plan_solve(&plan, &p, &rows, ASX_RQ_POLICY_AUTO, nullptr, nullptr);
            if (err == ASX_OK) {
                asx_rq_plan_unref(plan);
                break; /* more rows cannot hurt */
            }
            REQUIRE(err == ASX_RQ_E(RANK));
            result.failures[extra]++;
        }
    }
    return result;
}

} // namespace

TEST_CASE("recovery: failures at 0, 1 and 2 extra symbols are as rare as promised", "[raptorq]")
{
    for (uint32_t k : { 10u, 26u, 101u, 500u }) {
        CAPTURE(k);
        const uint32_t count = k < 200 ? 8000 : 1500;
        const tally t = trials(k, count, k);
        CHECK(t.failures[0] * 100 < count); /* measured elsewhere: 0.45 to 0.63 % */
        CHECK(t.failures[0] > 0);
        CHECK(t.failures[1] <= 2);
        CHECK(t.failures[2] == 0);
    }
}

TEST_CASE("recovery: 100,000 trials", "[.campaign][raptorq]")
{
    for (uint32_t k : { 10u, 26u, 101u, 1002u }) {
        const uint32_t count = k < 200 ? 100000 : 20000;
        const tally t = trials(k, count, 1000 + k);
        WARN("K " << k << ", trials " << count << ", failures at 0, 1, 2 extra: " << t.failures[0]
                  << " " << t.failures[1] << " " << t.failures[2]);
        CHECK(t.failures[0] * 100 < count);
        CHECK(t.failures[1] * 10000 < 3 * count);
        CHECK(t.failures[2] == 0);
    }
}

TEST_CASE("recovery: every K' there is, with losses of every kind", "[.campaign][raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 99);
    for (const auto &row : asx_rq_table) {
        const uint32_t k = row.k_prime;
        CAPTURE(k);
        rq::encoder e(k, 4, 1, 1, rq::object((size_t)k * 4, k));
        for (uint32_t lost : { 1 + k / 50, 1 + k / 3, k }) {
            rq::decoder d(e.block);
            for (uint32_t esi = lost; esi < k; esi++) {
                REQUIRE(d.feed(esi, e.symbol(esi)) == ASX_OK);
            }
            uint32_t fed = 0;
            while (d.attempt() != ASX_OK) {
                const uint32_t esi = k + (uint32_t)asx_prng_below(&prng, ASX_RQ_ESI_MAX + 1 - k);
                REQUIRE(fed < lost + 10);
                fed += d.feed(esi, e.symbol(esi)) == ASX_OK;
            }
            REQUIRE(std::memcmp(d.output.data(), e.source.data(), e.source.size()) == 0);
        }
    }
}
