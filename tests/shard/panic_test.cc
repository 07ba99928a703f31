/* Containment: whatever ends a task by force, its siblings live, its region closes, and what it
 * held is given back. */
#include <asx/shard/base/assert.h>

#include "kernel_fixture.h"

#include <cstring>

namespace
{
int dropped;
volatile unsigned sink;

__attribute__((noinline)) unsigned recurse(unsigned depth)
{
    volatile char frame[256];
    frame[depth % sizeof(frame)] = (char)depth;
    if (depth == 0) {
        return 0;
    }
    return recurse(depth - 1) + (unsigned)frame[depth % sizeof(frame)];
}

asx_outcome overflows(asx_cx *, void *)
{
    sink = recurse(1u << 30);
    return asx_ok(0);
}

asx_outcome asserts(asx_cx *, void *arg)
{
    asx_assert(arg == nullptr && "arguments are refused");
    return asx_ok(0);
}

asx_outcome calm(asx_cx *cx, void *arg)
{
    ASX_TRY(asx_sleep(cx, asx_ms(50)));
    ++*static_cast<int *>(arg);
    return asx_ok(0);
}

void count_drop(void *)
{
    dropped++;
}

void panicking_drop(void *)
{
    dropped++;
    asx_panic("destructor");
}
} // namespace

TEST_CASE("panic: a stack overflow ends its task, and siblings and shard go on", "[panic]")
{
    auto run = run_kernel(TASK {
        static int calm_ended;
        calm_ended = 0;
        for (int round = 0; round < 20; round++) {
            asx_outcome value;
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                int *const counter = &calm_ended;
                asx_scope_spawn(s, calm, counter, 0, nullptr);
                const asx_handle deep = asx_scope_spawn(s, overflows, nullptr, 0, nullptr);
                asx_scope_spawn(s, calm, counter, 0, nullptr);
                const asx_outcome joined = asx_join(cx, deep);
                REQUIRE(joined.severity == ASX_SEVERITY_PANICKED);
                CHECK(joined.panic->cause == ASX_PANIC_STACK_OVERFLOW);
                CHECK(std::string(joined.panic->message) == "stack overflow");
            }
            REQUIRE(value.severity == ASX_SEVERITY_PANICKED);
            CHECK(calm_ended == 2 * (round + 1));
        }
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
    CHECK(run.stats.panicked == 20);
}

TEST_CASE("panic: what an overflowing task holds is closed, given back and dropped once", "[panic]")
{
    dropped = 0;
    auto run = run_kernel(TASK {
        asx_outcome value;
        static int calm_ended, cleaned;
        calm_ended = cleaned = 0;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            asx_spawn_options options{};
            options.drop = count_drop;
            const int argument = 3;
            const asx_handle task = asx_scope_spawn(
                s,
                TASK {
                    asx_obligation_options held{};
                    asx_permit permit;
                    asx_defer defer;
                    asx_defer_push(cx, &defer, [](asx_cx *cx, asx_defer *) {
                        cleaned++;
                        CHECK(asx_is_ok(asx_sleep(cx, asx_ms(1))));
                    });
                    REQUIRE(asx_obligation_reserve(cx, &held, &permit) == ASX_OK);
                    ASX_SCOPE(cx, inner, ASX_COLLECT_ALL) {
                        asx_scope_spawn(inner, calm, &calm_ended, 0, nullptr);
                        ASX_TRY(asx_yield(cx));
                        sink = recurse(1u << 30);
                    }
                    return asx_ok(0);
                },
                &argument, sizeof(argument), &options);
            CHECK(asx_join(cx, task).severity == ASX_SEVERITY_PANICKED);
            CHECK(stats_of(cx).obligations_pending == 0);
        }
        CHECK(calm_ended == 0); /* cancelled with the scope it was in */
        CHECK(cleaned == 1);
        return asx_ok(0);
    });
    CHECK(dropped == 1);
    CHECK(run.stats.obligations_aborted == 1);
}

TEST_CASE("panic: a failed assertion of user code ends its task with file and line", "[panic]")
{
    run_kernel(TASK {
        asx_outcome value;
        int something = 0, calm_ended = 0;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            const asx_handle task = asx_scope_spawn(s, asserts, &something, 0, nullptr);
            asx_scope_spawn(s, calm, &calm_ended, 0, nullptr);
            const asx_outcome joined = asx_join(cx, task);
            REQUIRE(joined.severity == ASX_SEVERITY_PANICKED);
            CHECK(joined.panic->cause == ASX_PANIC_ASSERT);
            CHECK(joined.panic->line > 0);
            CHECK(std::string(joined.panic->file).find("panic_test.cc") != std::string::npos);
            CHECK(std::string(joined.panic->message).find("arguments are refused") !=
                  std::string::npos);
        }
        CHECK(calm_ended == 1);
        return asx_ok(0);
    });
}

TEST_CASE("panic: in a poll step, with cleanup entries to run, it is contained too", "[panic]")
{
    run_kernel(TASK {
        static int cleaned;
        cleaned = 0;
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            asx_handle task;
            REQUIRE(asx_spawn_poll(
                        &s->cx, nullptr,
                        [](asx_cx *cx, void *frame, asx_outcome *) -> bool {
                            auto *const defer = static_cast<asx_defer *>(frame);
                            asx_defer_push(cx, defer, [](asx_cx *cx, asx_defer *) {
                                CHECK(asx_is_ok(asx_sleep(cx, asx_ms(1))));
                                cleaned++;
                            });
                            asx_assert(cx == nullptr);
                            return true;
                        },
                        nullptr, sizeof(asx_defer), nullptr, &task, nullptr) == ASX_OK);
            const asx_outcome joined = asx_join(cx, task);
            REQUIRE(joined.severity == ASX_SEVERITY_PANICKED);
            CHECK(joined.panic->cause == ASX_PANIC_ASSERT);
            CHECK(cleaned == 1);
        }
        return asx_ok(0);
    });
}

TEST_CASE("panic: a destructor that panics makes its task Panicked, fiber or poll task, run or not",
          "[panic]")
{
    for (static int how = 0; how < 3; how++) {
        CAPTURE(how);
        dropped = 0;
        run_kernel(TASK {
            asx_outcome value;
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                asx_spawn_options options{};
                options.drop = panicking_drop;
                const int argument = 3;
                asx_handle task;
                if (how == 1) {
                    REQUIRE(asx_spawn_poll(
                                &s->cx, nullptr,
                                [](asx_cx *, void *, asx_outcome *outcome) -> bool {
                                    *outcome = asx_ok(1);
                                    return true;
                                },
                                &argument, sizeof(argument), &options, &task, nullptr) == ASX_OK);
                } else {
                    task = asx_scope_spawn(
                        s, TASK { return asx_ok(1); }, &argument, sizeof(argument), &options);
                }
                if (how == 2) {
                    asx_task_cancel(cx, task, ASX_CANCEL_USER, nullptr);
                }
                const asx_outcome joined = asx_join(cx, task);
                REQUIRE(joined.severity == ASX_SEVERITY_PANICKED);
                CHECK(std::string(joined.panic->message) == "destructor");
            }
            CHECK(value.severity == ASX_SEVERITY_PANICKED);
            return asx_ok(0);
        });
        CHECK(dropped == 1);
    }
}

TEST_CASE("panic: in a cleanup entry, the rest of the list still runs and the first message stays",
          "[panic]")
{
    run_kernel(TASK {
        static std::string ran;
        ran.clear();
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            const asx_handle task = asx_scope_spawn(
                s,
                TASK {
                    asx_defer a, b, c;
                    asx_defer_push(cx, &a, [](asx_cx *, asx_defer *) { ran += 'a'; });
                    asx_defer_push(cx, &b, [](asx_cx *, asx_defer *) {
                        ran += 'b';
                        asx_panic("entry b");
                    });
                    asx_defer_push(cx, &c, [](asx_cx *, asx_defer *) {
                        ran += 'c';
                        asx_panic("entry c");
                    });
                    ASX_TRY(asx_yield(cx));
                    asx_panic("body");
                },
                nullptr, 0, nullptr);
            const asx_outcome joined = asx_join(cx, task);
            REQUIRE(joined.severity == ASX_SEVERITY_PANICKED);
            CHECK(std::string(joined.panic->message) == "body");
        }
        CHECK(ran == "cba");
        return asx_ok(0);
    });
}

TEST_CASE("panic: the stack of a dead task outlives the operations that write into it", "[panic]")
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        auto run = run_kernel(
            TASK {
                static char *target;
                static bool wrote;
                wrote = false;
                asx_outcome value;
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                    const uint64_t before = stats_of(cx).stacks_live;
                    const asx_handle task = asx_scope_spawn(
                        s,
                        TASK {
                            char buffer[64] = "";
                            target = buffer;
                            asx_op op{};
                            op.code = ASX_OP_TASK;
                            op.arg = (uint32_t)asx_ms(5);
                            op.work = [](asx_op *op) {
                                memcpy(target, "written late", 13);
                                wrote = true;
                                op->result = 13;
                            };
                            REQUIRE(asx_op_start(cx, &op, nullptr) == ASX_OK);
                            ASX_TRY(asx_sleep(cx, 1));
                            asx_panic("with an operation in flight");
                        },
                        nullptr, 0, nullptr);
                    ASX_TRY(asx_sleep(cx, asx_ms(1)));
                    CHECK(stats_of(cx).stacks_live > before);
                    CHECK_FALSE(wrote);
                    CHECK(asx_join(cx, task).severity == ASX_SEVERITY_PANICKED);
                    CHECK(wrote);
                    CHECK(stats_of(cx).stacks_live == before);
                }
                return asx_ok(0);
            },
            nullptr, seed, ASX_LEAK_PANIC, true, 0, 1000000);
        CHECK(run.stats.ops_settled == 1);
    }
}
