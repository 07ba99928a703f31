/* At stake: of a hundred faults one mattered, and nobody can say which. They are taken out by what
 * they are about, since each of them changes what is asked after it; the answers here are known
 * beforehand. */
#include <asx/lab/chaos.h>
#include <asx/lab/explore.h>
#include <asx/lab/explore_world.h>
#include <asx/lab/lab.h>
#include <asx/lab/shrink.h>
#include <asx/lab/strategy.h>
#include <asx/shard/cancel.h>
#include <asx/shard/scope.h>

#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

namespace
{

/* Asks once for each of `count` faults; one that happens asks for three values more, which moves
 * every later answer of a list. In between, a value of 5. Fails when all of `needed` happened and
 * the value after the last fault is `value`. */
struct faulty {
    asx_explore_program base{};
    uint32_t count = 60;
    std::set<uint32_t> needed;
    uint32_t value = 0;

    faulty()
    {
        base.name = "faulty";
        base.processes = 1;
        base.run = [](asx_explore_program *program, asx_explore_run *run) {
            reinterpret_cast<faulty *>(program)->go(run);
        };
    }
    void go(asx_explore_run *run)
    {
        const uint32_t process = 0;
        uint32_t last = 0;
        std::set<uint32_t> left = needed;
        for (uint32_t i = 0; i < count && !asx_explore_run_stopped(run); i++) {
            asx_explore_run_turn(run, &process, 1);
            if (asx_explore_run_value(run, ASX_CHOICE_FAULT, 2, 1000 + i) != 0) {
                left.erase(i);
                for (int more = 0; more < 3; more++) {
                    asx_explore_run_value(run, ASX_CHOICE_RINGVIS, 4, i);
                }
            }
            last = asx_explore_run_value(run, ASX_CHOICE_IORES, 5, i);
        }
        asx_explore_verdict verdict = {};
        if (left.empty() && last >= value) {
            verdict.signature = 9;
            snprintf(verdict.text, sizeof verdict.text, "a fault too many");
        }
        asx_explore_run_finish(run, &verdict);
    }
};

/* The first failure of random runs, shrunk. */
struct shrunk_failure {
    asx_explore_report *report;
    asx_shrunk shrunk{};

    shrunk_failure(asx_explore_program *program, uint64_t runs)
    {
        asx_explore_config config = {};
        config.runs_max = runs;
        asx_strategy *strategy = asx_strategy_random(1);
        report = asx_explore(program, strategy, &config);
        asx_strategy_destroy(strategy);
        uint32_t count;
        const asx_explore_failure *failure = asx_explore_failures(report, &count);
        REQUIRE(count == 1);
        asx_shrink_failure(&shrunk, program, failure->seed, failure->signature, failure->choices,
                           failure->choice_count, &config.limits, 0);
        REQUIRE(shrunk.result.reproduced);
    }
    ~shrunk_failure()
    {
        asx_shrunk_deinit(&shrunk);
        asx_explore_report_destroy(report);
    }
    shrunk_failure(const shrunk_failure &) = delete;
    std::vector<uint64_t> faults() const
    {
        std::vector<uint64_t> objects;
        for (uint32_t i = 0; i < shrunk.choice_count; i++) {
            if (shrunk.choices[i].site == ASX_CHOICE_FAULT && shrunk.choices[i].chosen) {
                objects.push_back(shrunk.choices[i].object);
            }
        }
        return objects;
    }
};

} // namespace

TEST_CASE("shrink: of sixty faults those are left that the failure needs, and nothing else",
          "[shrink]")
{
    const std::vector<std::set<uint32_t>> each = { {}, { 0 }, { 59 }, { 7, 23 }, { 1, 2, 30, 58 } };
    for (const std::set<uint32_t> &needed : each) {
        for (uint32_t value : { 0u, 3u }) {
            faulty program;
            program.needed = needed;
            program.value = value;
            const shrunk_failure found(&program.base, 100);
            std::vector<uint64_t> want;
            for (uint32_t fault : needed) {
                want.push_back(1000 + fault);
            }
            CHECK(found.faults() == want);
            CHECK(found.shrunk.faults == 60);
            CHECK(found.shrunk.faults_left == needed.size());
            CHECK(found.shrunk.deviations == needed.size() + (value > 0));
            CHECK(found.shrunk.by_fault.replays <= 130);
            CHECK_FALSE(found.shrunk.by_fault.truncated);

            /* The list by itself repeats it: nobody else knows which faults were kept. */
            const asx_explore_limits limits = {};
            asx_explore_run *run = asx_explore_run_create(1, &limits);
            asx_strategy *replay =
                asx_strategy_replay(1, found.shrunk.choices, found.shrunk.choice_count);
            uint64_t seed;
            REQUIRE(replay->begin(replay, 0, &seed));
            asx_explore_run_make(run, &program.base, replay, seed, false);
            CHECK(asx_explore_run_verdict(run)->signature == 9);
            CHECK(asx_strategy_replay_misfits(replay) == 0);
            asx_strategy_destroy(replay);
            asx_explore_run_destroy(run);
        }
    }
}

TEST_CASE("shrink: where there was no fault nothing is said of any", "[shrink]")
{
    faulty program;
    program.count = 0;
    const shrunk_failure found(&program.base, 1);
    CHECK(found.shrunk.faults == 0);
    CHECK(found.shrunk.by_fault.replays == 0);
    char *text = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    asx_shrunk_print_faults(&found.shrunk, out);
    fclose(out);
    CHECK(std::string(text, len) == "");
    free(text);
}

/* Gives up when its fifth child is cancelled, and only then. */
static asx_outcome child(asx_cx *cx, void *arg)
{
    const uint32_t number = *static_cast<const uint32_t *>(arg);
    const asx_outcome outcome = asx_sleep(cx, 1000 * (1 + number));
    if (number == 5 && outcome.severity == ASX_SEVERITY_CANCELLED) {
        asx_panic("the fifth was cancelled");
    }
    return outcome;
}

static asx_outcome parent(asx_cx *cx, void *)
{
    asx_outcome value = asx_ok(0);
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
        for (uint32_t i = 0; i < 12; i++) {
            (void)ASX_SPAWN(s, child, &i);
        }
    }
    return value.severity == ASX_SEVERITY_PANICKED ? value : asx_ok(0);
}

TEST_CASE("shrink: a run under heavy chaos fails by one cancellation, and says which", "[shrink]")
{
    asx_lab_config config = {};
    asx_explore_world world;
    REQUIRE(asx_chaos_preset(&config.chaos, "heavy"));
    config.chaos.ppm[ASX_CHAOS_ALLOC] = 0;
    asx_explore_world_init(&world, "parent", &config, parent, nullptr);
    const shrunk_failure found(&world.program, 200);
    INFO(found.shrunk.verdict.text);
    REQUIRE(found.shrunk.faults > 1);
    CHECK(found.shrunk.faults_left == 1);
    REQUIRE(found.faults().size() == 1);
    const uint64_t kind = found.faults()[0] >> 56;
    CHECK((kind == ASX_CHAOS_CANCEL || kind == ASX_CHAOS_BUDGET));
    char text[64];
    CHECK(std::string(asx_chaos_fault_text(found.faults()[0], text, sizeof text))
              .find(" of shard 0") != std::string::npos);
}

TEST_CASE("chaos: a random strategy lets happen what a run by itself would", "[chaos]")
{
    asx_lab_config config = {};
    asx_explore_world world;
    config.shards = 2;
    REQUIRE(asx_chaos_preset(&config.chaos, "heavy"));
    asx_explore_world_init(&world, "parent", &config, parent, nullptr);
    for (uint64_t seed = 1; seed <= 50; seed++) {
        asx_explore_config once = {};
        once.runs_max = 1;
        asx_strategy *strategy = asx_strategy_random(seed);
        asx_explore_report *report = asx_explore(&world.program, strategy, &once);
        uint32_t count;
        const asx_explore_row *row = asx_explore_rows(report, &count);
        asx_lab_report alone;
        config.seed = seed;
        (void)asx_lab_run(&config, parent, nullptr, &alone);
        CHECK(row->schedule_hash == alone.schedule_hash);
        asx_lab_report_deinit(&alone);
        asx_explore_report_destroy(report);
        asx_strategy_destroy(strategy);
    }
}
