/* At stake: a fault that cannot be repeated, or that moves the others when it is taken out, makes
 * every failure it causes useless. Each kind is injected alone and counted; whole runs are compared
 * by their hashes. */
#include <asx/lab/chaos.h>
#include <asx/lab/vdisk.h>
#include <asx/shard/limb.h>
#include <asx/shard/op.h>
#include <asx/shard/scope.h>

#include "lab_fixture.h"

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <set>
#include <vector>

static asx_outcome sleeps(asx_cx *cx, void *arg)
{
    const uint32_t times = *static_cast<const uint32_t *>(arg);
    for (uint32_t i = 0; i < times; i++) {
        const asx_outcome outcome =
            i % 2 ? asx_yield(cx) : asx_sleep(cx, 1000 * (1 + asx_random_below(cx, 50)));
        if (!asx_is_ok(outcome)) {
            return outcome;
        }
    }
    return asx_ok(times);
}

/* Withstands every fault: children that sleep, here and on the other shards, whatever becomes of
 * them. Never fails itself. */
static asx_outcome withstands(asx_cx *cx, void *)
{
    asx_handle limbs[8] = {};
    const uint32_t times = 12;
    for (uint32_t i = 0; i < asx_array_count(limbs); i++) {
        if (asx_spawn_on(cx, i % asx_cx_shard_count(cx), sleeps, &times, sizeof(times), nullptr,
                         &limbs[i]) != ASX_OK) {
            limbs[i] = asx_handle{};
        }
    }
    for (const asx_handle &limb : limbs) {
        if (limb.kind != ASX_HANDLE_NONE) {
            const asx_outcome ended = asx_join_limb(cx, limb);
            (void)ended;
        }
    }
    return asx_ok(0);
}

static asx_lab_config with(asx_chaos_kind kind, uint32_t ppm, uint64_t seed = 42)
{
    asx_lab_config config = of_shards(2, seed);
    config.chaos.ppm[kind] = ppm;
    config.chaos.delay_max_ns = kind == ASX_CHAOS_DELAY ? asx_ms(1) / 10 : 0;
    config.chaos.jump_max_ns = kind == ASX_CHAOS_JUMP ? asx_ms(1) / 10 : 0;
    return config;
}

static asx_lab_config preset(const char *name, uint64_t seed)
{
    asx_lab_config config = of_shards(3, seed);
    REQUIRE(asx_chaos_preset(&config.chaos, name));
    return config;
}

TEST_CASE("chaos: off is no chaos, and changes neither hash nor run", "[chaos]")
{
    const asx_lab_config plain = of_shards(3), off = preset("off", 42);
    CHECK(asx_lab_config_hash(&plain) == asx_lab_config_hash(&off));
    const lab_report a(plain, withstands), b(off, withstands);
    CHECK(a.passed);
    CHECK(a.report.trace_hash == b.report.trace_hash);
    CHECK(b.report.chaos.points == 0);
    asx_chaos_config config{};
    CHECK_FALSE(asx_chaos_preset(&config, "hurricane"));
}

TEST_CASE("chaos: every knob is part of the configuration's hash", "[chaos]")
{
    std::set<uint64_t> hashes;
    const asx_lab_config base = preset("light", 42);
    hashes.insert(asx_lab_config_hash(&base));
    for (uint32_t kind = 0; kind < ASX_CHAOS_KIND_COUNT; kind++) {
        asx_lab_config config = base;
        config.chaos.ppm[kind]++;
        hashes.insert(asx_lab_config_hash(&config));
    }
    std::vector<asx_lab_config> others(9, base);
    others[0].chaos.delay_max_ns++;
    others[1].chaos.storm_max++;
    others[2].chaos.wide_errors = true;
    others[3].chaos.swarm = true;
    others[4].chaos.heal_at_ns = 1;
    others[5].chaos.alloc_nth = 1;
    others[6].chaos.await_point = 1;
    others[7].chaos.stall_max++;
    others[8].chaos.jump_max_ns++;
    for (const asx_lab_config &config : others) {
        hashes.insert(asx_lab_config_hash(&config));
    }
    CHECK(hashes.size() == 1 + ASX_CHAOS_KIND_COUNT + others.size());
}

TEST_CASE("chaos: what means nothing is refused", "[chaos]")
{
    asx_lab_config config = with(ASX_CHAOS_CANCEL, 1000001);
    CHECK(asx_lab_config_refused(&config) != nullptr);
    config = with(ASX_CHAOS_DELAY, 1);
    CHECK(asx_lab_config_refused(&config) == nullptr);
    config.chaos.delay_max_ns = 0;
    CHECK(asx_lab_config_refused(&config) != nullptr);
    config = with(ASX_CHAOS_RING, 1000000);
    CHECK(asx_lab_config_refused(&config) != nullptr);
    config = with(ASX_CHAOS_STORM, 1);
    config.chaos.storm_max = ASX_CHAOS_STORM_MAX + 1;
    CHECK(asx_lab_config_refused(&config) != nullptr);
    config = of_shards(1);
    config.chaos.swarm = true;
    CHECK(asx_lab_config_refused(&config) != nullptr);
    config = with(ASX_CHAOS_ALLOC, 1);
    config.chaos.alloc_nth = 1;
    CHECK(asx_lab_config_refused(&config) != nullptr);
}

TEST_CASE("chaos: the same seed is the same run, and its choices repeat it", "[chaos]")
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        asx_lab_config config = preset("heavy", seed);
        const lab_report first(config, withstands), again(config, withstands);
        CHECK(first.report.trace_hash == again.report.trace_hash);
        config.mode = ASX_LAB_FORCED;
        config.choices = first.report.choices;
        config.choice_count = first.report.choices_kept;
        const lab_report forced(config, withstands);
        CHECK(forced.report.termination == first.report.termination);
        CHECK(forced.report.trace_hash == first.report.trace_hash);
        CHECK(asx_chaos_injected(&forced.report.chaos) == asx_chaos_injected(&first.report.chaos));
    }
}

TEST_CASE("chaos: a rate of a million always hits, and none never does", "[chaos]")
{
    const lab_report always(with(ASX_CHAOS_WAKE, 1000000), withstands);
    CHECK(always.passed);
    CHECK(always.report.chaos.injected[ASX_CHAOS_WAKE] > always.report.chaos.points / 2);
    const lab_report never(with(ASX_CHAOS_WAKE, 0), withstands);
    CHECK(never.report.chaos.points == 0);
}

TEST_CASE("chaos: kinds come up at their rates, within four sigma", "[chaos]")
{
    const asx_chaos_kind kind = GENERATE(ASX_CHAOS_DELAY, ASX_CHAOS_ALLOC, ASX_CHAOS_WAKE,
                                         ASX_CHAOS_RING, ASX_CHAOS_STALL, ASX_CHAOS_JUMP);
    uint64_t points = 0, injected = 0;
    const uint32_t ppm = 100000;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        const lab_report run(with(kind, ppm, seed), withstands);
        CHECK(run.passed);
        points += run.report.chaos.points;
        injected += run.report.chaos.injected[kind];
    }
    if (kind == ASX_CHAOS_RING) { /* beside the looks, turns are counted as points */
        CHECK(injected > 0);
        return;
    }
    const double p = ppm / 1e6, n = static_cast<double>(points);
    INFO(asx_chaos_kind_name(kind) << ": " << injected << " of " << points);
    CHECK(std::fabs(static_cast<double>(injected) - n * p) < 4 * std::sqrt(n * p * (1 - p)) + 400);
}

TEST_CASE("chaos: a clock that jumps stays ahead by as much as was said", "[chaos]")
{
    asx_lab_config config = with(ASX_CHAOS_JUMP, 300000);
    config.shards = 1;
    const lab_report run(
        config, +[](asx_cx *cx, void *) {
            const uint32_t times = 20;
            const asx_outcome slept = sleeps(cx, const_cast<uint32_t *>(&times));
            return asx_is_ok(slept) ? asx_ok(static_cast<uintptr_t>(asx_now(cx))) : slept;
        });
    CHECK(run.passed);
    REQUIRE(run.report.chaos.injected[ASX_CHAOS_JUMP] > 0);
    CHECK(run.report.value == run.report.now_ns + run.report.chaos.jumped_ns);
}

TEST_CASE("chaos: a shard that stalls lets the others go ahead, and is not forgotten", "[chaos]")
{
    uint64_t stalls = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        asx_lab_config config = with(ASX_CHAOS_STALL, 500000, seed);
        config.mode = ASX_LAB_DEFAULT;
        config.chaos.stall_max = 1000; /* longer than there is anything else to do */
        asx_lab_config calm = of_shards(2, seed);
        calm.mode = ASX_LAB_DEFAULT;
        const lab_report run(config, withstands), plain(calm, withstands);
        CHECK(run.passed);
        CHECK(run.report.counts.completed == plain.report.counts.completed);
        stalls += run.report.chaos.injected[ASX_CHAOS_STALL];
        CHECK(run.report.schedule_hash != plain.report.schedule_hash);
    }
    CHECK(stalls > 50);
    asx_lab_config always = with(ASX_CHAOS_STALL, 1000000);
    CHECK(asx_lab_config_refused(&always) != nullptr);
}

TEST_CASE("chaos: a program that withstands faults stays whole under heavy ones", "[chaos]")
{
    asx_chaos_stats sum{};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        const lab_report run(preset("heavy", seed), withstands);
        INFO("seed " << seed << "\n" << run.text());
        REQUIRE(run.passed);
        for (uint32_t kind = 0; kind < ASX_CHAOS_KIND_COUNT; kind++) {
            sum.injected[kind] += run.report.chaos.injected[kind];
        }
    }
    for (uint32_t kind = 0; kind < ASX_CHAOS_IO; kind++) {
        INFO(asx_chaos_kind_name(kind));
        CHECK(sum.injected[kind] > 0);
    }
}

TEST_CASE("chaos: a fault that is taken out of a run moves no other", "[chaos]")
{
    asx_lab_config config = with(ASX_CHAOS_DELAY, 200000);
    config.shards = 1;
    const lab_report whole(config, withstands);
    std::vector<asx_lab_choice> rows(whole.report.choices,
                                     whole.report.choices + whole.report.choices_kept);
    std::vector<size_t> faults;
    for (size_t i = 0; i < rows.size(); i++) {
        if (rows[i].site == ASX_CHOICE_FAULT) {
            CHECK(rows[i].chosen == 1);
            faults.push_back(i);
        }
    }
    REQUIRE(faults.size() >= 3);
    rows[faults[1]].chosen = 0;
    config.mode = ASX_LAB_LENIENT;
    config.choices = rows.data();
    config.choice_count = rows.size();
    const lab_report less(config, withstands);
    CHECK(less.passed);
    CHECK(less.report.chaos.injected[ASX_CHAOS_DELAY] <
          whole.report.chaos.injected[ASX_CHAOS_DELAY]);
    /* The run may be a few turns shorter or longer; as far as both go, they ask for the same. */
    size_t asked = 0;
    for (uint32_t i = 0; i < less.report.choices_kept; i++) {
        const asx_lab_choice &row = less.report.choices[i];
        if (row.site == ASX_CHOICE_FAULT && asked < faults.size()) {
            CHECK(row.object == rows[faults[asked++]].object);
        }
    }
    CHECK(asked >= faults.size() / 2);
}

TEST_CASE("chaos: from the instant at which it heals, nothing more is injected", "[chaos]")
{
    asx_lab_config config = with(ASX_CHAOS_WAKE, 500000);
    const lab_report sick(config, withstands);
    config.chaos.heal_at_ns = 1;
    const lab_report healed(config, withstands);
    CHECK(healed.passed);
    CHECK(healed.report.chaos.injected[ASX_CHAOS_WAKE] <
          sick.report.chaos.injected[ASX_CHAOS_WAKE]);
    CHECK(healed.report.chaos.points < sick.report.chaos.points);
}

TEST_CASE("chaos: a swarm leaves kinds out, in about half of the runs", "[chaos]")
{
    uint32_t without = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        asx_lab_config config = with(ASX_CHAOS_WAKE, 1000000, seed);
        config.chaos.swarm = true;
        const lab_report run(config, withstands);
        without += run.report.chaos.injected[ASX_CHAOS_WAKE] == 0;
    }
    CHECK(without > 60);
    CHECK(without < 140);
}

TEST_CASE("chaos: the nth chunk of a shard is refused, and the program hears of it", "[chaos]")
{
    uint32_t refused = 0;
    for (uint64_t nth = 1; nth <= 8; nth++) {
        asx_lab_config config = of_shards(1);
        config.chaos.alloc_nth = nth;
        const lab_report run(
            config,
            [](asx_cx *cx, void *arg) -> asx_outcome {
                const asx_outcome begun = asx_yield(cx);
                (void)begun;
                for (uint32_t i = 0; i < 16; i++) {
                    *static_cast<uint32_t *>(arg) += asx_alloc(cx, 60000) == nullptr;
                }
                return asx_ok(0);
            },
            &refused);
        INFO(nth << "\n" << run.text());
        CHECK(run.passed);
        CHECK(run.report.chaos.injected[ASX_CHAOS_ALLOC] == 1);
    }
    CHECK(refused == 8);
}

TEST_CASE("chaos: the summary names what is on", "[chaos]")
{
    char buf[200];
    asx_chaos_config config{};
    CHECK(std::string(asx_chaos_summary(&config, buf, sizeof(buf))) == "off");
    REQUIRE(asx_chaos_preset(&config, "light"));
    const std::string light = asx_chaos_summary(&config, buf, sizeof(buf));
    CHECK(light.find("cancel 1%, budget 0.5%, delay 5%") == 0);
    CHECK(light.find("i/o error 2%") != std::string::npos);
}

/* Opens a file until that works; counts the refusals. */
static asx_outcome opens(asx_cx *cx, void *arg)
{
    for (uint32_t i = 0; i < 50; i++) {
        asx_op op{};
        op.code = ASX_OP_OPEN;
        op.path = "/file";
        op.arg = O_RDWR | O_CREAT;
        op.mode = 0600;
        const asx_outcome opened = asx_op_await(cx, &op);
        if (asx_is_ok(opened)) {
            asx_op over{};
            over.code = ASX_OP_CLOSE;
            over.fd = static_cast<int32_t>(opened.value);
            return asx_op_await(cx, &over);
        }
        if (opened.severity != ASX_SEVERITY_ERR || opened.err != asx_err_errno(EIO)) {
            return opened;
        }
        ++*static_cast<uint32_t *>(arg);
    }
    return asx_ok(1);
}

TEST_CASE("chaos: an operation ends in an error, undone, and a close never does", "[chaos]")
{
    const asx_vdisk_config disk{};
    uint32_t refused = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        asx_lab_config config = with(ASX_CHAOS_IO, 500000, seed);
        config.shards = 1;
        config.disk = &disk;
        const uint32_t before = refused;
        const lab_report run(config, opens, &refused);
        INFO(run.text());
        CHECK(run.passed);
        CHECK(run.report.value == 0);
        CHECK(run.report.chaos.injected[ASX_CHAOS_IO] == refused - before);
    }
    CHECK(refused > 5);
    asx_lab_config config = with(ASX_CHAOS_IO, 1000000);
    config.shards = 1;
    config.disk = &disk;
    refused = 0;
    const lab_report always(config, opens, &refused);
    CHECK(always.passed);
    CHECK(refused == 50);
}
