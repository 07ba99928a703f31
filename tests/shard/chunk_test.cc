/* Chunks: at stake are the limit, the caches that keep the global allocator silent, and the
 * failures that tests inject. */
#include <asx/shard/chunk.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

static asx_chunk_source source_of(size_t bytes_max)
{
    asx_chunk_source source;
    const asx_chunk_config config = { bytes_max, -1 };
    asx_chunk_source_init(&source, &config);
    return source;
}

TEST_CASE("chunk: sizes round up to 4 KiB, 64 KiB, then whole pages", "[shard][chunk]")
{
    asx_chunk_source source = source_of(0);
    const size_t cases[][2] = { { 1, 4096 },      { 4096, 4096 },   { 4097, 65536 },
                                { 65536, 65536 }, { 65537, 69632 }, { 200000, 200704 } };
    for (const auto &c : cases) {
        size_t got = 0;
        void *const chunk = asx_chunk_acquire(&source, c[0], &got);
        REQUIRE(chunk != nullptr);
        CHECK(got == c[1]);
        CHECK(reinterpret_cast<uintptr_t>(chunk) % ASX_CHUNK_PAGE == 0);
        CHECK(source.bytes_live == got);
        memset(chunk, 0x5a, got);
        asx_chunk_release(&source, chunk, c[0]);
        CHECK(source.bytes_live == 0);
    }
    size_t got = 0;
    CHECK(asx_chunk_acquire(&source, SIZE_MAX, &got) == nullptr);
    asx_chunk_source_deinit(&source);
}

TEST_CASE("chunk: a steady state never calls the global allocator", "[shard][chunk]")
{
    asx_chunk_source source = source_of(0);
    for (int round = 0; round < 100; round++) {
        std::vector<void *> held;
        size_t got = 0;
        for (int i = 0; i < 20; i++) {
            held.push_back(asx_chunk_acquire(&source, i % 2 ? 4096 : 65536, &got));
            REQUIRE(held.back() != nullptr);
        }
        for (int i = 0; i < 20; i++) {
            asx_chunk_release(&source, held[size_t(i)], i % 2 ? 4096 : 65536);
        }
    }
    CHECK(source.global_alloc_count == 20);
    CHECK(source.bytes_held == 10 * (4096 + 65536));
    asx_chunk_trim(&source);
    CHECK(source.bytes_held == 0);
    asx_chunk_source_deinit(&source);
}

TEST_CASE("chunk: trimming some leaves a reserve of either size", "[shard][chunk]")
{
    asx_chunk_source source = source_of(0);
    std::vector<void *> held;
    size_t got = 0;
    for (int i = 0; i < 200; i++) {
        held.push_back(asx_chunk_acquire(&source, i % 2 ? 4096 : 65536, &got));
        REQUIRE(held.back() != nullptr);
    }
    CHECK(asx_chunk_trim_some(&source, 0, 1000) == 0);
    for (int i = 0; i < 200; i++) {
        asx_chunk_release(&source, held[size_t(i)], i % 2 ? 4096 : 65536);
    }
    CHECK(asx_chunk_trim_some(&source, 128 << 10, 110) == 110);
    CHECK(source.bytes_held == 2 * 65536 + (100 - 12) * 4096);
    CHECK(asx_chunk_trim_some(&source, 128 << 10, 110) == 100 - 12 - 32);
    CHECK(source.bytes_held == 2 * (128 << 10));
    CHECK(asx_chunk_trim_some(&source, 128 << 10, 110) == 0);
    asx_chunk_source_deinit(&source);
}

TEST_CASE("chunk: the limit holds, and what is cached makes room first", "[shard][chunk]")
{
    asx_chunk_source source = source_of(2 * 65536);
    size_t got = 0;
    void *const a = asx_chunk_acquire(&source, 65536, &got);
    void *const b = asx_chunk_acquire(&source, 65536, &got);
    REQUIRE(a != nullptr);
    REQUIRE(b != nullptr);
    CHECK(asx_chunk_acquire(&source, 1, &got) == nullptr);
    CHECK(source.refused == 1);
    asx_chunk_release(&source, b, 65536);
    void *const c = asx_chunk_acquire(&source, 4096, &got);
    REQUIRE(c != nullptr);
    CHECK(source.bytes_held == 65536 + 4096);
    asx_chunk_release(&source, c, 4096);
    asx_chunk_release(&source, a, 65536);
    asx_chunk_source_deinit(&source);
}

TEST_CASE("chunk: the nth acquire fails, once", "[shard][chunk]")
{
    asx_chunk_source source = source_of(0);
    for (uint64_t n = 1; n <= 4; n++) {
        asx_chunk_fail_nth(&source, n);
        for (uint64_t i = 1; i <= 5; i++) {
            size_t got = 0;
            void *const chunk = asx_chunk_acquire(&source, 4096, &got);
            CHECK((chunk == nullptr) == (i == n));
            if (chunk != nullptr) {
                asx_chunk_release(&source, chunk, got);
            }
        }
    }
    asx_chunk_source_deinit(&source);
}
