/* The client against our own server in the same shard, and against a peer that says exactly what a
 * case wants it to say. On both kernel drivers, over loopback; the fixture checks that no task,
 * operation or descriptor is left. */
#include <asx/proto/client.h>
#include <asx/proto/http1.h>
#include <asx/shard/pipe.h>
#include <asx/shard/socket_stream.h>

#include "../shard/live_fixture.h"

#include <cstring>
#include <vector>

#define TASK [](asx_cx * cx, ASX_UNUSED void *arg) -> asx_outcome

static asx_outcome handle(asx_cx *cx, asx_http_exchange *x)
{
    const asx_view path = asx_http_path(x);
    asx_view data;
    if (asx_view_eq(path, asx_view_str("/echo"))) {
        bool begun = false;
        for (;;) {
            const asx_outcome got = asx_http_read(cx, x, &data);
            ASX_TRY(got);
            if (!begun) {
                ASX_TRY(asx_http_begin(cx, x, 200, "text/plain", asx_http_body_length(x)));
                begun = true;
            }
            if (got.value == 0) {
                return asx_http_end(cx, x);
            }
            ASX_TRY(asx_http_write(cx, x, data));
        }
    }
    if (asx_view_eq(path, asx_view_str("/slow"))) {
        ASX_TRY(asx_sleep(cx, asx_s(20)));
    }
    if (asx_view_eq(path, asx_view_str("/none"))) {
        return asx_http_reply(cx, x, 204, nullptr, asx_view_of(nullptr, 0));
    }
    if (asx_view_eq(path, asx_view_str("/unmodified"))) {
        return asx_http_reply(cx, x, 304, nullptr, asx_view_of(nullptr, 0));
    }
    if (asx_view_eq(path, asx_view_str("/refuse"))) {
        return asx_http_reply(cx, x, 403, "text/plain", asx_view_str("no"));
    }
    if (asx_http_header(x, "X-Ask", &data)) {
        ASX_TRY(asx_http_header_add(x, "X-Answer", data) ? asx_fail(1) : asx_ok(0));
    }
    return asx_http_reply(cx, x, 200, "text/plain", asx_view_str("hello"));
}

struct served {
    asx_acceptor *acceptor;
    asx_http_server *server;
    asx_region *region;
    std::string base;
};

static asx_outcome accept_loop(asx_cx *cx, void *arg)
{
    auto *s = *static_cast<served **>(arg);
    for (;;) {
        int32_t fd;
        ASX_TRY(asx_acceptor_next(cx, s->acceptor, ASX_TIME_NEVER, &fd));
        (void)!asx_http1_serve(cx, s->region, s->server, fd, 0);
    }
}

typedef void client_case(asx_cx *cx, asx_http_client *client, served *s);
struct case_arg {
    client_case *fn;
    asx_http_client_config config;
};

static std::string base_of(const asx_addr &addr)
{
    return "http://127.0.0.1:" + std::to_string(addr.port);
}

/* Runs `fn` beside a server of ours, and takes everything down after it. */
static void with_server(asx_driver_choice choice, client_case *fn,
                        asx_http_client_config client_config = {})
{
    case_arg a{ fn, client_config };
    run_live(
        choice,
        TASK {
            auto *a = static_cast<case_arg *>(arg);
            asx_http_client *client;
            served s{};
            served *const shared = &s;
            asx_addr addr{};
            REQUIRE(asx_addr_parse("127.0.0.1:0", &addr) == ASX_OK);
            REQUIRE(asx_acceptor_open(cx, &addr, nullptr, &s.acceptor) == ASX_OK);
            REQUIRE(asx_acceptor_addr(s.acceptor, &addr) == ASX_OK);
            s.base = base_of(addr);
            ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
                asx_http_server_config config{};
                config.handler = handle;
                s.region = asx_scope_region(scope);
                REQUIRE(asx_http_server_create(cx, s.region, &config, &s.server) == ASX_OK);
                REQUIRE(asx_http_client_create(cx, nullptr, &a->config, &client) == ASX_OK);
                ASX_SPAWN(scope, accept_loop, &shared);
                a->fn(cx, client, &s);
                CHECK(asx_http_client_stats_of(client).waiting == 0);
                CHECK(asx_http_client_stats_of(client).open ==
                      asx_http_client_stats_of(client).idle);
                asx_http_client_destroy(client);
                asx_scope_cancel(scope, ASX_CANCEL_USER, "case over");
            }
            asx_acceptor_close(cx, s.acceptor);
            return asx_ok(0);
        },
        &a);
}

struct answer {
    asx_outcome outcome; /* of begin, or of the read that failed */
    unsigned status = 0;
    std::string body;
    asx_http1_error fault{};
};

static answer fetch(asx_cx *cx, asx_http_client *client, const std::string &url,
                    asx_http_request request = {})
{
    answer a{};
    asx_http_call *call;
    request.url = asx_view_of(url.data(), url.size());
    request.fault = &a.fault;
    a.outcome = asx_http_call_begin(cx, client, &request, &call);
    if (!asx_is_ok(a.outcome)) {
        return a;
    }
    a.status = asx_http_call_status(call);
    for (;;) {
        asx_view data;
        a.outcome = asx_http_call_read(cx, call, &data);
        if (!asx_is_ok(a.outcome) || data.len == 0) {
            break;
        }
        a.body.append(data.ptr, data.len);
    }
    asx_http_call_end(cx, call);
    return a;
}

TEST_CASE("client: one connection carries call after call", "[client]")
{
    with_server(BOTH_CHOICES, [](asx_cx *cx, asx_http_client *client, served *s) {
        for (unsigned i = 0; i < 50; i++) {
            const answer a = fetch(cx, client, s->base + "/?n=" + std::to_string(i));
            CHECK(asx_is_ok(a.outcome));
            CHECK(a.status == 200);
            CHECK(a.body == "hello");
        }
        const asx_http_client_stats stats = asx_http_client_stats_of(client);
        CHECK(stats.connects == 1);
        CHECK(stats.reuses == 49);
        CHECK(stats.idle == 1);
    });
}

TEST_CASE("client: fields go both ways, and a field that could break the head is refused",
          "[client]")
{
    with_server(BOTH_CHOICES, [](asx_cx *cx, asx_http_client *client, served *s) {
        const std::string url = s->base;
        asx_http_request request{};
        asx_header_field field{ asx_view_str("X-Ask"), asx_view_str("42"), 0 };
        asx_http_call *call;
        asx_view value;
        request.url = asx_view_of(url.data(), url.size());
        request.fields = &field;
        request.field_count = 1;
        REQUIRE(asx_is_ok(asx_http_call_begin(cx, client, &request, &call)));
        CHECK(asx_http_call_header(call, "x-answer", &value));
        CHECK(asx_view_eq(value, asx_view_str("42")));
        CHECK(!asx_http_call_header(call, "x-other", &value));
        asx_http_call_end(cx, call); /* its body was not read: the connection goes */
        CHECK(asx_http_client_stats_of(client).open == 0);
        field.value = asx_view_str("a\r\nX-Evil: b");
        CHECK(
            asx_is_err(asx_http_call_begin(cx, client, &request, &call), ASX_E(INVALID_ARGUMENT)));
        request.field_count = 0;
        request.url = asx_view_str("https://127.0.0.1/");
        CHECK(asx_is_err(asx_http_call_begin(cx, client, &request, &call), ASX_E(UNSUPPORTED)));
        request.url = asx_view_str("ftp://127.0.0.1/");
        CHECK(
            asx_is_err(asx_http_call_begin(cx, client, &request, &call), ASX_E(INVALID_ARGUMENT)));
        CHECK(asx_http_client_stats_of(client).open == 0);
    });
}

TEST_CASE("client: responses without a body leave the connection usable", "[client]")
{
    with_server(BOTH_CHOICES, [](asx_cx *cx, asx_http_client *client, served *s) {
        asx_http_request head{};
        head.method = asx_view_str("HEAD");
        const struct {
            const char *path;
            asx_http_request request;
            unsigned status;
        } cases[] = { { "/", head, 200 }, { "/none", {}, 204 }, { "/unmodified", {}, 304 } };
        for (const auto &c : cases) {
            const answer a = fetch(cx, client, s->base + c.path, c.request);
            CHECK(asx_is_ok(a.outcome));
            CHECK(a.status == c.status);
            CHECK(a.body.empty());
        }
        CHECK(fetch(cx, client, s->base + "/").body == "hello");
        CHECK(asx_http_client_stats_of(client).connects == 1);
    });
}

struct pieces {
    std::string piece;
    unsigned left;
};

static asx_outcome next_piece(asx_cx *, void *arg, asx_view *data)
{
    auto *p = static_cast<pieces *>(arg);
    if (p->left > 0) {
        p->left--;
        *data = asx_view_of(p->piece.data(), p->piece.size());
    }
    return asx_ok(0);
}

TEST_CASE("client: bodies stream both ways, by length and in chunks", "[client]")
{
    with_server(BOTH_CHOICES, [](asx_cx *cx, asx_http_client *client, served *s) {
        const std::string text(100000, 'x');
        asx_http_request request{};
        request.method = asx_view_str("POST");
        request.body = asx_view_of(text.data(), text.size());
        CHECK((fetch(cx, client, s->base + "/echo", request).body == text));
        for (const uint64_t length : { (uint64_t)ASX_HTTP_BODY_CHUNKED, (uint64_t)3000 * 10 }) {
            pieces p{ std::string(3000, 'y'), 10 };
            request.body = {};
            request.next = next_piece;
            request.next_arg = &p;
            request.length = length;
            const answer a = fetch(cx, client, s->base + "/echo", request);
            CHECK(asx_is_ok(a.outcome));
            CHECK(a.body.size() == 30000);
            CHECK(a.body.find_first_not_of('y') == std::string::npos);
        }
        CHECK(asx_http_client_stats_of(client).connects == 1);
        for (const uint64_t length : { 29999, 30001 }) { /* less, then more than is given */
            pieces p{ std::string(3000, 'y'), 10 };
            request.next_arg = &p;
            request.length = length;
            const answer a = fetch(cx, client, s->base + "/echo", request);
            CHECK(asx_is_err(a.outcome, length < 30000 ? ASX_E(TOO_LONG) : ASX_E(END_OF_STREAM)));
        }
        CHECK(asx_http_client_stats_of(client).open == 0);
    });
}

TEST_CASE("client: a body that waits to be asked for is sent on 100 and kept back on a refusal",
          "[client]")
{
    with_server(BOTH_CHOICES, [](asx_cx *cx, asx_http_client *client, served *s) {
        pieces p{ "asked for", 1 };
        asx_http_request request{};
        request.method = asx_view_str("POST");
        request.next = next_piece;
        request.next_arg = &p;
        request.length = 9;
        request.expect_continue = true;
        const answer echo = fetch(cx, client, s->base + "/echo", request);
        CHECK(asx_is_ok(echo.outcome));
        CHECK(echo.body == "asked for");
        p.left = 1;
        const answer refused = fetch(cx, client, s->base + "/refuse", request);
        CHECK(refused.status == 403);
        CHECK(p.left == 1);
        CHECK(asx_http_client_stats_of(client).open == 0);
    });
}

TEST_CASE("client: a call ends at its timeout, and its connection is not used again", "[client]")
{
    with_server(BOTH_CHOICES, [](asx_cx *cx, asx_http_client *client, served *s) {
        asx_http_request request{};
        request.timeout_ns = asx_ms(30);
        const asx_instant begin = asx_now(cx);
        CHECK(asx_is_err(fetch(cx, client, s->base + "/slow", request).outcome, ASX_E(TIMED_OUT)));
        CHECK(asx_now(cx) - begin < asx_s(5));
        CHECK(asx_http_client_stats_of(client).open == 0);
        CHECK(fetch(cx, client, s->base + "/").body == "hello");
    });
}

struct many {
    asx_http_client *client;
    const served *s;
    unsigned done, cancelled;
    const char *path;
};

static asx_outcome one_of_many(asx_cx *cx, void *arg)
{
    auto *m = *static_cast<many **>(arg);
    const answer a = fetch(cx, m->client, m->s->base + m->path);
    m->done += asx_is_ok(a.outcome) && a.body == "hello";
    m->cancelled += a.outcome.severity == ASX_SEVERITY_CANCELLED;
    return a.outcome;
}

TEST_CASE("client: calls above the limit of a host wait for a connection, and leave when cancelled",
          "[client]")
{
    asx_http_client_config config{};
    config.per_host_max = 2;
    with_server(
        BOTH_CHOICES,
        [](asx_cx *cx, asx_http_client *client, served *s) {
            many m{ client, s, 0, 0, "/" };
            many *const shared = &m;
            ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
                for (unsigned i = 0; i < 20; i++) {
                    ASX_SPAWN(scope, one_of_many, &shared);
                }
            }
            CHECK(m.done == 20);
            CHECK(asx_http_client_stats_of(client).connects <= 2);
            m.path = "/slow";
            ASX_SCOPE(cx, scope, ASX_COLLECT_ALL) {
                for (unsigned i = 0; i < 5; i++) {
                    ASX_SPAWN(scope, one_of_many, &shared);
                }
                CHECK(asx_is_ok(asx_sleep(cx, asx_ms(20))));
                CHECK(asx_http_client_stats_of(client).waiting == 3);
                asx_scope_cancel(scope, ASX_CANCEL_USER, "enough");
            }
            CHECK(m.cancelled == 5);
            CHECK(asx_http_client_stats_of(client).open == 0);
            CHECK(fetch(cx, client, s->base + "/").body == "hello");
        },
        config);
}

TEST_CASE("client: a call that its region ends gives its connection up", "[client]")
{
    with_server(BOTH_CHOICES, [](asx_cx *cx, asx_http_client *client, served *s) {
        const std::string url = s->base + "/";
        ASX_SCOPE(cx, scope, ASX_FAIL_FAST) {
            asx_http_request request{};
            asx_http_call *call;
            request.url = asx_view_of(url.data(), url.size());
            REQUIRE(asx_is_ok(asx_http_call_begin(&scope->cx, client, &request, &call)));
            CHECK(asx_http_client_stats_of(client).open == 1);
        }
        CHECK(asx_http_client_stats_of(client).open == 0);
    });
}

/* A peer that answers each connection with fixed bytes, then closes. */
struct script {
    std::vector<std::string> answers; /* one a connection; then it stops */
    asx_acceptor *acceptor;
    bool at_once; /* closes without having read */
    unsigned served;
};

static asx_outcome play(asx_cx *cx, void *arg)
{
    auto *p = *static_cast<script **>(arg);
    for (const std::string &text : p->answers) {
        int32_t fd;
        asx_stream *stream;
        asx_view data;
        ASX_TRY(asx_acceptor_next(cx, p->acceptor, ASX_TIME_NEVER, &fd));
        REQUIRE(asx_socket_adopt(cx, nullptr, fd, &stream) == ASX_OK);
        p->served++;
        if (!p->at_once) {
            ASX_TRY(asx_stream_read(cx, stream, &data));
        }
        for (size_t at = 0; at < text.size(); at += 7) { /* cut where it hurts */
            const size_t len = std::min<size_t>(7, text.size() - at);
            (void)!asx_is_ok(asx_stream_write(cx, stream, asx_view_of(text.data() + at, len)));
        }
        asx_stream_close(cx, stream);
    }
    return asx_ok(0);
}

struct told {
    std::string bytes;
    asx_err err; /* ASX_OK: a whole response */
    unsigned status;
    std::string body;
    uint32_t code;
};

#define BAD_GATEWAY ASX_ERR(ASX_ERR_DOMAIN_HTTP, 502)

static const told tellings[] = {
    { "", ASX_E(DISCONNECTED), 0, "", 0 },
    { "HTTP/1.1 200 OK\r\nContent-Le", ASX_E(DISCONNECTED), 0, "", 0 },
    { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", ASX_E(DISCONNECTED), 200, "short",
      ASX_HTTP1_CODE_BODY_CUT },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n3\r\nab",
      ASX_E(DISCONNECTED), 200, "shortab", ASX_HTTP1_CODE_BODY_CUT },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\nX-Trailer: some "
      "thing\r\nX-Other: more\r\n\r\n",
      ASX_OK, 200, "whole", 0 },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", BAD_GATEWAY, 200, "",
      ASX_HTTP1_CODE_CHUNK_SIZE_INVALID },
    { "HTTP/1.1 200 OK\r\n\r\nuntil the end", ASX_OK, 200, "until the end", 0 },
    { "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold", ASX_OK, 200, "old", 0 },
    { "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: "
      "2\r\n\r\nno",
      ASX_OK, 404, "no", 0 },
    { "SSH-2.0-OpenSSH\r\n\r\n", BAD_GATEWAY, 0, "", ASX_HTTP1_CODE_VERSION_INVALID },
    { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", BAD_GATEWAY, 0, "",
      ASX_HTTP1_CODE_LENGTH_REPEATED },
    { "HTTP/1.1 204 No\r\n\r\nunasked bytes", ASX_OK, 204, "", 0 },
};

TEST_CASE("client: each way for a response to be cut or wrong has its own error", "[client]")
{
    run_live(
        BOTH_CHOICES, TASK {
            asx_addr addr{};
            script p{};
            script *const shared = &p;
            asx_http_client *client;
            for (const told &t : tellings) {
                p.answers.push_back(t.bytes);
            }
            std::string interims;
            for (unsigned i = 0; i < 9; i++) {
                interims += "HTTP/1.1 102 Processing\r\n\r\n";
            }
            p.answers.push_back(interims);
            REQUIRE(asx_addr_parse("127.0.0.1:0", &addr) == ASX_OK);
            REQUIRE(asx_acceptor_open(cx, &addr, nullptr, &p.acceptor) == ASX_OK);
            REQUIRE(asx_acceptor_addr(p.acceptor, &addr) == ASX_OK);
            REQUIRE(asx_http_client_create(cx, nullptr, nullptr, &client) == ASX_OK);
            ASX_SCOPE(cx, scope, ASX_FAIL_FAST) {
                ASX_SPAWN(scope, play, &shared);
                for (const told &t : tellings) {
                    INFO(t.bytes);
                    asx_http_request request{};
                    request.close = true;
                    const answer a = fetch(cx, client, base_of(addr) + "/", request);
                    CHECK(asx_is_ok(a.outcome) == (t.err == ASX_OK));
                    if (t.err) {
                        CHECK(asx_is_err(a.outcome, t.err));
                    }
                    CHECK(a.status == t.status);
                    CHECK(a.body == t.body);
                    CHECK(std::string(asx_http1_code_name((asx_http1_code)a.fault.code)) ==
                          asx_http1_code_name((asx_http1_code)t.code));
                    CHECK(asx_http_client_stats_of(client).open == 0);
                }
                CHECK(asx_is_err(fetch(cx, client, base_of(addr) + "/").outcome, BAD_GATEWAY));
            }
            CHECK(p.served == p.answers.size());
            asx_http_client_destroy(client);
            asx_acceptor_close(cx, p.acceptor);
            return asx_ok(0);
        });
}

TEST_CASE("client: a kept connection that the peer closed is not used", "[client]")
{
    run_live(
        BOTH_CHOICES, TASK {
            asx_addr addr{};
            script p{};
            script *const shared = &p;
            asx_http_client *client;
            const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            p.answers = { ok, ok, ok };
            REQUIRE(asx_addr_parse("127.0.0.1:0", &addr) == ASX_OK);
            REQUIRE(asx_acceptor_open(cx, &addr, nullptr, &p.acceptor) == ASX_OK);
            REQUIRE(asx_acceptor_addr(p.acceptor, &addr) == ASX_OK);
            REQUIRE(asx_http_client_create(cx, nullptr, nullptr, &client) == ASX_OK);
            ASX_SCOPE(cx, scope, ASX_FAIL_FAST) {
                ASX_SPAWN(scope, play, &shared);
                for (unsigned i = 0; i < 3; i++) {
                    const answer a = fetch(cx, client, base_of(addr) + "/");
                    CHECK(asx_is_ok(a.outcome));
                    CHECK(a.body == "ok");
                    CHECK(asx_http_client_stats_of(client).idle == 1);
                    CHECK(asx_is_ok(asx_sleep(cx, asx_ms(10))));
                }
            }
            CHECK(asx_http_client_stats_of(client).stale == 2);
            CHECK(asx_http_client_stats_of(client).connects == 3);
            asx_http_client_destroy(client);
            asx_acceptor_close(cx, p.acceptor);
            return asx_ok(0);
        });
}
