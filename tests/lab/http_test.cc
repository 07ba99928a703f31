/* At stake: the server under every weather. However a network cuts, delays and breaks what clients
 * of every manner say, each response that comes whole is the right one, and after the drain nothing
 * is left of anybody. And the judge itself: it would notice. */
#include <asx/engine/rehearsal_internal.h>
#include <asx/lab/lab.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#if ASX_ASAN || ASX_TSAN
#define RUNS 8u
#else
#define RUNS 40u
#endif

namespace
{

struct show {
    asxi_rehearsal self{};
    bool passed = false;
    std::string why;
    uint64_t trace_hash = 0, schedule_hash = 0, shortened = 0;
    std::vector<asx_lab_choice> choices;

    explicit show(const asxi_rehearsal_plan &plan, uint32_t shards = 3,
                  const std::vector<asx_lab_choice> *forced = nullptr, uint32_t short_ppm = 0)
    {
        asx_lab_config config{};
        config.seed = plan.seed;
        config.shards = shards;
        asxi_rehearsal_scenarios[0].configure(&config);
        config.chaos.ppm[ASX_CHAOS_SHORT] = short_ppm;
        if (forced) {
            config.mode = ASX_LAB_FORCED;
            config.choices = forced->data();
            config.choice_count = forced->size();
        }
        self.plan = plan;
        asx_lab_report report{};
        passed = asx_lab_run(&config, app, &self, &report);
        for (uint32_t i = 0; i < report.violation_count; i++) {
            why += std::string(report.violations[i].text) + "\n";
        }
        shortened = report.chaos.injected[ASX_CHAOS_SHORT];
        trace_hash = report.trace_hash;
        schedule_hash = report.schedule_hash;
        choices.assign(report.choices, report.choices + report.choices_kept);
        asx_lab_report_deinit(&report);
    }
    static asx_outcome app(asx_cx *cx, void *self)
    {
        return asxi_rehearsal_run(cx, static_cast<asxi_rehearsal *>(self));
    }
};

asxi_rehearsal_plan good_weather()
{
    asxi_rehearsal_plan plan{};
    plan.seed = 1;
    plan.clients = 1000;
    plan.callers = 100;
    plan.requests = 3;
    plan.kept_max = 16;
    plan.arrive_ns = asx_ms(100);
    plan.link.latency_ns = asx_ms(1);
    return plan;
}

asx_view view_of(const std::string &text)
{
    return asx_view_of(text.data(), text.size());
}

} // namespace

TEST_CASE("http: polite clients over a good network are all answered with what they asked for",
          "[lab]")
{
    for (uint32_t shards = 2; shards <= 5; shards++) {
        const show run(good_weather(), shards);
        const asxi_rehearsal_tally &t = run.self.tally;
        CAPTURE(shards, run.why, t.requests, t.right, t.other, t.wrong, t.cut_short,
                t.calls_failed);
        CHECK(run.passed);
        CHECK(t.requests > 1500);
        CHECK(t.right == t.requests);
        CHECK(t.cut_short + t.gave_up + t.connects_failed + t.calls_failed == 0);
    }
}

TEST_CASE("http: a request of 64 bytes is the same request wherever it is cut", "[lab]")
{
    for (uint32_t at = 1; at < 64; at++) {
        asxi_rehearsal_plan plan = good_weather();
        plan.halt_at = at;
        plan.clients = 3;
        plan.callers = 0;
        plan.requests = 1;
        const show run(plan);
        CAPTURE(at, run.why);
        CHECK(run.passed);
        CHECK(run.self.tally.right == 3);
    }
}

TEST_CASE("http: chaos leaves nothing behind and lets nothing wrong through", "[lab]")
{
    asxi_rehearsal_tally sum{};
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        const show run(asxi_rehearsal_plan_of(seed));
        CAPTURE(seed, run.why);
        REQUIRE(run.passed);
        sum.right += run.self.tally.right;
        sum.other += run.self.tally.other;
        sum.cut_short += run.self.tally.cut_short;
        sum.calls_failed += run.self.tally.calls_failed;
        sum.calls_left += run.self.tally.calls_left;
        sum.connects_failed += run.self.tally.connects_failed;
    }
    CAPTURE(sum.right, sum.other, sum.cut_short, sum.calls_failed, sum.calls_left,
            sum.connects_failed);
    CHECK(sum.right > RUNS * 300);
    CHECK(sum.other > RUNS);
    CHECK(sum.cut_short > RUNS);
    CHECK(sum.calls_failed > RUNS);
    CHECK(sum.calls_left > 0);
    CHECK(sum.connects_failed > 0);
}

TEST_CASE("http: a service that counts connections refuses some, and forgets nobody who has left",
          "[lab]")
{
    asxi_rehearsal_plan plan = good_weather();
    plan.per_ip_max = 20;
    const show few(plan);
    plan.per_ip_max = 0;
    plan.accept_rate = 200;
    const show rare(plan);
    plan.accept_rate = 0;
    plan.per_ip_max = 100000;
    const show all(plan);
    for (const show *run : { &few, &rare }) {
        CAPTURE(run->why, run->self.tally.right, run->self.tally.other, run->self.tally.requests);
        CHECK(run->passed); /* at its end the service asserts that nobody is counted any more */
        CHECK(run->self.tally.right > 100);
        CHECK(run->self.tally.other > 100);
    }
    INFO(all.why);
    CHECK(all.passed);
    CHECK(all.self.tally.right == all.self.tally.requests);
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        plan = asxi_rehearsal_plan_of(seed);
        plan.clients = 300;
        plan.per_ip_max = 1 + (uint32_t)(seed * seed % 97);
        plan.accept_rate = seed % 3 ? 0 : 200;
        const show run(plan);
        CAPTURE(seed, run.why);
        CHECK(run.passed);
    }
}

TEST_CASE("http: a seed is a run, and a run's choices are it again", "[lab]")
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        asxi_rehearsal_plan plan = asxi_rehearsal_plan_of(seed);
        plan.clients = 100;
        plan.callers = 20;
        const show first(plan), second(plan);
        CAPTURE(seed, first.why);
        CHECK(first.passed);
        CHECK(first.trace_hash == second.trace_hash);
        CHECK(first.schedule_hash == second.schedule_hash);
        CHECK(first.choices.size() > 100);
        const show again(plan, 3, &first.choices);
        CHECK(again.trace_hash == first.trace_hash);
        CHECK(again.why == first.why);
    }
}

TEST_CASE("http: the judge of a rehearsal notices each kind of wrong answer", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 7);
    asxi_rehearsal_plan plan = good_weather();
    plan.panics = true;
    unsigned judged = 0;
    for (int i = 0; i < 2000; i++) {
        const asxi_ask ask = asxi_ask_draw(&prng, &plan, true);
        asxi_rehearsal_tally tally{};
        asxi_ask_answered(&ask, ask.status == 200 ? 404 : 200, 0, &tally);
        CHECK(tally.wrong == 1);
        char body[ASXI_ASK_BODY_MAX];
        const uint32_t len = asxi_ask_body(&ask, body);
        if (len == 0) {
            continue;
        }
        judged++;
        std::string text(body, len);
        CHECK(asxi_ask_matches(&ask, 0, view_of(text)));
        CHECK(asxi_ask_matches(&ask, 1, view_of(text.substr(1))));
        text[asx_prng_below(&prng, len)] ^= 1;
        CHECK_FALSE(asxi_ask_matches(&ask, 0, view_of(text)));
        tally = {};
        asxi_ask_answered(&ask, 200, len, &tally);
        CHECK(tally.right == 1);
        asxi_ask_answered(&ask, 200, len - 1, &tally);
        CHECK(tally.wrong == 1);
        asxi_ask_answered(&ask, 503, 0, &tally);
        CHECK(tally.other == 1);
    }
    CHECK(judged > 100);
}

TEST_CASE("http: bytes that come and go in small pieces are the same bytes", "[lab]")
{
    asxi_rehearsal_plan plan = good_weather();
    plan.clients = 50;
    plan.callers = 10;
    const show whole(plan), pieces(plan, 3, nullptr, 500000);
    INFO(pieces.why);
    CHECK(whole.passed);
    CHECK(whole.shortened == 0);
    CHECK(pieces.passed);
    CHECK(pieces.shortened > 100);
}
