/* At stake: a proof by exploration is one only if every class was visited, and it is affordable
 * only if few are visited twice. The counts of the table are known by hand and by enumeration. */
#include <asx/lab/dpor.h>
#include <asx/lab/explore.h>
#include <asx/lab/strategy.h>

#include "letters.h"

#include <catch2/catch.hpp>
#include <set>

namespace
{

struct explored {
    uint64_t runs = 0, failed = 0;
    std::set<uint64_t> classes, failed_classes;
    asx_dpor_counts counts = {};
    bool exhaustive = false;
    std::string why;
};

explored explore(asx_explore_program *program, asx_strategy *strategy, bool is_dpor)
{
    asx_explore_config config = {};
    config.runs_max = 100000;
    config.past_failures = true;
    asx_explore_report *report = asx_explore(program, strategy, &config);
    explored e;
    uint32_t count;
    const asx_explore_row *rows = asx_explore_rows(report, &count);
    for (uint32_t i = 0; i < count; i++) {
        e.runs++;
        if (rows[i].end != ASX_EXPLORE_ABANDONED) {
            e.classes.insert(rows[i].fingerprint);
        }
        if (rows[i].signature) {
            e.failed++;
            e.failed_classes.insert(rows[i].fingerprint);
        }
    }
    CHECK(std::string(asx_explore_why(report)) == "nothing left");
    if (is_dpor) {
        const char *why = nullptr;
        e.counts = asx_dpor_counts_of(strategy);
        e.exhaustive = asx_dpor_exhaustive(strategy, &why);
        e.why = why ? why : "";
    }
    asx_explore_report_destroy(report);
    asx_strategy_destroy(strategy);
    return e;
}

explored by_dpor(asx_explore_program *program, bool sleepless, uint32_t data_max = 0)
{
    asx_dpor_config config = {};
    config.sleepless = sleepless;
    config.data_max = data_max;
    return explore(program, asx_dpor_create(&config), true);
}

/* Every interleaving there is. */
explored by_force(asx_explore_program *program)
{
    return explore(program, asx_strategy_bounded(0, 1000), false);
}

} // namespace

TEST_CASE("dpor: the table of small worlds", "[lab]")
{
    const struct {
        const char *text;
        uint64_t interleavings, classes, runs, sleepless;
    } table[] = {
        { "wx | wx", 2, 2, 2, 2 },       { "wx | wy | wz", 6, 1, 1, 1 },
        { "wx | wx | wx", 6, 6, 6, 6 },  { "wx | wx | wx | wx", 24, 24, 24, 24 },
        { "wx | rx | rx", 6, 4, 4, 5 },  { "wx | rx | rx | rx", 24, 8, 8, 16 },
        { "wx ry | wy rx", 6, 3, 3, 4 }, { "wx wx | wx wx", 6, 6, 6, 6 },
        { "rx wx | rx wx", 6, 4, 4, 6 }, { "rx wx | rx wx | rx wx", 90, 36, 36, 90 },
        { "wx wy | wy wx", 6, 3, 3, 4 }, { "wa wb wx | wc wd wx", 20, 2, 2, 4 },
    };
    for (const auto &row : table) {
        INFO(row.text);
        letters world(row.text);
        const explored all = by_force(world.program());
        CHECK(all.runs == row.interleavings);
        CHECK(all.classes.size() == row.classes);
        const explored dpor = by_dpor(world.program(), false);
        CHECK(dpor.runs == row.runs);
        CHECK(dpor.classes == all.classes);
        CHECK(dpor.counts.sleep_blocked == 0);
        CHECK(dpor.exhaustive);
        const explored sleepless = by_dpor(world.program(), true);
        CHECK(sleepless.runs == row.sleepless);
        CHECK(sleepless.classes == all.classes);
    }
}

TEST_CASE("dpor: a lost update fails in two of its four classes", "[lab]")
{
    letters world("rx wx | rx wx", lost_update);
    const explored dpor = by_dpor(world.program(), false);
    CHECK(dpor.failed == 2);
    CHECK(dpor.failed_classes.size() == 2);
    CHECK(dpor.failed_classes == by_force(world.program()).failed_classes);
}

TEST_CASE("dpor: random worlds, every class once and none forgotten", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 11);
    uint64_t blocked = 0;
    for (int round = 0; round < 150; round++) {
        std::string text;
        const uint64_t processes = 2 + asx_prng_below(&prng, 2);
        for (uint64_t p = 0; p < processes; p++) {
            const uint64_t letters_count = 1 + asx_prng_below(&prng, processes == 2 ? 4 : 3);
            for (uint64_t l = 0; l < letters_count; l++) {
                text += asx_prng_below(&prng, 2) ? 'w' : 'r';
                text += static_cast<char>('x' + asx_prng_below(&prng, 3));
                text += ' ';
            }
            text += p + 1 < processes ? "| " : "";
        }
        INFO(text);
        letters world(text);
        const explored all = by_force(world.program());
        const explored dpor = by_dpor(world.program(), false);
        CHECK(dpor.classes == all.classes);
        CHECK(dpor.runs == all.classes.size() + dpor.counts.sleep_blocked);
        blocked += dpor.counts.sleep_blocked;
        CHECK(by_dpor(world.program(), true).classes == all.classes);
    }
    INFO("sleep-blocked runs " << blocked);
    CHECK(blocked <= 15); /* source sets are not optimal, but nearly */
}

TEST_CASE("dpor: values inside a step are enumerated, the boundaries first under a cap", "[lab]")
{
    letters world("wx | wx");
    world.values = 3;
    const explored all = by_dpor(world.program(), false);
    CHECK(all.runs == 2 * 9);
    CHECK(all.exhaustive);
    const explored capped = by_dpor(world.program(), false, 2);
    CHECK(capped.runs == 2 * 4);
    CHECK(!capped.exhaustive);
    CHECK(capped.why == "bounded: not all values of some question were tried");
    CHECK(capped.counts.data_capped > 0);
}

namespace
{

/* Two processes; the second wakes up only when the first has taken its first step, as a shard does
 * when a message arrives. */
struct woken {
    asx_explore_program base;
    bool other_resource;
};

void run_woken(asx_explore_program *base, asx_explore_run *run)
{
    const woken *self = reinterpret_cast<const woken *>(base);
    int at[2] = { 0, 0 };
    asx_explore_verdict verdict = {};
    while (!asx_explore_run_stopped(run) && (at[0] < 2 || at[1] < 1)) {
        std::vector<uint32_t> enabled;
        if (at[0] < 2) {
            enabled.push_back(0);
        }
        if (at[0] > 0 && at[1] < 1) {
            enabled.push_back(1);
        }
        const uint32_t p = enabled[asx_explore_run_turn(run, enabled.data(), enabled.size())];
        asx_lab_access access = {};
        access.resource = ASX_LAB_RES_RING_SLOT;
        access.write = p == 0;
        access.object = p == 0 && at[0] == 1 && self->other_resource ? 2 : 1;
        asx_explore_run_touch(run, &access);
        at[p]++;
    }
    asx_explore_run_finish(run, &verdict);
}

} // namespace

TEST_CASE("dpor: a step that another one made possible is not tried before it", "[lab]")
{
    woken world = {};
    world.base.name = "woken";
    world.base.processes = 2;
    world.base.run = run_woken;
    explored e = by_dpor(&world.base, false);
    CHECK(e.runs == 2); /* the second write, before or after the read */
    CHECK(e.exhaustive);
    world.other_resource = true;
    e = by_dpor(&world.base, false);
    CHECK(e.runs == 1); /* the only race is with the step that woke it */
    CHECK(e.counts.reversible == 0);
}

namespace
{

/* Answers change nothing, and yet the second run differs: a program that is not what it says. */
void run_moody(asx_explore_program *base, asx_explore_run *run)
{
    static int calls;
    const uint32_t both[] = { 0, 1 };
    const uint32_t count = ++calls % 2 ? 2 : 1;
    asx_lab_access access = {};
    access.resource = ASX_LAB_RES_OBL;
    access.write = true;
    for (int i = 0; i < 2 && !asx_explore_run_stopped(run); i++) {
        asx_explore_run_turn(run, both, count);
        asx_explore_run_touch(run, &access);
        asx_explore_run_value(run, ASX_CHOICE_IORES, 2, 0);
    }
    (void)base;
    asx_explore_verdict verdict = {};
    asx_explore_run_finish(run, &verdict);
}

} // namespace

TEST_CASE("dpor: a program that does not follow its answers is never called exhausted", "[lab]")
{
    asx_explore_program program = {};
    program.name = "moody";
    program.processes = 2;
    program.run = run_moody;
    const explored e = by_dpor(&program, false);
    CHECK(e.counts.diverged > 0);
    CHECK(!e.exhaustive);
    CHECK(e.why == "some runs did not follow their answers");
}
