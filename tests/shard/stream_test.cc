/* Socket streams over real sockets, on both kernel drivers: what a stream promises must hold for
 * TCP and Unix alike. Loopback only; the fixture checks that no operation and no descriptor is
 * left. */
#include <asx/shard/socket_stream.h>

#include "live_fixture.h"

#include <cstring>
#include <sys/socket.h>
#include <unistd.h>

#define TASK [](asx_cx * cx, ASX_UNUSED void *arg) -> asx_outcome

/* A connected pair: `near` connected, `far` accepted. */
struct socket_pair {
    asx_stream *near, *far;
    asx_outcome outcome;
    std::string text;
    bool done;
};

static void pair_make(asx_cx *cx, bool unix_domain, socket_pair *pair)
{
    asx_addr addr{};
    char path[64];
    asx_acceptor *acceptor = nullptr;
    int32_t fd = -1;
    snprintf(path, sizeof(path), "unix:/tmp/asx-stream-%d", (int)getpid());
    REQUIRE(asx_addr_parse(unix_domain ? path : "127.0.0.1:0", &addr) == ASX_OK);
    REQUIRE(asx_acceptor_open(cx, &addr, nullptr, &acceptor) == ASX_OK);
    if (!unix_domain) {
        REQUIRE(asx_acceptor_addr(acceptor, &addr) == ASX_OK);
    }
    REQUIRE(asx_is_ok(asx_socket_connect(cx, nullptr, &addr, ASX_TIME_NEVER, &pair->near)));
    REQUIRE(asx_is_ok(asx_acceptor_next(cx, acceptor, ASX_TIME_NEVER, &fd)));
    REQUIRE(asx_socket_adopt(cx, nullptr, fd, &pair->far) == ASX_OK);
    asx_acceptor_close(cx, acceptor);
    if (unix_domain) {
        unlink(addr.path);
    }
}

static asx_outcome read_all(asx_cx *cx, asx_stream *stream, std::string &text)
{
    for (;;) {
        asx_view data;
        ASX_TRY(asx_stream_read(cx, stream, &data));
        if (data.len == 0) {
            return asx_ok(text.size());
        }
        text.append(data.ptr, data.len);
    }
}

static asx_outcome reader(asx_cx *cx, void *arg)
{
    auto *pair = *static_cast<socket_pair **>(arg);
    pair->outcome = read_all(cx, pair->far, pair->text);
    pair->done = true;
    return pair->outcome;
}

TEST_CASE("stream: many pieces cross a socket in order, and each half closes on its own",
          "[stream]")
{
    const auto choice = BOTH_CHOICES;
    bool unix_domain = GENERATE(false, true);
    run_live(
        choice,
        TASK {
            socket_pair pair{};
            socket_pair *const shared = &pair;
            pair_make(cx, *static_cast<bool *>(arg), &pair);
            std::string sent(3u << 20, ' ');
            for (size_t i = 0; i < sent.size(); i++) {
                sent[i] = (char)('a' + i * 31 % 26);
            }
            std::vector<asx_view> pieces;
            for (size_t at = 0; at < sent.size();) { /* more than one operation can carry */
                const size_t len = std::min<size_t>(sent.size() - at, at % 50000);
                pieces.push_back(asx_view_of(sent.data() + at, len));
                at += len ? len : 1;
                if (len == 0) {
                    pieces.back() = asx_view_of(sent.data() + at - 1, 1);
                }
            }
            CHECK(pieces.size() > 64);
            ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                ASX_SPAWN(s, reader, &shared);
                const asx_outcome wrote =
                    asx_stream_writev(cx, pair.near, pieces.data(), (uint32_t)pieces.size());
                CHECK(asx_is_ok(wrote));
                CHECK(wrote.value == sent.size());
                CHECK(asx_is_ok(asx_stream_shutdown_write(cx, pair.near)));
            }
            CHECK(pair.text == sent);
            CHECK(asx_is_ok(asx_stream_write(cx, pair.far, asx_view_str("answer"))));
            asx_stream_close(cx, pair.far);
            std::string answer;
            CHECK(asx_is_ok(read_all(cx, pair.near, answer)));
            CHECK(answer == "answer");
            CHECK(pair.near->bytes_in == 6);
            CHECK(pair.near->bytes_out == sent.size());
            asx_stream_close(cx, pair.near);
            return asx_ok(0);
        },
        &unix_domain);
}

TEST_CASE("stream: a deadline ends a read that finds nothing and takes no byte", "[stream]")
{
    run_live(
        BOTH_CHOICES, TASK {
            socket_pair pair{};
            asx_view data;
            pair_make(cx, false, &pair);
            const asx_instant begin = asx_now(cx);
            CHECK(asx_is_err(asx_stream_read_until(cx, pair.far, begin + asx_ms(20), &data),
                             ASX_E(TIMED_OUT)));
            CHECK(asx_now(cx) - begin >= asx_ms(20));
            CHECK(asx_is_ok(asx_stream_write(cx, pair.near, asx_view_str("late"))));
            CHECK(asx_stream_read(cx, pair.far, &data).value == 4);
            CHECK(asx_is_err(asx_stream_read_until(cx, pair.far, asx_now(cx), &data),
                             ASX_E(TIMED_OUT)));
            CHECK(asx_is_ok(asx_stream_write(cx, pair.near, asx_view_str("here"))));
            CHECK(asx_stream_read_until(cx, pair.far, asx_now(cx), &data).value == 4);
            asx_stream_close(cx, pair.near);
            CHECK(asx_stream_read(cx, pair.far, &data).value == 0);
            asx_stream_close(cx, pair.far);
            return asx_ok(0);
        });
}

TEST_CASE(
    "stream: a write that the peer does not take ends at its deadline and says how far it came",
    "[stream]")
{
    run_live(
        BOTH_CHOICES, TASK {
            socket_pair pair{};
            pair_make(cx, false, &pair);
            const std::string sent(64u << 20, 'x');
            uint64_t taken = 0;
            /* A machine that was elsewhere until the deadline is given a later one. */
            for (asx_duration ns = asx_ms(50); taken == 0 && ns < asx_s(30); ns *= 4) {
                CHECK(asx_is_err(asx_stream_write_until(cx, pair.near, asx_now(cx) + ns,
                                                        asx_view_of(sent.data(), sent.size())),
                                 ASX_E(TIMED_OUT)));
                taken = pair.near->bytes_out;
            }
            CHECK(taken > 0);
            CHECK(taken < sent.size());
            asx_stream_close(cx, pair.near);
            std::string got;
            CHECK(asx_is_ok(read_all(cx, pair.far, got)));
            CHECK(got.size() == taken);
            asx_stream_close(cx, pair.far);
            return asx_ok(0);
        });
}

TEST_CASE("stream: a cancelled reader leaves the socket usable", "[stream]")
{
    run_live(
        BOTH_CHOICES, TASK {
            socket_pair pair{};
            socket_pair *const shared = &pair;
            asx_view data;
            pair_make(cx, false, &pair);
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                const asx_handle task = ASX_SPAWN(s, reader, &shared);
                CHECK(asx_is_ok(asx_sleep(cx, asx_ms(2))));
                CHECK(!pair.done);
                asx_task_cancel(cx, task, ASX_CANCEL_USER, "enough");
            }
            CHECK(pair.outcome.severity == ASX_SEVERITY_CANCELLED);
            CHECK(asx_is_ok(asx_stream_write(cx, pair.near, asx_view_str("kept"))));
            CHECK(asx_stream_read(cx, pair.far, &data).value == 4);
            asx_stream_close(cx, pair.near);
            asx_stream_close(cx, pair.far);
            return asx_ok(0);
        });
}

TEST_CASE("stream: a cancelled task still closes", "[stream]")
{
    run_live(
        BOTH_CHOICES, TASK {
            socket_pair pair{};
            socket_pair *const shared = &pair;
            asx_view data;
            pair_make(cx, false, &pair);
            ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                const asx_handle task = ASX_SPAWN(
                    s,
                    [](asx_cx *cx, void *arg) -> asx_outcome {
                        auto *p = *static_cast<socket_pair **>(arg);
                        const asx_outcome outcome = asx_sleep(cx, asx_s(60));
                        asx_stream_close(cx, p->far);
                        p->done = true;
                        return outcome;
                    },
                    &shared);
                CHECK(asx_is_ok(asx_sleep(cx, asx_ms(2))));
                asx_task_cancel(cx, task, ASX_CANCEL_USER, "enough");
            }
            CHECK(pair.done);
            CHECK(asx_stream_read(cx, pair.near, &data).value == 0);
            asx_stream_close(cx, pair.near);
            return asx_ok(0);
        });
}

TEST_CASE("stream: a peer that reset is DISCONNECTED for reader and writer", "[stream]")
{
    run_live(
        BOTH_CHOICES, TASK {
            socket_pair pair{};
            asx_view data;
            pair_make(cx, false, &pair);
            const struct linger hard = { .l_onoff = 1, .l_linger = 0 };
            REQUIRE(setsockopt(asx_socket_stream_fd(pair.far), SOL_SOCKET, SO_LINGER, &hard,
                               sizeof(hard)) == 0);
            asx_stream_close(cx, pair.far);
            CHECK(asx_is_err(asx_stream_read(cx, pair.near, &data), ASX_E(DISCONNECTED)));
            CHECK(asx_is_err(asx_stream_write(cx, pair.near, asx_view_str("x")),
                             ASX_E(DISCONNECTED)));
            asx_stream_close(cx, pair.near);
            return asx_ok(0);
        });
}

TEST_CASE("stream: a refused connection is its errno and leaves no descriptor", "[stream]")
{
    run_live(
        BOTH_CHOICES, TASK {
            asx_addr addr{};
            asx_acceptor *acceptor = nullptr;
            asx_stream *stream = nullptr;
            REQUIRE(asx_addr_parse("127.0.0.1:0", &addr) == ASX_OK);
            REQUIRE(asx_acceptor_open(cx, &addr, nullptr, &acceptor) == ASX_OK);
            REQUIRE(asx_acceptor_addr(acceptor, &addr) == ASX_OK);
            asx_acceptor_close(cx, acceptor);
            CHECK(asx_is_err(asx_socket_connect(cx, nullptr, &addr, ASX_TIME_NEVER, &stream),
                             asx_err_errno(ECONNREFUSED)));
            asx_cx plain;
            REQUIRE(asx_cx_restrict(cx, ASX_CAP_ALL & ~ASX_CAP_NET, &plain) == ASX_OK);
            CHECK(asx_is_err(asx_socket_connect(&plain, nullptr, &addr, ASX_TIME_NEVER, &stream),
                             ASX_E(NO_CAPABILITY)));
            return asx_ok(0);
        });
}

TEST_CASE("stream: what a region leaves open is closed with it", "[stream]")
{
    run_live(
        BOTH_CHOICES, TASK {
            ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
                asx_addr addr{};
                asx_acceptor *acceptor = nullptr;
                int32_t fd = -1;
                asx_stream *streams[3];
                REQUIRE(asx_addr_parse("127.0.0.1:0", &addr) == ASX_OK);
                REQUIRE(asx_acceptor_open(&s->cx, &addr, nullptr, &acceptor) == ASX_OK);
                REQUIRE(asx_acceptor_addr(acceptor, &addr) == ASX_OK);
                for (asx_stream *&stream : streams) {
                    REQUIRE(asx_is_ok(
                        asx_socket_connect(&s->cx, nullptr, &addr, ASX_TIME_NEVER, &stream)));
                }
                /* One adopted, two waiting in the acceptor, which goes with the task. */
                REQUIRE(asx_is_ok(asx_acceptor_next(&s->cx, acceptor, ASX_TIME_NEVER, &fd)));
                REQUIRE(asx_socket_adopt(&s->cx, nullptr, fd, &streams[0]) == ASX_OK);
                return asx_ok(0);
            }
            return asx_ok(0);
        });
}

TEST_CASE("stream: an acceptor that rests takes up again, and gives every connection once",
          "[stream]")
{
    run_live(
        BOTH_CHOICES, TASK {
            asx_addr addr{};
            asx_acceptor *acceptor = nullptr;
            asx_stream *near[100], *far[100];
            REQUIRE(asx_addr_parse("127.0.0.1:0", &addr) == ASX_OK);
            REQUIRE(asx_acceptor_open(cx, &addr, nullptr, &acceptor) == ASX_OK);
            REQUIRE(asx_acceptor_addr(acceptor, &addr) == ASX_OK);
            int32_t fd = -1;
            CHECK(asx_is_err(asx_acceptor_next(cx, acceptor, asx_now(cx) + asx_ms(5), &fd),
                             ASX_E(TIMED_OUT)));
            for (auto &stream : near) {
                REQUIRE(asx_is_ok(asx_socket_connect(cx, nullptr, &addr, ASX_TIME_NEVER, &stream)));
            }
            for (auto &stream : far) {
                REQUIRE(asx_is_ok(asx_acceptor_next(cx, acceptor, ASX_TIME_NEVER, &fd)));
                REQUIRE(asx_socket_adopt(cx, nullptr, fd, &stream) == ASX_OK);
            }
            asx_acceptor_close(cx, acceptor);
            for (unsigned i = 0; i < 100; i++) {
                asx_view data;
                CHECK(asx_is_ok(asx_stream_write(cx, near[i], asx_view_of(&i, sizeof(i)))));
                REQUIRE(asx_stream_read(cx, far[i], &data).value == sizeof(i));
                CHECK(memcmp(data.ptr, &i, sizeof(i)) == 0);
                asx_stream_close(cx, near[i]);
                asx_stream_close(cx, far[i]);
            }
            return asx_ok(0);
        });
}
