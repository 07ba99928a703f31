/* What is at stake: one reading of each message. The table pins verdicts; cutting anywhere, moving
 * the buffer and choosing another scanner must change nothing; each limit holds to the byte. */
#include <asx/proto/http1_parse.h>
#include <asx/shard/base/prng.h>

#include "http1_corpus.h"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace http1_corpus;

static bool matches(const std::string &want, const std::string &got)
{
    /* A name without an offset pins the name only. */
    return want == got || (want.find('@') == std::string::npos && want != "more" &&
                           got.substr(0, got.find('@')) == want);
}

static std::vector<asx_http1_variant> variants()
{
    std::vector<asx_http1_variant> list;
    for (int i = 0; i < ASX_HTTP1_VARIANT_COUNT; i++) {
        if (asx_http1_variant_has(static_cast<asx_http1_variant>(i))) {
            list.push_back(static_cast<asx_http1_variant>(i));
        }
    }
    return list;
}

static std::string brief_of(const std::string &kind, const std::string &bytes,
                            const asx_http1_limits &limits = asx_http1_limits_default,
                            uint32_t field_cap = 100)
{
    subject s(kind, limits, field_cap);
    const asx_http1_verdict verdict = asx_http1_parse(&s.parser, bytes.data(), bytes.size());
    return brief(s.parser, verdict, kind != "req");
}

TEST_CASE("http1_parse: every message of the table gets its verdict", "[http1]")
{
    const std::vector<row> rows = load();
    REQUIRE(rows.size() >= 250);
    for (const row &r : rows) {
        const std::string got =
            r.kind == "chunked" ? decode_chunked(r.bytes, 0) : brief_of(r.kind, r.bytes);
        INFO("line " << r.line << ": " << r.kind << " want " << r.verdict << " got " << got);
        CHECK(matches(r.verdict, got));
    }
}

TEST_CASE("http1_parse: every error of the list is reached by the table", "[http1]")
{
    std::vector<std::string> missing;
    const std::vector<row> rows = load();
    for (int code = 1; code < ASX_HTTP1_CODE_COUNT; code++) {
        const std::string name = asx_http1_code_name(static_cast<asx_http1_code>(code));
        const bool found = std::any_of(rows.begin(), rows.end(), [&](const row &r) {
            return r.verdict.substr(0, r.verdict.find('@')) == name;
        });
        if (!found) {
            missing.push_back(name);
        }
    }
    /* These two need a policy or an end of stream: cases below. */
    CHECK(missing == std::vector<std::string>{ "TRAILER_FORBIDDEN", "BODY_CUT" });
}

TEST_CASE("http1_parse: a head cut at any byte, in a moved buffer, gives the same result",
          "[http1]")
{
    for (const row &r : load()) {
        if (r.kind == "chunked" || r.bytes.size() > 2000) {
            continue;
        }
        for (const asx_http1_variant variant : variants()) {
            const std::string whole = offer(r.kind, r.bytes, { r.bytes.size() }, variant);
            std::vector<size_t> every;
            for (size_t cut = 0; cut <= r.bytes.size(); cut++) {
                every.push_back(cut);
                INFO("line " << r.line << " cut at " << cut);
                REQUIRE(offer(r.kind, r.bytes, { cut, r.bytes.size() }, variant) == whole);
            }
            INFO("line " << r.line << " byte by byte");
            REQUIRE(offer(r.kind, r.bytes, every, variant) == whole);
        }
    }
}

TEST_CASE("http1_parse: long heads taken in small steps give the same result", "[http1]")
{
    for (const row &r : load()) {
        if (r.kind == "chunked" || r.bytes.size() <= 2000) {
            continue;
        }
        for (const asx_http1_variant variant : variants()) {
            std::vector<size_t> steps;
            for (size_t len = 0; len < r.bytes.size(); len += 61) {
                steps.push_back(len);
            }
            steps.push_back(r.bytes.size());
            INFO("line " << r.line);
            REQUIRE(offer(r.kind, r.bytes, steps, variant) ==
                    offer(r.kind, r.bytes, { r.bytes.size() }, variant));
        }
    }
}

/* Changes up to four places of a message: bytes, deletions, copies, bytes with a meaning. */
static std::string mutate(asx_prng *prng, std::string bytes)
{
    static const char special[] = "\r\n\t :;,/#%\0\x7f\x80\xffGH15*[]";
    const uint64_t count = 1 + asx_prng_below(prng, 4);
    for (uint64_t i = 0; i < count && !bytes.empty(); i++) {
        const size_t at = asx_prng_below(prng, bytes.size());
        switch (asx_prng_below(prng, 5)) {
        case 0:
            bytes[at] = static_cast<char>(asx_prng_u64(prng));
            break;
        case 1:
            bytes[at] = special[asx_prng_below(prng, sizeof(special) - 1)];
            break;
        case 2:
            bytes.erase(at, 1 + asx_prng_below(prng, 5));
            break;
        case 3:
            bytes.insert(at, 1, special[asx_prng_below(prng, sizeof(special) - 1)]);
            break;
        default:
            bytes.insert(at, bytes.substr(asx_prng_below(prng, bytes.size()), 12));
            break;
        }
    }
    return bytes;
}

TEST_CASE("http1_parse: every scanner agrees with plain C on random messages", "[http1]")
{
    asx_prng prng;
    asx_prng_init(&prng, 20260101);
    std::vector<row> rows = load();
    rows.erase(
        std::remove_if(rows.begin(), rows.end(),
                       [](const row &r) { return r.kind == "chunked" || r.bytes.size() > 3000; }),
        rows.end());
    for (int round = 0; round < 60000; round++) {
        const row &r = rows[asx_prng_below(&prng, rows.size())];
        const std::string bytes = mutate(&prng, r.bytes);
        const size_t cut = asx_prng_below(&prng, bytes.size() + 1);
        const std::string want = offer(r.kind, bytes, { bytes.size() }, ASX_HTTP1_PLAIN);
        for (const asx_http1_variant variant : variants()) {
            INFO("round " << round << " " << asx_http1_variant_name(variant));
            REQUIRE(offer(r.kind, bytes, { cut, bytes.size() }, variant) == want);
        }
    }
}

TEST_CASE("http1_parse: each byte value at each place of a line, by every scanner", "[http1]")
{
    const std::string head = "GET /0123456789012345678901234567890123456789 HTTP/1.1\r\n"
                             "Host: a\r\nX-Name-Of-Some-Length-Here-And-On: "
                             "012345678901234567890123456789012345678901234\r\n\r\n";
    for (size_t at = 0; at < head.size(); at++) {
        for (int byte = 0; byte < 256; byte++) {
            std::string bytes = head;
            bytes[at] = static_cast<char>(byte);
            const std::string want = offer("req", bytes, { bytes.size() }, ASX_HTTP1_PLAIN);
            for (const asx_http1_variant variant : variants()) {
                REQUIRE(offer("req", bytes, { bytes.size() }, variant) == want);
            }
        }
    }
}

TEST_CASE("http1_parse: coalesced requests come out one by one", "[http1]")
{
    const std::string one = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    const std::string two = "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "3\r\nxyz\r\n0\r\nT: v\r\n\r\n";
    const std::string three = "\r\nGET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    const std::string all = one + two + three;
    subject s("req");
    std::string seen;
    size_t at = 0;
    while (at < all.size()) {
        asx_http1_parser_reset(&s.parser);
        REQUIRE(asx_http1_parse(&s.parser, all.data() + at, all.size() - at) == ASX_HTTP1_DONE);
        at += s.parser.head.head_len;
        seen += text_of(s.parser.head.path) + "=";
        asx_http1_body body;
        asx_http1_body_init(&body, &s.parser.head, &s.limits);
        for (;;) {
            size_t used;
            const asx_http1_event event =
                asx_http1_body_next(&body, all.data() + at, all.size() - at, &used);
            at += used;
            if (event == ASX_HTTP1_BODY_END) {
                break;
            }
            REQUIRE((event == ASX_HTTP1_BODY_DATA || event == ASX_HTTP1_BODY_TRAILER));
            seen += event == ASX_HTTP1_BODY_DATA ? text_of(body.data) : text_of(body.trailer.value);
        }
    }
    CHECK(seen == "/a=abc/b=xyzv/c=");
    CHECK_FALSE(s.parser.head.keep_alive);
}

TEST_CASE("http1_parse: an answer stays the same when asked again", "[http1]")
{
    const std::string good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n", bad = "GET /#";
    subject s("req");
    REQUIRE(asx_http1_parse(&s.parser, good.data(), good.size()) == ASX_HTTP1_DONE);
    const std::string moved = good;
    REQUIRE(asx_http1_parse(&s.parser, moved.data(), moved.size()) == ASX_HTTP1_DONE);
    CHECK(s.parser.head.target.ptr == moved.data() + 4);
    asx_http1_parser_reset(&s.parser);
    REQUIRE(asx_http1_parse(&s.parser, bad.data(), bad.size()) == ASX_HTTP1_ERROR);
    REQUIRE(asx_http1_parse(&s.parser, bad.data(), bad.size()) == ASX_HTTP1_ERROR);
    CHECK(s.parser.error.code == ASX_HTTP1_CODE_TARGET_FRAGMENT);
}

TEST_CASE("http1_parse: the HTTP/2 preface switches only where it is accepted", "[http1]")
{
    const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (size_t len = 1; len <= preface.size(); len++) {
        subject s("req");
        s.parser.accept_preface = true;
        const asx_http1_verdict verdict = asx_http1_parse(&s.parser, preface.data(), len);
        CHECK(verdict == (len < preface.size() ? ASX_HTTP1_NEED_MORE : ASX_HTTP1_PREFACE));
    }
    std::string other = preface;
    other[20] = 'x';
    subject s("req");
    s.parser.accept_preface = true;
    CHECK(asx_http1_parse(&s.parser, other.data(), other.size()) == ASX_HTTP1_ERROR);
    CHECK(s.parser.error.status == 505);
}

TEST_CASE("http1_parse: facts that a server acts on", "[http1]")
{
    subject s("req");
    const std::string upgrade = "GET /ws HTTP/1.1\r\nHost: a:81\r\nConnection: keep-alive, "
                                "Upgrade\r\nUpgrade: websocket\r\n\r\n";
    REQUIRE(asx_http1_parse(&s.parser, upgrade.data(), upgrade.size()) == ASX_HTTP1_DONE);
    CHECK(text_of(s.parser.head.upgrade) == "websocket");
    CHECK(text_of(s.parser.head.host) == "a:81");
    CHECK(s.parser.head.fields[1].id == ASX_HEADER_CONNECTION);

    const std::string unasked = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n";
    asx_http1_parser_reset(&s.parser);
    REQUIRE(asx_http1_parse(&s.parser, unasked.data(), unasked.size()) == ASX_HTTP1_DONE);
    CHECK(s.parser.head.upgrade.len == 0);

    const std::string expect = "PUT http://a/x?y HTTP/1.1\r\nExpect: 100-continue\r\nHost: A\r\n"
                               "Content-Length: 7\r\n\r\n";
    asx_http1_parser_reset(&s.parser);
    REQUIRE(asx_http1_parse(&s.parser, expect.data(), expect.size()) == ASX_HTTP1_DONE);
    CHECK(s.parser.head.expect_continue);
    CHECK(text_of(s.parser.head.path) == "/x?y");
    CHECK(text_of(s.parser.head.host) == "a");

    const std::string old = "PUT /x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n";
    asx_http1_parser_reset(&s.parser);
    REQUIRE(asx_http1_parse(&s.parser, old.data(), old.size()) == ASX_HTTP1_DONE);
    CHECK_FALSE(s.parser.head.expect_continue);
}

/* A verdict at, below and above a limit: `make` builds a message with n of what is limited. */
template <typename Make>
static void check_limit(uint32_t limit, const asx_http1_limits &limits, const char *error,
                        Make make, const char *kind = "req")
{
    for (const uint32_t n : { limit - 1, limit, limit + 1 }) {
        const std::string bytes = make(n);
        const std::string got = std::string(kind) == "chunked" ? decode_chunked(bytes, 0, limits)
                                                               : brief_of(kind, bytes, limits);
        const std::string slow =
            std::string(kind) == "chunked" ? decode_chunked(bytes, 1, limits) : got;
        INFO(n << " of " << limit << ": " << got);
        CHECK((n > limit ? matches(error, got)
                         : got.substr(0, 2) == "ok" || got.substr(0, 3) == "end"));
        CHECK(slow == got);
    }
}

TEST_CASE("http1_parse: every limit holds at, below and above", "[http1]")
{
    const std::string rest = " HTTP/1.1\r\nHost: a\r\n\r\n";
    asx_http1_limits l = ASX_HTTP1_LIMITS_DEFAULT;
    l.request_line_bytes_max = 100;
    l.method_bytes_max = 10;
    l.fields_bytes_max = 200;
    l.field_count_max = 7;
    l.chunk_line_bytes_max = 20;
    l.chunk_ext_bytes_max = 30;
    l.trailer_bytes_max = 50;
    l.trailer_count_max = 3;
    l.body_bytes_max = 40;
    check_limit(100, l, "REQUEST_LINE_TOO_LONG",
                [&](uint32_t n) { return "GET /" + std::string(n - 14, 'a') + rest; });
    check_limit(
        100, l, "STATUS_LINE_TOO_LONG",
        [&](uint32_t n) { return "HTTP/1.1 200 " + std::string(n - 13, 'a') + "\r\n\r\n"; }, "res");
    check_limit(10, l, "METHOD_TOO_LONG",
                [&](uint32_t n) { return std::string(n, 'M') + " /" + rest; });
    check_limit(200, l, "FIELDS_TOO_LARGE", [&](uint32_t n) {
        return "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(n - 14, 'a') + "\r\n\r\n";
    });
    check_limit(7, l, "FIELDS_TOO_MANY", [&](uint32_t n) {
        std::string head = "GET / HTTP/1.1\r\nHost: a\r\n";
        for (uint32_t i = 1; i < n; i++) {
            head += "X: y\r\n";
        }
        return head + "\r\n";
    });
    check_limit(
        20, l, "CHUNK_LINE_TOO_LONG",
        [&](uint32_t n) { return "1;" + std::string(n - 2, 'x') + "\r\nh\r\n0\r\n\r\n"; },
        "chunked");
    check_limit(
        30, l, "CHUNK_EXT_TOO_LONG",
        [&](uint32_t n) {
            return "1;" + std::string(14, 'x') + "\r\nh\r\n0;" + std::string(n - 16, 'x') +
                   "\r\n\r\n";
        },
        "chunked");
    check_limit(
        50, l, "TRAILERS_TOO_LARGE",
        [&](uint32_t n) { return "0\r\nA: b\r\nX: " + std::string(n - 11, 'x') + "\r\n\r\n"; },
        "chunked");
    check_limit(
        3, l, "TRAILERS_TOO_MANY",
        [&](uint32_t n) {
            std::string body = "0\r\n";
            for (uint32_t i = 0; i < n; i++) {
                body += "X: y\r\n";
            }
            return body + "\r\n";
        },
        "chunked");
    check_limit(
        40, l, "BODY_TOO_LARGE",
        [&](uint32_t n) {
            char size[8];
            snprintf(size, sizeof(size), "%x", n - 1);
            return "1\r\nh\r\n" + std::string(size) + "\r\n" + std::string(n - 1, 'x') +
                   "\r\n0\r\n\r\n";
        },
        "chunked");
}

TEST_CASE("http1_parse: the caller's storage is a limit too", "[http1]")
{
    const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    CHECK(brief_of("req", head, asx_http1_limits_default, 2) == "ok GET / origin none ka");
    CHECK(brief_of("req", head, asx_http1_limits_default, 1) == "FIELDS_TOO_MANY@25");
    CHECK(brief_of("req", "GET / HTTP/1.0\r\n\r\n", asx_http1_limits_default, 0) ==
          "ok GET / origin none close");
}

TEST_CASE("http1_body: a chunked body cut into pieces of any size decodes the same", "[http1]")
{
    for (const row &r : load()) {
        if (r.kind != "chunked") {
            continue;
        }
        const std::string whole = decode_chunked(r.bytes, 0);
        for (const size_t step : { 1, 2, 3, 5, 7, 16, 100 }) {
            INFO("line " << r.line << " step " << step);
            REQUIRE(decode_chunked(r.bytes, step) == whole);
        }
    }
}

TEST_CASE("http1_body: by length and until close, at the limit and cut off", "[http1]")
{
    asx_http1_limits l = ASX_HTTP1_LIMITS_DEFAULT;
    l.body_bytes_max = 5;
    asx_http1_body body;
    asx_http1_body_init_framing(&body, ASX_HTTP1_FRAMING_LENGTH, 5, &l);
    CHECK(decode(&body, "hellorest", 2) == "end data=hello rest=4");
    asx_http1_body_init_framing(&body, ASX_HTTP1_FRAMING_LENGTH, 6, &l);
    CHECK(decode(&body, "hello!", 0) == "BODY_TOO_LARGE@0");
    CHECK(body.error.status == 413);
    asx_http1_body_init_framing(&body, ASX_HTTP1_FRAMING_LENGTH, 5, &l);
    CHECK(decode(&body, "hell", 0) == "more");
    CHECK(asx_http1_body_eof(&body) == ASX_HTTP1_BODY_ERROR);
    CHECK(error_text(body.error) == "BODY_CUT@4");
    asx_http1_body_init_framing(&body, ASX_HTTP1_FRAMING_CLOSE, 0, &l);
    CHECK(decode(&body, "hello", 1) == "more");
    CHECK(asx_http1_body_eof(&body) == ASX_HTTP1_BODY_END);
    CHECK(body.received_bytes == 5);
    asx_http1_body_init_framing(&body, ASX_HTTP1_FRAMING_CLOSE, 0, &l);
    CHECK(decode(&body, "hello!", 0) == "BODY_TOO_LARGE@5");
    asx_http1_body_init_framing(&body, ASX_HTTP1_FRAMING_NONE, 0, &l);
    CHECK(decode(&body, "next", 0) == "end data= rest=4");
    asx_http1_body_init_framing(&body, ASX_HTTP1_FRAMING_CHUNKED, 0, &l);
    CHECK(decode(&body, "2\r\nhe\r\n", 0) == "more");
    CHECK(asx_http1_body_eof(&body) == ASX_HTTP1_BODY_ERROR);
}

TEST_CASE("http1_body: forbidden trailers are dropped, or refused by policy", "[http1]")
{
    const std::string bytes = "0\r\nX: y\r\nContent-Length: 5\r\n\r\n";
    asx_http1_body body;
    asx_http1_body_init_framing(&body, ASX_HTTP1_FRAMING_CHUNKED, 0, &asx_http1_limits_default);
    body.trailer_policy = ASX_HTTP1_TRAILERS_REFUSE;
    CHECK(decode(&body, bytes, 0) == "TRAILER_FORBIDDEN@9");
    CHECK(decode_chunked(bytes, 0) == "end data= trailers=X:y rest=0");
}

TEST_CASE("http1_parse: a Host that was good before is no excuse for the next", "[http1]")
{
    subject s("req", asx_http1_limits_default, 100);
    const auto head = [](const std::string &target, const std::string &host) {
        return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
    };
    const std::string longest(39, 'h');
    const std::vector<std::pair<std::string, asx_http1_code>> heads = {
        { head("/", "a.test:80"), ASX_HTTP1_CODE_NONE },
        { head("/", "a.test:80"), ASX_HTTP1_CODE_NONE },
        { head("/", "a.test:8x"), ASX_HTTP1_CODE_HOST_INVALID },
        { head("/", ""), ASX_HTTP1_CODE_HOST_INVALID },
        { head("http://b.test/", "a.test:80"), ASX_HTTP1_CODE_HOST_DISAGREES },
        { head("http://a.test/", "a.test:80"), ASX_HTTP1_CODE_NONE },
        { head("/", longest), ASX_HTTP1_CODE_NONE },
        { head("/", longest), ASX_HTTP1_CODE_NONE },
        { head("/", longest + "h"), ASX_HTTP1_CODE_NONE },
        { head("/", longest + "@"), ASX_HTTP1_CODE_HOST_INVALID },
        { "GET / HTTP/1.1\r\n\r\n", ASX_HTTP1_CODE_HOST_MISSING },
    };
    for (const auto &[bytes, code] : heads) {
        CAPTURE(bytes);
        asx_http1_parser_reset(&s.parser);
        const asx_http1_verdict verdict = asx_http1_parse(&s.parser, bytes.data(), bytes.size());
        CHECK(verdict == (code ? ASX_HTTP1_ERROR : ASX_HTTP1_DONE));
        CHECK(s.parser.error.code == code);
    }
}
