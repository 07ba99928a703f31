/* The watch over deadlines, in virtual time: when exactly it warns, of what, and that it does so
 * once; what counts as a missed deadline; and what ten ended tasks teach it about the eleventh. */
#include <asx/shard/deadline.h>

#include "kernel_fixture.h"

#include <cstring>

namespace
{
struct seen {
    asx_instant at_ns;
    bool approaching, silent;
    asx_duration remaining_ns, silent_ns;
    uint64_t checkpoints;
    uint32_t unreported;
    std::string label, region, waits_for, trail;
};

struct world {
    asx_deadline_config config{};
    asx_cx *cx = nullptr;
    std::vector<seen> warnings;

    static void note(void *arg, const asx_deadline_warning *w)
    {
        world *const self = static_cast<world *>(arg);
        const auto text = [](const char *s) { return std::string(s ? s : "-"); };
        self->warnings.push_back({ asx_now(self->cx), w->approaching, w->silent, w->remaining_ns,
                                   w->silent_ns, w->checkpoints, w->unreported, text(w->label),
                                   text(w->region), text(w->waits_for), text(w->trail) });
    }
};

asx_outcome watch_body(asx_cx *cx, void *arg)
{
    world *const self = static_cast<world *>(arg);
    self->cx = cx;
    self->config.arg = self;
    return asx_deadline_watch(cx, &self->config);
}

/* A region whose tasks are watched; the watch is a task of the root region. */
asx_handle watch_start(asx_cx *cx, world *self)
{
    asx_handle task;
    REQUIRE(asx_spawn(cx, nullptr, watch_body, self, 0, nullptr, &task) == ASX_OK);
    return task;
}

void watch_stop(asx_cx *cx, asx_handle watch)
{
    asx_task_cancel(cx, watch, ASX_CANCEL_USER, nullptr);
    CHECK(asx_join(cx, watch).severity == ASX_SEVERITY_CANCELLED);
}

asx_spawn_options with_deadline(asx_budget *budget, asx_instant deadline_ns, const char *label)
{
    *budget = ASX_BUDGET_UNLIMITED;
    budget->deadline_ns = deadline_ns;
    asx_spawn_options options{};
    options.budget = budget;
    options.label = label;
    return options;
}

/* Spawns `fn` with `total_ns` to live, beside a watch, and waits for its end. */
void run_one(asx_cx *cx, world *self, asx_task_fn *fn, void *arg, asx_duration total_ns,
             const char *label = "worker")
{
    asx_budget budget;
    const asx_spawn_options options =
        with_deadline(&budget, asx_time_add(asx_now(cx), total_ns), label);
    const asx_handle watch = watch_start(cx, self);
    asx_handle task;
    REQUIRE(asx_spawn(cx, nullptr, fn, arg, 0, &options, &task) == ASX_OK);
    ignored(asx_join(cx, task));
    watch_stop(cx, watch);
}

/* Never silent for longer than a second. */
asx_outcome busy(asx_cx *cx, void *arg)
{
    for (asx_duration left = *static_cast<asx_duration *>(arg); left > 0; left -= asx_s(1)) {
        ASX_TRY(asx_checkpoint(cx));
        ASX_TRY(asx_sleep(cx, asx_s(1)));
    }
    return asx_ok(0);
}

struct setup {
    asx_task_fn *fn;
    asx_duration runs_ns, total_ns;
    world *self;
};

kernel_run run_setup(setup s)
{
    s.self->config.report = world::note;
    return run_kernel(
        [](asx_cx *cx, void *arg) -> asx_outcome {
            setup *const self = static_cast<setup *>(arg);
            run_one(cx, self->self, self->fn, &self->runs_ns, self->total_ns);
            return asx_ok(0);
        },
        &s);
}
} // namespace

TEST_CASE("deadline: a task is warned about once, when a fifth of its time is left", "[deadline]")
{
    world w;
    const kernel_run run = run_setup({ busy, asx_s(99), asx_s(100), &w });
    REQUIRE(w.warnings.size() == 1);
    const seen &warning = w.warnings[0];
    CHECK(warning.remaining_ns == asx_s(20));
    CHECK(warning.approaching);
    CHECK(!warning.silent);
    CHECK(warning.label == "worker");
    CHECK(warning.region == "root");
    CHECK(warning.checkpoints >= 80);
    CHECK(run.stats.deadline_warnings == 1);
    CHECK(run.stats.deadlines_missed == 0);
}

TEST_CASE("deadline: a task that ends with a fifth of its time left is never warned about",
          "[deadline]")
{
    world w;
    const kernel_run run = run_setup({ busy, asx_s(79), asx_s(100), &w });
    CHECK(w.warnings.empty());
    CHECK(run.stats.deadline_warnings == 0);
}

TEST_CASE("deadline: thirty seconds without a checkpoint are worth a warning, 29 are not",
          "[deadline]")
{
    world w;
    (void)run_setup({ sleeper, asx_s(29), asx_s(1000), &w });
    CHECK(w.warnings.empty());
    (void)run_setup({ sleeper, asx_s(31), asx_s(1000), &w });
    REQUIRE(w.warnings.size() == 1);
    CHECK(w.warnings[0].silent);
    CHECK(!w.warnings[0].approaching);
    CHECK(w.warnings[0].silent_ns == asx_s(30));
}

TEST_CASE("deadline: late and silent at once is one warning", "[deadline]")
{
    world w;
    (void)run_setup({ sleeper, asx_s(33), asx_s(34), &w });
    REQUIRE(w.warnings.size() == 1);
    CHECK(w.warnings[0].approaching); /* at 27.2 s */
    w.warnings.clear();
    w.config.approach_percent = 10; /* at 30.6 s, seen at 31 s */
    w.config.silence_ns = asx_s(31);
    (void)run_setup({ sleeper, asx_s(33), asx_s(34), &w });
    REQUIRE(w.warnings.size() == 1);
    CHECK(w.warnings[0].approaching);
    CHECK(w.warnings[0].silent);
}

TEST_CASE("deadline: a task without one is never warned about", "[deadline]")
{
    world w;
    const kernel_run run = run_setup({ sleeper, asx_s(3600), ASX_TIME_NEVER, &w });
    CHECK(w.warnings.empty());
    CHECK(run.stats.deadlines_missed == 0);
}

TEST_CASE("deadline: one that passed is counted once, whoever sees it first", "[deadline]")
{
    /* its own wait, and the watch a second later */
    world w;
    CHECK(run_setup({ sleeper, asx_s(60), asx_s(5), &w }).stats.deadlines_missed == 1);
    /* at its very end: it took no notice, and no watch ran */
    const kernel_run unnoticed = run_kernel(TASK {
        asx_budget budget;
        const asx_spawn_options options =
            with_deadline(&budget, asx_time_add(asx_now(cx), asx_s(1)), nullptr);
        asx_handle task;
        REQUIRE(asx_spawn(
                    cx, nullptr,
                    [](asx_cx *own, void *) -> asx_outcome {
                        ASX_MASK(own, 1) {
                            ASX_TRY(asx_sleep(own, asx_s(2)));
                        }
                        return asx_ok(0);
                    },
                    nullptr, 0, &options, &task) == ASX_OK);
        ignored(asx_join(cx, task));
        return asx_ok(0);
    });
    CHECK(unnoticed.stats.deadlines_missed == 1);
    /* at the very instant it still belongs to the task */
    CHECK(run_setup({ sleeper, asx_s(5), asx_s(5), &w }).stats.deadlines_missed == 0);
}

TEST_CASE("deadline: a mask does not hide a missed deadline from the watch", "[deadline]")
{
    world w;
    const auto masked = [](asx_cx *cx, void *) -> asx_outcome {
        ASX_MASK(cx, 100) {
            for (int i = 0; i < 10; i++) {
                ASX_TRY(asx_sleep(cx, asx_s(1)));
            }
        }
        return asx_ok(0);
    };
    const kernel_run run = run_setup({ masked, 0, asx_s(5), &w });
    CHECK(run.stats.deadlines_missed == 1);
    REQUIRE(w.warnings.size() == 1);
    CHECK(w.warnings[0].remaining_ns == asx_s(1));
}

TEST_CASE("deadline: the warning carries the last eight messages, on one line", "[deadline]")
{
    world w;
    (void)run_setup({ [](asx_cx *cx, void *) -> asx_outcome {
                         char text[100];
                         for (int i = 0; i < 11; i++) {
                             snprintf(text, sizeof(text), "step\n%d", i);
                             ASX_TRY(asx_checkpoint_note(cx, text));
                         }
                         return asx_sleep(cx, asx_s(9));
                     },
                      0, asx_s(10), &w });
    REQUIRE(w.warnings.size() == 1);
    CHECK(w.warnings[0].trail == "step 3, step 4, step 5, step 6, step 7, step 8, step 9, "
                                 "step 10 (+3 more)");
    CHECK(w.warnings[0].checkpoints == 11);
}

TEST_CASE("deadline: from the tenth end on, nine of ten say how long a task may take", "[deadline]")
{
    world w;
    w.config.report = world::note;
    w.config.adaptive = true;
    const int ended = GENERATE(9, 10);
    struct arg {
        world *self;
        int ended;
    } a = { &w, ended };
    const kernel_run run = run_kernel(
        [](asx_cx *cx, void *p) -> asx_outcome {
            arg *const self = static_cast<arg *>(p);
            static asx_duration lengths[11];
            const asx_handle watch = watch_start(cx, self->self);
            asx_handle tasks[11];
            for (int i = 0; i <= self->ended; i++) {
                asx_budget budget;
                lengths[i] = i < self->ended ? asx_s((unsigned)i + 1) : asx_s(40);
                const asx_spawn_options options = with_deadline(
                    &budget, asx_time_add(asx_now(cx), asx_s(1000)), i % 2 ? " type" : "type ");
                REQUIRE(asx_spawn(cx, nullptr, sleeper, &lengths[i], 0, &options, &tasks[i]) ==
                        ASX_OK);
                if (i + 1 == self->ended) {
                    ASX_TRY(asx_sleep(cx, asx_s(11)));
                }
            }
            for (int i = 0; i <= self->ended; i++) {
                ignored(asx_join(cx, tasks[i]));
            }
            watch_stop(cx, watch);
            return asx_ok(0);
        },
        &a);
    REQUIRE(run.severity == ASX_SEVERITY_OK);
    REQUIRE(w.warnings.size() == 1);
    /* Index 8 of 1..10 s is 9 s; with nine samples nothing is known, and 30 s it is. */
    const asx_duration elapsed_ns = asx_s(1000) - w.warnings[0].remaining_ns;
    CHECK(elapsed_ns == (ended == 10 ? asx_s(9) : asx_s(30)));
}

TEST_CASE("deadline: reports are few; all are counted, and the next tells of those left out",
          "[deadline]")
{
    world w;
    w.config.report = world::note;
    w.config.reports_per_minute = 3;
    w.config.silence_ns = asx_s(1000);
    const kernel_run run = run_kernel(
        [](asx_cx *cx, void *arg) -> asx_outcome {
            static asx_duration lengths[2] = { asx_s(9), asx_s(100) };
            const asx_handle watch = watch_start(cx, static_cast<world *>(arg));
            asx_handle last;
            for (int i = 0; i < 11; i++) {
                asx_budget budget;
                const bool late = i == 10;
                const asx_spawn_options options =
                    with_deadline(&budget, asx_s(late ? 110 : 10), "many");
                REQUIRE(asx_spawn(cx, nullptr, sleeper, &lengths[late], 0, &options, &last) ==
                        ASX_OK);
            }
            ignored(asx_join(cx, last));
            watch_stop(cx, watch);
            return asx_ok(0);
        },
        &w);
    CHECK(run.stats.deadline_warnings == 11);
    REQUIRE(w.warnings.size() == 4);
    CHECK(w.warnings[3].unreported == 7);
}

TEST_CASE("deadline: without a report, the warning is a line of the shard's", "[deadline]")
{
    world w;
    const kernel_run run = run_kernel(
        [](asx_cx *cx, void *arg) -> asx_outcome {
            static asx_duration length = asx_s(9);
            run_one(cx, static_cast<world *>(arg), sleeper, &length, asx_s(10), "slow");
            return asx_ok(0);
        },
        &w);
    REQUIRE(run.lines.size() == 1);
    CHECK(run.lines[0].find("DEADLINE: task slow T") == 0);
    CHECK(run.lines[0].find("of region root has 2.000 s left of 10.000 s, waits for sleep") !=
          std::string::npos);
}

TEST_CASE("deadline: a warning is cut to the space there is", "[deadline]")
{
    asx_deadline_warning warning{};
    warning.approaching = warning.silent = true;
    warning.label = "label";
    warning.waits_for = "something";
    warning.trail = "one, two";
    warning.unreported = 7;
    char text[400];
    for (size_t size = 1; size <= sizeof(text); size++) {
        memset(text, 'x', sizeof(text));
        asx_deadline_warning_print(&warning, text, size);
        CHECK(strlen(text) < size);
    }
    CHECK(strstr(text, "; checkpoints: one, two (7 more not reported)"));
    CHECK(strstr(text, " left of 0.000 s and has made no progress"));
}

TEST_CASE("deadline: thousands of tasks are looked at in steps, and none is left out", "[deadline]")
{
    constexpr uint64_t tasks = ASX_TSAN ? 5000 : 10000; /* TSan knows 8,128 fibers at once */
    world w;
    w.config.report = world::note;
    w.config.reports_per_minute = 1;
    const kernel_run run = run_kernel(
        [](asx_cx *cx, void *arg) -> asx_outcome {
            static asx_duration length = asx_s(9);
            const asx_handle watch = watch_start(cx, static_cast<world *>(arg));
            asx_region *region;
            asx_region_options options{};
            options.policy = ASX_COLLECT_ALL;
            REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
            const asx_handle handle = asx_region_handle(region);
            asx_budget budget;
            const asx_spawn_options spawn = with_deadline(&budget, asx_s(10), "many");
            for (uint64_t i = 0; i < tasks; i++) {
                REQUIRE(asx_spawn(cx, region, sleeper, &length, 0, &spawn, nullptr) == ASX_OK);
            }
            asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
            CHECK(asx_is_ok(asx_region_close_wait(cx, handle)));
            watch_stop(cx, watch);
            return asx_ok(0);
        },
        &w);
    CHECK(run.stats.deadline_warnings == tasks);
}

TEST_CASE("futurelock: a task that holds a permit and does not run is reported once, after 30 s",
          "[deadline]")
{
    world w;
    const auto holder = [](asx_cx *cx, void *) -> asx_outcome {
        asx_obligation_options held{};
        held.kind = ASX_OBLIGATION_LEASE;
        held.what = "the only key";
        held.file = "some.c";
        held.line = 7;
        asx_permit permit;
        REQUIRE(asx_obligation_reserve(cx, &held, &permit) == ASX_OK);
        ASX_TRY(asx_checkpoint_note(cx, "got it"));
        ASX_TRY(asx_sleep(cx, asx_s(29)));
        CHECK(stats_of(cx).futurelocks == 0);
        ASX_TRY(asx_sleep(cx, asx_s(40)));
        CHECK(asx_obligation_commit(cx, permit) == ASX_OK);
        return asx_sleep(cx, asx_s(100));
    };
    const kernel_run run = run_setup({ holder, 0, ASX_TIME_NEVER, &w });
    CHECK(run.stats.futurelocks == 1);
    CHECK(w.warnings.empty());
    REQUIRE(run.lines.size() == 1);
    CHECK(run.lines[0].find("FUTURELOCK: task worker T") == 0);
    CHECK(run.lines[0].find("holds LEASE the only key (some.c:7), and has not run for 30.000 s; "
                            "it waits for sleep; last checkpoint: got it") != std::string::npos);
}

TEST_CASE("futurelock: a task that holds nothing, or only an operation, is never reported",
          "[deadline]")
{
    world w;
    CHECK(run_setup({ sleeper, asx_s(100), ASX_TIME_NEVER, &w }).stats.futurelocks == 0);
    const auto operates = [](asx_cx *cx, void *) -> asx_outcome {
        asx_op op{};
        op.code = ASX_OP_TASK;
        op.arg = (uint32_t)asx_s(4);
        op.work = [](asx_op *own) { own->result = 1; };
        for (int i = 0; i < 10; i++) {
            ASX_TRY(asx_op_await(cx, &op));
        }
        return asx_ok(0);
    };
    w.config.futurelock_ns = asx_s(2);
    CHECK(run_setup({ operates, 0, ASX_TIME_NEVER, &w }).stats.futurelocks == 0);
}
