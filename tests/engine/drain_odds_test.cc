/* At stake: what is said about a drain's chances may be too dark, and never too bright. Simulated
 * drains whose falls are drawn from known distributions count how often the bounds were wrong. */
#include <asx/engine/drain_odds.h>
#include <asx/shard/base/prng.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

namespace
{

asx_drain seen(const std::vector<uint64_t> &potentials)
{
    asx_drain drain{};
    for (const uint64_t potential : potentials) {
        asx_drain_observe(&drain, potential);
    }
    return drain;
}

double uniform(uint64_t *state)
{
    return static_cast<double>(asx_splitmix64(state) >> 11) * 0x1p-53;
}

using draw = uint64_t (*)(uint64_t *state);

uint64_t even(uint64_t *)
{
    return 1000;
}
uint64_t wide(uint64_t *state)
{
    return static_cast<uint64_t>(2000 * uniform(state));
}
uint64_t rare(uint64_t *state)
{
    return uniform(state) < 0.2 ? 5000 : 0;
}
uint64_t heavy(uint64_t *state)
{
    return static_cast<uint64_t>(std::fmin(20000, -1000 * std::log(1 - uniform(state))));
}

struct tally {
    double worst = 0, likely = 0; /* what the bounds say, summed */
    uint32_t late = 0, runs = 0;
};

/* Looks `looks` times at a drain, asks for the odds with `more` looks to go, and takes them. */
void simulate(draw fall, uint32_t looks, uint32_t more, uint64_t left_over, uint64_t seed, tally *t)
{
    uint64_t state = seed, left = left_over + 1000000;
    std::vector<uint64_t> potentials{ left };
    for (uint32_t i = 0; i < looks; i++) {
        left -= fall(&state);
        potentials.push_back(left);
    }
    /* What is above `left_over` falls away with the last look: the rest is left to be taken. */
    asx_drain drain = seen(potentials);
    drain.last = left_over;
    const asx_drain_odds odds = asx_drain_odds_of(&drain, more);
    CHECK(odds.likely <= odds.worst);
    uint64_t fallen = 0;
    for (uint32_t i = 0; i < more; i++) {
        fallen += fall(&state);
    }
    t->worst += odds.worst;
    t->likely += odds.likely;
    t->late += fallen < left_over;
    t->runs++;
}

} // namespace

TEST_CASE("drain odds: nothing is certain before it is seen, and everything at the end", "[drain]")
{
    const asx_drain none{}, one = seen({ 5000 }), two = seen({ 5000, 4000 });
    for (const asx_drain *drain : { &none, &one, &two }) {
        CHECK(asx_drain_odds_of(drain, 1000).worst == 1);
        CHECK(asx_drain_odds_of(drain, 1000).likely == 1);
    }
    const asx_drain over = seen({ 5000, 0 });
    CHECK(asx_drain_odds_of(&over, 0).worst == 0);
    const asx_drain stuck = seen({ 5000, 5000, 5000, 5000 });
    CHECK(asx_drain_odds_of(&stuck, UINT32_MAX).worst == 1);
    const asx_drain rising = seen({ 5000, 6000, 7000, 8000 });
    CHECK(asx_drain_odds_of(&rising, UINT32_MAX).worst == 1);
}

TEST_CASE("drain odds: an even drain has few once there is time to spare", "[drain]")
{
    std::vector<uint64_t> potentials;
    for (uint64_t left = 30; left >= 15; left--) {
        potentials.push_back(left * 1000);
    }
    const asx_drain drain = seen(potentials);
    CHECK(asx_drain_odds_of(&drain, 14).worst == 1); /* 15 falls are left */
    CHECK(asx_drain_odds_of(&drain, 15).worst == 1);
    double before = 1;
    for (uint64_t looks = 18; looks <= 40; looks += 2) {
        const asx_drain_odds odds = asx_drain_odds_of(&drain, looks);
        CHECK(odds.worst < before);
        before = odds.worst;
    }
    CHECK(before < 0.03);
    CHECK(asx_drain_odds_of(&drain, 20).likely < asx_drain_odds_of(&drain, 20).worst / 4);
}

TEST_CASE("drain odds: over many drains no more are late than was said", "[drain]")
{
    struct world {
        const char *name;
        draw fall;
    };
    for (const world w : { world{ "even", even }, world{ "wide", wide }, world{ "rare", rare },
                           world{ "heavy", heavy } }) {
        for (const uint32_t looks : { 10u, 16u, 31u, 60u }) {
            for (const uint32_t more : { 20u, 50u, 200u }) {
                for (const uint64_t percent : { 50u, 80u, 100u, 120u }) {
                    tally t;
                    INFO(w.name << ", " << looks << " looks, " << more << " more for " << percent
                                << " % of what they take");
                    for (uint64_t seed = 1; seed <= 400; seed++) {
                        simulate(w.fall, looks, more, more * 10 * percent, seed, &t);
                    }
                    /* Three standard deviations of a count that is as likely as was said. */
                    const double slack = 3 * std::sqrt(t.likely * (1 - t.likely / t.runs));
                    CHECK(t.late <= t.likely + slack);
                    CHECK(t.late <= t.worst + slack);
                    if (percent == 50 && more == 200 && looks >= 16 &&
                        (w.fall == even || w.fall == wide)) {
                        CHECK(t.likely < 0.2 * t.runs); /* it says something */
                    }
                }
            }
        }
    }
}
