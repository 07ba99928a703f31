/* At stake: the line that the command prints is all that a reader of a failed build has: it must
 * repeat the failure, and the command must say with its status what happened. */
#include <asx/lab/explore_tool.h>
#include <asx/lab/schedule.h>

#include "store_world.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

namespace
{

asx_outcome two_clients(asx_cx *cx, void *)
{
    store state = { 0, 2, false };
    const asx_outcome ended = lost_update(cx, &state);
    if (asx_is_ok(ended) && state.value != 2) {
        return asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, 9));
    }
    return ended;
}

asx_outcome spin_for_ever(asx_cx *cx, void *)
{
    for (;;) {
        ASX_TRY(asx_yield(cx));
    }
}

asx_outcome blind_clients(asx_cx *cx, void *)
{
    store state = { 0, 2, true };
    return lost_update(cx, &state);
}

const asx_lab_scenario lossy = { "lossy", "loses updates", 3, 3, two_clients, nullptr, false };
const asx_lab_scenario blind = { "blind", "writes without reading", 3, 3, blind_clients, nullptr,
                                 false };
const asx_lab_scenario spinning = { "spinning", "never ends", 1, 1, spin_for_ever, nullptr, false };

const asx_lab_scenario quiet = { "quiet", "",   1, 1, [](asx_cx *, void *) { return asx_ok(0); },
                                 nullptr, false };

asx_outcome panics_when_cancelled(asx_cx *cx, void *)
{
    const asx_outcome outcome = asx_sleep(cx, 1000);
    if (!asx_is_ok(outcome)) {
        asx_panic("it was not to be cancelled");
    }
    return outcome;
}

/* Is lost when its child is, and it is told to withstand everything. */
asx_outcome frail_parent(asx_cx *cx, void *)
{
    asx_handle task;
    if (asx_spawn(cx, nullptr, panics_when_cancelled, nullptr, 0, nullptr, &task)) {
        return asx_ok(0);
    }
    const asx_outcome joined = asx_join(cx, task);
    return joined.severity == ASX_SEVERITY_PANICKED ? joined : asx_ok(0);
}

const asx_lab_scenario frail = {
    "frail", "fails when cancelled", 1, 1, frail_parent, nullptr, true
};

asx_outcome yields_once(asx_cx *cx, void *)
{
    return asx_yield(cx);
}

asx_outcome four_at_once(asx_cx *cx, void *)
{
    asx_handle tasks[4];
    for (asx_handle &task : tasks) {
        if (asx_spawn(cx, nullptr, yields_once, nullptr, 0, nullptr, &task)) {
            return asx_fail(ASX_E(NO_MEMORY));
        }
    }
    for (const asx_handle &task : tasks) {
        ASX_TRY(asx_join(cx, task));
    }
    return asx_ok(0);
}

const asx_lab_scenario crowd = { "crowd", "four are ready", 1, 1, four_at_once, nullptr, false };

struct said {
    int status;
    std::string text;

    std::string line(const std::string &begin) const
    {
        const size_t from = text.find(begin);
        return from == std::string::npos ? "" : text.substr(from, text.find('\n', from) - from);
    }
};

using command = int(const asx_lab_scenario *, int, char **, FILE *);

said say(command *run, const asx_lab_scenario *scenario, const std::string &words)
{
    std::istringstream in("--quiet " + words);
    std::vector<std::string> args;
    for (std::string word; in >> word;) {
        args.push_back(word);
    }
    std::vector<char *> argv;
    for (std::string &word : args) {
        argv.push_back(&word[0]);
    }
    char *text = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    said result;
    result.status = run(scenario, static_cast<int>(argv.size()), argv.data(), out);
    fclose(out);
    result.text.assign(text, len);
    free(text);
    return result;
}

said explore(const std::string &words, const asx_lab_scenario *scenario = &lossy)
{
    return say(asx_explore_tool_explore, scenario, words);
}

said shrink(const std::string &words, const asx_lab_scenario *scenario = &lossy)
{
    return say(asx_explore_tool_shrink, scenario, words);
}

/* What stands behind "asx lab shrink lossy" in a line that the command printed. */
std::string arguments(const std::string &line)
{
    const std::string before = "asx lab shrink lossy ";
    const size_t at = line.find(before);
    REQUIRE(at != std::string::npos);
    return line.substr(at + before.size());
}

} // namespace

TEST_CASE("explore tool: every strategy fails, and its line repeats the failure", "[lab]")
{
    for (const char *strategy : { "random", "pct", "pos", "dpor", "bounded --bound 3" }) {
        INFO(strategy);
        const said found = explore(std::string("--strategy ") + strategy);
        INFO(found.text);
        CHECK(found.status == ASX_EXPLORE_TOOL_VIOLATION);
        CHECK(found.line("  FAILED").find("user 9") != std::string::npos);
        const std::string args = arguments(found.line("  shrink"));
        const said shrunk =
            shrink(args + (std::string(strategy).substr(0, 7) == "bounded" ? " --bound 3" : ""));
        INFO(shrunk.text);
        CHECK(shrunk.status == ASX_EXPLORE_TOOL_VIOLATION);
        CHECK(shrunk.text.find("The calmest failing run:\n  shard 0: spawns T 0.") !=
              std::string::npos);
        const said again = shrink(arguments(shrunk.line("  again")));
        INFO(again.text);
        CHECK(again.status == ASX_EXPLORE_TOOL_VIOLATION);
        CHECK(again.line("  again") == shrunk.line("  again")); /* no smaller than it was */
    }
}

TEST_CASE("explore tool: one process or many say the same", "[lab]")
{
    const auto without_questions = [](std::string text) {
        const size_t from = text.find("  questions");
        return from == std::string::npos ? text : text.erase(from, text.find('\n', from) - from);
    };
    const said one = explore("--all --budget 60 --rows --races --jobs 0");
    const said two = explore("--all --budget 60 --rows --races --jobs 2");
    CHECK(without_questions(one.text) == without_questions(two.text));
    CHECK(one.text.find("lossy, random: 60 runs, stopped: budget") == 0);
    CHECK(one.text.find("\n59 seed 101 ") != std::string::npos);
}

TEST_CASE("explore tool: a systematic search says what it claims", "[lab]")
{
    const said turns = explore("--strategy dpor --all --budget 100000", &blind);
    CHECK(turns.line("  claim") == "  claim      bounded: all orders of whole turns, but questions "
                                   "of some sites were answered 0");
    const said part = explore("--strategy dpor --all --budget 10", &blind);
    CHECK(part.line("  claim") == "  claim      runs are left to make");
    const said all = explore("--strategy dpor --every", &quiet);
    INFO(all.text);
    CHECK(all.status == ASX_EXPLORE_TOOL_PASSED);
    CHECK(all.line("  claim") == "  claim      exhaustive");
}

TEST_CASE("explore tool: limits and misuse have statuses of their own", "[lab]")
{
    CHECK(explore("--budget 3 --steps 500", &spinning).status == ASX_EXPLORE_TOOL_LIMIT);
    for (const char *words : { "--budget", "--budget 0", "--budget 5x", "--strategy luck", "--nope",
                               "--depth 99", "--shards 64", "--seed minus" }) {
        INFO(words);
        CHECK(explore(words).status == ASX_EXPLORE_TOOL_USAGE);
    }
    CHECK(shrink("--choices 1,x").status == ASX_EXPLORE_TOOL_USAGE);
    const said passes = shrink("--choices 0", &quiet);
    CHECK(passes.status == ASX_EXPLORE_TOOL_PASSED);
    CHECK(passes.text == "quiet: the run of these choices passes\n");
    char *text = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    asx_explore_tool_usage(out);
    fclose(out);
    CHECK(std::string(text).find("usage: asx lab explore NAME") == 0);
    free(text);
}

TEST_CASE("explore tool: the told run is saved, and the lab replays it to the last event", "[lab]")
{
    char path[] = "/tmp/asx-shrunk-XXXXXX";
    const int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    close(fd);
    const said shrunk = shrink(std::string("--strategy dpor --save ") + path);
    CHECK(shrunk.status == ASX_EXPLORE_TOOL_VIOLATION);
    FILE *in = fopen(path, "rb");
    REQUIRE(in);
    asx_lab_schedule schedule;
    const char *why = asx_lab_schedule_read(in, &schedule);
    INFO((why ? why : ""));
    REQUIRE(why == nullptr);
    fclose(in);
    unlink(path);
    const asx_lab_config config = asx_lab_scenario_config(&lossy, schedule.seed, 0);
    asx_lab_divergence divergence;
    asx_lab_report report;
    CHECK(asx_lab_replay(&config, lossy.app, nullptr, &schedule, &divergence, &report));
    CHECK(std::string(report.outcome) == "err user 9");
    asx_lab_report_deinit(&report);
    asx_lab_schedule_deinit(&schedule);
    CHECK(shrink("--save /nowhere/at/all").status == ASX_EXPLORE_TOOL_FILE);
}

TEST_CASE("explore tool: under chaos a failure is searched for, repeated and told by its faults",
          "[lab]")
{
    CHECK(say(asx_explore_tool_explore, &frail, "--budget 50").status == ASX_EXPLORE_TOOL_PASSED);
    const said found = say(asx_explore_tool_explore, &frail, "--chaos heavy --budget 200");
    INFO(found.text);
    CHECK(found.status == ASX_EXPLORE_TOOL_VIOLATION);
    CHECK(found.line("  again ").find("frail --chaos heavy --seed ") != std::string::npos);
    const std::string again = found.line("  shrink ");
    const size_t at = again.find(" --chaos heavy");
    REQUIRE(at != std::string::npos);

    const said shrunk = say(asx_explore_tool_shrink, &frail, again.substr(at));
    INFO(shrunk.text);
    CHECK(shrunk.status == ASX_EXPLORE_TOOL_VIOLATION);
    unsigned before = 0, left = 0, still = 0, again_left = 0;
    REQUIRE(sscanf(shrunk.line("  faults ").c_str(), "  faults %u to %u;", &before, &left) == 2);
    CHECK((left >= 1 && left <= before));
    CHECK(shrunk.text.find(" at turn ") != std::string::npos);
    const std::string line = shrunk.line("  again ");
    const size_t from = line.find(" --chaos heavy");
    REQUIRE(from != std::string::npos);
    const said told = say(asx_explore_tool_shrink, &frail, line.substr(from));
    INFO(told.text);
    CHECK(told.status == ASX_EXPLORE_TOOL_VIOLATION);
    REQUIRE(sscanf(told.line("  faults ").c_str(), "  faults %u to %u;", &still, &again_left) == 2);
    CHECK((still == left && again_left == left)); /* none of them can go */
    CHECK(say(asx_explore_tool_explore, &frail, "--chaos hail").status == ASX_EXPLORE_TOOL_USAGE);
}

TEST_CASE("explore tool: widened, more schedules are distinct", "[lab]")
{
    const said plain = say(asx_explore_tool_explore, &crowd, "--budget 30");
    const said wide = say(asx_explore_tool_explore, &crowd, "--budget 30 --wide");
    INFO(plain.text << wide.text);
    unsigned narrow = 0, broad = 0;
    REQUIRE(sscanf(plain.line("  classes ").c_str(), "  classes %u", &narrow) == 1);
    REQUIRE(sscanf(wide.line("  classes ").c_str(), "  classes %u", &broad) == 1);
    CHECK(wide.status == ASX_EXPLORE_TOOL_PASSED);
    CHECK(broad > narrow);
}
