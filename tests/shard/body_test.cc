/* What a task's code needs while it runs, wherever that stands: at the top of a fiber's stack, or
 * in the region's heap. */
#include <asx/shard/inspect.h>

#include "kernel_fixture.h"

#include <cstring>

static asx_permit reserve(asx_cx *cx)
{
    asx_obligation_options options{};
    options.kind = ASX_OBLIGATION_LEASE;
    asx_permit permit{};
    CHECK(asx_obligation_reserve(cx, &options, &permit) == ASX_OK);
    return permit;
}

TEST_CASE("body: a permit handed to a fiber before its first dispatch is settled by it", "[body]")
{
    auto run = run_kernel(TASK {
        asx_permit permit = reserve(cx);
        asx_handle heir;
        REQUIRE(asx_spawn(
                    cx, nullptr,
                    TASK {
                        const asx_permit inherited = *static_cast<asx_permit *>(arg);
                        ASX_TRY(asx_sleep(cx, 5));
                        CHECK(asx_obligation_commit(cx, inherited) == ASX_OK);
                        return asx_ok(0);
                    },
                    &permit, sizeof(permit), nullptr, &heir) == ASX_OK);
        CHECK(asx_obligation_transfer(cx, permit, heir) == ASX_OK);
        return asx_join(cx, heir);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
    CHECK(run.stats.obligations_committed == 1);
}

TEST_CASE("body: a permit handed to a fiber that is cancelled before its first dispatch is aborted",
          "[body]")
{
    auto run = run_kernel(TASK {
        const asx_permit permit = reserve(cx);
        asx_handle heir;
        REQUIRE(asx_spawn(
                    cx, nullptr,
                    TASK {
                        FAIL("it was cancelled first");
                        return asx_ok(0);
                    },
                    nullptr, 0, nullptr, &heir) == ASX_OK);
        CHECK(asx_obligation_transfer(cx, permit, heir) == ASX_OK);
        asx_task_cancel(cx, heir, ASX_CANCEL_USER, nullptr);
        CHECK(asx_join(cx, heir).severity == ASX_SEVERITY_CANCELLED);
        return asx_ok(0);
    });
    CHECK(run.stats.obligations_aborted == 1);
}

struct steps {
    asx_permit permit;
    asx_defer defer;
    int count, deferred;
    uint64_t drawn;
};

static bool busy_step(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    auto *const self = static_cast<steps *>(frame);
    if (self->count++ == 0) {
        self->permit = reserve(cx);
        asx_defer_push(cx, &self->defer, [](asx_cx *, asx_defer *defer) {
            reinterpret_cast<steps *>(reinterpret_cast<char *>(defer) - offsetof(steps, defer))
                ->deferred++;
        });
        ASX_MASK(cx, 2) {
            self->drawn = asx_random_u64(cx);
        }
        CHECK(asx_is_ok(asx_checkpoint_note(cx, "half way")));
        asx_task_notify(asx_task_of(cx));
        return false;
    }
    CHECK(asx_random_u64(cx) != self->drawn);
    CHECK(asx_obligation_commit(cx, self->permit) == ASX_OK);
    CHECK(self->deferred == 0);
    *outcome = asx_ok(9);
    return true;
}

TEST_CASE("body: a poll task reserves, masks, defers, draws and leaves its region's heap empty",
          "[body]")
{
    auto run = run_kernel(TASK {
        asx_region *region;
        REQUIRE(asx_region_open(cx, nullptr, &region) == ASX_OK);
        asx_handle task;
        REQUIRE(asx_spawn_poll(cx, region, busy_step, nullptr, sizeof(steps), nullptr, &task,
                               nullptr) == ASX_OK);
        CHECK(asx_join(cx, task).value == 9);
        CHECK(asx_region_heap_bytes(region) == 0);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
    CHECK(run.stats.obligations_committed == 1);
}

TEST_CASE("body: a reason that was handed out stays readable when a stronger one comes", "[body]")
{
    auto run = run_kernel(TASK {
        asx_handle task;
        REQUIRE(asx_spawn(
                    cx, nullptr,
                    TASK {
                        const asx_outcome first = asx_sleep(cx, asx_s(1));
                        REQUIRE(first.severity == ASX_SEVERITY_CANCELLED);
                        ASX_MASK(cx, 5) {
                            CHECK(asx_is_ok(asx_sleep(cx, 50)));
                        }
                        CHECK(first.reason->kind == ASX_CANCEL_USER);
                        CHECK(std::strcmp(first.reason->message, "first") == 0);
                        CHECK(asx_cancel_reason(cx)->kind == ASX_CANCEL_SHUTDOWN);
                        return first;
                    },
                    nullptr, 0, nullptr, &task) == ASX_OK);
        ASX_TRY(asx_sleep(cx, 10));
        asx_task_cancel(cx, task, ASX_CANCEL_USER, "first");
        ASX_TRY(asx_sleep(cx, 10));
        asx_task_cancel(cx, task, ASX_CANCEL_SHUTDOWN, "second");
        const asx_outcome outcome = asx_join(cx, task);
        REQUIRE(outcome.severity == ASX_SEVERITY_CANCELLED);
        CHECK(outcome.reason->kind == ASX_CANCEL_SHUTDOWN);
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
}

struct seen {
    std::string label, waits_for;
    asx_duration waits_ns;
};

static void look(void *arg, const asx_inspect_node *node)
{
    if (node->kind == ASX_INSPECT_TASK && std::strncmp(node->label, "the", 3) == 0) {
        static_cast<std::vector<seen> *>(arg)->push_back(
            { node->label, node->waits_for ? node->waits_for : "", node->waits_ns });
    }
}

TEST_CASE(
    "body: label and wait are shown before, during and after a fiber's and a poll task's life",
    "[body]")
{
    auto run = run_kernel(TASK {
        asx_spawn_options options{};
        asx_handle fiber, poll;
        options.label = "the fiber";
        REQUIRE(asx_spawn(
                    cx, nullptr, TASK { return asx_sleep(cx, 100); }, nullptr, 0, &options,
                    &fiber) == ASX_OK);
        options.label = "the poll task";
        const auto step = [](asx_cx *cx, void *frame, asx_outcome *outcome) {
            int *const count = static_cast<int *>(frame);
            asx_task_waits_for(cx, "its instant");
            asx_task_wake_at(cx, *count == 0 ? asx_now(cx) + 100 : ASX_TIME_NEVER);
            *outcome = asx_ok(0);
            return ++*count == 2;
        };
        REQUIRE(asx_spawn_poll(cx, nullptr, step, nullptr, sizeof(int), &options, &poll, nullptr) ==
                ASX_OK);
        std::vector<seen> before, during, after;
        asx_inspect(asx_shard_of(cx), 100, look, &before);
        ASX_TRY(asx_sleep(cx, 30));
        asx_inspect(asx_shard_of(cx), 100, look, &during);
        ASX_TRY(asx_sleep(cx, 200));
        asx_inspect(asx_shard_of(cx), 100, look, &after);
        REQUIRE(before.size() == 2);
        CHECK(before[0].label == "the fiber");
        CHECK(before[1].label == "the poll task");
        REQUIRE(during.size() == 2);
        CHECK(during[0].label == "the fiber");
        CHECK(during[0].waits_for == "sleep");
        CHECK(during[0].waits_ns == 30);
        CHECK(during[1].label == "the poll task");
        CHECK(during[1].waits_for == "its instant");
        CHECK(during[1].waits_ns == 30);
        REQUIRE(after.size() == 2);
        CHECK(after[0].label == "the fiber");
        CHECK(after[0].waits_for.empty());
        CHECK(asx_is_ok(asx_join(cx, fiber)));
        CHECK(asx_is_ok(asx_join(cx, poll)));
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
}
