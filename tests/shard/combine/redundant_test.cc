/* Combinators over several branches: whatever way they end, nothing they started is left, losers
 * are drained, and panics are seen. */
#include <asx/shard/combine/first_ok.h>
#include <asx/shard/combine/hedge.h>
#include <asx/shard/combine/map_reduce.h>
#include <asx/shard/combine/pipeline.h>
#include <asx/shard/combine/quorum.h>

#include "parts.h"

namespace
{

auto quorum_of(uint32_t required, std::vector<asx_outcome> *outcomes = nullptr)
{
    return [=](asx_cx *cx, std::vector<asx_branch> &branches) {
        if (outcomes) {
            outcomes->assign(branches.size(), asx_fail(1));
        }
        return asx_quorum(cx, branches.data(), static_cast<uint32_t>(branches.size()), required,
                          outcomes ? outcomes->data() : nullptr);
    };
}

auto hedge_with(bool ok_only, uint32_t *winner = nullptr)
{
    return [=](asx_cx *cx, std::vector<asx_branch> &branches) {
        asx_hedge_options options{};
        options.ok_only = ok_only;
        return asx_hedge(cx, branches.data(), &options, winner);
    };
}

} // namespace

TEST_CASE("quorum: enough Ok end it at once, in index order, and the rest is drained", "[combine]")
{
    std::vector<asx_outcome> outcomes;
    seen s = over({ { OK, asx_ms(3), 1 }, { ERR, asx_ms(1), 0 }, { OK, asx_ms(2), 3 } },
                  quorum_of(2, &outcomes));
    CHECK(s.severity == ASX_SEVERITY_OK);
    CHECK(s.value == 2);
    CHECK(outcomes[0].value == 1);
    CHECK(outcomes[2].value == 3);
    s = over({ { OK, asx_ms(1), 1 }, { HANG, 0, 0 }, { MASKED, asx_s(10), 7 } }, quorum_of(1));
    CHECK(s.severity == ASX_SEVERITY_OK);
    CHECK(s.took_ns == asx_s(10)); /* the masked loser was waited for */
    CHECK(dropped == 1);           /* and what it made late went to its destructor */
}

TEST_CASE("quorum: too many failures stop it early", "[combine]")
{
    const seen s =
        over({ { ERR, asx_ms(1), 0 }, { ERR, asx_ms(2), 0 }, { HANG, 0, 0 } }, quorum_of(2));
    CHECK(s.err == ASX_E(INSUFFICIENT));
    CHECK(s.took_ns == asx_ms(2));
}

TEST_CASE("quorum: nothing asked is granted, more than there are is a mistake", "[combine]")
{
    CHECK(over({}, quorum_of(0)).severity == ASX_SEVERITY_OK);
    CHECK(over({}, quorum_of(1)).err == ASX_E(INVALID_QUORUM));
    CHECK(over({ { PANIC, 0, 0 } }, quorum_of(0)).severity == ASX_SEVERITY_OK);
}

TEST_CASE("quorum: a panic dominates, also of a loser; a branch's own cancel is seen", "[combine]")
{
    CHECK(over({ { OK, asx_ms(1), 1 }, { PANIC, asx_ms(1), 0 } }, quorum_of(1)).severity ==
          ASX_SEVERITY_PANICKED);
    CHECK(over({ { SELF_CANCEL, asx_ms(1), 1 }, { ERR, asx_ms(2), 0 } }, quorum_of(1)).severity ==
          ASX_SEVERITY_CANCELLED);
}

TEST_CASE("hedge: the backup starts only after the delay, and the first terminal one wins",
          "[combine]")
{
    uint32_t winner = 9;
    seen s = over({ { OK, asx_ms(100) - 1, 1 }, { PANIC, 0, 0 } }, hedge_with(false, &winner));
    CHECK(s.value == 1);
    CHECK(s.took_ns == asx_ms(100) - 1);
    s = over({ { OK, asx_ms(100), 1 }, { PANIC, 0, 0 } }, hedge_with(false, &winner));
    CHECK(s.value == 1); /* what is ready at the very instant wins */
    s = over({ { OK, asx_ms(300), 1 }, { OK, asx_ms(50), 2 } }, hedge_with(false, &winner));
    CHECK(s.value == 2);
    CHECK(winner == 1);
    CHECK(s.took_ns == asx_ms(150));
    s = over({ { OK, asx_ms(120), 1 }, { ERR, asx_ms(10), 2 } }, hedge_with(false, &winner));
    CHECK(s.err == broken);
    s = over({ { OK, asx_ms(120), 1 }, { ERR, asx_ms(10), 2 } }, hedge_with(true, &winner));
    CHECK(s.value == 1);
    CHECK(winner == 0);
    s = over({ { ERR, asx_ms(120), 1 }, { ERR, asx_ms(10), 2 } }, hedge_with(true, &winner));
    CHECK(s.err == broken);
    CHECK(s.took_ns == asx_ms(120));
}

TEST_CASE("hedge: a panic of either is not hidden", "[combine]")
{
    CHECK(over({ { PANIC, asx_ms(110), 0 }, { OK, asx_ms(10), 0 } }, hedge_with(false)).severity ==
          ASX_SEVERITY_PANICKED);
}

TEST_CASE("first_ok: goes on after errors only, and tells them in order", "[combine]")
{
    asx_err errors[3];
    asx_attempts attempts;
    auto run = [&](asx_cx *cx, std::vector<asx_branch> &branches) {
        return asx_first_ok(cx, branches.data(), static_cast<uint32_t>(branches.size()), errors,
                            &attempts);
    };
    CHECK(over({ { ERR, 0, 0 }, { OK, 0, 5 }, { PANIC, 0, 0 } }, run).value == 5);
    CHECK(attempts.attempted == 2);
    CHECK(attempts.winner == 1);
    CHECK(errors[0] == broken);
    CHECK(errors[1] == ASX_OK);
    CHECK(over({ { ERR, 0, 0 }, { ERR, 0, 5 } }, run).err == ASX_E(ALL_FAILED));
    CHECK(over({ { ERR, 0, 0 }, { PANIC, 0, 5 }, { OK, 0, 0 } }, run).severity ==
          ASX_SEVERITY_PANICKED);
    CHECK(over({ { SELF_CANCEL, 1, 0 }, { OK, 0, 0 } }, run).severity == ASX_SEVERITY_CANCELLED);
    CHECK(over({}, run).err == ASX_E(EMPTY));
}

TEST_CASE("combinators: cancelling the caller at any instant drains everything", "[combine]")
{
    for (asx_duration at_ns = 0; at_ns < asx_ms(160); at_ns += asx_ms(7)) {
        for (int which = 0; which < 3; which++) {
            std::vector<part> parts = { { OK, asx_ms(130), 1 },
                                        { MASKED, asx_ms(40), 2 },
                                        { ERR, asx_ms(150), 0 } };
            dropped = running = 0;
            run_body([&](asx_cx *cx) {
                std::vector<asx_branch> branches = branches_of(parts);
                body caller = [&](asx_cx *c) {
                    switch (which) {
                    case 0:
                        return asx_quorum(c, branches.data(), 3, 2, nullptr);
                    case 1:
                        return asx_hedge(c, branches.data(), nullptr, nullptr);
                    default:
                        return asx_first_ok(c, branches.data(), 3, nullptr, nullptr);
                    }
                };
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                    const asx_handle task = go(s, caller);
                    ASX_TRY(asx_sleep(cx, at_ns));
                    asx_task_cancel(cx, task, ASX_CANCEL_USER, "the caller");
                    (void)asx_join(cx, task).severity;
                    CHECK(running == 0);
                }
                return asx_ok(0);
            });
        }
    }
}

namespace
{

asx_outcome times(asx_cx *cx, uintptr_t input, void *arg)
{
    ASX_TRY(asx_sleep(cx, 1));
    return input == 13 ? asx_fail(broken) : asx_ok(input * *static_cast<uintptr_t *>(arg));
}

int width_now, width_most;

asx_outcome slow_square(asx_cx *cx, uintptr_t input, void *)
{
    width_most = std::max(width_most, ++width_now);
    const asx_outcome slept = asx_sleep(cx, 10 - input % 10);
    width_now--;
    ASX_TRY(slept);
    return input == 13 ? asx_fail(broken) : asx_ok(input * input);
}

uintptr_t digits(uintptr_t folded, uintptr_t value, void *)
{
    return folded * 1000 + value;
}

} // namespace

TEST_CASE("pipeline: stages in order, stopped by the first failure unless told otherwise",
          "[combine]")
{
    run_body([](asx_cx *cx) {
        uintptr_t two = 2, three = 3;
        const asx_stage stages[] = { { times, &two, "a" }, { times, &three, "b" } };
        asx_pipeline_result result;
        CHECK(asx_pipeline(cx, stages, 2, 7, nullptr, &result).value == 42);
        CHECK(result.executed == 2);
        CHECK(result.stopped == 2);
        CHECK(asx_is_err(asx_pipeline(cx, stages, 2, 13, nullptr, &result), broken));
        CHECK(result.executed == 1);
        CHECK(result.stopped == 0);
        asx_pipeline_options go_on{};
        go_on.continue_on_error = true;
        CHECK(asx_pipeline(cx, stages, 2, 13, &go_on, &result).value == 13);
        CHECK(asx_pipeline(cx, stages, 0, 9, nullptr, &result).value == 9);
        return asx_ok(0);
    });
}

TEST_CASE("map_reduce: folds in input order whatever ends first, within the width", "[combine]")
{
    run_body([](asx_cx *cx) {
        const uintptr_t inputs[] = { 1, 2, 3, 13, 4 };
        uintptr_t partial = 0;
        width_now = width_most = 0;
        CHECK(asx_map_reduce(cx, inputs, 3, slow_square, digits, nullptr, 0, 2, &partial).value ==
              1004009);
        CHECK(width_most == 2);
        CHECK(asx_is_err(
            asx_map_reduce(cx, inputs, 5, slow_square, digits, nullptr, 0, 9, &partial), broken));
        CHECK(partial == 1004009016);
        CHECK(
            asx_is_err(asx_map_reduce(cx, inputs, 0, slow_square, digits, nullptr, 0, 2, &partial),
                       ASX_E(EMPTY)));
        CHECK(
            asx_is_err(asx_map_reduce(cx, inputs, 1, slow_square, digits, nullptr, 0, 0, &partial),
                       ASX_E(INVALID_ARGUMENT)));
        return asx_ok(0);
    });
}
