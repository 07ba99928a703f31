/* libuv's rows: one row, once. It has timers. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t state = 88172645463325252u;

static uint64_t below(uint64_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % n;
}

static void fired(uv_timer_t *timer)
{
    (void)timer;
}

int main(int argc, char **argv)
{
    if (argc != 3 || strncmp(argv[1], "timer-", 6) != 0) {
        return 2;
    }
    const size_t n = strtoull(argv[2], NULL, 10);
    uv_loop_t *const loop = uv_default_loop();
    uv_timer_t *const timers = calloc(n, sizeof(*timers));
    uint32_t *const order = calloc(n, sizeof(*order));
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t at = below(i + 1);
        order[i] = order[at];
        order[at] = i;
        uv_timer_init(loop, &timers[i]);
    }
    const int set = strncmp(argv[1], "timer-set", 9) == 0;
    double begun = cpu_ns();
    for (size_t i = 0; i < n; i++) {
        uv_timer_start(&timers[i], fired, set ? 10000 + below(60000) : 1 + below(20), 0);
    }
    if (set) {
        for (size_t i = 0; i < n; i++) {
            uv_timer_stop(&timers[order[i]]);
        }
    } else {
        uv_sleep(25);
        begun = cpu_ns();
        uv_run(loop, UV_RUN_DEFAULT);
    }
    printf("libuv\t%.3f\n", (cpu_ns() - begun) / (double)n);
    return 0;
}
