/* At stake: a request of another shard is handled once and answered once, a value is made once, and
 * nobody hangs on a server, a handler or an initialiser that has gone. Two other shards call home,
 * something happens at each point, and every order of turns is tried. */
#include <asx/shard/limb.h>
#include <asx/shard/scope.h>
#include <asx/shard/sync/once.h>
#include <asx/shard/sync/session.h>

#include "explore_all.h"

#include <algorithm>
#include <vector>

namespace
{

constexpr uint32_t callers = 2, requests = 2;

enum call_kind { SESSION, ONCE, CALL_KINDS };
const char *const kind_names[CALL_KINDS] = { "session", "once" };

enum call_story {
    ALL_SERVED,
    CALLER_CANCELLED, /* the first one, after `at` requests were handled, or yields passed */
    CALLER_PANICS,    /* the first one, before its request `at`; as an initialiser */
    GIVES_UP,         /* the first one, at once, with its request `at`; an initialiser fails */
    HANDLER_PANICS,   /* with request `at`, in the order of handling */
    DECLINED,         /* likewise */
    CLOSES,           /* after `at` requests were handled, or yields passed */
    STORIES
};
const char *const story_names[STORIES] = { "all are served",   "a caller is cancelled",
                                           "a caller panics",  "a caller gives up, or fails",
                                           "a handler panics", "one is declined",
                                           "home closes" };

struct call_world {
    call_kind kind = SESSION;
    call_story tells = ALL_SERVED;
    uint32_t at = 0;
    asx_lab_config config = {};
    asx_explore_world world;

    asx_session_client client[callers];
    asx_once once;
    std::vector<uint64_t> handled;
    uint32_t good = 0, wrong = 0, failed[callers] = {}, told = 0, made = 0, moot = 0;

    call_world();
};
call_world *now;

/* Calling a session */

bool is_told(asx_outcome o)
{
    return asx_is_err(o, ASX_E(REFUSED)) || asx_is_err(o, ASX_E(PEER_PANICKED));
}

asx_outcome request_one(asx_cx *cx, uint32_t who, uint32_t nth)
{
    const bool marked = who == 0 && nth == now->at;
    const uint64_t request = who * 10 + nth;
    uint64_t reply = 0, code = 0;
    if (marked && now->tells == CALLER_PANICS) {
        asx_panic("before a request");
    }
    const asx_instant until =
        marked && now->tells == GIVES_UP ? asx_shard_now(asx_shard_of(cx)) : ASX_TIME_NEVER;
    const asx_outcome outcome =
        asx_session_request_until(cx, now->client[who], &request, &reply, &code, until);
    if (asx_is_ok(outcome)) {
        now->good += reply == request + 100;
        now->wrong += reply != request + 100;
    } else if (is_told(outcome)) {
        now->told++;
        now->wrong += asx_is_err(outcome, ASX_E(REFUSED)) && code != request;
    } else {
        now->failed[who]++;
    }
    return outcome.severity == ASX_SEVERITY_CANCELLED ? outcome : asx_ok(0);
}

asx_outcome request_all(asx_cx *cx, uint32_t who)
{
    ASX_HOLD(cx, now->client[who]);
    for (uint32_t i = 0; i < requests; i++) {
        ASX_TRY(request_one(cx, who, i));
    }
    return asx_ok(0);
}

/* Calling a once */

asx_outcome make(asx_cx *cx, void *arg)
{
    const uint32_t who = *static_cast<uint32_t *>(arg);
    ASX_TRY(asx_yield(cx));
    if (who == 0 && now->tells == CALLER_PANICS) {
        asx_panic("as an initialiser");
    }
    if (who == 0 && now->tells == GIVES_UP) {
        return asx_fail(ASX_E(REFUSED));
    }
    now->made++;
    return asx_ok(77);
}

asx_outcome get_value(asx_cx *cx, uint32_t who)
{
    const asx_outcome got = asx_once_get_until(cx, now->once, make, &who, ASX_TIME_NEVER);
    now->good += asx_is_ok(got) && got.value == 77;
    now->wrong += asx_is_ok(got) && got.value != 77;
    now->failed[who] += !asx_is_ok(got);
    if (!asx_is_ok(got)) {
        return got.severity == ASX_SEVERITY_CANCELLED ? got : asx_ok(0);
    }
    const asx_outcome again = asx_once_wait_until(cx, now->once, ASX_TIME_NEVER);
    now->wrong += asx_is_ok(again) && again.value != 77;
    return asx_ok(0);
}

asx_outcome caller(asx_cx *cx, void *arg)
{
    const uint32_t who = *static_cast<uint32_t *>(arg);
    return now->kind == SESSION ? request_all(cx, who) : get_value(cx, who);
}

/* Home */

asx_outcome handle(asx_cx *cx, asx_reply reply, uint64_t request)
{
    const bool marked = now->handled.size() == now->at;
    now->handled.push_back(request);
    if (marked && now->tells == HANDLER_PANICS) {
        ASX_TRY(asx_yield(cx));
        asx_panic("as a handler");
    }
    if (marked && now->tells == DECLINED) {
        asx_reply_decline(cx, reply, request);
        return asx_ok(0);
    }
    ASX_TRY(asx_yield(cx));
    const uint64_t answer = request + 100;
    now->moot += asx_reply_send(cx, reply, &answer) == ASX_E(DISCONNECTED);
    return asx_ok(0);
}

asx_outcome serve(asx_cx *cx, asx_session_server server, asx_handle first)
{
    for (;;) {
        uint64_t request = 0;
        asx_reply reply;
        if (now->handled.size() == now->at && now->tells == CALLER_CANCELLED) {
            asx_limb_cancel(cx, first, ASX_CANCEL_USER, "test");
        }
        if (now->handled.size() == now->at && now->tells == CLOSES) {
            asx_session_server_close(cx, server);
            return asx_ok(0);
        }
        const asx_outcome next =
            asx_session_next_until(cx, server, &request, &reply, ASX_TIME_NEVER);
        if (!asx_is_ok(next)) {
            asx_session_server_close(cx, server);
            return asx_is_err(next, ASX_E(DISCONNECTED)) ? asx_ok(0) : next;
        }
        ASX_TRY(handle(cx, reply, request));
    }
}

asx_outcome server_body(asx_cx *cx, void *arg)
{
    return serve(cx, *static_cast<asx_session_server *>(arg), {});
}

/* One that panicked is followed by another. */
asx_outcome keep_serving(asx_cx *cx, asx_scope *s, asx_session_server server)
{
    for (;;) {
        const asx_handle task = asx_scope_spawn(s, server_body, &server, sizeof(server), nullptr);
        const asx_outcome ended = asx_join(cx, task);
        if (ended.severity != ASX_SEVERITY_PANICKED) {
            return ended;
        }
    }
}

asx_outcome watch_once(asx_cx *cx, asx_handle first)
{
    for (uint32_t i = 0; i < now->at; i++) {
        ASX_TRY(asx_yield(cx));
    }
    if (now->tells == CALLER_CANCELLED) {
        asx_limb_cancel(cx, first, ASX_CANCEL_USER, "test");
    } else if (now->tells == CLOSES) {
        asx_once_close(cx, now->once);
    }
    return asx_ok(0);
}

asx_outcome home(asx_cx *cx, void *)
{
    asx_handle limbs[callers];
    asx_session_server server;
    const asx_session_options options = { 1, sizeof(uint64_t), sizeof(uint64_t), "far" };
    asx_err err = asx_once_open(cx, "far", &now->once);
    err = err ? err : asx_session_open(cx, &options, &now->client[0], &server);
    err = err ? err : asx_session_client_clone(cx, now->client[0], &now->client[1]);
    if (err) {
        return asx_fail(err);
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        for (uint32_t i = 0; i < callers && !err; i++) {
            err = asx_spawn_on(&s->cx, i + 1, caller, &i, sizeof(i), nullptr, &limbs[i]);
        }
        if (now->kind == ONCE) {
            ASX_TRY(watch_once(cx, limbs[0]));
        } else if (now->tells == HANDLER_PANICS) {
            ASX_TRY(keep_serving(cx, s, server));
        } else {
            ASX_TRY(serve(&s->cx, server, limbs[0]));
        }
    }
    return err ? asx_fail(err) : asx_ok(0);
}

void reset(void *arg)
{
    call_world *const w = static_cast<call_world *>(arg);
    now = w;
    w->handled.clear();
    w->good = w->wrong = w->told = w->made = w->moot = 0;
    w->failed[0] = w->failed[1] = 0;
}

void judge_session(const call_world *w, asx_lab_report *report)
{
    std::vector<uint64_t> once = w->handled;
    std::sort(once.begin(), once.end());
    if (std::adjacent_find(once.begin(), once.end()) != once.end()) {
        asx_lab_report_violate(report, "handled_twice", "%u requests", (unsigned)once.size());
    }
    const bool tells = w->tells == HANDLER_PANICS || w->tells == DECLINED;
    if (w->told != (tells && w->handled.size() > w->at ? 1u : 0u)) {
        asx_lab_report_violate(report, "told", "%u refusals", w->told);
    }
    if (w->tells != CLOSES && w->failed[1] > 0) {
        asx_lab_report_violate(report, "failed", "a caller whom nothing disturbed");
    }
    const bool leaves = w->tells == CALLER_CANCELLED || w->tells == GIVES_UP;
    if (!leaves && w->good + w->told != w->handled.size()) {
        asx_lab_report_violate(report, "unanswered", "%u of %u", w->good,
                               (unsigned)w->handled.size());
    }
    if (w->tells == ALL_SERVED && w->good != callers * requests) {
        asx_lab_report_violate(report, "not_served", "%u", w->good);
    }
}

void judge_once(const call_world *w, asx_lab_report *report)
{
    if (w->made > 1) {
        asx_lab_report_violate(report, "made_twice", "%u times", w->made);
    }
    if (w->tells != CLOSES && w->failed[1] > 0) {
        asx_lab_report_violate(report, "failed", "a caller whom nothing disturbed");
    }
    if (w->tells == ALL_SERVED && w->good != callers) {
        asx_lab_report_violate(report, "not_served", "%u", w->good);
    }
}

void judge(void *arg, asx_lab_report *report)
{
    call_world *const w = static_cast<call_world *>(arg);
    if (w->wrong > 0) {
        asx_lab_report_violate(report, "wrong", "%u answers", w->wrong);
    }
    if (w->kind == SESSION) {
        judge_session(w, report);
    } else {
        judge_once(w, report);
    }
}

call_world::call_world()
{
    config.shards = 1 + callers;
    asx_explore_world_init(&world, "far call", &config, home, this);
    world.reset = reset;
    world.judge = judge;
}

} // namespace

TEST_CASE("far calls: in every order of turns each is handled and answered once, or told why not",
          "[lab][far]")
{
    for (int kind = 0; kind < CALL_KINDS; kind++) {
        for (int tells = 0; tells < STORIES; tells++) {
            const std::string name = std::string(kind_names[kind]) + ", " + story_names[tells];
            explored_story story;
            if (kind == ONCE && (tells == HANDLER_PANICS || tells == DECLINED)) {
                continue; /* nobody handles */
            }
            for (uint32_t at = 0; at <= (tells == ALL_SERVED ? 0 : 2); at++) {
                call_world w;
                w.kind = static_cast<call_kind>(kind);
                w.tells = static_cast<call_story>(tells);
                w.at = at;
                /* A task more, and more classes than one wants to see each time. */
                const bool bounded = tells == HANDLER_PANICS;
                const std::string there = name + " at " + std::to_string(at);
                story.all(&w.world, bounded ? 500 : 4000, there);
                story.some(&w.world, 50, there);
            }
            CHECK((story.told(name) || tells == HANDLER_PANICS));
        }
    }
}
