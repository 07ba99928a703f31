/* At stake: that the lab tells the truth about the program. One plan is rehearsed over the kernel's
 * queues, with a thread a shard and the machine's own races, and in the lab: whoever asks politely
 * is answered in both, with the same. */
#include <asx/engine/rehearsal_internal.h>
#include <asx/lab/lab.h>

#include <catch2/catch.hpp>

namespace
{

asxi_rehearsal_plan calm_plan(uint64_t seed)
{
    asxi_rehearsal_plan plan{};
    plan.seed = seed;
    plan.clients = 200;
    plan.callers = 100;
    plan.requests = 3;
    plan.kept_max = 16;
    plan.calm = plan.exact = plan.panics = true;
    plan.arrive_ns = asx_ms(100);
    plan.link.latency_ns = asx_ms(1);
    return plan;
}

asx_outcome app(asx_cx *cx, void *self)
{
    return asxi_rehearsal_run(cx, static_cast<asxi_rehearsal *>(self));
}

asxi_rehearsal in_the_lab(const asxi_rehearsal_plan &plan, uint32_t shards)
{
    asxi_rehearsal self{};
    asx_lab_config config{};
    asx_lab_report report{};
    self.plan = plan;
    config.seed = plan.seed;
    config.shards = shards;
    asxi_rehearsal_scenarios[0].configure(&config);
    CHECK(asx_lab_run(&config, app, &self, &report));
    asx_lab_report_deinit(&report);
    return self;
}

} // namespace

TEST_CASE("rehearsal: what holds in the lab holds over the kernel's queues", "[live][threads]")
{
    const asx_driver_choice choice = GENERATE(ASX_DRIVER_CHOICE_URING, ASX_DRIVER_CHOICE_EPOLL);
    for (uint32_t shards = 2; shards <= 4; shards++) {
        asxi_rehearsal self{};
        asxi_rehearsal_cost cost;
        self.plan = calm_plan(shards);
        const asx_err err = asxi_rehearsal_live(&self, choice, shards, &cost);
        const asxi_rehearsal_tally &t = self.tally;
        CAPTURE(shards, t.requests, t.right, t.other, t.wrong, t.cut_short, t.calls_failed,
                t.first_wrong);
        REQUIRE(err == ASX_OK);
        CHECK(cost.passed);
        CHECK(t.requests == (self.plan.clients + self.plan.callers) * self.plan.requests);
        CHECK(t.right == t.requests);
        const asxi_rehearsal lab = in_the_lab(self.plan, shards);
        CHECK(lab.tally.requests == t.requests);
        CHECK(lab.tally.right == t.right);
    }
}

TEST_CASE("rehearsal: a drain among rude clients ends, and lets nothing wrong through",
          "[live][threads]")
{
    const asx_driver_choice choice = GENERATE(ASX_DRIVER_CHOICE_URING, ASX_DRIVER_CHOICE_EPOLL);
    asxi_rehearsal self{};
    asxi_rehearsal_cost cost;
    self.plan = calm_plan(1);
    self.plan.rude = true;
    self.plan.drain_after_ns = asx_ms(50);
    self.plan.force_after_ns = asx_ms(500);
    const asx_err err = asxi_rehearsal_live(&self, choice, 3, &cost);
    const asxi_rehearsal_tally &t = self.tally;
    CAPTURE(t.requests, t.right, t.other, t.wrong, t.cut_short, t.calls_failed, t.first_wrong);
    REQUIRE(err == ASX_OK);
    CHECK(cost.passed);
    CHECK(t.wrong == 0);
}
