/* At stake: however many shards count at once, nobody gets more connections than the limit says,
 * and nothing of who has left stays behind. Threads come and go in a table so small that they meet
 * all the time; under TSan, that they do so without a race. */
#include <asx/engine/sources.h>
#include <asx/shard/base/prng.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

namespace
{

struct table {
    explicit table(uint32_t max) : memory(asx_sources_bytes(max) / 8 + 1)
    {
        self = asx_sources_init(memory.data(), max);
        asx_sources_seed(self, 7);
        asx_sources_seed(self, 8); /* too late to matter */
    }
    std::vector<uint64_t> memory;
    asx_sources *self;
};

asx_source number(uint64_t i)
{
    asx_source source{};
    source.prefix = i;
    return source;
}

/* Places of all that get in until one is refused. */
std::vector<uint32_t> fill(asx_sources *self, const asx_source &source, uint32_t most,
                           asx_sources_verdict &refusal)
{
    std::vector<uint32_t> places;
    uint32_t place;
    while ((refusal = asx_sources_enter(self, &source, most, &place)) == ASX_SOURCES_OK) {
        places.push_back(place);
    }
    return places;
}

} // namespace

TEST_CASE("sources: each has exactly its limit, whoever else is there", "[engine]")
{
    const uint32_t room = GENERATE(1u, 2u, 15u, 16u, 17u, 400u);
    table counted(room);
    std::vector<uint32_t> all;
    asx_sources_verdict refusal;
    CAPTURE(room);
    for (uint32_t i = 0; i < room; i++) {
        const std::vector<uint32_t> places = fill(counted.self, number(i), 1 + i % 3, refusal);
        REQUIRE(places.size() == 1 + i % 3);
        REQUIRE(refusal == ASX_SOURCES_TOO_MANY);
        all.insert(all.end(), places.begin(), places.end());
    }
    CHECK(asx_sources_count(counted.self) == room);
    CHECK(fill(counted.self, number(room), 9, refusal).empty());
    CHECK(refusal == ASX_SOURCES_NO_ROOM);
    CHECK(fill(counted.self, number(0), 2, refusal).size() == 1); /* who is known needs no room */
    asx_sources_leave(counted.self, all[0]);
    for (const uint32_t place : all) {
        asx_sources_leave(counted.self, place);
    }
    CHECK(asx_sources_count(counted.self) == 0);
}

TEST_CASE("sources: a limit that sank lets nobody in until enough have left", "[engine]")
{
    table counted(4);
    asx_sources_verdict refusal;
    std::vector<uint32_t> places = fill(counted.self, number(1), 10, refusal);
    for (uint32_t left = 10; left > 3; left--) {
        CHECK(fill(counted.self, number(1), 3, refusal).empty());
        asx_sources_leave(counted.self, places.back());
        places.pop_back();
    }
    asx_sources_leave(counted.self, places.back());
    CHECK(fill(counted.self, number(1), 3, refusal).size() == 1);
}

TEST_CASE("sources: threads that come and go at once never hold more than the limit",
          "[engine][threads]")
{
    static const unsigned THREADS = 4, SOURCES = 5, ROUNDS = 30000;
    const uint32_t most = GENERATE(1u, 3u);
    table counted(8);
    std::atomic<uint32_t> held[SOURCES] = {};
    std::atomic<bool> go{ false };
    std::atomic<uint64_t> entered{ 0 }, above{ 0 };
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < THREADS; t++) {
        threads.emplace_back([&, t] {
            asx_prng prng;
            asx_prng_init(&prng, t + 1);
            std::vector<std::pair<unsigned, uint32_t>> mine;
            while (!go) {
            }
            for (unsigned i = 0; i < ROUNDS; i++) {
                const auto which = (unsigned)asx_prng_below(&prng, SOURCES);
                const asx_source source = number(which);
                uint32_t place;
                if (asx_prng_below(&prng, 2) == 0 && !mine.empty()) {
                    held[mine.back().first]--;
                    asx_sources_leave(counted.self, mine.back().second);
                    mine.pop_back();
                } else if (asx_sources_enter(counted.self, &source, most, &place) ==
                           ASX_SOURCES_OK) {
                    above += ++held[which] > most;
                    entered++;
                    mine.insert(mine.begin(), { which, place });
                }
            }
            for (const auto &each : mine) {
                held[each.first]--;
                asx_sources_leave(counted.self, each.second);
            }
        });
    }
    go = true;
    for (auto &thread : threads) {
        thread.join();
    }
    CHECK(above == 0);
    CHECK(entered > SOURCES);
    CHECK(asx_sources_count(counted.self) == 0);
    asx_sources_verdict refusal;
    for (unsigned i = 0; i < SOURCES; i++) {
        CHECK(fill(counted.self, number(i), most, refusal).size() == most);
    }
}
