/* At stake: a shrunk run that fails differently, or is not the smallest nearby, costs its reader an
 * hour. */
#include <asx/lab/explore.h>
#include <asx/lab/shrink.h>
#include <asx/lab/strategy.h>

#include "letters.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

namespace
{

using list = std::vector<uint16_t>;

struct tested {
    std::function<bool(const list &)> fails;
    uint32_t calls = 0;
};

bool call(void *arg, const uint16_t *values, uint32_t count)
{
    auto *t = static_cast<tested *>(arg);
    t->calls++;
    return t->fails(list(values, values + count));
}

asx_shrink_result shrink(list *values, const std::function<bool(const list &)> &fails,
                         uint32_t replays_max = 0)
{
    tested t{ fails };
    auto count = static_cast<uint32_t>(values->size());
    const asx_shrink_result result = asx_shrink_list(values->data(), &count, replays_max, call, &t);
    values->resize(count);
    CHECK(t.calls == result.replays);
    return result;
}

uint16_t at(const list &values, size_t index)
{
    return index < values.size() ? values[index] : 0;
}

} // namespace

TEST_CASE("shrink: twelve threes of which two matter", "[lab]")
{
    list values(12, 3);
    const asx_shrink_result result =
        shrink(&values, [](const list &v) { return at(v, 3) >= 1 && at(v, 7) >= 2; });
    CHECK(values == list{ 0, 0, 0, 1, 0, 0, 0, 2 });
    CHECK(result.reproduced);
    CHECK(!result.truncated);
    CHECK(result.replays <= 40);
}

TEST_CASE("shrink: any three entries, the first of them", "[lab]")
{
    list values = { 1, 0, 2, 0, 1, 1, 0, 3 };
    shrink(&values, [](const list &v) {
        return std::count_if(v.begin(), v.end(), [](uint16_t x) { return x != 0; }) >= 3;
    });
    CHECK(values == list{ 1, 0, 1, 0, 1 });
}

TEST_CASE("shrink: what does not fail is left alone, what always fails becomes empty", "[lab]")
{
    list values = { 1, 2, 3 };
    asx_shrink_result result = shrink(&values, [](const list &) { return false; });
    CHECK(!result.reproduced);
    CHECK(result.replays == 1);
    CHECK(values == list{ 1, 2, 3 });
    result = shrink(&values, [](const list &) { return true; });
    CHECK(values.empty());
    list none;
    result = shrink(&none, [](const list &) { return true; });
    CHECK(result.reproduced);
}

TEST_CASE("shrink: a cap on replays is kept, and said", "[lab]")
{
    list values(200, 9);
    const asx_shrink_result result = shrink(
        &values, [](const list &v) { return at(v, 150) > 3 && at(v, 20) > 3 && at(v, 99) > 3; },
        25);
    CHECK(result.truncated);
    CHECK(result.replays == 25);
    CHECK(at(values, 150) > 3);
    CHECK(at(values, 20) > 3);
}

TEST_CASE("shrink: random predicates end in lists that fail and that no single zero helps", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 31);
    for (int round = 0; round < 200; round++) {
        list start(1 + asx_prng_below(&prng, 30));
        for (uint16_t &v : start) {
            v = static_cast<uint16_t>(asx_prng_below(&prng, 5));
        }
        const size_t a = asx_prng_below(&prng, start.size()),
                     b = asx_prng_below(&prng, start.size());
        const uint16_t least_a = start[a], least_b = start[b];
        const auto fails = [&](const list &v) {
            return at(v, a) >= least_a && at(v, b) >= least_b;
        };
        list values = start;
        CHECK(shrink(&values, fails).reproduced);
        CHECK(fails(values));
        for (size_t i = 0; i < values.size(); i++) {
            CHECK(values[i] == (i == a ? least_a : i == b ? least_b : 0));
        }
    }
}

TEST_CASE("shrink: the shortest failing prefix by halving", "[lab]")
{
    for (uint32_t n = 1; n <= 70; n++) {
        for (uint32_t least = 1; least <= n; least++) {
            asx_shrink_result result;
            uint32_t wanted = least;
            const uint32_t found = asx_shrink_prefix(
                n, [](void *arg, uint32_t count) { return count >= *static_cast<uint32_t *>(arg); },
                &wanted, &result);
            CHECK(found == least);
            CHECK(result.replays <= std::ceil(std::log2(n)) + 1);
        }
    }
    asx_shrink_result result;
    CHECK(asx_shrink_prefix(
              9, [](void *, uint32_t) { return false; }, nullptr, &result) == 0);
    CHECK(!result.reproduced);
}

namespace
{

struct scenario_test {
    std::vector<uint32_t> needed;
    std::vector<uint32_t> parents;
    bool empty_seen = false, orphan_seen = false;
};

bool scenario_fails(void *arg, const uint8_t *keep, uint32_t count)
{
    auto *s = static_cast<scenario_test *>(arg);
    bool any = false, all = true;
    for (uint32_t i = 0; i < count; i++) {
        any = any || keep[i];
        const uint32_t parent = s->parents[i];
        s->orphan_seen = s->orphan_seen || (keep[i] && parent && !keep[parent - 1]);
    }
    for (uint32_t i : s->needed) {
        all = all && keep[i];
    }
    s->empty_seen = s->empty_seen || !any;
    return all;
}

} // namespace

TEST_CASE("shrink: a scenario keeps what the failure needs, and where that lives", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 33);
    for (int round = 0; round < 200; round++) {
        scenario_test s;
        const auto count = static_cast<uint32_t>(1 + asx_prng_below(&prng, 40));
        for (uint32_t i = 0; i < count; i++) {
            s.parents.push_back(static_cast<uint32_t>(asx_prng_below(&prng, i + 1)));
        }
        s.needed.push_back(static_cast<uint32_t>(asx_prng_below(&prng, count)));
        s.needed.push_back(static_cast<uint32_t>(asx_prng_below(&prng, count)));
        std::vector<uint8_t> want(count), keep(count);
        for (uint32_t i : s.needed) {
            for (uint32_t at = i + 1; at; at = s.parents[at - 1]) {
                want[at - 1] = 1;
            }
        }
        const asx_shrink_result result =
            asx_shrink_scenario(s.parents.data(), count, 0, scenario_fails, &s, keep.data());
        CHECK(result.reproduced);
        CHECK(result.one_minimal);
        CHECK(keep == want);
        CHECK(!s.empty_seen);
        CHECK(!s.orphan_seen);
    }
}

TEST_CASE("shrink: a scenario that needs nothing still keeps something", "[lab]")
{
    scenario_test s;
    s.parents = { 0, 0, 0, 0, 0 };
    std::vector<uint8_t> keep(5);
    asx_shrink_result result =
        asx_shrink_scenario(s.parents.data(), 5, 0, scenario_fails, &s, keep.data());
    CHECK(std::count(keep.begin(), keep.end(), 1) == 1);
    result = asx_shrink_scenario(s.parents.data(), 5, 2, scenario_fails, &s, keep.data());
    CHECK(result.truncated);
    CHECK(!result.one_minimal);
    CHECK(result.replays == 2);
}

TEST_CASE("shrink: a random failure of a program becomes one preemption", "[lab]")
{
    letters world("rx wx | rx wx | rx wx", lost_update);
    world.values = 3;
    asx_explore_config config = {};
    asx_strategy *strategy = asx_strategy_random(17);
    asx_explore_report *report = asx_explore(world.program(), strategy, &config);
    uint32_t count;
    const asx_explore_failure *failure = asx_explore_failures(report, &count);
    REQUIRE(count == 1);
    asx_shrunk shrunk;
    asx_shrink_failure(&shrunk, world.program(), failure->seed, failure->signature,
                       failure->choices, failure->choice_count, &config.limits, 0);
    CHECK(shrunk.result.reproduced);
    CHECK(shrunk.verdict.signature == failure->signature);
    CHECK(std::string(shrunk.verdict.text) == "lost update");
    CHECK(shrunk.deviations <= 2); /* to the other process after a read, and back */
    CHECK(shrunk.preemptions == 1);
    CHECK(asx_explore_preemptions(shrunk.run) == 1);
    for (uint32_t i = 0; i < shrunk.calm_count; i++) {
        CHECK(shrunk.calm[i].n > 1);
    }

    char *text = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    asx_explore_print_schedule(
        shrunk.run, [](void *, uint32_t process) { return process ? "other" : "first"; }, nullptr,
        out);
    fclose(out);
    const std::string schedule(text, len);
    free(text);
    INFO(schedule);
    CHECK(schedule.find(": steps 1..1, then preempted\n") != std::string::npos);
    CHECK(schedule.find("  first: steps ") != std::string::npos);
    asx_shrunk_deinit(&shrunk);

    asx_shrink_failure(&shrunk, world.program(), failure->seed, 12345, failure->choices,
                       failure->choice_count, &config.limits, 0);
    CHECK(!shrunk.result.reproduced); /* another failure than the one that was asked for */
    asx_shrunk_deinit(&shrunk);
    asx_explore_report_destroy(report);
    asx_strategy_destroy(strategy);
}
