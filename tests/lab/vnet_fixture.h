/* Drivers on one virtual network, no kernel above them, and a clock that jumps to what is next. */
#ifndef ASX_TESTS_LAB_VNET_FIXTURE_H
#define ASX_TESTS_LAB_VNET_FIXTURE_H

#include <asx/lab/vdriver.h>
#include <asx/lab/vlink.h>
#include <asx/lab/vnet.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

enum class Choices { NONE, ALL, RANDOM }; /* always 0 · always the last · from the seed */

static inline asx_vnet_config link_of(const char *preset)
{
    asx_vnet_config config{};
    REQUIRE(asx_vlink_preset(preset, &config.link) == ASX_OK);
    return config;
}

/* An operation that records what it was told. */
struct Vop {
    asx_op op{};
    asx_driver *driver = nullptr;
    int completions = 0, ends = 0;
    std::string bytes;
    std::vector<int> accepted;
    std::function<void(Vop &)> then;
    struct iovec iov[ASX_OP_IOV_MAX];
    asx_addr addr{};

    static void done(asx_op *first)
    {
        Vop *const self = reinterpret_cast<Vop *>(first);
        self->completions++;
        self->ends += !first->more;
        if (first->more && first->code == ASX_OP_RECV) {
            self->bytes.append(first->rbuf->data, first->result);
            self->driver->ops->buf_return(self->driver, first->rbuf);
        }
        if (first->more && first->code == ASX_OP_ACCEPT) {
            self->accepted.push_back((int)first->result);
        }
        if (self->then) {
            self->then(*self);
        }
    }
    void submit()
    {
        driver->ops->submit(driver, &op);
    }
    void cancel()
    {
        driver->ops->cancel(driver, &op);
    }
    bool failed(int errnum) const
    {
        return ends == 1 && op.err == asx_err_errno(errnum);
    }
};

struct Net {
    asx_lab_env env{};
    asx_lab_rand rand;
    Choices choices;
    asx_vnet *net = nullptr;
    std::vector<asx_driver *> drivers;

    explicit Net(asx_vnet_config config = {}, Choices c = Choices::ALL, uint64_t seed = 42,
                 uint32_t count = 2, asx_vdriver_config vconfig = {})
        : choices(c)
    {
        asx_lab_rand_init(&rand, seed, seed, 0);
        env.now_ns = ASX_NS_PER_S;
        env.rand = &rand;
        env.choose = choose;
        config.env = &env;
        REQUIRE(asx_vnet_create(&config, &net) == ASX_OK);
        vconfig.env = &env;
        vconfig.net = net;
        for (uint32_t i = 0; i < count; i++) {
            vconfig.shard = i;
            vconfig.host = i;
            drivers.push_back(nullptr);
            REQUIRE(asx_vdriver_create(&vconfig, &drivers.back()) == ASX_OK);
        }
    }
    ~Net()
    {
        asx_vnet_check(net);
        for (asx_driver *driver : drivers) {
            asx_driver_stats stats;
            driver->ops->stats(driver, &stats);
            CHECK(stats.in_flight == 0);
            driver->ops->destroy(driver);
        }
        asx_vnet_destroy(net);
    }
    static uint32_t choose(asx_lab_env *env, uint32_t site, uint32_t n, uint64_t)
    {
        Net *const self = reinterpret_cast<Net *>(env);
        switch (self->choices) {
        case Choices::NONE:
            return 0;
        case Choices::ALL: /* every fault that is proposed; nothing else unusual */
            return site == ASX_CHOICE_FAULT ? n - 1 : 0;
        case Choices::RANDOM:
            break;
        }
        return (uint32_t)asx_prng_below(&self->rand.prng[ASX_LAB_SCHED], n);
    }

    std::unique_ptr<Vop> op(uint32_t host, asx_op_code code, int fd)
    {
        auto o = std::make_unique<Vop>();
        o->driver = drivers[host];
        o->op.code = (uint8_t)code;
        o->op.fd = fd;
        o->op.done = Vop::done;
        return o;
    }
    std::unique_ptr<Vop> recv(uint32_t host, int fd)
    {
        auto o = op(host, ASX_OP_RECV, fd);
        o->op.flags = ASX_OP_MULTI;
        return o;
    }
    std::unique_ptr<Vop> io(uint32_t host, asx_op_code code, int fd, const void *data, size_t len)
    {
        auto o = op(host, code, fd);
        o->iov[0] = { const_cast<void *>(data), len };
        o->op.iov = o->iov;
        o->op.iov_count = 1;
        return o;
    }

    /* One turn of everybody, or the clock moves. False: nothing can happen any more. */
    bool turn()
    {
        unsigned count = 0;
        for (asx_driver *driver : drivers) {
            count += driver->ops->reap(driver, 256);
        }
        if (count > 0) {
            return true;
        }
        asx_instant next_ns = ASX_TIME_NEVER;
        for (asx_driver *driver : drivers) {
            driver->ops->park(driver, ASX_TIME_NEVER);
            next_ns = std::min(next_ns, asx_vdriver_wants(driver));
        }
        if (next_ns == ASX_TIME_NEVER) {
            return false;
        }
        env.now_ns = std::max(env.now_ns, next_ns);
        return true;
    }
    bool until(const std::function<bool()> &cond)
    {
        while (!cond() && turn()) {
        }
        return cond();
    }
    void idle()
    {
        while (turn()) {
        }
    }
    bool run(Vop &o)
    {
        o.submit();
        return until([&] { return o.ends == 1; });
    }
    void end(Vop &o)
    {
        o.cancel();
        CHECK(until([&] { return !(o.op.flags & ASX_OP_SUBMITTED); }));
    }
    void close(uint32_t host, int fd)
    {
        drivers[host]->ops->close_now(drivers[host], fd);
    }
    asx_vnet_stats stats()
    {
        asx_vnet_stats s;
        asx_vnet_stats_read(net, &s);
        return s;
    }

    static asx_addr addr(const char *text)
    {
        asx_addr a{};
        REQUIRE(asx_addr_parse(text, &a) == ASX_OK);
        return a;
    }
    int listen(uint32_t host, asx_addr &a, uint32_t backlog = 0, bool reuse_port = false)
    {
        asx_listen_options options{};
        options.backlog = backlog;
        options.reuse_port = reuse_port;
        int32_t fd = -1;
        REQUIRE(drivers[host]->ops->listen(drivers[host], &a, &options, &fd) == ASX_OK);
        REQUIRE(drivers[host]->ops->name(drivers[host], fd, false, &a) == ASX_OK);
        return fd;
    }
    int socket(uint32_t host, asx_addr_family family, bool datagram = false,
               const asx_addr *local = nullptr)
    {
        int32_t fd = -1;
        REQUIRE(drivers[host]->ops->socket(drivers[host], family, datagram, local, &fd) == ASX_OK);
        return fd;
    }
    /* Connects; the error of it, when there is one. */
    asx_err connect(uint32_t host, int fd, const asx_addr &a)
    {
        auto o = op(host, ASX_OP_CONNECT, fd);
        o->addr = a;
        o->op.addr = &o->addr;
        CHECK(run(*o));
        return o->op.err;
    }
    /* A connection from host `from` to host `to`. */
    void pair(uint32_t from, uint32_t to, int &near, int &far, const char *at = "10.0.0.1:80")
    {
        asx_addr a = addr(at);
        const int listener = listen(to, a);
        auto accept = op(to, ASX_OP_ACCEPT, listener);
        accept->submit();
        near = socket(from, (asx_addr_family)a.family);
        REQUIRE(connect(from, near, a) == ASX_OK);
        REQUIRE(until([&] { return accept->accepted.size() == 1; }));
        far = accept->accepted[0];
        end(*accept);
        close(to, listener);
    }
};
static_assert(offsetof(Net, env) == 0, "choose() finds the net by its env");

#endif
