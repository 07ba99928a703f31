/* Pipes: order, backpressure, half-close, a peer that goes, and a cancel at every await. Everything
 * runs in virtual time, and the fixture checks that no task, timer or region is left. */
#include <asx/shard/pipe.h>

#include "kernel_fixture.h"

static std::string text_of(asx_view view)
{
    return std::string(view.ptr ? view.ptr : "", view.len);
}

static asx_outcome read_all(asx_cx *cx, asx_stream *stream, std::string &text)
{
    for (;;) {
        asx_view data;
        ASX_TRY(asx_stream_read(cx, stream, &data));
        if (data.len == 0) {
            return asx_ok(text.size());
        }
        text += text_of(data);
    }
}

struct pipe_ends {
    asx_stream *near, *far;
    asx_outcome outcome;
    std::string text;
    bool done;
};

static std::string numbers(unsigned count)
{
    std::string text;
    for (unsigned i = 0; i < count; i++) {
        text += std::to_string(i) + ",";
    }
    return text;
}

TEST_CASE("pipe: bytes arrive in order at every size of the ring", "[pipe]")
{
    auto run = run_kernel(TASK {
        const std::string sent = numbers(60);
        for (size_t cap = 1; cap < 40; cap++) {
            pipe_ends ends{};
            REQUIRE(asx_pipe_create(cx, nullptr, cap, &ends.near, &ends.far) == ASX_OK);
            pipe_ends *const shared = &ends;
            ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                ASX_SPAWN(
                    s,
                    [](asx_cx *cx, void *arg) -> asx_outcome {
                        auto *e = *static_cast<pipe_ends **>(arg);
                        return read_all(cx, e->far, e->text);
                    },
                    &shared);
                const asx_view pieces[] = { asx_view_of(sent.data(), 7), asx_view_of(nullptr, 0),
                                            asx_view_of(sent.data() + 7, sent.size() - 7) };
                const asx_outcome wrote = asx_stream_writev(cx, ends.near, pieces, 3);
                CHECK(asx_is_ok(wrote));
                CHECK(wrote.value == sent.size());
                CHECK(asx_is_ok(asx_stream_shutdown_write(cx, ends.near)));
            }
            CHECK(ends.text == sent);
            CHECK(ends.near->bytes_out == sent.size());
            CHECK(ends.far->bytes_in == sent.size());
            asx_stream_close(cx, ends.near);
            asx_stream_close(cx, ends.far);
        }
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
}

TEST_CASE("pipe: a lent view is not overwritten before the next read", "[pipe]")
{
    auto run = run_kernel(TASK {
        asx_stream *near, *far;
        asx_view data;
        REQUIRE(asx_pipe_create(cx, nullptr, 4, &near, &far) == ASX_OK);
        CHECK(asx_is_ok(asx_stream_write(cx, near, asx_view_str("abcd"))));
        CHECK(asx_is_ok(asx_stream_read(cx, far, &data)));
        const asx_instant soon = asx_time_add(asx_now(cx), asx_ms(5));
        CHECK(asx_is_err(asx_stream_write_until(cx, near, soon, asx_view_str("efgh")),
                         ASX_E(TIMED_OUT)));
        CHECK(text_of(data) == "abcd");
        CHECK(near->bytes_out == 4);
        CHECK(
            asx_is_err(asx_stream_read_until(cx, far, soon + asx_ms(1), &data), ASX_E(TIMED_OUT)));
        CHECK(asx_is_ok(asx_stream_write(cx, near, asx_view_str("efgh"))));
        CHECK(asx_is_ok(asx_stream_read(cx, far, &data)));
        CHECK(text_of(data) == "efgh");
        asx_stream_close(cx, far);
        asx_stream_close(cx, near);
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
}

TEST_CASE("pipe: each half closes on its own, and what was written is still read", "[pipe]")
{
    auto run = run_kernel(TASK {
        asx_stream *near, *far;
        asx_view data;
        REQUIRE(asx_pipe_create(cx, nullptr, 16, &near, &far) == ASX_OK);
        CHECK(asx_is_ok(asx_stream_write(cx, near, asx_view_str("last"))));
        CHECK(asx_is_ok(asx_stream_shutdown_write(cx, near)));
        CHECK(asx_is_err(asx_stream_write(cx, near, asx_view_str("x")), ASX_E(DISCONNECTED)));
        CHECK(asx_stream_read(cx, far, &data).value == 4);
        CHECK(asx_stream_read(cx, far, &data).value == 0);
        CHECK(asx_stream_read(cx, far, &data).value == 0);
        CHECK(asx_is_ok(asx_stream_write(cx, far, asx_view_str("answer"))));
        asx_stream_close(cx, far);
        CHECK(asx_stream_read(cx, near, &data).value == 6);
        CHECK(text_of(data) == "answer");
        CHECK(asx_stream_read(cx, near, &data).value == 0);
        asx_stream_close(cx, near);
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
}

static asx_outcome write_much(asx_cx *cx, void *arg)
{
    auto *e = *static_cast<pipe_ends **>(arg);
    e->outcome = asx_stream_write(cx, e->near, asx_view_str("0123456789"));
    e->done = true;
    return e->outcome;
}

TEST_CASE("pipe: a waiting writer is told when the reader goes", "[pipe]")
{
    auto run = run_kernel(TASK {
        pipe_ends ends{};
        pipe_ends *const shared = &ends;
        REQUIRE(asx_pipe_create(cx, nullptr, 4, &ends.near, &ends.far) == ASX_OK);
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            ASX_SPAWN(s, write_much, &shared);
            CHECK(asx_is_ok(asx_sleep(cx, asx_ms(1))));
            CHECK(!ends.done);
            asx_stream_close(cx, ends.far);
        }
        CHECK(ends.done);
        CHECK(asx_is_err(ends.outcome, ASX_E(DISCONNECTED)));
        CHECK(ends.near->bytes_out == 4);
        asx_stream_close(cx, ends.near);
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
}

TEST_CASE("pipe: a cancelled write tells how far it came, and the stream goes on", "[pipe]")
{
    auto run = run_kernel(TASK {
        pipe_ends ends{};
        pipe_ends *const shared = &ends;
        asx_view data;
        REQUIRE(asx_pipe_create(cx, nullptr, 4, &ends.near, &ends.far) == ASX_OK);
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle writer = ASX_SPAWN(s, write_much, &shared);
            CHECK(asx_is_ok(asx_sleep(cx, asx_ms(1))));
            asx_task_cancel(cx, writer, ASX_CANCEL_USER, "enough");
        }
        CHECK(ends.outcome.severity == ASX_SEVERITY_CANCELLED);
        CHECK(ends.near->bytes_out == 4);
        CHECK(asx_stream_read(cx, ends.far, &data).value == 4);
        CHECK(text_of(data) == "0123");
        CHECK(
            asx_is_err(asx_stream_read_until(cx, ends.far, asx_now(cx), &data), ASX_E(TIMED_OUT)));
        CHECK(asx_is_ok(asx_stream_write(cx, ends.near, asx_view_str("4"))));
        CHECK(asx_stream_read(cx, ends.far, &data).value == 1);
        asx_stream_close(cx, ends.near);
        asx_stream_close(cx, ends.far);
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
}

static asx_outcome read_once(asx_cx *cx, void *arg)
{
    auto *e = *static_cast<pipe_ends **>(arg);
    asx_view data;
    e->outcome = asx_stream_read(cx, e->far, &data);
    e->text += text_of(data);
    e->done = true;
    return e->outcome;
}

TEST_CASE("pipe: a cancelled read takes no byte", "[pipe]")
{
    auto run = run_kernel(TASK {
        pipe_ends ends{};
        pipe_ends *const shared = &ends;
        asx_view data;
        REQUIRE(asx_pipe_create(cx, nullptr, 4, &ends.near, &ends.far) == ASX_OK);
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle reader = ASX_SPAWN(s, read_once, &shared);
            CHECK(asx_is_ok(asx_sleep(cx, asx_ms(1))));
            asx_task_cancel(cx, reader, ASX_CANCEL_USER, "enough");
            CHECK(asx_is_ok(asx_stream_write(cx, ends.near, asx_view_str("kept"))));
        }
        CHECK(ends.done);
        CHECK(ends.outcome.severity == ASX_SEVERITY_CANCELLED);
        CHECK(asx_stream_read(cx, ends.far, &data).value == 4);
        asx_stream_close(cx, ends.far);
        asx_stream_close(cx, ends.near);
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
}

static asx_outcome echo_some(asx_cx *cx, void *arg)
{
    auto *e = *static_cast<pipe_ends **>(arg);
    for (;;) {
        asx_view data;
        ASX_TRY(asx_stream_read(cx, e->far, &data));
        if (data.len == 0) {
            return asx_stream_shutdown_write(cx, e->far);
        }
        ASX_TRY(asx_stream_write(cx, e->far, data));
        ASX_TRY(asx_sleep(cx, 300 * ASX_NS_PER_US));
    }
}

static asx_outcome feed(asx_cx *cx, void *arg)
{
    auto *e = *static_cast<pipe_ends **>(arg);
    const std::string sent = numbers(20);
    ASX_TRY(asx_stream_write(cx, e->near, asx_view_of(sent.data(), sent.size())));
    return asx_stream_shutdown_write(cx, e->near);
}

TEST_CASE("pipe: a cancel at any moment leaves a prefix on the way and nothing behind", "[pipe]")
{
    for (uint64_t at_us = 0; at_us < 12000; at_us += 97) {
        auto run = run_kernel(
            TASK {
                pipe_ends ends{};
                pipe_ends *const shared = &ends;
                REQUIRE(asx_pipe_create(cx, nullptr, 3, &ends.near, &ends.far) == ASX_OK);
                ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                    ASX_SPAWN(s, echo_some, &shared);
                    ASX_SPAWN(s, feed, &shared);
                    asx_deadline_tighten(cx, *static_cast<uint64_t *>(arg) * 1000 + 1);
                    ends.outcome = read_all(&s->cx, ends.near, ends.text);
                    if (!asx_is_ok(ends.outcome)) {
                        asx_scope_cancel(s, ASX_CANCEL_USER, "reader gone");
                    }
                }
                const std::string sent = numbers(20);
                CHECK(sent.compare(0, ends.text.size(), ends.text) == 0);
                CHECK(ends.near->bytes_in <= ends.far->bytes_out);
                if (asx_is_ok(ends.outcome)) {
                    CHECK(ends.text == sent);
                }
                asx_stream_close(cx, ends.near);
                asx_stream_close(cx, ends.far);
                return asx_ok(0);
            },
            &at_us, at_us + 1);
        CHECK(run.severity != ASX_SEVERITY_PANICKED);
    }
}

TEST_CASE("pipe: an open pipe goes with its region", "[pipe]")
{
    auto run = run_kernel(TASK {
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            asx_stream *near, *far;
            REQUIRE(asx_pipe_create(&s->cx, nullptr, 64, &near, &far) == ASX_OK);
            CHECK(asx_is_ok(asx_stream_write(cx, near, asx_view_str("unread"))));
            asx_stream_close(cx, far);
        }
        return asx_ok(0);
    });
    CHECK(run.severity == ASX_SEVERITY_OK);
}
