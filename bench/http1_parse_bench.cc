/* Heads as clients send them, by every scanner; what a keep-alive GET costs to read and to answer.
 * Each prints a hash of the work, which must not depend on the scanner. */
#include <asx/proto/http1_parse.h>
#include <asx/proto/http1_write.h>

#include <benchmark/benchmark.h>
#include <string>

namespace
{

const char wrk_get[] = "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const char curl_get[] = "GET /index.html HTTP/1.1\r\nHost: localhost:8080\r\n"
                        "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";

const char techempower_get[] =
    "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: text/plain,text/html;q=0.9,"
    "application/xhtml+xml;q=0.9,application/xml;q=0.8,*/*;q=0.7\r\nConnection: keep-alive\r\n\r\n";

const char browser_get[] =
    "GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\n"
    "Host: www.kittyhell.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
    "\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    "Connection: keep-alive\r\nReferer: https://www.kittyhell.com/2010/03/\r\n"
    "Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=1263842; __utma=xxxxxxxxx.xxxxxxxxxx."
    "xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.x; __utmz=xxxxxxxxx.xxxxxxxxxx.x.x.utmccn=(referral)|utmcsr="
    "reader.livedoor.com|utmcct=/reader/|utmcmd=referral\r\n"
    "Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: none\r\nSec-Fetch-User: ?1\r\nPriority: u=0, i\r\n\r\n";

const char post[] = "POST /api/v1/orders HTTP/1.1\r\nHost: api.example.com\r\n"
                    "Content-Type: application/json\r\nContent-Length: 512\r\n"
                    "Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789\r\n"
                    "X-Request-Id: 3f2b8c1e-0000-4000-8000-000000000000\r\n\r\n";

const char *const heads[] = { wrk_get, curl_get, techempower_get, browser_get, post };
const char *const names[] = { "wrk", "curl", "techempower", "browser", "post" };

uint64_t hash_of(const asx_http1_head &head)
{
    uint64_t hash = head.head_len * 31 + head.field_count;
    for (uint32_t i = 0; i < head.field_count; i++) {
        hash = hash * 1099511628211u + head.fields[i].id * 7 + head.fields[i].value.len;
    }
    return hash;
}

void report(benchmark::State &state, const std::string &head, const asx_http1_parser &parser)
{
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(head.size()));
    state.SetItemsProcessed(state.iterations());
    state.SetLabel(std::to_string(head.size()) + " B, work " +
                   std::to_string(hash_of(parser.head) % 1000000007));
}

void parse(benchmark::State &state, int which, asx_http1_variant variant)
{
    const std::string head = heads[which];
    asx_header_field fields[100];
    asx_http1_parser parser;
    asx_http1_parser_init_request(&parser, &asx_http1_limits_default, fields, 100);
    for (auto _ : state) {
        asx_http1_parser_reset(&parser);
        const asx_http1_verdict verdict =
            variant == ASX_HTTP1_VARIANT_COUNT
                ? asx_http1_parse(&parser, head.data(), head.size())
                : asx_http1_parse_variant(&parser, head.data(), head.size(), variant);
        if (verdict != ASX_HTTP1_DONE) {
            state.SkipWithError("not parsed");
            return;
        }
        benchmark::ClobberMemory();
    }
    report(state, head, parser);
}

/* A head that arrives one byte at a time: what resuming saves. */
void trickle(benchmark::State &state)
{
    const std::string head = "GET /" + std::string(4000, 'a') +
                             " HTTP/1.1\r\nHost: a\r\nX: " + std::string(4000, 'b') + "\r\n\r\n";
    asx_header_field fields[100];
    asx_http1_parser parser;
    asx_http1_parser_init_request(&parser, &asx_http1_limits_default, fields, 100);
    for (auto _ : state) {
        asx_http1_parser_reset(&parser);
        for (size_t len = 1; len <= head.size(); len++) {
            benchmark::DoNotOptimize(asx_http1_parse(&parser, head.data(), len));
        }
    }
    report(state, head, parser);
}

void chunked(benchmark::State &state)
{
    std::string bytes;
    for (int i = 0; i < 64; i++) {
        bytes += "400\r\n" + std::string(1024, 'x') + "\r\n";
    }
    bytes += "0\r\n\r\n";
    uint64_t received = 0;
    for (auto _ : state) {
        asx_http1_body body;
        asx_http1_body_init_framing(&body, ASX_HTTP1_FRAMING_CHUNKED, 0, &asx_http1_limits_default);
        size_t at = 0, used;
        while (asx_http1_body_next(&body, bytes.data() + at, bytes.size() - at, &used) !=
               ASX_HTTP1_BODY_END) {
            at += used;
        }
        received = body.received_bytes;
    }
    state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes.size()));
    state.SetLabel("work " + std::to_string(received));
}

const asx_header_field plain_fields[] = {
    { { "Server", 6 }, { "asx", 3 }, ASX_HEADER_SERVER },
    { { "Content-Type", 12 }, { "text/plain", 10 }, ASX_HEADER_CONTENT_TYPE },
};

void write_response(benchmark::State &state)
{
    char date[ASX_HTTP_DATE_LEN], buf[512];
    asx_http_date_format(784111777, date);
    asx_http1_response response = {};
    response.status = 200;
    response.fields = plain_fields;
    response.field_count = 2;
    response.date = date;
    response.framing = ASX_HTTP1_FRAMING_LENGTH;
    response.content_length = 13;
    response.keep_alive = true;
    response.version_minor = 1;
    size_t len = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(asx_http1_write_response(&response, buf, sizeof(buf), &len));
        benchmark::ClobberMemory();
    }
    state.SetLabel("work " + std::to_string(len));
}

void write_frozen(benchmark::State &state)
{
    char date[ASX_HTTP_DATE_LEN], buf[ASX_HTTP1_FROZEN_CAP + 32];
    asx_http_date_format(784111777, date);
    asx_http1_frozen frozen;
    if (asx_http1_frozen_init(&frozen, 200, plain_fields, 2) != ASX_OK) {
        state.SkipWithError("not frozen");
        return;
    }
    size_t len = 0;
    for (auto _ : state) {
        len = asx_http1_frozen_write(&frozen, date, 13, buf, sizeof(buf));
        benchmark::ClobberMemory();
    }
    state.SetLabel("work " + std::to_string(len));
}

BENCHMARK(trickle);
BENCHMARK(chunked);
BENCHMARK(write_response);
BENCHMARK(write_frozen);

} // namespace

int main(int argc, char **argv)
{
    for (int which = 0; which < 5; which++) {
        for (int v = 0; v <= ASX_HTTP1_VARIANT_COUNT; v++) {
            const asx_http1_variant variant = static_cast<asx_http1_variant>(v);
            const bool chosen = variant == ASX_HTTP1_VARIANT_COUNT;
            if (!chosen && !asx_http1_variant_has(variant)) {
                continue;
            }
            const std::string name = std::string("parse/") + names[which] + "/" +
                                     (chosen ? "chosen" : asx_http1_variant_name(variant));
            benchmark::RegisterBenchmark(name.c_str(), parse, which, variant);
        }
    }
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
