/* Plans and their laws: random plans are run as they are and rewritten, and must not differ; where
 * a side condition is left out, they do. */
#include <asx/shard/combine/plan.h>

#include "../sync/sync_fixture.h"

#include <map>
#include <random>

namespace
{

const uint32_t nodes_max = 512;

enum act { OK, ERR, PANIC, LATE, NEVER, AT_ONCE };

struct leaf {
    act what;
    asx_duration after_ns;
    uint32_t id;
    std::map<uint32_t, std::string> *ends; /* by leaf: o, x or p for each time it ran to its end */
    std::string label;
};

asx_outcome play(asx_cx *cx, void *arg)
{
    const leaf *const l = static_cast<leaf *>(arg);
    std::string &ends = (*l->ends)[l->id];
    asx_outcome slept = asx_ok(0);
    if (l->what != AT_ONCE) {
        slept = asx_sleep(cx, l->what == NEVER ? asx_s(1000) : l->after_ns);
    }
    if (!asx_is_ok(slept) && l->what != LATE) {
        return slept;
    }
    if (l->what == PANIC) {
        ends += 'p';
        asx_panic("the leaf");
    }
    if (asx_is_ok(slept)) {
        ends += l->what == ERR ? 'x' : 'o';
    }
    return l->what == ERR ? asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, l->id + 1)) : asx_ok(l->id + 1);
}

/* What one run of an expression shows. */
struct seen {
    uint64_t severity = 99;
    uint64_t value = 0;
    std::string ends; /* of its leaves */
};

/* Leaves and the plan over them, made from a seed. Every leaf ends at an instant of its own, and no
 * timeout at the same: ties are another matter. */
struct garden {
    std::mt19937_64 rand;
    std::vector<std::unique_ptr<leaf>> leaves;
    std::vector<asx_duration> instants;
    std::map<uint32_t, std::string> ends;
    asx_plan *plan = nullptr;

    garden(asx_cx *cx, uint64_t seed) : rand(seed)
    {
        REQUIRE(asx_plan_open(cx, nodes_max, &plan) == ASX_OK);
        for (asx_duration i = 1; i <= 200; i++) {
            instants.push_back(asx_ms(10 * i));
        }
        std::shuffle(instants.begin(), instants.end(), rand);
    }

    uint32_t below(uint32_t n)
    {
        return uint32_t(rand() % n);
    }

    asx_plan_id plant(act what, uint32_t promises)
    {
        const uint32_t id = uint32_t(leaves.size());
        asx_duration after_ns = instants.back();
        instants.pop_back();
        leaves.emplace_back(new leaf{ what, after_ns, id, &ends, "l" + std::to_string(id) });
        asx_branch branch{};
        branch.fn = play;
        branch.arg = leaves.back().get();
        branch.label = leaves.back()->label.c_str();
        return asx_plan_leaf(plan, &branch, promises);
    }

    asx_plan_id any_leaf()
    {
        const act what = act(below(5));
        return plant(what, what == LATE ? uint32_t(ASX_PLAN_INDEPENDENT)
                                        : uint32_t(ASX_PLAN_PROMPT | ASX_PLAN_INDEPENDENT));
    }

    asx_plan_id grow(uint32_t depth)
    {
        const uint32_t dice = below(depth == 0 ? 1 : 8);
        std::vector<asx_plan_id> children;
        if (dice <= 1) {
            return any_leaf();
        }
        if (dice == 2) { /* what the distribution law is about */
            const asx_plan_id shared =
                plant(AT_ONCE, ASX_PLAN_PURE | ASX_PLAN_PROMPT | ASX_PLAN_INDEPENDENT);
            for (uint32_t i = 0; i < 2 + below(2); i++) {
                const asx_plan_id pair[] = { shared, grow(depth - 1), grow(0) };
                children.push_back(asx_plan_join(plan, pair, 2 + below(2)));
            }
            return asx_plan_race(plan, children.data(), uint32_t(children.size()));
        }
        if (dice <= 4) {
            const asx_duration timeout = below(8) == 0 ? ASX_TIME_NEVER : instants.back() + 5000;
            instants.pop_back();
            return asx_plan_timeout(plan, timeout, grow(depth - 1));
        }
        for (uint32_t i = 0; i < 1 + below(3); i++) {
            children.push_back(grow(depth - 1));
        }
        return (dice <= 5 ? asx_plan_join
                : dice == 6
                    ? asx_plan_race
                    : asx_plan_race_unbiased)(plan, children.data(), uint32_t(children.size()));
    }

    /* Leaves that are pure promise that nobody can tell. */
    std::string story() const
    {
        std::string all;
        for (const auto &end : ends) {
            if (leaves[end.first]->what != AT_ONCE && !end.second.empty()) {
                all += leaves[end.first]->label + ":" + end.second + " ";
            }
        }
        return all;
    }

    seen run(asx_cx *cx, asx_plan_id root, asx_duration cut_ns = asx_s(100))
    {
        seen s;
        ends.clear();
        body all = [&](asx_cx *inner) { return asx_plan_run(inner, plan, root); };
        const asx_outcome outcome =
            cut_ns == ASX_TIME_NEVER ? all(cx) : asx_timeout(cx, cut_ns, body_run, &all, nullptr);
        s.severity = outcome.severity;
        s.value = asx_is_ok(outcome)                     ? outcome.value
                  : outcome.severity == ASX_SEVERITY_ERR ? uint64_t(outcome.err)
                                                         : 0;
        s.ends = story();
        return s;
    }

    std::string text(asx_plan_id root)
    {
        char line[2000];
        asx_plan_print(plan, root, line, sizeof(line));
        return line;
    }
};

void check_same(garden &g, asx_cx *cx, asx_plan_id before, asx_plan_id after, bool by_severity,
                bool same_ends, asx_duration cut_ns)
{
    const seen a = g.run(cx, before, cut_ns), b = g.run(cx, after, cut_ns);
    INFO(g.text(before) << " -> " << g.text(after));
    CHECK(a.severity == b.severity);
    if (!by_severity) {
        CHECK(a.value == b.value);
    }
    if (same_ends) {
        CHECK(a.ends == b.ends);
    }
}

uint32_t applied[ASX_LAW_COUNT];

void try_laws(asx_cx *cx, uint64_t seed)
{
    garden g(cx, seed);
    const asx_plan_id root = g.grow(3);
    REQUIRE(root != ASX_PLAN_NONE);
    for (asx_plan_id node = 0; node <= root; node++) {
        for (uint32_t law = 0; law < ASX_LAW_COUNT; law++) {
            const uint32_t at = g.below(3);
            const asx_plan_id after = asx_plan_rewrite(g.plan, node, asx_law(law), at);
            if (after == ASX_PLAN_NONE) {
                continue;
            }
            INFO("seed " << seed << ", " << asx_law_name(asx_law(law)) << " at " << at);
            applied[law]++;
            const bool once_for_many = law == ASX_LAW_DEDUP_RACE_JOIN;
            check_same(g, cx, node, after, asx_law_is_by_severity(asx_law(law)), !once_for_many,
                       asx_s(100));
            if (!once_for_many) { /* also where it is cancelled on the way */
                check_same(g, cx, node, after, asx_law_is_by_severity(asx_law(law)), true,
                           asx_ms(10 * (1 + g.below(200))) + 2);
            }
        }
    }
}

void try_optimiser(asx_cx *cx, uint64_t seed)
{
    garden g(cx, seed);
    const asx_plan_id root = g.grow(4);
    const bool by_severity = seed % 2;
    asx_plan_step steps[64];
    uint32_t count = 0, again = 0;
    INFO("seed " << seed);
    const asx_plan_id better = asx_plan_optimise(g.plan, root, by_severity, steps, 64, &count);
    REQUIRE(better != ASX_PLAN_NONE);
    REQUIRE(count < 64);
    bool once_for_many = false;
    for (uint32_t i = 0; i < count; i++) {
        CHECK(asx_plan_step_holds(g.plan, &steps[i]));
        CHECK((by_severity || !asx_law_is_by_severity(steps[i].law)));
        once_for_many |= steps[i].law == ASX_LAW_DEDUP_RACE_JOIN;
    }
    check_same(g, cx, root, better, once_for_many, !once_for_many, asx_s(100));
    asx_plan_step more[64];
    CHECK(asx_plan_equal(g.plan, better,
                         asx_plan_optimise(g.plan, better, by_severity, more, 64, &again)));
    CHECK(again == 0);
}

} // namespace

TEST_CASE("plan: every law holds on random plans, cut at random instants too", "[plan]")
{
    std::fill(std::begin(applied), std::end(applied), 0);
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        run_body(
            [seed](asx_cx *cx) {
                try_laws(cx, seed);
                return asx_ok(0);
            },
            seed);
    }
    for (uint32_t law = 0; law < ASX_LAW_COUNT; law++) {
        INFO(asx_law_name(asx_law(law)));
        CHECK(applied[law] >= 20);
    }
}

TEST_CASE("plan: an optimised plan is the same plan, by steps that can be checked", "[plan]")
{
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        run_body(
            [seed](asx_cx *cx) {
                try_optimiser(cx, seed);
                return asx_ok(0);
            },
            seed);
    }
}

TEST_CASE("plan: without its side condition each law is false", "[plan]")
{
    body all = [](asx_cx *cx) {
        garden g(cx, 1);
        std::sort(g.instants.rbegin(),
                  g.instants.rend()); /* leaves end in the order they are made */
        auto race = [&](asx_plan_id a, asx_plan_id b) {
            const asx_plan_id both[] = { a, b };
            return asx_plan_race(g.plan, both, 2);
        };
        auto join = [&](asx_plan_id a, asx_plan_id b) {
            const asx_plan_id both[] = { a, b };
            return asx_plan_join(g.plan, both, 2);
        };
        auto plain = [&](asx_plan_id root) { return g.run(cx, root, ASX_TIME_NEVER); };
        /* Distribution over what takes time: both alternatives end with it, and the first wins. */
        const asx_plan_id early = g.plant(ERR, 0), late = g.plant(OK, 0), slow = g.plant(OK, 0);
        const asx_plan_id spread = race(join(slow, late), join(slow, early));
        CHECK(asx_plan_why_not(g.plan, spread, ASX_LAW_DEDUP_RACE_JOIN, 0) != nullptr);
        CHECK(plain(join(slow, race(late, early))).severity == ASX_SEVERITY_ERR);
        CHECK(plain(spread).severity == ASX_SEVERITY_OK);
        CHECK(g.ends[2] == "oo"); /* and it runs once for each */

        /* The earlier deadline outside, a child that makes a value although it was cancelled. */
        const asx_plan_id stubborn = g.plant(LATE, 0);
        const asx_plan_id inner = asx_plan_timeout(g.plan, asx_ms(20), stubborn);
        const asx_plan_id nested = asx_plan_timeout(g.plan, asx_ms(10), inner);
        CHECK(asx_plan_why_not(g.plan, nested, ASX_LAW_TIMEOUT_MIN, 0) != nullptr);
        CHECK(plain(nested).severity == ASX_SEVERITY_ERR);
        CHECK(plain(asx_plan_timeout(g.plan, asx_ms(10), stubborn)).severity == ASX_SEVERITY_OK);

        /* Joins commute by severity only, and races that prefer the first not at all. */
        const asx_plan_id one = g.plant(ERR, 0), two = g.plant(ERR, 0);
        CHECK(plain(join(one, two)).value != plain(join(two, one)).value);
        const asx_plan_id now = g.plant(AT_ONCE, 0), too = g.plant(AT_ONCE, 0);
        CHECK(plain(race(now, too)).value != plain(race(too, now)).value);
        CHECK(asx_plan_why_not(g.plan, race(now, too), ASX_LAW_RACE_COMM, 0) != nullptr);
        return asx_ok(0);
    };
    run_kernel(body_run, &all, 1, ASX_LEAK_PANIC, false); /* equals are in order */
}

TEST_CASE("plan: what cannot be built is NONE, and so is what is built upon it", "[plan]")
{
    run_body([](asx_cx *cx) {
        asx_plan *none = nullptr;
        CHECK(asx_plan_open(cx, 0, &none) == ASX_E(INVALID_ARGUMENT));
        CHECK(asx_plan_open(cx, ASX_PLAN_NODES_MAX + 1, &none) == ASX_E(INVALID_ARGUMENT));
        garden g(cx, 1);
        const asx_plan_id a = g.plant(OK, 0), bad[] = { a, ASX_PLAN_NONE };
        CHECK(asx_plan_race(g.plan, &a, 0) == ASX_PLAN_NONE);
        CHECK(asx_plan_race_unbiased(g.plan, &a, 0) == ASX_PLAN_NONE);
        CHECK(asx_plan_join(g.plan, bad, 2) == ASX_PLAN_NONE);
        CHECK(asx_plan_timeout(g.plan, 5, ASX_PLAN_NONE) == ASX_PLAN_NONE);
        CHECK(asx_is_err(asx_plan_run(cx, g.plan, ASX_PLAN_NONE), ASX_E(INVALID_ARGUMENT)));
        const std::vector<asx_plan_id> many(ASX_PLAN_CHILDREN_MAX + 1, a);
        CHECK(asx_plan_join(g.plan, many.data(), uint32_t(many.size())) == ASX_PLAN_NONE);
        asx_plan_id wide = a;
        for (int i = 0; i < 3; i++) { /* 64^3 leaves are too many */
            const std::vector<asx_plan_id> copies(ASX_PLAN_CHILDREN_MAX, wide);
            wide = asx_plan_join(g.plan, copies.data(), ASX_PLAN_CHILDREN_MAX);
            CHECK((wide == ASX_PLAN_NONE) == (i == 2));
        }
        asx_plan_id deep = a;
        for (uint32_t i = 1; i < ASX_PLAN_DEPTH_MAX; i++) {
            deep = asx_plan_timeout(g.plan, 5, deep);
            REQUIRE(deep != ASX_PLAN_NONE);
        }
        CHECK(asx_plan_timeout(g.plan, 5, deep) == ASX_PLAN_NONE);
        uint32_t left = 0;
        while (asx_plan_join(g.plan, &a, 1) != ASX_PLAN_NONE) {
            left++;
        }
        CHECK(left > 0);
        CHECK(left < nodes_max);
        return asx_ok(0);
    });
}

TEST_CASE("plan: is printed, and a step that is not its law's is refused", "[plan]")
{
    run_body([](asx_cx *cx) {
        garden g(cx, 1);
        const asx_plan_id a = g.plant(OK, 0), b = g.plant(OK, 0), ab[] = { a, b };
        const asx_plan_id both = asx_plan_join(g.plan, ab, 2);
        const asx_plan_id late = asx_plan_timeout(g.plan, 500, both), nested[] = { both, late };
        const asx_plan_id root = asx_plan_join(g.plan, nested, 2);
        CHECK(g.text(root) == "join(join(l0, l1), timeout(500 ns, join(l0, l1)))");
        char little[8];
        CHECK(asx_plan_print(g.plan, root, little, sizeof(little)) == 49);
        CHECK(std::string(little) == "join(jo");
        const asx_plan_id flat = asx_plan_rewrite(g.plan, root, ASX_LAW_JOIN_ASSOC, 0);
        CHECK(g.text(flat) == "join(l0, l1, timeout(500 ns, join(l0, l1)))");
        const asx_plan_step right = { root, flat, ASX_LAW_JOIN_ASSOC, 0 };
        CHECK(asx_plan_step_holds(g.plan, &right));
        const asx_plan_step wrong[] = { { root, both, ASX_LAW_JOIN_ASSOC, 0 },
                                        { root, flat, ASX_LAW_JOIN_ASSOC, 1 },
                                        { root, flat, ASX_LAW_JOIN_COMM, 0 },
                                        { flat, root, ASX_LAW_JOIN_ASSOC, 0 },
                                        { root, 77, ASX_LAW_JOIN_ASSOC, 0 } };
        for (const asx_plan_step &step : wrong) {
            CHECK(!asx_plan_step_holds(g.plan, &step));
        }
        CHECK(asx_is_ok(asx_plan_run(cx, g.plan, a)));
        return asx_ok(0);
    });
}
