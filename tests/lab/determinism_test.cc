/* At stake: the same seed is the same run. Everything the lab promises rests on it, so each thing
 * that could creep in (another run before, the number of shards, how much is kept, who listens) is
 * tried, and each scenario is replayed from its own list. What needs another process or compiler is
 * tried by same_run.sh. */
#include <asx/lab/schedule.h>

#include "lab_fixture.h"

#include <algorithm>
#include <array>
#include <set>
#include <vector>

namespace
{

const uint32_t shard_counts[] = { 1, 2, 7, 64 };
const uint64_t seeds = ASX_ASAN ? 3 : 10;

void each_scenario(void (*body)(const asx_lab_scenario &scenario))
{
    uint32_t count;
    const asx_lab_scenario *list = asx_lab_scenario_list(&count);
    for (uint32_t i = 0; i < count; i++) {
        INFO("scenario " << list[i].name);
        body(list[i]);
    }
}

void check_same(const lab_report &a, const lab_report &b)
{
    CHECK(a.report.trace_hash == b.report.trace_hash);
    CHECK(a.report.schedule_hash == b.report.schedule_hash);
    CHECK(a.report.fingerprint == b.report.fingerprint);
    CHECK(a.text() == b.text());
}

} // namespace

TEST_CASE("determinism: every scenario passes, on any number of shards", "[lab]")
{
    each_scenario([](const asx_lab_scenario &scenario) {
        for (uint32_t shards : shard_counts) {
            for (uint64_t seed = 1; seed <= (shards < 64 ? seeds : 2); seed++) {
                lab_report run(asx_lab_scenario_config(&scenario, seed, shards), scenario.app);
                INFO("shards " << shards << '\n' << run.text());
                CHECK(run.passed);
            }
        }
    });
}

TEST_CASE("determinism: a run is the same again in the same process", "[lab]")
{
    each_scenario([](const asx_lab_scenario &scenario) {
        for (uint32_t shards : shard_counts) {
            asx_lab_config config = asx_lab_scenario_config(&scenario, 7, shards);
            config.fingerprint = true;
            lab_report first(config, scenario.app);
            lab_report other(asx_lab_scenario_config(&scenario, 8, shards), scenario.app);
            lab_report again(config, scenario.app);
            check_same(first, again);
            CHECK(first.report.fingerprint != 0);
        }
    });
}

TEST_CASE("determinism: how much is kept, and who listens, changes nothing", "[lab]")
{
    each_scenario([](const asx_lab_scenario &scenario) {
        asx_lab_config config = asx_lab_scenario_config(&scenario, 5, 0);
        lab_report plain(config, scenario.app);
        asx_lab_listener listener{};
        listener.hear = [](asx_lab_listener *, const asx_lab_event *) {};
        config.trace_capacity = 16;
        config.keep_schedule = true;
        config.listeners = &listener;
        config.diagnostic = [](void *, asx_shard *, const char *) {};
        lab_report kept(config, scenario.app);
        CHECK(kept.report.events_kept <= 16);
        CHECK(kept.report.trace_hash == plain.report.trace_hash);
        config = asx_lab_scenario_config(&scenario, 5, 0);
        config.trace_capacity = 1000000;
        config.unrecorded = true;
        lab_report wide(config, scenario.app);
        CHECK(wide.report.choices_kept == 0);
        check_same(plain, wide);
    });
}

TEST_CASE("determinism: memory that lies elsewhere changes nothing", "[lab]")
{
    each_scenario([](const asx_lab_scenario &scenario) {
        const asx_lab_config config = asx_lab_scenario_config(&scenario, 3, 0);
        lab_report first(config, scenario.app);
        std::vector<std::vector<char>> litter;
        for (size_t i = 0; i < 200; i++) {
            litter.emplace_back((i * 7919) % 5000 + 1, 'x');
        }
        lab_report again(config, scenario.app);
        check_same(first, again);
    });
}

TEST_CASE("replay: a thousand random runs are themselves again under their own choices", "[lab]")
{
    uint32_t count;
    const asx_lab_scenario *list = asx_lab_scenario_list(&count);
    for (uint64_t seed = 1; seed <= (ASX_ASAN ? 200 : 1000); seed++) {
        const asx_lab_scenario &scenario = list[seed % count];
        asx_lab_config config = asx_lab_scenario_config(&scenario, seed, 0);
        config.keep_schedule = true;
        lab_report recorded(config, scenario.app);
        asx_lab_schedule schedule;
        asx_lab_schedule_of(&recorded.report, &schedule);
        asx_lab_divergence divergence;
        asx_lab_report report;
        INFO("scenario " << scenario.name << " seed " << seed);
        CHECK(asx_lab_replay(&config, scenario.app, nullptr, &schedule, &divergence, &report));
        CHECK(report.trace_hash == recorded.report.trace_hash);
        CHECK(report.schedule_hash == recorded.report.schedule_hash);
        CHECK(report.now_ns == recorded.report.now_ns);
        asx_lab_report_deinit(&report);
        asx_lab_schedule_deinit(&schedule);
    }
}

TEST_CASE("replay: one edited row is the divergence, and both sides are shown", "[lab]")
{
    const asx_lab_scenario *const scenario = asx_lab_scenario_find("limbs");
    asx_lab_config config = asx_lab_scenario_config(scenario, 11, 0);
    config.keep_schedule = true;
    lab_report recorded(config, scenario->app);
    REQUIRE(recorded.report.row_count > 40);
    for (uint32_t index = 0; index < recorded.report.row_count; index += 7) {
        asx_lab_schedule schedule;
        asx_lab_schedule_of(&recorded.report, &schedule);
        asx_lab_row &row = schedule.rows[index];
        if (row.kind == ASX_LAB_ROW_CHOICE) {
            row.object ^= 1;
        } else {
            row.task ^= 1;
        }
        asx_lab_divergence divergence;
        asx_lab_report report;
        CHECK_FALSE(
            asx_lab_replay(&config, scenario->app, nullptr, &schedule, &divergence, &report));
        CHECK(divergence.index == index);
        CHECK(divergence.what ==
              (row.kind == ASX_LAB_ROW_CHOICE ? ASX_LAB_DIFFERS_CHOICE : ASX_LAB_DIFFERS_TASK));
        CHECK(divergence.expected_count >= std::min<uint32_t>(index, 10) + 1);
        char *text = nullptr;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        asx_lab_divergence_print(&divergence, out);
        fclose(out);
        CHECK(std::string(text).find("diverged at row " + std::to_string(index) + " ") == 0);
        CHECK(std::string(text).find("this run") != std::string::npos);
        free(text);
        asx_lab_report_deinit(&report);
        asx_lab_schedule_deinit(&schedule);
    }
}

TEST_CASE("replay: a schedule that is too short or too long is seen at its end", "[lab]")
{
    const asx_lab_scenario *const scenario = asx_lab_scenario_find("fan");
    asx_lab_config config = asx_lab_scenario_config(scenario, 11, 0);
    config.keep_schedule = true;
    lab_report recorded(config, scenario->app);
    asx_lab_schedule schedule;
    asx_lab_divergence divergence;
    asx_lab_report report;
    asx_lab_schedule_of(&recorded.report, &schedule);
    const uint32_t rows = schedule.row_count;
    schedule.row_count = rows / 2;
    CHECK_FALSE(asx_lab_replay(&config, scenario->app, nullptr, &schedule, &divergence, &report));
    CHECK(divergence.index == rows / 2);
    asx_lab_report_deinit(&report);
    schedule.row_count = rows;
    config.seed++; /* another configuration is not even run */
    CHECK_FALSE(asx_lab_replay(&config, scenario->app, nullptr, &schedule, &divergence, &report));
    CHECK(divergence.what == ASX_LAB_DIFFERS_CONFIG);
    asx_lab_schedule_deinit(&schedule);
}

TEST_CASE("replay: a program that keeps something from run to run is caught", "[lab]")
{
    static int runs;
    runs = 0;
    asx_task_fn *const program = TASK
    {
        runs++;
        for (int i = 0; i < 3 + runs; i++) {
            ASX_TRY(asx_yield(cx));
        }
        return asx_ok(0);
    };
    asx_lab_config config = of_shards(1);
    config.keep_schedule = true;
    lab_report recorded(config, program);
    asx_lab_schedule schedule;
    asx_lab_schedule_of(&recorded.report, &schedule);
    asx_lab_divergence divergence;
    asx_lab_report report;
    CHECK_FALSE(asx_lab_replay(&config, program, nullptr, &schedule, &divergence, &report));
    CHECK(divergence.what == ASX_LAB_DIFFERS_KIND); /* it runs on where it had ended */
    CHECK(divergence.index == 5);
    asx_lab_report_deinit(&report);
    asx_lab_schedule_deinit(&schedule);
}

TEST_CASE("schedule: a file comes back as it was; any flipped bit or cut is noticed", "[lab]")
{
    const asx_lab_scenario *const scenario = asx_lab_scenario_find("token-ring");
    asx_lab_config config = asx_lab_scenario_config(scenario, 2, 2);
    config.keep_schedule = true;
    lab_report recorded(config, scenario->app);
    asx_lab_schedule schedule, back;
    asx_lab_schedule_of(&recorded.report, &schedule);
    char *bytes = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&bytes, &len);
    CHECK(asx_lab_schedule_write(&schedule, out) == ASX_OK);
    fclose(out);
    REQUIRE(len == 80 + 40 * size_t(schedule.row_count) + 40 + 32);
    FILE *in = fmemopen(bytes, len, "r");
    REQUIRE(asx_lab_schedule_read(in, &back) == nullptr);
    fclose(in);
    CHECK(back.row_count == schedule.row_count);
    CHECK(back.trace_hash == recorded.report.trace_hash);
    asx_lab_schedule_deinit(&back);
    for (size_t at = 0; at < len; at += at < 128 || at > len - 128 ? 1 : 37) {
        std::vector<char> bad(bytes, bytes + len);
        bad[at] = char(bad[at] ^ (1 << at % 8));
        in = fmemopen(bad.data(), len, "r");
        CHECK(asx_lab_schedule_read(in, &back) != nullptr);
        fclose(in);
        in = fmemopen(bytes, at ? at : 1, "r");
        CHECK(asx_lab_schedule_read(in, &back) != nullptr);
        fclose(in);
    }
    asx_lab_schedule_deinit(&schedule);
    free(bytes);
}

TEST_CASE("determinism: other seeds are other runs", "[lab]")
{
    const asx_lab_scenario *const scenario = asx_lab_scenario_find("limb-tree");
    std::set<uint64_t> hashes;
    const uint64_t count = ASX_ASAN ? 200 : 1000;
    for (uint64_t seed = 1; seed <= count; seed++) {
        lab_report run(asx_lab_scenario_config(scenario, seed, 7), scenario->app);
        REQUIRE(run.report.choice_count >= 64);
        hashes.insert(run.report.schedule_hash);
    }
    CHECK(hashes.size() >= count - count / 100);
}

TEST_CASE("determinism: the schedule's draws do not depend on what programs draw", "[lab]")
{
    const asx_lab_scenario *const scenario = asx_lab_scenario_find("entropy");
    asx_lab_config config = asx_lab_scenario_config(scenario, 9, 3);
    lab_report first(config, scenario->app);
    config.entropy_seed = 1234;
    lab_report other(config, scenario->app);
    REQUIRE(first.report.choices_kept == other.report.choices_kept);
    CHECK(std::equal(first.report.choices, first.report.choices + first.report.choices_kept,
                     other.report.choices, [](const asx_lab_choice &a, const asx_lab_choice &b) {
                         return a.chosen == b.chosen && a.site == b.site;
                     }));
    CHECK(first.report.trace_hash != other.report.trace_hash); /* the marks are what was drawn */
}

TEST_CASE("report: a fuzzer's bytes are choices, and all zero is production", "[lab]")
{
    const asx_lab_scenario *const scenario = asx_lab_scenario_find("limb-cancel");
    asx_lab_config config = asx_lab_scenario_config(scenario, 4, 0);
    config.mode = ASX_LAB_DEFAULT;
    lab_report production(config, scenario->app);
    std::vector<uint8_t> bytes(10000, 0);
    config.mode = ASX_LAB_BYTES;
    config.bytes = bytes.data();
    config.bytes_len = bytes.size();
    lab_report zero(config, scenario->app);
    CHECK(zero.report.schedule_hash == production.report.schedule_hash);
    for (size_t i = 0; i < bytes.size(); i++) {
        bytes[i] = uint8_t(i * 151 >> 2);
    }
    lab_report other(config, scenario->app);
    CHECK(other.passed);
    CHECK(other.report.schedule_hash != production.report.schedule_hash);
}

TEST_CASE("choice: every site of the kernel is asked somewhere among the scenarios", "[lab]")
{
    static std::set<uint32_t> sites;
    sites.clear();
    each_scenario([](const asx_lab_scenario &scenario) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            lab_report run(asx_lab_scenario_config(&scenario, seed, 0), scenario.app);
            for (uint32_t i = 0; i < run.report.choices_kept; i++) {
                sites.insert(run.report.choices[i].site);
            }
        }
    });
    for (uint32_t site : { ASX_CHOICE_SHARD, ASX_CHOICE_READY, ASX_CHOICE_RINGVIS,
                           ASX_CHOICE_RINGSPACE, ASX_CHOICE_RINGORD, ASX_CHOICE_DOORBELL,
                           ASX_CHOICE_CQBATCH, ASX_CHOICE_POOL, ASX_CHOICE_IORES }) {
        INFO(asx_choice_site_name(site));
        CHECK(sites.count(site) == 1);
    }
}

TEST_CASE("choice: whoever always hides what can be hidden starves nobody", "[lab]")
{
    struct hider {
        asx_lab_steer steer;
        uint64_t hidden;
    };
    each_scenario([](const asx_lab_scenario &scenario) {
        hider self{};
        self.steer.turn = [](asx_lab_steer *, const uint32_t *, uint32_t n) { return n - 1; };
        self.steer.value = [](asx_lab_steer *steer, uint32_t, uint32_t n, uint64_t) {
            reinterpret_cast<hider *>(steer)->hidden++;
            return n - 1;
        };
        asx_lab_config config = asx_lab_scenario_config(&scenario, 1, 0);
        config.mode = ASX_LAB_STEERED;
        config.steer = &self.steer;
        config.ring_pressure = true;
        lab_report run(config, scenario.app);
        INFO(run.text());
        CHECK(run.passed);
    });
}
