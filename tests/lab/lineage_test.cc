/* At stake: a breaking set that is not tried is a bug that is not found, and a certificate that
 * lies. */
#include <asx/lab/lineage.h>
#include <asx/shard/base/prng.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <vector>

namespace
{

using events = std::vector<uint64_t>;

struct result {
    std::vector<events> sets;
    asx_lineage_end end;
};

result breaking(const std::vector<events> &derivations, uint32_t size_max, size_t count_max = 1000)
{
    asx_lineage *lineage = asx_lineage_create();
    for (const events &d : derivations) {
        asx_lineage_add(lineage, d.data(), static_cast<uint32_t>(d.size()));
    }
    struct {
        std::vector<events> sets;
        size_t count_max;
    } found{ {}, count_max };
    result r;
    r.end = asx_lineage_each(
        lineage, size_max,
        [](void *arg, const uint64_t *set, uint32_t count) {
            auto *f = static_cast<decltype(found) *>(arg);
            f->sets.emplace_back(set, set + count);
            return f->sets.size() < f->count_max;
        },
        &found);
    r.sets = found.sets;
    asx_lineage_destroy(lineage);
    return r;
}

} // namespace

TEST_CASE("lineage: the known breaking sets", "[lab]")
{
    const uint64_t s = 1, a = 2, b = 3;
    result r = breaking({ { s, a }, { s, b } }, 3);
    CHECK(r.sets == std::vector<events>{ { s }, { a, b } });
    CHECK(r.end == ASX_LINEAGE_ALL);
    r = breaking({ { 1, 2 }, { 3 } }, 3);
    CHECK(r.sets == std::vector<events>{ { 1, 3 }, { 2, 3 } });
    r = breaking({ { 1, 2 }, {} }, 3);
    CHECK(r.sets.empty());
    CHECK(r.end == ASX_LINEAGE_UNBREAKABLE);
    CHECK(breaking({}, 3).end == ASX_LINEAGE_UNBREAKABLE);
    r = breaking({ { 7, 7, 7 } }, 1);
    CHECK(r.sets == std::vector<events>{ { 7 } });
    r = breaking({ { 1 }, { 2 }, { 3 } }, 2);
    CHECK(r.sets.empty());
    CHECK(r.end == ASX_LINEAGE_ALL); /* a certificate: nothing of at most two events breaks it */
    r = breaking({ { 1, 2, 3, 4 } }, 1, 2);
    CHECK(r.sets.size() == 2);
    CHECK(r.end == ASX_LINEAGE_CUT);
}

TEST_CASE("lineage: random derivations, against every subset", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 51);
    for (int round = 0; round < 200; round++) {
        std::vector<events> derivations(1 + asx_prng_below(&prng, 5));
        for (events &d : derivations) {
            for (uint64_t e = 0; e < 8; e++) {
                if (asx_prng_below(&prng, 3) == 0) {
                    d.push_back(e);
                }
            }
            if (d.empty()) {
                d.push_back(asx_prng_below(&prng, 8));
            }
        }
        const auto hits_all = [&](unsigned subset) {
            return std::all_of(derivations.begin(), derivations.end(), [&](const events &d) {
                return std::any_of(d.begin(), d.end(), [&](uint64_t e) { return subset >> e & 1; });
            });
        };
        std::set<events> want;
        for (unsigned subset = 1; subset < 256; subset++) {
            bool minimal = hits_all(subset) && __builtin_popcount(subset) <= 3;
            events set;
            for (unsigned e = 0; e < 8; e++) {
                if (subset >> e & 1) {
                    minimal = minimal && !hits_all(subset & ~(1u << e));
                    set.push_back(e);
                }
            }
            if (minimal) {
                want.insert(set);
            }
        }
        const result r = breaking(derivations, 3);
        CHECK(std::set<events>(r.sets.begin(), r.sets.end()) == want);
        CHECK(r.sets.size() == want.size());
        CHECK(std::is_sorted(r.sets.begin(), r.sets.end(),
                             [](const events &x, const events &y) { return x.size() < y.size(); }));
    }
}
