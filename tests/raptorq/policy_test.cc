/* The policies of the solver: each may take its own way through the matrix, but a way that changed
 * a byte or a verdict would make two hosts disagree about the same packets. And the choice must say
 * what it was made of. */
#include "codec.h"

#include <set>
#include <string>

extern "C" {
#include <asx/raptorq/solve_internal.h>
}

namespace
{

const asx_rq_policy policies[] = { ASX_RQ_POLICY_AUTO, ASX_RQ_POLICY_BASELINE,
                                   ASX_RQ_POLICY_SUPPORT, ASX_RQ_POLICY_SCHUR };

/* Attempts on a copy of what was received, by one policy. */
struct attempt {
    asx_err err;
    rq::bytes output;
    asx_rq_decoder_stats stats;
};

attempt decode(rq::encoder &e, const std::set<uint32_t> &esis, asx_rq_policy policy)
{
    asx_rq_decoder_config config = {};
    config.few_max = 1;
    config.policy = policy;
    rq::decoder d(e.block, config);
    for (uint32_t esi : esis) {
        REQUIRE(d.feed(esi, e.symbol(esi)) == ASX_OK);
    }
    attempt a;
    a.err = d.attempt();
    a.output = d.output;
    a.stats = d.stats();
    return a;
}

} // namespace

TEST_CASE("policy: all give the same verdict and the same bytes", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 21);
    int failures = 0, cut = 0, uncut = 0;
    std::set<asx_rq_policy> chosen;
    for (int trial = 0; trial < 900; trial++) {
        const uint32_t k = 2 + (uint32_t)asx_prng_below(&prng, trial % 30 == 0 ? 900 : 30);
        rq::encoder e(k, 3, 1, 1, rq::object((size_t)k * 3, (uint32_t)trial));
        /* at least two source symbols short, and often with a few too many */
        const uint32_t count = k + (uint32_t)asx_prng_below(&prng, trial % 3 ? 2 : 30);
        std::set<uint32_t> esis;
        while (esis.size() < count) {
            esis.insert(2 + (uint32_t)asx_prng_below(&prng, 30 * k + 10));
        }
        const attempt first = decode(e, esis, ASX_RQ_POLICY_AUTO);
        CAPTURE(k, trial, count);
        REQUIRE((first.err == ASX_OK || first.err == ASX_RQ_E(RANK)));
        failures += first.err != ASX_OK;
        for (asx_rq_policy policy : policies) {
            const attempt a = decode(e, esis, policy);
            CAPTURE(asx_rq_policy_name(policy));
            REQUIRE(a.err == first.err);
            if (a.err == ASX_OK) {
                REQUIRE(a.output == e.source);
            }
            const asx_rq_solve_stats &s = a.stats.solve;
            if (s.reason == ASX_RQ_REASON_NO_PIVOT) {
                CHECK((policy == ASX_RQ_POLICY_SCHUR || policy == ASX_RQ_POLICY_AUTO));
                CHECK(s.policy == ASX_RQ_POLICY_BASELINE);
                uncut++;
            } else if (policy == ASX_RQ_POLICY_AUTO) {
                const bool is_small = s.inactive < 16;
                CHECK(s.reason == (is_small ? ASX_RQ_REASON_GATE : ASX_RQ_REASON_LOSS));
                CHECK(s.features.surplus ==
                      1000 * (s.rows - e.block.param.k_prime) / e.block.param.k_prime);
                CHECK(s.features.density > 0);
                chosen.insert(s.policy);
            } else {
                CHECK(s.reason == ASX_RQ_REASON_ASKED);
                CHECK(s.policy == policy);
                cut += s.policy == ASX_RQ_POLICY_SCHUR;
            }
        }
    }
    CHECK(chosen == std::set<asx_rq_policy>{ ASX_RQ_POLICY_BASELINE, ASX_RQ_POLICY_SCHUR });
    CHECK(failures > 0);
    CHECK(cut > 0);
    CHECK(uncut > 0);
}

TEST_CASE("policy: more received symbols than may be looked at leave the baseline", "[raptorq]")
{
    const uint32_t k = 2000, surplus = 60000;
    asx_rq_param p;
    REQUIRE(asx_rq_param_init(&p, k) == ASX_OK);
    std::vector<uint32_t> isi(p.k_prime + surplus), feed(isi.size());
    for (uint32_t i = 0; i < isi.size(); i++) {
        isi[i] = i;
        feed[i] = i;
    }
    const asx_rq_rows rows = { isi.data(), feed.data(), (uint32_t)isi.size() };
    asx_rq_plan *plan;
    asx_rq_solve_stats stats;
    REQUIRE(asx_rq_plan_solve(&plan, &p, &rows, ASX_RQ_POLICY_AUTO, nullptr, &stats) == ASX_OK);
    CHECK(stats.reason == ASX_RQ_REASON_BUDGET);
    CHECK(stats.policy == ASX_RQ_POLICY_BASELINE);
    asx_rq_plan_unref(plan);
}

TEST_CASE("policy: the choice is the smallest loss behind the gate, the first of equal ones",
          "[raptorq]")
{
    asx_rq_solve_stats stats = {};
    asx_rq_features f = {};
    f.density = 900;
    f.surplus = 500;
    CHECK(asxi_policy_choose(&f, 15, &stats) == ASX_RQ_POLICY_BASELINE);
    CHECK(stats.reason == ASX_RQ_REASON_GATE);
    std::set<asx_rq_policy> seen;
    for (f.density = 0; f.density <= 1000; f.density += 50) {
        for (f.empty = 0; f.empty <= 1000; f.empty += 100) {
            for (f.surplus = 0; f.surplus <= 1000; f.surplus += 100) {
                const asx_rq_policy policy = asxi_policy_choose(&f, 16, &stats);
                seen.insert(policy);
                CHECK(stats.reason == ASX_RQ_REASON_LOSS);
                const uint32_t own = stats.loss[policy - ASX_RQ_POLICY_BASELINE];
                for (uint32_t i = 0; i < 3; i++) {
                    const bool is_before = i + ASX_RQ_POLICY_BASELINE < (uint32_t)policy;
                    CHECK((is_before ? own < stats.loss[i] : own <= stats.loss[i]));
                }
            }
        }
    }
    CHECK(seen.size() == 3);
}

TEST_CASE("policy: every policy and reason has a name of its own", "[raptorq]")
{
    std::set<std::string> names;
    for (asx_rq_policy policy : policies) {
        names.insert(asx_rq_policy_name(policy));
    }
    for (int reason = ASX_RQ_REASON_ASKED; reason <= ASX_RQ_REASON_NO_PIVOT; reason++) {
        names.insert(asx_rq_policy_reason_name((asx_rq_policy_reason)reason));
    }
    CHECK(names.size() == 9);
    CHECK(names.count("?") == 0);
}
