/* Region heap: at stake are alignment, overlap, exact accounting, and that a reference never
 * reaches what took its place. A model of every live block checks contents at random. */
#include <asx/shard/base/prng.h>
#include <asx/shard/heap.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

namespace
{
struct fixture {
    asx_chunk_source source;
    asx_heap heap;
    explicit fixture(size_t bytes_max = 0)
    {
        const asx_chunk_config config = { 0, -1 };
        asx_chunk_source_init(&source, &config);
        asx_heap_init(&heap, &source, bytes_max);
        asx_heap_name(&heap, 42);
    }
    ~fixture()
    {
        asx_heap_reset(&heap);
        asx_chunk_source_deinit(&source);
    }
};

struct block {
    unsigned char *at;
    size_t size;
    unsigned char fill;
};

bool intact(const block &b)
{
    for (size_t i = 0; i < b.size; i++) {
        if (b.at[i] != b.fill) {
            return false;
        }
    }
    return true;
}

std::vector<int> destroyed;
void note_destroyed(void *object, size_t)
{
    destroyed.push_back(*static_cast<int *>(object));
}

asx_heapref make_ref(asx_heap *heap, int value, uint32_t type = 1)
{
    int *const object = static_cast<int *>(asx_heap_alloc(heap, sizeof(int)));
    REQUIRE(object != nullptr);
    *object = value;
    asx_heapref ref;
    REQUIRE(asx_heapref_create(heap, object, sizeof(int), type, note_destroyed, &ref) == ASX_OK);
    return ref;
}
} // namespace

TEST_CASE("heap: an unused heap holds no chunk", "[shard][heap]")
{
    fixture f;
    CHECK(f.source.bytes_live == 0);
    asx_heap_reset(&f.heap);
    CHECK(f.source.global_alloc_count == 0);
    CHECK(asx_heap_alloc(&f.heap, 64) != nullptr);
    CHECK(f.source.bytes_live == ASX_CHUNK_SMALL);
}

TEST_CASE("heap: every size is aligned, separate, and reused last freed first", "[shard][heap]")
{
    fixture f;
    for (size_t size = 0; size <= 70000; size += size < 1100 ? 1 : 611) {
        void *const a = asx_heap_alloc(&f.heap, size);
        void *const b = asx_heap_alloc(&f.heap, size);
        REQUIRE(a != nullptr);
        REQUIRE(b != nullptr);
        REQUIRE(reinterpret_cast<uintptr_t>(a) % 16 == 0);
        memset(a, 1, size);
        memset(b, 2, size);
        REQUIRE((size == 0 || *static_cast<char *>(a) == 1));
        asx_heap_free(&f.heap, a, size);
        asx_heap_free(&f.heap, b, size);
        if (size <= ASX_HEAP_LARGE_MAX) {
            REQUIRE(asx_heap_alloc(&f.heap, size) == b);
            REQUIRE(asx_heap_alloc(&f.heap, size) == a);
            asx_heap_free(&f.heap, a, size);
            asx_heap_free(&f.heap, b, size);
        }
        REQUIRE(asx_heap_bytes(&f.heap) == 0);
        REQUIRE(asx_heap_live(&f.heap) == 0);
    }
    asx_heap_check(&f.heap);
}

TEST_CASE("heap: alignments up to a page hold for small, large and huge", "[shard][heap]")
{
    fixture f;
    for (size_t align = 1; align <= ASX_HEAP_ALIGN_MAX; align *= 2) {
        for (const size_t size : { size_t(1), size_t(100), size_t(5000), size_t(100000) }) {
            void *const a = asx_heap_alloc_aligned(&f.heap, size, align);
            REQUIRE(a != nullptr);
            REQUIRE(reinterpret_cast<uintptr_t>(a) % align == 0);
            memset(a, 3, size);
            asx_heap_free(&f.heap, a, size);
        }
    }
    CHECK(asx_heap_bytes(&f.heap) == 0);
    asx_heap_check(&f.heap);
}

TEST_CASE("heap: random allocations and frees never overlap", "[shard][heap]")
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        fixture f;
        uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15);
        std::vector<block> live;
        for (int step = 0; step < 20000; step++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            if (live.size() < 200 && (x & 3) != 0) {
                const size_t size = (x >> 8) % ((x & 0xf0) == 0 ? 50000 : 600);
                block b = { static_cast<unsigned char *>(asx_heap_alloc(&f.heap, size)), size,
                            static_cast<unsigned char>(x >> 32) };
                REQUIRE(b.at != nullptr);
                memset(b.at, b.fill, size);
                live.push_back(b);
            } else if (!live.empty()) {
                const size_t pick = (x >> 8) % live.size();
                REQUIRE(intact(live[pick]));
                asx_heap_free(&f.heap, live[pick].at, live[pick].size);
                live[pick] = live.back();
                live.pop_back();
            }
            REQUIRE(asx_heap_live(&f.heap) == live.size());
        }
        asx_heap_check(&f.heap);
        asx_heap_reset(&f.heap);
        CHECK(asx_heap_bytes(&f.heap) == 0);
        CHECK(asx_heap_live(&f.heap) == 0);
        CHECK(f.source.bytes_live == 0);
        asx_heap_check(&f.heap);
    }
}

TEST_CASE("heap: the limit counts rounded bytes and is an error value", "[shard][heap]")
{
    fixture f(128);
    void *const a = asx_heap_alloc(&f.heap, 49); /* 64 */
    void *const b = asx_heap_alloc(&f.heap, 64);
    REQUIRE(a != nullptr);
    REQUIRE(b != nullptr);
    CHECK(asx_heap_bytes(&f.heap) == 128);
    CHECK(asx_heap_alloc(&f.heap, 1) == nullptr);
    CHECK(asx_heap_alloc(&f.heap, 0) == nullptr);
    CHECK(asx_heap_alloc(&f.heap, 5000) == nullptr);
    CHECK(asx_heap_alloc(&f.heap, SIZE_MAX) == nullptr);
    CHECK(asx_heap_alloc(&f.heap, PTRDIFF_MAX) == nullptr);
    CHECK(asx_heap_alloc(&f.heap, (size_t(1) << 36)) == nullptr);
    CHECK(asx_heap_why(&f.heap, 1) == ASX_E(AT_CAPACITY));
    asx_heap_free(&f.heap, a, 49);
    CHECK(asx_heap_alloc(&f.heap, 64) == a);
}

TEST_CASE("heap: a failed chunk is NO_MEMORY and leaves the heap usable", "[shard][heap]")
{
    fixture f;
    for (const size_t size : { size_t(8), size_t(20000), size_t(100000) }) {
        asx_chunk_fail_nth(&f.source, 1);
        void *got = asx_heap_alloc(&f.heap, size);
        while (got != nullptr) {
            got = asx_heap_alloc(&f.heap, size);
        }
        CHECK(asx_heap_why(&f.heap, size) == ASX_E(NO_MEMORY));
        asx_heap_check(&f.heap);
        CHECK(asx_heap_alloc(&f.heap, size) != nullptr);
    }
}

TEST_CASE("heap: opening and resetting in a loop is silent below", "[shard][heap]")
{
    fixture f;
    uint64_t calls = 0;
    for (int i = 0; i < 1000; i++) {
        for (int j = 0; j < 100; j++) {
            REQUIRE(asx_heap_alloc(&f.heap, size_t(j) * 9) != nullptr);
        }
        asx_heap_reset(&f.heap);
        if (i == 10) {
            calls = f.source.global_alloc_count;
        }
    }
    CHECK(f.source.global_alloc_count == calls);
    CHECK(asx_heap_live(&f.heap) == 0);
}

TEST_CASE("heap: trim returns the chunks in which nothing is left", "[shard][heap]")
{
    fixture f;
    std::vector<void *> blocks;
    void *const first = asx_heap_alloc(&f.heap, 100);
    for (int i = 0; i < 1000; i++) {
        blocks.push_back(asx_heap_alloc(&f.heap, 4720));
        REQUIRE(blocks.back() != nullptr);
    }
    const size_t live = f.source.bytes_live;
    CHECK(live > 100 * size_t(ASX_CHUNK_BIG));
    CHECK(asx_heap_trim(&f.heap) == 0);
    CHECK(f.source.bytes_live == live);
    for (size_t i = 0; i < 1000; i++) {
        if (i != 500) {
            asx_heap_free(&f.heap, blocks[i], 4720);
        }
    }
    const size_t released = asx_heap_trim(&f.heap);
    CHECK(f.source.bytes_live == live - released);
    /* The first chunks, the newest, and the one with the block that is live. */
    CHECK(f.source.bytes_live <= 3 * size_t(ASX_CHUNK_BIG));
    asx_heap_check(&f.heap);
    memset(first, 1, 100);
    memset(blocks[500], 1, 4720);
    CHECK(asx_heap_trim(&f.heap) == 0);
    for (int i = 0; i < 1000; i++) {
        REQUIRE(asx_heap_alloc(&f.heap, 4720) != nullptr);
    }
    asx_heap_check(&f.heap);
}

TEST_CASE("heap: what is live survives any number of trims", "[shard][heap]")
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        fixture f;
        asx_prng prng;
        asx_prng_init(&prng, seed);
        std::vector<block> live;
        const asx_heapref ref = make_ref(&f.heap, 7);
        size_t released = 0;
        for (int round = 0; round < 30; round++) {
            for (int i = 0; i < 400; i++) {
                const size_t below = asx_prng_below(&prng, 8) == 0 ? 40000 : 3000;
                const size_t size = asx_prng_below(&prng, below) + 1;
                const size_t align = size_t(1) << asx_prng_below(&prng, 13);
                block b = { static_cast<unsigned char *>(
                                asx_heap_alloc_aligned(&f.heap, size, align)),
                            size, static_cast<unsigned char>(i) };
                REQUIRE(b.at != nullptr);
                memset(b.at, b.fill, size);
                live.push_back(b);
            }
            const uint64_t kept = asx_prng_below(&prng, 60);
            while (live.size() > kept) {
                const size_t pick = asx_prng_below(&prng, live.size());
                REQUIRE(intact(live[pick]));
                asx_heap_free(&f.heap, live[pick].at, live[pick].size);
                live[pick] = live.back();
                live.pop_back();
            }
            released += asx_heap_trim(&f.heap);
            asx_heap_check(&f.heap);
            for (const block &b : live) {
                REQUIRE(intact(b));
            }
        }
        CHECK(released > 10 * size_t(ASX_CHUNK_BIG));
        void *object = nullptr;
        REQUIRE(asx_heapref_get(&f.heap, ref, 1, &object) == ASX_OK);
        CHECK(*static_cast<int *>(object) == 7);
    }
}

TEST_CASE("heapref: each way to fail has its own error", "[shard][heap]")
{
    fixture f;
    destroyed.clear();
    const asx_heapref ref = make_ref(&f.heap, 5, 9);
    void *object = nullptr;
    REQUIRE(asx_heapref_get(&f.heap, ref, 9, &object) == ASX_OK);
    CHECK(*static_cast<int *>(object) == 5);
    CHECK(asx_heapref_get(&f.heap, ref, 8, &object) == ASX_E(TYPE_MISMATCH));
    asx_heapref foreign = ref;
    foreign.region_id = 43;
    CHECK(asx_heapref_get(&f.heap, foreign, 9, &object) == ASX_E(WRONG_REGION));
    asx_heapref beyond = ref;
    beyond.slot = UINT32_MAX;
    CHECK(asx_heapref_get(&f.heap, beyond, 9, &object) == ASX_E(STALE));

    REQUIRE(asx_heapref_free(&f.heap, ref) == ASX_OK);
    CHECK(destroyed == std::vector<int>{ 5 });
    CHECK(asx_heapref_get(&f.heap, ref, 9, &object) == ASX_E(STALE));
    CHECK(asx_heapref_free(&f.heap, ref) == ASX_E(STALE));
    const asx_heapref heir = make_ref(&f.heap, 6, 9);
    CHECK(heir.slot == ref.slot);
    CHECK(heir.generation != ref.generation);
    CHECK(asx_heapref_get(&f.heap, ref, 9, &object) == ASX_E(STALE));

    asx_heap_close(&f.heap);
    CHECK(asx_heapref_get(&f.heap, heir, 9, &object) == ASX_E(REGION_CLOSED));
    CHECK(asx_heap_alloc(&f.heap, 16) == nullptr);
    asx_heapref none;
    CHECK(asx_heapref_create(&f.heap, &f, 1, 1, nullptr, &none) == ASX_E(REGION_CLOSED));
}

TEST_CASE("heapref: reset destroys in ascending slot order, and old ones stay stale",
          "[shard][heap]")
{
    fixture f;
    std::vector<asx_heapref> old;
    for (int round = 0; round < 3; round++) {
        destroyed.clear();
        std::vector<asx_heapref> refs;
        for (int i = 0; i < 3000; i++) {
            refs.push_back(make_ref(&f.heap, i));
        }
        REQUIRE(asx_heapref_free(&f.heap, refs[10]) == ASX_OK);
        REQUIRE(asx_heapref_free(&f.heap, refs[20]) == ASX_OK);
        refs[20] = make_ref(&f.heap, 20);
        void *object = nullptr;
        for (const asx_heapref &ref : old) {
            REQUIRE(asx_heapref_get(&f.heap, ref, 1, &object) == ASX_E(STALE));
        }
        destroyed.clear();
        asx_heap_reset(&f.heap);
        REQUIRE(destroyed.size() == 2999);
        for (size_t i = 1; i < destroyed.size(); i++) {
            REQUIRE(destroyed[i - 1] < destroyed[i]);
        }
        CHECK(f.source.bytes_live == 0);
        CHECK(asx_heap_live(&f.heap) == 0);
        for (const asx_heapref &ref : refs) {
            REQUIRE(asx_heapref_get(&f.heap, ref, 1, &object) == ASX_E(STALE));
            old.push_back(ref);
        }
    }
}
