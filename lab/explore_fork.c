#include <asx/shard/base/assert.h>

#include "explore_internal.h"
#include "worker_internal.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* A child makes every jobs-th run and writes a frame for each; the parent reads them in turn, so
 * that rows come in the order of their index, however fast each child is. A child that writes
 * ahead fills its pipe and waits. */
typedef struct frame {
    asx_explore_row row;
    uint32_t choice_count; /* rows that follow; 0 unless the run failed */
    bool is_last;          /* the strategy has nothing left: no row */
    char text[ASX_EXPLORE_TEXT_MAX];
} frame;

typedef struct worker {
    asxi_worker process;
    asxi_explore_mirror *mirror;
} worker;

/* What a child is given. */
typedef struct share {
    const asx_explore_config *config;
    asx_explore_program *program;
    asx_strategy *strategy;
    uint64_t index; /* its first run; then every jobs-th */
    asxi_explore_mirror *mirror;
} share;

#define CRASH (UINT64_C(0xdead) << 48)

uint64_t asxi_explore_crash(int status, char *text, size_t cap)
{
    asxi_worker_end_tell(status, text, cap);
    return WIFSIGNALED(status) ? CRASH | (uint64_t)WTERMSIG(status)
                               : CRASH | 0x100 | (uint64_t)WEXITSTATUS(status);
}

bool asxi_explore_is_crash(uint64_t signature)
{
    return signature >> 48 == CRASH >> 48;
}

asxi_explore_mirror *asxi_explore_mirror_create(void)
{
    void *const memory = mmap(NULL, sizeof(asxi_explore_mirror), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void asxi_explore_mirror_destroy(asxi_explore_mirror *mirror)
{
    if (mirror) {
        munmap(mirror, sizeof(*mirror));
    }
}

/* Waits for a frame; false: the time for all of them is over. A run that never ends cannot outlast
 * the budget. */
static bool await_frame(asx_explore_report *report, const worker *w)
{
    while (!report->why && !asxi_worker_ready(&w->process, 100)) {
        asxi_explore_tell(report);
    }
    return !report->why;
}

static bool send_run(int fd, asx_explore_run *run, uint64_t index, uint64_t seed)
{
    frame f = { .row = asxi_explore_row_of(run, index, seed) };
    const asx_lab_choice *choices = NULL;
    if (f.row.signature != 0) {
        choices = asx_explore_run_choices(run, &f.choice_count);
        snprintf(f.text, sizeof(f.text), "%s", asx_explore_run_verdict(run)->text);
    }
    return asxi_worker_write(fd, &f, sizeof(f)) &&
           asxi_worker_write(fd, choices, sizeof(*choices) * f.choice_count);
}

static bool work(const void *arg, int fd)
{
    const share *const self = arg;
    const asx_explore_config *const config = self->config;
    asx_strategy *const strategy = self->strategy;
    asx_explore_run *const run = asx_explore_run_create(self->program->processes, &config->limits);
    uint64_t seed;
    bool go_on = true;
    asxi_explore_run_mirror(run, self->mirror);
    for (uint64_t index = self->index; go_on && strategy->begin(strategy, index, &seed);
         index += config->jobs) {
        asx_explore_run_make(run, self->program, strategy, seed, config->count_races);
        go_on = send_run(fd, run, index, seed);
    }
    const frame last = { .is_last = true };
    return go_on && asxi_worker_write(fd, &last, sizeof(last));
}

static void stop(worker *w)
{
    asxi_worker_stop(&w->process);
    asxi_explore_mirror_destroy(w->mirror);
}

static void add_crash(asx_explore_report *report, asx_strategy *strategy, uint64_t index, worker *w)
{
    char text[ASX_EXPLORE_TEXT_MAX];
    const uint64_t signature =
        asxi_explore_crash(asxi_worker_reap(&w->process), text, sizeof(text));
    const asxi_explore_mirror *const mirror = w->mirror;
    asx_explore_row row = { .index = index,
                            .fingerprint = signature,
                            .signature = signature,
                            .choices = mirror ? mirror->count : 0,
                            .end = ASX_EXPLORE_CRASHED };
    strategy->begin(strategy, index, &row.seed);
    asxi_explore_add(report, &row, text, mirror ? mirror->rows : NULL, row.choices);
}

/* Adds what the worker says of run `index`; false: there is no such run. */
static bool take_frame(asx_explore_report *report, worker *w, frame *f, asxi_array *choices)
{
    if (f->is_last) {
        return false;
    }
    asxi_array_cut(choices, 0);
    for (uint32_t i = 0; i < f->choice_count; i++) {
        asxi_array_push(choices);
    }
    asx_lab_choice *const rows = asxi_array_items(choices);
    if (!asxi_worker_read(&w->process, rows, sizeof(*rows) * f->choice_count)) {
        return false;
    }
    asxi_explore_add(report, &f->row, f->text, f->choice_count ? rows : NULL, f->choice_count);
    return true;
}

void asxi_explore_fork(asx_explore_report *report, asx_explore_program *program,
                       asx_strategy *strategy)
{
    const asx_explore_config *const config = &report->config;
    const uint32_t jobs = config->jobs;
    worker *const workers = asxi_lab_alloc(jobs, sizeof(*workers));
    asxi_array choices;
    asxi_array_init(&choices, sizeof(asx_lab_choice));
    for (uint32_t i = 0; i < jobs; i++) {
        workers[i].mirror = asxi_explore_mirror_create();
    }
    for (uint64_t at = 0; !report->why; at++) {
        worker *const w = &workers[at % jobs];
        const uint64_t index = config->first + at;
        frame f;
        const share part = { config, program, strategy, index, w->mirror };
        if (w->process.pid == 0 && !asxi_worker_start(&w->process, work, &part)) {
            report->why = "no more processes";
        } else if (!await_frame(report, w)) {
            break;
        } else if (!asxi_worker_read(&w->process, &f, sizeof(f))) {
            add_crash(report, strategy, index, w);
        } else if (!take_frame(report, w, &f, &choices)) {
            report->why = "nothing left";
        }
    }
    for (uint32_t i = 0; i < jobs; i++) {
        stop(&workers[i]);
    }
    asxi_array_deinit(&choices);
    asxi_lab_free(workers);
}
