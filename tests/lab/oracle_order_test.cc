/* At stake: who is woken, who goes first, who is cancelled before whom, and by whom. Each of these
 * questions is answered wrongly once, on purpose, beside a trace that answers it rightly. */
#include <asx/shard/base/time.h>

#include "oracle_trial.h"

#include <catch2/catch.hpp>

TEST_CASE("oracle: who is cancelled and not woken before anything else runs is cancel_stuck",
          "[lab]")
{
    for (bool wakes : { true, false }) {
        for (bool stuck : { true, false }) {
            trial t;
            t.wakes = wakes;
            t.add(ASX_TRACE_TASK_SPAWN, { T2, R1 });
            t.add(ASX_TRACE_CANCEL_REQUEST, { T1, R1, ASX_CANCEL_USER, R1, 0 });
            CHECK(t.failing() == "");
            if (stuck) {
                asx_lab_oracles_end(t.oracles, true);
            } else {
                t.dispatch(T2);
            }
            CHECK((t.failing().find("cancel_stuck") == std::string::npos) == wakes);
        }
    }
    trial queued; /* as whoever was in a lane anyway */
    queued.wakes = false;
    queued.add(ASX_TRACE_TASK_READY, { T1, R1, 0 });
    queued.add(ASX_TRACE_CANCEL_REQUEST, { T1, R1, ASX_CANCEL_USER, R1, 0 });
    queued.dispatch(T1, 1);
    CHECK(queued.failing() == "");
}

TEST_CASE("oracle: who hears of its cancellation ten seconds later is cancel_stuck", "[lab]")
{
    const uint64_t limit = 10 * ASX_NS_PER_S;
    for (uint64_t after : { limit, limit + 1 }) {
        for (bool masked : { false, true }) {
            trial t;
            t.add(ASX_TRACE_CANCEL_REQUEST, { T1, R1, ASX_CANCEL_USER, R1, 0 });
            if (masked) {
                t.add(ASX_TRACE_MASK_ENTER, { T1, 1 });
            }
            t.now_ns = after;
            t.dispatch(T1, 1).add(ASX_TRACE_CANCEL_ACK, { T1, R1, ASX_CANCEL_USER });
            CHECK(t.failing() == (after > limit && !masked ? "cancel_stuck" : ""));
        }
    }
    trial late; /* the clock moved, not the task */
    late.add(ASX_TRACE_CANCEL_REQUEST, { T1, R1, ASX_CANCEL_USER, R1, 0 });
    late.now_ns = limit + 5;
    late.add(ASX_TRACE_CHAOS, { 0, 2, 0, 6 });
    late.dispatch(T1, 1).add(ASX_TRACE_CANCEL_ACK, { T1, R1, ASX_CANCEL_USER });
    CHECK(late.failing() == "");
}

TEST_CASE("oracle: a child that is cancelled before its parent is cancel_order", "[lab]")
{
    for (bool first : { true, false }) {
        trial t;
        t.add(ASX_TRACE_REGION_CREATE, { R2, R1 });
        if (first) {
            t.add(ASX_TRACE_REGION_CANCEL, { R1, ASX_CANCEL_USER, R1 });
        }
        t.add(ASX_TRACE_REGION_CANCEL, { R2, ASX_CANCEL_PARENT_CANCELLED, R1 });
        CHECK(t.failing() == (first ? "" : "cancel_order"));
    }
    trial own;
    own.add(ASX_TRACE_REGION_CREATE, { R2, R1 });
    own.add(ASX_TRACE_REGION_CANCEL, { R2, ASX_CANCEL_USER, R2 });
    CHECK(own.failing() == "");
    trial with_its_task; /* the branches of who is being cancelled */
    with_its_task.add(ASX_TRACE_REGION_CREATE, { R2, R1 });
    with_its_task.add(ASX_TRACE_CANCEL_REQUEST, { T1, R1, ASX_CANCEL_USER, R1, 0 });
    with_its_task.dispatch(T1, 1);
    with_its_task.add(ASX_TRACE_REGION_CANCEL, { R2, ASX_CANCEL_PARENT_CANCELLED, R1 });
    CHECK(with_its_task.failing() == "");
}

TEST_CASE("oracle: a wake that counts twice, for nobody, or not at all is waker_dedup", "[lab]")
{
    trial t;
    t.add(ASX_TRACE_TASK_READY, { T1, R1, 0 });
    t.add(ASX_TRACE_TASK_DISPATCH, { T1, R1, 3 });
    CHECK(t.failing() == "");
    SECTION("two wakes for one dispatch")
    {
        t.add(ASX_TRACE_TASK_READY, { T1, R1, 0 }).add(ASX_TRACE_TASK_READY, { T1, R1, 0 });
        CHECK(t.failing() == "waker_dedup");
    }
    SECTION("a dispatch without a wake")
    {
        t.add(ASX_TRACE_TASK_DISPATCH, { T1, R1, 3 });
        CHECK(t.failing() == "waker_dedup");
    }
    SECTION("of one that is over")
    {
        t.add(ASX_TRACE_TASK_COMPLETE, { T1, R1, 0 }).add(ASX_TRACE_TASK_READY, { T1, R1, 0 });
        CHECK(t.failing() == "waker_dedup");
    }
    SECTION("a wake that nothing follows")
    {
        t.add(ASX_TRACE_TASK_READY, { T1, R1, 0 });
        asx_lab_oracles_end(t.oracles, false);
        CHECK(t.failing() == "");
        asx_lab_oracles_end(t.oracles, true);
        CHECK(t.failing() == "waker_dedup");
    }
}

TEST_CASE("oracle: a later deadline that overtakes an earlier one is edf_order", "[lab]")
{
    const uint64_t timed = 2, ready = 3;
    for (bool overtakes : { false, true }) {
        trial t;
        t.add(ASX_TRACE_TASK_SPAWN, { T2, R1 })
            .add(ASX_TRACE_BUDGET_INSTALL, { T2, R1, 100, 1, 1, 1 });
        t.add(ASX_TRACE_TASK_SPAWN, { T3, R1 })
            .add(ASX_TRACE_BUDGET_INSTALL, { T3, R1, 101, 1, 1, 1 });
        t.dispatch(overtakes ? T3 : T2, timed).dispatch(overtakes ? T2 : T3, timed);
        CHECK(t.failing() == (overtakes ? "edf_order" : ""));
        trial u; /* who was not in a hurry yet is overtaken by right */
        u.add(ASX_TRACE_TASK_SPAWN, { T2, R1 })
            .add(ASX_TRACE_BUDGET_INSTALL, { T2, R1, 100, 1, 1, 1 });
        u.dispatch(T1, timed).dispatch(T2, ready);
        CHECK(u.failing() == "");
    }
    trial later; /* the earlier one came when the later one had gone */
    later.add(ASX_TRACE_BUDGET_INSTALL, { T1, R1, 101, 1, 1, 1 }).dispatch(T1, timed);
    later.add(ASX_TRACE_TASK_SPAWN, { T2, R1 })
        .add(ASX_TRACE_BUDGET_INSTALL, { T2, R1, 100, 1, 1, 1 });
    later.dispatch(T2, timed);
    CHECK(later.failing() == "");
}

TEST_CASE("oracle: messages that a shard sleeps on are doorbell", "[lab]")
{
    for (bool taken : { true, false }) {
        trial t;
        t.add(ASX_TRACE_RING_PUSH, { RING, 1, 0, 1 });
        if (taken) {
            t.add(ASX_TRACE_RING_POP, { RING, 1, 0, 1 });
        }
        asx_lab_oracles_end(t.oracles, false);
        CHECK(t.failing() == "");
        asx_lab_oracles_end(t.oracles, true);
        CHECK(t.failing() == (taken ? "" : "doorbell"));
    }
}

TEST_CASE("oracle: what happens to a shard in the turn of another is shard_affinity", "[lab]")
{
    trial t;
    asx_lab_oracles_turn(t.oracles, 0);
    t.dispatch(T1);
    CHECK(t.failing() == "");
    asx_lab_oracles_turn(t.oracles, ASX_LAB_NO_TURN);
    t.dispatch(T1);
    CHECK(t.failing() == "");
    asx_lab_oracles_turn(t.oracles, 1);
    t.add(ASX_TRACE_NET_FAULT, { 7, 1, 0 }); /* the network's: it has no turn of its own */
    CHECK(t.failing() == "");
    t.dispatch(T1);
    CHECK(t.failing() == "shard_affinity");
}
