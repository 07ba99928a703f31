/* RaptorQ: megabytes of source a second at T = 1280 on one core, with isa-l's Reed-Solomon beside.
 *
 *   kernels    the plain forms, for the share of the peak
 *   plan       cold plan of K'
 *   encode     intermediate symbols with a cached plan, and 5 % repair symbols on top
 *   decode     0 % and 5 % overhead with repair symbols only, and 5 % of the source lost
 *
 *   --table    the figures side by side in interleaved rounds; --cores two threads over one
 *
 * Every decode is compared with its source. Figures are bytes of source, whatever was sent. */
#include <asx/raptorq/decoder.h>
#include <asx/raptorq/encoder.h>
#include <asx/raptorq/gf256.h>

#include "raptorq_table.h"

#include <benchmark/benchmark.h>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#if defined(RQ_BENCH_ISAL)
extern "C" {
#include <isa-l/erasure_code.h>
}
#endif

namespace
{

constexpr uint32_t T = 1280;

struct workload {
    asx_rq_block block;
    std::vector<uint8_t> source;
    asx_rq_plan *plan = nullptr;
    asx_rq_encoder *encoder = nullptr;
    std::vector<uint8_t> repair; /* K + 5 % symbols from ESI K on */

    explicit workload(uint32_t k) : source((size_t)k * T)
    {
        uint32_t x = k;
        for (auto &byte : source) {
            x = x * 1664525u + 1013904223u;
            byte = (uint8_t)(x >> 24);
        }
        if (asx_rq_block_init(&block, k, T, 1, 8) != ASX_OK ||
            asx_rq_plan_encode(&plan, &block.param, nullptr) != ASX_OK ||
            asx_rq_encoder_create(&encoder, &block, plan, nullptr) != ASX_OK ||
            asx_rq_encoder_load(encoder, source.data(), source.size()) != ASX_OK) {
            std::abort();
        }
        const uint32_t count = k + k / 20 + 4;
        repair.resize((size_t)count * T);
        for (uint32_t i = 0; i < count; i++) {
            if (asx_rq_encoder_symbol(encoder, k + i, &repair[(size_t)i * T]) != ASX_OK) {
                std::abort();
            }
        }
    }
    ~workload()
    {
        asx_rq_encoder_destroy(encoder);
        asx_rq_plan_unref(plan);
    }
};

/* The last K stays, so that a run over one K builds its symbols once. */
workload &get(uint32_t k)
{
    static std::unique_ptr<workload> last;
    if (!last || last->block.param.k != k) {
        last.reset();
        last = std::make_unique<workload>(k);
    }
    return *last;
}

void count_bytes(benchmark::State &state, size_t bytes)
{
    state.SetBytesProcessed((int64_t)(state.iterations() * bytes));
    state.counters["Gbit/s"] = benchmark::Counter(8e-9 * (double)bytes * (double)state.iterations(),
                                                  benchmark::Counter::kIsRate);
}

void plan_cold(benchmark::State &state)
{
    workload &w = get((uint32_t)state.range(0));
    for (auto _ : state) {
        asx_rq_plan *plan;
        if (asx_rq_plan_encode(&plan, &w.block.param, nullptr) != ASX_OK) {
            std::abort();
        }
        asx_rq_plan_unref(plan);
    }
    const asx_rq_solve_stats *stats = asx_rq_plan_stats(w.plan);
    state.counters["sums/symbol"] = (double)stats->sums / (double)state.range(0);
    state.counters["inactive"] = stats->inactive;
    state.counters["rank"] = stats->dense_rank;
    state.counters["plan_B/symbol"] = (double)asx_rq_plan_size(w.plan) / (double)state.range(0);
    count_bytes(state, w.source.size());
}

void encode(benchmark::State &state, uint32_t repair_per_mille)
{
    workload &w = get((uint32_t)state.range(0));
    const uint32_t k = w.block.param.k;
    const uint32_t repairs = k * repair_per_mille / 1000;
    std::vector<uint8_t> out(T);
    for (auto _ : state) {
        if (asx_rq_encoder_load(w.encoder, w.source.data(), w.source.size()) != ASX_OK ||
            asx_rq_encoder_prepare(w.encoder, nullptr) != ASX_OK) {
            std::abort();
        }
        for (uint32_t i = 0; i < repairs; i++) {
            if (asx_rq_encoder_symbol(w.encoder, k + i, out.data()) != ASX_OK) {
                std::abort();
            }
        }
    }
    count_bytes(state, w.source.size());
}

void encode_cold(benchmark::State &state)
{
    workload &w = get((uint32_t)state.range(0));
    std::vector<uint8_t> out(T);
    for (auto _ : state) {
        asx_rq_encoder *encoder;
        if (asx_rq_encoder_create(&encoder, &w.block, nullptr, nullptr) != ASX_OK ||
            asx_rq_encoder_load(encoder, w.source.data(), w.source.size()) != ASX_OK ||
            asx_rq_encoder_symbol(encoder, w.block.param.k, out.data()) != ASX_OK) {
            std::abort();
        }
        asx_rq_encoder_destroy(encoder);
    }
    count_bytes(state, w.source.size());
}

/* lost_per_mille of the source symbols are replaced by repair ones; extra_per_mille more come. */
void decode(benchmark::State &state, uint32_t lost_per_mille, uint32_t extra_per_mille)
{
    workload &w = get((uint32_t)state.range(0));
    const uint32_t k = w.block.param.k;
    uint32_t lost = (uint32_t)((uint64_t)k * lost_per_mille / 1000);
    lost = lost == 0 ? 1 : lost;
    uint32_t repairs = lost + (uint32_t)((uint64_t)k * extra_per_mille / 1000);
    std::vector<uint8_t> output(w.source.size());
    asx_rq_cache *cache;
    asx_rq_decoder *decoder;
    asx_rq_decoder_config config = {};
    if (asx_rq_cache_create(&cache, 0, 0, nullptr) != ASX_OK) {
        std::abort();
    }
    config.cache = cache; /* of encoding plans only: in life each loss pattern is new */
    if (asx_rq_decoder_create(&decoder, &w.block, output.data(), &config) != ASX_OK) {
        std::abort();
    }
    for (auto _ : state) {
        asx_rq_decoder_reset(decoder, output.data());
        uint32_t missing = 0;
        for (uint32_t esi = 0; esi < k; esi++) {
            if ((uint64_t)(esi + 1) * lost / k > (uint64_t)esi * lost / k) {
                missing++;
                continue;
            }
            (void)!asx_rq_decoder_feed(decoder, esi, &w.source[(size_t)esi * T], T);
        }
        if (missing != lost) {
            std::abort();
        }
        for (uint32_t i = 0; i < repairs; i++) {
            (void)!asx_rq_decoder_feed(decoder, k + i, &w.repair[(size_t)i * T], T);
        }
        asx_err err = asx_rq_decoder_attempt(decoder, nullptr);
        while (err != ASX_OK) {
            if (!asx_rq_err_retry(err) || (repairs + 1) * (size_t)T > w.repair.size()) {
                std::abort();
            }
            (void)!asx_rq_decoder_feed(decoder, k + repairs, &w.repair[(size_t)repairs * T], T);
            repairs++;
            err = asx_rq_decoder_attempt(decoder, nullptr);
        }
    }
    if (std::memcmp(output.data(), w.source.data(), output.size()) != 0) {
        state.SkipWithError("decoded bytes differ");
    }
    state.counters["method"] = asx_rq_decoder_stats_get(decoder)->method;
    count_bytes(state, w.source.size());
    asx_rq_decoder_destroy(decoder);
    asx_rq_cache_destroy(cache);
}

/* The matrix part alone of decoding from repair symbols only. */
void solve(benchmark::State &state)
{
    workload &w = get((uint32_t)state.range(0));
    const asx_rq_param &p = w.block.param;
    std::vector<uint32_t> isi(p.k_prime), feed(p.k_prime);
    for (uint32_t i = 0; i < p.k_prime; i++) {
        const bool padding = i < p.k_prime - p.k;
        isi[i] = padding ? p.k + i : p.k_prime + i;
        feed[i] = padding ? ASX_RQ_FEED_ZERO : i;
    }
    asx_rq_rows rows = { isi.data(), feed.data(), p.k_prime };
    asx_rq_solve_stats stats;
    for (auto _ : state) {
        asx_rq_plan *plan = nullptr;
        if (asx_rq_plan_solve(&plan, &p, &rows, ASX_RQ_POLICY_AUTO, nullptr, &stats) == ASX_OK) {
            asx_rq_plan_unref(plan);
        }
    }
    state.counters["inactive"] = stats.inactive;
    count_bytes(state, w.source.size());
}

#if defined(RQ_BENCH_ISAL)
/* Groups of at most 250 symbols, each with 5 % parity: what a Reed-Solomon user does with K. */
void isal_encode(benchmark::State &state)
{
    workload &w = get((uint32_t)state.range(0));
    const int k = (int)std::min<uint32_t>(w.block.param.k, 240);
    const int parity = std::max(1, k / 20);
    const uint32_t groups = w.block.param.k / (uint32_t)k;
    std::vector<uint8_t> matrix((size_t)(k + parity) * k), tables((size_t)32 * k * parity);
    std::vector<uint8_t> out((size_t)parity * T);
    gf_gen_cauchy1_matrix(matrix.data(), k + parity, k);
    ec_init_tables(k, parity, &matrix[(size_t)k * k], tables.data());
    std::vector<uint8_t *> data(k), coding(parity);
    for (int i = 0; i < parity; i++) {
        coding[i] = &out[(size_t)i * T];
    }
    for (auto _ : state) {
        for (uint32_t g = 0; g < groups; g++) {
            for (int i = 0; i < k; i++) {
                data[i] = &w.source[((size_t)g * k + i) * T];
            }
            ec_encode_data(T, k, parity, tables.data(), data.data(), coding.data());
            benchmark::DoNotOptimize(out.data());
        }
    }
    count_bytes(state, (size_t)groups * k * T);
}
#endif

void kernel_gather(benchmark::State &state)
{
    const size_t rows = (size_t)state.range(0), width = 640;
    void *slab = nullptr;
    if (posix_memalign(&slab, 64, (rows + 1) * width) != 0) {
        std::abort();
    }
    std::memset(slab, 1, (rows + 1) * width);
    std::vector<uint16_t> program;
    for (size_t i = 0; i < 1000; i++) {
        program.insert(program.end(), { 8, (uint16_t)rows });
        for (size_t j = 0; j < 8; j++) {
            program.push_back((uint16_t)((i * 8 + j) * 7919 % rows));
        }
    }
    asx_rq_feed feed = {};
    feed.exact = width;
    for (auto _ : state) {
        asx_rq_kernel_get()->gather(program.data(), program.data() + program.size(),
                                    (uint8_t *)slab, width, &feed);
    }
    count_bytes(state, 8000 * width);
    free(slab);
}

void muladd(benchmark::State &state)
{
    const size_t size = (size_t)state.range(0);
    std::vector<uint8_t> a(size, 3), b(size, 5);
    for (auto _ : state) {
        asx_rq_kernel_get()->muladd_row(a.data(), b.data(), 7, size);
        benchmark::DoNotOptimize(a.data());
    }
    count_bytes(state, size);
}

const int ks[] = { 10, 100, 250, 500, 1000, 2000, 5000, 10000, 20000, 50000 };

void each(const char *name, void (*fn)(benchmark::State &), int64_t k)
{
    benchmark::RegisterBenchmark(name, fn)->Arg(k)->Unit(benchmark::kMicrosecond);
}

} // namespace

int main(int argc, char **argv)
{
    const int status = raptorq_report(argc, argv);
    if (status >= 0) {
        return status;
    }
    benchmark::Initialize(&argc, argv);
    benchmark::AddCustomContext("kernel", asx_rq_kernel_name());
    for (int rows : { 40, 1000, 12000 }) {
        each("kernel/gather", kernel_gather, rows);
    }
    each("kernel/muladd", muladd, 1280);
    for (int k : ks) {
        each("plan/encode", plan_cold, k);
        each("plan/decode", solve, k);
        each(
            "encode/cached", [](benchmark::State &s) { encode(s, 0); }, k);
        each(
            "encode/cached+5%", [](benchmark::State &s) { encode(s, 50); }, k);
        each("encode/cold", encode_cold, k);
        each(
            "decode/all_repair+0%", [](benchmark::State &s) { decode(s, 1000, 0); }, k);
        each(
            "decode/all_repair+5%", [](benchmark::State &s) { decode(s, 1000, 50); }, k);
        each(
            "decode/5%_lost", [](benchmark::State &s) { decode(s, 50, 0); }, k);
#if defined(RQ_BENCH_ISAL)
        each("isal/encode+5%", isal_encode, k);
#endif
    }
    benchmark::RunSpecifiedBenchmarks();
}
