/* At stake: who meets others at a barrier, a latch or a notification of another shard is told once,
 * and one that leaves takes nothing with it. Two shards wait for what a third one has, one of them
 * leaves at each point, and every order of turns is tried. */
#include <asx/shard/limb.h>
#include <asx/shard/scope.h>
#include <asx/shard/sync/barrier.h>
#include <asx/shard/sync/latch.h>
#include <asx/shard/sync/notify.h>

#include "explore_all.h"

namespace
{

constexpr uint32_t waiters = 2;

enum meet_kind { BARRIER, LATCH, NOTIFY, MEET_KINDS };
const char *const kind_names[MEET_KINDS] = { "barrier", "latch", "notify" };

enum meet_story { ALL_MEET, CANCELLED, GIVES_UP, CLOSES, STORIES };
const char *const story_names[STORIES] = { "all meet", "one is cancelled", "one gives up at once",
                                           "it closes" };

struct meet_world {
    meet_kind kind = BARRIER;
    meet_story tells = ALL_MEET;
    uint32_t at = 0; /* yields before it happens */
    asx_lab_config config = {};
    asx_explore_world world;

    asx_barrier barrier;
    asx_latch latch;
    asx_notify notify;
    bool met[waiters] = {}, closed[waiters] = {};
    uint32_t leaders = 0, stored = 0, waiting = 0;

    meet_world();
};
meet_world *now;

asx_outcome meet(asx_cx *cx, asx_instant deadline_ns)
{
    switch (now->kind) {
    case BARRIER:
        return asx_barrier_wait_until(cx, now->barrier, deadline_ns);
    case LATCH:
        asx_latch_done(cx, now->latch, 1);
        return asx_latch_wait_until(cx, now->latch, deadline_ns);
    default:
        return asx_notify_wait_until(cx, now->notify, deadline_ns);
    }
}

asx_outcome waiter(asx_cx *cx, void *arg)
{
    const uint32_t who = *static_cast<uint32_t *>(arg);
    const bool gives_up = who == 0 && now->tells == GIVES_UP;
    const asx_outcome outcome =
        meet(cx, gives_up ? asx_shard_now(asx_shard_of(cx)) : ASX_TIME_NEVER);
    now->met[who] = asx_is_ok(outcome);
    now->closed[who] = asx_is_err(outcome, ASX_E(CLOSED)) || asx_is_err(outcome, ASX_E(STALE));
    now->leaders += now->kind == BARRIER && now->met[who] && outcome.value == 1;
    return now->met[who] || now->closed[who] || gives_up ? asx_ok(0) : outcome;
}

void close_all(asx_cx *cx)
{
    asx_barrier_close(cx, now->barrier);
    asx_latch_close(cx, now->latch);
    asx_notify_close(cx, now->notify);
}

asx_err start(asx_cx *cx, uint32_t who, asx_handle *limb)
{
    return asx_spawn_on(cx, who + 1, waiter, &who, sizeof(who), nullptr, limb);
}

/* The first waiter's scope: left when that has ended. */
asx_outcome with_first(asx_cx *cx)
{
    asx_handle first{};
    const asx_err err = start(cx, 0, &first);
    if (err) {
        return asx_fail(err);
    }
    for (uint32_t i = 0; i < now->at; i++) {
        ASX_TRY(asx_yield(cx));
    }
    if (now->kind == NOTIFY && now->tells != CLOSES) {
        asx_notify_one(cx, now->notify);
        asx_notify_one(cx, now->notify);
    }
    if (now->tells == CANCELLED) {
        asx_limb_cancel(cx, first, ASX_CANCEL_USER, "test");
    } else if (now->tells == CLOSES) {
        close_all(cx);
    }
    return asx_ok(0);
}

/* What the second waiter may have been left with is brought to an end. */
void help_second(asx_cx *cx)
{
    if (now->tells == ALL_MEET) {
        return;
    }
    if (now->kind == BARRIER) {
        asx_barrier_close(cx, now->barrier);
    } else if (now->kind == LATCH) {
        asx_latch_done(cx, now->latch, waiters);
    }
}

asx_outcome home(asx_cx *cx, void *)
{
    asx_handle second{};
    if (asx_barrier_open(cx, waiters, "far", &now->barrier) ||
        asx_latch_open(cx, waiters, "far", &now->latch) ||
        asx_notify_open(cx, "far", &now->notify)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    ASX_SCOPE(cx, outer, ASX_COLLECT_ALL) {
        const asx_err err = start(&outer->cx, 1, &second);
        if (err) {
            return asx_fail(err);
        }
        ASX_SCOPE(cx, inner, ASX_COLLECT_ALL) {
            ASX_TRY(with_first(&inner->cx));
        }
        help_second(cx);
    }
    const asx_instant at_once = asx_shard_now(asx_shard_of(cx));
    while (now->kind == NOTIFY && asx_is_ok(asx_notify_wait_until(cx, now->notify, at_once))) {
        now->stored++;
    }
    now->waiting = static_cast<uint32_t>(asx_barrier_waits(cx, now->barrier).waiting +
                                         asx_latch_waits(cx, now->latch).waiting +
                                         asx_notify_waits(cx, now->notify).waiting);
    return asx_ok(0);
}

void reset(void *arg)
{
    meet_world *const w = static_cast<meet_world *>(arg);
    now = w;
    for (uint32_t i = 0; i < waiters; i++) {
        w->met[i] = w->closed[i] = false;
    }
    w->leaders = w->stored = w->waiting = 0;
}

void judge(void *arg, asx_lab_report *report)
{
    const meet_world *const w = static_cast<meet_world *>(arg);
    const uint32_t met = w->met[0] + w->met[1];
    if (w->waiting > 0) {
        asx_lab_report_violate(report, "still_in_line", "%u", w->waiting);
    }
    if (!w->met[1] && !w->closed[1]) {
        asx_lab_report_violate(report, "not_told", "the second waiter");
    }
    if (w->tells == ALL_MEET && met != waiters) {
        asx_lab_report_violate(report, "not_met", "%u of %u", met, waiters);
    }
    /* A leader may have left with its trip under way. */
    const bool leaders_right =
        w->tells == ALL_MEET || met == waiters ? w->leaders == 1 : w->leaders <= met;
    if (w->kind == BARRIER && met > 0 && !leaders_right) {
        asx_lab_report_violate(report, "leaders", "%u of %u that met", w->leaders, met);
    }
    if (w->kind == LATCH && w->tells != CLOSES && !w->met[1]) {
        asx_lab_report_violate(report, "latch_shut", "for the second waiter");
    }
    if (w->kind == NOTIFY && w->tells != CLOSES && (!w->met[1] || met + w->stored != 2)) {
        asx_lab_report_violate(report, "notifications", "%u met, %u stored", met, w->stored);
    }
}

meet_world::meet_world()
{
    config.shards = 1 + waiters;
    asx_explore_world_init(&world, "far meeting", &config, home, this);
    world.reset = reset;
    world.judge = judge;
}

} // namespace

TEST_CASE("far meetings: in every order of turns all are told, and who leaves takes nothing along",
          "[lab][far]")
{
    for (int kind = 0; kind < MEET_KINDS; kind++) {
        for (int tells = 0; tells < STORIES; tells++) {
            const std::string name = std::string(kind_names[kind]) + ", " + story_names[tells];
            explored_story story;
            for (uint32_t at = 0; at < (tells == CANCELLED || tells == CLOSES ? 4 : 1); at++) {
                meet_world w;
                w.kind = static_cast<meet_kind>(kind);
                w.tells = static_cast<meet_story>(tells);
                w.at = at;
                const std::string there = name + " at " + std::to_string(at);
                story.all(&w.world, 8000, there);
                story.some(&w.world, 50, there);
            }
            CHECK(story.told(name));
            CHECK(story.classes > 10);
        }
    }
}
