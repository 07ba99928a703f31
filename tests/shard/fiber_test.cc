/* At stake: a register or a stack slot that another fiber changed. Each property is driven by real
 * switches; the sanitizer builds run the same cases and must stay silent. */
#include <asx/shard/fiber.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <unwind.h>
#include <vector>

namespace
{

struct World {
    std::unique_ptr<asx_stack_pool> pool{ new asx_stack_pool };
    asx_fiber home{};
    World()
    {
        asx_stack_pool_init(pool.get(), nullptr);
        asx_fiber_init_thread(&home);
    }
    ~World()
    {
        asx_fiber_deinit(&home);
        asx_stack_pool_deinit(pool.get());
    }
};

struct Actor {
    asx_fiber fiber{};
    World *world = nullptr;
    asx_stack *stack = nullptr;
    std::vector<int> *log = nullptr;
    Actor *next = nullptr;
    uint64_t value = 0;
    unsigned rounds = 0;

    void start(World &owner, asx_fiber_fn *fn, size_t bytes = 0)
    {
        world = &owner;
        stack = asx_stack_acquire(owner.pool.get(), bytes);
        REQUIRE(stack);
        asx_fiber_init(&fiber, stack, fn, this);
    }
    void run()
    {
        asx_fiber_switch(&world->home, &fiber);
    }
    void yield()
    {
        asx_fiber_switch(&fiber, &world->home);
    }
    [[noreturn]] void finish()
    {
        asx_fiber_switch_final(&fiber, &world->home);
        std::abort();
    }
    void drop()
    {
        asx_fiber_deinit(&fiber);
        asx_stack_release(world->pool.get(), stack);
    }
};

} // namespace

TEST_CASE("fiber: runs, yields, goes on where it was, and ends", "[fiber]")
{
    World world;
    std::vector<int> log;
    Actor actor;
    actor.log = &log;
    actor.start(world, [](void *arg) {
        Actor &self = *static_cast<Actor *>(arg);
        int local = 1;
        self.log->push_back(local);
        self.yield();
        self.log->push_back(local + 1);
        self.yield();
        self.log->push_back(local + 2);
        self.finish();
    });
    CHECK(log.empty());
    actor.run();
    CHECK(log == std::vector<int>{ 1 });
    actor.run();
    actor.run();
    CHECK(log == std::vector<int>{ 1, 2, 3 });
    actor.drop();
}

TEST_CASE("fiber: the stack is 16-aligned, as vector spills need", "[fiber]")
{
    World world;
    Actor actor;
    actor.start(world, [](void *arg) {
        Actor &self = *static_cast<Actor *>(arg);
        alignas(16) volatile char block[16] = { 0 };
        self.value = reinterpret_cast<uintptr_t>(&block) % 16 +
                     reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) % 16;
        char text[64];
        snprintf(text, sizeof text, "%.3f", 1.5); /* libc saves vector registers here */
        self.value += strcmp(text, "1.500") != 0;
        self.finish();
    });
    actor.value = 99;
    actor.run();
    CHECK(actor.value == 0);
    actor.drop();
}

TEST_CASE("fiber: callee-saved registers and floats survive a thousand neighbours", "[fiber]")
{
    World world;
    std::vector<Actor> actors(1000);
    for (size_t i = 0; i < actors.size(); i++) {
        actors[i].value = i;
        actors[i].start(world, [](void *arg) {
            Actor &self = *static_cast<Actor *>(arg);
            /* More live values than registers: some in each, some on the stack. */
            uint64_t a = self.value, b = a * 3, c = a * 5, d = a * 7, e = a * 11, f = a * 13;
            double x = static_cast<double>(a) * 0.5, y = x * 3, z = y * 7;
            for (int round = 0; round < 20; round++) {
                self.yield();
                a += 1, b += 3, c += 5, d += 7, e += 11, f += 13, x += 0.5, y += 1.5, z += 10.5;
            }
            const bool whole = b == a * 3 && c == a * 5 && d == a * 7 && e == a * 11 &&
                               f == a * 13 && x == static_cast<double>(a) * 0.5 && y == x * 3 &&
                               z == y * 7;
            self.value = whole ? a : UINT64_MAX;
            self.finish();
        });
    }
    for (int round = 0; round <= 20; round++) {
        for (Actor &actor : actors) {
            actor.run();
        }
    }
    for (size_t i = 0; i < actors.size(); i++) {
        REQUIRE(actors[i].value == i + 20);
        actors[i].drop();
    }
}

TEST_CASE("fiber: a ring switches from fiber to fiber without going home", "[fiber]")
{
    World world;
    std::vector<Actor> ring(16);
    for (size_t i = 0; i < ring.size(); i++) {
        ring[i].next = &ring[(i + 1) % ring.size()];
        ring[i].start(world, [](void *arg) {
            Actor &self = *static_cast<Actor *>(arg);
            while (self.rounds < 1000) {
                self.rounds++;
                asx_fiber_switch(&self.fiber, &self.next->fiber);
            }
            self.finish();
        });
    }
    ring[0].run(); /* the first to count to 1,000 goes home */
    CHECK(ring[0].rounds == 1000);
    CHECK(ring[15].rounds == 1000);
    for (Actor &actor : ring) {
        actor.drop();
    }
}

TEST_CASE("fiber: one that ends hands its stack on, deep frames and all", "[fiber]")
{
    World world;
    const auto deep = [](void *arg) {
        Actor &self = *static_cast<Actor *>(arg);
        volatile char frame[20000];
        for (char volatile &byte : frame) {
            byte = static_cast<char>(self.value);
        }
        self.value += static_cast<unsigned char>(frame[19999]);
        self.finish(); /* the frame is abandoned: whoever comes next finds it poisoned, or not */
    };
    asx_stack *first = nullptr;
    for (uint64_t i = 0; i < 200; i++) {
        Actor actor;
        actor.value = i;
        actor.start(world, deep);
        first = first ? first : actor.stack;
        REQUIRE(actor.stack == first);
        actor.run();
        REQUIRE(actor.value == 2 * i);
        actor.drop();
    }
}

TEST_CASE("fiber: one that is suspended may be dropped, and one that never ran", "[fiber]")
{
    World world;
    Actor idle, parked;
    const auto body = [](void *arg) {
        static_cast<Actor *>(arg)->yield();
        static_cast<Actor *>(arg)->finish();
    };
    idle.start(world, body);
    parked.start(world, body);
    parked.run();
    idle.drop();
    parked.drop();
    asx_stack_stats stats;
    asx_stack_stats_read(world.pool.get(), &stats);
    CHECK(stats.live == 0);
}

TEST_CASE("fiber: the record above the first frame is not overwritten", "[fiber]")
{
    World world;
    Actor actor;
    actor.world = &world;
    actor.stack = asx_stack_acquire(world.pool.get(), 16384);
    unsigned char *const record = static_cast<unsigned char *>(asx_stack_reserve(actor.stack, 200));
    memset(record, 0xa5, 200);
    asx_fiber_init(
        &actor.fiber, actor.stack,
        [](void *arg) {
            static_cast<Actor *>(arg)->yield();
            static_cast<Actor *>(arg)->finish();
        },
        &actor);
    actor.run();
    actor.run();
    CHECK(std::accumulate(record, record + 200, 0u) == 200u * 0xa5);
    actor.drop();
}

TEST_CASE("fiber: a C++ exception stays within its fiber", "[fiber]")
{
    World world;
    Actor actor;
    actor.start(world, [](void *arg) {
        Actor &self = *static_cast<Actor *>(arg);
        try {
            self.yield();
            throw std::string("caught");
        } catch (const std::string &text) {
            self.value = text.size();
        }
        self.finish();
    });
    actor.run();
    actor.run();
    CHECK(actor.value == 6);
    actor.drop();
}

TEST_CASE("fiber: unwinding ends at the boot frame", "[fiber]")
{
    World world;
    Actor actor;
    actor.start(world, [](void *arg) {
        Actor &self = *static_cast<Actor *>(arg);
        unsigned frames = 0;
        const _Unwind_Reason_Code code = _Unwind_Backtrace(
            [](_Unwind_Context *, void *count) {
                return ++*static_cast<unsigned *>(count) > 50 ? _URC_NORMAL_STOP : _URC_NO_REASON;
            },
            &frames);
        self.value = code == _URC_END_OF_STACK ? frames : 1000;
        self.finish();
    });
    actor.run();
    CHECK(actor.value >= 1);
    CHECK(actor.value <= 6);
    actor.drop();
}

TEST_CASE("fiber: threads with fibers of their own do not meet", "[fiber][threads]")
{
    uint64_t sums[2] = { 0, 0 };
    const auto body = [](uint64_t *sum) {
        World world;
        std::vector<Actor> actors(50);
        for (Actor &actor : actors) {
            actor.world = &world;
            actor.stack = asx_stack_acquire(world.pool.get(), 0);
            asx_fiber_init(
                &actor.fiber, actor.stack,
                [](void *arg) {
                    Actor &self = *static_cast<Actor *>(arg);
                    for (int round = 0; round < 100; round++) {
                        self.value++;
                        self.yield();
                    }
                    self.finish();
                },
                &actor);
        }
        for (int round = 0; round <= 100; round++) {
            for (Actor &actor : actors) {
                actor.run();
            }
        }
        for (Actor &actor : actors) {
            *sum += actor.value;
            actor.drop();
        }
    };
    std::thread other(body, &sums[0]);
    body(&sums[1]);
    other.join();
    CHECK(sums[0] == 5000);
    CHECK(sums[1] == 5000);
}
