/* Regions: admission by state, closing in both modes, finalizers once and in order, and who is told
 * when a region is closed. */
#include "kernel_fixture.h"

static asx_outcome nap(asx_cx *cx, void *arg)
{
    return asx_sleep(cx, *static_cast<asx_duration *>(arg));
}

static std::string ran;
static asx_duration finalizer_naps_ns;

static asx_outcome finalizer(asx_cx *cx, void *arg)
{
    const char name = *static_cast<const char *>(arg);
    ran += name;
    asx_handle none;
    CHECK(asx_spawn(cx, nullptr, nap, nullptr, 0, nullptr, &none) == ASX_E(REGION_CLOSED));
    CHECK(asx_region_finalizer_add(cx->_region, finalizer, arg) == ASX_E(REGION_CLOSED));
    CHECK(asx_is_ok(asx_sleep(cx, finalizer_naps_ns)));
    if (name == 'B') {
        asx_panic("finalizer B");
    }
    return asx_ok(0);
}

TEST_CASE("region: finalizers run last to first, and a panic in one stops none", "[region]")
{
    ran.clear();
    finalizer_naps_ns = asx_ms(10);
    run_kernel(TASK {
        asx_region *region = nullptr;
        REQUIRE(asx_region_open(cx, nullptr, &region) == ASX_OK);
        static char names[] = "ABC";
        for (int i = 0; i < 3; i++) {
            REQUIRE(asx_region_finalizer_add(region, finalizer, &names[i]) == ASX_OK);
        }
        const asx_handle handle = asx_region_handle(region);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        const asx_outcome value = asx_region_close_wait(cx, handle);
        REQUIRE(value.severity == ASX_SEVERITY_PANICKED);
        CHECK(std::string(value.panic->message) == "finalizer B");
        return asx_ok(0);
    });
    CHECK(ran == "CBA");
}

static asx_outcome overruns(asx_cx *cx, void *arg)
{
    if (*static_cast<int *>(arg) == 0) { /* by time, parked where only abandoning helps */
        asx_event never{};
        return asx_event_wait(cx, &never, "nothing", asx_now(cx) + asx_s(60));
    }
    for (int i = 0; i < 150; i++) { /* by polls */
        ASX_TRY(asx_yield(cx));
    }
    return asx_ok(0);
}

TEST_CASE("region: a finalizer that overruns is judged by the region's policy", "[region]")
{
    for (static int how = 0; how < 2; how++) {
        for (const asx_overrun overrun :
             { ASX_OVERRUN_SOFT, ASX_OVERRUN_BOUNDED_LOG, ASX_OVERRUN_BOUNDED_PANIC }) {
            CAPTURE(how, overrun);
            static asx_overrun mode;
            mode = overrun;
            auto run = run_kernel(TASK {
                asx_region_options options{};
                options.overrun = mode;
                asx_region *region = nullptr;
                REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
                REQUIRE(asx_region_finalizer_add(region, overruns, &how) == ASX_OK);
                const asx_instant begin = asx_now(cx);
                const asx_handle handle = asx_region_handle(region);
                asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
                const asx_outcome value = asx_region_close_wait(cx, handle);
                const asx_duration took = asx_now(cx) - begin;
                CHECK(took == (how == 1 ? 0 : mode == ASX_OVERRUN_SOFT ? asx_s(60) : asx_s(5)));
                if (mode == ASX_OVERRUN_BOUNDED_PANIC) {
                    REQUIRE(value.severity == ASX_SEVERITY_PANICKED);
                    CHECK(value.panic->cause == ASX_PANIC_ABANDONED);
                } else {
                    CHECK(asx_is_ok(value));
                }
                return asx_ok(0);
            });
            CHECK(run.stats.overruns == 1);
            CHECK(run.stats.abandoned == (overrun == ASX_OVERRUN_SOFT ? 0u : 1u));
        }
    }
}

TEST_CASE("region: sealed by JOIN it admits members and refuses outsiders; CANCEL overrides",
          "[region]")
{
    run_kernel(TASK {
        static asx_region *region;
        REQUIRE(asx_region_open(cx, nullptr, &region) == ASX_OK);
        asx_handle member;
        REQUIRE(asx_spawn(
                    cx, region,
                    TASK {
                        ASX_TRY(asx_sleep(cx, asx_ms(1)));
                        const asx_duration ns = asx_s(10);
                        asx_handle sibling;
                        CHECK(asx_spawn(cx, nullptr, nap, &ns, sizeof(ns), nullptr, &sibling) ==
                              ASX_OK);
                        return asx_join(cx, sibling);
                    },
                    nullptr, 0, nullptr, &member) == ASX_OK);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        CHECK(asx_region_state_of(region) == ASX_REGION_OPEN);
        const asx_duration ns = 1;
        asx_handle refused;
        CHECK(asx_spawn(cx, region, nap, &ns, sizeof(ns), nullptr, &refused) ==
              ASX_E(REGION_CLOSED));
        ASX_TRY(asx_sleep(cx, asx_ms(5)));
        CHECK(asx_region_task_count(region) == 2);
        const asx_handle handle = asx_region_handle(region);
        asx_region_cancel(region, ASX_CANCEL_USER, "now");
        const asx_outcome value = asx_region_close_wait(cx, handle);
        CHECK(value.severity == ASX_SEVERITY_CANCELLED);
        CHECK(value.reason->kind == ASX_CANCEL_USER);
        CHECK(asx_is_err(asx_region_close_wait(cx, handle), ASX_E(STALE)));
        return asx_ok(0);
    });
}

TEST_CASE("region: limits refuse at one more than the limit, and count nothing for it", "[region]")
{
    run_kernel(TASK {
        asx_region_options options{};
        options.limits.tasks_max = 2;
        options.limits.children_max = 1;
        asx_region *region = nullptr, *child = nullptr, *another = nullptr;
        REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
        const asx_duration ns = asx_ms(1);
        asx_handle task;
        CHECK(asx_spawn(cx, region, nap, &ns, sizeof(ns), nullptr, &task) == ASX_OK);
        CHECK(asx_spawn(cx, region, nap, &ns, sizeof(ns), nullptr, &task) == ASX_OK);
        CHECK(asx_spawn(cx, region, nap, &ns, sizeof(ns), nullptr, &task) == ASX_E(AT_CAPACITY));
        CHECK(asx_region_task_count(region) == 2);
        asx_cx inner = *cx;
        inner._region = region;
        CHECK(asx_region_open(&inner, nullptr, &child) == ASX_OK);
        CHECK(asx_region_open(&inner, nullptr, &another) == ASX_E(AT_CAPACITY));
        CHECK(asx_region_child_count(region) == 1);
        asx_region_close_begin(child, ASX_CLOSE_JOIN, nullptr);
        const asx_handle handle = asx_region_handle(region);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        CHECK(asx_is_ok(asx_region_close_wait(cx, handle)));
        return asx_ok(0);
    });
}

TEST_CASE("region: all who wait for a close are told, and nobody may wait for what contains it",
          "[region]")
{
    run_kernel(TASK {
        static asx_handle handle;
        static int told;
        told = 0;
        asx_region *region = nullptr;
        REQUIRE(asx_region_open(cx, nullptr, &region) == ASX_OK);
        handle = asx_region_handle(region);
        const asx_duration ns = asx_ms(3);
        REQUIRE(asx_spawn(cx, region, nap, &ns, sizeof(ns), nullptr, nullptr) == ASX_OK);
        REQUIRE(asx_spawn(
                    cx, region,
                    TASK {
                        CHECK(asx_is_err(asx_region_close_wait(cx, handle), ASX_E(WOULD_DEADLOCK)));
                        return asx_ok(0);
                    },
                    nullptr, 0, nullptr, nullptr) == ASX_OK);
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            for (int i = 0; i < 5; i++) {
                asx_scope_spawn(
                    s,
                    TASK {
                        told += asx_is_ok(asx_region_close_wait(cx, handle));
                        return asx_ok(0);
                    },
                    nullptr, 0, nullptr);
            }
            ASX_TRY(asx_sleep(cx, 1));
            asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        }
        CHECK(told == 5);
        return asx_ok(0);
    });
}
