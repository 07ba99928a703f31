/* The ring between two pinned threads: one message to and fro, and a stream in batches. */
#include <asx/shard/limits.h>
#include <asx/shard/mesh.h>

#include <benchmark/benchmark.h>
#include <pthread.h>
#include <thread>

namespace
{
void pin(pthread_t thread, int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(thread, sizeof(set), &set);
}

bool send_one(asx_mesh *mesh, uint32_t from, uint32_t to, uint64_t word)
{
    asx_ring *const ring = asx_mesh_ring(mesh, from, to);
    asx_msg *const msg = asx_ring_reserve(ring, false);
    if (msg == nullptr) {
        return false;
    }
    const asx_msg filled{ 0, 0, 0, { word, 0, 0, 0, 0, 0, 0 } };
    asx_ring_write(msg, &filled);
    asx_ring_publish(ring);
    benchmark::DoNotOptimize(asx_mesh_wake_needed(mesh, to));
    return true;
}

uint64_t receive_one(asx_ring *ring)
{
    asx_msg *msg;
    while ((msg = asx_ring_pop(ring)) == nullptr) {
        asx_cpu_relax();
    }
    const uint64_t word = msg->words[0];
    asx_ring_consume_done(ring);
    return word;
}

void ring_ping_pong(benchmark::State &state)
{
    asx_mesh *const mesh = asx_mesh_create(2, 256);
    std::thread echo([mesh] {
        uint64_t word;
        do {
            word = receive_one(asx_mesh_ring(mesh, 0, 1));
            send_one(mesh, 1, 0, word);
        } while (word != 0);
    });
    /* From here: a thread begins where its maker may run, and one that spins would keep it off. */
    pin(echo.native_handle(), 1);
    pin(pthread_self(), 0);
    uint64_t word = 0;
    for (auto _ : state) {
        send_one(mesh, 0, 1, ++word);
        if (receive_one(asx_mesh_ring(mesh, 1, 0)) != word) {
            state.SkipWithError("out of order");
            break;
        }
    }
    send_one(mesh, 0, 1, 0);
    echo.join();
    asx_mesh_destroy(mesh);
}

/* Whole messages are written and read; the wake check follows each publish, as in a turn. */
void ring_stream(benchmark::State &state)
{
    const auto batch = static_cast<uint64_t>(state.range(0));
    asx_mesh *const mesh = asx_mesh_create(2, 1024);
    uint64_t received = 0;
    std::thread consumer([mesh, &received] {
        asx_ring *const ring = asx_mesh_ring(mesh, 0, 1);
        uint64_t sum = 0; /* its own: what the two share is the ring */
        bool more = true;
        while (more) {
            asx_msg *msg;
            for (unsigned i = 0; i < ASX_TURN_MESSAGE_MAX; i++) {
                if ((msg = asx_ring_pop(ring)) == nullptr) {
                    break;
                }
                for (const uint64_t word : msg->words) {
                    sum += word;
                }
                more = msg->kind == 0;
            }
            asx_ring_consume_done(ring);
        }
        received = sum;
    });
    pin(consumer.native_handle(), 1);
    pin(pthread_self(), 0);
    asx_ring *const ring = asx_mesh_ring(mesh, 0, 1);
    uint64_t sent = 0;
    for (auto _ : state) {
        for (uint64_t i = 0; i < batch; i++) {
            asx_msg *msg;
            while ((msg = asx_ring_reserve(ring, false)) == nullptr) {
                asx_ring_publish(ring);
                asx_cpu_relax();
            }
            const asx_msg filled{ 0, 0, 0, { ++sent, 1, 1, 1, 1, 1, 1 } };
            asx_ring_write(msg, &filled);
        }
        asx_ring_publish(ring);
        benchmark::DoNotOptimize(asx_mesh_wake_needed(mesh, 1));
    }
    asx_msg *last;
    while ((last = asx_ring_reserve(ring, true)) == nullptr) {
        asx_cpu_relax();
    }
    *last = asx_msg{ 1, 0, 0, { 0, 0, 0, 0, 0, 0, 0 } };
    asx_ring_publish(ring);
    consumer.join();
    if (received != sent * (sent + 1) / 2 + 6 * sent) {
        state.SkipWithError("a message was lost or doubled");
    }
    state.SetItemsProcessed(static_cast<int64_t>(sent));
    asx_mesh_destroy(mesh);
}
} // namespace

BENCHMARK(ring_ping_pong)->UseRealTime();
BENCHMARK(ring_stream)->Arg(1)->Arg(8)->Arg(64)->Arg(256)->UseRealTime();
BENCHMARK_MAIN();
