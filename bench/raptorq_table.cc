/* RaptorQ beside others, at T = 1280 on one core.
 *
 * Every row of the table runs once a round, one after the other, so that what disturbs the machine
 * disturbs all of them; a figure is the median of the rounds, in gigabits of source a second of CPU
 * time. Figures of public codecs are quoted from a run of theirs on another machine (Zen 5, whose
 * caches move twice the bytes a cycle) and marked so. */
#include "raptorq_table.h"

#include <asx/raptorq/decoder.h>
#include <asx/raptorq/encoder.h>
#include <asx/raptorq/gf256.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#if defined(RQ_BENCH_ISAL)
extern "C" {
#include <isa-l/erasure_code.h>
}
#endif

namespace
{

constexpr uint32_t T = 1280;
int rounds_of_each = 9;
bool show_best = false; /* in place of the median: what a machine in use can still tell */
constexpr double sample_ns = 1.5e6; /* a sample repeats what takes less */

/* The best figures of public codecs, Gbit/s, K as in `all_k`: encode with a cached plan and decode
 * at 5 % lost of cberner/raptorq (best placement of its memory), decode from K repair symbols of
 * the better of it and nanorq. */
const uint32_t all_k[] = { 10, 100, 250, 500, 1000, 2000, 5000, 10000, 20000, 50000 };
const double quoted_encode[] = {
    20.05, 27.32, 24.31, 23.51, 22.68, 20.14, 15.54, 11.89, 6.51, 5.12
};
const double quoted_decode[] = { 6.05, 7.18, 6.93, 6.91, 6.80, 5.62, 4.61, 3.62, 2.71, 2.06 };
const double quoted_lost[] = { 4.41, 6.10, 6.12, 6.64, 6.10, 5.47, 4.52, 3.72, 2.27, 1.60 };

void must(bool is_true, const char *what)
{
    if (!is_true) {
        std::fprintf(stderr, "raptorq_bench: %s\n", what);
        std::exit(1);
    }
}

double clock_ns(clockid_t clock)
{
    timespec at;
    clock_gettime(clock, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

struct free_memory {
    void operator()(uint8_t *p) const
    {
        std::free(p);
    }
};
using memory = std::unique_ptr<uint8_t, free_memory>;

memory allocate(size_t size)
{
    void *p = nullptr;
    must(posix_memalign(&p, 64, size) == 0, "out of memory");
    std::memset(p, 0, size);
    return memory(static_cast<uint8_t *>(p));
}

/* What is measured: what runs, and its samples in ns of one run. */
struct row {
    std::function<void()> run;
    clockid_t clock = CLOCK_THREAD_CPUTIME_ID;
    int repeat = 1;
    std::vector<double> samples;

    void warm()
    {
        const double from = clock_ns(clock);
        run();
        const double took = std::max(1.0, clock_ns(clock) - from);
        repeat = (int)std::min(1e5, std::max(1.0, sample_ns / took));
    }
    void sample()
    {
        run(); /* as after another block, not after another row of the table */
        const double from = clock_ns(clock);
        for (int i = 0; i < repeat; i++) {
            run();
        }
        samples.push_back((clock_ns(clock) - from) / repeat);
    }
    double median() const
    {
        if (show_best) {
            return best();
        }
        std::vector<double> sorted = samples;
        std::sort(sorted.begin(), sorted.end());
        return sorted[sorted.size() / 2];
    }
    double best() const
    {
        return *std::min_element(samples.begin(), samples.end());
    }
};

void run_rounds(std::vector<row> &rows, int rounds)
{
    for (int i = -1; i < rounds; i++) {
        for (row &r : rows) {
            if (r.run && i < 0) {
                r.warm();
            } else if (r.run) {
                r.sample();
            }
        }
    }
}

struct block {
    asx_rq_block shape;
    memory source, repair, output, symbols;
    uint32_t repairs;    /* made: K and 5 % more, and some */
    uint32_t per_cent_5; /* of K, at least one */
    asx_rq_plan *plan = nullptr;
    asx_rq_encoder *kept = nullptr, *streamed = nullptr;
    asx_rq_cache *cache = nullptr;
    asx_rq_decoder *decoder = nullptr;
    double attempt_ns = 0; /* of the last decode(), without what feeding took */

    explicit block(uint32_t k)
        : source(allocate((size_t)k * T)), output(allocate((size_t)k * T)), repairs(k + k / 20 + 8),
          per_cent_5(std::max(1u, k / 20))
    {
        uint32_t x = k;
        for (size_t i = 0; i < (size_t)k * T; i++) {
            x = x * 1664525u + 1013904223u;
            source.get()[i] = (uint8_t)(x >> 24);
        }
        repair = allocate((size_t)repairs * T);
        symbols = allocate((size_t)per_cent_5 * T);
        asx_rq_decoder_config config = {};
        must(asx_rq_block_init(&shape, k, T, 1, 8) == ASX_OK &&
                 asx_rq_cache_create(&cache, 0, 0, nullptr) == ASX_OK &&
                 asx_rq_cache_encode(cache, &plan, &shape.param, nullptr) == ASX_OK &&
                 asx_rq_encoder_create(&kept, &shape, plan, nullptr) == ASX_OK &&
                 asx_rq_encoder_create(&streamed, &shape, plan, nullptr) == ASX_OK,
             "cannot set up");
        config.cache = cache; /* of encoding plans only: in life each loss pattern is new */
        must(asx_rq_decoder_create(&decoder, &shape, output.get(), &config) == ASX_OK,
             "cannot set up");
        load(kept);
        must(asx_rq_encoder_symbols(kept, k, repairs, repair.get(), nullptr) == ASX_OK,
             "cannot encode");
    }
    block(const block &) = delete;
    block &operator=(const block &) = delete;
    ~block()
    {
        asx_rq_decoder_destroy(decoder);
        asx_rq_cache_destroy(cache);
        asx_rq_encoder_destroy(kept);
        asx_rq_encoder_destroy(streamed);
        asx_rq_plan_unref(plan);
    }
    size_t size() const
    {
        return (size_t)shape.param.k * T;
    }
    void load(asx_rq_encoder *encoder)
    {
        must(asx_rq_encoder_load(encoder, source.get(), size()) == ASX_OK, "cannot load");
    }
    void encode(const asx_rq_executor *executor)
    {
        load(kept);
        must(asx_rq_encoder_prepare(kept, executor) == ASX_OK, "cannot encode");
    }
    void encode_repair(uint32_t count, const asx_rq_executor *executor = nullptr)
    {
        load(streamed);
        must(asx_rq_encoder_symbols(streamed, shape.param.k, count, symbols.get(), executor) ==
                 ASX_OK,
             "cannot encode");
    }
    void encode_cold()
    {
        asx_rq_encoder *encoder;
        must(asx_rq_encoder_create(&encoder, &shape, nullptr, nullptr) == ASX_OK, "out of memory");
        load(encoder);
        must(asx_rq_encoder_symbols(encoder, shape.param.k, 1, symbols.get(), nullptr) == ASX_OK,
             "cannot encode");
        asx_rq_encoder_destroy(encoder);
    }
    void plan_cold()
    {
        asx_rq_plan *cold;
        must(asx_rq_plan_encode(&cold, &shape.param, nullptr) == ASX_OK, "cannot plan");
        asx_rq_plan_unref(cold);
    }
    /* `lost` source symbols, spread evenly, and as many repair symbols with `extra` more. */
    void decode(uint32_t lost, uint32_t extra, const asx_rq_executor *executor = nullptr)
    {
        const uint32_t k = shape.param.k;
        asx_rq_decoder_reset(decoder, output.get());
        for (uint32_t esi = 0; esi < k; esi++) {
            if ((uint64_t)(esi + 1) * lost / k == (uint64_t)esi * lost / k) {
                (void)!asx_rq_decoder_feed(decoder, esi, source.get() + (size_t)esi * T, T);
            }
        }
        asx_err err = ASX_RQ_E(TOO_FEW);
        for (uint32_t i = 0; err != ASX_OK; i++) {
            must(i < repairs, "cannot decode");
            (void)!asx_rq_decoder_feed(decoder, k + i, repair.get() + (size_t)i * T, T);
            if (i + 1 >= lost + extra) {
                const double from = clock_ns(CLOCK_MONOTONIC);
                err = asx_rq_decoder_attempt(decoder, executor);
                attempt_ns = clock_ns(CLOCK_MONOTONIC) - from;
            }
        }
    }
    void check() const
    {
        must(std::memcmp(output.get(), source.get(), size()) == 0, "decoded bytes differ");
    }
};

/* Sums of nine rows anywhere in a slab as large as a stripe's: the shape that nearly all of a
 * replay has, with nothing around it. */
struct gather {
    size_t rows, width;
    memory slab;
    std::vector<uint16_t> program;
    asx_rq_feed feed = {};
    size_t sums = 0;

    gather(size_t rows_count, size_t row_width)
        : rows(rows_count), width(row_width), slab(allocate(rows * width))
    {
        uint32_t x = 1;
        feed.exact = (uint32_t)width;
        for (size_t i = 0; i < rows; i++) {
            program.insert(program.end(), { 9, (uint16_t)i });
            for (int j = 0; j < 9; j++, sums++) {
                x = x * 1664525u + 1013904223u;
                program.push_back((uint16_t)((x >> 8) % rows));
            }
        }
    }
    void run()
    {
        asx_rq_kernel_get()->gather(program.data(), program.data() + program.size(), slab.get(),
                                    width, &feed);
    }
};

#if defined(RQ_BENCH_ISAL)
/* Groups of at most 240 symbols, each with 5 % parity: what a Reed-Solomon user does with K. The
 * whole block is coded, so that memory is touched as by the others. */
struct reed_solomon {
    const block &b;
    std::vector<uint8_t> matrix, tables;
    memory out;
    int k, parity;
    explicit reed_solomon(const block &of)
        : b(of), k((int)std::min<uint32_t>(of.shape.param.k, 240)), parity(std::max(1, k / 20))
    {
        matrix.resize((size_t)(k + parity) * (size_t)k);
        tables.resize((size_t)32 * (size_t)k * (size_t)parity);
        out = allocate((size_t)parity * T);
        gf_gen_cauchy1_matrix(matrix.data(), k + parity, k);
        ec_init_tables(k, parity, &matrix[(size_t)k * (size_t)k], tables.data());
    }
    size_t groups() const
    {
        return b.shape.param.k / (size_t)k;
    }
    void run()
    {
        uint8_t *data[240], *coding[12];
        for (int i = 0; i < parity; i++) {
            coding[i] = out.get() + (size_t)i * T;
        }
        for (size_t g = 0; g < groups(); g++) {
            for (int i = 0; i < k; i++) {
                data[i] = b.source.get() + (g * (size_t)k + (size_t)i) * T;
            }
            ec_encode_data(T, k, parity, tables.data(), data, coding);
        }
    }
};
#endif

double gbit(const row &r, size_t bytes)
{
    return 8.0 * (double)bytes / r.median();
}

void print_head()
{
    std::printf(
        "Gbit/s of source, T = 1280, one core, %s of %d interleaved rounds; kernel %s\n"
        "  encode  the block's intermediate symbols and one repair symbol\n"
        "  kept    intermediate symbols of the whole block in memory\n"
        "  5%% rep  repair symbols, 5 %% of K, asked for together\n"
        "  cold    as encode, with a new plan; plan: that alone, in us\n"
        "  rep     decoding from repair symbols only, with 0 %% and 5 %% more than K\n"
        "  lost    decoding with 5 %% of the source lost\n"
        "  isa-l   Reed-Solomon of at most 240 + 12 symbols, encoding\n"
        "  sums    bytes added, and multiplied, for each byte of source: by the plan\n"
        "  GB/s    of such sums: in the first-level cache, and over rows as many as a "
        "stripe has\n"
        "  limit   of encode by the first of these; the share of each that encode reaches\n"
        "  public  best public codec's encode, rep and lost: quoted, from a faster machine\n",
        show_best ? "best" : "median", rounds_of_each, asx_rq_kernel_name());
    std::printf("%6s | %6s %6s %6s %6s %8s | %6s %6s %6s | %6s | %5s %5s | %5s %5s %6s %4s %4s | "
                "%6s %6s %6s\n",
                "K", "encode", "kept", "5% rep", "cold", "plan us", "rep 0%", "rep 5%", "lost",
                "isa-l", "sums", "muls", "GB/s", "GB/s", "limit", "%", "%", "public", "", "");
}

enum { ENCODE, KEPT, REPAIR, COLD, PLAN, ALL, ALL_AND_5, LOST, PEAK, HERE, ISAL, ROWS };

void print_figures(const block &b, const std::vector<row> &rows, const gather &peak,
                   const gather &here, size_t isal_bytes)
{
    const uint32_t k = b.shape.param.k;
    const asx_rq_plan_cost cost = asx_rq_plan_cost_get(b.plan);
    auto speed = [&](size_t which) { return gbit(rows[which], b.size()); };
    const double sums = (double)cost.sums / k, products = (double)cost.products / k;
    const double fastest = (double)(peak.sums * peak.width) / rows[PEAK].median();
    const double local = (double)(here.sums * here.width) / rows[HERE].median();
    const double reached = (sums + products) * speed(ENCODE) / 8;
    std::printf("%6u | %6.1f %6.1f %6.1f %6.1f %8.1f | %6.1f %6.1f %6.1f | %6.1f | %5.1f %5.1f | "
                "%5.0f %5.0f %6.1f %4.0f %4.0f",
                k, speed(ENCODE), speed(KEPT), speed(REPAIR), speed(COLD),
                rows[PLAN].median() / 1e3, speed(ALL), speed(ALL_AND_5), speed(LOST),
                rows[ISAL].run ? gbit(rows[ISAL], isal_bytes) : 0.0, sums, products, fastest, local,
                8 * fastest / (sums + products), 100 * reached / fastest, 100 * reached / local);
    for (size_t i = 0; i < std::size(all_k); i++) {
        if (all_k[i] == k) {
            std::printf(" | %6.2f %6.2f %6.2f", quoted_encode[i], quoted_decode[i], quoted_lost[i]);
        }
    }
    std::printf("\n");
    std::fflush(stdout);
}

void print_block(uint32_t k)
{
    block b(k);
    gather peak(60, 256), here(b.shape.param.l, b.shape.width);
    std::vector<row> rows(ROWS);
    /* few symbols of a small block come without intermediate ones: then keeping is the way */
    rows[ENCODE].run = [&] { k <= 320 ? b.encode(nullptr) : b.encode_repair(1); };
    rows[KEPT].run = [&] { b.encode(nullptr); };
    rows[REPAIR].run = [&] { b.encode_repair(b.per_cent_5); };
    rows[COLD].run = [&] { b.encode_cold(); };
    rows[PLAN].run = [&] { b.plan_cold(); };
    rows[ALL].run = [&] { b.decode(k, 0); };
    rows[ALL_AND_5].run = [&] { b.decode(k, b.per_cent_5); };
    rows[LOST].run = [&] { b.decode(b.per_cent_5, 0); };
    rows[PEAK].run = [&] { peak.run(); };
    rows[HERE].run = [&] { here.run(); };
    size_t isal_bytes = 0;
#if defined(RQ_BENCH_ISAL)
    reed_solomon rs(b);
    rows[ISAL].run = [&] { rs.run(); };
    isal_bytes = rs.groups() * (size_t)rs.k * T;
#endif
    run_rounds(rows, rounds_of_each);
    b.check();
    print_figures(b, rows, peak, here, isal_bytes);
}

/* The calling thread's core from now on. */
void keep_to(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* An executor of two threads, each on its core: the caller's and one that waits, spinning, for
 * jobs. */
class two_threads
{
    std::atomic<uint32_t> left{ 0 }, done{ 0 }; /* jobs nobody took yet; jobs that ended */
    std::atomic<bool> stop{ false };
    asx_rq_job *job = nullptr; /* set while `left` is zero, read by who took a job */
    void *arg = nullptr;
    std::thread helper;

    bool work_one()
    {
        uint32_t n = left.load();
        while (n > 0 && !left.compare_exchange_weak(n, n - 1)) {
        }
        if (n > 0) {
            job(arg, n - 1);
            done.fetch_add(1);
        }
        return n > 0;
    }

  public:
    two_threads()
        : helper([this] {
              keep_to(1);
              while (!stop.load()) {
                  if (!work_one()) {
                      std::this_thread::yield();
                  }
              }
          })
    {
        keep_to(0);
    }
    two_threads(const two_threads &) = delete;
    two_threads &operator=(const two_threads &) = delete;
    ~two_threads()
    {
        stop.store(true);
        helper.join();
    }
    static void run(void *self, uint32_t count, asx_rq_job *job, void *arg)
    {
        auto &me = *static_cast<two_threads *>(self);
        me.job = job;
        me.arg = arg;
        me.done.store(0);
        me.left.store(count);
        while (me.work_one()) {
        }
        while (me.done.load() < count) {
            std::this_thread::yield();
        }
    }
};

/* How much sooner two threads decode one block. Symbols are fed before the clock runs: in life they
 * come one by one, and here the second thread's cache would have a hold on where they go. */
double attempt_gain(block &b, uint32_t lost, uint32_t extra, const asx_rq_executor &executor)
{
    row alone, both;
    for (int i = -1; i < rounds_of_each; i++) {
        b.decode(lost, extra, nullptr);
        const double alone_ns = b.attempt_ns;
        b.decode(lost, extra, &executor);
        if (i >= 0) {
            alone.samples.push_back(alone_ns);
            both.samples.push_back(b.attempt_ns);
        }
    }
    return alone.median() / both.median();
}

void print_cores(uint32_t k, two_threads &threads)
{
    const asx_rq_executor executor = { two_threads::run, &threads };
    std::vector<std::unique_ptr<block>> blocks;
    /* enough that handing them out does not count, and even, so that both get the same */
    const size_t wanted = ((size_t)8 << 20) / ((size_t)k * T) / 2 * 2;
    for (size_t i = 0; i < std::min<size_t>(256, std::max<size_t>(2, wanted)); i++) {
        blocks.push_back(std::make_unique<block>(k));
    }
    block &b = *blocks[0];
    const auto count = (uint32_t)blocks.size();
    auto encode_one = [](void *arg, uint32_t i) {
        block &of = *(*static_cast<std::vector<std::unique_ptr<block>> *>(arg))[i];
        of.encode_repair(of.per_cent_5);
    };
    auto decode_one = [](void *arg, uint32_t i) {
        block &of = *(*static_cast<std::vector<std::unique_ptr<block>> *>(arg))[i];
        of.decode(of.per_cent_5, 0);
    };
    enum { STRIPES, ENCODE_EACH, DECODE_EACH, WAYS };
    std::vector<row> rows(2 * WAYS);
    for (size_t i = 0; i < rows.size(); i += WAYS) {
        const asx_rq_executor *on = i > 0 ? &executor : nullptr;
        /* few symbols of a small block come without stripes: then keeping is what has them */
        rows[i].run = [&b, k, on] { k <= 320 ? b.encode(on) : b.encode_repair(b.per_cent_5, on); };
        rows[i + ENCODE_EACH].run = [&, on] {
            asx_rq_executor_run(on, count, encode_one, &blocks);
        };
        rows[i + DECODE_EACH].run = [&, on] {
            asx_rq_executor_run(on, count, decode_one, &blocks);
        };
    }
    for (row &r : rows) {
        r.clock = CLOCK_MONOTONIC;
    }
    run_rounds(rows, rounds_of_each);
    b.check();
    auto gain = [&](size_t i) { return rows[i].median() / rows[i + WAYS].median(); };
    std::printf(
        "%6u | stripes of one block (%2u): encode %5.1f -> %5.1f Gbit/s, %4.2fx; decode all "
        "repair %4.2fx, 5%% lost %4.2fx | %u blocks: encode %4.2fx, decode %4.2fx\n",
        k, b.shape.stripes, gbit(rows[STRIPES], b.size()), gbit(rows[STRIPES + WAYS], b.size()),
        gain(STRIPES), attempt_gain(b, k, b.per_cent_5, executor),
        attempt_gain(b, b.per_cent_5, 0, executor), count, gain(ENCODE_EACH), gain(DECODE_EACH));
    std::fflush(stdout);
}

} // namespace

int raptorq_report(int argc, char **argv)
{
    bool table = false, cores = false;
    std::vector<uint32_t> ks(std::begin(all_k), std::end(all_k));
    for (int i = 1; i < argc; i++) {
        const std::string arg = argv[i];
        table |= arg == "--table";
        cores |= arg == "--cores";
        show_best |= arg == "--best";
        if (arg == "--rounds" && i + 1 < argc) {
            rounds_of_each = std::max(1, std::atoi(argv[++i]));
        } else if (arg == "--k" && i + 1 < argc) {
            ks.clear();
            for (char *at = argv[++i]; *at != '\0'; at += *at == ',') {
                ks.push_back((uint32_t)std::strtoul(at, &at, 10));
                must(ks.back() >= 1 && ks.back() <= 56403 && (*at == ',' || *at == '\0'),
                     "--k takes numbers from 1 to 56403, with commas between");
            }
        }
    }
    if (table) {
        print_head();
        std::for_each(ks.begin(), ks.end(), print_block);
    }
    if (cores) {
        two_threads threads;
        for (uint32_t k : ks) {
            print_cores(k, threads);
        }
    }
    return table || cores ? 0 : -1;
}
