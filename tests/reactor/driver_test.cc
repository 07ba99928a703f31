/* At stake: every operation completes exactly once with more == false, with what really happened,
 * on both drivers; nothing completes inside submit(). Streams have stream_test.cc. */
#include "driver_fixture.h"

#include <algorithm>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

using std::string;

TEST_CASE("driver: a Unix socket listens with its mode and takes over a dead path", "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    Fixture f(kind);
    char dir[] = "/tmp/asx-reactor-XXXXXX";
    REQUIRE(mkdtemp(dir));
    const string path = string(dir) + "/s";
    asx_addr addr{};
    REQUIRE(asx_addr_parse(("unix:" + path).c_str(), &addr) == ASX_OK);
    f.close_fd(f.listen(addr)); /* leaves the path behind */
    const int listener = f.listen(addr);
    struct stat st;
    REQUIRE(stat(path.c_str(), &st) == 0);
    CHECK((st.st_mode & 0777) == 0660);

    auto accept = f.op(ASX_OP_ACCEPT, listener);
    f.submit(*accept);
    int32_t fd = -1;
    REQUIRE(f.driver->ops->socket(f.driver, ASX_ADDR_UNIX, false, nullptr, &fd) == ASX_OK);
    auto connect = f.op(ASX_OP_CONNECT, fd);
    connect->op.addr = &addr;
    REQUIRE(f.run(*connect));
    CHECK(connect->err == ASX_OK);
    REQUIRE(f.until([&] { return accept->accepted.size() == 1; }));
    auto in = f.recv(accept->accepted[0]);
    f.submit(*in);
    char text[] = "over unix";
    auto send = f.io(ASX_OP_SEND, fd, text, 9);
    REQUIRE(f.run(*send));
    REQUIRE(f.until([&] { return in->bytes == "over unix"; }));
    asx_listen_options options{};
    int32_t second = -1; /* but not a living one */
    CHECK(f.driver->ops->listen(f.driver, &addr, &options, &second) == errno_err(EADDRINUSE));
    f.end(*in);
    f.end(*accept);
    f.close_fd(accept->accepted[0]);
    f.close_fd(fd);
    f.close_fd(listener);
    unlink(path.c_str());
    rmdir(dir);
}

TEST_CASE("driver: a busy turn leaves sends for the operations, which take all there is",
          "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    Fixture f(kind);
    const size_t count = 24, size = size_t(6) << 20;
    int near[count], far[count];
    std::vector<std::unique_ptr<Op>> in, back, sends;
    for (size_t i = 0; i < count; i++) {
        f.tcp_pair(near[i], far[i]);
        in.push_back(f.recv(near[i]));
        f.submit(*in.back());
    }
    for (size_t i = 0; i < count; i++) {
        REQUIRE(::send(far[i], "x", 1, 0) == 1);
    }
    auto asked = [&] {
        return std::all_of(in.begin(), in.end(), [](auto &one) { return one->bytes.size() == 1; });
    };
    REQUIRE(f.until(asked));
    char word[] = "word";
    string much(size, 'y');
    for (size_t i = 0; i < count; i++) {
        struct iovec iov = { word, 4 };
        uint32_t sent = 0;
        if (kind == ASX_DRIVER_EPOLL) { /* whose last reap has taken them all for certain */
            sent = 77;
            REQUIRE(f.driver->ops->send_now(f.driver, near[i], &iov, 1, false, &sent) == ASX_OK);
        }
        CHECK(sent == 0);
        sends.push_back(f.io(ASX_OP_SEND, near[i], i % 4 ? word : much.data(), i % 4 ? 4 : size));
        f.submit(*sends.back());
        CHECK(sends.back()->ends == 0);
    }
    for (size_t i = 0; i < count; i++) {
        back.push_back(f.recv(far[i]));
        f.submit(*back.back());
    }
    for (size_t i = 0; i < count; i++) {
        REQUIRE(f.until([&] { return sends[i]->ends == 1; }, 100000));
        CHECK(sends[i]->err == ASX_OK);
        const string expected = i % 4 ? word : much;
        REQUIRE(f.until([&] { return back[i]->bytes.size() == expected.size(); }, 100000));
        CHECK((back[i]->bytes == expected));
        f.end(*in[i]);
        f.end(*back[i]);
        f.close_fd(near[i]);
        f.close_fd(far[i]);
    }
}

TEST_CASE("driver: connecting to nobody is refused", "[reactor]")
{
    const auto kind = ALL_DRIVERS;
    Fixture f(kind);
    asx_addr addr{};
    REQUIRE(asx_addr_parse("127.0.0.1:0", &addr) == ASX_OK);
    const int listener = f.listen(addr);
    f.close_fd(listener);
    int32_t fd = -1;
    REQUIRE(f.driver->ops->socket(f.driver, ASX_ADDR_INET, false, nullptr, &fd) == ASX_OK);
    auto connect = f.op(ASX_OP_CONNECT, fd);
    connect->op.addr = &addr;
    REQUIRE(f.run(*connect));
    CHECK(connect->err == errno_err(ECONNREFUSED));
    f.close_fd(fd);
}

TEST_CASE("driver: datagrams carry their sender's address", "[reactor]")
{
    const auto kind = ALL_DRIVERS;
    Fixture f(kind);
    asx_addr local{};
    REQUIRE(asx_addr_parse("127.0.0.1:0", &local) == ASX_OK);
    int32_t a = -1, b = -1;
    REQUIRE(f.driver->ops->socket(f.driver, ASX_ADDR_INET, true, &local, &a) == ASX_OK);
    REQUIRE(f.driver->ops->socket(f.driver, ASX_ADDR_INET, true, &local, &b) == ASX_OK);
    asx_addr addr_a{}, addr_b{};
    REQUIRE(f.driver->ops->name(f.driver, a, false, &addr_a) == ASX_OK);
    REQUIRE(f.driver->ops->name(f.driver, b, false, &addr_b) == ASX_OK);
    for (int i = 0; i < 50; i++) {
        char buf[100], text[] = "datagram";
        auto in = f.io(ASX_OP_RECVFROM, b, buf, sizeof(buf));
        in->op.addr = &in->addr;
        f.submit(*in);
        auto out = f.io(ASX_OP_SENDTO, a, text, 8);
        out->op.addr = &addr_b;
        REQUIRE(f.run(*out));
        CHECK(out->err == ASX_OK);
        CHECK(out->result == 8);
        REQUIRE(f.until([&] { return in->ends == 1; }));
        CHECK(string(buf, in->result) == "datagram");
        CHECK(in->addr.family == ASX_ADDR_INET);
        CHECK(in->addr.port == addr_a.port);
    }
    f.close_fd(a);
    f.close_fd(b);
}

TEST_CASE("driver: files are opened, written, read, described and sent", "[reactor][threads]")
{
    const auto kind = BOTH_DRIVERS;
    Fixture f(kind);
    char dir[] = "/tmp/asx-reactor-XXXXXX";
    REQUIRE(mkdtemp(dir));
    const string path = string(dir) + "/file";
    auto missing = f.op(ASX_OP_OPEN, AT_FDCWD);
    missing->op.path = path.c_str();
    missing->op.arg = O_RDONLY;
    REQUIRE(f.run(*missing));
    CHECK(missing->err == errno_err(ENOENT));

    auto open_op = f.op(ASX_OP_OPEN, AT_FDCWD);
    open_op->op.path = path.c_str();
    open_op->op.arg = O_RDWR | O_CREAT;
    open_op->op.mode = 0640;
    REQUIRE(f.run(*open_op));
    REQUIRE(open_op->err == ASX_OK);
    const int fd = (int)open_op->result;
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);

    string data(200000, '\0');
    for (size_t i = 0; i < data.size(); i++) {
        data[i] = (char)(i * 31 >> 3);
    }
    auto write_op = f.io(ASX_OP_WRITE, fd, data.data(), data.size());
    REQUIRE(f.run(*write_op));
    CHECK(write_op->result == data.size());
    auto sync = f.op(ASX_OP_FSYNC, fd);
    REQUIRE(f.run(*sync));
    CHECK(sync->err == ASX_OK);
    char buf[1000];
    auto read_op = f.io(ASX_OP_READ, fd, buf, sizeof(buf));
    read_op->op.offset = 150000;
    REQUIRE(f.run(*read_op));
    CHECK(string(buf, read_op->result) == data.substr(150000, 1000));
    auto past = f.io(ASX_OP_READ, fd, buf, sizeof(buf));
    past->op.offset = 500000;
    REQUIRE(f.run(*past));
    CHECK(past->err == ASX_OK);
    CHECK(past->result == 0);

    for (const bool by_path : { true, false }) {
        auto stat_op = f.op(ASX_OP_STAT, by_path ? AT_FDCWD : fd);
        stat_op->op.path = by_path ? path.c_str() : "";
        stat_op->op.stat = &stat_op->st;
        REQUIRE(f.run(*stat_op));
        struct stat truth;
        REQUIRE(fstat(fd, &truth) == 0);
        CHECK(stat_op->st.st_size == (off_t)data.size());
        CHECK(stat_op->st.st_ino == truth.st_ino);
        CHECK(stat_op->st.st_dev == truth.st_dev);
        CHECK(stat_op->st.st_mode == truth.st_mode);
        CHECK(stat_op->st.st_mtim.tv_nsec == truth.st_mtim.tv_nsec);
    }

    int near, far;
    f.tcp_pair(near, far);
    auto in = f.recv(far);
    f.submit(*in);
    auto sendfile_op = f.op(ASX_OP_SENDFILE, near);
    sendfile_op->op.file_fd = fd;
    sendfile_op->op.offset = 1000;
    sendfile_op->op.length = 150000;
    REQUIRE(f.run(*sendfile_op));
    CHECK(sendfile_op->err == ASX_OK);
    CHECK(sendfile_op->result == 150000);
    REQUIRE(f.until([&] { return in->bytes.size() == 150000; }));
    CHECK((in->bytes == data.substr(1000, 150000)));
    auto short_op = f.op(ASX_OP_SENDFILE, near);
    short_op->op.file_fd = fd;
    short_op->op.offset = 199000;
    short_op->op.length = 5000;
    REQUIRE(f.run(*short_op));
    CHECK(short_op->err == ASX_OK);
    CHECK(short_op->result == 1000);
    f.end(*in);
    f.close_fd(near);
    f.close_fd(far);
    f.close_fd(fd);
    unlink(path.c_str());
    rmdir(dir);
}

TEST_CASE("driver: POLL on a foreign descriptor tells readiness once", "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    Fixture f(kind);
    int fds[2];
    REQUIRE(pipe(fds) == 0);
    for (int round = 0; round < 3; round++) {
        auto poll_op = f.op(ASX_OP_POLL, fds[0]);
        poll_op->op.arg = POLLIN;
        f.submit(*poll_op);
        f.turn(1);
        CHECK(poll_op->ends == 0);
        REQUIRE(write(fds[1], "x", 1) == 1);
        REQUIRE(f.until([&] { return poll_op->ends == 1; }));
        CHECK(poll_op->result == POLLIN);
        auto again = f.op(ASX_OP_POLL, fds[0]); /* still readable: at once */
        again->op.arg = POLLIN;
        REQUIRE(f.run(*again));
        CHECK(again->result == POLLIN);
        char c;
        REQUIRE(read(fds[0], &c, 1) == 1);
    }
    auto out = f.op(ASX_OP_POLL, fds[1]);
    out->op.arg = POLLOUT;
    REQUIRE(f.run(*out));
    CHECK(out->result == POLLOUT);
    close(fds[1]); /* by its owner, who asks nobody */
    auto hup = f.op(ASX_OP_POLL, fds[0]);
    hup->op.arg = POLLIN;
    REQUIRE(f.run(*hup));
    CHECK((hup->result & POLLHUP) != 0);
    close(fds[0]);
    /* The same number again, another object. */
    REQUIRE(pipe(fds) == 0);
    auto fresh = f.op(ASX_OP_POLL, fds[0]);
    fresh->op.arg = POLLIN;
    f.submit(*fresh);
    f.turn(1);
    CHECK(fresh->ends == 0);
    REQUIRE(write(fds[1], "y", 1) == 1);
    REQUIRE(f.until([&] { return fresh->ends == 1; }));
    close(fds[0]);
    close(fds[1]);
}

TEST_CASE("driver: reading a pipe at its own position waits for bytes", "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    Fixture f(kind);
    int fds[2];
    REQUIRE(pipe(fds) == 0);
    char buf[16];
    auto in = f.io(ASX_OP_READ, fds[0], buf, sizeof(buf));
    in->op.offset = UINT64_MAX;
    f.submit(*in);
    f.turn(1);
    CHECK(in->ends == 0);
    char text[] = "piped";
    auto out = f.io(ASX_OP_WRITE, fds[1], text, 5);
    out->op.offset = UINT64_MAX;
    REQUIRE(f.run(*out));
    REQUIRE(f.until([&] { return in->ends == 1; }));
    CHECK(string(buf, in->result) == "piped");
    auto idle = f.io(ASX_OP_READ, fds[0], buf, sizeof(buf));
    idle->op.offset = UINT64_MAX;
    f.submit(*idle);
    f.turn(1);
    f.end(*idle);
    CHECK(idle->err == errno_err(ECANCELED));
    f.close_fd(fds[0]);
    f.close_fd(fds[1]);
}

TEST_CASE("driver: a full descriptor table ends the accept, which can be armed again", "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    Fixture f(kind);
    asx_addr addr{};
    REQUIRE(asx_addr_parse("127.0.0.1:0", &addr) == ASX_OK);
    const int listener = f.listen(addr);
    auto accept = f.op(ASX_OP_ACCEPT, listener);
    const int client = ::socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(client >= 0);
    std::vector<int> hoard;
    struct rlimit limit, low;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    low = limit;
    low.rlim_cur = 64;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
    for (int fd; (fd = dup(client)) >= 0;) {
        hoard.push_back(fd);
    }
    f.submit(*accept);
    f.turn(0);
    struct sockaddr_in in {
    };
    in.sin_family = AF_INET;
    in.sin_port = htons(addr.port);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int rc = ::connect(client, (struct sockaddr *)&in, sizeof(in));
    const bool ended = f.until([&] { return accept->ends == 1; });
    int32_t none = -1;
    const asx_err now = f.driver->ops->accept_now(f.driver, listener, &none);
    for (int fd : hoard) {
        close(fd);
    }
    REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    REQUIRE(rc == 0);
    REQUIRE(ended);
    CHECK(accept->err == errno_err(EMFILE));
    CHECK(now == errno_err(EMFILE));
    f.submit(*accept);
    REQUIRE(f.until([&] { return accept->accepted.size() == 1; }));
    f.end(*accept);
    f.close_fd(accept->accepted[0]);
    f.close_fd(listener);
    close(client);
}

TEST_CASE("driver: a connection that waits is taken now, or turned away", "[reactor]")
{
    const auto kind = ALL_DRIVERS;
    Fixture f(kind);
    asx_addr addr{};
    REQUIRE(asx_addr_parse("127.0.0.1:0", &addr) == ASX_OK);
    const int listener = f.listen(addr);
    int32_t fd = -1;
    CHECK(f.driver->ops->accept_now(f.driver, listener, &fd) == errno_err(EAGAIN));
    CHECK_FALSE(f.driver->ops->turn_away(f.driver, listener));

    const int first = f.connect(addr);
    REQUIRE(f.driver->ops->accept_now(f.driver, listener, &fd) == ASX_OK);
    auto served = f.recv(fd);
    f.submit(*served);
    auto send = f.io(ASX_OP_SEND, first, const_cast<char *>("hello"), 5);
    REQUIRE(f.run(*send));
    REQUIRE(f.until([&] { return served->bytes == "hello"; }));
    f.end(*served);

    const int second = f.connect(addr);
    CHECK(f.driver->ops->turn_away(f.driver, listener));
    auto refused = f.recv(second);
    REQUIRE(f.run(*refused));
    CHECK(refused->bytes.empty());
    CHECK(f.driver->ops->accept_now(f.driver, listener, &fd) == errno_err(EAGAIN));
    f.close_fd(second);
    f.close_fd(first);
    f.close_fd(fd);
    f.close_fd(listener);
}

TEST_CASE("driver: park returns by its deadline, and at once when told of the past", "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    Fixture f(kind);
    const asx_instant t0 = f.driver->ops->now(f.driver);
    f.driver->ops->park(f.driver, t0 + asx_ms(5));
    f.driver->ops->park(f.driver, 0);
    f.driver->ops->park(f.driver, f.driver->ops->now(f.driver));
    const asx_instant t1 = f.driver->ops->now(f.driver);
    CHECK(t1 >= t0);
    f.driver->ops->park(f.driver, ASX_TIME_NEVER); /* bounded by the longest park */
    CHECK(f.driver->ops->now(f.driver) < t1 + asx_s(5));
    CHECK(f.driver->ops->reap(f.driver, 8) == 0);
}

TEST_CASE("driver: a bad descriptor is an error of the operation", "[reactor][threads]")
{
    const auto kind = ALL_DRIVERS;
    Fixture f(kind);
    char buf[8];
    for (const asx_op_code code : { ASX_OP_RECV, ASX_OP_SEND, ASX_OP_CLOSE, ASX_OP_FSYNC,
                                    ASX_OP_ACCEPT, ASX_OP_POLL, ASX_OP_SHUTDOWN, ASX_OP_READ }) {
        CAPTURE(asx_op_code_name(code));
        auto bad = f.io(code, 999, buf, sizeof(buf));
        if (code == ASX_OP_ACCEPT) {
            bad->op.addr = nullptr;
        }
        if (code == ASX_OP_POLL) {
            bad->op.arg = POLLIN;
        }
        REQUIRE(f.run(*bad));
        CHECK(bad->err == errno_err(EBADF));
    }
}
