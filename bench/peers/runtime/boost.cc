// boost.context's rows: one row, once. It has stacks and switches: a fiber made, run and ended.
#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <unistd.h>
#include <vector>

namespace ctx = boost::context;

static double cpu_ns()
{
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return double(t.tv_sec) * 1e9 + double(t.tv_nsec);
}

static double resident()
{
    double all = 0, pages = 0;
    std::ifstream("/proc/self/statm") >> all >> pages;
    return pages * double(sysconf(_SC_PAGESIZE));
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        return 2;
    }
    const unsigned long n = strtoul(argv[2], nullptr, 10);
    ctx::pooled_fixedsize_stack stacks(65536);
    std::vector<ctx::fiber> fibers;
    if (strcmp(argv[1], "spawn") == 0) {
        const double begun = cpu_ns();
        for (unsigned long i = 0; i < n; i++) {
            ctx::fiber f(std::allocator_arg, stacks,
                         [](ctx::fiber &&back) { return std::move(back); });
            f = std::move(f).resume();
        }
        printf("boost.context\t%.3f\n", (cpu_ns() - begun) / double(n));
    } else if (strcmp(argv[1], "idle") == 0) {
        const unsigned long count = n < 20000 ? n : 20000;
        fibers.reserve(count);
        const double before = resident();
        for (unsigned long i = 0; i < count; i++) {
            ctx::fiber f(std::allocator_arg, stacks,
                         [](ctx::fiber &&back) { return std::move(back).resume(); });
            fibers.push_back(std::move(f).resume());
        }
        printf("boost.context\t%.3f\n", (resident() - before) / double(count));
    } else {
        return 2;
    }
    return 0;
}
