/* At stake: a stream's bytes arrive whole and in order on both drivers, whichever way they are
 * sent, and its end is told from a break. */
#include "driver_fixture.h"

#include <algorithm>
#include <sys/mman.h>
#include <sys/socket.h>

using std::string;

TEST_CASE("driver: a TCP connection is accepted, read from and answered", "[reactor]")
{
    const auto kind = ALL_DRIVERS;
    Fixture f(kind);
    int near, far;
    f.tcp_pair(near, far);
    auto in = f.recv(far);
    f.submit(*in);
    string ping = "ping", pong = "pong!";
    auto send = f.io(ASX_OP_SEND, near, ping.data(), ping.size());
    f.submit(*send);
    CHECK(send->completions == 0);
    REQUIRE(f.until([&] { return send->ends == 1 && in->bytes == "ping"; }));
    CHECK(send->err == ASX_OK);
    CHECK(send->result == 4);
    auto back = f.io(ASX_OP_SEND, far, pong.data(), pong.size());
    char buf[64];
    auto once = f.io(ASX_OP_RECV, near, buf, sizeof(buf));
    f.submit(*once);
    REQUIRE(f.run(*back));
    REQUIRE(f.until([&] { return once->ends == 1; }));
    CHECK(string(buf, once->result) == "pong!");

    f.close_fd(near);
    REQUIRE(f.until([&] { return in->ends == 1; }));
    CHECK(in->err == ASX_OK);
    CHECK(in->result == 0);
    auto close_op = f.op(ASX_OP_CLOSE, far);
    REQUIRE(f.run(*close_op));
    CHECK(close_op->err == ASX_OK);
    if (kind != ASX_DRIVER_LAB) {
        CHECK(fcntl(far, F_GETFD) == -1);
    }
}

TEST_CASE("driver: many small messages arrive whole and in order", "[reactor]")
{
    const auto kind = ALL_DRIVERS;
    Fixture f(kind);
    int near, far;
    f.tcp_pair(near, far);
    auto in = f.recv(far);
    f.submit(*in);
    string expected;
    for (int i = 0; i < 2000; i++) {
        string text = std::to_string(i) + ";";
        expected += text;
        auto send = f.io(ASX_OP_SEND, near, text.data(), text.size());
        f.submit(*send);
        REQUIRE(f.until([&] { return send->ends == 1; }));
        REQUIRE(send->err == ASX_OK);
    }
    REQUIRE(f.until([&] { return in->bytes.size() >= expected.size(); }));
    CHECK(in->bytes == expected);
    CHECK(in->ends == 0);
    f.end(*in);
    CHECK(in->ends == 1);
    CHECK(in->err == errno_err(ECANCELED));
    f.close_fd(near);
    f.close_fd(far);
}

TEST_CASE("driver: what is sent now is taken at once or told to be left", "[reactor]")
{
    const auto kind = ALL_DRIVERS;
    Fixture f(kind);
    int near, far;
    f.tcp_pair(near, far);
    auto in = f.recv(far);
    f.submit(*in);
    char head[] = "head ", body[] = "body";
    struct iovec pieces[] = { { head, 5 }, { body, 4 } };
    uint32_t sent = 77;
    REQUIRE(f.driver->ops->send_now(f.driver, near, pieces, 2, false, &sent) == ASX_OK);
    CHECK(sent == 9);
    REQUIRE(f.until([&] { return in->bytes.size() == 9; }));
    string expected = "head body", much(1 << 20, 'x');
    struct iovec all = { much.data(), much.size() };
    do { /* nobody reads meanwhile: the transport is full some time */
        REQUIRE(f.driver->ops->send_now(f.driver, near, &all, 1, false, &sent) == ASX_OK);
        expected.append(sent, 'x');
        REQUIRE(expected.size() < (size_t(1) << 30));
    } while (sent == much.size());
    char last[] = "last";
    auto send = f.io(ASX_OP_SEND, near, last, 4);
    f.submit(*send);
    expected += last;
    REQUIRE(f.until([&] { return in->bytes.size() == expected.size(); }));
    CHECK(in->bytes == expected);
    CHECK(send->ends == 1);
    f.end(*in);
    f.close_fd(far);
    REQUIRE(f.until([&] {
        return f.driver->ops->send_now(f.driver, near, pieces, 2, false, &sent) != ASX_OK &&
               sent == 0;
    }));
    f.close_fd(near);
}

TEST_CASE("driver: the end leaves with the last bytes, and the other way stays open", "[reactor]")
{
    const auto kind = ALL_DRIVERS;
    Fixture f(kind);
    int near, far;
    f.tcp_pair(near, far);
    auto in = f.recv(far), back = f.recv(near);
    f.submit(*in);
    f.submit(*back);
    char head[] = "head ", body[] = "body", answer[] = "answer";
    struct iovec pieces[] = { { head, 5 }, { body, 4 } };
    uint32_t sent = 0;
    REQUIRE(f.driver->ops->send_now(f.driver, near, pieces, 2, true, &sent) == ASX_OK);
    REQUIRE(sent == 9);
    REQUIRE(f.until([&] { return in->ends == 1; }));
    CHECK(in->err == ASX_OK);
    CHECK(in->bytes == "head body");
    CHECK(f.driver->ops->send_now(f.driver, near, pieces, 2, false, &sent) == errno_err(EPIPE));
    auto send = f.io(ASX_OP_SEND, far, answer, 6);
    REQUIRE(f.run(*send));
    REQUIRE(f.until([&] { return back->bytes == "answer"; }));
    CHECK(back->ends == 0);
    f.end(*back);
    f.close_fd(near);
    f.close_fd(far);
}

TEST_CASE("driver: last bytes that find too little room end nothing", "[reactor]")
{
    const auto kind = ALL_DRIVERS;
    Fixture f(kind);
    int near, far;
    f.tcp_pair(near, far);
    auto in = f.recv(far);
    f.submit(*in);
    string much(size_t(12) << 20, 'x');
    struct iovec all = { much.data(), much.size() };
    uint32_t sent = 0;
    REQUIRE(f.driver->ops->send_now(f.driver, near, &all, 1, true, &sent) == ASX_OK);
    REQUIRE(sent < much.size());
    auto send = f.io(ASX_OP_SEND, near, much.data() + sent, much.size() - sent);
    f.submit(*send);
    REQUIRE(f.until([&] { return in->bytes.size() == much.size(); }, 100000));
    REQUIRE(f.until([&] { return send->ends == 1; }));
    CHECK(send->err == ASX_OK);
    CHECK(in->ends == 0);
    f.end(*in);
    f.close_fd(near);
    f.close_fd(far);
}

TEST_CASE("driver: a file in memory is sent now, behind its head, or by the op as room comes",
          "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    const bool accepted = GENERATE(false, true); /* each end has its own way of not blocking */
    Fixture f(kind);
    string data(6 << 20, 0);
    for (size_t i = 0; i < data.size(); i++) {
        data[i] = (char)(i * 7 + (i >> 12));
    }
    const int file = memfd_create("data", MFD_CLOEXEC);
    REQUIRE(write(file, data.data(), data.size()) == (ssize_t)data.size());
    int near, far;
    f.tcp_pair(near, far);
    if (accepted) {
        std::swap(near, far);
    }
    char text[] = "head ";
    const struct iovec head = { text, 5 };
    uint32_t sent = 0;
    REQUIRE(f.driver->ops->sendfile_now(f.driver, near, &head, file, 10, 1000, &sent) == ASX_OK);
    CHECK(sent == 1005);
    string expected = "head " + data.substr(10, 1000);
    uint64_t at = 100;
    do { /* nobody reads meanwhile */
        REQUIRE(f.driver->ops->sendfile_now(f.driver, near, nullptr, file, at,
                                            (uint32_t)(data.size() - at), &sent) == ASX_OK);
        expected += data.substr(at, sent);
        at = sent == data.size() - at ? 0 : at + sent;
    } while (at == 0);
    auto op = f.op(ASX_OP_SENDFILE, near);
    op->op.file_fd = file;
    op->op.offset = 3;
    op->op.length = 5 << 20;
    f.submit(*op);
    f.turn(0);
    CHECK(op->ends == 0);
    auto in = f.recv(far);
    f.submit(*in);
    expected += data.substr(3, 5 << 20);
    REQUIRE(f.until([&] { return op->ends == 1 && in->bytes.size() >= expected.size(); }));
    CHECK(op->err == ASX_OK);
    CHECK(op->result == 5u << 20);
    CHECK((in->bytes == expected));
    REQUIRE(f.driver->ops->sendfile_now(f.driver, near, nullptr, file, data.size(), 10, &sent) ==
            ASX_OK);
    CHECK(sent == 0); /* behind the end */
    f.end(*in);
    /* A full socket again, and a cancel while the op waits for room. */
    op->op.offset = 0;
    op->op.length = (uint32_t)data.size();
    f.submit(*op);
    f.turn(0);
    f.end(*op);
    CHECK(op->err == errno_err(ECANCELED));
    CHECK(op->result < data.size());
    f.close_fd(far);
    f.close_fd(near);
    f.close_fd(file);
}

static long resident_pages()
{
    long size = 0, resident = 0;
    FILE *const file = fopen("/proc/self/statm", "r");
    REQUIRE(file != nullptr);
    CHECK(fscanf(file, "%ld %ld", &size, &resident) == 2);
    fclose(file);
    return resident;
}

TEST_CASE("driver: a quiet while gives the receive buffers' memory back, and harms no receive",
          "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    asx_driver_config config{};
    config.buf_count = 256;
    config.buf_size = 65536;
    Fixture f(kind, config);
    int near, far;
    f.tcp_pair(near, far);
    auto in = f.recv(far);
    in->hold = true;
    f.submit(*in);
    string text(8 << 20, 'q');
    long before = 0;
    for (int round = 0; round < 2; round++) {
        in->bytes.clear();
        auto send = f.io(ASX_OP_SEND, near, text.data(), text.size());
        f.submit(*send);
        REQUIRE(f.until([&] { return in->bytes.size() == text.size() && send->ends == 1; }));
        before = resident_pages();
        for (asx_rbuf *const rbuf : in->held) {
            f.driver->ops->buf_return(f.driver, rbuf);
        }
        in->held.clear();
        CHECK(in->bytes == text);
        f.turn(150);
        f.turn(150); /* the one before may have had something to hear */
    }
    const long page = sysconf(_SC_PAGESIZE);
    CHECK((before - resident_pages()) * page > (4 << 20));
    f.end(*in);
    f.close_fd(far);
    f.close_fd(near);
}

TEST_CASE("driver: a reset ends a receive with ECONNRESET", "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    Fixture f(kind);
    int near, far;
    f.tcp_pair(near, far);
    auto in = f.recv(far);
    f.submit(*in);
    f.turn(0);
    const struct linger hard = { 1, 0 };
    REQUIRE(setsockopt(near, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
    f.close_fd(near);
    REQUIRE(f.until([&] { return in->ends == 1; }));
    CHECK(in->err == errno_err(ECONNRESET));
    char text[] = "x";
    auto send = f.io(ASX_OP_SEND, far, text, 1);
    REQUIRE(f.run(*send));
    CHECK(send->err == errno_err(EPIPE));
    f.close_fd(far);
}

TEST_CASE("driver: half-close lets the other direction go on", "[reactor]")
{
    const auto kind = ALL_DRIVERS;
    Fixture f(kind);
    int near, far;
    f.tcp_pair(near, far);
    auto in = f.recv(far), in_near = f.recv(near);
    f.submit(*in);
    f.submit(*in_near);
    char text[] = "last words";
    auto send = f.io(ASX_OP_SEND, near, text, 10);
    REQUIRE(f.run(*send));
    auto shut = f.op(ASX_OP_SHUTDOWN, near);
    shut->op.arg = SHUT_WR;
    f.submit(*shut);
    CHECK(shut->completions == 0);
    REQUIRE(f.until([&] { return shut->ends == 1 && in->ends == 1; }));
    CHECK(in->bytes == "last words");
    CHECK(in->err == ASX_OK);
    char answer[] = "heard";
    auto reply = f.io(ASX_OP_SEND, far, answer, 5);
    REQUIRE(f.run(*reply));
    REQUIRE(f.until([&] { return in_near->bytes == "heard"; }));
    CHECK(in_near->ends == 0);
    f.close_fd(far);
    REQUIRE(f.until([&] { return in_near->ends == 1; }));
    f.close_fd(near);
}

TEST_CASE("driver: a vector of 64 pieces and 8 MiB to a slow reader arrive whole", "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    const bool vector = GENERATE(false, true);
    Fixture f(kind);
    int near, far;
    f.tcp_pair(near, far);
    const int small = 65536;
    REQUIRE(setsockopt(near, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) == 0);
    string data(8u << 20, '\0');
    for (size_t i = 0; i < data.size(); i++) {
        data[i] = (char)(i * 2654435761u >> 24);
    }
    auto send = f.io(vector ? ASX_OP_SENDV : ASX_OP_SEND, near, data.data(), data.size());
    if (vector) {
        const size_t piece = data.size() / ASX_OP_IOV_MAX;
        for (size_t i = 0; i < ASX_OP_IOV_MAX; i++) {
            send->iov[i] = { data.data() + i * piece, piece };
        }
        send->op.iov_count = ASX_OP_IOV_MAX;
    }
    const struct iovec first = send->iov[0], last = send->iov[ASX_OP_IOV_MAX - 1];
    f.submit(*send);
    string got;
    char buf[50000];
    while (got.size() < data.size()) {
        f.turn(0);
        const ssize_t n = ::recv(far, buf, sizeof(buf), MSG_DONTWAIT);
        if (n > 0) {
            got.append(buf, (size_t)n);
        } else {
            REQUIRE(n == -1);
            REQUIRE(errno == EAGAIN);
        }
    }
    REQUIRE(f.until([&] { return send->ends == 1; }));
    CHECK(send->err == ASX_OK);
    CHECK(send->result == data.size());
    CHECK((got == data));
    CHECK(send->iov[0].iov_base == first.iov_base);
    if (vector) {
        CHECK(send->iov[ASX_OP_IOV_MAX - 1].iov_len == last.iov_len);
    }
    f.close_fd(near);
    f.close_fd(far);
}

TEST_CASE("driver: a send cancelled midway tells how much left", "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    Fixture f(kind);
    int near, far;
    f.tcp_pair(near, far);
    string data(16u << 20, 'x');
    auto send = f.io(ASX_OP_SEND, near, data.data(), data.size());
    f.submit(*send);
    f.turn(5);
    REQUIRE(send->ends == 0);
    f.end(*send);
    CHECK(send->ends == 1);
    f.close_fd(near);
    size_t got = 0;
    static char buf[65536];
    for (;;) {
        struct pollfd p = { far, POLLIN, 0 };
        poll(&p, 1, 1000);
        const ssize_t n = ::recv(far, buf, sizeof(buf), MSG_DONTWAIT);
        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    CHECK(send->result == got);
    CHECK(got < data.size());
    f.close_fd(far);
}

TEST_CASE("driver: receives starve without buffers and recover when some return", "[reactor]")
{
    const auto kind = ALL_DRIVERS;
    asx_driver_config config{};
    config.buf_count = 4;
    config.buf_size = 1024;
    Fixture f(kind, config);
    int near, far;
    f.tcp_pair(near, far);
    auto in = f.recv(far);
    in->hold = true;
    f.submit(*in);
    string data(20000, 'd');
    auto send = f.io(ASX_OP_SEND, near, data.data(), data.size());
    REQUIRE(f.run(*send));
    REQUIRE(f.until([&] { return in->held.size() == 4; }));
    for (int i = 0; i < 5; i++) {
        f.turn(1);
    }
    CHECK(in->held.size() == 4);
    CHECK(in->ends == 0);
    asx_driver_stats s{};
    f.driver->ops->stats(f.driver, &s);
    CHECK(s.buf_starved >= 1);
    CHECK(s.buf_starved <= 3); /* not once a turn */
    SECTION("returned buffers let it go on")
    {
        in->hold = false;
        for (asx_rbuf *rbuf : in->held) {
            f.driver->ops->buf_return(f.driver, rbuf);
        }
        in->held.clear();
        REQUIRE(f.until([&] { return in->bytes.size() == data.size(); }));
        CHECK((in->bytes == data));
        f.end(*in);
    }
    SECTION("a starved receive can be cancelled")
    {
        f.end(*in);
        CHECK(in->err == errno_err(ECANCELED));
        for (asx_rbuf *rbuf : in->held) {
            f.driver->ops->buf_return(f.driver, rbuf);
        }
    }
    f.close_fd(near);
    f.close_fd(far);
}
