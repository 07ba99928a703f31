/* At stake: a campaign is believed. It must find the first bad seed of many, whichever process ran
 * it and however it was bad, and its figures must not depend on how the work was shared. */
#include <asx/lab/campaign.h>
#include <asx/shard/cx.h>
#include <asx/shard/shard.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <string>

namespace
{

/* The seed is what the run's entropy says. */
uint64_t draw(asx_cx *cx)
{
    asx_driver *const driver = asx_shard_driver(asx_shard_of(cx));
    uint64_t value;
    driver->ops->entropy(driver, &value, sizeof(value));
    return value;
}

asx_outcome sleeps(asx_cx *cx, void *)
{
    for (uint64_t i = draw(cx) % 5 + 1; i > 0; i--) {
        ASX_TRY(asx_sleep(cx, asx_ms(1 + draw(cx) % 100)));
    }
    return asx_ok(0);
}

/* About one seed in sixteen. */
asx_outcome fails_at_times(asx_cx *cx, void *)
{
    ASX_TRY(asx_sleep(cx, asx_ms(1)));
    return draw(cx) % 16 == 0 ? asx_fail(ASX_E(INVALID_ARGUMENT)) : asx_ok(0);
}

asx_outcome aborts_at_times(asx_cx *cx, void *)
{
    if (draw(cx) % 16 == 0) {
        _Exit(7);
    }
    return asx_ok(0);
}

unsigned runs_here; /* what a program must not read: it differs between a run and its replay */

asx_outcome looks_outside(asx_cx *cx, void *)
{
    return asx_sleep(cx, asx_ms(1 + runs_here++));
}

asx_campaign campaign_of(asx_task_fn *app, uint64_t count, uint32_t jobs)
{
    asx_campaign c{};
    c.app = app;
    c.first = 1;
    c.count = count;
    c.jobs = jobs;
    c.configure = [](const asx_campaign *, uint64_t seed, asx_lab_config *config) {
        *config = {};
        config->seed = seed;
    };
    return c;
}

} // namespace

TEST_CASE("campaign: its figures are the same however many processes share it", "[lab]")
{
    char why[ASX_CAMPAIGN_WHY_MAX];
    asx_campaign_sum one, other;
    asx_campaign c = campaign_of(sleeps, 50, 1);
    c.replays = 12;
    REQUIRE(asx_campaign_run(&c, &one, why) == ASX_CAMPAIGN_PASSED);
    CHECK(one.passed == 50);
    CHECK(one.replayed == 12);
    CHECK(one.dispatches > 100);
    CHECK(one.vtime_ns > asx_s(1));
    for (uint32_t jobs = 2; jobs <= 60; jobs += 29) {
        c.jobs = jobs;
        REQUIRE(asx_campaign_run(&c, &other, why) == ASX_CAMPAIGN_PASSED);
        CHECK(memcmp(&one, &other, sizeof(one)) == 0);
    }
}

TEST_CASE("campaign: as many runs are repeated as were asked for, evenly spread", "[lab]")
{
    for (uint64_t count = 1; count <= 40; count++) {
        for (uint64_t replays = 0; replays <= count + 1; replays++) {
            asx_campaign c = campaign_of(sleeps, count, 1);
            c.replays = replays;
            uint64_t chosen = 0, last = 0, widest = 0;
            for (uint64_t i = 0; i < count; i++) {
                if (asx_campaign_replays(&c, i)) {
                    widest = std::max(widest, i + 1 - last);
                    last = i + 1;
                    chosen++;
                }
            }
            CHECK(chosen == std::min(replays, count));
            CHECK((replays == 0 || widest <= (count + replays - 1) / replays));
        }
    }
}

TEST_CASE("campaign: the first bad seed ends it, in whichever process it was", "[lab]")
{
    char why[ASX_CAMPAIGN_WHY_MAX] = "";
    asx_campaign_sum sum;
    asx_campaign c = campaign_of(fails_at_times, 1000, 1);
    REQUIRE(asx_campaign_run(&c, &sum, why) == ASX_CAMPAIGN_FAILED);
    const uint64_t first = sum.passed;
    CHECK(first > 0);
    CHECK(first < 200);
    for (uint32_t jobs = 2; jobs <= 5; jobs++) {
        c.jobs = jobs;
        CHECK(asx_campaign_run(&c, &sum, why) == ASX_CAMPAIGN_FAILED);
        CHECK(sum.passed == first);
        c.app = aborts_at_times;
        CHECK(asx_campaign_run(&c, &sum, why) == ASX_CAMPAIGN_CRASHED);
        CHECK(sum.passed == first);
        CHECK(std::string(why) == "the run ended its process: status 7");
        c.app = fails_at_times;
    }
}

TEST_CASE("campaign: a run that is not the same when it is followed is told from one that is",
          "[lab]")
{
    char why[ASX_CAMPAIGN_WHY_MAX];
    asx_campaign_sum sum;
    asx_campaign c = campaign_of(looks_outside, 20, 2);
    CHECK(asx_campaign_run(&c, &sum, why) == ASX_CAMPAIGN_PASSED); /* nobody looked */
    c.replays = 2;
    CHECK(asx_campaign_run(&c, &sum, why) == ASX_CAMPAIGN_DIVERGED);
    CHECK(sum.passed == 9);
}
