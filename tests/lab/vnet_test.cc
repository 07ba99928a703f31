/* At stake: a lab that loses what a network would not lose finds bugs that are not there, and one
 * that keeps what a network may lose finds none. Known answers first, then every way in which a
 * connection can go wrong, then bytes against a checksum over random runs. */
#include <asx/lab/vlink.h>

#include "vnet_fixture.h"

#include <numeric>
#include <poll.h>
#include <set>
#include <sys/socket.h>

static asx_vnet_config link_of(const char *preset)
{
    asx_vnet_config config{};
    REQUIRE(asx_vlink_preset(preset, &config.link) == ASX_OK);
    return config;
}

/* Datagrams */

struct Packets {
    Net &n;
    int from, to;
    asx_addr addr = Net::addr("10.0.0.1:53");
    char buf[2000];
    std::unique_ptr<Vop> in;
    std::vector<std::string> got;
    std::vector<asx_instant> at_ns;

    Packets(Net &net, uint32_t number = 1) : n(net)
    {
        for (uint32_t i = 1; i < number; i++) { /* the sender's object number */
            n.close(0, n.socket(0, ASX_ADDR_INET, true));
        }
        from = n.socket(0, ASX_ADDR_INET, true);
        to = n.socket(1, ASX_ADDR_INET, true, &addr);
        in = n.io(1, ASX_OP_RECVFROM, to, buf, sizeof(buf));
        in->then = [this](Vop &o) {
            if (!o.op.err) {
                got.emplace_back(buf, o.op.result);
                at_ns.push_back(n.env.now_ns);
                o.submit();
            }
        };
        in->submit();
    }
    ~Packets()
    {
        in->then = nullptr;
        in->ends = 0;
        n.end(*in);
        n.close(0, from);
        n.close(1, to);
    }
    void send(const std::string &text)
    {
        auto out = n.io(0, ASX_OP_SENDTO, from, text.data(), text.size());
        out->addr = addr;
        out->op.addr = &out->addr;
        REQUIRE(n.run(*out));
        REQUIRE(out->op.err == ASX_OK);
        REQUIRE(out->op.result == text.size());
    }
};

TEST_CASE("vlink: draws of the seed's network stream are known", "[lab]")
{
    asx_lab_rand rand;
    asx_lab_rand_init(&rand, 42, 42, 0);
    asx_vlink_conditions c{};
    c.model = ASX_VLINK_UNIFORM;
    c.latency_ns = asx_ms(1);
    c.spread_ns = asx_ms(4);
    const asx_duration known[] = { 4546679, 1095575, 4358804, 3263365, 4331054 };
    for (uint64_t op = 0; op < 5; op++) {
        CHECK(asx_vlink_judge(&c, &rand, 7, op).delay_ns == known[op]);
    }
}

TEST_CASE("vnet: with a tenth lost, exactly the known packets are", "[lab]")
{
    asx_vnet_config config{};
    config.link.loss_ppm = 100000;
    Net n(config);
    Packets p(n, 7);
    for (int i = 0; i < 40; i++) {
        p.send(std::to_string(i));
    }
    n.idle();
    std::set<std::string> lost;
    for (int i = 0; i < 40; i++) {
        lost.insert(std::to_string(i));
    }
    for (const auto &text : p.got) {
        lost.erase(text);
    }
    CHECK(lost == std::set<std::string>{ "6", "9", "17", "23", "31" });
    CHECK(n.stats().dropped == 5);
    CHECK(n.stats().delivered == 35);
}

TEST_CASE("vnet: 1500 bytes at 10^6 bytes a second take 1.5 ms, and the next ones wait", "[lab]")
{
    asx_vnet_config config{};
    config.link.bandwidth = 1000000;
    Net n(config);
    Packets p(n);
    const asx_instant start_ns = n.env.now_ns;
    auto a = n.io(0, ASX_OP_SENDTO, p.from, p.buf, 1500);
    auto b = n.io(0, ASX_OP_SENDTO, p.from, p.buf, 1500);
    for (auto *o : { a.get(), b.get() }) {
        o->addr = p.addr;
        o->op.addr = &o->addr;
        o->submit();
    }
    n.idle();
    REQUIRE(p.at_ns.size() == 2);
    CHECK(p.at_ns[0] - start_ns == 1500000);
    CHECK(p.at_ns[1] - p.at_ns[0] == 1500000);
}

TEST_CASE("vnet: delivered and dropped are sent and duplicated under every preset", "[lab]")
{
    const char *const preset =
        GENERATE("ideal", "local", "lan", "wan", "lossy", "satellite", "congested");
    CAPTURE(preset);
    auto config = link_of(preset);
    config.link.duplicate_ppm = 100000;
    config.link.corrupt_ppm = 10000;
    config.link.truncate_ppm = 10000;
    Net n(config);
    Packets p(n);
    std::string text(100, 't');
    for (int i = 0; i < 2000; i++) {
        n.env.now_ns += asx_ms(5);
        p.send(text);
    }
    n.idle();
    const asx_vnet_stats s = n.stats();
    CHECK(s.sent == 2000);
    CHECK(s.delivered + s.dropped == s.sent + s.duplicated);
    CHECK(s.delivered == p.got.size());
    CHECK(s.in_flight == 0);
    CHECK(s.duplicated > 100);
    size_t damaged = 0;
    for (const auto &got : p.got) {
        damaged += got != text;
    }
    CHECK(damaged > 10);
    CHECK(damaged < 100);
}

TEST_CASE("vnet: presets differ as their names promise", "[lab]")
{
    asx_lab_rand rand;
    asx_lab_rand_init(&rand, 1, 1, 0);
    const struct {
        const char *name;
        double mean_ms, low_ms, high_ms;
    } rows[] = {
        { "ideal", 0, 0, 0 },  { "local", 1, 1, 1 },           { "lan", 3, 1, 5 },
        { "wan", 55, 0, 180 }, { "satellite", 600, 300, 900 }, { "congested", 113, 0, 510 }
    };
    for (const auto &row : rows) {
        CAPTURE(row.name);
        asx_vlink_conditions c{};
        REQUIRE(asx_vlink_preset(row.name, &c) == ASX_OK);
        double sum = 0;
        for (uint64_t op = 0; op < 20000; op++) {
            const double ms = (double)asx_vlink_judge(&c, &rand, 3, op).delay_ns / 1e6;
            REQUIRE(ms >= row.low_ms);
            REQUIRE(ms <= row.high_ms);
            sum += ms;
        }
        CHECK(sum / 20000 == Approx(row.mean_ms).margin(row.mean_ms * 0.02));
    }
    asx_vlink_conditions none{};
    CHECK(asx_vlink_preset("dial-up", &none) == ASX_E(INVALID_ARGUMENT));
}

TEST_CASE("vlink: a log-normal's median and its one-sigma point are as asked", "[lab]")
{
    asx_vlink_conditions c{};
    c.model = ASX_VLINK_LOG_NORMAL;
    c.latency_ns = 1000000;
    c.spread_ns = 1000000; /* one deviation doubles it */
    asx_prng prng;
    asx_prng_init(&prng, 5);
    int below_half = 0, below = 0, below_double = 0;
    for (int i = 0; i < 20000; i++) {
        const asx_duration ns = asx_vlink_latency(&c, asx_prng_u64(&prng));
        below_half += ns < 500000;
        below += ns < 1000000;
        below_double += ns < 2000000;
    }
    CHECK(below == Approx(10000).margin(300));
    CHECK(below_half == Approx(20000 * 0.1587).margin(300));
    CHECK(below_double == Approx(20000 * 0.8413).margin(300));
}

TEST_CASE("vnet: a partition takes what is in flight, healing restores what is sent later", "[lab]")
{
    auto config = link_of("local");
    Net n(config);
    Packets p(n);
    p.send("before");
    asx_vnet_partition(n.net, 0, 1, false);
    n.idle();
    CHECK(p.got.empty());
    p.send("during");
    n.idle();
    asx_vnet_heal(n.net, 0, 1);
    n.idle();
    CHECK(p.got.empty());
    p.send("after");
    n.idle();
    CHECK(p.got == std::vector<std::string>{ "after" });
    CHECK(n.stats().dropped == 2);
}

TEST_CASE("vnet: a crash empties the inbox and the flights, and ends what waits", "[lab]")
{
    auto config = link_of("local");
    Net n(config);
    int near, far;
    n.pair(0, 1, near, far);
    auto waits = n.recv(1, far);
    waits->submit();
    {
        Packets p(n);
        p.in->then = nullptr;
        p.send("read");
        n.idle();
        p.send("unread");
        n.idle();
        p.send("in flight");
        CHECK(n.stats().in_flight == 1);
        asx_vnet_crash(n.net, 1);
        n.idle();
        CHECK(n.stats().in_flight == 0);
        CHECK(waits->failed(ENETDOWN));
        CHECK(n.stats().delivered + n.stats().dropped == n.stats().sent);
        p.in->ends = 0;
        p.in->submit();
        n.idle();
        CHECK(p.in->failed(ENETDOWN));
        p.in->ends = 0;
        p.in->submit();
    }
    auto send = n.io(0, ASX_OP_SEND, near, "x", 1);
    REQUIRE(n.run(*send)); /* it does not know yet */
    CHECK(send->op.err == ASX_OK);
    asx_vnet_restart(n.net, 1);
    auto hears = n.recv(0, near);
    hears->submit();
    n.idle();
    CHECK(hears->failed(ECONNRESET));
    n.close(0, near);
    n.close(1, far);
    n.idle();
    CHECK(n.stats().sockets == 0);
}

TEST_CASE("vnet: a datagram longer than the way allows vanishes, one longer than any is refused",
          "[lab]")
{
    asx_vnet_config config{};
    config.link.mtu = 1000;
    Net n(config);
    Packets p(n);
    p.send(std::string(1000, 'a'));
    p.send(std::string(1001, 'b'));
    n.idle();
    REQUIRE(p.got.size() == 1);
    CHECK(p.got[0].size() == 1000);
    CHECK(n.stats().dropped == 1);
    std::string huge(65508, 'h');
    auto out = n.io(0, ASX_OP_SENDTO, p.from, huge.data(), huge.size());
    out->addr = p.addr;
    out->op.addr = &out->addr;
    REQUIRE(n.run(*out));
    CHECK(out->op.err == asx_err_errno(EMSGSIZE));
}

/* Connections */

TEST_CASE("vnet: connecting takes a round trip", "[lab]")
{
    Net n(link_of("local"));
    asx_addr a = Net::addr("10.0.0.1:80");
    const int listener = n.listen(1, a), fd = n.socket(0, ASX_ADDR_INET);
    const asx_instant start_ns = n.env.now_ns;
    CHECK(n.connect(0, fd, a) == ASX_OK);
    CHECK(n.env.now_ns - start_ns == asx_ms(2));
    asx_addr local{}, remote{};
    CHECK(n.drivers[0]->ops->name(n.drivers[0], fd, false, &local) == ASX_OK);
    CHECK(n.drivers[0]->ops->name(n.drivers[0], fd, true, &remote) == ASX_OK);
    CHECK(local.port == 32768);
    CHECK(remote.port == 80);
    CHECK(n.connect(0, fd, a) == asx_err_errno(EISCONN));
    n.close(1, listener); /* who was never accepted is reset */
    auto in = n.recv(0, fd);
    REQUIRE(n.run(*in));
    CHECK(in->failed(ECONNRESET));
    n.close(0, fd);
}

TEST_CASE("vnet: the ways in which a connect fails", "[lab]")
{
    asx_vnet_config config{};
    config.link.latency_ns = asx_ms(1);
    asx_addr a = Net::addr("10.0.0.1:80");
    SECTION("refused: nobody listens")
    {
        Net n(config);
        const int fd = n.socket(0, ASX_ADDR_INET);
        CHECK(n.connect(0, fd, a) == asx_err_errno(ECONNREFUSED));
        n.close(0, fd);
    }
    SECTION("refused by a fault")
    {
        config.stream.refused_ppm = 1000000;
        Net n(config);
        const int listener = n.listen(1, a), fd = n.socket(0, ASX_ADDR_INET);
        CHECK(n.connect(0, fd, a) == asx_err_errno(ECONNREFUSED));
        n.close(0, fd);
        n.close(1, listener);
    }
    SECTION("unreachable")
    {
        config.stream.unreachable_ppm = 1000000;
        Net n(config);
        const int fd = n.socket(0, ASX_ADDR_INET);
        CHECK(n.connect(0, fd, a) == asx_err_errno(EHOSTUNREACH));
        n.close(0, fd);
    }
    SECTION("timed out, after 63 s of trying, when nothing is heard")
    {
        config.stream.syn_lost_ppm = 1000000;
        Net n(config);
        const asx_instant start_ns = n.env.now_ns;
        const int listener = n.listen(1, a), fd = n.socket(0, ASX_ADDR_INET);
        CHECK(n.connect(0, fd, a) == asx_err_errno(ETIMEDOUT));
        CHECK((n.env.now_ns - start_ns) / ASX_NS_PER_S == 63);
        n.close(0, fd);
        n.close(1, listener);
    }
    SECTION("timed out behind a partition, heard after healing")
    {
        Net n(config);
        const int listener = n.listen(1, a), fd = n.socket(0, ASX_ADDR_INET);
        asx_vnet_partition(n.net, 0, 1, true);
        auto o = n.op(0, ASX_OP_CONNECT, fd);
        o->op.addr = &a;
        o->submit();
        for (int i = 0; i < 4; i++) {
            n.turn();
        }
        CHECK(o->ends == 0);
        asx_vnet_heal(n.net, 0, 1);
        CHECK(n.until([&] { return o->ends == 1; }));
        CHECK(o->op.err == ASX_OK);
        n.close(0, fd);
        n.close(1, listener);
    }
    SECTION("cancelled: the attempt is given up, and nobody is left with half of it")
    {
        Net n(config);
        const int listener = n.listen(1, a), fd = n.socket(0, ASX_ADDR_INET);
        auto o = n.op(0, ASX_OP_CONNECT, fd);
        o->op.addr = &a;
        o->submit();
        n.end(*o);
        CHECK(o->failed(ECANCELED));
        n.close(0, fd);
        n.idle();
        auto accept = n.op(1, ASX_OP_ACCEPT, listener);
        accept->submit();
        n.idle();
        CHECK(accept->accepted.empty());
        n.end(*accept);
        n.close(1, listener);
    }
}

TEST_CASE("vnet: a full backlog makes TCP wait and a Unix connect fail", "[lab]")
{
    asx_vnet_config config{};
    Net n(config);
    asx_addr a = Net::addr("10.0.0.1:80"), u = Net::addr("unix:/run/s");
    const int tcp = n.listen(1, a, 2), local = n.listen(1, u, 2);
    std::vector<int> fds;
    for (int i = 0; i < 2; i++) {
        for (asx_addr *at : { &a, &u }) {
            fds.push_back(n.socket(0, (asx_addr_family)at->family));
            CHECK(n.connect(0, fds.back(), *at) == ASX_OK);
        }
    }
    fds.push_back(n.socket(0, ASX_ADDR_UNIX));
    CHECK(n.connect(0, fds.back(), u) == asx_err_errno(EAGAIN));
    fds.push_back(n.socket(0, ASX_ADDR_INET));
    auto waits = n.op(0, ASX_OP_CONNECT, fds.back());
    waits->op.addr = &a;
    waits->submit();
    for (int i = 0; i < 3; i++) {
        n.turn();
    }
    CHECK(waits->ends == 0);
    auto accept = n.op(1, ASX_OP_ACCEPT, tcp);
    accept->submit();
    CHECK(n.until([&] { return waits->ends == 1; }));
    CHECK(waits->op.err == ASX_OK);
    CHECK(n.until([&] { return accept->accepted.size() == 3; }));
    n.end(*accept);
    for (const int fd : fds) {
        n.close(0, fd);
    }
    for (const int fd : accept->accepted) {
        n.close(1, fd);
    }
    n.close(1, tcp);
    n.close(1, local);
    n.idle();
    CHECK(n.stats().sockets == 0);
}

TEST_CASE("vnet: without ports a connect fails, and a closed one gives its port back", "[lab]")
{
    asx_vnet_config config{};
    config.port_max = 3;
    Net n(config);
    asx_addr a = Net::addr("10.0.0.1:80");
    const int listener = n.listen(1, a);
    int fds[4];
    for (int i = 0; i < 3; i++) {
        fds[i] = n.socket(0, ASX_ADDR_INET);
        CHECK(n.connect(0, fds[i], a) == ASX_OK);
    }
    fds[3] = n.socket(0, ASX_ADDR_INET);
    CHECK(n.connect(0, fds[3], a) == asx_err_errno(EADDRNOTAVAIL));
    n.close(0, fds[1]);
    CHECK(n.connect(0, fds[3], a) == ASX_OK);
    for (const int i : { 0, 2, 3 }) {
        n.close(0, fds[i]);
    }
    n.close(1, listener);
}

TEST_CASE("vnet: a name is served by one, or by those who share it", "[lab]")
{
    Net n({}, Choices::ALL, 42, 3);
    asx_addr a = Net::addr("10.0.0.1:80"), any = Net::addr("0.0.0.0:81");
    const int first = n.listen(0, a, 0, true), second = n.listen(1, a, 0, true);
    const int wild = n.listen(0, any);
    asx_listen_options options{};
    int32_t fd = -1;
    CHECK(n.drivers[2]->ops->listen(n.drivers[2], &a, &options, &fd) == asx_err_errno(EADDRINUSE));
    auto left = n.op(0, ASX_OP_ACCEPT, first), right = n.op(1, ASX_OP_ACCEPT, second);
    left->submit();
    right->submit();
    std::vector<int> fds;
    for (int i = 0; i < 20; i++) {
        fds.push_back(n.socket(2, ASX_ADDR_INET));
        CHECK(n.connect(2, fds.back(), a) == ASX_OK);
    }
    n.idle();
    CHECK(left->accepted.size() == 10);
    CHECK(right->accepted.size() == 10);
    fds.push_back(n.socket(2, ASX_ADDR_INET));
    CHECK(n.connect(2, fds.back(), Net::addr("10.9.9.9:81")) == ASX_OK);
    n.end(*left);
    n.end(*right);
    for (const int f : fds) {
        n.close(2, f);
    }
    for (const int f : left->accepted) {
        n.close(0, f);
    }
    for (const int f : right->accepted) {
        n.close(1, f);
    }
    n.close(0, first);
    n.close(1, second);
    n.close(0, wild);
}

TEST_CASE("vnet: a reset after byte k is an error after at most k bytes", "[lab]")
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        asx_vnet_config config{};
        config.link.latency_ns = asx_ms(1);
        config.stream.reset_ppm = 500000;
        config.stream.unread_lost_ppm = 500000;
        Net n(config, Choices::RANDOM, seed);
        int near, far;
        n.pair(0, 1, near, far);
        auto in = n.recv(1, far);
        in->submit();
        std::string sent;
        asx_err err = ASX_OK;
        for (int i = 0; i < 50 && !err; i++) {
            const std::string text(1 + seed % 64, (char)('a' + i % 26));
            auto out = n.io(0, ASX_OP_SEND, near, text.data(), text.size());
            REQUIRE(n.run(*out));
            err = out->op.err;
            sent += text;
            for (int t = 0; t < 3; t++) {
                n.turn();
            }
        }
        CHECK(err != ASX_OK); /* 2^-50 */
        n.idle();
        REQUIRE(in->ends == 1);
        CHECK(in->op.err == asx_err_errno(ECONNRESET));
        CHECK(in->bytes == sent.substr(0, in->bytes.size()));
        CHECK(in->bytes.size() < sent.size());
        n.close(0, near);
        n.close(1, far);
        n.idle();
        CHECK(n.stats().sockets == 0);
    }
}

TEST_CASE("vnet: ends that are cut short, lost, or held back", "[lab]")
{
    asx_vnet_config config{};
    config.link.latency_ns = asx_ms(1);
    const std::string text(1000, 't');
    SECTION("truncated: fewer bytes and then the end")
    {
        config.stream.truncate_ppm = 1000000;
        Net n(config);
        int near, far;
        n.pair(0, 1, near, far);
        auto in = n.recv(1, far);
        in->submit();
        auto out = n.io(0, ASX_OP_SEND, near, text.data(), text.size());
        REQUIRE(n.run(*out));
        CHECK(out->op.result == 1000); /* the sender cannot know */
        n.idle();
        CHECK(in->ends == 1);
        CHECK(in->op.err == ASX_OK);
        CHECK(in->bytes.size() < 1000);
        auto more = n.io(0, ASX_OP_SEND, near, text.data(), text.size());
        REQUIRE(n.run(*more));
        n.idle();
        auto hears = n.io(0, ASX_OP_SEND, near, text.data(), text.size());
        REQUIRE(n.run(*hears));
        CHECK(hears->op.err == asx_err_errno(ECONNRESET));
        n.close(0, near);
        n.close(1, far);
    }
    SECTION("lost: the peer is half open for ever")
    {
        config.stream.fin_lost_ppm = 1000000;
        Net n(config);
        int near, far;
        n.pair(0, 1, near, far);
        auto in = n.recv(1, far);
        in->submit();
        n.close(0, near);
        n.idle();
        CHECK(in->ends == 0);
        n.end(*in);
        auto out = n.io(1, ASX_OP_SEND, far, "x", 1); /* until it says something */
        REQUIRE(n.run(*out));
        n.idle();
        auto again = n.io(1, ASX_OP_SEND, far, "x", 1);
        REQUIRE(n.run(*again));
        CHECK(again->op.err == asx_err_errno(ECONNRESET));
        n.close(1, far);
    }
    SECTION("stalled: the same bytes, 100 ms later")
    {
        config.stream.stall_ppm = 1000000;
        Net n(config);
        int near, far;
        n.pair(0, 1, near, far);
        auto in = n.recv(1, far);
        in->submit();
        const asx_instant start_ns = n.env.now_ns;
        auto out = n.io(0, ASX_OP_SEND, near, text.data(), text.size());
        REQUIRE(n.run(*out));
        REQUIRE(n.until([&] { return in->bytes == text; }));
        CHECK(n.env.now_ns - start_ns == asx_ms(101));
        n.close(0, near);
        n.idle();
        n.close(1, far);
    }
}

TEST_CASE("vnet: closing over unread bytes resets the peer", "[lab]")
{
    asx_vnet_config config{};
    Net n(config);
    int near, far;
    n.pair(0, 1, near, far);
    auto out = n.io(0, ASX_OP_SEND, near, "unread", 6);
    REQUIRE(n.run(*out));
    n.idle();
    auto in = n.recv(0, near);
    in->submit();
    n.close(1, far);
    n.idle();
    CHECK(in->failed(ECONNRESET));
    auto more = n.io(0, ASX_OP_SEND, near, "x", 1);
    REQUIRE(n.run(*more));
    CHECK(more->op.err == asx_err_errno(EPIPE));
    n.close(0, near);
}

TEST_CASE("vnet: a stream behind a partition goes on when it heals, or times out at its sender",
          "[lab]")
{
    const bool heals = GENERATE(true, false);
    asx_vnet_config config{};
    config.link.latency_ns = asx_ms(1);
    Net n(config);
    int near, far;
    n.pair(0, 1, near, far);
    auto in = n.recv(1, far), back = n.recv(0, near);
    in->submit();
    back->submit();
    const asx_instant start_ns = n.env.now_ns;
    asx_vnet_partition(n.net, 0, 1, true);
    auto out = n.io(0, ASX_OP_SEND, near, "hello", 5);
    REQUIRE(n.run(*out));
    while (n.env.now_ns < start_ns + asx_s(5)) {
        n.turn();
    }
    CHECK(in->bytes.empty());
    if (heals) {
        asx_vnet_heal(n.net, 0, 1);
        CHECK(n.until([&] { return in->bytes == "hello"; }));
        CHECK(n.env.now_ns < start_ns + asx_s(13));
        CHECK(back->ends == 0);
        n.close(0, near);
        n.idle();
        CHECK(in->ends == 1);
    } else {
        n.idle();
        CHECK(back->failed(ETIMEDOUT));
        CHECK(n.env.now_ns > start_ns + asx_s(30));
        CHECK(n.env.now_ns < start_ns + asx_s(70));
        CHECK(in->ends == 0); /* it never hears of it */
        n.close(0, near);
        n.end(*in);
    }
    n.close(1, far);
}

/* Bytes */

#if ASX_ASAN || ASX_TSAN
#define RUNS 3000u
#else
#define RUNS 100000u
#endif

struct Flow { /* one direction, with a pattern that tells positions apart */
    Net &n;
    uint32_t from, to;
    int out_fd, in_fd;
    uint64_t total, sent = 0, seen = 0, salt;
    bool ended = false, broken = false, wrong = false;
    asx_prng *prng;
    std::unique_ptr<Vop> out, in;
    char chunk[6000], sink[700];

    static char at(uint64_t salt, uint64_t position)
    {
        return (char)(asx_mix64(salt + position / 8) >> (position % 8 * 8));
    }
    Flow(Net &net, uint32_t f, uint32_t t, int o, int i, uint64_t bytes, uint64_t s, asx_prng *p)
        : n(net), from(f), to(t), out_fd(o), in_fd(i), total(bytes), salt(s), prng(p)
    {
        const bool multi = asx_prng_below(prng, 2);
        in = multi ? n.recv(to, in_fd) : n.io(to, ASX_OP_RECV, in_fd, sink, 0);
        in->then = [this](Vop &o2) { received(o2); };
        receive();
        out = n.io(from, ASX_OP_SEND, out_fd, chunk, 0);
        out->then = [this](Vop &) { send(); };
        send();
    }
    void receive()
    {
        if (!(in->op.flags & ASX_OP_MULTI)) {
            in->iov[0] = { sink, 1 + asx_prng_below(prng, sizeof(sink)) };
        }
        in->submit();
    }
    void received(Vop &o)
    {
        const char *bytes = sink;
        size_t len = o.op.result;
        if (o.op.flags & ASX_OP_MULTI) {
            bytes = o.bytes.data();
            len = o.bytes.size();
        }
        for (size_t i = 0; i < len; i++) {
            wrong |= bytes[i] != at(salt, seen + i);
        }
        seen += len;
        o.bytes.clear();
        if (o.op.more) {
            if (asx_prng_below(prng, 8) == 0) {
                o.cancel();
            }
            return;
        }
        if (o.op.err == asx_err_errno(ECANCELED)) {
            receive();
        } else if (o.op.err || (o.op.result == 0)) {
            broken |= o.op.err != ASX_OK;
            ended = true;
        } else {
            receive();
        }
    }
    void send()
    {
        if (out->op.err) {
            broken = true;
            return;
        }
        const uint64_t left = total - sent;
        if (left == 0) {
            if (out->op.code == ASX_OP_SEND) { /* every byte is out: half-close */
                out->op.code = ASX_OP_SHUTDOWN;
                out->op.arg = SHUT_WR;
                out->submit();
            }
            return;
        }
        const uint64_t len = std::min<uint64_t>(left, 1 + asx_prng_below(prng, sizeof(chunk)));
        for (uint64_t i = 0; i < len; i++) {
            chunk[i] = at(salt, sent + i);
        }
        sent += len;
        out->iov[0] = { chunk, (size_t)len };
        out->submit();
    }
};

static void random_run(uint64_t seed, bool breaks)
{
    static const char *const presets[] = { "ideal", "local",     "lan",      "wan",
                                           "lossy", "satellite", "congested" };
    asx_prng prng;
    asx_prng_init(&prng, seed);
    auto config = link_of(presets[asx_prng_below(&prng, 7)]);
    config.stream.split_ppm = (uint32_t)asx_prng_below(&prng, 1000000);
    config.stream.short_read_ppm = (uint32_t)asx_prng_below(&prng, 500000);
    config.stream.short_write_ppm = (uint32_t)asx_prng_below(&prng, 500000);
    config.stream.stall_ppm = (uint32_t)asx_prng_below(&prng, 50000);
    config.stream_bytes = 1 + (uint32_t)asx_prng_below(&prng, 5000);
    if (breaks) {
        config.stream.reset_ppm = (uint32_t)asx_prng_below(&prng, 200000);
        config.stream.truncate_ppm = (uint32_t)asx_prng_below(&prng, 200000);
        config.stream.unread_lost_ppm = 300000;
    }
    asx_vdriver_config vconfig{};
    vconfig.buf_count = 4;
    vconfig.buf_size = 256;
    Net n(config, Choices::RANDOM, seed, 2, vconfig);
    int near, far;
    n.pair(0, 1, near, far, asx_prng_below(&prng, 4) ? "10.0.0.1:80" : "unix:/s");
    {
        const uint64_t most = asx_prng_below(&prng, 16) ? 600 : 20000;
        Flow there(n, 0, 1, near, far, asx_prng_below(&prng, most), seed, &prng);
        Flow back(n, 1, 0, far, near, asx_prng_below(&prng, most), ~seed, &prng);
        n.idle();
        for (Flow *flow : { &there, &back }) {
            CAPTURE(seed, breaks);
            REQUIRE(!flow->wrong);
            REQUIRE(flow->seen <= flow->sent);
            if (!breaks) {
                REQUIRE(flow->ended);
                REQUIRE(!flow->broken);
                REQUIRE(flow->seen == flow->total);
            }
        }
        asx_vnet_check(n.net);
        n.close(0, near);
        n.close(1, far);
        n.idle();
    }
    REQUIRE(n.stats().sockets == 0);
}

TEST_CASE("vnet: a stream loses, invents and reorders nothing in 10^5 random runs", "[lab]")
{
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        random_run(seed, false);
    }
}

TEST_CASE("vnet: what arrives before a stream breaks is a prefix of what was sent", "[lab]")
{
    for (uint64_t seed = 1; seed <= RUNS / 10; seed++) {
        random_run(seed, true);
    }
}
