/* At stake: the server under every weather. However a network cuts, delays and breaks what clients
 * of every manner say, each response that comes whole is the right one, and after the drain nothing
 * is left of anybody. */
#include "http_world.h"

#include <catch2/catch.hpp>

#if ASX_ASAN || ASX_TSAN
#define RUNS 8u
#else
#define RUNS 40u
#endif

TEST_CASE("http: a thousand polite clients over a good network are all answered", "[lab]")
{
    http_plan plan;
    plan.rude = false;
    plan.arrive_ns = asx_ms(100);
    plan.net.link.latency_ns = asx_ms(1);
    const http_result r = run_http(plan);
    CAPTURE(r.why, r.wrong, r.connections_left, r.sockets_left);
    CHECK(r.good());
    CHECK(r.cut_short == 0);
    CHECK(r.gave_up == 0);
    CHECK(r.connects_failed == 0);
    CHECK(r.right + r.statuses[4] + r.statuses[5] == r.requests);
    CHECK(r.requests > 1500);
}

TEST_CASE("http: a request of 64 bytes is the same request wherever it is cut", "[lab]")
{
    for (uint32_t at = 1; at < 64; at++) {
        http_plan plan;
        plan.halt_at = at;
        plan.clients = 3;
        plan.requests = 1;
        plan.net.link.latency_ns = asx_ms(1);
        const http_result r = run_http(plan);
        CAPTURE(at, r.why);
        CHECK(r.good());
        CHECK(r.right == 3);
        CHECK(r.statuses[2] == 3);
    }
}

TEST_CASE("http: chaos leaves nothing behind and lets nothing wrong through", "[lab]")
{
    uint64_t broken = 0, right = 0;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        const http_result r = run_http(http_plan::chaos(seed));
        CAPTURE(seed, r.why, r.wrong, r.connections_left, r.in_flight_left, r.sockets_left);
        REQUIRE(r.good());
        broken += r.cut_short;
        right += r.right;
    }
    CHECK(broken > RUNS);
    CHECK(right > RUNS * 300);
}

TEST_CASE("http: a seed is a run, and a run's choices are it again", "[lab]")
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        http_plan plan = http_plan::chaos(seed);
        plan.clients = 100;
        plan.keep_choices = true;
        const http_result first = run_http(plan), second = run_http(plan);
        CAPTURE(seed, first.why);
        CHECK(first.trace_hash == second.trace_hash);
        CHECK(first.schedule_hash == second.schedule_hash);
        CHECK(first.choice_count > 100);
        plan.mode = ASX_LAB_FORCED;
        plan.choices = reinterpret_cast<const asx_lab_choice *>(first.choices.data());
        plan.choice_count = first.choices.size() / sizeof(asx_lab_choice);
        const http_result again = run_http(plan);
        CHECK(again.trace_hash == first.trace_hash);
        CHECK(again.why == first.why);
    }
}
