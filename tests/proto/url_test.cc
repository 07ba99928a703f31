/* What is at stake: a path means one thing, and never something above its root. */
#include <asx/proto/url.h>
#include <asx/shard/base/prng.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

static std::string text_of(asx_view view)
{
    return std::string(view.ptr ? view.ptr : "", view.len);
}

static std::string path_of(const std::string &path, const asx_url_policy &policy)
{
    std::vector<char> buf(path.size() + 1);
    asx_view out;
    const asx_url_error error = asx_url_decode_path(asx_view_of(path.data(), path.size()), &policy,
                                                    buf.data(), buf.size(), &out);
    return error == ASX_URL_OK ? text_of(out) : asx_url_error_name(error);
}

TEST_CASE("url: paths are decoded once and resolved", "[url]")
{
    const asx_url_policy plain = {};
    const struct {
        const char *path, *want;
    } rows[] = {
        { "/", "/" },
        { "/a", "/a" },
        { "/a/", "/a/" },
        { "/%61", "/a" },
        { "/%2541", "/%41" },
        { "/a//b", "/a//b" },
        { "/a/./b", "/a/b" },
        { "/a/../b", "/b" },
        { "/a/b/..", "/a/" },
        { "/a/.", "/a/" },
        { "/.", "/" },
        { "/./", "/" },
        { "/a/../", "/" },
        { "/a/b/../../c", "/c" },
        { "/a/%2e%2e/b", "/b" },
        { "/a/.%2E/b", "/b" },
        { "/a/%2e/b", "/a/b" },
        { "/...", "/..." },
        { "/a/..b", "/a/..b" },
        { "/a/b..", "/a/b.." },
        { "/a%2fb", "/a%2Fb" },
        { "/a%2f..%2fb", "/a%2F..%2Fb" },
        { "/..", "ESCAPES_ROOT" },
        { "/../a", "ESCAPES_ROOT" },
        { "/a/../../b", "ESCAPES_ROOT" },
        { "/%2e%2e/a", "ESCAPES_ROOT" },
        { "/a%00b", "NUL" },
        { "/a%0ab", "CONTROL" },
        { "/a%7f", "CONTROL" },
        { "/a%", "BAD_ESCAPE" },
        { "/a%4", "BAD_ESCAPE" },
        { "/a%4g", "BAD_ESCAPE" },
        { "/a%zz", "BAD_ESCAPE" },
        { "", "NOT_ABSOLUTE" },
        { "a", "NOT_ABSOLUTE" },
        { "*", "NOT_ABSOLUTE" },
        { "/%ff", "/\xff" },
        { "/a\\b", "/a\\b" },
        { "//a", "//a" },
        { "/a//../b", "/a/b" },
    };
    for (const auto &row : rows) {
        INFO(row.path);
        CHECK(path_of(row.path, plain) == row.want);
    }
}

TEST_CASE("url: policies on slashes, dots, backslashes and UTF-8", "[url]")
{
    asx_url_policy p = {};
    p.slash = ASX_URL_SLASH_REFUSE;
    CHECK(path_of("/a%2Fb", p) == "ENCODED_SLASH");
    p.slash = ASX_URL_SLASH_DECODE;
    CHECK(path_of("/a%2Fb", p) == "/a/b");
    CHECK(path_of("/a%2F..%2Fb", p) == "/b");
    CHECK(path_of("/..%2Fb", p) == "ESCAPES_ROOT");
    p = {};
    p.dots = ASX_URL_DOTS_REFUSE;
    CHECK(path_of("/a/../b", p) == "DOT_SEGMENT");
    CHECK(path_of("/a/%2e", p) == "DOT_SEGMENT");
    CHECK(path_of("/a/...", p) == "/a/...");
    p = {};
    p.refuse_backslash = true;
    CHECK(path_of("/a\\b", p) == "BACKSLASH");
    CHECK(path_of("/a%5cb", p) == "ENCODED_SLASH");
    p = {};
    p.require_utf8 = true;
    CHECK(path_of("/%c3%a9", p) == "/\xc3\xa9");
    for (const char *bad : { "/%c3", "/%c0%af", "/%ed%a0%80", "/%f5%80%80%80", "/%e0%80%af", "/%80",
                             "/%f0%80%80%80", "/%f4%90%80%80", "/%ff" }) {
        INFO(bad);
        CHECK(path_of(bad, p) == "NOT_UTF8");
    }
    p = {};
    p.merge_slashes = true;
    CHECK(path_of("//a///b//", p) == "/a/b/");
    CHECK(path_of("//a//../b", p) == "/b");
}

TEST_CASE("url: decoding fits storage of the source's length, in place too", "[url]")
{
    asx_prng prng;
    asx_prng_init(&prng, 7);
    static const char alphabet[] = "/.%2eEfF5cab\\";
    for (int round = 0; round < 200000; round++) {
        std::string path = "/";
        const size_t len = asx_prng_below(&prng, 20);
        for (size_t i = 0; i < len; i++) {
            path += alphabet[asx_prng_below(&prng, sizeof(alphabet) - 1)];
        }
        asx_url_policy policy = {};
        policy.slash = static_cast<asx_url_slash>(asx_prng_below(&prng, 3));
        policy.merge_slashes = asx_prng_below(&prng, 2) != 0;
        const std::string apart = path_of(path, policy);
        std::string in_place = path;
        asx_view out;
        const asx_url_error error =
            asx_url_decode_path(asx_view_of(in_place.data(), in_place.size()), &policy,
                                &in_place[0], in_place.size(), &out);
        INFO(path);
        REQUIRE((error == ASX_URL_OK ? text_of(out) : asx_url_error_name(error)) == apart);
        if (error == ASX_URL_OK) {
            /* No dot-segment survives, whatever way it was written. */
            const std::string closed = text_of(out) + "/";
            REQUIRE(closed.find("/../") == std::string::npos);
            REQUIRE(closed.find("/./") == std::string::npos);
        }
    }
}

TEST_CASE("url: targets, authorities and ports", "[url]")
{
    asx_url url;
    REQUIRE(asx_url_parse(asx_view_str("https://a.b:8443/x?y"), &url));
    CHECK(url.secure);
    CHECK(url.port == 8443);
    CHECK(text_of(url.host) == "a.b");
    CHECK(text_of(url.authority) == "a.b:8443");
    CHECK(text_of(url.path_query) == "/x?y");
    REQUIRE(asx_url_parse(asx_view_str("http://[::1]"), &url));
    CHECK(url.port == 80);
    CHECK(text_of(url.host) == "[::1]");
    CHECK_FALSE(asx_url_parse(asx_view_str("ftp://a/"), &url));
    CHECK_FALSE(asx_url_parse(asx_view_str("http://u@a/"), &url));
    CHECK_FALSE(asx_url_parse(asx_view_str("http:///"), &url));
    asx_view host;
    uint32_t port;
    REQUIRE(asx_url_authority_split(asx_view_str("a:"), &host, &port));
    CHECK(port == ASX_URL_PORT_NONE);
    CHECK_FALSE(asx_url_authority_split(asx_view_str("a:4294967376"), &host, &port));
}

TEST_CASE("url: queries", "[url]")
{
    asx_view path, query, name, value;
    CHECK(asx_url_query_split(asx_view_str("/a?b=c?d"), &path, &query));
    CHECK(text_of(path) == "/a");
    CHECK(text_of(query) == "b=c?d");
    CHECK_FALSE(asx_url_query_split(asx_view_str("/a"), &path, &query));
    CHECK(query.len == 0);
    query = asx_view_str("&a=1&&b&=c&d=e=f&g=%20+");
    std::string seen;
    while (asx_url_query_next(&query, &name, &value)) {
        char buf[16];
        asx_view out;
        REQUIRE(asx_url_decode(value, true, buf, sizeof(buf), &out) == ASX_URL_OK);
        seen += "[" + text_of(name) + "|" + text_of(out) + "]";
    }
    CHECK(seen == "[a|1][b|][|c][d|e=f][g|  ]");
    char buf[2];
    CHECK(asx_url_decode(asx_view_str("abc"), false, buf, 2, &value) == ASX_URL_TOO_LONG);
    CHECK(asx_url_decode(asx_view_str("%00"), false, buf, 2, &value) == ASX_URL_NUL);
    CHECK(asx_url_decode(asx_view_str("%"), false, buf, 2, &value) == ASX_URL_BAD_ESCAPE);
    REQUIRE(asx_url_decode(asx_view_str("a+"), false, buf, 2, &value) == ASX_URL_OK);
    CHECK(text_of(value) == "a+");
}
