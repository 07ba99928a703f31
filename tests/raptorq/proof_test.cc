/* A proof that accepts a changed record or a changed source is worth less than none. */
#include <asx/raptorq/proof.h>

#include "codec.h"

#include <algorithm>
#include <cstring>

namespace
{

void digest(const void *bytes, size_t len, uint8_t out[ASX_RQ_DIGEST_SIZE])
{
    unsigned size = 0;
    if (EVP_Digest(bytes, len, out, &size, EVP_sha256(), nullptr) != 1) {
        std::abort();
    }
}

struct record {
    asx_rq_proof proof;
    rq::bytes source;
};

record prove(uint32_t k, uint32_t t, uint32_t lost, bool backwards,
             asx_rq_decoder_config config = {})
{
    rq::encoder e(k, t, 1, 1, rq::object((size_t)k * t, k));
    rq::decoder d(e.block, config);
    std::vector<uint32_t> esis;
    for (uint32_t esi = lost; esi < k + lost + 2; esi++) {
        esis.push_back(esi < k ? esi : esi * 3);
    }
    if (backwards) {
        std::reverse(esis.begin(), esis.end());
    }
    for (uint32_t esi : esis) {
        REQUIRE(d.feed(esi, e.symbol(esi)) == ASX_OK);
    }
    REQUIRE(d.attempt() == ASX_OK);
    record r;
    rq::bytes scratch(t + 8);
    const uint8_t id[16] = { 1, 2, 3 };
    asx_rq_proof_make(&r.proof, d.self, id, 7, digest, scratch.data());
    r.source = e.source;
    return r;
}

asx_err check(const asx_rq_proof &proof, const rq::bytes &source)
{
    const char *field = nullptr;
    const asx_err err = asx_rq_proof_check(&proof, source.data(), nullptr, digest, &field);
    CHECK((err == ASX_OK) == (field == nullptr));
    return err;
}

asx_err replay(const asx_rq_proof &proof)
{
    const char *field = nullptr;
    const asx_err err = asx_rq_proof_replay(&proof, &field);
    CHECK((err == ASX_RQ_E(PROOF_MISMATCH)) == (field != nullptr));
    return err;
}

} // namespace

TEST_CASE("proof: holds for what was decoded, whatever the order of arrival", "[raptorq]")
{
    for (uint32_t lost : { 0u, 3u, 200u }) {
        record a = prove(200, 33, lost, false), b = prove(200, 33, lost, true);
        CHECK(check(a.proof, a.source) == ASX_OK);
        uint8_t x[ASX_RQ_PROOF_SIZE_MAX], y[ASX_RQ_PROOF_SIZE_MAX];
        CHECK(replay(a.proof) == ASX_OK);
        const size_t size = asx_rq_proof_save(&a.proof, x);
        CHECK(size <= ASX_RQ_PROOF_SIZE_MAX);
        CHECK(asx_rq_proof_save(&b.proof, y) == size);
        CHECK(std::memcmp(x, y, size) == 0);
        CHECK(a.proof.listed == 202);
        CHECK(std::memcmp(a.proof.received, b.proof.received, 32) == 0);
        CHECK(std::memcmp(a.proof.esi, b.proof.esi, sizeof(a.proof.esi)) == 0);
        asx_rq_proof back;
        REQUIRE(asx_rq_proof_load(&back, x, size) == ASX_OK);
        CHECK(std::memcmp(&back, &a.proof, sizeof(back)) == 0);
        CHECK(asx_rq_proof_load(&back, x, size - 1) == ASX_RQ_E(PROOF_MISMATCH));
        x[0] ^= 1;
        CHECK(asx_rq_proof_load(&back, x, size) == ASX_RQ_E(PROOF_MISMATCH));
    }
}

TEST_CASE("proof: any changed fact about symbols or source is found", "[raptorq]")
{
    const record good = prove(60, 16, 9, false);
    REQUIRE(check(good.proof, good.source) == ASX_OK);
    auto refused = [&](auto change) {
        record r = good;
        change(r);
        return check(r.proof, r.source) == ASX_RQ_E(PROOF_MISMATCH);
    };
    CHECK(refused([](record &r) { r.source[100] ^= 1; }));
    CHECK(refused([](record &r) { r.proof.source[3] ^= 1; }));
    CHECK(refused([](record &r) { r.proof.received[3] ^= 1; }));
    CHECK(refused([](record &r) { r.proof.k--; }));
    CHECK(refused([](record &r) { r.proof.k_prime++; }));
    CHECK(refused([](record &r) { r.proof.s++; }));
    CHECK(refused([](record &r) { r.proof.h++; }));
    CHECK(refused([](record &r) { r.proof.l++; }));
    CHECK(refused([](record &r) { r.proof.symbol_size = 0; }));
    CHECK(refused([](record &r) { r.proof.sub_blocks = 17; }));
    CHECK(refused([](record &r) { r.proof.sources++; }));
    CHECK(refused([](record &r) { r.proof.repairs--; }));
    CHECK(refused([](record &r) { r.proof.listed--; }));
    CHECK(refused([](record &r) { r.proof.esi[5] = r.proof.esi[4]; }));
    CHECK(refused([](record &r) { r.proof.esi[r.proof.listed - 1]++; }));
    CHECK(refused([](record &r) { r.proof.error = ASX_RQ_E(RANK); }));
    /* a forger who hashes his own source still fails at the symbols */
    CHECK(refused([](record &r) {
        r.source[0] ^= 1;
        digest(r.source.data(), r.source.size(), r.proof.source);
    }));
}

TEST_CASE("proof: is bounded and the same for any order at large K", "[raptorq]")
{
    const record a = prove(3000, 2, 2900, false), b = prove(3000, 2, 2900, true);
    CHECK(a.proof.listed == ASX_RQ_PROOF_ESIS);
    CHECK(std::memcmp(a.proof.esi, b.proof.esi, sizeof(a.proof.esi)) == 0);
    CHECK(check(a.proof, a.source) == ASX_OK);
    record forged = a;
    forged.source[0] ^= 1;
    digest(forged.source.data(), forged.source.size(), forged.proof.source);
    CHECK(check(forged.proof, forged.source) == ASX_RQ_E(PROOF_MISMATCH));
}

TEST_CASE("proof: says which policy solved and why, and no other reason passes", "[raptorq]")
{
    asx_rq_decoder_config config = {};
    config.few_max = 1;
    const record chosen = prove(300, 4, 150, false, config), small = prove(10, 4, 5, false, config);
    CHECK(chosen.proof.method == ASX_RQ_METHOD_SOLVE);
    CHECK(chosen.proof.reason == ASX_RQ_REASON_LOSS);
    CHECK(chosen.proof.features.density > 0);
    CHECK(chosen.proof.features.surplus == 1000u * 2 / chosen.proof.k_prime);
    CHECK(chosen.proof.loss[chosen.proof.policy - 1] ==
          *std::min_element(chosen.proof.loss, chosen.proof.loss + 3));
    CHECK(small.proof.reason == ASX_RQ_REASON_GATE);
    config.policy = ASX_RQ_POLICY_SUPPORT;
    const record asked = prove(300, 4, 150, false, config);
    CHECK(asked.proof.policy == ASX_RQ_POLICY_SUPPORT);
    CHECK(asked.proof.reason == ASX_RQ_REASON_ASKED);
    CHECK(prove(300, 4, 0, false).proof.method == ASX_RQ_METHOD_NONE);

    for (const record *good : { &chosen, &small, &asked }) {
        REQUIRE(check(good->proof, good->source) == ASX_OK);
        auto refused = [&](auto change) {
            record r = *good;
            change(r.proof);
            return check(r.proof, r.source) == ASX_RQ_E(PROOF_MISMATCH);
        };
        CHECK(refused([](asx_rq_proof &p) { p.reason = ASX_RQ_REASON_BUDGET; }));
        CHECK(refused([](asx_rq_proof &p) { p.reason = ASX_RQ_REASON_NO_PIVOT; }));
        CHECK(refused([](asx_rq_proof &p) { p.reason = ASX_RQ_REASON_NO_PIVOT + 1; }));
        CHECK(refused([](asx_rq_proof &p) { p.policy = 4; }));
        CHECK(refused([](asx_rq_proof &p) { p.loss[1]++; }));
        CHECK(refused([](asx_rq_proof &p) { p.features.density += 1000; }));
    }
}

TEST_CASE("proof: lists the first pivots and inactive columns, and replays to the same",
          "[raptorq]")
{
    asx_rq_decoder_config config = {};
    config.few_max = 1;
    for (uint32_t policy = ASX_RQ_POLICY_AUTO; policy <= ASX_RQ_POLICY_SCHUR; policy++) {
        CAPTURE(policy);
        config.policy = (asx_rq_policy)policy;
        const record good = prove(300, 4, 150, policy % 2 == 0, config);
        const asx_rq_proof &p = good.proof;
        REQUIRE(p.method == ASX_RQ_METHOD_SOLVE);
        REQUIRE(p.pivots > ASX_RQ_PROOF_COLUMNS);
        REQUIRE(p.inactive < ASX_RQ_PROOF_COLUMNS);
        CHECK(p.pivots + p.inactive == p.l);
        asx_rq_param param;
        REQUIRE(asx_rq_param_init(&param, p.k) == ASX_OK);
        CHECK(p.inactive_column[0] == param.w);
        CHECK(p.inactive_column[param.p - 1] == param.l - 1);
        CHECK(p.inactive_column[param.p] < param.w);
        CHECK(p.pivot_column[0] < param.w);
        CHECK(check(p, good.source) == ASX_OK);
        CHECK(replay(p) == ASX_OK);

        const auto refused = [&](auto change, bool also_unreplayed) {
            record r = good;
            change(r.proof);
            CHECK((check(r.proof, r.source) == ASX_RQ_E(PROOF_MISMATCH)) == also_unreplayed);
            return replay(r.proof) == ASX_RQ_E(PROOF_MISMATCH);
        };
        /* what cannot be is seen without a solve, what is not is seen by it */
        CHECK(refused([](asx_rq_proof &q) { q.pivot_column[9] = q.pivot_column[8]; }, true));
        CHECK(refused([](asx_rq_proof &q) { q.inactive_column[0]++; }, true));
        CHECK(refused([](asx_rq_proof &q) { q.inactive_column[q.inactive] = 1; }, true));
        CHECK(refused([](asx_rq_proof &q) { q.pivots--; }, true));
        CHECK(refused([](asx_rq_proof &q) { std::swap(q.pivot_column[8], q.pivot_column[9]); },
                      false));
        CHECK(refused([](asx_rq_proof &q) { q.sums++; }, false));
        CHECK(refused([](asx_rq_proof &q) { q.dense_rank++; }, false));
        CHECK(refused([](asx_rq_proof &q) { q.hdpc_used++; }, false));
        CHECK(refused([](asx_rq_proof &q) { q.deficit++; }, false));
    }
}

TEST_CASE("proof: of a failure replays to the same failure, and of what is not listed to nothing",
          "[raptorq]")
{
    const uint32_t k = 26, t = 8;
    const uint8_t id[16] = { 9 };
    rq::encoder e(k, t, 1, 1, rq::object((size_t)k * t, 1));
    rq::bytes scratch(t + 8);
    asx_prng prng;
    asx_prng_init(&prng, 5);
    uint32_t failures = 0;
    for (uint32_t trial = 0; trial < 3000 && failures < 4; trial++) {
        asx_rq_decoder_config config = {};
        config.few_max = trial % 2 ? 1 : 0;
        rq::decoder d(e.block, config);
        while (!asx_rq_decoder_ready(d.self)) {
            const uint32_t esi = k + (uint32_t)asx_prng_below(&prng, ASX_RQ_ESI_MAX + 1 - k);
            (void)!d.feed(esi, e.symbol(esi));
        }
        const asx_err err = d.attempt();
        if (err == ASX_OK) {
            continue;
        }
        failures++;
        REQUIRE(err == ASX_RQ_E(RANK));
        asx_rq_proof proof;
        asx_rq_proof_make(&proof, d.self, id, 7, digest, scratch.data());
        CHECK(proof.error == ASX_RQ_E(RANK));
        CHECK(proof.method == ASX_RQ_METHOD_NONE);
        CHECK(proof.deficit > 0);
        CHECK(replay(proof) == ASX_OK);
        CHECK(check(proof, e.source) == ASX_RQ_E(PROOF_MISMATCH));
        proof.error = ASX_OK;
        CHECK(replay(proof) == ASX_RQ_E(PROOF_MISMATCH));
    }
    CHECK(failures == 4);

    rq::decoder untried(e.block);
    asx_rq_proof proof;
    asx_rq_proof_make(&proof, untried.self, id, 7, digest, scratch.data());
    CHECK(proof.error == ASX_RQ_E(TOO_FEW));
    CHECK(replay(proof) == ASX_RQ_E(PROOF_MISMATCH));
    CHECK(replay(prove(3000, 2, 2900, false).proof) == ASX_RQ_E(TOO_LARGE));
}
