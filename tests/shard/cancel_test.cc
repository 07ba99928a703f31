/* Cancel reasons and outcomes as values: strengthen is a semilattice over every pair, chains are
 * cut
 * at their limit, and the join of outcomes does not depend on who finished first. */
#include <asx/shard/base/prng.h>
#include <asx/shard/cancel.h>
#include <asx/shard/outcome.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

static asx_handle handle(uint32_t index, asx_handle_kind kind)
{
    asx_handle h{};
    h.index = index;
    h.generation = 1;
    h.kind = (uint8_t)kind;
    return h;
}

static const asx_reason *random_reason(asx_prng *prng)
{
    static const char *const messages[] = { nullptr, "a", "b" };
    const bool has_task = asx_prng_below(prng, 2);
    return asx_reason_create((asx_cancel_kind)asx_prng_below(prng, ASX_CANCEL_KIND_COUNT),
                             handle((uint32_t)asx_prng_below(prng, 2), ASX_HANDLE_REGION),
                             has_task ? handle((uint32_t)asx_prng_below(prng, 2), ASX_HANDLE_TASK)
                                      : asx_handle{},
                             asx_prng_below(prng, 2), messages[asx_prng_below(prng, 3)], nullptr);
}

static bool same(const asx_reason *a, const asx_reason *b)
{
    return a->kind == b->kind && a->at_ns == b->at_ns && asx_handle_eq(a->region, b->region) &&
           asx_handle_eq(a->task, b->task) && std::string(a->message) == b->message;
}

TEST_CASE("cancel: strengthen is idempotent, commutative and associative, full ties included",
          "[cancel]")
{
    asx_prng prng;
    asx_prng_init(&prng, 3);
    uint32_t ties = 0;
    for (int i = 0; i < 50000; i++) {
        const asx_reason *const a = random_reason(&prng), *const b = random_reason(&prng),
                                *const c = random_reason(&prng);
        REQUIRE(asx_reason_strengthen(a, a) == a);
        REQUIRE(same(asx_reason_strengthen(a, b), asx_reason_strengthen(b, a)));
        REQUIRE(same(asx_reason_strengthen(asx_reason_strengthen(a, b), c),
                     asx_reason_strengthen(a, asx_reason_strengthen(b, c))));
        REQUIRE(asx_cancel_severity((asx_cancel_kind)asx_reason_strengthen(a, b)->kind) >=
                asx_cancel_severity((asx_cancel_kind)b->kind));
        if (same(a, b)) {
            ties++;
            REQUIRE(asx_reason_strengthen(a, b) == a);
        }
        asx_reason_release(a);
        asx_reason_release(b);
        asx_reason_release(c);
    }
    CHECK(ties > 0);
}

TEST_CASE("cancel: kinds compare by severity, and worse kinds leave no more polls to clean up",
          "[cancel]")
{
    for (unsigned a = 0; a < ASX_CANCEL_KIND_COUNT; a++) {
        const asx_budget mine = asx_cancel_cleanup_budget((asx_cancel_kind)a);
        CHECK(mine.deadline_ns == ASX_TIME_NEVER);
        CHECK(mine.cost_quota == ASX_COST_UNLIMITED);
        for (unsigned b = 0; b < ASX_CANCEL_KIND_COUNT; b++) {
            if (asx_cancel_severity((asx_cancel_kind)a) > asx_cancel_severity((asx_cancel_kind)b)) {
                CHECK(mine.poll_quota <= asx_cancel_cleanup_budget((asx_cancel_kind)b).poll_quota);
            }
        }
    }
    CHECK(asx_cancel_severity(ASX_CANCEL_LINKED_EXIT) <
          asx_cancel_severity(ASX_CANCEL_PARENT_CANCELLED));
    CHECK(asx_cancel_severity(ASX_CANCEL_PARENT_CANCELLED) <
          asx_cancel_severity(ASX_CANCEL_SHUTDOWN));
    const asx_budget both = asx_budget_meet(asx_cancel_cleanup_budget(ASX_CANCEL_TIMEOUT),
                                            asx_cancel_cleanup_budget(ASX_CANCEL_SHUTDOWN));
    CHECK(both.poll_quota == 50);
    CHECK(both.priority == 255);
}

TEST_CASE("cancel: a chain keeps its newest 16 links, and says once where it was cut", "[cancel]")
{
    const asx_reason *reason = nullptr;
    for (uint32_t i = 0; i < 40; i++) {
        const asx_reason *const next =
            asx_reason_create(i == 0 ? ASX_CANCEL_USER : ASX_CANCEL_PARENT_CANCELLED,
                              handle(i, ASX_HANDLE_REGION), asx_handle{}, 1, nullptr, reason);
        asx_reason_release(reason);
        reason = next;
        uint32_t links = 0, cuts = 0;
        for (const asx_reason *r = reason; r; r = r->cause) {
            CHECK(r->region.index == i - links);
            links++;
            cuts += r->truncated;
        }
        CHECK(links == (i < 16 ? i + 1 : 16));
        CHECK(cuts == (i < 16 ? 0u : 1u));
        CHECK(asx_reason_any_cause_is(reason, ASX_CANCEL_USER) == (i < 16));
        const asx_reason *const copy = asx_reason_copy(reason);
        REQUIRE(copy);
        CHECK(copy != reason);
        CHECK(copy->depth == reason->depth);
        asx_reason_release(copy);
    }
    asx_reason_release(reason);
}

TEST_CASE("cancel: every step of a witness is judged by name", "[cancel]")
{
    const asx_cancel_witness first = { handle(1, ASX_HANDLE_TASK), handle(1, ASX_HANDLE_REGION), 1,
                                       ASX_CANCEL_PHASE_CANCELLING, 3 };
    asx_cancel_witness next = first;
    CHECK(asx_cancel_witness_step(&first, &next) == ASX_WITNESS_VALID);
    next.phase = ASX_CANCEL_PHASE_REQUESTED;
    CHECK(asx_cancel_witness_step(&first, &next) == ASX_WITNESS_PHASE_REGRESSION);
    next = first;
    next.severity = 2;
    CHECK(asx_cancel_witness_step(&first, &next) == ASX_WITNESS_REASON_WEAKENED);
    next = first;
    next.epoch = 0;
    CHECK(asx_cancel_witness_step(&first, &next) == ASX_WITNESS_EPOCH_ZERO);
    next.epoch = 2;
    CHECK(asx_cancel_witness_step(&first, &next) == ASX_WITNESS_EPOCH_MISMATCH);
    next = first;
    next.task.index = 2;
    CHECK(asx_cancel_witness_step(&first, &next) == ASX_WITNESS_TASK_MISMATCH);
    next = first;
    next.region.index = 2;
    CHECK(asx_cancel_witness_step(&first, &next) == ASX_WITNESS_REGION_MISMATCH);
}

TEST_CASE("outcome: join over all sixteen pairs takes the worse, and the left of equals",
          "[outcome]")
{
    const asx_reason *const user =
        asx_reason_create(ASX_CANCEL_USER, asx_handle{}, asx_handle{}, 1, nullptr, nullptr);
    const asx_reason *const shutdown =
        asx_reason_create(ASX_CANCEL_SHUTDOWN, asx_handle{}, asx_handle{}, 2, nullptr, nullptr);
    asx_panic_info *const p = asx_panic_info_create(ASX_PANIC_EXPLICIT, "f", 1, "p");
    asx_panic_info *const q = asx_panic_info_create(ASX_PANIC_EXPLICIT, "f", 1, "q");
    const asx_outcome left[] = { asx_ok(1), asx_fail(1), asx_cancelled(user), asx_panicked(p) };
    const asx_outcome right[] = { asx_ok(2), asx_fail(2), asx_cancelled(shutdown),
                                  asx_panicked(q) };
    for (unsigned a = 0; a < 4; a++) {
        for (unsigned b = 0; b < 4; b++) {
            const asx_outcome joined = asx_outcome_join(left[a], right[b]);
            const asx_outcome want = b > a || (a == 2 && b == 2) ? right[b] : left[a];
            CHECK(joined.severity == want.severity);
            CHECK(joined.value == want.value);
        }
    }
    asx_outcome all[3] = { asx_fail(7), asx_cancelled(user), asx_panicked(p) };
    asx_aggregate sum = asx_outcome_aggregate(all, 3);
    CHECK(sum.outcome.severity == ASX_SEVERITY_PANICKED);
    CHECK(sum.index == 2);
    sum = asx_outcome_aggregate(all, 2);
    CHECK(sum.outcome.severity == ASX_SEVERITY_CANCELLED);
    sum = asx_outcome_aggregate(all, 1);
    CHECK(asx_is_err(sum.outcome, 7));
    CHECK(sum.index == 0);
    CHECK(sum.failures == 1);
    asx_reason_release(user);
    asx_reason_release(shutdown);
    asx_panic_info_release(p);
    asx_panic_info_release(q);
}

TEST_CASE("outcome: a long panic message is cut and marked, an empty one is named", "[outcome]")
{
    const std::string text(10240, 'x');
    asx_panic_info *info = asx_panic_info_create(ASX_PANIC_EXPLICIT, "f", 1, text.c_str());
    REQUIRE(info);
    CHECK(info->cut);
    CHECK(std::string(info->message).size() == ASX_PANIC_MESSAGE_MAX - 1);
    asx_panic_info_release(info);
    info = asx_panic_info_create(ASX_PANIC_EXPLICIT, "f", 1, "");
    REQUIRE(info);
    CHECK(std::string(info->message) == "unknown panic");
    CHECK(asx_outcome_http_status(asx_panicked(info)) == 500);
    asx_panic_info_release(info);
    CHECK(asx_outcome_http_status(asx_ok(0)) == 200);
    CHECK(asx_outcome_http_status(asx_fail(ASX_ERR(ASX_ERR_DOMAIN_HTTP, 418))) == 418);
    CHECK(asx_outcome_http_status(asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, 1))) == 500);
    CHECK(asx_outcome_http_status(asx_cancelled(nullptr)) == 499);
}
