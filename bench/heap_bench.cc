/* Region heap and handles beside glibc's malloc and jemalloc, in the same run.
 *
 * Pair: one 64 B block out and back. Replace: one of 10,000 live blocks of 16..256 B, at random.
 * Whole: 1,000 blocks of 64 B, then all of them gone at once. */
#include <asx/shard/handle.h>
#include <asx/shard/heap.h>

#include <benchmark/benchmark.h>
#include <jemalloc/jemalloc.h>
#include <vector>

/* jemalloc is linked and has taken the name malloc: glibc's own stays reachable under these. */
extern "C" void *__libc_malloc(size_t size);
extern "C" void __libc_free(void *block);

namespace
{
struct region {
    asx_chunk_source source;
    asx_heap heap;
    region()
    {
        const asx_chunk_config config = { 0, -1 };
        asx_chunk_source_init(&source, &config);
        asx_heap_init(&heap, &source, 0);
    }
    ~region()
    {
        asx_heap_reset(&heap);
        asx_chunk_source_deinit(&source);
    }
    void *alloc(size_t size)
    {
        return asx_heap_alloc(&heap, size);
    }
    void free(void *block, size_t size)
    {
        asx_heap_free(&heap, block, size);
    }
    void free_all(std::vector<void *> &)
    {
        asx_heap_reset(&heap);
    }
};

struct glibc {
    void *alloc(size_t size)
    {
        return __libc_malloc(size);
    }
    void free(void *block, size_t)
    {
        __libc_free(block);
    }
    void free_all(std::vector<void *> &blocks)
    {
        for (void *const block : blocks) {
            __libc_free(block);
        }
    }
};

struct jemalloc {
    void *alloc(size_t size)
    {
        return mallocx(size, 0);
    }
    void free(void *block, size_t size)
    {
        sdallocx(block, size, 0);
    }
    void free_all(std::vector<void *> &blocks)
    {
        for (void *const block : blocks) {
            sdallocx(block, 64, 0);
        }
    }
};

template <class A> void heap_pair(benchmark::State &state)
{
    A a;
    for (auto _ : state) {
        void *block = a.alloc(64);
        benchmark::DoNotOptimize(block);
        a.free(block, 64);
    }
}

template <class A> void heap_replace(benchmark::State &state)
{
    A a;
    const size_t count = 10000;
    std::vector<void *> blocks(count);
    std::vector<size_t> sizes(count);
    uint64_t x = 88172645463325252u;
    const auto draw = [&x] {
        x ^= x << 13;
        x ^= x >> 7;
        return x ^= x << 17;
    };
    for (size_t i = 0; i < count; i++) {
        sizes[i] = 16 + draw() % 241;
        blocks[i] = a.alloc(sizes[i]);
    }
    for (auto _ : state) {
        const uint64_t r = draw();
        const size_t i = static_cast<size_t>((r & 0xffffffff) * count >> 32);
        a.free(blocks[i], sizes[i]);
        sizes[i] = 16 + (r >> 40) % 241;
        blocks[i] = a.alloc(sizes[i]);
        *static_cast<uint64_t *>(blocks[i]) = r;
    }
    for (size_t i = 0; i < count; i++) {
        a.free(blocks[i], sizes[i]);
    }
}

template <class A> void heap_whole(benchmark::State &state)
{
    A a;
    std::vector<void *> blocks(1000);
    for (auto _ : state) {
        for (void *&block : blocks) {
            block = a.alloc(64);
        }
        benchmark::ClobberMemory();
        a.free_all(blocks);
    }
    state.SetItemsProcessed(state.iterations() * 1000);
}

/* A request's region: opened, a few blocks, reclaimed. */
void heap_open_reset(benchmark::State &state)
{
    region a;
    asx_heap_reset(&a.heap);
    const auto blocks = state.range(0);
    uint64_t calls = 0;
    for (auto _ : state) {
        asx_heap heap;
        asx_heap_init(&heap, &a.source, 0);
        for (int64_t i = 0; i < blocks; i++) {
            benchmark::DoNotOptimize(asx_heap_alloc(&heap, 64));
        }
        asx_heap_reset(&heap);
        if (calls == 0) {
            calls = a.source.global_alloc_count;
        }
    }
    if (a.source.global_alloc_count > calls) {
        state.SkipWithError("the global allocator was called in the steady state");
    }
}

void handle_alloc_free(benchmark::State &state)
{
    region a;
    asx_handle_table table;
    asx_handle_table_init(&table, ASX_HANDLE_TASK, 0, 256, &a.source, 1000);
    for (auto _ : state) {
        asx_handle handle;
        void *const record = asx_handle_alloc(&table, &handle);
        benchmark::DoNotOptimize(handle);
        asx_handle_free(&table, record);
    }
    asx_handle_table_deinit(&table);
}

void handle_lookup(benchmark::State &state)
{
    region a;
    asx_handle_table table;
    asx_handle_table_init(&table, ASX_HANDLE_TASK, 0, 256, &a.source, 1000);
    asx_handle handle;
    void *const record = asx_handle_alloc(&table, &handle);
    for (auto _ : state) {
        void *found = nullptr;
        benchmark::DoNotOptimize(handle);
        if (asx_handle_lookup(&table, handle, &found) != ASX_OK) {
            state.SkipWithError("stale");
        }
        benchmark::DoNotOptimize(found);
    }
    asx_handle_free(&table, record);
    asx_handle_table_deinit(&table);
}
} // namespace

BENCHMARK_TEMPLATE(heap_pair, region);
BENCHMARK_TEMPLATE(heap_pair, glibc);
BENCHMARK_TEMPLATE(heap_pair, jemalloc);
BENCHMARK_TEMPLATE(heap_replace, region);
BENCHMARK_TEMPLATE(heap_replace, glibc);
BENCHMARK_TEMPLATE(heap_replace, jemalloc);
BENCHMARK_TEMPLATE(heap_whole, region);
BENCHMARK_TEMPLATE(heap_whole, glibc);
BENCHMARK_TEMPLATE(heap_whole, jemalloc);
BENCHMARK(heap_open_reset)->Arg(0)->Arg(1)->Arg(8)->Arg(32);
BENCHMARK(handle_alloc_free);
BENCHMARK(handle_lookup);
BENCHMARK_MAIN();
