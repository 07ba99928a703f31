/* Renewing a task in place: what it makes fresh, and everything that forbids it. */
#include "kernel_fixture.h"

static asx_outcome nap(asx_cx *cx, void *)
{
    return asx_sleep(cx, asx_ms(1));
}

/* Runs `fn` as the only task of a region of its own, sealed as a server does it. */
static void run_alone(asx_task_fn *fn)
{
    run_kernel_with(
        kernel_setup(),
        [](asx_cx *cx, void *arg) {
            asx_region *region = nullptr;
            asx_handle task;
            asx_task_fn *const body = *static_cast<asx_task_fn **>(arg);
            asx_spawn_options options{};
            options.detached_result = true;
            asx_budget budget = ASX_BUDGET_UNLIMITED;
            budget.poll_quota = 50;
            asx_region_options region_options{};
            region_options.budget = &budget;
            REQUIRE(asx_region_open(cx, &region_options, &region) == ASX_OK);
            const asx_handle handle = asx_region_handle(region);
            REQUIRE(asx_spawn(cx, region, body, nullptr, 0, &options, &task) == ASX_OK);
            asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
            REQUIRE(asx_is_ok(asx_sleep(cx, asx_s(5))));
            asx_region *gone = nullptr;
            CHECK(asx_region_lookup(asx_shard_of(cx), handle, &gone) == ASX_E(STALE));
            return asx_ok(0);
        },
        &fn);
}

TEST_CASE("renew: old handles go stale, the heap is empty, the budget is whole", "[shard]")
{
    run_alone(TASK {
        const asx_handle task = asx_cx_task(cx), region = asx_cx_region(cx);
        REQUIRE(asx_alloc(cx, 3000) != nullptr);
        REQUIRE(asx_is_ok(asx_yield(cx)));
        CHECK(asx_cx_budget(cx).poll_quota < 49);
        REQUIRE(asx_task_renew(cx));
        CHECK(!asx_handle_eq(task, asx_cx_task(cx)));
        CHECK(!asx_handle_eq(region, asx_cx_region(cx)));
        asx_region *found = nullptr;
        CHECK(asx_region_lookup(asx_shard_of(cx), region, &found) == ASX_E(STALE));
        REQUIRE(asx_region_lookup(asx_shard_of(cx), asx_cx_region(cx), &found) == ASX_OK);
        CHECK(asx_region_heap_bytes(found) == 0);
        CHECK(asx_cx_budget(cx).poll_quota == 50);
        asx_task_cancel(cx, task, ASX_CANCEL_USER, "meant for the one before");
        CHECK(!asx_is_cancelled(cx));
        CHECK(asx_task_renew(cx));
        return asx_ok(0);
    });
}

TEST_CASE("renew: what is left in the region forbids it", "[shard]")
{
    run_alone(TASK { /* another task, until it is joined */
                     asx_handle other;
                     REQUIRE(asx_spawn(cx, nullptr, nap, nullptr, 0, nullptr, &other) == ASX_OK);
                     CHECK(!asx_task_renew(cx));
                     REQUIRE(asx_is_ok(asx_sleep(cx, asx_ms(5))));
                     CHECK(
                         !asx_task_renew(cx)); /* it is over, but its outcome is still to be had */
                     REQUIRE(asx_is_ok(asx_join(cx, other)));
                     CHECK(asx_task_renew(cx));
                     return asx_ok(0);
    });
    run_alone(TASK { /* a child region */
                     asx_region *child = nullptr;
                     REQUIRE(asx_region_open(cx, nullptr, &child) == ASX_OK);
                     CHECK(!asx_task_renew(cx));
                     asx_region_close_begin(child, ASX_CLOSE_JOIN, nullptr);
                     CHECK(asx_task_renew(cx));
                     return asx_ok(0);
    });
    run_alone(
        TASK { /* a finalizer */
               asx_region *own = nullptr;
               REQUIRE(asx_region_lookup(asx_shard_of(cx), asx_cx_region(cx), &own) == ASX_OK);
               REQUIRE(asx_region_finalizer_add(
                           own, [](asx_cx *, void *) { return asx_ok(0); }, nullptr) == ASX_OK);
               CHECK(!asx_task_renew(cx));
               return asx_ok(0);
        });
}

TEST_CASE("renew: a cancel request and a scope forbid it", "[shard]")
{
    run_alone(TASK {
        asx_task_cancel(cx, asx_cx_task(cx), ASX_CANCEL_USER, nullptr);
        CHECK(!asx_task_renew(cx));
        return asx_ok(0);
    });
    run_alone(TASK {
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            CHECK(!asx_task_renew(cx));
            CHECK(!asx_task_renew(&s->cx));
        }
        CHECK(asx_task_renew(cx));
        return asx_ok(0);
    });
}
