/* What is at stake: nothing that a caller passes may end a line, a head or a body early, and what
 * is written is what our own parser reads back. */
#include <asx/proto/http1_write.h>
#include <asx/proto/http_date.h>
#include <asx/proto/http_status.h>

#include "http1_corpus.h"

#include <catch2/catch.hpp>
#include <ctime>

using namespace http1_corpus;

static asx_header_field field(const char *name, const std::string &value)
{
    return { asx_view_str(name), asx_view_of(value.data(), value.size()), 0 };
}

static std::string write(const asx_http1_response &response, asx_err want = ASX_OK)
{
    char buf[4096];
    size_t len = 0;
    const asx_err err = asx_http1_write_response(&response, buf, sizeof(buf), &len);
    CHECK(err == want);
    return std::string(buf, len);
}

TEST_CASE("http1_write: a response with a length", "[http1]")
{
    const std::string type = "text/plain";
    const asx_header_field fields[] = { field("Content-Type", type) };
    char date[ASX_HTTP_DATE_LEN];
    asx_http_date_format(784111777, date);
    asx_http1_response r = {};
    r.status = 200;
    r.fields = fields;
    r.field_count = 1;
    r.date = date;
    r.framing = ASX_HTTP1_FRAMING_LENGTH;
    r.content_length = 13;
    r.keep_alive = true;
    r.version_minor = 1;
    const std::string want = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                             "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\n";
    CHECK(write(r) == want);
    asx_http1_frozen frozen;
    char buf[ASX_HTTP1_FROZEN_CAP + 32];
    REQUIRE(asx_http1_frozen_init(&frozen, 200, fields, 1) == ASX_OK);
    const size_t len = asx_http1_frozen_write(&frozen, date, 13, buf, sizeof(buf));
    CHECK(std::string(buf, len) == want);
    CHECK(asx_http1_frozen_write(&frozen, date, 13, buf, want.size() - 1) == 0);
    CHECK(asx_http1_frozen_write(&frozen, date, 13, buf, want.size()) == want.size());
    CHECK(asx_http1_frozen_init(&frozen, 204, fields, 1) == ASX_E(INVALID_ARGUMENT));
}

TEST_CASE("http1_write: framing and connection by status, version and method", "[http1]")
{
    asx_http1_response r = {};
    r.status = 204;
    r.keep_alive = true;
    r.version_minor = 1;
    CHECK(write(r) == "HTTP/1.1 204 No Content\r\n\r\n");
    r.status = 404;
    CHECK(write(r) == "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    r.keep_alive = false;
    CHECK(write(r) == "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    r.status = 200;
    r.keep_alive = true;
    r.framing = ASX_HTTP1_FRAMING_CHUNKED;
    CHECK(write(r) == "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    r.version_minor = 0;
    CHECK(write(r, ASX_E(INVALID_ARGUMENT)).empty());
    r.framing = ASX_HTTP1_FRAMING_CLOSE;
    CHECK(write(r) == "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    r.framing = ASX_HTTP1_FRAMING_NONE;
    CHECK(write(r) == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    r.version_minor = 1;
    r.head = true;
    CHECK(write(r) == "HTTP/1.1 200 OK\r\n\r\n");
    r.status = 101;
    r.framing = ASX_HTTP1_FRAMING_TUNNEL;
    CHECK(write(r) == "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n");
    r.status = 204;
    r.framing = ASX_HTTP1_FRAMING_LENGTH;
    CHECK(write(r, ASX_E(INVALID_ARGUMENT)).empty());
}

TEST_CASE("http1_write: every control byte in a name, value or reason is refused", "[http1]")
{
    for (int c = 0; c < 256; c++) {
        const std::string text = std::string("a") + static_cast<char>(c) + "b";
        const bool control = (c < 0x20 && c != '\t') || c == 0x7f;
        asx_http1_response r = {};
        r.status = 200;
        asx_header_field f = field("X", text);
        r.fields = &f;
        r.field_count = 1;
        CHECK(write(r, control ? ASX_E(INVALID_ARGUMENT) : ASX_OK).empty() == control);
        r.field_count = 0;
        r.reason = asx_view_of(text.data(), text.size());
        CHECK(write(r, control ? ASX_E(INVALID_ARGUMENT) : ASX_OK).empty() == control);
        r.reason = asx_view_of("", 0);
        const std::string value = "v";
        f = field("", value);
        f.name = asx_view_of(text.data(), text.size());
        r.field_count = 1;
        const bool token = asx_header_name_check(f.name);
        CHECK(write(r, token ? ASX_OK : ASX_E(INVALID_ARGUMENT)).empty() == !token);
    }
}

TEST_CASE("http1_write: fields that frame cannot be smuggled in as plain ones", "[http1]")
{
    for (const char *name : { "Content-Length", "transfer-encoding", "CONNECTION" }) {
        char buf[256];
        asx_http1_writer writer;
        asx_http1_writer_init(&writer, buf, sizeof(buf));
        asx_http1_write_status(&writer, 200, asx_view_of("", 0));
        asx_http1_write_field(&writer, asx_view_str(name), asx_view_str("5"));
        CHECK(asx_http1_write_end(&writer) == ASX_E(INVALID_ARGUMENT));
    }
    char buf[256];
    asx_http1_writer writer;
    asx_http1_writer_init(&writer, buf, sizeof(buf));
    asx_http1_write_status(&writer, 200, asx_view_of("", 0));
    asx_http1_write_length(&writer, 5);
    asx_http1_write_chunked(&writer);
    CHECK(asx_http1_write_end(&writer) == ASX_E(INVALID_ARGUMENT));
}

TEST_CASE("http1_write: storage of any size is enough, or refused, and never overrun", "[http1]")
{
    const std::string value = "value";
    const asx_header_field f = field("Name", value);
    asx_http1_response r = {};
    r.status = 200;
    r.fields = &f;
    r.field_count = 1;
    r.framing = ASX_HTTP1_FRAMING_CHUNKED;
    r.keep_alive = true;
    r.version_minor = 1;
    const size_t whole = write(r).size();
    for (size_t cap = 0; cap <= whole; cap++) {
        const std::unique_ptr<char[]> buf(new char[cap]);
        size_t len;
        const asx_err err = asx_http1_write_response(&r, buf.get(), cap, &len);
        CHECK(err == (cap < whole ? ASX_E(TOO_LONG) : ASX_OK));
        CHECK(len == (cap < whole ? 0 : whole));
    }
}

TEST_CASE("http1_write: a request reads back as it was meant", "[http1]")
{
    char buf[512];
    asx_http1_writer writer;
    asx_http1_writer_init(&writer, buf, sizeof(buf));
    asx_http1_write_request(&writer, asx_view_str("POST"), asx_view_str("/a?b"));
    asx_http1_write_field(&writer, asx_view_str("Host"), asx_view_str("a:80"));
    asx_http1_write_field_u64(&writer, asx_view_str("X-Max"), UINT64_MAX);
    asx_http1_write_length(&writer, INT64_MAX);
    REQUIRE(asx_http1_write_end(&writer) == ASX_OK);
    subject s("req");
    REQUIRE(asx_http1_parse(&s.parser, buf, writer.len) == ASX_HTTP1_DONE);
    CHECK(brief(s.parser, ASX_HTTP1_DONE, false) ==
          "ok POST /a?b origin length:9223372036854775807 ka");
    CHECK(text_of(s.parser.head.fields[1].value) == "18446744073709551615");
    for (const char *target : { "", "/a b", "/a#b", "/\r\n", "/\x80" }) {
        asx_http1_writer_init(&writer, buf, sizeof(buf));
        asx_http1_write_request(&writer, asx_view_str("GET"), asx_view_str(target));
        CHECK(asx_http1_write_end(&writer) == ASX_E(INVALID_ARGUMENT));
    }
}

TEST_CASE("http1_write: chunks and trailers read back", "[http1]")
{
    std::string wire, want;
    for (const size_t len : { 1u, 15u, 16u, 255u, 256u, 4096u, 70000u }) {
        char head[ASX_HTTP1_CHUNK_HEAD_MAX];
        wire.append(head, asx_http1_chunk_head(len, head));
        wire += std::string(len, 'd') + ASX_HTTP1_CRLF;
        want += std::string(len, 'd');
    }
    const std::string value = "y";
    const asx_header_field trailers[] = { field("X", value) };
    char buf[64];
    size_t len;
    REQUIRE(asx_http1_write_trailers(trailers, 1, buf, sizeof(buf), &len) == ASX_OK);
    CHECK(decode_chunked(wire + std::string(buf, len), 0) ==
          "end data=" + want + " trailers=X:y rest=0");
    CHECK(decode_chunked(wire + ASX_HTTP1_LAST_CHUNK, 0) == "end data=" + want + " rest=0");
    const asx_header_field bad[] = { field("Host", value) };
    CHECK(asx_http1_write_trailers(bad, 1, buf, sizeof(buf), &len) == ASX_E(INVALID_ARGUMENT));
    char head[ASX_HTTP1_CHUNK_HEAD_MAX];
    CHECK(std::string(head, asx_http1_chunk_head(UINT64_MAX, head)) == "ffffffffffffffff\r\n");
}

TEST_CASE("http1_write: a sender is held to its declared length", "[http1]")
{
    asx_http1_output output;
    asx_http1_output_init(&output, ASX_HTTP1_FRAMING_LENGTH, 5);
    CHECK_FALSE(asx_http1_output_is_whole(&output));
    CHECK(asx_http1_output_take(&output, 3));
    CHECK_FALSE(asx_http1_output_take(&output, 3));
    CHECK(asx_http1_output_take(&output, 2));
    CHECK(asx_http1_output_is_whole(&output));
    asx_http1_output_init(&output, ASX_HTTP1_FRAMING_NONE, 9);
    CHECK_FALSE(asx_http1_output_take(&output, 1));
    CHECK(asx_http1_output_is_whole(&output));
    asx_http1_output_init(&output, ASX_HTTP1_FRAMING_CHUNKED, 0);
    CHECK(asx_http1_output_take(&output, UINT64_C(1) << 40));
    CHECK(asx_http1_output_is_whole(&output));
}

TEST_CASE("http_status: lines and phrases agree", "[http1]")
{
    CHECK(text_of(asx_http_status_line(404)) == "HTTP/1.1 404 Not Found\r\n");
    CHECK(text_of(asx_http_status_phrase(404)) == "Not Found");
    CHECK(asx_http_status_phrase(299).len == 0);
    for (uint32_t status = 100; status < 600; status++) {
        const asx_view phrase = asx_http_status_phrase(status);
        if (phrase.len) {
            CHECK(text_of(asx_http_status_line(status)) ==
                  "HTTP/1.1 " + std::to_string(status) + " " + text_of(phrase) + "\r\n");
        }
    }
}

TEST_CASE("http_date: agrees with the C library and reads back", "[http1]")
{
    for (int64_t t = -62135596800; t <= 253402300799; t += 86400 * 97 + 12345) {
        char ours[ASX_HTTP_DATE_LEN], theirs[64];
        const time_t when = static_cast<time_t>(t);
        tm civil;
        gmtime_r(&when, &civil);
        strftime(theirs, sizeof(theirs), "%a, %d %b ", &civil);
        snprintf(theirs + 12, sizeof(theirs) - 12, "%04d", civil.tm_year + 1900);
        strftime(theirs + 16, sizeof(theirs) - 16, " %H:%M:%S GMT", &civil);
        asx_http_date_format(t, ours);
        int64_t back = 0;
        REQUIRE(std::string(ours, ASX_HTTP_DATE_LEN) == theirs);
        REQUIRE(asx_http_date_parse(asx_view_of(ours, ASX_HTTP_DATE_LEN), 0, &back));
        REQUIRE(back == t);
    }
}

TEST_CASE("http_date: three forms are read, others refused", "[http1]")
{
    const int64_t now = 1770000000; /* 2026 */
    int64_t t = 0;
    for (const char *text : { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                              "Sun Nov  6 08:49:37 1994" }) {
        INFO(text);
        CHECK(asx_http_date_parse(asx_view_str(text), now, &t));
        CHECK(t == 784111777);
    }
    CHECK(asx_http_date_parse(asx_view_str("Monday, 01-Jan-76 00:00:00 GMT"), now, &t));
    CHECK(t == 3345062400); /* 2076: 50 years ahead is still ahead */
    CHECK(asx_http_date_parse(asx_view_str("Monday, 01-Jan-77 00:00:00 GMT"), now, &t));
    CHECK(t == 220924800);
    CHECK(asx_http_date_parse(asx_view_str("Sat, 31 Dec 2016 23:59:60 GMT"), now, &t));
    CHECK(t == 1483228799);
    for (const char *text :
         { "", "Sun", "Sun,", "Mon, 06 Nov 1994 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT",
           "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 24:00:00 GMT",
           "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
           "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
           "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 06 Nov 94 08:49:37 GMT",
           "Sun Nov 6 08:49:37 1994", "Tue, 29 Feb 2023 00:00:00 GMT", "0", "784111777" }) {
        INFO(text);
        CHECK_FALSE(asx_http_date_parse(asx_view_str(text), now, &t));
    }
}
