/* At stake: the checker is what tells a kernel that keeps its promises from one that does not, so
 * each rule is broken once, on purpose, and every trace of a sound run must pass. */
#include <asx/lab/check.h>

#include "lab_fixture.h"

#include <string>
#include <vector>

namespace
{

const uint64_t R0 = 1, R1 = 2, R2 = 3, T1 = 11, T2 = 12, O1 = 21, O2 = 22;

struct trace_of {
    std::vector<asx_lab_event> events;

    trace_of &add(asx_trace_kind kind, const std::vector<uint64_t> &words)
    {
        asx_lab_event event;
        asx_lab_event_init(&event, 0, kind, words.data(), uint32_t(words.size()));
        event.seq = events.size();
        events.push_back(event);
        return *this;
    }
    std::string rule(bool partial = false) const
    {
        asx_lab_breach breach;
        asx_lab_check_events(events.data(), events.size(), partial, &breach);
        return asx_lab_rule_name(breach.rule);
    }
    /* The rule that the last record breaks, and no one before. */
    std::string last() const
    {
        asx_lab_breach breach;
        const bool sound = asx_lab_check_events(events.data(), events.size(), false, &breach);
        CHECK_FALSE(sound);
        CHECK(breach.index == events.size() - 1);
        CHECK(breach.seq == events.size() - 1);
        asx_lab_breach before;
        CHECK(asx_lab_check_events(events.data(), events.size() - 1, false, &before));
        return asx_lab_rule_name(breach.rule);
    }
};

/* A root, a region in it, a task in that. */
trace_of base()
{
    return trace_of()
        .add(ASX_TRACE_REGION_CREATE, { R0, 0 })
        .add(ASX_TRACE_REGION_CREATE, { R1, R0 })
        .add(ASX_TRACE_TASK_SPAWN, { T1, R1 });
}

trace_of completed()
{
    return base().add(ASX_TRACE_TASK_COMPLETE, { T1, R1, 0 });
}

trace_of closed()
{
    return completed()
        .add(ASX_TRACE_REGION_CLOSE_BEGIN, { R1, R0 })
        .add(ASX_TRACE_REGION_CLOSE_END, { R1, R0, 0 });
}

trace_of reserved()
{
    return base().add(ASX_TRACE_OBL_RESERVE, { O1, T1, R1, 0 });
}

} // namespace

TEST_CASE("check: tasks are spawned once, where work is admitted, and complete once", "[lab]")
{
    CHECK(base().add(ASX_TRACE_TASK_SPAWN, { T1, R1 }).last() == "SPAWN-1");
    CHECK(closed().add(ASX_TRACE_TASK_SPAWN, { T2, R1 }).last() == "SPAWN-2");
    CHECK(base().add(ASX_TRACE_TASK_SPAWN, { T2, 99 }).last() == "SPAWN-2");
    CHECK(base().add(ASX_TRACE_TASK_COMPLETE, { T2, R1, 0 }).last() == "TASK-1");
    CHECK(base().add(ASX_TRACE_TASK_COMPLETE, { T1, R0, 0 }).last() == "TASK-2");
    CHECK(completed().add(ASX_TRACE_TASK_COMPLETE, { T1, R1, 0 }).last() == "TASK-3");
}

TEST_CASE("check: a cancel is requested, then acknowledged, by a live task in its region", "[lab]")
{
    CHECK(base().add(ASX_TRACE_CANCEL_REQUEST, { T2, R1, 0, R1, 0 }).last() == "CANCEL-1");
    CHECK(base().add(ASX_TRACE_CANCEL_REQUEST, { T1, R0, 0, R1, 0 }).last() == "CANCEL-2");
    CHECK(completed().add(ASX_TRACE_CANCEL_REQUEST, { T1, R1, 0, R1, 0 }).last() == "CANCEL-3");
    CHECK(base().add(ASX_TRACE_CANCEL_ACK, { T2, R1, 0 }).last() == "CANCEL-4");
    CHECK(base().add(ASX_TRACE_CANCEL_ACK, { T1, R0, 0 }).last() == "CANCEL-5");
    CHECK(base().add(ASX_TRACE_CANCEL_ACK, { T1, R1, 0 }).last() == "CANCEL-6");
    CHECK(base()
              .add(ASX_TRACE_CANCEL_REQUEST, { T1, R1, 0, R1, 0 })
              .add(ASX_TRACE_CANCEL_ACK, { T1, R1, 0 })
              .rule() == "none");
}

TEST_CASE("check: a region's close begins once and ends once, and nothing is born after", "[lab]")
{
    CHECK(completed()
              .add(ASX_TRACE_REGION_CLOSE_BEGIN, { R1, R0 })
              .add(ASX_TRACE_REGION_CREATE, { R2, R1 })
              .last() == "REGION-1");
    CHECK(closed().add(ASX_TRACE_REGION_CLOSE_BEGIN, { R1, R0 }).last() == "REGION-2");
    CHECK(base()
              .add(ASX_TRACE_REGION_CLOSE_BEGIN, { R1, R0 })
              .add(ASX_TRACE_REGION_CLOSE_BEGIN, { R1, R0 })
              .last() == "REGION-3");
    CHECK(completed().add(ASX_TRACE_REGION_CLOSE_END, { R1, R0, 0 }).last() == "REGION-4");
    CHECK(closed().add(ASX_TRACE_REGION_CLOSE_END, { R1, R0, 0 }).last() == "REGION-5");
}

TEST_CASE("check: a region ends with nothing in it", "[lab]")
{
    CHECK(base()
              .add(ASX_TRACE_REGION_CLOSE_BEGIN, { R1, R0 })
              .add(ASX_TRACE_REGION_CLOSE_END, { R1, R0, 0 })
              .last() == "QUIESCE-1");
    CHECK(completed()
              .add(ASX_TRACE_REGION_CLOSE_BEGIN, { R0, 0 })
              .add(ASX_TRACE_REGION_CLOSE_END, { R0, 0, 0 })
              .last() == "QUIESCE-2");
    CHECK(completed()
              .add(ASX_TRACE_FINALIZER_ADD, { R1, 1 })
              .add(ASX_TRACE_REGION_CLOSE_BEGIN, { R1, R0 })
              .add(ASX_TRACE_REGION_CLOSE_END, { R1, R0, 0 })
              .last() == "QUIESCE-3");
    CHECK(reserved()
              .add(ASX_TRACE_TASK_COMPLETE, { T1, R1, 0 })
              .add(ASX_TRACE_REGION_CLOSE_BEGIN, { R1, R0 })
              .add(ASX_TRACE_REGION_CLOSE_END, { R1, R0, 0 })
              .last() == "OBL-1");
    CHECK(closed()
              .add(ASX_TRACE_REGION_CLOSE_BEGIN, { R0, 0 })
              .add(ASX_TRACE_REGION_CLOSE_END, { R0, 0, 0 })
              .rule() == "none");
}

TEST_CASE("check: a permit is reserved once by a live task, and resolved once by its holder",
          "[lab]")
{
    CHECK(reserved().add(ASX_TRACE_OBL_RESERVE, { O1, T1, R1, 0 }).last() == "OBL-2");
    CHECK(base().add(ASX_TRACE_OBL_RESERVE, { O1, T2, R1, 0 }).last() == "OBL-3");
    CHECK(reserved().add(ASX_TRACE_OBL_LEAK, { O1, T1, R1, 0, 5 }).last() == "OBL-4");
    CHECK(base().add(ASX_TRACE_OBL_RESERVE, { O1, T1, R0, 0 }).last() == "OBL-5");
    CHECK(completed().add(ASX_TRACE_OBL_RESERVE, { O1, T1, R1, 0 }).last() == "OBL-6");
    CHECK(base().add(ASX_TRACE_OBL_COMMIT, { O1, T1, R1, 0, 0 }).last() == "OBL-7");
    CHECK(base().add(ASX_TRACE_OBL_ABORT, { O1, T1, R1, 0, 0, 0 }).last() == "OBL-8");
    CHECK(reserved()
              .add(ASX_TRACE_TASK_SPAWN, { T2, R1 })
              .add(ASX_TRACE_OBL_COMMIT, { O1, T2, R1, 0, 0 })
              .last() == "OBL-9");
    CHECK(reserved()
              .add(ASX_TRACE_OBL_COMMIT, { O1, T1, R1, 0, 0 })
              .add(ASX_TRACE_OBL_ABORT, { O1, T1, R1, 0, 0, 0 })
              .last() == "OBL-10");
    trace_of handed = reserved();
    handed.add(ASX_TRACE_TASK_SPAWN, { T2, R1 }).add(ASX_TRACE_OBL_TRANSFER, { O1, T1, R1, T2 });
    CHECK(trace_of(handed).add(ASX_TRACE_OBL_COMMIT, { O1, T2, R1, 0, 0 }).rule() == "none");
    CHECK(trace_of(handed).add(ASX_TRACE_OBL_COMMIT, { O1, T1, R1, 0, 0 }).last() == "OBL-9");
}

TEST_CASE("check: messages come out in order, and operations end once", "[lab]")
{
    trace_of ring;
    ring.add(ASX_TRACE_RING_PUSH, { 5, 1, 0, 1 }).add(ASX_TRACE_RING_PUSH, { 5, 2, 0, 0 });
    CHECK(trace_of(ring).add(ASX_TRACE_RING_POP, { 5, 2, 0, 1 }).last() == "RING-1");
    CHECK(trace_of(ring).add(ASX_TRACE_RING_PUSH, { 5, 4, 0, 0 }).last() == "RING-1");
    ring.add(ASX_TRACE_RING_POP, { 5, 1, 0, 0 }).add(ASX_TRACE_RING_POP, { 5, 2, 0, 1 });
    CHECK(ring.rule() == "none");
    CHECK(trace_of(ring).add(ASX_TRACE_RING_POP, { 5, 3, 0, 1 }).last() == "RING-1");

    CHECK(trace_of().add(ASX_TRACE_IO_RESULT, { 7, 0, 0 }).last() == "IO-1");
    trace_of io;
    io.add(ASX_TRACE_IO_SUBMIT, { 7, 1, 10, T1 })
        .add(ASX_TRACE_IO_RESULT, { 7, 10, 1 })
        .add(ASX_TRACE_IO_RESULT, { 7, 10, 0 });
    CHECK(io.rule() == "none");
    CHECK(trace_of(io).add(ASX_TRACE_IO_RESULT, { 7, 0, 0 }).last() == "IO-2");
}

TEST_CASE("check: records that are no records", "[lab]")
{
    trace_of trace = base();
    trace.add(ASX_TRACE_USER_MARK, { T1, 1, 2 });
    trace.events.back().kind = 500;
    CHECK(trace.last() == "SCHEMA-1");
    CHECK(base().add(ASX_TRACE_TASK_READY, { T1, R1 }).last() == "SCHEMA-2");
}

TEST_CASE("check: a trace that begins in the middle is judged by what it shows", "[lab]")
{
    trace_of middle;
    middle.add(ASX_TRACE_CANCEL_ACK, { T1, R1, 0 })
        .add(ASX_TRACE_OBL_COMMIT, { O2, T1, R1, 0, 0 })
        .add(ASX_TRACE_RING_POP, { 5, 77, 0, 0 })
        .add(ASX_TRACE_RING_POP, { 5, 78, 0, 0 })
        .add(ASX_TRACE_RING_PUSH, { 6, 9, 0, 0 })
        .add(ASX_TRACE_IO_RESULT, { 7, 0, 0 })
        .add(ASX_TRACE_TASK_COMPLETE, { T1, R1, 0 })
        .add(ASX_TRACE_REGION_CLOSE_END, { R1, R0, 0 });
    CHECK(middle.rule(true) == "none");
    CHECK(middle.rule(false) == "CANCEL-4");
    CHECK(trace_of(middle).add(ASX_TRACE_TASK_SPAWN, { T2, R1 }).rule(true) == "SPAWN-2");
    CHECK(trace_of(middle).add(ASX_TRACE_RING_POP, { 5, 80, 0, 0 }).rule(true) == "RING-1");
    CHECK(trace_of(middle).add(ASX_TRACE_TASK_COMPLETE, { T1, R1, 0 }).rule(true) == "TASK-3");
}

TEST_CASE("check: memory is that of what lives", "[lab]")
{
    asx_lab_check *check = asx_lab_check_create(false);
    asx_lab_event event;
    const uint64_t root[] = { R0, 0 };
    asx_lab_event_init(&event, 0, ASX_TRACE_REGION_CREATE, root, 2);
    asx_lab_check_event(check, &event);
    for (uint64_t i = 0; i < 400000; i++) {
        const uint64_t words[] = { 1000 + i, R0, 0 };
        asx_lab_event_init(&event, 0, ASX_TRACE_TASK_SPAWN, words, 2);
        asx_lab_check_event(check, &event);
        asx_lab_event_init(&event, 0, ASX_TRACE_TASK_COMPLETE, words, 3);
        asx_lab_check_event(check, &event);
    }
    CHECK(asx_lab_check_breach(check)->rule == ASX_LAB_RULE_NONE);
    asx_lab_check_event(check, &event); /* the last one is still remembered */
    CHECK(asx_lab_check_breach(check)->rule == ASX_LAB_RULE_TASK_3);
    asx_lab_check_destroy(check);
}

TEST_CASE("check: traces of sound runs pass whole, and from any point on", "[lab]")
{
    uint32_t count;
    const asx_lab_scenario *list = asx_lab_scenario_list(&count);
    for (uint32_t i = 0; i < count; i++) {
        lab_report run(asx_lab_scenario_config(&list[i], 6, 0), list[i].app);
        INFO("scenario " << list[i].name << '\n' << run.text());
        CHECK(run.passed); /* the checker heard it */
        REQUIRE(run.report.events_kept == run.report.trace_total);
        asx_lab_breach breach;
        CHECK(asx_lab_check_events(run.report.events, run.report.events_kept, false, &breach));
        for (uint32_t from = 1; from < run.report.events_kept; from += 13) {
            const bool sound = asx_lab_check_events(run.report.events + from,
                                                    run.report.events_kept - from, true, &breach);
            INFO("from " << from << ' ' << asx_lab_rule_name(breach.rule) << ' ' << breach.detail);
            CHECK(sound);
        }
    }
}

TEST_CASE("check: a record taken out of a sound trace is missed", "[lab]")
{
    const asx_lab_scenario *scenario = asx_lab_scenario_find("permits");
    lab_report run(asx_lab_scenario_config(scenario, 6, 0), scenario->app);
    uint32_t missed = 0, tried = 0;
    for (uint32_t gone = 0; gone < run.report.events_kept; gone++) {
        const uint16_t kind = run.report.events[gone].kind;
        if (kind != ASX_TRACE_TASK_SPAWN && kind != ASX_TRACE_OBL_RESERVE &&
            kind != ASX_TRACE_TASK_COMPLETE && kind != ASX_TRACE_OBL_COMMIT) {
            continue;
        }
        std::vector<asx_lab_event> cut(run.report.events,
                                       run.report.events + run.report.events_kept);
        cut.erase(cut.begin() + gone);
        asx_lab_breach breach;
        tried++;
        missed += asx_lab_check_events(cut.data(), cut.size(), false, &breach);
    }
    CHECK(tried > 10);
    CHECK(missed == 0);
}
