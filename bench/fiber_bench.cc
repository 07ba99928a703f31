/* The switch, alone and around rings of 2, 1,000 and 100,000 fibers; a stack's acquire and release;
 * and a whole short life: acquire, first switch, last switch, release. */
#include <asx/shard/fiber.h>

#include <benchmark/benchmark.h>
#include <cstdlib>
#include <memory>
#include <vector>

namespace
{

struct Node {
    asx_fiber fiber{};
    asx_fiber *home = nullptr;
};

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
        asx_stack_pool_deinit(pool.get());
    }
};

/* The run queue, in words of their own: who is next must not hang on a load from the fiber's own
 * stack, so that the processor can fetch one stack while it waits for another. At 100,000 fibers
 * that is the difference between overlapped and serial cache misses. */
Node *ring_first, *ring_last, *ring_now;
uint64_t ring_budget;

/* Goes home when the budget is spent, else on to the next fiber. */
void ring_body(void *)
{
    for (;;) {
        Node *const self = ring_now;
        ring_now = self == ring_last ? ring_first : self + 1;
        asx_fiber_switch(&self->fiber, --ring_budget == 0 ? self->home : &ring_now->fiber);
    }
}

void ring_run(World &world, uint64_t switch_count)
{
    ring_budget = switch_count;
    asx_fiber_switch(&world.home, &ring_now->fiber);
}

void count_switches(benchmark::State &state, uint64_t batch)
{
    const double total = static_cast<double>(batch) * static_cast<double>(state.iterations());
    state.counters["ns_per_switch"] =
        benchmark::Counter(total * 1e-9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void fiber_ring(benchmark::State &state)
{
    World world;
    const size_t count = static_cast<size_t>(state.range(0));
    const uint64_t batch = 1000000;
    std::vector<asx_stack *> stacks(count);
    std::vector<Node> ring(count);
    ring_first = ring_now = &ring.front();
    ring_last = &ring.back();
    for (size_t i = 0; i < count; i++) {
        ring[i].home = &world.home;
        stacks[i] = asx_stack_acquire(world.pool.get(), 0);
        if (!stacks[i]) {
            std::abort();
        }
        asx_fiber_init(&ring[i].fiber, stacks[i], ring_body, nullptr);
    }
    ring_run(world, count); /* once around: everything is touched */
    for (auto _ : state) {
        ring_run(world, batch);
    }
    count_switches(state, batch);
    for (size_t i = 0; i < count; i++) {
        asx_fiber_deinit(&ring[i].fiber);
        asx_stack_release(world.pool.get(), stacks[i]);
    }
}

asx_fiber ping, pong;

/* To a fiber that does nothing and back: two switches. */
void fiber_switch(benchmark::State &state)
{
    World world;
    asx_fiber_init_thread(&ping);
    asx_stack *const stack = asx_stack_acquire(world.pool.get(), 0);
    asx_fiber_init(
        &pong, stack,
        [](void *) {
            for (;;) {
                asx_fiber_switch(&pong, &ping);
            }
        },
        nullptr);
    for (auto _ : state) {
        asx_fiber_switch(&ping, &pong);
    }
    count_switches(state, 2);
    asx_fiber_deinit(&pong);
    asx_stack_release(world.pool.get(), stack);
}

void stack_reuse(benchmark::State &state)
{
    World world;
    for (auto _ : state) {
        asx_stack *const stack = asx_stack_acquire(world.pool.get(), 0);
        benchmark::DoNotOptimize(stack);
        asx_stack_release(world.pool.get(), stack);
    }
}

void stack_first_use(benchmark::State &state)
{
    const size_t count = static_cast<size_t>(state.range(0));
    std::vector<asx_stack *> stacks(count);
    for (auto _ : state) {
        World world;
        for (asx_stack *&stack : stacks) {
            stack = asx_stack_acquire(world.pool.get(), 0);
            if (!stack) {
                std::abort();
            }
        }
        state.PauseTiming();
        for (asx_stack *stack : stacks) {
            asx_stack_release(world.pool.get(), stack);
        }
        state.ResumeTiming();
    }
    state.SetItemsProcessed(static_cast<int64_t>(count) * state.iterations());
}

void short_body(void *arg)
{
    Node &self = *static_cast<Node *>(arg);
    asx_fiber_switch_final(&self.fiber, self.home);
}

void fiber_life(benchmark::State &state)
{
    World world;
    for (auto _ : state) {
        Node node;
        node.home = &world.home;
        asx_stack *const stack = asx_stack_acquire(world.pool.get(), 0);
        asx_fiber_init(&node.fiber, stack, short_body, &node);
        asx_fiber_switch(&world.home, &node.fiber);
        asx_fiber_deinit(&node.fiber);
        asx_stack_release(world.pool.get(), stack);
    }
}

} // namespace

BENCHMARK(fiber_switch);
BENCHMARK(fiber_ring)->Arg(2)->Arg(1000)->Arg(100000);
BENCHMARK(stack_reuse);
BENCHMARK(stack_first_use)->Arg(10000)->Unit(benchmark::kMicrosecond);
BENCHMARK(fiber_life);
BENCHMARK_MAIN();
