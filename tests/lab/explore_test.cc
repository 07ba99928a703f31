/* At stake: an explorer that repeats itself differently, counts runs for classes, or promises more
 * than its strategy gives, is worse than none. */
#include <asx/lab/dpor.h>
#include <asx/lab/explore.h>
#include <asx/lab/shrink.h>
#include <asx/lab/strategy.h>

#include "letters.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <map>
#include <set>
#include <unistd.h>

namespace
{

std::string text_of(const asx_explore_report *report, bool rows)
{
    char *text = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    asx_explore_print(report, out);
    if (rows) {
        asx_explore_print_rows(report, out);
    }
    fclose(out);
    const std::string copy(text, len);
    free(text);
    return copy;
}

std::string explore_text(asx_explore_program *program, asx_strategy *strategy,
                         const asx_explore_config &config)
{
    asx_explore_report *report = asx_explore(program, strategy, &config);
    const std::string text = text_of(report, true);
    asx_explore_report_destroy(report);
    asx_strategy_destroy(strategy);
    return text;
}

/* Failing runs of `runs` under the strategy. */
uint64_t failures(asx_explore_program *program, asx_strategy *strategy, uint64_t runs)
{
    asx_explore_config config = {};
    config.runs_max = runs;
    config.past_failures = true;
    asx_explore_report *report = asx_explore(program, strategy, &config);
    uint32_t count;
    const asx_explore_failure *found = asx_explore_failures(report, &count);
    const uint64_t failed = count ? found[0].runs : 0;
    asx_explore_report_destroy(report);
    asx_strategy_destroy(strategy);
    return failed;
}

uint64_t fake_now;
uint64_t fake_clock()
{
    return fake_now += 1000000;
}

} // namespace

TEST_CASE("pct: the promise, in numbers", "[lab]")
{
    CHECK(asx_pct_probability(3, 100, 2) == Approx(1.0 / 300));
    CHECK(asx_pct_runs(3, 100, 2, 0.95) == 898);
    CHECK(asx_pct_runs(4, 1000, 2, 0.95) == 11982);
    CHECK(asx_pct_runs(4, 10000, 2, 0.95) == 119828);
    CHECK(asx_pct_runs(8, 200, 2, 0.95) == 4792);
    CHECK(asx_pct_runs(4, 10000, 3, 0.95) == Approx(1.2e9).epsilon(0.01));
}

TEST_CASE("pct: of eight plans for a lost update, the two that change at step two fail", "[lab]")
{
    letters world("rx wx | rx wx", lost_update);
    asx_pct_config config = {};
    config.steps = 4;
    config.depth = 2;
    for (int first = 0; first < 2; first++) {
        for (uint32_t change = 1; change <= 4; change++) {
            asx_strategy *pct = asx_strategy_pct(&config);
            const int64_t priorities[2] = { first == 0 ? 11 : 10, first == 0 ? 10 : 11 };
            asx_strategy_pct_fix(pct, priorities, 2, &change, 2);
            CHECK(failures(world.program(), pct, 1) == (change == 2));
        }
    }
}

TEST_CASE("pct: a lost update is hit as often as it should be", "[lab]")
{
    letters world("rx wx | rx wx", lost_update);
    asx_pct_config config = {};
    config.seed = 5;
    config.steps = 4;
    config.depth = 2;
    const uint64_t hits = failures(world.program(), asx_strategy_pct(&config), 4000);
    CHECK(hits > 1000 - 4 * 28); /* a quarter, and four deviations */
    CHECK(hits < 1000 + 4 * 28);
    config.depth = 1; /* without a change point, one process runs before the other */
    CHECK(failures(world.program(), asx_strategy_pct(&config), 100) == 0);
}

TEST_CASE("pct: every order of three processes is drawn alike", "[lab]")
{
    letters world("wx | wx | wx");
    asx_pct_config config = {};
    config.depth = 1;
    asx_strategy *pct = asx_strategy_pct(&config);
    asx_explore_config limits = {};
    limits.runs_max = 6000;
    asx_explore_report *report = asx_explore(world.program(), pct, &limits);
    uint32_t count;
    const asx_explore_row *rows = asx_explore_rows(report, &count);
    std::map<uint64_t, int> classes;
    for (uint32_t i = 0; i < count; i++) {
        classes[rows[i].fingerprint]++;
    }
    CHECK(classes.size() == 6);
    for (const auto &c : classes) {
        CHECK(c.second > 1000 - 4 * 29);
        CHECK(c.second < 1000 + 4 * 29);
        CHECK(asx_explore_class_runs(report, c.first) == static_cast<uint32_t>(c.second));
    }
    CHECK(asx_explore_class_runs(report, 1) == 0);
    asx_explore_report_destroy(report);
    asx_strategy_destroy(pct);
}

namespace
{

/* Process 0 spins until process 1 has run. */
void run_spinner(asx_explore_program *base, asx_explore_run *run)
{
    (void)base;
    const uint32_t both[2] = { 0, 1 };
    while (!asx_explore_run_stopped(run) && asx_explore_run_turn(run, both, 2) == 0) {
    }
    asx_explore_verdict verdict = {};
    asx_explore_run_finish(run, &verdict);
}

} // namespace

TEST_CASE("pct: a process that only spins is demoted", "[lab]")
{
    asx_explore_program program = {};
    program.name = "spinner";
    program.processes = 2;
    program.run = run_spinner;
    asx_pct_config config = {};
    config.depth = 1;
    asx_strategy *pct = asx_strategy_pct(&config);
    asx_explore_config limits = {};
    limits.runs_max = 8;
    limits.limits.steps_max = 5000;
    asx_explore_report *report = asx_explore(&program, pct, &limits);
    uint32_t count, spun = 0;
    const asx_explore_row *rows = asx_explore_rows(report, &count);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(rows[i].end == ASX_EXPLORE_QUIESCENT);
        CHECK((rows[i].steps == 1 || rows[i].steps == ASX_STRATEGY_SPIN_MAX + 1));
        spun += rows[i].steps > 1;
    }
    CHECK(spun > 0);
    CHECK(spun < 8);
    asx_explore_report_destroy(report);
    asx_strategy_destroy(pct);
}

TEST_CASE("pos: a step beside eight others is last as often as its priority is the least", "[lab]")
{
    letters world("wx | ra rb rc rd re rf rg rh",
                  [](const std::vector<int> &order) { return order.back() == 0; });
    const uint64_t hits = failures(world.program(), asx_strategy_pos(3), 9000);
    CHECK(hits > 1000 - 4 * 30); /* a ninth, and four deviations */
    CHECK(hits < 1000 + 4 * 30);
    CHECK(failures(world.program(), asx_strategy_random(3), 9000) < 35 + 4 * 6); /* 2^-8 */
}

TEST_CASE("pos: a pending step draws anew when one that ran races with it", "[lab]")
{
    const std::vector<int> around = { 1, 0, 0, 0, 1 };
    const auto is_around = [&](const std::vector<int> &order) { return order == around; };
    /* 1/2 to begin; 1/3, the second against the least of two; and a toss for each step after. */
    letters racing("wx wx wx | wx wx", is_around);
    uint64_t hits = failures(racing.program(), asx_strategy_pos(3), 12000);
    CHECK(hits > 500 - 4 * 22);
    CHECK(hits < 500 + 4 * 22);
    /* Where nothing races, the second keeps what it drew: 1/2 times the integral of 2 (1 - u)^4. */
    letters apart("wx wx wx | wy wy", is_around);
    hits = failures(apart.program(), asx_strategy_pos(3), 12000);
    CHECK(hits > 1200 - 4 * 33);
    CHECK(hits < 1200 + 4 * 33);
}

TEST_CASE("bounded: exactly the runs with at most b deviations", "[lab]")
{
    letters world("wx | wx | wx", nullptr);
    world.values = 3;
    asx_explore_config config = {};
    config.runs_max = 100000;
    std::set<uint64_t> all;
    uint64_t before = 0;
    for (uint32_t bound : { 0u, 1u, 2u, 10u }) {
        asx_strategy *strategy = asx_strategy_bounded(0, bound);
        asx_explore_report *report = asx_explore(world.program(), strategy, &config);
        uint32_t count;
        const asx_explore_row *rows = asx_explore_rows(report, &count);
        std::set<uint64_t> schedules;
        for (uint32_t i = 0; i < count; i++) {
            schedules.insert(rows[i].schedule_hash);
        }
        CHECK(schedules.size() == count); /* none twice */
        CHECK(std::includes(schedules.begin(), schedules.end(), all.begin(), all.end()));
        CHECK(count > before);
        if (bound == 0) {
            CHECK(count == 1);
        }
        if (bound == 1) {
            /* One of five questions answered otherwise: 2 + 1 turns, 2 for each of three values. */
            CHECK(count == 1 + 2 + 1 + 3 * 2);
        }
        if (bound == 10) {
            CHECK(count == 6 * 27);
        }
        all = schedules;
        before = count;
        asx_explore_report_destroy(report);
        asx_strategy_destroy(strategy);
    }
}

TEST_CASE("explore: two explorations give one report, in one process or in three", "[lab]")
{
    letters world("rx wx | rx wx | rx wx", lost_update);
    asx_explore_config config = {};
    config.runs_max = 200;
    config.past_failures = true;
    config.count_races = true;
    const std::string one = explore_text(world.program(), asx_strategy_random(3), config);
    CHECK(one == explore_text(world.program(), asx_strategy_random(3), config));
    CHECK(one != explore_text(world.program(), asx_strategy_random(4), config));
    config.jobs = 3;
    const std::string three = explore_text(world.program(), asx_strategy_random(3), config);
    /* Choices of runs that passed stay in the children, and with them the count of questions. */
    const auto without_questions = [](std::string text) {
        const size_t from = text.find("  questions"), to = text.find('\n', from);
        return text.erase(from, to - from);
    };
    CHECK(without_questions(one) == without_questions(three));
    CHECK(one.find("random: 200 runs, stopped: budget") != std::string::npos);
    CHECK(one.find("assumes independent, identically distributed runs") != std::string::npos);
    const std::string dpor = explore_text(world.program(), asx_dpor_create(nullptr), config);
    CHECK(dpor == explore_text(world.program(), asx_dpor_create(nullptr), config));
    CHECK(dpor.find("36 distinct") != std::string::npos);
    CHECK(dpor.find("runs of this strategy are not independent") != std::string::npos);
}

TEST_CASE("explore: stops at the first failure unless told otherwise", "[lab]")
{
    letters world("rx wx | rx wx", lost_update);
    for (uint32_t jobs : { 0u, 2u }) {
        asx_explore_config config = {};
        config.jobs = jobs;
        asx_strategy *strategy = asx_strategy_random(3);
        asx_explore_report *report = asx_explore(world.program(), strategy, &config);
        CHECK(std::string(asx_explore_why(report)) == "failure");
        uint32_t count;
        const asx_explore_failure *failure = asx_explore_failures(report, &count);
        REQUIRE(count == 1);
        CHECK(std::string(failure->text) == "lost update");
        CHECK(failure->runs == 1);
        CHECK(failure->seed == 3 + failure->index);
        CHECK(failure->choice_count > 0);
        CHECK(asx_explore_coverage_of(report).runs == failure->index + 1);
        asx_explore_report_destroy(report);

        config.past_failures = true;
        report = asx_explore(world.program(), strategy, &config);
        CHECK(std::string(asx_explore_why(report)) == "budget");
        CHECK(asx_explore_failures(report, &count)->runs > 10);
        asx_explore_report_destroy(report);
        asx_strategy_destroy(strategy);
    }
}

namespace
{

/* Dies of seeds 2, 6, 10 ..., if its third answer is not 0. */
void run_crasher(asx_explore_program *base, asx_explore_run *run)
{
    (void)base;
    const uint32_t self = 0;
    asx_explore_run_turn(run, &self, 1);
    uint32_t answers[6];
    for (uint32_t &answer : answers) {
        answer = asx_explore_run_value(run, ASX_CHOICE_IORES, 1000, 0);
    }
    if (asx_explore_run_seed(run) % 4 == 2 && answers[2] > 0) {
        signal(SIGABRT, SIG_DFL);
        abort();
    }
    asx_explore_verdict verdict = {};
    asx_explore_run_finish(run, &verdict);
}

} // namespace

TEST_CASE("explore: a run that kills its process is a row like any other", "[lab]")
{
    asx_explore_program program = {};
    program.name = "crasher";
    program.processes = 1;
    program.run = run_crasher;
    asx_explore_config config = {};
    config.runs_max = 12;
    config.jobs = 2;
    config.past_failures = true;
    asx_strategy *strategy = asx_strategy_random(0);
    asx_explore_report *report = asx_explore(&program, strategy, &config);
    uint32_t count;
    const asx_explore_row *rows = asx_explore_rows(report, &count);
    REQUIRE(count == 12);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(rows[i].index == i);
        CHECK(rows[i].seed == i);
        CHECK((rows[i].end == ASX_EXPLORE_CRASHED) == (i % 4 == 2));
    }
    const asx_explore_failure *failure = asx_explore_failures(report, &count);
    REQUIRE(count == 1);
    CHECK(failure->runs == 3);
    CHECK(failure->index == 2);
    CHECK(failure->end == ASX_EXPLORE_CRASHED);
    CHECK(std::string(failure->text) == "the run killed its process: signal 6");
    CHECK(failure->choice_count == 6);

    asx_shrunk shrunk;
    asx_shrink_failure(&shrunk, &program, failure->seed, failure->signature, failure->choices,
                       failure->choice_count, &config.limits, 0);
    CHECK(shrunk.result.reproduced);
    REQUIRE(shrunk.choice_count == 3);
    CHECK(shrunk.choices[0].chosen == 0);
    CHECK(shrunk.choices[2].chosen == 1);
    CHECK(shrunk.choices[2].n == 1000);
    CHECK(shrunk.deviations == 1);
    CHECK(shrunk.verdict.end == ASX_EXPLORE_CRASHED);
    CHECK(shrunk.calm == nullptr);
    asx_shrunk_deinit(&shrunk);
    asx_explore_report_destroy(report);
    asx_strategy_destroy(strategy);
}

TEST_CASE("explore: limits of steps and of choices end a run, and say so", "[lab]")
{
    letters world("wx wx wx | wx wx wx");
    asx_explore_config config = {};
    config.runs_max = 3;
    config.limits.steps_max = 4;
    asx_strategy *strategy = asx_strategy_random(0);
    asx_explore_report *report = asx_explore(world.program(), strategy, &config);
    uint32_t count;
    CHECK(asx_explore_rows(report, &count)[0].end == ASX_EXPLORE_STEP_LIMIT);
    CHECK(asx_explore_rows(report, &count)[0].steps == 4);
    asx_explore_report_destroy(report);
    config.limits.steps_max = 0;
    config.limits.choices_max = 2;
    report = asx_explore(world.program(), strategy, &config);
    CHECK(asx_explore_rows(report, &count)[0].end == ASX_EXPLORE_STEP_LIMIT);
    CHECK(asx_explore_rows(report, &count)[0].choices == 2);
    asx_explore_report_destroy(report);
    asx_strategy_destroy(strategy);
}

TEST_CASE("explore: budgets of time and of news, and the progress told", "[lab]")
{
    letters world("wx | wx");
    asx_explore_config config = {};
    config.runs_max = 1000000;
    config.real_ns_max = 50 * 1000000;
    config.progress_ns = 10 * 1000000;
    config.now_ns = fake_clock;
    std::vector<asx_explore_progress> told;
    config.progress_arg = &told;
    config.progress = [](void *arg, const asx_explore_progress *progress) {
        static_cast<std::vector<asx_explore_progress> *>(arg)->push_back(*progress);
    };
    asx_strategy *strategy = asx_strategy_random(0);
    asx_explore_report *report = asx_explore(world.program(), strategy, &config);
    CHECK(std::string(asx_explore_why(report)) == "time");
    CHECK(asx_explore_coverage_of(report).runs == 50);
    CHECK(told.size() == 5);
    CHECK(told.back().runs == 50);
    CHECK(told.back().classes == 2);
    CHECK(told.back().budget_ns == config.real_ns_max);
    asx_explore_report_destroy(report);

    config = {};
    config.runs_max = 1000000;
    config.no_news_max = 59;
    report = asx_explore(world.program(), strategy, &config);
    CHECK(std::string(asx_explore_why(report)) == "no news");
    const asx_explore_coverage c = asx_explore_coverage_of(report);
    CHECK(c.since_last_new == 59);
    CHECK(c.classes == 2);
    CHECK(c.existing_hits == c.runs - 2);
    CHECK(c.saturated);
    asx_explore_report_destroy(report);
    asx_strategy_destroy(strategy);
}

TEST_CASE("explore: races and estimates of a run", "[lab]")
{
    letters world("rx wx | rx wx");
    asx_explore_config config = {};
    config.runs_max = 1;
    config.count_races = true;
    asx_strategy *strategy = asx_strategy_default(0);
    asx_explore_report *report = asx_explore(world.program(), strategy, &config);
    uint32_t count;
    const asx_explore_row *row = asx_explore_rows(report, &count);
    /* r w of one, then r w of the other: its read meets the write before it, and its write that
     * write again, but only through its own read. */
    CHECK(row->races == 1);
    CHECK(row->reversible == 1);
    CHECK(row->steps_in_race == 2);
    CHECK(row->classes_least == 2);
    CHECK(asx_explore_site_count(report, ASX_CHOICE_SHARD) == row->choices);
    asx_explore_report_destroy(report);
    asx_strategy_destroy(strategy);
    CHECK(asx_explore_measure(world.program(), &config.limits) == 2);
}

TEST_CASE("explore: what may be said of unseen classes", "[lab]")
{
    CHECK(asx_explore_unseen_mass(59, 0.05) == Approx(0.0495).margin(0.0001));
    CHECK(asx_explore_runs_for_mass(0.05, 0.05) == 59);
    CHECK(asx_explore_novelty_bound(100, 3, 0.05) == Approx(0.1524).margin(0.0001));
    CHECK(asx_explore_novelty_bound(19, 0, 0.05) == 1);
    CHECK(asx_explore_novelty_bound(599, 0, 0.05) > 0.05);
    CHECK(asx_explore_novelty_bound(600, 0, 0.05) < 0.05);
    asx_explore_coverage c = {};
    c.runs = 50, c.once = 5;
    CHECK(asx_explore_good_turing(&c) == Approx(0.1));
}

TEST_CASE("replay: the answers of a run repeat it; what does not fit is zero", "[lab]")
{
    letters world("rx wx | rx wx | rx wx");
    world.values = 4;
    asx_explore_limits limits = {};
    asx_explore_run *run = asx_explore_run_create(3, &limits);
    asx_strategy *random = asx_strategy_random(9);
    uint64_t seed;
    for (uint64_t index = 0; index < 20; index++) {
        random->begin(random, index, &seed);
        asx_explore_run_make(run, world.program(), random, seed, false);
        const asx_explore_verdict first = *asx_explore_run_verdict(run);
        uint32_t count;
        const asx_lab_choice *rows = asx_explore_run_choices(run, &count);
        std::vector<asx_lab_choice> kept(rows, rows + count);
        asx_strategy *replay = asx_strategy_replay(seed, kept.data(), count);
        replay->begin(replay, 0, &seed);
        asx_explore_run_make(run, world.program(), replay, seed, false);
        CHECK(asx_explore_run_verdict(run)->schedule_hash == first.schedule_hash);
        CHECK(asx_explore_run_verdict(run)->fingerprint == first.fingerprint);
        CHECK(asx_strategy_replay_misfits(replay) == 0);

        kept[1].chosen = 77; /* out of range */
        kept[1].n = 78;
        replay->begin(replay, 0, &seed);
        asx_explore_run_make(run, world.program(), replay, seed, false);
        CHECK(asx_explore_run_choices(run, &count)[1].chosen == 0);
        CHECK(asx_strategy_replay_misfits(replay) >= 1);
        asx_strategy_destroy(replay);
    }
    asx_strategy_destroy(random);
    asx_explore_run_destroy(run);
}

namespace
{

void run_hanger(asx_explore_program *base, asx_explore_run *run)
{
    (void)base;
    while (asx_explore_run_seed(run) == 3) {
        pause();
    }
    asx_explore_verdict verdict = {};
    asx_explore_run_finish(run, &verdict);
}

uint64_t real_clock()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000000000 + static_cast<uint64_t>(t.tv_nsec);
}

} // namespace

TEST_CASE("explore: a run that never ends cannot outlast the budget", "[lab]")
{
    asx_explore_program program = {};
    program.name = "hanger";
    program.processes = 1;
    program.run = run_hanger;
    asx_explore_config config = {};
    config.jobs = 2;
    config.real_ns_max = 200 * 1000000;
    config.now_ns = real_clock;
    asx_strategy *strategy = asx_strategy_random(0);
    asx_explore_report *report = asx_explore(&program, strategy, &config);
    CHECK(std::string(asx_explore_why(report)) == "time");
    CHECK(asx_explore_coverage_of(report).runs <= 3); /* those before the one that hangs */
    asx_explore_report_destroy(report);
    asx_strategy_destroy(strategy);
}
