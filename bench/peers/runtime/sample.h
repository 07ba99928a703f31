/* One row of one implementation, measured once: what our programs of this folder share. */
#ifndef ASX_BENCH_SAMPLE_H
#define ASX_BENCH_SAMPLE_H

#include <asx/shard/cx.h>

#include <stdint.h>
#include <time.h>

/* Nanoseconds of processor time of all threads so far. */
static inline uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Prints a line: the implementation, a tab, the value. */
void sample(const char *implementation, double value);

/* A row: `n` operations on shard 0. */
typedef asx_outcome row_fn(asx_cx *cx, uint64_t n);

row_fn mpsc_1, mpsc_4, mpsc_batch, mpsc_1_far, mpsc_4_far, mpsc_batch_far;
row_fn oneshot, broadcast, mutex_free, mutex_busy, semaphore_free, semaphore_busy, select_two;
row_fn spawn_join, idle_bytes, timer_set, timer_fire, cancel_tree, parallel;

#endif
