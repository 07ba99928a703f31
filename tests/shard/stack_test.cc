/* At stake: a fiber that overflows into its neighbour, a pool that makes system calls on the hot
 * path or leaks memory, and map counts that end long before memory does. */
#include <asx/shard/base/prng.h>
#include <asx/shard/stack.h>

#include <catch2/catch.hpp>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace
{

struct Pool {
    std::unique_ptr<asx_stack_pool> pool{ new asx_stack_pool };
    explicit Pool(const asx_stack_config &config = {})
    {
        asx_stack_pool_init(pool.get(), &config);
    }
    ~Pool()
    {
        asx_stack_pool_deinit(pool.get());
    }
    asx_stack *acquire(size_t bytes = 0)
    {
        return asx_stack_acquire(pool.get(), bytes);
    }
    void release(asx_stack *stack)
    {
        asx_stack_release(pool.get(), stack);
    }
    asx_stack_stats stats() const
    {
        asx_stack_stats stats;
        asx_stack_stats_read(pool.get(), &stats);
        return stats;
    }
};

size_t map_count()
{
    std::ifstream maps("/proc/self/maps");
    size_t count = 0;
    for (std::string line; std::getline(maps, line);) {
        count++;
    }
    return count;
}

size_t page_bytes()
{
    return static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

sigjmp_buf fault_return;
const void *volatile fault_addr;

void fault_handler(int, siginfo_t *info, void *)
{
    fault_addr = info->si_addr;
    siglongjmp(fault_return, 1);
}

/* Writes there; true when that faulted. */
bool write_faults(char *at)
{
    struct sigaction action = {}, previous;
    action.sa_sigaction = fault_handler;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, &previous);
    volatile bool faulted = true;
    if (sigsetjmp(fault_return, 1) == 0) {
        *static_cast<volatile char *>(at) = 1;
        faulted = false;
    }
    sigaction(SIGSEGV, &previous, nullptr);
    return faulted;
}

void hold_and_release(size_t count, asx_stack_guard_kind guard)
{
    asx_stack_config config = {};
    config.guard = guard;
    Pool pool(config);
    const size_t maps_before = map_count();
    std::vector<asx_stack *> stacks(count);
    for (asx_stack *&stack : stacks) {
        stack = pool.acquire();
        REQUIRE(stack);
    }
    const asx_stack_stats stats = pool.stats();
    CHECK(stats.live == count);
    CHECK(stats.slabs < 24);
    CHECK(map_count() < maps_before + 64);
    char *const guard_byte = stacks[count / 2]->base - 1;
    asx_stack *which = nullptr;
    CHECK(asx_stack_guard_hit(pool.pool.get(), guard_byte, &which));
    CHECK(which == stacks[count / 2]);
    for (asx_stack *stack : stacks) {
        pool.release(stack);
    }
    CHECK(pool.stats().pooled == count);
}

} // namespace

TEST_CASE("stack: a class gives nearly its size, and the default is 64 KiB", "[stack]")
{
    Pool pool;
    const size_t sizes[] = { 1, 16384, 16385, 65536, 65537, 262144, 262145, 1048576 };
    const size_t classes[] = { 16384, 16384, 65536, 65536, 262144, 262144, 1048576, 1048576 };
    std::vector<asx_stack *> stacks;
    for (size_t i = 0; i < 8; i++) {
        asx_stack *const stack = pool.acquire(sizes[i]);
        REQUIRE(stack);
        CHECK(stack->size < classes[i]);
        CHECK(stack->size > classes[i] - 2048);
        CHECK(reinterpret_cast<uintptr_t>(stack->top) % 16 == 0);
        memset(stack->base, 0x5a, static_cast<size_t>(stack->top - stack->base));
        stacks.push_back(stack);
    }
    asx_stack *const plain = pool.acquire();
    CHECK(plain->cls == stacks[3]->cls);
    stacks.push_back(plain);
    CHECK(pool.acquire(ASX_STACK_BYTES_MAX + 1) == nullptr);
    for (asx_stack *stack : stacks) {
        pool.release(stack);
    }
}

TEST_CASE("stack: the last one released is the next one acquired", "[stack]")
{
    Pool pool;
    asx_stack *const a = pool.acquire();
    asx_stack *const b = pool.acquire();
    REQUIRE(a != b);
    pool.release(a);
    pool.release(b);
    CHECK(pool.acquire() == b);
    CHECK(pool.acquire() == a);
    pool.release(a);
    pool.release(b);
    CHECK(pool.stats().live == 0);
    CHECK(pool.stats().pooled == 2);
}

TEST_CASE("stack: the limit is a NULL, and a release lifts it", "[stack]")
{
    asx_stack_config config = {};
    config.count_max = 2;
    Pool pool(config);
    asx_stack *const a = pool.acquire();
    asx_stack *const b = pool.acquire(16384);
    CHECK(pool.acquire() == nullptr);
    pool.release(b);
    asx_stack *const c = pool.acquire();
    CHECK(c != nullptr);
    pool.release(a);
    pool.release(c);
}

TEST_CASE("stack: every guard kind that works here stops a write below the stack", "[stack]")
{
    for (const asx_stack_guard_kind kind : { ASX_STACK_GUARD_AUTO, ASX_STACK_GUARD_MADVISE,
                                             ASX_STACK_GUARD_MPROTECT, ASX_STACK_GUARD_NONE }) {
        asx_stack_config config = {};
        config.guard = kind;
        config.guard_bytes = page_bytes();
        Pool pool(config);
        const asx_stack_guard_kind got = asx_stack_pool_guard(pool.pool.get());
        INFO(asx_stack_guard_kind_name(kind) << " became " << asx_stack_guard_kind_name(got));
        if (kind == ASX_STACK_GUARD_AUTO || kind == ASX_STACK_GUARD_MPROTECT) {
            REQUIRE(got != ASX_STACK_GUARD_NONE); /* mprotect works everywhere */
        }
        asx_stack *const below = pool.acquire();
        asx_stack *const above = pool.acquire();
        CHECK_FALSE(write_faults(above->base));
        CHECK(write_faults(above->base - 1) == (got != ASX_STACK_GUARD_NONE));
        if (got != ASX_STACK_GUARD_NONE) {
            asx_stack *which = nullptr;
            CHECK(fault_addr == above->base - 1);
            CHECK(asx_stack_guard_hit(pool.pool.get(), fault_addr, &which));
            CHECK(which == above);
        }
        pool.release(above);
        pool.release(below);
    }
}

TEST_CASE("stack: only guards of stacks in use answer to a fault address", "[stack]")
{
    Pool pool;
    asx_stack *const stack = pool.acquire();
    const asx_stack_pool *const raw = pool.pool.get();
    int elsewhere = 0;
    CHECK_FALSE(asx_stack_guard_hit(raw, nullptr, nullptr));
    CHECK_FALSE(asx_stack_guard_hit(raw, &elsewhere, nullptr));
    CHECK_FALSE(asx_stack_guard_hit(raw, stack->base, nullptr));
    CHECK_FALSE(asx_stack_guard_hit(raw, stack, nullptr));
    CHECK(asx_stack_guard_hit(raw, stack->base - 1, nullptr));
    CHECK(asx_stack_guard_hit(raw, stack->base - page_bytes(), nullptr));
    CHECK_FALSE(asx_stack_guard_hit(raw, stack->base - page_bytes() - 1, nullptr));
    CHECK_FALSE(asx_stack_guard_hit(raw, stack->base + 65536 - page_bytes(), nullptr));
    pool.release(stack);
}

TEST_CASE("stack: tops take sixteen colours", "[stack]")
{
    Pool pool;
    std::set<uintptr_t> offsets;
    std::vector<asx_stack *> stacks;
    for (int i = 0; i < 64; i++) {
        stacks.push_back(pool.acquire());
        offsets.insert(reinterpret_cast<uintptr_t>(stacks.back()->top) % page_bytes());
    }
    CHECK(offsets.size() == 16);
    for (asx_stack *stack : stacks) {
        pool.release(stack);
    }
}

TEST_CASE("stack: an acquired stack costs one page until it is used", "[stack]")
{
    Pool pool;
    asx_stack *const stack = pool.acquire();
    CHECK(asx_stack_high_water(stack) <= page_bytes());
    stack->base[10 * page_bytes() + 5] = 1;
    CHECK(asx_stack_high_water(stack) == stack->size - 10 * page_bytes());
    /* Looking has not touched the pages below. */
    CHECK(asx_stack_high_water(stack) == stack->size - 10 * page_bytes());
    stack->base[0] = 1;
    CHECK(asx_stack_high_water(stack) == stack->size);
    pool.release(stack);
}

/* How many pages of the cell, its guard left out, are in memory. */
size_t resident_pages(const char *base)
{
    unsigned char resident[16] = {};
    REQUIRE(mincore(const_cast<char *>(base), 65536, resident) == 0);
    size_t count = 0;
    for (size_t i = 0; i < 65536 / page_bytes(); i++) {
        count += resident[i] & 1;
    }
    return count;
}

TEST_CASE("stack: trim gives back all memory of all but the newest", "[stack]")
{
    Pool pool;
    std::vector<asx_stack *> stacks;
    std::vector<char *> bases;
    std::vector<size_t> sizes;
    for (int i = 0; i < 10; i++) {
        stacks.push_back(pool.acquire());
        bases.push_back(stacks.back()->base);
        sizes.push_back(stacks.back()->size);
        memset(bases.back(), 1, sizes.back());
    }
    const unsigned cls = stacks[0]->cls;
    for (asx_stack *stack : stacks) {
        pool.release(stack);
    }
    CHECK(asx_stack_pool_trim(pool.pool.get(), 3, 5) == 5);
    CHECK(pool.stats().pooled == 5);
    CHECK(asx_stack_pool_trim(pool.pool.get(), 3, 5) == 2);
    CHECK(asx_stack_pool_trim(pool.pool.get(), 3, 5) == 0);
    CHECK(pool.stats().pooled == 3);
    CHECK(pool.stats().high_water_max[cls] == sizes[0]);
    for (size_t i = 0; i < 10; i++) {
        CHECK((resident_pages(bases[i]) == 0) == (i < 7));
    }
    CHECK_FALSE(asx_stack_guard_hit(pool.pool.get(), bases[0] - 1, nullptr));
    /* The hot ones come first; then what was given back works again, its guard still there, before
     * anything new is carved. */
    for (size_t i = 10; i-- > 7;) {
        REQUIRE(pool.acquire() == stacks[i]);
    }
    for (size_t i = 0; i < 7; i++) {
        asx_stack *const again = pool.acquire();
        REQUIRE(again == stacks[i]);
        CHECK(again->base == bases[i]);
        CHECK(again->size == sizes[i]);
        memset(again->base, 2, 4 * page_bytes());
        CHECK(write_faults(again->base - 1));
        asx_stack *which = nullptr;
        CHECK(asx_stack_guard_hit(pool.pool.get(), again->base - 1, &which));
        CHECK(which == again);
    }
    CHECK(pool.stats().live == 10);
    for (asx_stack *stack : stacks) {
        pool.release(stack);
    }
    CHECK(asx_stack_pool_trim(pool.pool.get(), 0, 100) == 10);
}

TEST_CASE("stack: many are given back and taken again, in any order", "[stack]")
{
    Pool pool;
    std::set<asx_stack *> live;
    asx_prng prng;
    asx_prng_init(&prng, 7);
    for (int round = 0; round < 20; round++) {
        while (live.size() < 700) {
            asx_stack *const stack = pool.acquire();
            REQUIRE(stack != nullptr);
            REQUIRE(live.insert(stack).second);
            stack->base[stack->size / 2] = 1;
        }
        for (auto it = live.begin(); it != live.end();) {
            if (asx_prng_below(&prng, 4) != 0) {
                pool.release(*it);
                it = live.erase(it);
            } else {
                ++it;
            }
        }
        const size_t kept = asx_prng_below(&prng, 50);
        const size_t pooled = pool.stats().pooled;
        CHECK(asx_stack_pool_trim(pool.pool.get(), kept, SIZE_MAX) == pooled - kept);
        CHECK(pool.stats().pooled == kept);
        CHECK(pool.stats().live == live.size());
    }
    CHECK(pool.stats().mapped_bytes <= size_t(64) << 20); /* what was bare was used again */
    for (asx_stack *stack : live) {
        pool.release(stack);
    }
}

TEST_CASE("stack: a record taken off the top is aligned and comes back with the stack", "[stack]")
{
    Pool pool;
    asx_stack *const stack = pool.acquire();
    char *const top = stack->top;
    char *const record = static_cast<char *>(asx_stack_reserve(stack, 100));
    CHECK(record == top - 112);
    CHECK(stack->top == record);
    memset(record, 7, 100);
    pool.release(stack);
    CHECK(pool.acquire() == stack);
    CHECK(stack->top == top);
    pool.release(stack);
}

TEST_CASE("stack: 100,000 guarded stacks leave the map count alone", "[stack]")
{
    Pool probe;
    const bool cheap = asx_stack_pool_guard(probe.pool.get()) == ASX_STACK_GUARD_MADVISE;
    hold_and_release(100000, cheap ? ASX_STACK_GUARD_MADVISE : ASX_STACK_GUARD_NONE);
}

/* Hidden: needs 5 GB of memory and some ten seconds. */
TEST_CASE("stack: a million guarded stacks leave the map count alone", "[.campaign][stack]")
{
    Pool probe;
    REQUIRE(asx_stack_pool_guard(probe.pool.get()) == ASX_STACK_GUARD_MADVISE);
    hold_and_release(1000000, ASX_STACK_GUARD_MADVISE);
}

/* ThreadSanitizer itself dies without a mapping to spare. */
#if !ASX_TSAN
TEST_CASE("stack: where mappings run out, acquire says so and the pool lives on", "[stack]")
{
    asx_stack_config config = {};
    config.guard = ASX_STACK_GUARD_MPROTECT;
    Pool pool(config);
    std::vector<asx_stack *> stacks;
    asx_stack *stack;
    while (stacks.size() < 40000 && (stack = pool.acquire(16384))) {
        stacks.push_back(stack);
    }
    CHECK(stacks.size() > 1000);
    CHECK(pool.stats().live == stacks.size());
    for (asx_stack *held : stacks) {
        pool.release(held);
    }
    asx_stack *const again = pool.acquire(16384);
    CHECK(again == stacks.back());
    pool.release(again);
}
#endif
