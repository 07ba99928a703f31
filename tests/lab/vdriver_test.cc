/* At stake: a driver may be as odd as a kernel's queue is, and every oddity must leave its ledgers
 * in order: each operation ends once, each lent buffer comes back, each number names whom it named.
 */
#include <asx/lab/vdisk.h>

#include "vnet_fixture.h"

#include <algorithm>
#include <set>
#include <sys/socket.h>

namespace
{

/* Answers one site, from a list and then with 0; asks nothing elsewhere. */
struct Steered : Net {
    uint32_t site;
    std::vector<uint32_t> answers, asked; /* asked: the numbers of alternatives */

    Steered(uint32_t s, std::vector<uint32_t> a, asx_vnet_config config = {},
            asx_vdriver_config vconfig = {})
        : Net(config, Choices::NONE, 42, 2, vconfig), site(s), answers(a)
    {
        env.choose = [](asx_lab_env *self, uint32_t at, uint32_t n, uint64_t) -> uint32_t {
            Steered *const s2 = static_cast<Steered *>(reinterpret_cast<Net *>(self));
            if (at != s2->site) {
                return 0;
            }
            s2->asked.push_back(n);
            const size_t index = s2->asked.size() - 1;
            return index < s2->answers.size() ? std::min(s2->answers[index], n - 1) : 0;
        };
    }
};

std::unique_ptr<Vop> job(Net &n, asx_duration after_ns, std::vector<int> &order, int name)
{
    auto o = n.op(0, ASX_OP_TASK, -1);
    o->op.arg = (uint32_t)after_ns;
    o->op.work = [](asx_op *op) { op->result = 1; };
    o->then = [&order, name](Vop &) { order.push_back(name); };
    o->submit();
    return o;
}

} // namespace

TEST_CASE("vdriver: completions come by due instant, and equals in the order of submission",
          "[lab]")
{
    Net n({}, Choices::NONE);
    std::vector<int> order;
    std::vector<std::unique_ptr<Vop>> ops;
    ops.push_back(job(n, 50, order, 0));
    ops.push_back(job(n, 20, order, 1));
    ops.push_back(job(n, 20, order, 2));
    ops.push_back(job(n, 0, order, 3));
    n.idle();
    CHECK(order == std::vector<int>{ 3, 1, 2, 0 });
    CHECK(n.env.now_ns == ASX_NS_PER_S + 50);
}

TEST_CASE("vdriver: which blocking job ends next is a choice", "[lab]")
{
    std::set<std::vector<int>> orders;
    for (uint32_t first = 0; first < 3; first++) {
        for (uint32_t second = 0; second < 2; second++) {
            Steered n(ASX_CHOICE_POOL, { first, second });
            std::vector<int> order;
            auto a = job(n, 5, order, 0), b = job(n, 5, order, 1), c = job(n, 5, order, 2);
            n.idle();
            CHECK(n.asked == std::vector<uint32_t>{ 3, 2 });
            orders.insert(order);
        }
    }
    CHECK(orders.size() == 6);
}

TEST_CASE("vdriver: unrelated completions come in any order, and none is passed over for ever",
          "[lab]")
{
    Steered n(ASX_CHOICE_CQORD, std::vector<uint32_t>(1000, 1));
    int near[2], far[2];
    n.pair(0, 1, near[0], far[0], "10.0.0.1:80");
    n.pair(0, 1, near[1], far[1], "10.0.0.1:81");
    auto a = n.recv(1, far[0]), b = n.recv(1, far[1]);
    std::vector<int> order;
    a->then = [&](Vop &) { order.push_back(0); };
    b->then = [&](Vop &) { order.push_back(1); };
    a->submit();
    b->submit();
    auto x = n.io(0, ASX_OP_SEND, near[0], "x", 1), y = n.io(0, ASX_OP_SEND, near[1], "y", 1);
    x->submit();
    y->submit();
    n.until([&] { return order.size() == 2; });
    CHECK(order == std::vector<int>{ 1, 0 }); /* not as they were sent */
    a->then = b->then = nullptr;
    std::vector<std::unique_ptr<Vop>> ops;
    auto first = n.op(0, ASX_OP_SHUTDOWN, near[0]);
    first->op.arg = SHUT_WR;
    first->submit();
    int picks = 0;
    for (; !first->ends && picks < 100; picks++) { /* newcomers keep being preferred */
        auto o = n.op(0, ASX_OP_SHUTDOWN, 999);
        ops.push_back(std::move(o));
        ops.back()->submit();
        n.drivers[0]->ops->reap(n.drivers[0], 1);
    }
    CHECK(picks > 2);
    CHECK(picks < 12);
    n.idle();
    n.end(*b);
    if (!a->ends) {
        n.end(*a);
    }
    for (int i = 0; i < 2; i++) {
        n.close(0, near[i]);
        n.close(1, far[i]);
    }
}

TEST_CASE("vdriver: completions that are due may wait for the next reap", "[lab]")
{
    Steered n(ASX_CHOICE_CQBATCH, { 2 });
    std::vector<int> order;
    auto a = job(n, 0, order, 0), b = job(n, 0, order, 1), c = job(n, 0, order, 2);
    n.drivers[0]->ops->reap(n.drivers[0], 256);
    CHECK(order.size() == 1);
    CHECK(n.drivers[0]->ops->ready(n.drivers[0]));
    CHECK(asx_vdriver_wants(n.drivers[0]) <= n.env.now_ns);
    n.drivers[0]->ops->reap(n.drivers[0], 256);
    CHECK(order.size() == 3);
}

TEST_CASE("vdriver: a cancel has three answers", "[lab]")
{
    SECTION("done: the operation ends ECANCELED, and later bytes are the next one's")
    {
        Steered n(ASX_CHOICE_IORES, { 0 });
        int near, far;
        n.pair(0, 1, near, far);
        n.asked.clear(); /* what pair() cancelled */
        char buf[8];
        auto in = n.io(1, ASX_OP_RECV, far, buf, 8);
        in->submit();
        in->cancel();
        in->cancel();
        CHECK(in->ends == 0); /* never within the call */
        n.idle();
        CHECK(in->failed(ECANCELED));
        auto next = n.io(1, ASX_OP_RECV, far, buf, 8), out = n.io(0, ASX_OP_SEND, near, "xy", 2);
        next->submit();
        CHECK(n.run(*out));
        n.idle();
        CHECK(next->op.result == 2);
        n.close(0, near);
        n.close(1, far);
    }
    SECTION("too late: it was on its way, and ends with what it has done")
    {
        Steered n(ASX_CHOICE_IORES, { 0, 1, 1 });
        int near, far;
        n.pair(0, 1, near, far);
        char buf[8];
        auto in = n.io(1, ASX_OP_RECV, far, buf, 8), out = n.io(0, ASX_OP_SEND, near, "xy", 2);
        in->submit();
        out->submit();
        in->cancel();
        n.idle();
        CHECK(in->ends == 1);
        CHECK(in->op.err == ASX_OK);
        CHECK(in->op.result == 2);
        auto multi = n.recv(1, far); /* nothing comes: then it takes effect, later */
        multi->submit();
        const asx_instant start_ns = n.env.now_ns;
        multi->cancel();
        n.idle();
        CHECK(multi->failed(ECANCELED));
        CHECK(n.env.now_ns > start_ns);
        n.close(0, near);
        n.close(1, far);
    }
    SECTION("nothing to cancel: its completion is in the queue")
    {
        Steered n(ASX_CHOICE_IORES, { 0 });
        int near, far;
        n.pair(0, 1, near, far);
        n.asked.clear();
        auto out = n.io(0, ASX_OP_SEND, near, "xy", 2);
        out->submit();
        out->cancel();
        n.idle();
        CHECK(out->ends == 1);
        CHECK(out->op.err == ASX_OK);
        CHECK(n.asked.empty());
        n.close(0, near);
        n.close(1, far);
        n.idle();
    }
    SECTION("a multishot with bytes here may deliver them first, and ends all the same")
    {
        for (uint32_t late = 0; late < 2; late++) {
            Steered n(ASX_CHOICE_IORES, { 0, late });
            int near, far;
            n.pair(0, 1, near, far);
            auto in = n.recv(1, far), out = n.io(0, ASX_OP_SEND, near, "xy", 2);
            in->submit();
            out->submit();
            n.until([&] { return asx_vdriver_wants(n.drivers[1]) <= n.env.now_ns; });
            in->cancel();
            n.idle();
            CHECK(in->failed(ECANCELED));
            CHECK(in->bytes == (late ? "xy" : ""));
            n.close(0, near);
            n.close(1, far);
        }
    }
}

TEST_CASE("vdriver: cancelled work may have been done", "[lab]")
{
    for (uint32_t loses = 0; loses < 2; loses++) {
        Steered n(ASX_CHOICE_IORES, { loses });
        std::vector<int> order;
        auto o = job(n, 1000, order, 0);
        o->cancel();
        n.idle();
        CHECK(o->ends == 1);
        CHECK(o->op.err == (loses ? ASX_OK : asx_err_errno(ECANCELED)));
        CHECK(o->op.result == loses);
    }
}

TEST_CASE("vdriver: without receive buffers a receive starves, is counted once, and recovers",
          "[lab]")
{
    asx_vdriver_config vconfig{};
    vconfig.buf_count = 1;
    vconfig.buf_size = 4;
    Net n({}, Choices::NONE, 42, 2, vconfig);
    int near[2], far[2];
    n.pair(0, 1, near[0], far[0], "10.0.0.1:80");
    n.pair(0, 1, near[1], far[1], "10.0.0.1:81");
    static asx_rbuf *kept;
    auto a = n.recv(1, far[0]), b = n.recv(1, far[1]);
    a->op.done = [](asx_op *op) { /* keeps what it is lent */
                                  Vop *const self = reinterpret_cast<Vop *>(op);
                                  self->completions++;
                                  self->ends += !op->more;
                                  kept = op->more ? op->rbuf : kept;
    };
    a->submit();
    b->submit();
    auto x = n.io(0, ASX_OP_SEND, near[0], "12345678", 8);
    auto y = n.io(0, ASX_OP_SEND, near[1], "abcdefgh", 8);
    CHECK(n.run(*x));
    n.idle();
    CHECK(a->completions == 1);
    CHECK(n.run(*y));
    n.idle();
    CHECK(b->bytes.empty());
    asx_driver_stats stats;
    n.drivers[1]->ops->stats(n.drivers[1], &stats);
    CHECK(stats.buf_starved == 2); /* once each, however often it was reaped */
    SECTION("a starved receive can be cancelled")
    {
        n.end(*b);
        CHECK(b->failed(ECANCELED));
    }
    SECTION("or closed over")
    {
        n.close(1, far[1]);
        far[1] = -1;
        n.idle();
        CHECK(b->failed(ECANCELED));
    }
    a->cancel();
    n.idle();
    CHECK(a->ends == 1);
    n.drivers[1]->ops->buf_return(n.drivers[1], kept);
    n.idle();
    if (!b->ends) {
        n.end(*b);
    }
    for (int i = 0; i < 2; i++) {
        n.close(0, near[i]);
        if (far[i] >= 0) {
            n.close(1, far[i]);
        }
    }
}

TEST_CASE("vdriver: a descriptor's number is reused, and its old operations do not hear of it",
          "[lab]")
{
    Net n({}, Choices::NONE);
    int near, far;
    n.pair(0, 1, near, far);
    auto stale = n.recv(1, far), out = n.io(0, ASX_OP_SEND, near, "old", 3);
    stale->submit();
    out->submit();
    n.until([&] { return asx_vdriver_wants(n.drivers[1]) <= n.env.now_ns; }); /* ready, unreaped */
    n.close(1, far);
    int other, again;
    n.pair(0, 1, other, again, "10.0.0.1:81");
    CHECK(again == far);
    n.idle();
    CHECK(stale->failed(ECANCELED));
    CHECK(stale->bytes.empty());
    auto fresh = n.recv(1, again), hello = n.io(0, ASX_OP_SEND, other, "new", 3);
    fresh->submit();
    CHECK(n.run(*hello));
    n.idle();
    CHECK(fresh->bytes == "new");
    n.end(*fresh);
    n.close(0, near);
    n.close(0, other);
    n.close(1, again);
}

TEST_CASE("vdriver: without descriptors an accept ends EMFILE and the connection waits", "[lab]")
{
    asx_vdriver_config vconfig{};
    vconfig.fd_max = 2;
    Net n({}, Choices::NONE, 42, 2, vconfig);
    asx_addr a = Net::addr("10.0.0.1:80");
    const int listener = n.listen(1, a), one = n.socket(0, ASX_ADDR_INET),
              two = n.socket(0, ASX_ADDR_INET);
    int32_t none = -1;
    CHECK(n.drivers[0]->ops->socket(n.drivers[0], ASX_ADDR_INET, false, nullptr, &none) ==
          asx_err_errno(EMFILE));
    auto accept = n.op(1, ASX_OP_ACCEPT, listener);
    accept->submit();
    CHECK(n.connect(0, one, a) == ASX_OK);
    CHECK(n.connect(0, two, a) == ASX_OK);
    CHECK(n.until([&] { return accept->ends == 1; }));
    CHECK(accept->op.err == asx_err_errno(EMFILE));
    REQUIRE(accept->accepted.size() == 1);
    int32_t now = -1;
    asx_driver *const d = n.drivers[1];
    CHECK(d->ops->accept_now(d, listener, &now) == asx_err_errno(EMFILE));
    CHECK(n.stats().accepts == 1);
    n.close(1, accept->accepted[0]);
    auto more = n.op(1, ASX_OP_ACCEPT, listener);
    more->submit();
    CHECK(n.until([&] { return more->accepted.size() == 1; }));
    n.end(*more);
    n.close(1, more->accepted[0]);
    n.close(0, one);
    n.close(0, two);
    n.close(1, listener);
}

TEST_CASE("vdriver: a bell is heard now or at the next instant, and once", "[lab]")
{
    for (uint32_t late = 0; late < 2; late++) {
        Steered n(ASX_CHOICE_DOORBELL, { late });
        asx_driver *const d = n.drivers[0];
        d->ops->park(d, ASX_TIME_NEVER);
        CHECK(asx_vdriver_wants(d) == ASX_TIME_NEVER);
        d->ops->wake(d);
        CHECK((asx_vdriver_wants(d) <= n.env.now_ns) == !late);
        CHECK(asx_vdriver_wants(d) <= n.env.now_ns + 1);
        n.env.now_ns += 1;
        d->ops->reap(d, 8);
        d->ops->park(d, ASX_TIME_NEVER);
        CHECK(asx_vdriver_wants(d) == ASX_TIME_NEVER);
    }
}

TEST_CASE("vdriver: a shard's clock may be ahead and run fast; its deadlines keep their meaning",
          "[lab]")
{
    asx_vdriver_config vconfig{};
    vconfig.clock_offset_ns = 12345;
    vconfig.clock_skew_ppm = GENERATE(0, 100, -100, 250000);
    Net n({}, Choices::NONE, 42, 1, vconfig);
    asx_driver *const d = n.drivers[0];
    for (int i = 0; i < 200; i++) {
        const asx_instant now_ns = d->ops->now(d), until_ns = now_ns + 1 + (asx_instant)i * 977;
        d->ops->park(d, until_ns);
        const asx_instant wants_ns = asx_vdriver_wants(d);
        REQUIRE(wants_ns > n.env.now_ns);
        n.env.now_ns = wants_ns - 1;
        CHECK(d->ops->now(d) < until_ns);
        n.env.now_ns = wants_ns;
        CHECK(d->ops->now(d) >= until_ns);
    }
    const asx_instant before_ns = d->ops->now(d);
    asx_vdriver_clock_jump(d, asx_s(3));
    CHECK(d->ops->now(d) == before_ns + asx_s(3));
    CHECK(asx_vdriver_wants(d) <= n.env.now_ns); /* its timers are to be looked at again */
}

TEST_CASE("vdriver: entropy is the seed's and the shard's, whoever asked first", "[lab]")
{
    uint64_t first[2], second[2];
    for (uint64_t *draws : { first, second }) {
        Net n({}, Choices::NONE, 9);
        const uint32_t order = draws == first ? 0 : 1;
        for (uint32_t i = 0; i < 2; i++) {
            asx_driver *const d = n.drivers[i ^ order];
            d->ops->entropy(d, &draws[i ^ order], sizeof(uint64_t));
        }
    }
    CHECK(first[0] == second[0]);
    CHECK(first[1] == second[1]);
    CHECK(first[0] != first[1]);
}

TEST_CASE("vdriver: a send larger than the way goes on as the reader reads", "[lab]")
{
    asx_vnet_config config{};
    config.stream_bytes = 1000;
    config.link.latency_ns = asx_ms(1);
    Net n(config, Choices::NONE);
    int near, far;
    n.pair(0, 1, near, far);
    std::string data(10000, 'd');
    auto out = n.io(0, ASX_OP_SEND, near, data.data(), data.size());
    out->submit();
    n.idle();
    CHECK(out->ends == 0); /* nobody reads */
    auto in = n.recv(1, far);
    in->submit();
    n.idle();
    CHECK(out->ends == 1);
    CHECK(out->op.result == 10000);
    CHECK(in->bytes == data);
    auto stuck = n.io(0, ASX_OP_SEND, near, data.data(), data.size());
    n.end(*in);
    stuck->submit();
    n.idle();
    n.end(*stuck);
    CHECK(stuck->failed(ECANCELED));
    CHECK(stuck->op.result == 1000); /* of which the peer will read each */
    n.close(0, near);
    n.close(1, far);
}
