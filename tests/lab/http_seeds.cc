/* Many seeds of the server under chaos, one after the other: `http_seeds FIRST COUNT [CLIENTS]`.
 * Prints what it saw and the processor time of a seed; fails when any seed left or broke anything.
 */
#include "http_world.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <ctime>

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: http_seeds FIRST COUNT [CLIENTS]\n");
        return 2;
    }
    const uint64_t first = strtoull(argv[1], nullptr, 10), count = strtoull(argv[2], nullptr, 10);
    uint64_t requests = 0, right = 0, cut_short = 0, faults = 0, bad = 0;
    const clock_t start = clock();
    for (uint64_t seed = first; seed < first + count; seed++) {
        http_plan plan = http_plan::chaos(seed);
        if (argc > 3) {
            plan.clients = (uint32_t)strtoul(argv[3], nullptr, 10);
        }
        const http_result r = run_http(plan);
        requests += r.requests;
        right += r.right;
        cut_short += r.cut_short;
        faults += r.net.faults;
        if (!r.good()) {
            bad++;
            printf("seed %" PRIu64 ": %" PRIu64 " wrong, %" PRIu64 " connections and %" PRIu64
                   " sockets left; %s\n",
                   seed, r.wrong, r.connections_left, r.sockets_left, r.why.c_str());
        }
    }
    const double ms = (double)(clock() - start) * 1000 / CLOCKS_PER_SEC;
    printf("%" PRIu64 " seeds, %.1f ms each; %" PRIu64 " requests, %" PRIu64 " answered, %" PRIu64
           " cut short; %" PRIu64 " faults; %" PRIu64 " bad\n",
           count, ms / (double)(count ? count : 1), requests, right, cut_short, faults, bad);
    return bad != 0;
}
