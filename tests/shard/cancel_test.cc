/* Cancel reasons: strengthen is a semilattice over every pair, chains are cut at their limit, and a
 * tree is told from the top down. */
#include <asx/shard/base/prng.h>
#include <asx/shard/cancel.h>

#include "kernel_fixture.h"

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

TEST_CASE("cancel: a link that ended does not outrank the engine's shutdown or a parent's "
          "cancellation",
          "[cancel]")
{
    const auto make = [](asx_cancel_kind kind, asx_instant at_ns) {
        return asx_reason_create(kind, asx_handle{}, asx_handle{}, at_ns, nullptr, nullptr);
    };
    const asx_reason *const link = make(ASX_CANCEL_LINKED_EXIT, 1);
    for (const asx_cancel_kind kind : { ASX_CANCEL_SHUTDOWN, ASX_CANCEL_PARENT_CANCELLED }) {
        const asx_reason *const other = make(kind, 2);
        CHECK(asx_reason_strengthen(other, link) == other);
        CHECK(asx_reason_strengthen(link, other) == other);
        asx_reason_release(other);
    }
    asx_reason_release(link);
}

namespace
{
constexpr unsigned deep = 40;
struct level {
    unsigned depth;
};
std::vector<unsigned> told; /* depths, in the order in which their tasks were told */
unsigned links[deep + 1], cuts[deep + 1], kinds[deep + 1];

asx_outcome nest(asx_cx *cx, void *arg)
{
    const level self = *static_cast<level *>(arg);
    asx_outcome value;
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
        if (self.depth < deep) {
            const level child = { self.depth + 1 };
            ASX_SPAWN(s, nest, &child);
        }
        const asx_outcome slept = asx_sleep(cx, asx_s(1000));
        told.push_back(self.depth);
        REQUIRE(slept.severity == ASX_SEVERITY_CANCELLED);
        kinds[self.depth] = slept.reason->kind;
        for (const asx_reason *r = slept.reason; r; r = r->cause) {
            links[self.depth]++;
            cuts[self.depth] += r->truncated;
        }
    }
    return asx_ok(0);
}
} // namespace

TEST_CASE("cancel: forty nested regions are told parents first, with chains of at most sixteen "
          "links, cut once",
          "[cancel]")
{
    told.clear();
    for (unsigned i = 0; i <= deep; i++) {
        links[i] = cuts[i] = 0;
    }
    run_kernel_with(
        kernel_setup(), TASK {
            asx_outcome value;
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                const level top = { 0 };
                ASX_SPAWN(s, nest, &top);
                ASX_TRY(asx_sleep(cx, asx_ms(1)));
                asx_scope_cancel(s, ASX_CANCEL_USER, "from the top");
            }
            CHECK(asx_reason_root(value.reason)->kind == ASX_CANCEL_USER);
            return asx_ok(0);
        });
    REQUIRE(told.size() == deep + 1);
    for (unsigned i = 0; i <= deep; i++) {
        CAPTURE(i);
        CHECK(told[i] == (i < deep ? i + 1 : 0)); /* its cleanup is the least urgent */
        CHECK(links[i] == (i < 16 ? i + 1 : 16));
        CHECK(cuts[i] == (i < 16 ? 0 : 1));
        CHECK(kinds[i] == (i == 0 ? ASX_CANCEL_USER : ASX_CANCEL_PARENT_CANCELLED));
    }
}

TEST_CASE("cancel: a tree cancelled twice asks each task once, and again when that is stronger",
          "[cancel]")
{
    run_kernel(TASK {
        static std::vector<uint32_t> seen, below;
        static const auto watch = [](asx_cx *cx, std::vector<uint32_t> *list) {
            ASX_MASK(cx, 100) {
                for (int i = 0; i < 4; i++) {
                    ASX_TRY(asx_sleep(cx, asx_ms(2)));
                    const asx_reason *const reason = asx_cancel_reason(cx);
                    list->push_back(reason ? asx_reason_root(reason)->kind : 99);
                }
            }
            return asx_checkpoint(cx);
        };
        seen.clear();
        below.clear();
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            asx_scope_spawn(
                s, TASK { return watch(cx, &seen); }, nullptr, 0, nullptr);
            asx_scope_spawn(
                s,
                TASK {
                    ASX_SCOPE(cx, inner, ASX_COLLECT_ALL) {
                        asx_scope_spawn(
                            inner, TASK { return watch(cx, &below); }, nullptr, 0, nullptr);
                    }
                    return asx_ok(0);
                },
                nullptr, 0, nullptr);
            ASX_TRY(asx_sleep(cx, asx_ms(3)));
            asx_scope_cancel(s, ASX_CANCEL_USER, "first");
            asx_scope_cancel(s, ASX_CANCEL_USER, "the same once more");
            ASX_TRY(asx_sleep(cx, asx_ms(2)));
            asx_scope_cancel(s, ASX_CANCEL_SHUTDOWN, "stronger");
            asx_scope_cancel(s, ASX_CANCEL_TIMEOUT, "weaker: no effect");
        }
        const uint32_t user = ASX_CANCEL_USER, shutdown = ASX_CANCEL_SHUTDOWN;
        CHECK(seen == std::vector<uint32_t>{ 99, user, shutdown, shutdown });
        /* PARENT_CANCELLED both times, and of equals the earlier stays. */
        CHECK(below == std::vector<uint32_t>{ 99, user, user, user });
        CHECK(value.reason->kind == ASX_CANCEL_SHUTDOWN);
        return asx_ok(0);
    });
}
