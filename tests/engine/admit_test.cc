/* At stake: nobody gets more connections than the limit says, nobody gets fewer, and what a source
 * held is given back whatever order it leaves in. A plain model is asked the same questions. */
#include <asx/engine/admit.h>
#include <asx/shard/base/prng.h>

#include "engine_fixture.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace
{

asx_addr addr_of(const std::string &text)
{
    asx_addr addr{};
    REQUIRE(asx_addr_parse(text.c_str(), &addr) == ASX_OK);
    return addr;
}

asx_sources *sources; /* of the case */

struct table {
    explicit table(uint32_t max) : memory(asx_sources_bytes(max) / 8 + 1)
    {
        self = asx_sources_init(memory.data(), max);
        asx_sources_seed(self, 42);
    }
    std::vector<uint64_t> memory;
    asx_sources *self;
};

/* Runs `body` with an admit of `config`, in a region that goes behind it. */
void with_admit(asx_admit_config config, const std::function<void(asx_admit *admit)> &body,
                uint32_t sources_max = 100)
{
    const table counted(sources_max);
    config.sources = sources = counted.self;
    in_a_task([&](asx_cx *cx) {
        asx_region *region = nullptr;
        asx_admit *admit = nullptr;
        REQUIRE(asx_region_open(cx, nullptr, &region) == ASX_OK);
        REQUIRE(asx_admit_create(region, &config, &admit) == ASX_OK);
        body(admit);
        asx_admit_destroy(admit);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, nullptr);
    });
}

asx_admit_config per_source(uint32_t max)
{
    asx_admit_config config{};
    config.per_source_max = max;
    return config;
}

asx_admit_config rate(uint32_t per_second, uint32_t burst)
{
    asx_admit_config config{};
    config.rate = per_second;
    config.burst = burst;
    return config;
}

} // namespace

TEST_CASE("admit: a source has as many connections as the limit, and one more when one left",
          "[engine]")
{
    with_admit(per_source(3), [](asx_admit *admit) {
        const asx_addr peer = addr_of("192.0.2.1:1000");
        std::vector<uint32_t> held;
        uint32_t source = 0;
        for (int i = 0; i < 3; i++) {
            REQUIRE(asx_admit_ask(admit, 0, 0, &peer, &source) == ASX_ADMIT_OK);
            held.push_back(source);
        }
        CHECK(asx_admit_ask(admit, 0, 0, &peer, &source) == ASX_ADMIT_PER_SOURCE);
        CHECK(source == 0);
        asx_admit_leave(admit, held[1]);
        CHECK(asx_admit_ask(admit, 0, 0, &peer, &source) == ASX_ADMIT_OK);
        CHECK(asx_sources_count(sources) == 1);
        CHECK(asx_admit_stats_of(admit).verdicts[ASX_ADMIT_PER_SOURCE] == 1);
        for (int i = 0; i < 3; i++) {
            asx_admit_leave(admit, source);
        }
        CHECK(asx_sources_count(sources) == 0);
    });
}

TEST_CASE("admit: what is one source, and what are two", "[engine]")
{
    const struct {
        const char *a, *b;
        bool one;
    } rows[] = {
        { "192.0.2.1:1", "192.0.2.1:2", true },
        { "192.0.2.1:1", "192.0.2.2:1", false },
        { "192.0.2.1:1", "[::ffff:192.0.2.1]:1", true },
        { "[2001:db8:0:1::1]:1", "[2001:db8:0:1:ffff::2]:1", true },
        { "[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", false },
        { "[::ffff:192.0.2.1]:1", "[::1]:1", false },
        { "0.0.0.0:1", "[::1]:1", false },
        { "unix:/a", "unix:/a", false },
    };
    for (const auto &row : rows) {
        with_admit(per_source(1), [&](asx_admit *admit) {
            const asx_addr a = addr_of(row.a), b = addr_of(row.b);
            uint32_t first = 0, second = 0;
            CAPTURE(row.a, row.b);
            REQUIRE(asx_admit_ask(admit, 0, 0, &a, &first) == ASX_ADMIT_OK);
            CHECK(asx_admit_ask(admit, 0, 0, &b, &second) ==
                  (row.one ? ASX_ADMIT_PER_SOURCE : ASX_ADMIT_OK));
            for (const uint32_t source : { first, second }) {
                if (source) {
                    asx_admit_leave(admit, source);
                }
            }
        });
    }
}

TEST_CASE("admit: more sources than the table holds are refused, and heard again later", "[engine]")
{
    const auto body = [](asx_admit *admit) {
        uint32_t held[5], source = 0;
        for (int i = 0; i < 5; i++) {
            const asx_addr peer = addr_of("10.0.0." + std::to_string(i) + ":1");
            REQUIRE(asx_admit_ask(admit, 0, 0, &peer, &held[i]) == ASX_ADMIT_OK);
        }
        const asx_addr late = addr_of("10.0.1.0:1"), known = addr_of("10.0.0.4:1");
        CHECK(asx_admit_ask(admit, 0, 0, &late, &source) == ASX_ADMIT_SOURCES);
        CHECK(asx_admit_ask(admit, 0, 0, &known, &source) == ASX_ADMIT_OK);
        asx_admit_leave(admit, source);
        asx_admit_leave(admit, held[2]);
        CHECK(asx_admit_ask(admit, 0, 0, &late, &held[2]) == ASX_ADMIT_OK);
        for (const uint32_t each : held) {
            asx_admit_leave(admit, each);
        }
    };
    with_admit(per_source(2), body, 5);
}

TEST_CASE("admit: whoever comes and goes, the count is that of a plain model", "[engine]")
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        asx_prng prng;
        asx_prng_init(&prng, seed);
        const uint32_t max = 1 + (uint32_t)asx_prng_below(&prng, 4);
        const uint32_t room = 1 + (uint32_t)asx_prng_below(&prng, 60);
        const auto body = [&](asx_admit *admit) {
            std::map<std::pair<uint32_t, uint32_t>, uint32_t> model; /* listener, host: count */
            std::vector<std::pair<std::pair<uint32_t, uint32_t>, uint32_t>> open;
            uint64_t seen[ASX_ADMIT_VERDICT_COUNT] = {};
            for (int i = 0; i < 20000; i++) {
                if (asx_prng_below(&prng, 100) < 45 && !open.empty()) {
                    const size_t at = asx_prng_below(&prng, open.size());
                    const auto key = open[at].first;
                    asx_admit_leave(admit, open[at].second);
                    open[at] = open.back();
                    open.pop_back();
                    if (--model[key] == 0) {
                        model.erase(key);
                    }
                    continue;
                }
                const std::pair<uint32_t, uint32_t> key = { (uint32_t)asx_prng_below(&prng, 3),
                                                            (uint32_t)asx_prng_below(&prng, 40) };
                asx_addr peer = addr_of("10.0.0.0:1");
                peer.ip[3] = (uint8_t)key.second;
                uint32_t source = 0;
                const bool known = model.count(key) > 0;
                const asx_admit_verdict want = known && model[key] >= max ? ASX_ADMIT_PER_SOURCE
                                               : !known && model.size() >= room ? ASX_ADMIT_SOURCES
                                                                                : ASX_ADMIT_OK;
                REQUIRE(asx_admit_ask(admit, key.first, 0, &peer, &source) == want);
                seen[want]++;
                if (want == ASX_ADMIT_OK) {
                    model[key]++;
                    open.push_back({ key, source });
                }
                REQUIRE(asx_sources_count(sources) == model.size());
            }
            for (const auto &each : open) {
                asx_admit_leave(admit, each.second);
            }
            for (unsigned v = 0; v < ASX_ADMIT_VERDICT_COUNT; v++) {
                CHECK(asx_admit_stats_of(admit).verdicts[v] == seen[v]);
            }
            CHECK(seen[ASX_ADMIT_OK] > 0);
        };
        with_admit(per_source(max), body, room);
    }
}

TEST_CASE("admit: a rate lets its burst through, then one each interval, and no more over time",
          "[engine]")
{
    with_admit(rate(10, 3), [](asx_admit *admit) {
        uint32_t source;
        const auto ask = [&](asx_instant at) {
            return asx_admit_ask(admit, 0, at, nullptr, &source) == ASX_ADMIT_OK;
        };
        const asx_instant t = asx_s(5);
        CHECK((ask(t) && ask(t) && ask(t)));
        CHECK_FALSE(ask(t));
        CHECK_FALSE(ask(t + asx_ms(100) - 1));
        CHECK(ask(t + asx_ms(100)));
        CHECK_FALSE(ask(t + asx_ms(100)));
        CHECK(ask(t + asx_s(1000))); /* a long rest fills it to the burst, not above */
        CHECK((ask(t + asx_s(1000)) && ask(t + asx_s(1000))));
        CHECK_FALSE(ask(t + asx_s(1000)));
        CHECK(asx_admit_ask(admit, 1, t + asx_s(1000), nullptr, &source) == ASX_ADMIT_OK);
    });
    for (const uint32_t per_second : { 1u, 3u, 7u, 999u, 1000003u }) {
        with_admit(rate(per_second, 100), [per_second](asx_admit *admit) {
            asx_prng prng;
            asx_prng_init(&prng, per_second);
            uint64_t admitted = 0;
            asx_instant now = 0;
            uint32_t source;
            for (int i = 0; i < 50000; i++) { /* asked more often than it fills */
                now += asx_prng_below(&prng, ASX_NS_PER_S / per_second);
                admitted += asx_admit_ask(admit, 0, now, nullptr, &source) == ASX_ADMIT_OK;
            }
            const auto filled = (uint64_t)((unsigned __int128)now * per_second / ASX_NS_PER_S);
            CAPTURE(per_second, now, filled);
            CHECK(admitted <= 100 + filled);
            CHECK(admitted >= filled);
        });
    }
}

TEST_CASE("admit: who is refused for being too many takes nothing of the rate", "[engine]")
{
    asx_admit_config config = per_source(1);
    config.rate = 2;
    with_admit(config, [](asx_admit *admit) {
        const asx_addr greedy = addr_of("192.0.2.1:1"), other = addr_of("192.0.2.2:1");
        uint32_t first = 0, second = 0, none = 0;
        REQUIRE(asx_admit_ask(admit, 0, 1, &greedy, &first) == ASX_ADMIT_OK);
        for (int i = 0; i < 10; i++) {
            CHECK(asx_admit_ask(admit, 0, 1, &greedy, &none) == ASX_ADMIT_PER_SOURCE);
        }
        CHECK(asx_admit_ask(admit, 0, 1, &other, &second) == ASX_ADMIT_OK);
        CHECK(asx_admit_ask(admit, 0, 1, &greedy, &none) == ASX_ADMIT_RATE);
        asx_admit_leave(admit, first);
        asx_admit_leave(admit, second);
    });
}
