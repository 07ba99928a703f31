/* The server's handlers against a client on a thread of its own, over loopback and on both drivers:
 * what a handler was lent stays as it was while it waits, whatever comes in meanwhile; one fiber
 * serves a burst, and no request of it can tell; a request that is answered in the turn in which it
 * came has still taken its time. */
#include <asx/proto/http1.h>
#include <asx/shard/socket_stream.h>

#include "../shard/live_fixture.h"

#include <arpa/inet.h>
#include <atomic>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

static std::string text_of(asx_view view)
{
    return std::string(view.ptr, view.len);
}

static std::vector<asx_handle> tasks, regions;
static unsigned changed, leftovers;

/* Looks at its head before and after a wait. */
static asx_outcome waits(asx_cx *cx, asx_http_exchange *x)
{
    asx_view path = asx_http_path(x), host = asx_http_host(x), value;
    REQUIRE(asx_http_header(x, "X-Fill", &value));
    const std::string before = text_of(path) + text_of(host) + text_of(value);
    ASX_TRY(asx_sleep(cx, asx_ms(40)));
    changed += before != text_of(path) + text_of(host) + text_of(value);
    changed += text_of(asx_http_method_text(x)) != "GET";
    return asx_http_reply(cx, x, 200, "text/plain", value);
}

/* Holds each piece of the body over a wait, and sends it back from where it lies. */
static asx_outcome echoes_late(asx_cx *cx, asx_http_exchange *x)
{
    asx_view piece;
    ASX_TRY(asx_http_begin(cx, x, 200, "text/plain", asx_http_body_length(x)));
    for (;;) {
        const asx_outcome more = asx_http_read(cx, x, &piece);
        ASX_TRY(more);
        if (!more.value) {
            return asx_http_end(cx, x);
        }
        const std::string before = text_of(piece);
        ASX_TRY(asx_sleep(cx, asx_ms(3)));
        changed += before != text_of(piece);
        ASX_TRY(asx_http_write(cx, x, piece));
    }
}

/* Leaves memory behind, and says who it was. */
static asx_outcome notes(asx_cx *cx, asx_http_exchange *x)
{
    asx_region *region = nullptr;
    REQUIRE(asx_region_lookup(asx_shard_of(cx), asx_cx_region(cx), &region) == ASX_OK);
    leftovers += asx_region_heap_bytes(region) != 0;
    REQUIRE(asx_alloc(cx, 5000) != nullptr);
    tasks.push_back(asx_cx_task(cx));
    regions.push_back(asx_cx_region(cx));
    return asx_http_reply(cx, x, 200, "text/plain", asx_http_path(x));
}

static const asx_duration busy_ns = 300 * ASX_NS_PER_US;

/* Never waits, and takes its time. */
static asx_outcome works(asx_cx *cx, asx_http_exchange *x)
{
    asx_driver *const driver = asx_shard_driver(asx_shard_of(cx));
    const asx_instant until_ns = driver->ops->now(driver) + busy_ns;
    while (driver->ops->now(driver) < until_ns) {
    }
    return asx_http_reply(cx, x, 200, "text/plain", asx_http_path(x));
}

/* Of the run, once its client has heard everything. */
static asx_http_stats counted;

struct run {
    asx_http_handler *handler;
    void (*client)(int fd);
    std::atomic<bool> over{ false };
};

static int connect_to(uint16_t port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr {
    };
    addr.sin_family = AF_INET;
    addr.sin_port = htons(port);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const struct timeval limit = { 20, 0 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return connect(fd, reinterpret_cast<struct sockaddr *>(&addr), sizeof(addr)) == 0 ? fd : -1;
}

static asx_outcome serve_one(asx_cx *cx, void *arg)
{
    auto *const r = static_cast<run *>(arg);
    asx_acceptor *acceptor = nullptr;
    asx_addr addr{};
    REQUIRE(asx_addr_parse("127.0.0.1:0", &addr) == ASX_OK);
    REQUIRE(asx_acceptor_open(cx, &addr, nullptr, &acceptor) == ASX_OK);
    REQUIRE(asx_acceptor_addr(acceptor, &addr) == ASX_OK);
    std::thread client([r, port = addr.port] {
        const int fd = connect_to(port);
        r->client(fd);
        close(fd);
        r->over = true;
    });
    ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
        asx_http_server_config config{};
        asx_http_server *server;
        int32_t fd;
        config.handler = r->handler;
        REQUIRE(asx_http_server_create(cx, asx_scope_region(scope), &config, &server) == ASX_OK);
        REQUIRE(asx_is_ok(asx_acceptor_next(cx, acceptor, asx_now(cx) + asx_s(10), &fd)));
        REQUIRE(asx_http1_serve(cx, asx_scope_region(scope), server, fd, 0) == ASX_OK);
        while (!r->over) {
            REQUIRE(asx_is_ok(asx_sleep(cx, asx_ms(2))));
        }
        counted = *asx_http_server_stats(server);
        asx_scope_cancel(scope, ASX_CANCEL_USER, "case over");
    }
    client.join();
    asx_acceptor_close(cx, acceptor);
    return asx_ok(0);
}

static std::string received;

static void say(int fd, const std::string &text)
{
    (void)!send(fd, text.data(), text.size(), MSG_NOSIGNAL);
}

/* Reads until `count` responses ended with `mark`, or nothing comes any more. */
static void hear(int fd, const std::string &mark, size_t count)
{
    char buf[65536];
    for (size_t at = 0; count > 0;) {
        const size_t found = received.find(mark, at);
        if (found != std::string::npos) {
            at = found + mark.size();
            count--;
            continue;
        }
        const ssize_t got = recv(fd, buf, sizeof(buf), 0);
        if (got <= 0) {
            return;
        }
        received.append(buf, (size_t)got);
    }
}

static void run_case(asx_driver_choice choice, asx_http_handler *handler, void (*client)(int fd))
{
    run r{ handler, client };
    changed = leftovers = 0;
    received.clear();
    tasks.clear();
    regions.clear();
    run_live(choice, serve_one, &r);
    CHECK(changed == 0);
    CHECK(leftovers == 0);
}

TEST_CASE("http_server: a head stays as it was while its handler waits and more comes in",
          "[http][threads]")
{
    const auto choice = BOTH_CHOICES;
    run_case(choice, waits, [](int fd) {
        const auto request = [](int i) {
            return "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h" + std::to_string(i) +
                   "\r\nX-Fill: <" + std::string(20 + (size_t)i * 97, (char)('a' + i)) +
                   ">\r\n\r\n";
        };
        for (int i = 0; i < 12; i++) { /* while the first ones wait */
            say(fd, request(i));
            usleep(4000);
        }
        hear(fd, ">", 12);
    });
    size_t at = 0;
    for (int i = 0; i < 12; i++) {
        at = received.find("<" + std::string(20 + (size_t)i * 97, (char)('a' + i)) + ">", at);
        REQUIRE(at != std::string::npos);
    }
}

TEST_CASE("http_server: a piece of a body stays as it was while its handler holds it",
          "[http][threads]")
{
    const auto choice = BOTH_CHOICES;
    run_case(choice, echoes_late, [](int fd) {
        say(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 40010\r\n\r\n");
        for (int i = 0; i < 200; i++) {
            say(fd, std::string(200, (char)('A' + i % 26)));
            usleep(i % 3 ? 300 : 2500);
        }
        say(fd, "0123456#89");
        hear(fd, "#89", 1);
    });
    const size_t body = received.find("\r\n\r\n") + 4;
    REQUIRE(received.size() == body + 40010);
    for (size_t i = 0; i < 40000; i++) {
        if (received[body + i] != (char)('A' + i / 200 % 26)) {
            FAIL("byte " << i << " of the body changed");
        }
    }
}

TEST_CASE("http_server: each request of a burst has a task and a region of its own",
          "[http][threads]")
{
    const auto choice = BOTH_CHOICES;
    run_case(choice, notes, [](int fd) {
        std::string burst;
        for (int i = 0; i < 100; i++) {
            burst += "GET /n" + std::to_string(i) + "; HTTP/1.1\r\nHost: h\r\n\r\n";
        }
        say(fd, burst);
        hear(fd, ";", 100);
    });
    REQUIRE(tasks.size() == 100);
    for (size_t i = 1; i < tasks.size(); i++) {
        CHECK(!asx_handle_eq(tasks[i - 1], tasks[i]));
        CHECK(!asx_handle_eq(regions[i - 1], regions[i]));
    }
}

TEST_CASE("http_server: a request that is answered in its turn has taken until its end",
          "[http][threads]")
{
    const auto choice = BOTH_CHOICES;
    const unsigned count = GENERATE(1u, 20u);
    CAPTURE(count);
    static unsigned asked;
    asked = count;
    run_case(choice, works, [](int fd) {
        std::string burst;
        for (unsigned i = 0; i < asked; i++) {
            burst += "GET /; HTTP/1.1\r\nHost: h\r\n\r\n";
        }
        say(fd, burst);
        hear(fd, "/;", asked);
    });
    uint64_t sum = 0;
    for (unsigned k = 0; k < ASX_HTTP_LATENCY_BUCKETS; k++) {
        sum += counted.latency.buckets[k];
        if (k < 5) { /* up to 256 us */
            CHECK(counted.latency.buckets[k] == 0);
        }
    }
    CHECK(sum == count);
    CHECK(counted.latency.ns_sum >= count * busy_ns);
}
