/* At stake: a cleanup budget that is set from what was seen is enough. Tasks whose masks and gaps
 * are known, then random ones in the lab, held against the bound that the report claims. */
#include <asx/shard/cleanup.h>

#include "lab_world.h"

namespace
{

struct plan {
    uint32_t masks;  /* of one observation each */
    uint32_t gap;    /* polls from one to the next */
    uint32_t polled; /* from the request to the end */
};

std::vector<asx_cleanup> kept(asx_cx *cx)
{
    std::vector<asx_cleanup> all;
    asx_cleanup_each(
        asx_shard_of(cx),
        [](void *arg, const asx_cleanup *one) {
            static_cast<std::vector<asx_cleanup> *>(arg)->push_back(*one);
        },
        &all);
    return all;
}

/* Observes under a mask after each nap of `gap` polls, `masks` times, and then without. */
asx_outcome masked(asx_cx *cx, void *arg)
{
    plan *const p = static_cast<plan *>(arg);
    ignored(asx_sleep(cx, asx_s(1))); /* CANCELLED at once would be the first observation */
    for (uint32_t i = 0; i < p->masks; i++) {
        ASX_MASK(cx, 1) {
            for (uint32_t k = 0; k < p->gap; k++) {
                p->polled++;
                asx_task_notify(asx_task_of(cx));
                ignored(asx_sleep(cx, 1)); /* masked: a poll without an observation that counts */
            }
        }
    }
    return asx_checkpoint(cx);
}

kernel_run run_keeping(asx_task_fn *fn)
{
    kernel_setup setup;
    setup.shard.keep_cleanups = true;
    return run_kernel_with(setup, fn);
}

} // namespace

TEST_CASE("cleanup: nothing is kept where nobody asked, and of whom nobody cancelled", "[cleanup]")
{
    run_kernel(TASK {
        cancel_and_join(cx, start_named(
                                cx, TASK { return asx_sleep(cx, asx_s(9)); }, nullptr, "sleeper"));
        CHECK(kept(cx).empty());
        return asx_ok(0);
    });
    run_keeping(TASK {
        ignored(asx_join(cx, start_named(
                                 cx, TASK { return asx_yield(cx); }, nullptr, "yielder")));
        CHECK(kept(cx).empty());
        return asx_ok(0);
    });
}

TEST_CASE("cleanup: each type has its own largest numbers", "[cleanup]")
{
    run_keeping(TASK {
        for (int i = 0; i < 3; i++) {
            const asx_handle task = start_named(
                cx, TASK { return asx_sleep(cx, asx_s(9)); }, nullptr, "sleeper");
            ASX_TRY(asx_yield(cx));
            cancel_and_join(cx, task);
        }
        const asx_handle deaf = start_named(
            cx,
            TASK {
                ASX_MASK(cx, 5) /* three observations of the five, two polls before each */
                {
                    for (int i = 0; i < 3; i++) {
                        ignored(asx_sleep(cx, asx_ms(10)));
                        ignored(asx_yield(cx));
                    }
                }
                return asx_checkpoint(cx);
            },
            nullptr, nullptr);
        ASX_TRY(asx_yield(cx));
        cancel_and_join(cx, deaf);
        /* One that never ran needed nothing. */
        cancel_and_join(cx, start_named(
                                cx, TASK { return asx_ok(0); }, nullptr, "unborn"));
        const std::vector<asx_cleanup> all = kept(cx);
        REQUIRE(all.size() == 2);
        CHECK(all[0].label == std::string("sleeper"));
        CHECK(all[0].tasks == 3);
        CHECK(all[0].masked_max == 0);
        CHECK(all[0].gap_max == 1);
        CHECK(all[0].left_min == 1000);
        CHECK(asx_cleanup_sufficient(&all[0]) == 1);
        CHECK(all[1].label == std::string("-"));
        CHECK(all[1].tasks == 1);
        CHECK(all[1].masked_max == 5);
        CHECK(all[1].gap_max >= 1);
        CHECK(all[1].overruns == 0);
        CHECK(1000 - all[1].left_min <= asx_cleanup_sufficient(&all[1]));
        return asx_ok(0);
    });
}

TEST_CASE("cleanup: types beyond the limit are counted together", "[cleanup]")
{
    run_keeping(TASK {
        std::vector<std::string> labels;
        for (uint32_t i = 0; i < ASX_CLEANUP_TYPES_MAX + 5; i++) {
            labels.push_back("type " + std::to_string(i));
        }
        for (const std::string &label : labels) {
            const asx_handle task = start_named(
                cx, TASK { return asx_sleep(cx, asx_s(9)); }, nullptr, label.c_str());
            ASX_TRY(asx_yield(cx));
            cancel_and_join(cx, task);
        }
        const std::vector<asx_cleanup> all = kept(cx);
        REQUIRE(all.size() == ASX_CLEANUP_TYPES_MAX + 1);
        CHECK(all.back().label == std::string("..."));
        CHECK(all.back().tasks == 5);
        CHECK(all.back().left_min == 1000);
        return asx_ok(0);
    });
}

TEST_CASE("cleanup: a budget that is used up is told", "[cleanup]")
{
    const kernel_run run = run_keeping(TASK {
        const asx_handle task = start_named(
            cx,
            TASK {
                ASX_MASK(cx, 65535) {
                    for (int i = 0; i < 1010; i++) {
                        ignored(asx_yield(cx));
                    }
                }
                return asx_ok(0);
            },
            nullptr, "stubborn");
        ASX_TRY(asx_yield(cx));
        cancel_and_join(cx, task);
        const std::vector<asx_cleanup> all = kept(cx);
        REQUIRE(all.size() == 1);
        CHECK(all[0].overruns == 1);
        CHECK(all[0].left_min == 0);
        CHECK(all[0].masked_max >= 1000);
        return asx_ok(0);
    });
    CHECK(run.stats.overruns == 1);
}

TEST_CASE("cleanup: random maskers end within what the report says suffices", "[cleanup][lab]")
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        INFO("seed " << seed);
        kernel_setup setup;
        setup.shard.keep_cleanups = true;
        setup.shard.seed = seed;
        setup.driver.seed = seed;
        setup.driver.shuffle = true;
        run_kernel_with(
            setup, TASK {
                plan p{};
                p.masks = static_cast<uint32_t>(asx_random_below(cx, 6));
                p.gap = static_cast<uint32_t>(1 + asx_random_below(cx, 5));
                const asx_handle task = start_named(cx, masked, &p, "masker");
                ASX_TRY(asx_sleep(cx, asx_ms(1 + asx_random_below(cx, 3))));
                cancel_and_join(cx, task);
                const std::vector<asx_cleanup> all = kept(cx);
                REQUIRE(all.size() == 1);
                CHECK(all[0].masked_max <= p.masks);
                CHECK(1000 - all[0].left_min <= asx_cleanup_sufficient(&all[0]));
                return asx_ok(0);
            });
    }
}
