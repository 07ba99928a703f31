/* Containment: whatever ends a task by force, its siblings live, its region closes, and what it
 * held is given back. */
#include <asx/shard/base/assert.h>
#include <asx/shard/flow/source.h>
#include <asx/shard/sync/mpsc.h>
#include <asx/shard/sync/oneshot.h>

#include "kernel_fixture.h"

#include <algorithm>
#include <alloca.h>
#include <csignal>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

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

namespace
{
int children;

/* What is called at each level of a recursion that does not end, with a frame a good deal larger
 * than the level's own: so it is in the call that the stack runs out. */
using level_fn = void (*)(asx_cx *cx);

__attribute__((noinline)) unsigned descend(asx_cx *cx, level_fn call)
{
    volatile char frame[16];
    frame[0] = 1;
    call(cx);
    return sink ? descend(cx, call) + (unsigned)frame[0] : 0; /* not a tail call */
}

struct descent {
    level_fn call;
    unsigned pad;
};

asx_outcome descends(asx_cx *cx, void *arg)
{
    const descent *const self = static_cast<descent *>(arg);
    volatile char *const pad = static_cast<volatile char *>(alloca(16 + self->pad));
    pad[0] = 1;
    sink = 1;
    sink = descend(cx, self->call);
    return asx_ok(pad[0]);
}

void spawn_child(asx_cx *cx)
{
    ignored(asx_spawn(
        cx, nullptr,
        [](asx_cx *, void *) -> asx_outcome {
            children++;
            return asx_ok(0);
        },
        nullptr, 0, nullptr, nullptr));
}

void reserve_one(asx_cx *cx)
{
    asx_obligation_options held{};
    asx_permit permit;
    ignored(asx_obligation_reserve(cx, &held, &permit));
}

const level_fn calls[] = {
    [](asx_cx *cx) { ignored(asx_checkpoint(cx)); },
    [](asx_cx *cx) { ignored(asx_checkpoint_note(cx, "deeper")); },
    [](asx_cx *cx) { ignored(asx_alloc(cx, 24)); },
    [](asx_cx *cx) { ignored(asx_alloc(cx, 5000)); },
    [](asx_cx *cx) { ignored(asx_random_below(cx, 10)); },
    [](asx_cx *cx) { ignored(asx_yield(cx)); },
    [](asx_cx *cx) { ignored(asx_sleep(cx, 1)); },
    spawn_child,
    reserve_one,
};

/* What this program says on its way down when it runs the hidden case `name`. A new program, not
 * a fork of this one: ThreadSanitizer looks away from a child that was forked beside fibers. */
std::string last_words(const char *name)
{
    int fds[2];
    REQUIRE(pipe(fds) == 0);
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        execl("/proc/self/exe", "shard_test", name, "--out", "/dev/null", nullptr);
        _exit(0);
    }
    close(fds[1]);
    std::string text;
    char buf[512];
    for (ssize_t len; (len = read(fds[0], buf, sizeof(buf))) > 0;) {
        text.append(buf, (size_t)len);
    }
    close(fds[0]);
    int status = 0;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    CHECK((!WIFEXITED(status) || WEXITSTATUS(status) != 0));
    return text;
}
} // namespace

TEST_CASE("panic: a stack that runs out inside the kernel ends its task when the call is over",
          "[panic]")
{
    for (const level_fn call : calls) {
        for (unsigned pad = 0; pad < 512; pad += 16) {
            static descent how;
            how = { call, pad };
            children = 0;
            auto run = run_kernel(TASK {
                asx_outcome value;
                static int calm_ended;
                calm_ended = 0;
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                    asx_scope_spawn(s, calm, &calm_ended, 0, nullptr);
                    asx_spawn_options small{};
                    small.stack_bytes = 16384;
                    const asx_handle deep = asx_scope_spawn(s, descends, &how, 0, &small);
                    const asx_outcome joined = asx_join(cx, deep);
                    REQUIRE(joined.severity == ASX_SEVERITY_PANICKED);
                    CHECK(joined.panic->cause == ASX_PANIC_STACK_OVERFLOW);
                }
                CHECK(calm_ended == 1);
                return asx_ok(0);
            });
            CHECK(run.stats.panicked == 1);
            if (call == spawn_child) {
                CHECK(run.stats.spawned == (uint64_t)children + 3);
            }
        }
    }
}

TEST_CASE("panic: a stack that was used beyond its end has its guard again when it is reused",
          "[panic]")
{
    static descent how;
    how = { spawn_child, 0 };
    auto run = run_kernel(TASK {
        for (int round = 0; round < 50; round++) {
            asx_outcome value;
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                const asx_handle deep = asx_scope_spawn(s, descends, &how, 0, nullptr);
                CHECK(asx_join(cx, deep).severity == ASX_SEVERITY_PANICKED);
                const asx_handle plain = asx_scope_spawn(s, overflows, nullptr, 0, nullptr);
                CHECK(asx_join(cx, plain).severity == ASX_SEVERITY_PANICKED);
            }
        }
        return asx_ok(0);
    });
    CHECK(run.stats.panicked == 100);
}

TEST_CASE("last words: a destructor that overflows", "[.last_words]")
{
    signal(SIGABRT, SIG_DFL);
    run_kernel(TASK {
        asx_outcome value;
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
            asx_oneshot_sender tx;
            asx_oneshot_receiver rx;
            const asx_oneshot_options oneshot = { sizeof(int),
                                                  [](void *) { sink = recurse(1u << 30); },
                                                  "test" };
            const int item = 1;
            REQUIRE(asx_oneshot_open(&s->cx, &oneshot, &tx, &rx) == ASX_OK);
            REQUIRE(asx_oneshot_send(&s->cx, tx, &item) == ASX_OK);
            asx_end_close(&s->cx, rx._end);
        }
        return asx_ok(0);
    });
}

TEST_CASE("panic: a destructor that overflows ends the process, and says so", "[panic]")
{
    const std::string words = last_words("last words: a destructor that overflows");
    INFO(words);
    CHECK(words.find("stack overflow inside the kernel, called by task main") != std::string::npos);
}

namespace
{
std::string ended;

void end_panics(void *object)
{
    ended += *static_cast<char *>(object);
    asx_panic("destructor %c", *static_cast<char *>(object));
}

/* Leaves behind, in cx's region: a channel with two items, a oneshot with one, a flow with two. */
void leave_behind(asx_cx *cx)
{
    asx_mpsc_sender tx;
    asx_mpsc_receiver rx;
    asx_oneshot_sender once_tx;
    asx_oneshot_receiver once_rx;
    const asx_mpsc_options channel = { 2, 1, end_panics, "test" };
    const asx_oneshot_options once = { 1, end_panics, "test" };
    REQUIRE(asx_mpsc_open(cx, &channel, &tx, &rx) == ASX_OK);
    REQUIRE(asx_mpsc_try_send(cx, tx, "1") == ASX_OK);
    REQUIRE(asx_mpsc_try_send(cx, tx, "2") == ASX_OK);
    REQUIRE(asx_oneshot_open(cx, &once, &once_tx, &once_rx) == ASX_OK);
    REQUIRE(asx_oneshot_send(cx, once_tx, "3") == ASX_OK);
    static const char items[] = "45";
    REQUIRE(asx_flow_of_array(cx, items, 2, 1, end_panics) != nullptr);
}
} // namespace

TEST_CASE("panic: destructors that panic at the end of a region are all run, and it is Panicked",
          "[panic]")
{
    for (static int from_step = 0; from_step < 2; from_step++) {
        CAPTURE(from_step);
        ended.clear();
        auto run = run_kernel(TASK {
            asx_outcome value;
            int calm_ended = 0;
            ASX_SCOPE(cx, outer, ASX_COLLECT_ALL) {
                asx_scope_spawn(outer, calm, &calm_ended, 0, nullptr);
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL, &value) {
                    leave_behind(&s->cx);
                    if (from_step) { /* the last task of the region is a poll task */
                        REQUIRE(asx_spawn_poll(
                                    &s->cx, nullptr,
                                    [](asx_cx *, void *, asx_outcome *outcome) {
                                        *outcome = asx_ok(1);
                                        return true;
                                    },
                                    nullptr, 0, nullptr, nullptr, nullptr) == ASX_OK);
                    }
                }
                REQUIRE(value.severity == ASX_SEVERITY_PANICKED);
                CHECK(std::string(value.panic->message).find("destructor ") == 0);
            }
            CHECK(calm_ended == 1);
            return asx_ok(0);
        });
        std::sort(ended.begin(), ended.end());
        CHECK(ended == "12345");
        CHECK(run.severity == ASX_SEVERITY_OK);
        CHECK(run.lines.size() == 5);
    }
}
