/* Scopes: whatever path leaves the block, nothing inside is alive at the next statement, and the
 * value is the one the policy promises. Everything runs in virtual time on the lab's driver. */
#include "kernel_fixture.h"

static int alive;

static asx_outcome living(asx_cx *cx, void *arg)
{
    alive++;
    const asx_outcome outcome = asx_sleep(cx, *static_cast<asx_duration *>(arg));
    alive--;
    return outcome;
}

static asx_outcome failer(asx_cx *cx, void *arg)
{
    ASX_TRY(asx_sleep(cx, *static_cast<asx_duration *>(arg)));
    return asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, 7));
}

TEST_CASE("scope: the end of the block waits for children that are still running", "[scope]")
{
    auto run = run_kernel(TASK {
        const asx_duration long_ns = asx_s(3);
        const asx_instant begin = asx_now(cx);
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
            ASX_SPAWN(s, living, &long_ns);
            ASX_SPAWN(s, living, &long_ns);
        }
        CHECK(alive == 0);
        CHECK(asx_now(cx) - begin == asx_s(3));
        CHECK(asx_is_ok(value));
        return asx_ok(5);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
    CHECK(run.outcome.value == 5);
}

static asx_outcome leave_by_return(asx_cx *cx, void *)
{
    const asx_duration long_ns = asx_s(3);
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        ASX_SPAWN(s, living, &long_ns);
        ASX_TRY(asx_sleep(cx, 1));
        CHECK(alive == 1);
        return asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, 1));
    }
    return asx_ok(0);
}

TEST_CASE("scope: return and break cancel with FAIL_FAST and drain before the next statement",
          "[scope]")
{
    auto run = run_kernel(TASK {
        const asx_instant begin = asx_now(cx);
        const asx_outcome left = leave_by_return(cx, nullptr);
        CHECK(asx_is_err(left, ASX_ERR(ASX_ERR_DOMAIN_USER, 1)));
        CHECK(alive == 0);
        const asx_duration long_ns = asx_s(3);
        asx_outcome value = asx_ok(0);
        ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
            ASX_SPAWN(s, living, &long_ns);
            ASX_TRY(asx_sleep(cx, 1));
            CHECK(alive == 1);
            break;
        }
        CHECK(alive == 0);
        CHECK(value.severity == ASX_SEVERITY_CANCELLED);
        CHECK(value.reason->kind == ASX_CANCEL_FAIL_FAST);
        CHECK(asx_now(cx) - begin == 2);
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
}

TEST_CASE("scope: FAIL_FAST stops siblings, and the value is the failure that caused it", "[scope]")
{
    run_kernel(TASK {
        const asx_duration short_ns = asx_ms(10), long_ns = asx_s(3);
        const asx_instant begin = asx_now(cx);
        asx_outcome value, seen = asx_ok(0);
        ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
            ASX_SPAWN(s, failer, &short_ns);
            asx_handle slow = ASX_SPAWN(s, living, &long_ns);
            seen = asx_join(&s->cx, slow);
        }
        CHECK(seen.severity == ASX_SEVERITY_CANCELLED);
        CHECK(asx_is_err(value, ASX_ERR(ASX_ERR_DOMAIN_USER, 7)));
        CHECK(asx_now(cx) - begin == asx_ms(10));
        CHECK(!asx_is_cancelled(cx));
        return asx_ok(0);
    });
}

TEST_CASE("scope: COLLECT_ALL lets everybody finish and reports the first error by spawn order",
          "[scope]")
{
    run_kernel(TASK {
        const asx_duration a_ns = asx_ms(20), b_ns = asx_ms(10), c_ns = asx_ms(100);
        const asx_instant begin = asx_now(cx);
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            ASX_SPAWN(s, failer, &a_ns);
            ASX_SPAWN(s, failer, &b_ns);
            ASX_SPAWN(s, living, &c_ns);
        }
        CHECK(value.severity == ASX_SEVERITY_ERR);
        CHECK(asx_now(cx) - begin == asx_ms(100));
        return asx_ok(0);
    });
}

TEST_CASE("scope: waits through the scope's cx see its failure, the owner's plain cx does not",
          "[scope]")
{
    run_kernel(TASK {
        const asx_duration short_ns = asx_ms(10);
        asx_outcome through = asx_ok(0), plain = asx_ok(0), value;
        ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
            ASX_SPAWN(s, failer, &short_ns);
            through = asx_sleep(&s->cx, asx_s(1));
            plain = asx_sleep(cx, asx_ms(1));
            asx_handle refused = ASX_SPAWN(s, failer, &short_ns);
            CHECK(asx_handle_is_null(refused));
            CHECK(asx_is_err(asx_join(cx, refused), ASX_E(REGION_CLOSED)));
        }
        CHECK(through.severity == ASX_SEVERITY_CANCELLED);
        CHECK(asx_is_ok(plain));
        CHECK(asx_is_ok(asx_checkpoint(cx)));
        CHECK(asx_is_err(value, ASX_ERR(ASX_ERR_DOMAIN_USER, 7)));
        return asx_ok(0);
    });
}

TEST_CASE("scope: a panic in the body drains the children first", "[scope]")
{
    auto run = run_kernel(TASK {
        asx_outcome value;
        ASX_SCOPE(cx, outer, ASX_COLLECT_ALL, &value) {
            asx_handle child = asx_scope_spawn(
                outer,
                TASK {
                    const asx_duration long_ns = asx_s(3);
                    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                        ASX_SPAWN(s, living, &long_ns);
                        ASX_TRY(asx_sleep(cx, 1));
                        asx_panic("boom %d", 42);
                    }
                    return asx_ok(0);
                },
                nullptr, 0, nullptr);
            const asx_outcome joined = asx_join(cx, child);
            REQUIRE(joined.severity == ASX_SEVERITY_PANICKED);
            CHECK(std::string(joined.panic->message) == "boom 42");
            CHECK(joined.panic->cause == ASX_PANIC_EXPLICIT);
        }
        CHECK(value.severity == ASX_SEVERITY_PANICKED);
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
    alive = 0; /* the living was cancelled inside asx_sleep and ran to its end */
}

TEST_CASE("scope: nested regions cancelled from the top get chained reasons", "[scope]")
{
    run_kernel(TASK {
        static uint32_t depth, kinds[3];
        depth = 0;
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            asx_scope_spawn(
                s,
                TASK {
                    ASX_SCOPE(cx, inner, ASX_COLLECT_ALL) {
                        asx_scope_spawn(
                            inner,
                            TASK {
                                const asx_outcome o = asx_sleep(cx, asx_s(100));
                                CHECK(o.severity == ASX_SEVERITY_CANCELLED);
                                for (const asx_reason *r = o.reason; r && depth < 3; r = r->cause) {
                                    kinds[depth++] = r->kind;
                                }
                                return o;
                            },
                            nullptr, 0, nullptr);
                    }
                    return asx_ok(1);
                },
                nullptr, 0, nullptr);
            ASX_TRY(asx_sleep(cx, asx_ms(1)));
            asx_scope_cancel(s, ASX_CANCEL_USER, "stop");
        }
        CHECK(depth == 2);
        CHECK(kinds[0] == ASX_CANCEL_PARENT_CANCELLED);
        CHECK(kinds[1] == ASX_CANCEL_USER);
        CHECK(value.severity == ASX_SEVERITY_CANCELLED);
        return asx_ok(0);
    });
}

static asx_outcome leave_by_goto(asx_cx *cx)
{
    const asx_duration long_ns = asx_s(3);
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        ASX_SPAWN(s, living, &long_ns);
        ASX_TRY(asx_sleep(cx, 1));
        CHECK(alive == 1);
        goto out;
    }
    FAIL("the block was not left");
out:
    CHECK(alive == 0);
    return asx_ok(0);
}

TEST_CASE("scope: goto out of the block drains it first, and so does a cancel during the drain",
          "[scope]")
{
    run_kernel(TASK {
        const asx_instant begin = asx_now(cx);
        CHECK(asx_is_ok(leave_by_goto(cx)));
        CHECK(asx_now(cx) - begin == 1);
        asx_outcome value;
        ASX_SCOPE(cx, outer, ASX_COLLECT_ALL, &value) {
            const asx_handle owner = asx_scope_spawn(
                outer,
                TASK {
                    const asx_duration long_ns = asx_ms(30);
                    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                        asx_scope_spawn(/* drains for thirty milliseconds, whoever asks */
                                        s,
                                        TASK {
                                            ASX_MASK(cx, 9) {
                                                ignored(asx_sleep(cx, asx_ms(30)));
                                            }
                                            alive = 7;
                                            return asx_ok(0);
                                        },
                                        nullptr, 0, nullptr);
                        ASX_SPAWN(s, living, &long_ns);
                        ASX_TRY(asx_sleep(cx, asx_ms(1)));
                        break;
                    }
                    CHECK(alive == 7); /* the drain was not cut short */
                    alive = 0;
                    return asx_checkpoint(cx);
                },
                nullptr, 0, nullptr);
            ASX_TRY(asx_sleep(cx, asx_ms(10)));
            asx_task_cancel(cx, owner, ASX_CANCEL_USER, nullptr);
            CHECK(asx_join(cx, owner).severity == ASX_SEVERITY_CANCELLED);
        }
        return asx_ok(0);
    });
}
