/* At stake: a race that is not seen is a class that is not visited; a pair that is no race costs a
 * run for nothing. The definition is checked against, by brute force. */
#include <asx/lab/race.h>
#include <asx/shard/base/prng.h>

#include <catch2/catch.hpp>
#include <vector>

namespace
{

struct random_run {
    explicit random_run(asx_prng *prng, uint32_t processes, uint32_t steps)
        : order(asx_race_order_create(processes))
    {
        for (uint32_t i = 0; i < steps; i++) {
            asx_race_step step = {};
            step.process = static_cast<uint32_t>(asx_prng_below(prng, processes));
            step.enabled = (UINT64_C(1) << processes) - 1;
            std::vector<asx_lab_access> set;
            for (uint64_t a = asx_prng_below(prng, 4); a > 0; a--) {
                asx_lab_access access = {};
                const bool global = asx_prng_below(prng, 15) == 0;
                access.resource = global ? ASX_LAB_RES_GLOBAL : ASX_LAB_RES_OBL;
                access.object = global ? 0 : asx_prng_below(prng, 4);
                access.write = asx_prng_below(prng, 2);
                set.push_back(access);
            }
            const auto count = static_cast<uint32_t>(set.size());
            step.accesses = { set.data(), asx_accesses_normalise(set.data(), count) };
            asx_race_order_add(order, &step);
        }
        const uint32_t n = steps;
        before.assign(n, std::vector<bool>(n));
        for (uint32_t b = 0; b < n; b++) {
            for (uint32_t a = b; a-- > 0;) {
                before[a][b] = before[a][b] || dependent(a, b);
                for (uint32_t c = 0; c < a && before[a][b]; c++) {
                    before[c][b] = before[c][b] || before[c][a];
                }
            }
        }
    }
    ~random_run()
    {
        asx_race_order_destroy(order);
    }
    random_run(const random_run &) = delete;

    bool dependent(uint32_t a, uint32_t b) const
    {
        const asx_race_step x = asx_race_order_step(order, a), y = asx_race_order_step(order, b);
        return x.process == y.process || asx_accesses_conflict(x.accesses, y.accesses);
    }

    bool immediate(uint32_t a, uint32_t b) const
    {
        bool race =
            asx_race_order_step(order, a).process != asx_race_order_step(order, b).process &&
            dependent(a, b);
        for (uint32_t c = a + 1; c < b && race; c++) {
            race = !(before[a][c] && before[c][b]);
        }
        return race;
    }

    asx_race_order *order;
    std::vector<std::vector<bool>> before; /* the transitive closure of dependence */
};

} // namespace

TEST_CASE("race: happens-before and immediate races are those of the definition", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 21);
    uint32_t races = 0;
    for (int round = 0; round < 200; round++) {
        const random_run run(&prng, 3, 14);
        for (uint32_t b = 0; b < 14; b++) {
            uint32_t count;
            const asx_race *found = asx_race_each(run.order, b, &count);
            std::vector<uint32_t> got, want;
            for (uint32_t i = 0; i < count; i++) {
                got.push_back(found[i].earlier);
                CHECK(found[i].later == b);
            }
            for (uint32_t a = 0; a < b; a++) {
                CHECK(asx_race_before(run.order, a, b) == run.before[a][b]);
                if (run.immediate(a, b)) {
                    want.push_back(a);
                }
            }
            CHECK(got == want);
            races += count;
        }
    }
    CHECK(races > 500);
}

TEST_CASE("race: initials are the first steps that nothing in the reversed run precedes", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 22);
    for (int round = 0; round < 200; round++) {
        const random_run run(&prng, 4, 14);
        for (uint32_t b = 0; b < 14; b++) {
            uint32_t count;
            const asx_race *found = asx_race_each(run.order, b, &count);
            for (uint32_t i = 0; i < count; i++) {
                std::vector<uint32_t> v;
                for (uint32_t at = found[i].earlier + 1; at < b; at++) {
                    if (!run.before[found[i].earlier][at]) {
                        v.push_back(at);
                    }
                }
                v.push_back(b);
                uint64_t want = 0;
                for (size_t k = 0; k < v.size(); k++) {
                    bool initial = true;
                    for (size_t l = 0; l < k && initial; l++) {
                        /* race.later does happen after the earlier step, in this order only */
                        initial = !run.before[v[l]][v[k]];
                    }
                    if (initial) {
                        want |= UINT64_C(1) << asx_race_order_step(run.order, v[k]).process;
                    }
                }
                CHECK(asx_race_initials(run.order, &found[i]) == want);
            }
        }
    }
}

TEST_CASE("race: clearing forgets everything", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 23);
    const random_run run(&prng, 3, 30);
    asx_race_order_clear(run.order);
    CHECK(asx_race_order_count(run.order) == 0);
    asx_lab_access access = {};
    access.resource = ASX_LAB_RES_OBL;
    access.write = true;
    asx_race_step step = {};
    step.enabled = 7;
    step.accesses = { &access, 1 };
    asx_race_order_add(run.order, &step);
    uint32_t count;
    asx_race_each(run.order, 0, &count);
    CHECK(count == 0);
    CHECK(asx_race_clock(run.order, 0)[0] == 1);
    CHECK(asx_race_classes_least(run.order) == 1);
}

TEST_CASE("race: a lower bound of the classes near a run", "[lab]")
{
    asx_race_order *order = asx_race_order_create(2);
    for (uint32_t i = 0; i < 4; i++) {
        asx_lab_access access = {};
        access.resource = ASX_LAB_RES_OBL;
        access.object = i / 2;
        access.write = true;
        asx_race_step step = {};
        step.process = i % 2;
        step.enabled = 3;
        step.accesses = { &access, 1 };
        asx_race_order_add(order, &step);
    }
    CHECK(asx_race_classes_least(order) == 3); /* two races, one after the other */
    asx_race_order_destroy(order);
}
