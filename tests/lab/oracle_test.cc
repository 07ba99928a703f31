/* At stake: an oracle that cannot fail says nothing. Each question is answered wrongly once, on
 * purpose, by a trace made by hand, and by no other trace; sound runs leave all of them silent. */
#include <asx/shard/combine/branch.h>

#include "lab_fixture.h"
#include "oracle_trial.h"

TEST_CASE("oracle: what nobody did is vacuous, not green", "[lab]")
{
    trial t;
    CHECK(t.failing() == "");
    CHECK(t.of(ASX_LAB_ORACLE_TASK_LEAK).finding == ASX_LAB_PASS);
    CHECK(t.of(ASX_LAB_ORACLE_FINALIZER).finding == ASX_LAB_VACUOUS);
    CHECK(t.of(ASX_LAB_ORACLE_LOSER_DRAIN).finding == ASX_LAB_VACUOUS);
}

TEST_CASE("oracle: a race that ends before a loser is loser_drain", "[lab]")
{
    for (bool drained : { true, false }) {
        trial t;
        t.add(ASX_TRACE_REGION_CREATE, { R2, R1 }).add(ASX_TRACE_RACE_BEGIN, { T1, R2 });
        t.add(ASX_TRACE_TASK_SPAWN, { T2, R2 }).add(ASX_TRACE_TASK_SPAWN, { T3, R2 });
        t.add(ASX_TRACE_TASK_COMPLETE, { T2, R2, 0 });
        if (drained) {
            t.add(ASX_TRACE_TASK_COMPLETE, { T3, R2, 2 });
        }
        t.add(ASX_TRACE_RACE_END, { T1, R1, 0 });
        CHECK(t.failing() == (drained ? "" : "loser_drain"));
        t.add(ASX_TRACE_RACE_END, { T1, R1, 0 }); /* of which race? */
        CHECK(t.failing() == "loser_drain");
    }
}

TEST_CASE("oracle: a child without a deadline under a parent with one is deadline_monotone",
          "[lab]")
{
    for (uint64_t child : { uint64_t(100), uint64_t(99), uint64_t(101), NEVER }) {
        trial t;
        t.add(ASX_TRACE_BUDGET_INSTALL, { 0, R1, 100, 1, 1, 1 });
        t.add(ASX_TRACE_REGION_CREATE, { R2, R1 });
        t.add(ASX_TRACE_BUDGET_INSTALL, { 0, R2, child, 1, 1, 1 });
        CHECK(t.failing() == (child <= 100 ? "" : "deadline_monotone"));
        trial u;
        u.add(ASX_TRACE_BUDGET_INSTALL, { 0, R1, 100, 1, 1, 1 });
        u.add(ASX_TRACE_TASK_SPAWN, { T2, R1 });
        u.add(ASX_TRACE_BUDGET_INSTALL, { T2, R1, child, 1, 1, 1 });
        CHECK(u.failing() == (child <= 100 ? "" : "deadline_monotone"));
    }
}

TEST_CASE("oracle: finalizers run once, the last first, after the tasks", "[lab]")
{
    trial t;
    t.add(ASX_TRACE_FINALIZER_ADD, { R1, 1 }).add(ASX_TRACE_FINALIZER_ADD, { R1, 2 });
    SECTION("sound")
    {
        t.add(ASX_TRACE_TASK_COMPLETE, { T1, R1, 0 });
        t.add(ASX_TRACE_FINALIZER_RUN, { R1, 2 }).add(ASX_TRACE_FINALIZER_RUN, { R1, 1 });
        CHECK(t.failing() == "");
        t.add(ASX_TRACE_FINALIZER_RUN, { R1, 1 });
        CHECK(t.failing() == "finalizer");
    }
    SECTION("beside a task")
    {
        t.add(ASX_TRACE_FINALIZER_RUN, { R1, 2 });
        CHECK(t.failing() == "finalizer");
    }
    SECTION("the first first")
    {
        t.add(ASX_TRACE_TASK_COMPLETE, { T1, R1, 0 });
        t.add(ASX_TRACE_FINALIZER_RUN, { R1, 1 });
        CHECK(t.failing() == "finalizer");
    }
    SECTION("not at all")
    {
        t.add(ASX_TRACE_TASK_COMPLETE, { T1, R1, 0 });
        t.add(ASX_TRACE_REGION_CLOSE_BEGIN, { R1, R0 });
        t.add(ASX_TRACE_REGION_CLOSE_END, { R1, R0, 0 });
        CHECK(t.failing() == "finalizer quiescence");
    }
}

TEST_CASE("oracle: a cancelled region cancels its tasks and its children before any runs", "[lab]")
{
    const uint64_t kind = ASX_CANCEL_USER;
    for (int missing : { 0, 1, 2 }) {
        trial t;
        t.add(ASX_TRACE_REGION_CREATE, { R2, R1 }).add(ASX_TRACE_TASK_SPAWN, { T2, R2 });
        t.add(ASX_TRACE_REGION_CANCEL, { R1, kind, R1 });
        t.add(ASX_TRACE_CANCEL_REQUEST, { T1, R1, kind, R1, 0 });
        if (missing != 1) {
            t.add(ASX_TRACE_REGION_CANCEL, { R2, ASX_CANCEL_PARENT_CANCELLED, R1 });
        }
        if (missing == 0) {
            t.add(ASX_TRACE_CANCEL_REQUEST, { T2, R2, ASX_CANCEL_PARENT_CANCELLED, R1, 0 });
        }
        CHECK(t.failing() == "");
        t.dispatch(T1, 1);
        CHECK(t.failing() == (missing ? "cancellation_protocol" : ""));
    }
}

TEST_CASE("oracle: a cancel never weakens and is heeded within 65 dispatches", "[lab]")
{
    trial t;
    t.add(ASX_TRACE_CANCEL_REQUEST, { T1, R1, ASX_CANCEL_SHUTDOWN, R1, 0 });
    SECTION("weaker")
    {
        t.add(ASX_TRACE_CANCEL_REQUEST, { T1, R1, ASX_CANCEL_USER, R1, 0 });
        CHECK(t.failing() == "cancellation_protocol");
    }
    SECTION("unheeded")
    {
        for (int i = 0; i < 65; i++) {
            t.dispatch(T1, 1);
        }
        CHECK(t.failing() == "");
        t.dispatch(T1, 1);
        CHECK(t.failing() == "cancellation_protocol");
    }
    SECTION("masked")
    {
        t.add(ASX_TRACE_MASK_ENTER, { T1, 1 });
        for (int i = 0; i < 200; i++) {
            t.dispatch(T1, 1);
        }
        CHECK(t.failing() == "");
        t.add(ASX_TRACE_MASK_EXIT, { T1, 1 }).add(ASX_TRACE_MASK_EXIT, { T1, 0 });
        CHECK(t.failing() == "cancellation_protocol");
    }
}

TEST_CASE("oracle: nobody gives what he does not have", "[lab]")
{
    trial t;
    t.add(ASX_TRACE_TASK_SPAWN, { T2, R1 }).add(ASX_TRACE_CAP_INSTALL, { T2, 0xfd, T1 });
    t.add(ASX_TRACE_CAP_USE, { T2, 1 });
    CHECK(t.failing() == "");
    SECTION("used")
    {
        t.add(ASX_TRACE_CAP_USE, { T2, 2 });
        CHECK(t.failing() == "ambient_authority");
    }
    SECTION("given")
    {
        t.add(ASX_TRACE_TASK_SPAWN, { T3, R1 }).add(ASX_TRACE_CAP_INSTALL, { T3, 0xff, T2 });
        CHECK(t.failing() == "ambient_authority");
    }
}

TEST_CASE("oracle: no lane waits for ever behind another", "[lab]")
{
    for (uint64_t lane : { uint64_t(1), uint64_t(2) }) {
        const int limit = lane == 1 ? 8 : 9 * 7; /* twice the streak; that and the timed ones */
        trial t;
        t.add(ASX_TRACE_TASK_SPAWN, { T2, R1 });
        for (int i = 0; i < limit; i++) {
            t.dispatch(T1, lane);
        }
        CHECK(t.failing() == "");
        t.dispatch(T1, lane);
        CHECK(t.failing() == "lane_fairness");
        trial alone;
        for (int i = 0; i < 3 * limit; i++) {
            alone.dispatch(T1, lane);
        }
        CHECK(alone.failing() == "");
    }
}

TEST_CASE("oracle: a task that holds a permit and waits for nothing is a futurelock", "[lab]")
{
    for (bool timed : { false, true }) {
        trial t;
        t.add(ASX_TRACE_OBL_RESERVE, { O1, T1, R1, 0 });
        t.add(ASX_TRACE_TASK_SPAWN, { T2, R1 });
        t.add(ASX_TRACE_TASK_BLOCK, { T1, R1, 0, 0 });
        if (timed) {
            t.add(ASX_TRACE_TIMER_ARM, { 1, 1000000, 0 });
        }
        for (int i = 0; i < 9000; i++) {
            t.dispatch(T2);
        }
        CHECK(t.failing() == "");
        for (int i = 0; i < 3000; i++) {
            t.dispatch(T2);
        }
        CHECK(t.failing() == (timed ? "" : "futurelock"));
    }
    for (bool stuck : { false, true }) {
        trial t;
        t.add(ASX_TRACE_OBL_RESERVE, { O1, T1, R1, 0 });
        t.add(ASX_TRACE_TASK_BLOCK, { T1, R1, 0, 0 });
        asx_lab_oracles_end(t.oracles, stuck);
        CHECK(t.failing() == (stuck ? "futurelock" : ""));
    }
}

TEST_CASE("oracle: a broken rule fails those that it belongs to", "[lab]")
{
    trial leak;
    leak.add(ASX_TRACE_OBL_RESERVE, { O1, T1, R1, 0 })
        .add(ASX_TRACE_OBL_LEAK, { O1, T1, R1, 0, 5 });
    CHECK(leak.failing() == "obligation_leak");
    trial kept;
    kept.add(ASX_TRACE_OBL_RESERVE, { O1, T1, R1, 0 }).add(ASX_TRACE_TASK_COMPLETE, { T1, R1, 0 });
    CHECK(kept.failing() == "obligation_leak");
    trial twice;
    twice.add(ASX_TRACE_OBL_RESERVE, { O1, T1, R1, 0 });
    twice.add(ASX_TRACE_OBL_COMMIT, { O1, T1, R1, 0, 5 });
    twice.add(ASX_TRACE_OBL_COMMIT, { O1, T1, R1, 0, 5 });
    CHECK(twice.failing() == "obligation_linear");
    CHECK(twice.of(ASX_LAB_ORACLE_OBLIGATION_LINEAR).seq == 6);
    trial early;
    early.add(ASX_TRACE_REGION_CLOSE_BEGIN, { R1, R0 });
    early.add(ASX_TRACE_REGION_CLOSE_END, { R1, R0, 0 });
    CHECK(early.failing() == "quiescence task_leak");
    trial ring;
    ring.add(ASX_TRACE_RING_PUSH, { 1, 1, 0, 1 }).add(ASX_TRACE_RING_POP, { 1, 2, 0, 1 });
    CHECK(ring.failing() == "ring_fifo");
    trial reopened;
    reopened.add(ASX_TRACE_REGION_CREATE, { R1, R0 });
    CHECK(reopened.failing() == "quiescence region_tree");
}

TEST_CASE("oracle: only those that were named are asked, and a wrong name is told the nearest",
          "[lab]")
{
    char why[160] = "";
    CHECK(asx_lab_oracles_select("finalizer,task_leak", why, sizeof why) ==
          (1u << ASX_LAB_ORACLE_FINALIZER | 1u << ASX_LAB_ORACLE_TASK_LEAK));
    CHECK(asx_lab_oracles_select(nullptr, why, sizeof why) == ASX_LAB_ORACLES_ALL);
    CHECK(asx_lab_oracles_select("finalizer,taskleak", why, sizeof why) == 0);
    CHECK(std::string(why) == "there is no oracle taskleak; the nearest is task_leak");
    CHECK(asx_lab_oracles_select("", why, sizeof why) == 0);

    trial t("ring_fifo");
    t.add(ASX_TRACE_RACE_END, { T1, R1, 0 });
    CHECK(t.failing() == "");
    CHECK(t.of(ASX_LAB_ORACLE_LOSER_DRAIN).finding == ASX_LAB_UNASKED);

    asx_lab_config config = of_shards(1);
    config.oracles = "quiesence";
    CHECK(std::string(asx_lab_config_refused(&config)) ==
          "there is no oracle quiesence; the nearest is quiescence");
    config.oracles = "quiescence";
    CHECK(asx_lab_config_refused(&config) == nullptr);
    lab_report run(
        config, TASK { return asx_ok(0); });
    CHECK(run.report.oracles[ASX_LAB_ORACLE_QUIESCENCE].finding == ASX_LAB_PASS);
    CHECK(run.report.oracles[ASX_LAB_ORACLE_TASK_LEAK].finding == ASX_LAB_UNASKED);
}

TEST_CASE("oracle: every scenario leaves all of them silent, and each of them sees something",
          "[lab]")
{
    uint64_t seen[ASX_LAB_ORACLE_COUNT] = {};
    uint32_t count;
    const asx_lab_scenario *all = asx_lab_scenario_list(&count);
    for (uint32_t i = 0; i < count; i++) {
        for (uint64_t seed = 1; seed <= 1000 / count + 1; seed++) {
            const asx_lab_config config = asx_lab_scenario_config(&all[i], seed, 0);
            lab_report run(config, all[i].app, const_cast<asx_lab_config *>(&config));
            INFO(all[i].name << " " << seed << "\n" << run.text());
            REQUIRE(run.passed);
            for (uint32_t k = 0; k < ASX_LAB_ORACLE_COUNT; k++) {
                REQUIRE(run.report.oracles[k].finding != ASX_LAB_FAIL);
                seen[k] += run.report.oracles[k].events;
            }
        }
    }
    for (uint32_t k = 0; k < ASX_LAB_ORACLE_COUNT; k++) {
        INFO(asx_lab_oracle_name(asx_lab_oracle(k)));
        CHECK((seen[k] > 0 || k == ASX_LAB_ORACLE_AMBIENT_AUTHORITY)); /* none restricts anybody */
    }
}
