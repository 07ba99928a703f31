/* Rings: at stake are order, exactly once, and room for control when data has filled the rest. */
#include <asx/shard/ring.h>

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

namespace
{
struct ring_of {
    std::vector<asx_msg> memory;
    asx_ring ring;
    ring_of(uint32_t capacity, uint32_t control) : memory(capacity + 1)
    {
        const auto at = (reinterpret_cast<uintptr_t>(memory.data()) + 63) & ~uintptr_t(63);
        asx_ring_init(&ring, reinterpret_cast<asx_msg *>(at), capacity, control);
    }
    bool push(uint64_t value, bool control = false)
    {
        asx_msg *const msg = asx_ring_reserve(&ring, control);
        if (msg != nullptr) {
            msg->words[0] = value;
        }
        return msg != nullptr;
    }
};
} // namespace

TEST_CASE("ring: every batch size at every offset keeps order", "[shard][ring]")
{
    for (uint32_t offset = 0; offset < 8; offset++) {
        for (uint32_t batch = 1; batch <= 8; batch++) {
            ring_of r(8, 0);
            for (uint32_t i = 0; i < offset; i++) {
                REQUIRE(r.push(0));
                asx_ring_publish(&r.ring);
                REQUIRE(asx_ring_pop(&r.ring) != nullptr);
                asx_ring_consume_done(&r.ring);
            }
            for (uint64_t round = 0; round < 20; round++) {
                for (uint64_t i = 0; i < batch; i++) {
                    REQUIRE(r.push(round * batch + i));
                }
                CHECK(asx_ring_unpublished(&r.ring) == batch);
                CHECK(asx_ring_peek(&r.ring) == nullptr);
                CHECK(asx_ring_publish(&r.ring));
                CHECK_FALSE(asx_ring_publish(&r.ring));
                for (uint64_t i = 0; i < batch; i++) {
                    asx_msg *const seen = asx_ring_peek(&r.ring);
                    REQUIRE(seen != nullptr);
                    REQUIRE(asx_ring_pop(&r.ring) == seen);
                    REQUIRE(seen->words[0] == round * batch + i);
                }
                CHECK(asx_ring_pop(&r.ring) == nullptr);
                CHECK(asx_ring_empty(&r.ring));
                asx_ring_consume_done(&r.ring);
                asx_ring_check(&r.ring);
            }
        }
    }
}

TEST_CASE("ring: data leaves the reserved slots to control", "[shard][ring]")
{
    ring_of r(8, 3);
    for (uint64_t i = 0; i < 5; i++) {
        CHECK(r.push(i));
    }
    CHECK_FALSE(r.push(99));
    for (uint64_t i = 5; i < 8; i++) {
        CHECK(r.push(i, true));
    }
    CHECK_FALSE(r.push(99, true));
    asx_ring_publish(&r.ring);
    REQUIRE(asx_ring_pop(&r.ring) != nullptr);
    CHECK_FALSE(r.push(99, true)); /* popped, not handed back */
    asx_ring_consume_done(&r.ring);
    CHECK_FALSE(r.push(99));
    CHECK(r.push(8, true));
    asx_ring_publish(&r.ring);
    for (uint64_t i = 1; i <= 8; i++) {
        asx_msg *const msg = asx_ring_pop(&r.ring);
        REQUIRE(msg != nullptr);
        CHECK(msg->words[0] == i);
    }
    asx_ring_check(&r.ring);
}

TEST_CASE("ring: two threads, each message once and in order", "[shard][ring][threads]")
{
    const uint64_t count = 300000;
    ring_of r(64, 8);
    std::thread producer([&] {
        for (uint64_t i = 0; i < count;) {
            const uint64_t batch = 1 + i % 13;
            for (uint64_t b = 0; b < batch && i < count; b++) {
                asx_msg *const msg = asx_ring_reserve(&r.ring, false);
                if (msg == nullptr) {
                    std::this_thread::yield();
                    break;
                }
                asx_msg filled{};
                for (uint64_t &word : filled.words) {
                    word = i;
                }
                if (i % 3 == 0) {
                    *msg = filled;
                } else {
                    asx_ring_write(msg, &filled);
                }
                i++;
            }
            asx_ring_publish(&r.ring);
        }
    });
    uint64_t wrong = 0;
    for (uint64_t want = 0; want < count;) {
        asx_msg *const msg = asx_ring_pop(&r.ring);
        if (msg == nullptr) {
            asx_ring_consume_done(&r.ring);
            std::this_thread::yield();
            continue;
        }
        for (const uint64_t word : msg->words) {
            wrong += word != want;
        }
        want++;
        if (want % 7 == 0) {
            asx_ring_consume_done(&r.ring);
        }
    }
    producer.join();
    CHECK(wrong == 0);
    CHECK(asx_ring_empty(&r.ring));
}
