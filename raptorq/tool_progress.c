#include "tool_internal.h"

#include <time.h>

enum { CELLS = 30 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *asxi_progress_line(char *buf, size_t cap, uint64_t done, uint64_t total, double seconds)
{
    const double share = total > 0 ? (double)done / (double)total : 1;
    const double rate = seconds > 0 ? (double)done / seconds : 0;
    char bar[CELLS + 1], left[32] = "ETA --";
    for (int i = 0; i < CELLS; i++) {
        bar[i] = (double)i < share * CELLS ? '#' : '.';
    }
    bar[CELLS] = '\0';
    if (rate > 0) {
        const unsigned long eta = (unsigned long)((double)(total - done) / rate + 0.5);
        snprintf(left, sizeof(left), "ETA %lu:%02lu", eta / 60, eta % 60);
    }
    snprintf(buf, cap, "[%s] %3.0f %%  %.1f MB/s  %s", bar, 100 * share, rate / 1e6, left);
    return buf;
}

void asxi_progress_show(asxi_progress *progress, uint64_t done, uint64_t total)
{
    char line[128];
    if (progress->is_shown) {
        progress->start = progress->start > 0 ? progress->start : now();
        fprintf(stderr, "\r%s ",
                asxi_progress_line(line, sizeof(line), done, total, now() - progress->start));
    }
}

void asxi_progress_end(asxi_progress *progress)
{
    if (progress->is_shown && progress->start > 0) {
        fputc('\n', stderr);
        progress->start = 0;
    }
}
