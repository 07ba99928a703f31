/* Work that other shards take over, under everything that the lab can do to it: every order of two
 * shards' turns and every answer to who lends what, a cancel at every await point, faults. */
#include <asx/lab/chaos_everywhere.h>
#include <asx/lab/kit_catch.h>
#include <asx/shard/combine/parallel.h>
#include <asx/shard/scope.h>

#include "lab_fixture.h"

namespace
{
/* Steps left, and a word that only whole runs get right. */
struct walker {
    uint32_t left;
    uint32_t sum;
};

bool walk(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    walker *const self = static_cast<walker *>(frame);
    self->sum = self->sum * 3 + self->left;
    if (asx_is_cancelled(cx)) {
        *outcome = asx_cancelled(nullptr);
        return true;
    }
    if (self->left-- == 0) {
        *outcome = asx_ok(self->sum);
        return true;
    }
    asx_task_notify(asx_task_of(cx));
    return false;
}

struct shape {
    uint32_t tasks, steps;
};

/* Each task ends with its own sum, or cancelled where somebody cancels. */
asx_outcome lend(asx_cx *cx, void *arg)
{
    const shape *const of = static_cast<const shape *>(arg);
    asx_spawn_options options{};
    options.sendable = true;
    asx_outcome value;
    uint32_t expected = 0;
    for (uint32_t k = of->steps + 1; k-- > 0;) {
        expected = expected * 3 + k;
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
        asx_handle tasks[8];
        for (uint32_t i = 0; i < of->tasks; i++) {
            const walker w = { of->steps, 0 };
            if (asx_spawn_poll(&s->cx, nullptr, walk, &w, sizeof(w), &options, &tasks[i],
                               nullptr)) {
                return asx_ok(0); /* out of something: the scope ends what there is */
            }
        }
        for (uint32_t i = 0; i < of->tasks; i++) {
            const asx_outcome joined = asx_join(&s->cx, tasks[i]);
            ASX_LAB_CHECK(!asx_is_ok(joined) || joined.value == expected);
        }
    }
    return value;
}

asx_outcome touch(asx_cx *cx, uint64_t first, uint64_t end, void *arg)
{
    uint32_t *const touched = static_cast<uint32_t *>(arg);
    ASX_TRY(asx_yield(cx));
    for (uint64_t i = first; i < end; i++) {
        touched[i]++;
    }
    return asx_ok(0);
}

asx_outcome loop(asx_cx *cx, void *arg)
{
    const shape *const of = static_cast<const shape *>(arg);
    uint32_t touched[16] = {};
    const asx_outcome outcome = asx_parallel_for(cx, 0, of->tasks, of->steps, touch, touched);
    for (uint32_t i = 0; i < of->tasks; i++) {
        ASX_LAB_CHECK(touched[i] == 1 || (!asx_is_ok(outcome) && touched[i] == 0));
    }
    return outcome;
}

asx_lab_test test_of(const char *name, asx_task_fn *app, shape *of, uint32_t shards)
{
    asx_lab_test test{};
    test.name = name;
    test.app = app;
    test.arg = of;
    test.config = of_shards(shards);
    test.config.widen_ready = true;
    return test;
}

uint64_t asked(const asx_lab_report &report, uint32_t site)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < report.choices_kept; i++) {
        count += report.choices[i].site == site;
    }
    return count;
}
} // namespace

TEST_CASE("spread: many seeds, two and three shards", "[spread]")
{
    shape of = { 6, 5 };
    for (const uint32_t shards : { 2u, 3u }) {
        asx_lab_test lends = test_of("lend", lend, &of, shards);
        lends.runs = 1500;
        ASX_LAB_REQUIRE(lends);
        shape pieces = { 7, 2 };
        asx_lab_test loops = test_of("loop", loop, &pieces, shards);
        loops.runs = 1000;
        ASX_LAB_REQUIRE(loops);
    }
}

TEST_CASE("spread: every order of turns in a small world", "[spread]")
{
    shape of = { 3, 2 };
    asx_lab_test lends = test_of("lend small", lend, &of, 2);
    lends.config.widen_ready = false;
    lends.strategy = "dpor";
    lends.runs = 3000;
    ASX_LAB_REQUIRE(lends);
    shape pieces = { 3, 1 };
    asx_lab_test loops = test_of("loop small", loop, &pieces, 2);
    loops.config.widen_ready = false;
    loops.strategy = "dpor";
    loops.runs = 2000;
    ASX_LAB_REQUIRE(loops);
}

TEST_CASE("spread: a cancel at every await point", "[spread]")
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        for (asx_task_fn *const app : { lend, loop }) {
            shape of = { 6, app == loop ? 1u : 5u };
            asx_lab_config config = of_shards(2, seed);
            config.widen_ready = true;
            asx_everywhere_report report;
            CHECK(asx_lab_cancel_everywhere(&config, app, &of, nullptr, &report));
            for (uint32_t i = 0; i < report.failure_count; i++) {
                FAIL_CHECK("seed " << seed << ", point " << report.failures[i].point << ": "
                                   << report.failures[i].text);
            }
            CHECK(report.points > 5);
            asx_everywhere_deinit(&report);
        }
    }
}

TEST_CASE("spread: under chaos nothing is left either", "[spread]")
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        for (asx_task_fn *const app : { lend, loop }) {
            shape of = { 6, app == loop ? 1u : 5u };
            asx_lab_config config = of_shards(2 + seed % 2, seed);
            config.widen_ready = true;
            REQUIRE(asx_chaos_preset(&config.chaos, seed % 2 ? "light" : "heavy"));
            const lab_report run(config, app, &of);
            INFO(run.text());
            CHECK(run.passed);
        }
    }
}

TEST_CASE("spread: who lends what is written down, and repeats the run", "[spread]")
{
    shape of = { 6, 20 };
    uint64_t answers = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        asx_lab_config config = of_shards(3, seed);
        const lab_report run(config, lend, &of);
        CHECK(run.passed);
        answers += asked(run.report, ASX_CHOICE_MIGRATE);
        asx_lab_config again = of_shards(3, seed);
        again.mode = ASX_LAB_FORCED;
        again.choices = run.report.choices;
        again.choice_count = run.report.choices_kept;
        const lab_report repeated(again, lend, &of);
        CHECK(repeated.passed);
        CHECK(repeated.report.trace_hash == run.report.trace_hash);
    }
    CHECK(answers > 50);
}
