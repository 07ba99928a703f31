/* At stake: a lab that finds nothing says nothing. Each known mistake, planted in the kernel one at
 * a time, is found by every strategy within a stated number of runs, and shrinks to a stated number
 * of choices; without it the same program never fails. The table: lab_planted_test "[table]". */
#include <asx/lab/dpor.h>
#include <asx/lab/explore.h>
#include <asx/lab/explore_world.h>
#include <asx/lab/shrink.h>
#include <asx/lab/strategy.h>

#include "planted.h"
#include "planted_fork.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace
{

const uint64_t runs_max = 200;     /* for each bug and strategy */
const uint32_t deviations_max = 4; /* choices other than production's, after shrinking */
const uint64_t clean_runs_max = ASX_ASAN ? 40 : 200; /* of each story without its bug */

enum strategy_kind { RANDOM, PCT, POS, DPOR };

/* What a search left, in memory that outlives its process. */
struct outcome {
    uint64_t runs;
    bool found;
    char text[ASX_EXPLORE_TEXT_MAX];
};

struct world_of {
    asx_lab_config config{};
    asx_explore_world world{};
    asx_explore_limits limits{};

    explicit world_of(const planted_story &story)
    {
        config.shards = story.shards;
        config.widen_ready = true;
        config.ring_capacity = 8;
        asx_explore_world_init(&world, story.name, &config, story.app, nullptr);
        limits.steps_max = 5000;
    }
    asx_strategy *strategy(strategy_kind kind)
    {
        asx_pct_config pct = {};
        asx_dpor_config dpor = {};
        if (kind == RANDOM) {
            return asx_strategy_random(1);
        }
        if (kind == PCT) {
            pct.seed = 1;
            pct.steps = 50;
            return asx_strategy_pct(&pct);
        }
        if (kind == POS) {
            return asx_strategy_pos(1);
        }
        dpor.fixed_sites = ASX_DPOR_TIMING & ~(uint64_t(1) << ASX_CHOICE_READY);
        return asx_dpor_create(&dpor);
    }
};

asx_explore_report *explore(world_of &w, strategy_kind kind, uint64_t runs, uint32_t jobs)
{
    asx_explore_config config = {};
    config.runs_max = runs;
    config.limits = w.limits;
    config.jobs = jobs;
    asx_strategy *strategy = w.strategy(kind);
    asx_explore_report *report = asx_explore(&w.world.program, strategy, &config);
    asx_strategy_destroy(strategy);
    return report;
}

outcome outcome_of(const asx_explore_report *report)
{
    uint32_t count;
    const asx_explore_failure *failures = asx_explore_failures(report, &count);
    outcome result = {};
    result.runs = asx_explore_coverage_of(report).runs;
    result.found = count > 0;
    if (count > 0) {
        result.runs = failures[0].index + 1;
        snprintf(result.text, sizeof result.text, "%s", failures[0].text);
    }
    return result;
}

outcome *counted; /* by the runs of a child */

/* A systematic search remembers from run to run, so it lives and dies as a whole. */
outcome search_apart(world_of &w)
{
    outcome result = {};
    w.world.reset = [](void *) { counted->runs++; };
    const int status = planted_fork(&result, [&](outcome *shared) {
        counted = shared;
        asx_explore_report *report = explore(w, DPOR, runs_max, 0);
        *shared = outcome_of(report);
    });
    if (WIFSIGNALED(status)) {
        result.found = true;
        snprintf(result.text, sizeof result.text, "the run killed its process: signal %d",
                 WTERMSIG(status));
    }
    return result;
}

outcome search(const planted_story &story, strategy_kind kind)
{
    planted_quiet hush;
    world_of w(story);
    if (kind == DPOR) {
        return search_apart(w);
    }
    asx_explore_report *report = explore(w, kind, runs_max, 1);
    const outcome result = outcome_of(report);
    asx_explore_report_destroy(report);
    return result;
}

/* The fewest choices that show it, starting from a random run that does. */
uint32_t shrink(const planted_story &story, bool *truncated)
{
    planted_quiet hush;
    world_of w(story);
    asx_explore_report *report = explore(w, RANDOM, runs_max, 1);
    uint32_t count, left = UINT32_MAX;
    const asx_explore_failure *failures = asx_explore_failures(report, &count);
    if (count > 0) {
        asx_shrunk shrunk;
        asx_shrink_failure(&shrunk, &w.world.program, failures[0].seed, failures[0].signature,
                           failures[0].choices, failures[0].choice_count, &w.limits, 300);
        left = shrunk.result.reproduced ? shrunk.deviations : UINT32_MAX;
        *truncated = shrunk.result.truncated;
        asx_shrunk_deinit(&shrunk);
    }
    asx_explore_report_destroy(report);
    return left;
}

std::vector<planted_story> stories()
{
    uint32_t count;
    const planted_story *all = planted_stories(&count);
    return std::vector<planted_story>(all, all + count);
}

} // namespace

TEST_CASE("planted: no story fails without its bug", "[lab]")
{
    asxi_planted = 0;
    for (const planted_story &story : stories()) {
        world_of w(story);
        for (strategy_kind kind : { RANDOM, PCT, POS, DPOR }) {
            asx_explore_report *report = explore(w, kind, clean_runs_max, 0);
            const outcome clean = outcome_of(report);
            INFO(story.name << " " << clean.runs << " " << clean.text);
            CHECK_FALSE(clean.found);
            asx_explore_report_destroy(report);
        }
    }
}

TEST_CASE("planted: every bug is found by every strategy within its budget, and shrinks", "[lab]")
{
    REQUIRE(stories().size() >= 25);
    for (const planted_story &story : stories()) {
        asxi_planted = story.bug;
        for (strategy_kind kind : { RANDOM, PCT, POS, DPOR }) {
            const outcome result = search(story, kind);
            INFO(story.name << ": " << story.about << "; strategy " << kind << ", " << result.runs
                            << " runs " << result.text);
            CHECK(result.found);
            CHECK(result.runs <= runs_max);
        }
        bool truncated = false;
        const uint32_t left = shrink(story, &truncated);
        INFO(story.name << " shrinks to " << left);
        CHECK(left <= deviations_max);
        CHECK_FALSE(truncated);
    }
    asxi_planted = 0;
}

TEST_CASE("planted: the table of runs to find", "[.][table]")
{
    printf("%-18s %7s %5s %5s %5s %7s  %s\n", "bug", "random", "pct", "pos", "dpor", "shrunk",
           "seen as");
    for (const planted_story &story : stories()) {
        asxi_planted = story.bug;
        std::string runs[DPOR + 1], seen;
        for (strategy_kind kind : { RANDOM, PCT, POS, DPOR }) {
            const outcome result = search(story, kind);
            runs[kind] = result.found ? std::to_string(result.runs) : "-";
            seen = kind == RANDOM ? result.text : seen;
        }
        bool truncated = false;
        const uint32_t left = shrink(story, &truncated);
        printf("%-18s %7s %5s %5s %5s %7s  %.60s\n", story.name, runs[RANDOM].c_str(),
               runs[PCT].c_str(), runs[POS].c_str(), runs[DPOR].c_str(),
               left == UINT32_MAX ? "-" : std::to_string(left).c_str(), seen.c_str());
        fflush(stdout);
    }
    asxi_planted = 0;
}
