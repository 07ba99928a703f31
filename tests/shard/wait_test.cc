/* Checkpoints, masks and waits: what defers an observation, for how long, and what a cancelled wait
 * leaves behind. */
#include "kernel_fixture.h"

TEST_CASE("wait: a mask of three defers three observations, then tells once", "[wait]")
{
    auto run = run_kernel(TASK {
        asx_handle task;
        REQUIRE(asx_spawn(
                    cx, nullptr,
                    TASK {
                        ASX_MASK(cx, 3) {
                            for (int i = 0; i < 1000; i++) {
                                CHECK(asx_is_ok(asx_checkpoint(cx))); /* nothing pending */
                            }
                            asx_task_cancel(cx, asx_cx_task(cx), ASX_CANCEL_USER, nullptr);
                            for (int i = 0; i < 3; i++) {
                                CHECK(asx_is_ok(asx_checkpoint(cx)));
                            }
                            CHECK(asx_checkpoint(cx).severity == ASX_SEVERITY_CANCELLED);
                            CHECK(asx_checkpoint(cx).severity == ASX_SEVERITY_CANCELLED);
                        }
                        return asx_ok(9);
                    },
                    nullptr, 0, nullptr, &task) == ASX_OK);
        asx_outcome late;
        const asx_outcome joined = asx_join_drained(cx, task, &late);
        CHECK(joined.severity == ASX_SEVERITY_CANCELLED);
        CHECK(asx_is_ok(late));
        CHECK(late.value == 9);
        return asx_ok(0);
    });
    REQUIRE(run.lines.size() == 1);
    CHECK(run.lines[0].find("MASK_EXHAUSTED") == 0);
}

static asx_outcome nest_masks(asx_cx *cx, unsigned depth)
{
    ASX_MASK(cx, 1) {
        return depth > 1 ? nest_masks(cx, depth - 1) : asx_ok(0);
    }
    return asx_ok(1);
}

TEST_CASE("wait: sixty-four masks nest, one more is a contained panic", "[wait]")
{
    run_kernel(TASK {
        CHECK(asx_is_ok(nest_masks(cx, 64)));
        asx_handle task;
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            task = asx_scope_spawn(
                s, TASK { return nest_masks(cx, 65); }, nullptr, 0, nullptr);
            CHECK(asx_join(cx, task).severity == ASX_SEVERITY_PANICKED);
        }
        return asx_ok(0);
    });
}

TEST_CASE("wait: a commit section starts only uncancelled, and then runs to its end", "[wait]")
{
    run_kernel(TASK {
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            asx_handle task = asx_scope_spawn(
                s,
                TASK {
                    static int starts;
                    starts = 0;
                    const auto section = [](asx_cx *cx, void *) -> asx_outcome {
                        starts++;
                        if (starts == 1) {
                            asx_task_cancel(cx, asx_cx_task(cx), ASX_CANCEL_USER, nullptr);
                        }
                        CHECK(asx_is_ok(asx_checkpoint(cx)));
                        return asx_ok(4);
                    };
                    const asx_outcome first = asx_commit_section(cx, 5, section, nullptr);
                    CHECK(asx_is_ok(first));
                    CHECK(asx_commit_section(cx, 5, section, nullptr).severity ==
                          ASX_SEVERITY_CANCELLED);
                    CHECK(starts == 1);
                    return first;
                },
                nullptr, 0, nullptr);
            CHECK(asx_join(cx, task).severity == ASX_SEVERITY_CANCELLED);
        }
        return asx_ok(0);
    });
}

TEST_CASE("wait: an event set before, during, or for an abandoned waiter is neither lost nor "
          "written through",
          "[wait]")
{
    run_kernel(TASK {
        static asx_event event;
        event = asx_event{};
        asx_event_set(&event);
        CHECK(asx_is_ok(asx_event_wait(cx, &event, "set before", ASX_TIME_NEVER)));
        CHECK(asx_is_err(asx_event_wait(cx, &event, "nobody", asx_now(cx) + 5), ASX_E(TIMED_OUT)));
        asx_region_options options{};
        options.overrun = ASX_OVERRUN_BOUNDED_LOG;
        asx_region *region = nullptr;
        REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
        REQUIRE(asx_region_finalizer_add(
                    region,
                    TASK { return asx_event_wait(cx, &event, "abandoned", ASX_TIME_NEVER); },
                    nullptr) == ASX_OK);
        const asx_handle handle = asx_region_handle(region);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        ignored(asx_region_close_wait(cx, handle));
        asx_event_set(&event); /* the waiter's stack is gone */
        return asx_event_wait(cx, &event, "kept", ASX_TIME_NEVER);
    });
}
