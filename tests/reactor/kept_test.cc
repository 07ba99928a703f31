/* At stake: kept bytes arrive whole behind the head that was asked for, whatever the driver holds
 * from before; what one connection does not take never reaches another; what cannot be held is left
 * to the caller, and everything held is given back. */
#include <asx/shard/kept.h>

#include "driver_fixture.h"

#include <csignal>
#include <dirent.h>
#include <sys/resource.h>

using std::string;

namespace
{

string pattern(size_t len)
{
    string text(len, 0);
    for (size_t i = 0; i < len; i++) {
        text[i] = (char)(i * 7 + (i >> 12));
    }
    return text;
}

/* Kept bytes, and a connection to send them over. */
struct Keeper {
    Fixture f;
    string bytes;
    asx_kept kept{};
    int near = -1, far = -1;
    string expected;

    Keeper(asx_driver_kind kind, bool accepted, size_t len) : f(kind), bytes(pattern(len))
    {
        asx_kept_init(&kept, asx_view_of(bytes.data(), bytes.size()));
        f.tcp_pair(near, far);
        if (accepted) { /* each end has its own way of not blocking */
            std::swap(near, far);
        }
    }
    ~Keeper()
    {
        asx_kept_deinit(&kept, f.driver);
        f.close_fd(near);
        f.close_fd(far);
    }

    /* How much went. */
    uint32_t send(int fd, string head, size_t length, asx_err *err = nullptr)
    {
        struct iovec iov = { head.data(), head.size() };
        uint32_t sent = 0;
        const asx_err got = f.driver->ops->send_kept_now(
            f.driver, fd, head.empty() ? nullptr : &iov, &kept, (uint32_t)length, &sent);
        if (err) {
            *err = got;
        } else {
            CHECK(got == ASX_OK);
        }
        return sent;
    }
    /* All of it goes, and is read. */
    void pass(Op &in, const string &head, size_t length)
    {
        REQUIRE(send(near, head, length) == head.size() + length);
        expected += head + bytes.substr(0, length);
        REQUIRE(f.until([&] { return in.bytes.size() >= expected.size(); }));
    }
};

size_t descriptors()
{
    size_t count = 0;
    DIR *const dir = opendir("/proc/self/fd");
    REQUIRE(dir);
    while (readdir(dir)) {
        count++;
    }
    closedir(dir);
    return count;
}

} /* namespace */

TEST_CASE("kept: the bytes arrive behind the head asked for, the same as before or another",
          "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    const bool accepted = GENERATE(false, true);
    const size_t len = GENERATE(1, 4096, 32768, 65536, 70001, ASX_KEPT_BYTES_MAX);
    Keeper k(kind, accepted, len);
    auto in = k.f.recv(k.far);
    k.f.submit(*in);
    for (int turn = 0; turn < 6; turn++) {
        k.pass(*in, "first ", len); /* each wait for it is a turn */
        k.pass(*in, "first ", len);
        k.pass(*in, "first ", len - len / 3);
        k.pass(*in, "", len);
        k.pass(*in, "other", len);
        k.pass(*in, string(ASX_KEPT_HEAD_MAX, 'm'), len);
        k.pass(*in, string(ASX_KEPT_HEAD_MAX + 1, 'n'), len / 2);
        k.pass(*in, string(16384, 'o'), len);
    }
    CHECK((in->bytes == k.expected));
    k.f.end(*in);
}

TEST_CASE("kept: heads that alternate are each sent, and one a turn is held", "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    Keeper k(kind, true, 20000);
    auto in = k.f.recv(k.far);
    k.f.submit(*in);
    k.pass(*in, "before", 20000);
    for (int turn = 0; turn < 3; turn++) {
        for (const char *head : { "one", "two", "three", "two", "one" }) {
            REQUIRE(k.send(k.near, head, 20000) == strlen(head) + 20000);
            k.expected += head + k.bytes;
        }
        /* The first that is not the one held takes its place. */
        CHECK(string(k.kept._head, k.kept._head_len) == (turn % 2 ? "two" : "one"));
        REQUIRE(k.f.until([&] { return in->bytes.size() >= k.expected.size(); }));
        k.f.turn(0);
    }
    CHECK((in->bytes == k.expected));
    k.f.end(*in);
}

TEST_CASE("kept: what a full connection does not take reaches no other", "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    const bool accepted = GENERATE(false, true);
    Keeper k(kind, accepted, 65536);
    int near, far;
    k.f.tcp_pair(near, far);
    auto in = k.f.recv(far);
    k.f.submit(*in);
    string full, other;
    for (uint32_t sent = 65540; sent == 65540;) { /* nobody reads meanwhile */
        sent = k.send(k.near, "head", 65536);
        full += ("head" + k.bytes).substr(0, sent);
        REQUIRE(full.size() < 64u << 20);
        REQUIRE(k.send(near, "other ", 65536) == 65542);
        other += "other " + k.bytes;
        REQUIRE(k.f.until([&] { return in->bytes.size() >= other.size(); }));
    }
    CHECK(k.send(k.near, "head", 65536) == 0);
    REQUIRE(k.send(near, "", 65536) == 65536);
    other += k.bytes;
    auto late = k.f.recv(k.far);
    k.f.submit(*late);
    REQUIRE(k.f.until(
        [&] { return in->bytes.size() >= other.size() && late->bytes.size() >= full.size(); }));
    CHECK((in->bytes == other));
    CHECK((late->bytes == full));
    k.f.end(*in);
    k.f.end(*late);
    k.f.close_fd(near);
    k.f.close_fd(far);
}

TEST_CASE("kept: a peer that is gone is an error, and the next connection is served", "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    signal(SIGPIPE, SIG_IGN);
    Keeper k(kind, true, 65536);
    int near, far;
    k.f.tcp_pair(near, far);
    k.f.close_fd(far);
    asx_err err = ASX_OK;
    REQUIRE(k.f.until([&] {
        k.send(near, "head", 65536, &err);
        return err != ASX_OK;
    }));
    CHECK((err == errno_err(EPIPE) || err == errno_err(ECONNRESET)));
    k.f.close_fd(near);
    auto in = k.f.recv(k.far);
    k.f.submit(*in);
    k.pass(*in, "head", 65536);
    CHECK((in->bytes == k.expected));
    k.f.end(*in);
}

TEST_CASE("kept: short of descriptors nothing is sent, until there are some; all are given back",
          "[reactor]")
{
    const auto kind = BOTH_DRIVERS;
    const unsigned spare = GENERATE(0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u);
    Fixture outer(kind); /* what a process opens only once is open */
    const size_t before = descriptors();
    {
        Keeper k(kind, true, 65536);
        auto in = k.f.recv(k.far);
        k.f.submit(*in);
        k.f.turn(0);
        struct rlimit old, few;
        REQUIRE(getrlimit(RLIMIT_NOFILE, &old) == 0);
        const int lowest = dup(0); /* the first number that is free */
        close(lowest);
        few = old;
        few.rlim_cur = (rlim_t)lowest + spare;
        REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
        const uint32_t sent = k.send(k.near, "head", 65536);
        REQUIRE(setrlimit(RLIMIT_NOFILE, &old) == 0);
        CHECK((sent == 0 || sent == 65540));
        CHECK((sent == 0 || spare >= 3));
        CHECK((sent > 0 || spare < 7));
        k.expected += ("head" + k.bytes).substr(0, sent);
        k.f.turn(0);
        k.pass(*in, "head", 65536);
        CHECK((in->bytes == k.expected));
        k.f.end(*in);
    }
    CHECK(descriptors() == before);
}
