/* Our rows of tasks, timers, cancellation and loops, and main: one row, once. */
#include <asx/asx.h>
#include <asx/shard/base/prng.h>
#include <asx/shard/timer.h>

#include "sample.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AT_ONCE = 1000, TREE = 100, IDLE_FIBERS_MAX = 20000 };

static asx_outcome nothing(ASX_UNUSED asx_cx *cx, ASX_UNUSED void *arg)
{
    return asx_ok(0);
}

static bool nothing_step(ASX_UNUSED asx_cx *cx, ASX_UNUSED void *frame, asx_outcome *outcome)
{
    *outcome = asx_ok(0);
    return true;
}

static asx_outcome spawn_kind(asx_cx *cx, uint64_t n, bool poll)
{
    asx_handle tasks[AT_ONCE];
    const uint64_t begun = cpu_ns();
    for (uint64_t done = 0; done < n; done += AT_ONCE) {
        for (unsigned i = 0; i < AT_ONCE; i++) {
            const asx_err err =
                poll ? asx_spawn_poll(cx, NULL, nothing_step, NULL, 0, NULL, &tasks[i], NULL)
                     : asx_spawn(cx, NULL, nothing, NULL, 0, NULL, &tasks[i]);
            ASX_TRY(err ? asx_fail(err) : asx_ok(0));
        }
        for (unsigned i = 0; i < AT_ONCE; i++) {
            ASX_TRY(asx_join(cx, tasks[i]));
        }
    }
    const uint64_t rounds = (n + AT_ONCE - 1) / AT_ONCE;
    sample(poll ? "asx poll task" : "asx", (double)(cpu_ns() - begun) / (double)(rounds * AT_ONCE));
    return asx_ok(0);
}

asx_outcome spawn_join(asx_cx *cx, uint64_t n)
{
    ASX_TRY(spawn_kind(cx, n, false));
    return spawn_kind(cx, n, true);
}

static double resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *const file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*u %lu", &pages) != 1) {
        abort();
    }
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static asx_outcome idle(asx_cx *cx, ASX_UNUSED void *arg)
{
    return asx_sleep(cx, asx_s(100000));
}

static bool idle_step(asx_cx *cx, ASX_UNUSED void *frame, asx_outcome *outcome)
{
    *outcome = asx_ok(0);
    return asx_is_cancelled(cx);
}

static asx_outcome idle_kind(asx_cx *cx, uint64_t n, bool poll)
{
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        const double before = resident_bytes();
        for (uint64_t i = 0; i < n; i++) {
            asx_handle task;
            const asx_err err =
                poll ? asx_spawn_poll(&s->cx, NULL, idle_step, NULL, 0, NULL, &task, NULL)
                     : asx_spawn(&s->cx, NULL, idle, NULL, 0, NULL, &task);
            ASX_TRY(err ? asx_fail(err) : asx_ok(0));
        }
        ASX_TRY(asx_sleep(cx, asx_ms(20)));
        sample(poll ? "asx poll task" : "asx", (resident_bytes() - before) / (double)n);
        asx_scope_cancel(s, ASX_CANCEL_USER, NULL);
    }
    return asx_ok(0);
}

asx_outcome idle_bytes(asx_cx *cx, uint64_t n)
{
    ASX_TRY(idle_kind(cx, n, true));
    return idle_kind(cx, n < IDLE_FIBERS_MAX ? n : IDLE_FIBERS_MAX, false);
}

static void fired(ASX_UNUSED asx_timer *timer)
{
}

typedef struct timers {
    asx_timer_wheel wheel;
    uint32_t *order;
    asx_timer *each;
    uint64_t count;
} timers;

static timers *timers_create(uint64_t n)
{
    timers *const self = calloc(1, sizeof(*self));
    asx_prng prng;
    asx_prng_init(&prng, 7);
    asx_timer_wheel_init(&self->wheel, 0);
    self->count = n;
    self->each = calloc(n, sizeof(*self->each));
    self->order = calloc(n, sizeof(*self->order));
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t at = asx_prng_below(&prng, i + 1);
        self->order[i] = self->order[at];
        self->order[at] = i;
        self->each[i].fn = fired;
    }
    return self;
}

static void timers_destroy(timers *self)
{
    free(self->each);
    free(self->order);
    free(self);
}

static uint64_t timers_arm(timers *self, asx_duration span)
{
    asx_prng prng;
    asx_prng_init(&prng, 11);
    const uint64_t begun = cpu_ns();
    for (uint64_t i = 0; i < self->count; i++) {
        asx_timer_arm(&self->wheel, &self->each[i], asx_s(10) + asx_prng_below(&prng, span));
    }
    return begun;
}

asx_outcome timer_set(ASX_UNUSED asx_cx *cx, uint64_t n)
{
    timers *const self = timers_create(n);
    const uint64_t begun = timers_arm(self, asx_s(60));
    for (uint64_t i = 0; i < n; i++) {
        asx_timer_disarm(&self->wheel, &self->each[self->order[i]]);
    }
    sample("asx", (double)(cpu_ns() - begun) / (double)n);
    timers_destroy(self);
    return asx_ok(0);
}

asx_outcome timer_fire(ASX_UNUSED asx_cx *cx, uint64_t n)
{
    timers *const self = timers_create(n);
    timers_arm(self, asx_ms(20));
    const uint64_t begun = cpu_ns();
    const unsigned count = asx_timer_wheel_advance(&self->wheel, asx_s(11), ~0u);
    sample("asx", (double)(cpu_ns() - begun) / (double)n);
    asx_assert_eq(count, n);
    timers_destroy(self);
    return asx_ok(0);
}

static asx_outcome branch(asx_cx *cx, void *arg)
{
    const uint64_t leaves = *(uint64_t *)arg;
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        for (uint64_t i = 0; i < leaves; i++) {
            ASX_SPAWN(s, idle, &leaves);
        }
    }
    return asx_ok(0);
}

asx_outcome cancel_tree(asx_cx *cx, uint64_t n)
{
    const uint64_t leaves = n / TREE - 1;
    uint64_t begun = 0;
    for (int warm = 0; warm < 2; warm++) { /* stacks come from the pool the second time */
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            for (unsigned i = 0; i < TREE; i++) {
                ASX_SPAWN(s, branch, &leaves);
            }
            ASX_TRY(asx_sleep(cx, asx_ms(50)));
            begun = cpu_ns();
            asx_scope_cancel(s, ASX_CANCEL_USER, NULL);
        }
    }
    sample("asx", (double)(cpu_ns() - begun) / (double)(TREE * (leaves + 1)));
    return asx_ok(0);
}

static asx_outcome hash_piece(ASX_UNUSED asx_cx *cx, uint64_t first, uint64_t end, void *arg)
{
    uint64_t hash = 0;
    for (uint64_t i = first; i < end; i++) {
        hash ^= asx_mix64(i);
    }
    __atomic_fetch_xor((uint64_t *)arg, hash, __ATOMIC_RELAXED);
    return asx_ok(0);
}

asx_outcome parallel(asx_cx *cx, uint64_t n)
{
    uint64_t alone = 0;
    uint64_t together = 0;
    const asx_instant begun = asx_now(cx);
    struct timespec t[3];
    clock_gettime(CLOCK_MONOTONIC, &t[0]);
    ASX_TRY(hash_piece(cx, 0, n, &alone));
    clock_gettime(CLOCK_MONOTONIC, &t[1]);
    ASX_TRY(asx_parallel_for(cx, 0, n, 0, hash_piece, &together));
    clock_gettime(CLOCK_MONOTONIC, &t[2]);
    asx_assert_eq(alone, together);
    asx_maybe(begun == 0);
    const double first =
        (double)(t[1].tv_sec - t[0].tv_sec) * 1e9 + (double)(t[1].tv_nsec - t[0].tv_nsec);
    const double second =
        (double)(t[2].tv_sec - t[1].tv_sec) * 1e9 + (double)(t[2].tv_nsec - t[1].tv_nsec);
    sample("asx", first / second);
    return asx_ok(0);
}

static const struct {
    const char *name;
    row_fn *fn;
    uint32_t shards;
} rows[] = {
    { "mpsc-1", mpsc_1, 1 },
    { "mpsc-4", mpsc_4, 1 },
    { "mpsc-batch", mpsc_batch, 1 },
    { "mpsc-1-far", mpsc_1_far, 2 },
    { "mpsc-4-far", mpsc_4_far, 2 },
    { "mpsc-batch-far", mpsc_batch_far, 2 },
    { "oneshot", oneshot, 1 },
    { "broadcast", broadcast, 1 },
    { "mutex-free", mutex_free, 1 },
    { "mutex-busy", mutex_busy, 1 },
    { "semaphore-free", semaphore_free, 1 },
    { "semaphore-busy", semaphore_busy, 1 },
    { "select", select_two, 1 },
    { "spawn", spawn_join, 1 },
    { "idle", idle_bytes, 1 },
    { "timer-set-10k", timer_set, 1 },
    { "timer-set-1m", timer_set, 1 },
    { "timer-fire-10k", timer_fire, 1 },
    { "timer-fire-1m", timer_fire, 1 },
    { "cancel-tree", cancel_tree, 1 },
    { "parallel", parallel, 2 },
};

static row_fn *chosen;
static uint64_t operations;

void sample(const char *implementation, double value)
{
    printf("%s\t%.3f\n", implementation, value);
    fflush(stdout);
}

/* The other shard has nothing of its own to do: it serves limbs until the engine drains. */
static asx_outcome app(asx_cx *cx, ASX_UNUSED void *engine)
{
    if (asx_cx_shard_index(cx) != 0) {
        return asx_sleep(cx, asx_s(100000));
    }
    const asx_outcome outcome = chosen(cx, operations);
    kill(getpid(), SIGTERM);
    return outcome;
}

int main(int argc, char **argv)
{
    asx_config config;
    char message[ASX_CONFIG_MESSAGE_MAX];
    for (size_t i = 0; argc == 3 && i < asx_array_count(rows); i++) {
        if (strcmp(argv[1], rows[i].name) == 0) {
            chosen = rows[i].fn;
            operations = strtoull(argv[2], NULL, 10);
            if (asx_config_parse(&config, 0, argv, NULL, message) != ASX_CONFIG_OK) {
                return 2;
            }
            config.listen.count = 0;
            config.shards = rows[i].shards;
            return asx_boot(&config, app);
        }
    }
    fprintf(stderr, "usage: runtime_peer ROW OPERATIONS\n");
    return 2;
}
