/* At stake: which bytes of a file leave, and which version; all of it arithmetic on header values
 * that a client makes up. */
#include <asx/engine/static_file.h>

#include <catch2/catch.hpp>
#include <string>

TEST_CASE("static: a range names bytes that are there, or is refused, or is ignored", "[engine]")
{
    const struct {
        const char *value;
        uint64_t size;
        asx_range_verdict verdict;
        uint64_t first, length;
    } rows[] = {
        { "bytes=0-0", 10, ASX_RANGE_ONE, 0, 1 },
        { "bytes=0-9", 10, ASX_RANGE_ONE, 0, 10 },
        { "bytes=0-10", 10, ASX_RANGE_ONE, 0, 10 },
        { "bytes=9-", 10, ASX_RANGE_ONE, 9, 1 },
        { "Bytes=5-9223372036854775807", 10, ASX_RANGE_ONE, 5, 5 },
        { "bytes=-1", 10, ASX_RANGE_ONE, 9, 1 },
        { "bytes=-10", 10, ASX_RANGE_ONE, 0, 10 },
        { "bytes=-11", 10, ASX_RANGE_ONE, 0, 10 },
        { "bytes=10-", 10, ASX_RANGE_UNSATISFIABLE, 0, 0 },
        { "bytes=10-20", 10, ASX_RANGE_UNSATISFIABLE, 0, 0 },
        { "bytes=-0", 10, ASX_RANGE_UNSATISFIABLE, 0, 0 },
        { "bytes=0-", 0, ASX_RANGE_UNSATISFIABLE, 0, 0 },
        { "bytes=-5", 0, ASX_RANGE_UNSATISFIABLE, 0, 0 },
        { "bytes=5-4", 10, ASX_RANGE_NONE, 0, 0 },
        { "bytes=0-1,3-4", 10, ASX_RANGE_NONE, 0, 0 },
        { "bytes=", 10, ASX_RANGE_NONE, 0, 0 },
        { "bytes=-", 10, ASX_RANGE_NONE, 0, 0 },
        { "bytes=a-b", 10, ASX_RANGE_NONE, 0, 0 },
        { "bytes=1", 10, ASX_RANGE_NONE, 0, 0 },
        { "bytes=1-2x", 10, ASX_RANGE_NONE, 0, 0 },
        { "bytes= 1-2", 10, ASX_RANGE_NONE, 0, 0 },
        { "bytes=--1", 10, ASX_RANGE_NONE, 0, 0 },
        { "bytes=99999999999999999999-", 10, ASX_RANGE_NONE, 0, 0 },
        { "lines=0-1", 10, ASX_RANGE_NONE, 0, 0 },
    };
    for (const auto &row : rows) {
        uint64_t first = 0, length = 0;
        INFO(row.value << " of " << row.size);
        CHECK(asx_static_range(asx_view_str(row.value), row.size, &first, &length) == row.verdict);
        if (row.verdict == ASX_RANGE_ONE) {
            CHECK(first == row.first);
            CHECK(length == row.length);
        }
    }
}

TEST_CASE("static: a coding is accepted by name, and refused by q=0", "[engine]")
{
    const struct {
        const char *value;
        bool br, gzip;
    } rows[] = {
        { "br", true, false },
        { "gzip, br", true, true },
        { "GZIP", false, true },
        { "gzip;q=0", false, false },
        { "gzip; q=0.0", false, false },
        { "gzip;q=0.1,br;q=1", true, true },
        { "", false, false },
        { "brotli, xgzip", false, false },
        { " br , identity", true, false },
    };
    for (const auto &row : rows) {
        INFO(row.value);
        CHECK(asx_static_accepts(asx_view_str(row.value), "br") == row.br);
        CHECK(asx_static_accepts(asx_view_str(row.value), "gzip") == row.gzip);
    }
}

TEST_CASE("static: an entity tag is found in a list, weak or not, and * is any", "[engine]")
{
    const asx_view tag = asx_view_str("\"a-1\"");
    for (const char *value : { "\"a-1\"", "W/\"a-1\"", "\"x\", \"a-1\"", "*", " * " }) {
        INFO(value);
        CHECK(asx_static_etag_listed(asx_view_str(value), tag));
    }
    for (const char *value : { "", "\"a-2\"", "a-1", "\"a-1", "\"x, a-1\"" }) {
        INFO(value);
        CHECK_FALSE(asx_static_etag_listed(asx_view_str(value), tag));
    }
}

TEST_CASE("static: the type goes by the last extension, in any case", "[engine]")
{
    CHECK(std::string(asx_static_mime(asx_view_str("a/b.HTML"))) == "text/html; charset=utf-8");
    CHECK(std::string(asx_static_mime(asx_view_str("x.tar.gz"))) == "application/gzip");
    CHECK(std::string(asx_static_mime(asx_view_str("README"))) == "application/octet-stream");
    CHECK(std::string(asx_static_mime(asx_view_str("a."))) == "application/octet-stream");
}
