/* At stake: cancel() is safe at every stage of every operation, the bell is never lost, and the
 * ledger balances after anything. */
#include <asx/reactor/blocking.h>
#include <asx/reactor/probe.h>
#include <asx/reactor/signal.h>
#include <asx/shard/base/prng.h>

#include "driver_fixture.h"

#include <atomic>
#include <csignal>
#include <thread>

TEST_CASE("cancel: every kind of operation, at every stage, ends exactly once",
          "[reactor][threads]")
{
    const auto kind = BOTH_DRIVERS;
    const int stage = GENERATE(0, 1, 2, 3); /* unsubmitted, in flight, done unreaped, after */
    Fixture f(kind);
    int near, far, pipe_fds[2];
    f.tcp_pair(near, far);
    REQUIRE(pipe(pipe_fds) == 0);
    asx_addr addr{}, any{};
    REQUIRE(asx_addr_parse("127.0.0.1:0", &addr) == ASX_OK);
    any = addr;
    const int listener = f.listen(addr);
    int32_t udp = -1;
    REQUIRE(f.driver->ops->socket(f.driver, ASX_ADDR_INET, true, &any, &udp) == ASX_OK);
    static char buf[64], big[8 << 20];

    std::vector<std::unique_ptr<Op>> ops;
    ops.push_back(f.op(ASX_OP_ACCEPT, listener));
    ops.push_back(f.recv(far));
    ops.push_back(f.io(ASX_OP_SEND, near, big, sizeof(big)));
    ops.push_back(f.io(ASX_OP_RECV, near, buf, sizeof(buf)));
    ops.push_back(f.io(ASX_OP_RECVFROM, udp, buf, sizeof(buf)));
    ops.push_back(f.op(ASX_OP_POLL, pipe_fds[0]));
    ops.back()->op.arg = POLLIN;
    ops.push_back(f.io(ASX_OP_READ, pipe_fds[0], buf, sizeof(buf)));
    ops.back()->op.offset = UINT64_MAX;
    ops.push_back(f.op(ASX_OP_FSYNC, 0));
    ops[1]->hold = true; /* so that the sender stalls when the pool is empty */
    for (auto &o : ops) {
        f.submit(*o);
        if (stage == 0) {
            f.cancel(*o);
            f.cancel(*o); /* twice is once */
            CHECK(o->ends == 0);
        }
    }
    if (stage >= 1) {
        f.turn(1);
    }
    if (stage >= 2) { /* completions may be waiting when cancel comes */
        REQUIRE(write(pipe_fds[1], "p", 1) == 1);
        f.driver->ops->park(f.driver, 0);
    }
    if (stage >= 3) {
        for (int i = 0; i < 5; i++) {
            f.turn(1);
        }
    }
    for (auto &o : ops) {
        f.cancel(*o);
    }
    for (auto &o : ops) {
        CAPTURE(asx_op_code_name((asx_op_code)o->op.code), stage);
        REQUIRE(f.until([&] { return o->ends == 1; }));
        if (o->op.code == ASX_OP_ACCEPT || o->op.code == ASX_OP_RECVFROM) {
            CHECK(o->err == errno_err(ECANCELED));
        }
    }
    for (int i = 0; i < 3; i++) {
        f.turn(1);
    }
    for (auto &o : ops) {
        CHECK(o->ends == 1);
    }
    for (asx_rbuf *rbuf : ops[1]->held) {
        f.driver->ops->buf_return(f.driver, rbuf);
    }
    for (const int fd : { near, far, listener, udp }) {
        f.close_fd(fd);
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

TEST_CASE("cancel: done() may cancel its own multishot", "[reactor]")
{
    const auto kind = ALL_DRIVERS;
    Fixture f(kind);
    int near, far;
    f.tcp_pair(near, far);
    auto in = f.recv(far);
    in->then = [&](Op &o) {
        if (o.op.more) {
            f.cancel(o);
        }
    };
    f.submit(*in);
    char text[] = "abc";
    auto send = f.io(ASX_OP_SEND, near, text, 3);
    REQUIRE(f.run(*send));
    REQUIRE(f.until([&] { return in->ends == 1; }));
    CHECK(in->bytes == "abc");
    CHECK(in->err == errno_err(ECANCELED));
    f.close_fd(near);
    f.close_fd(far);
}

TEST_CASE("cancel: shutting down ends an armed receive, and the peer sees the end", "[reactor]")
{
    const auto kind = ALL_DRIVERS;
    Fixture f(kind);
    int near, far;
    f.tcp_pair(near, far);
    auto in = f.recv(near), peer = f.recv(far);
    f.submit(*in);
    f.submit(*peer);
    f.turn(1);
    auto shut = f.op(ASX_OP_SHUTDOWN, near);
    shut->op.arg = SHUT_RDWR;
    REQUIRE(f.run(*shut));
    REQUIRE(f.until([&] { return in->ends == 1 && peer->ends == 1; }));
    CHECK(in->err == ASX_OK);
    CHECK(peer->err == ASX_OK);
    f.close_fd(near);
    f.close_fd(far);
}

TEST_CASE("cancel: more operations than the queue has entries all complete", "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    asx_driver_config config{};
    config.sq_entries = 8;
    config.cq_entries = 16;
    Fixture f(kind, config);
    int fds[2];
    REQUIRE(pipe(fds) == 0);
    std::vector<std::unique_ptr<Op>> ops;
    for (int i = 0; i < 500; i++) {
        ops.push_back(f.op(ASX_OP_POLL, fds[0]));
        ops.back()->op.arg = POLLIN;
        f.submit(*ops.back());
        if (i % 3 == 0) {
            f.cancel(*ops.back());
        }
    }
    f.turn(1);
    REQUIRE(write(fds[1], "x", 1) == 1);
    for (size_t i = 0; i < ops.size(); i++) {
        REQUIRE(f.until([&] { return ops[i]->ends == 1; }));
        CHECK(ops[i]->completions == 1);
    }
    close(fds[0]);
    close(fds[1]);
}

static std::atomic<bool> gate{ false };
static std::atomic<int> gated{ 0 };

static void work_gate(asx_op *op)
{
    gated++;
    while (!gate) {
        usleep(200);
    }
    op->result = 7;
}

TEST_CASE("blocking: queued work is cancelled, running work finishes, a full queue refuses",
          "[reactor][threads]")
{
    const auto kind = BOTH_DRIVERS;
    asx_blocking *pool = nullptr;
    asx_blocking_config limits{};
    limits.threads_max = 1;
    limits.queue_max = 2;
    REQUIRE(asx_blocking_create(&limits, &pool) == ASX_OK);
    gate = false;
    gated = 0;
    {
        asx_driver_config config{};
        config.blocking = pool;
        Fixture f(kind, config);
        std::vector<std::unique_ptr<Op>> ops;
        for (int i = 0; i < 4; i++) {
            ops.push_back(f.op(ASX_OP_TASK));
            ops.back()->op.work = work_gate;
            f.submit(*ops.back());
            CHECK(ops.back()->ends == 0);
            REQUIRE(f.until([&] { return gated == 1; }));
        }
        REQUIRE(f.until([&] { return ops[3]->ends == 1; }));
        CHECK(ops[3]->err == ASX_E(AT_CAPACITY));
        f.cancel(*ops[0]); /* runs: too late */
        f.end(*ops[1]);
        CHECK(ops[1]->err == errno_err(ECANCELED));
        CHECK(ops[0]->ends == 0);
        gate = true;
        REQUIRE(f.until([&] { return ops[0]->ends == 1 && ops[2]->ends == 1; }));
        CHECK(ops[0]->err == ASX_OK);
        CHECK(ops[0]->result == 7);
        CHECK(ops[2]->result == 7);
        CHECK(gated == 2);
        asx_blocking_stats s{};
        asx_blocking_stats_get(pool, &s);
        CHECK(s.threads == 1);
        CHECK(s.refused == 1);
    }
    asx_blocking_destroy(pool);
}

TEST_CASE("wake: no ring of the bell is lost", "[reactor][threads]")
{
    const auto kind = BOTH_DRIVERS;
    Fixture f(kind);
    const int rounds = 20000;
    std::atomic<int> posted{ 0 }, seen{ 0 };
    std::thread other([&] {
        for (int i = 1; i <= rounds; i++) {
            posted.store(i);
            f.driver->ops->wake(f.driver);
            while (seen.load() < i) {
                std::this_thread::yield();
            }
        }
    });
    uint64_t slow = 0; /* parks that ran into the longest park: a lost ring shows here */
    while (seen.load() < rounds) {
        f.driver->ops->reap(f.driver, 64);
        if (posted.load() == seen.load()) {
            const asx_instant before = f.driver->ops->now(f.driver);
            f.driver->ops->park(f.driver, ASX_TIME_NEVER);
            slow += f.driver->ops->now(f.driver) - before > asx_ms(240);
        }
        seen.store(posted.load());
    }
    other.join();
    CHECK(slow < 5);
    f.driver->ops->reap(f.driver, 64);
}

TEST_CASE("signal: a signal arrives as a completion", "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    Fixture f(kind);
    const int signals[] = { SIGUSR2 };
    int32_t fd = -1;
    REQUIRE(asx_signal_open(signals, 1, &fd) == ASX_OK);
    char buf[ASX_SIGNAL_RECORD_SIZE * 4];
    auto in = f.io(ASX_OP_READ, fd, buf, sizeof(buf));
    in->op.offset = UINT64_MAX;
    f.submit(*in);
    f.turn(1);
    CHECK(in->ends == 0);
    REQUIRE(pthread_kill(pthread_self(), SIGUSR2) == 0);
    REQUIRE(f.until([&] { return in->ends == 1; }));
    asx_signal got{};
    REQUIRE(asx_signal_decode(buf, in->result, &got));
    CHECK(got.number == SIGUSR2);
    CHECK(got.pid == (uint32_t)getpid());
    CHECK(!asx_signal_decode(buf, ASX_SIGNAL_RECORD_SIZE - 1, &got));
    const int wrong[] = { 4000 };
    int32_t none = -1;
    CHECK(asx_signal_open(wrong, 1, &none) == errno_err(EINVAL));
    f.close_fd(fd);
}

TEST_CASE("probe: says what it chose, and obeys", "[reactor]")
{
    char why[ASX_DRIVER_WHY_MAX];
    asx_driver_kind kind;
    REQUIRE(asx_driver_probe(ASX_DRIVER_CHOICE_EPOLL, &kind, why, sizeof(why)) == ASX_OK);
    CHECK(kind == ASX_DRIVER_EPOLL);
    setenv("ASX_DRIVER", "epoll", 1);
    asx_driver_config config{};
    asx_driver *driver = nullptr;
    REQUIRE(asx_driver_create(ASX_DRIVER_CHOICE_AUTO, &config, &driver, why, sizeof(why)) ==
            ASX_OK);
    CHECK(driver->ops->kind == ASX_DRIVER_EPOLL);
    driver->ops->destroy(driver);
    unsetenv("ASX_DRIVER");
    REQUIRE(asx_driver_probe(ASX_DRIVER_CHOICE_AUTO, &kind, why, sizeof(why)) == ASX_OK);
    CHECK(std::string(why).find("io_uring") != std::string::npos);
    asx_driver_choice choice;
    CHECK(asx_driver_choice_parse("uring", &choice) == ASX_OK);
    CHECK(choice == ASX_DRIVER_CHOICE_URING);
    CHECK(asx_driver_choice_parse("kqueue", &choice) == ASX_E(INVALID_ARGUMENT));
}

TEST_CASE("stress: 10,000 random operations leave a balanced ledger", "[reactor]")
{
    const auto kind = ALL_DRIVERS;
    const uint64_t seed = GENERATE(1, 2, 3);
    asx_driver_config config{};
    config.sq_entries = 32;
    config.cq_entries = 64;
    config.buf_count = 8;
    config.buf_size = 512;
    Fixture f(kind, config);
    asx_prng prng;
    asx_prng_init(&prng, seed);
    const int pairs = 8;
    int fds[pairs][2];
    std::vector<std::unique_ptr<Op>> recvs, live;
    for (auto &pair : fds) {
        f.tcp_pair(pair[0], pair[1]);
        for (const int fd : pair) {
            recvs.push_back(f.recv(fd));
        }
    }
    static char data[30000];
    uint64_t submitted = 0, ended = 0;
    while (submitted < 10000) {
        const auto pick = asx_prng_below(&prng, 10);
        const int fd = fds[asx_prng_below(&prng, pairs)][asx_prng_below(&prng, 2)];
        if (pick < 5) {
            live.push_back(f.io(ASX_OP_SEND, fd, data, 1 + asx_prng_below(&prng, sizeof(data))));
            f.submit(*live.back());
            submitted++;
        } else if (pick < 6) {
            live.push_back(f.op(ASX_OP_POLL, fd));
            live.back()->op.arg = asx_prng_below(&prng, 2) ? POLLIN : POLLOUT;
            f.submit(*live.back());
            submitted++;
        } else if (pick < 7) {
            auto &r = recvs[asx_prng_below(&prng, recvs.size())];
            if (r->op.flags & ASX_OP_SUBMITTED) {
                f.cancel(*r);
            } else {
                f.submit(*r);
                submitted++;
            }
        } else if (pick < 8 && !live.empty()) {
            f.cancel(*live[asx_prng_below(&prng, live.size())]);
        } else {
            f.turn(0);
        }
        while (live.size() > 200) {
            f.turn(0);
            for (auto &r : recvs) {
                if (!(r->op.flags & ASX_OP_SUBMITTED)) {
                    f.submit(*r);
                    submitted++;
                }
            }
            for (size_t i = 0; i < live.size();) {
                if (live[i]->ends) {
                    REQUIRE(live[i]->ends == 1);
                    ended++;
                    live[i] = std::move(live.back());
                    live.pop_back();
                } else {
                    i++;
                }
            }
        }
    }
    for (auto &o : live) {
        f.cancel(*o);
    }
    for (auto &r : recvs) {
        f.cancel(*r);
    }
    asx_driver_stats s{};
    REQUIRE(f.until([&] {
        f.driver->ops->stats(f.driver, &s);
        return s.in_flight == 0;
    }));
    for (auto &o : live) {
        CHECK(o->ends == 1);
    }
    uint64_t recv_ends = 0;
    for (auto &r : recvs) {
        recv_ends += (uint64_t)r->ends;
    }
    CHECK(ended + live.size() + recv_ends == submitted);
    for (auto &pair : fds) {
        f.close_fd(pair[0]);
        f.close_fd(pair[1]);
    }
}
