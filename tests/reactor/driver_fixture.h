/* A driver under test and operations that record what they were told. The same cases run on both
 * kernel drivers, and where they touch nothing but the driver, on the lab's: whatever differs
 * between them is a defect of one. */
#ifndef ASX_TESTS_REACTOR_DRIVER_FIXTURE_H
#define ASX_TESTS_REACTOR_DRIVER_FIXTURE_H

#include <asx/lab/vdriver.h>
#include <asx/lab/vnet.h>
#include <asx/reactor/epoll.h>
#include <asx/reactor/uring.h>

#include <algorithm>
#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <memory>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

struct Op {
    struct Raw {
        asx_op op;
        Op *owner;
    } raw{ {}, this };
    asx_op &op = raw.op;
    asx_driver *driver = nullptr;
    int completions = 0; /* with data */
    int ends = 0;        /* with more == false */
    asx_err err = 0;
    uint32_t result = 0;
    std::string bytes;         /* what RECV MULTI lent */
    std::vector<int> accepted; /* what ACCEPT gave */
    std::vector<asx_rbuf *> held;
    bool hold = false; /* keep buffers instead of returning them */
    std::function<void(Op &)> then;
    struct iovec iov[ASX_OP_IOV_MAX];
    asx_addr addr{};
    struct stat st {
    };

    static void done(asx_op *first)
    {
        reinterpret_cast<Raw *>(first)->owner->record();
    }

    void record()
    {
        completions++;
        err = op.err;
        result = op.result;
        if (op.code == ASX_OP_RECV && (op.flags & ASX_OP_MULTI) && op.more) {
            bytes.append(op.rbuf->data, op.result);
            if (hold) {
                held.push_back(op.rbuf);
            } else {
                driver->ops->buf_return(driver, op.rbuf);
            }
        }
        if (op.code == ASX_OP_ACCEPT && op.more) {
            accepted.push_back((int)op.result);
        }
        if (!op.more) {
            ends++;
        }
        if (then) {
            then(*this);
        }
    }
};

/* What the lab's driver needs around it: a clock, a network, and a seed that chooses. */
struct Lab {
    asx_lab_env env{};
    asx_lab_rand rand;
    asx_vnet *net = nullptr;

    Lab()
    {
        asx_lab_rand_init(&rand, 42, 42, 0);
        env.now_ns = ASX_NS_PER_S;
        env.rand = &rand;
        env.choose = [](asx_lab_env *self, uint32_t, uint32_t n, uint64_t) -> uint32_t {
            Lab *const lab = reinterpret_cast<Lab *>(self);
            return (uint32_t)asx_prng_below(&lab->rand.prng[ASX_LAB_SCHED], n);
        };
        asx_vnet_config config{};
        config.env = &env;
        config.link.latency_ns = asx_ms(1);
        config.stream.split_ppm = 500000;
        config.stream.short_write_ppm = 100000;
        config.stream.short_read_ppm = 500000;
        REQUIRE(asx_vnet_create(&config, &net) == ASX_OK);
    }
    ~Lab()
    {
        asx_vnet_destroy(net);
    }
    asx_err open(const asx_driver_config &sizes, asx_driver **driver)
    {
        asx_vdriver_config config{};
        config.env = &env;
        config.net = net;
        config.buf_count = sizes.buf_count;
        config.buf_size = sizes.buf_size;
        return asx_vdriver_create(&config, driver);
    }
};
static_assert(offsetof(Lab, env) == 0, "choose() finds the lab by its env");

/* ASX_TEST_URING_RUNG: the same cases over the set-up flags of older kernels. */
static inline uint32_t rung_of_environment()
{
    const char *const text = getenv("ASX_TEST_URING_RUNG");
    return text ? (uint32_t)strtoul(text, nullptr, 10) : 0;
}

struct Fixture {
    std::unique_ptr<Lab> lab; /* goes last */
    asx_driver *driver = nullptr;
    asx_driver_config config{};

    explicit Fixture(asx_driver_kind kind, asx_driver_config c = {}) : config(c)
    {
        if (kind == ASX_DRIVER_LAB) {
            lab = std::make_unique<Lab>();
        }
        config.setup_rung = rung_of_environment();
        const asx_err err = lab                        ? lab->open(config, &driver)
                            : kind == ASX_DRIVER_URING ? asx_uring_create(&config, &driver)
                                                       : asx_epoll_create(&config, &driver);
        REQUIRE(err == ASX_OK);
    }

    ~Fixture()
    {
        if (driver) {
            asx_driver_stats s{};
            driver->ops->stats(driver, &s);
            CHECK(s.in_flight == 0);
            if (s.in_flight == 0) {
                driver->ops->destroy(driver);
            }
        }
    }

    std::unique_ptr<Op> op(asx_op_code code, int fd = -1)
    {
        auto o = std::make_unique<Op>();
        o->driver = driver;
        o->op.code = (uint8_t)code;
        o->op.fd = fd;
        o->op.done = Op::done;
        return o;
    }
    std::unique_ptr<Op> recv(int fd)
    {
        auto o = op(ASX_OP_RECV, fd);
        o->op.flags = ASX_OP_MULTI;
        return o;
    }
    std::unique_ptr<Op> io(asx_op_code code, int fd, void *data, size_t len)
    {
        auto o = op(code, fd);
        o->iov[0] = { data, len };
        o->op.iov = o->iov;
        o->op.iov_count = 1;
        return o;
    }

    void submit(Op &o)
    {
        driver->ops->submit(driver, &o.op);
    }
    void cancel(Op &o)
    {
        driver->ops->cancel(driver, &o.op);
    }

    void turn(uint64_t wait_ms = 20)
    {
        driver->ops->reap(driver, 256);
        driver->ops->park(driver, asx_time_add(driver->ops->now(driver), asx_ms(wait_ms)));
        if (lab) { /* elsewhere time passes even when nobody waits */
            const asx_instant wants_ns = asx_vdriver_wants(driver);
            lab->env.now_ns = std::max(wants_ns, lab->env.now_ns + asx_ms(wait_ms ? 0 : 1));
        }
        driver->ops->reap(driver, 256);
    }
    /* Turns until `cond`; false when `rounds` were not enough. */
    bool until(const std::function<bool()> &cond, int rounds = 400)
    {
        for (int i = 0; i < rounds; i++) {
            if (cond()) {
                return true;
            }
            turn();
        }
        return cond();
    }
    bool run(Op &o)
    {
        submit(o);
        return until([&] { return o.ends == 1; });
    }
    /* Cancels what is in flight and waits for its end. */
    void end(Op &o)
    {
        cancel(o);
        CHECK(until([&] { return !(o.op.flags & ASX_OP_SUBMITTED); }));
    }
    void close_fd(int fd)
    {
        driver->ops->close_now(driver, fd);
    }

    int listen(asx_addr &addr)
    {
        asx_listen_options options{};
        options.nodelay = true;
        int32_t fd = -1;
        REQUIRE(driver->ops->listen(driver, &addr, &options, &fd) == ASX_OK);
        if (addr.family != ASX_ADDR_UNIX) {
            REQUIRE(driver->ops->name(driver, fd, false, &addr) == ASX_OK);
        }
        return fd;
    }

    int connect(asx_addr &addr)
    {
        int32_t fd = -1;
        REQUIRE(driver->ops->socket(driver, (asx_addr_family)addr.family, false, nullptr, &fd) ==
                ASX_OK);
        auto connect = op(ASX_OP_CONNECT, fd);
        connect->op.addr = &addr;
        REQUIRE(run(*connect));
        REQUIRE(connect->err == ASX_OK);
        return fd;
    }

    /* A connected pair of TCP sockets, both known to the driver. */
    void tcp_pair(int &near, int &far)
    {
        asx_addr addr{};
        REQUIRE(asx_addr_parse("127.0.0.1:0", &addr) == ASX_OK);
        const int listener = listen(addr);
        auto accept = op(ASX_OP_ACCEPT, listener);
        submit(*accept);
        near = connect(addr);
        REQUIRE(until([&] { return accept->accepted.size() == 1; }));
        end(*accept);
        far = accept->accepted[0];
        close_fd(listener);
    }
};

inline asx_err errno_err(int errnum)
{
    return asx_err_errno(errnum);
}

#define BOTH_DRIVERS GENERATE(ASX_DRIVER_URING, ASX_DRIVER_EPOLL)
#define ALL_DRIVERS GENERATE(ASX_DRIVER_URING, ASX_DRIVER_EPOLL, ASX_DRIVER_LAB)

#endif
