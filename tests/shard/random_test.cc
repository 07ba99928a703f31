/* At stake: what a cx draws is uniform, the same for a seed on every machine, and nothing without
 * the capability; and the logical clock never runs backwards. */
#include "lab_world.h"

#include <algorithm>
#include <map>

TEST_CASE("random: bytes are those of the words, the low one first, of any length", "[random]")
{
    struct drawn {
        unsigned char bytes[21];
        uint64_t words[3];
    };
    drawn got{};
    run_kernel(
        TASK {
            drawn *const d = static_cast<drawn *>(arg);
            asx_random_bytes(cx, d->bytes, 0);
            asx_random_bytes(cx, d->bytes, sizeof(d->bytes));
            return asx_ok(0);
        },
        &got);
    run_kernel(
        TASK {
            drawn *const d = static_cast<drawn *>(arg);
            for (uint64_t &word : d->words) {
                word = asx_random_u64(cx);
            }
            return asx_ok(0);
        },
        &got);
    for (size_t i = 0; i < sizeof(got.bytes); i++) {
        CHECK(got.bytes[i] == (got.words[i / 8] >> 8 * (i % 8) & 0xFF));
    }
}

TEST_CASE("random: bools are fair, doubles are even over [0, 1)", "[random]")
{
    run_kernel(TASK {
        const int draws = 40000;
        int heads = 0, tenths[10] = {};
        double sum = 0;
        for (int i = 0; i < draws; i++) {
            heads += asx_random_bool(cx);
            const double d = asx_random_double(cx);
            REQUIRE((d >= 0 && d < 1));
            tenths[static_cast<int>(d * 10)]++;
            sum += d;
        }
        CHECK(std::abs(heads - draws / 2) < 500); /* five standard deviations */
        CHECK(sum / draws == Approx(0.5).margin(0.0075));
        for (const int tenth : tenths) {
            CHECK(std::abs(tenth - draws / 10) < 300);
        }
        return asx_ok(0);
    });
}

TEST_CASE("random: a shuffle makes every order as likely, of items of any size", "[random]")
{
    run_kernel(TASK {
        std::map<std::string, int> orders;
        const int rounds = 24000;
        for (int i = 0; i < rounds; i++) {
            char items[4 * 3 + 1] = "aaabbbcccddd";
            asx_random_shuffle(cx, items, 4, 3);
            orders[items]++;
        }
        CHECK(orders.size() == 24);
        for (const auto &order : orders) {
            CHECK(std::abs(order.second - rounds / 24) < 160);
        }
        char one[] = "x";
        asx_random_shuffle(cx, one, 1, 1);
        asx_random_shuffle(cx, one, 0, 1);
        CHECK(one == std::string("x"));
        return asx_ok(0);
    });
}

TEST_CASE("random: without the capability everything is zero, and stays in its order", "[random]")
{
    run_kernel(TASK {
        asx_cx bare;
        REQUIRE(asx_cx_restrict(cx, ASX_CAP_ALL & ~static_cast<uint32_t>(ASX_CAP_RANDOM), &bare) ==
                ASX_OK);
        char bytes[] = "abcdefghij";
        asx_random_shuffle(&bare, bytes, 10, 1);
        CHECK(bytes == std::string("abcdefghij"));
        asx_random_bytes(&bare, bytes, 10);
        CHECK(std::count(bytes, bytes + 10, 0) == 10);
        CHECK(asx_random_double(&bare) == 0);
        CHECK(!asx_random_bool(&bare));
        return asx_ok(0);
    });
}

TEST_CASE("logical clock: a tick is one more, a stamp received is left behind", "[random]")
{
    run_kernel(TASK {
        CHECK(asx_logical_now(cx) == 0);
        CHECK(asx_logical_tick(cx) == 1);
        CHECK(asx_logical_receive(cx, 41) == 42);
        CHECK(asx_logical_receive(cx, 7) == 43);
        CHECK(asx_logical_now(cx) == 43);
        CHECK(asx_logical_receive(cx, UINT64_MAX) == UINT64_MAX);
        CHECK(asx_logical_tick(cx) == UINT64_MAX); /* it stands, and never turns back */
        return asx_ok(0);
    });
}

TEST_CASE("logical clock: across shards a cause is stamped before its effect", "[random][lab]")
{
    over_seeds(100, [](uint64_t seed) {
        lab_world world(3, seed);
        world.run(TASK {
            struct call {
                static asx_outcome there(asx_cx *cx, void *arg)
                {
                    const uint64_t sent = *static_cast<uint64_t *>(arg);
                    const uint64_t got = asx_logical_receive(cx, sent);
                    CHECK(got > sent);
                    ASX_TRY(asx_sleep(cx, asx_random_below(cx, 1000)));
                    const uint64_t answered = asx_logical_tick(cx);
                    CHECK(answered > got);
                    return asx_ok(answered);
                }
            };
            std::vector<std::pair<asx_handle, uint64_t>> calls;
            for (uint32_t i = 0; i < 8; i++) {
                const uint64_t sent = asx_logical_tick(cx);
                asx_handle far;
                REQUIRE(asx_spawn_on(cx, 1 + i % 2, call::there, &sent, sizeof(sent), nullptr,
                                     &far) == ASX_OK);
                calls.emplace_back(far, sent);
            }
            for (const auto &one : calls) {
                const asx_outcome answer = asx_join_limb(cx, one.first);
                REQUIRE(asx_is_ok(answer));
                CHECK(answer.value > one.second);
                CHECK(asx_logical_receive(cx, answer.value) > answer.value);
            }
            return asx_ok(0);
        });
    });
}
