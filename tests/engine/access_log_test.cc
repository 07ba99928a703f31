/* At stake: what a client sends must stay inside its JSON string and on its line. */
#include <asx/engine/access_log.h>

#include <catch2/catch.hpp>
#include <string>

namespace
{

std::string line_of(const std::string &target, size_t cap = 4096)
{
    std::string buf(cap, '#');
    asx_http_log_record record{};
    record.method = asx_view_str("GET");
    record.target = asx_view_of(target.data(), target.size());
    record.user_agent = asx_view_str("ua");
    record.status = 200;
    record.bytes_out = 13;
    record.took_ns = 1234567;
    buf.resize(asx_access_log_format(&record, UINT64_C(1700000000123456789), &buf[0], cap));
    return buf;
}

} // namespace

TEST_CASE("access log: a line is one JSON object with its instant in UTC", "[engine]")
{
    CHECK(line_of("/a?b=c") ==
          "{\"time\":\"2023-11-14T22:13:20.123456Z\",\"peer\":\"\",\"method\":\"GET\","
          "\"target\":\"/a?b=c\",\"status\":200,\"bytes\":13,\"us\":1234,\"outcome\":\"Ok\","
          "\"agent\":\"ua\"}\n");
}

TEST_CASE("access log: nothing in a target ends the string or the line", "[engine]")
{
    const struct {
        std::string target, says;
    } rows[] = {
        { "\"", "\\\"" },
        { "\\", "\\\\" },
        { "\r\n", "\\u000d\\u000a" },
        { std::string(1, '\0'), "\\u0000" },
        { "\x7f", "\\u007f" },
        { "\xc3\xa9", "\xc3\xa9" },
        { "\xe2\x80\xa8", "\\u2028" },
        { "\xe2\x80\xa9", "\\u2029" },
        { "\xff\xc3", "\\u00ff\\u00c3" },
    };
    for (const auto &row : rows) {
        const std::string line = line_of(row.target);
        CHECK(line.find("\"target\":\"" + row.says + "\"") != std::string::npos);
        CHECK(line.find('\n') == line.size() - 1);
    }
}

TEST_CASE("access log: a line that does not fit is not begun", "[engine]")
{
    const size_t len = line_of("/").size();
    CHECK(line_of("/", len).size() == len);
    for (size_t cap = 0; cap < len; cap++) {
        CHECK(line_of("/", cap).empty());
    }
    CHECK(line_of(std::string(100000, 'x')).size() < 1024);
}
