/* Policies: at stake is that a child's failure does to its siblings and to its region what the
 * policy says, once, and that the region's value names the failure that decided. */
#include "kernel_fixture.h"

#include <algorithm>

namespace
{
const asx_err user_error = ASX_ERR(ASX_ERR_DOMAIN_USER, 6);

asx_outcome fails(asx_cx *cx, void *)
{
    ASX_TRY(asx_sleep(cx, asx_ms(5)));
    return asx_fail(user_error);
}

/* Opens `inner` below `outer` with a failing task and a calm one in each; what they become. */
struct story {
    asx_policy outer_policy;
    const asx_policy_rule *rule; /* of the inner region */
    asx_policy inner_policy;
    asx_handle handles[2]; /* outer, inner */
    asx_outcome values[2];
    uint32_t calm_kind; /* of the outer region's task: how it was cancelled, or 99 */
};

asx_outcome calm(asx_cx *cx, void *arg)
{
    story *const self = static_cast<story *>(arg);
    const asx_outcome slept = asx_sleep(cx, asx_ms(50));
    if (slept.severity == ASX_SEVERITY_CANCELLED) {
        self->calm_kind = slept.reason->kind;
    }
    return slept;
}

asx_outcome tell_story(asx_cx *cx, void *arg)
{
    story *const self = static_cast<story *>(arg);
    asx_region_options options{};
    options.policy = self->outer_policy;
    asx_region *outer = nullptr, *inner = nullptr;
    REQUIRE(asx_region_open(cx, &options, &outer) == ASX_OK);
    asx_cx below = *cx;
    below._region = outer;
    options.policy = self->inner_policy;
    options.rule = self->rule;
    REQUIRE(asx_region_open(&below, &options, &inner) == ASX_OK);
    self->calm_kind = 99;
    asx_spawn_options spawn{};
    spawn.detached_result = true;
    REQUIRE(asx_spawn(cx, outer, calm, self, 0, &spawn, nullptr) == ASX_OK);
    REQUIRE(asx_spawn(cx, inner, fails, nullptr, 0, &spawn, nullptr) == ASX_OK);
    const asx_duration ns = asx_ms(20);
    REQUIRE(asx_spawn(cx, inner, sleeper, &ns, sizeof(ns), &spawn, nullptr) == ASX_OK);
    self->handles[0] = asx_region_handle(outer);
    self->handles[1] = asx_region_handle(inner);
    asx_outcome value;
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
        for (int i = 0; i < 2; i++) {
            struct waiting {
                story *self;
                int which;
            } const arg = { self, i };
            asx_scope_spawn(
                s,
                TASK {
                    auto *const w = static_cast<waiting *>(arg);
                    w->self->values[w->which] =
                        asx_region_close_wait(cx, w->self->handles[w->which]);
                    return asx_ok(0);
                },
                &arg, sizeof(arg), nullptr);
        }
        ASX_TRY(asx_sleep(cx, 1));
        asx_region_close_begin(inner, ASX_CLOSE_JOIN, nullptr);
        asx_region_close_begin(outer, ASX_CLOSE_JOIN, nullptr);
    }
    CHECK(asx_is_err(self->values[1], user_error));
    if (self->calm_kind != 99 || self->inner_policy == ASX_ESCALATE) {
        CHECK(asx_is_err(self->values[0], user_error));
    } else {
        CHECK(asx_is_ok(self->values[0]) == !self->rule);
    }
    return asx_ok(0);
}
} // namespace

TEST_CASE("region: an escalated failure is judged by the parent's policy as a child's of its own",
          "[region]")
{
    static const asx_policy_rule escalates = { [](const asx_policy_rule *, asx_outcome child,
                                                  uint64_t) -> asx_policy_action {
        return child.severity == ASX_SEVERITY_ERR ? ASX_POLICY_ESCALATE : ASX_POLICY_CONTINUE;
    } };
    struct {
        asx_policy outer, inner;
        const asx_policy_rule *rule;
        bool reaches;
    } const rows[] = { { ASX_FAIL_FAST, ASX_FAIL_FAST, nullptr, false },
                       { ASX_FAIL_FAST, ASX_ESCALATE, nullptr, true },
                       { ASX_FAIL_FAST, ASX_COLLECT_ALL, &escalates, true },
                       { ASX_ESCALATE, ASX_ESCALATE, nullptr, true },
                       { ASX_COLLECT_ALL, ASX_ESCALATE, nullptr, false } };
    for (const auto &row : rows) {
        CAPTURE(asx_policy_name(row.outer), asx_policy_name(row.inner));
        story self{};
        self.outer_policy = row.outer;
        self.inner_policy = row.inner;
        self.rule = row.rule;
        const auto run = run_kernel(tell_story, &self);
        CHECK(self.calm_kind == (row.reaches ? ASX_CANCEL_FAIL_FAST : 99));
        CHECK(run.severity == ASX_SEVERITY_OK);
    }
}

TEST_CASE(
    "region: a rule is asked once for each child, as they end, and may stop them at a success",
    "[region]")
{
    struct counting {
        asx_policy_rule rule;
        std::string asked;
    };
    static counting first_success;
    first_success = counting{
        { [](const asx_policy_rule *rule, asx_outcome child, uint64_t seq) -> asx_policy_action {
            counting *const self = asx_container_of(rule, counting, rule);
            self->asked += (char)('a' + seq);
            return asx_is_ok(child) ? ASX_POLICY_CANCEL_SIBLINGS : ASX_POLICY_CONTINUE;
        } },
        ""
    };
    run_kernel(TASK {
        asx_region_options options{};
        options.rule = &first_success.rule;
        asx_region *region = nullptr;
        REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
        const asx_duration sleeps[] = { asx_ms(30), asx_ms(10), asx_ms(20) };
        for (const asx_duration &ns : sleeps) {
            REQUIRE(asx_spawn(cx, region, sleeper, &ns, sizeof(ns), nullptr, nullptr) == ASX_OK);
        }
        const asx_instant begin = asx_now(cx);
        const asx_handle handle = asx_region_handle(region);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        CHECK(asx_region_close_wait(cx, handle).severity == ASX_SEVERITY_CANCELLED);
        CHECK(asx_now(cx) - begin == asx_ms(10));
        REQUIRE(first_success.asked.size() == 3);
        CHECK(first_success.asked[0] == 'b');
        return asx_ok(0);
    });
}

TEST_CASE("region: a rule that panics cancels the siblings, and its panic is the region's",
          "[region]")
{
    static const asx_policy_rule panics = { [](const asx_policy_rule *, asx_outcome,
                                               uint64_t) -> asx_policy_action {
        asx_panic("no judgement");
    } };
    run_kernel(TASK {
        asx_region_options options{};
        options.rule = &panics;
        asx_region *region = nullptr;
        REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
        const asx_duration sleeps[] = { asx_ms(10), asx_s(30) };
        for (const asx_duration &ns : sleeps) {
            REQUIRE(asx_spawn(cx, region, sleeper, &ns, sizeof(ns), nullptr, nullptr) == ASX_OK);
        }
        const asx_instant begin = asx_now(cx);
        const asx_handle handle = asx_region_handle(region);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        const asx_outcome value = asx_region_close_wait(cx, handle);
        REQUIRE(value.severity == ASX_SEVERITY_PANICKED);
        CHECK(std::string(value.panic->message) == "no judgement");
        CHECK(asx_now(cx) - begin == asx_ms(10));
        return asx_ok(0);
    });
}

TEST_CASE(
    "region: whatever order its children end in, the worst decides, the lowest spawn among equals",
    "[region]")
{
    struct ends {
        asx_duration after_ns;
        asx_severity how;
        uint32_t code;
    };
    static const asx_severity kinds[][3] = {
        { ASX_SEVERITY_ERR, ASX_SEVERITY_CANCELLED, ASX_SEVERITY_PANICKED },
        { ASX_SEVERITY_ERR, ASX_SEVERITY_CANCELLED, ASX_SEVERITY_OK },
        { ASX_SEVERITY_ERR, ASX_SEVERITY_ERR, ASX_SEVERITY_OK },
        { ASX_SEVERITY_PANICKED, ASX_SEVERITY_ERR, ASX_SEVERITY_PANICKED },
        { ASX_SEVERITY_OK, ASX_SEVERITY_ERR, ASX_SEVERITY_ERR },
        { ASX_SEVERITY_OK, ASX_SEVERITY_OK, ASX_SEVERITY_OK }
    };
    for (const auto &row : kinds) {
        int order[3] = { 0, 1, 2 };
        do {
            static ends children[3];
            unsigned worst = 0, first = 3;
            for (int i = 0; i < 3; i++) {
                children[order[i]] = { asx_ms(1 + (unsigned)i), row[order[i]],
                                       100u + (unsigned)order[i] };
                worst = std::max(worst, (unsigned)row[i]);
            }
            for (unsigned i = 3; i-- > 0;) {
                first = (unsigned)row[i] == worst ? i : first;
            }
            CAPTURE(order[0], order[1], order[2], worst, first);
            static unsigned expect_worst, expect_first;
            expect_worst = worst;
            expect_first = first;
            run_kernel(TASK {
                asx_outcome value;
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                    for (const ends &child : children) {
                        asx_scope_spawn(
                            s,
                            TASK {
                                const ends self = *static_cast<ends *>(arg);
                                ASX_TRY(asx_sleep(cx, self.after_ns));
                                switch (self.how) {
                                case ASX_SEVERITY_OK:
                                    return asx_ok(0);
                                case ASX_SEVERITY_ERR:
                                    return asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, self.code));
                                case ASX_SEVERITY_CANCELLED:
                                    return asx_cancelled(nullptr);
                                case ASX_SEVERITY_PANICKED:
                                    break;
                                }
                                asx_panic("child %u", self.code);
                            },
                            &child, sizeof(child), nullptr);
                    }
                }
                CHECK(value.severity == expect_worst);
                if (value.severity == ASX_SEVERITY_ERR) {
                    CHECK(value.err == ASX_ERR(ASX_ERR_DOMAIN_USER, 100u + expect_first));
                } else if (value.severity == ASX_SEVERITY_PANICKED) {
                    CHECK(std::string(value.panic->message) ==
                          "child " + std::to_string(100u + expect_first));
                }
                return asx_ok(0);
            });
        } while (std::next_permutation(order, order + 3));
    }
}

TEST_CASE("region: what a failure cancels learns which task failed, and the value is that failure",
          "[region]")
{
    run_kernel(TASK {
        static asx_handle origin, failing;
        origin = failing = asx_handle{};
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
            asx_scope_spawn(
                s, TASK { return asx_ok(0); }, nullptr, 0, nullptr);
            failing = asx_scope_spawn(s, fails, nullptr, 0, nullptr);
            asx_scope_spawn(
                s,
                TASK {
                    const asx_outcome slept = asx_sleep(cx, asx_s(1));
                    CHECK(slept.severity == ASX_SEVERITY_CANCELLED);
                    CHECK(slept.reason->kind == ASX_CANCEL_FAIL_FAST);
                    CHECK(asx_handle_eq(slept.reason->region, asx_cx_region(cx)));
                    origin = slept.reason->task;
                    return slept;
                },
                nullptr, 0, nullptr);
        }
        CHECK(asx_handle_eq(origin, failing));
        CHECK(asx_is_err(value, user_error));
        return asx_ok(0);
    });
}
