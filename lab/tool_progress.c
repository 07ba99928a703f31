#include <asx/shard/base/time.h>

#include "tool_internal.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define EVERY_NS (200 * ASX_NS_PER_MS)

static uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * ASX_NS_PER_S + (uint64_t)t.tv_nsec;
}

void asxi_lab_tool_progress_begin(asxi_lab_tool_progress *self, bool quiet)
{
    *self = (asxi_lab_tool_progress){ .began_ns = monotonic_ns(), .quiet = quiet };
}

void asxi_lab_tool_progress_show(asxi_lab_tool_progress *self, uint64_t done, uint64_t count)
{
    char bar[21];
    const uint64_t now_ns = monotonic_ns();
    if (self->quiet || now_ns - self->shown_ns < EVERY_NS) {
        return;
    }
    const double seconds = (double)(now_ns - self->began_ns) / 1e9;
    const double rate = (double)done / seconds;
    const size_t full = (size_t)(done * 20 / count);
    memset(bar, '.', 20);
    memset(bar, '#', full);
    bar[20] = '\0';
    fprintf(stderr, "\r[%s] %" PRIu64 " of %" PRIu64 " seeds, %.0f/s, %.0f s left \033[K", bar,
            done, count, rate, done ? (double)(count - done) / rate : 0);
    fflush(stderr);
    self->shown_ns = now_ns;
    self->shown = true;
}

void asxi_lab_tool_progress_end(asxi_lab_tool_progress *self, uint64_t done)
{
    const double seconds = (double)(monotonic_ns() - self->began_ns) / 1e9;
    fprintf(stderr, "%s%" PRIu64 " seeds in %.1f s, %.0f a second\n", self->shown ? "\r\033[K" : "",
            done, seconds, (double)done / seconds);
}
