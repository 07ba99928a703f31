/* At stake: a drain that goes on is told from one that hangs, and the one that hangs says where.
 * Arithmetic by hand, looks at trees whose parts are known, and random trees in the lab. */
#include <asx/shard/drain.h>

#include "lab_world.h"

namespace
{

const char *phase(const asx_drain &drain)
{
    return asx_drain_phase_name(asx_drain_phase_of(&drain));
}

asx_drain seen(const std::vector<uint64_t> &potentials)
{
    asx_drain drain{};
    for (const uint64_t potential : potentials) {
        asx_drain_observe(&drain, potential);
    }
    return drain;
}

asx_drain_left look(asx_cx *cx, asx_handle top, asx_instant began_ns, asx_handle except = {})
{
    asx_drain_left left;
    CHECK(asx_is_ok(asx_drain_look(cx, top, except, began_ns, &left)));
    return left;
}

asx_outcome sleeps_on(asx_cx *cx, void *)
{
    return asx_sleep(cx, asx_s(60));
}

asx_outcome holder(asx_cx *cx, void *)
{
    asx_obligation_options options{};
    options.kind = ASX_OBLIGATION_LEASE;
    options.what = "lease";
    asx_permit permit;
    REQUIRE(asx_obligation_reserve(cx, &options, &permit) == ASX_OK);
    const asx_outcome slept = asx_sleep(cx, asx_s(60));
    CHECK(asx_obligation_abort(cx, permit) == ASX_OK);
    return slept;
}

asx_outcome deaf(asx_cx *cx, void *)
{
    ASX_MASK(cx, 10) {
        ignored(asx_sleep(cx, asx_s(5)));
    }
    return asx_checkpoint(cx);
}

asx_region *open_region(asx_cx *cx, const char *label)
{
    asx_region_options options{};
    options.policy = ASX_COLLECT_ALL;
    options.label = label;
    asx_region *region = nullptr;
    REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
    return region;
}

void start(asx_cx *cx, asx_region *region, asx_task_fn *fn, const asx_budget *budget = nullptr)
{
    asx_spawn_options options{};
    options.budget = budget;
    options.detached_result = true;
    asx_handle task;
    REQUIRE(asx_spawn(cx, region, fn, nullptr, 0, &options, &task) == ASX_OK);
}

void end(asx_cx *cx, asx_region *region)
{
    const asx_handle handle = asx_region_handle(region);
    asx_region_close_begin(region, ASX_CLOSE_CANCEL, nullptr);
    ignored(asx_region_close_wait(cx, handle));
}

} // namespace

TEST_CASE("drain: the potential is the weighed sum of what is left", "[drain]")
{
    asx_drain_left left{};
    CHECK(asx_drain_potential(&left) == 0);
    left.tasks = 2;
    left.closing = 1;
    left.held_ms = 400;
    left.pressure_permille = 250;
    left.obligations = left.operations = left.regions = 9; /* told, not weighed */
    CHECK(asx_drain_potential(&left) == 2000 + 3000 + 2000 + 500);
}

TEST_CASE("drain: phases follow from whether it falls, and how fast", "[drain]")
{
    CHECK(phase(asx_drain{}) == std::string("warm-up"));
    CHECK(phase(seen({ 0 })) == std::string("quiescent"));
    CHECK(phase(seen({ 9000, 8000, 7000 })) == std::string("warm-up"));
    CHECK(phase(seen({ 9000, 8000, 7000, 6000 })) == std::string("rapid"));
    asx_drain drain = seen({ 90000, 70000, 50000, 30000, 10000 });
    CHECK(phase(drain) == std::string("rapid"));
    for (int i = 0; i < 8; i++) {
        asx_drain_observe(&drain, 10000 - 100 * static_cast<uint64_t>(i));
    }
    CHECK(phase(drain) == std::string("slow tail"));
    asx_drain_observe(&drain, 0);
    CHECK(phase(drain) == std::string("quiescent"));
}

TEST_CASE("drain: it has stalled after just so many looks without a lower one", "[drain]")
{
    for (const uint32_t limit : { 1u, 5u, ASX_DRAIN_STALLED_AFTER }) {
        asx_drain drain{};
        drain.stalled_after = limit == ASX_DRAIN_STALLED_AFTER ? 0 : limit;
        asx_drain_observe(&drain, 5000);
        for (uint32_t i = 1; i < limit; i++) {
            asx_drain_observe(&drain, 5000 + i % 2 * 1000); /* up and back is no progress */
            CHECK(asx_drain_phase_of(&drain) != ASX_DRAIN_STALLED);
        }
        asx_drain_observe(&drain, 5000);
        CHECK(asx_drain_phase_of(&drain) == ASX_DRAIN_STALLED);
        asx_drain_observe(&drain, 4999);
        CHECK(asx_drain_phase_of(&drain) != ASX_DRAIN_STALLED);
    }
}

TEST_CASE("drain: at an even pace it is known how many looks are left", "[drain]")
{
    const asx_drain none{};
    CHECK(asx_drain_looks_left(&none) == UINT64_MAX);
    const asx_drain even = seen({ 10000, 8000, 6000, 4000 });
    CHECK(asx_drain_looks_left(&even) == 2);
    const asx_drain odd = seen({ 10000, 7000 });
    CHECK(asx_drain_looks_left(&odd) == 3);
    const asx_drain rising = seen({ 1000, 2000 });
    CHECK(asx_drain_looks_left(&rising) == UINT64_MAX);
    const asx_drain over = seen({ 1000, 0 });
    CHECK(asx_drain_looks_left(&over) == 0);
    int64_t sum;
    CHECK(asx_drain_falls(&even, &sum) == 3);
    CHECK(sum == 6000);
    asx_drain many{};
    for (uint64_t left = 100; left > 0; left--) {
        asx_drain_observe(&many, left * 10);
    }
    CHECK(asx_drain_falls(&many, &sum) == ASX_DRAIN_WINDOW);
    CHECK(sum == 10 * static_cast<int64_t>(ASX_DRAIN_WINDOW));
}

TEST_CASE("drain: a look counts what is below the region, and nothing beside it", "[drain]")
{
    run_kernel(TASK {
        const asx_handle root = asx_cx_region(cx);
        asx_region *const app = open_region(cx, "app");
        asx_region *const aside = open_region(cx, "aside");
        const asx_handle except = asx_region_handle(aside);
        start(cx, app, sleeps_on);
        start(cx, app, holder);
        start(cx, aside, holder);
        ASX_TRY(asx_sleep(cx, asx_s(2)));
        asx_budget soon = ASX_BUDGET_UNLIMITED;
        soon.deadline_ns = asx_time_add(asx_now(cx), asx_ms(250));
        start(cx, app, sleeps_on, &soon);
        const asx_instant began_ns = asx_now(cx);
        ASX_TRY(asx_sleep(cx, asx_ms(10)));

        asx_drain_left left = look(cx, root, began_ns, except);
        CHECK(left.tasks == 3);
        CHECK(left.regions == 1);
        CHECK(left.obligations == 1);
        CHECK(left.closing == 0);
        CHECK(left.held_ms == 2000);
        CHECK(left.pressure_permille == 750);
        CHECK(asx_handle_eq(left.heaviest, asx_region_handle(app)));
        const uint64_t before = asx_drain_potential(&left);
        CHECK(before == 3000 + 10000 + 1500);

        left = look(cx, root, began_ns);
        CHECK(left.tasks == 4);
        CHECK(left.obligations == 2);
        /* The root's own task, which looks, is not counted; nor is the app's when it is the top. */
        left = look(cx, asx_region_handle(app), began_ns);
        CHECK(left.tasks == 0);
        CHECK(asx_handle_is_null(left.heaviest));

        ASX_TRY(asx_sleep(cx, asx_ms(100)));
        left = look(cx, root, began_ns, except);
        CHECK(asx_drain_potential(&left) == before); /* waiting alone changes nothing */
        ASX_TRY(asx_sleep(cx, asx_s(1)));
        left = look(cx, root, began_ns, except);
        CHECK(asx_drain_potential(&left) == before - 1000 - 1500); /* that deadline came */

        end(cx, app);
        left = look(cx, root, began_ns, except);
        CHECK(asx_drain_potential(&left) == 0);
        end(cx, aside);
        left = look(cx, except, began_ns);
        CHECK(left.regions == 0); /* a stale top has nothing left */
        return asx_ok(0);
    });
}

TEST_CASE("drain: a cancelled region that cannot close is counted as closing, and named", "[drain]")
{
    run_kernel(TASK {
        const asx_handle root = asx_cx_region(cx);
        asx_region *const quick = open_region(cx, "quick");
        asx_region *const slow = open_region(cx, "slow");
        const asx_handle slow_handle = asx_region_handle(slow);
        start(cx, quick, sleeps_on);
        start(cx, quick, sleeps_on);
        start(cx, slow, deaf);
        ASX_TRY(asx_yield(cx));
        const asx_instant began_ns = asx_now(cx);
        asx_region_close_begin(quick, ASX_CLOSE_CANCEL, nullptr);
        asx_region_close_begin(slow, ASX_CLOSE_CANCEL, nullptr);
        asx_drain_left left = look(cx, root, began_ns);
        CHECK(left.closing == 2);
        CHECK(asx_drain_potential(&left) == 3 * 1000 + 2 * 3000);
        asx_drain drain{};
        while (asx_drain_phase_of(&drain) != ASX_DRAIN_STALLED) {
            ASX_TRY(asx_sleep(cx, asx_ms(100)));
            left = look(cx, root, began_ns);
            asx_drain_observe(&drain, asx_drain_potential(&left));
        }
        CHECK(asx_now(cx) - began_ns == asx_ms(100) * (ASX_DRAIN_STALLED_AFTER + 1));
        CHECK(asx_handle_eq(left.heaviest, slow_handle));
        CHECK(asx_drain_potential(&left) == 4000);
        ignored(asx_region_close_wait(cx, slow_handle));
        left = look(cx, root, began_ns);
        asx_drain_observe(&drain, asx_drain_potential(&left));
        CHECK(asx_drain_phase_of(&drain) == ASX_DRAIN_QUIESCENT);
        return asx_ok(0);
    });
}

namespace
{
/* A tree of regions and tasks of random shape, most of which end by themselves in random order. */
struct tree {
    uint64_t seed;
    uint32_t limbs;
};

asx_outcome leaf(asx_cx *cx, void *)
{
    asx_obligation_options options{};
    asx_permit permit;
    const bool holds = asx_random_below(cx, 3) == 0;
    options.kind = ASX_OBLIGATION_ACK;
    if (holds) {
        REQUIRE(asx_obligation_reserve(cx, &options, &permit) == ASX_OK);
    }
    const asx_outcome slept = asx_sleep(cx, asx_ms(1 + asx_random_below(cx, 3000)));
    if (holds) {
        CHECK(asx_obligation_abort(cx, permit) == ASX_OK);
    }
    return slept;
}

asx_outcome grow(asx_cx *cx, void *arg)
{
    tree here = *static_cast<tree *>(arg);
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        const uint64_t leaves = asx_random_below(cx, 6);
        for (uint64_t i = 0; i < leaves; i++) {
            asx_handle task;
            REQUIRE(asx_spawn(&s->cx, nullptr, leaf, nullptr, 0, nullptr, &task) == ASX_OK);
        }
        if (here.limbs > 0) {
            asx_handle task;
            tree below = { here.seed, here.limbs - 1 };
            REQUIRE(asx_spawn(&s->cx, nullptr, grow, &below, sizeof(below), nullptr, &task) ==
                    ASX_OK);
        }
        ignored(asx_sleep(&s->cx, asx_ms(asx_random_below(cx, 500))));
    }
    return asx_ok(0);
}

asx_outcome drain_a_tree(asx_cx *cx, void *arg)
{
    const tree *const self = static_cast<tree *>(arg);
    const asx_handle root = asx_cx_region(cx);
    asx_region *const app = open_region(cx, "app");
    const asx_handle handle = asx_region_handle(app);
    for (int i = 0; i < 4; i++) {
        tree one = { self->seed, 3 };
        asx_spawn_options options{};
        options.detached_result = true;
        asx_handle task;
        REQUIRE(asx_spawn(cx, app, grow, &one, sizeof(one), &options, &task) == ASX_OK);
    }
    ASX_TRY(asx_sleep(cx, asx_s(2))); /* everything has grown that will */
    const asx_instant began_ns = asx_now(cx);
    if (self->seed % 2) {
        asx_region_cancel(app, ASX_CANCEL_SHUTDOWN, "drain");
    } else {
        asx_region_close_begin(app, ASX_CLOSE_JOIN, nullptr);
    }
    asx_drain drain{};
    asx_drain_left left{};
    uint64_t before = UINT64_MAX;
    for (;;) {
        left = look(cx, root, began_ns);
        const uint64_t now = asx_drain_potential(&left);
        CHECK(now <= before); /* nothing new comes, so it never rises */
        CHECK((now == 0) == (left.tasks + left.closing + left.held_ms == 0));
        before = now;
        asx_drain_observe(&drain, now);
        CHECK(asx_drain_phase_of(&drain) != ASX_DRAIN_STALLED); /* longest nap: 3 s, 15 looks */
        if (left.regions == 0) {
            break;
        }
        ASX_TRY(asx_sleep(cx, asx_ms(200)));
    }
    CHECK(asx_drain_phase_of(&drain) == ASX_DRAIN_QUIESCENT);
    ignored(asx_region_close_wait(cx, handle));
    return asx_ok(0);
}
} // namespace

TEST_CASE("drain: of random trees the potential never rises, and ends at nothing", "[drain][lab]")
{
    over_seeds(200, [](uint64_t seed) {
        tree self = { seed, 0 };
        lab_world world(2, seed);
        world.run(drain_a_tree, &self);
    });
}
