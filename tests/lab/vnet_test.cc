/* At stake: a lab that loses what a network would not lose finds bugs that are not there, and one
 * that keeps what a network may lose finds none. Known answers first, then every way in which a
 * connection can fail to be made. */
#include <asx/lab/vlink.h>

#include "vnet_fixture.h"

#include <set>
#include <sys/socket.h>

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
