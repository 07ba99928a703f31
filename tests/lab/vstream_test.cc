/* At stake: a virtual stream delivers what was sent, once and in order, until it breaks, and then a
 * prefix of it; every way of breaking is one that a kernel has. Known endings first, then bytes
 * against a checksum over random runs. */
#include "vnet_fixture.h"

#include <sys/socket.h>

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
