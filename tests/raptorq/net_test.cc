/* Both ends as fibers over real sockets on loopback, under each driver that the machine has. At
 * stake: what the virtual path of transfer_test.cc cannot show, that is operations in flight,
 * the pool, and a cancel at any moment, after which no operation, descriptor or file is left. */
#include <asx/raptorq/landing.h>
#include <asx/raptorq/net/link.h>
#include <asx/raptorq/net/recv.h>
#include <asx/raptorq/net/send.h>
#include <asx/reactor/probe.h>
#include <asx/shard/event.h>
#include <asx/shard/scope.h>
#include <asx/shard/shard.h>

#include "support.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace fs = std::filesystem;

namespace
{

struct place {
    fs::path root;
    place()
    {
        char name[] = "/tmp/asx-rq-net-XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        root = name;
    }
    place(const place &) = delete;
    place &operator=(const place &) = delete;
    ~place()
    {
        fs::remove_all(root);
    }
    std::string at(const char *name) const
    {
        return (root / name).string();
    }
    size_t entries() const
    {
        return (size_t)std::distance(fs::directory_iterator(root), fs::directory_iterator());
    }
};

rq::bytes read(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    return rq::bytes(std::istreambuf_iterator<char>(file), {});
}

/* One transfer in one shard: two fibers, and an address that the one tells the other. */
struct pair {
    place dir;
    rq::bytes object;
    asx_rq_keyring *keys = nullptr;
    asx_rq_send_config send = {};
    asx_rq_recv_config recv = {};
    asx_rq_send_report sent;
    asx_rq_recv_report received;
    asx_outcome send_outcome, recv_outcome;
    asx_rq_landing landing;
    bool is_open = false;
    asx_event bound = {};
    asx_duration cancel_ns = 0; /* 0: not */
    bool cancels_sender = false;
    int progress = 0;

    explicit pair(size_t size, uint32_t seed) : object(rq::object(size, seed))
    {
        const rq::bytes bytes = rq::object(32, seed);
        asx_rq_key key;
        REQUIRE(asx_rq_key_parse(&key, bytes.data(), bytes.size()) == ASX_OK);
        REQUIRE(asx_rq_keyring_create(&keys, &key) == ASX_OK);
        send.sender.source = object.data();
        send.sender.size = size;
        send.sender.symbol_size = 1000;
        send.sender.block_size = 200000;
        send.sender.has_feedback = true;
        send.sender.keys = keys;
        send.sender.digest = asx_rq_sha256;
        send.sender.silence_ns = 5 * ASX_NS_PER_S;
        send.progress = [](void *arg, const asx_rq_sender_stats *) { ((pair *)arg)->progress++; };
        send.progress_arg = this;
        recv.receiver.keys = keys;
        recv.receiver.digest = asx_rq_sha256;
        recv.receiver.open = open;
        recv.receiver.store = [](void *arg) {
            return asx_rq_landing_commit(&((pair *)arg)->landing);
        };
        recv.receiver.arg = this;
        recv.idle_ns = 5 * ASX_NS_PER_S;
        recv.linger_ns = ASX_NS_PER_S / 5;
        recv.bound = [](void *arg, const asx_addr *local) {
            ((pair *)arg)->send.to = *local;
            asx_event_set(&((pair *)arg)->bound);
        };
        recv.arg = this;
        REQUIRE(asx_addr_parse("127.0.0.1:0", &recv.local) == ASX_OK);
    }
    pair(const pair &) = delete;
    pair &operator=(const pair &) = delete;
    ~pair()
    {
        if (is_open) {
            asx_rq_landing_close(&landing);
        }
        asx_rq_keyring_destroy(keys);
    }
    static asx_err open(void *arg, uint64_t size, void **target)
    {
        pair *p = (pair *)arg;
        const asx_err err = asx_rq_landing_open(&p->landing, p->dir.at("out").c_str(), size);
        p->is_open = err == ASX_OK;
        *target = p->landing.data;
        return err;
    }
    static asx_outcome send_fiber(asx_cx *cx, void *arg)
    {
        pair *p = (pair *)arg;
        ASX_TRY(asx_event_wait(cx, &p->bound, "the receiver", asx_now(cx) + ASX_NS_PER_S));
        p->send_outcome = asx_rq_send(cx, &p->send, &p->sent);
        return p->send_outcome;
    }
    static asx_outcome recv_fiber(asx_cx *cx, void *arg)
    {
        pair *p = (pair *)arg;
        p->recv_outcome = asx_rq_recv(cx, &p->recv, &p->received);
        return p->recv_outcome;
    }
    static asx_outcome root(asx_cx *cx, void *arg)
    {
        pair *p = (pair *)arg;
        asx_handle sender, receiver;
        if (asx_spawn(cx, NULL, send_fiber, p, 0, NULL, &sender) != ASX_OK ||
            asx_spawn(cx, NULL, recv_fiber, p, 0, NULL, &receiver) != ASX_OK) {
            return asx_fail(ASX_E(NO_MEMORY));
        }
        if (p->cancel_ns > 0) {
            ASX_TRY(asx_sleep(cx, p->cancel_ns));
            asx_task_cancel(cx, p->cancels_sender ? sender : receiver, ASX_CANCEL_USER, "test");
        }
        p->send_outcome = asx_join_drained(cx, sender, NULL);
        if (p->send_outcome.severity != ASX_SEVERITY_OK) {
            asx_task_cancel(cx, receiver, ASX_CANCEL_USER, "no sender");
        }
        p->recv_outcome = asx_join_drained(cx, receiver, NULL);
        return asx_ok(0);
    }
    /* False where the machine has no such driver. */
    bool run(asx_driver_choice choice)
    {
        static const asx_driver_config plain = {};
        asx_driver *driver;
        asx_shard *shard;
        if (asx_driver_create(choice, &plain, &driver, NULL, 0) != ASX_OK) {
            return false;
        }
        asx_shard_config config = {};
        config.driver = driver;
        REQUIRE(asx_shard_create(&config, &shard) == ASX_OK);
        const asx_outcome outcome = asx_shard_run(shard, root, this);
        CHECK(outcome.severity == ASX_SEVERITY_OK);
        asx_shard_destroy(shard); /* asserts that nothing is left */
        return true;
    }
};

const asx_driver_choice choices[] = { ASX_DRIVER_CHOICE_EPOLL, ASX_DRIVER_CHOICE_URING };

} // namespace

TEST_CASE("net: an object crosses loopback and lands whole", "[raptorq][net][threads]")
{
    for (asx_driver_choice choice : choices) {
        for (size_t size : { 0u, 1u, 999999u }) {
            for (bool has_feedback : { true, false }) {
                CAPTURE(choice, size, has_feedback);
                pair p(size, 3);
                p.send.sender.has_feedback = has_feedback;
                p.send.sender.overhead_permille = 50;
                p.send.sender.rate = 20000000;
                if (!p.run(choice)) {
                    continue;
                }
                CHECK(p.send_outcome.severity == ASX_SEVERITY_OK);
                CHECK(p.recv_outcome.severity == ASX_SEVERITY_OK);
                CHECK(p.received.is_stored);
                CHECK(p.received.stats.forged == 0);
                CHECK(p.progress >= 1);
                CHECK(read(p.dir.at("out")) == p.object);
                CHECK(p.dir.entries() == 1);
            }
        }
    }
}

TEST_CASE("net: without a limit on the rate, what the socket drops is repaired",
          "[raptorq][net][threads]")
{
    for (asx_driver_choice choice : choices) {
        CAPTURE(choice);
        pair p(8000000, 4);
        p.send.sender.block_size = 1000000;
        if (!p.run(choice)) {
            continue;
        }
        CHECK(p.recv_outcome.severity == ASX_SEVERITY_OK);
        CHECK(read(p.dir.at("out")) == p.object);
    }
}

TEST_CASE("net: a cancel at any moment leaves nothing behind", "[raptorq][net][threads]")
{
    for (asx_driver_choice choice : choices) {
        for (unsigned i = 0; i < 24; i++) {
            CAPTURE(choice, i);
            pair p(2000000, i);
            p.send.sender.rate = 40000000; /* some 50 ms */
            p.send.sender.silence_ns = ASX_NS_PER_S / 10;
            p.cancel_ns = (i / 2 + 1) * 4 * ASX_NS_PER_MS;
            p.cancels_sender = i % 2 == 0;
            if (!p.run(choice)) {
                continue;
            }
            if (p.received.is_stored) {
                CHECK(read(p.dir.at("out")) == p.object);
            }
            CHECK(p.dir.entries() == (p.received.is_stored ? 1 : 0));
        }
    }
}

TEST_CASE("net: a port in use is its errno", "[raptorq][net][threads]")
{
    for (asx_driver_choice choice : choices) {
        pair first(1000, 5), second(1000, 5);
        static pair *other;
        static asx_driver_choice same;
        other = &second;
        same = choice;
        first.recv.wait_ns = ASX_NS_PER_S / 5;
        first.recv.bound = [](void *, const asx_addr *local) {
            other->recv.local = *local;
            std::thread([] { other->run(same); }).join(); /* while the first has the port */
        };
        if (first.run(choice)) {
            CHECK(asx_is_err(second.recv_outcome, asx_err_errno(EADDRINUSE)));
        }
    }
}

TEST_CASE("net: nobody there is silence", "[raptorq][net][threads]")
{
    for (asx_driver_choice choice : choices) {
        pair p(1000, 5);
        p.recv.wait_ns = ASX_NS_PER_S / 5;
        p.send.sender.silence_ns = ASX_NS_PER_S / 10;
        p.recv.bound = [](void *arg, const asx_addr *) {
            pair *self = (pair *)arg;
            REQUIRE(asx_addr_parse("127.0.0.1:9", &self->send.to) == ASX_OK);
            asx_event_set(&self->bound);
        };
        if (p.run(choice)) {
            CHECK(asx_is_err(p.send_outcome, ASX_RQ_E(SILENCE)));
            CHECK(p.sent.stats.answers == 0);
        }
    }
}

TEST_CASE("landing: appears whole or not at all", "[raptorq][net]")
{
    place dir;
    const std::string path = dir.at("file");
    asx_rq_landing landing;
    REQUIRE(asx_rq_landing_open(&landing, path.c_str(), 100000) == ASX_OK);
    CHECK(dir.entries() == 0); /* a file without a name: nothing to find, nothing to clean up */
    std::memset(landing.data, 7, 100000);
    asx_rq_landing_close(&landing);
    CHECK(dir.entries() == 0);

    REQUIRE(asx_rq_landing_open(&landing, path.c_str(), 100000) == ASX_OK);
    std::memset(landing.data, 7, 100000);
    REQUIRE(asx_rq_landing_commit(&landing) == ASX_OK);
    asx_rq_landing_close(&landing);
    CHECK(read(path) == rq::bytes(100000, 7));

    REQUIRE(asx_rq_landing_open(&landing, path.c_str(), 5) == ASX_OK);
    std::memcpy(landing.data, "12345", 5);
    CHECK(read(path).size() == 100000);
    REQUIRE(asx_rq_landing_commit(&landing) == ASX_OK); /* takes the place of what is there */
    asx_rq_landing_close(&landing);
    CHECK(read(path).size() == 5);
    CHECK(dir.entries() == 1);
    struct stat stat;
    REQUIRE(::stat(path.c_str(), &stat) == 0);
    CHECK((stat.st_mode & 0777) == 0644);

    REQUIRE(asx_rq_landing_open(&landing, dir.at("empty").c_str(), 0) == ASX_OK);
    REQUIRE(asx_rq_landing_commit(&landing) == ASX_OK);
    asx_rq_landing_close(&landing);
    CHECK(read(dir.at("empty")).empty());
    CHECK(dir.entries() == 2);

    CHECK(asx_rq_landing_open(&landing, dir.at("no/such").c_str(), 5) == asx_err_errno(ENOENT));
    CHECK(asx_rq_landing_open(&landing, dir.root.c_str(), 5) == asx_err_errno(EISDIR));
    CHECK(asx_rq_landing_open(&landing, path.c_str(), UINT64_C(1) << 60) != ASX_OK);
    CHECK(dir.entries() == 2);
}
