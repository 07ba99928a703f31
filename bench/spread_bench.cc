/* Loops over shards against one shard, each shard a thread of its own: a piece that computes, one
 * that streams memory, and the RaptorQ codec's block.
 *
 *     spread_bench [ROUNDS]        rounds, interleaved, of which medians are printed; 1 for a check
 *
 * Wall time says what is gained, CPU time of the process what it costs. Each row ends in a hash of
 * what was computed, which is the same on any number of shards. */
#include <asx/raptorq/decoder.h>
#include <asx/raptorq/encoder.h>
#include <asx/raptorq/net/spread.h>
#include <asx/reactor/epoll.h>
#include <asx/shard/combine/parallel.h>
#include <asx/shard/limb.h>
#include <asx/shard/mesh.h>
#include <asx/shard/shard.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <pthread.h>
#include <thread>
#include <vector>

namespace
{
constexpr uint32_t K = 2000, T = 1280, LOST = 100;
constexpr uint64_t COMPUTE = 1 << 20, WORDS = 16 << 20; /* 128 MiB of words */

void must(bool holds, const char *what)
{
    if (!holds) {
        std::fprintf(stderr, "spread_bench: %s\n", what);
        std::exit(1);
    }
}

double seconds(clockid_t clock)
{
    timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct bench {
    std::vector<uint64_t> words = std::vector<uint64_t>(WORDS);
    std::vector<uint8_t> source = std::vector<uint8_t>((size_t)K * T);
    std::vector<uint8_t> repair = std::vector<uint8_t>((size_t)LOST * T);
    std::vector<uint8_t> output = std::vector<uint8_t>((size_t)K * T);
    asx_rq_block block;
    asx_rq_encoder *encoder = nullptr;
    asx_rq_decoder *decoder = nullptr;

    bench()
    {
        for (uint64_t i = 0; i < WORDS; i++) {
            words[i] = i * 0x9E3779B97F4A7C15u;
        }
        for (size_t i = 0; i < source.size(); i++) {
            source[i] = (uint8_t)(words[i] >> 56);
        }
        asx_rq_plan *plan = nullptr;
        must(!asx_rq_block_init(&block, K, T, 1, 8) &&
                 !asx_rq_plan_encode(&plan, &block.param, nullptr) &&
                 !asx_rq_encoder_create(&encoder, &block, plan, nullptr) &&
                 !asx_rq_decoder_create(&decoder, &block, output.data(), nullptr),
             "cannot set up");
        asx_rq_plan_unref(plan);
    }
    bench(const bench &) = delete;
    bench &operator=(const bench &) = delete;
    ~bench()
    {
        asx_rq_encoder_destroy(encoder);
        asx_rq_decoder_destroy(decoder);
    }
};

asx_outcome compute(asx_cx *, uint64_t first, uint64_t end, void *)
{
    uint64_t sum = 0;
    for (uint64_t i = first; i < end; i++) {
        uint64_t x = i;
        for (uint32_t k = 0; k < 64; k++) {
            x = (x ^ x >> 27) * 0x9E3779B97F4A7C15u;
        }
        sum += x;
    }
    return asx_ok(sum);
}

asx_outcome stream(asx_cx *, uint64_t first, uint64_t end, void *arg)
{
    const uint64_t *const words = static_cast<const uint64_t *>(arg);
    uint64_t sum = 0;
    for (uint64_t i = first; i < end; i++) {
        sum += words[i];
    }
    return asx_ok(sum);
}

uintptr_t add(uintptr_t folded, uintptr_t value, void *)
{
    return folded + value;
}

uint64_t hash(const std::vector<uint8_t> &bytes)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const uint8_t byte : bytes) {
        h = (h ^ byte) * 0x100000001b3u;
    }
    return h;
}

uint64_t run_compute(asx_cx *cx, bench &)
{
    return asx_parallel_map_reduce(cx, 0, COMPUTE, 0, compute, add, nullptr, 0).value;
}

uint64_t run_stream(asx_cx *cx, bench &b)
{
    return asx_parallel_map_reduce(cx, 0, WORDS, 0, stream, add, b.words.data(), 0).value;
}

uint64_t run_encode(asx_cx *cx, bench &b)
{
    const asx_rq_executor executor = asx_rq_spread(cx);
    must(!asx_rq_encoder_load(b.encoder, b.source.data(), b.source.size()) &&
             !asx_rq_encoder_prepare(b.encoder, &executor) &&
             !asx_rq_encoder_symbols(b.encoder, K, LOST, b.repair.data(), &executor),
         "cannot encode");
    return 0;
}

uint64_t run_decode(asx_cx *cx, bench &b)
{
    const asx_rq_executor executor = asx_rq_spread(cx);
    asx_rq_decoder_reset(b.decoder, b.output.data());
    for (uint32_t i = LOST; i < K; i++) {
        must(!asx_rq_decoder_feed(b.decoder, i, b.source.data() + (size_t)i * T, T), "feed");
    }
    for (uint32_t i = 0; i < LOST; i++) {
        must(!asx_rq_decoder_feed(b.decoder, K + i, b.repair.data() + (size_t)i * T, T), "feed");
    }
    must(!asx_rq_decoder_attempt(b.decoder, &executor) && b.output == b.source, "cannot decode");
    return 0;
}

struct row {
    const char *name;
    uint64_t (*run)(asx_cx *cx, bench &b);
    std::vector<double> wall, cpu;
    uint64_t hash;
};

struct measurement {
    bench &b;
    row &of;
};

asx_outcome measure(asx_cx *cx, void *arg)
{
    measurement *const m = static_cast<measurement *>(arg);
    for (int warm = 0; warm < 2; warm++) { /* the second counts: threads run, pages are there */
        const double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        m->of.hash = m->of.run(cx, m->b);
        if (warm == 1) {
            m->of.wall.push_back(seconds(CLOCK_MONOTONIC) - wall);
            m->of.cpu.push_back(seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
        }
    }
    asx_shard_shutdown(asx_shard_of(cx), "done");
    return asx_ok(0);
}

void serve(asx_mesh *mesh, uint32_t index, measurement *m)
{
    asx_shard_config config{};
    const asx_driver_config driver{};
    cpu_set_t core;
    CPU_ZERO(&core);
    CPU_SET(index, &core);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(core), &core); /* as the engine does */
    asx_shard *shard = nullptr;
    config.index = index;
    config.mesh = mesh;
    config.seed = 1;
    must(!asx_epoll_create(&driver, &config.driver) && !asx_shard_create(&config, &shard) &&
             (!m || !asx_shard_start(shard, measure, m, 0)),
         "cannot start");
    asx_shard_serve(shard);
    asx_shard_destroy(shard);
}

void on_shards(uint32_t count, measurement m)
{
    asx_mesh *const mesh = asx_mesh_create(count, 1024);
    std::vector<std::thread> others;
    must(mesh != nullptr, "no mesh");
    for (uint32_t i = 1; i < count; i++) {
        others.emplace_back(serve, mesh, i, nullptr);
    }
    serve(mesh, 0, &m);
    for (std::thread &other : others) {
        other.join();
    }
    asx_mesh_destroy(mesh);
}

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return values[values.size() / 2] * 1e3;
}
} // namespace

int main(int argc, char **argv)
{
    const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 15;
    bench b;
    row rows[][2] = {
        { { "compute", run_compute, {}, {}, 0 }, { "", run_compute, {}, {}, 0 } },
        { { "stream memory", run_stream, {}, {}, 0 }, { "", run_stream, {}, {}, 0 } },
        { { "raptorq encode", run_encode, {}, {}, 0 }, { "", run_encode, {}, {}, 0 } },
        { { "raptorq decode", run_decode, {}, {}, 0 }, { "", run_decode, {}, {}, 0 } },
    };
    for (int round = 0; round < rounds; round++) {
        for (auto &pair : rows) {
            for (uint32_t shards = 1; shards <= 2; shards++) {
                on_shards(shards, { b, pair[shards - 1] });
            }
        }
    }
    std::printf("medians of %d rounds, ms           1 shard: wall  cpu     2 shards: wall  cpu   "
                "speed-up\n",
                rounds);
    for (auto &pair : rows) {
        const double one = median(pair[0].wall), two = median(pair[1].wall);
        must(pair[0].hash == pair[1].hash, "two shards computed something else");
        std::printf("%-28s %14.2f %7.2f %15.2f %7.2f %8.2fx\n", pair[0].name, one,
                    median(pair[0].cpu), two, median(pair[1].cpu), one / two);
    }
    std::printf("hash %016" PRIx64 "\n",
                rows[0][0].hash ^ rows[1][0].hash ^ hash(b.repair) ^ hash(b.output));
    return 0;
}
