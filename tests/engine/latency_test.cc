/* At stake: whatever routes there are and whatever is asked for, the labels are few, and each
 * request is counted once under one of them. */
#include <asx/engine/latency.h>

#include <catch2/catch.hpp>
#include <memory>
#include <set>
#include <string>

namespace
{

asx_http_latency *route(asx_latencies *self, const std::string &pattern)
{
    return asx_latencies_route(self, asx_view_of(pattern.data(), pattern.size()));
}

std::unique_ptr<asx_latencies> latencies()
{
    auto self = std::make_unique<asx_latencies>();
    asx_latencies_init(self.get());
    return self;
}

uint64_t counted(const asx_http_latency &latency)
{
    uint64_t sum = 0;
    for (const uint64_t each : latency.buckets) {
        sum += each;
    }
    return sum;
}

} // namespace

TEST_CASE("latency: a duration falls into the first bucket that holds it", "[engine]")
{
    for (unsigned k = 0; k < ASX_HTTP_LATENCY_BUCKETS; k++) {
        const asx_duration bound = 16000ull << k;
        asx_http_latency at{}, above{};
        asx_http_latency_count(&at, bound, 1);
        asx_http_latency_count(&above, bound + 1, 1);
        const unsigned last = ASX_HTTP_LATENCY_BUCKETS - 1;
        CHECK(at.buckets[k < last ? k : last] == 1);
        CHECK(above.buckets[k + 1 < last ? k + 1 : last] == 1);
        CHECK(at.ns_sum == bound);
    }
    asx_http_latency edge{};
    asx_http_latency_count(&edge, 0, 1);
    asx_http_latency_count(&edge, UINT64_MAX, 1);
    CHECK(edge.buckets[0] == 1);
    CHECK(edge.buckets[ASX_HTTP_LATENCY_BUCKETS - 1] == 1);
}

TEST_CASE("latency: a pattern has one label, escaped and cut whole", "[engine]")
{
    auto self = latencies();
    CHECK(route(self.get(), "/a/:id") == route(self.get(), "/a/:id"));
    CHECK(route(self.get(), "/a/:id") != route(self.get(), "/a/:name"));
    route(self.get(), "/q\"\\\n");
    CHECK(std::string(self->routes[3].label) == "/q\\\"\\\\\\n");
    for (size_t len = 50; len < 80; len++) {
        const std::string pattern = "/" + std::string(len, 'x') + "\"";
        route(self.get(), pattern);
        const std::string label = self->routes[self->count - 1].label;
        CHECK(label.size() < ASX_LATENCY_LABEL_BYTES);
        CHECK(label.back() != '\\');
    }
    CHECK(std::string(self->routes[ASX_LATENCY_UNMATCHED].label) == "unmatched");
}

TEST_CASE("latency: patterns beyond the last share one label", "[engine]")
{
    auto self = latencies();
    std::set<asx_http_latency *> seen;
    for (int i = 0; i < 1000; i++) {
        asx_http_latency *const latency = route(self.get(), "/" + std::to_string(i));
        seen.insert(latency);
        asx_http_latency_count(latency, 1, 1);
    }
    CHECK(self->count == ASX_LATENCY_ROUTES_MAX);
    CHECK(seen.size() == ASX_LATENCY_ROUTES_MAX - 1); /* one is for what no route matched */
    CHECK(std::string(self->routes[ASX_LATENCY_ROUTES_MAX - 1].label) == "other");
    CHECK(counted(self->routes[ASX_LATENCY_ROUTES_MAX - 1].latency) ==
          1000 - (ASX_LATENCY_ROUTES_MAX - 2));
    CHECK(route(self.get(), "/0") == &self->routes[1].latency);
}

TEST_CASE("latency: sums go by label, wherever it stands", "[engine]")
{
    auto a = latencies(), b = latencies(), sum = latencies();
    auto never = std::make_unique<asx_latencies>();
    asx_http_latency_count(route(a.get(), "/x"), 10, 1);
    asx_http_latency_count(route(a.get(), "/y"), 20, 1);
    asx_http_latency_count(route(b.get(), "/y"), 40000, 1);
    asx_http_latency_count(&b->routes[ASX_LATENCY_UNMATCHED].latency, 5, 1);
    for (const auto *part : { a.get(), b.get(), never.get() }) {
        asx_latencies_add(sum.get(), part);
    }
    CHECK(sum->count == 3);
    CHECK(counted(sum->routes[0].latency) == 1);
    CHECK(route(sum.get(), "/x")->ns_sum == 10);
    CHECK(route(sum.get(), "/y")->ns_sum == 40020);
    CHECK(route(sum.get(), "/y")->buckets[0] == 1);
    CHECK(route(sum.get(), "/y")->buckets[2] == 1);
}
