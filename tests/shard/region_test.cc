/* Regions: admission by state, closing in both modes, finalizers once and in order, and who is told
 * when a region is closed. */
#include "kernel_fixture.h"

#include <algorithm>

static std::string ran;
static asx_duration finalizer_naps_ns;

static asx_outcome finalizer(asx_cx *cx, void *arg)
{
    const char name = *static_cast<const char *>(arg);
    ran += name;
    asx_handle none;
    CHECK(asx_spawn(cx, nullptr, sleeper, nullptr, 0, nullptr, &none) == ASX_E(REGION_CLOSED));
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
                        CHECK(asx_spawn(cx, nullptr, sleeper, &ns, sizeof(ns), nullptr, &sibling) ==
                              ASX_OK);
                        return asx_join(cx, sibling);
                    },
                    nullptr, 0, nullptr, &member) == ASX_OK);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        CHECK(asx_region_state_of(region) == ASX_REGION_OPEN);
        const asx_duration ns = 1;
        asx_handle refused;
        CHECK(asx_spawn(cx, region, sleeper, &ns, sizeof(ns), nullptr, &refused) ==
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
        CHECK(asx_spawn(cx, region, sleeper, &ns, sizeof(ns), nullptr, &task) == ASX_OK);
        CHECK(asx_spawn(cx, region, sleeper, &ns, sizeof(ns), nullptr, &task) == ASX_OK);
        CHECK(asx_spawn(cx, region, sleeper, &ns, sizeof(ns), nullptr, &task) ==
              ASX_E(AT_CAPACITY));
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
        REQUIRE(asx_spawn(cx, region, sleeper, &ns, sizeof(ns), nullptr, nullptr) == ASX_OK);
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

namespace
{
/* What may be added to a region, as its own code and others try it (REG-4). */
struct admitted {
    asx_err task, child, finalizer, obligation, heap;
};

asx_outcome no_finalizer(asx_cx *, void *)
{
    return asx_ok(0);
}

asx_outcome no_task(asx_cx *, void *)
{
    return asx_ok(0);
}

/* `cx` is the caller's own; `region` the one that is asked. */
admitted try_all(asx_cx *cx, asx_region *region)
{
    admitted got{};
    asx_spawn_options options{};
    options.detached_result = true;
    got.task = asx_spawn(cx, region, no_task, nullptr, 0, &options, nullptr);
    asx_cx inner = *cx;
    inner._region = region;
    asx_region *child = nullptr;
    got.child = asx_region_open(&inner, nullptr, &child);
    if (!got.child) {
        asx_region_close_begin(child, ASX_CLOSE_JOIN, nullptr);
    }
    got.finalizer = asx_region_finalizer_add(region, no_finalizer, nullptr);
    asx_obligation_options kind{};
    asx_permit permit;
    got.obligation = asx_obligation_reserve(cx, &kind, &permit);
    if (!got.obligation) {
        CHECK(asx_obligation_commit(cx, permit) == ASX_OK);
    }
    void *const bytes = asx_region_alloc(region, 100);
    got.heap = bytes ? ASX_OK : ASX_E(NO_MEMORY);
    if (bytes) {
        asx_region_free(region, bytes, 100);
    }
    return got;
}

void expect_admitted(const admitted &got, bool members_work, bool own)
{
    const asx_err work = members_work ? ASX_OK : ASX_E(REGION_CLOSED);
    CHECK(got.task == work);
    CHECK(got.child == work);
    CHECK(got.finalizer == work);
    if (own) { /* as long as one of its tasks lives, whatever the state */
        CHECK(got.obligation == ASX_OK);
        CHECK(got.heap == ASX_OK);
    }
}

asx_outcome tries_open(asx_cx *cx, void *)
{
    expect_admitted(try_all(cx, cx->_region), true, true);
    return asx_ok(0);
}

asx_outcome tries_sealed(asx_cx *cx, void *)
{
    ASX_TRY(asx_sleep(cx, asx_ms(1)));
    expect_admitted(try_all(cx, cx->_region), true, true);
    return asx_ok(0);
}

asx_outcome tries_draining(asx_cx *cx, void *)
{
    ASX_MASK(cx, 100) {
        ASX_TRY(asx_sleep(cx, asx_ms(5)));
        CHECK(asx_region_state_of(cx->_region) == ASX_REGION_DRAINING);
        expect_admitted(try_all(cx, cx->_region), false, true);
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
            CHECK(asx_handle_is_null(asx_scope_spawn(s, no_task, nullptr, 0, nullptr)));
        }
        CHECK(asx_is_err(value, ASX_E(REGION_CLOSED)));
        CHECK(asx_is_err(asx_timeout(cx, asx_ms(1), no_task, nullptr, nullptr),
                         ASX_E(REGION_CLOSED)));
        CHECK(asx_is_ok(asx_sleep(cx, asx_ms(1)))); /* a wait is not scope-opening */
    }
    return asx_ok(0);
}

asx_outcome tries_finalizing(asx_cx *cx, void *)
{
    CHECK(asx_region_state_of(cx->_region) == ASX_REGION_FINALIZING);
    expect_admitted(try_all(cx, cx->_region), false, true);
    asx_event never{};
    CHECK(asx_is_err(asx_event_wait(cx, &never, "its own deadline", asx_now(cx) + asx_ms(2)),
                     ASX_E(TIMED_OUT)));
    CHECK(asx_is_err(asx_timeout(cx, asx_ms(1), no_task, nullptr, nullptr), ASX_E(REGION_CLOSED)));
    return asx_ok(0);
}
} // namespace

TEST_CASE("region: what is admitted, by state and by who asks", "[region]")
{
    run_kernel(TASK {
        asx_region *region = nullptr;
        REQUIRE(asx_region_open(cx, nullptr, &region) == ASX_OK);
        const asx_handle handle = asx_region_handle(region);
        REQUIRE(asx_region_finalizer_add(region, tries_finalizing, nullptr) == ASX_OK);
        REQUIRE(asx_spawn(cx, region, tries_open, nullptr, 0, nullptr, nullptr) == ASX_OK);
        REQUIRE(asx_spawn(cx, region, tries_sealed, nullptr, 0, nullptr, nullptr) == ASX_OK);
        REQUIRE(asx_spawn(cx, region, tries_draining, nullptr, 0, nullptr, nullptr) == ASX_OK);
        expect_admitted(try_all(cx, region), true, false);
        ASX_TRY(asx_yield(cx));
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        CHECK(asx_region_state_of(region) == ASX_REGION_OPEN);
        expect_admitted(try_all(cx, region), false, false); /* sealed: not from outside */
        ASX_TRY(asx_sleep(cx, asx_ms(2)));
        asx_region_cancel(region, ASX_CANCEL_USER, nullptr);
        expect_admitted(try_all(cx, region), false, false);
        const asx_outcome value = asx_region_close_wait(cx, handle);
        CHECK(value.severity == ASX_SEVERITY_CANCELLED);
        CHECK(asx_region_lookup(asx_shard_of(cx), handle, &region) == ASX_E(STALE));
        CHECK(region == nullptr);
        return asx_ok(0);
    });
}

TEST_CASE(
    "region: a sealed one lets its children open scopes, race and spawn, long after the block "
    "ended",
    "[region]")
{
    run_kernel(TASK {
        static int ended;
        ended = 0;
        const asx_instant begin = asx_now(cx);
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
            asx_scope_spawn(
                s,
                TASK {
                    ASX_TRY(asx_sleep(cx, asx_s(1)));
                    const asx_duration ns = asx_ms(100);
                    asx_duration limit = ns;
                    CHECK(asx_is_ok(asx_timeout(cx, asx_s(1), sleeper, &limit, nullptr)));
                    asx_handle sibling;
                    CHECK(asx_spawn(
                              cx, nullptr,
                              TASK {
                                  ASX_TRY(asx_sleep(cx, asx_ms(50)));
                                  ended++;
                                  return asx_ok(0);
                              },
                              nullptr, 0, nullptr, &sibling) == ASX_OK);
                    ASX_SCOPE(cx, inner, ASX_FAIL_FAST) {
                        ASX_SPAWN(inner, sleeper, &ns);
                    }
                    ended++;
                    return asx_ok(0);
                },
                nullptr, 0, nullptr);
        }
        CHECK(asx_is_ok(value));
        CHECK(ended == 2);
        CHECK(asx_now(cx) - begin == asx_ms(1200));
        return asx_ok(0);
    });
}

TEST_CASE(
    "region: memory an operation writes into is held until its completion, an hour if need be",
    "[region]")
{
    run_kernel(
        TASK {
            asx_region *region = nullptr;
            REQUIRE(asx_region_open(cx, nullptr, &region) == ASX_OK);
            const asx_handle handle = asx_region_handle(region);
            for (int i = 0; i < 100; i++) {
                REQUIRE(asx_spawn(
                            cx, region,
                            TASK {
                                auto *const op =
                                    static_cast<asx_op *>(asx_calloc(cx, sizeof(asx_op)));
                                REQUIRE(op != nullptr);
                                op->code = ASX_OP_POLL;
                                return asx_op_await(cx, op);
                            },
                            nullptr, 0, nullptr, nullptr) == ASX_OK);
            }
            ASX_TRY(asx_sleep(cx, asx_ms(1)));
            CHECK(stats_of(cx).ops_in_flight == 100);
            const asx_instant begin = asx_now(cx);
            asx_region_cancel(region, ASX_CANCEL_USER, nullptr);
            ASX_TRY(asx_sleep(cx, asx_s(3599)));
            CHECK(asx_region_heap_bytes(region) >= 100 * sizeof(asx_op));
            CHECK(asx_region_state_of(region) == ASX_REGION_DRAINING);
            CHECK(asx_region_close_wait(cx, handle).severity == ASX_SEVERITY_CANCELLED);
            CHECK(asx_now(cx) - begin == asx_s(3600));
            return asx_ok(0);
        },
        nullptr, 1, ASX_LEAK_PANIC, true, asx_s(3600));
}

TEST_CASE("region: limits of heap and obligations refuse with nothing counted", "[region]")
{
    run_kernel(TASK {
        asx_region_options options{};
        options.limits.heap_bytes_max = 4096;
        asx_region *region = nullptr;
        REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
        void *const first = asx_region_alloc(region, 4096);
        REQUIRE(first != nullptr);
        const size_t held = asx_region_heap_bytes(region);
        CHECK(held == 4096);
        CHECK(asx_region_alloc(region, 1) == nullptr);
        CHECK(asx_region_heap_bytes(region) == held);
        const asx_duration ns = 1;
        CHECK(asx_spawn(cx, region, sleeper, &ns, sizeof(ns), nullptr, nullptr) ==
              ASX_E(AT_CAPACITY));
        CHECK(asx_region_task_count(region) == 0);
        asx_region_free(region, first, 4096);
        CHECK(asx_spawn(cx, region, sleeper, &ns, sizeof(ns), nullptr, nullptr) == ASX_OK);
        const asx_handle handle = asx_region_handle(region);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        CHECK(asx_is_ok(asx_region_close_wait(cx, handle)));
        return asx_ok(0);
    });
}

TEST_CASE("region: one whose finalizer overruns does not hold up another", "[region]")
{
    run_kernel(TASK {
        asx_region_options options{};
        options.overrun = ASX_OVERRUN_SOFT;
        asx_handle handles[2];
        for (int i = 0; i < 2; i++) {
            asx_region *region = nullptr;
            REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
            static int by_time = 0;
            REQUIRE(asx_region_finalizer_add(region, i ? no_finalizer : overruns, &by_time) ==
                    ASX_OK);
            handles[i] = asx_region_handle(region);
            asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        }
        const asx_instant begin = asx_now(cx);
        CHECK(asx_is_ok(asx_region_close_wait(cx, handles[1])));
        CHECK(asx_now(cx) == begin);
        CHECK(asx_is_ok(asx_region_close_wait(cx, handles[0])));
        CHECK(asx_now(cx) - begin == asx_s(60));
        return asx_ok(0);
    });
}
