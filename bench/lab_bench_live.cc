/* lab_bench_live uring|epoll CLIENTS REQUESTS: the rehearsal of lab_bench over loopback, on the
 * kernel as it is shipped, without trace points. Prints how many requests were answered, and the
 * nanoseconds: real, of the service's CPU, of the clients' CPU. */
#include "lab_bench.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

int main(int argc, char **argv)
{
    asx_driver_choice choice;
    if (argc != 4 || asx_driver_choice_parse(argv[1], &choice) != ASX_OK) {
        std::fprintf(stderr, "usage: lab_bench_live uring|epoll CLIENTS REQUESTS\n");
        return 2;
    }
    const auto clients = (uint32_t)std::strtoul(argv[2], nullptr, 10);
    const auto requests = (uint32_t)std::strtoul(argv[3], nullptr, 10);
    for (int round = 0; round < 2; round++) {
        asxi_rehearsal self{};
        asxi_rehearsal_cost cost;
        self.plan = bench_plan(clients, requests);
        const asx_err err = asxi_rehearsal_live(&self, choice, 2, &cost);
        if (err != ASX_OK || !cost.passed || self.tally.right != self.tally.requests) {
            char name[64];
            std::fprintf(stderr, "lab_bench_live: %s: %" PRIu64 " of %" PRIu64 " answered\n",
                         asx_err_name(err, name, sizeof(name)), self.tally.right,
                         self.tally.requests);
            return 1;
        }
        if (round > 0) { /* the first has warmed up */
            std::printf("%" PRIu64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", self.tally.right,
                        cost.real_ns, cost.service_cpu_ns, cost.public_cpu_ns);
        }
    }
    return 0;
}
