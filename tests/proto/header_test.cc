/* What is at stake: a name is known in every case and only when it is that name; lists, ranges,
 * tags and weights are read as the RFC says. */
#include <asx/proto/header.h>
#include <asx/proto/header_value.h>
#include <asx/shard/base/prng.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

static std::string text_of(asx_view view)
{
    return std::string(view.ptr ? view.ptr : "", view.len);
}

static asx_header_id lookup(const std::string &name)
{
    return asx_header_lookup(asx_view_of(name.data(), name.size()));
}

TEST_CASE("header: every known name is found in any case, and in no other spelling", "[header]")
{
    for (int id = 1; id < ASX_HEADER_ID_COUNT; id++) {
        const std::string name = asx_header_id_name(static_cast<asx_header_id>(id));
        INFO(name);
        std::string upper = name;
        for (char &c : upper) {
            c = static_cast<char>(toupper(c));
        }
        REQUIRE(lookup(name) == id);
        REQUIRE(lookup(upper) == id);
        for (size_t at = 0; at < name.size(); at++) {
            for (int byte = 0; byte < 256; byte++) {
                std::string other = name;
                other[at] = static_cast<char>(byte);
                const bool same = byte < 128 && tolower(byte) == name[at];
                const asx_header_id got = lookup(other);
                REQUIRE((got == id) == same);
            }
        }
        CHECK(lookup(name + "x") != id);
        CHECK(lookup(name.substr(1)) != id);
    }
    CHECK(lookup("") == ASX_HEADER_OTHER);
    CHECK(lookup("x") == ASX_HEADER_OTHER);
    CHECK(lookup(std::string(300, 'a')) == ASX_HEADER_OTHER);
}

TEST_CASE("header: lists", "[header]")
{
    asx_view rest = asx_view_str(" , a ,\tb;x=\"1,2\" ,,\"q\\\",r\", c,");
    std::vector<std::string> seen;
    asx_view element;
    while (asx_header_list_next(&rest, &element)) {
        seen.push_back(text_of(element));
    }
    CHECK(seen == std::vector<std::string>{ "a", "b;x=\"1,2\"", "\"q\\\",r\"", "c" });
    CHECK(asx_header_list_has(asx_view_str("foo, Close"), asx_view_str("close")));
    CHECK_FALSE(asx_header_list_has(asx_view_str("closed"), asx_view_str("close")));
    rest = asx_view_str("\"open, never closed");
    REQUIRE(asx_header_list_next(&rest, &element));
    CHECK(text_of(element) == "\"open, never closed");
    CHECK_FALSE(asx_header_list_next(&rest, &element));
    rest = asx_view_str("\"\\");
    REQUIRE(asx_header_list_next(&rest, &element));
    CHECK(element.len == 2);
}

TEST_CASE("header: hop-by-hop fields, and what Connection may not name", "[header]")
{
    const auto make = [](const char *name, const char *value) {
        return asx_header_field{ asx_view_str(name), asx_view_str(value), (uint32_t)lookup(name) };
    };
    const asx_header_field fields[] = {
        make("Connection", "x-foo, Content-Length, authorization, host"),
        make("X-Foo", "1"),
        make("Content-Length", "5"),
        make("Authorization", "secret"),
        make("Host", "a"),
        make("Keep-Alive", "timeout=5"),
        make("Accept", "*/*"),
    };
    const bool want[] = { true, true, false, false, false, true, false };
    for (size_t i = 0; i < 7; i++) {
        INFO(text_of(fields[i].name));
        CHECK(asx_header_is_hop(fields, 7, &fields[i]) == want[i]);
    }
}

TEST_CASE("header: numbers up to 2^63-1", "[header]")
{
    uint64_t n = 0;
    CHECK(asx_header_parse_u63(asx_view_str("0"), &n));
    CHECK(asx_header_parse_u63(asx_view_str("9223372036854775807"), &n));
    CHECK(n == INT64_MAX);
    for (const char *bad : { "", "9223372036854775808", "99999999999999999999", "+1", "-1", "1 ",
                             "18446744073709551617", "1a", "0x1" }) {
        INFO(bad);
        CHECK_FALSE(asx_header_parse_u63(asx_view_str(bad), &n));
    }
}

static std::string ranges(const char *value, uint64_t size, size_t cap = 16)
{
    asx_http_range list[16];
    size_t count;
    const asx_http_ranges verdict =
        asx_http_ranges_parse(asx_view_str(value), size, list, cap, &count);
    std::string text = asx_http_ranges_name(verdict);
    for (size_t i = 0; i < count; i++) {
        text += " " + std::to_string(list[i].first) + "-" + std::to_string(list[i].last);
    }
    return text;
}

TEST_CASE("header: ranges", "[header]")
{
    CHECK(ranges("bytes=0-0", 10) == "SOME 0-0");
    CHECK(ranges("Bytes=0-99", 10) == "SOME 0-9");
    CHECK(ranges("bytes=5-", 10) == "SOME 5-9");
    CHECK(ranges("bytes=-3", 10) == "SOME 7-9");
    CHECK(ranges("bytes=-30", 10) == "SOME 0-9");
    CHECK(ranges("bytes=-0", 10) == "BEYOND");
    CHECK(ranges("bytes=10-", 10) == "BEYOND");
    CHECK(ranges("bytes=0-", 0) == "BEYOND");
    CHECK(ranges("bytes=-5", 0) == "BEYOND");
    CHECK(ranges("bytes=99999999999999999999999-", 10) == "BEYOND");
    CHECK(ranges("bytes=0-99999999999999999999999", 10) == "SOME 0-9");
    CHECK(ranges("bytes=0-1,5-6", 10) == "SOME 0-1 5-6");
    CHECK(ranges("bytes=5-6, 0-1", 10) == "SOME 0-1 5-6");
    CHECK(ranges("bytes=0-1,2-3", 10) == "SOME 0-3");
    CHECK(ranges("bytes=0-5,3-8", 10) == "SOME 0-8");
    CHECK(ranges("bytes=0-1,5-6,8-9,1-8", 10) == "SOME 0-9");
    CHECK(ranges("bytes=0-1,20-30", 10) == "SOME 0-1");
    CHECK(ranges("bytes=0-1,2-3", 10, 1) == "NONE");
    for (const char *bad :
         { "", "bytes", "bytes=", "bytes=,", "bytes=a-b", "bytes=1", "bytes=2-1", "bytes=--1",
           "bytes=-", "bytes= -", "items=0-1", "bytes=0-1,x", "bytes=0 -1", "bytes=+0-1" }) {
        INFO(bad);
        CHECK(ranges(bad, 10) == "NONE");
    }
}

TEST_CASE("header: ranges equal a naive set of bytes", "[header]")
{
    asx_prng prng;
    asx_prng_init(&prng, 3);
    for (int round = 0; round < 20000; round++) {
        const uint64_t size = asx_prng_below(&prng, 12);
        std::string value = "bytes=", want(size, '.'), got(size, '.');
        const uint64_t count = 1 + asx_prng_below(&prng, 5);
        for (uint64_t i = 0; i < count; i++) {
            const uint64_t a = asx_prng_below(&prng, 14), b = a + asx_prng_below(&prng, 5);
            value += (i ? "," : "") + std::to_string(a) + "-" + std::to_string(b);
            for (uint64_t at = a; at <= b && at < size; at++) {
                want[at] = 'x';
            }
        }
        asx_http_range list[5];
        size_t n;
        const asx_http_ranges verdict =
            asx_http_ranges_parse(asx_view_of(value.data(), value.size()), size, list, 5, &n);
        for (size_t i = 0; i < n; i++) {
            REQUIRE((i == 0 || list[i - 1].last + 1 < list[i].first));
            for (uint64_t at = list[i].first; at <= list[i].last; at++) {
                got[at] = 'x';
            }
        }
        INFO(value << " of " << size);
        REQUIRE(got == want);
        REQUIRE((verdict == ASX_HTTP_RANGES_SOME) == (want.find('x') != std::string::npos));
    }
}

TEST_CASE("header: entity tags", "[header]")
{
    asx_http_etag strong, weak;
    REQUIRE(asx_http_etag_parse(asx_view_str("\"a\""), &strong));
    REQUIRE(asx_http_etag_parse(asx_view_str("W/\"a\""), &weak));
    CHECK(weak.weak);
    for (const char *bad : { "", "a", "\"", "\"a", "a\"", "w/\"a\"", "W/a", "\"a b\"", "\"a\"x" }) {
        asx_http_etag etag;
        INFO(bad);
        CHECK_FALSE(asx_http_etag_parse(asx_view_str(bad), &etag));
    }
    CHECK(asx_http_etag_matches(asx_view_str("*"), strong, true));
    CHECK(asx_http_etag_matches(asx_view_str("\"b\", \"a\""), strong, true));
    CHECK(asx_http_etag_matches(asx_view_str("\"b,c\" ,W/\"a\""), strong, false));
    CHECK_FALSE(asx_http_etag_matches(asx_view_str("W/\"a\""), strong, true));
    CHECK_FALSE(asx_http_etag_matches(asx_view_str("\"a\""), weak, true));
    CHECK(asx_http_etag_matches(asx_view_str("\"a\""), weak, false));
    CHECK_FALSE(asx_http_etag_matches(asx_view_str("\"b\""), strong, false));
    CHECK_FALSE(asx_http_etag_matches(asx_view_str("x, \"a\""), strong, false));
    CHECK_FALSE(asx_http_etag_matches(asx_view_str(""), strong, false));
    CHECK(asx_http_etag_matches(asx_view_str("\"\\\", \"a\""), strong, true));
}

TEST_CASE("header: weights of codings", "[header]")
{
    const auto q = [](const char *value, const char *coding) {
        return asx_http_coding_q(asx_view_str(value), true, asx_view_str(coding));
    };
    CHECK(q("gzip, br;q=0.5", "gzip") == 1000);
    CHECK(q("gzip, br;q=0.5", "BR") == 500);
    CHECK(q("gzip", "br") == 0);
    CHECK(q("gzip", "identity") == 1000);
    CHECK(q("", "gzip") == 0);
    CHECK(q("*", "gzip") == 1000);
    CHECK(q("*;q=0", "identity") == 0);
    CHECK(q("identity;q=0", "identity") == 0);
    CHECK(q("*;q=0, identity", "identity") == 1000);
    CHECK(q("*;q=0.3, gzip;q=0", "gzip") == 0);
    CHECK(q("gzip;q=0.001", "gzip") == 1);
    CHECK(q("gzip ; Q=1.000", "gzip") == 1000);
    for (const char *bad : { "gzip;q=2", "gzip;q=1.001", "gzip;q=", "gzip;q=0.0001", "gzip;x=1",
                             "gzip;q=-1", "gzip;q=.5" }) {
        INFO(bad);
        CHECK(q(bad, "gzip") == 0);
    }
    CHECK(asx_http_coding_q(asx_view_str(""), false, asx_view_str("gzip")) == 1000);
}
