/* Branches that end as a table says, and what a combinator over them shows. */
#ifndef ASX_TESTS_SHARD_COMBINE_PARTS_H
#define ASX_TESTS_SHARD_COMBINE_PARTS_H

#include "../sync/sync_fixture.h"

namespace
{

const asx_err broken = ASX_ERR(ASX_ERR_DOMAIN_USER, 3);

enum act { OK, ERR, PANIC, HANG, MASKED, SELF_CANCEL };

struct part {
    act what;
    asx_duration after_ns;
    uintptr_t value;
};

int dropped, running;

asx_outcome play(asx_cx *cx, void *arg)
{
    const part *const p = static_cast<part *>(arg);
    running++;
    asx_outcome slept = asx_ok(0);
    if (p->what == MASKED || p->what == PANIC) {
        ASX_MASK(cx, 10) {
            slept = asx_sleep(cx, p->after_ns);
        }
    } else {
        slept = asx_sleep(cx, p->what == HANG ? asx_s(1000) : p->after_ns);
    }
    running--;
    ASX_TRY(slept);
    if (p->what == PANIC) {
        asx_panic("as told");
    }
    if (p->what == SELF_CANCEL) {
        asx_task_cancel(cx, asx_cx_task(cx), ASX_CANCEL_USER, "itself");
        return asx_checkpoint(cx);
    }
    return p->what == ERR ? asx_fail(broken) : asx_ok(p->value);
}

std::vector<asx_branch> branches_of(std::vector<part> &parts)
{
    std::vector<asx_branch> branches;
    for (part &p : parts) {
        asx_branch branch{};
        branch.fn = play;
        branch.arg = &p;
        branch.drop_value = [](uintptr_t) { dropped++; };
        branches.push_back(branch);
    }
    return branches;
}

struct seen {
    uint64_t severity;
    asx_err err;
    uintptr_t value;
    asx_duration took_ns;
};

/* Runs fn over the parts, with the live counts before and after compared. */
template <class F> seen over(std::vector<part> parts, F fn, uint64_t seed = 1)
{
    seen result{};
    dropped = running = 0;
    run_body(
        [&](asx_cx *cx) {
            std::vector<asx_branch> branches = branches_of(parts);
            const asx_shard_stats before = stats_of(cx);
            const asx_instant begin = asx_now(cx);
            const asx_outcome outcome = fn(cx, branches);
            const asx_shard_stats after = stats_of(cx);
            result = { outcome.severity, outcome.severity == ASX_SEVERITY_ERR ? outcome.err : 0,
                       outcome.severity == ASX_SEVERITY_OK ? outcome.value : 0,
                       asx_now(cx) - begin };
            CHECK(running == 0);
            CHECK(before.tasks_live == after.tasks_live);
            CHECK(before.regions_live == after.regions_live);
            CHECK(before.timers_armed == after.timers_armed);
            CHECK(before.obligations_pending == after.obligations_pending);
            return asx_ok(0);
        },
        seed);
    return result;
}

} // namespace

#endif
