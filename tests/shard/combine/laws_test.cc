/* The law sheet, as far as it is about combinators: each law over random branches, both sides run
 * and compared. The lattice's laws are outcome_test's, budget_test's and cancel_test's; those that
 * a plan is rewritten by are plan_test's. */
#include <asx/shard/combine/first_ok.h>
#include <asx/shard/combine/hedge.h>
#include <asx/shard/combine/pipeline.h>
#include <asx/shard/combine/quorum.h>
#include <asx/shard/combine/retry.h>

#include "parts.h"

#include <array>
#include <random>

namespace
{

const uint64_t worlds = 300;

/* Up to six parts; each ends at an instant of its own, so that none of them ties. */
std::vector<part> random_parts(std::mt19937_64 &rand, std::initializer_list<act> acts)
{
    std::vector<asx_duration> instants;
    for (asx_duration i = 1; i <= 20; i++) {
        instants.push_back(asx_ms(20 * i));
    }
    std::shuffle(instants.begin(), instants.end(), rand);
    std::vector<part> parts(1 + rand() % 6);
    for (part &p : parts) {
        p = { *(acts.begin() + rand() % acts.size()), instants.back(), uintptr_t(rand() % 1000) };
        instants.pop_back();
    }
    return parts;
}

template <class F> void each_world(F fn)
{
    for (uint64_t seed = 1; seed <= worlds; seed++) {
        std::mt19937_64 rand(seed);
        INFO("seed " << seed);
        fn(rand, seed);
    }
}

asx_outcome race_all(asx_cx *cx, std::vector<asx_branch> &branches)
{
    return asx_race(cx, branches.data(), uint32_t(branches.size()), nullptr);
}

asx_outcome join_of_all(asx_cx *cx, std::vector<asx_branch> &branches)
{
    return asx_join_all(cx, branches.data(), uint32_t(branches.size()), nullptr);
}

auto quorum(uint32_t required)
{
    return [=](asx_cx *cx, std::vector<asx_branch> &branches) {
        return asx_quorum(cx, branches.data(), uint32_t(branches.size()), required, nullptr);
    };
}

auto hedge(asx_duration delay_ns, uint32_t *winner)
{
    return [=](asx_cx *cx, std::vector<asx_branch> &branches) {
        asx_hedge_options options{};
        options.delay_ns = delay_ns;
        return asx_hedge(cx, branches.data(), &options, winner);
    };
}

void check_same(const seen &a, const seen &b)
{
    CHECK(a.severity == b.severity);
    CHECK(a.err == b.err);
    CHECK(a.value == b.value);
    CHECK(a.took_ns == b.took_ns);
}

const part *first_of(const std::vector<part> &parts)
{
    return &*std::min_element(parts.begin(), parts.end(),
                              [](const part &a, const part &b) { return a.after_ns < b.after_ns; });
}

/* A stage that adds its number, or fails. */
struct step {
    bool fails;
    uint32_t ran;
};

asx_outcome step_run(asx_cx *cx, uintptr_t input, void *arg)
{
    step *const s = static_cast<step *>(arg);
    s->ran++;
    ASX_TRY(asx_sleep(cx, 5));
    return s->fails ? asx_fail(broken) : asx_ok(3 * input + 1);
}

struct row {
    std::vector<step> *steps;
    size_t first, count;
};

asx_outcome steps_run(asx_cx *cx, uintptr_t input, void *arg)
{
    const row *const r = static_cast<row *>(arg);
    std::vector<asx_stage> stages;
    for (size_t i = 0; i < r->count; i++) {
        stages.push_back({ step_run, &(*r->steps)[r->first + i], nullptr });
    }
    return asx_pipeline(cx, stages.data(), uint32_t(stages.size()), input, nullptr, nullptr);
}

} // namespace

TEST_CASE("LAW-RACE-NEVER: who never ends changes nothing", "[laws]")
{
    each_world([](std::mt19937_64 &rand, uint64_t seed) {
        std::vector<part> parts = random_parts(rand, { OK, ERR, PANIC, SELF_CANCEL });
        const seen alone = over(parts, race_all, seed);
        parts.insert(parts.begin() + long(rand() % (parts.size() + 1)), { HANG, 0, 0 });
        check_same(alone, over(parts, race_all, seed));
    });
}

TEST_CASE("LAW-RACE-DRAIN: at the return every loser is terminal, one that holds on too", "[laws]")
{
    each_world([](std::mt19937_64 &rand, uint64_t seed) {
        const std::vector<part> parts = random_parts(rand, { OK, ERR, MASKED });
        const seen raced = over(parts, race_all, seed); /* which counts who is still running */
        asx_duration longest_ns = first_of(parts)->after_ns;
        for (const part &p : parts) {
            longest_ns = p.what == MASKED ? std::max(longest_ns, p.after_ns) : longest_ns;
        }
        CHECK(raced.took_ns == longest_ns);
        CHECK((raced.severity == ASX_SEVERITY_ERR) == (first_of(parts)->what == ERR));
    });
}

TEST_CASE("LAW-RACE-COMM fails where the first is preferred: two that end at once", "[laws]")
{
    auto first_wins = [](bool swapped) {
        uint32_t winner = 9;
        body all = [&](asx_cx *cx) {
            std::vector<part> parts = { { OK, 0, 1 }, { OK, 0, 2 } };
            std::vector<asx_branch> branches = branches_of(parts);
            if (swapped) {
                std::swap(branches[0], branches[1]);
            }
            const asx_outcome outcome = asx_race(cx, branches.data(), 2, nullptr);
            winner = uint32_t(outcome.value);
            return asx_ok(0);
        };
        run_kernel(body_run, &all, 1, ASX_LEAK_PANIC, false); /* equals are in order */
        return winner;
    };
    CHECK(first_wins(false) == 1);
    CHECK(first_wins(true) == 2);
}

TEST_CASE("LAW-RACE-COMM: without a preference, of two that end at once each may win, in either "
          "order",
          "[laws]")
{
    std::array<std::array<uint32_t, 3>, 2> wins{};
    for (uint64_t seed = 1; seed <= 64; seed++) {
        for (const bool swapped : { false, true }) {
            body all = [&](asx_cx *cx) {
                std::vector<part> parts = { { OK, 0, 1 }, { OK, 0, 2 } };
                std::vector<asx_branch> branches = branches_of(parts);
                if (swapped) {
                    std::swap(branches[0], branches[1]);
                }
                const asx_outcome outcome = asx_race_unbiased(cx, branches.data(), 2, nullptr);
                wins[swapped][outcome.value]++;
                return asx_ok(0);
            };
            run_kernel(body_run, &all, seed, ASX_LEAK_PANIC, false);
        }
    }
    for (const auto &each : wins) {
        CHECK(each[1] > 10);
        CHECK(each[2] > 10);
    }
}

TEST_CASE("LAW-QUORUM-JOIN: all of all succeed where a join does", "[laws]")
{
    each_world([](std::mt19937_64 &rand, uint64_t seed) {
        const std::vector<part> parts = random_parts(rand, { OK, OK, OK, OK, ERR, SELF_CANCEL });
        const seen all = over(parts, quorum(uint32_t(parts.size())), seed);
        CHECK((all.severity == ASX_SEVERITY_OK) ==
              (over(parts, join_of_all, seed).severity == ASX_SEVERITY_OK));
    });
}

TEST_CASE("LAW-QUORUM-RACE: one of all is the first success, not the first end", "[laws]")
{
    uint32_t first_failed = 0;
    each_world([&](std::mt19937_64 &rand, uint64_t seed) {
        const std::vector<part> parts = random_parts(rand, { OK, ERR });
        std::vector<part> successes;
        for (const part &p : parts) {
            if (p.what == OK) {
                successes.push_back(p);
            }
        }
        const seen one = over(parts, quorum(1), seed);
        CHECK((one.severity == ASX_SEVERITY_OK) == !successes.empty());
        if (!successes.empty()) {
            CHECK(one.took_ns == over(successes, race_all, seed).took_ns);
            first_failed += over(parts, race_all, seed).severity != ASX_SEVERITY_OK;
        }
    });
    CHECK(first_failed > 0); /* where the race of all is an error, and the quorum is not */
}

TEST_CASE("LAW-QUORUM-ZERO: none of any is Ok at once, and starts nobody", "[laws]")
{
    each_world([](std::mt19937_64 &rand, uint64_t seed) {
        const std::vector<part> parts = random_parts(rand, { OK, ERR, PANIC, HANG });
        const seen none = over(parts, quorum(0), seed);
        CHECK(none.severity == ASX_SEVERITY_OK);
        CHECK(none.took_ns == 0);
        CHECK(dropped == 0);
    });
}

TEST_CASE("LAW-HEDGE-FAST, LAW-HEDGE-SLOW: the primary alone before the delay, a race behind it",
          "[laws]")
{
    uint32_t fast = 0, slow = 0;
    each_world([&](std::mt19937_64 &rand, uint64_t seed) {
        std::vector<part> parts = random_parts(rand, { OK, ERR, PANIC });
        parts.resize(2, { OK, asx_ms(7), 5 });
        const asx_duration delay_ns = asx_ms(1 + rand() % 400) + 1;
        uint32_t winner = 9;
        const seen hedged = over(parts, hedge(delay_ns, &winner), seed);
        if (parts[0].after_ns < delay_ns) {
            fast++;
            CHECK(winner == 0);
            check_same(hedged, over({ parts[0] }, race_all, seed));
            return;
        }
        slow++;
        parts[1].after_ns += delay_ns; /* as if it had waited */
        check_same(hedged, over(parts, race_all, seed));
    });
    CHECK(fast > 20);
    CHECK(slow > 20);
}

TEST_CASE("LAW-PIPELINE-SEQ, -SHORT, -ASSOC: in order, up to the first failure, however grouped",
          "[laws]")
{
    each_world([](std::mt19937_64 &rand, uint64_t seed) {
        std::vector<step> steps(1 + rand() % 6);
        size_t sound = 0;
        for (step &s : steps) {
            s = { rand() % 5 == 0, 0 };
        }
        while (sound < steps.size() && !steps[sound].fails) {
            sound++;
        }
        run_body(
            [&](asx_cx *cx) {
                uintptr_t want = 2;
                for (size_t i = 0; i < sound; i++) {
                    want = 3 * want + 1;
                }
                row whole = { &steps, 0, steps.size() };
                const asx_outcome plain = steps_run(cx, 2, &whole);
                CHECK(asx_is_ok(plain) == (sound == steps.size()));
                CHECK((asx_is_ok(plain) ? plain.value == want : plain.err == broken));
                for (size_t i = 0; i < steps.size(); i++) {
                    CHECK(steps[i].ran == (i <= sound));
                }
                const size_t cut = rand() % (steps.size() + 1);
                row front = { &steps, 0, cut }, back = { &steps, cut, steps.size() - cut };
                const asx_stage grouped[] = { { steps_run, &front, nullptr },
                                              { steps_run, &back, nullptr } };
                const asx_outcome other = asx_pipeline(cx, grouped, 2, 2, nullptr, nullptr);
                CHECK(other.severity == plain.severity);
                CHECK((asx_is_ok(plain) ? other.value == plain.value : other.err == plain.err));
                return asx_ok(0);
            },
            seed);
    });
}

TEST_CASE("LAW-FIRST-OK-FOUND, -ALL-FAIL: finds the first Ok in order, and fails where all do",
          "[laws]")
{
    each_world([](std::mt19937_64 &rand, uint64_t seed) {
        const std::vector<part> parts = random_parts(rand, { OK, ERR, ERR });
        size_t first = 0;
        asx_duration sum_ns = 0;
        while (first < parts.size() && parts[first].what == ERR) {
            sum_ns += parts[first++].after_ns;
        }
        const bool found = first < parts.size();
        const seen tried = over(
            parts,
            [](asx_cx *cx, std::vector<asx_branch> &branches) {
                return asx_first_ok(cx, branches.data(), uint32_t(branches.size()), nullptr,
                                    nullptr);
            },
            seed);
        CHECK((tried.severity == ASX_SEVERITY_OK) == found);
        CHECK(tried.err == (found ? 0 : ASX_E(ALL_FAILED)));
        CHECK(tried.value == (found ? parts[first].value : 0));
        CHECK(tried.took_ns == sum_ns + (found ? parts[first].after_ns : 0)); /* one by one */
    });
}

TEST_CASE("LAW-RETRY-ONE: one attempt is the operation", "[laws]")
{
    each_world([](std::mt19937_64 &rand, uint64_t seed) {
        std::vector<part> parts = random_parts(rand, { OK, ERR, SELF_CANCEL });
        parts.resize(1);
        auto once = [](asx_cx *cx, std::vector<asx_branch> &branches) {
            return branches[0].fn(cx, branches[0].arg);
        };
        auto retried = [](asx_cx *cx, std::vector<asx_branch> &branches) {
            asx_retry_options options{};
            options.attempts = 1;
            return asx_retry(cx, branches[0].fn, branches[0].arg, &options, nullptr);
        };
        check_same(over(parts, once, seed), over(parts, retried, seed));
    });
}
