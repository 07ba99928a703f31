/* At stake: two runs of one seed are equal only if every draw is. The known answers were computed
 * with independent code. */
#include <asx/lab/rand.h>

#include <catch2/catch.hpp>
#include <vector>

namespace
{

asx_lab_rand of_seed(uint64_t seed)
{
    asx_lab_rand rand;
    asx_lab_rand_init(&rand, seed, seed, 0);
    return rand;
}

} // namespace

TEST_CASE("rand: SplitMix64 and xoshiro256** give their known answers", "[lab]")
{
    uint64_t state = 0;
    CHECK(asx_splitmix64(&state) == 0xe220a8397b1dcdaf);
    CHECK(asx_splitmix64(&state) == 0x6e789e6aa1b965f4);
    CHECK(asx_splitmix64(&state) == 0x06c45d188009454f);
    asx_prng prng;
    asx_prng_init(&prng, 42);
    CHECK(asx_prng_u64(&prng) == 0x15780b2e0c2ec716);
    CHECK(asx_prng_u64(&prng) == 0x6104d9866d113a7e);
    CHECK(asx_prng_u64(&prng) == 0xae17533239e499a1);
    asx_prng_init(&prng, 42);
    for (uint64_t want : { 0, 3, 6, 9, 9, 7, 7, 8, 7, 5 }) {
        CHECK(asx_prng_below(&prng, 10) == want);
    }
}

TEST_CASE("rand: the streams of seed 42 are the known ones", "[lab]")
{
    asx_lab_rand rand = of_seed(42);
    CHECK(rand.seed[ASX_LAB_SCHED] == 0xbdd732262feb6e95);
    CHECK(rand.seed[ASX_LAB_RING] == 0x28efe333b266f103);
    CHECK(rand.seed[ASX_LAB_TIME] == 0x47526757130f9f52);
    CHECK(rand.seed[ASX_LAB_NET] == 0x581ce1ff0e4ae394);
    CHECK(rand.seed[ASX_LAB_DISK] == 0x09bc585a244823f2);
    CHECK(rand.seed[ASX_LAB_CHAOS] == 0xde4431fa3c80db06);
    CHECK(rand.seed[ASX_LAB_ENTROPY] == 0x37e9671c45376d5d);
    CHECK(rand.seed[ASX_LAB_USER] == 0xccf635ee9e9e2fa4);
    CHECK(asx_prng_u64(&rand.prng[ASX_LAB_SCHED]) == 0x19e479e2aaa77bfb);
    CHECK(asx_prng_u64(&rand.prng[ASX_LAB_NET]) == 0xde9ff54476a1fdcb);
}

TEST_CASE("rand: keyed draws are the known ones", "[lab]")
{
    const asx_lab_rand rand = of_seed(42);
    CHECK(asx_lab_draw(&rand, ASX_LAB_NET, 7, 0, 0) == 0x82b4a0b9e7451ccc);
    CHECK(asx_lab_draw(&rand, ASX_LAB_NET, 7, 1, 0) == 0x47352e7a3d40dbd2);
    CHECK(asx_lab_draw_below(0x82b4a0b9e7451ccc, 1000000) == 510568);
    CHECK(asx_lab_draw_below(0x47352e7a3d40dbd2, 1000000) == 278155);
    std::vector<int> lost;
    for (int op = 0; op < 40; op++) {
        if (asx_lab_draw_hits(asx_lab_draw(&rand, ASX_LAB_NET, 7, op, 0), 100000)) {
            lost.push_back(op);
        }
    }
    CHECK(lost == std::vector<int>{ 6, 9, 17, 23, 31 });
    const uint64_t latencies_ns[] = { 4546679, 1095575, 4358804, 3263365, 4331054 };
    for (uint64_t op = 0; op < 5; op++) {
        const uint64_t draw = asx_lab_draw(&rand, ASX_LAB_NET, 7, op, 1);
        CHECK(1000000 + asx_lab_draw_below(draw, 4000001) == latencies_ns[op]);
    }
}

TEST_CASE("rand: another chaos or entropy seed leaves the other streams alone", "[lab]")
{
    const asx_lab_rand base = of_seed(42);
    asx_lab_rand other;
    asx_lab_rand_init(&other, 42, 43, 44);
    for (unsigned d = 0; d < ASX_LAB_STREAM_COUNT; d++) {
        const bool moved = d == ASX_LAB_CHAOS || d == ASX_LAB_ENTROPY;
        CHECK((base.seed[d] != other.seed[d]) == moved);
    }
}
