/* What the lab costs: one rehearsal of the server on imagined queues, and beside it the same over
 * io_uring and epoll.
 *
 *   off      the lab without oracles, and without a list of choices
 *   checked  as every test runs: both of them
 *   file     checked, and every event streamed to a file
 *
 * A step is one turn of one shard, or time going on; a dispatch is one task run to where it waits.
 * Every row runs once a round, one after the other, so that what disturbs the machine disturbs all
 * of them; a figure is the median of the rounds. The live rows are a program of their own, over the
 * kernel without trace points. */
#include "lab_bench.h"

#include <asx/lab/lab.h>
#include <asx/lab/trace_writer.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace
{

const char usage[] =
    "usage: lab_bench [--rounds N] [--clients N] [--requests N]\n"
    "\n"
    "One plan of clients against the server, on two shards: in the lab, and over loopback.\n"
    "\n"
    "  --rounds N    of every row; a figure is their median (7)\n"
    "  --clients N   connections, and an eighth of it callers that share some (400)\n"
    "  --requests N  of each (32, which is the most)\n";

uint32_t rounds = 7, clients = 400, requests = 32;

void must(bool is_true, const char *what)
{
    if (!is_true) {
        std::fprintf(stderr, "lab_bench: %s\n", what);
        std::exit(1);
    }
}

double clock_s(clockid_t clock)
{
    timespec at;
    clock_gettime(clock, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

struct sample {
    double steps, dispatches, right, real_s, cpu_s, service_cpu_s;
};

enum recording { OFF, CHECKED, FILED };

/* Of the first run: whatever is recorded, the run is the same. */
uint64_t trace_hash = 0;

asx_outcome app(asx_cx *cx, void *self)
{
    return asxi_rehearsal_run(cx, static_cast<asxi_rehearsal *>(self));
}

sample in_the_lab(recording what)
{
    asxi_rehearsal self{};
    asx_lab_config config{};
    asx_lab_report report{};
    self.plan = bench_plan(clients, requests);
    config.shards = 2;
    asxi_rehearsal_scenarios[0].configure(&config);
    config.unchecked = config.unrecorded = what == OFF;
    config.trace_capacity = 1;
    asx_lab_trace_writer *writer = nullptr;
    FILE *const file = what == FILED ? std::tmpfile() : nullptr;
    const double real_s = clock_s(CLOCK_MONOTONIC), cpu_s = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    if (what == FILED) {
        asx_lab_trace_options options{};
        options.config = &config;
        options.codec = ASX_LAB_TRACE_LZ4;
        must(file && asx_lab_trace_writer_create(file, &options, &writer) == ASX_OK, "no file");
        config.listeners = asx_lab_trace_writer_listener(writer);
    }
    must(asx_lab_run(&config, app, &self, &report), "the run failed");
    if (writer) {
        must(asx_lab_trace_writer_finish(writer, &report) == ASX_OK, "the disk is full");
        asx_lab_trace_writer_destroy(writer);
        std::fclose(file);
    }
    const sample taken = { (double)report.steps,
                           (double)report.dispatches,
                           (double)self.tally.right,
                           clock_s(CLOCK_MONOTONIC) - real_s,
                           clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_s,
                           0 };
    must(self.tally.right == self.tally.requests, "not everybody was answered");
    must(trace_hash == 0 || trace_hash == report.trace_hash, "two runs of one seed differ");
    trace_hash = report.trace_hash;
    asx_lab_report_deinit(&report);
    return taken;
}

sample live(const char *driver)
{
    const std::string command = std::string(LAB_BENCH_LIVE) + " " + driver + " " +
                                std::to_string(clients) + " " + std::to_string(requests);
    FILE *const out = popen(command.c_str(), "r");
    must(out, "no process");
    double right = 0, real_ns = 0, service_ns = 0, public_ns = 0;
    const bool whole =
        std::fscanf(out, "%lf %lf %lf %lf", &right, &real_ns, &service_ns, &public_ns) == 4;
    must(pclose(out) == 0 && whole, "the live run failed");
    return { 0, 0, right, real_ns / 1e9, (service_ns + public_ns) / 1e9, service_ns / 1e9 };
}

struct row {
    const char *name;
    recording what;
    const char *driver; /* nullptr: the lab */
    std::vector<sample> samples{};

    sample take() const
    {
        return driver ? live(driver) : in_the_lab(what);
    }
};

/* In thousands a second. */
std::string rate(const row &r, double sample::*count, double sample::*per)
{
    std::vector<double> each;
    for (const sample &s : r.samples) {
        each.push_back(s.*per > 0 ? s.*count / s.*per / 1e3 : 0);
    }
    std::sort(each.begin(), each.end());
    char text[32];
    std::snprintf(text, sizeof(text), "%.1f", each[each.size() / 2]);
    return each.back() > 0 ? text : "";
}

void print(const std::vector<row> &rows)
{
    std::printf(
        "%u clients and %u callers, %u requests each; medians of %u rounds; trace %016" PRIx64
        "\n\n",
        clients, clients / 8, requests, rounds, trace_hash);
    std::printf(
        "| thousands a second | steps | dispatches | requests | a CPU second | the server's |\n"
        "|---|---:|---:|---:|---:|---:|\n");
    for (const row &r : rows) {
        std::printf("| %s | %s | %s | %s | %s | %s |\n", r.name,
                    rate(r, &sample::steps, &sample::real_s).c_str(),
                    rate(r, &sample::dispatches, &sample::real_s).c_str(),
                    rate(r, &sample::right, &sample::real_s).c_str(),
                    rate(r, &sample::right, &sample::cpu_s).c_str(),
                    rate(r, &sample::right, &sample::service_cpu_s).c_str());
    }
}

bool options_parse(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        uint32_t *const number = !std::strcmp(argv[i], "--rounds")     ? &rounds
                                 : !std::strcmp(argv[i], "--clients")  ? &clients
                                 : !std::strcmp(argv[i], "--requests") ? &requests
                                                                       : nullptr;
        if (!std::strncmp(argv[i], "--benchmark_", 12)) { /* for the programs beside this one */
            continue;
        }
        if (!number || ++i == argc) {
            return false;
        }
        *number = (uint32_t)std::strtoul(argv[i], nullptr, 10);
    }
    return rounds > 0 && clients > 0 && requests > 0 && requests <= ASXI_REHEARSAL_REQUESTS_MAX;
}

} // namespace

int main(int argc, char **argv)
{
    if (!options_parse(argc, argv)) {
        const bool asked = argc == 2 && !std::strcmp(argv[1], "--help");
        std::fputs(usage, asked ? stdout : stderr);
        return asked ? 0 : 2;
    }
    std::vector<row> rows = {
        { "lab, off", OFF, nullptr },    { "lab, checked", CHECKED, nullptr },
        { "lab, file", FILED, nullptr }, { "live, io_uring", OFF, "uring" },
        { "live, epoll", OFF, "epoll" },
    };
    (void)rows[0].take(); /* warm */
    for (uint32_t i = 0; i < rounds; i++) {
        for (row &r : rows) {
            r.samples.push_back(r.take());
        }
    }
    print(rows);
    return 0;
}
