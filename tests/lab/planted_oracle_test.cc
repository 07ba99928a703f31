/* At stake: an oracle that no known mistake can make speak may be deaf. For each oracle there is a
 * planted bug that it reports, first of all or alone, and no two oracles are told apart by nothing.
 * The table: lab_planted_test "[oracles]". */
#include <asx/lab/oracle.h>

#include "planted.h"
#include "planted_fork.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

namespace
{

const uint64_t seeds_max = 100; /* for each bug */

/* What the oracles said of the runs of a story, up to the first run in which one spoke; in memory
 * that outlives a run that kills its process. */
struct heard {
    uint32_t first; /* bits 1 << asx_lab_oracle: those that spoke at the first violation */
    uint64_t seed;
};

/* Asks after every event, so that what follows from a violation cannot hide it. */
struct witness {
    asx_lab_listener listener{};
    asx_lab_check *check = asx_lab_check_create(false);
    asx_lab_oracles *oracles = asx_lab_oracles_create(check, ASX_LAB_ORACLES_ALL, 16);
    heard *result;
    bool silent = true; /* what needs to know whose turn it is, only the run itself can say */

    explicit witness(heard *to) : result(to)
    {
        listener.hear = [](asx_lab_listener *self, const asx_lab_event *event) {
            witness *w = reinterpret_cast<witness *>(self);
            asx_lab_check_event(w->check, event);
            asx_lab_oracles_event(w->oracles, event);
            w->ask();
        };
    }
    ~witness()
    {
        asx_lab_oracles_destroy(oracles);
        asx_lab_check_destroy(check);
    }
    witness(const witness &) = delete;
    void ask()
    {
        for (uint32_t i = 0; i < ASX_LAB_ORACLE_COUNT && result->first == 0; i++) {
            if (speaks(i)) {
                silent = false;
                for (uint32_t j = i; j < ASX_LAB_ORACLE_COUNT; j++) {
                    result->first |= uint32_t(speaks(j)) << j;
                }
            }
        }
    }
    bool speaks(uint32_t oracle) const
    {
        return asx_lab_oracles_verdict(oracles, asx_lab_oracle(oracle)).finding == ASX_LAB_FAIL;
    }
};

void run(const planted_story &story, uint64_t seed, heard *result)
{
    witness w(result);
    asx_lab_config config = {};
    asx_lab_report report;
    config.seed = seed;
    config.shards = story.shards;
    config.widen_ready = true;
    config.ring_capacity = 8;
    config.max_steps = 5000;
    config.listeners = &w.listener;
    (void)asx_lab_run(&config, story.app, nullptr, &report);
    asx_lab_oracles_end(w.oracles, report.termination == ASX_LAB_DEADLOCK);
    w.ask();
    for (uint32_t i = 0; i < ASX_LAB_ORACLE_COUNT && w.silent; i++) {
        result->first |= uint32_t(report.oracles[i].finding == ASX_LAB_FAIL) << i;
    }
    asx_lab_report_deinit(&report);
}

heard listen(const planted_story &story)
{
    heard result = {};
    asxi_planted = story.bug;
    for (uint64_t seed = 1; seed <= seeds_max && result.first == 0; seed++) {
        result.seed = seed;
        planted_fork<heard>(&result, [&](heard *shared) { run(story, seed, shared); });
    }
    asxi_planted = 0;
    return result;
}

std::string names_of(uint32_t oracles)
{
    std::string names;
    for (uint32_t i = 0; i < ASX_LAB_ORACLE_COUNT; i++) {
        if (oracles >> i & 1) {
            names +=
                (names.empty() ? "" : " ") + std::string(asx_lab_oracle_name(asx_lab_oracle(i)));
        }
    }
    return names;
}

std::vector<planted_story> stories()
{
    uint32_t count;
    const planted_story *all = planted_stories(&count);
    return std::vector<planted_story>(all, all + count);
}

} // namespace

TEST_CASE("planted: each oracle reports a bug of its own, first of all", "[lab]")
{
    std::vector<std::set<std::string>> bugs(ASX_LAB_ORACLE_COUNT);
    for (const planted_story &story : stories()) {
        const heard result = listen(story);
        INFO(story.name << ": " << names_of(result.first));
        CHECK((story.oracle == PLANTED_UNHEARD ? result.first == 0
                                               : (result.first >> story.oracle & 1) != 0));
        for (uint32_t i = 0; i < ASX_LAB_ORACLE_COUNT; i++) {
            if (result.first >> i & 1) {
                bugs[i].insert(story.name);
            }
        }
    }
    for (uint32_t i = 0; i < ASX_LAB_ORACLE_COUNT; i++) {
        INFO(asx_lab_oracle_name(asx_lab_oracle(i)));
        CHECK_FALSE(bugs[i].empty());
        for (uint32_t j = 0; j < i; j++) {
            INFO(asx_lab_oracle_name(asx_lab_oracle(j)));
            CHECK(bugs[i] != bugs[j]); /* or one of the two is enough */
        }
    }
}

TEST_CASE("planted: the table of who reports what", "[.][oracles]")
{
    printf("%-18s %5s  %s\n", "bug", "seed", "first");
    for (const planted_story &story : stories()) {
        const heard result = listen(story);
        printf("%-18s %5s  %s\n", story.name,
               result.first ? std::to_string(result.seed).c_str() : "-",
               result.first ? names_of(result.first).c_str() : "");
    }
}
