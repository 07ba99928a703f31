/* Plans are computed once and kept, perhaps on a disk: a saved plan must encode the same symbols,
 * and a
 * damaged one must be refused before it can touch memory that is not its own. */
#include "codec.h"

#include <cstring>

namespace
{

rq::bytes save(const asx_rq_plan *plan)
{
    rq::bytes out(asx_rq_plan_save_size(plan));
    asx_rq_plan_save(plan, out.data());
    return out;
}

} // namespace

TEST_CASE("plan: saved and loaded, it makes the same symbols", "[raptorq]")
{
    for (uint32_t k : { 1u, 10u, 100u, 1000u, 5000u }) {
        CAPTURE(k);
        rq::encoder e(k, 40, 1, 1, rq::object((size_t)k * 40, k));
        asx_rq_plan *plan, *loaded;
        REQUIRE(asx_rq_plan_encode(&plan, &e.block.param, nullptr) == ASX_OK);
        const rq::bytes saved = save(plan);
        CHECK(saved.size() < 4096 + 80 * (size_t)e.block.param.l);
        REQUIRE(asx_rq_plan_load(&loaded, saved.data(), saved.size(), nullptr) == ASX_OK);
        CHECK(save(loaded) == saved);
        CHECK(asx_rq_plan_stats(loaded)->sums == asx_rq_plan_stats(plan)->sums);
        asx_rq_encoder *other;
        REQUIRE(asx_rq_encoder_create(&other, &e.block, loaded, nullptr) == ASX_OK);
        REQUIRE(asx_rq_encoder_load(other, e.source.data(), e.source.size()) == ASX_OK);
        for (uint32_t esi = k; esi < k + 20; esi++) {
            rq::bytes symbol(40);
            REQUIRE(asx_rq_encoder_symbol(other, esi, symbol.data()) == ASX_OK);
            REQUIRE(symbol == e.symbol(esi));
        }
        asx_rq_encoder_destroy(other);
        asx_rq_plan_unref(plan);
        asx_rq_plan_unref(loaded);
    }
}

TEST_CASE("plan: is the same on every kernel and every time", "[raptorq]")
{
    asx_rq_param p;
    REQUIRE(asx_rq_param_init(&p, 700) == ASX_OK);
    asx_rq_plan *a, *b;
    REQUIRE(asx_rq_plan_encode(&a, &p, nullptr) == ASX_OK);
    REQUIRE(asx_rq_plan_encode(&b, &p, nullptr) == ASX_OK);
    const rq::bytes saved = save(a);
    CHECK(saved == save(b));
    /* pinned: another kernel, compiler or host must find this very plan */
    CHECK(rq::sha256(saved.data(), saved.size()).substr(0, 16) == "0d1c8a2d5d5603fd");
    asx_rq_plan_unref(a);
    asx_rq_plan_unref(b);
}

TEST_CASE("plan: any damage is refused", "[raptorq]")
{
    asx_rq_param p;
    REQUIRE(asx_rq_param_init(&p, 26) == ASX_OK);
    asx_rq_plan *plan, *loaded = nullptr;
    REQUIRE(asx_rq_plan_encode(&plan, &p, nullptr) == ASX_OK);
    const rq::bytes good = save(plan);
    asx_rq_plan_unref(plan);
    for (size_t i = 0; i < good.size(); i++) {
        rq::bytes bad = good;
        bad[i] ^= 0x81;
        REQUIRE(asx_rq_plan_load(&loaded, bad.data(), bad.size(), nullptr) == ASX_RQ_E(BAD_PLAN));
        REQUIRE(asx_rq_plan_load(&loaded, good.data(), i, nullptr) == ASX_RQ_E(BAD_PLAN));
    }
    CHECK(loaded == nullptr);
}
