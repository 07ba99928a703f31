/* The ground everyone stands on: saturating time, error names, seeded draws with known answers. */
#include <asx/shard/base/err.h>
#include <asx/shard/base/list.h>
#include <asx/shard/base/prng.h>
#include <asx/shard/base/time.h>
#include <asx/shard/base/view.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

TEST_CASE("time: sums saturate at never, differences at zero", "[base]")
{
    CHECK(asx_time_add(ASX_TIME_NEVER, 1) == ASX_TIME_NEVER);
    CHECK(asx_time_sub(0, 1) == 0);
    CHECK(asx_ms(UINT64_MAX) == ASX_TIME_NEVER);
    CHECK(asx_s(3) == UINT64_C(3000000000));
}

TEST_CASE("err: every domain prints its codes by name", "[base]")
{
    char buf[64];
    CHECK(std::string(asx_err_name(ASX_OK, buf, sizeof buf)) == "OK");
    CHECK(std::string(asx_err_name(ASX_E(STALE), buf, sizeof buf)) == "STALE");
    CHECK(std::string(asx_err_name(asx_err_errno(ECONNRESET), buf, sizeof buf)) == "ECONNRESET");
    CHECK(std::string(asx_err_name(ASX_ERR(ASX_ERR_DOMAIN_HTTP, 404), buf, sizeof buf)) ==
          "http 404");
    CHECK(std::string(asx_err_name(ASX_ERR(ASX_ERR_DOMAIN_USER + 1, 7), buf, 5)) == "user");
}

TEST_CASE("prng: splitmix64 and xoshiro256** give their known answers", "[base]")
{
    uint64_t state = 0;
    CHECK(asx_splitmix64(&state) == UINT64_C(0xe220a8397b1dcdaf));
    CHECK(asx_splitmix64(&state) == UINT64_C(0x6e789e6aa1b965f4));
    asx_prng prng;
    asx_prng_init(&prng, 42);
    CHECK(asx_prng_u64(&prng) == UINT64_C(0x15780b2e0c2ec716));
    CHECK(asx_prng_u64(&prng) == UINT64_C(0x6104d9866d113a7e));
    asx_prng_init(&prng, 42);
    const int want[10] = { 0, 3, 6, 9, 9, 7, 7, 8, 7, 5 };
    for (int expected : want) {
        CHECK(asx_prng_below(&prng, 10) == (uint64_t)expected);
    }
    const uint64_t huge = UINT64_C(3) << 62;
    uint64_t low = 0;
    for (int i = 0; i < 30000; i++) {
        const uint64_t draw = asx_prng_below(&prng, huge);
        REQUIRE(draw < huge);
        low += draw < (UINT64_C(1) << 62);
    }
    CHECK(low > 9500);
    CHECK(low < 10500);
}

TEST_CASE("list: unlinking twice is allowed, order is kept through a splice", "[base]")
{
    asx_list a, b, n[4] = {};
    asx_list_init(&a);
    asx_list_init(&b);
    for (auto &node : n) {
        asx_list_push_back(&a, &node);
    }
    asx_list_unlink(&n[1]);
    asx_list_unlink(&n[1]);
    asx_list_splice_back(&b, &a);
    CHECK(asx_list_empty(&a));
    CHECK(asx_list_pop_front(&b) == &n[0]);
    CHECK(asx_list_pop_front(&b) == &n[2]);
    CHECK(asx_list_pop_front(&b) == &n[3]);
    CHECK(asx_list_pop_front(&b) == nullptr);
}
