/* At stake: what the explorer proves of real worlds is true only if the footprints of the kernel's
 * events are: steps that are called independent must commute, in all that a shard can see. */
#include <asx/lab/dpor.h>
#include <asx/lab/explore.h>
#include <asx/lab/scenario.h>
#include <asx/lab/shrink.h>
#include <asx/lab/strategy.h>

#include "store_world.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

namespace
{

std::string text_of(const asx_explore_report *report)
{
    char *text = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    asx_explore_print(report, out);
    fclose(out);
    const std::string copy(text, len);
    free(text);
    return copy;
}

} // namespace

TEST_CASE("explore: every strategy finds a lost update between shards", "[lab]")
{
    store_world w(2);
    const asx_explore_limits limits = {};
    asx_pct_config pct = {};
    pct.seed = 42;
    pct.steps = asx_explore_measure(&w.world.program, &limits);
    asx_dpor_config dpor = {};
    dpor.fixed_sites = ASX_DPOR_TIMING;
    for (asx_strategy *strategy : { asx_strategy_random(42), asx_strategy_pct(&pct),
                                    asx_strategy_pos(42), asx_dpor_create(&dpor) }) {
        asx_explore_config config = {};
        config.runs_max = 500;
        asx_explore_report *report = asx_explore(&w.world.program, strategy, &config);
        INFO(text_of(report));
        uint32_t count;
        asx_explore_failures(report, &count);
        CHECK(count == 1);
        asx_explore_report_destroy(report);
        asx_strategy_destroy(strategy);
    }
}

namespace
{

/* All orders of turns, without any reduction: the strategy it wraps is asked about turns only. */
struct turns_only {
    asx_strategy base;
    asx_strategy *turns;

    turns_only() : base{}, turns(asx_strategy_bounded(0, 1000000))
    {
        base.name = "every order";
        base.begin = [](asx_strategy *self, uint64_t index, uint64_t *seed) {
            return inner(self)->begin(inner(self), index, seed);
        };
        base.turn = [](asx_strategy *self, const asx_turn *turn) {
            return inner(self)->turn(inner(self), turn);
        };
        base.value = [](asx_strategy *, uint32_t, uint32_t, uint64_t) { return 0u; };
        base.end = [](asx_strategy *self, asx_explore_run *run) {
            inner(self)->end(inner(self), run);
        };
    }
    ~turns_only()
    {
        asx_strategy_destroy(turns);
    }
    static asx_strategy *inner(asx_strategy *self)
    {
        return reinterpret_cast<turns_only *>(self)->turns;
    }
};

std::set<uint64_t> classes_of(const asx_explore_report *report)
{
    std::set<uint64_t> classes;
    uint32_t count;
    const asx_explore_row *rows = asx_explore_rows(report, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].end != ASX_EXPLORE_ABANDONED) {
            classes.insert(rows[i].fingerprint);
        }
    }
    return classes;
}

} // namespace

namespace
{

asx_outcome naps(asx_cx *cx, void *arg)
{
    return asx_sleep(cx, asx_ms(*static_cast<uint32_t *>(arg)));
}

/* Sleeps on three shards, of which the first to end cuts the others short. */
asx_outcome nappers(asx_cx *cx, void *)
{
    asx_handle limbs[2];
    const uint32_t ms = 1;
    for (uint32_t i = 0; i < 2; i++) {
        const asx_err err = asx_spawn_on(cx, i + 1, naps, &ms, sizeof ms, nullptr, &limbs[i]);
        if (err) {
            return asx_fail(err);
        }
    }
    const asx_outcome slept = asx_sleep(cx, asx_ms(1));
    asx_limb_cancel(cx, limbs[0], ASX_CANCEL_USER, "enough");
    asx_limb_cancel(cx, limbs[1], ASX_CANCEL_USER, "enough");
    return slept;
}

/* Classes that every order of turns falls into, and those that a systematic search visits. */
void compare_classes(asx_explore_world *world)
{
    asx_explore_config config = {};
    config.runs_max = 20000;
    config.past_failures = true;
    turns_only every;
    asx_explore_report *all = asx_explore(&world->program, &every.base, &config);
    asx_dpor_config dpor = {};
    dpor.fixed_sites = ASX_DPOR_TIMING;
    asx_strategy *strategy = asx_dpor_create(&dpor);
    asx_explore_report *some = asx_explore(&world->program, strategy, &config);
    INFO(text_of(all) << text_of(some));
    CHECK(std::string(asx_explore_why(all)) == "nothing left");
    CHECK(std::string(asx_explore_why(some)) == "nothing left");
    const auto known = classes_of(all), visited = classes_of(some);
    CHECK(known.size() > 1);
    const bool same = known == visited;
    CHECK(same);
    const asx_dpor_counts c = asx_dpor_counts_of(strategy);
    CHECK(c.runs < asx_explore_coverage_of(all).runs);
    CHECK(c.runs == visited.size() + c.sleep_blocked);
    CHECK(c.sleep_blocked <= visited.size() / 10);
    const char *why;
    CHECK(!asx_dpor_exhaustive(strategy, &why));
    CHECK(std::string(why) == "bounded: all orders of whole turns, but questions of some sites "
                              "were answered 0");
    asx_explore_report_destroy(all);
    asx_explore_report_destroy(some);
    asx_strategy_destroy(strategy);
}

} // namespace

TEST_CASE("explore: of a real world, a systematic search visits the classes that there are",
          "[lab]")
{
    store_world blind(2);
    blind.state.blind = true;
    compare_classes(&blind.world);
    asx_lab_config config = {};
    config.shards = 3;
    asx_explore_world naps;
    asx_explore_world_init(&naps, "nappers", &config, nappers, nullptr);
    compare_classes(&naps);
}

namespace
{

/* A run written down as its steps: who took each, and what it answered. */
struct script_step {
    uint32_t process;
    std::vector<uint32_t> values;
};

/* Follows a script; where there is none yet, asks another strategy and writes one. */
struct script {
    asx_strategy base;
    asx_strategy *source; /* NULL: follow */
    std::vector<script_step> steps;
    size_t at, value;
    bool lost;

    explicit script(asx_strategy *asked) : base{}, source(asked), at(0), value(0), lost(false)
    {
        base.name = "script";
        base.wants_order = true;
        base.turn = turn;
        base.value = answer;
    }
    static script *of(asx_strategy *self)
    {
        return reinterpret_cast<script *>(self);
    }
    static uint32_t turn(asx_strategy *base, const asx_turn *turn)
    {
        script *self = of(base);
        if (self->source) {
            const uint32_t alternative = self->source->turn(self->source, turn);
            self->steps.push_back({ turn->processes[alternative], {} });
            return alternative;
        }
        self->value = 0;
        for (uint32_t i = 0; i < turn->count && self->at < self->steps.size(); i++) {
            if (turn->processes[i] == self->steps[self->at].process) {
                self->at++;
                return i;
            }
        }
        self->lost = true;
        return 0;
    }
    static uint32_t answer(asx_strategy *base, uint32_t site, uint32_t n, uint64_t object)
    {
        script *self = of(base);
        if (self->source) {
            const uint32_t v = self->source->value(self->source, site, n, object);
            self->steps.back().values.push_back(v);
            return v;
        }
        const auto &values = self->steps[self->at - 1].values;
        const uint32_t v = self->value < values.size() ? values[self->value++] : n;
        self->lost = self->lost || v >= n;
        return v < n ? v : 0;
    }
};

/* What each shard did and saw, in its order. */
struct observer {
    asx_lab_listener listener;
    std::vector<std::vector<std::string>> of_shard;

    observer() : listener{}
    {
        listener.hear = [](asx_lab_listener *self, const asx_lab_event *event) {
            auto *o = reinterpret_cast<observer *>(self);
            const size_t shard = event->shard == 0xffff ? 63 : event->shard;
            o->of_shard.resize(64);
            char text[256];
            if (event->kind != ASX_TRACE_CHOICE) {
                o->of_shard[shard].push_back(std::to_string(event->vtime_ns) + " " +
                                             asx_lab_event_text(event, text, sizeof text));
            }
        };
    }
};

} // namespace

namespace
{

struct swaps {
    int made = 0, bad = 0;
    std::string text; /* of the first bad one */
};

std::string first_difference(const std::vector<std::vector<std::string>> &a,
                             const std::vector<std::vector<std::string>> &b)
{
    for (size_t s = 0; s < a.size(); s++) {
        for (size_t e = 0; e < a[s].size(); e++) {
            if (s >= b.size() || e >= b[s].size() || a[s][e] != b[s][e]) {
                return "shard " + std::to_string(s) + ": " + a[s][e] + " became " +
                       (s < b.size() && e < b[s].size() ? b[s][e] : "nothing");
            }
        }
    }
    return "";
}

/* Runs the world at random, and each of its runs again with two neighbouring steps swapped that
 * are independent: no shard may notice. `ignored`: resources that are taken out of all
 * footprints, which makes them wrong. */
swaps swap_independent(asx_explore_world *world, uint64_t runs, uint64_t ignored = 0)
{
    swaps result;
    observer seen;
    world->listener = &seen.listener;
    const asx_explore_limits limits = {};
    asx_explore_run *run = asx_explore_run_create(world->program.processes, &limits);
    asx_strategy *random = asx_strategy_random(100);
    for (uint64_t index = 0; index < runs; index++) {
        uint64_t seed;
        random->begin(random, index, &seed);
        script first(random);
        seen.of_shard.clear();
        asx_explore_run_make(run, &world->program, &first.base, seed, true);
        const auto before = seen.of_shard;
        const uint64_t fingerprint = asx_explore_run_verdict(run)->fingerprint;
        const asx_race_order *order = asx_explore_run_order(run);
        std::vector<uint32_t> independent;
        for (uint32_t i = 0; i + 1 < asx_race_order_count(order); i++) {
            const asx_race_step a = asx_race_order_step(order, i);
            const asx_race_step b = asx_race_order_step(order, i + 1);
            std::vector<asx_lab_access> left[2];
            for (uint32_t k = 0; k < a.accesses.count + b.accesses.count; k++) {
                const bool second = k >= a.accesses.count;
                const asx_lab_access &access =
                    second ? b.accesses.at[k - a.accesses.count] : a.accesses.at[k];
                if (!(ignored >> access.resource & 1)) {
                    left[second].push_back(access);
                }
            }
            const asx_accesses of_a = { left[0].data(), static_cast<uint32_t>(left[0].size()) };
            const asx_accesses of_b = { left[1].data(), static_cast<uint32_t>(left[1].size()) };
            if (a.process != b.process && (a.enabled >> b.process & 1) &&
                !asx_accesses_conflict(of_a, of_b)) {
                independent.push_back(i);
            }
        }
        for (uint32_t i : independent) {
            script second(nullptr);
            second.steps = first.steps;
            std::swap(second.steps[i], second.steps[i + 1]);
            seen.of_shard.clear();
            asx_explore_run_make(run, &world->program, &second.base, seed, true);
            const bool same = !second.lost && seen.of_shard == before &&
                              asx_explore_run_verdict(run)->fingerprint == fingerprint;
            result.made++;
            if (!same && result.bad++ == 0) {
                result.text = "seed " + std::to_string(seed) + ", steps " + std::to_string(i) +
                              " and the next: " + first_difference(before, seen.of_shard);
            }
        }
    }
    asx_strategy_destroy(random);
    asx_explore_run_destroy(run);
    world->listener = nullptr;
    return result;
}

/* Sleepers on two shards, one of which is cancelled by the other's end. */
asx_outcome sleeper(asx_cx *cx, void *arg)
{
    return asx_sleep(cx, asx_ms(*static_cast<uint32_t *>(arg)));
}

asx_outcome sleepers(asx_cx *cx, void *)
{
    asx_handle limbs[4];
    for (uint32_t i = 0; i < 4; i++) {
        const uint32_t ms = 2 + i % 3;
        const asx_err err =
            asx_spawn_on(cx, 1 + i % 2, sleeper, &ms, sizeof ms, nullptr, &limbs[i]);
        if (err) {
            return asx_fail(err);
        }
    }
    asx_outcome ended = asx_join_limb(cx, limbs[0]);
    asx_limb_cancel(cx, limbs[2], ASX_CANCEL_USER, "enough");
    ended = asx_join_limb(cx, limbs[1]);
    const asx_outcome cancelled = asx_join_limb(cx, limbs[2]);
    return asx_is_ok(cancelled) ? cancelled : ended;
}

struct sleepers_world {
    asx_lab_config config = {};
    asx_explore_world world;

    sleepers_world()
    {
        config.shards = 3;
        asx_explore_world_init(&world, "sleepers", &config, sleepers, nullptr);
    }
};

} // namespace

TEST_CASE("explore: steps that are called independent commute in a real world", "[lab]")
{
    store_world store(2);
    swaps s = swap_independent(&store.world, 80);
    INFO(s.text);
    CHECK(s.bad == 0);
    CHECK(s.made > 150);
    sleepers_world sleeping;
    s = swap_independent(&sleeping.world, 100);
    INFO(s.text);
    CHECK(s.bad == 0);
    CHECK(s.made > 150);
}

TEST_CASE("explore: in every scenario of several shards, independent steps commute", "[lab]")
{
    uint32_t count;
    const asx_lab_scenario *scenarios = asx_lab_scenario_list(&count);
    for (uint32_t i = 0; i < count; i++) {
        asx_lab_config config = asx_lab_scenario_config(&scenarios[i], 0, 0);
        /* The posts of "posts" count in memory that all shards share, which no event tells. */
        if (config.shards > 1 && std::string(scenarios[i].name) != "posts") {
            asx_explore_world world;
            asx_explore_world_init(&world, scenarios[i].name, &config, scenarios[i].app, &config);
            const swaps s = swap_independent(&world, 3);
            INFO(scenarios[i].name << " " << s.made << " swaps, " << s.text);
            CHECK(s.bad == 0);
        }
    }
}

namespace
{

/* Counts in memory that all shards share, behind the lab's back; the last one takes longer. */
asx_outcome shares(asx_cx *cx, void *arg)
{
    store *self = *static_cast<store **>(arg);
    if (++self->value == self->clients) {
        ASX_TRY(asx_yield(cx));
    }
    return asx_ok(0);
}

asx_outcome sharers(asx_cx *cx, void *arg)
{
    store *self = static_cast<store *>(arg);
    for (uint32_t i = 0; i < self->clients; i++) {
        const asx_err err = asx_spawn_on(cx, i + 1, shares, &self, sizeof self, nullptr, nullptr);
        if (err) {
            return asx_fail(err);
        }
    }
    return asx_ok(0);
}

} // namespace

TEST_CASE("explore: memory that shards share behind the lab's back is found by swapping", "[lab]")
{
    store_world world(3);
    world.world.app = sharers;
    world.world.judge = nullptr;
    const swaps s = swap_independent(&world.world, 40);
    INFO(s.made << " swaps");
    CHECK(s.bad > 0);
}

TEST_CASE("explore: a footprint with a hole is found by swapping", "[lab]")
{
    store_world store(2);
    const uint64_t one = 1;
    CHECK(swap_independent(&store.world, 60, one << ASX_LAB_RES_SHARD).bad > 0);
    const uint64_t rings =
        one << ASX_LAB_RES_RING_SLOT | one << ASX_LAB_RES_RING_TAIL | one << ASX_LAB_RES_RING_EDGE;
    CHECK(swap_independent(&store.world, 60, rings).bad > 0);
}

TEST_CASE("explore: a run of the explorer is the same run of the lab", "[lab]")
{
    store_world w(2);
    const asx_explore_limits limits = {};
    asx_explore_run *run = asx_explore_run_create(3, &limits);
    asx_strategy *random = asx_strategy_random(7);
    for (uint64_t index = 0; index < 20; index++) {
        uint64_t seed;
        random->begin(random, index, &seed);
        asx_explore_run_make(run, &w.world.program, random, seed, false);
        const asx_explore_verdict made = *asx_explore_run_verdict(run);
        uint32_t count;
        const asx_lab_choice *rows = asx_explore_run_choices(run, &count);
        const std::vector<asx_lab_choice> kept(rows, rows + count);

        asx_lab_config config = w.config; /* by its seed */
        config.seed = seed;
        asx_lab_report report;
        reset(&w.state);
        asx_lab_run(&config, lost_update, &w.state, &report);
        CHECK(report.schedule_hash == made.schedule_hash);
        CHECK((w.state.value != 2) == (made.signature != 0));
        CHECK(report.choice_count == count);
        asx_lab_report_deinit(&report);

        config.mode = ASX_LAB_FORCED; /* by its choices, to the letter */
        config.choices = kept.data();
        config.choice_count = kept.size();
        reset(&w.state);
        CHECK(asx_lab_run(&config, lost_update, &w.state, &report));
        CHECK(report.schedule_hash == made.schedule_hash);
        asx_lab_report_deinit(&report);
    }
    asx_strategy_destroy(random);
    asx_explore_run_destroy(run);
}

TEST_CASE("explore: a lost update between shards shrinks to one early reader", "[lab]")
{
    store_world w(3);
    asx_strategy *random = asx_strategy_random(1);
    asx_explore_config config = {};
    asx_explore_report *report = asx_explore(&w.world.program, random, &config);
    uint32_t count;
    const asx_explore_failure *failure = asx_explore_failures(report, &count);
    REQUIRE(count == 1);
    asx_shrunk shrunk;
    asx_shrink_failure(&shrunk, &w.world.program, failure->seed, failure->signature,
                       failure->choices, failure->choice_count, &config.limits, 0);
    CHECK(shrunk.result.reproduced);
    INFO(failure->choice_count << " choices became " << shrunk.choice_count << ", deviations "
                               << shrunk.deviations << ", preemptions " << shrunk.preemptions
                               << ", replays " << shrunk.result.replays);
    CHECK(shrunk.deviations <= 1); /* in turn, all shards read before any writes */
    CHECK(shrunk.preemptions <= 3);

    asx_lab_config replay = w.config; /* the shrunk list is the lab's, too */
    replay.mode = ASX_LAB_LENIENT;
    replay.seed = failure->seed;
    replay.choices = shrunk.choices;
    replay.choice_count = shrunk.choice_count;
    asx_lab_report lab_report;
    reset(&w.state);
    asx_lab_run(&replay, lost_update, &w.state, &lab_report);
    CHECK(w.state.value != 3);
    asx_lab_report_deinit(&lab_report);
    asx_shrunk_deinit(&shrunk);
    asx_explore_report_destroy(report);
    asx_strategy_destroy(random);
}
