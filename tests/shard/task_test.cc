/* Tasks: the automaton from spawn to the last joiner told. At stake: what a cancelled body returned
 * is never lost, a request shows exactly where the tables say, and nothing of a finished task
 * stays. */
#include "kernel_fixture.h"

namespace
{
const asx_err user_error = ASX_ERR(ASX_ERR_DOMAIN_USER, 4);
int dropped;

void count_drop(void *)
{
    dropped++;
}
} // namespace

TEST_CASE("task: cancelled before its first dispatch it never runs, gets no stack, and its "
          "argument is dropped once",
          "[task]")
{
    for (static int poll = 0; poll < 2; poll++) {
        dropped = 0;
        run_kernel(TASK {
            static bool ran;
            ran = false;
            asx_spawn_options options{};
            options.drop = count_drop;
            const int argument = 1;
            asx_handle task;
            const asx_shard_stats before = stats_of(cx);
            if (poll) {
                REQUIRE(asx_spawn_poll(
                            cx, nullptr,
                            [](asx_cx *, void *, asx_outcome *outcome) -> bool {
                                ran = true;
                                *outcome = asx_ok(0);
                                return true;
                            },
                            &argument, sizeof(argument), &options, &task, nullptr) == ASX_OK);
            } else {
                REQUIRE(asx_spawn(
                            cx, nullptr,
                            TASK {
                                ran = true;
                                return asx_ok(0);
                            },
                            &argument, sizeof(argument), &options, &task) == ASX_OK);
            }
            asx_task_cancel(cx, task, ASX_CANCEL_LINKED_EXIT, "never mind");
            CHECK(dropped == 0);
            const asx_outcome joined = asx_join(cx, task);
            REQUIRE(joined.severity == ASX_SEVERITY_CANCELLED);
            CHECK(joined.reason->kind == ASX_CANCEL_LINKED_EXIT);
            CHECK(std::string(joined.reason->message) == "never mind");
            const asx_shard_stats after = stats_of(cx);
            CHECK(after.stacks_live + after.stacks_pooled ==
                  before.stacks_live + before.stacks_pooled);
            CHECK_FALSE(ran);
            return asx_ok(0);
        });
        CHECK(dropped == 1);
    }
}

TEST_CASE("task: a refused spawn has dropped its argument, and nothing else has happened", "[task]")
{
    dropped = 0;
    run_kernel(TASK {
        asx_region_options region_options{};
        region_options.limits.tasks_max = 1;
        asx_region *region = nullptr;
        REQUIRE(asx_region_open(cx, &region_options, &region) == ASX_OK);
        asx_spawn_options options{};
        options.drop = count_drop;
        const asx_duration ns = 1;
        asx_handle task;
        REQUIRE(asx_spawn(cx, region, sleeper, &ns, sizeof(ns), nullptr, &task) == ASX_OK);
        const uint64_t spawned = stats_of(cx).spawned;
        CHECK(asx_spawn(cx, region, sleeper, &ns, sizeof(ns), &options, &task) ==
              ASX_E(AT_CAPACITY));
        CHECK(dropped == 1);
        asx_cx poor;
        REQUIRE(asx_cx_restrict(cx, ASX_CAP_TIME, &poor) == ASX_OK);
        CHECK(asx_spawn(&poor, nullptr, sleeper, &ns, sizeof(ns), &options, &task) ==
              ASX_E(NO_CAPABILITY));
        CHECK(dropped == 2);
        const asx_handle handle = asx_region_handle(region);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
        CHECK(asx_spawn(cx, region, sleeper, &ns, sizeof(ns), &options, &task) ==
              ASX_E(REGION_CLOSED));
        CHECK(dropped == 3);
        CHECK(stats_of(cx).spawned == spawned);
        CHECK(asx_is_ok(asx_region_close_wait(cx, handle)));
        return asx_ok(0);
    });
    CHECK(dropped == 3);
}

namespace
{
enum ending { returns_ok, returns_err, returns_cancelled, panics };
struct late_case {
    ending how;
    bool acknowledges;
    const asx_reason *own;
};

asx_outcome cancelled_body(asx_cx *cx, void *arg)
{
    const late_case *const self = static_cast<late_case *>(arg);
    if (self->acknowledges) {
        CHECK(asx_sleep(cx, asx_s(9)).severity == ASX_SEVERITY_CANCELLED);
        CHECK(asx_checkpoint(cx).severity == ASX_SEVERITY_CANCELLED); /* level, not edge */
    } else {
        ASX_MASK(cx, 5) {
            CHECK(asx_is_ok(asx_sleep(cx, asx_ms(2))));
        }
        CHECK(asx_is_cancelled(cx)); /* looking is not acknowledging */
    }
    switch (self->how) {
    case returns_ok:
        return asx_ok(77);
    case returns_err:
        return asx_fail(user_error);
    case returns_cancelled:
        return asx_cancelled(self->own);
    case panics:
        break;
    }
    asx_panic("cancelled body");
}
} // namespace

TEST_CASE("task: what a cancelled body returned is kept beside Cancelled, noticed or not", "[task]")
{
    for (const bool acknowledges : { false, true }) {
        for (const ending how : { returns_ok, returns_err, returns_cancelled, panics }) {
            CAPTURE(acknowledges, (int)how);
            late_case self = { how, acknowledges, nullptr };
            run_kernel(
                TASK {
                    late_case *const self = static_cast<late_case *>(arg);
                    self->own = asx_reason_create(ASX_CANCEL_SHUTDOWN, asx_handle{}, asx_handle{},
                                                  1, nullptr, nullptr);
                    asx_outcome value;
                    ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                        const asx_handle task =
                            asx_scope_spawn(s, cancelled_body, self, 0, nullptr);
                        ASX_TRY(asx_sleep(cx, asx_ms(1)));
                        asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
                        asx_outcome late;
                        const asx_outcome joined = asx_join_drained(cx, task, &late);
                        if (self->how == panics) {
                            CHECK(joined.severity == ASX_SEVERITY_PANICKED);
                            CHECK(late.severity == ASX_SEVERITY_CANCELLED);
                        } else {
                            REQUIRE(joined.severity == ASX_SEVERITY_CANCELLED);
                            CHECK(joined.reason->kind == (self->how == returns_cancelled
                                                              ? ASX_CANCEL_SHUTDOWN
                                                              : ASX_CANCEL_USER));
                        }
                        if (self->how == returns_ok) {
                            CHECK(asx_is_ok(late));
                            CHECK(late.value == 77);
                        } else if (self->how == returns_err) {
                            CHECK(asx_is_err(late, user_error));
                        } else {
                            CHECK(late.severity == ASX_SEVERITY_CANCELLED);
                        }
                    }
                    asx_reason_release(self->own);
                    return asx_ok(0);
                },
                &self);
        }
    }
}

TEST_CASE("task: a body may end Cancelled unasked, and triggers no policy by it", "[task]")
{
    run_kernel(TASK {
        const asx_duration long_ns = asx_ms(30);
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
            const asx_handle stopped = ASX_SPAWN(s, sleeper, &long_ns);
            const asx_handle calm = ASX_SPAWN(s, sleeper, &long_ns);
            const asx_handle joiner = asx_scope_spawn(
                s, TASK { return asx_join(cx, *static_cast<asx_handle *>(arg)); }, &stopped,
                sizeof(stopped), nullptr);
            ASX_TRY(asx_yield(cx));
            asx_task_cancel(cx, stopped, ASX_CANCEL_USER, nullptr);
            CHECK(asx_join(cx, joiner).severity == ASX_SEVERITY_CANCELLED);
            CHECK(asx_is_ok(asx_join(cx, calm)));
        }
        CHECK(value.severity == ASX_SEVERITY_CANCELLED);
        CHECK(value.reason->kind == ASX_CANCEL_USER);
        return asx_ok(0);
    });
}

static void second_request(asx_cx *cx, asx_cancel_kind kind)
{
    asx_task_cancel(cx, asx_cx_task(cx), kind, nullptr);
}

static void expect_budget(asx_cx *cx, asx_cancel_kind kind, uint32_t polls, uint8_t priority)
{
    CHECK(asx_cancel_reason(cx)->kind == kind);
    CHECK(asx_cx_budget(cx).poll_quota == polls);
    CHECK(asx_cx_budget(cx).priority == priority);
    CHECK(asx_cx_budget(cx).deadline_ns == ASX_TIME_NEVER);
    CHECK(asx_cx_budget(cx).cost_quota == ASX_COST_UNLIMITED);
}

TEST_CASE("task: a further request shows at the acknowledgement before it, and at once after it",
          "[task]")
{
    run_kernel(TASK {
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            asx_scope_spawn(/* requested: installed when it is noticed */
                            s,
                            TASK {
                                second_request(cx, ASX_CANCEL_USER);
                                const asx_budget before = asx_cx_budget(cx);
                                second_request(cx, ASX_CANCEL_SHUTDOWN);
                                CHECK(asx_cx_budget(cx).poll_quota == before.poll_quota);
                                CHECK(asx_cancel_reason(cx)->kind == ASX_CANCEL_SHUTDOWN);
                                CHECK(asx_checkpoint(cx).severity == ASX_SEVERITY_CANCELLED);
                                expect_budget(cx, ASX_CANCEL_SHUTDOWN, 50, 255);
                                return asx_ok(0);
                            },
                            nullptr, 0, nullptr);
            asx_scope_spawn(/* a weaker one changes only by the meet of the budgets */
                            s,
                            TASK {
                                second_request(cx, ASX_CANCEL_SHUTDOWN);
                                second_request(cx, ASX_CANCEL_USER);
                                CHECK(asx_checkpoint(cx).severity == ASX_SEVERITY_CANCELLED);
                                expect_budget(cx, ASX_CANCEL_SHUTDOWN, 50, 255);
                                second_request(cx, ASX_CANCEL_USER);
                                expect_budget(cx, ASX_CANCEL_SHUTDOWN, 50, 255);
                                return asx_ok(0);
                            },
                            nullptr, 0, nullptr);
            asx_scope_spawn(/* cancelling: at once */
                            s,
                            TASK {
                                second_request(cx, ASX_CANCEL_USER);
                                CHECK(asx_checkpoint(cx).severity == ASX_SEVERITY_CANCELLED);
                                expect_budget(cx, ASX_CANCEL_USER, 1000, 200);
                                second_request(cx, ASX_CANCEL_TIMEOUT);
                                expect_budget(cx, ASX_CANCEL_TIMEOUT, 500, 210);
                                second_request(cx, ASX_CANCEL_SHUTDOWN);
                                expect_budget(cx, ASX_CANCEL_SHUTDOWN, 50, 255);
                                return asx_ok(0);
                            },
                            nullptr, 0, nullptr);
        }
        CHECK(value.reason->kind == ASX_CANCEL_SHUTDOWN);
        return asx_ok(0);
    });
}

TEST_CASE("task: a request that finds the body over and its cleanup waiting tightens the cleanup",
          "[task]")
{
    run_kernel(TASK {
        asx_outcome value;
        static int cleaned;
        cleaned = 0;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            const asx_handle task = asx_scope_spawn(
                s,
                TASK {
                    static asx_defer defer; /* outlives the body, which returns */
                    asx_defer_push(cx, &defer, [](asx_cx *cx, asx_defer *) {
                        expect_budget(cx, ASX_CANCEL_USER, 1000, 200);
                        CHECK(asx_is_ok(asx_sleep(cx, asx_ms(5)))); /* masked */
                        expect_budget(cx, ASX_CANCEL_SHUTDOWN, 49, 255);
                        cleaned++;
                    });
                    second_request(cx, ASX_CANCEL_USER);
                    return asx_checkpoint(cx);
                },
                nullptr, 0, nullptr);
            ASX_TRY(asx_sleep(cx, asx_ms(1)));
            asx_task_cancel(cx, task, ASX_CANCEL_SHUTDOWN, nullptr);
            const asx_outcome joined = asx_join(cx, task);
            REQUIRE(joined.severity == ASX_SEVERITY_CANCELLED);
            CHECK(joined.reason->kind == ASX_CANCEL_SHUTDOWN);
        }
        CHECK(cleaned == 1);
        return asx_ok(0);
    });
}

TEST_CASE("task: all who join one are told, the first of them reaps it, later ones are refused",
          "[task]")
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        run_kernel(
            TASK {
                static asx_handle task;
                static int told;
                told = 0;
                const asx_duration ns = asx_ms(3);
                REQUIRE(asx_spawn(
                            cx, nullptr,
                            TASK {
                                ASX_TRY(asx_sleep(cx, asx_ms(3)));
                                return asx_ok(42);
                            },
                            &ns, sizeof(ns), nullptr, &task) == ASX_OK);
                asx_outcome value;
                ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
                    for (int i = 0; i < 5; i++) {
                        asx_scope_spawn(
                            s,
                            TASK {
                                const asx_outcome joined = asx_join(cx, task);
                                CHECK(asx_is_ok(joined));
                                CHECK(joined.value == 42);
                                told++;
                                return asx_ok(0);
                            },
                            nullptr, 0, nullptr);
                    }
                }
                CHECK(told == 5);
                CHECK(asx_is_err(asx_join(cx, task), ASX_E(STALE)));
                return asx_ok(0);
            },
            nullptr, seed);
    }
}

TEST_CASE("task: joiners of one that panics, or was cancelled, share the payload", "[task]")
{
    run_kernel(TASK {
        static asx_handle task;
        asx_outcome value;
        ASX_SCOPE(cx, outer, ASX_COLLECT_ALL, &value) {
            task = asx_scope_spawn(
                outer,
                TASK {
                    ASX_TRY(asx_sleep(cx, asx_ms(3)));
                    asx_panic("shared payload");
                },
                nullptr, 0, nullptr);
            for (int i = 0; i < 2; i++) {
                asx_scope_spawn(
                    outer,
                    TASK {
                        const asx_outcome joined = asx_join(cx, task);
                        REQUIRE(joined.severity == ASX_SEVERITY_PANICKED);
                        ASX_TRY(asx_sleep(cx, asx_ms(5))); /* the record is long gone */
                        CHECK(std::string(joined.panic->message) == "shared payload");
                        return asx_ok(0);
                    },
                    nullptr, 0, nullptr);
            }
        }
        CHECK(value.severity == ASX_SEVERITY_PANICKED);
        return asx_ok(0);
    });
}

TEST_CASE("task: a join that was cancelled leaves the child as it was, to be joined again",
          "[task]")
{
    run_kernel(TASK {
        static asx_handle child;
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            const asx_duration ns = asx_ms(10);
            child = ASX_SPAWN(s, sleeper, &ns);
            const asx_handle joiner = asx_scope_spawn(
                s,
                TASK {
                    CHECK(asx_join(cx, child).severity == ASX_SEVERITY_CANCELLED);
                    asx_outcome late;
                    CHECK(asx_is_ok(asx_join_drained(cx, child, &late)));
                    return asx_ok(5);
                },
                nullptr, 0, nullptr);
            ASX_TRY(asx_sleep(cx, asx_ms(1)));
            asx_task_cancel(cx, joiner, ASX_CANCEL_USER, nullptr);
            CHECK(asx_join(cx, joiner).severity == ASX_SEVERITY_CANCELLED);
            CHECK(asx_is_err(asx_join(cx, child), ASX_E(STALE)));
        }
        return asx_ok(0);
    });
}

TEST_CASE("task: nobody joins itself, or one whose block encloses it", "[task]")
{
    run_kernel(TASK {
        CHECK(asx_is_err(asx_join(cx, asx_cx_task(cx)), ASX_E(WOULD_DEADLOCK)));
        static asx_handle self;
        self = asx_cx_task(cx);
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            asx_scope_spawn(
                s,
                TASK {
                    CHECK(asx_is_err(asx_join(cx, self), ASX_E(WOULD_DEADLOCK)));
                    return asx_ok(0);
                },
                nullptr, 0, nullptr);
        }
        asx_handle gone;
        asx_spawn_options options{};
        options.detached_result = true;
        REQUIRE(asx_spawn(
                    cx, nullptr, TASK { return asx_ok(0); }, nullptr, 0, &options, &gone) ==
                ASX_OK);
        CHECK(asx_is_err(asx_join(cx, gone), ASX_E(STALE)));
        return asx_ok(0);
    });
}

static bool one_step(asx_cx *, void *frame, asx_outcome *outcome)
{
    *outcome = asx_ok(*static_cast<uint64_t *>(frame));
    return true;
}

TEST_CASE("task: a million detached ones leave a long-lived region as small as a thousand",
          "[task]")
{
    auto run = run_kernel(TASK {
        const int rounds = ASX_TSAN ? 20 : 1000;
        asx_shard_stats early{};
        asx_spawn_options options{};
        options.detached_result = true;
        for (int round = 0; round < rounds; round++) {
            for (uint64_t i = 0; i < 1000; i++) {
                if (i % 4 == 0) {
                    REQUIRE(asx_spawn(
                                cx, nullptr, TASK { return asx_ok(0); }, &i, sizeof(i), &options,
                                nullptr) == ASX_OK);
                } else {
                    REQUIRE(asx_spawn_poll(cx, nullptr, one_step, &i, sizeof(i), &options, nullptr,
                                           nullptr) == ASX_OK);
                }
            }
            while (stats_of(cx).tasks_live > 1) {
                ASX_TRY(asx_yield(cx));
            }
            if (round == 2) {
                early = stats_of(cx);
            }
        }
        const asx_shard_stats late = stats_of(cx);
        CHECK(late.completed == (uint64_t)rounds * 1000);
        CHECK(late.heap_bytes_live == early.heap_bytes_live);
        CHECK(late.chunk_bytes_held == early.chunk_bytes_held);
        CHECK(late.global_allocs == early.global_allocs);
        CHECK(asx_region_task_count(asx_shard_root(asx_shard_of(cx))) == 1);
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
}

TEST_CASE("task: an operation that was done before its cancel arrived returns what it did",
          "[task]")
{
    kernel_setup setup;
    setup.driver.cancel_loses_ppm = 1000000;
    run_kernel_with(
        setup, TASK {
            asx_outcome value;
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                const asx_handle task = asx_scope_spawn(
                    s,
                    TASK {
                        asx_op op{};
                        op.code = ASX_OP_TASK;
                        op.arg = (uint32_t)asx_ms(2);
                        op.work = [](asx_op *op) { op->result = 512; };
                        const asx_outcome done = asx_op_await(cx, &op);
                        CHECK(asx_is_ok(done));
                        CHECK(done.value == 512);
                        CHECK(asx_checkpoint(cx).severity == ASX_SEVERITY_CANCELLED);
                        return done;
                    },
                    nullptr, 0, nullptr);
                ASX_TRY(asx_sleep(cx, asx_ms(1)));
                asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
                asx_outcome late;
                CHECK(asx_join_drained(cx, task, &late).severity == ASX_SEVERITY_CANCELLED);
                CHECK(late.value == 512);
            }
            return asx_ok(0);
        });
}

namespace
{
std::vector<uint64_t> drawn;

asx_outcome draws(asx_cx *cx, void *arg)
{
    const size_t at = (size_t) * static_cast<int *>(arg);
    drawn[at] = asx_random_u64(cx);
    if (at == 0) { /* and a grandchild */
        const int child = 3;
        asx_handle task;
        REQUIRE(asx_spawn(cx, nullptr, draws, &child, sizeof(child), nullptr, &task) == ASX_OK);
    }
    return asx_ok(0);
}

std::vector<uint64_t> draw_all(bool with_extra)
{
    drawn.assign(8, 0);
    static bool extra;
    extra = with_extra;
    run_kernel(TASK {
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            int at = 0;
            ASX_SPAWN(s, draws, &at);
            if (extra) {
                at = 4;
                ASX_SPAWN(s, draws, &at);
            }
            at = 1;
            ASX_SPAWN(s, draws, &at);
        }
        return asx_ok(0);
    });
    return drawn;
}
} // namespace

TEST_CASE("task: one more spawn does not change what earlier siblings draw", "[task]")
{
    const std::vector<uint64_t> with = draw_all(true), without = draw_all(false);
    CHECK(with[0] == without[0]);
    CHECK(with[0] != with[1]);
    CHECK(with[0] != with[4]);
    CHECK(with[4] == without[1]); /* the second of its region, whoever that is */
    CHECK(draw_all(false) == without);
}

TEST_CASE("task: one that ignores its cancel at every wait still ends, where overruns are bounded",
          "[task]")
{
    for (static int how = 0; how < 3; how++) {
        CAPTURE(how);
        auto run = run_kernel(TASK {
            asx_region_options options{};
            options.overrun = ASX_OVERRUN_BOUNDED_PANIC;
            options.policy = ASX_COLLECT_ALL;
            asx_region *region = nullptr;
            REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
            if (how == 2) {
                REQUIRE(asx_spawn_poll(
                            cx, region,
                            [](asx_cx *cx, void *, asx_outcome *) -> bool {
                                asx_task_wake_at(cx, asx_now(cx) + asx_ms(1));
                                return false;
                            },
                            nullptr, 8, nullptr, nullptr, nullptr) == ASX_OK);
            } else {
                REQUIRE(asx_spawn(
                            cx, region,
                            TASK {
                                for (;;) {
                                    ignored(how == 0 ? asx_sleep(cx, asx_ms(1))
                                                     : asx_checkpoint(cx));
                                }
                            },
                            nullptr, 0, nullptr, nullptr) == ASX_OK);
            }
            for (int i = 0; i < 20; i++) {
                ASX_TRY(how == 1 ? asx_yield(cx) : asx_sleep(cx, asx_ms(1)));
            }
            const asx_handle handle = asx_region_handle(region);
            asx_region_cancel(region, ASX_CANCEL_SHUTDOWN, nullptr);
            const asx_outcome value = asx_region_close_wait(cx, handle);
            REQUIRE(value.severity == ASX_SEVERITY_PANICKED);
            CHECK(value.panic->cause == ASX_PANIC_ABANDONED);
            return asx_ok(0);
        });
        CHECK(run.stats.abandoned == 1);
    }
}

TEST_CASE("task: each edge of the automaton is allowed, and no other", "[task]")
{
    const std::string states = "012345";
    const char *const to[] = { "125", "25", "235", "345", "45", "" };
    for (const char from : states) {
        for (const char next : states) {
            INFO(from << " to " << next);
            const bool allowed = std::string(to[from - '0']).find(next) != std::string::npos;
            CHECK(asx_task_edge_allowed(static_cast<asx_task_state>(from - '0'),
                                        static_cast<asx_task_state>(next - '0')) == allowed);
        }
    }
}
