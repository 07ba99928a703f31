/* At stake: whoever goes on from a snapshot goes on in the same run. A snapshot that is damaged,
 * foreign, or does not describe a possible world leads nowhere. */
#include <asx/lab/snapshot.h>
#include <asx/shard/base/sha256.h>
#include <asx/shard/inspect.h>

#include "lab_fixture.h"

#include <cstring>
#include <functional>
#include <vector>

using file_bytes = std::vector<char>;

static file_bytes bytes_of(const asx_lab_snapshot &snapshot)
{
    char *text = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    REQUIRE(asx_lab_snapshot_write(&snapshot, out) == ASX_OK);
    fclose(out);
    file_bytes bytes(text, text + len);
    free(text);
    return bytes;
}

/* Why the bytes are no snapshot; empty when they are. */
static std::string read_from(const file_bytes &bytes, asx_lab_snapshot *snapshot = nullptr)
{
    asx_lab_snapshot own;
    file_bytes copy = bytes;
    FILE *in = copy.empty() ? fopen("/dev/null", "rb") : fmemopen(copy.data(), copy.size(), "rb");
    const char *wrong = asx_lab_snapshot_read(in, snapshot ? snapshot : &own);
    fclose(in);
    if (!wrong && !snapshot) {
        asx_lab_snapshot_deinit(&own);
    }
    return wrong ? wrong : "";
}

static asx_lab_config config_of(const char *name, uint64_t seed)
{
    const asx_lab_scenario *scenario = asx_lab_scenario_find(name);
    REQUIRE(scenario);
    asx_lab_config config = asx_lab_scenario_config(scenario, seed, 0);
    config.fingerprint = true;
    return config;
}

/* Runs `steps` steps of a scenario and takes the snapshot there. */
static asx_lab_snapshot taken(const char *name, const asx_lab_config &config, uint64_t steps)
{
    asx_lab_snapshot snapshot;
    asx_lab_report report;
    asx_lab_world *world = asx_lab_world_create(&config);
    asx_lab_world_start(world, asx_lab_scenario_find(name)->app, nullptr);
    for (uint64_t i = 0; i < steps; i++) {
        REQUIRE(asx_lab_world_step(world));
    }
    const char *why = asx_lab_snapshot_take(world, name, &snapshot);
    INFO((why ? why : ""));
    REQUIRE(why == nullptr);
    asx_lab_world_finish(world, &report);
    asx_lab_world_destroy(world);
    asx_lab_report_deinit(&report);
    return snapshot;
}

/* Why it cannot be restored; empty: it was, and `report` is that of the whole run. */
static std::string restored(const asx_lab_snapshot &snapshot, const char *name,
                            const asx_lab_config &config, asx_task_fn *app, asx_lab_report *report)
{
    asx_lab_world *world;
    const char *why = asx_lab_snapshot_restore(&snapshot, name, &config, app, nullptr, &world);
    if (why) {
        CHECK(world == nullptr);
        return why;
    }
    while (asx_lab_world_step(world)) {
    }
    asx_lab_world_finish(world, report);
    asx_lab_world_destroy(world);
    return "";
}

static std::string text_of(const asx_lab_report &report)
{
    char *text = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    asx_lab_report_print(&report, out);
    fclose(out);
    const std::string copy(text, len);
    free(text);
    return copy;
}

TEST_CASE("snapshot: two hundred runs go on from a random place to the same hashes",
          "[lab][snapshot]")
{
    static const char *const names[] = { "limb-cancel", "race", "limbs", "posts",  "permits",
                                         "storm",       "tree", "polls", "entropy" };
    asx_prng prng;
    asx_prng_init(&prng, 7);
    for (uint64_t i = 0; i < 200; i++) {
        const char *name = names[i % 8];
        asx_lab_config config = config_of(name, 500 + i);
        if (i % 8 == 4) {
            (void)asx_chaos_preset(&config.chaos, "heavy");
        }
        asx_task_fn *app = asx_lab_scenario_find(name)->app;
        const lab_report whole(config, app);
        const uint64_t at = asx_prng_below(&prng, whole.report.steps);
        INFO(name << " seed " << 500 + i << " step " << at << " of " << whole.report.steps);
        asx_lab_snapshot snapshot = taken(name, config, at), again;
        CHECK(snapshot.place.steps == at);
        REQUIRE(read_from(bytes_of(snapshot), &again) == "");
        asx_lab_report report;
        REQUIRE(restored(again, name, config, app, &report) == "");
        CHECK(report.trace_hash == whole.report.trace_hash);
        CHECK(report.schedule_hash == whole.report.schedule_hash);
        CHECK(report.fingerprint == whole.report.fingerprint);
        REQUIRE(text_of(report) == whole.text());
        REQUIRE(report.events_kept == whole.report.events_kept);
        for (uint32_t e = 0; e < report.events_kept; e++) {
            REQUIRE(memcmp(&report.events[e], &whole.report.events[e],
                           asx_lab_event_size(&report.events[e])) == 0);
        }
        asx_lab_report_deinit(&report);
        asx_lab_snapshot_deinit(&snapshot);
        asx_lab_snapshot_deinit(&again);
    }
}

TEST_CASE("snapshot: another source may go on from the place", "[lab][snapshot]")
{
    const asx_lab_config config = config_of("limb-cancel", 3);
    asx_task_fn *app = asx_lab_scenario_find("limb-cancel")->app;
    const lab_report whole(config, app);
    asx_lab_snapshot snapshot = taken("limb-cancel", config, whole.report.steps / 3);
    asx_lab_config calm = config;
    calm.mode = ASX_LAB_DEFAULT;
    asx_lab_report report;
    REQUIRE(restored(snapshot, "limb-cancel", calm, app, &report) == "");
    CHECK(asx_lab_report_passed(&report));
    CHECK(report.trace_hash != whole.report.trace_hash);
    REQUIRE(report.choices_kept >= snapshot.place.choices);
    for (uint64_t i = 0; i < report.choices_kept; i++) {
        const bool led = i < snapshot.place.choices;
        CHECK(report.choices[i].chosen == (led ? whole.report.choices[i].chosen : 0));
    }
    asx_lab_report_deinit(&report);
    asx_lab_snapshot_deinit(&snapshot);
}

TEST_CASE("snapshot: any changed bit and any other length is refused", "[lab][snapshot]")
{
    asx_lab_snapshot snapshot = taken("race", config_of("race", 1), 12);
    REQUIRE(snapshot.place.node_count > 2);
    const file_bytes bytes = bytes_of(snapshot);
    CHECK(std::string(bytes.data(), 8) == "ASLABSNP");
    REQUIRE(read_from(bytes).empty());
    size_t unnoticed = 0;
    for (size_t bit = 0; bit < 8 * bytes.size(); bit++) {
        file_bytes flipped = bytes;
        flipped[bit / 8] = (char)(flipped[bit / 8] ^ 1 << bit % 8);
        unnoticed += read_from(flipped).empty();
    }
    CHECK(unnoticed == 0);
    for (size_t len = 0; len < bytes.size(); len++) {
        const file_bytes cut(bytes.begin(), bytes.begin() + (ptrdiff_t)len);
        CHECK_FALSE(read_from(cut).empty());
    }
    file_bytes longer = bytes;
    longer.push_back(0);
    CHECK(read_from(longer).find("longer than it says") != std::string::npos);
    asx_lab_snapshot_deinit(&snapshot);
}

TEST_CASE("snapshot: one of another build, configuration, scenario or program is refused in words",
          "[lab][snapshot]")
{
    const asx_lab_config config = config_of("race", 1);
    asx_task_fn *app = asx_lab_scenario_find("race")->app;
    asx_lab_snapshot snapshot = taken("race", config, 12);
    asx_lab_report report;
    asx_lab_config other = config;
    other.seed = 2;
    CHECK(restored(snapshot, "race", other, app, &report) ==
          "it was taken under another configuration or seed");
    CHECK(restored(snapshot, "fan", config, app, &report) ==
          "it is a snapshot of another scenario");
    CHECK(restored(snapshot, nullptr, config, app, &report) ==
          "it is a snapshot of another scenario");
    snapshot.place.build_id++;
    CHECK(restored(snapshot, "race", config, app, &report).find("another build") !=
          std::string::npos);
    snapshot.place.build_id--;
    CHECK(restored(snapshot, "race", config, asx_lab_scenario_find("fan")->app, &report)
              .find("the run ") == 0);
    other = config;
    other.unrecorded = true;
    CHECK(restored(snapshot, "race", other, app, &report).find("not recorded") !=
          std::string::npos);
    CHECK(restored(snapshot, "race", config, app, &report) == "");
    asx_lab_report_deinit(&report);
    asx_lab_snapshot_deinit(&snapshot);
}

TEST_CASE("snapshot: every part of the place is compared with where the run came to",
          "[lab][snapshot]")
{
    const asx_lab_config config = config_of("race", 1);
    asx_task_fn *app = asx_lab_scenario_find("race")->app;
    const auto edited = [&](const std::function<void(asx_lab_snapshot &)> &edit) {
        asx_lab_snapshot snapshot = taken("race", config, 12);
        asx_lab_report report{};
        edit(snapshot);
        const std::string why = restored(snapshot, "race", config, app, &report);
        asx_lab_report_deinit(&report);
        asx_lab_snapshot_deinit(&snapshot);
        return why;
    };
    CHECK(edited([](asx_lab_snapshot &s) { s.place.trace_hash++; }).find("events") !=
          std::string::npos);
    CHECK(edited([](asx_lab_snapshot &s) { s.place.records++; }).find("events") !=
          std::string::npos);
    CHECK(edited([](asx_lab_snapshot &s) { s.place.schedule_hash++; }).find("schedule") !=
          std::string::npos);
    CHECK(edited([](asx_lab_snapshot &s) { s.place.now_ns++; }).find("instant") !=
          std::string::npos);
    CHECK(edited([](asx_lab_snapshot &s) {
              s.place.generators[ASX_LAB_NET][1]++;
          }).find("random numbers") != std::string::npos);
    CHECK(edited([](asx_lab_snapshot &s) { s.place.state_hash++; }).find("state") !=
          std::string::npos);
    CHECK(edited([](asx_lab_snapshot &s) { s.nodes[0].obligations++; }).find("state") !=
          std::string::npos);
    CHECK(edited([](asx_lab_snapshot &s) { s.place.steps = 1000000; }).find("ended before") !=
          std::string::npos);
    CHECK(edited([](asx_lab_snapshot &s) { s.place.steps--; }).find("the run ") == 0);
    CHECK(edited([](asx_lab_snapshot &s) { s.choices[0].site++; }) != "");
}

TEST_CASE("snapshot: rows that no kernel can have left are named", "[lab][snapshot]")
{
    const auto edited = [&](const std::function<void(asx_lab_snapshot &)> &edit) {
        asx_lab_snapshot snapshot = taken("tree", config_of("tree", 1), 12);
        CHECK(asx_lab_snapshot_wrong(&snapshot) == nullptr);
        REQUIRE(snapshot.place.node_count > 3);
        edit(snapshot);
        /* Sealed again, a file says the same. */
        const std::string read = read_from(bytes_of(snapshot));
        const char *wrong = asx_lab_snapshot_wrong(&snapshot);
        const std::string why = wrong ? wrong : "";
        CHECK(read == why);
        asx_lab_snapshot_deinit(&snapshot);
        return why;
    };
    const auto last = [](asx_lab_snapshot &s) -> asx_lab_snapshot_node & {
        return s.nodes[s.place.node_count - 1];
    };
    CHECK(edited([&](asx_lab_snapshot &s) { last(s).parent = 12345; }) ==
          "it has a task without a region");
    CHECK(edited([&](asx_lab_snapshot &s) { s.nodes[1].parent = 12345; }) ==
          "it has a region whose parent is unknown");
    CHECK(edited([&](asx_lab_snapshot &s) { s.nodes[1].id = s.nodes[0].id; }) ==
          "it has an identity twice");
    CHECK(edited([&](asx_lab_snapshot &s) { std::swap(s.nodes[0], s.nodes[1]); }) ==
          "its rows are not in order");
    CHECK(edited([&](asx_lab_snapshot &s) { s.nodes[0].parent = s.nodes[1].id; }) ==
          "its regions are a circle, or too deep");
    CHECK(edited([&](asx_lab_snapshot &s) { last(s).kind = 2; }) == "it has a row that cannot be");
    CHECK(edited([&](asx_lab_snapshot &s) { memset(last(s).state, 'x', 16); }) ==
          "it has a row that cannot be");
    CHECK(edited([&](asx_lab_snapshot &s) {
              for (uint32_t i = 0; i < s.place.node_count; i++) {
                  if (s.nodes[i].id == last(s).parent && s.nodes[i].kind == ASX_INSPECT_REGION) {
                      snprintf(s.nodes[i].state, sizeof(s.nodes[i].state), "CLOSED");
                  }
              }
          }) == "it has a closed region that is not empty");
    CHECK(edited([&](asx_lab_snapshot &s) {
              for (uint32_t i = 0; i < s.place.node_count; i++) {
                  if (s.nodes[i].kind == ASX_INSPECT_REGION) {
                      s.nodes[i].tasks = 0;
                  }
              }
          }) == "it has a region with more tasks than it counts");
    CHECK(edited([&](asx_lab_snapshot &s) { s.place.zero = 1; }) == "it has a name that cannot be");
}

TEST_CASE("snapshot: a run that is over, or was not recorded, has none", "[lab][snapshot]")
{
    asx_lab_config config = config_of("race", 1);
    asx_lab_snapshot snapshot;
    asx_lab_report report;
    config.unrecorded = true;
    asx_lab_world *world = asx_lab_world_create(&config);
    CHECK(std::string(asx_lab_snapshot_take(world, "race", &snapshot)).find("not begun") !=
          std::string::npos);
    asx_lab_world_start(world, asx_lab_scenario_find("race")->app, nullptr);
    for (unsigned i = 0; i < 12; i++) {
        REQUIRE(asx_lab_world_step(world));
    }
    CHECK(std::string(asx_lab_snapshot_take(world, "race", &snapshot)).find("recorded") !=
          std::string::npos);
    while (asx_lab_world_step(world)) {
    }
    CHECK(std::string(asx_lab_snapshot_take(world, "race", &snapshot)).find("over") !=
          std::string::npos);
    asx_lab_world_finish(world, &report);
    asx_lab_world_destroy(world);
    asx_lab_report_deinit(&report);
}
